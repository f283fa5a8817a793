/* The codec of messages.
 *
 * One table says which fields travel with each type; encoding and decoding walk
 * the same list of fields in the same order, so that a type cannot be written in
 * one way and read in another.  Rejected: a struct and a codec for each type,
 * eighteen times the same code.  Always: a count is compared with the bytes that
 * are left before anything is allocated for it, and a message that is longer
 * than its fields is damaged. */
#include "proto/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x4d46u           /* "FM" */
#define TEXT_MAX (1u << 20)     /* bytes of one string */

enum {
    LEASE = 1,
    WHO = 2,
    TIMEOUT = 4,
    TEXT = 8,
    SETTING = 16,   /* recipe, encoder, limit, store key */
    RECORDS = 32,
    ITEMS = 64,
    ACKS = 128,
    SEGMENTS = 256,
    SPENT = 512     /* memory, spans */
};

static const struct {
    const char *name;
    unsigned fields;
} types[FM_MSG_TYPE_END] = {
    [FM_MSG_HELLO] = {"HELLO", WHO | TEXT},
    [FM_MSG_WANT] = {"WANT", 0},
    [FM_MSG_BEAT] = {"BEAT", LEASE},
    [FM_MSG_ACK] = {"ACK", LEASE | TEXT | SPENT | ACKS},
    [FM_MSG_SEALED] = {"SEALED", TEXT | RECORDS | SPENT},
    [FM_MSG_BYE] = {"BYE", 0},
    [FM_MSG_WELCOME] = {"WELCOME", TIMEOUT | TEXT | SETTING | SEGMENTS},
    [FM_MSG_REFUSED] = {"REFUSED", TEXT},
    [FM_MSG_LEASE] = {"LEASE", LEASE | TIMEOUT | SEGMENTS | ITEMS},
    [FM_MSG_WAIT] = {"WAIT", TIMEOUT},
    [FM_MSG_FINISH] = {"FINISH", 0},
    [FM_MSG_ALIVE] = {"ALIVE", LEASE},
    [FM_MSG_ACKED] = {"ACKED", LEASE | TEXT | RECORDS},
    [FM_MSG_STALE] = {"STALE", LEASE},
    [FM_MSG_STATUS_ASK] = {"STATUS_ASK", 0},
    [FM_MSG_STATUS] = {"STATUS", TEXT},
    [FM_MSG_DRAIN_ASK] = {"DRAIN_ASK", TEXT},
};

const char *fm_message_name(fm_message_type type)
{
    return (unsigned)type < FM_MSG_TYPE_END && types[type].name ? types[type].name : "unknown";
}

const char *fm_span_name(fm_span_kind kind)
{
    static const char *const names[] = {[FM_SPAN_WAIT] = "wait", [FM_SPAN_READ] = "read", [FM_SPAN_CHIP] = "chip",
                                        [FM_SPAN_ENCODE] = "encode", [FM_SPAN_COMMIT] = "commit",
                                        [FM_SPAN_SEAL] = "seal"};

    return (unsigned)kind < FM_SPAN_KINDS ? names[kind] : "unknown";
}

void fm_message_init(fm_message *m, fm_message_type type)
{
    memset(m, 0, sizeof *m);
    m->type = type;
    m->version = FM_PROTO_VERSION;
}

void fm_message_fini(fm_message *m)
{
    for (uint32_t i = 0; m->items && i < m->n_items; i++)
        free(m->items[i].path);
    for (uint32_t i = 0; i < m->n_segments; i++)
        free(m->segments[i]);
    free(m->items);
    free(m->spans);
    free(m->acks);
    free(m->segments);
    free(m->text);
    sodium_memzero(m, sizeof *m);
}

int fm_message_room(fm_message *m, uint32_t n, fm_err *err)
{
    void *room;
    size_t each = m->type == FM_MSG_LEASE ? sizeof *m->items : sizeof *m->acks;

    if (n > FM_LEASE_ITEMS_MAX)
        return fm_fail(err, -EINVAL, "%u photographs in one %s, more than %u", n, fm_message_name(m->type),
                       FM_LEASE_ITEMS_MAX);
    if (m->items || m->acks)
        return fm_fail(err, -EINVAL, "%s has its items already", fm_message_name(m->type));
    room = calloc(n ? n : 1, each);
    if (!room)
        return fm_fail_nomem(err, "message", n * each);
    if (m->type == FM_MSG_LEASE)
        m->items = room;
    else
        m->acks = room;
    m->n_items = n;
    return 0;
}

int fm_message_set_text(fm_message *m, const char *text, fm_err *err)
{
    char *copy = strdup(text);

    if (!copy)
        return fm_fail_nomem(err, "message", strlen(text));
    free(m->text);
    m->text = copy;
    return 0;
}

int fm_message_add_span(fm_message *m, const fm_span *span, fm_err *err)
{
    fm_span *grown;

    if (m->n_spans >= FM_SPANS_MAX)
        return fm_fail(err, -EINVAL, "more than %u spans in one message", FM_SPANS_MAX);
    grown = realloc(m->spans, (m->n_spans + 1) * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(err, "message", (m->n_spans + 1) * sizeof *grown);
    m->spans = grown;
    m->spans[m->n_spans++] = *span;
    return 0;
}

int fm_message_add_segment(fm_message *m, const char *name, fm_err *err)
{
    char **grown, *copy;

    if (m->n_segments >= FM_SEGMENTS_MAX)
        return fm_fail(err, -EINVAL, "more than %u segments in one message", FM_SEGMENTS_MAX);
    copy = strdup(name);
    grown = copy ? realloc(m->segments, (m->n_segments + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(copy);
        return fm_fail_nomem(err, "message", strlen(name) + sizeof *grown);
    }
    m->segments = grown;
    m->segments[m->n_segments++] = copy;
    return 0;
}

static void put_digest(fm_buf *out, const fm_digest *d)
{
    fm_buf_put(out, d->b, FM_DIGEST_BYTES);
}

static void put_items(const fm_message *m, fm_buf *out)
{
    fm_buf_u32(out, m->n_items);
    for (uint32_t i = 0; i < m->n_items; i++) {
        const fm_lease_item *item = &m->items[i];

        fm_buf_u64(out, item->item);
        fm_buf_str(out, item->path);
        put_digest(out, &item->image);
        fm_buf_u8(out, item->have_photo);
        fm_buf_u32(out, item->photo_segment);
    }
}

static void put_acks(const fm_message *m, fm_buf *out)
{
    fm_buf_u32(out, m->n_items);
    for (uint32_t i = 0; i < m->n_items; i++) {
        const fm_ack_item *ack = &m->acks[i];

        fm_buf_u64(out, ack->item);
        fm_buf_u64(out, ack->size_bytes);
        fm_buf_u64(out, (uint64_t)ack->mtime_ns);
        put_digest(out, &ack->image);
        fm_buf_u8(out, ack->reason);
        fm_buf_u8(out, ack->photo_made);
        fm_buf_u8(out, ack->code_made);
        fm_buf_u32(out, ack->micros);
    }
}

static void put_spent(const fm_message *m, fm_buf *out)
{
    fm_buf_u64(out, m->memory);
    fm_buf_u32(out, m->n_spans);
    for (uint32_t i = 0; i < m->n_spans; i++) {
        const fm_span *span = &m->spans[i];

        fm_buf_u8(out, span->kind);
        fm_buf_u32(out, span->ago_us);
        fm_buf_u32(out, span->took_us);
        fm_buf_u32(out, span->n);
    }
}

static void put_segments(const fm_message *m, fm_buf *out)
{
    fm_buf_u32(out, m->n_segments);
    for (uint32_t i = 0; i < m->n_segments; i++)
        fm_buf_str(out, m->segments[i]);
}

void fm_message_encode(const fm_message *m, fm_buf *out)
{
    unsigned fields = types[m->type].fields;

    fm_buf_u16(out, MAGIC);
    fm_buf_u16(out, (uint16_t)m->version);
    fm_buf_u16(out, (uint16_t)m->type);
    fm_buf_u64(out, m->run);
    fm_buf_u64(out, m->epoch);
    if (fields & LEASE)
        fm_buf_u64(out, m->lease);
    if (fields & WHO) {
        fm_buf_u32(out, m->crew);
        fm_buf_u32(out, m->rank);
        fm_buf_u32(out, m->pid);
    }
    if (fields & TIMEOUT)
        fm_buf_u32(out, m->timeout_ms);
    if (fields & TEXT)
        fm_buf_str(out, m->text ? m->text : "");
    if (fields & SETTING) {
        fm_recipe_encode(&m->recipe, out);
        put_digest(out, &m->encoder);
        fm_buf_u32(out, m->limit_ms);
        fm_buf_put(out, m->store_key, FM_STORE_KEY_BYTES);
    }
    if (fields & RECORDS)
        fm_buf_u64(out, m->records);
    if (fields & SPENT)
        put_spent(m, out);
    if (fields & SEGMENTS)
        put_segments(m, out);
    if (fields & ITEMS)
        put_items(m, out);
    if (fields & ACKS)
        put_acks(m, out);
}

/* A string of its own; NULL with *nomem or in->failed set. */
static char *get_str(fm_reader *in, bool *nomem)
{
    uint32_t n = fm_reader_u32(in);
    const uint8_t *p = n <= TEXT_MAX ? fm_reader_get(in, n) : NULL;
    char *s;

    if (!p || memchr(p, 0, n)) {
        in->failed = true;
        return NULL;
    }
    s = malloc((size_t)n + 1);
    if (!s) {
        *nomem = true;
        return NULL;
    }
    memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

static void get_digest(fm_reader *in, fm_digest *out)
{
    const uint8_t *b = fm_reader_get(in, FM_DIGEST_BYTES);

    if (b)
        memcpy(out->b, b, FM_DIGEST_BYTES);
}

static void get_store_key(fm_reader *in, fm_message *m)
{
    const uint8_t *b = fm_reader_get(in, FM_STORE_KEY_BYTES);

    if (b)
        memcpy(m->store_key, b, FM_STORE_KEY_BYTES);
}

static bool get_bool(fm_reader *in)
{
    uint8_t v = fm_reader_u8(in);

    if (v > 1)
        in->failed = true;
    return v == 1;
}

/* A count of things of at least `least` bytes each, or 0 with in->failed set. */
static uint32_t get_count(fm_reader *in, size_t least, uint32_t max)
{
    uint32_t n = fm_reader_u32(in);

    if (n > max || n > fm_reader_left(in) / least) {
        in->failed = true;
        return 0;
    }
    return n;
}

static void get_items(fm_reader *in, fm_message *m, bool *nomem)
{
    uint32_t n = get_count(in, 8 + 4 + FM_DIGEST_BYTES + 1 + 4, FM_LEASE_ITEMS_MAX);

    if (in->failed)
        return;
    if (fm_message_room(m, n, NULL) != 0) {
        *nomem = true;
        return;
    }
    for (uint32_t i = 0; i < n && !in->failed && !*nomem; i++) {
        fm_lease_item *item = &m->items[i];

        item->item = fm_reader_u64(in);
        item->path = get_str(in, nomem);
        get_digest(in, &item->image);
        item->have_photo = get_bool(in);
        item->photo_segment = fm_reader_u32(in);
        if (item->have_photo ? item->photo_segment >= m->n_segments : item->photo_segment != 0)
            in->failed = true;
    }
}

static void get_acks(fm_reader *in, fm_message *m, bool *nomem)
{
    uint32_t n = get_count(in, 8 + 8 + 8 + FM_DIGEST_BYTES + 3 + 4, FM_LEASE_ITEMS_MAX);

    if (in->failed)
        return;
    if (fm_message_room(m, n, NULL) != 0) {
        *nomem = true;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        fm_ack_item *ack = &m->acks[i];

        ack->item = fm_reader_u64(in);
        ack->size_bytes = fm_reader_u64(in);
        ack->mtime_ns = (int64_t)fm_reader_u64(in);
        get_digest(in, &ack->image);
        ack->reason = fm_reader_u8(in);
        ack->photo_made = get_bool(in);
        ack->code_made = get_bool(in);
        ack->micros = fm_reader_u32(in);
        if (ack->reason >= FM_REASON_COUNT)
            in->failed = true;
    }
}

static void get_spent(fm_reader *in, fm_message *m, bool *nomem)
{
    uint32_t n;

    m->memory = fm_reader_u64(in);
    n = get_count(in, 1 + 3 * 4, FM_SPANS_MAX);
    if (n == 0)
        return;
    m->spans = calloc(n, sizeof *m->spans);
    if (!m->spans) {
        *nomem = true;
        return;
    }
    m->n_spans = n;
    for (uint32_t i = 0; i < n; i++) {
        fm_span *span = &m->spans[i];

        span->kind = fm_reader_u8(in);
        span->ago_us = fm_reader_u32(in);
        span->took_us = fm_reader_u32(in);
        span->n = fm_reader_u32(in);
        if (span->kind >= FM_SPAN_KINDS)
            in->failed = true;
    }
}

static void get_segments(fm_reader *in, fm_message *m, bool *nomem)
{
    uint32_t n = get_count(in, 4, FM_SEGMENTS_MAX);

    if (n == 0)
        return;
    m->segments = calloc(n, sizeof *m->segments);
    if (!m->segments) {
        *nomem = true;
        return;
    }
    while (m->n_segments < n) {
        char *name = get_str(in, nomem);

        if (!name)
            return;
        m->segments[m->n_segments++] = name;
    }
}

static void get_text(fm_reader *in, fm_message *m, bool *nomem)
{
    m->text = get_str(in, nomem);
    if (m->text && m->text[0] == '\0') {
        free(m->text);
        m->text = NULL;
    }
}

/* What follows the head; in->failed or *nomem on trouble. */
static void get_fields(fm_reader *in, fm_message *m, bool *nomem)
{
    unsigned fields = types[m->type].fields;

    if (fields & LEASE)
        m->lease = fm_reader_u64(in);
    if (fields & WHO) {
        m->crew = fm_reader_u32(in);
        m->rank = fm_reader_u32(in);
        m->pid = fm_reader_u32(in);
    }
    if (fields & TIMEOUT)
        m->timeout_ms = fm_reader_u32(in);
    if (fields & TEXT)
        get_text(in, m, nomem);
    if (fields & SETTING) {
        if (fm_recipe_decode(in, &m->recipe, NULL) != 0)
            in->failed = true;
        get_digest(in, &m->encoder);
        m->limit_ms = fm_reader_u32(in);
        get_store_key(in, m);
    }
    if (fields & RECORDS)
        m->records = fm_reader_u64(in);
    if ((fields & SPENT) && !in->failed && !*nomem)
        get_spent(in, m, nomem);
    if ((fields & SEGMENTS) && !in->failed && !*nomem)
        get_segments(in, m, nomem);
    if ((fields & ITEMS) && !in->failed && !*nomem)
        get_items(in, m, nomem);
    if ((fields & ACKS) && !in->failed && !*nomem)
        get_acks(in, m, nomem);
}

int fm_message_decode(const void *bytes, size_t n, fm_message *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n <= FM_MESSAGE_MAX ? n : 0);
    bool foreign = fm_reader_u16(&in) != MAGIC, nomem = false;
    uint16_t version = fm_reader_u16(&in), type = fm_reader_u16(&in);
    fm_message m;

    if (in.failed || foreign)
        return fm_fail(err, -EBADMSG, "%zu bytes that are no facemill message", n);
    if (version != FM_PROTO_VERSION) {
        out->version = version;
        return fm_fail(err, -EPROTO, "a message of protocol version %u where %u is spoken: use the same facemill "
                       "on every host", version, FM_PROTO_VERSION);
    }
    if (type >= FM_MSG_TYPE_END || !types[type].name)
        return fm_fail(err, -EBADMSG, "a message of unknown type %u", type);
    fm_message_init(&m, (fm_message_type)type);
    m.run = fm_reader_u64(&in);
    m.epoch = fm_reader_u64(&in);
    if (!in.failed)
        get_fields(&in, &m, &nomem);
    if (nomem || in.failed || fm_reader_left(&in) != 0) {
        fm_message_fini(&m);
        return nomem ? fm_fail_nomem(err, "message", n)
                     : fm_fail(err, -EBADMSG, "a damaged %s message of %zu bytes", types[type].name, n);
    }
    *out = m;
    return 0;
}
