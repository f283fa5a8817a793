/* STORE/study.keys: magic, version, count, entries, and a digest of all that; in an
 * encrypted store the whole is sealed, since it names photographs and their files.
 * Read whole, since digest, verify and export need every entry. */
#include "storage/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "storage/vault.h"

#define MAGIC 0x4b4d4604u       /* "\4FMK" */
#define ABOUT "study.keys"      /* what a sealed one is authenticated with */
#define VERSION 1
#define FILE_MAX ((size_t)4 << 30)
#define ENTRY_BYTES_MIN (4 + 4 + 1 + 3 * FM_DIGEST_BYTES)

static int keys_path(char out[FM_PATH_MAX], const char *store_dir, fm_err *err)
{
    return fm_path_join(out, FM_PATH_MAX, store_dir, "study.keys", err);
}

static int write_bytes(const char *store_dir, const char *path, const fm_buf *b, fm_err *err)
{
    fm_buf sealed = FM_BUF_INIT;
    fm_vault *vault;
    int rc = fm_vault_open(store_dir, &vault, err);

    if (rc != 0)
        return rc;
    if (vault)
        fm_vault_seal(vault, ABOUT, strlen(ABOUT), b->data, b->size, &sealed);
    if (sealed.failed)
        rc = fm_fail_nomem(err, path, b->size);
    else
        rc = vault ? fm_file_write(path, sealed.data, sealed.size, err) : fm_file_write(path, b->data, b->size, err);
    fm_vault_close(vault);
    fm_buf_fini(&sealed);
    return rc;
}

int fm_keys_write(const char *store_dir, const fm_study_keys *keys, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    char path[FM_PATH_MAX];
    fm_digest check;
    int rc = keys_path(path, store_dir, err);

    if (rc != 0)
        return rc;
    fm_buf_u32(&b, MAGIC);
    fm_buf_u16(&b, VERSION);
    fm_buf_u64(&b, keys->n);
    for (size_t i = 0; i < keys->n; i++) {
        const fm_study_key *k = &keys->v[i];

        fm_buf_str(&b, k->name);
        fm_buf_str(&b, k->path);
        fm_buf_u8(&b, (uint8_t)k->reason);
        fm_buf_put(&b, k->image.b, FM_DIGEST_BYTES);
        fm_buf_put(&b, k->photo.b, FM_DIGEST_BYTES);
        fm_buf_put(&b, k->code.b, FM_DIGEST_BYTES);
    }
    if (!b.failed) {
        fm_digest_of(b.data, b.size, &check);
        fm_buf_put(&b, check.b, FM_DIGEST_BYTES);
    }
    if (b.failed)
        rc = fm_fail_nomem(err, path, b.size);
    else if (b.size > FILE_MAX)
        rc = fm_fail(err, -EFBIG, "%s: %zu photographs are more than one study can have", path, keys->n);
    else
        rc = write_bytes(store_dir, path, &b, err);
    fm_buf_fini(&b);
    return rc;
}

/* A string of any length that the input holds, copied.  NULL when the input or memory does not suffice. */
static char *take_string(fm_reader *r)
{
    uint32_t n = fm_reader_u32(r);
    const uint8_t *bytes = fm_reader_get(r, n);
    char *s;

    if (r->failed || (n && memchr(bytes, 0, n))) {
        r->failed = true;
        return NULL;
    }
    s = malloc((size_t)n + 1);
    if (s) {
        memcpy(s, bytes, n);
        s[n] = '\0';
    }
    return s;
}

static void take_digest(fm_reader *r, fm_digest *out)
{
    const uint8_t *bytes = fm_reader_get(r, FM_DIGEST_BYTES);

    if (bytes)
        memcpy(out->b, bytes, FM_DIGEST_BYTES);
}

static int take_key(fm_reader *r, fm_study_key *out)
{
    out->name = take_string(r);
    out->path = take_string(r);
    out->reason = (fm_reason)fm_reader_u8(r);
    take_digest(r, &out->image);
    take_digest(r, &out->photo);
    take_digest(r, &out->code);
    if (r->failed || out->reason >= FM_REASON_COUNT)
        return -EBADMSG;
    return out->name && out->path ? 0 : -ENOMEM;
}

/* r  everything before the closing digest. */
static int parse(fm_reader *r, const char *path, fm_study_keys *out, fm_err *err)
{
    uint32_t magic = fm_reader_u32(r);
    uint16_t version = fm_reader_u16(r);
    uint64_t n = fm_reader_u64(r);
    int rc = 0;

    if (r->failed || magic != MAGIC)
        return fm_fail(err, -EBADMSG, "%s: not a study's keys", path);
    if (version != VERSION)
        return fm_fail(err, -EBADMSG, "%s: format version %u where %u is expected; run the study again", path, version,
                       VERSION);
    if (n > fm_reader_left(r) / ENTRY_BYTES_MIN)
        return fm_fail(err, -EBADMSG, "%s: says that it has more photographs than it can hold", path);
    out->v = calloc(n ? n : 1, sizeof *out->v);
    if (!out->v)
        return fm_fail_nomem(err, path, n * sizeof *out->v);
    for (; rc == 0 && out->n < n; out->n++)
        rc = take_key(r, &out->v[out->n]);
    if (rc == 0 && fm_reader_left(r) != 0)
        rc = -EBADMSG;
    if (rc == -ENOMEM)
        return fm_fail_nomem(err, path, n * sizeof *out->v);
    return rc != 0 ? fm_fail(err, rc, "%s: photograph %zu is damaged; run the study again", path, out->n) : 0;
}

/* The digest closes the file, so that one cut short is told from a whole one. */
static int check_digest(const fm_buf *b, const char *path, fm_err *err)
{
    fm_digest check;

    if (b->size >= FM_DIGEST_BYTES) {
        fm_digest_of(b->data, b->size - FM_DIGEST_BYTES, &check);
        if (memcmp(check.b, b->data + b->size - FM_DIGEST_BYTES, FM_DIGEST_BYTES) == 0)
            return 0;
    }
    return fm_fail(err, -EBADMSG, "%s: damaged or cut short; run the study again", path);
}

/* The file's bytes, unsealed. */
static int read_bytes(const char *store_dir, const char *path, fm_buf *b, fm_err *err)
{
    fm_buf sealed = FM_BUF_INIT;
    fm_vault *vault;
    int rc = fm_vault_open(store_dir, &vault, err);

    if (rc != 0)
        return rc;
    rc = fm_file_read(path, FILE_MAX, vault ? &sealed : b, err);
    if (rc == 0 && vault) {
        rc = fm_vault_unseal(vault, ABOUT, strlen(ABOUT), sealed.data, sealed.size, b);
        if (rc != 0)
            fm_fail(err, rc, rc == -ENOMEM ? "%s: no memory" : "%s: damaged or cut short; run the study again", path);
    }
    fm_vault_close(vault);
    fm_buf_fini(&sealed);
    return rc;
}

int fm_keys_read(const char *store_dir, fm_study_keys *out, fm_err *err)
{
    fm_study_keys keys = {NULL, 0};
    fm_buf b = FM_BUF_INIT;
    char path[FM_PATH_MAX];
    fm_reader r;
    int rc = keys_path(path, store_dir, err);

    if (rc != 0)
        return rc;
    rc = read_bytes(store_dir, path, &b, err);
    if (rc == -ENOENT)
        rc = fm_fail(err, rc, "%s: not there; no build of this study has finished yet", path);
    if (rc == 0)
        rc = check_digest(&b, path, err);
    if (rc == 0) {
        r = fm_reader_init(b.data, b.size - FM_DIGEST_BYTES);
        rc = parse(&r, path, &keys, err);
    }
    fm_buf_fini(&b);
    if (rc != 0)
        fm_keys_fini(&keys);
    else
        *out = keys;
    return rc;
}

void fm_keys_fini(fm_study_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++) {
        free(keys->v[i].name);
        free(keys->v[i].path);
    }
    free(keys->v);
    *keys = (fm_study_keys){NULL, 0};
}
