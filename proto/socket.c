/* ZeroMQ, here and nowhere else.
 *
 * The coordinator's ROUTER and its ZAP handler are polled together by the one
 * thread that owns the server: a handshake waits until that thread looks, which
 * it does all the time.  Rejected: a thread for ZAP (a lock more, for nothing).
 * Clients choose their own identity, 16 random bytes, so that a peer stays the
 * same over a broken connection; the server lets a new connection take over the
 * identity of the old one, which only the holder of the run's key can ask for.
 * Always: the ZAP handler is bound before the ROUTER, because CURVE without one
 * lets any key in. */
#include "proto/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_DOMAIN "facemill"
#define ZAP_FRAMES 7
#define CURVE_OVERHEAD 1024         /* more than CURVE adds to a frame */
#define SERVER_QUEUE 4096           /* messages in and out, for each peer */
#define CLIENT_QUEUE 256
#define HEARTBEAT_MS 10000
#define HEARTBEAT_TIMEOUT_MS 30000
#define CLOSE_LINGER_MS 1000

static const char *const role_names[] = {[FM_PEER_WORKER] = "worker", [FM_PEER_OBSERVER] = "observer"};

typedef struct {
    uint8_t key[FM_KEY_BYTES];      /* public */
    fm_peer_role role;
} allowed_key;

struct fm_server {
    void *context, *router, *zap;
    uint64_t run;
    bool local;                     /* listens on 127.0.0.1 only */
    uint8_t key[FM_KEY_BYTES];      /* its own public one */
    char endpoint[FM_ENDPOINT_MAX];
    allowed_key *allowed;           /* [n_allowed] */
    uint32_t n_allowed;
    uint64_t dropped, refused;      /* messages, connections */
};

struct fm_client {
    void *context, *dealer;
    uint64_t run, epoch;
    uint64_t asked_ms;      /* when the first message without an answer was sent; 0: there is none */
};

/* The first few and then ever fewer: whoever sends rubbish must not fill a disk with our words on it. */
static bool is_told(uint64_t count)
{
    return count <= 8 || (count & (count - 1)) == 0;
}

bool fm_peer_equal(const fm_peer *a, const fm_peer *b)
{
    return a->size == b->size && memcmp(a->id, b->id, a->size) == 0;
}

static int fail_zmq(fm_err *err, const char *what)
{
    int code = errno > 0 && errno < ZMQ_HAUSNUMERO ? -errno : -EIO;

    return fm_fail(err, code, "%s: %s", what, zmq_strerror(zmq_errno()));
}

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

/* What both ends need: bounds on sizes and queues, no lingering, dead connections noticed. */
static bool set_bounds(void *socket, int queue)
{
    int64_t max = FM_MESSAGE_MAX + CURVE_OVERHEAD;

    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) == 0 && set_int(socket, ZMQ_LINGER, 0) &&
           set_int(socket, ZMQ_SNDHWM, queue) && set_int(socket, ZMQ_RCVHWM, queue) &&
           set_int(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) &&
           set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS);
}

/* The one place where sockets get their keys.  server_secret is NULL at a client. */
static bool set_security(void *socket, const uint8_t *server_secret, const fm_join *join)
{
    if (server_secret)
        return set_int(socket, ZMQ_CURVE_SERVER, 1) &&
               zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, server_secret, FM_KEY_BYTES) == 0 &&
               zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) == 0;
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, join->server_key, FM_KEY_BYTES) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, join->public_key, FM_KEY_BYTES) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, join->secret_key, FM_KEY_BYTES) == 0;
}

static int check_library(fm_err *err)
{
    if (sodium_init() < 0)
        return fm_fail(err, -ENOTSUP, "libsodium cannot start: no source of random numbers");
    if (!zmq_has("curve"))
        return fm_fail(err, -ENOTSUP, "this libzmq was built without CURVE; install one that has it");
    return 0;
}

/* The endpoint others connect to, from the one the socket was bound to. */
static int find_endpoint(void *router, bool local, char *out, size_t out_size, fm_err *err)
{
    char bound[FM_ENDPOINT_MAX], host[256];
    size_t n = sizeof bound;
    const char *port;

    if (zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, bound, &n) != 0)
        return fail_zmq(err, "asking for the port");
    if (local) {
        snprintf(out, out_size, "%s", bound);
        return 0;
    }
    port = strrchr(bound, ':');
    if (!port || gethostname(host, sizeof host) != 0)
        return fm_fail(err, -EADDRNOTAVAIL, "cannot find this host's name to listen under");
    host[sizeof host - 1] = '\0';
    if (snprintf(out, out_size, "tcp://%s%s", host, port) >= (int)out_size)
        return fm_fail(err, -ENAMETOOLONG, "%s: host name too long", host);
    return 0;
}

static int listen_at(fm_server *s, bool local, fm_err *err)
{
    if (zmq_bind(s->router, local ? "tcp://127.0.0.1:*" : "tcp://*:*") != 0)
        return fail_zmq(err, local ? "listening on 127.0.0.1" : "listening on all interfaces");
    s->local = local;
    return find_endpoint(s->router, local, s->endpoint, sizeof s->endpoint, err);
}

static int server_start(fm_server *s, bool local, const uint8_t *secret, fm_err *err)
{
    s->context = zmq_ctx_new();
    if (!s->context)
        return fail_zmq(err, "ZeroMQ context");
    s->zap = zmq_socket(s->context, ZMQ_REP);
    s->router = zmq_socket(s->context, ZMQ_ROUTER);
    if (!s->zap || !s->router || !set_int(s->zap, ZMQ_LINGER, 0) || zmq_bind(s->zap, ZAP_ENDPOINT) != 0 ||
        !set_bounds(s->router, SERVER_QUEUE) || !set_int(s->router, ZMQ_ROUTER_HANDOVER, 1) ||
        !set_int(s->router, ZMQ_ROUTER_MANDATORY, 1) || !set_security(s->router, secret, NULL))
        return fail_zmq(err, "ZeroMQ socket");
    return listen_at(s, local, err);
}

int fm_server_widen(fm_server *s, fm_join *join, fm_err *err)
{
    int rc = s->local ? listen_at(s, false, err) : 0;

    if (rc == 0)
        memcpy(join->endpoint, s->endpoint, sizeof join->endpoint);
    return rc;
}

int fm_server_admit(fm_server *s, fm_peer_role role, fm_join *join, fm_err *err)
{
    allowed_key *grown = realloc(s->allowed, (s->n_allowed + 1) * sizeof *grown);

    if (!grown)
        return fm_fail_nomem(err, "keys", (s->n_allowed + 1) * sizeof *grown);
    s->allowed = grown;
    crypto_box_keypair(join->public_key, join->secret_key);
    grown[s->n_allowed].role = role;
    memcpy(grown[s->n_allowed++].key, join->public_key, FM_KEY_BYTES);
    memcpy(join->server_key, s->key, FM_KEY_BYTES);
    memcpy(join->endpoint, s->endpoint, sizeof join->endpoint);
    gethostname(join->host, sizeof join->host - 1);
    join->run = s->run;
    return 0;
}

void fm_server_shut_out(fm_server *s, const uint8_t key[FM_KEY_BYTES])
{
    for (uint32_t i = 0; i < s->n_allowed; i++)
        if (memcmp(s->allowed[i].key, key, FM_KEY_BYTES) == 0)
            s->allowed[i--] = s->allowed[--s->n_allowed];
}

int fm_server_open(bool local, uint64_t run, fm_join *worker, fm_join *observer, fm_server **out, fm_err *err)
{
    uint8_t secret[FM_KEY_BYTES];
    fm_server *s = calloc(1, sizeof *s);
    int rc = s ? check_library(err) : fm_fail_nomem(err, "server", sizeof *s);

    if (rc != 0)
        goto done;
    s->run = run;
    crypto_box_keypair(s->key, secret);
    rc = server_start(s, local, secret, err);
    sodium_memzero(secret, sizeof secret);
    if (rc == 0)
        rc = fm_server_admit(s, FM_PEER_WORKER, worker, err);
    if (rc == 0)
        rc = fm_server_admit(s, FM_PEER_OBSERVER, observer, err);
    if (rc != 0)
        goto done;
    *out = s;
    s = NULL;
done:
    fm_server_close(s);
    return rc;
}

void fm_server_close(fm_server *s)
{
    if (!s)
        return;
    if (s->router) {
        set_int(s->router, ZMQ_LINGER, CLOSE_LINGER_MS);    /* the last FINISH and ACKED */
        zmq_close(s->router);
    }
    if (s->zap)
        zmq_close(s->zap);
    if (s->context)
        zmq_ctx_term(s->context);
    free(s->allowed);
    sodium_memzero(s, sizeof *s);
    free(s);
}

/* Receive a whole message of up to max frames into frames[]; returns how many it
 * had (frames over max are read and dropped), 0 when there is none, -1 on error.
 * Frames are always initialised and to be closed, whatever is returned. */
static int receive_frames(void *socket, zmq_msg_t *frames, int max)
{
    int n = 0, more = 1;

    for (int i = 0; i < max; i++)
        zmq_msg_init(&frames[i]);
    while (more) {
        zmq_msg_t extra;
        zmq_msg_t *to = n < max ? &frames[n] : &extra;

        if (to == &extra)
            zmq_msg_init(&extra);
        if (zmq_msg_recv(to, socket, ZMQ_DONTWAIT) < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        more = zmq_msg_more(to);
        if (to == &extra)
            zmq_msg_close(&extra);
        n++;
    }
    return n;
}

static void close_frames(zmq_msg_t *frames, int n)
{
    for (int i = 0; i < n; i++)
        zmq_msg_close(&frames[i]);
}

static bool frame_is(zmq_msg_t *frame, const char *text)
{
    return zmq_msg_size(frame) == strlen(text) && memcmp(zmq_msg_data(frame), text, strlen(text)) == 0;
}

/* The role whose key this is, or NULL. */
static const char *role_of_key(const fm_server *s, zmq_msg_t *frames)
{
    if (!frame_is(&frames[0], "1.0") || !frame_is(&frames[2], ZAP_DOMAIN) || !frame_is(&frames[5], "CURVE") ||
        zmq_msg_size(&frames[6]) != FM_KEY_BYTES)
        return NULL;
    for (uint32_t i = 0; i < s->n_allowed; i++)
        if (sodium_memcmp(zmq_msg_data(&frames[6]), s->allowed[i].key, FM_KEY_BYTES) == 0)
            return role_names[s->allowed[i].role];
    return NULL;
}

/* One request of libzmq's own: may this key come in?  (ZAP, rfc.zeromq.org/spec/27) */
static void answer_zap(fm_server *s)
{
    zmq_msg_t frames[ZAP_FRAMES];
    int n = receive_frames(s->zap, frames, ZAP_FRAMES);

    if (n > 1) {
        const char *role = n == ZAP_FRAMES ? role_of_key(s, frames) : NULL;
        const char *reply[] = {role ? "200" : "400", role ? "OK" : "unknown key", role ? role : "", ""};

        if (!role && is_told(++s->refused))
            fm_warn("refused a connection that did not show this run's key (%llu so far)",
                    (unsigned long long)s->refused);
        zmq_send(s->zap, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(s->zap, zmq_msg_data(&frames[1]), zmq_msg_size(&frames[1]), ZMQ_SNDMORE);
        for (int i = 0; i < 4; i++)
            zmq_send(s->zap, reply[i], strlen(reply[i]), i < 3 ? ZMQ_SNDMORE : 0);
    }
    close_frames(frames, ZAP_FRAMES);
}

static void refuse_version(fm_server *s, const fm_peer *to, const char *why)
{
    fm_message no;

    fm_message_init(&no, FM_MSG_REFUSED);
    if (fm_message_set_text(&no, why, NULL) == 0)
        fm_server_send(s, to, &no, NULL);
    fm_message_fini(&no);
}

/* Who sent it and what; false when it is to be dropped. */
static bool take_message(fm_server *s, zmq_msg_t *id, zmq_msg_t *body, fm_peer *from, fm_message *out)
{
    const char *role = zmq_msg_gets(body, "User-Id");
    fm_err err = FM_ERR_INIT;
    fm_peer peer = {0};
    fm_message m;
    int rc;

    if (zmq_msg_size(id) > FM_PEER_ID_MAX || !role)
        return false;
    peer.size = (uint8_t)zmq_msg_size(id);
    memcpy(peer.id, zmq_msg_data(id), peer.size);
    peer.role = strcmp(role, role_names[FM_PEER_WORKER]) == 0 ? FM_PEER_WORKER : FM_PEER_OBSERVER;
    rc = fm_message_decode(zmq_msg_data(body), zmq_msg_size(body), &m, &err);
    if (rc != 0) {
        if (is_told(++s->dropped))
            fm_warn("dropped %s (%llu so far)", err.text, (unsigned long long)s->dropped);
        if (rc == -EPROTO)
            refuse_version(s, &peer, err.text);
        return false;
    }
    if (m.run != s->run) {
        fm_message_fini(&m);
        return false;
    }
    *from = peer;
    *out = m;
    return true;
}

int fm_server_receive(fm_server *s, int timeout_ms, fm_peer *from, fm_message *out, fm_err *err)
{
    uint64_t end = fm_clock_ms() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);

    for (;;) {
        uint64_t now = fm_clock_ms();
        zmq_pollitem_t items[] = {{s->router, 0, ZMQ_POLLIN, 0}, {s->zap, 0, ZMQ_POLLIN, 0}};
        int ready = zmq_poll(items, 2, now < end ? (long)(end - now) : 0);
        bool got = false;

        if (ready < 0)
            return errno == EINTR ? 0 : fail_zmq(err, "waiting for messages");
        if (items[1].revents & ZMQ_POLLIN)
            answer_zap(s);
        if (items[0].revents & ZMQ_POLLIN) {
            zmq_msg_t frames[2];
            int n = receive_frames(s->router, frames, 2);

            got = n == 2 && take_message(s, &frames[0], &frames[1], from, out);
            close_frames(frames, 2);
            if (n < 0)
                return fail_zmq(err, "receiving a message");
        }
        if (got)
            return 1;
        if (fm_clock_ms() >= end)
            return 0;
    }
}

int fm_server_send(fm_server *s, const fm_peer *to, fm_message *message, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = 0;

    message->run = s->run;
    fm_message_encode(message, &b);
    if (b.failed)
        rc = fm_fail_nomem(err, "message", b.size);
    else if (b.size > FM_MESSAGE_MAX)
        rc = fm_fail(err, -EMSGSIZE, "a %s message of %zu bytes, more than %u", fm_message_name(message->type), b.size,
                     FM_MESSAGE_MAX);
    else if (!fm_fault("server.send") && zmq_send(s->router, to->id, to->size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
             zmq_send(s->router, b.data, b.size, ZMQ_DONTWAIT) < 0 && errno != EHOSTUNREACH && errno != EAGAIN)
        rc = fail_zmq(err, "sending a message");
    if (b.data && message->type == FM_MSG_WELCOME)
        sodium_memzero(b.data, b.size);     /* it may hold the store's key */
    fm_buf_fini(&b);
    return rc;
}

static int client_start(fm_client *c, const fm_join *join, fm_err *err)
{
    uint8_t id[17];

    c->context = zmq_ctx_new();
    if (!c->context)
        return fail_zmq(err, "ZeroMQ context");
    c->dealer = zmq_socket(c->context, ZMQ_DEALER);
    randombytes_buf(id, sizeof id);
    id[0] = 1;      /* identities that begin with 0 are the ROUTER's own */
    if (!c->dealer || !set_bounds(c->dealer, CLIENT_QUEUE) || !set_int(c->dealer, ZMQ_RECONNECT_IVL, 100) ||
        !set_int(c->dealer, ZMQ_RECONNECT_IVL_MAX, 2000) ||
        zmq_setsockopt(c->dealer, ZMQ_ROUTING_ID, id, sizeof id) != 0 || !set_security(c->dealer, NULL, join))
        return fail_zmq(err, "ZeroMQ socket");
    if (zmq_connect(c->dealer, join->endpoint) != 0)
        return fm_fail(err, -EINVAL, "%s: not an endpoint: %s", join->endpoint, zmq_strerror(zmq_errno()));
    return 0;
}

int fm_client_open(const fm_join *join, fm_client **out, fm_err *err)
{
    fm_client *c = calloc(1, sizeof *c);
    int rc = c ? check_library(err) : fm_fail_nomem(err, "client", sizeof *c);

    if (rc == 0) {
        c->run = join->run;
        c->epoch = join->epoch;
        rc = client_start(c, join, err);
    }
    if (rc != 0)
        fm_client_close(c, 0);
    else
        *out = c;
    return rc;
}

void fm_client_close(fm_client *c, int linger_ms)
{
    if (!c)
        return;
    if (c->dealer) {
        set_int(c->dealer, ZMQ_LINGER, linger_ms > 0 ? linger_ms : 0);
        zmq_close(c->dealer);
    }
    if (c->context)
        zmq_ctx_term(c->context);
    free(c);
}

int fm_client_send(fm_client *c, fm_message *message, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = 0;

    if (!c->asked_ms)
        c->asked_ms = fm_clock_ms();
    message->run = c->run;
    message->epoch = c->epoch;
    fm_message_encode(message, &b);
    if (b.failed)
        rc = fm_fail_nomem(err, "message", b.size);
    else if (b.size > FM_MESSAGE_MAX)
        rc = fm_fail(err, -EMSGSIZE, "a %s message of %zu bytes, more than %u", fm_message_name(message->type), b.size,
                     FM_MESSAGE_MAX);
    else if (!fm_fault("client.send") && zmq_send(c->dealer, b.data, b.size, ZMQ_DONTWAIT) < 0)
        rc = errno == EAGAIN ? fm_fail(err, -EAGAIN, "the coordinator takes no messages") : fail_zmq(err, "sending");
    fm_buf_fini(&b);
    return rc;
}

/* 1 and out written, 0 (nothing, or what is to be dropped), or a negative code. */
static int take_answer(fm_client *c, fm_message *out, fm_err *err)
{
    zmq_msg_t frame;
    fm_message m;
    int rc = 0, n = receive_frames(c->dealer, &frame, 1);

    if (n < 0)
        rc = fail_zmq(err, "receiving a message");
    else if (n == 1)
        rc = fm_message_decode(zmq_msg_data(&frame), zmq_msg_size(&frame), &m, err);
    zmq_msg_close(&frame);
    if (n != 1 || rc != 0)
        return rc == -EBADMSG ? 0 : rc;
    if (m.run != c->run) {
        fm_message_fini(&m);
        return 0;
    }
    c->asked_ms = 0;
    *out = m;
    return 1;
}

int fm_client_receive(fm_client *c, int timeout_ms, fm_message *out, fm_err *err)
{
    uint64_t end = fm_clock_ms() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);

    for (;;) {
        uint64_t now = fm_clock_ms();
        zmq_pollitem_t item = {c->dealer, 0, ZMQ_POLLIN, 0};
        int ready = zmq_poll(&item, 1, now < end ? (long)(end - now) : 0);

        if (ready < 0)
            return errno == EINTR ? 0 : fail_zmq(err, "waiting for messages");
        if (ready > 0) {
            int rc = take_answer(c, out, err);

            if (rc != 0)
                return rc;
        }
        if (fm_clock_ms() >= end)
            return 0;
    }
}

uint64_t fm_client_silence_ms(const fm_client *c)
{
    return c->asked_ms ? fm_clock_ms() - c->asked_ms : 0;
}
