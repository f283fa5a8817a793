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

# The published way with sex for the disease: men are the cases, each beside a woman of his age.
matched() {
    printf 'file\tsubject\tsex\tage\n' | tee "$work/men.tsv" >"$work/women.tsv"
    for file in "$FACEMILL_DATA"/utkface-2k/[0-9]*_[01]_*.jpg; do
        name=${file##*/} age=${name%%_*} rest=${name#*_}
        case ${rest%%_*} in
        0) printf '%s\t%s\tmale\t%s\n' "$file" "$name" "$age" >>"$work/men.tsv" ;;
        1) printf '%s\t%s\tfemale\t%s\n' "$file" "$name" "$age" >>"$work/women.tsv" ;;
        esac
    done
    cat >"$work/matched.yaml" <<END
name: matched
out: out
cohorts:
  - {name: men, role: case, format: tsv, path: men.tsv}
  - {name: women, role: control, format: tsv, path: women.tsv}
select: {age: [10, 120]}
match: {by: [age], caliper: 5}
task: {label: sex}
END
}

sex_matched_by_age_from_yaml_to_report() {
    data utkface-2k
    matched
    status 0 "$FACEMILL" run "$work/matched.yaml"
    [ "$(wc -l <"$work/out/matched.tsv")" -gt 400 ] || fail "few pairs: $(wc -l <"$work/out/matched.tsv")"
    holds "AUC" "$(value "$work/out/results.json" metrics.auc.value) >= 0.97"
    holds "balance of age" "$(awk -F'\t' '$1 == "age" && $2 == "matched" { print $8 }' "$work/out/balance.tsv")^2 < 0.05^2"
    holds "null studies" "$(value "$work/out/results.json" audits.null_study.hold_half) >= 0.8"
    expect "alarm by file facts" "$(value "$work/out/results.json" audits.confounds.2.rings)" false
    grep -q '</html>' "$work/out/report.html" || fail "no whole report"
}

cases sex_is_learnt age_is_learnt_from_the_same_store logistic_regression_finds_its_C_and_does_as_well \
    results_are_equal_at_any_number_of_ranks sex_matched_by_age_from_yaml_to_report
