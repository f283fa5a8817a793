/* Fields are cut out of the text in place: nothing is copied, and a row is valid
 * as long as the table is open. */
#include "jobs/table.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"

#define BYTES_MAX (1ull << 30)

int fm_table_open(const char *file, bool tabs, fm_table *t, fm_err *err)
{
    int rc;

    *t = (fm_table){.file = file, .tabs = tabs, .next_line = 1, .text = FM_BUF_INIT};
    rc = fm_file_read(file, BYTES_MAX, &t->text, err);
    fm_buf_u8(&t->text, 0);
    if (rc == 0 && t->text.failed)
        rc = fm_fail_nomem(err, file, t->text.size);
    if (rc == 0 && strlen((char *)t->text.data) + 1 != t->text.size)
        rc = fm_fail(err, -EINVAL, "%s: holds a zero byte; is it text (UTF-8)?", file);
    if (rc != 0) {
        fm_table_close(t);
        return rc;
    }
    t->at = (char *)t->text.data + (strncmp((char *)t->text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    return 0;
}

void fm_table_close(fm_table *t)
{
    fm_buf_fini(&t->text);
}

/* Cut one csv field out at t->at; returns the character after it. */
static char cut_csv(fm_table *t, char **field)
{
    char *from = t->at, *to = t->at, end;

    *field = to;
    if (*from != '"') {
        from += strcspn(from, ",\n");
        end = *from;
        to = from;
        if (to > *field && end == '\n' && to[-1] == '\r')
            to--;
    } else {
        for (from++; *from && !(from[0] == '"' && from[1] != '"'); from++) {
            t->next_line += *from == '\n';
            from += *from == '"';
            *to++ = *from;
        }
        if (!*from)
            t->wrong = "a quote opens and never closes; close it, or double it inside a quoted field";
        from += *from == '"';
        from += from[0] == '\r' && from[1] == '\n';
        if (*from && *from != ',' && *from != '\n') {
            t->wrong = "text follows a closing quote; double quotes that belong to the text";
            from += strcspn(from, ",\n");
        }
        end = *from;
    }
    t->at = from + (*from != '\0');
    *to = '\0';
    return end;
}

static char cut_tsv(fm_table *t, char **field)
{
    char *from = t->at, *to = t->at, end;

    for (*field = to; *from && *from != '\t' && *from != '\n'; from++) {
        const char *known = "tnr\\", *k = *from == '\\' && from[1] ? strchr(known, from[1]) : NULL;

        if (k)
            from++;
        *to++ = k ? "\t\n\r\\"[k - known] : *from;
    }
    end = *from;
    if (to > *field && end == '\n' && to[-1] == '\r')
        to--;
    t->at = from + (*from != '\0');
    *to = '\0';
    return end;
}

int fm_table_next(fm_table *t, fm_err *err)
{
    char end;

    while (*t->at == '\n' || (*t->at == '\r' && t->at[1] == '\n')) {
        t->next_line++;
        t->at += *t->at == '\r' ? 2 : 1;
    }
    if (!*t->at)
        return 0;
    t->line = t->next_line;
    t->n = 0;
    t->wrong = NULL;
    do {
        if (t->n == FM_TABLE_FIELDS_MAX)
            return fm_fail(err, -EINVAL, "%s:%d: more than %d columns", t->file, t->line, FM_TABLE_FIELDS_MAX);
        end = t->tabs ? cut_tsv(t, &t->field[t->n]) : cut_csv(t, &t->field[t->n]);
        t->n++;
    } while (end && end != '\n');
    t->next_line++;
    return 1;
}
