/* A network keeps the file and a graph that is planned for one batch.  A larger
 * batch goes through it in passes of a few pictures, as many as the caches hold,
 * when the graph is proven to keep pictures apart.  Otherwise another graph is
 * built from the file for that batch, and only when that works takes the place
 * of the first: no second form of a model has to be kept in step. */
#include "worker/net/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/net/onnx.h"
#include "worker/net/conv.h"
#include "worker/net/memory_plan.h"

typedef struct {
    fm_graph g;
    fm_memory_plan plan;
    double *ms;                 /* [nodes] of the last run */
} build;

struct fm_network {
    const void *file;
    size_t n;
    fm_network_options options;
    char **names;               /* copies of options.outputs */
    fm_tensor *declared;        /* [inputs], as the file has them */
    build b;
    int64_t planned;            /* batch of b; 0: no input's is free */
    int64_t proven;             /* batch that may be run in passes of planned pictures */
    fm_tensor *out;             /* [outputs] of all passes together; data on the heap */
    char **part;                /* [inputs] room for the last pass */
};

static void build_fini(build *b)
{
    fm_graph_fini(&b->g);
}

/* dims: of each input; NULL: as declared, with a batch of one where it is free. */
static int set_inputs(fm_graph *g, const fm_tensor *dims, fm_err *err)
{
    for (int i = 0; i < g->n_inputs; i++) {
        fm_value *v = &g->values[g->inputs[i]];

        for (int k = 1; k < v->t.rank; k++)
            if (v->t.dims[k] < 0)
                return fm_fail(err, -ENOTSUP, "input \"%.100s\": dimension %d is not fixed; only the first, the batch, "
                               "may be free: export the model for one size", v->name, k + 1);
        if (v->t.rank > 0 && v->t.dims[0] < 0)
            v->t.dims[0] = dims ? dims[i].dims[0] : 1;
        if (!fm_tensor_valid(&v->t) || fm_tensor_count(&v->t) == 0)
            return fm_fail(err, -ENOTSUP, "input \"%.100s\": empty, or more than 2^40 elements", v->name);
    }
    return 0;
}

/* Everything up to what does not depend on the processor. */
static int build_read(const fm_network *net, const fm_tensor *dims, fm_graph *g, fm_err *err)
{
    int rc = fm_onnx_read(net->file, net->n, net->options.outputs, net->options.n_outputs, g, err);

    if (rc == 0 && (rc = set_inputs(g, dims, err)) == 0)
        rc = fm_graph_infer(g, err);
    return rc;
}

static size_t limit_of(const fm_network *net)
{
    return net->options.max_bytes ? net->options.max_bytes : FM_NETWORK_BYTES;
}

static int build_make(const fm_network *net, const fm_tensor *dims, build *out, fm_err *err)
{
    build b = {0};
    int rc;

    fm_graph_init(&b.g, limit_of(net));
    if ((rc = build_read(net, dims, &b.g, err)) != 0 || (rc = fm_graph_fuse(&b.g, err)) != 0 ||
        (rc = fm_graph_layout(&b.g, err)) != 0 ||
        (rc = fm_memory_plan_make(&b.g, fm_lanes_for(net->options.isa), &b.plan, err)) != 0)
        goto done;
    b.ms = fm_arena_get(&b.g.arena, (size_t)b.g.n_nodes * sizeof *b.ms);
    if (!b.ms) {
        rc = fm_graph_nomem(&b.g, err);
        goto done;
    }
    *out = b;
    memset(&b, 0, sizeof b);
done:
    build_fini(&b);
    return rc;
}

/* The file's own shapes of its inputs, before a batch is chosen. */
static int read_declared(fm_network *net, fm_err *err)
{
    fm_graph g;
    int rc;

    fm_graph_init(&g, limit_of(net));
    rc = fm_onnx_read(net->file, net->n, net->options.outputs, net->options.n_outputs, &g, err);
    if (rc == 0) {
        net->declared = calloc((size_t)g.n_inputs + 1, sizeof *net->declared);
        if (!net->declared)
            rc = fm_fail_nomem(err, "network inputs", (size_t)g.n_inputs * sizeof *net->declared);
    }
    for (int i = 0; rc == 0 && i < g.n_inputs; i++) {
        net->declared[i] = g.values[g.inputs[i]].t;
        net->planned = net->declared[i].rank > 0 && net->declared[i].dims[0] < 0 ? 1 : net->planned;
    }
    net->part = calloc((size_t)g.n_inputs + 1, sizeof *net->part);
    net->out = calloc((size_t)g.n_outputs + 1, sizeof *net->out);
    if (rc == 0 && (!net->part || !net->out))
        rc = fm_fail_nomem(err, "network outputs", (size_t)g.n_outputs * sizeof *net->out);
    fm_graph_fini(&g);
    return rc;
}

static int copy_names(fm_network *net, fm_err *err)
{
    size_t n = net->options.n_outputs;

    if (n == 0)
        return 0;
    net->names = calloc(n, sizeof *net->names);
    for (size_t i = 0; i < n; i++)
        if (!net->names || !(net->names[i] = strdup(net->options.outputs[i])))
            return fm_fail_nomem(err, "names of outputs", n);
    net->options.outputs = (const char *const *)net->names;
    return 0;
}

int fm_network_load(const void *file, size_t n, const fm_network_options *options, fm_network **out, fm_err *err)
{
    fm_network *net = calloc(1, sizeof *net);
    int rc;

    if (!net)
        return fm_fail_nomem(err, "network", sizeof *net);
    net->file = file;
    net->n = n;
    net->options = *options;
    if ((rc = copy_names(net, err)) != 0 || (rc = read_declared(net, err)) != 0 ||
        (rc = build_make(net, NULL, &net->b, err)) != 0) {
        fm_network_close(net);
        return rc;
    }
    *out = net;
    return 0;
}

void fm_network_close(fm_network *net)
{
    if (!net)
        return;
    for (size_t i = 0; net->names && i < net->options.n_outputs; i++)
        free(net->names[i]);
    for (int i = 0; net->part && i < net->b.g.n_inputs; i++)
        free(net->part[i]);
    for (int i = 0; net->out && i < net->b.g.n_outputs; i++)
        free(net->out[i].data);
    free(net->part);
    free(net->out);
    free(net->names);
    free(net->declared);
    build_fini(&net->b);
    free(net);
}

size_t fm_network_inputs(const fm_network *net)
{
    return (size_t)net->b.g.n_inputs;
}

size_t fm_network_outputs(const fm_network *net)
{
    return (size_t)net->b.g.n_outputs;
}

const char *fm_network_input(const fm_network *net, size_t i, fm_tensor *out)
{
    *out = net->declared[i];
    out->data = NULL;
    return net->b.g.values[net->b.g.inputs[i]].name;
}

const char *fm_network_output(const fm_network *net, size_t i, fm_tensor *out)
{
    const fm_value *v = &net->b.g.values[net->b.g.outputs[i]];

    *out = v->t;
    out->data = NULL;
    return v->name;
}

const char *fm_network_metadata(const fm_network *net, const char *key, char *buffer, size_t size)
{
    fm_span s = fm_onnx_metadata(net->file, net->n, key);

    if (!s.at)
        return NULL;
    snprintf(buffer, size, "%.*s", (int)(s.n < size ? s.n : size), (const char *)s.at);
    return buffer;
}

static int check_inputs(const fm_network *net, const fm_tensor *in, bool *same, fm_err *err)
{
    const fm_graph *g = &net->b.g;

    *same = true;
    for (int i = 0; i < g->n_inputs; i++) {
        const fm_tensor *want = &net->declared[i], *now = &g->values[g->inputs[i]].t;
        fm_tensor open = in[i];
        char a[128], b[128];

        if (open.rank > 0 && want->rank == open.rank && want->dims[0] < 0)
            open.dims[0] = -1;
        if (in[i].type != want->type || !fm_tensor_valid(&in[i]) || !fm_tensor_same_dims(&open, want))
            return fm_fail(err, -EINVAL, "input \"%.100s\" is %s, expected %s%s", g->values[g->inputs[i]].name,
                           fm_tensor_text(&in[i], a, sizeof a), fm_tensor_text(want, b, sizeof b),
                           want->rank > 0 && want->dims[0] < 0 ? " (-1: any)" : "");
        if (fm_tensor_count(&in[i]) == 0)
            return fm_fail(err, -EINVAL, "input \"%.100s\": the batch is empty", g->values[g->inputs[i]].name);
        *same = *same && fm_tensor_same_dims(&in[i], now);
    }
    return 0;
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void run_nodes(build *b)
{
    double at = now_ms();

    for (int i = 0; i < b->g.n_nodes; i++) {
        const fm_node *n = &b->g.nodes[i];
        double then = at;

        if (n->op->alias)
            b->g.values[n->out[0]].t.data = b->g.values[n->in[0]].t.data;
        else
            n->op->run(&b->plan.calls[i]);
        at = now_ms();
        b->ms[i] += at - then;
    }
}

/* The one batch of all inputs, when each leaves it free; 0: they do not agree. */
static int64_t batch_of(const fm_network *net, const fm_tensor *in)
{
    int64_t batch = in[0].rank > 0 ? in[0].dims[0] : 0;

    for (int i = 0; i < net->b.g.n_inputs; i++)
        if (net->declared[i].rank == 0 || net->declared[i].dims[0] >= 0 || in[i].dims[0] != batch)
            return 0;
    return batch;
}

static int rebuild(fm_network *net, const fm_tensor *in, int64_t batch, fm_err *err)
{
    build other;
    int rc = build_make(net, in, &other, err);

    if (rc == 0) {
        build_fini(&net->b);
        net->b = other;
        net->planned = batch;
        net->proven = 0;
    }
    return rc;
}

/* Pictures whose activations take 16 MB or a fifth of the weights, whichever is more: what is read once a pass, the
 * weights, against what should stay in the caches. */
static int64_t pass_of(const fm_network *net, int64_t batch)
{
    size_t weights = net->n / 5, room = weights > (size_t)16 << 20 ? weights : (size_t)16 << 20;
    size_t each = net->b.plan.activations / (size_t)net->planned + 1;
    int64_t pass = (int64_t)(room / each);

    return pass < 1 ? 1 : pass > batch ? batch : pass;
}

int fm_network_apart(const fm_network *net, int64_t batch, bool *apart, fm_err *err)
{
    size_t n = (size_t)net->b.g.n_inputs;
    fm_tensor *dims = calloc(n + 1, sizeof *dims);
    fm_graph g;
    int rc;

    if (!dims)
        return fm_fail_nomem(err, "network inputs", n * sizeof *dims);
    for (size_t i = 0; i < n; i++)
        dims[i].dims[0] = batch;
    fm_graph_init(&g, limit_of(net));
    rc = build_read(net, dims, &g, err);
    *apart = rc == 0 && fm_graph_separable(&g, batch);
    fm_graph_fini(&g);
    free(dims);
    return rc;
}

/* Whether in may be run in passes; plans for as many pictures as one should have. */
static int prepare_passes(fm_network *net, const fm_tensor *in, int64_t batch, bool *passes, fm_err *err)
{
    fm_tensor *few;
    fm_graph g;
    int64_t pass;
    int rc;

    *passes = batch == net->proven;
    if (*passes)
        return 0;
    fm_graph_init(&g, limit_of(net));
    rc = build_read(net, in, &g, err);
    *passes = rc == 0 && fm_graph_separable(&g, batch);
    fm_graph_fini(&g);
    if (!*passes)
        return rc;
    pass = pass_of(net, batch);
    few = calloc((size_t)net->b.g.n_inputs + 1, sizeof *few);
    if (!few)
        return fm_fail_nomem(err, "network inputs", (size_t)net->b.g.n_inputs * sizeof *few);
    for (int i = 0; i < net->b.g.n_inputs; i++) {
        few[i] = in[i];
        few[i].dims[0] = pass;
    }
    rc = pass == net->planned ? 0 : rebuild(net, few, pass, err);
    free(few);
    net->proven = rc == 0 ? batch : net->proven;
    return rc;
}

static int grow_outputs(fm_network *net, int64_t batch, fm_err *err)
{
    for (int i = 0; i < net->b.g.n_outputs; i++) {
        fm_tensor t = net->b.g.values[net->b.g.outputs[i]].t;
        void *data;

        t.dims[0] = batch;
        data = realloc(net->out[i].data, fm_tensor_bytes(&t));
        if (!data)
            return fm_fail_nomem(err, "network outputs", fm_tensor_bytes(&t));
        net->out[i] = t;
        net->out[i].data = data;
    }
    for (int i = 0; i < net->b.g.n_inputs; i++) {
        const fm_tensor *t = &net->b.g.values[net->b.g.inputs[i]].t;
        char *data = realloc(net->part[i], fm_tensor_bytes(t));

        if (!data)
            return fm_fail_nomem(err, "network inputs", fm_tensor_bytes(t));
        net->part[i] = data;
    }
    return 0;
}

/* Pictures first and on, as many as are planned; a last pass that is not full is filled up with zeros. */
static void run_pass(fm_network *net, const fm_tensor *in, int64_t first, int64_t batch)
{
    fm_graph *g = &net->b.g;
    size_t n = (size_t)(batch - first < net->planned ? batch - first : net->planned);

    for (int i = 0; i < g->n_inputs; i++) {
        fm_tensor *t = &g->values[g->inputs[i]].t;
        size_t bytes = fm_tensor_bytes(t), each = bytes / (size_t)net->planned;

        t->data = (char *)in[i].data + (size_t)first * each;
        if (n < (size_t)net->planned) {
            memcpy(net->part[i], t->data, n * each);
            memset(net->part[i] + n * each, 0, bytes - n * each);
            t->data = net->part[i];
        }
    }
    run_nodes(&net->b);
    for (int i = 0; i < g->n_outputs; i++) {
        const fm_tensor *t = &g->values[g->outputs[i]].t;
        size_t each = fm_tensor_bytes(t) / (size_t)net->planned;

        memcpy((char *)net->out[i].data + (size_t)first * each, t->data, n * each);
    }
}

static int run_whole(fm_network *net, const fm_tensor *in, bool same, fm_tensor *out, fm_err *err)
{
    fm_graph *g;
    int rc = same ? 0 : rebuild(net, in, in[0].rank > 0 ? in[0].dims[0] : 0, err);

    if (rc != 0)
        return rc;
    g = &net->b.g;
    memset(net->b.ms, 0, (size_t)g->n_nodes * sizeof *net->b.ms);
    for (int i = 0; i < g->n_inputs; i++)
        g->values[g->inputs[i]].t.data = in[i].data;
    run_nodes(&net->b);
    for (int i = 0; i < g->n_outputs; i++)
        out[i] = g->values[g->outputs[i]].t;
    return 0;
}

static int run_passes(fm_network *net, const fm_tensor *in, int64_t batch, fm_tensor *out, fm_err *err)
{
    int64_t passes = (batch + net->planned - 1) / net->planned;
    int rc = grow_outputs(net, batch, err);

    if (rc != 0)
        return rc;
    memset(net->b.ms, 0, (size_t)net->b.g.n_nodes * sizeof *net->b.ms);
    for (int64_t first = 0; first < batch; first += net->planned)
        run_pass(net, in, first, batch);
    for (int i = 0; i < net->b.g.n_nodes; i++)
        net->b.ms[i] /= (double)passes;
    for (int i = 0; i < net->b.g.n_outputs; i++)
        out[i] = net->out[i];
    return 0;
}

int fm_network_run(fm_network *net, const fm_tensor *in, fm_tensor *out, fm_err *err)
{
    bool same, passes = false;
    int rc = check_inputs(net, in, &same, err);
    int64_t batch = rc == 0 && !same && net->planned > 0 ? batch_of(net, in) : 0;

    if (rc == 0 && batch > 1)
        rc = prepare_passes(net, in, batch, &passes, err);
    if (rc != 0)
        return rc;
    if (passes && batch != net->planned)
        return run_passes(net, in, batch, out, err);
    return run_whole(net, in, same || passes, out, err);
}

int64_t fm_network_pass(const fm_network *net)
{
    return net->planned > 0 ? net->planned : 1;
}

size_t fm_network_layers(const fm_network *net)
{
    return (size_t)net->b.g.n_nodes;
}

void fm_network_layer_get(const fm_network *net, size_t i, fm_network_layer *out)
{
    static const char *const acts[] = {"", "clamp", "leaky", "prelu", "hard sigmoid", "hard swish", "sigmoid", "tanh"};
    const fm_graph *g = &net->b.g;
    const fm_node *n = &g->nodes[i];
    const fm_value *v = &g->values[n->out[0]];
    fm_network_layer l = {.name = n->name, .op = n->op_name, .act = acts[n->p.act.kind], .out = v->t, .ms = net->b.ms[i]};

    l.kernel = n->op->alias ? "shared" : n->kernel ? n->kernel : "plain loop";
    l.added = n->op == &fm_op_conv && n->n_in > FM_CONV_ADD && n->in[FM_CONV_ADD] >= 0;
    l.flops = n->op->alias ? 0 : n->op->flops ? n->op->flops(g, n) : (double)fm_tensor_count(&v->t);
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] >= 0 && g->values[n->in[k]].constant)
            l.weights += fm_tensor_bytes(fm_node_in(g, n, k));
    l.out.data = NULL;
    for (int k = 0; v->channels_last && k < v->t.rank; k++)
        l.out.dims[k] = v->t.dims[fm_axis_to_last(k, v->t.rank)];
    *out = l;
}

size_t fm_network_activations(const fm_network *net)
{
    return net->b.plan.activations;
}

size_t fm_network_memory(const fm_network *net)
{
    return net->b.g.arena.used;
}
