# Studies as SLURM jobs, on a SLURM of four nodes that this test starts: submitted, out of time, with a node that dies,
# and always the digest of one rank's undisturbed run.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/slurm_lab.sh"

faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 60 --controls 60 --seed 31 >/dev/null || exit 1
cat >"$faces/study.yaml" <<'YAML'
name: on slurm
cohorts:
  - {name: cases, role: case, format: csv, path: cases/manifest.csv}
  - {name: controls, role: control, format: csv, path: controls/manifest.csv}
match: none
evaluate: {bootstrap: 200}
audit: none
YAML
study=$faces/study.yaml
trap 'lab_down; rm -rf "$work"' EXIT
lab_missing=
if lab_need; then lab_up "$work/lab" 4 4 || { lab_why; echo "FAILED the lab starts"; exit 1; }; fi
need() { [ -z "$lab_missing" ] || skip "$lab_missing"; }

calm() {
    [ -e "$work/calm/results.json" ] || "$FACEMILL" run "$study" --ranks 1 --out "$work/calm" >"$work/said" 2>&1 ||
        { cat "$work/said"; fail "the undisturbed run failed"; }
}
# submitted NAME OPTION...: sets job
submitted() {
    name=$1
    shift
    "$FACEMILL" submit "${file:-$study}" --ranks-per-node 2 --time 10 --out "$work/$name" --json "$@" >"$work/job.json" 2>"$work/said" ||
        { cat "$work/said"; fail "not submitted"; }
    job=$(value "$work/job.json" job)
}
over() { [ -z "$(squeue -h -j "$1" -o %T 2>/dev/null)" ]; }
# as_calm NAME: the last job of this name has ended well, with what an undisturbed run gives
as_calm() {
    lab_wait 150 over "$job" || { cat "$work/$1"/log/*; fail "job $job does not end"; }
    case $(scontrol show job "$job") in
    *JobState=COMPLETED*) ;;
    *) cat "$work/$1"/log/*; fail "job $job has failed" ;;
    esac
    calm
    expect "digest of $1" "$("$FACEMILL" digest "$work/$1")" "$("$FACEMILL" digest "$work/calm")"
    cmp "$work/$1/run/evaluation.bin" "$work/calm/run/evaluation.bin" || fail "the evaluation of $1 is another"
}
done_of() { "$JSON" "$work/$1/run/status.json" done 2>/dev/null || echo 0; }
some_done() { [ "$(done_of "$1")" -ge 8 ]; }

what_cannot_be_submitted_says_why() {
    mkdir -p "$work/none"
    status 4 env PATH="$work/none" "$FACEMILL" submit "$study"
    said 'sbatch is not in \$PATH'
    status 2 "$FACEMILL" submit "$study" --time soon
    said 'time "soon"'
    status 2 "$FACEMILL" submit "$study" --verb watch
    need
    status 2 "$FACEMILL" submit "$study" --partition nowhere
    said 'nvalid partition'
    status 2 "$FACEMILL" submit "$study" --nodes 9
    said 'configuration is not available'
    lab_empty || fail "something was submitted"
}

a_dry_run_prints_the_script_and_leaves_nothing() {
    status 0 "$FACEMILL" submit "$study" --nodes 2 --time 30 --dry-run --out "$work/dry"
    said '^#SBATCH --nodes=2$'
    bash -n "$work/said" || fail "the script is not sound"
    [ ! -e "$work/dry" ] || fail "a dry run left $work/dry"
}

four_nodes_of_two_ranks_give_what_one_rank_gives() {
    need
    export FACEMILL_LOG=info
    submitted four --nodes 4
    as_calm four
    grep -q '4 crews of 2 ranks' "$work"/four/log/job-*.log || fail "it did not run on four nodes"
}

a_job_that_is_out_of_time_comes_back_and_goes_on() {
    need
    submitted late --nodes 2
    lab_wait 60 some_done late || fail "the job does not start"
    scancel --signal=USR1 --batch "$job"
    as_calm late
    scontrol show job "$job" | grep -q 'Restarts=1' || fail "it was not requeued"
}

a_cancelled_job_does_not_come_back() {
    need
    submitted cancelled --nodes 1
    lab_wait 60 some_done cancelled || fail "the job does not start"
    scancel "$job"
    lab_wait 30 over "$job" || fail "it is there still"
    scontrol show job "$job" | grep -q 'Restarts=0' || fail "it was requeued"
}

folds_as_an_array_give_the_same_bytes() {
    need
    export FACEMILL_LOG=info
    submitted array --nodes 2 --array-folds
    as_calm array
    grep -q 'folds: all are there' "$work"/array/log/stage-evaluate.log || fail "the last job trained the folds itself"
    cmp "$work/array/predictions.tsv" "$work/calm/predictions.tsv" || fail "other predictions"
}

# Open segments are where no other node sees them: what a killed crew had there is made again.
crew_one() { pgrep -f "facemill crew $work/disk/run/crew.join 1" >/dev/null; }
segments_on_a_local_disk_may_be_lost() {
    need
    slow=worker.photo:1:slow
    export FACEMILL_FAULT=$slow,$slow,$slow,$slow,$slow     # half a second a photograph: a crew dies before the build is over
    sed 's/^match/store: {scratch: $LAB_DISK\/facemill}\nmatch/' "$study" >"$faces/disk.yaml"
    export LAB_DISK="$work/lab/local"
    file=$faces/disk.yaml
    submitted disk --nodes 2 --verb build
    lab_wait 60 some_done disk && lab_wait 20 crew_one || fail "the job does not start"
    unset FACEMILL_FAULT
    [ ! -e "$work/disk/store/open" ] || fail "segments are written in the store"
    kill -9 $(pgrep -f "facemill crew $work/disk/run/crew.join 1") 2>/dev/null
    lab_wait 120 over "$job" || { cat "$work"/disk/log/*; fail "job $job does not end"; }
    grep -q 'crew 1 ended before its work was done' "$work"/disk/log/job-*.log || fail "no crew was lost"
    calm
    expect "digest" "$("$FACEMILL" digest "$work/disk")" "$("$FACEMILL" digest "$work/calm")"
    status 0 "$FACEMILL" verify "$work/disk"
}

# rebuilt MADE FOUND: a job does what is new in the tree, finds the rest, and leaves what a fresh build of it leaves.
# Its memory holds one rank a node, not the two that there are cores for.
rebuilt() {
    submitted tree --nodes 2 --memory 700M --verb build
    lab_wait 120 over "$job" || { cat "$work"/tree/log/*; fail "job $job does not end"; }
    grep -q "^chips made $1, reused $2; codes made $1, reused $2$" "$work/tree/log/job-$job.log" ||
        { cat "$work/tree/log/job-$job.log"; fail "not $1 done and $2 found"; }
    "$FACEMILL" build "$file" --ranks 1 --out "$work/fresh$1-$2" >"$work/said" 2>&1 || { cat "$work/said"; fail "the fresh build"; }
    expect "digest of the tree" "$("$FACEMILL" digest "$work/tree")" "$("$FACEMILL" digest "$work/fresh$1-$2")"
}

a_rebuild_job_does_what_was_added_and_changed() {
    need
    export FACEMILL_LOG=info
    file=$work/tree.yaml tree=$work/photographs
    cat >"$file" <<YAML
name: a tree that changes
cohorts: [{name: all, role: case, format: folder, path: $tree}]
task: {label: label}
match: none
YAML
    ls "$faces"/cases/*.jpg | head -n 17 >"$work/some"
    mkdir -p "$tree/cases" "$tree/controls"
    cp $(sed -n 1,12p "$work/some") "$tree/cases"
    cp $(ls "$faces"/controls/*.jpg | head -n 8) "$tree/controls"
    rebuilt 20 0
    grep -q '2 crews of 1 rank (memory for one a core was not granted)' "$work"/tree/log/job-*.log || fail "ranks without memory"
    cp $(sed -n 13,15p "$work/some") "$tree/cases"
    rm "$(ls "$tree"/controls/*.jpg | tail -n 1)" "$(ls "$tree"/cases/*.jpg | head -n 1)"
    cp "$(sed -n 16p "$work/some")" "$(ls "$tree"/controls/*.jpg | head -n 1)"
    rebuilt 4 17
    rebuilt 0 21
    mv "$(ls "$tree"/controls/*.jpg | tail -n 1)" "$tree/controls/moved.jpg"
    touch "$tree"/cases/*.jpg
    rebuilt 0 21
}

# Last: what follows has three nodes.
a_node_that_dies_costs_its_crew_only() {
    need
    submitted dying --nodes 4
    lab_wait 60 some_done dying || fail "the job does not start"
    lab_node_dies 3
    as_calm dying
    scontrol show job "$job" | grep -q 'Restarts=0' || fail "the whole job was started again"
}

cases what_cannot_be_submitted_says_why a_dry_run_prints_the_script_and_leaves_nothing \
    four_nodes_of_two_ranks_give_what_one_rank_gives a_job_that_is_out_of_time_comes_back_and_goes_on \
    a_cancelled_job_does_not_come_back folds_as_an_array_give_the_same_bytes \
    segments_on_a_local_disk_may_be_lost a_rebuild_job_does_what_was_added_and_changed a_node_that_dies_costs_its_crew_only
