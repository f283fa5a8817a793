/* Every allocation of a task fails once: the task says so, or gives the same bytes all the same, and leaks nothing. */
#ifndef FM_TESTS_ALLOC_EACH_H
#define FM_TESTS_ALLOC_EACH_H

#include <errno.h>

#include "base/buf.h"
#include "base/err.h"
#include "tests/alloc.h"
#include "tests/check.h"

#define ALLOC_TRIES_MAX 20000

typedef int (*alloc_task)(const void *ctx, fm_buf *out, fm_err *err);

/* The n-th allocation fails; false when there are not so many. */
static inline bool alloc_one(const char *name, alloc_task run, const void *ctx, size_t n, const fm_buf *want)
{
    fm_buf out = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    long before = alloc_live();
    bool failed;
    int rc;

    alloc_fail_at(n);
    rc = run(ctx, &out, &err);
    failed = alloc_failed();
    alloc_fail_at(0);
    if (rc == 0 && (out.size != want->size || memcmp(out.data, want->data, want->size) != 0))
        check_failed(__FILE__, __LINE__, "%s, allocation %zu: another result", name, n);
    if (rc != 0 && (rc != -ENOMEM || err.code != rc || !err.text[0]))
        check_failed(__FILE__, __LINE__, "%s, allocation %zu: %d: %s", name, n, rc, err.text);
    fm_buf_fini(&out);
    if (alloc_live() != before)
        check_failed(__FILE__, __LINE__, "%s, allocation %zu: %ld leaked", name, n, alloc_live() - before);
    return failed;
}

static inline void alloc_each(const char *name, alloc_task run, const void *ctx)
{
    fm_buf want = FM_BUF_INIT;
    size_t n = 1;

    if (!alloc_counted())
        check_skip("allocations cannot be made to fail with this allocator");
    else if (CHECK(run(ctx, &want, NULL) == 0)) {
        while (n < ALLOC_TRIES_MAX && check_ok_so_far() && alloc_one(name, run, ctx, n, &want))
            n++;
        CHECK(n > 2 && n < ALLOC_TRIES_MAX);
        printf("  %s: %zu allocations\n", name, n - 1);
    }
    fm_buf_fini(&want);
}

#endif
