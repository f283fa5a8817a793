/* After a build: the reason of every photograph, the keys of its records, and
 * photographs that are the same bytes.
 *
 * Records are read once, in the study's order; a photograph's chips are looked
 * at by the report alone, later. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/road.h"
#include "storage/keys.h"
#include "storage/photo.h"
#include "storage/store.h"

static int make_room(fm_road *r, fm_err *err)
{
    size_t n = r->samples.n;

    r->facts = calloc(n + 1, sizeof *r->facts);
    r->photo = calloc(n + 1, sizeof *r->photo);
    r->code = calloc(n + 1, sizeof *r->code);
    r->faces = calloc(n + 1, sizeof *r->faces);
    if (!r->facts || !r->photo || !r->code || !r->faces)
        return fm_fail_nomem(err, "what is known of photographs", n * sizeof *r->facts);
    return 0;
}

/* What the photo record says of sample i. */
static int read_photo(fm_road *r, fm_store *store, size_t i, fm_err *err)
{
    fm_sample *x = &r->samples.v[i];
    fm_photo photo;
    const void *payload;
    size_t n;
    int rc = fm_store_get(store, FM_RECORD_PHOTO, &r->photo[i], &payload, &n, NULL, err);

    if (rc == 0)
        rc = fm_photo_decode(payload, n, &photo, err);
    if (rc != 0)
        return fm_fail_in(err, rc, "%s", x->name);
    rc = fm_ledger_fact_of(&photo, &r->facts[i], err);
    if (photo.reason == FM_USED)
        r->faces[i] = photo.n_faces;
    else
        fm_sample_leave_out(x, photo.reason, photo.detail[0] ? "%s" : NULL, photo.detail);
    fm_photo_fini(&photo);
    return rc;
}

/* keys [n]: one for each sample still used, in their order. */
static int take_keys(fm_road *r, fm_store *store, const fm_study_keys *keys, fm_err *err)
{
    size_t k = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < r->samples.n; i++) {
        fm_sample *x = &r->samples.v[i];

        if (x->reason != FM_USED)
            continue;
        if (k == keys->n || strcmp(keys->v[k].path, x->path) != 0)
            return fm_fail(err, -EIO, "%s: the build's list of photographs is not this study's; run again", r->store_dir);
        r->photo[i] = keys->v[k].photo;
        r->code[i] = keys->v[k].code;
        if (!fm_digest_is_zero(&r->photo[i]))
            rc = read_photo(r, store, i, err);
        else
            fm_sample_leave_out(x, keys->v[k].reason,
                                keys->v[k].reason == FM_FORGOTTEN ? NULL : "no record could be made of this file");
        k++;
    }
    return rc;
}

typedef struct { const fm_digest *photo; size_t sample; } photo_of;

static int by_photo(const void *a, const void *b)
{
    const photo_of *x = a, *y = b;
    int order = fm_digest_compare(x->photo, y->photo);

    return order ? order : (x->sample > y->sample) - (x->sample < y->sample);
}

/* Copies of a photograph count once: the first stays. */
static int leave_out_copies(fm_road *r, fm_err *err)
{
    photo_of *v = malloc((r->samples.n + 1) * sizeof *v);
    size_t n = 0;

    if (!v)
        return fm_fail_nomem(err, "photo keys", r->samples.n * sizeof *v);
    for (size_t i = 0; i < r->samples.n; i++)
        if (r->samples.v[i].reason == FM_USED)
            v[n++] = (photo_of){&r->photo[i], i};
    qsort(v, n, sizeof *v, by_photo);
    for (size_t i = 1, first = 0; i < n; i++) {
        if (fm_digest_equal(v[i].photo, v[first].photo))
            fm_sample_leave_out(&r->samples.v[v[i].sample], FM_DUPLICATE, "the same bytes as %s",
                                r->samples.v[v[first].sample].name);
        else
            first = i;
    }
    free(v);
    return 0;
}

int fm_road_collect(fm_road *r, fm_err *err)
{
    fm_study_keys keys = {NULL, 0};
    fm_store *store = NULL;
    int rc = make_room(r, err);

    if (rc == 0)
        rc = fm_store_open(r->store_dir, &store, err);
    if (rc == 0)
        rc = fm_keys_read(r->store_dir, &keys, err);
    if (rc == 0)
        rc = take_keys(r, store, &keys, err);
    if (rc == 0)
        rc = leave_out_copies(r, err);
    fm_keys_fini(&keys);
    fm_store_close(store);
    r->collected = rc == 0;
    return rc;
}
