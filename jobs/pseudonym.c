#include "jobs/pseudonym.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "base/file.h"
#include "base/text.h"
#include "storage/vault.h"

#define COLUMNS_MAX 128     /* names stand in the first columns; later ones are kept */

int fm_pseudonyms_open(const char *out, fm_pseudonyms *to, fm_err *err)
{
    char path[FM_PATH_MAX], store[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    fm_vault *vault = NULL;
    int rc = fm_path_join(path, sizeof path, out, "run/export.key", err);

    if (rc == 0)
        rc = fm_path_join(store, sizeof store, out, "store", err);
    if (rc == 0)
        rc = fm_vault_open(store, &vault, err);
    if (rc != 0)
        return rc;
    if (vault) {
        fm_vault_derive(vault, "export names", to->key);
        fm_vault_close(vault);
        return 0;
    }
    if (!fm_path_exists(path)) {
        randombytes_buf(to->key, sizeof to->key);
        return fm_file_write(path, to->key, sizeof to->key, err);
    }
    rc = fm_file_read(path, sizeof to->key, &b, err);
    if (rc == 0 && b.size != sizeof to->key)
        rc = fm_fail(err, -EBADMSG, "%s: not a key of 32 bytes; delete it (names in later exports will differ from earlier ones)",
                     path);
    if (rc == 0)
        memcpy(to->key, b.data, sizeof to->key);
    fm_buf_fini(&b);
    return rc;
}

void fm_pseudonym(const fm_pseudonyms *p, const char *name, char to[FM_PSEUDONYM_SIZE])
{
    unsigned char hash[16];

    crypto_generichash(hash, sizeof hash, (const unsigned char *)name, strlen(name), p->key, sizeof p->key);
    to[0] = 'p';
    sodium_bin2hex(to + 1, FM_PSEUDONYM_SIZE - 1, hash, 8);
}

/* Undo fm_tsv_field, in place. */
static void unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        const char *known = "tnr\\", *k = *s == '\\' && s[1] ? strchr(known, s[1]) : NULL;

        if (k)
            s++;
        *to++ = k ? "\t\n\r\\"[k - known] : *s;
    }
    *to = '\0';
}

typedef enum { KEEP, HIDE, DROP } treatment;

static bool is_named(const char *const *columns, const char *name)
{
    for (; *columns; columns++)
        if (strcmp(*columns, name) == 0)
            return true;
    return false;
}

static void put_field(const fm_pseudonyms *p, treatment how, char *field, fm_buf *to)
{
    char name[FM_PSEUDONYM_SIZE];

    if (how == DROP || !*field)
        return;
    if (how == HIDE) {
        unescape(field);
        fm_pseudonym(p, field, name);
        field = name;
    }
    fm_buf_put(to, field, strlen(field));
}

int fm_pseudonyms_table(const fm_pseudonyms *p, const char *const *names, const char *const *dropped, char *text,
                        fm_buf *to, fm_err *err)
{
    treatment how[COLUMNS_MAX] = {KEEP};
    bool header = true;

    for (char *line = text, *next; *line; line = next, header = false) {
        int column = 0;

        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = '\0';
        for (char *field = line, *after; field; field = after, column++) {
            treatment now = KEEP;

            after = strchr(field, '\t');
            if (after)
                *after++ = '\0';
            if (header && column < COLUMNS_MAX)
                how[column] = is_named(names, field) ? HIDE : is_named(dropped, field) ? DROP : KEEP;
            else if (column < COLUMNS_MAX)
                now = how[column];
            put_field(p, now, field, to);
            fm_buf_u8(to, after ? '\t' : '\n');
        }
    }
    return to->failed ? fm_fail_nomem(err, "table", to->size) : 0;
}
