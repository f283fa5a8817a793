# The report in a browser: it fetches nothing, and nothing sticks out, on a phone and on a desk.
# $FACEMILL_SCREENSHOTS: a folder that gets the pictures taken on the way.
. "$(dirname "$0")/lib.sh"

browser=
for name in chromium chromium-browser google-chrome; do
    [ -n "$browser" ] || browser=$(command -v $name)
done
shots=${FACEMILL_SCREENSHOTS:-$work}
mkdir -p "$shots" || exit 1

"$FACEMILL" synth --out "$work/study" --cases 40 --controls 50 --seed 21 >/dev/null || exit 1
"$FACEMILL" run "$work/study/study.yaml" --ranks 2 --json >"$work/run.json" 2>"$work/run.log" || { cat "$work/run.log"; exit 1; }
out=$(value "$work/run.json" out)

# browse URL OPTION...: headless, without a way out, with a log of what it asks the network for in $work/net.json
browse() {
    url=$1
    shift
    [ -n "$browser" ] || skip "no browser is installed (apt-get install chromium)"
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-extensions \
        --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$work/profile" \
        --proxy-server=127.0.0.1:9 --allow-file-access-from-files --log-net-log="$work/net.json" \
        --virtual-time-budget=5000 "$@" "$url" 2>"$work/browser.log"
}
# Addresses in the log; the browser's own are of its maker, and are asked for before a page can.
asked() { grep -oE '"url":"(https?|wss?|ftp):[^"]*"' "$work/net.json" | grep -vE '//[a-z0-9.-]*(google|gstatic|googleapis)\.com' | sort -u; }

# measure PAGE WIDTH: how many pixels the page is wider than its window, then which elements are the cause.
# The page stands in a frame as it is; the script is the wrapper's.
measure() {
    cat >"$work/wrapper.html" <<HTML
<!DOCTYPE html><body><iframe id="f" src="$1" style="width:$2px;height:3000px;border:0"></iframe><pre id="said"></pre><script>
document.getElementById('f').onload = function () {
    var d = this.contentDocument, wide = d.documentElement.clientWidth, said = [];
    d.querySelectorAll('body *').forEach(function (x) {
        var r = x.getBoundingClientRect();
        if (r.width && r.right > wide + 0.5 && !x.closest('.wide') && !x.closest('svg'))
            said.push(x.tagName + '.' + x.className);
    });
    document.getElementById('said').textContent = 'SAID ' + (d.documentElement.scrollWidth - wide) + ' ' + said.join(' ') + ' END';
};
</script></body>
HTML
    browse "file://$work/wrapper.html" --window-size=1600,3200 --dump-dom | sed -n 's/.*id="said">SAID \(.*\) END.*/\1/p'
}

nothing_is_fetched() {
    browse "file://$out/report.html" --dump-dom >"$work/dom.html"
    grep -q "</html>" "$work/dom.html" || fail "the browser showed nothing: $(tail -n 3 "$work/browser.log")"
    expect "what the page asked for" "$(asked)" ""
}

the_check_sees_a_fetch() {
    echo '<img src="http://pictures.example.org/a.png">' >"$work/fetching.html"
    browse "file://$work/fetching.html" --dump-dom >/dev/null
    expect "what a page with a picture asked for" "$(asked)" '"url":"http://pictures.example.org/a.png"'
}

nothing_sticks_out() {
    for width in 400 1400; do
        expect "pixels and elements over $width" "$(measure "$out/report.html" $width)" "0 "
    done
}

the_check_sees_what_sticks_out() {
    echo '<body style="margin:0"><table style="width:500px"><tr><td>x</td></tr></table></body>' >"$work/broad.html"
    holds "pixels over 400" "$(measure "$work/broad.html" 400 | cut -d' ' -f1) == 100"
}

pictures_are_taken() {
    for width in 400 1400; do
        browse "file://$out/report.html" --window-size=$width,2400 --screenshot="$shots/report-$width.png" >/dev/null
        [ -s "$shots/report-$width.png" ] || fail "no picture of $width pixels: $(tail -n 3 "$work/browser.log")"
    done
    browse "file://$out/report.html" --no-pdf-header-footer --print-to-pdf="$shots/report.pdf" >/dev/null
    [ -s "$shots/report.pdf" ] || fail "the page cannot be printed"
}

figures_are_beside_the_page() {
    for name in roc precision-recall calibration subgroups-accuracy subgroups-auc balance audits learning-curve codes; do
        for ending in svg csv; do
            [ -s "$out/figures/$name.$ending" ] || fail "no figures/$name.$ending"
        done
    done
    auc=$(sed -n 's/^all faces,[0-9]*,\([^,]*\),.*/\1/p' "$out/figures/subgroups-auc.csv")
    holds "AUC of the figure" "($auc - $(value "$out/results.json" metrics.auc.value)) ^ 2 < 1e-12"
}

# Faces of persons are shown when that is asked for, and only then; generated ones are nobody's.
persons_are_shown_on_request() {
    grep -q '<img ' "$out/report.html" || fail "generated faces are not shown"
    ! grep -q 'identifiable persons' "$out/report.html" || fail "generated faces are called persons"
    find "$work/study" -name GENERATED -exec rm {} +
    status 0 "$FACEMILL" report "$work/study/study.yaml"
    ! grep -q '<img ' "$out/report.html" || fail "faces are shown that nobody asked for"
    status 0 "$FACEMILL" report "$work/study/study.yaml" --identifiable
    grep -q '<img ' "$out/report.html" && grep -q 'identifiable persons' "$out/report.html" || fail "no faces with --identifiable"
}

cases nothing_is_fetched the_check_sees_a_fetch nothing_sticks_out the_check_sees_what_sticks_out pictures_are_taken \
    figures_are_beside_the_page persons_are_shown_on_request
