#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "proto/socket.h"
#include "tests/check.h"

static fm_join worker, observer;

static bool open_server(fm_server **s)
{
    fm_err err = FM_ERR_INIT;
    int rc = fm_server_open(true, 42, &worker, &observer, s, &err);

    if (rc != 0)
        printf("%s\n", err.text);
    return rc == 0;
}

/* Receive at the server, answer with type; returns the role and the id. */
static bool serve_one(fm_server *s, fm_message_type expected, fm_message_type answer, fm_peer *from)
{
    fm_message m;
    bool ok;

    if (fm_server_receive(s, 3000, from, &m, NULL) != 1)
        return false;
    ok = m.type == expected;
    fm_message_fini(&m);
    fm_message_init(&m, answer);
    m.epoch = 5;
    ok = ok && fm_server_send(s, from, &m, NULL) == 0;
    fm_message_fini(&m);
    return ok;
}

static bool send_simple(fm_client *c, fm_message_type type)
{
    fm_message m;

    fm_message_init(&m, type);
    return fm_client_send(c, &m, NULL) == 0;
}

static void both_roles_talk(void)
{
    fm_server *s;
    fm_client *w, *o;
    fm_peer a, b, again;
    fm_message m;

    REQUIRE(open_server(&s));
    CHECK(strncmp(worker.endpoint, "tcp://127.0.0.1:", 16) == 0);
    REQUIRE(fm_client_open(&worker, &w, NULL) == 0 && fm_client_open(&observer, &o, NULL) == 0);
    CHECK(send_simple(w, FM_MSG_WANT));
    CHECK(serve_one(s, FM_MSG_WANT, FM_MSG_WAIT, &a) && a.role == FM_PEER_WORKER);
    CHECK(send_simple(o, FM_MSG_STATUS_ASK));
    CHECK(serve_one(s, FM_MSG_STATUS_ASK, FM_MSG_STATUS, &b) && b.role == FM_PEER_OBSERVER);
    CHECK(send_simple(w, FM_MSG_BEAT));
    CHECK(serve_one(s, FM_MSG_BEAT, FM_MSG_ALIVE, &again));
    CHECK(fm_peer_equal(&a, &again) && !fm_peer_equal(&a, &b));
    REQUIRE(fm_client_receive(w, 3000, &m, NULL) == 1);
    CHECK(m.type == FM_MSG_WAIT && m.run == 42 && m.epoch == 5);
    fm_message_fini(&m);
    CHECK(fm_client_silence_ms(w) < 3000);
    CHECK_INT(fm_client_receive(o, 3000, &m, NULL), 1);
    fm_message_fini(&m);
    CHECK_INT(fm_client_receive(o, 0, &m, NULL), 0);
    fm_client_close(w, 0);
    fm_client_close(o, 0);
    fm_server_close(s);
}

/* Does what this join says reach the server? */
static bool reaches(fm_server *s, const fm_join *join)
{
    fm_client *c;
    fm_peer from;
    fm_message m;
    bool got;

    if (fm_client_open(join, &c, NULL) != 0)
        return false;
    send_simple(c, FM_MSG_WANT);
    got = fm_server_receive(s, 400, &from, &m, NULL) == 1;
    if (got)
        fm_message_fini(&m);
    fm_client_close(c, 0);
    return got;
}

static void strangers_stay_outside(void)
{
    static fm_join stranger;
    fm_server *s;

    REQUIRE(open_server(&s));
    stranger = worker;
    CHECK(reaches(s, &stranger));
    crypto_box_keypair(stranger.public_key, stranger.secret_key);       /* a key that is not on the list */
    CHECK(!reaches(s, &stranger));
    stranger = worker;
    stranger.run++;                                                     /* another run */
    CHECK(!reaches(s, &stranger));
    stranger = worker;
    memset(stranger.server_key, 7, FM_KEY_BYTES);                       /* another server */
    CHECK(!reaches(s, &stranger));
    CHECK(reaches(s, &worker));
    fm_server_close(s);
}

static void nobody_there(void)
{
    fm_server *s;
    fm_client *c;
    fm_message m;
    fm_peer gone = {.size = 3, .id = {1, 2, 3}};
    uint64_t start = fm_clock_ms();

    REQUIRE(open_server(&s));
    fm_message_init(&m, FM_MSG_FINISH);
    CHECK_INT(fm_server_send(s, &gone, &m, NULL), 0);
    CHECK_INT(fm_server_receive(s, 50, &gone, &m, NULL), 0);
    fm_server_close(s);
    REQUIRE(fm_client_open(&worker, &c, NULL) == 0);
    CHECK(send_simple(c, FM_MSG_HELLO));
    CHECK_INT(fm_client_receive(c, 100, &m, NULL), 0);
    CHECK(fm_client_silence_ms(c) >= 100);
    fm_client_close(c, 100);
    CHECK(fm_clock_ms() - start < 5000);
    snprintf(worker.endpoint, sizeof worker.endpoint, "nonsense");
    CHECK_INT(fm_client_open(&worker, &c, NULL), -EINVAL);
}

static void a_key_more_and_shut_out_again(void)
{
    static fm_join guest, wide;
    char port[16];
    fm_server *s;

    REQUIRE(open_server(&s));
    guest.crew = 7;
    REQUIRE(fm_server_admit(s, FM_PEER_WORKER, &guest, NULL) == 0);
    CHECK(guest.crew == 7 && guest.run == 42 && strcmp(guest.endpoint, worker.endpoint) == 0);
    CHECK(memcmp(guest.public_key, worker.public_key, FM_KEY_BYTES) != 0);
    CHECK(reaches(s, &guest));
    fm_server_shut_out(s, guest.public_key);
    CHECK(!reaches(s, &guest) && reaches(s, &worker));
    wide = worker;
    REQUIRE(fm_server_widen(s, &wide, NULL) == 0);
    CHECK(strncmp(wide.endpoint, "tcp://127.0.0.1:", 16) != 0);
    CHECK(reaches(s, &worker));                         /* where it listened it still does */
    snprintf(port, sizeof port, "%s", strrchr(wide.endpoint, ':'));
    snprintf(wide.endpoint, sizeof wide.endpoint, "tcp://127.0.0.1%s", port);
    CHECK(reaches(s, &wide));                           /* whatever this host's name leads to */
    REQUIRE(fm_server_admit(s, FM_PEER_OBSERVER, &guest, NULL) == 0);
    CHECK(strncmp(guest.endpoint, "tcp://127.0.0.1:", 16) != 0);
    fm_server_close(s);
}

/* A message of another version, from either side, is one to be refused in words that say what to do. */
static void another_version_is_refused(void)
{
    fm_err err = FM_ERR_INIT;
    fm_server *s = NULL;
    fm_client *c = NULL;
    fm_message m;
    fm_peer from;

    REQUIRE(open_server(&s) && fm_client_open(&worker, &c, NULL) == 0);
    fm_message_init(&m, FM_MSG_HELLO);
    m.version = FM_PROTO_VERSION - 1;
    REQUIRE(fm_client_send(c, &m, NULL) == 0);
    fm_message_fini(&m);
    CHECK_INT(fm_server_receive(s, 1000, &from, &m, NULL), 0);
    REQUIRE(fm_client_receive(c, 3000, &m, NULL) == 1);
    CHECK_INT(m.type, FM_MSG_REFUSED);
    CHECK(m.text && strstr(m.text, "use the same facemill on every host"));
    fm_message_fini(&m);
    CHECK(send_simple(c, FM_MSG_HELLO) && fm_server_receive(s, 3000, &from, &m, NULL) == 1);
    fm_message_fini(&m);
    fm_message_init(&m, FM_MSG_WELCOME);
    m.version = FM_PROTO_VERSION + 1;
    REQUIRE(fm_server_send(s, &from, &m, NULL) == 0);
    fm_message_fini(&m);
    CHECK_INT(fm_client_receive(c, 3000, &m, &err), -EPROTO);
    CHECK(strstr(err.text, "use the same facemill on every host") != NULL);
    fm_client_close(c, 0);
    fm_server_close(s);
}

CHECK_MAIN(CHECK_CASE(both_roles_talk), CHECK_CASE(strangers_stay_outside), CHECK_CASE(a_key_more_and_shut_out_again),
           CHECK_CASE(another_version_is_refused), CHECK_CASE(nobody_there))
