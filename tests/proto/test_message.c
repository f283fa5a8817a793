#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "proto/join.h"
#include "proto/message.h"
#include "tests/check.h"

/* A message of this type with every field it carries filled. */
static void fill(fm_message *m, fm_message_type type)
{
    fm_message_init(m, type);
    m->run = 0x1122334455667788;
    m->epoch = 7;
    m->lease = 99;
    m->crew = 3;
    m->rank = 12;
    m->pid = 4711;
    m->timeout_ms = 30000;
    fm_message_set_text(m, "e0007-w0003-000001", NULL);
    fm_recipe_default(&m->recipe);
    m->recipe.upsample = 2;
    memset(m->encoder.b, 0xab, FM_DIGEST_BYTES);
    memset(m->store_key, 0x5e, sizeof m->store_key);
    m->records = 1234567;
    m->memory = 5u << 30;
    fm_message_add_span(m, &(fm_span){FM_SPAN_WAIT, 900, 50, 0}, NULL);
    fm_message_add_span(m, &(fm_span){FM_SPAN_ENCODE, UINT32_MAX, 700, 16}, NULL);
    fm_message_add_segment(m, "first", NULL);
    fm_message_add_segment(m, "second", NULL);
    if (type != FM_MSG_LEASE && type != FM_MSG_ACK)
        return;
    fm_message_room(m, 3, NULL);
    for (uint32_t i = 0; i < 3; i++) {
        if (type == FM_MSG_LEASE) {
            m->items[i] = (fm_lease_item){.item = i + 5, .path = strdup("/photos/a\nb.jpg"), .have_photo = i == 1,
                                          .photo_segment = i == 1};
            memset(m->items[i].image.b, (int)i, FM_DIGEST_BYTES);
        } else {
            m->acks[i] = (fm_ack_item){.item = i + 5, .size_bytes = 1u << 30, .mtime_ns = -17, .reason = FM_NO_FACE,
                                       .photo_made = i == 0, .code_made = i == 2, .micros = 5000 + i};
        }
    }
}

static bool encode(const fm_message *m, fm_buf *out)
{
    fm_message_encode(m, out);
    return !out->failed;
}

static void round_trip(void)
{
    for (int type = 1; type < FM_MSG_TYPE_END; type++) {
        fm_message m, back;
        fm_buf a = FM_BUF_INIT, b = FM_BUF_INIT;
        fm_err err = FM_ERR_INIT;

        CHECK(strcmp(fm_message_name((fm_message_type)type), "unknown") != 0);
        fill(&m, (fm_message_type)type);
        REQUIRE(encode(&m, &a));
        REQUIRE(fm_message_decode(a.data, a.size, &back, &err) == 0);
        CHECK_INT(back.type, type);
        CHECK(back.run == m.run && back.epoch == 7);
        REQUIRE(encode(&back, &b));
        CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
        fm_message_fini(&m);
        fm_message_fini(&back);
        fm_buf_fini(&a);
        fm_buf_fini(&b);
    }
}

static void fields_arrive(void)
{
    fm_message m, lease, ack;
    fm_buf b = FM_BUF_INIT;

    fill(&m, FM_MSG_LEASE);
    REQUIRE(encode(&m, &b) && fm_message_decode(b.data, b.size, &lease, NULL) == 0);
    CHECK_INT(lease.n_items, 3);
    CHECK_STR(lease.items[2].path, "/photos/a\nb.jpg");
    CHECK(lease.items[1].have_photo && lease.items[1].photo_segment == 1 && lease.items[2].image.b[31] == 2);
    CHECK_STR(lease.segments[1], "second");
    CHECK_INT(lease.timeout_ms, 30000);
    CHECK(!lease.text);
    fm_message_fini(&m);
    fm_message_fini(&lease);
    b.size = 0;
    fill(&m, FM_MSG_ACK);
    REQUIRE(encode(&m, &b) && fm_message_decode(b.data, b.size, &ack, NULL) == 0);
    CHECK_INT(ack.acks[0].mtime_ns, -17);
    CHECK_INT(ack.acks[2].micros, 5002);
    CHECK(ack.acks[0].photo_made && !ack.acks[1].photo_made && ack.acks[2].code_made && ack.acks[1].reason == FM_NO_FACE);
    CHECK(ack.memory == 5u << 30 && ack.n_spans == 2 && ack.spans[0].took_us == 50);
    CHECK(ack.spans[1].kind == FM_SPAN_ENCODE && ack.spans[1].ago_us == UINT32_MAX && ack.spans[1].n == 16);
    CHECK_STR(ack.text, "e0007-w0003-000001");
    fm_message_fini(&m);
    fm_message_fini(&ack);
    fm_buf_fini(&b);
}

static void every_truncation_is_refused(void)
{
    for (int type = 1; type < FM_MSG_TYPE_END; type++) {
        fm_message m, back;
        fm_buf b = FM_BUF_INIT;

        fill(&m, (fm_message_type)type);
        REQUIRE(encode(&m, &b));
        for (size_t n = 0; n < b.size; n++) {
            uint8_t *copy = malloc(n ? n : 1);      /* exactly n bytes, for the sanitizer */

            REQUIRE(copy != NULL);
            memcpy(copy, b.data, n);
            CHECK_INT(fm_message_decode(copy, n, &back, NULL), -EBADMSG);
            free(copy);
        }
        fm_buf_u8(&b, 0);
        CHECK_INT(fm_message_decode(b.data, b.size, &back, NULL), -EBADMSG);
        fm_message_fini(&m);
        fm_buf_fini(&b);
    }
}

static void mutations_do_no_harm(void)
{
    const uint64_t seed = 20240607;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("message", 0, 0));
    int taken = 0;

    printf("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 20000; round++) {
        fm_message m, back;
        fm_buf b = FM_BUF_INIT;

        fill(&m, (fm_message_type)(1 + fm_rng_below(&r, FM_MSG_TYPE_END - 1)));
        REQUIRE(encode(&m, &b));
        for (uint32_t k = 1 + fm_rng_below(&r, 4); k > 0; k--)
            b.data[4 + fm_rng_below(&r, (uint32_t)b.size - 4)] = (uint8_t)fm_rng_u32(&r);
        if (fm_message_decode(b.data, b.size - fm_rng_below(&r, 2), &back, NULL) == 0) {
            fm_buf again = FM_BUF_INIT;

            CHECK(encode(&back, &again));
            fm_buf_fini(&again);
            fm_message_fini(&back);
            taken++;
        }
        fm_message_fini(&m);
        fm_buf_fini(&b);
    }
    CHECK(taken > 0);
}

static void another_version_is_told(void)
{
    fm_message m, back;
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    fill(&m, FM_MSG_HELLO);
    m.version = FM_PROTO_VERSION + 1;
    REQUIRE(encode(&m, &b));
    CHECK_INT(fm_message_decode(b.data, b.size, &back, &err), -EPROTO);
    CHECK_INT(back.version, FM_PROTO_VERSION + 1);
    CHECK(strstr(err.text, "version") != NULL);
    fm_message_fini(&m);
    fm_buf_fini(&b);
}

static void huge_counts_allocate_nothing(void)
{
    fm_message m, back;
    fm_buf b = FM_BUF_INIT;
    const size_t head = 2 + 2 + 2 + 8 + 8;

    fm_message_init(&m, FM_MSG_LEASE);
    REQUIRE(encode(&m, &b));
    memset(b.data + head + 12, 0xff, 4);        /* segments */
    CHECK_INT(fm_message_decode(b.data, b.size, &back, NULL), -EBADMSG);
    memset(b.data + head + 12, 0, 4);
    memset(b.data + head + 16, 0xff, 4);        /* items */
    CHECK_INT(fm_message_decode(b.data, b.size, &back, NULL), -EBADMSG);
    CHECK_INT(fm_message_room(&m, FM_LEASE_ITEMS_MAX + 1, NULL), -EINVAL);
    fm_message_fini(&m);
    fm_buf_fini(&b);
}

static void fill_join(fm_join *j)
{
    memset(j, 0, sizeof *j);
    snprintf(j->endpoint, sizeof j->endpoint, "tcp://127.0.0.1:4711");
    j->run = 77;
    j->epoch = 3;
    snprintf(j->store_dir, sizeof j->store_dir, "/out/store");
    memset(j->scratch_dir, 's', FM_PATH_MAX - 1);
    snprintf(j->encoder.path, sizeof j->encoder.path, "/models/e.dat");
    memset(j->encoder.sha256.b, 5, FM_DIGEST_BYTES);
    memset(j->secret_key, 9, FM_KEY_BYTES);
}

static void join_round_trip(void)
{
    static fm_join j, back;
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    fill_join(&j);
    fm_join_encode(&j, &b);
    REQUIRE(!b.failed && b.size <= FM_JOIN_MAX && fm_join_decode(b.data, b.size, &back, &err) == 0);
    CHECK(back.run == 77 && back.epoch == 3 && strcmp(back.scratch_dir, j.scratch_dir) == 0);
    CHECK(memcmp(back.secret_key, j.secret_key, FM_KEY_BYTES) == 0 && back.encoder.sha256.b[0] == 5);
    for (size_t n = 0; n < b.size; n++)
        CHECK_INT(fm_join_decode(b.data, n, &back, NULL), -EBADMSG);
    for (size_t i = 0; i < b.size; i++) {
        b.data[i] ^= 0x10;
        CHECK_INT(fm_join_decode(b.data, b.size, &back, NULL), -EBADMSG);
        b.data[i] ^= 0x10;
    }
    fm_buf_fini(&b);
    REQUIRE(fm_path_join(path, sizeof path, check_tmpdir(), "join", NULL) == 0);
    REQUIRE(fm_join_write(&j, path, &err) == 0);
    CHECK_INT(fm_join_read(path, &back, &err), 0);
    REQUIRE(chmod(path, 0644) == 0);
    CHECK_INT(fm_join_read(path, &back, &err), -EACCES);
}

CHECK_MAIN(CHECK_CASE(round_trip), CHECK_CASE(fields_arrive), CHECK_CASE(every_truncation_is_refused),
           CHECK_CASE(mutations_do_no_harm), CHECK_CASE(another_version_is_told),
           CHECK_CASE(huge_counts_allocate_nothing), CHECK_CASE(join_round_trip))
