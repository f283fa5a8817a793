# Workers and coordinators that are killed: the build goes on or is resumed, and ends with the digest of an
# undisturbed one.  KILLS=n: so many of each kind.  Moments are random; the seed is printed and $KILL_SEED repeats it.
. "$(dirname "$0")/lib.sh"

seed=${KILL_SEED:-$(date +%s)}
echo "kill seed $seed"
faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 60 --controls 60 --seed 31 >/dev/null || exit 1

study() {
    cat >"$faces/$1.yaml" <<END
name: $1
out: out-$1
cohorts:
  - {name: cases, role: case, format: csv, path: cases/manifest.csv}
  - {name: controls, role: control, format: csv, path: controls/manifest.csv}
task: {label: cohort}
match: none
cluster: {shard: 4}
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

# ranks NAME: processes of that build's crew
ranks() { pgrep -f "facemill crew $faces/out-$1/" | while read -r p; do
    grep -qz OMPI_COMM_WORLD_RANK "/proc/$p/environ" 2>/dev/null && echo "$p"; done; }

a_killed_rank_is_survived() {
    for i in $(seq "${KILLS:-4}"); do
        study "rank$i"
        "$FACEMILL" build "$faces/rank$i.yaml" --ranks 2 --json >"$work/rank.json" 2>"$work/rank.log" &
        build=$!
        pause "$(random "$whole" "$i")"
        victim=$(ranks "rank$i" | tail -n +$((1 + $(random 2 $((i + 50))))) | head -n 1)
        [ -z "$victim" ] || kill -9 "$victim" 2>/dev/null
        wait $build || { cat "$work/rank.log"; fail "build $i ended with $?"; }
        expect "digest after kill $i" "$(digest "rank$i")" "$calm"
        "$FACEMILL" verify "$faces/out-rank$i" >/dev/null || fail "the store of kill $i is damaged"
        rm -rf "$faces/out-rank$i"
    done
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

a_killed_coordinator_is_resumed() {
    for i in $(seq "${KILLS:-3}"); do
        study "head$i"
        "$FACEMILL" build "$faces/head$i.yaml" --ranks 2 >/dev/null 2>&1 &
        build=$!
        pause "$(random "$whole" $((i + 100)))"
        kill -9 $build 2>/dev/null
        wait $build 2>/dev/null
        "$FACEMILL" build "$faces/head$i.yaml" --ranks 2 --json >"$work/head.json" 2>"$work/head.log" ||
            { cat "$work/head.log"; fail "resumed build $i ended with $?"; }
        expect "digest after resumption $i" "$(digest "head$i")" "$calm"
        rm -rf "$faces/out-head$i"
    done
}

# The launcher of the crew; the coordinator and all ranks; or these and the launcher.
everything_is_killed_at_once() {
    for i in $(seq "${KILLS:-4}"); do
        study "all$i"
        "$FACEMILL" build "$faces/all$i.yaml" --ranks 2 >/dev/null 2>&1 &
        build=$!
        pause "$(random "$whole" $((i + 200)))"
        case $((i % 3)) in
        0) victims=$(pgrep -f "mpirun .*crew $faces/out-all$i/") ;;
        1) victims="$build $(ranks "all$i")" ;;
        2) victims="$build $(pgrep -f "crew $faces/out-all$i/")" ;;
        esac
        [ -z "$victims" ] || kill -9 $victims 2>/dev/null
        wait $build 2>/dev/null
        "$FACEMILL" build "$faces/all$i.yaml" --ranks 2 >"$work/said" 2>&1 ||
            { cat "$work/said"; fail "the build after kill $i ended with $?"; }
        expect "digest after kill $i" "$(digest "all$i")" "$calm"
        "$FACEMILL" verify "$faces/out-all$i" >/dev/null || fail "the store of kill $i is damaged"
        rm -rf "$faces/out-all$i"
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

no_process_is_left_behind() {
    for t in 1 2 3 4 5 6 7 8 9 10; do
        [ -n "$(pgrep -f "facemill crew $faces/")" ] || return 0
        sleep 1
    done
    fail "still running: $(pgrep -af "facemill crew $faces/")"
}

cases a_killed_rank_is_survived everything_is_killed_at_once a_killed_rank_is_survived_at_every_named_moment a_killed_coordinator_is_resumed \
    a_stopped_build_says_so_and_goes_on a_second_interrupt_stops_at_once a_second_coordinator_is_refused no_process_is_left_behind
