#include "worker/net/tensor.h"

#include <inttypes.h>
#include <stdio.h>

#define ELEMENTS_MAX ((int64_t)1 << 40)

const char *fm_type_name(fm_type type)
{
    return type == FM_F32 ? "f32" : "i64";
}

size_t fm_tensor_count(const fm_tensor *t)
{
    size_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dims[i];
    return n;
}

size_t fm_tensor_bytes(const fm_tensor *t)
{
    return fm_tensor_count(t) * (t->type == FM_F32 ? sizeof(float) : sizeof(int64_t));
}

/* Zeros count as ones, so that no order of dimensions overflows. */
bool fm_tensor_valid(const fm_tensor *t)
{
    int64_t n = 1;

    if (t->rank < 0 || t->rank > FM_RANK_MAX)
        return false;
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i] < 0 || t->dims[i] > ELEMENTS_MAX / n)
            return false;
        n *= t->dims[i] ? t->dims[i] : 1;
    }
    return true;
}

bool fm_tensor_same_dims(const fm_tensor *a, const fm_tensor *b)
{
    bool same = a->rank == b->rank;

    for (int i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

char *fm_tensor_text(const fm_tensor *t, char *out, size_t out_size)
{
    size_t used = (size_t)snprintf(out, out_size, "%s [", fm_type_name(t->type));

    for (int i = 0; i < t->rank && used < out_size; i++)
        used += (size_t)snprintf(out + used, out_size - used, "%s%" PRId64, i ? ", " : "", t->dims[i]);
    if (used < out_size)
        snprintf(out + used, out_size - used, "]");
    return out;
}
