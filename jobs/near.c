#include "jobs/near.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "coordinator/learn/near.h"
#include "storage/store.h"
#include "worker/net/encoder.h"

/* Embeddings of all faces, and whose they are. */
typedef struct {
    float *x;               /* f32 [n, FM_ENCODER_EMBEDDING] */
    uint32_t *sample;       /* [n] */
    size_t n;
} embeddings;

static void embeddings_fini(embeddings *e)
{
    free(e->x);
    free(e->sample);
}

static int read_codes(fm_store *store, const fm_digest *key, uint32_t faces, float *codes, fm_err *err)
{
    const void *payload;
    uint32_t got = 0;
    size_t n;
    int rc = fm_store_get(store, FM_RECORD_CODE, key, &payload, &n, NULL, err);

    if (rc == 0)
        rc = fm_code_decode(payload, n, FM_ENCODER_WIDTH, faces, codes, &got, err);
    if (rc == 0 && got != faces)
        rc = fm_fail(err, -EBADMSG, "%u faces have codes, %u chips; build the study again", got, faces);
    return rc;
}

static int read_sample(const fm_samples *s, fm_store *store, const fm_digest *code, uint32_t faces, size_t i, embeddings *e,
                       fm_err *err)
{
    float *codes = malloc((size_t)faces * FM_ENCODER_WIDTH * sizeof *codes);
    int rc = codes ? read_codes(store, &code[i], faces, codes, err) : fm_fail_nomem(err, "codes of a photograph", faces);

    for (uint32_t f = 0; rc == 0 && f < faces; f++) {
        memcpy(e->x + e->n * FM_ENCODER_EMBEDDING, codes + (size_t)f * FM_ENCODER_WIDTH,
               FM_ENCODER_EMBEDDING * sizeof *codes);
        e->sample[e->n++] = (uint32_t)i;
    }
    free(codes);
    return rc == 0 ? 0 : fm_fail_in(err, rc, "%s", s->v[i].name);
}

static int read_embeddings(const fm_samples *s, const char *store_dir, const fm_digest *code, const uint32_t *faces,
                           size_t n, embeddings *out, fm_err *err)
{
    embeddings e = {malloc((n + 1) * FM_ENCODER_EMBEDDING * sizeof *e.x), malloc((n + 1) * sizeof *e.sample), 0};
    fm_store *store = NULL;
    int rc = e.x && e.sample ? fm_store_open(store_dir, &store, err) : fm_fail_nomem(err, "embeddings", n * sizeof *e.x);

    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (s->v[i].reason == FM_USED && faces[i])
            rc = read_sample(s, store, code, faces[i], i, &e, err);
    fm_store_close(store);
    if (rc != 0)
        embeddings_fini(&e);
    else
        *out = e;
    return rc;
}

static int by_samples(const void *a, const void *b)
{
    const fm_near *x = a, *y = b;

    if (x->a != y->a)
        return (x->a > y->a) - (x->a < y->a);
    if (x->b != y->b)
        return (x->b > y->b) - (x->b < y->b);
    return (x->distance > y->distance) - (x->distance < y->distance);
}

/* Pairs of faces to pairs of photographs: the nearest of each, none within a photograph. */
static int keep(const fm_samples *s, const embeddings *e, const fm_near_pair *pairs, size_t n, fm_nears *out, fm_err *err)
{
    size_t kept = 0;

    if (!(out->v = malloc((n + 1) * sizeof *out->v)))
        return fm_fail_nomem(err, "near duplicates", n * sizeof *out->v);
    for (size_t i = 0; i < n; i++) {
        size_t a = e->sample[pairs[i].a], b = e->sample[pairs[i].b];

        if (a != b)
            out->v[out->n++] = (fm_near){a, b, pairs[i].distance, s->v[a].cohort != s->v[b].cohort,
                                         strcmp(s->v[a].subject, s->v[b].subject) == 0};
    }
    qsort(out->v, out->n, sizeof *out->v, by_samples);
    for (size_t i = 0; i < out->n; i++)
        if (kept == 0 || out->v[i].a != out->v[kept - 1].a || out->v[i].b != out->v[kept - 1].b)
            out->v[kept++] = out->v[i];
    out->n = kept;
    return 0;
}

/* Without a subject in its manifest a sample goes by its own name. */
static bool unnamed(const fm_sample *x)
{
    return strcmp(x->subject, x->name) == 0;
}

static int take_subject(fm_sample *x, const fm_sample *of, fm_err *err)
{
    char *subject = strdup(of->subject);

    if (!subject)
        return fm_fail_nomem(err, "subject", strlen(of->subject));
    free(x->subject);
    x->subject = subject;
    return 0;
}

static int group(fm_samples *s, fm_nears *nears, fm_err *err)
{
    fm_near_pair *pairs = malloc((nears->n + 1) * sizeof *pairs);
    uint32_t *root = malloc((s->n + 1) * sizeof *root), *head = malloc((s->n + 1) * sizeof *head);
    int rc = pairs && root && head ? 0 : fm_fail_nomem(err, "clusters", s->n * sizeof *root);

    for (size_t i = 0; rc == 0 && i < nears->n; i++)
        pairs[i] = (fm_near_pair){(uint32_t)nears->v[i].a, (uint32_t)nears->v[i].b, 0};
    if (rc == 0) {
        fm_near_clusters(pairs, nears->n, s->n, root);
        memcpy(head, root, s->n * sizeof *head);
    }
    for (size_t i = s->n; rc == 0 && i-- > 0;)      /* the first that is named, else the first */
        if (s->v[i].reason == FM_USED && !unnamed(&s->v[i]))
            head[root[i]] = (uint32_t)i;
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (head[root[i]] != i && s->v[i].reason == FM_USED && unnamed(&s->v[i])) {
            rc = take_subject(&s->v[i], &s->v[head[root[i]]], err);
            nears->grouped += rc == 0;
        }
    free(pairs);
    free(root);
    free(head);
    return rc;
}

static int search(const fm_study *study, fm_samples *s, const embeddings *e, fm_nears *out, fm_err *err)
{
    fm_near_pair *pairs = NULL;
    size_t n = 0;
    int rc = fm_near_pairs(e->x, e->n, FM_ENCODER_EMBEDDING, FM_NEAR_DISTANCE, &pairs, &n, err);

    if (rc == -EFBIG) {
        fm_warn("near duplicates: %s; they are neither listed nor kept together", err ? err->text : "too many");
        return 0;
    }
    if (rc == 0)
        rc = keep(s, e, pairs, n, out, err);
    if (rc == 0 && strcmp(study->evaluate.group, "subject") == 0)
        rc = group(s, out, err);
    out->searched = rc == 0;
    free(pairs);
    return rc;
}

int fm_nears_find(const fm_study *study, fm_samples *s, const char *store_dir, const fm_digest *code,
                  const uint32_t *faces, fm_nears *out, fm_err *err)
{
    embeddings e = {NULL, NULL, 0};
    fm_nears nears = {.searched = false};
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].reason == FM_USED ? faces[i] : 0;
    if (study->encoding.kind != FM_ENCODER_DLIB) {
        fm_info("near duplicates: not searched; how near copies lie is known of dlib-resnet only");
        *out = nears;
        return 0;
    }
    if (n > FM_NEAR_FACES_MAX && study->audit != FM_AUDIT_FULL) {
        fm_warn("near duplicates: not searched among %zu faces (audit: full does)", n);
        *out = nears;
        return 0;
    }
    rc = read_embeddings(s, store_dir, code, faces, n, &e, err);
    if (rc == 0)
        rc = search(study, s, &e, &nears, err);
    embeddings_fini(&e);
    if (rc != 0)
        fm_nears_fini(&nears);
    else
        *out = nears;
    return rc;
}

void fm_nears_fini(fm_nears *n)
{
    free(n->v);
    n->v = NULL;
    n->n = 0;
}

int fm_nears_write(const fm_samples *s, const fm_nears *n, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_buf_printf(&b, "sample\tother\tdistance\tacross_cohorts\tsame_subject\n");
    for (size_t i = 0; i < n->n; i++) {
        fm_tsv_field(&b, s->v[n->v[i].a].name);
        fm_buf_u8(&b, '\t');
        fm_tsv_field(&b, s->v[n->v[i].b].name);
        fm_buf_printf(&b, "\t%.4f\t%d\t%d\n", n->v[i].distance, n->v[i].across, n->v[i].same_subject);
    }
    rc = b.failed ? fm_fail_nomem(err, path, b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}
