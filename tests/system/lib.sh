# For system tests: sourced, never run.  $FACEMILL is the program, $JSON prints a value of a JSON file (tests/json.c).
# A case is a function; `cases NAME...` runs each in a subshell and prints ok, FAILED or skip.
set -u
: "${FACEMILL:?run this through make check or make check-system}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export FACEMILL_LOG=${FACEMILL_LOG:-warn}

fail() { echo "  $*"; exit 1; }
skip() { echo "$*" >"$work/skipped"; exit 0; }
# expect WHAT GOT WANTED
expect() { [ "$2" = "$3" ] || fail "$1 is $2, expected $3"; }
# holds WHAT EXPRESSION: an awk condition on numbers
holds() { awk "BEGIN { exit !($2) }" || fail "$1: $2 does not hold"; }
value() { "$JSON" "$1" "$2" || fail "$1 has no $2"; }
# status N COMMAND...: it ends with that exit status; what it says is in $work/said
status() {
    wanted=$1
    shift
    "$@" >"$work/said" 2>&1
    got=$?
    [ $got -eq "$wanted" ] || { sed 's/^/    /' "$work/said"; fail "$* ended with $got, expected $wanted"; }
}
said() { grep -qe "$1" "$work/said" || { sed 's/^/    /' "$work/said"; fail "nothing said matches: $1"; }; }
# data REL: a path of the test data folder, or the case is skipped
data() {
    [ -n "${FACEMILL_DATA:-}" ] && [ -e "$FACEMILL_DATA/$1" ] || skip "$1 is not there (set FACEMILL_DATA to the test data folder)"
}
# two_cohorts NAME [LINE...]: a study of generated cases and controls, all of them, with these lines at its end
two_cohorts() {
    cat <<END
name: $1
out: out
cohorts:
  - {name: cases, role: case, format: csv, path: cases/manifest.csv}
  - {name: controls, role: control, format: csv, path: controls/manifest.csv}
task: {label: cohort}
match: none
END
    shift
    printf '%s\n' "$@"
}
cases() {
    bad=0
    for name in "$@"; do
        rm -f "$work/skipped"
        if ! ("$name"); then
            echo "FAILED $name"
            bad=1
        elif [ -f "$work/skipped" ]; then
            echo "skip $name: $(cat "$work/skipped")"
        else
            echo "ok $name"
        fi
    done
    exit $bad
}
