/* Tar (first byte even) and zip lists and members. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/file.h"
#include "tests/fuzz/fuzz.h"

static char path[64];

static int visit(void *ctx, const char *name, size_t n, fm_err *err)
{
    char member[FM_PATH_MAX + 64], *names = ctx;
    fm_buf out = FM_BUF_INIT;
    struct stat st;

    (void)err;
    must(n > 0 && n < FM_PATH_MAX);
    snprintf(member, sizeof member, "%s/%.*s", names, (int)n, name);
    must(fm_archive_stat(member, &st, NULL) == 0);
    fm_archive_read(member, 1 << 16, &out, NULL);
    must(out.size <= 1 << 16);
    fm_buf_fini(&out);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    FILE *f;

    if (n == 0)
        return 0;
    snprintf(path, sizeof path, "fuzzed-%ld.%s", (long)getpid(), bytes[0] & 1 ? "zip" : "tar");
    f = fopen(path, "wb");
    must(f && fwrite(bytes + 1, 1, n - 1, f) == n - 1 && fclose(f) == 0);
    fm_archive_list(path, visit, path, NULL);
    remove(path);
    return 0;
}
