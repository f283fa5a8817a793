/* What hashing and encryption cost of a build: bench/storage FACEMILL [PHOTOGRAPHS [ROUNDS]].
 *
 * Builds of generated photographs on one rank, plain and encrypted by turns, in processor time of all processes; and
 * beside them, since the difference drowns in the builds' own spread, the steps alone: hashing a photograph's bytes
 * and its two records, sealing and opening these, with the key table's writes. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "storage/envelope.h"
#include "storage/photo.h"

#define STEPS 2000
#define CODE_BYTES (8 + 4 * 384)
#define CHIP 150

static double seconds_of(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) + 1e-6 * (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

/* Processor time of a command and all that it starts and waits for. */
static double run(const char *command)
{
    struct rusage before, after;

    getrusage(RUSAGE_CHILDREN, &before);
    if (system(command) != 0) {
        fprintf(stderr, "bench/storage: failed: %s\n", command);
        exit(1);
    }
    getrusage(RUSAGE_CHILDREN, &after);
    return seconds_of(&after) - seconds_of(&before);
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

typedef struct {
    double hash_us, seal_us, open_us;       /* a photograph */
} steps;

/* A photograph's two records as they are in the pipeline: one face with its chip, and its codes. */
static void make_payloads(fm_buf *photo, fm_buf *code)
{
    fm_photo_face face = {.n_points = 68, .chip = calloc(3, (size_t)CHIP * CHIP)};
    fm_photo p = {.reason = FM_USED, .chip_size = CHIP, .n_faces = 1, .faces = &face};

    fm_assert(face.chip);
    randombytes_buf(face.chip, (size_t)3 * CHIP * CHIP);
    fm_photo_encode(&p, photo);
    fm_assert(fm_buf_add(code, CODE_BYTES) && !photo->failed);
    memset(code->data, 1, CODE_BYTES);
    free(face.chip);
}

static steps measure_steps(const char *dir, size_t image_bytes)
{
    uint8_t master[FM_VAULT_KEY_BYTES] = {1}, at[FM_SEGMENT_KEY_BYTES] = {1}, *image = calloc(1, image_bytes);
    fm_buf payload[2] = {FM_BUF_INIT, FM_BUF_INIT}, record[2] = {FM_BUF_INIT, FM_BUF_INIT}, sealed[2] = {FM_BUF_INIT, FM_BUF_INIT};
    fm_buf plain = FM_BUF_INIT;
    fm_key_table *table;
    fm_vault *vault;
    fm_digest key;
    steps s = {0};
    double start;

    fm_assert(image && fm_vault_create(dir, master, "", NULL) == 0 && fm_vault_open(dir, &vault, NULL) == 0 &&
              fm_key_table_create(vault, "bench", &table, NULL) == 0);
    make_payloads(&payload[0], &payload[1]);
    start = now_us();
    for (int i = 0; i < STEPS; i++) {
        fm_digest_of(image, image_bytes, &key);
        for (int k = 0; k < 2; k++) {
            record[k].size = 0;
            fm_record_encode(k ? FM_RECORD_CODE : FM_RECORD_PHOTO, &key, payload[k].data, payload[k].size, &record[k]);
        }
    }
    s.hash_us = (now_us() - start) / STEPS;
    start = now_us();
    for (int i = 0; i < STEPS; i++)
        for (int k = 0; k < 2; k++) {
            sealed[k].size = 0;
            fm_assert(fm_envelope_seal(table, &(fm_key_owner){&key, "/a/path"}, at, &record[k], &sealed[k], NULL) == 0);
        }
    s.seal_us = (now_us() - start) / STEPS;
    start = now_us();
    for (int i = 0; i < STEPS; i++)
        for (int k = 0; k < 2; k++) {
            plain.size = 0;
            fm_assert(fm_envelope_open(table, at, sealed[k].data, sealed[k].size, &plain, NULL) == 0);
        }
    s.open_us = (now_us() - start) / STEPS;
    fm_key_table_close(table);
    fm_vault_close(vault);
    for (int k = 0; k < 2; k++) {
        fm_buf_fini(&payload[k]);
        fm_buf_fini(&record[k]);
        fm_buf_fini(&sealed[k]);
    }
    fm_buf_fini(&plain);
    free(image);
    return s;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n & 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static size_t mean_size(const char *dir)
{
    char command[FM_PATH_MAX + 100];
    unsigned long long size = 0;
    FILE *f;

    snprintf(command, sizeof command, "find %s/faces -name '*.jpg' -printf '%%s\\n' | awk '{ s += $1 } END { print int(s / NR) }'", dir);
    f = popen(command, "r");
    fm_assert(f && fscanf(f, "%llu", &size) == 1 && size > 0);
    pclose(f);
    return size;
}

static void prepare(const char *program, const char *dir, int photographs)
{
    char command[3 * FM_PATH_MAX];

    snprintf(command, sizeof command,
             "cd %s && '%s' synth --out faces --cases %d --controls %d --seed 3 >/dev/null && "
             "printf 'name: b\\nmatch: none\\ncohorts:\\n"
             "  - {name: cases, role: case, format: csv, path: faces/cases/manifest.csv}\\n"
             "  - {name: controls, role: control, format: csv, path: faces/controls/manifest.csv}\\n' >plain.yaml && "
             "(cat plain.yaml; echo 'store: {encrypt: true, key_file: key}') >sealed.yaml && (umask 077; head -c 32 /dev/urandom >key)",
             dir, program, photographs / 2, photographs / 2);
    run(command);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/facemill-bench-XXXXXX", command[3 * FM_PATH_MAX], store[FM_PATH_MAX];
    int photographs = argc > 2 ? atoi(argv[2]) : 200, rounds = argc > 3 ? atoi(argv[3]) : 5;
    double plain[64], sealed[64], a, b;
    steps s;

    umask(077);
    if (argc < 2 || photographs < 2 || rounds < 1 || rounds > 64 || !realpath(argv[1], store) || !mkdtemp(dir)) {
        fprintf(stderr, "usage: bench/storage FACEMILL [PHOTOGRAPHS [ROUNDS]]\n");
        return 2;
    }
    prepare(store, dir, photographs);
    for (int r = 0; r < rounds; r++)
        for (int kind = 0; kind < 2; kind++) {
            snprintf(command, sizeof command, "cd %s && rm -rf out && '%s' build %s.yaml --ranks 1 --out out >log 2>&1", dir,
                     argv[1][0] == '/' ? argv[1] : store, kind ? "sealed" : "plain");
            *(kind ? &sealed[r] : &plain[r]) = run(command);
        }
    snprintf(store, sizeof store, "%s/steps", dir);
    s = measure_steps(store, mean_size(dir));
    a = median(plain, rounds) / photographs * 1e6;
    b = median(sealed, rounds) / photographs * 1e6;
    printf("%d photographs, %d rounds; processor time a photograph\n", photographs, rounds);
    printf("build, plain      %9.0f us\nbuild, encrypted  %9.0f us   %+.2f %%\n", a, b, 100 * (b - a) / a);
    printf("hashing           %9.1f us   %.2f %% of the build\n", s.hash_us, 100 * s.hash_us / a);
    printf("sealing           %9.1f us   %.2f %% of the build\n", s.seal_us, 100 * s.seal_us / a);
    printf("opening           %9.1f us\n", s.open_us);
    return fm_dir_remove(dir, NULL) == 0 ? 0 : 1;
}
