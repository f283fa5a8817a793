# Encrypted stores from the outside: what files, logs and processes show; keys that are wrong; forgetting and rekeying.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
"$FACEMILL" synth --out "$work/made" --cases 10 --controls 16 --seed 4 >/dev/null || exit 1

# Every photograph gets a subject, a file name, a folder and a note that are looked for later: over a hundred markers.
mkdir -p "$faces"
n=0
for cohort in cases controls; do
    echo "file,subject,sex,age,note" >"$faces/$cohort.csv"
    while IFS=, read -r file subject sex age rest; do
        [ "$file" != file ] || continue
        n=$((n + 1))
        mkdir -p "$faces/Zfolder$n"
        cp "$work/made/$cohort/$file" "$faces/Zfolder$n/Zfile$n.jpg"
        echo "Zfolder$n/Zfile$n.jpg,Zsubject$n,$sex,$age,Znote$n" >>"$faces/$cohort.csv"
    done <"$work/made/$cohort/manifest.csv"
    printf 'not a photograph' >"$faces/Zbroken-$cohort.jpg"
    echo "Zbroken-$cohort.jpg,Zbrokensubject,female,40,Znote" >>"$faces/$cohort.csv"
    echo "Zmissing-$cohort.jpg,Zmissingsubject,female,40,Znote" >>"$faces/$cohort.csv"
done
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$work/key"
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$work/other"
chmod 600 "$work/key" "$work/other"
printf '%s\n' Zfile Zsubject Zfolder Znote Zbroken Zmissing "$(cat "$work/key")" >"$work/secrets"

# study NAME STORE: a study of those photographs
study() {
    cat >"$faces/$1.yaml" <<END
name: $1
seed: 5
out: out-$1
cohorts:
  - {name: cases, role: case, format: csv, path: cases.csv}
  - {name: controls, role: control, format: csv, path: controls.csv}
task: {label: cohort}
match: none
audit: none
evaluate: {split: kfold, folds: 3, bootstrap: 100}
store: $2
END
}
run() {
    name=$1
    shift
    "$FACEMILL" run "$faces/$name.yaml" --ranks 2 "$@" >"$work/$name.out" 2>&1 || { cat "$work/$name.out"; fail "$name ended with $?"; }
}
digest() { "$FACEMILL" digest "$faces/out-$1"; }

study plain "{encrypt: false}"
run plain
study secret "{encrypt: true, key_file: ../key}"

# What all processes show of themselves while it runs, again and again.
look_at_processes() {
    while [ ! -e "$work/over" ]; do
        cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -f "$work/secrets" >>"$work/shown"
        for pid in $(pgrep -f "facemill crew $faces/out-secret"); do
            tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -f "$work/secrets"
            echo looked >>"$work/looked"
        done >>"$work/shown"
    done
}

nothing_shows_and_the_digest_is_the_same() {
    : >"$work/shown"
    look_at_processes &
    watcher=$!
    FACEMILL_LOG=info run secret
    touch "$work/over"
    wait $watcher
    [ -s "$work/looked" ] || fail "no rank was looked at"
    [ ! -s "$work/shown" ] || { cat "$work/shown"; fail "processes show markers or the key"; }
    expect "digest" "$(digest secret)" "$(digest plain)"
    grep -q Zsubject7 "$faces/out-plain/ledger.tsv" || fail "the markers are not in the study"
    grep -rqa -e Zfile "$faces/out-plain/store" || fail "the plain store should show them"
    holds "markers" "$(cat "$faces"/c*.csv | grep -o 'Z[a-z]*[0-9][0-9]*' | sort -u | wc -l) >= 100"
    for place in store log run; do
        found=$(grep -rlaf "$work/secrets" "$faces/out-secret/$place")
        [ -z "$found" ] || fail "markers in $found"
    done
    found=$(grep -f "$work/secrets" "$work/secret.out")
    [ -z "$found" ] || fail "markers in what it says: $found"
    "$FACEMILL" verify "$faces/out-secret" >"$work/said" || { cat "$work/said"; fail "verify"; }
}

all_files_are_private() {
    found=$(find "$faces/out-secret" \( -type f ! -perm 600 \) -o \( -type d ! -perm 700 \))
    [ -z "$found" ] || fail "not private: $found"
}

wrong_keys_are_refused_and_harm_nothing() {
    before=$(digest secret)
    FACEMILL_KEY_FILE=$work/other status 3 "$FACEMILL" run "$faces/secret.yaml" --ranks 2
    said "not the key of this store"
    FACEMILL_KEY_FILE=$work/nowhere status 3 "$FACEMILL" digest "$faces/out-secret"
    said "nowhere: cannot open"
    cp "$work/key" "$work/open"
    chmod 644 "$work/open"
    FACEMILL_KEY_FILE=$work/open status 3 "$FACEMILL" verify "$faces/out-secret"
    said "chmod 600"
    echo 0123 >"$work/short"
    chmod 600 "$work/short"
    FACEMILL_KEY_FILE=$work/short status 3 "$FACEMILL" digest "$faces/out-secret"
    said "not a key"
    FACEMILL_KEY_COMMAND="exit 7" status 3 "$FACEMILL" run "$faces/secret.yaml" --ranks 2
    said "status 7"
    study secret-no "{encrypt: true}"
    status 3 "$FACEMILL" run "$faces/secret-no.yaml" --out "$faces/out-secret" --ranks 2
    said "nothing says where its key is"
    status 3 "$FACEMILL" run "$faces/plain.yaml" --out "$faces/out-secret" --ranks 2
    said "is encrypted and the study says"
    status 3 "$FACEMILL" run "$faces/secret.yaml" --out "$faces/out-plain" --ranks 2
    said "is there and not encrypted"
    expect "digest afterwards" "$(digest secret)" "$before"
}

a_command_gives_the_key() {
    study command "{encrypt: true, key_command: 'cat $work/key'}"
    "$FACEMILL" build "$faces/command.yaml" --ranks 1 >"$work/said" 2>&1 || { cat "$work/said"; fail "build"; }
    status 3 "$FACEMILL" digest "$faces/out-command"
    said "FACEMILL_KEY_FILE"
    expect "digest" "$(FACEMILL_KEY_FILE=$work/key digest command)" "$(digest plain)"
    expect "digest" "$(FACEMILL_KEY_COMMAND="cat $work/key" digest command)" "$(digest plain)"
}

a_killed_build_goes_on() {
    study killed "{encrypt: true, key_file: ../key}"
    for at in 3 9; do
        FACEMILL_FAULT=worker.photo:$at:kill "$FACEMILL" build "$faces/killed.yaml" --ranks 1 >/dev/null 2>&1 &
        build=$!
        sleep 1
        kill -9 $build 2>/dev/null
        wait $build 2>/dev/null
    done
    "$FACEMILL" build "$faces/killed.yaml" --ranks 2 >"$work/said" 2>&1 || { cat "$work/said"; fail "the build did not go on"; }
    expect "digest" "$(digest killed)" "$(digest plain)"
}

a_subject_is_forgotten() {
    study forget "{encrypt: true, key_file: ../key}"
    run forget
    cp -r "$faces/out-forget/store/segments" "$work/copy"
    all=$(digest forget)
    echo Zsubject7 | status 0 "$FACEMILL" forget "$faces/out-forget" --subject - --dry-run
    expect "digest after a dry run" "$(digest forget)" "$all"
    echo Zsubject7 | status 0 "$FACEMILL" forget "$faces/out-forget" --subject -
    said "1 photographs forgotten, 2 records made unreadable"
    left=$(digest forget)
    [ "$left" != "$all" ] || fail "the digest did not change"
    found=$(grep -rlaE 'Z(file|subject|folder|note)7([^0-9]|$)' "$faces/out-forget")
    [ -z "$found" ] || fail "still named in $found"
    "$FACEMILL" verify "$faces/out-forget" >"$work/said" || { cat "$work/said"; fail "verify"; }
    run forget
    expect "digest of a later run" "$(digest forget)" "$left"
    expect "forgotten" "$(value "$faces/out-forget/results.json" counts.left_out.forgotten)" 1
    found=$(grep -rlaE 'Z(file|subject|folder|note)7([^0-9]|$)' "$faces/out-forget")
    [ -z "$found" ] || fail "named again in $found"
    grep -q "forgotten" "$faces/out-forget/ledger.tsv" || fail "the ledger does not say so"
    # the same photograph under another name, and copies of segments from before
    sed 's/Zfolder7.Zfile7/Zfolder7\/again/' "$faces/cases.csv" >"$work/changed" && cp "$work/changed" "$faces/cases.csv"
    mv "$faces/Zfolder7/Zfile7.jpg" "$faces/Zfolder7/again.jpg"
    cp "$work/copy"/* "$faces/out-forget/store/segments/"
    run forget
    expect "digest with copies and a new name" "$(digest forget)" "$left"
    status 3 "$FACEMILL" forget "$faces/forget.yaml" --subject nobody
    status 2 "$FACEMILL" forget "$faces/out-plain" --subject Zsubject8
    said "is not encrypted"
}

a_new_key_replaces_the_old_one() {
    before=$(digest forget)
    status 0 "$FACEMILL" rekey "$faces/out-forget" --key-file "$work/other"
    expect "digest" "$(digest forget)" "$before"
    FACEMILL_KEY_FILE=$work/key status 3 "$FACEMILL" digest "$faces/out-forget"
    FACEMILL_KEY_FILE=$work/other run forget
    expect "digest after a run" "$(digest forget)" "$before"
    status 2 "$FACEMILL" rekey "$faces/out-forget"
}

exports_are_taken_down() {
    rm -rf "$work/to"
    status 0 "$FACEMILL" export "$faces/out-secret" --what codes --to "$work/to"
    status 0 "$FACEMILL" export "$faces/out-secret" --what ledger --to "$work/to"
    grep -qf "$work/secrets" "$work/to/ledger.tsv" && fail "names in an export"
    expect "lines" "$(grep -c . "$faces/out-secret/export.log")" 2
    status 0 "$FACEMILL" verify "$faces/out-secret"
    status 2 "$FACEMILL" export "$faces/out-secret" --what chips --to "$work/to"
    status 0 "$FACEMILL" export "$faces/out-secret" --what chips --identifiable --to "$work/to"
    found=$(find "$work/to" "$faces/out-secret" \( -type f ! -perm 600 \) -o \( -type d ! -perm 700 \))
    [ -z "$found" ] || fail "not private: $found"
    cp "$faces/out-secret/export.log" "$work/log"
    sed -i 's/ledger/faces/' "$faces/out-secret/export.log"
    status 1 "$FACEMILL" verify "$faces/out-secret"
    said "export.log:2: entry 2 was changed"
    head -2 "$work/log" >"$faces/out-secret/export.log"
    status 1 "$FACEMILL" verify "$faces/out-secret"
    said "ends with entry 2 where 3 was written"
    cp "$work/log" "$faces/out-secret/export.log"
    status 0 "$FACEMILL" verify "$faces/out-secret"
}

# As a user without root's rights: the environment of one's own process that may not be dumped is not readable.
its_memory_is_no_other_process_s() {
    [ "$(id -u)" -ne 0 ] || command -v setpriv >/dev/null || skip "setpriv is not here, and we are root"
    open=$(mktemp -d /tmp/facemill-test.XXXXXX)
    cp "$FACEMILL" "$open/facemill"
    mkfifo "$open/subject"
    chmod -R 777 "$open"
    cat >"$open/look" <<'END'
"$1/facemill" forget "$1" --subject - <"$1/subject" 2>/dev/null &
exec 3>"$1/subject"
sleep 0.3
cat /proc/$$/environ >/dev/null || echo "cannot look at all"
cat "/proc/$!/environ" 2>/dev/null && echo readable
exec 3>&-
wait
END
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --clear-groups --inh-caps=-all sh "$open/look" "$open" >"$work/said" 2>&1
    else
        sh "$open/look" "$open" >"$work/said" 2>&1
    fi
    rm -rf "$open"
    [ ! -s "$work/said" ] || { tr '\0' '\n' <"$work/said"; fail "its environment was read"; }
}

damage_is_repaired_encrypted() {
    before=$(digest killed)
    for segment in "$faces/out-killed/store/segments"/*; do break; done
    size=$(wc -c <"$segment")
    printf '\377\376\375' | dd of="$segment" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
    status 1 "$FACEMILL" verify "$faces/out-killed"
    status 0 "$FACEMILL" verify "$faces/out-killed" --repair "$faces/killed.yaml"
    expect "digest" "$(digest killed)" "$before"
    found=$(grep -rlaf "$work/secrets" "$faces/out-killed/store")
    [ -z "$found" ] || fail "markers in $found"
    expect "segments with keys" "$(ls "$faces/out-killed/store/segments" | while read -r s; do
        [ -e "$faces/out-killed/store/keys.1/$s" ] || echo "$s"; done)" ""
}

cases nothing_shows_and_the_digest_is_the_same all_files_are_private wrong_keys_are_refused_and_harm_nothing \
    exports_are_taken_down its_memory_is_no_other_process_s a_command_gives_the_key a_killed_build_goes_on \
    damage_is_repaired_encrypted a_subject_is_forgotten a_new_key_replaces_the_old_one
