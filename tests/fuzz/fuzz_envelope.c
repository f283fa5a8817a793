/* Key tables and sealed records.  The first byte says whether the input is a table, an envelope, or a record that is
 * sealed, opened, and opened again after one of its bytes has changed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "storage/envelope.h"
#include "storage/vault_file.h"
#include "tests/fuzz/fuzz.h"

#define ENTRIES_MAX 1000        /* then the table is begun anew, so that it does not fill the disk */

static char dir[] = "/tmp/facemill-fuzz-XXXXXX";
static const uint8_t master[FM_VAULT_KEY_BYTES];
static const uint8_t at[FM_SEGMENT_KEY_BYTES] = {FM_RECORD_PHOTO, 7};
static fm_vault *vault;
static fm_key_table *table;
static unsigned entries;

static void path_of(const char *name, char out[FM_PATH_MAX])
{
    char keys[FM_PATH_MAX];

    must(fm_path_join(keys, sizeof keys, dir, "keys.1", NULL) == 0 && fm_path_join(out, FM_PATH_MAX, keys, name, NULL) == 0);
}

static void clear(void)
{
    fm_key_table_close(table);
    fm_vault_close(vault);
    fm_dir_remove(dir, NULL);
}

static void new_table(void)
{
    char path[FM_PATH_MAX];

    path_of("written", path);
    fm_key_table_close(table);
    table = NULL;
    unlink(path);
    must(fm_key_table_create(vault, "written", &table, NULL) == 0);
    entries = 0;
}

static void begin(void)
{
    must(mkdtemp(dir) && atexit(clear) == 0);
    must(fm_vault_create(dir, master, "", NULL) == 0 && fm_vault_open(dir, &vault, NULL) == 0);
    new_table();
}

static void try_table(const uint8_t *bytes, size_t n)
{
    static const uint64_t slots[] = {0, 1, 2, 1000, INT64_MAX / 8, INT64_MAX, UINT64_MAX};
    uint8_t key[FM_VAULT_KEY_BYTES];
    char path[FM_PATH_MAX];
    fm_key_table *found = NULL;
    int fd;

    path_of("found", path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && close(fd) == 0);
    must(fm_key_table_open(vault, "found", &found, NULL) == 0);
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        fm_err err = FM_ERR_INIT;
        int rc = fm_key_table_get(found, slots[i], key, &err);

        must(rc < 0 && err.code == rc);     /* nobody guesses a key that opens */
    }
    fm_key_table_close(found);
}

static void try_envelope(const uint8_t *bytes, size_t n)
{
    fm_buf record = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    int rc = fm_envelope_open(table, at, bytes, n, &record, &err);

    must(rc < 0 && err.code == rc);
    fm_buf_fini(&record);
}

static void try_record(const uint8_t *bytes, size_t n)
{
    static const fm_key_owner owner = {.path = "/photos/a.jpg"};
    fm_buf record = FM_BUF_INIT, sealed = FM_BUF_INIT, opened = FM_BUF_INIT;
    size_t changed;

    fm_buf_put(&record, bytes, n);
    must(fm_envelope_seal(table, &owner, at, &record, &sealed, NULL) == 0);
    must(fm_envelope_open(table, at, sealed.data, sealed.size, &opened, NULL) == 0);
    must(opened.size == n && (n == 0 || memcmp(opened.data, bytes, n) == 0));
    changed = (n ? bytes[0] * 257u + bytes[n - 1] : 0) % sealed.size;
    sealed.data[changed] ^= 0x10;
    must(fm_envelope_open(table, at, sealed.data, sealed.size, &opened, NULL) < 0);
    fm_buf_fini(&record);
    fm_buf_fini(&sealed);
    fm_buf_fini(&opened);
    if (++entries == ENTRIES_MAX)
        new_table();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static void (*const kinds[])(const uint8_t *, size_t) = {try_table, try_envelope, try_record};

    if (n == 0)
        return 0;
    if (!vault)
        begin();
    kinds[bytes[0] % 3](bytes + 1, n - 1);
    return 0;
}
