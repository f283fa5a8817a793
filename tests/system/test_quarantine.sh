# A photograph that ends its worker each time, or keeps it for ever, is found out, tried alone and left out for that
# reason; everything else is used, with the digest of a build that never saw it.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 40 --controls 40 --seed 37 >/dev/null || exit 1
victim=$(cd "$faces" && find cases -name '*.jpg' -o -name '*.png' | sort | sed -n 18p)
[ -n "$victim" ] || { echo "FAILED no photograph to choose"; exit 1; }

# study NAME [LINE]: LINE goes into the recipe
study() {
    cat >"$faces/$1.yaml" <<END
name: $1
out: out-$1
cohorts:
  - {name: cases, role: case, format: csv, path: cases/manifest.csv}
  - {name: controls, role: control, format: csv, path: controls/manifest.csv}
task: {label: cohort}
match: none
recipe: {max_megabytes: 100${2:+, $2}}
cluster: {shard: 8}
END
}
left_out() { value "$1" "counts.left_out.$2"; }

mv "$faces/$victim" "$work/kept"
study without
"$FACEMILL" build "$faces/without.yaml" --ranks 2 --json >"$work/without.json" 2>"$work/log" || { cat "$work/log"; exit 1; }
without=$("$FACEMILL" digest "$faces/out-without")
mv "$work/kept" "$faces/$victim"

# quarantined NAME ACTION REASON [LINE]
quarantined() {
    study "$1" "${4:-}"
    FACEMILL_FAULT="worker.photo@${victim##*/}:1:$2" "$FACEMILL" build "$faces/$1.yaml" --ranks 2 --json \
        >"$work/$1.json" 2>"$work/said" || { cat "$work/said"; fail "the build ended with $?"; }
    said "quarantined as $3"
    expect "photographs left out as $3" "$(left_out "$work/$1.json" "$3")" 1
    expect "digest" "$("$FACEMILL" digest "$faces/out-$1")" "$without"
    "$FACEMILL" verify "$faces/out-$1" >/dev/null || fail "the store is damaged"
}

one_that_kills_is_left_out_as_crashed() {
    quarantined kill kill crashed
    lost=$(value "$work/kill.json" build.crews_lost)
    [ "$lost" -eq 3 ] || fail "$lost crews were lost, expected 3: one to find it out, two alone"
    "$FACEMILL" build "$faces/kill.yaml" --ranks 2 --json >"$work/again.json" 2>/dev/null || fail "no second run"
    expect "left out by the next run" "$(left_out "$work/again.json" crashed)" 1
    touch "$faces/$victim"
    "$FACEMILL" build "$faces/kill.yaml" --ranks 2 --json >"$work/again.json" 2>/dev/null || fail "no third run"
    [ "$("$FACEMILL" digest "$faces/out-kill")" != "$without" ] || fail "a file that changed is not tried again"
}

one_that_hangs_is_left_out_as_timed_out() {
    quarantined hang hang timed_out "max_seconds: 2"
}

# Its decoder dies of it, and the rank goes on: no crew is lost, nor a build that nobody could start a crew of again.
one_that_kills_its_decoder_costs_no_worker() {
    size=$(stat -c %s "$faces/$victim")
    same=$(find "$faces/cases" "$faces/controls" -size "${size}c" | wc -l)
    study decoder
    FACEMILL_FAULT=decode@$size:1:kill status 0 "$FACEMILL" build "$faces/decoder.yaml" --ranks 2 --json
    grep -q "left out as crashed" "$faces/out-decoder/log/crew-0.log" || fail "the log does not say so"
    cp "$work/said" "$work/decoder.json"
    expect "photographs left out as crashed" "$(left_out "$work/decoder.json" crashed)" "$same"
    expect "crews lost" "$(value "$work/decoder.json" build.crews_lost)" 0
    [ "$same" -ne 1 ] || expect "digest" "$("$FACEMILL" digest "$faces/out-decoder")" "$without"
    status 0 "$FACEMILL" build "$faces/decoder.yaml" --ranks 2 --paranoid
    study hand
    FACEMILL_FAULT=decode@$size:1:kill status 0 mpirun --oversubscribe -n 2 "$FACEMILL" build "$faces/hand.yaml"
    [ "$same" -ne 1 ] || expect "digest" "$("$FACEMILL" digest "$faces/out-hand")" "$without"
    status 0 "$FACEMILL" build "$faces/hand.yaml" --ranks 2 --paranoid
    expect "digest" "$("$FACEMILL" digest "$faces/out-hand")" "$("$FACEMILL" digest "$faces/out-decoder")"
}

the_ledger_says_so() {
    study whole
    FACEMILL_FAULT="worker.photo@${victim##*/}:1:kill" status 0 "$FACEMILL" run "$faces/whole.yaml" --ranks 2
    expect "rows of the ledger that crashed" "$(grep -c crashed "$faces/out-whole/ledger.tsv")" 1
    grep crashed "$faces/out-whole/ledger.tsv" | grep -q "${victim##*/}" || fail "the ledger blames another photograph"
}

cases one_that_kills_its_decoder_costs_no_worker one_that_kills_is_left_out_as_crashed one_that_hangs_is_left_out_as_timed_out the_ledger_says_so
