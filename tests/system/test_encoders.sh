# ONNX networks as encoders, and portrait masks: the same codes at any number of ranks, on every instruction set and
# after kills; what changes is made again and nothing else; what does not fit is refused by name.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
mkdir -p "$faces/photos"
if [ -n "${FACEMILL_DATA:-}" ] && [ -d "$FACEMILL_DATA/utkface-2k" ]; then
    for f in $(ls "$FACEMILL_DATA/utkface-2k" | awk 'NR % 140 == 0'); do cp "$FACEMILL_DATA/utkface-2k/$f" "$faces/photos/"; done
fi
onnx() { "$BUILD/tests/onnx_file" "$1" "$faces/$2" || fail "no $1 network"; }
onnx plain face.onnx
encoder='{model: face.onnx, output: code, mean: [120, 110, 100], scale: 0.015625}'

# study NAME RECIPE ENCODER
study() {
    cat >"$faces/$1.yaml" <<END
name: $1
out: out-$1
cohorts: [{name: people, role: case, format: utkface, path: photos}]
recipe: $2
encoder: $3
task: {label: sex}
head: {kind: logistic}
evaluate: {folds: 2, bootstrap: 0}
audit: none
cluster: {shard: 4}
END
}
# build NAME RANKS [VARIABLE=VALUE]: and its digest in $digest
build() {
    data utkface-2k
    name=$1 ranks=$2
    shift 2
    env "$@" "$FACEMILL" build "$faces/$name.yaml" --ranks "$ranks" --json >"$work/build.json" 2>"$work/said" ||
        { cat "$work/said"; fail "build of $name failed"; }
    digest=$("$FACEMILL" digest "$faces/out-$name") || fail "no digest of $name"
}

an_onnx_network_encodes_a_study() {
    study net '{mask: none}' "$encoder"
    data utkface-2k
    status 0 "$FACEMILL" run "$faces/net.yaml" --ranks 2
    status 0 "$FACEMILL" export "$faces/out-net" --what codes --to "$work/codes"
    head -c 128 "$work/codes/codes.npy" | grep -q ', 24)' || fail "codes.npy has not 24 columns"
    expect "the encoder in results.json" "$(value "$faces/out-net/results.json" provenance.models.2.name)" face.onnx
    grep -q 'face.onnx: its output code, 24 numbers' "$faces/out-net/report.html" || fail "the report does not name it"
    status 0 "$FACEMILL" verify "$faces/out-net"
}

codes_do_not_depend_on_who_makes_them() {
    for mask in none portrait; do
        study "a-$mask" "{mask: $mask}" "$encoder"
        study "b-$mask" "{mask: $mask}" "$encoder"
        study "k-$mask" "{mask: $mask}" "$encoder"
        build "a-$mask" 1 && one=$digest
        build "b-$mask" 3
        expect "digest at 3 ranks, mask $mask" "$digest" "$one"
        data utkface-2k
        FACEMILL_FAULT=worker.commit:2:kill timeout 100 "$FACEMILL" build "$faces/k-$mask.yaml" --ranks 2 >"$work/said" 2>&1
        build "k-$mask" 2
        expect "digest after a kill, mask $mask" "$digest" "$one"
    done
    study plain '{mask: portrait}' "$encoder"
    build plain 2 FACEMILL_ISA=plain
    expect "digest on plain C" "$digest" "$one"
}

what_changes_is_made_again_and_nothing_else() {
    study change '{mask: portrait}' "$encoder"
    build change 2 && first=$digest
    for with in "${encoder%?}, channels: bgr}" "$(echo "$encoder" | sed 's/120/121/')" "$(echo "$encoder" | sed 's/: code/: features/')"; do
        study change '{mask: portrait}' "$with"
        build change 2 FACEMILL_FAULT=worker.decode:1:fails
        [ "$digest" != "$first" ] || fail "$with changes no code"
        expect "chips made" "$(value "$work/build.json" build.photos_made)" 0
    done
    study change '{mask: {kind: portrait, fill: [0, 0, 0]}}' "$encoder"
    build change 2 FACEMILL_FAULT=worker.decode:1:fails
    [ "$digest" != "$first" ] || fail "another fill changes no code"
    study change '{mask: portrait}' "$encoder"
    build change 2 FACEMILL_FAULT=worker.encode:1:fails
    expect "digest as at first" "$digest" "$first"
    study change '{mask: none}' "$encoder"
    study fresh '{mask: none}' "$encoder"
    build change 2 FACEMILL_FAULT=worker.decode:1:fails && dropped=$digest
    build fresh 2
    expect "digest without the mask" "$dropped" "$digest"
    onnx other face.onnx
    build change 2 FACEMILL_FAULT=worker.decode:1:fails
    [ "$digest" != "$dropped" ] || fail "another file of the same name changes no code"
    onnx plain face.onnx
}

masks_leave_the_store_with_permission_only() {
    data utkface-2k
    out=$faces/out-a-portrait
    status 2 "$FACEMILL" export "$out" --what masks --to "$work/masks"
    said "add --identifiable"
    status 0 "$FACEMILL" export "$out" --what masks --to "$work/masks" --identifiable
    status 0 "$FACEMILL" export "$out" --what chips --to "$work/chips" --identifiable
    status 0 "$FACEMILL" export "$out" --what chips --masked --to "$work/masked" --identifiable
    expect masks "$(ls "$work/masks"/*.png | wc -l)" "$(ls "$work/chips"/*.png | wc -l)"
    cmp -s "$work/chips/000000-0.png" "$work/masked/000000-0.png" && fail "--masked changes nothing"
    status 3 "$FACEMILL" export "$faces/out-a-none" --what masks --to "$work/none" --identifiable
    said "have no masks"
    status 2 "$FACEMILL" export "$out" --what codes --masked --to "$work/none"
}

heads_want_the_encoder_they_were_trained_with() {
    study net '{mask: none}' "$encoder"
    data utkface-2k
    head=$faces/out-net/head.bin
    status 3 "$FACEMILL" predict --head "$head" --photos "$faces/photos" --out "$work/p.tsv"
    said "say where that file is: --encoder FILE.onnx"
    status 0 "$FACEMILL" predict --head "$head" --photos "$faces/photos" --encoder "$faces/face.onnx" --out "$work/p.tsv"
    awk -F'\t' '$3 == "used"' "$work/p.tsv" | grep -q . || fail "no face has a prediction"
    onnx other other.onnx
    status 3 "$FACEMILL" predict --head "$head" --photos "$faces/photos" --encoder "$faces/other.onnx"
    said "trained on codes of encoder"
}

networks_that_cannot_encode_are_refused() {
    mkdir -p "$faces/photos"
    onnx odd odd.onnx
    onnx nan nan.onnx
    refused() {     # ENCODER WORDS
        study refused '{mask: none}' "$1"
        status 3 "$FACEMILL" build "$faces/refused.yaml"
        said "$2"
    }
    refused '{model: odd.onnx, output: code, mean: 0, scale: 1}' 'odd.onnx: node "b" (Twirl): this operator is not supported'
    refused '{model: nan.onnx, output: code, mean: 0, scale: 1}' 'a number that is not finite'
    refused '{model: face.onnx, mean: 0, scale: 1}' '2 outputs, the first is "code"'
    refused '{model: face.onnx, output: code, scale: 1}' 'says its mean'
    refused '{model: face.onnx, output: code, size: 64, mean: 0, scale: 1}' 'takes pictures of 32 pixels'
    refused '{model: none.onnx, mean: 0, scale: 1}' 'none.onnx'
    study refused '{mask: none}' '{model: face.onnx, output: code, mean: 0, scale: 1}'
    status 3 "$FACEMILL" power "$faces/refused.yaml"
    said "power is measured with encoder dlib-resnet"
}

cases an_onnx_network_encodes_a_study codes_do_not_depend_on_who_makes_them what_changes_is_made_again_and_nothing_else \
    masks_leave_the_store_with_permission_only heads_want_the_encoder_they_were_trained_with \
    networks_that_cannot_encode_are_refused
