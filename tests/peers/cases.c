/* Runs cases in the form of ONNX's backend tests: each a folder with model.onnx
 * and test_data_set_0/input_N.pb and output_N.pb.
 *
 *     cases FOLDER RTOL ATOL [scaled]
 *
 * scaled: ATOL is a share of the largest number of each output, for whole networks, whose small numbers are
 * differences of large ones.
 *
 * A line a case: "agree NAME largest-difference", "refused NAME: why" or "DIFFERS NAME: how"; then one of counts.
 * Exit status 1 when one differs or was refused as damaged. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "worker/net/network.h"
#include "worker/net/onnx.h"

enum { PORTS = 64 };

typedef struct {
    double rtol, atol;
    bool scaled;
    int agreed, refused, differed;
} tally;

static bool read_tensor(const char *dir, const char *what, size_t i, fm_arena *arena, fm_tensor *out, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    int rc;

    snprintf(path, sizeof path, "%.4000s/test_data_set_0/%s_%zu.pb", dir, what, i);
    rc = fm_file_read(path, (size_t)1 << 30, &b, err);
    if (rc == 0)
        rc = fm_onnx_tensor_read((fm_span){b.data, b.size}, path, arena, out, err);
    fm_buf_fini(&b);
    return rc == 0;
}

/* Largest difference where it is over the tolerance, or the text of what is wrong. */
static bool compare(const fm_tensor *got, const fm_tensor *want, const tally *t, double *largest, char *how, size_t size)
{
    double scale = t->scaled ? 0 : 1;
    char a[96], b[96];

    if (got->type != want->type || !fm_tensor_same_dims(got, want)) {
        snprintf(how, size, "%s, expected %s", fm_tensor_text(got, a, sizeof a), fm_tensor_text(want, b, sizeof b));
        return false;
    }
    for (size_t i = 0, n = fm_tensor_count(want); t->scaled && want->type == FM_F32 && i < n; i++)
        scale = fmax(scale, fabs((double)fm_tensor_f32(want)[i]));
    for (size_t i = 0, n = fm_tensor_count(want); i < n; i++) {
        double x = got->type == FM_F32 ? (double)fm_tensor_f32(got)[i] : (double)fm_tensor_i64(got)[i];
        double y = got->type == FM_F32 ? (double)fm_tensor_f32(want)[i] : (double)fm_tensor_i64(want)[i];

        if (x == y || (isnan(x) && isnan(y)))
            continue;
        if (!(fabs(x - y) <= t->atol * scale + t->rtol * fabs(y))) {
            snprintf(how, size, "element %zu of %zu is %.9g, expected %.9g", i, n, x, y);
            return false;
        }
        *largest = fmax(*largest, fabs(x - y));
    }
    return true;
}

static bool check_outputs(const char *dir, fm_network *net, fm_arena *arena, const tally *t, double *largest, char *how,
                          size_t size)
{
    fm_tensor in[PORTS], out[PORTS], want;
    fm_err err = FM_ERR_INIT;

    if (fm_network_inputs(net) > PORTS || fm_network_outputs(net) > PORTS)
        return false;
    for (size_t i = 0; i < fm_network_inputs(net); i++)
        if (!read_tensor(dir, "input", i, arena, &in[i], &err)) {
            snprintf(how, size, "%s", err.text);
            return false;
        }
    if (fm_network_run(net, in, out, &err) != 0) {
        snprintf(how, size, "%s", err.text);
        return false;
    }
    for (size_t i = 0; i < fm_network_outputs(net); i++) {
        if (!read_tensor(dir, "output", i, arena, &want, &err)) {
            snprintf(how, size, "%s", err.text);
            return false;
        }
        if (!compare(&out[i], &want, t, largest, how, size))
            return false;
    }
    return true;
}

static void run_case(const char *dir, const char *name, tally *t)
{
    const fm_network_options options = {.isa = fm_cpu_isa()};
    fm_buf file = FM_BUF_INIT;
    fm_network *net = NULL;
    fm_err err = FM_ERR_INIT;
    fm_arena arena;
    double largest = 0;
    char path[FM_PATH_MAX], how[600] = "";
    int rc;

    fm_arena_init(&arena, (size_t)2 << 30);
    snprintf(path, sizeof path, "%.4000s/model.onnx", dir);
    rc = fm_file_read(path, FM_NETWORK_BYTES, &file, &err);
    if (rc == 0)
        rc = fm_network_load(file.data, file.size, &options, &net, &err);
    if (rc == -ENOTSUP) {
        printf("refused %s: %s\n", name, err.text);
        t->refused++;
    } else if (rc == 0 && check_outputs(dir, net, &arena, t, &largest, how, sizeof how)) {
        printf("agree %s %.3g\n", name, largest);
        t->agreed++;
    } else {
        printf("DIFFERS %s: %s\n", name, rc ? err.text : how);
        t->differed++;
    }
    fm_network_close(net);
    fm_arena_fini(&arena);
    fm_buf_fini(&file);
}

static int is_case(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    tally t = {.rtol = argc > 2 ? atof(argv[2]) : 1e-3, .atol = argc > 3 ? atof(argv[3]) : 1e-7,
               .scaled = argc > 4 && strcmp(argv[4], "scaled") == 0};
    struct dirent **names = NULL;
    int n = argc > 1 ? scandir(argv[1], &names, is_case, alphasort) : -1;

    if (n < 0) {
        fprintf(stderr, "usage: cases FOLDER [RTOL ATOL [scaled]]\n");
        return 2;
    }
    for (int i = 0; i < n; i++) {
        char dir[FM_PATH_MAX];

        snprintf(dir, sizeof dir, "%.2000s/%.1000s", argv[1], names[i]->d_name);
        run_case(dir, names[i]->d_name, &t);
        free(names[i]);
    }
    free(names);
    printf("%d agree, %d refused by name, %d differ\n", t.agreed, t.refused, t.differed);
    return t.differed != 0;
}
