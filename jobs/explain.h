/* What did the classifier look at?  The maps of learn/explain.h for results.json, the report and a terminal. */
#ifndef FM_JOBS_EXPLAIN_H
#define FM_JOBS_EXPLAIN_H

#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "coordinator/learn/explain.h"
#include "jobs/samples.h"

#define FM_EXPLAIN_FACES 100u       /* what is explained where the study does not say */
#define FM_EXPLAIN_GRID 10u
#define FM_EXPLAIN_PERMUTATIONS 199u

/* How many cells are over the threshold. */
size_t fm_explain_cells_over(const fm_explanation *x);
/* Name of the region that the middle of a cell lies in; NULL: no regions are known. */
const char *fm_explain_region_at(const fm_explanation *x, uint32_t cell);
/* What the map says, one to three plain sentences; NUL-ended, cut to n bytes. */
void fm_explain_sentence(const fm_explanation *x, char *out, size_t n);

/* results.json's `explain`.  NULL when memory runs out. */
json_t *fm_explain_json(const fm_explanation *x, const fm_samples *s);
/* The same for a terminal, as lines of text. */
void fm_explain_print(const fm_explanation *x, fm_buf *out);

#endif
