# One call of the coordinator or of a worker fails, once or for good, wherever it is made: the build goes on or ends with
# an error that says why, what was there before still reads, and run again it ends with the same digest.
# POINTS=n: so many points of failure, at random ($FAIL_SEED repeats them); POINTS=all: every one.  On a plain store, and
# on an encrypted one.
. "$(dirname "$0")/lib.sh"

seed=${FAIL_SEED:-$(date +%s)}
echo "fail seed $seed"
shim=$BUILD/tests/failing.so
faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 3 --controls 3 --seed 43 >/dev/null || exit 1

head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$work/key"
chmod 600 "$work/key"

# study FILE STORE COHORTS...
study() {
    file=$faces/$1.yaml store=$2
    shift 2
    { printf 'name: faces\nout: out\nstore: %s\ncohorts:\n' "$store"
      for cohort in "$@"; do echo "  - {name: $cohort, role: case, format: csv, path: $cohort/manifest.csv}"; done
      printf 'task: {label: sex}\nmatch: none\ncluster: {shard: 2}\n'; } >"$file"
}

# What every point starts from: a store that half of the photographs are in.  prepare KIND STORE POINTS
prepare() {
    kind=$1 choose=$3 list=$work/list-$1
    mkdir "$work/$kind"
    : >"$work/reached"; : >"$work/ends"
    study "$kind-half" "$2" cases
    study "$kind-whole" "$2" cases controls
    status 0 "$FACEMILL" build "$faces/$kind-half.yaml" --out "$work/$kind/start" --ranks 1
    half=$("$FACEMILL" digest "$work/$kind/start")
    cp -r "$work/$kind/start" "$work/$kind/calm"
    FAIL_LIST=$list LD_PRELOAD=$shim "$FACEMILL" build "$faces/$kind-whole.yaml" --out "$work/$kind/calm" --ranks 1 \
        >"$work/said" 2>&1 || { cat "$work/said"; fail "an undisturbed build failed"; }
    whole=$("$FACEMILL" digest "$work/$kind/calm")
}

# Every point as "verb call number mode"; an undisturbed build counted them.
points() {
    awk '{ for (i = 1; i <= $3; i++) { print $1, $2, i, "once"; print $1, $2, i, "always" } }' "$list"
}
chosen() {
    if [ "$choose" = all ]; then points; else points | awk -v seed="$seed" -v n="$choose" '
        BEGIN { srand(seed) }
        { kind = $1 " " $2; if (!(kind in seen)) { seen[kind] = 1; kinds[++k] = kind } line[kind, ++of[kind]] = $0 }
        END { at = int(rand() * k); for (i = 0; i < n; i++) { kind = kinds[1 + (at + i) % k]; print line[kind, 1 + int(rand() * of[kind])] } }'
    fi
}

# fails VERB CALL NUMBER MODE
fails() {
    out=$work/out
    rm -rf "$out" "$work/mark"
    cp -r "$work/$kind/start" "$out"
    FAIL_IN=$1 FAIL_CALL=$2 FAIL_AT=$3 FAIL_MODE=$4 FAIL_MARK=$work/mark LD_PRELOAD=$shim timeout 150 \
        "$FACEMILL" build "$faces/$kind-whole.yaml" --out "$out" --ranks 1 >"$work/said" 2>&1
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
    "$FACEMILL" build "$faces/$kind-whole.yaml" --out "$out" --ranks 1 $paranoid >"$work/said" 2>&1 ||
        { cat "$work/said"; fail "$*: no resumption"; }
    expect "$*: digest" "$("$FACEMILL" digest "$out")" "$whole"
    "$FACEMILL" verify "$out" >"$work/said" 2>&1 || { cat "$work/said"; fail "$*: the store is damaged"; }
}

# sweep: all chosen points
sweep() {
    chosen >"$work/points"
    bad=0
    while read -r verb call number mode; do
        (fails "$verb" "$call" "$number" "$mode" </dev/null) || bad=1
    done <"$work/points"
    n=$(wc -l <"$work/points") failed=$(wc -l <"$work/reached")
    echo "  $n points of $(points | wc -l), $failed reached; exit statuses: $(sort "$work/ends" | uniq -c | tr -s ' \n' ' ')"
    [ $bad -eq 0 ] || exit 1
    [ "$n" -gt 0 ] && [ $((2 * failed)) -ge "$n" ] || fail "only $failed of $n points were reached"
}

a_failing_call_is_an_error_and_is_resumed() {
    prepare plain '{encrypt: false}' "${POINTS:-4}"
    sweep
}

an_encrypted_store_stands_the_same() {
    prepare encrypted '{encrypt: true, key_file: ../key}' "${POINTS:-2}"
    sweep
    # Nothing that failed left the store in the clear.
    ! grep -rqa "$(ls "$faces/cases" | grep -m1 jpg)" "$work/out/store" || fail "a file's name is in the encrypted store"
}

cases a_failing_call_is_an_error_and_is_resumed an_encrypted_store_stands_the_same
