# A study's head on photographs it has not seen: the same way to the codes, and a refusal where it is not.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 24 --controls 24 --seed 31 --effect 1 >/dev/null || exit 1
cat >"$faces/s.yaml" <<END
name: s
out: out
cohorts:
  - {name: cases, role: case, format: csv, path: cases/manifest.csv}
  - {name: controls, role: control, format: csv, path: controls/manifest.csv}
head: {kind: svm, C: [0.001, 0.01]}
evaluate: {folds: 2, bootstrap: 0}
match: none
END
"$FACEMILL" run "$faces/s.yaml" --ranks 2 >/dev/null 2>"$work/log" || { cat "$work/log"; exit 1; }
head=$faces/out/head.bin

inner_folds_choose_in_every_fold() {
    for fold in 0 1; do
        case $(value "$faces/out/results.json" folds.$fold.chosen) in
        0.001 | 0.01) ;;
        *) fail "fold $fold chose none of the values" ;;
        esac
    done
}

new_photographs_get_a_row_each() {
    "$FACEMILL" synth --out "$work/new" --cases 10 --controls 10 --seed 99 --effect 1 >/dev/null
    printf 'no photograph' >"$work/new/cases/broken.jpg"
    status 0 "$FACEMILL" predict --head "$head" --photos "$work/new/cases" --out "$work/a.tsv" --threads 1
    status 0 "$FACEMILL" predict --head "$head" --photos "$work/new/cases" --out "$work/b.tsv" --threads 3
    cmp "$work/a.tsv" "$work/b.tsv" || fail "threads change the table"
    expect header "$(head -1 "$work/a.tsv")" "$(printf 'file\tface\tstatus\treason\tdetail\tp_control\tp_case\tprediction')"
    expect rows "$(tail -n +2 "$work/a.tsv" | wc -l)" "$(find "$work/new/cases" -type f | wc -l)"
    expect "what is said of a broken one" "$(grep '^broken.jpg' "$work/a.tsv" | cut -f 2-4)" "$(printf '\tleft_out\tunsupported')"
    awk -F'\t' '$3 == "used" && ($6 + $7 < 0.999999 || $6 + $7 > 1.000001 || $8 != ($7 > $6 ? "case" : "control"))' \
        "$work/a.tsv" | grep . && fail "probabilities and prediction do not agree"
    holds "faces used" "$(awk -F'\t' '$3 == "used"' "$work/a.tsv" | wc -l) >= 8"
}

archives_are_folders() {
    new=$work/new/cases
    tar -C "$new" -cf "$work/new.tar" .
    status 0 "$FACEMILL" predict --head "$head" --photos "$work/new.tar" --out "$work/tar.tsv"
    cmp "$work/a.tsv" "$work/tar.tsv" || fail "a tar gives another table than the folder in it"
    mkdir -p "$work/deep" && cp -r "$new" "$work/deep/in" && cp "$new/broken.jpg" "$work/deep"
    status 0 "$FACEMILL" predict --head "$head" --photos "$work/deep" --out "$work/deep.tsv"
    tar -C "$work/deep" -cf "$work/deep.tar" .
    status 0 "$FACEMILL" predict --head "$head" --photos "$work/deep.tar" --out "$work/tar.tsv"
    cmp "$work/deep.tsv" "$work/tar.tsv" || fail "a tar with a folder in it gives another table"
    status 0 "$FACEMILL" predict --head "$head" --photos "$work/deep.tar/in" --out "$work/tar.tsv"
    cmp "$work/a.tsv" "$work/tar.tsv" || fail "a folder in a tar gives another table"
    head -c 3000 "$work/new.tar" >"$work/cut.tar"
    status 3 "$FACEMILL" predict --head "$head" --photos "$work/cut.tar"
    said "cut.tar: is cut"
    status 3 "$FACEMILL" predict --head "$head" --photos "$new/broken.jpg"
    said "broken.jpg/: cannot open"
    command -v zip >/dev/null || skip "zip is not here (./setup installs it)"
    (cd "$new" && zip -qr "$work/new.zip" .)
    status 0 "$FACEMILL" predict --head "$head" --photos "$work/new.zip" --out "$work/zip.tsv"
    cmp "$work/a.tsv" "$work/zip.tsv" || fail "a zip gives another table than the folder in it"
}

a_planted_effect_is_seen_in_new_faces() {
    "$FACEMILL" predict --head "$head" --photos "$work/new/controls" >"$work/c.tsv" || fail "controls"
    mean() { awk -F'\t' '$3 == "used" { n++; s += $7 } END { print s / n }' "$1"; }
    holds "cases look more like cases than controls do" "$(mean "$work/a.tsv") > $(mean "$work/c.tsv")"
}

what_does_not_fit_is_refused() {
    status 2 "$FACEMILL" predict --photos "$work/new"
    said "--head HEAD is needed"
    status 3 "$FACEMILL" predict --head "$work/none.bin" --photos "$work/new"
    said "none.bin"
    head -c 5000 "$head" >"$work/cut.bin"
    status 3 "$FACEMILL" predict --head "$work/cut.bin" --photos "$work/new"
    said "damaged head file; train again"
    mkdir "$work/empty"
    status 3 "$FACEMILL" predict --head "$head" --photos "$work/empty"
    said "no file is there"
}

# The list names another encoder under the same name: the head must not be used with it.
another_encoder_is_refused() {
    models=$work/models
    mkdir -p "$work/bin" "$models"
    cp "$FACEMILL" "$work/bin/facemill"
    "$FACEMILL" models --json >"$work/models.json"
    root=$(dirname "$(dirname "$(dirname "$FACEMILL")")")
    for f in "$root"/models/*.f32 "$root"/models/cache/*.dat "${FACEMILL_MODELS:-$root/models/cache}"/*.dat; do
        [ -e "$f" ] && ln -sf "$f" "$models/"
    done
    file=$(awk -F'\t' '$1 == "dlib-resnet" { print $2 }' "$root/models/models.tsv")
    [ -e "$models/$file" ] || skip "$file is not there"
    rm "$models/$file"
    printf 'another encoder' >"$models/$file"
    sum=$(sha256sum "$models/$file" | cut -d' ' -f1)
    awk -F'\t' -v OFS='\t' -v sum="$sum" '$1 == "dlib-resnet" { $3 = sum; $4 = 15 } { print }' \
        "$root/models/models.tsv" >"$models/models.tsv"
    status 3 env FACEMILL_MODELS="$models" "$work/bin/facemill" predict --head "$head" --photos "$work/new/cases"
    said "trained on codes of encoder"
}

cases inner_folds_choose_in_every_fold new_photographs_get_a_row_each archives_are_folders a_planted_effect_is_seen_in_new_faces \
    what_does_not_fit_is_refused another_encoder_is_refused
