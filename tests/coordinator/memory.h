/* A store in memory behind the headers of storage and proto/journal.h, as far as the coordinator's state machines use
 * them: linked into a test before the library, it takes the place of LMDB and the file system.  What is durable and what
 * dies with a process are as there.  Photographs are numbers; there is one world a program. */
#ifndef FM_TESTS_COORDINATOR_MEMORY_H
#define FM_TESTS_COORDINATOR_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/journal.h"
#include "storage/catalog.h"

enum { MEMORY_PHOTOS = 10, MEMORY_SEGMENTS = 1024 };

struct fm_catalog {
    uint64_t epoch;         /* of the coordinator that holds this handle */
};

typedef struct {
    char name[FM_SEGMENT_NAME_MAX];
    bool in_catalog, sealed_there;      /* what the catalog says */
    bool in_scratch, in_store;          /* what the file system has */
    bool writer_lives, damaged;
    uint64_t has[2];                    /* committed records, a bit a photograph: photos, codes */
    fm_journal_entry journal;           /* of the worker whose first segment it is */
    bool journal_there;
} memory_segment;

typedef struct {
    uint64_t epoch;
    const char *paths[MEMORY_PHOTOS];
    fm_digest image[MEMORY_PHOTOS], key[2][MEMORY_PHOTOS];      /* by kind: photo, code */
    fm_catalog_file file[MEMORY_PHOTOS];
    bool known[MEMORY_PHOTOS];
    uint32_t where[2][MEMORY_PHOTOS];   /* UINT32_MAX: nowhere */
    memory_segment segment[MEMORY_SEGMENTS];
    uint32_t n_segments;
} memory_world;

extern memory_world memory;

/* Nothing is stored; names, images and keys stay. */
void memory_clear(void);
memory_segment *memory_find(const char *name);      /* NULL: none */

#endif
