/* What threads share without asking: faults, the log's level, the instruction set, open archives.  Only a build with
 * SAN=thread sees every race in it; what is checked here is what a lost race would change. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"

/* More archives than stay open. */
enum { THREADS = 4, PASSES = 20000, ARCHIVES = 12, MEMBERS = 16, READS = 200 };

static atomic_int hits, isa_sum, wrong;
static const char *dir;

/* All at once: they wait for each other first. */
static void in_threads(void *(*work)(void *))
{
    static pthread_barrier_t together;
    pthread_t thread[THREADS];
    int n = 0;

    REQUIRE(pthread_barrier_init(&together, NULL, THREADS) == 0);
    while (n < THREADS && pthread_create(&thread[n], NULL, work, &together) == 0)
        n++;
    REQUIRE(n == THREADS);
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&together);
}

static void *ask_first(void *together)
{
    pthread_barrier_wait(together);
    isa_sum += (int)fm_cpu_isa();
    fm_debug("a thread's first line");
    hits += fm_fault("threads.first");
    return NULL;
}

/* Must be the first case: the environment is read once in a process's life. */
static void who_asks_first_need_not_be_alone(void)
{
    setenv("FACEMILL_FAULT", "threads.first:3", 1);
    setenv("FACEMILL_LOG", "error", 1);
    in_threads(ask_first);
    CHECK_INT(hits, 1);
    CHECK_INT(isa_sum, THREADS * (int)fm_cpu_isa());
}

static void *pass(void *together)
{
    pthread_barrier_wait(together);
    for (int i = 0; i < PASSES; i++)
        hits += fm_fault("threads.pass");
    return NULL;
}

static void passes_are_counted_together(void)
{
    char list[64];

    hits = 0;
    snprintf(list, sizeof list, "threads.pass:%d", THREADS * PASSES);
    fm_fault_set(list);
    in_threads(pass);
    fm_fault_set(NULL);
    CHECK_INT(hits, 1);
}

static void *read_members(void *together)
{
    char path[FM_PATH_MAX + 32], want[32];
    fm_buf b = FM_BUF_INIT;

    pthread_barrier_wait(together);
    for (int i = 0; i < READS; i++) {
        snprintf(path, sizeof path, "%s/%d.tar/in/%d", dir, i % ARCHIVES, i % MEMBERS);
        snprintf(want, sizeof want, "member %d\n", i % MEMBERS);
        b.size = 0;
        wrong += fm_file_read(path, 1 << 10, &b, NULL) != 0 || b.size != strlen(want) || memcmp(b.data, want, b.size) != 0;
    }
    fm_buf_fini(&b);
    return NULL;
}

static void archives_are_shared(void)
{
    char command[FM_PATH_MAX + 256];

    dir = check_tmpdir();
    snprintf(command, sizeof command,
             "cd '%s' && mkdir in && for i in $(seq 0 %d); do echo member $i >in/$i; done && "
             "tar -cf 0.tar in && for i in $(seq 1 %d); do cp 0.tar $i.tar; done", dir, MEMBERS - 1, ARCHIVES - 1);
    REQUIRE(system(command) == 0);
    in_threads(read_members);
    CHECK_INT(wrong, 0);
}

CHECK_MAIN(CHECK_CASE(who_asks_first_need_not_be_alone), CHECK_CASE(passes_are_counted_together),
           CHECK_CASE(archives_are_shared))
