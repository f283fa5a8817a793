/* The catalog's environment, for storage/catalog*.c only: opening, locking, transactions. */
#ifndef FM_STORAGE_CATALOG_ENV_H
#define FM_STORAGE_CATALOG_ENV_H

#include "base/file.h"
#include "storage/catalog.h"
#include "storage/lmdb.h"
#include "storage/vault.h"

/* First byte of a key. */
enum {
    FM_CATALOG_VERSION = 'V',   /* alone: format version, u32 */
    FM_CATALOG_EPOCH = 'E',     /* alone: u64 */
    FM_CATALOG_NEXT = '#',      /* alone: number of the next segment, u32 */
    FM_CATALOG_SEGMENT = 'S',   /* number, big-endian: state u8, records u64, name */
    FM_CATALOG_NAME = 'N',      /* segment's name: number u32 */
    FM_CATALOG_FILE = 'F',      /* start of the path's digest: size u64, mtime u64, reason u8, image, photo key.
                                   Encrypted: digests of paths and keys of records hidden (fm_vault_blind), the
                                   value sealed */
    FM_CATALOG_PHOTO = 'P',     /* start of a record's key: number of its segment, u32 */
    FM_CATALOG_CODE = 'C'
};

struct fm_catalog {
    char store[FM_PATH_MAX], dir[FM_PATH_MAX];
    fm_vault *vault;        /* owned; NULL: the store is plain */
    MDB_env *env;
    MDB_dbi all;
    MDB_txn *read;          /* kept from one read to the next, reset between them; NULL before the first */
    int lock;               /* the coordinator's lock file; -1 without */
    uint64_t epoch;         /* ours; 0 while not taken */
    bool held;              /* that read goes on from call to call (fm_catalog_hold) */
    uint32_t there;         /* meanwhile: a segment that is in the catalog, so that it is not looked up for each record; 0: none */
    bool broken;            /* a commit failed in a way that leaves the disk unknown */
};

/* A snapshot to read; end it before the next call. */
int fm_catalog_read(fm_catalog *c, MDB_txn **txn, fm_err *err);
void fm_catalog_read_end(fm_catalog *c);

/* Run fn in one durable write transaction, under our epoch.  When the map is full the transaction is done again
 * with a bigger one, so fn must write through txn only.
 * fn  returns 0, a negative code (with err written; nothing is kept), or LMDB's MDB_MAP_FULL as it came. */
typedef int (*fm_catalog_write_fn)(fm_catalog *c, MDB_txn *txn, void *ctx, fm_err *err);
int fm_catalog_write(fm_catalog *c, fm_catalog_write_fn fn, void *ctx, fm_err *err);

/* Within a transaction.  get: -ENOENT without a word when there is none, -EBADMSG when it has another length
 * than size (0: any).  put: as fm_catalog_write_fn. */
int fm_catalog_get(fm_catalog *c, MDB_txn *txn, const void *key, size_t key_size, size_t size, MDB_val *out,
                   fm_err *err);
int fm_catalog_put(fm_catalog *c, MDB_txn *txn, const void *key, size_t key_size, const void *value, size_t size,
                   fm_err *err);
void fm_catalog_le(uint8_t *to, uint64_t v, size_t bytes);     /* little-endian, as values hold numbers */
int fm_catalog_get_number(fm_catalog *c, MDB_txn *txn, uint8_t key, size_t bytes, uint64_t *out, fm_err *err);
int fm_catalog_put_number(fm_catalog *c, MDB_txn *txn, uint8_t key, size_t bytes, uint64_t v, fm_err *err);

#endif
