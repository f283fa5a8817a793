/* models run and models show as a person calls them: files in, files out, exit status. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/npy.h"
#include "jobs/models_run.h"
#include "jobs/verbs.h"
#include "tests/check.h"
#include "tests/onnx_models.h"
#include "worker/net/onnx.h"

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})
#define CALL(f, ...) f((int)(sizeof WORDS(__VA_ARGS__) / sizeof(char *)) - 1, WORDS(__VA_ARGS__))

static const int64_t dims[2] = {2, 3};
static const float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {10, 20, 30, 40, 50, 60};

static char *path_of(const char *name)
{
    static char paths[8][FM_PATH_MAX];
    static int next;
    char *path = paths[next++ % 8];

    fm_path_join(path, FM_PATH_MAX, check_tmpdir(), name, NULL);
    return path;
}

static char *save(const char *name, fm_buf *bytes)
{
    char *path = path_of(name);

    CHECK(!bytes->failed && fm_file_write(path, bytes->data, bytes->size, NULL) == 0);
    fm_buf_fini(bytes);
    return path;
}

/* z = x - y, and z squared. */
static char *save_model(const char *op)
{
    onnx_model m = ONNX_MODEL_INIT;
    fm_buf file;

    onnx_input(&m, "x", FM_F32, 2, dims);
    onnx_input(&m, "y", FM_F32, 2, dims);
    onnx_node(&m, op, "x y", "z");
    onnx_node(&m, "Mul", "z z", "square");
    onnx_output(&m, "z");
    onnx_output(&m, "square");
    file = onnx_close(&m, 13);
    return save("model.onnx", &file);
}

static char *save_npy(const char *name, const float *v)
{
    fm_buf bytes = FM_BUF_INIT;

    fm_npy_write(FM_NPY_F32, 2, dims, v, &bytes);
    return save(name, &bytes);
}

static void check_file(const char *path, const float *want)
{
    fm_buf bytes = FM_BUF_INIT;
    fm_npy got;

    REQUIRE(fm_file_read(path, 4096, &bytes, NULL) == 0);
    if (fm_npy_is(bytes.data, bytes.size)) {
        CHECK(fm_npy_read(bytes.data, bytes.size, path, &got, NULL) == 0 && got.count == 6);
        CHECK(memcmp(got.data, want, 6 * sizeof *want) == 0);
    } else {
        fm_arena arena;
        fm_tensor t;

        fm_arena_init(&arena, 4096 * 64);
        CHECK(fm_onnx_tensor_read((fm_span){bytes.data, bytes.size}, path, &arena, &t, NULL) == 0);
        CHECK(fm_tensor_count(&t) == 6 && memcmp(t.data, want, 6 * sizeof *want) == 0);
        fm_arena_fini(&arena);
    }
    fm_buf_fini(&bytes);
}

static void tensors_go_in_and_come_out(void)
{
    const float z[6] = {-9, -18, -27, -36, -45, -54}, square[6] = {81, 324, 729, 1296, 2025, 2916};
    const float turned[6] = {9, 18, 27, 36, 45, 54};
    char *model = save_model("Sub"), *x = save_npy("x.npy", a), *y = save_npy("y.npy", b), named[FM_PATH_MAX + 8];
    char *out = path_of("z.npy"), *pb = path_of("square.pb");

    CHECK_INT(CALL(fm_models_run, "run", model, "--input", x, "--input", y, "--output", out, "--output", pb), FM_EXIT_DONE);
    check_file(out, z);
    check_file(pb, square);
    snprintf(named, sizeof named, "--input=y=%s", x);
    CHECK_INT(CALL(fm_models_run, "run", named, "--input", y, model, "--output", out, "--output", pb), FM_EXIT_DONE);
    check_file(out, turned);
}

static void wrong_use_has_its_status(void)
{
    char *model = save_model("Sub"), *x = save_npy("x.npy", a), *none = path_of("none.npy");

    CHECK_INT(CALL(fm_models_run, "run"), FM_EXIT_USAGE);
    CHECK_INT(CALL(fm_models_run, "run", model, "--input"), FM_EXIT_USAGE);
    CHECK_INT(CALL(fm_models_run, "run", model, "--input", x), FM_EXIT_INPUT);
    CHECK_INT(CALL(fm_models_run, "run", model, "--input", x, "--input", none), FM_EXIT_INPUT);
    CHECK_INT(CALL(fm_models_run, "run", x, "--input", x), FM_EXIT_INPUT);
    CHECK_INT(CALL(fm_models_run, "run", save_model("Nothing"), "--input", x, "--input", x), FM_EXIT_INPUT);
    CHECK_INT(CALL(fm_models_show, "show", none), FM_EXIT_INPUT);
    CHECK_INT(CALL(fm_models_show, "show", save_model("Add"), "--runs", "2", "--json"), FM_EXIT_DONE);
}

CHECK_MAIN(CHECK_CASE(tensors_go_in_and_come_out), CHECK_CASE(wrong_use_has_its_status))
