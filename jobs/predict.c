/* predict: a trained head on new photographs.
 *
 * The photographs go through what made the training codes: the recipe and encoder
 * come from the head file, and models with other digests are refused.  It is done
 * in this process, threads taking the next photograph each; nothing is stored, as
 * patients' photographs that are only asked about should leave no trace.  Rejected:
 * a build with a store of its own, which is worth its while from some ten thousand
 * photographs on; those are a study.  Always: rows in the order of file names,
 * whatever the number of threads. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/options.h"
#include "base/text.h"
#include "jobs/head_file.h"
#include "jobs/import.h"
#include "jobs/model_list.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"
#include "worker/coder.h"
#include "worker/net/encoder.h"
#include "worker/preprocess.h"

#define DEPTH_MAX 32
#define MODELS 4
#define THREADS_MAX 256

/* One photograph: where it is, and what is said of it. */
typedef struct {
    char *file;             /* relative to the folder or archive */
    fm_reason reason;
    char detail[160];
    uint32_t n_faces;
    double *prob;           /* f64 [n_faces, classes] */
} row;

typedef struct {
    const char *dir, *encoder;      /* encoder: the ONNX file; NULL: not given */
    const fm_head_file *head;
    void *models;           /* packed, 64-byte aligned */
    size_t models_size;
    row *rows;
    size_t n;
    atomic_size_t next;
    atomic_int failed;      /* the first thread's code that failed; the others then end */
    fm_err *err;
    pthread_mutex_t lock;   /* over err */
} job;

static int add_row(job *j, const char *file, fm_err *err)
{
    if ((j->n & (j->n - 1)) == 0) {     /* powers of two: the list is full */
        row *v = realloc(j->rows, (j->n ? 2 * j->n : 1) * sizeof *v);

        if (!v)
            return fm_fail_nomem(err, "photographs", j->n * sizeof *v);
        j->rows = v;
    }
    j->rows[j->n] = (row){.file = strdup(file)};
    return j->rows[j->n].file ? (j->n++, 0) : fm_fail_nomem(err, "file name", strlen(file));
}

/* All files of a folder and those below it, hidden ones passed over; a tar or zip file is such a folder. */
static int list(job *j, const char *below, int depth, fm_err *err)
{
    char path[FM_PATH_MAX], name[FM_PATH_MAX];
    fm_names names = {NULL, 0};
    int rc = fm_path_join(path, sizeof path, j->dir, below, err);

    if (rc != 0)
        return rc;
    if (depth > DEPTH_MAX)
        return fm_fail(err, -ELOOP, "%s: folders lie more than %d deep; is a link leading back?", path, DEPTH_MAX);
    rc = fm_names_list(path, &names, err);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        rc = fm_path_join(name, sizeof name, below, names.v[i], err);
        if (rc == 0)
            rc = fm_path_join(path, sizeof path, j->dir, name, err);
        if (rc == 0)
            rc = fm_is_folder(path) ? list(j, name, depth + 1, err) : add_row(j, name, err);
    }
    fm_names_fini(&names);
    return rc;
}

static int by_file(const void *a, const void *b)
{
    return strcmp(((const row *)a)->file, ((const row *)b)->file);
}

typedef struct {
    fm_models *models;
    fm_preprocessor *preprocessor;
    fm_coder *coder;
} tools;

static int tools_init(tools *t, const job *j, fm_err *err)
{
    int rc = fm_models_open(j->models, j->models_size, &t->models, err);

    if (rc == 0)
        rc = fm_preprocessor_create(&j->head->recipe, t->models, &t->preprocessor, err);
    return rc == 0 ? fm_coder_create(&j->head->encoding, t->models, &t->coder, err) : rc;
}

static void tools_fini(tools *t)
{
    fm_preprocessor_destroy(t->preprocessor);
    fm_coder_destroy(t->coder);
    fm_models_close(t->models);
}

/* The probabilities of every face that was kept. */
static int score(const job *j, tools *t, const fm_photo *photo, row *r, fm_err *err)
{
    const fm_head_file *h = j->head;
    size_t n = photo->n_faces, width = fm_coder_width(t->coder);
    fm_coder_face *faces = malloc((n + 1) * sizeof *faces);
    float *codes = malloc((n + 1) * width * sizeof *codes);
    fm_codes view = {.stride = width, .d = h->code_width, .n = n};
    int rc;

    r->prob = malloc((n + 1) * h->n_classes * sizeof *r->prob);
    if (!faces || !codes || !r->prob) {
        rc = fm_fail_nomem(err, "codes of a photograph", n * width * sizeof *codes);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        faces[i] = (fm_coder_face){photo->faces[i].chip, photo->faces[i].mask};
    rc = fm_coder_run(t->coder, faces, photo->chip_size, n, codes, NULL, err);
    view.x = codes + h->code_offset;
    if (rc == 0)
        rc = fm_head_score(h->head, &view, r->prob, err);
    if (rc == 0)
        r->n_faces = photo->n_faces;
done:
    free(faces);
    free(codes);
    return rc;
}

static int predict(const job *j, tools *t, row *r, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf bytes = FM_BUF_INIT;
    fm_photo photo = FM_PHOTO_INIT;
    int rc = fm_path_join(path, sizeof path, j->dir, r->file, err);

    if (rc != 0)
        return rc;
    rc = fm_file_read(path, j->head->recipe.max_bytes, &bytes, NULL);
    if (rc == -ENOMEM) {
        rc = fm_fail_nomem(err, "a photograph's bytes", bytes.size);
    } else if (rc != 0) {
        r->reason = rc == -EFBIG ? FM_TOO_LARGE : FM_UNREADABLE;
        rc = 0;
    } else if ((rc = fm_preprocess(t->preprocessor, bytes.data, bytes.size, &photo, err)) == 0) {
        r->reason = photo.reason;
        memcpy(r->detail, photo.detail, sizeof r->detail);
        if (photo.reason == FM_USED)
            rc = score(j, t, &photo, r, err);
        fm_photo_fini(&photo);
    }
    fm_buf_fini(&bytes);
    return rc == 0 ? 0 : fm_fail_in(err, rc, "%s", path);
}

static void *work(void *arg)
{
    job *j = arg;
    tools t = {NULL, NULL, NULL};
    fm_err err = FM_ERR_INIT;
    int rc = tools_init(&t, j, &err), none = 0;
    size_t i;

    while (rc == 0 && !j->failed && !*fm_stop_flag() && (i = atomic_fetch_add(&j->next, 1)) < j->n)
        rc = predict(j, &t, &j->rows[i], &err);
    if (rc != 0 && atomic_compare_exchange_strong(&j->failed, &none, rc)) {
        pthread_mutex_lock(&j->lock);
        *j->err = err;
        pthread_mutex_unlock(&j->lock);
    }
    tools_fini(&t);
    return NULL;
}

/* This thread is one of them. */
static int run(job *j, int64_t threads, fm_err *err)
{
    pthread_t thread[THREADS_MAX];
    int64_t started = 0;

    j->err = err;
    while (started + 1 < threads && (size_t)started + 1 < j->n && pthread_create(&thread[started], NULL, work, j) == 0)
        started++;
    work(j);
    for (int64_t i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (j->failed)
        return j->failed;
    return *fm_stop_flag() ? fm_fail(err, -EINTR, "predict: stopped; nothing was written") : 0;
}

static void put_header(const fm_head_file *h, fm_buf *b)
{
    fm_buf_printf(b, "file\tface\tstatus\treason\tdetail");
    for (uint32_t c = 0; c < h->n_classes; c++) {
        fm_buf_printf(b, "\tp_");
        fm_tsv_field(b, h->classes[c]);
    }
    fm_buf_printf(b, "\tprediction\n");
}

static void put_face(const fm_head_file *h, const row *r, uint32_t face, fm_buf *b)
{
    const double *prob = r->prob ? r->prob + (size_t)face * h->n_classes : NULL;
    uint32_t most = 0;

    fm_tsv_field(b, r->file);
    if (r->reason == FM_USED)
        fm_buf_printf(b, "\t%u\tused\t\t", face);
    else
        fm_buf_printf(b, "\t\tleft_out\t%s\t", fm_reason_name(r->reason));
    fm_tsv_field(b, r->detail);
    for (uint32_t c = 0; c < h->n_classes; c++) {
        fm_buf_u8(b, '\t');
        if (r->reason != FM_USED)
            continue;
        fm_buf_printf(b, "%.17g", prob[c]);
        most = prob[c] > prob[most] ? c : most;
    }
    if (r->reason == FM_USED && h->n_classes == 2 && !isnan(h->threshold))
        most = prob[1] >= h->threshold;
    fm_buf_u8(b, '\t');
    if (r->reason == FM_USED)
        fm_tsv_field(b, h->classes[most]);
    fm_buf_u8(b, '\n');
}

static int put_table(const job *j, const char *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = 0;

    put_header(j->head, &b);
    for (size_t i = 0; i < j->n; i++)
        for (uint32_t f = 0; f < (j->rows[i].n_faces ? j->rows[i].n_faces : 1); f++)
            put_face(j->head, &j->rows[i], f, &b);
    if (b.failed)
        rc = fm_fail_nomem(err, "predictions", b.size);
    else if (out)
        rc = fm_file_write(out, b.data, b.size, err);
    else if (fwrite(b.data, 1, b.size, stdout) != b.size || fflush(stdout) != 0)
        rc = fm_fail(err, -EIO, "cannot write the predictions to standard output");
    fm_buf_fini(&b);
    return rc;
}

static int pack(job *j, const fm_buf file[MODELS], fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = fm_models_pack(&(fm_model_files){file[0].data, file[1].data, file[2].data, file[3].data, file[0].size,
                                              file[1].size, file[2].size, file[3].size}, fm_cpu_isa(), &b, err);

    if (rc == 0) {
        j->models = aligned_alloc(64, (b.size + 63) / 64 * 64);
        j->models_size = b.size;
        if (j->models)
            memcpy(j->models, b.data, b.size);
        else
            rc = fm_fail_nomem(err, "models", b.size);
    }
    fm_buf_fini(&b);
    return rc;
}

/* The ONNX file that the user names. */
static int get_encoder(const job *j, const fm_head_file *h, fm_buf *file, fm_digest *sha256, fm_err *err)
{
    int rc;

    if (!j->encoder)
        return fm_fail(err, -EINVAL, "the head was trained on codes of %s; say where that file is: --encoder FILE.onnx",
                       h->encoder);
    rc = fm_file_read(j->encoder, FM_MODEL_BYTES_MAX, file, err);
    if (rc == 0)
        fm_sha256_of(file->data, file->size, sha256);
    return rc;
}

static int get_listed(const fm_model_list *all, const char *name, fm_buf *file, fm_digest *sha256, fm_err *err)
{
    const fm_model_entry *model;
    int rc = fm_model_need(all, name, &model, err);

    if (rc == 0)
        rc = fm_model_check(model, err);
    if (rc == 0)
        rc = fm_file_read(model->path, FM_MODEL_BYTES_MAX, file, err);
    if (rc == 0)
        *sha256 = model->sha256;
    return rc;
}

/* Models by the digests that the head file names.  A model of another digest is as good as none. */
static int get_models(job *j, const fm_head_file *h, fm_err *err)
{
    bool onnx = h->encoding.kind == FM_ENCODER_ONNX;
    const char *names[MODELS] = {"dlib-hog", h->recipe.landmarks == 5 ? "dlib-landmarks-5" : "dlib-landmarks-68",
                                 onnx ? NULL : h->encoder, h->recipe.mask ? "portrait" : NULL};
    fm_recipe here = h->recipe;
    fm_encoding encoding = h->encoding;
    fm_digest *sha256[MODELS] = {&here.detector_model, &here.landmarks_model, &encoding.model, &here.mask_model};
    fm_buf file[MODELS] = {FM_BUF_INIT, FM_BUF_INIT, FM_BUF_INIT, FM_BUF_INIT};
    fm_model_list *all = malloc(sizeof *all);
    int rc = all ? fm_model_list_read(all, err) : fm_fail_nomem(err, "list of models", sizeof *all);

    for (int i = 0; rc == 0 && i < MODELS; i++)
        if (names[i])
            rc = get_listed(all, names[i], &file[i], sha256[i], err);
    if (rc == 0 && onnx)
        rc = get_encoder(j, h, &file[2], &encoding.model, err);
    if (rc == 0)
        rc = fm_head_file_fits(h, &here, &encoding, h->code_offset, h->code_width, err);
    if (rc == 0 && !onnx && (size_t)h->code_offset + h->code_width > FM_ENCODER_WIDTH)
        rc = fm_fail(err, -EINVAL, "the head takes columns %u to %u of codes, encoder %s gives %d", h->code_offset,
                     h->code_offset + h->code_width - 1, h->encoder, FM_ENCODER_WIDTH);
    if (rc == 0)
        rc = pack(j, file, err);
    for (int i = 0; i < MODELS; i++)
        fm_buf_fini(&file[i]);
    free(all);
    return rc;
}

static int predict_all(const char *head_path, job *j, int64_t threads, const char *out, fm_err *err)
{
    fm_head_file head = {.n_classes = 0};
    int rc = fm_head_file_read(head_path, &head, err), status = FM_EXIT_INPUT;

    if (rc == 0)
        rc = get_models(j, &head, err);
    if (rc == 0)
        rc = list(j, "", 0, err);
    if (rc == 0 && j->n == 0)
        rc = fm_fail(err, -ENOENT, "%s: no file is there", j->dir);
    if (rc == 0) {
        qsort(j->rows, j->n, sizeof *j->rows, by_file);
        j->head = &head;
        status = FM_EXIT_FAILED;
        rc = run(j, threads, err);
    }
    if (rc == 0)
        rc = put_table(j, out, err);
    for (size_t i = 0; i < j->n; i++) {
        free(j->rows[i].file);
        free(j->rows[i].prob);
    }
    free(j->rows);
    free(j->models);
    fm_head_file_fini(&head);
    return rc == 0 ? FM_EXIT_DONE : rc == -EINTR ? FM_EXIT_STOPPED : rc == -ENOMEM ? FM_EXIT_FAILED : status;
}

int fm_verb_predict(int argc, char **argv)
{
    static job j = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const char *head = NULL, *out = NULL;
    int64_t threads = fm_cpu_count() < THREADS_MAX ? fm_cpu_count() : THREADS_MAX;
    const fm_option options[] = {
        {"head", FM_OPT_STRING, &head, 0, 0, "HEAD", "head.bin of a study (required)"},
        {"photos", FM_OPT_STRING, &j.dir, 0, 0, "PATH", "folder, tar or zip file of photographs, with folders in it (required)"},
        {"encoder", FM_OPT_STRING, &j.encoder, 0, 0, "FILE.onnx", "the study's encoder, when it was an ONNX model"},
        {"out", FM_OPT_STRING, &out, 0, 0, "FILE.tsv", "the table goes here (default: standard output)"},
        {"threads", FM_OPT_INT, &threads, 1, THREADS_MAX, "N", "photographs worked on at once (default: one a core)"},
    };
    const fm_command command = {"predict --head HEAD --photos PATH [options]",
                                "Treats photographs as the study's were treated and says what its head makes of them:\n"
                                "a row a face with one probability a class, or why the photograph could not be used.",
                                options, sizeof options / sizeof *options, 0, 0};
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, NULL, &err), status;

    if (rc == 0 && (!head || !j.dir))
        rc = fm_fail(&err, -EINVAL, "predict: %s is needed", head ? "--photos PATH" : "--head HEAD");
    if (rc != 0)
        return fm_command_exit(rc, &err);
    fm_stop_install();
    status = predict_all(head, &j, threads, out, &err);
    if (status != FM_EXIT_DONE)
        fprintf(stderr, "facemill predict: %s\n", err.text);
    return status;
}
