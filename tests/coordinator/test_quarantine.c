/* Photographs that kill or keep the workers that read them (tests/coordinator/crew.h). */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "storage/keys.h"
#include "tests/check.h"
#include "tests/coordinator/bench.h"

static int left_out(const bench *b, int i)
{
    fm_study_keys keys = {NULL, 0};
    int reason = -1;

    if (fm_keys_read(b->store, &keys, NULL) == 0 && (size_t)i < keys.n)
        reason = (int)keys.v[i].reason;
    fm_keys_fini(&keys);
    return reason;
}

/* Some beside each other, two of them copies; the first and the last of the list among them. */
static const int deadly[] = {0, 40, 41, 42, 43, 44, 45, 77, PHOTOGRAPHS - 1};
enum { DEADLY = sizeof deadly / sizeof *deadly };

static void write_deadly(bench *b, char how)
{
    char bytes[64];

    for (int i = 0; i < DEADLY; i++) {
        snprintf(bytes, sizeof bytes, "%cills %d", how, deadly[i] == 45 ? 44 : deadly[i]);
        write_photograph(b->path[deadly[i]], bytes);
    }
}

static fm_digest digest_without_the_deadly(void)
{
    bench *b = bench_open(1);
    fm_digest got;

    for (int i = 0; i < DEADLY; i++)
        CHECK_INT(unlink(b->path[deadly[i]]), 0);
    CHECK_INT(build(b), 0);
    got = digest_of(b);
    bench_close(b);
    return got;
}

static void photographs_that_kill_are_quarantined(void)
{
    fm_digest want = digest_without_the_deadly(), got;

    for (uint32_t crews = 1; crews <= 3; crews++) {
        bench *b = bench_open(crews);

        b->spec.shard_size = 11;
        write_deadly(b, 'K');
        CHECK_INT(build(b), 0);
        CHECK_INT(b->counts.left_out[FM_CRASHED], DEADLY);
        CHECK_INT(b->counts.done, PHOTOGRAPHS);
        CHECK(b->counts.crews_lost >= 2 * DEADLY && b->counts.crews_lost <= 3 * DEADLY);
        got = digest_of(b);
        CHECK(fm_digest_equal(&got, &want));
        for (int i = 0; i < DEADLY; i++)
            CHECK_INT(left_out(b, deadly[i]), FM_CRASHED);
        check_store(b);
        b->recipe.chip_size = 160;      /* whatever the recipe */
        CHECK_INT(build(b), 0);
        CHECK_INT(b->counts.crews_lost, 0);
        CHECK_INT(b->counts.left_out[FM_CRASHED], DEADLY);
        b->recipe.chip_size = 150;
        write_photograph(b->path[77], "A photograph that was put right");
        b->spec.paranoid = crews == 2;  /* then all of them are tried again */
        CHECK_INT(build(b), 0);
        CHECK_INT(b->counts.left_out[FM_CRASHED], DEADLY - 1);
        CHECK_INT(left_out(b, 77), FM_USED);
        CHECK((b->counts.crews_lost > 0) == b->spec.paranoid);
        bench_close(b);
    }
}

static void a_photograph_that_hangs_is_timed_out(void)
{
    bench *b = bench_open(2);

    b->spec.lease_timeout_ms = 200;
    b->spec.limit_ms = 400;
    write_photograph(b->path[50], "Hangs");
    CHECK_INT(build(b), 0);
    CHECK_INT(b->counts.left_out[FM_TIMED_OUT], 1);
    CHECK_INT(left_out(b, 50), FM_TIMED_OUT);
    CHECK_INT(b->counts.done, PHOTOGRAPHS);
    check_store(b);
    bench_close(b);
}

/* Then it is not the photographs. */
static void where_every_photograph_kills_the_build_ends(void)
{
    bench *b = bench_open(2);

    for (int i = 0; i < PHOTOGRAPHS; i++)
        write_photograph(b->path[i], "Kills");
    CHECK_INT(build(b), -EIO);
    CHECK_INT(b->counts.left_out[FM_CRASHED], 0);
    CHECK_INT(starts(b), 8);
    bench_close(b);
}

CHECK_MAIN(CHECK_CASE(photographs_that_kill_are_quarantined), CHECK_CASE(a_photograph_that_hangs_is_timed_out),
           CHECK_CASE(where_every_photograph_kills_the_build_ends))
