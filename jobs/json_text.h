/* Text of any bytes as a JSON string: names of files need not be UTF-8, JSON must be. */
#ifndef FM_JOBS_JSON_TEXT_H
#define FM_JOBS_JSON_TEXT_H

#include <jansson.h>

/* A new reference, as fm_utf8_text writes s; NULL without memory. */
json_t *fm_json_text(const char *s);

#endif
