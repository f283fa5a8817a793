/* Puts the channels of pictures last.  Nodes are written anew in the same
 * order: each is asked which order of axes it takes, its inputs are brought
 * into that order where they are not in it yet (once for all who want it), and
 * its parameters are renamed.  From here on a value's dimensions are those of
 * its memory. */
#include <errno.h>
#include <string.h>

#include "worker/net/conv.h"

typedef struct {
    fm_graph *g;
    fm_node *old;
    int n_old;
    int *twin;              /* of each value: the same in the other order, or -1 */
    int n_twins;
} layout;

static bool picture(const fm_tensor *t)
{
    return t->rank >= 3;
}

static fm_tensor dims_last(const fm_tensor *t)
{
    fm_tensor out = *t;

    for (int i = 0; i < t->rank; i++)
        out.dims[i] = t->dims[fm_axis_at_last(i, t->rank)];
    return out;
}

static fm_tensor dims_rows(const fm_tensor *t)
{
    fm_tensor out = *t;

    for (int i = 0; i < t->rank; i++)
        out.dims[i] = t->dims[fm_axis_to_last(i, t->rank)];
    return out;
}

/* Both orders are the same in memory: one channel, or one pixel. */
static bool same_memory(const fm_tensor *last)
{
    int64_t pixels = 1;

    for (int i = 1; i < last->rank - 1; i++)
        pixels *= last->dims[i];
    return last->dims[last->rank - 1] == 1 || pixels == 1;
}

static int add_conversion(layout *l, int v, bool last)
{
    fm_graph *g = l->g;
    fm_tensor t = last ? dims_last(&g->values[v].t) : dims_rows(&g->values[v].t);
    bool alias = same_memory(last ? &t : &g->values[v].t);
    int twin = fm_graph_value(g, g->values[v].name), at;
    fm_node *n;

    at = twin < 0 ? -1 : fm_graph_node(g, g->values[v].name, alias ? &fm_op_reshape : &fm_op_transpose, 1, 1);
    if (at < 0)
        return -1;
    n = &g->nodes[at];
    n->op_name = n->op->name;
    n->kernel = last ? "channels last" : "channels first";
    n->in[0] = v;
    n->out[0] = twin;
    for (int i = 0; i < t.rank; i++)
        n->p.axes[i] = last ? fm_axis_at_last(i, t.rank) : fm_axis_to_last(i, t.rank);
    t.data = NULL;
    g->values[twin].t = t;
    g->values[twin].known = true;
    g->values[twin].channels_last = last;
    return twin;
}

/* Constants are turned now. */
static int turn_constant(layout *l, int v, bool last)
{
    fm_graph *g = l->g;
    fm_tensor from = g->values[v].t, t = last ? dims_last(&from) : dims_rows(&from);
    int64_t in[FM_RANK_MAX], strides[FM_RANK_MAX], to[FM_RANK_MAX];
    int twin = fm_graph_constant(g, g->values[v].name, &t);

    if (twin < 0)
        return -1;
    fm_strides(&from, in);
    fm_strides(&t, to);
    for (int i = 0; i < t.rank; i++)
        strides[i] = in[last ? fm_axis_at_last(i, t.rank) : fm_axis_to_last(i, t.rank)];
    fm_copy_strided(from.data, strides, g->values[twin].t.data, to, t.dims, t.rank, fm_element_size(&t));
    g->values[twin].channels_last = last;
    return twin;
}

/* Value v in that order; -1: out of memory. */
static int want(layout *l, int v, bool last)
{
    fm_graph *g = l->g;
    int twin;

    if (v < 0 || !picture(&g->values[v].t) || g->values[v].channels_last == last)
        return v;
    if (v < l->n_twins && l->twin[v] >= 0)
        return l->twin[v];
    twin = g->values[v].t.data ? turn_constant(l, v, last) : add_conversion(l, v, last);
    if (twin >= 0 && v < l->n_twins)
        l->twin[v] = twin;
    return twin;
}

/* A constant that broadcasts to a tensor of that rank, with ones before its dimensions. */
static int lengthen(layout *l, int v, int rank)
{
    fm_graph *g = l->g;
    fm_tensor t = g->values[v].t;
    int longer, more = rank - t.rank;

    if (more <= 0)
        return v;
    longer = fm_graph_value(g, g->values[v].name);
    if (longer < 0)
        return -1;
    for (int i = rank - 1; i >= 0; i--)
        t.dims[i] = i < more ? 1 : t.dims[i - more];
    t.rank = rank;
    g->values[longer].t = t;
    g->values[longer].known = true;
    return longer;
}

/* An operator that works in either order does so in its inputs', if every operand can be had in it. */
static bool any_last(const layout *l, const fm_node *n)
{
    const fm_graph *g = l->g;
    int rank = g->values[n->out[0]].t.rank;
    bool last = false;

    for (int i = 0; i < n->n_in; i++) {
        const fm_value *v = n->in[i] < 0 ? NULL : &g->values[n->in[i]];

        if (!v || v->t.data || fm_tensor_count(&v->t) == 1)
            continue;
        if (v->t.rank != rank)
            return false;
        last = last || v->channels_last || (n->in[i] < l->n_twins && l->twin[n->in[i]] >= 0);
    }
    return last && rank >= 3;
}

static bool wants_last(const layout *l, const fm_node *n)
{
    switch (n->op->layout) {
    case FM_LAYOUT_PICTURE:
        return picture(fm_node_in(l->g, n, 0));
    case FM_LAYOUT_ANY:
    case FM_LAYOUT_AXES:
        return any_last(l, n);
    default:
        return false;
    }
}

/* Which inputs are turned with the picture; others (weights, lists, single numbers) stay. */
static bool turns(const layout *l, const fm_node *n, int i)
{
    const fm_tensor *t = fm_node_in(l->g, n, i);

    if (!t)
        return false;
    if (n->op->layout == FM_LAYOUT_PICTURE)
        return i == 0 || (n->op == &fm_op_conv && i == FM_CONV_ADD);
    if (n->op->layout == FM_LAYOUT_AXES)
        return i == 0 || n->op->max_in == 0;
    return fm_tensor_count(t) > 1 || !t->data;
}

static bool turn_inputs(layout *l, fm_node *n, bool last)
{
    int rank = l->g->values[n->out[0]].t.rank;

    for (int i = 0; i < n->n_in; i++) {
        if (last && !turns(l, n, i))
            continue;
        if (last && n->op->layout == FM_LAYOUT_ANY && fm_node_in(l->g, n, i)->data)
            n->in[i] = lengthen(l, n->in[i], rank);
        if (n->in[i] >= 0)
            n->in[i] = want(l, n->in[i], last && fm_node_in(l->g, n, i)->rank == rank);
        if (l->g->arena.failed)
            return false;
    }
    return true;
}

static bool turn_node(layout *l, fm_node n)
{
    bool last = wants_last(l, &n);
    int rank = fm_node_in(l->g, &n, 0) ? fm_node_in(l->g, &n, 0)->rank : 0, at;

    if (!turn_inputs(l, &n, last))
        return false;
    if (last && n.op->permute)
        n.op->permute(&n, rank);
    for (int i = 0; last && i < n.n_out; i++)
        if (n.out[i] >= 0 && l->g->values[n.out[i]].known) {
            fm_value *v = &l->g->values[n.out[i]];

            v->t = dims_last(&v->t);
            v->channels_last = true;
        }
    at = fm_graph_node(l->g, n.name, n.op, 0, 0);
    if (at < 0)
        return false;
    l->g->nodes[at] = n;
    return true;
}

int fm_graph_layout(fm_graph *g, fm_err *err)
{
    layout l = {.g = g, .n_old = g->n_nodes, .n_twins = g->n_values};

    l.old = fm_arena_get(&g->arena, (size_t)g->n_nodes * sizeof *l.old);
    l.twin = fm_arena_get(&g->arena, (size_t)g->n_values * sizeof *l.twin);
    if (!l.old || !l.twin)
        return fm_graph_nomem(g, err);
    if (l.n_old)
        memcpy(l.old, g->nodes, (size_t)l.n_old * sizeof *l.old);
    for (int i = 0; i < l.n_twins; i++)
        l.twin[i] = -1;
    g->n_nodes = 0;
    for (int i = 0; i < l.n_old; i++)
        if (!l.old[i].dead && !turn_node(&l, l.old[i]))
            return fm_graph_nomem(g, err);
    for (int i = 0; i < g->n_outputs; i++) {
        g->outputs[i] = want(&l, g->outputs[i], false);
        if (g->arena.failed)
            return fm_graph_nomem(g, err);
    }
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_out; k++)
            if (g->nodes[i].out[k] >= 0)
                g->values[g->nodes[i].out[k]].made_by = i;
    fm_graph_sweep(g);
    return 0;
}
