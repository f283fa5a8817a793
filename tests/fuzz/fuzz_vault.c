/* Vaults: the first byte says whether a file is taken as it is, has its digest mended, or is a body sealed under the
 * store's key, so that every layer is reached. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "storage/vault_file.h"
#include "tests/fuzz/fuzz.h"

#define HEAD_BYTES (4 + 2 + FM_VAULT_ID_BYTES + 4 + FM_VAULT_KEY_BYTES + FM_VAULT_SEAL_BYTES)   /* without a hint */

static char dir[] = "/tmp/facemill-fuzz-XXXXXX";
static uint8_t master[FM_VAULT_KEY_BYTES], key[FM_VAULT_KEY_BYTES];
static fm_buf made = FM_BUF_INIT;       /* the vault that the keys are of */
static int fd = -1;

static void clear(void)
{
    fm_dir_remove(dir, NULL);
    fm_buf_fini(&made);
}

static void begin(void)
{
    char path[FM_PATH_MAX];

    must(mkdtemp(dir) && atexit(clear) == 0);
    must(fm_vault_create(dir, master, "", NULL) == 0 && fm_vault_store_key(dir, key));
    must(fm_path_join(path, sizeof path, dir, "vault", NULL) == 0);
    must(fm_file_read(path, 1 << 20, &made, NULL) == 0);
    fd = open(path, O_WRONLY);
    must(fd >= 0);
}

/* A vault whose body says these bytes. */
static void seal(const uint8_t *bytes, size_t n, fm_buf *file)
{
    uint8_t *to;

    fm_buf_put(file, made.data, HEAD_BYTES);
    fm_buf_u32(file, (uint32_t)(n + FM_VAULT_SEAL_BYTES));
    to = fm_buf_add(file, n + FM_VAULT_SEAL_BYTES);
    must(to);
    fm_seal_bytes(key, file->data, HEAD_BYTES + 4, bytes, n, to);
}

static void open_it(void)
{
    static const fm_digest image = {{1}};
    fm_vault *vault = NULL;
    fm_err err = FM_ERR_INIT;
    char hint[64];
    int rc = fm_vault_open(dir, &vault, &err);

    must(rc == 0 ? vault != NULL : !vault && err.code == rc && err.text[0]);
    must(rc != 0 || fm_vault_hint(dir, hint, sizeof hint, NULL) == 0);
    fm_vault_forgotten(vault, &image, "/photos/a.jpg");
    fm_vault_close(vault);
    rc = fm_vault_unlock(dir, master, &err);
    must(rc == 0 || err.code == rc);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fm_buf file = FM_BUF_INIT;
    fm_digest check;
    int kind = n ? bytes[0] % 3 : 0;

    if (n == 0)
        return 0;
    if (fd < 0)
        begin();
    if (kind == 2)
        seal(bytes + 1, n - 1, &file);
    else
        fm_buf_put(&file, bytes + 1, n - 1);
    if (kind > 0) {
        fm_digest_of(file.data, file.size, &check);
        fm_buf_put(&file, check.b, sizeof check.b);
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, file.data, file.size, 0) == (ssize_t)file.size);
    open_it();
    fm_buf_fini(&file);
    return 0;
}
