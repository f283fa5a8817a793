/* csv and tsv text, row by row: csv as RFC 4180 (quotes, doubled quotes, line
 * breaks inside quotes); tsv has no quotes, its fields may hold \t \n \r \\ as
 * our own tables write them.  Empty lines are passed over. */
#ifndef FM_JOBS_TABLE_H
#define FM_JOBS_TABLE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define FM_TABLE_FIELDS_MAX 256

typedef struct {
    const char *file;       /* for messages; borrowed */
    bool tabs;
    int line;               /* of the row read last, from 1 */
    int n;                  /* its fields */
    char *field[FM_TABLE_FIELDS_MAX];   /* valid until fm_table_close */
    const char *wrong;      /* what is wrong with this row's quotes and what to do, NULL when nothing is */
    /* private */
    fm_buf text;
    char *at;
    int next_line;
} fm_table;

/* Read a file of at most 1 GiB.  Errors: what reading gives, -EINVAL (a zero byte), -ENOMEM. */
int fm_table_open(const char *file, bool tabs, fm_table *t, fm_err *err);
void fm_table_close(fm_table *t);
/* The next row.  Returns 1, 0 at the end, -EINVAL (too many fields). */
int fm_table_next(fm_table *t, fm_err *err);

#endif
