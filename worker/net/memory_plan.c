/* Memory is handed out in the order in which nodes run: a value's place is free
 * again after the last node that reads it.  Values that are another view of the
 * same data, or that are computed in place, share one.  The first fitting gap of
 * those that are smallest is taken; a plan for hundreds of layers takes no time. */
#include "worker/net/memory_plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/net/conv.h"

enum { SLACK = 32 };            /* floats that a kernel may read behind a run of zeros */

typedef struct {
    size_t at, bytes;
} gap;

typedef struct {
    fm_graph *g;
    int *root;                  /* of each value: the one whose place it shares, or one nearer to it */
    int *last;                  /* of each root: the last node that reads it; n_nodes: an output */
    bool *feeds;                /* of each node: it is done together with the next one */
    size_t *at;                 /* of each root: where its place is */
    gap *gaps;                  /* sorted by place, none touching another */
    int n_gaps;
    size_t end;                 /* of all places so far */
} planner;

static size_t place_bytes(const fm_tensor *t)
{
    return (fm_tensor_bytes(t) + 127) & ~(size_t)63;
}

static bool in_arena(const fm_graph *g, int v)
{
    return g->values[v].made_by >= 0 && !g->values[v].t.data;
}

static int root_of(const planner *p, int v)
{
    while (p->root[v] != v)
        v = p->root[v] = p->root[p->root[v]];
    return v;
}

/* Whether n may write over its first input: element by element, and nobody reads it later. */
static bool in_place(const planner *p, const fm_node *n, int at)
{
    const fm_graph *g = p->g;
    const fm_tensor *x = fm_node_in(g, n, 0), *y = fm_node_out(g, n, 0);

    if (n->op->layout != FM_LAYOUT_ANY || n->op->alias || !x || !in_arena(g, n->in[0]) || x->type != y->type ||
        !fm_tensor_same_dims(x, y) || p->last[root_of(p, n->in[0])] != at)
        return false;
    for (int i = 1; i < n->n_in; i++)
        if (n->in[i] >= 0 && root_of(p, n->in[i]) == root_of(p, n->in[0]))
            return false;
    return true;
}

static void find_roots(planner *p)
{
    fm_graph *g = p->g;

    for (int v = 0; v < g->n_values; v++) {
        p->root[v] = v;
        p->last[v] = -1;
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op->alias)
            p->root[g->nodes[i].out[0]] = root_of(p, g->nodes[i].in[0]);
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0)
                p->last[root_of(p, g->nodes[i].in[k])] = i;
    /* what feeds the next node still reads while that writes */
    for (int i = 0; i + 1 < g->n_nodes; i++)
        for (int k = 0; p->feeds[i] && k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0 && p->last[root_of(p, g->nodes[i].in[k])] == i)
                p->last[root_of(p, g->nodes[i].in[k])] = i + 1;
    for (int i = 0; i < g->n_outputs; i++)
        p->last[root_of(p, g->outputs[i])] = g->n_nodes;
}

/* Convolutions that are done together with the next one. */
static void find_fed(planner *p)
{
    fm_graph *g = p->g;

    for (int i = 0; i + 1 < g->n_nodes; i++)
        if ((p->feeds[i] = fm_conv_feeds(g, &g->nodes[i], &g->nodes[i + 1])))
            g->nodes[i + 1].kernel = "depthwise, above";
}

static size_t place_take(planner *p, size_t bytes)
{
    int best = -1;
    size_t at;

    for (int i = 0; i < p->n_gaps; i++)
        if (p->gaps[i].bytes >= bytes && (best < 0 || p->gaps[i].bytes < p->gaps[best].bytes))
            best = i;
    if (best < 0) {
        gap *tail = p->n_gaps ? &p->gaps[p->n_gaps - 1] : NULL;

        at = p->end;
        if (tail && tail->at + tail->bytes == p->end) {
            at = tail->at;
            p->n_gaps--;
        }
        p->end = at + bytes;
        return at;
    }
    at = p->gaps[best].at;
    p->gaps[best].at += bytes;
    p->gaps[best].bytes -= bytes;
    if (p->gaps[best].bytes == 0) {
        memmove(p->gaps + best, p->gaps + best + 1, (size_t)(p->n_gaps - best - 1) * sizeof *p->gaps);
        p->n_gaps--;
    }
    return at;
}

static void place_give(planner *p, size_t at, size_t bytes)
{
    int i = 0;

    while (i < p->n_gaps && p->gaps[i].at < at)
        i++;
    if (i > 0 && p->gaps[i - 1].at + p->gaps[i - 1].bytes == at) {
        p->gaps[--i].bytes += bytes;
    } else {
        memmove(p->gaps + i + 1, p->gaps + i, (size_t)(p->n_gaps - i) * sizeof *p->gaps);
        p->gaps[i] = (gap){at, bytes};
        p->n_gaps++;
    }
    if (i + 1 < p->n_gaps && p->gaps[i].at + p->gaps[i].bytes == p->gaps[i + 1].at) {
        p->gaps[i].bytes += p->gaps[i + 1].bytes;
        memmove(p->gaps + i + 1, p->gaps + i + 2, (size_t)(p->n_gaps - i - 2) * sizeof *p->gaps);
        p->n_gaps--;
    }
}

/* Gives back the places whose last reader node at was, each once. */
static void release(planner *p, const fm_node *n, int at)
{
    const fm_graph *g = p->g;

    for (int k = 0; k < n->n_in + n->n_out; k++) {
        int v = k < n->n_in ? n->in[k] : n->out[k - n->n_in], r = v < 0 ? -1 : root_of(p, v);

        if (r < 0 || !in_arena(g, r) || (k < n->n_in ? p->last[r] != at : p->last[r] != -1))
            continue;
        place_give(p, p->at[r], place_bytes(&g->values[r].t));
        p->last[r] = -2;        /* given back */
    }
}

static void lay_out(planner *p)
{
    fm_graph *g = p->g;

    for (int i = 0; i < g->n_nodes; i++) {
        fm_node *n = &g->nodes[i];

        if (in_place(p, n, i)) {
            int from = root_of(p, n->in[0]), to = n->out[0];

            p->last[from] = p->last[to];
            p->root[to] = from;
        }
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0 && p->root[n->out[k]] == n->out[k] && g->values[n->out[k]].known)
                p->at[n->out[k]] = place_take(p, place_bytes(&g->values[n->out[k]].t));
        release(p, n, i);
        if (i > 0 && p->feeds[i - 1])
            release(p, &g->nodes[i - 1], i);
    }
}

static int planner_init(planner *p, fm_graph *g, fm_err *err)
{
    size_t n = (size_t)g->n_values + 1;

    *p = (planner){.g = g};
    p->root = fm_arena_get(&g->arena, n * sizeof *p->root);
    p->last = fm_arena_get(&g->arena, n * sizeof *p->last);
    p->feeds = fm_arena_get(&g->arena, ((size_t)g->n_nodes + 1) * sizeof *p->feeds);
    p->at = fm_arena_get(&g->arena, n * sizeof *p->at);
    p->gaps = fm_arena_get(&g->arena, (n + 1) * sizeof *p->gaps);
    return g->arena.failed ? fm_graph_nomem(g, err) : 0;
}

/* Room for the most channels any picture has, of one number. */
static float *row_of(fm_graph *g, size_t n, float v)
{
    float *row = fm_arena_get(&g->arena, n * sizeof *row);

    for (size_t i = 0; row && i < n; i++)
        row[i] = v;
    return row;
}

static size_t most_channels(const fm_graph *g)
{
    size_t most = 0;

    for (int i = 0; i < g->n_nodes; i++) {
        const fm_tensor *x = fm_node_in(g, &g->nodes[i], 0);

        if (x && g->nodes[i].op->layout == FM_LAYOUT_PICTURE && (size_t)x->dims[x->rank - 1] > most)
            most = (size_t)x->dims[x->rank - 1];
    }
    return most + SLACK;
}

static int make_calls(const planner *p, const fm_lanes *lanes, fm_memory_plan *plan, fm_err *err)
{
    fm_graph *g = p->g;
    size_t scratch_bytes = 64, channels = most_channels(g);
    float *zeros = row_of(g, channels, 0), *lowest = row_of(g, channels, -INFINITY);
    char *scratch;

    plan->calls = fm_arena_get(&g->arena, (size_t)g->n_nodes * sizeof *plan->calls);
    if (g->arena.failed)
        return fm_graph_nomem(g, err);
    for (int i = 0; i < g->n_nodes; i++) {
        fm_node *n = &g->nodes[i];
        const fm_tensor **io = fm_arena_get(&g->arena, (size_t)(n->n_in + n->n_out) * sizeof *io);
        size_t bytes = n->op->scratch ? n->op->scratch(g, n, lanes) : 0;

        if (!io)
            return fm_graph_nomem(g, err);
        for (int k = 0; k < n->n_in; k++)
            io[k] = fm_node_in(g, n, k);
        for (int k = 0; k < n->n_out; k++)
            io[n->n_in + k] = fm_node_out(g, n, k);
        scratch_bytes = bytes > scratch_bytes ? bytes : scratch_bytes;
        plan->calls[i] = (fm_call){.n = n, .in = io, .out = io + n->n_in, .lanes = lanes, .zeros = zeros, .lowest = lowest};
    }
    scratch = fm_arena_get(&g->arena, scratch_bytes);
    if (!scratch)
        return fm_graph_nomem(g, err);
    for (int i = 0; i < g->n_nodes; i++) {
        plan->calls[i].scratch = scratch;
        plan->calls[i].feeds = p->feeds[i] ? &plan->calls[i + 1] : NULL;
        plan->calls[i].fed = i > 0 && p->feeds[i - 1];
    }
    return 0;
}

int fm_memory_plan_make(fm_graph *g, const fm_lanes *lanes, fm_memory_plan *out, fm_err *err)
{
    fm_memory_plan plan = {0};
    planner p;
    char *memory;
    int rc = planner_init(&p, g, err);

    for (int i = 0; rc == 0 && i < g->n_nodes; i++)
        if (g->nodes[i].op->prepare)
            rc = g->nodes[i].op->prepare(g, &g->nodes[i], lanes, err);
    if (rc != 0)
        return rc;
    for (int v = 0; v < g->n_values; v++)
        g->values[v].constant = g->values[v].t.data != NULL;
    find_fed(&p);
    find_roots(&p);
    lay_out(&p);
    plan.activations = p.end;
    memory = fm_arena_get(&g->arena, p.end);
    if (!memory)
        return fm_graph_nomem(g, err);
    for (int v = g->n_values - 1; v >= 0; v--)
        if (g->values[v].known && in_arena(g, v) && in_arena(g, root_of(&p, v)) && !g->nodes[g->values[v].made_by].op->alias)
            g->values[v].t.data = memory + p.at[root_of(&p, v)];
    rc = make_calls(&p, lanes, &plan, err);
    if (rc == 0)
        *out = plan;
    return rc;
}
