/* A command is run by the shell, as people write it down; what it prints beside the
 * key (to its standard error) goes where ours goes, and nothing that it printed is
 * ever repeated.  A store does not say which command gives its key: opening a store
 * that came from elsewhere must not run anything. */
#define _GNU_SOURCE
#include "jobs/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/vault.h"

#define TEXT_MAX 160        /* 64 digits and white space */
#define HEX_DIGITS (2 * FM_VAULT_KEY_BYTES)

/* The key in what a file or a command gave. */
static int parse(char *text, size_t n, uint8_t *key, const char *what, fm_err *err)
{
    size_t bytes;

    if (n == FM_VAULT_KEY_BYTES) {
        memcpy(key, text, n);
        return 0;
    }
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        n--;
    if (n == HEX_DIGITS && sodium_hex2bin(key, FM_VAULT_KEY_BYTES, text, n, NULL, &bytes, NULL) == 0 &&
        bytes == FM_VAULT_KEY_BYTES)
        return 0;
    return fm_fail(err, -EKEYREJECTED, "%s: not a key: 64 hexadecimal digits are expected (openssl rand -hex 32 makes them), or "
                   "32 bytes", what);
}

/* Everything up to the end, at most TEXT_MAX bytes and one more, which is too many. */
static ssize_t read_text(int fd, char *text)
{
    ssize_t n = 0, got;

    while (n <= TEXT_MAX && (got = read(fd, text + n, (size_t)(TEXT_MAX + 1 - n))) != 0) {
        if (got < 0 && errno != EINTR)
            return -1;
        n += got > 0 ? got : 0;
    }
    return n;
}

static int read_key_file(const char *path, char *text, uint8_t *key, fm_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
    struct stat st;
    ssize_t n;

    if (fd < 0)
        return fm_fail(err, -errno, "key file %s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = fm_fail(err, -EINVAL, "key file %s: not a regular file", path);
    else if ((st.st_mode & 077) != 0)
        rc = fm_fail(err, -EACCES, "key file %s: others may read it; chmod 600 it, and make a new key if they did", path);
    else if ((n = read_text(fd, text)) < 0)
        rc = fm_fail(err, -EIO, "key file %s: cannot read: %s", path, strerror(errno));
    else
        rc = parse(text, (size_t)n, key, path, err);
    close(fd);
    return rc;
}

static int read_command(const char *command, char *text, uint8_t *key, fm_err *err)
{
    FILE *f;
    ssize_t n;
    int status;

    fflush(NULL);
    f = popen(command, "re");
    if (!f)
        return fm_fail(err, -EIO, "key_command: cannot be started: %s", strerror(errno));
    n = read_text(fileno(f), text);
    status = pclose(f);
    if (status != 0)
        return fm_fail(err, -EIO, "key_command \"%s\" failed (status %d); nothing was opened or changed", command,
                       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (n < 0)
        return fm_fail(err, -EIO, "key_command: its output cannot be read");
    return parse(text, (size_t)n, key, "what key_command printed", err);
}

static int absolute(const char *path, char *out, fm_err *err)
{
    char *real = realpath(path, NULL);
    int rc = 0;

    if (!real)
        return fm_fail(err, -errno, "key file %s: cannot open: %s", path, strerror(errno));
    if (snprintf(out, FM_PATH_MAX, "%s", real) >= FM_PATH_MAX)
        rc = fm_fail(err, -ENAMETOOLONG, "key file %s: path too long", path);
    free(real);
    return rc;
}

int fm_key_read(const char *file, const char *command, uint8_t **key, char *from, fm_err *err)
{
    char *text;
    uint8_t *k;
    int rc;

    from[0] = '\0';
    if (sodium_init() < 0)
        return fm_fail(err, -ENOTSUP, "libsodium cannot start: no source of random numbers");
    text = sodium_malloc(TEXT_MAX + 1);
    k = sodium_malloc(FM_VAULT_KEY_BYTES);
    if (!text || !k)
        rc = fm_fail_nomem(err, "key", TEXT_MAX);
    else if (*file)
        rc = (rc = absolute(file, from, err)) != 0 ? rc : read_key_file(from, text, k, err);
    else if (*command)
        rc = read_command(command, text, k, err);
    else
        rc = fm_fail(err, -ENOKEY, "the store is encrypted and nothing says where its key is: set $FACEMILL_KEY_FILE to "
                     "the file that holds it, or name key_file or key_command in the study (store:)");
    sodium_free(text);
    if (rc == 0)
        *key = k;
    else
        sodium_free(k);
    return rc;
}

/* As fm_key_read, where the environment goes first. */
static int find_key(const char *file, const char *command, uint8_t **key, char *from, fm_err *err)
{
    const char *set_file = getenv("FACEMILL_KEY_FILE"), *set_command = getenv("FACEMILL_KEY_COMMAND");

    if (set_file && *set_file)
        return fm_key_read(set_file, "", key, from, err);
    if (set_command && *set_command)
        return fm_key_read("", set_command, key, from, err);
    return fm_key_read(file, command, key, from, err);
}

/* There is a store already, and it is not what the study says. */
static int check_agreement(const fm_study *study, const char *store_dir, bool encrypted, fm_err *err)
{
    char catalog[FM_PATH_MAX];
    int rc = fm_path_join(catalog, sizeof catalog, store_dir, "catalog", err);

    if (rc != 0)
        return rc;
    if (encrypted && !study->encrypt)
        return fm_fail(err, -EINVAL, "%s is encrypted and the study says encrypt: false; set it to true, or give the study "
                       "another out", store_dir);
    if (!encrypted && study->encrypt && fm_path_exists(catalog))
        return fm_fail(err, -EINVAL, "%s is there and not encrypted; give the study another out, or remove that folder: "
                       "everything in it is then made again, encrypted", store_dir);
    return 0;
}

int fm_key_for_study(const fm_study *study, const char *store_dir, fm_err *err)
{
    bool encrypted = fm_vault_exists(store_dir);
    char from[FM_PATH_MAX];
    uint8_t *key = NULL;
    int rc = check_agreement(study, store_dir, encrypted, err);

    if (rc != 0 || !study->encrypt)
        return rc;
    rc = find_key(study->key_file, study->key_command, &key, from, err);
    if (rc == 0)
        rc = encrypted ? fm_vault_unlock(store_dir, key, err) : fm_vault_create(store_dir, key, from, err);
    sodium_free(key);
    return rc;
}

int fm_key_for_store(const char *store_dir, fm_err *err)
{
    char hint[FM_PATH_MAX], from[FM_PATH_MAX];
    uint8_t *key = NULL;
    int rc;

    if (fm_vault_is_open(store_dir))
        return 0;
    rc = fm_vault_hint(store_dir, hint, sizeof hint, err);
    if (rc == 0)
        rc = find_key(hint, "", &key, from, err);
    if (rc == 0)
        rc = fm_vault_unlock(store_dir, key, err);
    sodium_free(key);
    return rc;
}

int fm_key_for_out(const char *out, fm_err *err)
{
    char dir[FM_PATH_MAX];
    int rc = fm_path_join(dir, sizeof dir, out, "store", err);

    return rc == 0 ? fm_key_for_store(dir, err) : rc;
}
