/* Large things get a block of their own from calloc, whose pages cost nothing
 * until they are written; small ones share blocks. */
#include "worker/net/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"

enum { ALIGNMENT = 64, SMALL = 4096, SHARED = 1 << 16, LARGE = 1 << 22 };

typedef struct block {
    struct block *next;
} block;

void fm_arena_init(fm_arena *a, size_t limit)
{
    *a = (fm_arena){.limit = limit};
}

void fm_arena_fini(fm_arena *a)
{
    block *b = a->blocks;

    while (b) {
        block *next = b->next;

        free(b);
        b = next;
    }
    *a = (fm_arena){0};
}

static char *aligned(char *p)
{
    return p + (-(uintptr_t)p & (ALIGNMENT - 1));
}

static char *block_add(fm_arena *a, size_t n)
{
    size_t bytes = sizeof(block) + ALIGNMENT + n;
    block *b;

    if (a->failed || n > a->limit || bytes > a->limit - a->used || !(b = calloc(1, bytes))) {
        a->failed = true;
        return NULL;
    }
    if (bytes >= LARGE)
        fm_pages_ask(b, bytes);
    a->used += bytes;
    b->next = a->blocks;
    a->blocks = b;
    return aligned((char *)(b + 1));
}

void *fm_arena_get(fm_arena *a, size_t n)
{
    char *p;

    if (a->failed || n > SMALL)
        return block_add(a, n);
    n = (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (n == 0)
        n = ALIGNMENT;
    if ((size_t)(a->end - a->at) < n) {
        if (!(p = block_add(a, SHARED)))
            return NULL;
        a->at = p;
        a->end = p + SHARED;
    }
    p = a->at;
    a->at += n;
    return p;
}

char *fm_arena_text(fm_arena *a, const void *text, size_t n)
{
    char *to = fm_arena_get(a, n + 1);

    if (to && n)
        memcpy(to, text, n);
    return to;
}
