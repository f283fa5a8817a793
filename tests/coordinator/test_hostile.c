/* Who has no business with a running build disturbs nothing: its digest is that of an undisturbed one, and what it holds
 * in memory has a bound.  CONNECTIONS=n: so many malformed ones, and a tenth as many junk messages with a valid key. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "base/rng.h"
#include "proto/socket.h"
#include "tests/coordinator/bench.h"

enum { LORIS = 64, CONNECTIONS = 2000, ACKS = 12, GROWTH_MAX_KB = 64 << 10 };

static uint64_t connections, seed;
static uint64_t connected, junk_sent, older_refused;
static int loris[LORIS];
static fm_rng r;

static int dial(const fm_join *join)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)atoi(strrchr(join->endpoint, ':') + 1));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
        connected++;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Nothing; noise; a greeting of ZeroMQ's (with CURVE, NULL or PLAIN) and noise; once or again and again. */
static void malformed(const fm_join *join)
{
    static const char *const mechanisms[] = {"CURVE", "NULL", "PLAIN"};
    uint8_t bytes[256];
    size_t n = fm_rng_below(&r, sizeof bytes + 1);
    int fd = dial(join);

    if (fd < 0)
        return;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)fm_rng_below(&r, 256);
    if (n > 64 && fm_rng_below(&r, 2)) {
        memset(bytes, 0, 64);
        bytes[0] = 0xff;
        bytes[9] = 0x7f;
        bytes[10] = 3;
        memcpy(bytes + 12, mechanisms[fm_rng_below(&r, 3)], 5);
    }
    while (n > 0 && send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 && fm_rng_below(&r, 2))
        ;
    close(fd);
}

/* Sockets that are kept and say a byte at a time. */
static void slow(const fm_join *join)
{
    for (int i = 0; i < LORIS; i++) {
        if (loris[i] < 0)
            loris[i] = dial(join);
        else if (send(loris[i], "\xff", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            close(loris[i]);
            loris[i] = -1;
        }
    }
}

/* Bytes that are no message, with a worker's own key. */
static void junk(const fm_join *join, uint64_t n)
{
    static uint8_t bytes[4096];
    void *context = zmq_ctx_new(), *s = zmq_socket(context, ZMQ_DEALER);
    int linger = 100;

    zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, join->server_key, FM_KEY_BYTES);
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, join->public_key, FM_KEY_BYTES);
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, join->secret_key, FM_KEY_BYTES);
    if (zmq_connect(s, join->endpoint) != 0)
        abort();
    for (uint64_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)(k < 64 ? fm_rng_below(&r, 256) : k);
        junk_sent += zmq_send(s, bytes, fm_rng_below(&r, sizeof bytes), ZMQ_DONTWAIT) >= 0;
    }
    zmq_close(s);
    zmq_ctx_term(context);
}

/* Somebody with another key, and with the keys of another run. */
static void strangers(const fm_join *join)
{
    for (int i = 0; i < 2; i++) {
        fm_join *other = malloc(sizeof *other);
        fm_client *c;
        fm_message m;

        if (!other)
            abort();
        *other = *join;
        if (i == 0)
            crypto_box_keypair(other->public_key, other->secret_key);
        else
            other->run++;
        if (fm_client_open(other, &c, NULL) == 0) {
            fm_message_init(&m, FM_MSG_WANT);
            fm_client_send(c, &m, NULL);
            CHECK_INT(fm_client_receive(c, 50, &m, NULL), 0);
            fm_client_close(c, 0);
        }
        free(other);
    }
}

/* A worker of an earlier facemill, let in by its key. */
static void an_older_worker(const fm_join *join)
{
    fm_client *c;
    fm_message m;

    if (fm_client_open(join, &c, NULL) != 0)
        abort();
    fm_message_init(&m, FM_MSG_HELLO);
    m.version = FM_PROTO_VERSION - 1;
    fm_client_send(c, &m, NULL);
    fm_message_fini(&m);
    if (fm_client_receive(c, 5000, &m, NULL) == 1) {
        older_refused += m.type == FM_MSG_REFUSED && m.text && strstr(m.text, "use the same facemill on every host");
        fm_message_fini(&m);
    }
    fm_client_close(c, 0);
}

static void attack(crew_world *w)
{
    fm_join *join = malloc(sizeof *join);

    if (!join || fm_join_read(w->crew[0].join_file, join, NULL) != 0)
        abort();
    slow(join);
    for (uint64_t i = 0; i < connections / ACKS; i++)
        malformed(join);
    junk(join, connections / 2 / ACKS);
    strangers(join);
    an_older_worker(join);
    slow(join);
    free(join);
}

static long resident_kb(void)
{
    long pages = 0, ignored;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fscanf(f, "%ld %ld", &ignored, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void a_running_build_is_not_disturbed(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(1);
    long before;

    seed = check_seed();
    connections = getenv("CONNECTIONS") ? strtoull(getenv("CONNECTIONS"), NULL, 10) : CONNECTIONS;
    r = fm_rng_init(seed, fm_rng_stream("hostile", 0, 0));
    for (int i = 0; i < LORIS; i++)
        loris[i] = -1;
    b->spec.shard_size = PHOTOGRAPHS / ACKS;
    b->world.after_ack = attack;
    before = resident_kb();
    check_built(b, build(b), &want);
    CHECK_INT(b->counts.left_out[FM_CRASHED], 0);
    printf("  %llu connections, %llu junk messages; %ld KiB more in memory\n", (unsigned long long)connected,
           (unsigned long long)junk_sent, resident_kb() - before);
    CHECK(connected > connections / 2 && junk_sent > connections / 10);
    CHECK_INT(older_refused, ACKS);
    CHECK(resident_kb() - before < GROWTH_MAX_KB);
    for (int i = 0; i < LORIS; i++)
        if (loris[i] >= 0)
            close(loris[i]);
    bench_close(b);
}

CHECK_MAIN(CHECK_CASE(a_running_build_is_not_disturbed))
