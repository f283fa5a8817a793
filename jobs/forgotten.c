/* Rows are rewritten rather than removed: every photograph ends in exactly one row of
 * the ledger, and how many were forgotten is no secret.  All other results can be made
 * again without the subject, so they go: a head was trained on their codes, a figure
 * drawn from their predictions. */
#include "jobs/forgotten.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "jobs/table.h"

bool fm_subject_is(const char *subject, const char *meant)
{
    const char *bare = strchr(subject, '/');

    return strcmp(subject, meant) == 0 || (bare && strcmp(bare + 1, meant) == 0);
}

static void put_row(const fm_table *t, fm_buf *to)
{
    for (int i = 0; i < t->n; i++) {
        fm_tsv_field(to, t->field[i]);
        fm_buf_u8(to, i + 1 < t->n ? '\t' : '\n');
    }
}

typedef struct { int sample, cohort, subject, status, reason; } columns;

static int find_columns(const fm_table *t, columns *c, fm_err *err)
{
    const struct { const char *name; int *at; } wanted[] = {
        {"sample", &c->sample}, {"cohort", &c->cohort}, {"subject", &c->subject}, {"status", &c->status},
        {"reason", &c->reason}};

    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
        *wanted[k].at = -1;
        for (int i = 0; i < t->n; i++)
            if (strcmp(t->field[i], wanted[k].name) == 0)
                *wanted[k].at = i;
        if (*wanted[k].at < 0)
            return fm_fail(err, -EBADMSG, "%s: no column \"%s\"; run the study again", t->file, wanted[k].name);
    }
    return 0;
}

/* The row of one who is forgotten: that there was a photograph, in which cohort, and why it is left out. */
static void put_forgotten(const fm_table *t, const columns *c, fm_buf *to)
{
    for (int i = 0; i < t->n; i++) {
        if (i == c->cohort)
            fm_tsv_field(to, t->field[i]);
        else if (i == c->status)
            fm_tsv_field(to, "left_out");
        else if (i == c->reason)
            fm_tsv_field(to, fm_reason_name(FM_FORGOTTEN));
        fm_buf_u8(to, i + 1 < t->n ? '\t' : '\n');
    }
}

static int rewrite(fm_table *t, const char *subject, fm_buf *to, fm_buf *names, size_t *rows, fm_err *err)
{
    columns c = {0};
    int rc = fm_table_next(t, err);

    if (rc == 1)
        rc = find_columns(t, &c, err);
    if (rc == 0)
        put_row(t, to);
    while (rc == 0 && (rc = fm_table_next(t, err)) == 1) {
        int n = t->n;

        rc = 0;
        if (n <= c.subject || n <= c.reason || !fm_subject_is(t->field[c.subject], subject)) {
            put_row(t, to);
            continue;
        }
        fm_buf_put(names, t->field[c.sample], strlen(t->field[c.sample]) + 1);
        put_forgotten(t, &c, to);
        ++*rows;
    }
    return rc == 0 && (to->failed || names->failed) ? fm_fail_nomem(err, "ledger.tsv", to->size) : rc;
}

int fm_forgotten_ledger(const char *out, const char *subject, bool write, fm_buf *names, size_t *rows, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf to = FM_BUF_INIT;
    fm_table t;
    int rc = fm_path_join(path, sizeof path, out, "ledger.tsv", err);

    *rows = 0;
    if (rc == 0)
        rc = fm_table_open(path, true, &t, err);
    if (rc != 0)
        return rc == -ENOENT ? fm_fail(err, rc, "%s: not there; name the study file instead of its OUT", path) : rc;
    rc = rewrite(&t, subject, &to, names, rows, err);
    fm_table_close(&t);
    if (rc == 0 && *rows && write) {
        fm_file_shred(path, NULL);
        rc = fm_file_write(path, to.data, to.size, err);
    }
    fm_buf_fini(&to);
    return rc;
}

static int write_without(const char *store_dir, const fm_vault *vault, fm_study_keys *keys, fm_err *err)
{
    static char nothing[] = "";
    fm_study_keys shown = {malloc((keys->n + 1) * sizeof *shown.v), keys->n};
    int rc;

    if (!shown.v)
        return fm_fail_nomem(err, "study keys", keys->n * sizeof *shown.v);
    for (size_t i = 0; i < keys->n; i++) {
        shown.v[i] = keys->v[i];
        if (fm_vault_forgotten(vault, &keys->v[i].image, keys->v[i].path))
            shown.v[i] = (fm_study_key){.name = nothing, .path = nothing, .reason = FM_FORGOTTEN};
    }
    rc = fm_keys_write(store_dir, &shown, err);
    free(shown.v);
    return rc;
}

int fm_forgotten_keys(const char *store_dir, fm_err *err)
{
    fm_study_keys keys = {NULL, 0};
    fm_vault *vault = NULL;
    int rc = fm_vault_open(store_dir, &vault, err);

    if (rc == 0)
        rc = fm_keys_read(store_dir, &keys, err);
    if (rc == 0)
        rc = write_without(store_dir, vault, &keys, err);
    fm_keys_fini(&keys);
    fm_vault_close(vault);
    return rc == -ENOENT ? 0 : rc;      /* no build has finished yet: no list */
}

int fm_forgotten_results(const char *out, fm_err *err)
{
    static const char *const names[] = {
        "results.json", "predictions.tsv", "matched.tsv", "balance.tsv", "pairs.tsv", "near_duplicates.tsv",
        "report.html", "head.bin", "run/plan.bin", "run/evaluation.bin", "run/audit-plan.bin",
        "run/audit.bin", "run/power-plan.bin", "run/power.bin", "run/explain-plan.bin", "run/explain.bin"};
    char path[FM_PATH_MAX];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
        rc = fm_path_join(path, sizeof path, out, names[i], err);
        if (rc == 0)
            rc = fm_file_shred(path, err);
    }
    if (rc == 0)
        rc = fm_path_join(path, sizeof path, out, "figures", err);
    return rc == 0 ? fm_dir_remove(path, err) : rc;
}

int fm_forgotten_samples(const char *store_dir, fm_samples *samples, fm_err *err)
{
    fm_vault *vault;
    int rc = fm_vault_open(store_dir, &vault, err);

    for (size_t i = 0; rc == 0 && i < samples->n; i++)
        if (fm_vault_forgotten(vault, NULL, samples->v[i].path))
            samples->v[i].reason = FM_FORGOTTEN;        /* before any other: others would be said with details */
    fm_vault_close(vault);
    return rc;
}
