# What the classifier looked at: a mark that was painted on the cheeks of the cases is found there, and nothing where there
# is nothing; the same bytes at any number of ranks, from an encrypted store, with an ONNX network.
. "$(dirname "$0")/lib.sh"

made=$work/made
"$FACEMILL" synth --out "$made" --cases 30 --controls 30 --seed 3 --effect 0 >/dev/null || exit 1
mkdir "$work/plain" "$work/marked"
cp -r "$made/cases" "$made/controls" "$work/plain"
cp -r "$made/cases" "$made/controls" "$work/marked"
"$BUILD/tests/mark" "$work"/marked/cases/*.jpg || exit 1

# study WHERE NAME [LINE...]
study() {
    where=$work/$1
    name=$2
    shift 2
    two_cohorts "$name" 'head: {kind: logistic, C: 0.01}' 'evaluate: {folds: 3, bootstrap: 0}' 'audit: none' "$@" |
        sed "s/^out: out/out: out-$name/" >"$where/$name.yaml"
}
explain='explain: {faces: 24, grid: 6, permutations: 99}'

a_mark_is_found_where_it_is() {
    study marked dlib "$explain"
    status 0 "$FACEMILL" run "$work/marked/dlib.yaml" --ranks 2
    r=$work/marked/out-dlib/results.json
    holds "places over the threshold" "$(value "$r" explain.cells_over) >= 1"
    expect "region of the surest place" "$(value "$r" explain.top.region)" cheeks
    holds "its column, to the right" "$(value "$r" explain.top.column) >= 4"
    expect "cheeks" "$(value "$r" explain.regions.4.name)" cheeks
    holds "their p" "$(value "$r" explain.regions.4.p) <= 0.05"
    expect faces "$(value "$r" explain.faces)" 48
    for figure in map regions classes; do
        [ -s "$work/marked/out-dlib/figures/explain_$figure.svg" ] && [ -s "$work/marked/out-dlib/figures/explain_$figure.csv" ] ||
            fail "figures/explain_$figure is missing"
    done
    grep -q "What did the classifier look at?" "$work/marked/out-dlib/report.html" || fail "the report has no section"
}

a_second_run_explains_nothing_again() {
    [ -f "$work/marked/out-dlib/run/explain.bin" ] || skip "nothing was explained"
    before=$(stat -c %i "$work/marked/out-dlib/run/explain.bin")
    status 0 "$FACEMILL" explain "$work/marked/dlib.yaml"
    said "of the region cheeks"
    expect "explain.bin" "$(stat -c %i "$work/marked/out-dlib/run/explain.bin")" "$before"
}

nothing_is_found_where_nothing_is() {
    study plain null "$explain"
    status 0 "$FACEMILL" explain "$work/plain/null.yaml" --ranks 2
    said "cannot be told from one of chance"
    "$FACEMILL" explain "$work/plain/null.yaml" --json >"$work/null.json" 2>"$work/said" || fail "explain --json ended with $?"
    expect "places over the threshold" "$(value "$work/null.json" explain.cells_over)" 0
}

ranks_encryption_and_networks_change_nothing() {
    "$BUILD/tests/onnx_file" plain "$work/marked/face.onnx" || fail "no network"
    printf '%064d\n' 7 >"$work/marked/key"
    chmod 600 "$work/marked/key"
    encoder='encoder: {model: face.onnx, output: code, mean: [120, 110, 100], scale: 0.015625}'
    study marked net "$encoder" "$explain"
    study marked locked "$encoder" "$explain" 'store: {encrypt: true, key_file: key}'
    status 0 "$FACEMILL" explain "$work/marked/net.yaml" --ranks 1
    cp "$work/marked/out-net/run/explain.bin" "$work/one"
    rm "$work/marked/out-net/run/explain.bin"
    status 0 "$FACEMILL" explain "$work/marked/net.yaml" --ranks 3
    cmp -s "$work/one" "$work/marked/out-net/run/explain.bin" || fail "the explanation differs at 3 ranks"
    status 0 "$FACEMILL" explain "$work/marked/locked.yaml" --ranks 2
    cmp -s "$work/one" "$work/marked/out-locked/run/explain.bin" || fail "the explanation differs in an encrypted store"
}

it_is_made_when_asked_for() {
    sed '/^explain/d; s/out: out-null/out: out-quiet/' "$work/plain/null.yaml" >"$work/plain/quiet.yaml"
    mkdir "$work/plain/out-quiet" && cp -r "$work/plain/out-null/store" "$work/plain/out-quiet/store"
    status 0 "$FACEMILL" run "$work/plain/quiet.yaml"
    [ ! -e "$work/plain/out-quiet/run/explain.bin" ] || fail "the stage ran"
    study plain wrong 'explain: {grid: 2}'
    status 2 "$FACEMILL" explain "$work/plain/wrong.yaml"
    said grid
}

cases a_mark_is_found_where_it_is a_second_run_explains_nothing_again nothing_is_found_where_nothing_is \
    ranks_encryption_and_networks_change_nothing it_is_made_when_asked_for
