/* Numbers and words from fixed lists only, so nothing needs escaping and no JSON library is needed to write it. */
#include "coordinator/status.h"

#include <inttypes.h>

#include "base/text.h"

void fm_status_json(const char *state, uint64_t epoch, const fm_build_counts *c, fm_buf *out)
{
    const char *comma = "";

    fm_buf_printf(out, "{\"state\": \"%s\", \"epoch\": %" PRIu64 ", \"seconds\": %.1f, ", state, epoch, c->seconds);
    fm_buf_printf(out, "\"photographs\": %" PRIu64 ", \"done\": %" PRIu64 ", ", c->photographs, c->done);
    fm_buf_printf(out, "\"photos_made\": %" PRIu64 ", \"photos_reused\": %" PRIu64 ", ", c->photos_made,
                  c->photos_reused);
    fm_buf_printf(out, "\"codes_made\": %" PRIu64 ", \"codes_reused\": %" PRIu64 ", \"left_out\": {", c->codes_made,
                  c->codes_reused);
    for (int r = 0; r < FM_REASON_COUNT; r++) {
        if (!c->left_out[r])
            continue;
        fm_buf_printf(out, "%s\"%s\": %" PRIu64, comma, fm_reason_name((fm_reason)r), c->left_out[r]);
        comma = ", ";
    }
    fm_buf_printf(out, "}, \"leases_lost\": %" PRIu64 ", \"crews_lost\": %" PRIu32 ", \"workers\": %" PRIu32 "}\n",
                  c->leases_lost, c->crews_lost, c->workers);
}
