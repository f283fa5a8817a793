/* madvise() on the whole pages of a range.  Its errors are left alone: an older
 * kernel, or memory of a kind that has no huge pages, only stays slower. */
#define _DEFAULT_SOURCE     /* madvise */
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define COLLAPSE 25         /* MADV_COLLAPSE of Linux 6.1, which C libraries do not name yet */

static void advise(uintptr_t memory, size_t n, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (memory + page - 1) / page * page;
    uintptr_t to = (memory + n) / page * page;

    if (from < to)
        madvise((void *)from, to - from, advice);
}

void fm_pages_collapse(const void *memory, size_t n)
{
    advise((uintptr_t)memory, n, COLLAPSE);
}

void fm_pages_ask(void *memory, size_t n)
{
    advise((uintptr_t)memory, n, MADV_HUGEPAGE);
}
