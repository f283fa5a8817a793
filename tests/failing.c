/* Makes one call of a program fail: for LD_PRELOAD, by tests/system/test_failing_calls.sh.
 *
 * FAIL_IN    which process: a verb of facemill's (build: the coordinator; crew: a worker)
 * FAIL_CALL  write, sync, rename, map, allocate, open or cut
 * FAIL_AT    the how many-th such call; later ones too with FAIL_MODE=always
 * FAIL_MARK  a file: made when the call fails, and without FAIL_MODE=always nothing fails while it is there, so that
 *            of all processes one fails once
 * FAIL_LIST  a file: gets a line "VERB CALL COUNT" a kind of call when the process ends
 *
 * Only calls that facemill and the libraries that do its work make themselves count.  MPI's and ZeroMQ's own do not:
 * they end the process on a failed allocation, and nothing here can change that. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, SYNC, RENAME, MAP, ALLOCATE, OPEN, CUT, CALLS };
enum { OBJECTS_MAX = 32 };

static const char *const names[CALLS] = {"write", "sync", "rename", "map", "allocate", "open", "cut"};
static const int codes[CALLS] = {ENOSPC, EIO, EIO, ENOMEM, ENOMEM, EMFILE, ENOSPC};
static const char *const watched[] = {"liblmdb", "libpng", "libjpeg", "libyaml", "libjansson"};

static struct { uintptr_t from, to; } objects[OBJECTS_MAX];
static int n_objects;
static atomic_long counts[CALLS];
static char verb[32];
static int failing = -1;        /* the call, in the process that is meant */
static long at;
static bool always;
static const char *mark, *list;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static int note_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
    bool ours = !info->dlpi_name[0];

    (void)size, (void)ctx;
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
        ours = ours || strstr(info->dlpi_name, watched[i]);
    for (int i = 0; ours && i < info->dlpi_phnum && n_objects < OBJECTS_MAX; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            objects[n_objects].from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            objects[n_objects].to = objects[n_objects].from + info->dlpi_phdr[i].p_memsz;
            n_objects++;
        }
    return 0;
}

/* The program's first word, when the program is facemill. */
static void read_verb(void)
{
    char line[512] = "";
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 2);

    if (fd >= 0)
        close(fd);
    if (n > 0 && strlen(line) >= 8 && strcmp(line + strlen(line) - 8, "facemill") == 0)
        snprintf(verb, sizeof verb, "%.31s", line + strlen(line) + 1);
}

__attribute__((constructor)) static void begin(void)
{
    const char *in = getenv("FAIL_IN"), *call = getenv("FAIL_CALL"), *n = getenv("FAIL_AT"), *mode = getenv("FAIL_MODE");

    read_verb();
    list = getenv("FAIL_LIST");
    mark = getenv("FAIL_MARK");
    if (!verb[0])
        return;
    dl_iterate_phdr(note_object, NULL);
    if (!in || !call || !n || strcmp(in, verb) != 0)
        return;
    always = mode && strcmp(mode, "always") == 0;
    at = atol(n);
    for (int i = 0; i < CALLS; i++)
        if (strcmp(call, names[i]) == 0)
            failing = i;
}

__attribute__((destructor)) static void end(void)
{
    if (!list || !verb[0])
        return;
    for (int i = 0; i < CALLS; i++) {
        char line[128];
        int n = snprintf(line, sizeof line, "%s %s %ld\n", verb, names[i], atomic_load(&counts[i]));
        int fd = (int)syscall(SYS_openat, AT_FDCWD, list, O_WRONLY | O_CREAT | O_APPEND, 0600);

        if (fd >= 0 && syscall(SYS_write, fd, line, n) == n)
            close(fd);
    }
}

static bool is_ours(const void *caller)
{
    for (int i = 0; i < n_objects; i++)
        if ((uintptr_t)caller >= objects[i].from && (uintptr_t)caller < objects[i].to)
            return true;
    return false;
}

static bool fails(int call, const void *caller)
{
    int fd;
    long n;

    if (n_objects == 0 || !is_ours(caller))
        return false;
    n = atomic_fetch_add(&counts[call], 1) + 1;
    if (call != failing || n < at || (n > at && !always))
        return false;
    fd = mark ? (int)syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT | (always ? 0 : O_EXCL), 0600) : -1;
    if (mark && fd < 0)
        return false;
    if (fd >= 0)
        syscall(SYS_close, fd);
    errno = codes[call];
    return true;
}

#define CALLER __builtin_return_address(0)
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void *malloc(size_t n)
{
    return fails(ALLOCATE, CALLER) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails(ALLOCATE, CALLER) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails(ALLOCATE, CALLER) ? NULL : __libc_realloc(p, n);
}

/* Descriptors up to 2 are what the program says, not what it keeps. */
ssize_t write(int fd, const void *b, size_t n)
{
    return fd > 2 && fails(WRITE, CALLER) ? -1 : syscall(SYS_write, fd, b, n);
}

ssize_t pwrite(int fd, const void *b, size_t n, off_t where)
{
    return fails(WRITE, CALLER) ? -1 : syscall(SYS_pwrite64, fd, b, n, where);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t where)
{
    return fails(WRITE, CALLER) ? -1 : REAL(pwritev)(fd, v, n, where);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    return fails(WRITE, CALLER) ? -1 : syscall(SYS_writev, fd, v, n);
}

int fsync(int fd)
{
    return fails(SYNC, CALLER) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails(SYNC, CALLER) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to)
{
    return fails(RENAME, CALLER) ? -1 : REAL(rename)(from, to);
}

void *mmap(void *where, size_t n, int protection, int flags, int fd, off_t offset)
{
    return fails(MAP, CALLER) ? MAP_FAILED : (void *)syscall(SYS_mmap, where, n, protection, flags, fd, offset);
}

int ftruncate(int fd, off_t n)
{
    return fails(CUT, CALLER) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

static mode_t mode_of(int flags, va_list ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = mode_of(flags, ap);
    va_end(ap);
    return fails(OPEN, CALLER) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = mode_of(flags, ap);
    va_end(ap);
    return fails(OPEN, CALLER) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
