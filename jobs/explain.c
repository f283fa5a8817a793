/* Maps in words and as JSON. */
#include "jobs/explain.h"

#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "jobs/json_text.h"
#include "worker/face/regions.h"
#include "worker/occlude.h"

size_t fm_explain_cells_over(const fm_explanation *x)
{
    size_t n = 0;

    for (uint32_t k = 0; k < x->grid * x->grid; k++)
        n += fm_explain_over(&x->map[0].cell[k]);
    return n;
}

#define RASTER 300

const char *fm_explain_region_at(const fm_explanation *x, uint32_t cell)
{
    double points[FM_EXPLAIN_POINTS][2];
    uint8_t region[RASTER * RASTER];
    uint32_t column = (2 * (cell % x->grid) + 1) * RASTER / (2 * x->grid), row = (2 * (cell / x->grid) + 1) * RASTER / (2 * x->grid);

    if (!x->regions)
        return NULL;
    for (int k = 0; k < 2 * FM_EXPLAIN_POINTS; k++)
        points[k / 2][k % 2] = x->points[k / 2][k % 2] * RASTER;
    fm_regions_fill((const double (*)[2])points, RASTER, region);
    return fm_region_name(region[row * RASTER + column]);
}

static void name_regions(const fm_explanation *x, char *out, size_t n)
{
    size_t at = 0;

    out[0] = '\0';
    for (uint32_t r = 0; r < x->regions && at < n; r++)
        if (fm_explain_over(&x->map[0].region[r]))
            at += (size_t)snprintf(out + at, n - at, "%s%s", at ? ", " : "", fm_region_name((int)r));
    if (!at)
        snprintf(out, n, "none");
}

void fm_explain_sentence(const fm_explanation *x, char *out, size_t n)
{
    size_t over = fm_explain_cells_over(x);
    uint32_t top = fm_explain_top(x);
    const char *where = fm_explain_region_at(x, top);
    char named[160];

    name_regions(x, named, sizeof named);
    if (isnan(x->threshold))
        snprintf(out, n, "There is no telling whether any of this is more than chance: that takes 19 permutations or more.");
    else if (over == 0)
        snprintf(out, n, "No place on the chip is over the threshold: by these faces the map cannot be told from one of chance.");
    else
        snprintf(out, n, "%zu of %u places %s over the threshold; hiding row %u, column %u%s%s lowers the score most surely. Regions over "
                 "theirs: %s.", over, x->grid * x->grid, over == 1 ? "is" : "are", top / x->grid + 1, top % x->grid + 1,
                 where ? ", of the region " : "", where ? where : "", named);
}

/* --- results.json --- */

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *value(const fm_explain_value *v)
{
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:b}", "fall", real(v->fall), "se", real(v->se), "t", real(v->t), "p",
                          real(v->p), "over", fm_explain_over(v));

    if (o && isnan(v->se))
        json_object_set_new(o, "undefined", json_string("one subject has no standard error"));
    else if (o && isnan(v->p))
        json_object_set_new(o, "undefined", json_string("no permutations"));
    return o;
}

static json_t *all_cells(const fm_explanation *x)
{
    json_t *all = json_array();

    for (uint32_t k = 0; k < x->grid * x->grid; k++) {
        json_t *o = value(&x->map[0].cell[k]);

        json_object_set_new(o, "row", count(k / x->grid + 1));
        json_object_set_new(o, "column", count(k % x->grid + 1));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *all_regions(const fm_explanation *x)
{
    json_t *all = json_array();

    for (uint32_t r = 0; r < x->regions; r++) {
        json_t *o = value(&x->map[0].region[r]);

        json_object_set_new(o, "name", json_string(fm_region_name((int)r)));
        json_array_append_new(all, o);
    }
    return all;
}

/* A class's own map: row by row, without a test. */
static json_t *own_map(const fm_explanation *x, const fm_explain_map *m, const char *name)
{
    json_t *fall = json_array(), *se = json_array();
    json_t *o = json_pack("{s:o, s:o, s:o, s:o}", "name", fm_json_text(name), "faces", count(m->faces), "subjects",
                          count(m->subjects), "base", real(m->base));

    for (uint32_t k = 0; k < x->grid * x->grid; k++) {
        json_array_append_new(fall, real(m->cell[k].fall));
        json_array_append_new(se, real(m->cell[k].se));
    }
    if (!o) {
        json_decref(fall);
        json_decref(se);
        return NULL;
    }
    json_object_set_new(o, "fall", fall);
    json_object_set_new(o, "se", se);
    if (m->subjects < 2)
        json_object_set_new(o, "undefined", json_string("fewer than two subjects were explained"));
    return o;
}

static json_t *top_place(const fm_explanation *x)
{
    uint32_t top = fm_explain_top(x);
    const char *where = fm_explain_region_at(x, top);

    return json_pack("{s:o, s:o, s:o}", "row", count(top / x->grid + 1), "column", count(top % x->grid + 1), "region",
                     where ? json_string(where) : json_null());
}

json_t *fm_explain_json(const fm_explanation *x, const fm_samples *s)
{
    const fm_explain_map *m = &x->map[0];
    json_t *classes = json_array(), *o;
    char sentence[512];

    fm_explain_sentence(x, sentence, sizeof sentence);
    for (uint32_t c = 0; c < x->classes; c++)
        json_array_append_new(classes, own_map(x, &x->map[1 + c], s->classes[c]));
    o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "grid", count(x->grid), "faces",
                  count(m->faces), "subjects", count(m->subjects), "permutations", count(x->permutations), "base", real(m->base),
                  "threshold", real(x->threshold), "region_threshold", real(x->region_threshold), "cells_over",
                  count(fm_explain_cells_over(x)), "cells", all_cells(x), "regions", all_regions(x), "classes", classes, "top",
                  top_place(x), "means", sentence);
    if (o && isnan(x->threshold))
        json_object_set_new(o, "undefined", json_string("fewer than 19 permutations give no threshold"));
    else if (o && !x->regions)
        json_object_set_new(o, "undefined", json_string("regions need 68 landmarks"));
    return o;
}

/* --- a terminal --- */

void fm_explain_print(const fm_explanation *x, fm_buf *out)
{
    const fm_explain_map *m = &x->map[0];
    char sentence[512];

    fm_buf_printf(out, "%llu faces of %llu subjects, grid %u x %u, %u permutations; mean log odds of the right class %.3f\n",
                  (unsigned long long)m->faces, (unsigned long long)m->subjects, x->grid, x->grid, x->permutations, m->base);
    if (x->regions)
        fm_buf_printf(out, "%-10s  %8s  %7s  %s\n", "region", "fall", "error", "p");
    for (uint32_t r = 0; r < x->regions; r++) {
        const fm_explain_value *v = &m->region[r];

        fm_buf_printf(out, "%-10s  %8.4f  %7.4f  %.3f%s\n", fm_region_name((int)r), v->fall, v->se, v->p,
                      fm_explain_over(v) ? "  *" : "");
    }
    fm_explain_sentence(x, sentence, sizeof sentence);
    fm_buf_printf(out, "%s\n", sentence);
}
