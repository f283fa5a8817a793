/* Huge pages for memory that is read all over or streamed through: addresses in
 * it are then found in the processor's cache of them.  Only a wish: where the
 * system has none, nothing changes. */
#ifndef FM_BASE_PAGES_H
#define FM_BASE_PAGES_H

#include <stddef.h>

/* Memory that is written already. */
void fm_pages_collapse(const void *memory, size_t n);
/* Memory that nobody has touched yet: it gets huge pages as it is written. */
void fm_pages_ask(void *memory, size_t n);

#endif
