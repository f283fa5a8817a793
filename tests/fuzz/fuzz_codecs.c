/* Small codecs: what stores and runs keep, and what folds leave.  The first byte says which. */
#include <string.h>

#include "coordinator/learn/evaluation.h"
#include "proto/ask.h"
#include "proto/encoding.h"
#include "storage/photo.h"
#include "storage/record.h"
#include "tests/fuzz/fuzz.h"

#define ROWS 12
#define FOLDS 2

static void same(const fm_buf *in, const fm_buf *out)
{
    must(!out->failed && in->size == out->size && memcmp(in->data, out->data, in->size) == 0);
}

static void try_ask(const fm_buf *in, fm_buf *out)
{
    fm_ask ask;

    if (fm_ask_decode(in->data, in->size, &ask, NULL) != 0)
        return;
    fm_ask_encode(&ask, out);
    same(in, out);
}

/* Not always the same bytes: any number but 0 says that there is a mask. */
static void try_encoding(const fm_buf *in, fm_buf *out)
{
    fm_reader r = fm_reader_init(in->data, in->size);
    fm_encoding e, again;
    fm_buf second = FM_BUF_INIT;

    if (fm_encoding_decode(&r, &e, NULL) != 0)
        return;
    fm_encoding_encode(&e, out);
    r = fm_reader_init(out->data, out->size);
    must(fm_encoding_decode(&r, &again, NULL) == 0 && fm_reader_left(&r) == 0);
    fm_encoding_encode(&again, &second);
    same(out, &second);
    fm_buf_fini(&second);
}

static void try_photo(const fm_buf *in, fm_buf *out)
{
    fm_photo photo;

    if (fm_photo_decode(in->data, in->size, &photo, NULL) != 0)
        return;
    fm_photo_encode(&photo, out);
    same(in, out);
    fm_photo_fini(&photo);
}

static void try_code(const fm_buf *in, fm_buf *out)
{
    float codes[8 * 4];
    uint32_t faces, width;

    if (fm_code_shape(in->data, in->size, &faces, &width, NULL) != 0 || width > 4 ||
        fm_code_decode(in->data, in->size, width, 8, codes, &faces, NULL) != 0)
        return;
    must(faces <= 8);
    fm_code_encode(faces, width, codes, out);
    same(in, out);
}

/* A record's head is taken as it is, and its payload is what a good record around it gives back. */
static void try_record(const fm_buf *in, fm_buf *out)
{
    static const fm_digest key = {{0}};
    const void *payload;
    fm_digest hash;
    size_t n;

    fm_record_decode(in->data, in->size, FM_RECORD_PHOTO, &key, &payload, &n, &hash, NULL);
    fm_record_encode(FM_RECORD_CODE, &key, in->data, in->size, out);
    must(fm_record_decode(out->data, out->size, FM_RECORD_CODE, &key, &payload, &n, &hash, NULL) == 0);
    must(n == in->size && memcmp(payload, in->data, n) == 0);
}

/* The folds of a part, between the right head and the right digest. */
static void try_part(const fm_buf *in, fm_buf *out)
{
    static fm_plan_row rows[ROWS];
    uint8_t placed[FOLDS] = {0};
    fm_digest check;
    fm_evaluation e;
    fm_plan plan;

    fm_plan_init(&plan);
    plan.code_width = 2;
    plan.folds.folds = FOLDS;
    plan.bootstrap = 0;
    plan.head.kind = FM_HEAD_LOGISTIC;
    plan.n = ROWS;
    plan.rows = rows;
    for (uint32_t i = 0; i < ROWS; i++)
        rows[i] = (fm_plan_row){.sample = i, .subject = i, .label = (int32_t)(i % 2), .fold = -1};
    must(fm_evaluation_begin(&plan, &e, NULL) == 0);
    fm_evaluation_part_encode(&e, FOLDS, FOLDS, NULL, out);
    out->size -= FM_DIGEST_BYTES;
    fm_buf_put(out, in->data, in->size);
    fm_digest_of(out->data, out->size, &check);
    fm_buf_put(out, check.b, sizeof check.b);
    if (fm_evaluation_part_place(out->data, out->size, &e, placed, NULL) == 0 && placed[0] && placed[1])
        fm_evaluation_finish(&e, NULL, NULL);
    fm_evaluation_fini(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static void (*const kinds[])(const fm_buf *, fm_buf *) = {try_ask, try_encoding, try_photo, try_code, try_record,
                                                              try_part};
    fm_buf in = FM_BUF_INIT, out = FM_BUF_INIT;

    if (n < 2)
        return 0;
    fm_buf_put(&in, bytes + 1, n - 1);
    kinds[bytes[0] % (sizeof kinds / sizeof *kinds)](&in, &out);
    fm_buf_fini(&in);
    fm_buf_fini(&out);
    return 0;
}
