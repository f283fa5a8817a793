/* A zip's list, from the central directory at its end, and its members' bytes.
 *
 * Our own reader over zlib, which libpng brings anyway.  libzip was looked at and left: it keeps a position in the
 * file, so that threads could not share an open archive, and its list cannot be bounded.  A zip is held to its words:
 * what the directory says must lie inside the file, the local header must agree, and the bytes must have the CRC. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/archive_list.h"

#define END_BYTES 22
#define COMMENT_MAX 65535
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define ENTRY_BYTES 46
#define LOCAL_BYTES 30
#define DIRECTORY_MAX (1ull << 30)

typedef struct {
    uint64_t at, size, entries;
} directory;

static uint64_t number(const uint8_t *p, int bytes)
{
    uint64_t v = 0;

    while (bytes--)
        v = v << 8 | p[bytes];
    return v;
}

static int damaged(const fm_archive *a, const char *what, fm_err *err)
{
    return fm_fail(err, -EBADMSG, "%s: %s: the zip is cut or damaged; copy or make it again", a->path, what);
}

/* The larger numbers of zip64, where a locator stands before the end. */
static int find_end64(const fm_archive *a, uint64_t end, directory *d, fm_err *err)
{
    uint8_t l[LOCATOR_BYTES], h[END64_BYTES];
    uint64_t at;
    int rc = 0;

    if (end < LOCATOR_BYTES || (rc = fm_archive_bytes(a, end - LOCATOR_BYTES, l, sizeof l, err)) != 0 ||
        number(l, 4) != 0x07064b50)
        return rc;
    at = number(l + 8, 8);
    if (at > end - LOCATOR_BYTES || end - LOCATOR_BYTES - at < END64_BYTES)
        return damaged(a, "the zip64 end lies outside", err);
    rc = fm_archive_bytes(a, at, h, sizeof h, err);
    if (rc == 0 && number(h, 4) != 0x06064b50)
        rc = damaged(a, "no zip64 end where the locator says", err);
    if (rc == 0)
        *d = (directory){number(h + 48, 8), number(h + 40, 8), number(h + 32, 8)};
    return rc;
}

static int find_directory(const fm_archive *a, directory *d, fm_err *err)
{
    uint64_t size = (uint64_t)a->st.st_size, end;
    size_t n = size < END_BYTES + COMMENT_MAX ? (size_t)size : END_BYTES + COMMENT_MAX, i = n;
    uint8_t *tail = malloc(n + 1);
    int rc = tail ? fm_archive_bytes(a, size - n, tail, n, err) : fm_fail_nomem(err, a->path, n);

    while (rc == 0 && i >= END_BYTES) {
        const uint8_t *h = tail + i - END_BYTES;

        if (number(h, 4) == 0x06054b50 && number(h + 20, 2) == n - i)
            break;
        i--;
    }
    if (rc == 0 && i < END_BYTES)
        rc = damaged(a, "no list of members at its end", err);
    if (rc == 0) {
        const uint8_t *h = tail + i - END_BYTES;

        end = size - n + i - END_BYTES;
        *d = (directory){number(h + 16, 4), number(h + 12, 4), number(h + 10, 2)};
        if (number(h + 4, 2) != number(h + 6, 2) || number(h + 8, 2) != number(h + 10, 2))
            rc = fm_fail(err, -ENOTSUP, "%s: is a part of a zip in several files; join them (zip -s 0)", a->path);
        else
            rc = find_end64(a, end, d, err);
        if (rc == 0 && (d->size > DIRECTORY_MAX || d->at > end || d->size > end - d->at))
            rc = damaged(a, "its list of members does not lie inside", err);
    }
    free(tail);
    return rc;
}

/* Sizes and place of 64 bits, for those that are all ones in the entry. */
static bool widen(const uint8_t *extra, size_t n, fm_member *m)
{
    uint64_t *const wide[] = {&m->size, &m->packed, &m->at};
    size_t used = 4;

    while (n >= 4 && number(extra, 2) != 1) {
        size_t step = 4 + (size_t)number(extra + 2, 2);

        if (step > n)
            return true;        /* what other programs put there is theirs */
        extra += step;
        n -= step;
    }
    if (n >= 4 && 4 + number(extra + 2, 2) < n)
        n = 4 + (size_t)number(extra + 2, 2);
    for (int i = 0; i < 3; i++) {
        if (*wide[i] != UINT32_MAX)
            continue;
        if (n < used + 8)
            return n < 4;       /* without the field it is the number itself */
        *wide[i] = number(extra + used, 8);
        used += 8;
    }
    return true;
}

static fm_member_kind kind_of(const uint8_t *e)
{
    uint64_t method = number(e + 10, 2);

    if (number(e + 8, 2) & 1)
        return FM_ENCRYPTED;
    if (e[5] == 3 && (number(e + 38, 4) >> 16 & 0170000) == 0120000)
        return FM_LINK;
    return method == 0 ? FM_STORED : method == 8 ? FM_DEFLATED : FM_OTHER_METHOD;
}

static int read_entry(fm_archive *a, fm_reader *r, uint64_t end, fm_err *err)
{
    const uint8_t *e = fm_reader_get(r, ENTRY_BYTES), *name, *extra;
    fm_member m;

    if (!e || number(e, 4) != 0x02014b50)
        return damaged(a, "its list of members breaks off", err);
    name = fm_reader_get(r, (size_t)number(e + 28, 2));
    extra = fm_reader_get(r, (size_t)number(e + 30, 2));
    fm_reader_get(r, (size_t)number(e + 32, 2));
    if (r->failed)
        return damaged(a, "its list of members breaks off", err);
    m = (fm_member){.at = number(e + 42, 4), .packed = number(e + 20, 4), .size = number(e + 24, 4),
                    .time = number(e + 12, 4), .crc = (uint32_t)number(e + 16, 4), .kind = kind_of(e)};
    if (!widen(extra, (size_t)number(e + 30, 2), &m) || m.at > end || m.packed > end - m.at || m.size > INT64_MAX ||
        (m.kind == FM_STORED && m.packed != m.size))
        return fm_fail(err, -EBADMSG, "%s: member %.*s does not lie inside: the zip is cut or damaged; copy or make it "
                       "again", a->path, (int)number(e + 28, 2), (const char *)name);
    return fm_archive_add(a, &m, (const char *)name, (size_t)number(e + 28, 2), err);
}

int fm_zip_list(fm_archive *a, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    directory d;
    int rc = find_directory(a, &d, err);

    if (rc == 0 && d.size && !fm_buf_add(&bytes, (size_t)d.size))
        rc = fm_fail_nomem(err, a->path, d.size);
    if (rc == 0 && d.size)
        rc = fm_archive_bytes(a, d.at, bytes.data, bytes.size, err);
    if (rc == 0) {
        fm_reader r = fm_reader_init(bytes.data, bytes.size);
        uint64_t n = 0;

        while (rc == 0 && fm_reader_left(&r)) {
            rc = read_entry(a, &r, d.at, err);
            n++;
        }
        if (rc == 0 && n != d.entries)
            rc = damaged(a, "its list has not as many members as it says", err);
    }
    fm_buf_fini(&bytes);
    return rc;
}

static bool inflate_all(const uint8_t *packed, size_t n, uint8_t *out, size_t size)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)size};
    bool ok;

    if (n > UINT32_MAX || size > UINT32_MAX || inflateInit2(&z, -15) != Z_OK)
        return false;
    ok = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0 && z.avail_out == 0;
    inflateEnd(&z);
    return ok;
}

int fm_zip_read(const fm_archive *a, const fm_member *m, uint8_t *out, fm_err *err)
{
    uint8_t h[LOCAL_BYTES], *packed = NULL;
    uint64_t at;
    int rc = fm_archive_bytes(a, m->at, h, sizeof h, err);
    bool ok;

    if (rc != 0)
        return rc;
    at = m->at + LOCAL_BYTES + number(h + 26, 2) + number(h + 28, 2);
    ok = number(h, 4) == 0x04034b50 && number(h + 8, 2) == (m->kind == FM_DEFLATED ? 8 : 0) &&
         (m->kind == FM_STORED || m->packed <= m->size + m->size / 8 + 1024);   /* deflate never adds as much */
    if (ok && m->kind == FM_STORED) {
        rc = fm_archive_bytes(a, at, out, (size_t)m->size, err);
    } else if (ok) {
        packed = malloc((size_t)m->packed + 1);
        rc = packed ? fm_archive_bytes(a, at, packed, (size_t)m->packed, err) : fm_fail_nomem(err, m->name, m->packed);
        ok = rc == 0 && inflate_all(packed, (size_t)m->packed, out, (size_t)m->size);
    }
    free(packed);
    if (rc == 0 && (!ok || crc32_z(crc32_z(0, NULL, 0), out, (z_size_t)m->size) != m->crc))
        rc = fm_fail(err, -EBADMSG, "%s: member %s is damaged (its bytes have not the CRC of the list); copy or make the "
                     "zip again", a->path, m->name);
    return rc;
}
