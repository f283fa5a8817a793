/* A bench for builds from end to end: photographs, a store, and crews that are threads (tests/coordinator/crew.h). */
#ifndef FM_TESTS_COORDINATOR_BENCH_H
#define FM_TESTS_COORDINATOR_BENCH_H

#include "coordinator/build.h"
#include "tests/coordinator/crew.h"

enum { PHOTOGRAPHS = 120, FACELESS = PHOTOGRAPHS / 10 };

/* A folder of photographs, a store, and what the build is asked for. */
typedef struct {
    crew_world world;
    char dir[64], store[128], run[128];
    char path[PHOTOGRAPHS][128];
    const char *paths[PHOTOGRAPHS];
    fm_recipe recipe;
    fm_build_spec spec;
    fm_build_counts counts;
    fm_err err;
} bench;

extern bench *open_bench;       /* for hooks that are told of the world only */

void write_photograph(const char *path, const char *bytes);
/* Photograph i's bytes; every tenth has no face.  different: how many distinct ones there are. */
void write_photographs(bench *b, int different);
bench *bench_open(uint32_t crews);
void bench_close(bench *b);
int build(bench *b);
int starts(const bench *b);
bool in_run(const bench *b, const char *name);
/* The digest that a bench's photographs have: over the records that the fake workers make, read back. */
fm_digest digest_of(const bench *b);
fm_digest digest_undisturbed(void);     /* of a bench nothing happened to */
/* Everything is sealed and whole. */
void check_store(const bench *b);
/* The build went through, and the store holds what it holds without trouble. */
void check_built(bench *b, int rc, const fm_digest *want);

#endif
