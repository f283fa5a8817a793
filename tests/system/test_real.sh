# Real photographs with known sex and age: what a head must reach on them.
. "$(dirname "$0")/lib.sh"

# study NAME LABEL HEAD: UTKFace crops, faces of 10 years and over, 5 folds, pooled codes
study() {
    cat >"$work/$1.yaml" <<END
name: $1
seed: 1
out: out
cohorts:
  - {name: utkface, role: control, format: utkface, path: $FACEMILL_DATA/utkface-2k}
select: {age: [10, 120]}
match: none
task: {label: $2}
head: $3
evaluate: {split: kfold, folds: 5}
audit: none
END
}
fc='{kind: fc}'

sex_is_learnt() {
    data utkface-2k
    study sex sex "$fc"
    status 0 "$FACEMILL" run "$work/sex.yaml"
    holds "accuracy" "$(value "$work/out/results.json" metrics.accuracy.value) >= 0.94"
    holds "AUC" "$(value "$work/out/results.json" metrics.auc.value) >= 0.983"
    grep bad_manifest "$work/out/ledger.tsv" >/dev/null || fail "the malformed names are not in the ledger"
}

age_is_learnt_from_the_same_store() {
    data utkface-2k
    study age 'age>=40' "$fc"
    "$FACEMILL" run "$work/age.yaml" --json >"$work/age.json" 2>"$work/said" || { cat "$work/said"; fail "run failed"; }
    expect "photos made" "$(value "$work/age.json" build.photos_made)" 0
    holds "accuracy" "$(value "$work/out/results.json" metrics.accuracy.value) >= 0.88"
    holds "AUC" "$(value "$work/out/results.json" metrics.auc.value) >= 0.95"
}

logistic_regression_finds_its_C_and_does_as_well() {
    data utkface-2k
    study sex sex '{kind: logistic}'
    status 0 "$FACEMILL" run "$work/sex.yaml"
    holds "AUC" "$(value "$work/out/results.json" metrics.auc.value) >= 0.983"
    holds "log loss" "$(value "$work/out/results.json" metrics.log_loss.value) <= 0.16"     # C 1: 0.22
    holds "C" "$(value "$work/out/results.json" folds.0.chosen) <= 0.1"
}

results_are_equal_at_any_number_of_ranks() {
    data utkface-2k
    study sex sex "$fc"
    for ranks in 1 2 3 4; do
        rm -f "$work/out/run/evaluation.bin"
        status 0 "$FACEMILL" run "$work/sex.yaml" --ranks $ranks
        cp "$work/out/predictions.tsv" "$work/predictions.$ranks"
        value "$work/out/results.json" metrics >"$work/metrics.$ranks"
        cmp -s "$work/predictions.1" "$work/predictions.$ranks" || fail "predictions differ at $ranks ranks"
        cmp -s "$work/metrics.1" "$work/metrics.$ranks" || fail "metrics differ at $ranks ranks"
    done
}

cases sex_is_learnt age_is_learnt_from_the_same_store logistic_regression_finds_its_C_and_does_as_well \
    results_are_equal_at_any_number_of_ranks
