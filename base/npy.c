/* The header is a Python dictionary as numpy.lib.format writes it: its three
 * keys are looked for by name and nothing else of Python is understood. */
#include "base/npy.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char magic[] = "\x93NUMPY";
enum { MAGIC = 6, HEADER_MAX = 4096, ALIGN = 64 };

bool fm_npy_is(const void *bytes, size_t n)
{
    return n >= MAGIC && memcmp(bytes, magic, MAGIC) == 0;
}

/* What stands behind 'key': in the header, or NULL. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);

    if (!at)
        return NULL;
    at += strlen(key);
    while (*at == ' ' || *at == ':')
        at++;
    return at;
}

static bool read_shape(const char *at, fm_npy *a)
{
    a->rank = 0;
    a->count = 1;
    if (!at || *at++ != '(')
        return false;
    for (;;) {
        char *end;
        long long d;

        while (*at == ' ' || *at == ',')
            at++;
        if (*at == ')')
            return true;
        if (!isdigit((unsigned char)*at) || a->rank == FM_NPY_RANK)
            return false;
        d = strtoll(at, &end, 10);
        if (d < 0 || (d > 0 && a->count > SIZE_MAX / 16 / (size_t)d))
            return false;
        a->dims[a->rank++] = d;
        a->count *= (size_t)d;
        at = end;
    }
}

static size_t element(fm_npy_type type)
{
    return type == FM_NPY_F32 ? 4 : 8;
}

static int read_header(const char *header, const char *name, fm_npy *a, fm_err *err)
{
    const char *type = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'");

    if (!type || !order || !read_shape(value_of(header, "'shape'"), a))
        return fm_fail(err, -EBADMSG, "%s: the header of this .npy file does not name its type, order and shape", name);
    if (strncmp(order, "False", 5) != 0)
        return fm_fail(err, -ENOTSUP, "%s: column-major; save it with numpy.ascontiguousarray", name);
    a->type = strncmp(type, "'<i8'", 5) == 0 ? FM_NPY_I64 : FM_NPY_F32;
    if (a->type == FM_NPY_F32 && strncmp(type, "'<f4'", 5) != 0)
        return fm_fail(err, -ENOTSUP, "%s: element type %.8s; supported are '<f4' (float32) and '<i8' (int64)", name, type);
    return 0;
}

int fm_npy_read(const void *bytes, size_t n, const char *name, fm_npy *out, fm_err *err)
{
    fm_reader r = fm_reader_init(bytes, n);
    const uint8_t *start = fm_reader_get(&r, MAGIC), *text;
    uint8_t major = fm_reader_u8(&r);
    char header[HEADER_MAX + 1];
    size_t length;
    fm_npy a;
    int rc;

    fm_reader_u8(&r);
    length = major == 1 ? fm_reader_u16(&r) : fm_reader_u32(&r);
    text = length <= HEADER_MAX ? fm_reader_get(&r, length) : NULL;
    if (!start || memcmp(start, magic, MAGIC) != 0 || major < 1 || major > 2 || !text)
        return fm_fail(err, -EBADMSG, "%s: not a .npy file of version 1 or 2, or cut short", name);
    memcpy(header, text, length);
    header[length] = '\0';
    if ((rc = read_header(header, name, &a, err)) != 0)
        return rc;
    if (fm_reader_left(&r) != a.count * element(a.type))
        return fm_fail(err, -EBADMSG, "%s: %zu bytes of numbers, expected %zu", name, fm_reader_left(&r),
                       a.count * element(a.type));
    a.data = r.at;
    *out = a;
    return 0;
}

void fm_npy_write(fm_npy_type type, int rank, const int64_t *dims, const void *data, fm_buf *out)
{
    fm_buf h = FM_BUF_INIT;
    size_t count = 1;

    fm_buf_printf(&h, "{'descr': '%s', 'fortran_order': False, 'shape': (", type == FM_NPY_F32 ? "<f4" : "<i8");
    for (int i = 0; i < rank; i++) {
        fm_buf_printf(&h, "%" PRId64 ",%s", dims[i], i + 1 < rank ? " " : "");
        count *= (size_t)dims[i];
    }
    fm_buf_printf(&h, "), }");
    while ((MAGIC + 4 + h.size + 1) % ALIGN)
        fm_buf_u8(&h, ' ');
    fm_buf_u8(&h, '\n');
    fm_buf_put(out, magic, MAGIC);
    fm_buf_u16(out, 1);
    fm_buf_u16(out, (uint16_t)h.size);
    fm_buf_put(out, h.data, h.size);
    fm_buf_put(out, data, count * element(type));
    out->failed |= h.failed;
    fm_buf_fini(&h);
}
