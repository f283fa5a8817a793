/* network_timer MODEL.onnx BATCH: runs the model once for each line on its
 * standard input, on the same numbers each time, and answers with milliseconds
 * of processor time.  bench/networks.py lets it and its peer take turns. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "worker/net/network.h"

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int answer(fm_network *net, const fm_tensor *in, fm_tensor *out, fm_err *err)
{
    char line[16];
    int rc = fm_network_run(net, in, out, err);

    while (rc == 0 && fgets(line, sizeof line, stdin)) {
        double start = cpu_ms();

        rc = fm_network_run(net, in, out, err);
        printf("%.4f\n", cpu_ms() - start);
        fflush(stdout);
    }
    return rc;
}

int main(int argc, char **argv)
{
    const fm_network_options options = {.isa = fm_cpu_isa()};
    fm_buf file = FM_BUF_INIT;
    fm_network *net = NULL;
    fm_tensor in, out[16];
    fm_err err = FM_ERR_INIT;

    if (argc != 3 || fm_file_read(argv[1], FM_NETWORK_BYTES, &file, &err) != 0 ||
        fm_network_load(file.data, file.size, &options, &net, &err) != 0 || fm_network_inputs(net) != 1 ||
        fm_network_outputs(net) > 16) {
        fprintf(stderr, "network_timer MODEL.onnx BATCH: %s\n", err.text);
        return 1;
    }
    fm_network_input(net, 0, &in);
    in.dims[0] = in.dims[0] < 0 ? atoi(argv[2]) : in.dims[0];
    in.data = malloc(fm_tensor_bytes(&in));
    for (size_t i = 0; in.data && i < fm_tensor_count(&in); i++)
        fm_tensor_f32(&in)[i] = (float)(i * 7919 % 2000) / 1000 - 1;
    if (!in.data || answer(net, &in, out, &err) != 0)
        fprintf(stderr, "network_timer: %s\n", err.text);
    free(in.data);
    fm_network_close(net);
    fm_buf_fini(&file);
    return err.code != 0;
}
