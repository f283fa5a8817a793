/* What a worker says it made is in its segment.  What it says it found is where the
 * catalog knows it.  When the catalog does not, it is in some sealed segment that
 * holds more than the catalog knows, or else in the worker's own, made by it just
 * now or under an earlier lease that was never acknowledged.  Rejected: to take it
 * for the worker's own without looking (its loss would then be noticed, the record
 * found again, and so on for ever). */
#include "coordinator/handout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

/* Which of the message's segments this one is; it is added when it is not there yet. */
static int segment_index(fm_message *lease, const char *name, uint32_t *index, fm_err *err)
{
    for (*index = 0; *index < lease->n_segments; ++*index)
        if (strcmp(lease->segments[*index], name) == 0)
            return 0;
    return fm_message_add_segment(lease, name, err);
}

/* Only sealed segments can be read by others. */
static int refer_to_photo(const fm_worklist *p, fm_catalog *catalog, fm_message *lease, fm_lease_item *item, fm_err *err)
{
    fm_catalog_segment segment;
    fm_digest key;
    uint32_t number;
    int rc;

    fm_key_photo(&item->image, &p->recipe, &key);
    rc = fm_catalog_find_record(catalog, FM_RECORD_PHOTO, &key, &number, err);
    if (rc == 0)
        rc = fm_catalog_find_segment(catalog, number, &segment, err);
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    if (segment.state != FM_SEGMENT_SEALED)
        return 0;
    rc = segment_index(lease, segment.name, &item->photo_segment, err);
    item->have_photo = rc == 0;
    return rc;
}

int fm_handout_fill(const fm_worklist *p, fm_catalog *catalog, uint32_t shard, fm_message *lease, fm_err *err)
{
    uint32_t from = p->first[shard], n = p->end[shard] - from;
    int rc = fm_message_room(lease, n, err);

    for (uint32_t k = 0; rc == 0 && k < n; k++) {
        fm_lease_item *item = &lease->items[k];

        item->item = p->todo[from + k];
        item->image = p->photos[item->item].image;
        item->path = strdup(p->paths[item->item]);
        if (!item->path)
            return fm_fail_nomem(err, "lease", strlen(p->paths[item->item]));
        if (!fm_digest_is_zero(&item->image))
            rc = refer_to_photo(p, catalog, lease, item, err);
    }
    return rc;
}

static bool makes_sense(const fm_ack_item *ack)
{
    bool hashed = !fm_digest_is_zero(&ack->image);

    return ack->reason < FM_REASON_COUNT && (hashed || (ack->reason != FM_USED && !ack->photo_made)) &&
           (!ack->code_made || ack->reason == FM_USED);
}

bool fm_handout_matches(const fm_worklist *p, uint32_t shard, const fm_message *ack)
{
    bool seen[FM_LEASE_ITEMS_MAX] = {false};

    if (ack->n_items != p->end[shard] - p->first[shard])
        return false;
    for (uint32_t i = 0; i < ack->n_items; i++) {
        uint32_t place = fm_worklist_place(p, shard, ack->acks[i].item);

        if (place == UINT32_MAX || seen[place] || !makes_sense(&ack->acks[i]))
            return false;
        seen[place] = true;
    }
    return true;
}

/* A worker that only encoded has not read the file: its size and time are those that were known. */
static int file_facts(fm_catalog *catalog, const char *path, const fm_ack_item *ack, fm_catalog_file *file, fm_err *err)
{
    fm_catalog_file known;
    int rc;

    file->size_bytes = ack->size_bytes;
    file->mtime_ns = ack->mtime_ns;
    if (ack->size_bytes != 0 || ack->mtime_ns != 0)
        return 0;
    rc = fm_catalog_find_file(catalog, path, &known, err);
    if (rc == 0 && fm_digest_equal(&known.image, &ack->image)) {
        file->size_bytes = known.size_bytes;
        file->mtime_ns = known.mtime_ns;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int describe(const fm_worklist *p, fm_catalog *catalog, const fm_ack_item *ack, fm_catalog_ack_item *out,
                    fm_err *err)
{
    memset(out, 0, sizeof *out);
    out->path = p->paths[ack->item];
    out->file.image = ack->image;
    out->file.reason = (fm_reason)ack->reason;
    fm_worklist_keys(p, &ack->image, out->file.reason, &out->photo_key, &out->code_key);
    out->file.photo_key = out->photo_key;
    out->photo_here = ack->photo_made;
    out->code_here = ack->code_made;
    return file_facts(catalog, out->path, ack, &out->file, err);
}

/* The ACK as the catalog takes it, and what was found. */
typedef struct {
    fm_catalog_ack_item *items;     /* [n] */
    uint32_t n;
    fm_segments_find *finds;        /* [n_finds], unknown to the catalog; room for 2 n */
    bool **here;                    /* [n_finds] the item's flag for each */
    size_t n_finds;
} taking;

static const fm_digest *key_of(const fm_catalog_ack_item *item, fm_record_kind kind)
{
    return kind == FM_RECORD_PHOTO ? &item->photo_key : &item->code_key;
}

static bool *here_of(fm_catalog_ack_item *item, fm_record_kind kind)
{
    return kind == FM_RECORD_PHOTO ? &item->photo_here : &item->code_here;
}

static bool made_in_this_ack(const taking *t, fm_record_kind kind, const fm_digest *key)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (*here_of(&t->items[i], kind) && fm_digest_equal(key_of(&t->items[i], kind), key))
            return true;
    return false;
}

/* Note a record that was found and that the catalog does not know. */
static int note_find(taking *t, fm_catalog *catalog, uint32_t i, fm_record_kind kind, fm_err *err)
{
    const fm_digest *key = key_of(&t->items[i], kind);
    uint32_t segment;
    int rc;

    if (fm_digest_is_zero(key) || *here_of(&t->items[i], kind))
        return 0;
    rc = fm_catalog_find_record(catalog, kind, key, &segment, err);
    if (rc != -ENOENT)
        return rc;
    if (made_in_this_ack(t, kind, key))
        return 0;
    t->finds[t->n_finds] = (fm_segments_find){.kind = kind, .key = *key};
    t->here[t->n_finds++] = here_of(&t->items[i], kind);
    return 0;
}

/* What was found is in a sealed segment or here. */
static int place_finds(taking *t, const fm_segments *s, fm_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < t->n; i++) {
        rc = note_find(t, s->catalog, i, FM_RECORD_PHOTO, err);
        if (rc == 0)
            rc = note_find(t, s->catalog, i, FM_RECORD_CODE, err);
    }
    if (rc == 0)
        rc = fm_segments_locate(s, t->finds, t->n_finds, err);
    for (size_t i = 0; rc == 0 && i < t->n_finds; i++)
        *t->here[i] = !t->finds[i].sealed;
    return rc;
}

static int take(fm_worklist *p, const fm_segments *s, uint32_t segment, const fm_message *ack, taking *t, fm_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < t->n; i++)
        rc = describe(p, s->catalog, &ack->acks[i], &t->items[i], err);
    if (rc == 0)
        rc = place_finds(t, s, err);
    if (rc == 0)
        rc = fm_catalog_ack(s->catalog, s->epoch, segment, t->items, t->n, err);
    for (uint32_t i = 0; rc == 0 && i < t->n; i++) {
        const fm_ack_item *a = &ack->acks[i];
        fm_worklist_photo outcome = {.image = a->image, .reason = a->reason,
                                 .photo_made = a->photo_made, .code_made = a->code_made};

        fm_worklist_done(p, (uint32_t)a->item, &outcome);
    }
    return rc;
}

int fm_handout_take(fm_worklist *p, const fm_segments *s, uint32_t segment, const fm_message *ack, bool *here,
                    fm_err *err)
{
    size_t n = ack->n_items;
    taking t = {calloc(n + 1, sizeof *t.items), ack->n_items, calloc(2 * n + 1, sizeof *t.finds),
                calloc(2 * n + 1, sizeof *t.here), 0};
    int rc = -ENOMEM;

    if (t.items && t.finds && t.here)
        rc = take(p, s, segment, ack, &t, err);
    else
        fm_fail_nomem(err, "acknowledgement", n * sizeof *t.items);
    for (uint32_t i = 0; rc == 0 && i < t.n; i++)
        *here = *here || t.items[i].photo_here || t.items[i].code_here;
    free(t.items);
    free(t.finds);
    free(t.here);
    return rc;
}

int fm_handout_condemn(fm_worklist *p, const fm_segments *s, uint32_t shard, fm_reason reason, fm_err *err)
{
    uint32_t item = p->todo[p->first[shard]];
    fm_worklist_photo outcome = {.reason = (uint8_t)reason};
    fm_catalog_ack_item ack = {.path = p->paths[item], .file.reason = reason};
    struct stat st;
    int rc;

    if (fm_path_stat(ack.path, &st) == 0) {
        ack.file.size_bytes = (uint64_t)st.st_size;
        ack.file.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    rc = fm_catalog_ack(s->catalog, s->epoch, 0, &ack, 1, err);
    if (rc == 0)
        fm_worklist_done(p, item, &outcome);
    return rc;
}
