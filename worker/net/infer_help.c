/* What operators' infer functions have in common. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "worker/net/ops.h"

int fm_need_type(const fm_graph *g, const fm_node *n, int input, fm_type type, fm_err *err)
{
    const fm_tensor *t = fm_node_in(g, n, input);

    if (t && t->type != type)
        return fm_node_fail(err, -ENOTSUP, n, "input %d is %s; supported is %s", input + 1, fm_type_name(t->type),
                            fm_type_name(type));
    return 0;
}

int fm_need_f32(const fm_graph *g, const fm_node *n, fm_err *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < n->n_in; i++)
        rc = fm_need_type(g, n, i, FM_F32, err);
    return rc;
}

int fm_need_ints(const fm_graph *g, const fm_node *n, int i, const int64_t **v, int64_t *count, fm_err *err)
{
    const fm_tensor *t = fm_node_in(g, n, i);

    *v = NULL;
    *count = -1;
    if (!t)
        return 0;
    if (t->type != FM_I64 || t->rank > 1)
        return fm_node_fail(err, -ENOTSUP, n, "input %d is not a list of int64", i + 1);
    if (!t->data)
        return fm_node_fail(err, -ENOTSUP, n, "input %d is computed from the network's input; supported is one that is "
                            "known when the model is loaded", i + 1);
    *v = t->data;
    *count = (int64_t)fm_tensor_count(t);
    return 0;
}

int fm_need_axis(const fm_node *n, int64_t axis, int rank, int *out, fm_err *err)
{
    if (axis < -rank || axis >= rank)
        return fm_node_fail(err, -EBADMSG, n, "axis %" PRId64 " of a tensor of rank %d", axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return 0;
}

int fm_set_out(fm_graph *g, fm_node *n, int i, const fm_tensor *shape, fm_err *err)
{
    fm_value *v = &g->values[n->out[i]];
    char text[128];

    if (!fm_tensor_valid(shape))
        return fm_node_fail(err, -ENOTSUP, n, "its output would be %s; supported are up to %d dimensions and 2^40 elements",
                            fm_tensor_text(shape, text, sizeof text), FM_RANK_MAX);
    v->t = *shape;
    v->t.data = NULL;
    v->known = true;
    return 0;
}

int fm_axis_at_last(int p, int rank)
{
    return p == 0 ? 0 : p == rank - 1 ? 1 : p + 1;
}

int fm_axis_to_last(int axis, int rank)
{
    return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
}

void fm_strides(const fm_tensor *t, int64_t *strides)
{
    int64_t s = 1;

    for (int i = t->rank - 1; i >= 0; i--) {
        strides[i] = s;
        s *= t->dims[i];
    }
}

size_t fm_element_size(const fm_tensor *t)
{
    return t->type == FM_F32 ? sizeof(float) : sizeof(int64_t);
}

static void copy_line(const char *in, int64_t in_stride, char *out, int64_t out_stride, int64_t n, size_t size)
{
    if (in_stride == 1 && out_stride == 1) {
        memcpy(out, in, (size_t)n * size);
    } else if (size == sizeof(float)) {
        const float *from = (const void *)in;
        float *to = (void *)out;

        for (int64_t i = 0; i < n; i++)
            to[i * out_stride] = from[i * in_stride];
    } else {
        const int64_t *from = (const void *)in;
        int64_t *to = (void *)out;

        for (int64_t i = 0; i < n; i++)
            to[i * out_stride] = from[i * in_stride];
    }
}

static void copy_dims(const char *in, const int64_t *in_strides, char *out, const int64_t *out_strides,
                      const int64_t *dims, int rank, size_t size)
{
    ptrdiff_t each = (ptrdiff_t)size;

    if (rank == 1) {
        copy_line(in, in_strides[0], out, out_strides[0], dims[0], size);
        return;
    }
    for (int64_t i = 0; i < dims[0]; i++)
        copy_dims(in + i * in_strides[0] * each, in_strides + 1, out + i * out_strides[0] * each, out_strides + 1,
                  dims + 1, rank - 1, size);
}

static void swap(int64_t *v, int a, int b)
{
    int64_t was = v[a];

    v[a] = v[b];
    v[b] = was;
}

/* Any order of axes will do: the longest is made the innermost, unless the last is one run in both. */
void fm_copy_strided(const char *in, const int64_t *in_strides, char *out, const int64_t *out_strides,
                     const int64_t *dims, int rank, size_t size)
{
    int64_t from[FM_RANK_MAX], to[FM_RANK_MAX], n[FM_RANK_MAX];
    int longest = rank - 1;

    if (rank == 0) {
        memcpy(out, in, size);
        return;
    }
    for (int i = 0; i < rank; i++) {
        from[i] = in_strides[i];
        to[i] = out_strides[i];
        n[i] = dims[i];
        longest = n[i] >= n[longest] ? i : longest;     /* of equals the later, whose numbers lie closer */
        if (n[i] == 0)
            return;
    }
    if (from[rank - 1] != 1 || to[rank - 1] != 1) {
        swap(from, longest, rank - 1);
        swap(to, longest, rank - 1);
        swap(n, longest, rank - 1);
    }
    copy_dims(in, from, out, to, n, rank, size);
}
