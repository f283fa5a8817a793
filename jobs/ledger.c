/* The ledger is put together from two sides: samples know what the study thought
 * of a photograph, facts what its bytes were.  A fact is a few dozen bytes, so
 * that a million photographs fit where their records would not. */
#include "jobs/ledger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

int fm_ledger_fact_of(const fm_photo *photo, fm_ledger_fact *out, fm_err *err)
{
    fm_ledger_fact f = {.width = photo->width, .height = photo->height, .faces_found = photo->faces_found,
                        .faces_kept = photo->n_faces, .format = photo->format, .orientation = photo->orientation,
                        .jpeg_quality = photo->jpeg_quality, .upsample = photo->upsample};

    if (photo->n_faces) {
        f.left = photo->faces[0].left;
        f.top = photo->faces[0].top;
        f.right = photo->faces[0].right;
        f.bottom = photo->faces[0].bottom;
        f.score = photo->faces[0].score;
        f.view = photo->faces[0].view;
    }
    if (photo->detail[0] && !(f.detail = strdup(photo->detail)))
        return fm_fail_nomem(err, "ledger", strlen(photo->detail));
    *out = f;
    return 0;
}

void fm_ledger_facts_destroy(fm_ledger_fact *facts, size_t n)
{
    for (size_t i = 0; facts && i < n; i++)
        free(facts[i].detail);
    free(facts);
}

static void text(fm_buf *b, const char *s)
{
    fm_tsv_field(b, s ? s : "");
    fm_buf_u8(b, '\t');
}

static void number(fm_buf *b, bool known, uint32_t v)
{
    if (known)
        fm_buf_printf(b, "%u", v);
    fm_buf_u8(b, '\t');
}

static void put_study_side(const fm_study *study, const fm_samples *s, const fm_sample *x, const char *detail,
                           fm_buf *b)
{
    const char *cohort = study->cohorts[x->cohort].name;
    char age[32];

    if (x->reason == FM_FORGOTTEN) {    /* says so without naming */
        fm_buf_printf(b, "\t%s\t\t\tleft_out\t%s\t\t\t\t\t", cohort, fm_reason_name(x->reason));
        return;
    }
    text(b, x->name);
    text(b, cohort);
    text(b, x->subject);
    text(b, x->name + strlen(cohort) + 1);
    text(b, x->reason == FM_USED ? "used" : "left_out");
    text(b, x->reason == FM_USED ? "" : fm_reason_name(x->reason));
    text(b, x->detail ? x->detail : detail);
    text(b, fm_sex_name(x->sex));
    text(b, fm_sample_column(s, x, "age", age));
    text(b, x->label >= 0 && x->label < s->n_classes ? s->classes[x->label] : "");
}

static void put_photo_side(const fm_ledger_fact *f, fm_buf *b)
{
    static const char *const formats[] = {"", "jpeg", "png"};
    bool decoded = f->width > 0;

    text(b, f->format < sizeof formats / sizeof *formats ? formats[f->format] : "");
    number(b, decoded, f->width);
    number(b, decoded, f->height);
    number(b, decoded, f->orientation);
    number(b, f->jpeg_quality > 0, f->jpeg_quality);
    number(b, decoded, f->upsample);
    number(b, decoded, f->faces_found);
    number(b, decoded, f->faces_kept);
    if (f->faces_kept)
        fm_buf_printf(b, "%d\t%d\t%d\t%d\t%.9g\t%u\n", f->left, f->top, f->right, f->bottom, (double)f->score, f->view);
    else
        fm_buf_printf(b, "\t\t\t\t\t\n");
}

int fm_ledger_table(const fm_study *study, const fm_samples *samples, const fm_ledger_fact *facts, fm_buf *out,
                    fm_err *err)
{
    static const fm_ledger_fact nothing;

    fm_buf_printf(out, "sample\tcohort\tsubject\tfile\tstatus\treason\tdetail\tsex\tage\tlabel\tformat\twidth\theight\t"
                  "orientation\tjpeg_quality\tupsample\tfaces_found\tfaces_kept\tleft\ttop\tright\tbottom\tscore\t"
                  "view\n");
    for (size_t i = 0; i < samples->n; i++) {
        const fm_ledger_fact *f = facts ? &facts[i] : &nothing;

        put_study_side(study, samples, &samples->v[i], f->detail, out);
        put_photo_side(f, out);
    }
    return out->failed ? fm_fail_nomem(err, "ledger.tsv", out->size) : 0;
}

int fm_ledger_write(const fm_study *study, const fm_samples *samples, const fm_ledger_fact *facts, const char *path,
                    fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = fm_ledger_table(study, samples, facts, &b, err);

    if (rc == 0)
        rc = fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}
