# Growing and draining a running build: crews that join it and leave again, whole builds and single crews that are drained.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 20 --controls 20 --seed 31 >/dev/null || exit 1
# Half a second a photograph, so that a build lasts until others have come, however busy the machine is; those who come through
# join() take a third of a second, so that there is still work when they are told to leave.
slow=worker.photo:1:slow
export FACEMILL_FAULT=$slow,$slow,$slow,$slow,$slow
join() { FACEMILL_FAULT=$slow,$slow,$slow exec "$FACEMILL" join "$@"; }

# start NAME: a build with one rank in the background, its process in $build; waits until it can be joined
start() {
    out=$faces/out-$1
    cat >"$faces/$1.yaml" <<END
name: $1
out: out-$1
cohorts:
  - {name: cases, role: case, format: csv, path: cases/manifest.csv}
  - {name: controls, role: control, format: csv, path: controls/manifest.csv}
task: {label: cohort}
match: none
cluster: {shard: 2}
END
    "$FACEMILL" build "$faces/$1.yaml" --ranks 1 --json >"$work/$1.json" 2>"$work/$1.log" &
    build=$!
    until [ -d "$out/run/ask" ]; do
        kill -0 $build 2>/dev/null || { cat "$work/$1.log"; fail "the build ended before it could be joined"; }
        sleep 0.1
    done
}
# ended PROCESS STATUS WHAT
ended() {
    wait "$1"
    expect "status of $3" $? "$2"
}
# workers N: waits until so many are in the build
workers() {
    for _ in $(seq 200); do
        "$FACEMILL" status "$out" --json >"$work/status.json" 2>/dev/null &&
            [ "$(value "$work/status.json" workers)" -ge "$1" ] && return
        kill -0 $build 2>/dev/null || fail "the build ended before $1 workers were there"
        sleep 0.1
    done
    fail "there were never $1 workers"
}
digest() { "$FACEMILL" digest "$out"; }

FACEMILL_FAULT='' start alone
ended $build 0 "the build"
alone=$(digest)

a_crew_joins_and_stays() {
    start joined
    "$FACEMILL" join "$out" --ranks 2 >"$work/said" 2>&1 &
    joiner=$!
    workers 3
    "$FACEMILL" watch "$out" --once >"$work/screen" || fail "watch ended with $?"
    grep -q ', 2 crews, 3 ranks;' "$work/screen" || { cat "$work/screen"; fail "watch does not see both crews"; }
    [ -z "$(ls "$out/run/ask")" ] || fail "an ask or a key is left: $(ls "$out/run/ask")"
    ended $build 0 "the build"
    ended $joiner 0 "the crew that joined"
    expect "digest" "$(digest)" "$alone"
    expect "crews lost" "$(value "$work/joined.json" build.crews_lost)" 0
    [ ! -e "$out/run/ask" ] || fail "the folder for asks outlived the build"
    holds "photographs read, some twice at the end" "$(value "$out/run/usage.json" stages.read.things) >= 40"
    sed '$ s/,$/]/' "$out/run/trace.json" >"$work/trace.json"
    expect "first track" "$(value "$work/trace.json" 0.args.name)" study
    for name in build chip encode commit seal wait "crew 0 on $(hostname)" "crew 1 on $(hostname)"; do
        grep -q "\"name\":\"$name\"" "$work/trace.json" || fail "nothing in the trace is called $name"
    done
    grep -q '^facemill_build_state{state="finished"} 1$' "$out/run/facemill.prom" || fail "the metrics do not say that it ended"
}

a_crew_leaves_and_one_is_killed() {
    start left
    join "$out" --ranks 1 >"$work/said" 2>&1 &
    joiner=$!
    workers 2
    kill -TERM $joiner
    ended $joiner 5 "the crew that left"
    join "$out" --ranks 2 >"$work/said" 2>&1 &
    joiner=$!
    workers 2
    kill -KILL $joiner
    ended $build 0 "the build"
    wait $joiner
    expect "digest" "$(digest)" "$alone"
    "$FACEMILL" verify "$out" >/dev/null || fail "the store does not verify"
}

one_crew_is_drained() {
    start node
    join "$out" --ranks 1 >"$work/said" 2>&1 &
    joiner=$!
    workers 2
    status 3 "$FACEMILL" drain "$out" --node nowhere
    said "no worker of"
    status 0 "$FACEMILL" drain "$out" --node 1
    said "1 workers were asked to leave"
    ended $joiner 0 "the crew that was drained"
    kill -0 $build 2>/dev/null || fail "the build did not go on"
    ended $build 0 "the build"
    expect "digest" "$(digest)" "$alone"
}

a_build_is_drained_and_gone_on_with() {
    start drained
    status 0 "$FACEMILL" drain "$out"
    ended $build 5 "the drained build"
    status 0 "$FACEMILL" build "$faces/drained.yaml" --ranks 2
    expect "digest" "$(digest)" "$alone"
}

# Its only crew gone, a build has nobody to go on with.
the_last_crew_is_drained() {
    start last
    workers 1
    status 0 "$FACEMILL" drain "$out" --node "$(hostname)"
    ended $build 5 "the build without a crew"
}

without_a_build_both_say_so() {
    status 3 "$FACEMILL" join "$faces/out-alone"
    said "no build runs there"
    status 3 "$FACEMILL" drain "$faces/out-alone"
    said "no build runs there"
    status 3 "$FACEMILL" join "$faces/nowhere"
    status 2 "$FACEMILL" join
}

cases a_crew_joins_and_stays a_crew_leaves_and_one_is_killed one_crew_is_drained a_build_is_drained_and_gone_on_with \
    the_last_crew_is_drained without_a_build_both_say_so
