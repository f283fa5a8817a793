/* models run: tensors in, through a network, tensors out; .npy or TensorProto, as a file's name ends. */
#include "jobs/models_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/npy.h"
#include "base/options.h"
#include "jobs/verbs.h"
#include "worker/net/network.h"
#include "worker/net/onnx.h"
#include "worker/net/ops.h"

enum { FILES_MAX = 16 };
#define TENSOR_BYTES ((size_t)4 << 30)

/* --input and --output words: FILE, or NAME=FILE. */
typedef struct {
    const char *name;           /* NULL: by place */
    size_t name_length;
    const char *path;
} named_file;

typedef struct {
    named_file in[FILES_MAX], out[FILES_MAX];
    size_t n_in, n_out;
} files;

static named_file file_of(const char *word)
{
    const char *equals = strchr(word, '=');

    if (!equals)
        return (named_file){NULL, 0, word};
    return (named_file){word, (size_t)(equals - word), equals + 1};
}

static bool is_named(const named_file *f, const char *name)
{
    return f->name && strlen(name) == f->name_length && strncmp(f->name, name, f->name_length) == 0;
}

static bool ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

static int tensor_read(const char *path, fm_arena *arena, fm_tensor *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    fm_npy a;
    int rc = fm_file_read(path, TENSOR_BYTES, &b, err);

    if (rc == 0 && !fm_npy_is(b.data, b.size)) {
        rc = fm_onnx_tensor_read((fm_span){b.data, b.size}, path, arena, out, err);
        if (rc != 0)
            fm_fail_in(err, rc, "%s: neither .npy nor a TensorProto", path);
    } else if (rc == 0 && (rc = fm_npy_read(b.data, b.size, path, &a, err)) == 0) {
        *out = (fm_tensor){.type = a.type == FM_NPY_F32 ? FM_F32 : FM_I64, .rank = a.rank};
        if (a.rank > FM_RANK_MAX)
            rc = fm_fail(err, -ENOTSUP, "%s: %d dimensions; supported are up to %d", path, a.rank, FM_RANK_MAX);
        else
            memcpy(out->dims, a.dims, (size_t)a.rank * sizeof *a.dims);
        if (rc == 0 && !(out->data = fm_arena_get(arena, fm_tensor_bytes(out))))
            rc = fm_fail_nomem(err, path, fm_tensor_bytes(out));
        if (rc == 0 && a.count)
            memcpy(out->data, a.data, fm_tensor_bytes(out));
    }
    fm_buf_fini(&b);
    return rc;
}

static int tensor_write(const char *path, const char *name, const fm_tensor *t, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    if (ends_in(path, ".pb"))
        fm_onnx_tensor_write(t, name, &b);
    else
        fm_npy_write(t->type == FM_F32 ? FM_NPY_F32 : FM_NPY_I64, t->rank, t->dims, t->data, &b);
    rc = b.failed ? fm_fail_nomem(err, path, fm_tensor_bytes(t)) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

/* The file for port i of that name; NULL: none was given. */
static const named_file *file_for(const named_file *f, size_t n, const char *name, size_t i)
{
    size_t unnamed = 0;

    for (size_t k = 0; k < n; k++)
        if (is_named(&f[k], name))
            return &f[k];
    for (size_t k = 0; k < n; k++)
        if (!f[k].name && unnamed++ == i)
            return &f[k];
    return NULL;
}

static int read_inputs(const fm_network *net, const files *f, fm_arena *arena, fm_tensor *in, fm_err *err)
{
    size_t n = fm_network_inputs(net);
    int rc = 0;

    if (f->n_in > n)
        return fm_fail(err, -EINVAL, "%zu files for the %zu inputs of this model", f->n_in, n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const char *name = fm_network_input(net, i, &in[i]);
        const named_file *file = file_for(f->in, f->n_in, name, i);
        char text[128];

        if (!file)
            return fm_fail(err, -EINVAL, "no file for input \"%s\" (%s); give one with --input \"%s=FILE.npy\"", name,
                           fm_tensor_text(&in[i], text, sizeof text), name);
        rc = tensor_read(file->path, arena, &in[i], err);
    }
    return rc;
}

static void print_tensor(const char *name, const fm_tensor *t)
{
    size_t n = fm_tensor_count(t);
    char text[128];

    printf("%s: %s", name, fm_tensor_text(t, text, sizeof text));
    for (size_t i = 0; i < n && i < 8; i++)
        if (t->type == FM_F32)
            printf("%s%.6g", i ? ", " : ": ", (double)fm_tensor_f32(t)[i]);
        else
            printf("%s%lld", i ? ", " : ": ", (long long)fm_tensor_i64(t)[i]);
    puts(n > 8 ? ", ..." : "");
}

static int write_outputs(const fm_network *net, const files *f, const fm_tensor *out, fm_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < fm_network_outputs(net); i++) {
        fm_tensor ignored;
        const char *name = fm_network_output(net, i, &ignored);
        const named_file *file = file_for(f->out, f->n_out, name, i);

        if (file)
            rc = tensor_write(file->path, name, &out[i], err);
        else
            print_tensor(name, &out[i]);
    }
    return rc;
}

static int run_model(const char *path, const files *f, fm_err *err)
{
    const fm_network_options options = {.isa = fm_cpu_isa()};
    fm_buf file = FM_BUF_INIT;
    fm_network *net = NULL;
    fm_tensor *in = NULL, *out = NULL;
    fm_arena arena;
    int rc = fm_file_read(path, FM_NETWORK_BYTES, &file, err);

    fm_arena_init(&arena, TENSOR_BYTES);
    if (rc != 0 || (rc = fm_network_load(file.data, file.size, &options, &net, err)) != 0)
        goto done;
    in = calloc(fm_network_inputs(net) + 1, sizeof *in);
    out = calloc(fm_network_outputs(net) + 1, sizeof *out);
    if (!in || !out)
        rc = fm_fail_nomem(err, "tensors", sizeof *in);
    else if ((rc = read_inputs(net, f, &arena, in, err)) == 0 && (rc = fm_network_run(net, in, out, err)) == 0)
        rc = write_outputs(net, f, out, err);
done:
    fm_network_close(net);
    fm_arena_fini(&arena);
    fm_buf_fini(&file);
    free(in);
    free(out);
    return rc;
}

/* Takes --input and --output, which may come more than once, out of the words; what is left is for the parser. */
static int take_files(int argc, char **argv, char **rest, int *n_rest, files *f, fm_err *err)
{
    static const char *const names[] = {"--input", "--output"};

    *n_rest = 0;
    for (int i = 0; i < argc; i++) {
        named_file *to = NULL;
        const char *word = NULL;

        for (int k = 0; k < 2; k++) {
            size_t n = strlen(names[k]);
            size_t *count = k ? &f->n_out : &f->n_in;

            if (strncmp(argv[i], names[k], n) != 0 || (argv[i][n] && argv[i][n] != '='))
                continue;
            word = argv[i][n] ? argv[i] + n + 1 : ++i < argc ? argv[i] : "";
            if (*count == FILES_MAX || !*word)
                return fm_fail(err, -EINVAL, "models run: %s", *word ? "too many files" : "a file is missing");
            to = (k ? f->out : f->in) + (*count)++;
            *to = file_of(word);
            break;
        }
        if (!to)
            rest[(*n_rest)++] = argv[i];
    }
    return 0;
}

int fm_models_run(int argc, char **argv)
{
    char name[] = "models run", operators[1024], about[1536], **rest = calloc((size_t)argc + 1, sizeof *rest);
    const fm_command command = {"models run MODEL.onnx --input [NAME=]X [--output [NAME=]Y]", about, NULL, 0, 1, 1};
    const char *path = NULL;
    files f = {.n_in = 0};
    fm_err err = FM_ERR_INIT;
    int rc, n_rest = 0;

    if (!rest)
        return FM_EXIT_FAILED;
    fm_op_names(operators, sizeof operators);
    snprintf(about, sizeof about,
             "Runs a network on tensors: .npy (float32, int64) or ONNX TensorProto (.pb), in the model's order or by name.\n"
             "Outputs without a file are printed.  Operator sets %d to %d; operators:\n%s", FM_OPSET_MIN, FM_OPSET_MAX,
             operators);
    rc = take_files(argc, argv, rest, &n_rest, &f, &err);
    rest[0] = name;
    if (rc == 0)
        rc = fm_command_parse(&command, n_rest, rest, &path, &err);
    free(rest);
    if (rc != 0)
        return fm_command_exit(rc, &err);
    rc = run_model(path, &f, &err);
    if (rc != 0)
        fprintf(stderr, "facemill models run: %s\n", err.text);
    return rc ? FM_EXIT_INPUT : FM_EXIT_DONE;
}
