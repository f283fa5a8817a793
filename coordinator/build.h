/* A distributed build: every photograph of a list gets its photo record and its
 * code into the store, by crews of workers that may die at any moment.
 *
 * The coordinator is one process outside MPI.  It plans shards, grants leases
 * over ZeroMQ, keeps the catalog, starts crews again that died, and seals what
 * dead workers left. */
#ifndef FM_COORDINATOR_BUILD_H
#define FM_COORDINATOR_BUILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/reason.h"
#include "base/trace.h"
#include "proto/encoding.h"
#include "proto/recipe.h"

/* What a build keeps in run_dir.  The join files are there while it runs only; the status is replaced
 * about once a second and says at the end how it ended. */
#define FM_RUN_CREW_JOIN "crew.join"
#define FM_RUN_OBSERVER_JOIN "observer.join"    /* for STATUS_ASK and DRAIN_ASK (proto/message.h) */
                                                /* beside them: ask/, where others ask to join (proto/ask.h) */
#define FM_RUN_STATUS "status.json"             /* coordinator/status.h */
#define FM_RUN_USAGE "usage.json"               /* the same, of the last build that had work to hand out, at its end */
#define FM_RUN_METRICS "facemill.prom"          /* coordinator/status.h */
#define FM_RUN_TRACE "trace.json"               /* base/trace.h, of the last build that had work to hand out */

/* How crews are started; filled by cluster/launch.h, so that this layer knows no MPI. */
typedef struct {
    /* Start crew number `crew` (0 .. crews-1; again after it ended) that joins with what join_file says (proto/join.h). 0 or a negative code. */
    int (*start)(void *ctx, uint32_t crew, const char *join_file, fm_err *err);
    /* Has it ended?  *ended is set; *status is informative only (a crew's success is read from what it wrote). */
    int (*poll)(void *ctx, uint32_t crew, bool *ended, int *status, fm_err *err);
    /* End it: asked first (its workers seal), then SIGTERM, then SIGKILL, each after a grace. */
    void (*stop)(void *ctx, uint32_t crew);
    void *ctx;
    uint32_t crews;         /* how many crews to keep up; 0: none is started here, workers come by themselves */
    bool remote;            /* crews run on other hosts too: listen on all interfaces, not on 127.0.0.1 only */
} fm_crew_ops;

typedef struct {
    uint64_t photographs;           /* in the list */
    uint64_t done;                  /* acknowledged or found in the store */
    uint64_t photos_made, photos_reused;    /* of those done, the ones with a record: made by this run, or found */
    uint64_t codes_made, codes_reused;
    uint64_t left_out[FM_REASON_COUNT];
    uint64_t leases_lost;           /* shards handed out again */
    uint32_t crews_lost;                    /* ended with a worker that had not left */
    uint32_t workers;                       /* the most there were at once */
    double seconds;
} fm_build_counts;

typedef struct {
    const char *store_dir;          /* OUT/store; created when missing */
    const char *run_dir;            /* OUT/run: the files named above; private to the user */
    const char *scratch_dir;        /* where workers write open segments; NULL: store_dir/open */
    const fm_recipe *recipe;
    fm_digest encoder;              /* fm_encoding_digest; zero: chips only */
    const fm_encoding *encoding;    /* NULL: chips only, or dlib's way with the model of that digest */
    const char *detector_path, *landmarks_path, *encoder_path;   /* model files that a crew's rank 0 reads */
    const char *mask_path;          /* NULL: no masks are made */
    fm_digest mask_model;           /* of that file, also when it is not needed: photo records with a mask serve without */
    const char *const *paths;       /* [n_paths] photographs, absolute; borrowed for the call */
    const char *const *names;       /* [n_paths] what study.keys calls them; NULL: as their paths */
    size_t n_paths;
    uint32_t shard_size;            /* photographs a lease; 0: chosen */
    uint32_t lease_timeout_ms;      /* 0: 30,000 */
    uint32_t limit_ms;              /* a photograph that takes longer is tried again alone, then timed_out; 0: 120,000 */
    bool paranoid;                  /* hash every file instead of trusting size and mtime */
    fm_crew_ops crews;
    const char *metrics_path;       /* NULL: FM_RUN_METRICS */
    fm_trace *trace;                /* begun when there is work to hand out; NULL: none */
    void (*progress)(void *ctx, const fm_build_counts *now);   /* called about once a second; may be NULL */
    void *progress_ctx;
    const volatile sig_atomic_t *stop;  /* set by a signal handler: drain, then return -EINTR */
} fm_build_spec;

/* Run the build to its end.  When there is nothing to do it returns without starting a crew or listening.
 * A file may be in the list twice, and the same bytes under two paths: each entry is accounted for.
 * counts  written always, also on failure, with how far it came.
 * Returns 0; -EAGAIN (another coordinator holds the store), -EINTR (stopped;
 * everything acknowledged is kept, run again to go on), -EIO (crews die without
 * getting anywhere), -ESTALE (another coordinator took the store), or what the store gives.
 * study.keys is written on success only.
 * Ranks: local, outside MPI. */
int fm_build_run(const fm_build_spec *spec, fm_build_counts *counts, fm_err *err);

#endif
