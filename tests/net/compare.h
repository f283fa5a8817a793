/* What tests of networks share: numbers to compute with, and a model's result beside the expected one. */
#ifndef FM_TESTS_NET_COMPARE_H
#define FM_TESTS_NET_COMPARE_H

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tests/check.h"
#include "tests/onnx_models.h"
#include "worker/net/network.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})
enum { NUMBERS = 1 << 19 };

static float pool[6][NUMBERS];

static inline const float *numbers(int which, uint64_t seed, size_t n)
{
    fm_rng r = fm_rng_init(seed, (uint64_t)which);

    for (size_t i = 0; i < n && i < NUMBERS; i++)
        pool[which][i] = (float)fm_rng_below(&r, 2001) / 1000 - 1;
    return pool[which];
}

static inline fm_network *load(const fm_buf *file, fm_isa isa)
{
    const fm_network_options options = {.isa = isa, .max_bytes = (size_t)256 << 20};
    fm_network *net = NULL;
    fm_err err = FM_ERR_INIT;

    if (fm_network_load(file->data, file->size, &options, &net, &err) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.text);
    return net;
}

/* Runs the model's one input on each instruction set, compares with want and expects the same bits of all; frees the
 * file. */
static inline void compare(const char *what, fm_buf file, const fm_tensor *in, const fm_tensor *want, double tolerance)
{
    float *bits = malloc(fm_tensor_bytes(want) + 1);     /* the first one's */

    for (int isa = FM_ISA_PLAIN; bits && isa <= (int)fm_cpu_isa(); isa++) {
        fm_network *net = load(&file, (fm_isa)isa);
        fm_tensor out;
        fm_err err = FM_ERR_INIT;
        char a[96], b[96];

        if (!net)
            break;
        if (fm_network_run(net, in, &out, &err) != 0) {
            check_failed(__FILE__, __LINE__, "%s: %s", what, err.text);
        } else if (!fm_tensor_same_dims(&out, want) || out.type != want->type) {
            check_failed(__FILE__, __LINE__, "%s: %s, expected %s", what, fm_tensor_text(&out, a, sizeof a),
                         fm_tensor_text(want, b, sizeof b));
        } else {
            for (size_t i = 0, n = fm_tensor_count(want); i < n; i++) {
                double x = fm_tensor_f32(&out)[i], y = fm_tensor_f32(want)[i];

                if (!(fabs(x - y) <= tolerance * (1 + fabs(y)))) {
                    check_failed(__FILE__, __LINE__, "%s, %s: element %zu is %.9g, expected %.9g", what,
                                 fm_isa_name((fm_isa)isa), i, x, y);
                    break;
                }
            }
            if (isa == FM_ISA_PLAIN)
                memcpy(bits, out.data, fm_tensor_bytes(want));
            else if (memcmp(bits, out.data, fm_tensor_bytes(want)) != 0)
                check_failed(__FILE__, __LINE__, "%s, %s: other bits than plain C", what, fm_isa_name((fm_isa)isa));
        }
        fm_network_close(net);
    }
    free(bits);
    fm_buf_fini(&file);
}

#endif
