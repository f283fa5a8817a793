#include "worker/net/graph.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fm_graph_init(fm_graph *g, size_t max_bytes)
{
    memset(g, 0, sizeof *g);
    fm_arena_init(&g->arena, max_bytes);
}

void fm_graph_fini(fm_graph *g)
{
    fm_arena_fini(&g->arena);
    free(g->values);
    free(g->nodes);
    memset(g, 0, sizeof *g);
}

/* Room for one more in an array that doubles. */
static bool grow(fm_graph *g, void **array, int n, int *room, size_t each)
{
    int want = *room ? *room * 2 : 256;
    void *grown;

    if (n < *room)
        return true;
    grown = n < 1 << 24 ? realloc(*array, (size_t)want * each) : NULL;
    if (!grown) {
        g->arena.failed = true;
        return false;
    }
    *array = grown;
    *room = want;
    return true;
}

int fm_graph_value(fm_graph *g, const char *name)
{
    void *values = g->values;

    if (!grow(g, &values, g->n_values, &g->values_room, sizeof *g->values))
        return -1;
    g->values = values;
    g->values[g->n_values] = (fm_value){.name = name, .made_by = -1};
    return g->n_values++;
}

int fm_graph_node(fm_graph *g, const char *name, const fm_op *op, int n_in, int n_out)
{
    void *nodes = g->nodes;
    int *io = fm_arena_get(&g->arena, (size_t)(n_in + n_out) * sizeof *io);

    if (!io || !grow(g, &nodes, g->n_nodes, &g->nodes_room, sizeof *g->nodes))
        return -1;
    for (int i = 0; i < n_in + n_out; i++)
        io[i] = -1;
    g->nodes = nodes;
    g->nodes[g->n_nodes] = (fm_node){.name = name, .op = op, .in = io, .out = io + n_in, .n_in = n_in, .n_out = n_out};
    return g->n_nodes++;
}

int fm_graph_constant(fm_graph *g, const char *name, const fm_tensor *shape)
{
    void *data = fm_arena_get(&g->arena, fm_tensor_bytes(shape));
    int v = data ? fm_graph_value(g, name) : -1;

    if (v >= 0) {
        g->values[v].t = *shape;
        g->values[v].t.data = data;
        g->values[v].known = true;
    }
    return v;
}

int fm_graph_nomem(const fm_graph *g, fm_err *err)
{
    return fm_fail(err, -ENOMEM, "network: needs more memory than the %zu MB it may have", g->arena.limit >> 20);
}

void fm_graph_sweep(fm_graph *g)
{
    for (int v = 0; v < g->n_values; v++)
        g->values[v].uses = 0;
    for (int i = 0; i < g->n_outputs; i++)
        g->values[g->outputs[i]].uses++;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        fm_node *n = &g->nodes[i];
        bool used = false;

        for (int k = 0; k < n->n_out; k++)
            used = used || (n->out[k] >= 0 && g->values[n->out[k]].uses > 0);
        n->dead = n->dead || !used;
        for (int k = 0; !n->dead && k < n->n_in; k++)
            if (n->in[k] >= 0)
                g->values[n->in[k]].uses++;
    }
}

int fm_node_fail(fm_err *err, int code, const fm_node *n, const char *fmt, ...)
{
    char what[320];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return fm_fail(err, code, "node \"%.100s\" (%.40s): %s", n->name, n->op_name, what);
}

const fm_attr *fm_attr_find(const fm_node *n, const char *name)
{
    for (int i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    return NULL;
}

static int find_typed(const fm_node *n, const char *name, int type, const fm_attr **out, fm_err *err)
{
    const fm_attr *a = fm_attr_find(n, name);

    if (a && a->type != type)
        return fm_node_fail(err, -EBADMSG, n, "attribute \"%.40s\" is of type %d, expected %d", name, a->type, type);
    *out = a;
    return 0;
}

int fm_attr_int(const fm_node *n, const char *name, int64_t *out, fm_err *err)
{
    const fm_attr *a = NULL;
    int rc = find_typed(n, name, FM_ATTR_INT, &a, err);

    if (a)
        *out = a->i;
    return rc;
}

int fm_attr_float(const fm_node *n, const char *name, float *out, fm_err *err)
{
    const fm_attr *a = NULL;
    int rc = find_typed(n, name, FM_ATTR_FLOAT, &a, err);

    if (a)
        *out = a->f;
    return rc;
}

int fm_attr_string(const fm_node *n, const char *name, const char **out, fm_err *err)
{
    const fm_attr *a = NULL;
    int rc = find_typed(n, name, FM_ATTR_STRING, &a, err);

    if (a)
        *out = a->s;
    return rc;
}

int fm_attr_ints(const fm_node *n, const char *name, const int64_t **out, size_t *count, fm_err *err)
{
    const fm_attr *a = NULL;
    int rc = find_typed(n, name, FM_ATTR_INTS, &a, err);

    *out = a ? a->ints : NULL;
    *count = a ? a->n : 0;
    return rc;
}

fm_tensor *fm_node_in(const fm_graph *g, const fm_node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 ? &g->values[n->in[i]].t : NULL;
}

fm_tensor *fm_node_out(const fm_graph *g, const fm_node *n, int i)
{
    return i < n->n_out && n->out[i] >= 0 ? &g->values[n->out[i]].t : NULL;
}
