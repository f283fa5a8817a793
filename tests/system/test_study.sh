# A whole study on generated faces: what it finds, what it leaves, what a second run does.
. "$(dirname "$0")/lib.sh"

planted=$work/planted
"$FACEMILL" synth --out "$planted" --cases 120 --controls 160 --seed 11 >/dev/null || exit 1
"$FACEMILL" run "$planted/study.yaml" --ranks 2 --json >"$work/first.json" 2>"$work/first.log" || { cat "$work/first.log"; exit 1; }
out=$(value "$work/first.json" out)

a_planted_difference_is_found() {
    holds "AUC's interval" "$(value "$out/results.json" metrics.auc.low) > 0.5"
    holds "accuracy" "$(value "$out/results.json" metrics.accuracy.value) > 0.6"
}

nothing_is_found_where_nothing_is() {
    "$FACEMILL" synth --out "$work/null" --cases 120 --controls 160 --seed 12 --effect 0 >/dev/null || fail "synth failed"
    status 0 "$FACEMILL" run "$work/null/study.yaml" --ranks 2
    r=$(dirname "$work/null/study.yaml")/$(basename "$out")/results.json
    holds "AUC's interval" "$(value "$r" metrics.auc.low) <= 0.5 && $(value "$r" metrics.auc.high) >= 0.5"
}

faces_are_found_in_97_of_100() {
    photographs=$(value "$work/first.json" build.photographs)
    no_face=$("$JSON" "$out/results.json" counts.left_out.no_face || echo 0)
    holds "photographs without a face" "$no_face <= 0.03 * $photographs"
}

every_photograph_has_one_row() {
    rows=$(($(wc -l <"$out/ledger.tsv") - 1))
    expect "rows of the ledger" "$rows" "$(value "$out/results.json" counts.photographs)"
    expect "rows of used photographs" "$(cut -f5 "$out/ledger.tsv" | grep -c '^used$')" "$(value "$out/results.json" counts.used)"
    expect "distinct samples" "$(cut -f1 "$out/ledger.tsv" | sort -u | wc -l)" "$((rows + 1))"
}

predictions_agree_with_accuracy() {
    got=$(awk -F'\t' 'NR > 1 { n++; right += $5 == $NF } END { printf "%.9f", right / n }' "$out/predictions.tsv")
    holds "accuracy of predictions.tsv" "($got - $(value "$out/results.json" metrics.accuracy.value)) ^ 2 < 1e-12"
}

a_subject_is_in_one_fold() {
    twice=$(tail -n +2 "$out/predictions.tsv" | awk -F'\t' '{ print $2 "\t" $4 }' | sort -u | cut -f1 | uniq -d | wc -l)
    expect "subjects in several folds" "$twice" 0
    several=$(tail -n +2 "$out/predictions.tsv" | cut -f2 | sort | uniq -d | wc -l)
    holds "subjects with several photographs" "$several > 0"
}

the_report_opens_without_a_network() {
    [ -s "$out/report.html" ] || fail "no report.html"
    ! grep -qE '(src|href)="?(https?:)?//' "$out/report.html" || fail "report.html fetches something"
}

outputs_are_private() {
    open=$(find "$out" -perm /077 | head -n 3)
    [ -z "$open" ] || fail "others can read $open"
}

status_tells_what_was_done() {
    "$FACEMILL" status "$out" --json >"$work/status.json" || fail "status failed"
    n=$(value "$work/status.json" photographs)
    expect "done" "$(value "$work/status.json" done)" "$n"
    expect "photos made" "$(value "$work/status.json" photos_made)" "$n"
    status 0 "$FACEMILL" status "$out"
    said "$n/$n"
}

a_second_run_decodes_and_encodes_nothing() {
    cp "$out/results.json" "$work/before.json"
    "$FACEMILL" run "$planted/study.yaml" --json >"$work/second.json" 2>/dev/null || fail "second run failed"
    expect "photos made" "$(value "$work/second.json" build.photos_made)" 0
    expect "codes made" "$(value "$work/second.json" build.codes_made)" 0
    expect "photos reused" "$(value "$work/second.json" build.photos_reused)" "$(value "$work/second.json" build.photographs)"
    for key in metrics folds confusion counts subgroups digest; do
        expect "$key" "$(value "$out/results.json" $key)" "$(value "$work/before.json" $key)"
    done
}

the_store_is_whole() {
    status 0 "$FACEMILL" verify "$out"
    said "0 damaged"
    expect "digest" "$("$FACEMILL" digest "$out")" "$(value "$out/results.json" digest)"
}

cases a_planted_difference_is_found nothing_is_found_where_nothing_is faces_are_found_in_97_of_100 \
    every_photograph_has_one_row predictions_agree_with_accuracy a_subject_is_in_one_fold \
    the_report_opens_without_a_network outputs_are_private status_tells_what_was_done \
    a_second_run_decodes_and_encodes_nothing the_store_is_whole
