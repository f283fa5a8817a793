/* The worker's side of the conversation (proto/message.h), one question at a time.
 *
 * ask() is the one place that waits for an answer: it repeats the question, drops
 * late answers to earlier ones and knows when the coordinator is dead.  While a
 * lease is worked on, between() does the rest: it reads what has come in before it
 * judges silence, so that a photograph that takes a minute is none, and beats.
 * Rejected: a thread that beats (it would keep the lease of a worker that hangs).
 * Always: nothing is acknowledged that is not committed, and nothing is committed
 * once the coordinator is taken for dead. */
#define _GNU_SOURCE
#include "worker/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "proto/message.h"
#include "proto/socket.h"
#include "storage/vault.h"
#include "worker/shard.h"

#define SEGMENT_BYTES ((uint64_t)1 << 30)
#define NAP_MS 100              /* how long a stop may go unnoticed while waiting */
#define WAIT_MIN_MS 20
#define WAIT_MAX_MS 60000
#define BYE_LINGER_MS 1000

typedef struct {
    const fm_worker_spec *spec;
    fm_client *client;
    fm_records *records;
    fm_preprocessor *preprocessor;
    fm_journal *journal;
    fm_coder *coder;            /* NULL: chips only */
    fm_shard_tools tools;
    uint32_t timeout_ms;        /* a lease without a beat for so long is lost */
    uint64_t lease, done_lease; /* held now; acknowledged last */
    uint64_t beat_ms;           /* when the last beat was sent */
    fm_spans spans;
} worker;

static bool stopping(const worker *w)
{
    return w->spec->stop && *w->spec->stop;
}

/* One who was told to stop does not wait for long: what it has not said, its segment says. */
static int check_silence(const worker *w, fm_err *err)
{
    uint64_t silence = fm_client_silence_ms(w->client);

    if (silence < (stopping(w) ? FM_ASK_AGAIN_MS : FM_SILENCE_MS))
        return 0;
    return fm_fail(err, -ECONNRESET, "no answer from the coordinator for %llu s: it is taken for dead",
                   (unsigned long long)silence / 1000);
}

/* Is this the answer to that question?  Late answers to earlier ones are not. */
static bool answers(const worker *w, const fm_message *question, const fm_message *m)
{
    switch (question->type) {
    case FM_MSG_HELLO:
        return m->type == FM_MSG_WELCOME;
    case FM_MSG_WANT:
        return (m->type == FM_MSG_LEASE && m->lease != w->done_lease) || m->type == FM_MSG_WAIT ||
               m->type == FM_MSG_FINISH;
    case FM_MSG_ACK:
        return (m->type == FM_MSG_ACKED || m->type == FM_MSG_STALE) && m->lease == question->lease;
    case FM_MSG_SEALED:     /* names the next segment, if there is to be one; a late answer named the one sealed now */
        return m->type == FM_MSG_ACKED && m->lease == 0 && !(m->text && strcmp(m->text, question->text) == 0);
    default:
        return false;
    }
}

/* Does it end this worker?  0, or the error that it is. */
static int check_end(const fm_message *m, fm_err *err)
{
    if (m->type == FM_MSG_REFUSED)
        return fm_fail(err, -EPERM, "the coordinator refuses this worker: %s", m->text ? m->text : "it does not say why");
    if (m->type == FM_MSG_STALE && m->lease == 0)
        return fm_fail(err, -ECONNRESET, "another coordinator has taken over the store");
    return 0;
}

/* Wait for the answer until ask_again_ms (a time).  1 and out, 0 when the question should be repeated, or negative. */
static int await_answer(worker *w, const fm_message *question, uint64_t ask_again_ms, fm_message *out, fm_err *err)
{
    for (;;) {
        uint64_t now = fm_clock_ms(), left = now < ask_again_ms ? ask_again_ms - now : 0;
        fm_message m;
        int rc = fm_client_receive(w->client, left < NAP_MS ? (int)left : NAP_MS, &m, err);

        if (rc < 0)
            return rc;
        if (rc == 0) {
            rc = check_silence(w, err);
            if (rc != 0 || left == 0)
                return rc;
            continue;
        }
        rc = check_end(&m, err);
        if (rc == 0 && answers(w, question, &m)) {
            *out = m;
            return 1;
        }
        fm_message_fini(&m);
        if (rc != 0)
            return rc;
    }
}

/* Ask until there is an answer.  out  fm_message_fini; written only on 0. */
static int ask(worker *w, fm_message *question, fm_message *out, fm_err *err)
{
    uint64_t start = fm_clock_us();
    int rc;

    do {
        rc = fm_client_send(w->client, question, err);
        if (rc == 0 || rc == -EAGAIN)
            rc = await_answer(w, question, fm_clock_ms() + FM_ASK_AGAIN_MS, out, err);
    } while (rc == 0);
    fm_spans_add(&w->spans, FM_SPAN_WAIT, start, 0);
    return rc > 0 ? 0 : rc;
}

/* Read what has come in while a lease was worked on: 1 when it is not ours any more. */
static int read_answers(worker *w, fm_err *err)
{
    int rc, stale = 0;
    fm_message m;

    while ((rc = fm_client_receive(w->client, 0, &m, err)) == 1) {
        rc = check_end(&m, err);
        stale |= m.type == FM_MSG_STALE && m.lease == w->lease;
        fm_message_fini(&m);
        if (rc != 0)
            return rc;
    }
    return rc < 0 ? rc : stale;
}

static int between(void *ctx, fm_err *err)
{
    worker *w = ctx;
    uint64_t now = fm_clock_ms();
    fm_message beat;
    int rc = read_answers(w, err);

    if (rc == 0)
        rc = check_silence(w, err);
    if (rc == 0 && stopping(w))
        rc = 1;
    if (rc != 0 || now - w->beat_ms < w->timeout_ms / 3)
        return rc;
    fm_message_init(&beat, FM_MSG_BEAT);
    beat.lease = w->lease;
    w->beat_ms = now;
    rc = fm_client_send(w->client, &beat, err);
    return rc == -EAGAIN ? 0 : rc;      /* silence will tell */
}

/* Do the models that were loaded make what the coordinator asks for? */
static int check_models(const worker *w, const fm_message *welcome, const fm_digest *encoding, fm_err *err)
{
    const fm_join *join = w->spec->join;
    const struct { const char *what; const fm_digest *ours, *theirs; } pairs[] = {
        {"detector", &join->detector.sha256, &welcome->recipe.detector_model},
        {"landmarks", &join->landmarks.sha256, &welcome->recipe.landmarks_model},
        {"mask", &join->mask.sha256, &welcome->recipe.mask_model},
        {"encoder", encoding, &welcome->encoder},
    };
    bool encode = !fm_digest_is_zero(&welcome->encoder);
    size_t n;

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!fm_digest_is_zero(pairs[i].ours) && !fm_digest_is_zero(pairs[i].theirs) &&
            !fm_digest_equal(pairs[i].ours, pairs[i].theirs))
            return fm_fail(err, -EINVAL, "the %s model that was loaded is another than the run's", pairs[i].what);
    if (encode && !fm_models_encoder(w->spec->models) && !fm_models_network(w->spec->models, &n))
        return fm_fail(err, -EINVAL, "the run asks for codes and no encoder model was loaded");
    return 0;
}

/* Obey a WELCOME. */
static int set_up(worker *w, const fm_message *welcome, fm_err *err)
{
    const fm_join *join = w->spec->join;
    fm_encoding e = join->encoding;
    fm_digest encoding;
    int rc;

    e.model = join->encoder.sha256;
    rc = fm_encoding_digest(&e, &encoding, err);
    if (rc == 0)
        rc = check_models(w, welcome, &encoding, err);
    if (rc == 0 && !fm_digest_is_zero(&welcome->encoder))
        rc = fm_coder_create(&e, w->spec->models, &w->coder, err);
    if (rc == 0 && !sodium_is_zero(welcome->store_key, sizeof welcome->store_key))
        rc = fm_vault_admit(join->store_dir, welcome->store_key, err);
    if (rc == 0)
        rc = fm_records_create(join->store_dir, join->scratch_dir, &w->records, err);
    if (rc == 0)
        rc = fm_records_name(w->records, welcome->text, err);
    if (rc == 0)
        rc = fm_journal_open(join->store_dir, welcome->text, welcome->limit_ms, &w->journal, err);
    if (rc == 0)
        rc = fm_preprocessor_create(&welcome->recipe, w->spec->models, &w->preprocessor, err);
    if (rc == 0)
        fm_preprocessor_isolate(w->preprocessor, w->spec->isolate);
    if (rc == 0)
        rc = fm_recipe_digest(&welcome->recipe, &w->tools.recipe, err);
    if (rc == 0 && !welcome->recipe.mask && !fm_digest_is_zero(&join->mask.sha256)) {
        fm_recipe masked = welcome->recipe;

        masked.mask = true;
        masked.mask_model = join->mask.sha256;
        rc = fm_recipe_digest(&masked, &w->tools.masked_recipe, err);
    }
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < welcome->n_segments; i++)
        fm_records_add_sealed(w->records, welcome->segments[i]);
    w->timeout_ms = welcome->timeout_ms;
    w->tools.records = w->records;
    w->tools.preprocessor = w->preprocessor;
    w->tools.journal = w->journal;
    w->tools.spans = &w->spans;
    w->tools.coder = w->coder;
    w->tools.encoding = welcome->encoder;
    w->tools.chip_size = welcome->recipe.chip_size;
    w->tools.max_bytes = welcome->recipe.max_bytes;
    w->tools.between = between;
    w->tools.ctx = w;
    return 0;
}

static int hello(worker *w, fm_err *err)
{
    char host[256] = "";
    fm_message m, welcome;
    int rc;

    gethostname(host, sizeof host - 1);
    fm_message_init(&m, FM_MSG_HELLO);
    m.crew = w->spec->crew;
    m.rank = w->spec->rank;
    m.pid = (uint32_t)getpid();
    m.version = FM_PROTO_VERSION;
    rc = fm_message_set_text(&m, host, err);
    if (rc == 0)
        rc = ask(w, &m, &welcome, err);
    fm_message_fini(&m);
    if (rc != 0)
        return rc;
    rc = set_up(w, &welcome, err);
    fm_message_fini(&welcome);
    return rc;
}

/* Say that the open segment is sealed, and learn the next one's name. */
static int seal(worker *w, fm_err *err)
{
    uint64_t start = fm_clock_us();
    fm_message m, answer;
    bool sealed;
    int rc;

    fm_message_init(&m, FM_MSG_SEALED);
    rc = fm_records_seal(w->records, &sealed, &m.records, err);
    if (rc == 0 && sealed)
        fm_spans_add(&w->spans, FM_SPAN_SEAL, start, m.records);
    if (rc != 0 || !sealed)
        return rc;
    if (fm_fault("worker.sealed"))
        return fm_fail(err, -EIO, "stopped by a fault after sealing");
    rc = fm_message_set_text(&m, fm_records_segment(w->records), err);
    if (rc == 0)
        rc = fm_spans_take(&w->spans, &m, err);
    if (rc == 0)
        rc = ask(w, &m, &answer, err);
    fm_message_fini(&m);
    if (rc != 0)
        return rc;
    if (answer.text)        /* none when there is no more work */
        rc = fm_records_name(w->records, answer.text, err);
    fm_message_fini(&answer);
    return rc;
}

/* Say that a lease is done and committed.  *kept is false when it is not ours any more. */
static int acknowledge(worker *w, fm_message *ack, bool *kept, fm_err *err)
{
    fm_message answer;
    int rc = fm_message_set_text(ack, fm_records_segment(w->records), err);

    ack->lease = w->lease;
    if (rc == 0)
        rc = fm_spans_take(&w->spans, ack, err);
    if (rc == 0 && fm_fault("worker.ack"))
        rc = fm_fail(err, -EIO, "stopped by a fault before acknowledging");
    if (rc == 0)
        rc = ask(w, ack, &answer, err);
    if (rc != 0)
        return rc;
    *kept = answer.type == FM_MSG_ACKED;
    fm_message_fini(&answer);
    return fm_fault("worker.acked") ? fm_fail(err, -EIO, "stopped by a fault after acknowledging") : 0;
}

static int commit(worker *w, uint32_t n, fm_err *err)
{
    uint64_t start = fm_clock_us();
    int rc = fm_records_commit(w->records, err);

    fm_spans_add(&w->spans, FM_SPAN_COMMIT, start, n);
    return rc;
}

static int do_lease(worker *w, const fm_message *lease, fm_err *err)
{
    uint64_t full = w->spec->segment_bytes ? w->spec->segment_bytes : SEGMENT_BYTES;
    bool kept = false;
    fm_message ack;
    int rc;

    w->lease = lease->lease;
    w->beat_ms = fm_clock_ms();
    fm_message_init(&ack, FM_MSG_ACK);
    rc = fm_message_room(&ack, lease->n_items, err);
    if (rc == 0)
        rc = fm_shard_do(&w->tools, lease, ack.acks, err);
    if (rc == 0)
        rc = between(w, err);       /* whether the coordinator lives, before something is committed */
    if (rc == 0)
        rc = commit(w, lease->n_items, err);
    if (rc == 0)
        rc = acknowledge(w, &ack, &kept, err);
    fm_message_fini(&ack);
    if (rc < 0)
        return rc;
    if (kept)
        w->done_lease = w->lease;
    w->lease = 0;
    return fm_records_bytes(w->records) >= full ? seal(w, err) : 0;
}

/* Wait for work that others may give back. */
static void doze(worker *w, uint32_t ms)
{
    uint64_t wait = ms < WAIT_MIN_MS ? WAIT_MIN_MS : ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms;
    uint64_t start = fm_clock_us(), end = fm_clock_ms() + wait;

    for (uint64_t now; !stopping(w) && (now = fm_clock_ms()) < end;) {
        long nap = (long)(end - now < NAP_MS ? end - now : NAP_MS);

        nanosleep(&(struct timespec){.tv_nsec = nap * 1000000}, NULL);
    }
    fm_spans_add(&w->spans, FM_SPAN_WAIT, start, 0);
}

/* Lease after lease until there is no more, or a stop. */
static int work(worker *w, fm_err *err)
{
    bool finished = false;
    int rc = 0;

    while (rc == 0 && !finished && !stopping(w)) {
        fm_message want, answer;

        fm_message_init(&want, FM_MSG_WANT);
        rc = ask(w, &want, &answer, err);
        if (rc != 0)
            break;
        if (answer.type == FM_MSG_LEASE)
            rc = do_lease(w, &answer, err);
        else if (answer.type == FM_MSG_WAIT)
            doze(w, answer.timeout_ms);
        else
            finished = true;
        fm_message_fini(&answer);
    }
    return rc;
}

static int leave(worker *w, fm_err *err)
{
    fm_err why = FM_ERR_INIT;
    fm_message bye;
    int rc = seal(w, &why);

    if (rc == -ECONNRESET && stopping(w)) {     /* sealed, and nobody there to hear it: whoever comes next finds it */
        fm_warn("%s", why.text);
        return 0;
    }
    if (rc != 0)
        return fm_fail(err, rc, "%s", why.text);
    if (fm_fault("worker.bye"))
        return fm_fail(err, -EIO, "stopped by a fault before leaving");
    fm_message_init(&bye, FM_MSG_BYE);
    rc = fm_client_send(w->client, &bye, err);
    return rc == -EAGAIN ? 0 : rc;
}

int fm_worker_run(const fm_worker_spec *spec, fm_err *err)
{
    worker w = {.spec = spec};
    int rc = fm_client_open(spec->join, &w.client, err);

    if (rc != 0)
        return rc;
    rc = hello(&w, err);
    if (rc == 0)
        rc = work(&w, err);
    if (rc == 0)
        rc = leave(&w, err);
    fm_records_destroy(w.records);
    fm_preprocessor_destroy(w.preprocessor);
    fm_coder_destroy(w.coder);
    fm_journal_close(w.journal);
    fm_client_close(w.client, rc == 0 ? BYE_LINGER_MS : 0);
    return rc;
}
