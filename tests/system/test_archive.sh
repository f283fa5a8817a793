# Photographs in tar and zip files: the study is that of the unpacked folder, and what changed is done again, nothing else.
. "$(dirname "$0")/lib.sh"

plain=$work/plain
"$FACEMILL" synth --out "$plain" --cases 6 --controls 8 --seed 61 >/dev/null || exit 1
# study NAME PATH-OF-CASES PATH-OF-CONTROLS: the generated study with other places of its manifests
study() {
    mkdir -p "$work/$1"
    sed -e "s|cases/manifest.csv|$2|" -e "s|controls/manifest.csv|$3|" "$plain/study.yaml" >"$work/$1/study.yaml"
}
build() { status 0 "$FACEMILL" build "$work/$1/study.yaml" --json; cp "$work/said" "$work/$1.json"; }
digest() { value "$work/$1.json" build.digest; }

status 0 "$FACEMILL" build "$plain/study.yaml" --json
cp "$work/said" "$work/plain.json"

a_tar_gives_the_folders_digest() {
    study tar faces.tar/cases/manifest.csv faces.tar/controls/manifest.csv
    tar -C "$plain" -cf "$work/tar/faces.tar" cases controls
    build tar
    expect "digest" "$(digest tar)" "$(digest plain)"
    build tar
    expect "photographs done by a second run" "$(value "$work/tar.json" build.photos_made)" 0
    find "$work/tar" -name '*.jpg' | grep -q . && fail "something was unpacked"
    true
}
