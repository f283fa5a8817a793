# What a study's audits say, that they are the same at any number of ranks, and what power finds.
. "$(dirname "$0")/lib.sh"

"$FACEMILL" synth --out "$work/faces" --cases 60 --controls 80 --seed 5 >/dev/null || exit 1
echo 'audit: quick' >>"$work/faces/study.yaml"
"$FACEMILL" run "$work/faces/study.yaml" --ranks 1 --json >"$work/run.json" 2>"$work/log" || { cat "$work/log"; exit 1; }
out=$(value "$work/run.json" out)

audits_are_equal_at_any_number_of_ranks() {
    value "$out/results.json" audits >"$work/audits.1"
    for ranks in 2 3; do
        rm -f "$out/run/audit.bin"
        status 0 "$FACEMILL" run "$work/faces/study.yaml" --ranks $ranks
        value "$out/results.json" audits >"$work/audits.$ranks"
        cmp -s "$work/audits.1" "$work/audits.$ranks" || fail "audits differ at $ranks ranks"
    done
}

a_second_run_audits_nothing_again() {
    before=$(stat -c %i "$out/run/audit.bin")
    status 0 "$FACEMILL" run "$work/faces/study.yaml"
    expect "audit.bin" "$(stat -c %i "$out/run/audit.bin")" "$before"
}

audits_say_what_they_found() {
    r=$out/results.json
    holds "p" "$(value "$r" audits.permutation.p) < 0.05"
    expect "permutations" "$(value "$r" audits.permutation.permutations)" 100
    expect "the reference" "$(value "$r" audits.permutation.auc)" "$(value "$r" metrics.auc.value)"
    scored=$(value "$r" audits.pairs.scored)
    expect "rows of pairs.tsv" "$(($(wc -l <"$out/pairs.tsv") - 1))" "$scored"
    expect "pairs that disagree" "$(cut -f5 "$out/pairs.tsv" | grep -c '^no$')" "$(value "$r" audits.pairs.disagree)"
    near=$(value "$r" audits.near_duplicates.n)
    expect "rows of near_duplicates.tsv" "$(($(wc -l <"$out/near_duplicates.tsv") - 1))" "$near"
}

nothing_is_audited_when_none_is_asked_for() {
    sed 's/^audit: quick/audit: none/; s/^out: .*/out: unaudited/' "$work/faces/study.yaml" >"$work/faces/none.yaml"
    mkdir "$work/faces/unaudited" && cp -r "$out/store" "$work/faces/unaudited/store"
    status 0 "$FACEMILL" run "$work/faces/none.yaml"
    expect level "$(value "$work/faces/unaudited/results.json" audits.level)" none
    [ ! -e "$work/faces/unaudited/run/audit.bin" ] || fail "the stage ran"
    sed 's/^audit: quick/audit: fast/' "$work/faces/study.yaml" >"$work/faces/wrong.yaml"
    status 2 "$FACEMILL" run "$work/faces/wrong.yaml"
    said "audit"
}

# The same photograph under two names of no subject, once saved again: they are one subject.
near_duplicates_share_a_fold() {
    mkdir -p "$work/near"
    { echo "file,label"; cut -d, -f1 "$work/faces/controls/manifest.csv" | tail -n +2 | grep -e '-1' | head -n 40 |
        awk -v d="$work/faces/controls" '{ print d "/" $1 "," (NR % 2 ? "a" : "b") }'; } >"$work/near/all.csv"
    first=$(sed -n '2s/,.*//p' "$work/near/all.csv")
    printf '\377\376\000\003x\377\331' >"$work/near/tail"      # a comment, then the end: other bytes, the same picture
    head -c -2 "$first" >"$work/near/copy.jpg" && cat "$work/near/tail" >>"$work/near/copy.jpg"
    echo "$work/near/copy.jpg,a" >>"$work/near/all.csv"
    cat >"$work/near/study.yaml" <<END
name: near
out: out
cohorts:
  - {name: all, role: control, format: csv, path: all.csv}
task: {label: label}
audit: quick
END
    status 0 "$FACEMILL" run "$work/near/study.yaml"
    grep -q "copy.jpg" "$work/near/out/near_duplicates.tsv" || fail "the copy is not listed"
    grep -e "copy.jpg" -e "$(basename "$first")" "$work/near/out/predictions.tsv" | cut -f4 | sort -u >"$work/near/folds"
    expect "folds of a photograph and its copy" "$(wc -l <"$work/near/folds")" 1
    holds "photographs grouped" "$(value "$work/near/out/results.json" audits.near_duplicates.grouped) >= 1"
}

power_finds_a_large_warp_and_no_absent_one() {
    "$FACEMILL" power "$work/faces/study.yaml" --seeds 3 --json >"$work/power.json" 2>"$work/log" || { cat "$work/log"; fail "power failed"; }
    holds "found at 0" "$(value "$work/power.json" sizes.0.found) < 0.5"
    holds "found at 4" "$(value "$work/power.json" sizes.5.found) > 0.9"
    status 2 "$FACEMILL" power "$work/faces/study.yaml" --effect pinch
    said "warp or tint"
}

cases audits_say_what_they_found audits_are_equal_at_any_number_of_ranks a_second_run_audits_nothing_again \
    nothing_is_audited_when_none_is_asked_for near_duplicates_share_a_fold power_finds_a_large_warp_and_no_absent_one
