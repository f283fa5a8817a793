/* Types and shapes of everything, from the inputs on; what depends on nothing
 * but constants is computed on the way, so that shape arithmetic is gone and
 * later passes find weights as they are used. */
#include <errno.h>
#include <string.h>

#include "worker/net/ops.h"

static int check_attrs(const fm_node *n, fm_err *err)
{
    for (int i = 0; i < n->n_attrs; i++) {
        const char *name = n->attrs[i].name, *at = n->op->attrs;
        size_t length = strlen(name);

        while (at && *at && !(strncmp(at, name, length) == 0 && at[length] == ' '))
            at = strchr(at, ' ') + 1;
        if (length == 0 || !*at)
            return fm_node_fail(err, -ENOTSUP, n, "attribute \"%.60s\"; supported are: %s", name, n->op->attrs);
    }
    return 0;
}

static int check_ports(const fm_graph *g, const fm_node *n, fm_err *err)
{
    const fm_op *op = n->op;

    if (n->n_in < op->min_in || (op->max_in && n->n_in > (op->max_in > 0 ? op->max_in : 0)))
        return fm_node_fail(err, -ENOTSUP, n, "%d inputs; supported are %d to %d", n->n_in, op->min_in,
                            op->max_in > 0 ? op->max_in : op->min_in);
    if (n->n_out < 1 || n->out[0] < 0 || (op->max_out && n->n_out > op->max_out))
        return fm_node_fail(err, -ENOTSUP, n, "%d outputs; supported are 1 to %d", n->n_out, op->max_out);
    for (int i = 0; i < n->n_in; i++) {
        if (n->in[i] < 0 && i < op->min_in)
            return fm_node_fail(err, -EBADMSG, n, "input %d is missing", i + 1);
        if (n->in[i] >= 0 && !g->values[n->in[i]].known)
            return fm_node_fail(err, -ENOTSUP, n, "input %d is an output of a kind that is not supported", i + 1);
    }
    return 0;
}

static int refuse(const fm_node *n, fm_err *err)
{
    const char *near = fm_op_near(n->op_name);

    return fm_node_fail(err, -ENOTSUP, n, "this operator is not supported%s%s; facemill models run --help lists those that "
                        "are", near ? "; the nearest is " : "", near ? near : "");
}

static bool all_constant(const fm_graph *g, const fm_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] >= 0 && !g->values[n->in[i]].t.data)
            return false;
    return true;
}

/* Runs n now, into the arena. */
static int fold(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor **io = fm_arena_get(&g->arena, (size_t)(n->n_in + n->n_out) * sizeof *io);
    fm_call c = {.n = n, .in = io, .out = io ? io + n->n_in : NULL, .lanes = fm_lanes_for(FM_ISA_PLAIN)};

    if (!io)
        return fm_graph_nomem(g, err);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] >= 0 && g->values[n->out[i]].known) {
            fm_tensor *t = &g->values[n->out[i]].t;

            t->data = n->op->alias ? g->values[n->in[0]].t.data : fm_arena_get(&g->arena, fm_tensor_bytes(t));
            if (!t->data)
                return fm_graph_nomem(g, err);
        }
    for (int i = 0; i < n->n_in; i++)
        io[i] = fm_node_in(g, n, i);
    for (int i = 0; i < n->n_out; i++)
        io[n->n_in + i] = fm_node_out(g, n, i);
    n->op->run(&c);
    return 0;
}

/* Constants that come from a Shape, through whatever else. */
static void mark_sized(fm_graph *g, const fm_node *n)
{
    bool sized = strcmp(n->op_name, "Shape") == 0;

    for (int i = 0; i < n->n_in; i++)
        sized = sized || (n->in[i] >= 0 && g->values[n->in[i]].sized);
    for (int i = 0; n->dead && i < n->n_out; i++)
        if (n->out[i] >= 0)
            g->values[n->out[i]].sized = sized;
}

static int infer_node(fm_graph *g, fm_node *n, fm_err *err)
{
    int rc;

    n->op = fm_op_find(n->op_name);
    if (!n->op)
        return refuse(n, err);
    if ((rc = check_ports(g, n, err)) != 0 || (rc = check_attrs(n, err)) != 0 || (rc = n->op->infer(g, n, err)) != 0)
        return rc;
    if (n->op->folds && all_constant(g, n))
        rc = fold(g, n, err);
    n->dead = g->values[n->out[0]].t.data != NULL;
    mark_sized(g, n);
    return rc;
}

int fm_graph_infer(fm_graph *g, fm_err *err)
{
    int rc = 0;

    fm_graph_sweep(g);
    for (int i = 0; rc == 0 && i < g->n_nodes; i++)
        if (!g->nodes[i].dead)
            rc = infer_node(g, &g->nodes[i], err);
    for (int i = 0; rc == 0 && i < g->n_outputs; i++)
        if (!g->values[g->outputs[i]].known)
            rc = fm_fail(err, -ENOTSUP, "network: output \"%.200s\" is of a kind that is not supported",
                         g->values[g->outputs[i]].name);
    if (rc == 0)
        fm_graph_sweep(g);
    return rc;
}
