/* Names that leave OUT without naming anybody: a keyed hash of each, with a key
 * that stays in OUT.  Equal names stay equal in all exports of one study. */
#ifndef FM_JOBS_PSEUDONYM_H
#define FM_JOBS_PSEUDONYM_H

#include "base/buf.h"
#include "base/err.h"

#define FM_PSEUDONYM_SIZE 20    /* "p" and 16 hexadecimal digits, with the NUL and some room */

typedef struct { unsigned char key[32]; } fm_pseudonyms;

/* Read OUT/run/export.key, or make it (0600). */
int fm_pseudonyms_open(const char *out, fm_pseudonyms *to, fm_err *err);
void fm_pseudonym(const fm_pseudonyms *p, const char *name, char to[FM_PSEUDONYM_SIZE]);

/* Append a TSV table with every field of the named columns replaced (fields are unescaped first, so that a name
 * has one pseudonym in all tables), and the fields of dropped columns left empty.
 * names, dropped  NULL-ended.  text  NUL-ended; cut in place.  Errors: -ENOMEM. */
int fm_pseudonyms_table(const fm_pseudonyms *p, const char *const *names, const char *const *dropped, char *text,
                        fm_buf *to, fm_err *err);

#endif
