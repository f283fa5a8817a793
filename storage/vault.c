/* STORE/vault: magic, version, the store's id, hint, the store key sealed under the
 * master key, the rest sealed under the store key, and a digest of all that, so that
 * a damaged vault is told from a wrong key.
 *
 * Written whole and renamed, so that there is the old vault or the new one.  Everything
 * is sealed with XChaCha20-Poly1305 under random nonces; what stands before is
 * authenticated with it.  Rejected: a passphrase (people's are guessed; a key file or a
 * secret manager is not), and keys handed through every call that opens a store.
 * Always: keys lie in sodium_malloc's memory or are wiped before they go out of scope. */
#define _GNU_SOURCE
#include "storage/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "storage/vault_file.h"

#define MAGIC 0x564d4604u       /* "\4FMV" */
#define VERSION 1
#define FILE_MAX ((size_t)1 << 30)
#define WRAPPED_BYTES (FM_VAULT_KEY_BYTES + FM_VAULT_SEAL_BYTES)
#define BODY_BYTES (2 * FM_VAULT_KEY_BYTES + 4 + 4)     /* without the forgotten */
#define KEYS_MAX 8              /* stores that one process has open */

/* The store keys of this process. */
typedef struct {
    size_t n;
    struct { uint8_t id[FM_VAULT_ID_BYTES], key[FM_VAULT_KEY_BYTES]; } held[KEYS_MAX];
} key_ring;

static key_ring *ring;

static int vault_path(const char *store_dir, char out[FM_PATH_MAX], fm_err *err)
{
    return fm_path_join(out, FM_PATH_MAX, store_dir, "vault", err);
}

bool fm_vault_exists(const char *store_dir)
{
    char path[FM_PATH_MAX];

    return vault_path(store_dir, path, NULL) == 0 && fm_path_exists(path);
}

int fm_vault_table_dir(const fm_vault *v, uint32_t generation, char out[FM_PATH_MAX], fm_err *err)
{
    char name[32];

    snprintf(name, sizeof name, "keys.%u", generation);
    return fm_path_join(out, FM_PATH_MAX, v->store, name, err);
}

/* What a vault file holds, in place. */
typedef struct {
    fm_buf bytes;
    uint8_t id[FM_VAULT_ID_BYTES];
    char hint[FM_PATH_MAX];
    const uint8_t *wrapped, *body;
    size_t body_size;
} vault_file;

static int parse(vault_file *f, const char *path, fm_err *err)
{
    fm_reader r;
    fm_digest check;
    const uint8_t *id;
    uint32_t magic;
    uint16_t version;

    if (f->bytes.size < FM_DIGEST_BYTES)
        return fm_fail(err, -EBADMSG, "%s: cut short; put its copy back", path);
    r = fm_reader_init(f->bytes.data, f->bytes.size - FM_DIGEST_BYTES);
    magic = fm_reader_u32(&r);
    version = fm_reader_u16(&r);
    fm_digest_of(f->bytes.data, f->bytes.size - FM_DIGEST_BYTES, &check);
    if (magic == MAGIC && version != VERSION)
        return fm_fail(err, -EPROTO, "%s: format version %u where %u is expected; use the facemill that made the store",
                       path, version, VERSION);
    id = fm_reader_get(&r, FM_VAULT_ID_BYTES);
    fm_reader_str(&r, f->hint, sizeof f->hint);
    f->wrapped = fm_reader_get(&r, WRAPPED_BYTES);
    f->body_size = fm_reader_u32(&r);
    f->body = fm_reader_get(&r, f->body_size);
    if (magic != MAGIC || r.failed || fm_reader_left(&r) != 0 || f->body_size < BODY_BYTES + FM_VAULT_SEAL_BYTES ||
        memcmp(check.b, f->bytes.data + f->bytes.size - FM_DIGEST_BYTES, FM_DIGEST_BYTES) != 0)
        return fm_fail(err, -EBADMSG, "%s: damaged; put its copy back: without it the store cannot be read", path);
    memcpy(f->id, id, sizeof f->id);
    return 0;
}

/* f  fini with fm_buf_fini(&f->bytes), also on failure. */
static int read_file(const char *store_dir, vault_file *f, fm_err *err)
{
    char path[FM_PATH_MAX];
    int rc = vault_path(store_dir, path, err);

    *f = (vault_file){.bytes = FM_BUF_INIT};
    if (rc == 0)
        rc = fm_file_read(path, FILE_MAX, &f->bytes, err);
    return rc == 0 ? parse(f, path, err) : rc;
}

static uint8_t *held_key(const uint8_t *id)
{
    for (size_t i = 0; ring && i < ring->n; i++)
        if (memcmp(ring->held[i].id, id, FM_VAULT_ID_BYTES) == 0)
            return ring->held[i].key;
    return NULL;
}

static int hold_key(const uint8_t *id, const uint8_t *key, fm_err *err)
{
    uint8_t *there = held_key(id);

    if (!ring) {
        ring = sodium_init() >= 0 ? sodium_malloc(sizeof *ring) : NULL;
        if (!ring)
            return fm_fail_nomem(err, "keys", sizeof *ring);
        memset(ring, 0, sizeof *ring);
    }
    if (!there && ring->n == KEYS_MAX)
        return fm_fail(err, -EMFILE, "more than %d encrypted stores in one process", KEYS_MAX);
    if (!there) {
        memcpy(ring->held[ring->n].id, id, FM_VAULT_ID_BYTES);
        there = ring->held[ring->n++].key;
    }
    memmove(there, key, FM_VAULT_KEY_BYTES);
    return 0;
}

_Static_assert(sizeof((key_ring *)0)->held == FM_VAULT_HELD_MAX, "what keys_give gives at most");

size_t fm_vault_keys_give(uint8_t out[FM_VAULT_HELD_MAX])
{
    size_t n = ring ? ring->n * sizeof ring->held[0] : 0;

    if (n)
        memcpy(out, ring->held, n);
    return n;
}

int fm_vault_keys_take(const uint8_t *bytes, size_t n, fm_err *err)
{
    size_t each = FM_VAULT_ID_BYTES + FM_VAULT_KEY_BYTES;
    int rc = 0;

    if (n % each != 0)
        return fm_fail(err, -EBADMSG, "store keys of %zu bytes: damaged", n);
    for (size_t at = 0; rc == 0 && at < n; at += each)
        rc = hold_key(bytes + at, bytes + at + FM_VAULT_ID_BYTES, err);
    return rc;
}

void fm_vault_forget_keys(void)
{
    sodium_free(ring);      /* wipes */
    ring = NULL;
}

/* The body that this store key opens. */
static int open_body(const vault_file *f, const uint8_t *key, const char *store_dir, fm_vault *v, fm_err *err)
{
    size_t size = f->body_size - FM_VAULT_SEAL_BYTES;
    uint8_t *plain = sodium_malloc(size);
    fm_reader r;
    int rc = 0;

    if (!plain)
        return fm_fail_nomem(err, "vault", size);
    if (!fm_unseal_bytes(key, f->bytes.data, (size_t)(f->body - f->bytes.data), f->body, f->body_size, plain)) {
        rc = fm_fail(err, -EKEYREJECTED, "%s: that is not the key of this store; see $FACEMILL_KEY_FILE, or what the study names", store_dir);
        goto done;
    }
    r = fm_reader_init(plain, size);
    memcpy(v->index, fm_reader_get(&r, FM_VAULT_KEY_BYTES), FM_VAULT_KEY_BYTES);
    memcpy(v->table, fm_reader_get(&r, FM_VAULT_KEY_BYTES), FM_VAULT_KEY_BYTES);
    v->generation = fm_reader_u32(&r);
    v->n_forgotten = fm_reader_u32(&r);
    if (fm_reader_left(&r) != v->n_forgotten * sizeof *v->forgotten) {
        rc = fm_fail(err, -EBADMSG, "%s: vault damaged; put its copy back", store_dir);
        goto done;
    }
    v->forgotten = malloc(fm_reader_left(&r) + 1);
    if (v->forgotten)
        memcpy(v->forgotten, r.at, fm_reader_left(&r));
    else
        rc = fm_fail_nomem(err, "vault", size);
done:
    sodium_free(plain);
    return rc;
}

static int make_vault(const char *store_dir, fm_vault **out, fm_err *err)
{
    fm_vault *v = sodium_init() >= 0 ? sodium_malloc(sizeof *v) : NULL;

    if (!v)
        return fm_fail_nomem(err, "vault", sizeof *v);
    memset(v, 0, sizeof *v);
    *out = v;
    return fm_path_join(v->store, sizeof v->store, "", store_dir, err);
}

void fm_vault_close(fm_vault *v)
{
    if (!v)
        return;
    free(v->forgotten);
    sodium_free(v);     /* wipes */
}

static int open_with(const vault_file *f, const char *store_dir, const uint8_t *key, fm_vault **out, fm_err *err)
{
    fm_vault *v = NULL;
    int rc = make_vault(store_dir, &v, err);

    if (rc == 0) {
        memcpy(v->id, f->id, sizeof v->id);
        rc = open_body(f, key, store_dir, v, err);
    }
    if (rc == 0)
        *out = v;
    else
        fm_vault_close(v);
    return rc;
}

int fm_vault_open(const char *store_dir, fm_vault **out, fm_err *err)
{
    vault_file f;
    uint8_t *key;
    int rc;

    *out = NULL;
    if (!fm_vault_exists(store_dir))
        return 0;
    rc = read_file(store_dir, &f, err);
    if (rc == 0) {
        key = held_key(f.id);
        rc = key ? open_with(&f, store_dir, key, out, err)
                 : fm_fail(err, -ENOKEY, "%s: encrypted, and no key was given; set $FACEMILL_KEY_FILE to the file that "
                           "holds it", store_dir);
    }
    fm_buf_fini(&f.bytes);
    return rc;
}

int fm_vault_admit(const char *store_dir, const uint8_t key[FM_VAULT_KEY_BYTES], fm_err *err)
{
    fm_vault *v = NULL;
    vault_file f;
    int rc = read_file(store_dir, &f, err);

    if (rc == 0)
        rc = open_with(&f, store_dir, key, &v, err);
    if (rc == 0)
        rc = hold_key(f.id, key, err);
    fm_vault_close(v);
    fm_buf_fini(&f.bytes);
    return rc;
}

int fm_vault_unlock(const char *store_dir, const uint8_t *master, fm_err *err)
{
    uint8_t *key = sodium_init() >= 0 ? sodium_malloc(FM_VAULT_KEY_BYTES) : NULL;
    vault_file f;
    int rc = read_file(store_dir, &f, err);

    if (rc == 0 && !key)
        rc = fm_fail_nomem(err, "key", FM_VAULT_KEY_BYTES);
    if (rc == 0 && !fm_unseal_bytes(master, f.bytes.data, (size_t)(f.wrapped - f.bytes.data), f.wrapped, WRAPPED_BYTES, key))
        rc = fm_fail(err, -EKEYREJECTED, "%s: that is not the key of this store; see $FACEMILL_KEY_FILE, or what the study names", store_dir);
    if (rc == 0)
        rc = fm_vault_admit(store_dir, key, err);
    fm_buf_fini(&f.bytes);
    sodium_free(key);
    return rc;
}

int fm_vault_hint(const char *store_dir, char *out, size_t out_size, fm_err *err)
{
    vault_file f;
    int rc = read_file(store_dir, &f, err);

    if (rc == 0)
        snprintf(out, out_size, "%s", f.hint);
    fm_buf_fini(&f.bytes);
    return rc;
}

bool fm_vault_store_key(const char *store_dir, uint8_t key[FM_VAULT_KEY_BYTES])
{
    const uint8_t *held = NULL;
    vault_file f;

    memset(key, 0, FM_VAULT_KEY_BYTES);
    if (!ring || !fm_vault_exists(store_dir))
        return false;
    if (read_file(store_dir, &f, NULL) == 0 && (held = held_key(f.id)))
        memcpy(key, held, FM_VAULT_KEY_BYTES);
    fm_buf_fini(&f.bytes);
    return held != NULL;
}

bool fm_vault_is_open(const char *store_dir)
{
    uint8_t key[FM_VAULT_KEY_BYTES];
    bool held = fm_vault_store_key(store_dir, key);

    sodium_memzero(key, sizeof key);
    return held || !fm_vault_exists(store_dir);
}

/* Writing. */

static void put_body(const fm_vault *v, const uint8_t *key, fm_buf *out)
{
    size_t size = BODY_BYTES + v->n_forgotten * sizeof *v->forgotten, about = out->size + 4;
    uint8_t *plain = sodium_malloc(size), *to = plain;

    if (!plain) {
        out->failed = true;
        return;
    }
    memcpy(to, v->index, FM_VAULT_KEY_BYTES);
    memcpy(to += FM_VAULT_KEY_BYTES, v->table, FM_VAULT_KEY_BYTES);
    to += FM_VAULT_KEY_BYTES;
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(v->generation >> (8 * i));
        to[4 + i] = (uint8_t)(v->n_forgotten >> (8 * i));
    }
    if (v->n_forgotten)
        memcpy(to + 8, v->forgotten, v->n_forgotten * sizeof *v->forgotten);
    fm_buf_u32(out, (uint32_t)(size + FM_VAULT_SEAL_BYTES));
    if (fm_buf_add(out, size + FM_VAULT_SEAL_BYTES))
        fm_seal_bytes(key, out->data, about, plain, size, out->data + about);
    sodium_free(plain);
}

/* The old file keeps a second name until it has been overwritten, so that a kill in between leaves it to be found
 * (fm_forget_leftovers). */
static int replace(const char *path, const fm_buf *bytes, fm_err *err)
{
    char old[FM_PATH_MAX];
    int rc = 0;

    if (snprintf(old, sizeof old, "%s%s", path, FM_VAULT_OLD) >= (int)sizeof old)
        return fm_fail(err, -ENAMETOOLONG, "%s: path too long", path);
    if (link(path, old) != 0 && errno != ENOENT && errno != EEXIST && errno != EPERM && errno != ENOTSUP)
        rc = fm_fail(err, -errno, "%s: cannot link: %s", old, strerror(errno));
    if (rc == 0 && fm_fault("vault.write"))
        rc = fm_fail(err, -EIO, "%s: cannot write", path);
    return rc == 0 ? fm_file_write(path, bytes->data, bytes->size, err) : rc;
}

int fm_vault_write(const fm_vault *v, const uint8_t *master, const char *hint, fm_err *err)
{
    uint8_t *key = sodium_malloc(FM_VAULT_KEY_BYTES), *held = held_key(v->id);
    vault_file old = {.bytes = FM_BUF_INIT};
    fm_buf b = FM_BUF_INIT;
    char path[FM_PATH_MAX];
    fm_digest check;
    int rc = vault_path(v->store, path, err);

    if (rc == 0 && !key)
        rc = fm_fail_nomem(err, "key", FM_VAULT_KEY_BYTES);
    if (rc == 0 && !master)
        rc = held ? read_file(v->store, &old, err) : fm_fail(err, -ENOKEY, "%s: locked", v->store);
    if (rc != 0)
        goto done;
    if (master)
        randombytes_buf(key, FM_VAULT_KEY_BYTES);
    else
        memcpy(key, held, FM_VAULT_KEY_BYTES);
    fm_buf_u32(&b, MAGIC);
    fm_buf_u16(&b, VERSION);
    fm_buf_put(&b, v->id, sizeof v->id);
    fm_buf_str(&b, master ? hint : old.hint);
    if (!master)
        fm_buf_put(&b, old.wrapped, WRAPPED_BYTES);
    else if (fm_buf_add(&b, WRAPPED_BYTES))
        fm_seal_bytes(master, b.data, b.size - WRAPPED_BYTES, key, FM_VAULT_KEY_BYTES, b.data + b.size - WRAPPED_BYTES);
    put_body(v, key, &b);
    if (!b.failed) {
        fm_digest_of(b.data, b.size, &check);
        fm_buf_put(&b, check.b, FM_DIGEST_BYTES);
    }
    rc = b.failed ? fm_fail_nomem(err, "vault", b.size) : replace(path, &b, err);
    if (rc == 0 && master)
        rc = hold_key(v->id, key, err);
done:
    sodium_free(key);
    fm_buf_fini(&old.bytes);
    fm_buf_fini(&b);
    return rc;
}

static int make_first(const char *store_dir, const uint8_t *master, const char *hint, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_vault *v = NULL;
    int rc = make_vault(store_dir, &v, err);

    if (rc == 0) {
        randombytes_buf(v->id, sizeof v->id);
        randombytes_buf(v->index, sizeof v->index);
        randombytes_buf(v->table, sizeof v->table);
        v->generation = 1;
        rc = fm_vault_table_dir(v, v->generation, dir, err);
    }
    if (rc == 0)
        rc = fm_dir_make(dir, err);
    if (rc == 0)
        rc = fm_vault_write(v, master, hint, err);
    fm_vault_close(v);
    return rc;
}

int fm_vault_create(const char *store_dir, const uint8_t *master, const char *hint, fm_err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[FM_PATH_MAX];
    int fd, rc = fm_dir_make(store_dir, err);

    if (rc != 0 || (rc = fm_path_join(path, sizeof path, store_dir, "vault.lock", err)) != 0)
        return rc;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fcntl(fd, F_OFD_SETLKW, &whole) != 0)
        rc = fm_fail(err, -errno, "%s: cannot lock: %s", path, strerror(errno));
    else
        rc = fm_vault_exists(store_dir) ? fm_vault_unlock(store_dir, master, err) : make_first(store_dir, master, hint, err);
    if (fd >= 0)
        close(fd);
    return rc;
}
