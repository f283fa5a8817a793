/* Models, and tensors as models run takes them.  What loads and is small is run. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/net/network.h"
#include "worker/net/onnx.h"

enum { FLOATS = 1 << 14, PORTS = 8 };

static void run(fm_network *net)
{
    static float x[FLOATS];
    fm_tensor in[PORTS], out[PORTS];
    fm_network_layer l;
    double flops = 0;

    if (fm_network_inputs(net) > PORTS || fm_network_outputs(net) > PORTS)
        return;
    for (size_t i = 0; i < fm_network_layers(net); i++) {
        fm_network_layer_get(net, i, &l);
        flops += l.flops;
    }
    for (size_t i = 0; i < fm_network_inputs(net); i++) {
        fm_network_input(net, i, &in[i]);
        if (in[i].rank > 0 && in[i].dims[0] < 0)
            in[i].dims[0] = 1;
        if (fm_tensor_bytes(&in[i]) > sizeof x || flops > 1e7)
            return;
        in[i].data = x;
    }
    must(fm_network_run(net, in, out, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const fm_network_options options = {.isa = fm_cpu_isa(), .max_bytes = (size_t)16 << 20};
    fm_network *net = NULL;
    fm_arena arena;
    fm_tensor t;
    fm_err err = FM_ERR_INIT;
    int rc = fm_network_load(bytes, n, &options, &net, &err);

    must(rc <= 0 && (rc == 0) == (err.text[0] == '\0'));
    if (rc == 0)
        run(net);
    fm_network_close(net);
    fm_arena_init(&arena, 1 << 20);
    fm_onnx_tensor_read((fm_span){bytes, n}, "fuzz", &arena, &t, NULL);
    fm_arena_fini(&arena);
    return 0;
}
