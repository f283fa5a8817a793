# Manifests that name what is no photograph, and photographs of odd names: each has its row in the ledger, with the reason
# when it is left out; nothing hangs, and tables and JSON stay whole.
. "$(dirname "$0")/lib.sh"

faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 16 --controls 16 --seed 43 >/dev/null || exit 1
two_cohorts study 'audit: none' 'evaluate: {split: kfold, folds: 3, bootstrap: 100}' >"$faces/study.yaml"
out=$faces/out
cd "$faces/cases" || exit 1
photograph() { sed -n "$1p" manifest.csv | cut -d, -f1; }
sound=$(($(wc -l <manifest.csv) + $(wc -l <../controls/manifest.csv) - 2))

# What is no photograph.  A file of zeros is 2 GB long and takes no room.
mkfifo pipe.jpg
ln -s /dev/zero zero.jpg
ln -s /dev/tty terminal.jpg
ln -s loop-b.jpg loop-a.jpg
ln -s loop-a.jpg loop-b.jpg
mkdir folder.jpg
: >empty.jpg
truncate -s 2G zeros.jpg
cp "$(photograph 2)" vanishes.jpg && printf 'x' >>vanishes.jpg
no_photographs="pipe zero terminal loop-a folder empty zeros vanishes gone"
for f in $no_photographs; do echo "$f.jpg,odd-$f,female,40" >>manifest.csv; done

# Names that files may have.  Each is a photograph that is in no other row.
name() {
    cp -- "$(photograph "$1")" "./$2" && printf '%s' "$1" >>"./$2" || exit 1
    printf '%s,%s,female,40\n' "$3" "odd-name-$1" >>manifest.csv
}
name 3 'new
line.jpg' '"new
line.jpg"'
name 4 'quo"te.jpg' '"quo""te.jpg"'
name 5 "apostrophe's; \$(touch x) *.jpg" "apostrophe's; \$(touch x) *.jpg"
name 6 '<b>&amp;.jpg' '<b>&amp;.jpg'
name 7 "$(printf 'tab\there.jpg')" "$(printf 'tab\there.jpg')"
name 8 "$(printf 'latin-\351.jpg')" "$(printf 'latin-\351.jpg')"
name 9 "$(printf 'cut-\303.jpg')" "$(printf 'cut-\303.jpg')"
name 10 '-rf.jpg' '-rf.jpg'
names=8

reason() { LC_ALL=C awk -F'\t' -v f="cases/$1.jpg" '$1 == f { print $6 }' "$out/ledger.tsv"; }
# expects REASON NAME...
expects() {
    for f in $2; do expect "reason of $f" "$(reason "$f")" "$1"; done
}

odd_files_are_left_out_for_a_reason() {
    # matched as there, gone when it is read
    status 0 "$FACEMILL" match "$faces/study.yaml"
    rm vanishes.jpg
    timeout 300 "$FACEMILL" run "$faces/study.yaml" --ranks 2 >"$work/said" 2>&1 ||
        { cat "$work/said"; fail "the study ended with $?"; }
    expects unreadable "pipe zero terminal loop-a folder empty vanishes gone"
    expects too_large zeros
}

odd_names_are_names() {
    expect "used" "$(value "$out/results.json" counts.used)" $((sound + names))
    expect "rows of the ledger" "$(LC_ALL=C grep -c . "$out/ledger.tsv")" $((1 + sound + names + $(echo $no_photographs | wc -w)))
    expect "rows of predictions.tsv" "$(LC_ALL=C grep -c . "$out/predictions.tsv")" $((1 + sound + names))
    expect "fields of every row" "$(LC_ALL=C awk -F'\t' '{ print NF }' "$out/ledger.tsv" | sort -u)" 24
    [ ! -e x ] || fail "a name was run"
    status 0 "$FACEMILL" verify "$out"
}

# Root reads whatever it likes, unless it gives that up.
an_unreadable_file_is_left_out() {
    photo=$(photograph 12)
    chmod 0 "$photo"
    caps=-dac_override,-dac_read_search
    less=
    ! head -c 1 "$photo" >/dev/null 2>&1 || less="setpriv --bounding-set $caps --inh-caps $caps"
    ! $less head -c 1 "$photo" >/dev/null 2>&1 || skip "this user reads what nobody may read"
    status 0 $less "$FACEMILL" run "$faces/study.yaml" --ranks 1 --paranoid
    expect "reason" "$(reason "${photo%.jpg}")" unreadable
}

cases odd_files_are_left_out_for_a_reason odd_names_are_names an_unreadable_file_is_left_out
