# Workers and coordinators that are killed: the build goes on or is resumed, and ends with the digest of an
# undisturbed one.  KILLS=n: so many, of five kinds in turn.  Moments are random; the seed is printed and $KILL_SEED repeats it.
. "$(dirname "$0")/lib.sh"

seed=${KILL_SEED:-$(date +%s)}
echo "kill seed $seed"
faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 12 --controls 12 --seed 31 >/dev/null || exit 1

study() {
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
}
# A number in [0, $1) from the seed and $2.
random() { awk -v n="$1" -v s="$((seed + $2))" 'BEGIN { srand(s); rand(); print int(rand() * n) }'; }
pause() { sleep "$(awk -v ms="$1" 'BEGIN { print ms / 1000 }')"; }
digest() { "$FACEMILL" digest "$faces/out-$1" || fail "digest failed"; }

study calm
start=$(date +%s%N)
"$FACEMILL" build "$faces/calm.yaml" --ranks 2 >/dev/null 2>"$work/log" || { cat "$work/log"; exit 1; }
whole=$((($(date +%s%N) - start) / 1000000))
calm=$("$FACEMILL" digest "$faces/out-calm")

# launcher NAME, ranks NAME: processes of that build's crew
launcher() { pgrep -f "mpirun .*facemill crew $faces/out-$1/"; }
ranks() { parent=$(launcher "$1") && pgrep -P "$parent"; }

# victims KIND NAME: whom a kill of that kind ends
victims() {
    case $1 in
    rank) ranks "$2" | tail -n +$((1 + $(random $n $((i + 50))))) | head -n 1 ;;
    launcher) launcher "$2" ;;
    coordinator) echo "$build" ;;
    coordinator_and_ranks) echo "$build $(ranks "$2")" ;;
    everything) echo "$build $(pgrep -f "facemill crew $faces/out-$2/")" ;;
    esac
}

# Let time go by up to the kill: every other time from the start of the build, else from that of the work.
until_the_moment() {
    if [ $((i / 10 % 2)) -eq 0 ]; then
        pause "$(random "$whole" $((i + 7000 * try)))"
        return
    fi
    while [ -z "$(ls "$faces/out-$1/store/open" 2>/dev/null)" ] && kill -0 "$build" 2>/dev/null; do pause 20; done
    pause "$(random 2000 $((i + 7000 * try)))"
}

# One kill, $i, of a kind; again from the start when there was nobody to kill any more, or not yet.  Photographs of the build
# that is killed take a tenth of a second more, so that there are moments between them.
a_kill() {
    name=$1-$i
    n=$((1 + i / 5 % 2))
    study "$name"
    for try in 1 2 3 4 5 6 7 8; do
        rm -rf "$faces/out-$name"
        FACEMILL_FAULT=worker.photo:1:slow "$FACEMILL" build "$faces/$name.yaml" --ranks $n >"$work/$name.log" 2>&1 &
        build=$!
        until_the_moment "$name"
        found=$(victims "$1" "$name")
        killed=no
        kill -0 $build 2>/dev/null && [ -n "$found" ] && kill -9 $found 2>/dev/null && killed=yes
        wait $build 2>/dev/null
        got=$?
        [ $killed = no ] || break
    done
    [ $killed = yes ] || fail "$name: there was nobody to kill"
    case $1 in
    rank | launcher) [ $got -eq 0 ] || { cat "$work/$name.log"; fail "$name: the build did not go on ($got)"; } ;;
    *) "$FACEMILL" build "$faces/$name.yaml" --ranks $n --json >"$work/$name.json" 2>"$work/$name.log" ||
        { cat "$work/$name.log"; fail "$name: the resumed build ended with $?"; }
        [ "$(value "$work/$name.json" build.photos_reused)" -eq 0 ] || : >"$work/$name.kept" ;;
    esac
    expect "digest of $name" "$(digest "$name")" "$calm"
    "$FACEMILL" verify "$faces/out-$name" >/dev/null || fail "the store of $name is damaged"
    rm -rf "$faces/out-$name"
    : >"$work/$name.done"
}

# Lanes beside each other: what waits in one build, another computes in.  More than cores would wait for each other.
kills=${KILLS:-60}
lanes=$(getconf _NPROCESSORS_ONLN)
a_lane() {
    for i in $(seq "$1" "$lanes" $((kills - 1))); do
        case $((i % 5)) in
        0) a_kill rank ;; 1) a_kill launcher ;; 2) a_kill coordinator ;; 3) a_kill coordinator_and_ranks ;; 4) a_kill everything ;;
        esac
    done
}

whoever_is_killed_the_digest_is_the_same() {
    running=
    for lane in $(seq 0 $((lanes - 1))); do
        a_lane "$lane" >"$work/lane$lane" 2>&1 &
        running="$running $!"
    done
    for lane in $running; do wait "$lane" || failed=yes; done
    cat "$work"/lane*
    [ -z "${failed:-}" ] || fail "see above"
    expect "kills" "$(ls "$work" | grep -c '\.done$')" "$kills"
    kept=$(ls "$work" | grep -c '\.kept$')
    echo "  $kills kills, after $kept of them a resumed build found photographs done"
    holds "resumed builds that found something" "$kept * 10 >= $kills"
}

a_killed_rank_is_survived_at_every_named_moment() {
    for moment in worker.photo worker.commit worker.ack segment.commit segment.seal; do
        study "moment"
        FACEMILL_FAULT=$moment:2:kill timeout 100 "$FACEMILL" build "$faces/moment.yaml" --ranks 2 >"$work/said" 2>&1
        echo "  $moment: first run ended with $?"
        "$FACEMILL" build "$faces/moment.yaml" --ranks 2 >"$work/said" 2>&1 || { cat "$work/said"; fail "$moment: no recovery"; }
        expect "digest after a kill at $moment" "$(digest moment)" "$calm"
        rm -rf "$faces/out-moment"
    done
}

a_stopped_build_says_so_and_goes_on() {
    study stop
    "$FACEMILL" build "$faces/stop.yaml" --ranks 2 >"$work/said" 2>&1 &
    build=$!
    while [ "$("$JSON" "$faces/out-stop/run/status.json" done 2>/dev/null || echo 0)" -lt 8 ] && kill -0 $build 2>/dev/null; do
        pause 20
    done
    kill -TERM $build
    wait $build
    got=$?
    [ $got -eq 5 ] || [ $got -eq 0 ] || { cat "$work/said"; fail "a stopped build ended with $got, expected 5"; }
    "$FACEMILL" build "$faces/stop.yaml" --ranks 2 --json >"$work/stop.json" 2>"$work/said" || { cat "$work/said"; fail "no resumption"; }
    expect "digest" "$(digest stop)" "$calm"
    [ $got -eq 0 ] || holds "photographs kept" "$(value "$work/stop.json" build.photos_reused) > 0"
}

# The first asks workers to seal, the second waits for nobody.  A shell's background jobs ignore SIGINT: env gives it back.
a_second_interrupt_stops_at_once() {
    study interrupt
    env --default-signal=INT "$FACEMILL" build "$faces/interrupt.yaml" --ranks 2 >"$work/said" 2>&1 &
    build=$!
    while [ ! -e "$faces/out-interrupt/run/status.json" ] && kill -0 $build 2>/dev/null; do pause 10; done
    kill -INT $build
    pause 5
    kill -INT $build 2>/dev/null
    wait $build
    got=$?
    [ $got -eq 5 ] || { cat "$work/said"; fail "a build that was interrupted twice ended with $got, expected 5"; }
    "$FACEMILL" build "$faces/interrupt.yaml" --ranks 2 >"$work/said" 2>&1 || { cat "$work/said"; fail "no resumption"; }
    expect "digest" "$(digest interrupt)" "$calm"
}

a_second_coordinator_is_refused() {
    study two
    "$FACEMILL" build "$faces/two.yaml" --ranks 1 >/dev/null 2>&1 &
    build=$!
    while [ ! -e "$faces/out-two/run/status.json" ] && kill -0 $build 2>/dev/null; do pause 10; done
    status 75 "$FACEMILL" build "$faces/two.yaml" --ranks 1
    wait $build || fail "the first build was disturbed"
    expect "digest" "$(digest two)" "$calm"
}

# at_work NAME: waits until that build, $build, has records that are acknowledged
at_work() {
    while [ "$("$JSON" "$faces/out-$1/run/status.json" done 2>/dev/null || echo 0)" -eq 0 ]; do
        kill -0 $build 2>/dev/null || fail "the build ended too soon"
        pause 20
    done
}
# Every file's digest but that of the table of readers, which everybody who looks writes.
contents() { find "$faces/out-$1/store" "$faces/out-$1/run" -type f ! -name lock.mdb -exec sha256sum {} + | sort; }

# Without its lock, as on a file system that has none, a coordinator that sleeps is taken over from.
a_coordinator_that_slept_is_refused() {
    study asleep
    FACEMILL_FAULT=worker.photo:1:slow "$FACEMILL" build "$faces/asleep.yaml" --ranks 1 >"$work/first" 2>&1 &
    build=$!
    at_work asleep
    kill -STOP $build
    status 75 "$FACEMILL" build "$faces/asleep.yaml" --ranks 1
    kill -9 $(pgrep -f "facemill crew $faces/out-asleep/")
    rm "$faces/out-asleep/store/coordinator.lock"
    status 0 "$FACEMILL" build "$faces/asleep.yaml" --ranks 1 --json
    contents asleep >"$work/before"
    kill -CONT $build
    wait $build
    got=$?
    [ $got -ne 0 ] && grep -q "another coordinator took over" "$work/first" ||
        { cat "$work/first"; fail "the coordinator that slept ended with $got, expected to be told"; }
    contents asleep | cmp -s - "$work/before" || fail "the coordinator that slept wrote: $(contents asleep | diff - "$work/before")"
    expect "digest" "$(digest asleep)" "$calm"
    "$FACEMILL" verify "$faces/out-asleep" >/dev/null || fail "the store is damaged"
}

# The other rank does what the stopped one was at; woken, that one is told so and goes on.
a_worker_that_slept_is_outrun() {
    study nap
    FACEMILL_FAULT=worker.photo:1:slow "$FACEMILL" build "$faces/nap.yaml" --ranks 2 --json >"$work/nap.json" 2>"$work/nap.log" &
    build=$!
    at_work nap
    sleeper=$(ranks nap | head -n 1)
    kill -STOP "$sleeper"
    for t in $(seq 600); do
        [ "$("$JSON" "$faces/out-nap/run/status.json" done)" -lt 24 ] || break
        pause 100
    done
    expect "photographs done while it slept" "$("$JSON" "$faces/out-nap/run/status.json" done)" 24
    kill -CONT "$sleeper"
    wait $build || { cat "$work/nap.log"; fail "the build ended with $?"; }
    expect "crews lost" "$(value "$work/nap.json" build.crews_lost)" 0
    expect "digest" "$(digest nap)" "$calm"
    "$FACEMILL" verify "$faces/out-nap" >/dev/null || fail "the store is damaged"
}

no_process_is_left_behind() {
    for t in 1 2 3 4 5 6 7 8 9 10; do
        [ -n "$(pgrep -f "facemill crew $faces/")" ] || return 0
        sleep 1
    done
    fail "still running: $(pgrep -af "facemill crew $faces/")"
}

cases whoever_is_killed_the_digest_is_the_same a_killed_rank_is_survived_at_every_named_moment a_stopped_build_says_so_and_goes_on \
    a_second_interrupt_stops_at_once a_second_coordinator_is_refused \
    a_coordinator_that_slept_is_refused a_worker_that_slept_is_outrun no_process_is_left_behind
