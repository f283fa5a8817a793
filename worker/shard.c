/* Photographs one by one, their chips in batches.
 *
 * A photograph's record is put at once; its chips wait until there is a batch for
 * the encoder, which is several times faster on sixteen than on one.  A batch ends
 * with the lease, so that an acknowledgement speaks of whole photographs.  What is
 * found (in the own segment, in sealed ones, in the batch that waits) is not made
 * again: that is how copies and moved files cost one reading and no decoding.
 * Always: a photograph that cannot be used is an outcome, never an error. */
#include "worker/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "storage/photo.h"

typedef struct {
    fm_ack_item *ack;
    const char *path;   /* borrowed from the lease */
    fm_digest key;      /* of the code record */
    fm_photo photo;     /* owned */
} waiting_photo;

typedef struct {
    const fm_shard_tools *tools;
    waiting_photo waiting[FM_CODER_BATCH];    /* each has a chip at least */
    size_t n_waiting, n_chips;
} shard_work;

static uint32_t cut_micros(uint64_t micros)
{
    return micros < UINT32_MAX ? (uint32_t)micros : UINT32_MAX;
}

static void forget_waiting(shard_work *s)
{
    for (size_t i = 0; i < s->n_waiting; i++)
        fm_photo_fini(&s->waiting[i].photo);
    s->n_waiting = s->n_chips = 0;
}

/* The path of the photograph that face number i of what waits is on. */
static const char *path_of(const shard_work *s, size_t i)
{
    const waiting_photo *w = s->waiting;

    while (i >= w->photo.n_faces)
        i -= w++->photo.n_faces;
    return w->path;
}

/* Chips of what waits to codes f32 [n_chips, width], batch by batch. */
static int run_encoder(const shard_work *s, fm_coder_face *faces, float *codes, fm_err *err)
{
    uint32_t width = fm_coder_width(s->tools->coder);
    size_t n = 0, wrong = 0;
    int rc = 0;

    for (size_t i = 0; i < s->n_waiting; i++)
        for (uint32_t k = 0; k < s->waiting[i].photo.n_faces; k++)
            faces[n++] = (fm_coder_face){s->waiting[i].photo.faces[k].chip, s->waiting[i].photo.faces[k].mask};
    for (size_t at = 0; rc == 0 && at < n; at += FM_CODER_BATCH) {
        size_t count = n - at < FM_CODER_BATCH ? n - at : FM_CODER_BATCH;

        rc = fm_coder_run(s->tools->coder, faces + at, s->waiting[0].photo.chip_size, count, codes + at * width, &wrong,
                          err);
        if (rc == -EDOM)
            return fm_fail_in(err, rc, "%s", path_of(s, at + wrong));
        if (rc == 0 && at + count < n)
            rc = s->tools->between(s->tools->ctx, err);
    }
    return rc;
}

static int put_codes(const shard_work *s, const float *codes, uint64_t micros, fm_err *err)
{
    uint32_t width = fm_coder_width(s->tools->coder);
    fm_buf payload = FM_BUF_INIT;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n_waiting; i++) {
        const waiting_photo *w = &s->waiting[i];
        uint32_t n = w->photo.n_faces;

        payload.size = 0;
        fm_code_encode(n, width, codes, &payload);
        if (payload.failed)
            rc = fm_fail_nomem(err, "code record", payload.size);
        else
            rc = fm_records_put(s->tools->records, &(fm_key_owner){&w->ack->image, w->path}, FM_RECORD_CODE, &w->key,
                                payload.data, payload.size, err);
        codes += (size_t)n * width;
        w->ack->code_made = true;
        w->ack->micros = cut_micros(w->ack->micros + micros * n / s->n_chips);
    }
    fm_buf_fini(&payload);
    return rc;
}

static int encode_waiting(shard_work *s, fm_err *err)
{
    size_t bytes = s->n_chips * fm_coder_width(s->tools->coder) * sizeof(float);
    fm_coder_face *faces = calloc(s->n_chips + 1, sizeof *faces);
    float *codes = malloc(bytes + 1);
    uint64_t start = fm_clock_us();
    int rc = 0;

    if (!faces || !codes)
        rc = fm_fail_nomem(err, "batch", bytes);
    else if (fm_fault("worker.encode"))
        rc = fm_fail(err, -EIO, "encoding refused by a fault");
    if (rc == 0)
        rc = run_encoder(s, faces, codes, err);
    if (rc == 0)
        rc = put_codes(s, codes, fm_clock_us() - start, err);
    fm_spans_add(s->tools->spans, FM_SPAN_ENCODE, start, s->n_chips);
    forget_waiting(s);
    free(faces);
    free(codes);
    return rc;
}

/* The file's bytes and facts; an unreadable one sets ack->reason.  Facts are taken
 * before the bytes: a file that changes meanwhile looks changed to the next run. */
static int read_photograph(const shard_work *s, const char *path, fm_ack_item *ack, fm_buf *bytes, fm_err *err)
{
    uint64_t start = fm_clock_us();
    fm_err why = FM_ERR_INIT;
    struct stat st;
    int rc;

    if (fm_path_stat(path, &st) == 0)
        ack->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    rc = fm_file_read(path, s->tools->max_bytes, bytes, &why);
    fm_spans_join(s->tools->spans, FM_SPAN_READ, start, 1);
    ack->size_bytes = bytes->size;
    if (rc == -ENOMEM)
        return fm_fail_nomem(err, "a photograph's bytes", bytes->size);
    if (rc == -EBADMSG || rc == -ENOTSUP)       /* an archive's fault: looking at the file system would not show it */
        fm_warn("a photograph is left out as unreadable: %s", why.text);
    if (rc == 0)
        fm_digest_of(bytes->data, bytes->size, &ack->image);
    else
        ack->reason = rc == -EFBIG ? FM_TOO_LARGE : FM_UNREADABLE;
    return 0;
}

/* While one photograph is decoded, the system reads the next.  One, not many: what is asked for too early is thrown out
 * of a full cache before it is used. */
static void read_ahead(const fm_message *lease, uint32_t next)
{
    if (next < lease->n_items && !lease->items[next].have_photo)
        fm_file_ahead(lease->items[next].path);
}

/* The photo record of image under a recipe, if there is one. */
static int look_for(const shard_work *s, const fm_digest *image, const fm_digest *recipe, fm_photo *photo, bool *found,
                    fm_err *err)
{
    const void *payload;
    fm_digest key;
    size_t n;
    int rc;

    fm_key_photo(image, recipe, &key);
    rc = fm_records_find(s->tools->records, FM_RECORD_PHOTO, &key, &payload, &n, err);
    if (rc == 0)
        rc = fm_photo_decode(payload, n, photo, err);
    *found = rc == 0;
    return rc == -ENOENT || rc == -EBADMSG ? 0 : rc;    /* one of another version is made again */
}

static int put_photo(const shard_work *s, const char *path, fm_ack_item *ack, fm_photo *photo, fm_err *err)
{
    fm_buf payload = FM_BUF_INIT;
    fm_digest key;
    int rc;

    fm_photo_encode(photo, &payload);
    fm_key_photo(&ack->image, &s->tools->recipe, &key);
    if (payload.failed)
        rc = fm_fail_nomem(err, "photo record", payload.size);
    else
        rc = fm_records_put(s->tools->records, &(fm_key_owner){&ack->image, path}, FM_RECORD_PHOTO, &key, payload.data,
                            payload.size, err);
    fm_buf_fini(&payload);
    if (rc != 0)
        fm_photo_fini(photo);
    ack->photo_made = true;
    return rc;
}

/* The photo record of ack->image, if there is one.  Where masks are not wanted any more, the record that has them is
 * put again without: nothing is decoded for that. */
static int find_photo(const shard_work *s, const char *path, fm_ack_item *ack, fm_photo *photo, bool *found, fm_err *err)
{
    int rc = look_for(s, &ack->image, &s->tools->recipe, photo, found, err);

    if (rc != 0 || *found || fm_digest_is_zero(&s->tools->masked_recipe))
        return rc;
    rc = look_for(s, &ack->image, &s->tools->masked_recipe, photo, found, err);
    if (rc != 0 || !*found)
        return rc;
    for (uint32_t i = 0; i < photo->n_faces; i++) {
        free(photo->faces[i].mask);
        photo->faces[i].mask = NULL;
    }
    if (strcmp(photo->detail, FM_MASK_MISSES) == 0)
        photo->detail[0] = '\0';
    return put_photo(s, path, ack, photo, err);
}

static int make_photo(const shard_work *s, const char *path, const fm_buf *bytes, fm_ack_item *ack, fm_photo *photo,
                      fm_err *err)
{
    uint64_t start = fm_clock_us();
    int rc = fm_fault("worker.decode") ? fm_fail(err, -EIO, "decoding refused by a fault")
                                       : fm_preprocess(s->tools->preprocessor, bytes->data, bytes->size, photo, err);

    fm_spans_join(s->tools->spans, FM_SPAN_CHIP, start, 1);
    if (rc != 0)
        return rc;
    if (photo->reason == FM_CRASHED) {
        fm_warn("a photograph is left out as crashed, the ledger names it: %s", photo->detail);
        return 0;
    }
    return put_photo(s, path, ack, photo, err);
}

/* Find the photograph's record or make it.  *there is false when the file cannot be read or was forgotten. */
static int get_photo(const shard_work *s, const fm_lease_item *item, fm_ack_item *ack, fm_photo *photo, bool *there,
                     fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = 0;

    *there = false;
    if (item->have_photo) {
        ack->image = item->image;
        rc = find_photo(s, item->path, ack, photo, there, err);
    }
    if (rc != 0 || *there)
        return rc;
    memset(&ack->image, 0, sizeof ack->image);
    rc = read_photograph(s, item->path, ack, &bytes, err);
    if (rc == 0 && fm_records_forgotten(s->tools->records, &ack->image, item->path)) {
        ack->reason = FM_FORGOTTEN;
    } else if (rc == 0 && !fm_digest_is_zero(&ack->image)) {
        rc = find_photo(s, item->path, ack, photo, there, err);
        if (rc == 0 && !*there)
            rc = make_photo(s, item->path, &bytes, ack, photo, err);
        *there = rc == 0;
    }
    fm_buf_fini(&bytes);
    return rc;
}

/* Does the photo need to be encoded?  Not when its code is there, or will be with the batch that waits. */
static int needs_code(const shard_work *s, const fm_digest *key, bool *needs, fm_err *err)
{
    const void *payload;
    size_t n;
    int rc = fm_records_find(s->tools->records, FM_RECORD_CODE, key, &payload, &n, err);

    *needs = rc == -ENOENT;
    for (size_t i = 0; *needs && i < s->n_waiting; i++)
        *needs = !fm_digest_equal(&s->waiting[i].key, key);
    return rc == -ENOENT ? 0 : rc;
}

/* Let a photo wait for the encoder, if it must; takes the photo over. */
static int queue_photo(shard_work *s, const char *path, fm_ack_item *ack, fm_photo *photo, fm_err *err)
{
    fm_digest photo_key, key;
    bool needs = false;
    int rc = 0;

    if (s->tools->coder && photo->reason == FM_USED && (photo->n_faces == 0 || photo->chip_size != s->tools->chip_size)) {
        rc = fm_fail(err, -EBADMSG, "a photo record has %u chips of %u pixels where the recipe makes them of %u",
                     photo->n_faces, photo->chip_size, s->tools->chip_size);
    } else if (s->tools->coder && photo->reason == FM_USED) {
        fm_key_photo(&ack->image, &s->tools->recipe, &photo_key);
        fm_key_code(&photo_key, &s->tools->encoding, &key);
        rc = needs_code(s, &key, &needs, err);
    }
    if (rc != 0 || !needs) {
        fm_photo_fini(photo);
        return rc;
    }
    s->waiting[s->n_waiting++] = (waiting_photo){ack, path, key, *photo};
    s->n_chips += photo->n_faces;
    if (s->n_chips < FM_CODER_BATCH)
        return 0;
    rc = fm_journal_idle(s->tools->journal, err);       /* the batch is of many photographs */
    return rc == 0 ? encode_waiting(s, err) : rc;
}

static int do_item(shard_work *s, uint64_t lease, const fm_lease_item *item, fm_ack_item *ack, fm_err *err)
{
    uint64_t start = fm_clock_us();
    fm_photo photo;
    bool there;
    int rc = fm_journal_begin(s->tools->journal, lease, item->item, err);

    if (rc != 0)
        return rc;
    if (fm_fault_of("worker.photo", item->path))
        return fm_fail(err, -EIO, "photograph refused by a fault");
    ack->item = item->item;
    rc = get_photo(s, item, ack, &photo, &there, err);
    ack->micros = cut_micros(fm_clock_us() - start);
    if (rc != 0 || !there)
        return rc;
    ack->reason = (uint8_t)photo.reason;
    return queue_photo(s, item->path, ack, &photo, err);
}

int fm_shard_do(const fm_shard_tools *tools, const fm_message *lease, fm_ack_item *acks, fm_err *err)
{
    shard_work s = {.tools = tools};
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < lease->n_segments; i++)
        fm_records_add_sealed(tools->records, lease->segments[i]);
    for (uint32_t i = 0; rc == 0 && i < lease->n_items; i++) {
        rc = tools->between(tools->ctx, err);
        if (rc == 0)
            read_ahead(lease, i + 1);
        if (rc == 0)
            rc = do_item(&s, lease->lease, &lease->items[i], &acks[i], err);
    }
    if (rc != -ENOMEM) {
        int idle = fm_journal_idle(tools->journal, rc == 0 ? err : NULL);

        rc = rc == 0 ? idle : rc;
    }
    if (rc == 0 && s.n_waiting)
        rc = encode_waiting(&s, err);
    forget_waiting(&s);
    return rc;
}
