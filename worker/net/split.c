/* Whether a batch may be run a few pictures at a time: every picture goes its own
 * way through the network.  Proven node by node on the graph of the whole batch,
 * before fusion; what is not known to keep pictures apart is taken to mix them. */
#include <errno.h>
#include <string.h>

#include "worker/net/conv.h"

typedef struct {
    const fm_graph *g;
    bool *carries;              /* of each value: dims[0] is the batch, and each picture's part its own */
    int64_t batch;
} proof;

static bool carries(const proof *p, const fm_node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 && p->carries[n->in[i]];
}

static bool keeps_batch(const proof *p, const fm_tensor *t)
{
    return t->rank > 0 && t->dims[0] == p->batch;
}

/* Operands are pictures, or constants that are the same for each. */
static bool elementwise_apart(const proof *p, const fm_node *n)
{
    int rank = fm_node_out(p->g, n, 0)->rank;

    for (int i = 0; i < n->n_in; i++) {
        const fm_tensor *t = fm_node_in(p->g, n, i);

        if (t && (carries(p, n, i) ? t->rank != rank : t->rank == rank && t->dims[0] != 1))
            return false;
    }
    return true;
}

static bool only_first_carries(const proof *p, const fm_node *n)
{
    for (int i = 1; i < n->n_in; i++)
        if (carries(p, n, i))
            return false;
    return carries(p, n, 0);
}

static bool all_carry(const proof *p, const fm_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (!carries(p, n, i))
            return false;
    return true;
}

static bool product_apart(const proof *p, const fm_node *n)
{
    const fm_tensor *a = fm_node_in(p->g, n, 0), *b = fm_node_in(p->g, n, 1), *c = fm_node_in(p->g, n, 2);

    return only_first_carries(p, n) && a->rank >= 2 && b->rank == 2 && !n->p.flags[0] &&
           (!c || c->rank < 2 || c->dims[0] == 1);
}

static bool named(const fm_node *n, const char *name)
{
    return strcmp(n->op_name, name) == 0;
}

static bool apart(const proof *p, const fm_node *n)
{
    if (named(n, "Gemm") || named(n, "MatMul"))
        return product_apart(p, n);
    if (named(n, "Concat"))
        return n->p.axis > 0 && all_carry(p, n);
    if (n->op->layout == FM_LAYOUT_ANY)
        return elementwise_apart(p, n);
    if (!only_first_carries(p, n))
        return false;
    if (named(n, "Split") || named(n, "Softmax"))
        return n->p.axis > 0;
    if (named(n, "Slice"))
        return n->p.starts[0] == 0 && n->p.steps[0] == 1;
    if (named(n, "Pad"))
        return n->p.starts[0] == 0;
    if (named(n, "ReduceMean") || named(n, "ReduceSum") || named(n, "Transpose"))
        return n->p.axes[0] == 0;
    return n->op->layout == FM_LAYOUT_PICTURE || n->op->alias;
}

/* A shape may be computed from the batch where it only says that the batch stays; elsewhere such a number is data. */
static bool sizes_are_shapes(const fm_graph *g, const fm_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] >= 0 && g->values[n->in[i]].sized && !(named(n, "Reshape") && i == 1))
            return false;
    return true;
}

static bool prove(proof *p, const fm_node *n)
{
    bool any = false;

    for (int i = 0; i < n->n_in; i++)
        any = any || carries(p, n, i);
    if (!any || !sizes_are_shapes(p->g, n) || !apart(p, n))
        return false;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] >= 0 && p->g->values[n->out[i]].known) {
            if (!keeps_batch(p, &p->g->values[n->out[i]].t))
                return false;
            p->carries[n->out[i]] = true;
        }
    return true;
}

bool fm_graph_separable(fm_graph *g, int64_t batch)
{
    proof p = {.g = g, .batch = batch, .carries = fm_arena_get(&g->arena, (size_t)g->n_values * sizeof *p.carries)};

    if (!p.carries)
        return false;
    for (int i = 0; i < g->n_inputs; i++) {
        if (!keeps_batch(&p, &g->values[g->inputs[i]].t))
            return false;
        p.carries[g->inputs[i]] = true;
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i].dead && !prove(&p, &g->nodes[i]))
            return false;
    for (int i = 0; i < g->n_outputs; i++)
        if (!p.carries[g->outputs[i]])
            return false;
    return true;
}
