/* Export logs of a plain store: the first byte says how many bytes of what follows are the head, the rest is the log;
 * odd: an entry is added, too, which must be whole. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "jobs/export_log.h"
#include "tests/fuzz/fuzz.h"

static char dir[] = "/tmp/facemill-fuzz-XXXXXX";
static char log_path[FM_PATH_MAX], head_path[FM_PATH_MAX];

static void clear(void)
{
    fm_dir_remove(dir, NULL);
}

static void begin(void)
{
    char run[FM_PATH_MAX];

    must(mkdtemp(dir) && atexit(clear) == 0);
    must(fm_path_join(run, sizeof run, dir, "run", NULL) == 0 && fm_dir_make(run, NULL) == 0);
    must(fm_path_join(log_path, sizeof log_path, dir, "export.log", NULL) == 0);
    must(fm_path_join(head_path, sizeof head_path, run, "export.head", NULL) == 0);
}

static void put(const char *path, const uint8_t *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    must(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && close(fd) == 0);
}

static void count(void *ctx, const char *what)
{
    must(what[0]);
    ++*(uint64_t *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    uint64_t lines = 0, after = 0, wrong = 0;
    fm_err err = FM_ERR_INIT;
    size_t head = n ? bytes[0] : 0;
    int rc;

    if (n == 0)
        return 0;
    if (!log_path[0])
        begin();
    head = head < n ? head : n - 1;
    put(head_path, bytes + 1, head);
    put(log_path, bytes + 1 + head, n - 1 - head);
    rc = fm_export_log_check(dir, count, &wrong, &lines, &err);
    must(rc == 0);
    if (bytes[0] % 2 && fm_export_log_add(dir, "chips", false, "/out", &err) == 0) {
        must(fm_export_log_check(dir, count, &wrong, &after, &err) == 0);
        must(after > 0);
    }
    return 0;
}
