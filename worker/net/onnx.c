/* ModelProto to graph: two walks over the bytes.  The first finds the graph and
 * the operator set; the second meets initializers, inputs and nodes in the order
 * of the file, which ONNX keeps for nodes alone, so initializers and inputs are
 * taken before them.  Names become numbers in a hash table that is dropped at
 * the end. */
#include "worker/net/onnx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "worker/net/ops.h"

enum { MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_METADATA = 14 };
enum {
    GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_SPARSE = 15
};
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum {
    ATTR_NAME = 1, ATTR_F = 2, ATTR_I = 3, ATTR_S = 4, ATTR_T = 5, ATTR_FLOATS = 7, ATTR_INTS = 8, ATTR_TYPE = 20
};

typedef struct {
    const uint8_t *at;
    size_t n;
    int value;                  /* -1: free */
} slot;

typedef struct {
    fm_graph *g;
    fm_err *err;
    fm_span graph;
    slot *slots;
    size_t n_slots, used;       /* n_slots a power of two */
} reader;

static bool is(fm_span s, const char *text)
{
    return s.n == strlen(text) && (s.n == 0 || memcmp(s.at, text, s.n) == 0);
}

static slot *slot_of(const slot *slots, size_t n_slots, fm_span name)
{
    uint64_t h = 0xcbf29ce484222325u;
    size_t i;

    for (size_t k = 0; k < name.n; k++)
        h = (h ^ name.at[k]) * 0x100000001b3u;
    for (i = (h ^ h >> 29) & (n_slots - 1); slots[i].value >= 0; i = (i + 1) & (n_slots - 1))
        if (slots[i].n == name.n && (name.n == 0 || memcmp(slots[i].at, name.at, name.n) == 0))
            break;
    return (slot *)&slots[i];
}

static int slots_grow(reader *rd)
{
    size_t n = rd->n_slots ? rd->n_slots * 2 : 1024;
    slot *grown = malloc(n * sizeof *grown);

    if (!grown)
        return fm_fail_nomem(rd->err, "the network's names", n * sizeof *grown);
    for (size_t i = 0; i < n; i++)
        grown[i].value = -1;
    for (size_t i = 0; i < rd->n_slots; i++)
        if (rd->slots[i].value >= 0)
            *slot_of(grown, n, (fm_span){rd->slots[i].at, rd->slots[i].n}) = rd->slots[i];
    free(rd->slots);
    rd->slots = grown;
    rd->n_slots = n;
    return 0;
}

static int find(const reader *rd, fm_span name)
{
    return rd->n_slots ? slot_of(rd->slots, rd->n_slots, name)->value : -1;
}

/* A new value of that name; a name may be given once. */
static int define(reader *rd, fm_span name, int *out)
{
    const char *text = fm_arena_text(&rd->g->arena, name.at, name.n);
    int v = text ? fm_graph_value(rd->g, text) : -1, rc;

    if (v < 0)
        return fm_graph_nomem(rd->g, rd->err);
    if (name.n == 0 || memchr(name.at, 0, name.n))
        return fm_fail(rd->err, -EBADMSG, "network: a value without a proper name");
    if (find(rd, name) >= 0)
        return fm_fail(rd->err, -EBADMSG, "network: two values are called \"%.200s\"", text);
    if (2 * rd->used >= rd->n_slots && (rc = slots_grow(rd)) != 0)
        return rc;
    *slot_of(rd->slots, rd->n_slots, name) = (slot){name.at, name.n, v};
    rd->used++;
    *out = v;
    return 0;
}

static int broken(reader *rd, const char *what)
{
    return fm_fail(rd->err, -EBADMSG, "network: %s is not what ONNX defines, or cut short", what);
}

/* A text attribute or name as a string of the arena. */
static const char *text_of(reader *rd, fm_span s)
{
    return fm_arena_text(&rd->g->arena, s.at, s.n);
}

static int read_opset(reader *rd, fm_span bytes)
{
    fm_reader r = fm_pb_open(bytes);
    fm_span domain = {NULL, 0};
    int64_t version = 0;
    fm_pb_field f;

    while (fm_pb_next(&r, &f)) {
        if (f.number == 1)
            domain = fm_pb_bytes(&r, &f);
        else if (f.number == 2)
            version = fm_pb_int(&r, &f);
    }
    if (r.failed)
        return broken(rd, "an operator set");
    if (is(domain, "") || is(domain, "ai.onnx"))
        rd->g->opset = version;
    return 0;
}

static int read_model(reader *rd, const void *file, size_t n)
{
    fm_reader r = fm_reader_init(file, n);
    bool found = false;
    fm_pb_field f;
    int rc = 0;

    while (rc == 0 && fm_pb_next(&r, &f)) {
        if (f.number == MODEL_GRAPH) {
            rd->graph = fm_pb_bytes(&r, &f);
            found = true;
        } else if (f.number == MODEL_OPSET) {
            rc = read_opset(rd, fm_pb_bytes(&r, &f));
        }
    }
    if (rc == 0 && (r.failed || !found))
        return fm_fail(rd->err, -EBADMSG, "network: not an ONNX model, or cut short (byte %zu of %zu)",
                       n - (size_t)(r.end - r.at), n);
    if (rc == 0 && (rd->g->opset < FM_OPSET_MIN || rd->g->opset > FM_OPSET_MAX))
        return fm_fail(rd->err, -ENOTSUP, "network: operator set %" PRId64 "; supported are %d to %d: export it again "
                       "for one of them", rd->g->opset, FM_OPSET_MIN, FM_OPSET_MAX);
    return rc;
}

static int read_initializer(reader *rd, fm_span bytes)
{
    fm_reader r = fm_pb_open(bytes);
    fm_span name = {NULL, 0};
    fm_pb_field f;
    fm_tensor t;
    int v, rc;

    while (fm_pb_next(&r, &f))
        if (f.number == 8)
            name = fm_pb_bytes(&r, &f);
    if (r.failed)
        return broken(rd, "an initializer");
    if ((rc = fm_onnx_tensor_read(bytes, "initializer", &rd->g->arena, &t, rd->err)) != 0 ||
        (rc = define(rd, name, &v)) != 0)
        return rc;
    rd->g->values[v].t = t;
    rd->g->values[v].known = true;
    return 0;
}

/* TensorShapeProto.Dimension: a number, or -1 for a name or nothing. */
static int64_t read_dim(reader *rd, fm_span bytes, int *rc)
{
    fm_reader r = fm_pb_open(bytes);
    int64_t dim = -1;
    fm_pb_field f;

    while (fm_pb_next(&r, &f))
        if (f.number == 1)
            dim = fm_pb_int(&r, &f);
    if (r.failed || dim < -1)
        *rc = broken(rd, "a dimension");
    return dim;
}

/* TypeProto.Tensor. */
static int read_type(reader *rd, fm_span bytes, const char *name, fm_tensor *t)
{
    fm_reader r = fm_pb_open(bytes), dims;
    int64_t type = 0;
    fm_pb_field f, d;
    int rc = 0;

    t->rank = -1;
    while (rc == 0 && fm_pb_next(&r, &f)) {
        if (f.number == 1) {
            type = fm_pb_int(&r, &f);
        } else if (f.number == 2) {
            t->rank = 0;
            for (dims = fm_pb_open(fm_pb_bytes(&r, &f)); rc == 0 && fm_pb_next(&dims, &d);)
                if (d.number == 1 && t->rank == FM_RANK_MAX)
                    rc = fm_fail(rd->err, -ENOTSUP, "input \"%.100s\": more than %d dimensions", name, FM_RANK_MAX);
                else if (d.number == 1)
                    t->dims[t->rank++] = read_dim(rd, fm_pb_bytes(&dims, &d), &rc);
            r.failed |= dims.failed;
        }
    }
    if (rc == 0 && r.failed)
        return broken(rd, "an input's type");
    if (rc == 0 && t->rank < 0)
        return fm_fail(rd->err, -ENOTSUP, "input \"%.100s\": its shape is not given", name);
    if (rc == 0 && type != FM_F32 && type != FM_I64)
        return fm_fail(rd->err, -ENOTSUP, "input \"%.100s\": data type %" PRId64 "; supported are float32 (1) and int64 (7)",
                       name, type);
    t->type = (fm_type)type;
    return rc;
}

/* ValueInfoProto: its name, and the type when it is a tensor. */
static int read_value_info(reader *rd, fm_span bytes, fm_span *name, fm_span *tensor)
{
    fm_reader r = fm_pb_open(bytes), type;
    fm_pb_field f, t;

    *name = *tensor = (fm_span){NULL, 0};
    while (fm_pb_next(&r, &f)) {
        if (f.number == 1) {
            *name = fm_pb_bytes(&r, &f);
        } else if (f.number == 2) {
            for (type = fm_pb_open(fm_pb_bytes(&r, &f)); fm_pb_next(&type, &t);)
                if (t.number == 1)
                    *tensor = fm_pb_bytes(&type, &t);
            r.failed |= type.failed;
        }
    }
    return r.failed ? broken(rd, "an input or output") : 0;
}

/* Old files list initializers among the inputs, too. */
static int read_input(reader *rd, fm_span bytes)
{
    fm_graph *g = rd->g;
    fm_span name, tensor;
    int v, rc = read_value_info(rd, bytes, &name, &tensor);

    if (rc != 0 || find(rd, name) >= 0)
        return rc;
    if ((rc = define(rd, name, &v)) != 0)
        return rc;
    if (!tensor.at)
        return fm_fail(rd->err, -ENOTSUP, "input \"%.100s\": not a tensor with a type and a shape", g->values[v].name);
    g->inputs[g->n_inputs++] = v;
    g->values[v].known = true;
    return read_type(rd, tensor, g->values[v].name, &g->values[v].t);
}

static int read_attribute(reader *rd, fm_span bytes, fm_attr *a)
{
    fm_buf ints = FM_BUF_INIT, floats = FM_BUF_INIT;
    fm_reader r = fm_pb_open(bytes);
    fm_pb_field f;
    int rc = 0;

    while (fm_pb_next(&r, &f)) {
        switch (f.number) {
        case ATTR_NAME: a->name = text_of(rd, fm_pb_bytes(&r, &f)); break;
        case ATTR_F: a->f = fm_pb_float(&r, &f); break;
        case ATTR_I: a->i = fm_pb_int(&r, &f); break;
        case ATTR_S: a->s = text_of(rd, fm_pb_bytes(&r, &f)); break;
        case ATTR_T: a->tensor = fm_pb_bytes(&r, &f); break;
        case ATTR_FLOATS: fm_pb_floats(&r, &f, &floats); break;
        case ATTR_INTS: fm_pb_ints(&r, &f, &ints); break;
        case ATTR_TYPE: a->type = (int)fm_pb_int(&r, &f); break;
        }
    }
    a->n = a->type == FM_ATTR_INTS ? ints.size / sizeof *a->ints : floats.size / sizeof *a->floats;
    a->ints = (const int64_t *)(const void *)fm_arena_text(&rd->g->arena, ints.data, ints.size);
    a->floats = (const float *)(const void *)fm_arena_text(&rd->g->arena, floats.data, floats.size);
    if (!a->ints || !a->floats || ints.failed || floats.failed || rd->g->arena.failed)
        rc = fm_graph_nomem(rd->g, rd->err);
    else if (r.failed || !a->name)
        rc = broken(rd, "an attribute");
    if (!a->s)
        a->s = "";
    fm_buf_fini(&ints);
    fm_buf_fini(&floats);
    return rc;
}

typedef struct {
    fm_span name, op, domain;
    int in, out, attrs;
} node_outline;

static bool outline(fm_span bytes, node_outline *o)
{
    fm_reader r = fm_pb_open(bytes);
    fm_pb_field f;

    memset(o, 0, sizeof *o);
    while (fm_pb_next(&r, &f)) {
        if (f.number == NODE_NAME)
            o->name = fm_pb_bytes(&r, &f);
        else if (f.number == NODE_OP)
            o->op = fm_pb_bytes(&r, &f);
        else if (f.number == NODE_DOMAIN)
            o->domain = fm_pb_bytes(&r, &f);
        else if (f.number == NODE_INPUT || f.number == NODE_OUTPUT || f.number == NODE_ATTRIBUTE)
            fm_pb_bytes(&r, &f);
        o->in += f.number == NODE_INPUT;
        o->out += f.number == NODE_OUTPUT;
        o->attrs += f.number == NODE_ATTRIBUTE;
    }
    return !r.failed && o->op.n > 0 && !memchr(o->op.at, 0, o->op.n);
}

static int read_node_fields(reader *rd, fm_span bytes, fm_node *n, fm_attr *attrs)
{
    fm_reader r = fm_pb_open(bytes);
    int in = 0, out = 0, rc = 0;
    fm_pb_field f;

    while (rc == 0 && fm_pb_next(&r, &f)) {
        if (f.number == NODE_INPUT && f.bytes.n > 0) {
            n->in[in] = find(rd, f.bytes);
            if (n->in[in] < 0)
                rc = fm_node_fail(rd->err, -EBADMSG, n, "reads \"%.*s\", which nothing before it gives",
                                  f.bytes.n < 100 ? (int)f.bytes.n : 100, (const char *)f.bytes.at);
        } else if (f.number == NODE_OUTPUT && f.bytes.n > 0) {
            rc = define(rd, f.bytes, &n->out[out]);
        } else if (f.number == NODE_ATTRIBUTE) {
            rc = read_attribute(rd, f.bytes, &attrs[n->n_attrs++]);
        }
        in += f.number == NODE_INPUT;
        out += f.number == NODE_OUTPUT;
    }
    return rc;
}

static int read_node(reader *rd, fm_span bytes)
{
    fm_graph *g = rd->g;
    node_outline o;
    fm_node *n;
    fm_attr *attrs;
    int at, rc;

    if (!outline(bytes, &o))
        return broken(rd, "a node");
    at = fm_graph_node(g, text_of(rd, o.name), NULL, o.in, o.out);
    attrs = fm_arena_get(&g->arena, (size_t)o.attrs * sizeof *attrs);
    if (at < 0 || !attrs || g->arena.failed)
        return fm_graph_nomem(g, rd->err);
    n = &g->nodes[at];
    n->op_name = text_of(rd, o.op);
    n->attrs = attrs;
    if (!n->op_name)
        return fm_graph_nomem(g, rd->err);
    rc = read_node_fields(rd, bytes, n, attrs);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] >= 0) {
            g->values[n->out[i]].made_by = at;
            if (!n->name[0])
                n->name = g->values[n->out[i]].name;
        }
    if (rc == 0 && !is(o.domain, "") && !is(o.domain, "ai.onnx"))
        return fm_node_fail(rd->err, -ENOTSUP, n, "an operator of \"%.*s\"; supported are those of ONNX itself",
                            o.domain.n < 60 ? (int)o.domain.n : 60, (const char *)o.domain.at);
    return rc;
}

static int read_output(reader *rd, fm_span bytes)
{
    fm_span name, tensor;
    int rc = read_value_info(rd, bytes, &name, &tensor);
    int v = rc == 0 ? find(rd, name) : -1;

    if (rc == 0 && v < 0)
        return fm_fail(rd->err, -EBADMSG, "network: no node gives the output \"%.*s\"", name.n < 200 ? (int)name.n : 200,
                       name.n ? (const char *)name.at : "");
    if (rc == 0)
        rd->g->outputs[rd->g->n_outputs++] = v;
    return rc;
}

/* Calls each on every field of that number. */
static int for_fields(reader *rd, uint32_t number, int (*each)(reader *, fm_span))
{
    fm_reader r = fm_pb_open(rd->graph);
    fm_pb_field f;
    int rc = 0;

    while (rc == 0 && fm_pb_next(&r, &f))
        if (f.number == number)
            rc = each(rd, fm_pb_bytes(&r, &f));
    return rc == 0 && r.failed ? broken(rd, "the graph") : rc;
}

static int take_outputs(reader *rd, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int v = find(rd, (fm_span){(const uint8_t *)names[i], strlen(names[i])});

        if (v < 0)
            return fm_fail(rd->err, -ENOENT, "network: it has no value \"%.200s\"", names[i]);
        rd->g->outputs[rd->g->n_outputs++] = v;
    }
    return 0;
}

static int no_sparse(reader *rd, fm_span bytes)
{
    (void)bytes;
    return fm_fail(rd->err, -ENOTSUP, "network: a sparse initializer; save the model with dense ones");
}

static int read_graph(reader *rd, const char *const *outputs, size_t n_outputs)
{
    fm_reader r = fm_pb_open(rd->graph);
    size_t n_in = 0, n_out = n_outputs;
    fm_pb_field f;
    int rc;

    while (fm_pb_next(&r, &f)) {
        n_in += f.number == GRAPH_INPUT;
        n_out += f.number == GRAPH_OUTPUT;
    }
    rd->g->inputs = fm_arena_get(&rd->g->arena, n_in * sizeof(int));
    rd->g->outputs = fm_arena_get(&rd->g->arena, n_out * sizeof(int));
    if (rd->g->arena.failed)
        return fm_graph_nomem(rd->g, rd->err);
    if ((rc = for_fields(rd, GRAPH_SPARSE, no_sparse)) != 0 ||
        (rc = for_fields(rd, GRAPH_INITIALIZER, read_initializer)) != 0 ||
        (rc = for_fields(rd, GRAPH_INPUT, read_input)) != 0 || (rc = for_fields(rd, GRAPH_NODE, read_node)) != 0)
        return rc;
    rc = n_outputs ? take_outputs(rd, outputs, n_outputs) : for_fields(rd, GRAPH_OUTPUT, read_output);
    if (rc == 0 && rd->g->n_outputs == 0)
        rc = fm_fail(rd->err, -EBADMSG, "network: it has no output");
    return rc;
}

int fm_onnx_read(const void *file, size_t n, const char *const *outputs, size_t n_outputs, fm_graph *g, fm_err *err)
{
    reader rd = {.g = g, .err = err};
    int rc = read_model(&rd, file, n);

    if (rc == 0)
        rc = read_graph(&rd, outputs, n_outputs);
    free(rd.slots);
    return rc;
}

fm_span fm_onnx_metadata(const void *file, size_t n, const char *key)
{
    fm_reader r = fm_reader_init(file, n), entry;
    fm_span name, value;
    fm_pb_field f, e;

    while (fm_pb_next(&r, &f)) {
        if (f.number != MODEL_METADATA || f.wire != FM_PB_BYTES)
            continue;
        name = value = (fm_span){NULL, 0};
        for (entry = fm_pb_open(f.bytes); fm_pb_next(&entry, &e);) {
            if (e.number == 1)
                name = e.bytes;
            else if (e.number == 2)
                value = e.bytes;
        }
        if (!entry.failed && is(name, key))
            return value;
    }
    return (fm_span){NULL, 0};
}
