# The distributed build: the same store at any number of ranks and any shard size, and only what changed is redone.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 30 --controls 30 --seed 21 >/dev/null || exit 1

# study OUT [EXTRA-LINES]: a study file of those faces, not matched so that all are built
study() {
    cat >"$faces/$1.yaml" <<END
name: $1
seed: 5
out: out-$1
cohorts:
  - {name: cases, role: case, format: csv, path: cases/manifest.csv}
  - {name: controls, role: control, format: csv, path: controls/manifest.csv}
task: {label: cohort}
match: none
${2:-}
END
}
# build NAME [OPTIONS]: its facts are in $work/NAME.json
build() {
    name=$1
    shift
    "$FACEMILL" build "$faces/$name.yaml" --json "$@" >"$work/$name.json" 2>"$work/$name.log" ||
        { cat "$work/$name.log"; fail "build $name ended with $?"; }
}
made() { value "$work/$1.json" build.photos_made; }
encoded() { value "$work/$1.json" build.codes_made; }

study base
build base --ranks 1
digest=$("$FACEMILL" digest "$faces/out-base")

digest_is_equal_at_any_number_of_ranks() {
    for ranks in 2 3 4; do
        study "ranks$ranks"
        build "ranks$ranks" --ranks $ranks
        expect "digest at $ranks ranks" "$("$FACEMILL" digest "$faces/out-ranks$ranks")" "$digest"
    done
}

digest_is_equal_at_any_shard_size() {
    for shard in 1 7 64; do
        study "shard$shard" "cluster: {shard: $shard}"
        build "shard$shard" --ranks 2
        expect "digest at shards of $shard" "$("$FACEMILL" digest "$faces/out-shard$shard")" "$digest"
    done
}

digest_is_equal_on_every_instruction_set() {
    study plain
    FACEMILL_ISA=plain build plain --ranks 2
    expect "digest of plain C" "$("$FACEMILL" digest "$faces/out-plain")" "$digest"
}

started_by_hand_under_mpirun() {
    study hand
    study nobody
    sed -i 's#controls/manifest.csv#nowhere.csv#' "$faces/nobody.yaml"
    status 0 mpirun --oversubscribe -n 3 "$FACEMILL" build "$faces/hand.yaml" --json
    expect "digest" "$("$FACEMILL" digest "$faces/out-hand")" "$digest"
    status 0 mpirun --oversubscribe -n 3 "$FACEMILL" build "$faces/hand.yaml"
    said "chips made 0"
    status 3 mpirun --oversubscribe -n 3 "$FACEMILL" build "$faces/nobody.yaml"
    status 2 mpirun --oversubscribe -n 2 "$FACEMILL" run "$faces/hand.yaml"
    said "without mpirun"
}

a_changed_recipe_redoes_every_chip() {
    study base "recipe: {chip: {padding: 0.4}}"
    build base
    expect "photos made" "$(made base)" 60
    holds "codes made" "$(encoded base) > 55"
    study base
    build base
    expect "photos made for the old recipe again" "$(made base)" 0
    expect "codes made for the old recipe again" "$(encoded base)" 0
    expect "digest" "$("$FACEMILL" digest "$faces/out-base")" "$digest"
}

# The file with one weight changed is another model, named so by the list.
a_changed_encoder_encodes_again_and_decodes_nothing() {
    models=$work/models
    mkdir -p "$models"
    "$FACEMILL" models --json >"$work/models.json"
    for i in 0 1 2 3; do
        path=$(value "$work/models.json" $i.path)
        [ -n "$path" ] || skip "a model file is missing (run ./setup)"
        cp "$path" "$models/"
    done
    encoder=$models/dlib_face_recognition_resnet_model_v1.dat
    old=$(sha256sum "$encoder" | cut -d' ' -f1)
    middle=$(($(stat -c %s "$encoder") / 2))
    # the lowest byte of some weight's mantissa: find one whose change the reader takes
    for at in $(seq $middle $((middle + 40))); do
        cp "$path" "$encoder"
        byte=$(od -An -tu1 -j "$at" -N 1 "$encoder" | tr -d ' ')
        [ "$byte" -gt 16 ] && [ "$byte" -lt 120 ] || continue
        printf "\\$(printf %03o $((byte + 1)))" | dd of="$encoder" bs=1 seek="$at" conv=notrunc 2>/dev/null
        new=$(sha256sum "$encoder" | cut -d' ' -f1)
        sed "s/$old/$new/" "$(dirname "$(value "$work/models.json" 0.path)")/models.tsv" >"$models/models.tsv"
        if FACEMILL_MODELS=$models "$FACEMILL" build "$faces/base.yaml" --json >"$work/base.json" 2>"$work/base.log"; then
            expect "photos made" "$(made base)" 0
            holds "codes made" "$(encoded base) > 55"
            [ "$("$FACEMILL" digest "$faces/out-base")" != "$digest" ] || fail "another encoder gave the same digest"
            return
        fi
    done
    cat "$work/base.log"
    fail "no changed encoder could be made"
}

touched_and_moved_files_are_not_decoded_again() {
    build base
    touch "$faces"/cases/*.jpg
    build base
    expect "photos made of touched files" "$(made base)" 0
    mkdir "$faces/elsewhere"
    cp "$faces"/cases/*.jpg "$faces"/cases/manifest.csv "$faces/elsewhere/"
    sed -i 's#cases/manifest.csv#elsewhere/manifest.csv#' "$faces/base.yaml"
    build base
    expect "photos made of moved files" "$(made base)" 0
    expect "codes made of moved files" "$(encoded base)" 0
    study base
}

a_new_photograph_is_done_alone() {
    build base
    cp "$faces/cases/manifest.csv" "$work/manifest"
    "$FACEMILL" synth --out "$work/more" --cases 3 --controls 1 --seed 22 >/dev/null
    for f in "$work"/more/cases/*.jpg; do
        cp "$f" "$faces/cases/new-$(basename "$f")"
        echo "new-$(basename "$f"),new,F,40" >>"$faces/cases/manifest.csv"
    done
    build base
    expect "photos made" "$(made base)" 3
    cp "$work/manifest" "$faces/cases/manifest.csv"
    build base
    expect "digest without them" "$("$FACEMILL" digest "$faces/out-base")" "$digest"
}

bad_photographs_have_a_reason() {
    study bad
    mkdir "$faces/bad"
    cp "$faces/cases/manifest.csv" "$faces/bad/manifest.csv"
    cp "$faces"/cases/*.jpg "$faces/bad/"
    head -c 3000 "$(ls "$faces"/cases/*.jpg | head -n 1)" >"$faces/bad/cut.jpg"
    : >"$faces/bad/empty.jpg"
    echo "GIF89a............" >"$faces/bad/moving.jpg"
    cp "$faces/cases/$(sed -n 2p "$faces/cases/manifest.csv" | cut -d, -f1)" "$faces/bad/copy.jpg"
    mkfifo "$faces/bad/pipe.jpg"
    for f in cut empty moving copy pipe gone; do echo "$f.jpg,$f,F,40" >>"$faces/bad/manifest.csv"; done
    sed -i 's#cases/manifest.csv#bad/manifest.csv#' "$faces/bad.yaml"
    "$FACEMILL" run "$faces/bad.yaml" >"$work/said" 2>&1 || { cat "$work/said"; fail "run failed"; }
    reason() { awk -F'\t' -v f="cases/$1" '$1 == f { print $6 }' "$faces/out-bad/ledger.tsv"; }
    expect "reason of a cut file" "$(reason cut.jpg)" decode_error
    expect "reason of an empty file" "$(reason empty.jpg)" unreadable
    expect "reason of a GIF" "$(reason moving.jpg)" unsupported
    expect "reason of a FIFO" "$(reason pipe.jpg)" unreadable
    expect "reason of a missing file" "$(reason gone.jpg)" unreadable
    expect "reason of a copy" "$(reason copy.jpg)" duplicate
}

cases digest_is_equal_at_any_number_of_ranks digest_is_equal_at_any_shard_size \
    digest_is_equal_on_every_instruction_set started_by_hand_under_mpirun a_changed_recipe_redoes_every_chip \
    a_changed_encoder_encodes_again_and_decodes_nothing touched_and_moved_files_are_not_decoded_again \
    a_new_photograph_is_done_alone bad_photographs_have_a_reason
