/* A line is written and synced first, then the head.  Killed in between the log is a
 * line ahead of the head, which is let pass; behind it means that lines were taken out.
 * The next line continues from whichever is ahead, so that a gap is never closed. */
#define _GNU_SOURCE
#include "jobs/export_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "storage/vault.h"

#define LOG_MAX ((size_t)1 << 30)

typedef struct {
    uint64_t number;        /* 0: none yet */
    fm_digest hash;
} log_end;

typedef struct {
    char log[FM_PATH_MAX], head[FM_PATH_MAX];
    fm_buf text;            /* the log, closed by a NUL */
    log_end at_head;
    bool has_head, keyed;
    uint8_t key[FM_VAULT_KEY_BYTES];
} export_log;

static void close_log(export_log *l)
{
    fm_buf_fini(&l->text);
    sodium_memzero(l->key, sizeof l->key);
}

static int find_key(export_log *l, const char *out, fm_err *err)
{
    char store[FM_PATH_MAX];
    fm_vault *vault = NULL;
    int rc = fm_path_join(store, sizeof store, out, "store", err);

    if (rc == 0)
        rc = fm_vault_open(store, &vault, err);
    if (rc != 0)
        return rc;
    l->keyed = vault != NULL;
    if (vault)
        fm_vault_derive(vault, "export log", l->key);
    fm_vault_close(vault);
    return 0;
}

/* "number hash" */
static bool parse_head(const char *text, log_end *end)
{
    char *after;

    end->number = strtoull(text, &after, 10);
    return after != text && *after == ' ' &&
           sodium_hex2bin(end->hash.b, FM_DIGEST_BYTES, after + 1, strcspn(after + 1, "\n"), NULL, NULL, NULL) == 0;
}

/* As fm_file_read, but a file that is not there is no error to speak of: -ENOENT leaves err alone. */
static int read_if_there(const char *path, size_t max_bytes, fm_buf *out, fm_err *err)
{
    fm_err why = FM_ERR_INIT;
    int rc = fm_file_read(path, max_bytes, out, &why);

    if (rc != 0 && rc != -ENOENT && err)
        *err = why;
    return rc;
}

static int read_head(export_log *l, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = read_if_there(l->head, 4096, &b, err);

    l->has_head = rc == 0;
    fm_buf_u8(&b, '\0');
    if (rc == 0 && (b.failed || !parse_head((const char *)b.data, &l->at_head)))
        rc = fm_fail(err, -EBADMSG, "%s: damaged", l->head);
    fm_buf_fini(&b);
    return rc == -ENOENT ? 0 : rc;
}

static int open_log(export_log *l, const char *out, fm_err *err)
{
    int rc = fm_path_join(l->log, sizeof l->log, out, "export.log", err);

    if (rc == 0)
        rc = fm_path_join(l->head, sizeof l->head, out, "run/export.head", err);
    if (rc == 0)
        rc = find_key(l, out, err);
    if (rc == 0)
        rc = read_head(l, err);
    if (rc == 0 && (rc = read_if_there(l->log, LOG_MAX, &l->text, err)) == -ENOENT)
        rc = 0;
    for (size_t i = 0; i < l->text.size; i++)   /* it must not end the text: no line of ours holds a control character */
        if (l->text.data[i] == '\0')
            l->text.data[i] = '\1';
    fm_buf_u8(&l->text, '\0');
    return rc == 0 && l->text.failed ? fm_fail_nomem(err, l->log, l->text.size) : rc;
}

static fm_digest hash_of(const export_log *l, const fm_digest *before, const char *line, size_t n)
{
    crypto_generichash_state s;
    fm_digest d;

    crypto_generichash_init(&s, l->keyed ? l->key : NULL, l->keyed ? sizeof l->key : 0, FM_DIGEST_BYTES);
    crypto_generichash_update(&s, before->b, FM_DIGEST_BYTES);
    crypto_generichash_update(&s, (const uint8_t *)line, n);
    crypto_generichash_final(&s, d.b, FM_DIGEST_BYTES);
    return d;
}

/* A line "NUMBER TAB ... TAB HASH" without its newline: what it says of itself, and where the hash's tab is. */
static bool parse_line(const char *line, size_t n, log_end *end, size_t *text_size)
{
    const char *tab = memrchr(line, '\t', n);
    char *after;

    end->number = strtoull(line, &after, 10);
    if (!tab || after == line || *after != '\t' ||
        sodium_hex2bin(end->hash.b, FM_DIGEST_BYTES, tab + 1, n - (size_t)(tab + 1 - line), NULL, NULL, NULL) != 0)
        return false;
    *text_size = (size_t)(tab - line);
    return true;
}

/* The end of the log as its last whole line says. */
static log_end end_of(const export_log *l)
{
    log_end end = {.number = 0}, at;

    for (const char *line = (const char *)l->text.data, *next; (next = strchr(line, '\n')); line = next + 1) {
        size_t n;

        if (parse_line(line, (size_t)(next - line), &at, &n))
            end = at;
    }
    return end;
}

static void put_line(const export_log *l, const log_end *before, const char *what, bool real_names, const char *to,
                     fm_buf *b)
{
    const struct passwd *who = getpwuid(getuid());
    char host[256] = "", at[32], hex[FM_DIGEST_HEX];
    time_t now = time(NULL);
    struct tm utc;
    fm_digest hash;

    gethostname(host, sizeof host - 1);
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fm_buf_printf(b, "%llu\t%s\t", (unsigned long long)before->number + 1, at);
    if (who)
        fm_tsv_field(b, who->pw_name);
    else
        fm_buf_printf(b, "%ld", (long)getuid());
    fm_buf_u8(b, '\t');
    fm_tsv_field(b, host);
    fm_buf_printf(b, "\t%s\t%s\t", what, real_names ? "real" : "pseudonyms");
    fm_tsv_field(b, to);
    if (b->failed)
        return;
    hash = hash_of(l, &before->hash, (const char *)b->data, b->size);
    fm_digest_hex(&hash, hex);
    fm_buf_printf(b, "\t%s\n", hex);
}

static int append(const export_log *l, const fm_buf *line, fm_err *err)
{
    int fd = open(l->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), rc = 0;

    if (fd < 0 || write(fd, line->data, line->size) != (ssize_t)line->size || fsync(fd) != 0)
        rc = fm_fail(err, errno ? -errno : -ENOSPC, "%s: cannot be written, so nothing is exported: %s", l->log,
                     strerror(errno ? errno : ENOSPC));
    if (fd >= 0)
        close(fd);
    return rc;
}

static int write_head(const export_log *l, const fm_buf *line, fm_err *err)
{
    char text[32 + FM_DIGEST_HEX], hex[FM_DIGEST_HEX];
    log_end end;
    size_t n;

    if (!parse_line((const char *)line->data, line->size - 1, &end, &n))
        return fm_fail(err, -EINVAL, "export log: a line that cannot be read back");
    fm_digest_hex(&end.hash, hex);
    n = (size_t)snprintf(text, sizeof text, "%llu %s\n", (unsigned long long)end.number, hex);
    return fm_file_write(l->head, text, n, err);
}

/* One export at a time: the lock goes with its descriptor. */
static int lock(const char *out, int *fd, fm_err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char dir[FM_PATH_MAX], path[FM_PATH_MAX];
    int rc = fm_path_join(dir, sizeof dir, out, "run", err);

    if (rc != 0 || (rc = fm_dir_make(dir, err)) != 0 || (rc = fm_path_join(path, sizeof path, dir, "export.lock", err)) != 0)
        return rc;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    return fcntl(*fd, F_OFD_SETLKW, &whole) == 0 ? 0 : fm_fail(err, -errno, "%s: cannot lock: %s", path, strerror(errno));
}

int fm_export_log_add(const char *out, const char *what, bool real_names, const char *to, fm_err *err)
{
    export_log l = {.keyed = false};
    fm_buf line = FM_BUF_INIT;
    int fd = -1, rc = lock(out, &fd, err);
    log_end end;

    if (rc == 0)
        rc = open_log(&l, out, err);
    if (rc == 0) {
        end = end_of(&l);
        put_line(&l, end.number >= l.at_head.number ? &end : &l.at_head, what, real_names, to, &line);
        if (line.failed)
            rc = fm_fail_nomem(err, "export log", line.size);
    }
    if (rc == 0)
        rc = append(&l, &line, err);
    if (rc == 0)
        rc = write_head(&l, &line, err);
    fm_buf_fini(&line);
    close_log(&l);
    if (fd >= 0)
        close(fd);
    return rc;
}

static void tell(void (*fn)(void *ctx, const char *what), void *ctx, const char *fmt, ...) FM_PRINTF(3, 4);

static void tell(void (*fn)(void *ctx, const char *what), void *ctx, const char *fmt, ...)
{
    char what[FM_PATH_MAX + 256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    fn(ctx, what);
}

/* Every line against the one before it; *end is the last one's. */
static uint64_t check_lines(const export_log *l, void (*fn)(void *ctx, const char *what), void *ctx, log_end *end)
{
    log_end before = {.number = 0};
    uint64_t n = 0;

    for (const char *line = (const char *)l->text.data, *next; *line; line = next) {
        const char *stop = strchrnul(line, '\n');
        size_t size = 0;
        fm_digest hash;

        n++;
        next = *stop ? stop + 1 : stop;
        if (!*stop || !parse_line(line, (size_t)(stop - line), end, &size)) {
            tell(fn, ctx, "export.log:%llu: cut short or not a line of facemill's", (unsigned long long)n);
            *end = before;
            continue;
        }
        hash = hash_of(l, &before.hash, line, size);
        if (end->number != before.number + 1)
            tell(fn, ctx, "export.log:%llu: entry %llu follows entry %llu: lines were removed, added or moved",
                 (unsigned long long)n, (unsigned long long)end->number, (unsigned long long)before.number);
        else if (!fm_digest_equal(&hash, &end->hash))
            tell(fn, ctx, "export.log:%llu: entry %llu was changed, or the one before it", (unsigned long long)n,
                 (unsigned long long)end->number);
        before = *end;
    }
    *end = before;
    return n;
}

int fm_export_log_check(const char *out, void (*fn)(void *ctx, const char *what), void *ctx, uint64_t *lines, fm_err *err)
{
    export_log l = {.keyed = false};
    log_end end = {.number = 0};
    int rc = open_log(&l, out, err);

    if (rc == -EBADMSG) {
        fn(ctx, err->text);
        *err = (fm_err)FM_ERR_INIT;
        rc = 0;
    } else if (rc == 0) {
        *lines = check_lines(&l, fn, ctx, &end);
        if (end.number < l.at_head.number)
            tell(fn, ctx, "export.log: ends with entry %llu where %llu was written: lines were removed at its end",
                 (unsigned long long)end.number, (unsigned long long)l.at_head.number);
        else if (end.number > l.at_head.number + 1 || (end.number > 1 && !l.has_head))
            tell(fn, ctx, "run/export.head speaks of entry %llu where export.log has %llu: it was put back or removed",
                 (unsigned long long)l.at_head.number, (unsigned long long)end.number);
        else if (end.number == l.at_head.number && !fm_digest_equal(&end.hash, &l.at_head.hash))
            tell(fn, ctx, "export.log: its last entry is not the one that was written");
    }
    close_log(&l);
    return rc;
}
