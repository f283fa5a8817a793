/* Archives by path: which part of a path is the archive, which archives are open, where a member lies.
 *
 * The list is read when the first path into an archive is asked for, sorted by name, and searched by halves.  Archives
 * that cannot be used are kept as well, with the reason, so that a million paths into one do not read it a million
 * times.  The lock covers the list of archives, never the reading of a member: who reads holds the archive by users.
 * Always: one stat a call, so that an archive that was replaced is seen. */
#include "base/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/archive_list.h"
#include "base/file.h"

#define KEPT 8                      /* archives that stay open */
#define MEMBERS_MAX (1u << 24)
#define NAMES_MAX (1ull << 31)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fm_archive *kept;            /* under lock, the last used first */

int fm_archive_bytes(const fm_archive *a, uint64_t at, void *out, size_t n, fm_err *err)
{
    uint8_t *to = out;

    if (at > (uint64_t)a->st.st_size || n > (uint64_t)a->st.st_size - at)
        return fm_fail(err, -EBADMSG, "%s: is cut: it ends before byte %llu; copy or make it again", a->path,
                       (unsigned long long)(at + n));
    while (n) {
        ssize_t got = pread(a->fd, to, n, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fm_fail(err, -errno, "%s: cannot read: %s", a->path, strerror(errno));
        if (got == 0)
            return fm_fail(err, -EBADMSG, "%s: became shorter while it was read; leave it alone and run again", a->path);
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

/* name without "", "." parts into out [n + 1]; its length, -1 when a part is "..". */
static long plain_name(const char *name, size_t n, char *out)
{
    size_t used = 0;

    for (size_t i = 0, part; i < n; i += part + 1) {
        const char *slash = memchr(name + i, '/', n - i);

        part = slash ? (size_t)(slash - name) - i : n - i;
        if (part == 2 && memcmp(name + i, "..", 2) == 0)
            return -1;
        if (part == 0 || (part == 1 && name[i] == '.'))
            continue;
        if (used)
            out[used++] = '/';
        memcpy(out + used, name + i, part);
        used += part;
    }
    out[used] = '\0';
    return (long)used;
}

static int add_plain(fm_archive *a, const fm_member *member, const char *name, size_t n, fm_err *err)
{
    if (a->n == a->room) {
        size_t room = a->room ? 2 * a->room : 256;
        fm_member *more = realloc(a->members, room * sizeof *more);

        if (!more)
            return fm_fail_nomem(err, a->path, room * sizeof *more);
        a->members = more;
        a->room = room;
    }
    a->members[a->n] = *member;
    a->members[a->n].name_at = a->names.size;
    a->members[a->n].place = (uint32_t)a->n;
    a->n++;
    fm_buf_put(&a->names, name, n + 1);
    return a->names.failed ? fm_fail_nomem(err, a->path, a->names.size + n) : 0;
}

int fm_archive_add(fm_archive *a, const fm_member *member, const char *name, size_t n, fm_err *err)
{
    char plain[FM_PATH_MAX];
    long used;

    if (n == 0 || name[n - 1] == '/')
        return 0;
    if (n >= FM_PATH_MAX || memchr(name, '\0', n))
        return fm_fail(err, -EBADMSG, "%s: member %.80s..: a name of %zu bytes, %s; make the archive again with other "
                       "names", a->path, name, n, n >= FM_PATH_MAX ? "too long" : "with a zero in it");
    used = plain_name(name, n, plain);
    if (used < 0)
        return fm_fail(err, -EBADMSG, "%s: member %.*s: a name with .. leads out of the archive; make it again from inside "
                       "its folder", a->path, (int)n, name);
    if (a->n == MEMBERS_MAX || a->names.size > NAMES_MAX)
        return fm_fail(err, -EBADMSG, "%s: more than %u members; split it", a->path, MEMBERS_MAX);
    return used ? add_plain(a, member, plain, (size_t)used, err) : 0;
}

static int by_name(const void *x, const void *y)
{
    const fm_member *a = x, *b = y;
    int order = strcmp(a->name, b->name);

    return order ? order : (a->place > b->place) - (a->place < b->place);
}

/* Sort, and keep the last of each name. */
static void sort_members(fm_archive *a)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++)
        a->members[i].name = (const char *)a->names.data + a->members[i].name_at;
    if (a->n)
        qsort(a->members, a->n, sizeof *a->members, by_name);
    for (size_t i = 0; i < a->n; i++)
        if (i + 1 == a->n || strcmp(a->members[i].name, a->members[i + 1].name) != 0)
            a->members[n++] = a->members[i];
    a->n = n;
}

static void destroy(fm_archive *a)
{
    if (a->fd >= 0)
        close(a->fd);
    fm_buf_fini(&a->names);
    free(a->members);
    free(a->path);
    free(a);
}

static bool ends_in(const char *path, size_t n, const char *ending)
{
    return n > 4 && strncasecmp(path + n - 4, ending, 4) == 0;
}

static bool is_archive(const char *path, size_t n, char out[FM_PATH_MAX])
{
    struct stat st;

    if (n >= FM_PATH_MAX || !(ends_in(path, n, ".tar") || ends_in(path, n, ".zip")))
        return false;
    memcpy(out, path, n);
    out[n] = '\0';
    return stat(out, &st) == 0 && S_ISREG(st.st_mode);
}

bool fm_archive_is(const char *path)
{
    char name[FM_PATH_MAX];

    return is_archive(path, strlen(path), name);
}

/* Read a's list; why it fails stays in a->wrong, save want of memory and of descriptors, which may pass. */
static int fill(fm_archive *a, fm_err *err)
{
    bool zip = ends_in(a->path, strlen(a->path), ".zip");
    int rc;

    a->fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (a->fd < 0 || fstat(a->fd, &a->st) != 0)
        return fm_fail(err, -errno, "%s: cannot open: %s", a->path, strerror(errno));
    rc = zip ? fm_zip_list(a, &a->wrong) : fm_tar_list(a, &a->wrong);
    if (rc == -ENOMEM)
        return fm_fail_nomem(err, a->path, a->n * sizeof *a->members);
    if (rc == 0)
        sort_members(a);
    return 0;
}

static bool is_same(const fm_archive *a, const char *path, const struct stat *st)
{
    return strcmp(a->path, path) == 0 && a->st.st_dev == st->st_dev && a->st.st_ino == st->st_ino &&
           a->st.st_size == st->st_size && a->st.st_mtim.tv_sec == st->st_mtim.tv_sec &&
           a->st.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

/* Under lock: close what is too much or was replaced, and nobody reads. */
static void trim(void)
{
    fm_archive **at = &kept;

    for (unsigned n = 0; *at; n++) {
        fm_archive *a = *at;

        if (n < KEPT || a->users) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        destroy(a);
    }
}

/* Under lock. */
static int take(const char *path, fm_archive **out, fm_err *err)
{
    fm_archive **at = &kept, *a;
    struct stat st;
    int rc;

    if (stat(path, &st) != 0)
        return fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    while (*at && !is_same(*at, path, &st))
        at = &(*at)->next;
    a = *at;
    if (a) {
        *at = a->next;
    } else {
        a = calloc(1, sizeof *a);
        if (!a || !(a->path = strdup(path))) {
            free(a);
            return fm_fail_nomem(err, path, sizeof *a);
        }
        a->names = (fm_buf)FM_BUF_INIT;
        if ((rc = fill(a, err)) != 0) {
            destroy(a);
            return rc;
        }
    }
    a->next = kept;
    kept = a;
    a->users++;
    *out = a;
    return 0;
}

static void give_back(fm_archive *a)
{
    pthread_mutex_lock(&lock);
    a->users--;
    trim();
    pthread_mutex_unlock(&lock);
}

/* The archive that path leads into, and the plain name inside it [FM_PATH_MAX].  Give it back. */
static int enter(const char *path, fm_archive **out, char *inside, fm_err *err)
{
    char name[FM_PATH_MAX];
    size_t n = strlen(path), at = 0;
    fm_archive *a = NULL;
    int rc;

    if (n >= FM_PATH_MAX)
        return fm_fail(err, -ENAMETOOLONG, "%.80s..: path too long", path);
    do {
        at += strcspn(path + at + (at < n), "/") + (at < n);
    } while (at < n && !is_archive(path, at, name));
    if (at >= n && !is_archive(path, n, name))
        return fm_fail(err, -ENOTDIR, "%s: cannot open: %s", path, strerror(ENOTDIR));
    if (plain_name(path + at, n - at, inside) < 0)
        return fm_fail(err, -EINVAL, "%s: .. after an archive's name leads nowhere; name the member itself", path);
    pthread_mutex_lock(&lock);
    rc = take(name, &a, err);
    pthread_mutex_unlock(&lock);
    if (rc == 0 && a->wrong.code != 0) {
        rc = fm_fail(err, a->wrong.code, "%s", a->wrong.text);
        give_back(a);
    }
    if (rc == 0)
        *out = a;
    return rc;
}

/* The first member whose name is not before name. */
static size_t search(const fm_archive *a, const char *name)
{
    size_t low = 0, high = a->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(a->members[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first member in the folder inside/, [a->n] when there is none.  *skip is the length of what precedes its name. */
static size_t search_folder(const fm_archive *a, const char *inside, size_t *skip)
{
    char folder[FM_PATH_MAX + 1];
    size_t n = strlen(inside), i;

    memcpy(folder, inside, n);
    folder[n] = '/';
    folder[n + 1] = '\0';
    *skip = n ? n + 1 : 0;
    i = n ? search(a, folder) : 0;
    return i < a->n && (n == 0 || strncmp(a->members[i].name, folder, n + 1) == 0) ? i : a->n;
}

static const fm_member *find(const fm_archive *a, const char *inside)
{
    size_t i = search(a, inside);

    return i < a->n && strcmp(a->members[i].name, inside) == 0 ? &a->members[i] : NULL;
}

static int missing(const fm_archive *a, const char *inside, fm_err *err)
{
    return fm_fail(err, -ENOENT, "%s: has no member %s; its names are what tar -tf or unzip -l print", a->path, inside);
}

static int read_member(const fm_archive *a, const fm_member *m, size_t max_bytes, fm_buf *out, fm_err *err)
{
    static const char *const refused[] = {
        [FM_LINK] = "a link; make the archive with its target in its place (tar -h --hard-dereference)",
        [FM_SPARSE] = "sparse; make the archive without --sparse",
        [FM_ENCRYPTED] = "encrypted; make the archive without a password",
        [FM_OTHER_METHOD] = "compressed in another way than deflate; make the archive with zip",
    };
    size_t start = out->size;
    uint8_t *to;
    int rc;

    if (m->kind > FM_DEFLATED)
        return fm_fail(err, -ENOTSUP, "%s: member %s is %s", a->path, m->name, refused[m->kind]);
    if (m->size > max_bytes)
        return fm_fail(err, -EFBIG, "%s: member %s has %llu bytes, more than the limit of %zu", a->path, m->name,
                       (unsigned long long)m->size, max_bytes);
    if (m->size == 0)
        return 0;
    if (!(to = fm_buf_add(out, (size_t)m->size)))
        return fm_fail_nomem(err, m->name, m->size);
    rc = ends_in(a->path, strlen(a->path), ".zip") ? fm_zip_read(a, m, to, err)
                                                   : fm_archive_bytes(a, m->at, to, (size_t)m->size, err);
    if (rc != 0)
        out->size = start;
    return rc;
}

/* What path names: the archive, to be given back, and the member in it, NULL for a folder. */
static int look(const char *path, fm_archive **a, const fm_member **m, fm_err *err)
{
    char inside[FM_PATH_MAX];
    size_t skip;
    int rc = enter(path, a, inside, err);

    if (rc != 0)
        return rc;
    *m = find(*a, inside);
    if (*m || search_folder(*a, inside, &skip) < (*a)->n)
        return 0;
    rc = missing(*a, inside, err);
    give_back(*a);
    return rc;
}

int fm_archive_read(const char *path, size_t max_bytes, fm_buf *out, fm_err *err)
{
    const fm_member *m;
    fm_archive *a;
    int rc = look(path, &a, &m, err);

    if (rc != 0)
        return rc;
    rc = m ? read_member(a, m, max_bytes, out, err) : fm_fail(err, -EISDIR, "%s: is a folder in an archive", path);
    give_back(a);
    return rc;
}

static uint64_t stamp(const fm_archive *a, const fm_member *m)
{
    bool zip = ends_in(a->path, strlen(a->path), ".zip");
    const uint64_t facts[] = {
        m->size, m->time, m->crc, (uint64_t)m->kind, zip ? 0 : m->at, zip ? 0 : (uint64_t)a->st.st_size,
        zip ? 0 : (uint64_t)a->st.st_mtim.tv_sec, zip ? 0 : (uint64_t)a->st.st_mtim.tv_nsec,
    };
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        for (int k = 0; k < 64; k += 8)
            h = (h ^ (facts[i] >> k & 0xff)) * 0x100000001b3u;      /* FNV-1a */
    return h >> 2;      /* fits a signed number of nanoseconds */
}

int fm_archive_stat(const char *path, struct stat *out, fm_err *err)
{
    const fm_member *m;
    fm_archive *a;
    int rc = look(path, &a, &m, err);

    if (rc != 0)
        return rc;
    memset(out, 0, sizeof *out);
    out->st_mode = m ? S_IFREG : S_IFDIR;
    if (m) {
        out->st_size = (off_t)m->size;
        out->st_mtim.tv_sec = (time_t)(stamp(a, m) / 1000000000);
        out->st_mtim.tv_nsec = (long)(stamp(a, m) % 1000000000);
    }
    give_back(a);
    return 0;
}

int fm_archive_list(const char *dir, int (*visit)(void *ctx, const char *name, size_t n, fm_err *err), void *ctx,
                    fm_err *err)
{
    char inside[FM_PATH_MAX];
    const char *last = NULL;
    size_t skip, i, last_n = 0;
    fm_archive *a;
    int rc = enter(dir, &a, inside, err);

    if (rc != 0)
        return rc;
    i = search_folder(a, inside, &skip);
    if (i == a->n && *inside)
        rc = missing(a, inside, err);
    for (; rc == 0 && i < a->n && strncmp(a->members[i].name, inside, skip ? skip - 1 : 0) == 0 &&
           (skip == 0 || a->members[i].name[skip - 1] == '/'); i++) {
        const char *name = a->members[i].name + skip;
        size_t n = strcspn(name, "/");

        if (last && last_n == n && memcmp(last, name, n) == 0)
            continue;
        rc = visit(ctx, last = name, last_n = n, err);
    }
    give_back(a);
    return rc;
}

bool fm_archive_place(const char *path, size_t *stem, uint64_t *at)
{
    const fm_member *m;
    fm_archive *a;

    if (look(path, &a, &m, NULL) != 0)
        return false;
    if (m) {
        *stem = strlen(a->path);
        *at = m->at;
    }
    give_back(a);
    return m != NULL;
}

void fm_archive_ahead(const char *path)
{
    const fm_member *m;
    fm_archive *a;

    if (look(path, &a, &m, NULL) != 0)
        return;
    if (m)
        posix_fadvise(a->fd, (off_t)m->at, (off_t)m->packed + 512, POSIX_FADV_WILLNEED);
    give_back(a);
}
