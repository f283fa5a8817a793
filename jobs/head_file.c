/* The recipe stands in the file as a whole and not as a digest only, so that new
 * photographs can be treated alike without the study file; its digest stands beside
 * it and must be the recipe's own.  Always: sizes are compared with the bytes that
 * are left before memory is asked for. */
#include "jobs/head_file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MAGIC 0x46484d46u       /* "FMHF" */
#define VERSION 2               /* version 1 knew dlib's encoder only, and no mask */
#define FILE_MAX ((size_t)1 << 32)

void fm_head_file_fini(fm_head_file *f)
{
    for (uint32_t i = 0; f->classes && i < f->n_classes; i++)
        free(f->classes[i]);
    free(f->classes);
    fm_head_destroy(f->head);
    memset(f, 0, sizeof *f);
}

void fm_head_file_encode(const fm_head_file *f, fm_buf *out)
{
    size_t start = out->size;
    fm_digest d;

    fm_buf_u32(out, MAGIC);
    fm_buf_u32(out, VERSION);
    fm_buf_str(out, f->study);
    fm_buf_put(out, f->study_digest.b, FM_DIGEST_BYTES);
    fm_recipe_encode(&f->recipe, out);
    if (fm_recipe_digest(&f->recipe, &d, NULL) != 0)
        out->failed = true;
    fm_buf_put(out, d.b, FM_DIGEST_BYTES);
    fm_buf_str(out, f->encoder);
    fm_encoding_encode(&f->encoding, out);
    fm_buf_u32(out, f->code_offset);
    fm_buf_u32(out, f->code_width);
    fm_buf_f64(out, isnan(f->threshold) ? (double)NAN : f->threshold);
    fm_buf_u32(out, f->n_classes);
    for (uint32_t i = 0; i < f->n_classes; i++)
        fm_buf_str(out, f->classes[i]);
    fm_head_encode(f->head, out);
    if (out->failed)
        return;
    fm_digest_of(out->data + start, out->size - start, &d);
    fm_buf_put(out, d.b, FM_DIGEST_BYTES);
}

static void get_digest(fm_reader *in, fm_digest *out)
{
    const uint8_t *b = fm_reader_get(in, FM_DIGEST_BYTES);

    if (b)
        memcpy(out->b, b, FM_DIGEST_BYTES);
}

/* A string of any length; NULL when it is cut short, holds a NUL, or memory runs out (then *nomem). */
static char *get_text(fm_reader *in, bool *nomem)
{
    uint32_t n = fm_reader_u32(in);
    const uint8_t *b = fm_reader_get(in, n);
    char *s;

    if (!b || memchr(b, 0, n))
        return NULL;
    s = malloc((size_t)n + 1);
    if (!s) {
        *nomem = true;
        return NULL;
    }
    memcpy(s, b, n);
    s[n] = '\0';
    return s;
}

static int get_classes(fm_reader *in, fm_head_file *f, fm_err *err)
{
    uint32_t n = fm_reader_u32(in);
    bool nomem = false;

    if (in->failed || n > fm_reader_left(in) / 4)
        return -EBADMSG;
    f->classes = calloc((size_t)n + 1, sizeof *f->classes);
    if (!f->classes)
        return fm_fail_nomem(err, "names of classes", n * sizeof *f->classes);
    for (f->n_classes = 0; f->n_classes < n; f->n_classes++)
        if (!(f->classes[f->n_classes] = get_text(in, &nomem)))
            return nomem ? fm_fail_nomem(err, "name of a class", 0) : -EBADMSG;
    return 0;
}

/* Everything up to the head itself. */
static int get_origin(fm_reader *in, uint32_t version, fm_head_file *f, fm_err *err)
{
    fm_digest stated, own;
    int rc;

    fm_reader_str(in, f->study, sizeof f->study);
    get_digest(in, &f->study_digest);
    if (fm_recipe_decode(in, &f->recipe, NULL) != 0)
        return -EBADMSG;
    memset(&stated, 0, sizeof stated);
    get_digest(in, &stated);
    if ((rc = fm_recipe_digest(&f->recipe, &own, err)) != 0)
        return rc;
    fm_reader_str(in, f->encoder, sizeof f->encoder);
    if (version == 1)
        get_digest(in, &f->encoding.model);
    else if (fm_encoding_decode(in, &f->encoding, NULL) != 0)
        return -EBADMSG;
    f->code_offset = fm_reader_u32(in);
    f->code_width = fm_reader_u32(in);
    f->threshold = fm_reader_f64(in);
    if (in->failed || !fm_digest_equal(&stated, &own))
        return -EBADMSG;
    return get_classes(in, f, err);
}

int fm_head_file_decode(const void *bytes, size_t n, fm_head_file *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n < FM_DIGEST_BYTES ? 0 : n - FM_DIGEST_BYTES);
    uint32_t magic = fm_reader_u32(&in), version = fm_reader_u32(&in);
    fm_head_file f = {.n_classes = 0};
    fm_digest d;
    int rc;

    if (in.failed || magic != MAGIC || version < 1 || version > VERSION)
        return fm_fail(err, -EBADMSG, "not a head file of version 1 to %u; train again", VERSION);
    fm_digest_of(bytes, n - FM_DIGEST_BYTES, &d);
    rc = memcmp(d.b, (const uint8_t *)bytes + n - FM_DIGEST_BYTES, FM_DIGEST_BYTES) == 0 ? get_origin(&in, version, &f, err)
                                                                                        : -EBADMSG;
    if (rc == 0)
        rc = fm_head_decode(in.at, fm_reader_left(&in), &f.head, err);
    if (rc == 0 && ((uint32_t)fm_head_classes(f.head) != f.n_classes || fm_head_width(f.head) != f.code_width))
        rc = -EBADMSG;
    if (rc == -EBADMSG)
        fm_fail(err, rc, "damaged head file; train again");
    if (rc != 0)
        fm_head_file_fini(&f);
    else
        *out = f;
    return rc;
}

int fm_head_file_write(const fm_head_file *f, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_head_file_encode(f, &b);
    rc = b.failed ? fm_fail_nomem(err, "head file", b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

int fm_head_file_read(const char *path, fm_head_file *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = fm_file_read(path, FILE_MAX, &b, err);

    if (rc == 0 && (rc = fm_head_file_decode(b.data, b.size, out, err)) != 0)
        fm_fail_in(err, rc, "%s", path);
    fm_buf_fini(&b);
    return rc;
}

static int fail_differs(const char *what, const fm_digest *want, const fm_digest *got, fm_err *err)
{
    char a[FM_DIGEST_HEX], b[FM_DIGEST_HEX];

    fm_digest_hex(want, a);
    fm_digest_hex(got, b);
    return fm_fail(err, -EINVAL, "the head was trained on codes of %s %s, these are of %s: it says nothing of them; train "
                   "on such codes, or use what it was trained with", what, a, b);
}

int fm_head_file_fits(const fm_head_file *f, const fm_recipe *recipe, const fm_encoding *encoding,
                      uint32_t code_offset, uint32_t code_width, fm_err *err)
{
    fm_digest mine, theirs;
    int rc = fm_recipe_digest(&f->recipe, &mine, err);

    if (rc == 0)
        rc = fm_recipe_digest(recipe, &theirs, err);
    if (rc != 0)
        return rc;
    if (!fm_digest_equal(&mine, &theirs))
        return fail_differs("recipe", &mine, &theirs, err);
    rc = fm_encoding_digest(&f->encoding, &mine, err);
    if (rc == 0)
        rc = fm_encoding_digest(encoding, &theirs, err);
    if (rc != 0)
        return rc;
    if (!fm_digest_equal(&mine, &theirs))
        return fail_differs("encoder", &mine, &theirs, err);
    if (f->code_offset != code_offset || f->code_width != code_width)
        return fm_fail(err, -EINVAL, "the head was trained on columns %u to %u of codes, these are columns %u to %u: "
                       "choose the same encoder code (pooled, embedding)", f->code_offset,
                       f->code_offset + f->code_width - 1, code_offset, code_offset + code_width - 1);
    return 0;
}
