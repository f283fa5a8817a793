/* What a run leaves in OUT: results.json, predictions.tsv and ledger.tsv, each
 * whole or not at all; then the report. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "jobs/results.h"
#include "jobs/road.h"
#include "storage/store.h"

/* Returns how many there are. */
static size_t fill_models(const fm_road *r, fm_results_model model[FM_ROAD_MODELS])
{
    static const char *const roles[FM_ROAD_MODELS] = {"detector", "landmarks", "encoder", "mask"};

    size_t n = 0;

    for (int i = 0; i < FM_ROAD_MODELS; i++)
        if (r->model[i])
            model[n++] = (fm_results_model){.role = roles[i], .name = r->model[i]->file, .licence = r->model[i]->licence,
                                            .sha256 = r->model[i]->sha256};
    return n;
}

int fm_road_publish(fm_road *r, fm_err *err)
{
    fm_results_model models[FM_ROAD_MODELS];
    fm_results results = {.study = &r->study, .samples = &r->samples, .evaluation = &r->evaluation, .models = models,
                          .pairs = r->pairs.n, .balance = &r->balance,
                          .audits = &r->audits, .explanation = &r->explanation, .nears = &r->nears, .build = &r->counts,
                          .ranks = r->launcher ? fm_launcher_ranks(r->launcher) : 0,
                          .seconds = (double)(fm_clock_ms() - r->started_ms) / 1000, .finished = time(NULL)};
    char ledger[FM_PATH_MAX];
    fm_subgroup *groups = NULL;
    fm_store *store = NULL;
    int rc = fm_store_open(r->store_dir, &store, err);

    results.n_models = fill_models(r, models);
    if (rc == 0)
        rc = fm_store_digest(store, r->photo, r->code, r->samples.n, &results.store, err);
    if (rc == 0)
        rc = fm_road_path(r, "ledger.tsv", ledger, err);
    if (rc == 0)
        rc = fm_ledger_write(&r->study, &r->samples, r->facts, ledger, err);
    if (rc == 0 && (rc = fm_results_subgroups(&results, &groups, &results.n_groups, err)) == 0)
        results.groups = groups;
    if (rc == 0)
        rc = fm_results_write(&results, r->study.out, err);
    if (rc == 0)
        rc = fm_road_report(r, store, &results, err);
    free(groups);
    fm_store_close(store);
    return rc;
}
