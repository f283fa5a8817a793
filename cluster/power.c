/* Drawings of a planted effect, over ranks; the same ones at each size, so that sizes differ in nothing else. */
#include "cluster/power.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cluster/rows.h"
#include "cluster/spread.h"
#include "cluster/stage.h"
#include "worker/net/encoder.h"
#include "worker/plant.h"

#define MAGIC 0x57504d46u       /* "FMPW" */
#define PLAN_BYTES_MAX ((size_t)4 << 30)
#define CHIP_BYTES ((size_t)FM_ENCODER_CHIP * FM_ENCODER_CHIP * 3)

typedef struct {
    fm_ranks on;
    const char *plan_path, *out_path;
    fm_power_plan plan;
    size_t first, count;                    /* this rank's rows */
    uint8_t *chips;                         /* u8 [count, CHIP_BYTES] */
    fm_shared *shared[FM_POWER_SIZES];
    float *codes[FM_POWER_SIZES];           /* f32 [n, code_width] */
} stage;

void fm_power_plan_encode(const fm_power_plan *p, fm_buf *out)
{
    fm_buf_u32(out, MAGIC);
    fm_buf_u8(out, p->effect);
    fm_buf_u32(out, p->seeds);
    for (int i = 0; i < FM_POWER_SIZES; i++)
        fm_buf_f64(out, p->size[i]);
    fm_join_model_encode(&p->detector, out);
    fm_join_model_encode(&p->landmarks, out);
    fm_join_model_encode(&p->encoder, out);
    fm_audit_plan_encode(&p->rows, out);
}

int fm_power_plan_decode(const void *bytes, size_t n, fm_power_plan *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n);
    uint32_t magic = fm_reader_u32(&in);

    memset(out, 0, sizeof *out);
    out->effect = fm_reader_u8(&in);
    out->seeds = fm_reader_u32(&in);
    for (int i = 0; i < FM_POWER_SIZES; i++)
        out->size[i] = fm_reader_f64(&in);
    fm_join_model_decode(&in, &out->detector);
    fm_join_model_decode(&in, &out->landmarks);
    fm_join_model_decode(&in, &out->encoder);
    if (in.failed || magic != MAGIC || out->effect >= FM_PLANT_COUNT || out->seeds < 1 || out->seeds > FM_POWER_SEEDS_MAX)
        return fm_fail(err, -EBADMSG, "not a power plan of this version");
    return fm_audit_plan_decode(in.at, fm_reader_left(&in), &out->rows, err);
}

static int get_plan(stage *s, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_rows_file(s->on.comm, s->plan_path, PLAN_BYTES_MAX, &bytes, err);

    if (rc == 0)
        rc = fm_power_plan_decode(bytes.data, bytes.size, &s->plan, err);
    fm_buf_fini(&bytes);
    return fm_agree(s->on.comm, rc, err);
}

static int read_chip(const stage *s, fm_store *store, size_t i, uint8_t *to, fm_err *err)
{
    const fm_plan_row *row = &s->plan.rows.plan.rows[i];
    fm_photo photo;
    int rc = fm_rows_photo(store, &s->plan.rows.photo[i], row->sample, &photo, err);

    if (rc != 0)
        return rc;
    if (row->face < photo.n_faces && photo.chip_size == FM_ENCODER_CHIP && photo.faces[row->face].chip)
        memcpy(to, photo.faces[row->face].chip, CHIP_BYTES);
    else
        rc = fm_fail(err, -EBADMSG, "sample %u has no chip of face %u; build the study again", row->sample, row->face);
    fm_photo_fini(&photo);
    return rc;
}

static int read_chips(stage *s, fm_err *err)
{
    fm_store *store = NULL;
    int rc = 0;

    fm_share_of(s->plan.rows.plan.n, s->on.rank, s->on.size, &s->first, &s->count);
    if (!(s->chips = malloc(s->count * CHIP_BYTES + 1)))
        rc = fm_fail_nomem(err, "chips", s->count * CHIP_BYTES);
    if (rc == 0 && s->count)
        rc = fm_store_open(s->plan.rows.plan.store_dir, &store, err);
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        rc = read_chip(s, store, s->first + i, s->chips + i * CHIP_BYTES, err);
    fm_store_close(store);
    return fm_agree(s->on.comm, rc, err);
}

/* This rank's chips with one size planted, to their columns of the study's codes. */
static int encode(const stage *s, fm_encoder *encoder, double size, float *to, fm_err *err)
{
    uint8_t *planted = malloc(FM_ENCODER_BATCH * CHIP_BYTES);
    const fm_plan *plan = &s->plan.rows.plan;
    float codes[FM_ENCODER_BATCH][FM_ENCODER_WIDTH];
    const uint8_t *chip[FM_ENCODER_BATCH];
    int rc = planted ? 0 : fm_fail_nomem(err, "planted chips", FM_ENCODER_BATCH * CHIP_BYTES);

    for (size_t i = 0; rc == 0 && i < s->count; i += FM_ENCODER_BATCH) {
        size_t n = s->count - i < FM_ENCODER_BATCH ? s->count - i : FM_ENCODER_BATCH;

        for (size_t k = 0; k < n; k++) {
            chip[k] = planted + k * CHIP_BYTES;
            fm_plant((fm_plant_effect)s->plan.effect, size, s->chips + (i + k) * CHIP_BYTES, FM_ENCODER_CHIP,
                     planted + k * CHIP_BYTES);
        }
        rc = fm_encoder_run(encoder, chip, n, codes[0], err);
        for (size_t k = 0; rc == 0 && k < n; k++)
            memcpy(to + (i + k) * plan->code_width, codes[k] + plan->code_offset, plan->code_width * sizeof *to);
    }
    free(planted);
    return rc;
}

static int encode_all(stage *s, fm_encoder *encoder, fm_err *err)
{
    size_t row_bytes = s->plan.rows.plan.code_width * sizeof(float);
    float *mine = malloc(s->count * row_bytes + 1);
    int rc = fm_agree(s->on.comm, mine ? 0 : fm_fail_nomem(err, "codes", s->count * row_bytes), err);

    for (int i = 0; rc == 0 && i < FM_POWER_SIZES; i++) {
        void *matrix = NULL;

        rc = fm_agree(s->on.comm, encode(s, encoder, s->plan.size[i], mine, err), err);
        if (rc == 0)
            rc = fm_rows_share(s->on.comm, mine, s->plan.rows.plan.n, row_bytes, &s->shared[i], &matrix, err);
        s->codes[i] = matrix;
    }
    free(mine);
    return rc;
}

static int get_codes(stage *s, fm_err *err)
{
    static fm_join join;        /* several paths long */
    const fm_models *models = NULL;
    fm_spread *spread = NULL;
    int rc;

    join.detector = s->plan.detector;
    join.landmarks = s->plan.landmarks;
    join.encoder = s->plan.encoder;
    rc = fm_spread_models(s->on.comm, &join, &spread, &models, err);
    if (rc == 0)
        rc = encode_all(s, fm_models_encoder(models), err);
    fm_spread_destroy(spread);
    return rc;
}

static int get(void *ctx, fm_err *err)
{
    stage *s = ctx;
    int rc = get_plan(s, err);

    if (rc == 0)
        rc = read_chips(s, err);
    return rc == 0 ? get_codes(s, err) : rc;
}

static int run_task(void *ctx, size_t task, void *out, fm_err *err)
{
    const stage *s = ctx;

    return fm_audit_halves(&s->plan.rows.plan, s->plan.rows.stratum, s->codes[0], s->codes[task / s->plan.seeds],
                           task % s->plan.seeds, out, err);
}

static int write_result(const char *path, const fm_audit_figure *v, size_t n, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    for (size_t i = 0; i < n; i++) {
        fm_buf_f64(&b, v[i].auc);
        fm_buf_f64(&b, v[i].low);
        fm_buf_f64(&b, v[i].high);
        fm_buf_f64(&b, v[i].subjects);
    }
    rc = b.failed ? fm_fail_nomem(err, path, b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

static int work(void *ctx, fm_err *err)
{
    stage *s = ctx;
    size_t n = (size_t)FM_POWER_SIZES * s->plan.seeds;
    fm_audit_figure *all = calloc(n, sizeof *all);
    int rc = fm_agree(s->on.comm, all ? 0 : fm_fail_nomem(err, "figures", n * sizeof *all), err);

    if (rc == 0)
        rc = fm_stage_deal(&s->on, n, sizeof *all, run_task, s, all, err);
    if (rc == 0 && s->on.rank == 0)
        rc = write_result(s->out_path, all, n, err);
    free(all);
    return fm_agree(s->on.comm, rc, err);
}

static void fini(void *ctx)
{
    stage *s = ctx;

    for (int i = 0; i < FM_POWER_SIZES; i++)
        fm_shared_destroy(s->shared[i]);
    fm_audit_plan_fini(&s->plan.rows);
    free(s->chips);
}

int fm_power_main(const char *plan_path, const char *out_path)
{
    static const fm_stage_course course = {"power", get, work, fini};
    static stage s;             /* several paths long */

    s.plan_path = plan_path;
    s.out_path = out_path;
    return fm_stage_run(&course, &s.on, &s);
}
