/* models show: what a network is made of, as it runs here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "base/options.h"
#include "jobs/json_text.h"
#include "jobs/models_run.h"
#include "jobs/verbs.h"
#include "worker/net/network.h"

/* Run on zeros, so that layers have times. */
static int time_layers(fm_network *net, int64_t batch, int64_t runs, fm_err *err)
{
    size_t n = fm_network_inputs(net);
    fm_tensor *in = calloc(n + 1, sizeof *in), *out = calloc(fm_network_outputs(net) + 1, sizeof *out);
    int rc = in && out ? 0 : fm_fail_nomem(err, "tensors", n * sizeof *in);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        fm_network_input(net, i, &in[i]);
        if (in[i].rank > 0 && in[i].dims[0] < 0)
            in[i].dims[0] = batch;
        in[i].data = calloc(fm_tensor_bytes(&in[i]) + 1, 1);
        if (!in[i].data)
            rc = fm_fail_nomem(err, "an input", fm_tensor_bytes(&in[i]));
    }
    for (int64_t i = 0; rc == 0 && i < runs; i++)
        rc = fm_network_run(net, in, out, err);
    for (size_t i = 0; in && i < n; i++)
        free(in[i].data);
    free(in);
    free(out);
    return rc;
}

static void print_ports(const fm_network *net)
{
    fm_tensor t;
    char text[128];

    for (size_t i = 0; i < fm_network_inputs(net); i++) {
        const char *name = fm_network_input(net, i, &t);

        printf("input   %s: %s\n", name, fm_tensor_text(&t, text, sizeof text));
    }
    for (size_t i = 0; i < fm_network_outputs(net); i++) {
        const char *name = fm_network_output(net, i, &t);

        printf("output  %s: %s\n", name, fm_tensor_text(&t, text, sizeof text));
    }
}

static void print_layers(const fm_network *net)
{
    double flops = 0, ms = 0;
    size_t weights = 0;
    fm_network_layer l;
    char text[128], what[96];

    printf("\n%-36s %-34s %-14s %-24s %10s %10s %8s\n", "layer", "operator", "kernel", "gives", "MFLOP", "weights KB", "ms");
    for (size_t i = 0; i < fm_network_layers(net); i++) {
        fm_network_layer_get(net, i, &l);
        snprintf(what, sizeof what, "%s%s%s%s", l.op, l.added ? " + add" : "", *l.act ? " + " : "", l.act);
        printf("%-36.36s %-34.34s %-14.14s %-24s %10.2f %10.1f %8.3f\n", l.name, what, l.kernel,
               fm_tensor_text(&l.out, text, sizeof text), l.flops / 1e6, (double)l.weights / 1024, l.ms);
        flops += l.flops;
        weights += l.weights;
        ms += l.ms;
    }
    printf("\n%zu layers, %lld pictures a pass, %.1f MFLOP, weights %.1f MB, activations %.1f MB, memory %.1f MB; %.2f ms, %.1f GFLOP/s\n",
           fm_network_layers(net), (long long)fm_network_pass(net), flops / 1e6, (double)weights / 1e6, (double)fm_network_activations(net) / 1e6,
           (double)fm_network_memory(net) / 1e6, ms, ms > 0 ? flops / ms / 1e6 : 0);
}

static json_t *dims_json(const fm_tensor *t)
{
    json_t *dims = json_array();

    for (int i = 0; i < t->rank; i++)
        json_array_append_new(dims, json_integer(t->dims[i]));
    return json_pack("{s:s, s:o}", "type", fm_type_name(t->type), "dims", dims);
}

static json_t *port_json(const char *name, const fm_tensor *t)
{
    json_t *port = dims_json(t);

    json_object_set_new(port, "name", fm_json_text(name));
    return port;
}

static json_t *layer_json(const fm_network *net, size_t i)
{
    fm_network_layer l;
    json_t *o;

    fm_network_layer_get(net, i, &l);
    o = port_json(l.name, &l.out);
    json_object_set_new(o, "op", fm_json_text(l.op));
    json_object_set_new(o, "kernel", json_string(l.kernel));
    json_object_set_new(o, "activation", json_string(l.act));
    json_object_set_new(o, "added", json_boolean(l.added));
    json_object_set_new(o, "flops", json_real(l.flops));
    json_object_set_new(o, "weight_bytes", json_integer((json_int_t)l.weights));
    json_object_set_new(o, "ms", json_real(l.ms));
    return o;
}

static void print_json(const fm_network *net)
{
    json_t *in = json_array(), *out = json_array(), *layers = json_array(), *all;
    fm_tensor t;
    char *text;

    for (size_t i = 0; i < fm_network_inputs(net); i++) {
        const char *name = fm_network_input(net, i, &t);

        json_array_append_new(in, port_json(name, &t));
    }
    for (size_t i = 0; i < fm_network_outputs(net); i++) {
        const char *name = fm_network_output(net, i, &t);

        json_array_append_new(out, port_json(name, &t));
    }
    for (size_t i = 0; i < fm_network_layers(net); i++)
        json_array_append_new(layers, layer_json(net, i));
    all = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I}", "inputs", in, "outputs", out, "layers", layers, "pass",
                    (json_int_t)fm_network_pass(net), "activation_bytes",
                    (json_int_t)fm_network_activations(net), "memory_bytes", (json_int_t)fm_network_memory(net));
    if ((text = json_dumps(all, JSON_INDENT(2))))
        puts(text);
    free(text);
    json_decref(all);
}

static int show(const char *path, bool json, int64_t batch, int64_t runs, fm_err *err)
{
    const fm_network_options options = {.isa = fm_cpu_isa()};
    fm_buf file = FM_BUF_INIT;
    fm_network *net = NULL;
    int rc = fm_file_read(path, FM_NETWORK_BYTES, &file, err);

    if (rc == 0)
        rc = fm_network_load(file.data, file.size, &options, &net, err);
    if (rc == 0)
        rc = time_layers(net, batch, runs, err);
    if (rc == 0 && json) {
        print_json(net);
    } else if (rc == 0) {
        print_ports(net);
        print_layers(net);
    }
    fm_network_close(net);
    fm_buf_fini(&file);
    return rc;
}

int fm_models_show(int argc, char **argv)
{
    bool json = false;
    int64_t batch = 1, runs = 3;
    const fm_option options[] = {{"json", FM_OPT_FLAG, &json, 0, 0, NULL, "print as JSON"},
                                 {"batch", FM_OPT_INT, &batch, 1, 4096, "N", "pictures at once, where the model leaves that open (1)"},
                                 {"runs", FM_OPT_INT, &runs, 1, 1000, "N", "time the last of N runs on zeros (3)"}};
    const fm_command command = {"models show MODEL.onnx [options]",
                                "Layers as they run here after fusion: operator, kernel, shape, work, weights and time.",
                                options, 3, 1, 1};
    char name[] = "models show";
    const char *path = NULL;
    fm_err err = FM_ERR_INIT;
    int rc;

    argv[0] = name;
    rc = fm_command_parse(&command, argc, argv, &path, &err);
    if (rc != 0)
        return fm_command_exit(rc, &err);
    rc = show(path, json, batch, runs, &err);
    if (rc != 0)
        fprintf(stderr, "facemill models show: %s\n", err.text);
    return rc ? FM_EXIT_INPUT : FM_EXIT_DONE;
}
