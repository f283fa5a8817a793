/* usage: bench [--json] [--rounds N] [--only WORD]
 *
 * facemill and its peers on the same photographs, chips and networks, on one
 * core, by turns, in processor time.  dlib is in this process, Python's peers in
 * one of their own on the same core, which waits while it is not asked.  Before
 * anything is measured both sides must agree on the results. */
#define _GNU_SOURCE
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "bench/dlib_peer.h"
#include "bench/inputs.h"
#include "bench/peak.h"
#include "bench/python_peer.h"
#include "bench/rounds.h"
#include "worker/net/network.h"

enum { BATCH = FM_ENCODER_BATCH, SEVERAL = 8, PICTURE = 3 * 224 * 224 };

/* Plain multiplications and additions: of the encoder a face, of the others a picture. */
static const double encoder_flops = 541.6e6, resnet50_flops = 8.18e9, mobilenet_flops = 0.6e9;

typedef struct {
    fm_network *net;
    fm_buf file;
    fm_tensor in, out[1];
} bench_network;

typedef struct {
    bench_inputs in;
    const char *folder, *task;          /* the Python peer's */
    fm_encoder *encoder;
    float codes[FACES_MAX][FM_ENCODER_WIDTH];
    float embeddings[FACES_MAX][FM_ENCODER_EMBEDDING];      /* a peer's */
    const uint8_t *chips[FACES_MAX];
    size_t n_codes;
    fm_point points[FACES_MAX][FACE_POINTS];
    int32_t dlib_points[FACES_MAX][DLIB_PEER_POINTS][2];
    bench_network resnet50, mobilenet, *network;
} bench;

static double timed(void (*run)(bench *b), bench *b, int times)
{
    double start = peak_seconds();

    for (int i = 0; i < times; i++)
        run(b);
    return (peak_seconds() - start) / times;
}

/* A side that is a function of the bench. */
#define SIDE(name)                                      \
    static double name##_timed(void *b, int times)      \
    {                                                   \
        return timed(name, b, times);                   \
    }

static double python(void *b, int times)
{
    return python_peer_run(((bench *)b)->task, times);
}

static void encode(bench *b, const uint8_t *const *chips, size_t n)
{
    fm_err err = FM_ERR_INIT;

    if (fm_encoder_run(b->encoder, chips, n, b->codes[0], &err) != 0)
        bench_stop("encoder", &err);
}

static void encode_batch(bench *b)
{
    encode(b, b->in.chips, BATCH);
}
SIDE(encode_batch)

static void encode_one(bench *b)
{
    encode(b, b->in.chips, 1);
}
SIDE(encode_one)

static void encode_dlib(bench *b)
{
    dlib_peer_encode(b->embeddings[0]);
}
SIDE(encode_dlib)

static void network(bench *b)
{
    fm_err err = FM_ERR_INIT;

    if (fm_network_run(b->network->net, &b->network->in, b->network->out, &err) != 0)
        bench_stop("network", &err);
}
SIDE(network)

static void detect(bench *b)
{
    const fm_face_box *boxes;
    fm_err err = FM_ERR_INIT;
    size_t n;

    for (size_t i = 0; i < b->in.n_photographs; i++)
        if (fm_detector_find(b->in.detector, &b->in.photographs[i].image, 0, &boxes, &n, &err) != 0)
            bench_stop("detector", &err);
}
SIDE(detect)

static void detect_dlib(bench *b)
{
    for (size_t i = 0; i < b->in.n_photographs; i++)
        dlib_peer_detect(i, NULL, 0);
}
SIDE(detect_dlib)

static void landmarks(bench *b)
{
    for (size_t i = 0; i < b->in.n_faces; i++)
        fm_landmarks_find(fm_models_landmarks(b->in.models), &b->in.photographs[b->in.faces[i].photograph].image,
                          &b->in.faces[i].box, b->points[i]);
}
SIDE(landmarks)

static void landmarks_dlib(bench *b)
{
    dlib_peer_landmarks(b->dlib_points[0][0]);
}
SIDE(landmarks_dlib)

/* Photographs' bytes to codes; chips of all photographs are encoded together, as workers do. */
static void pipeline(bench *b)
{
    fm_photo photos[PHOTOGRAPHS_MAX];
    fm_err err = FM_ERR_INIT;

    b->n_codes = 0;
    for (size_t i = 0; i < b->in.n_photographs; i++) {
        const fm_buf *file = &b->in.photographs[i].file;

        if (fm_preprocess(b->in.preprocessor, file->data, file->size, &photos[i], &err) != 0)
            bench_stop("a photograph", &err);
        for (uint32_t f = 0; f < photos[i].n_faces && b->n_codes < FACES_MAX; f++)
            b->chips[b->n_codes++] = photos[i].faces[f].chip;
    }
    encode(b, b->chips, b->n_codes);
    for (size_t i = 0; i < b->in.n_photographs; i++)
        fm_photo_fini(&photos[i]);
}
SIDE(pipeline)

static void pipeline_dlib(bench *b)
{
    dlib_peer_pipeline(b->embeddings[0], FACES_MAX);
}
SIDE(pipeline_dlib)

/* Largest difference of two vectors by the largest of the second. */
static double difference(const float *a, const float *b, size_t n)
{
    double largest = 0, apart = 0;

    for (size_t i = 0; i < n; i++) {
        apart = fmax(apart, fabs((double)a[i] - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    return apart / largest;
}

/* The first n faces' codes are those in b->embeddings. */
static void codes_agree(const bench *b, size_t n, double allowed, const char *who)
{
    for (size_t i = 0; i < n; i++)
        if (!(difference(b->codes[i], b->embeddings[i], FM_ENCODER_EMBEDDING) <= allowed))
            bench_stop(who, NULL);
}

/* What a Python task gave: floats, or the program ends. */
static fm_buf python_result(bench *b, const char *task)
{
    char path[FM_PATH_MAX];

    python_peer_run(task, 1);
    snprintf(path, sizeof path, "%s/%s.f32", b->folder, task);
    return bench_read(path);
}

static void agree_detection(bench *b)
{
    dlib_peer_box boxes[FACES_MAX];
    size_t face = 0;

    for (size_t i = 0; i < b->in.n_photographs; i++) {
        size_t n = dlib_peer_detect(i, boxes, FACES_MAX);

        for (size_t k = 0; k < n; k++, face++) {
            const fm_face_box *ours = &b->in.faces[face].box;

            if (face >= b->in.n_faces || b->in.faces[face].photograph != i || ours->left != boxes[k].left ||
                ours->top != boxes[k].top || ours->right != boxes[k].right || ours->bottom != boxes[k].bottom)
                bench_stop("dlib finds other boxes", NULL);
        }
    }
    if (face != b->in.n_faces)
        bench_stop("dlib finds fewer faces", NULL);
}

static void agree_landmarks(bench *b)
{
    landmarks(b);
    landmarks_dlib(b);
    for (size_t i = 0; i < b->in.n_faces; i++)
        for (int p = 0; p < FACE_POINTS; p++)
            if (b->points[i][p].x != b->dlib_points[i][p][0] || b->points[i][p].y != b->dlib_points[i][p][1])
                bench_stop("dlib places landmarks elsewhere", NULL);
}

static void agree_encoder_dlib(bench *b)
{
    encode_batch(b);
    encode_dlib(b);
    codes_agree(b, BATCH, 1e-4, "dlib's codes differ");
}

static void agree_encoder_python(bench *b)
{
    fm_buf out = python_result(b, b->task);
    size_t n = out.size / sizeof b->embeddings[0];

    memcpy(b->embeddings[0], out.data, n * sizeof b->embeddings[0]);
    encode(b, b->in.chips, n);
    codes_agree(b, n, 1e-4, "ONNX Runtime's codes differ");
    fm_buf_fini(&out);
}

static void agree_pipeline_dlib(bench *b)
{
    size_t n = dlib_peer_pipeline(b->embeddings[0], FACES_MAX);

    pipeline(b);
    if (n != b->n_codes)
        bench_stop("dlib's pipeline finds another number of faces", NULL);
    codes_agree(b, n, 1e-3, "dlib's pipeline gives other codes");
}

/* face_recognition cuts boxes to the photograph, so faces at its edge come out a little different: only a rough bound. */
static void agree_pipeline_python(bench *b)
{
    fm_buf out = python_result(b, b->task);
    size_t n = out.size / sizeof b->embeddings[0];

    if (n > FACES_MAX)
        bench_stop("face_recognition finds too many faces", NULL);
    memcpy(b->embeddings[0], out.data, n * sizeof b->embeddings[0]);
    pipeline(b);
    if (n != b->n_codes)
        bench_stop("face_recognition finds another number of faces", NULL);
    codes_agree(b, n, 0.2, "face_recognition gives other codes");
    fm_buf_fini(&out);
}

static void open_network(bench *b, bench_network *n)
{
    const fm_network_options options = {.isa = fm_cpu_isa()};
    char path[FM_PATH_MAX];
    fm_err err = FM_ERR_INIT;
    float *picture = malloc((size_t)SEVERAL * PICTURE * sizeof *picture);

    snprintf(path, sizeof path, "%s/%s.onnx", b->folder, b->task);
    n->file = bench_read(path);
    if (!picture || fm_network_load(n->file.data, n->file.size, &options, &n->net, &err) != 0)
        bench_stop(b->task, &err);
    for (size_t i = 0; i < (size_t)SEVERAL * PICTURE; i++)
        picture[i] = (float)(i * 7919 % 2000) / 1000 - 1;
    fm_network_input(n->net, 0, &n->in);
    n->in.dims[0] = SEVERAL;
    n->in.data = picture;
}

static void agree_network(bench *b)
{
    fm_buf theirs = python_result(b, b->task);

    b->network = strcmp(b->task, "resnet50") == 0 ? &b->resnet50 : &b->mobilenet;
    if (!b->network->net)
        open_network(b, b->network);
    network(b);
    if (theirs.size != fm_tensor_bytes(b->network->out) ||
        difference(fm_tensor_f32(b->network->out), (const float *)(const void *)theirs.data, theirs.size / 4) > 1e-3)
        bench_stop("ONNX Runtime's results differ", NULL);
    fm_buf_fini(&theirs);
}

static void hand_to_dlib(bench *b)
{
    char network_path[FM_PATH_MAX];

    snprintf(network_path, sizeof network_path, "%s", bench_model_path("dlib_face_recognition_resnet_model_v1.dat"));
    if (dlib_peer_open(network_path, bench_model_path("shape_predictor_68_face_landmarks.dat")) != 0)
        exit(1);
    for (size_t i = 0; i < b->in.n_photographs; i++) {
        const bench_photograph *p = &b->in.photographs[i];

        dlib_peer_add_photograph(p->image.pixels, p->image.width, p->image.height, p->file.data, p->file.size);
    }
    for (size_t i = 0; i < b->in.n_faces; i++) {
        const fm_face_box *box = &b->in.faces[i].box;

        dlib_peer_add_box(b->in.faces[i].photograph, (dlib_peer_box){box->left, box->top, box->right, box->bottom});
    }
    for (size_t i = 0; i < BATCH; i++)
        dlib_peer_add_chip(b->in.chips[i], FM_ENCODER_CHIP);
}

typedef struct {
    bench_row row;
    const char *task;               /* NULL: the peer is dlib in this process */
    void (*agree)(bench *b);        /* ends the program when results differ */
} comparison;

static void compare(bench *b, comparison *c, bench_table *t, int rounds)
{
    char peer[160] = "dlib 19.24, Debian's";
    bench_result r;

    b->task = c->task;
    c->row.context = b;
    if (c->task && !python_peer_has(c->task, peer, sizeof peer)) {
        bench_table_absent(t, &c->row, peer);
        return;
    }
    c->agree(b);
    r = bench_measure(&c->row, rounds);
    bench_table_row(t, &c->row, peer, &r);
}

/* The table of docs/performance.md; bars and goals are this project's. */
static void compare_all(bench *b, bench_table *t, int rounds, const char *only)
{
    double photographs = (double)b->in.n_photographs, faces = (double)b->in.n_faces;
    /* Five filters of 31 planes of 100 cells, over all levels of a 6:5 pyramid. */
    double filters = b->in.pixels / 64 * 36 / 11 * 5 * 31 * 100 * 2;
    /* Fifteen passes of 500 trees, a leaf of each read. */
    double leaves = faces * 15 * 500 * FACE_POINTS * 2 * sizeof(float);
    comparison all[] = {
        {{"encoder, batch 16", "dlib", "face", BATCH, BATCH * encoder_flops, 0, 8, 12, encode_batch_timed,
          encode_dlib_timed, NULL}, NULL, agree_encoder_dlib},
        {{"encoder, batch 16", "ONNX Runtime", "face", BATCH, BATCH * encoder_flops, 0, 1.5, 2.2, encode_batch_timed,
          python, NULL}, "encoder16", agree_encoder_python},
        {{"encoder, batch 1", "ONNX Runtime", "face", 1, encoder_flops, 0, 1.2, 1.8, encode_one_timed, python, NULL},
         "encoder1", agree_encoder_python},
        {{"ResNet-50, batch 8", "ONNX Runtime", "picture", SEVERAL, SEVERAL * resnet50_flops, 0, 0.9, 1.2, network_timed,
          python, NULL}, "resnet50", agree_network},
        {{"MobileNet-v2, batch 8", "ONNX Runtime", "picture", SEVERAL, SEVERAL * mobilenet_flops, 0, 0.9, 1.2,
          network_timed, python, NULL}, "mobilenet_v2", agree_network},
        {{"detection", "dlib", "photograph", photographs, filters, 0, 5, 10, detect_timed, detect_dlib_timed, NULL}, NULL,
         agree_detection},
        {{"landmarks, 68 points", "dlib", "face", faces, 0, leaves, 3, 6, landmarks_timed, landmarks_dlib_timed, NULL},
         NULL, agree_landmarks},
        {{"photograph to code", "dlib", "photograph", photographs, 0, 0, 5, 10, pipeline_timed, pipeline_dlib_timed, NULL},
         NULL, agree_pipeline_dlib},
        {{"photograph to code", "face_recognition", "photograph", photographs, 0, 0, 6, 12, pipeline_timed, python, NULL},
         "face_recognition", agree_pipeline_python}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strstr(all[i].row.name, only) || strstr(all[i].row.peer, only))
            compare(b, &all[i], t, rounds);
}

static void print_machine(const bench *b, const bench_table *t, bool json)
{
    const bench_inputs *in = &b->in;

    if (json)
        printf("{\"isa\": \"%s\", \"peak_flops\": %.5g, \"peak_bytes\": %.5g, \"photographs\": %zu, \"doubled\": %zu, "
               "\"megapixels\": %.4g, \"faces\": %zu, \"rows\": [\n  ", fm_isa_name(fm_cpu_isa()), t->peak_flops,
               t->peak_bytes, in->n_photographs, in->n_doubled, in->pixels / 1e6, in->n_faces);
    else
        printf("One core, %s: %.1f GFLOP/s in registers, %.1f GB/s read from memory.\n%zu photographs (%zu of them doubled "
               "to be large enough), %.1f megapixels, %zu faces.  Processor time; medians.\n", fm_isa_name(fm_cpu_isa()),
               t->peak_flops / 1e9, t->peak_bytes / 1e9, in->n_photographs, in->n_doubled, in->pixels / 1e6, in->n_faces);
    fflush(stdout);
}

static void stay_on_one_core(void)
{
    cpu_set_t set;
    int core = sched_getcpu();

    CPU_ZERO(&set);
    CPU_SET(core < 0 ? 0 : core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

int main(int argc, char **argv)
{
    static bench b;
    bench_table table = {.first = true};
    const char *only = "", *python_path = getenv("PEERS_PYTHON");
    int rounds = 9;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            table.json = true;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else
            bench_stop("usage: bench [--json] [--rounds N] [--only WORD of a name or peer]", NULL);
    }
    if (rounds < 1 || rounds > ROUNDS_MAX)
        bench_stop("--rounds: expected 1 to 200", NULL);
    stay_on_one_core();
    b.folder = "build/bench/work";
    bench_inputs_read(&b.in, b.folder);
    b.encoder = fm_models_encoder(b.in.models);
    hand_to_dlib(&b);
    python_peer_start(python_path ? python_path : "build/bench/venv/bin/python", "bench/peers.py", b.folder);
    table.peak_flops = peak_flops();
    table.peak_bytes = peak_bytes();
    print_machine(&b, &table, table.json);
    bench_table_heading(&table);
    compare_all(&b, &table, rounds, only);
    if (table.json)
        printf("\n]}\n");
    return 0;
}
