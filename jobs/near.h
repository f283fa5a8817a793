/* Near duplicates among the photographs of a study: told, and where nobody says
 * who is on a photograph, kept on one side of a fold. */
#ifndef FM_JOBS_NEAR_H
#define FM_JOBS_NEAR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/digest.h"
#include "jobs/samples.h"
#include "jobs/study.h"

/* Distance of embeddings below which two faces are taken for one photograph.  Measured (docs/audits.md):
 * the furthest copies found lie 0.19 apart, the nearest other photographs 0.22. */
#define FM_NEAR_DISTANCE 0.2
/* Every pair is compared: beyond this many faces nothing is searched but in a full audit. */
#define FM_NEAR_FACES_MAX ((size_t)50000)

typedef struct {
    size_t a, b;            /* samples, a before b */
    double distance;
    bool across;            /* of two cohorts */
    bool same_subject;      /* the study says that both show one subject */
} fm_near;

typedef struct {
    bool searched;          /* false: there are too many faces */
    fm_near *v;             /* [n], by a, then b: the nearest faces of two photographs; owned */
    size_t n;
    size_t grouped;         /* photographs without a subject that were given another's */
} fm_nears;

/* Find them by the embeddings in the store, and give photographs whose manifest names no subject the subject of
 * the first photograph of their cluster, preferably one that is named.  When evaluate.group is another column than
 * subject, that changes no fold.
 * s      samples still used; only their subject changes.
 * code, faces  [s->n], as fm_road_collect found them.
 * Errors: what fm_store_open and fm_store_get give, -ENOMEM; too many pairs are not an error: nothing is searched. */
int fm_nears_find(const fm_study *study, fm_samples *s, const char *store_dir, const fm_digest *code,
                  const uint32_t *faces, fm_nears *out, fm_err *err);
void fm_nears_fini(fm_nears *n);

/* near_duplicates.tsv: sample, other, distance, across_cohorts, same_subject. */
int fm_nears_write(const fm_samples *s, const fm_nears *n, const char *path, fm_err *err);

#endif
