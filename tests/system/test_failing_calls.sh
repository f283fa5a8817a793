# One call of the coordinator or of a worker fails, once or for good, wherever it is made: the build goes on or ends with
# an error that says why, what was there before still reads, and run again it ends with the same digest.
# POINTS=n: so many points of failure, at random ($FAIL_SEED repeats them); POINTS=all: every one.
. "$(dirname "$0")/lib.sh"

seed=${FAIL_SEED:-$(date +%s)}
echo "fail seed $seed"
shim=$BUILD/tests/failing.so
faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 3 --controls 3 --seed 43 >/dev/null || exit 1

# study NAME COHORTS...
study() {
    name=$1
    shift
    { printf 'name: %s\nout: out\ncohorts:\n' "$name"
      for cohort in "$@"; do echo "  - {name: $cohort, role: case, format: csv, path: $cohort/manifest.csv}"; done
      printf 'task: {label: sex}\nmatch: none\ncluster: {shard: 2}\n'; } >"$faces/$name.yaml"
}
study half cases
study whole cases controls
build() { "$FACEMILL" build "$faces/whole.yaml" --out "$1" --ranks 1; }

# What every point starts from: a store that half of the photographs are in.
"$FACEMILL" build "$faces/half.yaml" --out "$work/start" --ranks 1 >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }
half=$("$FACEMILL" digest "$work/start")
cp -r "$work/start" "$work/calm"
FAIL_LIST=$work/list LD_PRELOAD=$shim build "$work/calm" >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }
whole=$("$FACEMILL" digest "$work/calm")

# Every point as "verb call number mode"; an undisturbed build counted them.
points() {
    awk '{ for (i = 1; i <= $3; i++) { print $1, $2, i, "once"; print $1, $2, i, "always" } }' "$work/list"
}
chosen() {
    if [ "${POINTS:-4}" = all ]; then points; else points | awk -v seed="$seed" -v n="${POINTS:-4}" '
        BEGIN { srand(seed) }
        { kind = $1 " " $2; if (!(kind in seen)) { seen[kind] = 1; kinds[++k] = kind } line[kind, ++of[kind]] = $0 }
        END { at = int(rand() * k); for (i = 0; i < n; i++) { kind = kinds[1 + (at + i) % k]; print line[kind, 1 + int(rand() * of[kind])] } }'
    fi
}

# fails VERB CALL NUMBER MODE
fails() {
    out=$work/out
    rm -rf "$out" "$work/mark"
    cp -r "$work/start" "$out"
    FAIL_IN=$1 FAIL_CALL=$2 FAIL_AT=$3 FAIL_MODE=$4 FAIL_MARK=$work/mark LD_PRELOAD=$shim timeout 150 \
        "$FACEMILL" build "$faces/whole.yaml" --out "$out" --ranks 1 >"$work/said" 2>&1
    got=$?
    [ ! -e "$work/mark" ] || echo "$*" >>"$work/reached"
    case $got in
    0) expect "digest of a build that went on" "$("$FACEMILL" digest "$out")" "$whole" ;;
    2 | 3 | 4) grep -q '^facemill: ' "$work/said" || { cat "$work/said"; fail "$*: it ended with $got and does not say why"; } ;;
    *) cat "$work/said"; fail "$*: it ended with $got" ;;
    esac
    echo "$got" >>"$work/ends"
    again=$("$FACEMILL" digest "$out" 2>&1)
    [ "$again" = "$half" ] || [ "$again" = "$whole" ] || fail "$*: what was there does not read: $again"
    # A worker that failed for good at one photograph has had it left out.
    if grep -q quarantined "$work/said"; then paranoid=--paranoid; else paranoid=; fi
    "$FACEMILL" build "$faces/whole.yaml" --out "$out" --ranks 1 $paranoid >"$work/said" 2>&1 ||
        { cat "$work/said"; fail "$*: no resumption"; }
    expect "$*: digest" "$("$FACEMILL" digest "$out")" "$whole"
    "$FACEMILL" verify "$out" >"$work/said" 2>&1 || { cat "$work/said"; fail "$*: the store is damaged"; }
}

a_failing_call_is_an_error_and_is_resumed() {
    chosen >"$work/points"
    bad=0
    while read -r verb call number mode; do
        (fails "$verb" "$call" "$number" "$mode" </dev/null) || bad=1
    done <"$work/points"
    n=$(wc -l <"$work/points") failed=$(wc -l <"$work/reached")
    echo "  $n points of $(points | wc -l), $failed reached; exit statuses: $(sort "$work/ends" | uniq -c | tr -s ' \n' ' ')"
    [ $bad -eq 0 ] || exit 1
    [ $((2 * failed)) -ge "$n" ] || fail "only $failed of $n points were reached"
}

cases a_failing_call_is_an_error_and_is_resumed
