# A disk that fills: whatever its size, the build ends with an error that says how much is wanting, nothing dies of
# SIGBUS, what was acknowledged reads back, and with more room the build goes on to the same digest.
# SIZES=n: so many sizes between nothing and enough.  Needs the right to mount a file system of its own.
. "$(dirname "$0")/lib.sh"

disk=$work/disk
mkdir "$disk"
if [ "${FULL_DISK_INSIDE:-}" = "" ]; then
    unshare -m sh -c "mount -t tmpfs -o size=64k tmpfs '$disk'" 2>/dev/null ||
        { echo "skip a_full_disk_is_survived: no file system may be mounted here (unshare -m, mount)"; exit 0; }
    FULL_DISK_INSIDE=yes exec unshare -m sh "$0"
fi
trap 'umount "$disk" 2>/dev/null; rm -rf "$work"' EXIT
faces=$work/faces
"$FACEMILL" synth --out "$faces" --cases 4 --controls 4 --seed 47 >/dev/null || exit 1
two_cohorts study 'cluster: {shard: 2}' >"$faces/study.yaml"
build() { timeout 150 "$FACEMILL" build "$faces/study.yaml" --out "$disk/out" --ranks 1; }
room() { mount -t tmpfs -o "size=$1k" tmpfs "$disk" || fail "no file system of $1 KiB"; }

room 65536
build >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }
calm=$("$FACEMILL" digest "$disk/out")
most=$(($(du -sk "$disk" | cut -f 1) + 64))
umount "$disk"

# filled KIBIBYTES
filled() {
    room "$1"
    build >"$work/said" 2>&1
    got=$?
    grep -qi 'bus error\|signal 7\|signal code' "$work/said" && { cat "$work/said"; fail "$1 KiB: SIGBUS"; }
    if [ $got -ne 0 ]; then
        [ $got -eq 4 ] || { cat "$work/said"; fail "$1 KiB: it ended with $got"; }
        said '^facemill: .*\(need about [0-9]* bytes more\|[0-9]* bytes\)'
        full=$((full + 1))
        # What is acknowledged is in the catalog: all of it reads back.
        if [ -e "$disk/out/store/catalog" ]; then
            "$FACEMILL" verify "$disk/out" >"$work/said" 2>&1 || { cat "$work/said"; fail "$1 KiB: the store is damaged"; }
        fi
    fi
    mount -o "remount,size=65536k" "$disk" || fail "no more room could be made"
    build >"$work/said" 2>&1 || { cat "$work/said"; fail "$1 KiB: no resumption"; }
    expect "$1 KiB: digest" "$("$FACEMILL" digest "$disk/out")" "$calm"
    "$FACEMILL" verify "$disk/out" >"$work/said" 2>&1 || { cat "$work/said"; fail "$1 KiB: the store is damaged"; }
    umount "$disk"
}

a_full_disk_is_survived() {
    sizes=${SIZES:-3} full=0
    for i in $(seq "$sizes"); do
        # More of them where records are written than where the store is laid out.
        filled $((16 + (most - 16) * i * i / (sizes * sizes)))
    done
    echo "  $sizes sizes up to $most KiB, $full of them too small"
    [ $((2 * full)) -ge "$sizes" ] || fail "only $full of $sizes sizes were too small"
}

cases a_full_disk_is_survived
