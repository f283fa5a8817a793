/* What did the classifier look at?  Occlusion sensitivity (Zeiler and Fergus 2014, section 4.2) of heads on codes.
 *
 * A sample of tested faces has, beside its kept code, a code for each cell of a grid that was hidden on its chip. The head
 * that was trained without the face (the evaluation's own, of the first repeat) scores all of them.  The fall of a face and
 * cell is the log odds of the face's class by the whole chip less those by the chip with the cell hidden.
 *
 *   map        mean over classes of the mean fall of the class's faces.  Hiding a cell also moves all faces towards
 *              one class, whatever they show; that lowers one class's scores as it raises the other's, and the mean
 *              over classes is free of it, where a class's own map is not
 *   t          map / its standard error, clustered by subject
 *   p          labels are permuted, all heads trained again and the map made of the same codes; the largest t of each
 *              permuted map is what chance gives, anywhere (Westfall and Young 1993).  p = (1 + permutations whose
 *              largest t is at least the cell's) / (1 + permutations)
 *   threshold  the t over which p <= 0.05
 *   regions    the same of named parts of the face: weighted means of cells
 *
 * Labels move between subjects that are tested in the same fold (where the folds were given: any), those of the sample
 * among themselves; between rows when a subject has rows of several classes.  So classes keep their sizes, in folds
 * that were made by class, and in the sample.  Rejected: flipping signs of falls or resampling subjects with the heads as
 * they are.  Heads of different folds share most of their training rows, so that falls of different folds
 * are not independent, and what they share by chance would count as evidence. */
#ifndef FM_COORDINATOR_LEARN_EXPLAIN_H
#define FM_COORDINATOR_LEARN_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "coordinator/learn/evaluation.h"

#define FM_EXPLAIN_FACES_MAX 100000u
#define FM_EXPLAIN_GRID_MAX 30u
#define FM_EXPLAIN_PERMUTATIONS_MAX 100000u
#define FM_EXPLAIN_REGIONS 8
#define FM_EXPLAIN_POINTS 68
#define FM_EXPLAIN_P 0.05       /* at most: a cell or region is over the threshold */

/* Rows of the plan that are tested in the first repeat: up to `faces` of each class, of as many subjects as can be,
 * drawn by the plan's seed.
 * e     of fm_evaluation_begin.
 * rows  [n], by subject, then row; the caller's to free().
 * Errors: -EINVAL (no row is tested), -ENOMEM. */
int fm_explain_choose(const fm_plan *plan, const fm_evaluation *e, uint32_t faces, uint32_t **rows, size_t *n, fm_err *err);

/* What maps are made of; all borrowed. */
typedef struct {
    const fm_plan *plan;
    const fm_evaluation *e;     /* of fm_evaluation_begin */
    const float *x;             /* f32 [plan->n, plan->code_width], kept codes */
    const uint32_t *rows;       /* [n], of fm_explain_choose */
    size_t n;
    uint32_t cells;
    const float *hidden;        /* f32 [n, cells, plan->code_width]: codes with a cell hidden */
    uint32_t regions;           /* FM_EXPLAIN_REGIONS, or 0: none are known */
    const double *weight;       /* f64 [regions, cells]; a region's add up to 1, or are all 0 where it has no pixel */
} fm_explain_view;

/* fall, se  log odds.  p  NaN: no test was made (a class's own, or no permutations). */
typedef struct { double fall, se, t, p; } fm_explain_value;

/* The largest t of a permuted map; NaN: it could not be made. */
typedef struct { double cell, region; } fm_explain_peak;

typedef struct {
    uint64_t faces, subjects;
    double base;                /* mean log odds of the class, nothing hidden; of all: mean over classes */
    fm_explain_value *cell;     /* [cells] */
    fm_explain_value region[FM_EXPLAIN_REGIONS];
} fm_explain_map;

typedef struct {
    fm_digest plan;             /* of what was explained; the caller's to set */
    uint32_t grid;              /* cells = grid * grid */
    uint32_t classes;           /* 0: there is no explanation */
    uint32_t permutations;      /* that could be made */
    uint32_t regions;           /* FM_EXPLAIN_REGIONS, or 0 */
    double threshold, region_threshold;     /* t; NaN: too few permutations for any p of FM_EXPLAIN_P */
    double points[FM_EXPLAIN_POINTS][2];    /* mean landmarks, in parts of the chip's side; the caller's; zeros without regions */
    fm_explain_map *map;        /* [1 + classes]: all, then each class's own; owned */
} fm_explanation;

/* Maps of the study's own labels; thresholds and p are NaN until fm_explain_conclude.
 * Errors: as fm_head_train and fm_head_score; -ENOMEM. */
int fm_explain_study(const fm_explain_view *v, uint32_t grid, fm_explanation *out, fm_err *err);
void fm_explanation_fini(fm_explanation *x);
/* One permutation.  What cannot be trained gives NaN and 0.  Errors: -ENOMEM.  Threads: any number at once. */
int fm_explain_permutation(const fm_explain_view *v, uint32_t number, fm_explain_peak *out, fm_err *err);
/* Thresholds and p from n permutations. -ENOMEM. */
int fm_explain_conclude(fm_explanation *x, const fm_explain_peak *peaks, size_t n, fm_err *err);
/* Is this cell or region of the map of all over its threshold? */
bool fm_explain_over(const fm_explain_value *v);
/* The cell with the largest t. */
uint32_t fm_explain_top(const fm_explanation *x);

/* Canonical bytes, closed by their digest. */
void fm_explanation_encode(const fm_explanation *x, fm_buf *out);
/* Errors: -EBADMSG (damaged, cut short, another version), -ENOMEM. */
int fm_explanation_decode(const void *bytes, size_t n, fm_explanation *out, fm_err *err);

#endif
