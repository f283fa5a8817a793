/* Only what the sampled faces' chips become is held: codes of every cell, once a node.  Chips are read, hidden and
 * encoded one face after the other.  Always: whatever fails on one rank is agreed on before the next collective call. */
#include "cluster/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cluster/explain_plan.h"
#include "cluster/rows.h"
#include "cluster/spread.h"
#include "cluster/stage.h"
#include "coordinator/learn/explain.h"
#include "worker/chip_points.h"
#include "worker/coder.h"
#include "worker/face/regions.h"
#include "worker/occlude.h"

#define PLAN_BYTES_MAX ((size_t)4 << 30)
#define CODE_BYTES_MAX ((uint64_t)8 << 30)

_Static_assert((int)FM_REGION_COUNT == FM_EXPLAIN_REGIONS, "every region has its column");
_Static_assert(FM_POINTS_MAX == FM_EXPLAIN_POINTS, "regions are drawn by 68 landmarks");

/* Landmarks of a face on its chip, in parts of the chip's side. */
typedef struct { double at[FM_POINTS_MAX][2]; } points;

typedef struct {
    fm_ranks on;
    const char *plan_path, *out_path;
    fm_explain_plan plan;
    fm_evaluation e;
    uint32_t *rows;                 /* [n], sampled */
    size_t n;
    fm_shared *shared[3];
    float *x;                       /* f32 [plan.n, code_width] */
    float *hidden;                  /* f32 [n, cells, code_width] */
    points *points;                 /* [n]; zeros where a face has no 68 landmarks */
    double weight[FM_EXPLAIN_REGIONS * FM_EXPLAIN_GRID_MAX * FM_EXPLAIN_GRID_MAX];
    fm_explain_view view;
    fm_explanation result;          /* rank 0's */
} stage;

static uint32_t cells_of(const stage *s)
{
    return s->plan.grid * s->plan.grid;
}

static size_t code_bytes(const stage *s)
{
    return (size_t)cells_of(s) * s->plan.plan.code_width * sizeof(float);
}

static int check_room(const stage *s, fm_err *err)
{
    if (s->n <= CODE_BYTES_MAX / code_bytes(s))
        return 0;
    return fm_fail(err, -EINVAL, "explain: codes of %zu faces, %u cells each, are more than 8 GiB: set explain: faces or grid "
                   "lower", s->n, cells_of(s));
}

static int get_plan(stage *s, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_rows_file(s->on.comm, s->plan_path, PLAN_BYTES_MAX, &bytes, err);

    if (rc == 0)
        rc = fm_explain_plan_decode(bytes.data, bytes.size, &s->plan, err);
    if (rc == 0)
        rc = fm_evaluation_begin(&s->plan.plan, &s->e, err);
    if (rc == 0)
        rc = fm_explain_choose(&s->plan.plan, &s->e, s->plan.faces, &s->rows, &s->n, err);
    if (rc == 0)
        rc = check_room(s, err);
    fm_buf_fini(&bytes);
    return fm_agree(s->on.comm, rc, err);
}

/* One face as it was encoded, with each cell hidden in turn.  room  chips and codes of a batch. */
typedef struct {
    uint8_t *chips;                 /* u8 [FM_CODER_BATCH, side, side, 3] */
    float *codes;                   /* f32 [FM_CODER_BATCH, fm_coder_width] */
    size_t chip_bytes;              /* of one; 0: none yet */
} room;

static int make_room(room *r, const fm_coder *coder, int side, fm_err *err)
{
    size_t each = 3 * (size_t)side * (size_t)side;

    if (r->chip_bytes == each)
        return 0;
    free(r->chips);
    free(r->codes);
    r->chip_bytes = each;
    r->chips = malloc(FM_CODER_BATCH * each);
    r->codes = malloc(FM_CODER_BATCH * fm_coder_width(coder) * sizeof *r->codes);
    return r->chips && r->codes ? 0 : fm_fail_nomem(err, "chips with a part hidden", FM_CODER_BATCH * each);
}

static int encode_face(const stage *s, fm_coder *coder, const fm_photo_face *face, int side, room *r, float *to, fm_err *err)
{
    const fm_plan *plan = &s->plan.plan;
    fm_coder_face faces[FM_CODER_BATCH];
    uint32_t cells = cells_of(s), count;
    size_t width = fm_coder_width(coder);
    int rc = make_room(r, coder, side, err);

    for (uint32_t first = 0; rc == 0 && first < cells; first += count) {
        count = cells - first < FM_CODER_BATCH ? cells - first : FM_CODER_BATCH;
        for (uint32_t k = 0; k < count; k++) {
            faces[k] = (fm_coder_face){r->chips + k * r->chip_bytes, face->mask};
            fm_occlude(face->chip, side, s->plan.grid, first + k, r->chips + k * r->chip_bytes);
        }
        rc = fm_coder_run(coder, faces, side, count, r->codes, NULL, err);
        for (uint32_t k = 0; rc == 0 && k < count; k++)
            memcpy(to + (size_t)(first + k) * plan->code_width, r->codes + k * width + plan->code_offset,
                   plan->code_width * sizeof *to);
    }
    return rc;
}

static int find_points(const stage *s, const fm_photo_face *face, int side, points *to, fm_err *err)
{
    int rc = face->n_points == FM_POINTS_MAX ? fm_chip_points(face, side, s->plan.chip_padding, to->at, err) : 0;

    for (int k = 0; rc == 0 && k < 2 * FM_POINTS_MAX; k++)
        to->at[k / 2][k % 2] /= side;
    return rc;
}

static int do_face(const stage *s, fm_store *store, fm_coder *coder, size_t i, room *r, float *codes, points *to, fm_err *err)
{
    const fm_plan_row *row = &s->plan.plan.rows[s->rows[i]];
    const fm_photo_face *face;
    fm_photo photo;
    int rc = fm_rows_photo(store, &s->plan.photo[s->rows[i]], row->sample, &photo, err);

    if (rc != 0)
        return rc;
    face = row->face < photo.n_faces ? &photo.faces[row->face] : NULL;
    if (!face || !face->chip)
        rc = fm_fail(err, -EBADMSG, "sample %u has no chip of face %u; build the study again", row->sample, row->face);
    if (rc == 0)
        rc = encode_face(s, coder, face, photo.chip_size, r, codes, err);
    if (rc == 0)
        rc = find_points(s, face, photo.chip_size, to, err);
    fm_photo_fini(&photo);
    return rc;
}

static int do_faces(const stage *s, const fm_models *models, size_t first, size_t count, float *codes, points *to, fm_err *err)
{
    fm_store *store = NULL;
    fm_coder *coder = NULL;
    room r = {NULL, NULL, 0};
    int rc = count ? fm_store_open(s->plan.plan.store_dir, &store, err) : 0;

    if (rc == 0)
        rc = fm_coder_create(&s->plan.encoding, models, &coder, err);
    if (rc == 0 && (uint64_t)s->plan.plan.code_offset + s->plan.plan.code_width > fm_coder_width(coder))
        rc = fm_fail(err, -EINVAL, "explain: codes of the encoder have %u columns, the plan asks for more", fm_coder_width(coder));
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = do_face(s, store, coder, first + i, &r, codes + i * (code_bytes(s) / sizeof *codes), &to[i], err);
    free(r.chips);
    free(r.codes);
    fm_coder_destroy(coder);
    fm_store_close(store);
    return rc;
}

static int encode(stage *s, const fm_models *models, fm_err *err)
{
    size_t first, count;
    void *hidden = NULL, *all = NULL;
    float *codes;
    points *mine;
    int rc;

    fm_share_of(s->n, s->on.rank, s->on.size, &first, &count);
    codes = malloc(count * code_bytes(s) + 1);
    mine = calloc(count + 1, sizeof *mine);
    rc = codes && mine ? do_faces(s, models, first, count, codes, mine, err)
                       : fm_fail_nomem(err, "codes of hidden cells", count * code_bytes(s));
    rc = fm_agree(s->on.comm, rc, err);
    if (rc == 0)
        rc = fm_rows_share(s->on.comm, codes, s->n, code_bytes(s), &s->shared[1], &hidden, err);
    if (rc == 0)
        rc = fm_rows_share(s->on.comm, mine, s->n, sizeof *mine, &s->shared[2], &all, err);
    s->hidden = hidden;
    s->points = all;
    free(codes);
    free(mine);
    return rc;
}

static int get_hidden(stage *s, fm_err *err)
{
    static fm_join join;        /* several paths long */
    const fm_models *models = NULL;
    fm_spread *spread = NULL;
    int rc;

    join.detector = s->plan.detector;
    join.landmarks = s->plan.landmarks;
    join.encoder = s->plan.encoder;
    join.encoding = s->plan.encoding;
    rc = fm_spread_models(s->on.comm, &join, &spread, &models, err);
    if (rc == 0)
        rc = encode(s, models, err);
    fm_spread_destroy(spread);
    return rc;
}

static int get(void *ctx, fm_err *err)
{
    stage *s = ctx;
    int rc = get_plan(s, err);

    if (rc == 0)
        rc = fm_rows_codes(s->on.comm, &s->plan.plan, &s->shared[0], &s->x, err);
    return rc == 0 ? get_hidden(s, err) : rc;
}

/* Landmarks of the mean face.  False: some face has no 68 of them. */
static bool mean_points(const stage *s, points *mean)
{
    const points none = {.at = {{0}}};

    memset(mean, 0, sizeof *mean);
    for (size_t i = 0; i < s->n; i++) {
        if (memcmp(&s->points[i], &none, sizeof none) == 0)
            return false;
        for (int k = 0; k < 2 * FM_POINTS_MAX; k++)
            mean->at[k / 2][k % 2] += s->points[i].at[k / 2][k % 2] / (double)s->n;
    }
    return true;
}

#define RASTER 150      /* pixels a side on which regions are laid; cells are larger by far */

/* Of each region, what part of what is hidden of it each cell hides. */
static void weigh(stage *s, const points *mean)
{
    static double on_raster[FM_POINTS_MAX][2];
    static uint8_t region[RASTER * RASTER];
    uint32_t cells = cells_of(s);

    for (int k = 0; k < 2 * FM_POINTS_MAX; k++)
        on_raster[k / 2][k % 2] = mean->at[k / 2][k % 2] * RASTER;
    fm_regions_fill((const double (*)[2])on_raster, RASTER, region);
    memset(s->weight, 0, sizeof s->weight);
    for (uint32_t k = 0; k < cells; k++)
        for (int i = 0; i < RASTER * RASTER; i++)
            s->weight[region[i] * cells + k] += fm_occlude_share(RASTER, s->plan.grid, k, i % RASTER, i / RASTER);
    for (uint32_t r = 0; r < FM_EXPLAIN_REGIONS; r++) {
        double sum = 0;

        for (uint32_t k = 0; k < cells; k++)
            sum += s->weight[r * cells + k];
        for (uint32_t k = 0; sum > 0 && k < cells; k++)
            s->weight[r * cells + k] /= sum;
    }
}

/* Task 0, which is always rank 0's: the study's own labels. */
static int run_task(void *ctx, size_t task, void *out, fm_err *err)
{
    stage *s = ctx;

    return task == 0 ? fm_explain_study(&s->view, s->plan.grid, &s->result, err)
                     : fm_explain_permutation(&s->view, (uint32_t)task, out, err);
}

static int write_result(stage *s, const fm_explain_peak *peaks, const points *mean, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = fm_explain_conclude(&s->result, peaks + 1, s->plan.permutations, err);

    if (rc == 0)
        rc = fm_explain_plan_digest(&s->plan, &s->result.plan, err);
    if (s->view.regions)
        memcpy(s->result.points, mean->at, sizeof s->result.points);
    if (rc == 0) {
        fm_explanation_encode(&s->result, &b);
        rc = b.failed ? fm_fail_nomem(err, "explanation", b.size) : fm_file_write(s->out_path, b.data, b.size, err);
    }
    fm_buf_fini(&b);
    return rc;
}

static int work(void *ctx, fm_err *err)
{
    stage *s = ctx;
    size_t n = 1 + (size_t)s->plan.permutations;
    fm_explain_peak *peaks = calloc(n, sizeof *peaks);
    points mean;
    bool regions = mean_points(s, &mean);
    int rc = fm_agree(s->on.comm, peaks ? 0 : fm_fail_nomem(err, "permutations", n * sizeof *peaks), err);

    if (regions)
        weigh(s, &mean);
    s->view = (fm_explain_view){.plan = &s->plan.plan, .e = &s->e, .x = s->x, .rows = s->rows, .n = s->n,
                                .cells = cells_of(s), .hidden = s->hidden, .regions = regions ? FM_EXPLAIN_REGIONS : 0,
                                .weight = s->weight};
    if (rc == 0)
        rc = fm_stage_deal(&s->on, n, sizeof *peaks, run_task, s, peaks, err);
    if (rc == 0 && s->on.rank == 0)
        rc = write_result(s, peaks, &mean, err);
    free(peaks);
    return fm_agree(s->on.comm, rc, err);
}

static void fini(void *ctx)
{
    stage *s = ctx;

    for (int i = 0; i < 3; i++)
        fm_shared_destroy(s->shared[i]);
    fm_explanation_fini(&s->result);
    fm_evaluation_fini(&s->e);
    fm_explain_plan_fini(&s->plan);
    free(s->rows);
}

int fm_explain_main(const char *plan_path, const char *out_path)
{
    static const fm_stage_course course = {"explain", get, work, fini};
    static stage s;             /* several paths long */

    s.plan_path = plan_path;
    s.out_path = out_path;
    return fm_stage_run(&course, &s.on, &s);
}
