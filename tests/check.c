#define _GNU_SOURCE
#include "tests/check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static int failures;
static char skip_reason[256];
static char tmpdir[64];

void check_failed(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    failures++;
    printf("  %s:%d: ", file, line);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

bool check_ok_so_far(void)
{
    return failures == 0;
}

void check_skip(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(skip_reason, sizeof skip_reason, fmt, ap);
    va_end(ap);
}

static const char *under(const char *root, const char *rel)
{
    static char path[4][FM_PATH_MAX];
    static int next;
    char *p = path[next++ % 4];

    if (fm_path_join(p, FM_PATH_MAX, root, rel, NULL) != 0 || !fm_path_exists(p))
        return NULL;
    return p;
}

const char *check_data(const char *rel)
{
    const char *root = getenv("FACEMILL_DATA");
    const char *path = root ? under(root, rel) : NULL;

    if (!path)
        check_skip("%s is not there (set FACEMILL_DATA to the test data folder)", rel);
    return path;
}

const char *check_model(const char *name)
{
    const char *root = getenv("FACEMILL_MODELS");
    const char *path = under(root ? root : "models/cache", name);

    if (!path)
        path = under("models", name);
    if (!path)
        check_skip("model %s is not there (run ./setup)", name);
    return path;
}

uint64_t check_seed(void)
{
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 1;

    printf("  seed %llu\n", (unsigned long long)seed);
    return seed;
}

const char *check_tmpdir(void)
{
    if (!tmpdir[0]) {
        snprintf(tmpdir, sizeof tmpdir, "/tmp/facemill-test-XXXXXX");
        if (!mkdtemp(tmpdir))
            abort();
    }
    return tmpdir;
}

static void run_case(const check_case *c)
{
    failures = 0;
    skip_reason[0] = '\0';
    c->run();
    if (failures)
        printf("FAILED %s\n", c->name);
    else if (skip_reason[0])
        printf("skip %s: %s\n", c->name, skip_reason);
    else
        printf("ok %s\n", c->name);
    fflush(stdout);
    if (tmpdir[0])
        fm_dir_remove(tmpdir, NULL);
    tmpdir[0] = '\0';
}

int check_main(int argc, char **argv, const check_case *cases, size_t n)
{
    bool failed = false;

    for (size_t i = 0; i < n; i++) {
        if (argc > 1 && !strstr(cases[i].name, argv[1]))
            continue;
        run_case(&cases[i]);
        failed = failed || failures;
    }
    return failed;
}
