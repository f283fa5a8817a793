# verify from the outside: it names damage, survives what kills the process that reads, and --repair ends with the
# digest that the store had.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 10 --controls 10 --seed 41 >/dev/null || exit 1
two_cohorts study 'cluster: {shard: 2}' >"$faces/study.yaml"
"$FACEMILL" build "$faces/study.yaml" --ranks 2 >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
out=$faces/out
before=$("$FACEMILL" digest "$out")
# The first segment's path.
segment() { ls "$out"/store/segments/* | head -n 1; }
whole() {
    status 0 "$FACEMILL" verify "$out"
    expect "digest" "$("$FACEMILL" digest "$out")" "$before"
}

damage_is_named_and_repaired() {
    whole
    # One byte of a chip: a thousand behind the magic of a record that is followed by no other for 60,000.
    size=$(stat -c %s "$(segment)")
    at=$(LC_ALL=C grep -abo FMR "$(segment)" | awk -F: 'NR > 1 && $1 - last > 60000 { print last + 1000; exit } { last = $1 }')
    printf 'x' | dd of="$(segment)" bs=1 seek="$at" conv=notrunc 2>/dev/null
    status 1 "$FACEMILL" verify "$out"
    said "its bytes have changed"
    status 0 "$FACEMILL" verify "$out" --repair "$faces/study.yaml"
    said " 1 left out"
    whole
    truncate -s $((size / 2)) "$(segment)"
    status 1 "$FACEMILL" verify "$out"
    status 0 "$FACEMILL" verify "$out" --repair "$faces/study.yaml"
    said "1 segments could not be read"
    whole
    status 0 "$FACEMILL" verify "$out" --repair "$faces/study.yaml"
}

a_reader_that_dies_is_a_finding() {
    FACEMILL_FAULT=verify.segment:1:kill status 1 "$FACEMILL" verify "$out"
    said "the process that checked it died"
    FACEMILL_FAULT=verify.segment:1:kill status 1 "$FACEMILL" verify "$out" --json
    expect "findings" "$(grep -c 'died' "$work/said")" 1
}

cases damage_is_named_and_repaired a_reader_that_dies_is_a_finding
