/* The made-up records follow from a file's bytes alone, so that every worker makes
 * the same ones: a PHOTO record is the outcome's number and the image's digest, a
 * CODE record the photo's key.  A file that begins with N has no face. */
#define _GNU_SOURCE
#include "tests/coordinator/crew.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/journal.h"
#include "proto/socket.h"
#include "storage/segment.h"

enum { SEALED_MAX = 64, ANSWER_MS = 20000 };

typedef struct {
    crew_thread *crew;
    fm_join join;
    fm_client *client;
    fm_message setting;         /* WELCOME */
    fm_digest recipe;
    fm_segment_writer *writer;  /* NULL until there is something to write */
    char name[FM_SEGMENT_NAME_MAX];
    fm_journal *journal;
    fm_segment *sealed[SEALED_MAX];
    uint32_t n_sealed;
    int leases;
} fake_worker;

static void nap(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* Say m, hear the answer.  False when none comes. */
static bool ask(fake_worker *f, fm_message *m, fm_message *answer)
{
    bool sent = fm_client_send(f->client, m, NULL) == 0;

    fm_message_fini(m);
    return sent && fm_client_receive(f->client, ANSWER_MS, answer, NULL) == 1;
}

static void open_sealed(fake_worker *f, const fm_message *m)
{
    for (uint32_t i = 0; i < m->n_segments && f->n_sealed < SEALED_MAX; i++)
        if (fm_segment_open(f->join.store_dir, m->segments[i], &f->sealed[f->n_sealed], NULL) == 0)
            f->n_sealed++;
}

static bool find(fake_worker *f, fm_record_kind kind, const fm_digest *key, const uint8_t **payload)
{
    size_t n;

    if (f->writer && fm_segment_find(f->writer, kind, key, (const void **)payload, &n, NULL) == 0)
        return true;
    for (uint32_t i = 0; i < f->n_sealed; i++)
        if (fm_segment_get(f->sealed[i], kind, key, (const void **)payload, &n, NULL, NULL) == 0)
            return true;
    return false;
}

static bool put(fake_worker *f, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n)
{
    if (!f->writer && fm_segment_create(f->join.scratch_dir, f->name, 0, &f->writer, NULL) != 0)
        return false;
    return fm_segment_put(f->writer, kind, key, payload, n, NULL) == 0;
}

static bool read_file(const char *path, fm_buf *bytes, fm_ack_item *ack)
{
    struct stat st;

    if (stat(path, &st) != 0 || fm_file_read(path, 1 << 20, bytes, NULL) != 0) {
        ack->reason = FM_UNREADABLE;
        return false;
    }
    ack->size_bytes = bytes->size;
    ack->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    fm_digest_of(bytes->data, bytes->size, &ack->image);
    return true;
}

/* The photo record of a readable file: found or made. */
static bool make_photo(fake_worker *f, const fm_buf *bytes, fm_ack_item *ack, fm_digest *key)
{
    uint8_t payload[1 + FM_DIGEST_BYTES];
    const uint8_t *found;

    fm_key_photo(&ack->image, &f->recipe, key);
    if (find(f, FM_RECORD_PHOTO, key, &found)) {
        ack->reason = found[0];
        return true;
    }
    if (!bytes->data)
        return false;       /* the coordinator promised that it is there */
    ack->reason = payload[0] = bytes->data[0] == 'N' ? FM_NO_FACE : FM_USED;
    memcpy(payload + 1, ack->image.b, FM_DIGEST_BYTES);
    ack->photo_made = true;
    f->crew->world->decoded++;
    return put(f, FM_RECORD_PHOTO, key, payload, sizeof payload);
}

static bool do_item(fake_worker *f, const fm_lease_item *item, fm_ack_item *ack)
{
    fm_buf bytes = FM_BUF_INIT;
    fm_digest photo, code;
    const uint8_t *found;
    bool ok = true;

    ack->item = item->item;
    if (item->have_photo)
        ack->image = item->image;
    else if (!read_file(item->path, &bytes, ack))
        goto done;
    if (bytes.data && strchr("KH", bytes.data[0])) {
        while (bytes.data[0] == 'H' && !f->crew->told_to_stop)
            nap(5);
        ok = false;
        goto done;
    }
    ok = make_photo(f, &bytes, ack, &photo);
    if (ok && ack->reason == FM_USED && !fm_digest_is_zero(&f->setting.encoder)) {
        fm_key_code(&photo, &f->setting.encoder, &code);
        if (!find(f, FM_RECORD_CODE, &code, &found)) {
            ack->code_made = true;
            f->crew->world->encoded++;
            ok = put(f, FM_RECORD_CODE, &code, photo.b, FM_DIGEST_BYTES);
        }
    }
done:
    fm_buf_fini(&bytes);
    if (f->crew->world->pause_ms)
        nap(f->crew->world->pause_ms);
    return ok;
}

/* Do what was leased; the ACK is ready in *ack. */
static bool do_lease(fake_worker *f, const fm_message *lease, fm_message *ack)
{
    bool ok;

    open_sealed(f, lease);
    fm_message_init(ack, FM_MSG_ACK);
    ack->lease = lease->lease;
    ok = fm_message_room(ack, lease->n_items, NULL) == 0 && fm_message_set_text(ack, f->name, NULL) == 0;
    for (uint32_t i = 0; ok && i < lease->n_items; i++)
        ok = fm_journal_begin(f->journal, lease->lease, lease->items[i].item, NULL) == 0 &&
             do_item(f, &lease->items[i], &ack->acks[i]);
    ok = ok && fm_journal_idle(f->journal, NULL) == 0;
    return ok && (!f->writer || fm_segment_commit(f->writer, NULL) == 0);
}

static bool misbehave(fake_worker *f)
{
    crew_thread *crew = f->crew;

    f->leases++;
    if (crew->habit == FALL_SILENT && f->leases == 1)
        nap((int)crew->world->silence_ms);
    while (crew->habit == HANG && !crew->told_to_stop)
        nap(5);
    return !crew->told_to_stop && !(crew->habit == DIE_HOLDING && f->leases == 2);
}

static void lose_segment(fake_worker *f)
{
    char path[FM_PATH_MAX];

    fm_segment_close(f->writer);
    f->writer = NULL;
    snprintf(path, sizeof path, "%.4000s/%s.open", f->join.scratch_dir, f->name);
    fm_dir_remove(path, NULL);
}

/* One lease from LEASE to the answer to its ACK.  False: the worker dies here. */
static bool work_one(fake_worker *f, const fm_message *lease)
{
    crew_world *w = f->crew->world;
    fm_message ack, answer;
    bool acked;

    if (!misbehave(f))
        return false;
    if (!do_lease(f, lease, &ack) || f->crew->habit == DIE_COMMITTED) {
        fm_message_fini(&ack);
        return false;
    }
    if (!ask(f, &ack, &answer))
        return false;
    acked = answer.type == FM_MSG_ACKED;
    w->acked += acked;
    w->stale += answer.type == FM_MSG_STALE;
    fm_message_fini(&answer);
    if (acked && w->after_ack)
        w->after_ack(w);
    if (acked && f->crew->habit == DIE_AND_LOSE)
        lose_segment(f);
    return !(acked && (f->crew->habit == DIE_AFTER_ACK || f->crew->habit == DIE_AND_LOSE));
}

static void seal_and_leave(fake_worker *f)
{
    fm_message m, answer;

    if (f->writer) {
        fm_message_init(&m, FM_MSG_SEALED);
        fm_segment_commit(f->writer, NULL);
        m.records = fm_segment_records(f->writer);
        fm_message_set_text(&m, f->name, NULL);
        if (fm_segment_seal(f->writer, f->join.store_dir, NULL) == 0 && ask(f, &m, &answer))
            fm_message_fini(&answer);
        f->writer = NULL;
    }
    fm_message_init(&m, FM_MSG_BYE);
    fm_client_send(f->client, &m, NULL);
}

static void work(fake_worker *f)
{
    for (bool going = true; going;) {
        fm_message m, answer;

        fm_message_init(&m, FM_MSG_WANT);
        if (!ask(f, &m, &answer))
            return;
        if (answer.type == FM_MSG_WAIT)
            nap((int)answer.timeout_ms);
        else if (answer.type == FM_MSG_LEASE)
            going = work_one(f, &answer);
        else
            going = false;
        if (answer.type == FM_MSG_FINISH)
            seal_and_leave(f);
        going = going && !f->crew->told_to_stop;
        fm_message_fini(&answer);
    }
}

static bool join_build(fake_worker *f)
{
    char host[256] = "";
    fm_message m;

    if (fm_join_read(f->crew->join_file, &f->join, NULL) != 0 || fm_client_open(&f->join, &f->client, NULL) != 0)
        return false;
    gethostname(host, sizeof host - 1);
    fm_message_init(&m, FM_MSG_HELLO);
    m.crew = f->crew->number;
    m.pid = (uint32_t)getpid();
    fm_message_set_text(&m, host, NULL);
    if (!ask(f, &m, &f->setting) || f->setting.type != FM_MSG_WELCOME)
        return false;
    snprintf(f->name, sizeof f->name, "%.60s", f->setting.text);
    open_sealed(f, &f->setting);
    if (fm_journal_open(f->join.store_dir, f->name, 0, &f->journal, NULL) != 0)
        return false;
    return fm_recipe_digest(&f->setting.recipe, &f->recipe, NULL) == 0;
}

static void *run_worker(void *ctx)
{
    crew_thread *crew = ctx;
    fake_worker *f = calloc(1, sizeof *f);

    if (f) {
        f->crew = crew;
        if (crew->habit != DIE_AT_START && join_build(f))
            work(f);
        fm_message_fini(&f->setting);
        fm_journal_close(f->journal);
        if (f->writer)
            fm_segment_close(f->writer);
        for (uint32_t i = 0; i < f->n_sealed; i++)
            fm_segment_release(f->sealed[i]);
        fm_client_close(f->client, 1000);
        free(f);
    }
    crew->ended = true;
    return NULL;
}

static int start(void *ctx, uint32_t number, const char *join_file, fm_err *err)
{
    crew_world *w = ctx;
    crew_thread *crew = &w->crew[number];
    int incarnation = w->starts[number]++;

    if (w->start_code != 0)
        return fm_fail(err, w->start_code, "there is no mpirun");
    crew->world = w;
    crew->number = number;
    crew->habit = w->all_alike ? w->habits[0][0] : incarnation < INCARNATIONS ? w->habits[number][incarnation] : WORK;
    crew->ended = crew->told_to_stop = false;
    snprintf(crew->join_file, sizeof crew->join_file, "%s", join_file);
    crew->up = pthread_create(&crew->thread, NULL, run_worker, crew) == 0;
    return crew->up ? 0 : fm_fail(err, -1, "no thread");
}

static int poll_crew(void *ctx, uint32_t number, bool *ended, int *status, fm_err *err)
{
    crew_thread *crew = &((crew_world *)ctx)->crew[number];

    (void)err;
    *ended = !crew->up || crew->ended;
    *status = 0;
    if (*ended && crew->up)
        pthread_join(crew->thread, NULL);
    if (*ended)
        crew->up = false;
    return 0;
}

static void stop(void *ctx, uint32_t number)
{
    crew_world *w = ctx;

    w->stopped++;
    w->crew[number].told_to_stop = true;
}

void crew_world_ops(crew_world *w, uint32_t crews, fm_crew_ops *out)
{
    *out = (fm_crew_ops){start, poll_crew, stop, w, crews, false};
}

void crew_world_end(crew_world *w)
{
    for (uint32_t i = 0; i < CREWS_MAX; i++) {
        w->crew[i].told_to_stop = true;
        if (w->crew[i].up)
            pthread_join(w->crew[i].thread, NULL);
        w->crew[i].up = false;
    }
}
