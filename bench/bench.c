/* usage: bench [--json] [--rounds N] [--only detect|encode]
 *
 * facemill and dlib on the same photographs and chips, in one process on one
 * core, by turns: each round measures both, so that whatever else the machine
 * does meets both, and the ratio of a round is what counts.  Before anything is
 * measured the two must agree on the results. */
#define _GNU_SOURCE
#include <dirent.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/file.h"
#include "bench/dlib_peer.h"
#include "worker/face/chip.h"
#include "worker/face/detector.h"
#include "worker/face/landmarks.h"
#include "worker/image/decode.h"
#include "worker/net/encoder.h"

enum { PHOTOGRAPHS_MAX = 64, ROUNDS_MAX = 200, CHIP_BYTES = FM_ENCODER_CHIP * FM_ENCODER_CHIP * 3 };

typedef struct {
    fm_image photographs[PHOTOGRAPHS_MAX];
    size_t n_photographs;
    uint8_t chips[FM_ENCODER_BATCH][CHIP_BYTES];
    const uint8_t *chip[FM_ENCODER_BATCH];
    fm_detector *detector;
    fm_encoder *encoder;
    float codes[FM_ENCODER_BATCH][FM_ENCODER_WIDTH], dlib_codes[FM_ENCODER_BATCH][FM_ENCODER_EMBEDDING];
} bench;

typedef struct {
    const char *name, *unit;
    double per_run;             /* units of work in a run */
    void (*ours)(bench *b);
    void (*dlibs)(bench *b);
    int repeat;                 /* runs of ours in a round */
} comparison;

static void stop(const char *what, const fm_err *err)
{
    fprintf(stderr, "bench: %s%s%s\n", what, err && err->text[0] ? ": " : "", err ? err->text : "");
    exit(1);
}

static const char *model_path(const char *name)
{
    static char path[FM_PATH_MAX];
    const char *root = getenv("FACEMILL_MODELS");

    snprintf(path, sizeof path, "%s/%s", root ? root : "models/cache", name);
    if (!fm_path_exists(path))
        snprintf(path, sizeof path, "models/%s", name);
    return path;
}

static fm_buf read_model(const char *name)
{
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    if (fm_file_read(model_path(name), 1u << 28, &b, &err) != 0)
        stop("run ./setup first", &err);
    return b;
}

static void read_photograph(bench *b, const char *path)
{
    fm_decode_limits limits = {1u << 26, false};
    fm_decode_info info;
    fm_buf file = FM_BUF_INIT;

    if (fm_file_read(path, 1u << 28, &file, NULL) == 0 &&
        fm_image_decode(file.data, file.size, &limits, &b->photographs[b->n_photographs], &info, NULL) == 0)
        b->n_photographs++;
    fm_buf_fini(&file);
}

/* Those of $FACEMILL_DATA/faces, or the portraits that ./setup fetched. */
static void read_photographs(bench *b)
{
    const char *data = getenv("FACEMILL_DATA");
    char folder[FM_PATH_MAX], path[FM_PATH_MAX];
    struct dirent **entries;
    int n;

    snprintf(folder, sizeof folder, "%s", model_path("photos"));
    if (data)
        snprintf(folder, sizeof folder, "%s/faces", data);
    n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.' && b->n_photographs < PHOTOGRAPHS_MAX &&
            fm_path_join(path, sizeof path, folder, entries[i]->d_name, NULL) == 0)
            read_photograph(b, path);
        free(entries[i]);
    }
    if (n < 0 || b->n_photographs == 0)
        stop("no photographs: run ./setup, or set FACEMILL_DATA", NULL);
    free(entries);
}

/* A batch of chips of the faces that are found, from the first again when they are fewer. */
static void cut_chips(bench *b)
{
    fm_buf file = read_model("shape_predictor_5_face_landmarks.dat"), packed = FM_BUF_INIT;
    fm_landmarks *l = NULL;
    size_t n = 0;

    if (fm_landmarks_pack(file.data, file.size, &packed, NULL) != 0 ||
        fm_landmarks_open(packed.data, packed.size, &l, NULL) != 0)
        stop("the landmark model cannot be read", NULL);
    for (size_t i = 0; i < b->n_photographs && n < FM_ENCODER_BATCH; i++) {
        const fm_face_box *boxes;
        size_t n_boxes = 0;

        fm_detector_find(b->detector, &b->photographs[i], 0, &boxes, &n_boxes, NULL);
        for (size_t f = 0; f < n_boxes && n < FM_ENCODER_BATCH; f++) {
            fm_point points[5];
            fm_similarity s;

            fm_landmarks_find(l, &b->photographs[i], &boxes[f], points);
            if (fm_chip_transform(points, 5, FM_ENCODER_CHIP, 0.25, &s, NULL) == 0 &&
                fm_chip_extract(&b->photographs[i], &s, FM_ENCODER_CHIP, b->chips[n], NULL) == 0)
                n++;
        }
    }
    if (n == 0)
        stop("no faces in the photographs", NULL);
    for (size_t i = n; i < FM_ENCODER_BATCH; i++)
        memcpy(b->chips[i], b->chips[i - n], CHIP_BYTES);
    fm_landmarks_close(l);
    fm_buf_fini(&packed);
    fm_buf_fini(&file);
}

static void open_models(bench *b)
{
    fm_buf filters = read_model("frontal_hog.f32"), network = read_model("dlib_face_recognition_resnet_model_v1.dat");
    fm_buf packed = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    void *memory;

    if (fm_detector_create(filters.data, filters.size, fm_cpu_isa(), &b->detector, &err) != 0 ||
        fm_encoder_pack(network.data, network.size, fm_cpu_isa(), &packed, &err) != 0)
        stop("models", &err);
    memory = aligned_alloc(64, (packed.size + 63) & ~(size_t)63);
    if (!memory)
        stop("no memory", NULL);
    memcpy(memory, packed.data, packed.size);
    if (fm_encoder_open(memory, packed.size, &b->encoder, &err) != 0 ||
        dlib_peer_open(model_path("dlib_face_recognition_resnet_model_v1.dat")) != 0)
        stop("models", &err);
    fm_buf_fini(&packed);
    fm_buf_fini(&network);
    fm_buf_fini(&filters);
}

static size_t detect_one(bench *b, size_t i)
{
    const fm_face_box *boxes;
    size_t n = 0;

    if (fm_detector_find(b->detector, &b->photographs[i], 0, &boxes, &n, NULL) != 0)
        stop("detection failed", NULL);
    return n;
}

static void detect_ours(bench *b)
{
    for (size_t i = 0; i < b->n_photographs; i++)
        detect_one(b, i);
}

static void detect_dlibs(bench *b)
{
    for (size_t i = 0; i < b->n_photographs; i++)
        dlib_peer_detect(i);
}

static void encode_ours(bench *b)
{
    if (fm_encoder_run(b->encoder, b->chip, FM_ENCODER_BATCH, b->codes[0], NULL) != 0)
        stop("encoding failed", NULL);
}

static void encode_dlibs(bench *b)
{
    dlib_peer_encode(b->dlib_codes[0]);
}

static void hand_to_dlib(bench *b)
{
    for (size_t i = 0; i < b->n_photographs; i++)
        dlib_peer_add_photograph(b->photographs[i].pixels, b->photographs[i].width, b->photographs[i].height);
    for (size_t i = 0; i < FM_ENCODER_BATCH; i++) {
        b->chip[i] = b->chips[i];
        dlib_peer_add_chip(b->chips[i], FM_ENCODER_CHIP);
    }
}

/* Nothing is worth measuring when the results differ. */
static void agree(bench *b)
{
    double difference = 0, length = 0;

    for (size_t i = 0; i < b->n_photographs; i++)
        if (detect_one(b, i) != dlib_peer_detect(i))
            stop("dlib finds another number of faces", NULL);
    encode_ours(b);
    encode_dlibs(b);
    for (int i = 0; i < FM_ENCODER_BATCH; i++)
        for (int k = 0; k < FM_ENCODER_EMBEDDING; k++) {
            difference += pow((double)b->codes[i][k] - b->dlib_codes[i][k], 2);
            length += pow(b->dlib_codes[i][k], 2);
        }
    if (!(difference <= 1e-8 * length))
        stop("dlib's codes differ", NULL);
}

/* Processor time: what others run on the same core does not count. */
static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double time_of(bench *b, void (*run)(bench *), int repeat)
{
    double start = seconds();

    for (int i = 0; i < repeat; i++)
        run(b);
    return (seconds() - start) / repeat;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void compare(bench *b, const comparison *c, int rounds, bool json, bool first)
{
    double ours[ROUNDS_MAX], dlibs[ROUNDS_MAX], ratio[ROUNDS_MAX];

    for (int r = 0; r < rounds; r++) {
        if (r % 2)
            dlibs[r] = time_of(b, c->dlibs, 1);
        ours[r] = time_of(b, c->ours, c->repeat);
        if (r % 2 == 0)
            dlibs[r] = time_of(b, c->dlibs, 1);
        ratio[r] = dlibs[r] / ours[r];
    }
    qsort(ours, (size_t)rounds, sizeof *ours, ascending);
    qsort(dlibs, (size_t)rounds, sizeof *dlibs, ascending);
    qsort(ratio, (size_t)rounds, sizeof *ratio, ascending);
    if (json)
        printf("%s\"%s\": {\"unit\": \"ms a %s\", \"facemill\": %.4f, \"dlib\": %.4f, \"ratio\": %.3f, \"ratio_low\": %.3f, "
               "\"ratio_high\": %.3f, \"rounds\": %d}", first ? "" : ", ", c->name, c->unit,
               1e3 * ours[rounds / 2] / c->per_run, 1e3 * dlibs[rounds / 2] / c->per_run, ratio[rounds / 2], ratio[0],
               ratio[rounds - 1], rounds);
    else
        printf("%-8s %8.3f ms a %s, dlib %8.3f: %.2f times as fast (%.2f to %.2f in %d rounds)\n", c->name,
               1e3 * ours[rounds / 2] / c->per_run, c->unit, 1e3 * dlibs[rounds / 2] / c->per_run, ratio[rounds / 2],
               ratio[0], ratio[rounds - 1], rounds);
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
    const char *only = "";
    bool json = false;
    int rounds = 9;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else
            stop("usage: bench [--json] [--rounds N] [--only detect|encode]", NULL);
    }
    if (rounds < 1 || rounds > ROUNDS_MAX)
        stop("--rounds: expected 1 to 200", NULL);
    stay_on_one_core();
    read_photographs(&b);
    open_models(&b);
    cut_chips(&b);
    hand_to_dlib(&b);
    agree(&b);

    comparison all[] = {{"detect", "photograph", (double)b.n_photographs, detect_ours, detect_dlibs, 1},
                        {"encode", "face", FM_ENCODER_BATCH, encode_ours, encode_dlibs, 4}};
    bool first = true;

    if (json)
        printf("{\"isa\": \"%s\", \"photographs\": %zu, ", fm_isa_name(fm_cpu_isa()), b.n_photographs);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!*only || strcmp(only, all[i].name) == 0) {
            compare(&b, &all[i], rounds, json, first);
            first = false;
        }
    if (json)
        printf("}\n");
    return 0;
}
