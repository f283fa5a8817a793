/* Small text jobs that several layers need. */
#ifndef FM_BASE_TEXT_H
#define FM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The nearest of n names by edit distance (Damerau-Levenshtein), or NULL when
 * none is near enough to be meant. */
const char *fm_nearest(const char *word, const char *const *names, size_t n);

/* Append one TSV field: tab, newline, carriage return and backslash become \t \n \r \\ .
 * Other bytes stay as they are. */
void fm_tsv_field(fm_buf *b, const char *s);
/* Append s as UTF-8 that every reader takes: bytes that belong to no character, and control characters other
 * than tab, newline and carriage return, become U+FFFD. */
void fm_utf8_text(fm_buf *b, const char *s);
void fm_buf_printf(fm_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whole-string numbers: false when s is not exactly one number in range. */
bool fm_parse_double(const char *s, double *out);
bool fm_parse_int(const char *s, int64_t low, int64_t high, int64_t *out);

/* Monotonic and wall clocks. */
uint64_t fm_clock_ms(void);
uint64_t fm_clock_us(void);

#endif
