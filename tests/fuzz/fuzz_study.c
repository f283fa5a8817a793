/* Study files, through a temporary file: only whole files are read. */
#define _GNU_SOURCE
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/study.h"
#include "tests/fuzz/fuzz.h"

static char path[] = "/tmp/facemill-fuzz-XXXXXX";
static int fd = -1;

static void remove_file(void)
{
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static fm_study study;
    fm_err err = FM_ERR_INIT;
    int rc;

    if (fd < 0) {
        fd = mkstemp(path);
        must(fd >= 0 && atexit(remove_file) == 0);
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n);
    rc = fm_study_load(path, &study, &err);
    must(rc == 0 || (err.code == rc && err.text[0]));
    must(rc != 0 || (study.n_cohorts >= 1 && study.n_cohorts <= FM_COHORTS_MAX && study.n_selects <= FM_SELECTS_MAX &&
                     study.match.n_bands <= FM_BANDS_MAX));
    return 0;
}
