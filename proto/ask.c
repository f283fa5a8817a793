/* An ask's name holds its host and process for a person who looks, and random
 * bits so that no two are the same.  An answer is waited for by looking again:
 * file servers tell nobody of new files. */
#include "proto/ask.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define MAGIC 0x414d4604u       /* "\4FMA" */
#define VERSION 1
#define NAP_MS 100

void fm_ask_encode(const fm_ask *ask, fm_buf *out)
{
    fm_buf_u32(out, MAGIC);
    fm_buf_u16(out, VERSION);
    fm_buf_u8(out, (uint8_t)ask->kind);
    fm_buf_str(out, ask->host);
}

int fm_ask_decode(const void *bytes, size_t n, fm_ask *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n);
    uint32_t magic = fm_reader_u32(&in);
    uint16_t version = fm_reader_u16(&in);
    uint8_t kind = fm_reader_u8(&in);
    fm_ask a = {.kind = (fm_ask_kind)kind};

    fm_reader_str(&in, a.host, sizeof a.host);
    if (in.failed || fm_reader_left(&in) != 0 || magic != MAGIC || version != VERSION || kind > FM_ASK_LISTEN)
        return fm_fail(err, -EBADMSG, "not an ask of this version of facemill");
    *out = a;
    return 0;
}

/* OUT/run/ask/NAMEending. */
static int path_of(const char *run_dir, const char *name, const char *ending, char out[FM_PATH_MAX], fm_err *err)
{
    char file[FM_ASK_NAME_MAX + 32];

    snprintf(file, sizeof file, FM_RUN_ASK "/%s%s", name, ending);
    return fm_path_join(out, FM_PATH_MAX, run_dir, file, err);
}

static int check_folder(const char *run_dir, fm_err *err)
{
    char path[FM_PATH_MAX];
    struct stat st;
    int rc = fm_path_join(path, sizeof path, run_dir, FM_RUN_ASK, err);

    if (rc != 0)
        return rc;
    if (lstat(path, &st) != 0)
        return fm_fail(err, -ENOENT, "%s: no build runs there (facemill status says how the last one ended)", run_dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return fm_fail(err, -EACCES, "%s: must be a folder that only its user can enter (chmod 700)", path);
    return 0;
}

int fm_ask_post(const char *run_dir, fm_ask_kind kind, char name[FM_ASK_NAME_MAX], fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    fm_ask ask = {.kind = kind};
    int rc = check_folder(run_dir, err);

    if (rc == 0 && sodium_init() < 0)
        rc = fm_fail(err, -ENOTSUP, "libsodium cannot start: no source of random numbers");
    if (rc != 0)
        return rc;
    gethostname(ask.host, sizeof ask.host - 1);
    snprintf(name, FM_ASK_NAME_MAX, "%.48s-%ld-%08x", ask.host, (long)getpid(), randombytes_random());
    rc = path_of(run_dir, name, ".ask", path, err);
    if (rc != 0)
        return rc;
    fm_ask_encode(&ask, &b);
    rc = b.failed ? fm_fail_nomem(err, "ask", b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

int fm_ask_await(const char *run_dir, const char *name, const volatile sig_atomic_t *stop, char join[FM_PATH_MAX],
                 fm_err *err)
{
    uint64_t end = fm_clock_ms() + FM_ASK_WAIT_MS;
    char ask[FM_PATH_MAX];
    int rc = path_of(run_dir, name, ".ask", ask, err);

    if (rc == 0)
        rc = path_of(run_dir, name, ".join", join, err);
    while (rc == 0 && !fm_path_exists(join)) {
        if (stop && *stop)
            rc = fm_fail(err, -EINTR, "stopped before the build had answered");
        else if (check_folder(run_dir, NULL) != 0)
            rc = fm_fail(err, -ENOENT, "%s: the build has ended", run_dir);
        else if (fm_clock_ms() >= end)
            rc = fm_fail(err, -ETIMEDOUT, "%s: nobody answers: the build there was killed; run the study again to go on",
                         run_dir);
        else
            nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000}, NULL);
    }
    if (rc != 0)
        unlink(ask);
    return rc;
}

int fm_ask_over(const char *run_dir, uint32_t crew, fm_err *err)
{
    char path[FM_PATH_MAX], name[16];
    int rc = check_folder(run_dir, err);

    snprintf(name, sizeof name, "%u", crew);
    if (rc == 0)
        rc = path_of(run_dir, name, ".over", path, err);
    return rc == 0 ? fm_file_write(path, "", 0, err) : rc;
}
