/* Gathering, agreeing and sharing, on 1 to 4 ranks. */
#include "tests/cluster/ranks.h"

#include <errno.h>

#include "cluster/gather.h"
#include "cluster/job.h"

#define EACH ((size_t)6 << 20)      /* more than a chunk from three ranks on, and in one piece of rank 3 */

static int rank, size;

static void begin(void)
{
    CHECK(fm_job_begin("test", &rank, NULL) == 0);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
}

static unsigned char pattern(int r, size_t i)
{
    return (unsigned char)((size_t)r * 31 + i * 7 + (i >> 11));
}

/* Ranks have different amounts: (rank + 1) * 6 MiB + rank bytes, and rank 1 none. */
static size_t amount(int r)
{
    return r == 1 ? 0 : (size_t)(r + 1) * EACH + (size_t)r;
}

static void gathers_to(int root)
{
    unsigned char *mine, *all = NULL;
    size_t total = 0, at = 0;

    for (int r = 0; r < size; r++)
        total += amount(r);
    mine = malloc(amount(rank) + 1);
    for (size_t i = 0; i < amount(rank); i++)
        mine[i] = pattern(rank, i);
    if (rank == root)
        all = malloc(total + 1);
    CHECK_INT(fm_gather_bytes(MPI_COMM_WORLD, root, mine, amount(rank), all, total, NULL), 0);
    for (int r = 0; rank == root && r < size; r++)
        for (size_t i = 0; i < amount(r); i++)
            if (all[at++] != pattern(r, i)) {
                check_failed(__FILE__, __LINE__, "byte %zu of rank %d differs", i, r);
                i = amount(r);
            }
    CHECK_INT(fm_gather_bytes(MPI_COMM_WORLD, root, mine, amount(rank), all, total + 1, NULL), -EINVAL);
    CHECK_INT(fm_gather_bytes(MPI_COMM_WORLD, root, NULL, 0, NULL, 0, NULL), 0);
    free(mine);
    free(all);
}

static void gathers(void)
{
    begin();
    gathers_to(0);
    gathers_to(size - 1);
    fm_job_end();
}

static void agrees(void)
{
    fm_err err = FM_ERR_INIT;
    int last;

    begin();
    last = size - 1;
    CHECK_INT(fm_agree(MPI_COMM_WORLD, 0, &err), 0);
    if (rank == last)
        fm_fail(&err, -ENOSPC, "the disk of rank %d is full", rank);
    CHECK_INT(fm_agree(MPI_COMM_WORLD, rank == last ? -ENOSPC : 0, &err), -ENOSPC);
    if (rank == 0)
        CHECK(strstr(err.text, "disk of rank") != NULL);
    CHECK_INT(fm_agree(MPI_COMM_WORLD, -5 - rank, NULL), -5);       /* the first failing rank's */
    fm_job_end();
}

static void shares(void)
{
    size_t n = ((size_t)20 << 20) + 13, wrong = 0;
    fm_shared *s = NULL;
    unsigned char *bytes;
    void *base = NULL;

    begin();
    if (CHECK(fm_shared_create(MPI_COMM_WORLD, n, &s, &base, NULL) == 0)) {
        bytes = base;
        CHECK((size_t)bytes % 64 == 0);
        for (size_t i = 0; rank == 0 && i < n; i++)
            bytes[i] = pattern(9, i);
        CHECK_INT(fm_shared_spread(s, NULL), 0);
        for (size_t i = 0; i < n; i++)
            wrong += bytes[i] != pattern(9, i);
        CHECK_INT(wrong, 0);
        MPI_Barrier(MPI_COMM_WORLD);
        if (rank == size - 1)       /* the same memory: what the last rank writes, the first reads */
            bytes[5] = 77;
        MPI_Barrier(MPI_COMM_WORLD);
        if (rank == 0)
            CHECK_INT(bytes[5], 77);
        fm_shared_destroy(s);
    }
    CHECK_INT(fm_shared_create(MPI_COMM_WORLD, 0, &s, &base, NULL), 0);
    fm_shared_destroy(s);
    fm_job_end();
}

/* More than /dev/shm can ever hold is not asked of it; nothing hangs, whoever has memory gets it. */
static void does_without_a_window(void)
{
    fm_err err = FM_ERR_INIT;
    fm_shared *s = NULL;
    void *base = NULL;
    int rc;

    begin();
    rc = fm_shared_create(MPI_COMM_WORLD, (size_t)1 << 55, &s, &base, &err);
    CHECK_INT(rc, -ENOMEM);
    fm_job_end();
}

static void on_ranks(const char *name)
{
    for (int n = 1; n <= 4; n++)
        ranks_run(n, name);
}

static void gather_in_rank_order(void) { on_ranks("gathers"); }
static void agree_on_the_first_failure(void) { on_ranks("agrees"); }
static void share_one_memory(void) { on_ranks("shares"); }

static void too_much_to_share_is_an_error(void)
{
    setenv("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1", 1);    /* as malloc does without it */
    ranks_run(2, "does_without_a_window");
}

static void shares_differ_by_one_at_most(void)
{
    for (size_t n = 0; n < 40; n++)
        for (int of = 1; of < 9; of++) {
            size_t next = 0;

            for (int r = 0; r < of; r++) {
                size_t first, count;

                fm_share_of(n, r, of, &first, &count);
                CHECK(first == next && (count == n / (size_t)of || count == n / (size_t)of + 1));
                next = first + count;
            }
            CHECK_INT(next, n);
        }
}

int main(int argc, char **argv)
{
    static const rank_case ranks[] = {RANK_CASE(gathers), RANK_CASE(agrees), RANK_CASE(shares),
                                      RANK_CASE(does_without_a_window)};
    static const check_case cases[] = {CHECK_CASE(shares_differ_by_one_at_most), CHECK_CASE(gather_in_rank_order),
                                       CHECK_CASE(agree_on_the_first_failure), CHECK_CASE(share_one_memory),
                                       CHECK_CASE(too_much_to_share_is_an_error)};
    int status = ranks_main(argc, argv, ranks, sizeof ranks / sizeof *ranks);

    return status >= 0 ? status : check_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
