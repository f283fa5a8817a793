# doctor, models, verify, export, install: what stands around a study.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 20 --controls 25 --seed 41 >/dev/null || exit 1
"$FACEMILL" run "$faces/study.yaml" --ranks 2 --json >"$work/run.json" 2>"$work/log" || { cat "$work/log"; exit 1; }
out=$(value "$work/run.json" out)

doctor_finds_a_sound_machine_sound() {
    status 0 "$FACEMILL" doctor --dir "$work"
    said "^ok   mpi"
    said "^ok   locks"
    said "^ok   models"
    [ -z "$(ls -d "$work"/.facemill-doctor-* 2>/dev/null)" ] || fail "doctor left its folder behind"
}

doctor_finds_missing_and_damaged_models() {
    mkdir "$work/models"
    cp "$(dirname "$("$JSON" "$work/models.json" 0.path)")/models.tsv" "$work/models/" 2>/dev/null ||
        { "$FACEMILL" models --json >"$work/models.json"; cp "$(dirname "$(value "$work/models.json" 0.path)")/models.tsv" "$work/models/"; }
    cp "$FACEMILL" "$work/models/facemill"
    FACEMILL_MODELS=$work/models status 1 "$work/models/facemill" doctor --dir "$work"
    said "BAD  models"
    said "run ./setup"
    path=$(value "$work/models.json" 0.path)
    tr 'a-z' 'b-za' <"$path" >"$work/models/$(basename "$path")"
    FACEMILL_MODELS=$work/models status 1 "$work/models/facemill" doctor --dir "$work"
    said "has SHA-256"
    FACEMILL_MODELS=$work/models status 1 "$work/models/facemill" models
    said "missing"
}

doctor_finds_mpi_that_cannot_start() {
    mkdir "$work/bin"
    printf '#!/bin/sh\necho no ranks here >&2\nexit 1\n' >"$work/bin/mpirun"
    chmod +x "$work/bin/mpirun"
    PATH=$work/bin:$PATH status 1 "$FACEMILL" doctor --dir "$work"
    said "BAD  mpi"
}

doctor_finds_locks_that_do_not_work() {
    FACEMILL_FAULT=catalog.lock:1:fails status 1 "$FACEMILL" doctor --dir "$work"
    said "BAD  locks"
    said "remedy"
}

doctor_finds_more_ranks_than_cores() {
    status 1 "$FACEMILL" doctor --dir "$work" --ranks $((8 * $(nproc)))
    said "BAD  cores"
}

verify_names_damage() {
    cp -r "$out" "$work/damaged"
    segment=$(find "$work/damaged/store/segments" -type f -size +64k | head -n 1)
    [ -n "$segment" ] || fail "no segment file"
    at=$(($(stat -c %s "$segment") / 2))
    byte=$(od -An -tu1 -j $at -N 1 "$segment" | tr -d ' ')
    printf "\\$(printf %03o $(((byte + 1) % 256)))" | dd of="$segment" bs=1 seek=$at conv=notrunc 2>/dev/null
    status 1 "$FACEMILL" verify "$work/damaged"
    said "record"
    truncate -s $((at / 4096 * 4096)) "$segment"
    status 1 "$FACEMILL" verify "$work/damaged"
}

studies_are_compared() {
    status 0 "$FACEMILL" compare "$out" "$out" --json
    cp "$work/said" "$work/same.json"
    expect "difference of a study to itself" "$(value "$work/same.json" auc.difference)" 0.0
    expect "exact p" "$(value "$work/same.json" mcnemar.exact_p)" 1.0
    sed 's/kind: fc/kind: logistic/' "$faces/study.yaml" >"$faces/other.yaml"
    cmp -s "$faces/study.yaml" "$faces/other.yaml" && fail "the other study is the same one"
    "$FACEMILL" run "$faces/other.yaml" --ranks 2 --out "$work/other" >/dev/null 2>&1 || fail "the other study failed"
    status 0 "$FACEMILL" compare "$out" "$work/other" --json
    cp "$work/said" "$work/compared.json"
    for k in first second; do
        dir=$([ $k = first ] && echo "$out" || echo "$work/other")
        holds "AUC of the $k" "($(value "$work/compared.json" auc.$k) - $(value "$dir/results.json" metrics.auc.value))^2 < 1e-18"
    done
    expect "faces" "$(value "$work/compared.json" faces)" "$(value "$out/results.json" counts.faces)"
    expect "only one" "$(value "$work/compared.json" only_first)" 0
    status 0 "$FACEMILL" compare "$out" "$work/other"
    said "McNemar"
    status 3 "$FACEMILL" compare "$out" "$work"
    said "no finished study"
    status 2 "$FACEMILL" compare "$out"
}

exports_are_what_they_say() {
    status 2 "$FACEMILL" export "$out" --what chips --to "$work/e"
    said "identifiable"
    status 2 "$FACEMILL" export "$out" --what chip --to "$work/e"
    said "did you mean chips?"
    for what in ledger predictions codes; do status 0 "$FACEMILL" export "$out" --what $what --to "$work/e"; done
    ! grep -q cases/ "$work/e/ledger.tsv" || fail "the exported ledger names photographs"
    rows=$(($(wc -l <"$work/e/codes.tsv") - 1))
    expect "size of codes.npy" "$(stat -c %s "$work/e/codes.npy")" $((128 + 4 * 384 * rows))
    used=$(awk -F'\t' '$5 == "used" { print $1 }' "$work/e/ledger.tsv" | sort | head -n 1)
    grep -q "^$used	" "$work/e/codes.tsv" || fail "a sample has two pseudonyms"
    for what in chips faces; do status 0 "$FACEMILL" export "$out" --what $what --to "$work/i" --identifiable; done
    expect "chips" "$(ls "$work"/i/*.png | wc -l)" "$rows"
    grep -q '^cases/' "$work/i/faces.tsv" || fail "faces.tsv has no names"
}

an_installed_program_runs() {
    status 0 make -s -C "$(dirname "$0")/../.." install DESTDIR="$work/root" PREFIX=/opt/f B="$BUILD"
    status 0 "$work/root/opt/f/bin/facemill" --version
    "$work/root/opt/f/bin/facemill" models >"$work/said"
    said "dlib-hog: here"
    grep -q '^set prefix /opt/f$' "$work"/root/opt/f/share/facemill/modulefiles/facemill/* || fail "no module file for /opt/f"
}

cases doctor_finds_a_sound_machine_sound doctor_finds_missing_and_damaged_models doctor_finds_mpi_that_cannot_start \
    doctor_finds_locks_that_do_not_work doctor_finds_more_ranks_than_cores verify_names_damage studies_are_compared \
    exports_are_what_they_say an_installed_program_runs
