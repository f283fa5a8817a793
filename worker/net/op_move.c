/* Operators that move numbers without changing them.  All but Gather are
 * copies with strides; those that only give data another shape copy nothing
 * when the plan lets them share their input's memory. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/op_tables.h"

/* ---- other shapes of the same data ---- */

static void run_alias(const fm_call *c)
{
    if (c->out[0]->data != c->in[0]->data)
        memcpy(c->out[0]->data, c->in[0]->data, fm_tensor_bytes(c->in[0]));
}

static int set_alias(fm_graph *g, fm_node *n, fm_tensor *t, fm_err *err)
{
    char a[96], b[96];
    const fm_tensor *x = fm_node_in(g, n, 0);

    t->type = x->type;
    if (fm_tensor_valid(t) && fm_tensor_count(t) != fm_tensor_count(x))
        return fm_node_fail(err, -EBADMSG, n, "%s does not become %s", fm_tensor_text(x, a, sizeof a),
                            fm_tensor_text(t, b, sizeof b));
    return fm_set_out(g, n, 0, t, err);
}

static int infer_reshape(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    const int64_t *shape;
    int64_t count, zero_stays = 0, known = 1, all = (int64_t)fm_tensor_count(x);
    int open = -1, rc = fm_need_ints(g, n, 1, &shape, &count, err);
    fm_tensor t = {.rank = 0};

    if (rc != 0 || (rc = fm_attr_int(n, "allowzero", &zero_stays, err)) != 0)
        return rc;
    if (!shape && count < 0)
        return fm_node_fail(err, -EBADMSG, n, "its shape is missing");
    if (count > FM_RANK_MAX)
        return fm_node_fail(err, -ENOTSUP, n, "to %lld dimensions; supported are up to %d", (long long)count, FM_RANK_MAX);
    t.rank = (int)count;
    for (int i = 0; i < t.rank; i++) {
        bool copy = shape[i] == 0 && !zero_stays;

        if (shape[i] < -1 || shape[i] > (int64_t)1 << 40 || (copy && i >= x->rank) || (shape[i] == -1 && open >= 0))
            return fm_node_fail(err, -EBADMSG, n, "dimension %lld of its shape", (long long)shape[i]);
        open = shape[i] == -1 ? i : open;
        t.dims[i] = copy ? x->dims[i] : shape[i] == -1 ? 1 : shape[i];
        known = t.dims[i] && known > ((int64_t)1 << 40) / t.dims[i] ? (int64_t)1 << 41 : known * t.dims[i];
    }
    if (open >= 0)
        t.dims[open] = known ? all / known : 0;
    return set_alias(g, n, &t, err);
}

static int infer_flatten(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    fm_tensor t = {.rank = 2, .dims = {1, 1}};
    int64_t axis = 1;
    int rc = fm_attr_int(n, "axis", &axis, err);

    if (rc != 0)
        return rc;
    axis += axis < 0 ? x->rank : 0;
    if (axis < 0 || axis > x->rank)
        return fm_node_fail(err, -EBADMSG, n, "axis %lld of a tensor of rank %d", (long long)axis, x->rank);
    for (int i = 0; i < x->rank; i++)
        t.dims[i >= axis] *= x->dims[i];
    return set_alias(g, n, &t, err);
}

/* Axes from an attribute, or from an input since operator set 13; marked in out, of a tensor of that rank. */
static int marked_axes(fm_graph *g, fm_node *n, int rank, int *out, bool *given, fm_err *err)
{
    const int64_t *v;
    int64_t count;
    size_t attrs;
    int rc = fm_need_ints(g, n, 1, &v, &count, err), at;

    if (rc == 0 && count < 0) {
        rc = fm_attr_ints(n, "axes", &v, &attrs, err);
        count = (int64_t)attrs;
    }
    memset(out, 0, FM_RANK_MAX * sizeof *out);
    *given = v != NULL;
    for (int64_t i = 0; rc == 0 && v && i < count; i++)
        if ((rc = fm_need_axis(n, v[i], rank, &at, err)) == 0)
            out[at]++;
    return rc;
}

static int infer_squeeze(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    int gone[FM_RANK_MAX], rc;
    fm_tensor t = {.rank = 0};
    bool given;

    if ((rc = marked_axes(g, n, x->rank, gone, &given, err)) != 0)
        return rc;
    for (int i = 0; i < x->rank; i++)
        if (given ? !gone[i] : x->dims[i] != 1)
            t.dims[t.rank++] = x->dims[i];
    return set_alias(g, n, &t, err);
}

static int infer_unsqueeze(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    int added[FM_RANK_MAX], rc, at = 0;
    fm_tensor t = {.rank = x->rank};
    const int64_t *v;
    int64_t count;
    size_t attrs = 0;
    bool given;

    if ((rc = fm_need_ints(g, n, 1, &v, &count, err)) != 0 ||
        (count < 0 && (rc = fm_attr_ints(n, "axes", &v, &attrs, err)) != 0))
        return rc;
    count = count < 0 ? (int64_t)attrs : count;
    if (count + x->rank > FM_RANK_MAX)
        return fm_node_fail(err, -ENOTSUP, n, "to more than %d dimensions", FM_RANK_MAX);
    t.rank += (int)count;
    if ((rc = marked_axes(g, n, t.rank, added, &given, err)) != 0)
        return rc;
    for (int i = 0; i < t.rank; i++) {
        if (added[i] > 1 || (!added[i] && at == x->rank))
            return fm_node_fail(err, -EBADMSG, n, "an axis is named twice");
        t.dims[i] = added[i] ? 1 : x->dims[at++];
    }
    return set_alias(g, n, &t, err);
}

/* ---- copies with strides ---- */

static int infer_transpose(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    const int64_t *perm;
    fm_tensor t = *x;
    unsigned seen = 0;
    size_t count;
    int rc = fm_attr_ints(n, "perm", &perm, &count, err);

    if (rc != 0)
        return rc;
    if (perm && count != (size_t)x->rank)
        return fm_node_fail(err, -EBADMSG, n, "perm has %zu numbers for a tensor of rank %d", count, x->rank);
    for (int i = 0; i < x->rank; i++) {
        int64_t from = perm ? perm[i] : x->rank - 1 - i;

        if (from < 0 || from >= x->rank || seen >> from & 1)
            return fm_node_fail(err, -EBADMSG, n, "perm does not name each axis once");
        seen |= 1u << from;
        n->p.axes[i] = (int)from;
        t.dims[i] = x->dims[from];
    }
    return fm_set_out(g, n, 0, &t, err);
}

static void run_transpose(const fm_call *c)
{
    int64_t in[FM_RANK_MAX], from[FM_RANK_MAX], to[FM_RANK_MAX];
    const fm_tensor *out = c->out[0];

    fm_strides(c->in[0], in);
    fm_strides(out, to);
    for (int i = 0; i < out->rank; i++)
        from[i] = in[c->n->p.axes[i]];
    fm_copy_strided(c->in[0]->data, from, out->data, to, out->dims, out->rank, fm_element_size(out));
}

/* What one tensor and another have in common but for an axis. */
static bool same_but(const fm_tensor *a, const fm_tensor *b, int axis)
{
    bool same = a->rank == b->rank && a->type == b->type;

    for (int i = 0; same && i < a->rank; i++)
        same = i == axis || a->dims[i] == b->dims[i];
    return same;
}

static int infer_concat(fm_graph *g, fm_node *n, fm_err *err)
{
    fm_tensor t = *fm_node_in(g, n, 0);
    int64_t axis = 1;
    int rc = fm_attr_int(n, "axis", &axis, err);

    if (rc != 0 || (rc = fm_need_axis(n, axis, t.rank, &n->p.axis, err)) != 0)
        return rc;
    for (int i = 1; i < n->n_in; i++) {
        const fm_tensor *x = fm_node_in(g, n, i);

        if (!x || !same_but(&t, x, n->p.axis) || x->dims[n->p.axis] > (int64_t)1 << 40)
            return fm_node_fail(err, -EBADMSG, n, "input %d does not fit beside the first", i + 1);
        t.dims[n->p.axis] += x->dims[n->p.axis];
        if (t.dims[n->p.axis] > (int64_t)1 << 40)
            return fm_node_fail(err, -ENOTSUP, n, "more than 2^40 elements");
    }
    return fm_set_out(g, n, 0, &t, err);
}

/* Bytes of what one step along axis skips, and how many such runs there are. */
static size_t run_bytes(const fm_tensor *t, int axis)
{
    size_t bytes = fm_element_size(t);

    for (int i = axis; i < t->rank; i++)
        bytes *= (size_t)t->dims[i];
    return bytes;
}

static size_t run_count(const fm_tensor *t, int axis)
{
    size_t n = 1;

    for (int i = 0; i < axis; i++)
        n *= (size_t)t->dims[i];
    return n;
}

static void run_concat(const fm_call *c)
{
    int axis = c->n->p.axis;
    size_t runs = run_count(c->out[0], axis), pitch = run_bytes(c->out[0], axis), at = 0;

    for (int i = 0; i < c->n->n_in; i++) {
        size_t bytes = run_bytes(c->in[i], axis);

        for (size_t r = 0; bytes && r < runs; r++)
            memcpy((char *)c->out[0]->data + r * pitch + at, (const char *)c->in[i]->data + r * bytes, bytes);
        at += bytes;
    }
}

static int infer_split(fm_graph *g, fm_node *n, fm_err *err)
{
    fm_tensor t = *fm_node_in(g, n, 0);
    int64_t axis = 0, all, left, count, parts = n->n_out;
    const int64_t *sizes;
    size_t attrs = 0;
    int rc = fm_attr_int(n, "axis", &axis, err);

    if (rc != 0 || (rc = fm_need_axis(n, axis, t.rank, &n->p.axis, err)) != 0 ||
        (rc = fm_need_ints(g, n, 1, &sizes, &count, err)) != 0 || (rc = fm_attr_int(n, "num_outputs", &parts, err)) != 0 ||
        (count < 0 && (rc = fm_attr_ints(n, "split", &sizes, &attrs, err)) != 0))
        return rc;
    count = count < 0 ? (int64_t)attrs : count;
    all = left = t.dims[n->p.axis];
    if ((sizes && count != n->n_out) || parts != n->n_out || (!sizes && g->opset < 18 && all % n->n_out != 0))
        return fm_node_fail(err, -EBADMSG, n, "it does not say how %lld become %d parts", (long long)all, n->n_out);
    for (int i = 0; i < n->n_out; i++) {
        int64_t size = sizes ? sizes[i] : (all + n->n_out - 1) / n->n_out;

        size = !sizes && size > left ? left : size;
        if (size < 0 || size > left)
            return fm_node_fail(err, -EBADMSG, n, "part %d of %lld is larger than what is left", i + 1, (long long)size);
        left -= size;
        t.dims[n->p.axis] = size;
        if (n->out[i] >= 0 && (rc = fm_set_out(g, n, i, &t, err)) != 0)
            return rc;
        if (n->out[i] < 0)
            return fm_node_fail(err, -ENOTSUP, n, "output %d has no name", i + 1);
    }
    return left == 0 ? 0 : fm_node_fail(err, -EBADMSG, n, "its parts leave %lld over", (long long)left);
}

static void run_split(const fm_call *c)
{
    int axis = c->n->p.axis;
    size_t runs = run_count(c->in[0], axis), pitch = run_bytes(c->in[0], axis), at = 0;

    for (int i = 0; i < c->n->n_out; i++) {
        size_t bytes = run_bytes(c->out[i], axis);

        for (size_t r = 0; c->out[i]->data && bytes && r < runs; r++)
            memcpy((char *)c->out[i]->data + r * bytes, (const char *)c->in[0]->data + r * pitch + at, bytes);
        at += bytes;
    }
}

static void permute_axis(fm_node *n, int rank)
{
    n->p.axis = fm_axis_to_last(n->p.axis, rank);
}

/* A list of Slice: an attribute before operator set 10, an input after. */
static int slice_list(fm_graph *g, fm_node *n, int input, const char *attr, const int64_t **v, int64_t *count, fm_err *err)
{
    size_t attrs;
    int rc;

    if (g->opset >= 10)
        return fm_need_ints(g, n, input, v, count, err);
    rc = fm_attr_ints(n, attr, v, &attrs, err);
    *count = *v ? (int64_t)attrs : -1;
    return rc;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* One axis: where it starts, its step, and how many elements are left. */
static int slice_axis(fm_node *n, fm_tensor *t, int axis, int64_t start, int64_t end, int64_t step, fm_err *err)
{
    int64_t size = t->dims[axis];

    if (step == 0 || step > (int64_t)1 << 40 || step < -((int64_t)1 << 40))
        return fm_node_fail(err, -EBADMSG, n, "a step of %lld", (long long)step);
    start += start < 0 ? size : 0;
    end += end < 0 ? size : 0;
    start = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
    end = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
    n->p.starts[axis] = start;
    n->p.steps[axis] = step;
    if (size == 0)
        return 0;
    t->dims[axis] = step > 0 ? (end > start ? (end - start + step - 1) / step : 0)
                             : (start > end ? (start - end - step - 1) / -step : 0);
    return 0;
}

static int infer_slice(fm_graph *g, fm_node *n, fm_err *err)
{
    const int64_t *starts, *ends, *axes, *steps = NULL;
    fm_tensor t = *fm_node_in(g, n, 0);
    int64_t n_starts, n_ends, n_axes, n_steps = -1;
    int rc, axis;

    if ((rc = slice_list(g, n, 1, "starts", &starts, &n_starts, err)) != 0 ||
        (rc = slice_list(g, n, 2, "ends", &ends, &n_ends, err)) != 0 ||
        (rc = slice_list(g, n, 3, "axes", &axes, &n_axes, err)) != 0 ||
        (g->opset >= 10 && (rc = fm_need_ints(g, n, 4, &steps, &n_steps, err)) != 0))
        return rc;
    if (n_starts < 0 || n_starts != n_ends || (axes && n_axes != n_starts) || (steps && n_steps != n_starts) ||
        n_starts > t.rank)
        return fm_node_fail(err, -EBADMSG, n, "its starts, ends, axes and steps do not belong together");
    for (int i = 0; i < t.rank; i++) {
        n->p.starts[i] = 0;
        n->p.steps[i] = 1;
    }
    for (int i = 0; i < n_starts; i++)
        if ((rc = fm_need_axis(n, axes ? axes[i] : i, t.rank, &axis, err)) != 0 ||
            (rc = slice_axis(n, &t, axis, starts[i], ends[i], steps ? steps[i] : 1, err)) != 0)
            return rc;
    return fm_set_out(g, n, 0, &t, err);
}

static void run_slice(const fm_call *c)
{
    int64_t in[FM_RANK_MAX], to[FM_RANK_MAX], at = 0;
    const fm_tensor *out = c->out[0];

    fm_strides(c->in[0], in);
    fm_strides(out, to);
    for (int i = 0; i < out->rank; i++) {
        at += c->n->p.starts[i] * in[i];
        in[i] *= c->n->p.steps[i];
    }
    if (fm_tensor_count(out))
        fm_copy_strided((const char *)c->in[0]->data + at * (int64_t)fm_element_size(out), in, out->data, to, out->dims,
                        out->rank, fm_element_size(out));
}

void fm_permute_ranges(fm_node *n, int rank)
{
    fm_params was = n->p;

    for (int i = 0; i < rank; i++) {
        n->p.starts[i] = was.starts[fm_axis_at_last(i, rank)];
        n->p.steps[i] = was.steps[fm_axis_at_last(i, rank)];
    }
}

static int infer_expand(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    const int64_t *shape;
    int64_t count;
    fm_tensor t = {.type = x->type};
    int rc = fm_need_ints(g, n, 1, &shape, &count, err);

    if (rc != 0)
        return rc;
    if (count < 0 || count > FM_RANK_MAX)
        return fm_node_fail(err, -ENOTSUP, n, "to %lld dimensions; supported are up to %d", (long long)count, FM_RANK_MAX);
    t.rank = count > x->rank ? (int)count : x->rank;
    for (int i = 0; i < t.rank; i++) {
        int64_t a = i < x->rank ? x->dims[x->rank - 1 - i] : 1, b = i < count ? shape[count - 1 - i] : 1;

        if (b < 0 || (a != b && a != 1 && b != 1))
            return fm_node_fail(err, -EBADMSG, n, "its input does not broadcast to that shape");
        t.dims[t.rank - 1 - i] = a == 1 ? b : a;
    }
    return fm_set_out(g, n, 0, &t, err);
}

static void run_expand(const fm_call *c)
{
    int64_t in[FM_RANK_MAX], from[FM_RANK_MAX], to[FM_RANK_MAX];
    const fm_tensor *x = c->in[0], *out = c->out[0];

    fm_strides(x, in);
    fm_strides(out, to);
    for (int i = 0; i < out->rank; i++) {
        int k = i - (out->rank - x->rank);

        from[i] = k < 0 || x->dims[k] == 1 ? 0 : in[k];
    }
    fm_copy_strided(x->data, from, out->data, to, out->dims, out->rank, fm_element_size(out));
}

static int infer_gather(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0), *at = fm_node_in(g, n, 1);
    fm_tensor t = {.type = x->type};
    int64_t axis = 0;
    int rc = fm_need_type(g, n, 1, FM_I64, err);

    if (rc != 0 || (rc = fm_attr_int(n, "axis", &axis, err)) != 0 ||
        (rc = fm_need_axis(n, axis, x->rank, &n->p.axis, err)) != 0)
        return rc;
    if (x->rank + at->rank - 1 > FM_RANK_MAX)
        return fm_node_fail(err, -ENOTSUP, n, "to more than %d dimensions", FM_RANK_MAX);
    for (int i = 0; i < n->p.axis; i++)
        t.dims[t.rank++] = x->dims[i];
    for (int i = 0; i < at->rank; i++)
        t.dims[t.rank++] = at->dims[i];
    for (int i = n->p.axis + 1; i < x->rank; i++)
        t.dims[t.rank++] = x->dims[i];
    return fm_set_out(g, n, 0, &t, err);
}

/* An index outside is taken as the nearest inside: indices may be data. */
static void run_gather(const fm_call *c)
{
    const fm_tensor *x = c->in[0], *at = c->in[1];
    int axis = c->n->p.axis;
    int64_t size = x->dims[axis];
    size_t runs = run_count(x, axis), each = run_bytes(x, axis + 1), pitch = run_bytes(x, axis);
    char *out = c->out[0]->data;

    if (fm_tensor_count(x) == 0)
        return;
    for (size_t r = 0; r < runs; r++)
        for (size_t i = 0, count = fm_tensor_count(at); i < count; i++, out += each) {
            int64_t k = fm_tensor_i64(at)[i];

            k = clamp(k < 0 ? k + size : k, 0, size - 1);
            memcpy(out, (const char *)x->data + r * pitch + (size_t)k * each, each);
        }
}

#define ALIAS(op, attrs, max, infer) \
    {op, attrs, 1, max, 1, FM_LAYOUT_ROWS, true, true, infer, run_alias, NULL, NULL, NULL, NULL}
#define MOVE(op, attrs, min, max, outs, layout, infer, run, permute) \
    {op, attrs, min, max, outs, layout, true, false, infer, run, permute, NULL, NULL, NULL}

const fm_op fm_op_transpose = MOVE("Transpose", "perm ", 1, 1, 1, FM_LAYOUT_ROWS, infer_transpose, run_transpose, NULL);
const fm_op fm_op_reshape = ALIAS("Reshape", "allowzero ", 2, infer_reshape);

const fm_op fm_ops_move[] = {
    ALIAS("Flatten", "axis ", 1, infer_flatten),
    ALIAS("Squeeze", "axes ", 2, infer_squeeze),
    ALIAS("Unsqueeze", "axes ", 2, infer_unsqueeze),
    MOVE("Concat", "axis ", 1, 0, 1, FM_LAYOUT_AXES, infer_concat, run_concat, permute_axis),
    MOVE("Split", "axis split num_outputs ", 1, 2, 0, FM_LAYOUT_AXES, infer_split, run_split, permute_axis),
    MOVE("Slice", "starts ends axes ", 1, 5, 1, FM_LAYOUT_AXES, infer_slice, run_slice, fm_permute_ranges),
    MOVE("Expand", "", 2, 2, 1, FM_LAYOUT_ROWS, infer_expand, run_expand, NULL),
    MOVE("Gather", "axis ", 2, 2, 1, FM_LAYOUT_ROWS, infer_gather, run_gather, NULL),
};
const size_t fm_ops_move_n = sizeof fm_ops_move / sizeof *fm_ops_move;
