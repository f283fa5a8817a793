#include "jobs/json_text.h"

#include "base/text.h"

json_t *fm_json_text(const char *s)
{
    fm_buf b = FM_BUF_INIT;
    json_t *text;

    fm_utf8_text(&b, s);
    text = b.failed ? NULL : json_stringn(b.size ? (const char *)b.data : "", b.size);
    fm_buf_fini(&b);
    return text;
}
