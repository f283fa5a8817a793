# Photographs in tar and zip files: the study is that of the unpacked folder, and what changed is done again, nothing else.
. "$(dirname "$0")/lib.sh"

plain=$work/plain
"$FACEMILL" synth --out "$plain" --cases 5 --controls 6 --seed 61 >/dev/null || exit 1
sed -i 's/^match:.*/match: none/' "$plain/study.yaml"
photographs=$(find "$plain" -name '*.jpg' | wc -l)

# study NAME CASES CONTROLS: the generated study with other paths of its manifests
study() {
    mkdir -p "$work/$1"
    sed -e "s|cases/manifest.csv|$2|" -e "s|controls/manifest.csv|$3|" "$plain/study.yaml" >"$work/$1/study.yaml"
}
# build NAME MADE REUSED: so many photographs were done and found
build() {
    "$FACEMILL" build "$work/$1/study.yaml" --ranks 2 --json >"$work/$1.json" 2>"$work/log" || { cat "$work/log"; fail "build of $1"; }
    expect "photographs done of $1" "$(value "$work/$1.json" build.photos_made)" "$2"
    expect "photographs found of $1" "$(value "$work/$1.json" build.photos_reused)" "$3"
}
same_digest() {
    expect "digest of $1" "$("$FACEMILL" digest "$work/$1/results")" "$("$FACEMILL" digest "$plain/results")"
}
build plain "$photographs" 0

tar_and_zip_give_the_folders_digest() {
    study tar faces.tar/cases/manifest.csv faces.tar/controls/manifest.csv
    tar -C "$plain" -cf "$work/tar/faces.tar" cases controls
    build tar "$photographs" 0
    same_digest tar
    command -v zip >/dev/null || skip "zip is not here (./setup installs it)"
    study zip cases.csv faces.zip/controls/manifest.csv
    (cd "$plain" && zip -qr "$work/zip/faces.zip" cases controls)
    sed '2,$s|^|faces.zip/cases/|' "$plain/cases/manifest.csv" >"$work/zip/cases.csv"
    build zip "$photographs" 0
    same_digest zip
    [ -z "$(find "$work/tar" "$work/zip" -name '*.jpg')" ] || fail "something was unpacked"
}

a_changed_member_is_done_again_alone() {
    study changed faces.tar/cases/manifest.csv faces.tar/controls/manifest.csv
    cp -r "$plain/cases" "$plain/controls" "$work/changed"
    tar -C "$work/changed" -cf "$work/changed/faces.tar" cases controls
    build changed "$photographs" 0
    build changed 0 "$photographs"
    "$FACEMILL" synth --out "$work/other" --cases 5 --controls 6 --seed 62 >/dev/null || fail synth
    one=$(cd "$plain/cases" && ls *.jpg | head -n 1)
    cp "$(ls "$work"/other/cases/*.jpg | head -n 1)" "$work/changed/cases/$one"
    tar -C "$work/changed" -cf "$work/changed/faces.tar" cases controls
    build changed 1 $((photographs - 1))
}

folders_of_classes_lie_in_archives() {
    mkdir -p "$work/classes/in" "$work/packed"
    cp -r "$plain/cases" "$plain/controls" "$work/classes/in"
    find "$work/classes" -type f ! -name '*.jpg' -exec rm {} +
    tar -C "$work/classes/in" -cf "$work/packed/in.tar" .
    for name in classes packed; do
        [ $name = classes ] && path=in || path=in.tar
        printf 'name: n\nseed: 1\nout: results\ncohorts:\n  - {name: all, role: case, format: folder, path: %s}\n' "$path" >"$work/$name/study.yaml"
        printf 'task: {label: label}\nhead: {kind: fc}\nmatch: none\n' >>"$work/$name/study.yaml"
        build $name "$photographs" 0
    done
    expect "digest" "$("$FACEMILL" digest "$work/packed/results")" "$("$FACEMILL" digest "$work/classes/results")"
}

# Formats that read more than a folder: ages in names (UTKFace, zip) and in lists (MegaAge, tar).  Selecting by age shows
# that they were read.
published_layouts_lie_in_archives() {
    command -v zip >/dev/null || skip "zip is not here (./setup installs it)"
    mkdir -p "$work/layout/utk" "$work/layout/mega/train" "$work/layout/mega/list" "$work/boxed"
    i=0
    for f in "$plain"/cases/*.jpg; do
        i=$((i + 1))
        cp "$f" "$work/layout/utk/$((10 * i))_$((i % 2))_0_201701171546002$i.jpg"
    done
    i=0
    for f in "$plain"/controls/*.jpg; do
        i=$((i + 1))
        cp "$f" "$work/layout/mega/train/$i.jpg"
        echo "$i.jpg" >>"$work/layout/mega/list/train_name.txt"
        echo $((10 * i)) >>"$work/layout/mega/list/train_age.txt"
    done
    (cd "$work/layout" && zip -qr "$work/boxed/utk.zip" utk)
    tar -C "$work/layout/mega" -cf "$work/boxed/mega.tar" list train
    for name in layout boxed; do
        [ $name = layout ] && utk=utk mega=mega || { utk=utk.zip/utk mega=mega.tar; }
        cat >"$work/$name/study.yaml" <<END
name: n
out: results
cohorts:
  - {name: utk, role: case, format: utkface, path: $utk}
  - {name: mega, role: control, format: megaage, path: $mega}
select: {age: [20, 40]}
match: none
END
        build $name 6 0
    done
    expect "digest" "$("$FACEMILL" digest "$work/boxed/results")" "$("$FACEMILL" digest "$work/layout/results")"
}

a_cut_archive_is_named() {
    study cut faces.tar/cases/manifest.csv faces.tar/controls/manifest.csv
    tar -C "$plain" -cf - cases controls | head -c 100000 >"$work/cut/faces.tar"
    "$FACEMILL" build "$work/cut/study.yaml" >"$work/said" 2>&1 && fail "a cut tar was taken"
    said "cut/faces.tar: is cut"
}

cases tar_and_zip_give_the_folders_digest a_changed_member_is_done_again_alone folders_of_classes_lie_in_archives \
    published_layouts_lie_in_archives a_cut_archive_is_named
