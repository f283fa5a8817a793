/* A tar's list: header after header, each with a sum of its own; bytes are stepped over.
 *
 * Long names come before their member: GNU in a member of type L, pax as records of type x.  A tar without the block of
 * zeros at its end was cut, perhaps just between two members, and is refused.  The format has no sum of the members'
 * bytes: what is damaged there is the decoder's to find. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/archive_list.h"

#define BLOCK 512
#define EXTENDED_MAX (1u << 20)     /* bytes of a long name's or pax header's member */

typedef struct {
    fm_buf name;            /* of the next member, when a header before it says it */
    bool has_name, has_size, sparse;
    uint64_t size;
} extended;

static bool read_octal(const uint8_t *s, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;

    if (s[0] == 0x80) {         /* GNU: a binary number */
        for (i = 1; i < n; i++) {
            if (v >> 54)
                return false;
            v = v << 8 | s[i];
        }
        *out = v;
        return true;
    }
    while (i < n && s[i] == ' ')
        i++;
    for (; i < n && s[i] >= '0' && s[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(s[i] - '0');
    *out = v;
    return i == n || s[i] == ' ' || s[i] == '\0';
}

static bool sum_fits(const uint8_t *h)
{
    uint64_t want, sum = 0;

    for (int i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : h[i];
    return read_octal(h + 148, 8, &want) && want == sum;
}

/* One record "LENGTH KEY=VALUE\n" at text; returns its length, 0 when it is none. */
static size_t read_record(const char *text, size_t n, extended *x)
{
    size_t length = 0, i = 0, key;
    const char *equals;

    for (; i < n && i < 8 && text[i] >= '0' && text[i] <= '9'; i++)
        length = 10 * length + (size_t)(text[i] - '0');
    if (i == 0 || i == n || text[i] != ' ' || length > n || length < i + 4 || text[length - 1] != '\n')
        return 0;
    text += ++i;
    equals = memchr(text, '=', length - i - 1);
    if (!equals)
        return 0;
    key = (size_t)(equals++ - text);
    n = length - i - 1 - key - 1;
    if (key == 4 && memcmp(text, "path", 4) == 0) {
        x->name.size = 0;
        fm_buf_put(&x->name, equals, n);
        x->has_name = true;
    } else if (key == 4 && memcmp(text, "size", 4) == 0) {
        x->size = 0;
        for (size_t k = 0; k < n; k++) {
            if (equals[k] < '0' || equals[k] > '9' || x->size >> 58)
                return 0;
            x->size = 10 * x->size + (uint64_t)(equals[k] - '0');
        }
        x->has_size = true;
    } else if (key > 10 && memcmp(text, "GNU.sparse", 10) == 0) {
        x->sparse = true;
    }
    return length;
}

static int read_extended(const fm_archive *a, uint8_t type, uint64_t at, uint64_t size, extended *x, fm_err *err)
{
    char *text;
    int rc;

    if (size > EXTENDED_MAX)
        return fm_fail(err, -EBADMSG, "%s: a header at byte %llu has %llu bytes where a name is expected; make it again",
                       a->path, (unsigned long long)at, (unsigned long long)size);
    text = malloc(size + 1);
    rc = text ? fm_archive_bytes(a, at, text, size, err) : fm_fail_nomem(err, a->path, size);
    if (rc == 0 && type == 'L') {
        x->name.size = 0;
        fm_buf_put(&x->name, text, strnlen(text, size));
        x->has_name = true;
    }
    for (size_t i = 0, n; rc == 0 && type == 'x' && i < size; i += n)
        if ((n = read_record(text + i, size - i, x)) == 0)
            rc = fm_fail(err, -EBADMSG, "%s: the pax header at byte %llu is damaged; make the tar again", a->path,
                         (unsigned long long)at);
    if (rc == 0 && x->name.failed)
        rc = fm_fail_nomem(err, a->path, size);
    free(text);
    return rc;
}

static int add_member(fm_archive *a, const uint8_t *h, const extended *x, const fm_member *m, fm_err *err)
{
    char name[BLOCK];
    size_t n = 0, k = strnlen((const char *)h + 345, 155);

    if (x->has_name)
        return fm_archive_add(a, m, (const char *)x->name.data, x->name.size, err);
    if (memcmp(h + 257, "ustar", 6) == 0 && k) {        /* GNU's own format has other things there */
        memcpy(name, h + 345, k);
        name[k] = '/';
        n = k + 1;
    }
    k = strnlen((const char *)h, 100);
    memcpy(name + n, h, k);
    return fm_archive_add(a, m, name, n + k, err);
}

/* The header at *at, which is moved behind its bytes. */
static int read_header(fm_archive *a, const uint8_t *h, uint64_t *at, extended *x, fm_err *err)
{
    uint64_t end = (uint64_t)a->st.st_size;
    fm_member m = {.at = *at + BLOCK};
    uint8_t type = h[156];
    int rc = 0;

    if (!sum_fits(h) || !read_octal(h + 124, 12, &m.size) || !read_octal(h + 136, 12, &m.time))
        return fm_fail(err, -EBADMSG, "%s: no tar header at byte %llu: it is damaged, compressed or no tar; make it again "
                       "with tar -cf", a->path, (unsigned long long)*at);
    if (type >= '1' && type <= '6')
        m.size = 0;         /* links, devices and folders have no bytes, whatever is written */
    else if (x->has_size && type != 'x' && type != 'g' && type != 'L' && type != 'K')
        m.size = x->size;
    if (m.size > end - m.at)
        return fm_fail(err, -EBADMSG, "%s: is cut: the member at byte %llu needs %llu bytes more than there are; copy it "
                       "again", a->path, (unsigned long long)*at, (unsigned long long)(m.size - (end - m.at)));
    *at = m.at + (m.size + BLOCK - 1) / BLOCK * BLOCK;
    m.packed = m.size;
    if (type == 'x' || type == 'L')
        return read_extended(a, type, m.at, m.size, x, err);
    if (type == 'g' || type == 'K')
        return 0;
    m.kind = type == '1' || type == '2' ? FM_LINK : type == 'S' || x->sparse ? FM_SPARSE : FM_STORED;
    if (type == '0' || type == '\0' || type == '7' || m.kind != FM_STORED)
        rc = add_member(a, h, x, &m, err);
    x->has_name = x->has_size = x->sparse = false;
    return rc;
}

int fm_tar_list(fm_archive *a, fm_err *err)
{
    static const uint8_t zeros[BLOCK];
    uint8_t h[BLOCK];
    extended x = {.name = FM_BUF_INIT};
    uint64_t at = 0;
    int rc = 0;

    for (;;) {
        if (at + BLOCK > (uint64_t)a->st.st_size)
            rc = fm_fail(err, -EBADMSG, "%s: is cut: a tar ends with a block of zeros; copy or make it again", a->path);
        else
            rc = fm_archive_bytes(a, at, h, BLOCK, err);
        if (rc != 0 || memcmp(h, zeros, BLOCK) == 0)
            break;
        if ((rc = read_header(a, h, &at, &x, err)) != 0)
            break;
    }
    fm_buf_fini(&x.name);
    return rc;
}
