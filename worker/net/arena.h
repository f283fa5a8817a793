/* Memory that is given back all at once, up to a limit: what a model's bytes ask for is never believed. */
#ifndef FM_WORKER_NET_ARENA_H
#define FM_WORKER_NET_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    void *blocks;       /* a list */
    size_t used, limit; /* bytes, with what alignment costs */
    char *at, *end;     /* of the block that small things come from */
    bool failed;        /* the limit or the machine's memory was reached; every later get gives NULL */
} fm_arena;

void fm_arena_init(fm_arena *a, size_t limit);
void fm_arena_fini(fm_arena *a);
/* n bytes of zeros, 64-byte aligned; n == 0 gives a place, too. */
void *fm_arena_get(fm_arena *a, size_t n);
/* n bytes of a text and a NUL. */
char *fm_arena_text(fm_arena *a, const void *text, size_t n);

#endif
