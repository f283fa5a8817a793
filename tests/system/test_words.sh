# What the program says to wrong words, wrong studies and missing things: the thing, the remedy, the exit status.
. "$(dirname "$0")/lib.sh"

mkdir "$work/cohort"
printf 'file,subject,sex,age\na.jpg,a,F,30\nb.jpg,b,M,31\n' >"$work/cohort/manifest.csv"
study() {
    cat >"$work/study.yaml" <<END
name: words
out: out
cohorts:
  - {name: one, role: case, format: csv, path: cohort/manifest.csv}
$1
END
}

wrong_words_are_answered() {
    status 2 "$FACEMILL"
    said "usage: facemill VERB"
    status 2 "$FACEMILL" rum
    said "did you mean run?"
    status 2 "$FACEMILL" run --rank 2 x.yaml
    said "did you mean --ranks?"
    status 2 "$FACEMILL" run
    said "STUDY.yaml"
    status 2 "$FACEMILL" run x.yaml --ranks 0
    said "from 1 to"
    status 0 "$FACEMILL" help run
    said "does only what is missing"
    status 0 "$FACEMILL" --version
    said "facemill 0"
}

wrong_studies_name_line_and_key() {
    status 2 "$FACEMILL" run "$work/nowhere.yaml"
    said "nowhere.yaml"
    study "evaluate: {fold: 5}"
    status 2 "$FACEMILL" run "$work/study.yaml"
    said "study.yaml:5"
    said "folds"
    study "evaluate: {folds: 1}"
    status 2 "$FACEMILL" run "$work/study.yaml"
    said "folds"
}

unusable_input_is_3() {
    study "match: none"
    status 3 "$FACEMILL" run "$work/study.yaml"
    said "two classes"
    study "task: {label: sex}"
    rm -f "$work/cohort/manifest.csv.gone"
    mv "$work/cohort/manifest.csv" "$work/cohort/manifest.csv.gone"
    status 3 "$FACEMILL" run "$work/study.yaml"
    said "manifest.csv"
    mv "$work/cohort/manifest.csv.gone" "$work/cohort/manifest.csv"
}

missing_models_name_the_remedy() {
    study "task: {label: sex}"
    mkdir -p "$work/bin" "$work/models"
    cp "$FACEMILL" "$work/bin/facemill"
    status 3 "$work/bin/facemill" run "$work/study.yaml"
    said "models.tsv is not found"
    printf 'name\tfile\tsha256\tbytes\tlicence\tsource\tpurpose\n' >"$work/models/models.tsv"
    FACEMILL_MODELS=$work/models
    export FACEMILL_MODELS
    status 3 "$work/bin/facemill" run "$work/study.yaml"
    said "dlib-hog"
}

a_dry_run_writes_nothing() {
    study "task: {label: sex}
match: none"
    status 0 "$FACEMILL" run "$work/study.yaml" --dry-run
    said "would"
    [ ! -e "$work/out" ] || fail "a dry run made $work/out"
}

out_that_is_none_is_named() {
    for verb in digest verify status; do
        status 3 "$FACEMILL" $verb "$work/nowhere"
        said "nowhere"
    done
}

cases wrong_words_are_answered wrong_studies_name_line_and_key unusable_input_is_3 \
    missing_models_name_the_remedy a_dry_run_writes_nothing out_that_is_none_is_named
