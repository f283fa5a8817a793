/* Figures of the report: drawn once as SVG, shown on the page, and left beside it as SVG and CSV.
 *
 * A drawing is 340 units wide, so that its letters keep their size from a phone to a printed page. */
#ifndef FM_JOBS_FIGURE_H
#define FM_JOBS_FIGURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FM_FIGURES(X)                               \
    X(ROC, "roc")                                   \
    X(PR, "precision-recall")                       \
    X(CALIBRATION, "calibration")                   \
    X(FOREST_ACCURACY, "subgroups-accuracy")        \
    X(FOREST_AUC, "subgroups-auc")                  \
    X(BALANCE, "balance")                           \
    X(AUDITS, "audits")                             \
    X(LEARNING, "learning-curve")                   \
    X(CODES, "codes")                               \
    X(EXPLAIN_MAP, "explain_map")                   \
    X(EXPLAIN_REGIONS, "explain_regions")           \
    X(EXPLAIN_CLASSES, "explain_classes")

typedef enum {
#define FM_X(id, name) FM_FIGURE_##id,
    FM_FIGURES(FM_X)
#undef FM_X
    FM_FIGURE_COUNT
} fm_figure_id;

typedef struct {
    const char *name;       /* of its files, and of its ids on the page; NULL: not drawn */
    const char *title;      /* static storage */
    double height;          /* units */
    fm_buf words;           /* what a screen reader says besides the title; markup */
    fm_buf body;            /* what is drawn; markup */
    fm_buf csv;             /* the numbers drawn, with a header line */
} fm_figure;

typedef struct { fm_figure v[FM_FIGURE_COUNT]; } fm_figures;    /* zeroed to begin with */

void fm_figures_fini(fm_figures *all);
fm_figure *fm_figure_begin(fm_figures *all, fm_figure_id id, const char *title, double height);

/* Inline, for a page whose style sheet colours it. */
void fm_figure_inline(const fm_figure *f, fm_buf *page);
/* Each figure that was drawn into dir/figures/NAME.svg and .csv, whole or not at all; those of an earlier run that
 * were not drawn this time are removed.  Errors: -ENOMEM, or what writing gives. */
int fm_figures_write(const fm_figures *all, const char *dir, fm_err *err);

/* The unit square, 0 to 1 on both axes, and places in it. */
#define FM_SQUARE_LEFT 46.0
#define FM_SQUARE_TOP 10.0
#define FM_SQUARE_SIDE 284.0
#define FM_SQUARE_HEIGHT (FM_SQUARE_TOP + FM_SQUARE_SIDE + 42)
double fm_square_x(double v);
double fm_square_y(double v);
/* ticks  numbers along both axes. */
void fm_figure_square(fm_figure *f, const char *x_name, const char *y_name, bool ticks);

/* The dashed line from 0, 0 to 1, 1. */
void fm_figure_diagonal(fm_figure *f);

/* A field of CSV (RFC 4180): quoted where it must be. */
void fm_csv_text(fm_buf *b, const char *s);
/* A number and the comma or line end after it; empty when it is not finite. */
void fm_csv_number(fm_buf *b, double v, char after);

#endif
