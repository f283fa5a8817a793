/* The build's loop: a clock, a socket and files around the parts that have none
 * (worklist, conversation, crews).
 *
 * Before anything is planned the store is taken and what earlier runs left is
 * settled, so that planning sees sealed segments only.  Messages are answered
 * before time is judged: a coordinator that was held up hears the beats that came
 * meanwhile first.  It ends when every shard is done (or it drains) and every worker
 * has left or is known dead, because only then is every segment sealed. */
#include "coordinator/build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "coordinator/conversation.h"
#include "coordinator/crews.h"
#include "coordinator/joiners.h"
#include "coordinator/worklist.h"
#include "coordinator/segments.h"
#include "coordinator/space.h"
#include "coordinator/status.h"
#include "proto/join.h"
#include "proto/journal.h"
#include "proto/socket.h"
#include "storage/catalog.h"
#include "storage/vault.h"

#define LEASE_TIMEOUT_MS 30000
#define LIMIT_MS 120000
#define POLL_MS 50
#define BURST 256               /* messages answered before time is looked at, at most */
#define LOOK_MS 20
#define REPORT_MS 1000
#define METRICS_MS 5000
#define ASKS_MS 500             /* between two looks at who asks to join */
#define LINGER_MS 1000          /* of silence, for workers that come by themselves and late */
#define PATIENCE_MS (FM_SILENCE_MS + 10000)

typedef struct {
    const fm_build_spec *spec;
    uint32_t timeout_ms;
    uint64_t started_ms, reported_ms, looked_ms, heard_ms, asked_ms, measured_ms;
    char run_dir[FM_PATH_MAX];  /* absolute */
    char store_dir[FM_PATH_MAX], scratch_dir[FM_PATH_MAX];      /* absolute */
    char worker_path[FM_PATH_MAX], observer_path[FM_PATH_MAX], status_path[FM_PATH_MAX];
    char metrics_path[FM_PATH_MAX], usage_path[FM_PATH_MAX], trace_path[FM_PATH_MAX];
    fm_join worker, observer;
    uint64_t epoch;             /* 0: the store is not ours (any more), and nothing here is ours to write */
    bool status_failed;
    fm_catalog *catalog;
    fm_segments segments;
    fm_worklist *todo;
    fm_server *server;
    fm_conversation *conversation;
    fm_crews *crews;
    fm_joiners *joiners;
} build;

/* A file that others read; one that cannot be written is said so once. */
static void publish(build *b, const char *path, const fm_buf *text)
{
    fm_err err = FM_ERR_INIT;
    int rc = text->failed ? -ENOMEM : fm_file_write(path, text->data, text->size, &err);

    if (rc != 0 && !b->status_failed)
        fm_warn("the status of this build cannot be written: %s", err.text);
    b->status_failed = rc != 0;
}

/* Tell whoever looks: status and metrics, and what the build spent when it is over. */
static void publish_status(build *b, const fm_status *status, bool over)
{
    fm_buf text = FM_BUF_INIT;

    fm_status_json(status, &text);
    publish(b, b->status_path, &text);
    if (over && status->facts)
        publish(b, b->usage_path, &text);
    text.size = 0;
    if (over || b->reported_ms - b->measured_ms >= METRICS_MS) {
        b->measured_ms = b->reported_ms;
        fm_status_metrics(status, &text);
        publish(b, b->metrics_path, &text);
    }
    fm_buf_fini(&text);
}

static void report(build *b, const char *state, bool over)
{
    fm_build_counts counts = {.photographs = b->spec->n_paths};
    fm_conversation_facts facts = {.n_crews = 0};
    fm_status status = {state, b->epoch, &counts, NULL};

    b->reported_ms = fm_clock_ms();
    if (b->todo) {
        b->todo->counts.seconds = (double)(b->reported_ms - b->started_ms) / 1000;
        counts = b->todo->counts;
    }
    if (b->conversation && fm_conversation_facts_take(b->conversation, b->reported_ms, &facts, NULL) == 0)
        status.facts = &facts;
    publish_status(b, &status, over);
    fm_conversation_facts_fini(&facts);
    fm_trace_flush(b->spec->trace);
    if (b->spec->progress)
        b->spec->progress(b->spec->progress_ctx, &counts);
}

static int absolute(const char *path, char out[FM_PATH_MAX], fm_err *err)
{
    char *real = realpath(path, NULL);
    int rc = 0;

    if (!real)
        return fm_fail(err, -errno, "%s: %s", path, strerror(errno));
    if (strlen(real) >= FM_PATH_MAX)
        rc = fm_fail(err, -ENAMETOOLONG, "%s: path too long", path);
    else
        strcpy(out, real);
    free(real);
    return rc;
}

static int make_folder(const char *path, char out[FM_PATH_MAX], fm_err *err)
{
    int rc = fm_dir_make(path, err);

    return rc == 0 ? absolute(path, out, err) : rc;
}

static int name_run_files(build *b, fm_err *err)
{
    const char *dir = b->run_dir;
    int rc = make_folder(b->spec->run_dir, b->run_dir, err);

    if (rc == 0)
        rc = fm_path_join(b->worker_path, FM_PATH_MAX, dir, FM_RUN_CREW_JOIN, err);
    if (rc == 0)
        rc = fm_path_join(b->observer_path, FM_PATH_MAX, dir, FM_RUN_OBSERVER_JOIN, err);
    if (rc == 0)
        rc = fm_path_join(b->status_path, FM_PATH_MAX, dir, FM_RUN_STATUS, err);
    if (rc == 0)
        rc = fm_path_join(b->usage_path, FM_PATH_MAX, dir, FM_RUN_USAGE, err);
    if (rc == 0)
        rc = fm_path_join(b->trace_path, FM_PATH_MAX, dir, FM_RUN_TRACE, err);
    return rc == 0 ? fm_path_join(b->metrics_path, FM_PATH_MAX, dir,
                                  b->spec->metrics_path ? b->spec->metrics_path : FM_RUN_METRICS, err) : rc;
}

/* What workers of earlier runs were at is forgotten. */
static int forget_journals(const build *b, fm_err *err)
{
    char path[FM_PATH_MAX];
    int rc = fm_path_join(path, sizeof path, b->store_dir, FM_JOURNALS, err);

    return rc == 0 ? fm_dir_remove(path, err) : rc;
}

/* The store is ours, and no open segment is in it. */
static int take_store(build *b, fm_err *err)
{
    char scratch[FM_PATH_MAX];
    int rc = name_run_files(b, err);

    if (rc == 0)
        rc = fm_catalog_open(b->spec->store_dir, true, &b->catalog, err);
    if (rc == 0)
        rc = absolute(b->spec->store_dir, b->store_dir, err);
    if (rc == 0)
        rc = fm_catalog_take(b->catalog, &b->epoch, err);
    if (rc == 0 && !b->spec->scratch_dir)
        rc = fm_path_join(scratch, sizeof scratch, b->store_dir, "open", err);
    if (rc == 0)
        rc = make_folder(b->spec->scratch_dir ? b->spec->scratch_dir : scratch, b->scratch_dir, err);
    if (rc != 0)
        return rc;
    b->segments = (fm_segments){b->catalog, b->store_dir, b->scratch_dir, b->epoch};
    report(b, "planning", false);
    rc = forget_journals(b, err);
    if (rc != 0)
        return rc;
    return fm_segments_recover(&b->segments, PATIENCE_MS, b->spec->stop, err);
}

static int fill_model(fm_join_model *model, const char *path, const fm_digest *sha256, fm_err *err)
{
    memset(model, 0, sizeof *model);
    if (!path)
        return 0;
    model->sha256 = *sha256;
    return absolute(path, model->path, err);
}

static int write_joins(build *b, fm_err *err)
{
    const fm_build_spec *spec = b->spec;
    fm_join *w = &b->worker;
    int rc;

    w->epoch = b->observer.epoch = b->epoch;
    strcpy(w->store_dir, b->store_dir);
    strcpy(w->scratch_dir, b->scratch_dir);
    rc = fill_model(&w->detector, spec->detector_path, &spec->recipe->detector_model, err);
    if (rc == 0)
        rc = fill_model(&w->landmarks, spec->landmarks_path, &spec->recipe->landmarks_model, err);
    if (rc == 0)
        rc = fill_model(&w->encoder, spec->encoder_path, spec->encoding ? &spec->encoding->model : &spec->encoder, err);
    if (rc == 0)
        rc = fill_model(&w->mask, spec->mask_path, &spec->mask_model, err);
    w->mask.sha256 = spec->mask_model;
    if (spec->encoding)
        w->encoding = *spec->encoding;
    if (rc == 0)
        rc = fm_join_write(&b->observer, b->observer_path, err);
    return rc == 0 ? fm_join_write(w, b->worker_path, err) : rc;
}

static int start_serving(build *b, fm_err *err)
{
    fm_conversation_spec spec = {b->segments, b->todo, b->spec->recipe, b->epoch, b->timeout_ms,
                                 b->spec->limit_ms ? b->spec->limit_ms : LIMIT_MS, b->spec->trace,
                                 b->spec->crews.crews};
    uint64_t run;
    int rc;

    if (sodium_init() < 0)
        return fm_fail(err, -ENOTSUP, "libsodium cannot start: no source of random numbers");
    randombytes_buf(&run, sizeof run);
    rc = fm_server_open(!b->spec->crews.remote, run, &b->worker, &b->observer, &b->server, err);
    if (rc == 0)
        rc = fm_conversation_create(&spec, &b->conversation, err);
    if (rc == 0)
        rc = fm_crews_create(&b->spec->crews, b->worker_path, &b->crews, err);
    return rc == 0 ? write_joins(b, err) : rc;
}

/* From now on others may ask to join. */
static int open_door(build *b, fm_err *err)
{
    uint32_t crews = b->spec->crews.crews;
    const fm_joiners_spec spec = {b->run_dir, b->server, &b->worker, &b->observer, b->observer_path,
                                  crews ? crews : 1};       /* the crew started by hand is 0 */

    return fm_joiners_create(&spec, &b->joiners, err);
}

/* Take one message and answer it.  1: there was one; 0; or negative. */
static int answer_one(build *b, int wait_ms, fm_err *err)
{
    fm_message message, reply;
    fm_peer from;
    bool answered;
    int rc, got = fm_server_receive(b->server, wait_ms, &from, &message, err);

    if (got != 1)
        return got;
    b->heard_ms = fm_clock_ms();
    rc = fm_conversation_hear(b->conversation, &from, &message, b->heard_ms, &reply, &answered, err);
    if (rc == 0 && answered && reply.type == FM_MSG_WELCOME)
        fm_vault_store_key(b->store_dir, reply.store_key);
    if (rc == 0 && answered)
        rc = fm_server_send(b->server, &from, &reply, err);
    fm_message_fini(&message);
    fm_message_fini(&reply);
    while (rc == 0 && fm_conversation_notice(b->conversation, &from, &reply)) {
        rc = fm_server_send(b->server, &from, &reply, err);
        fm_message_fini(&reply);
    }
    return rc == 0 ? 1 : rc;
}

/* Time has passed: leases, crews, silence, the report.  *over: there is nothing left to wait for. */
static int look_around(build *b, bool *over, fm_err *err)
{
    uint64_t now_ms = fm_clock_ms();
    fm_conversation_state state;
    int rc;

    if (now_ms - b->looked_ms < LOOK_MS)
        return 0;
    b->looked_ms = now_ms;
    rc = fm_conversation_tick(b->conversation, now_ms, err);
    if (rc == 0)
        rc = fm_crews_tick(b->crews, b->conversation, now_ms, &b->todo->counts, err);
    if (rc == 0 && now_ms - b->asked_ms >= ASKS_MS) {
        b->asked_ms = now_ms;
        rc = fm_joiners_tick(b->joiners, b->conversation, now_ms, &b->todo->counts, err);
    }
    fm_conversation_look(b->conversation, &state);
    if (rc == 0 && (state.complete || state.draining))
        rc = fm_conversation_dismiss_silent(b->conversation, now_ms, err);
    if (rc != 0)
        return rc;
    fm_conversation_look(b->conversation, &state);
    if (now_ms - b->reported_ms >= REPORT_MS) {
        rc = fm_catalog_check_ours(b->catalog, err);    /* we may have been stopped for long */
        if (rc != 0)
            return rc;
        report(b, state.draining ? "draining" : "running", false);
    }
    *over = (state.complete || state.draining) && state.here == 0 && fm_crews_down(b->crews) &&
            (b->spec->crews.crews > 0 || now_ms - b->heard_ms >= LINGER_MS);
    return 0;
}

static int serve(build *b, fm_err *err)
{
    fm_conversation_state state;
    bool over = false;
    int rc = start_serving(b, err);

    fm_trace_begin(b->spec->trace, b->trace_path);
    if (rc == 0)
        rc = open_door(b, err);
    b->heard_ms = fm_clock_ms();
    while (rc == 0 && !over) {
        int got = answer_one(b, POLL_MS, err);

        for (int i = 1; got == 1 && i < BURST; i++)
            got = answer_one(b, 0, err);
        if (b->spec->stop && *b->spec->stop)
            fm_conversation_drain(b->conversation);
        rc = got < 0 ? got : look_around(b, &over, err);
    }
    if (rc != 0) {
        if (b->crews)
            fm_crews_stop(b->crews);
        return rc;
    }
    fm_conversation_look(b->conversation, &state);
    if (!state.complete)
        return fm_fail(err, -EINTR, "stopped with %" PRIu64 " of %" PRIu64 " photographs done: run again to go on",
                       b->todo->counts.done, b->todo->counts.photographs);
    return 0;
}

static void close_all(build *b)
{
    if (b->epoch) {     /* also those of a coordinator that was killed */
        unlink(b->worker_path);
        unlink(b->observer_path);
    }
    fm_joiners_destroy(b->joiners);
    fm_crews_destroy(b->crews);
    fm_conversation_destroy(b->conversation);
    fm_server_close(b->server);
    fm_worklist_destroy(b->todo);
    if (b->catalog)
        fm_catalog_close(b->catalog);
    sodium_memzero(b, sizeof *b);
    free(b);
}

/* Before the work, since it may take days to come to the end of the disk. */
static void warn_of_space(const build *b)
{
    uint64_t needed = fm_space_needed(b->spec->recipe, b->todo->counts.photographs - b->todo->counts.done), left;

    if (fm_space_free(b->store_dir, &left) == 0 && left < needed)
        fm_warn("%s: %" PRIu64 " bytes are free and this build may need %" PRIu64, b->store_dir, left, needed);
}

int fm_build_run(const fm_build_spec *spec, fm_build_counts *counts, fm_err *err)
{
    build *b = calloc(1, sizeof *b);
    int rc;

    *counts = (fm_build_counts){.photographs = spec->n_paths};
    if (!b)
        return fm_fail_nomem(err, "build", sizeof *b);
    b->spec = spec;
    b->timeout_ms = spec->lease_timeout_ms ? spec->lease_timeout_ms : LEASE_TIMEOUT_MS;
    b->started_ms = fm_clock_ms();
    rc = take_store(b, err);
    if (rc == 0)
        rc = fm_worklist_create(spec, b->catalog, &b->todo, err);
    if (rc == 0 && b->todo->n_shards > 0) {
        warn_of_space(b);
        rc = serve(b, err);
    }
    if (rc == 0)
        rc = fm_worklist_write_keys(b->todo, spec->names, b->store_dir, err);
    if (rc == -ESTALE) {
        b->epoch = 0;
        fm_trace_drop(b->spec->trace);
    }
    if (b->epoch)
        report(b, rc == 0 ? "finished" : rc == -EINTR ? "stopped" : "failed", true);
    if (b->todo)
        *counts = b->todo->counts;
    if (rc != 0 && err)
        rc = fm_space_explain(spec->store_dir, spec->recipe, counts->photographs - counts->done, err);
    close_all(b);
    return rc;
}
