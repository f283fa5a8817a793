#include "base/reason.h"

#include <string.h>

static const char *const names[] = {
#define FM_X(id, name) name,
    FM_REASONS(FM_X)
#undef FM_X
};

const char *fm_reason_name(fm_reason reason)
{
    return (unsigned)reason < FM_REASON_COUNT ? names[reason] : "unknown";
}

bool fm_reason_parse(const char *name, fm_reason *out)
{
    for (int i = 0; i < FM_REASON_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (fm_reason)i;
            return true;
        }
    return false;
}
