/* A whole build: the coordinator here, real crews under mpirun, real photographs. */
#define _GNU_SOURCE
#include "tests/cluster/ranks.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "cluster/crew.h"
#include "cluster/launch.h"
#include "coordinator/build.h"
#include "storage/keys.h"
#include "storage/store.h"

#define PHOTOGRAPHS 36

static char paths[PHOTOGRAPHS][FM_PATH_MAX];
static const char *list[PHOTOGRAPHS];
static char detector[FM_PATH_MAX], landmarks[FM_PATH_MAX], encoder[FM_PATH_MAX];
static char store[FM_PATH_MAX], run_dir[FM_PATH_MAX], log_dir[FM_PATH_MAX];
static fm_recipe recipe;
static fm_digest encoder_sha;

static bool find_model(const char *name, char *path, fm_digest *sha)
{
    const char *found = check_model(name);

    if (!found || !CHECK(realpath(found, path) != NULL))
        return false;
    return CHECK(fm_sha256_file(path, sha, NULL) == 0);
}

/* The first crops of the oracle's table. */
static bool find_photographs(void)
{
    const char *table = check_data("oracle/utkface-2k/faces.tsv"), *data = check_data("utkface-2k");
    FILE *f = table && data ? fopen(table, "re") : NULL;
    char line[8192];
    int n = 0;

    while (f && n < PHOTOGRAPHS && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\t")] = '\0';
        snprintf(paths[n], FM_PATH_MAX, "%.2000s/%.1000s", data, line);
        if (!fm_path_exists(paths[n]) || (n > 0 && strcmp(paths[n], paths[n - 1]) == 0))
            continue;
        list[n] = paths[n];
        n++;
    }
    if (f)
        fclose(f);
    return f && CHECK(n == PHOTOGRAPHS);
}

static bool prepare(const char *name)
{
    fm_recipe_default(&recipe);
    snprintf(store, sizeof store, "%s/%s/store", check_tmpdir(), name);
    snprintf(run_dir, sizeof run_dir, "%s/%s/run", check_tmpdir(), name);
    snprintf(log_dir, sizeof log_dir, "%s/%s/log", check_tmpdir(), name);
    return find_photographs() && find_model("frontal_hog.f32", detector, &recipe.detector_model) &&
           find_model("shape_predictor_68_face_landmarks.dat", landmarks, &recipe.landmarks_model) &&
           find_model("dlib_face_recognition_resnet_model_v1.dat", encoder, &encoder_sha);
}

static int build(uint32_t ranks, uint32_t shard, fm_build_counts *counts)
{
    static char self[FM_PATH_MAX];
    fm_launch_spec launch = {.program = self, .log_dir = log_dir, .nodes = 1, .ranks = ranks};
    fm_build_spec spec = {.store_dir = store, .run_dir = run_dir, .recipe = &recipe, .encoder = encoder_sha,
                          .detector_path = detector, .landmarks_path = landmarks, .encoder_path = encoder,
                          .paths = list, .n_paths = PHOTOGRAPHS, .shard_size = shard};
    fm_err err = FM_ERR_INIT;
    fm_launcher *l;
    int rc;

    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0 || fm_launcher_create(&launch, &l, &err) != 0)
        return -EIO;
    fm_launcher_crew_ops(l, &spec.crews);
    rc = fm_build_run(&spec, counts, &err);
    fm_launcher_destroy(l);
    if (rc != 0 && getenv("CHECK_VERBOSE"))
        printf("  %s\n", err.text);
    return rc;
}

/* Digest over all that the store holds of the list. */
static bool digest(fm_digest *out)
{
    fm_digest *photo = calloc(PHOTOGRAPHS, sizeof *photo), *code = calloc(PHOTOGRAPHS, sizeof *code), recipe_digest;
    fm_store *s = NULL;
    bool ok = CHECK(fm_recipe_digest(&recipe, &recipe_digest, NULL) == 0) && CHECK(fm_store_open(store, &s, NULL) == 0);

    for (int i = 0; ok && i < PHOTOGRAPHS; i++) {
        fm_buf bytes = FM_BUF_INIT;
        fm_digest image;

        ok = CHECK(fm_file_read(list[i], 1u << 24, &bytes, NULL) == 0);
        fm_digest_of(bytes.data, bytes.size, &image);
        fm_key_photo(&image, &recipe_digest, &photo[i]);
        fm_key_code(&photo[i], &encoder_sha, &code[i]);
        fm_buf_fini(&bytes);
    }
    ok = ok && CHECK(fm_store_digest(s, photo, code, PHOTOGRAPHS, out, NULL) == 0);
    fm_store_close(s);
    free(photo);
    free(code);
    return ok;
}

/* Built cold with so many ranks; *out is the digest. */
static bool build_cold(const char *name, uint32_t ranks, uint32_t shard, fm_digest *out, fm_build_counts *counts)
{
    return prepare(name) && CHECK(build(ranks, shard, counts) == 0) && digest(out);
}

static void any_number_of_ranks_gives_the_same_store(void)
{
    fm_digest want, got;
    fm_build_counts counts;

    if (!build_cold("one", 1, 0, &want, &counts))
        return;
    CHECK(counts.photos_made == PHOTOGRAPHS && counts.codes_made == PHOTOGRAPHS);
    CHECK(build(2, 0, &counts) == 0);       /* again: nothing is made */
    CHECK(counts.photos_made == 0 && counts.codes_made == 0 && counts.codes_reused == PHOTOGRAPHS);
    for (uint32_t ranks = 2; ranks <= 4; ranks++) {
        char name[16];

        snprintf(name, sizeof name, "of%u", ranks);
        CHECK(build_cold(name, ranks, ranks + 1, &got, &counts));
        CHECK(fm_digest_equal(&want, &got));
    }
    /* every rank of every crew is killed at its tenth photograph, after two shards of four */
    setenv("FACEMILL_FAULT", "worker.photo:10:kill", 1);
    CHECK(build_cold("killed", 2, 4, &got, &counts));
    CHECK(counts.crews_lost > 0);
    CHECK(fm_digest_equal(&want, &got));
    setenv("FACEMILL_FAULT", "worker.ack:3:kill", 1);       /* committed, and nobody was told */
    CHECK(build_cold("untold", 2, 4, &got, &counts));
    CHECK(counts.crews_lost > 0);
    CHECK(fm_digest_equal(&want, &got));
    unsetenv("FACEMILL_FAULT");
}

/* A model file that is another than the study's is not used. */
static void wrong_models_end_the_crew(void)
{
    fm_build_counts counts;
    fm_buf text = FM_BUF_INIT;
    char log[FM_PATH_MAX];

    if (!prepare("wrong"))
        return;
    recipe.landmarks_model.b[0] ^= 1;
    CHECK(build(2, 0, &counts) < 0);
    snprintf(log, sizeof log, "%.2000s/crew-0.log", log_dir);
    REQUIRE(fm_file_read(log, 1u << 24, &text, NULL) == 0);
    fm_buf_u8(&text, 0);
    CHECK(strstr((char *)text.data, "SHA-256") != NULL);
    fm_buf_fini(&text);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {CHECK_CASE(any_number_of_ranks_gives_the_same_store),
                                       CHECK_CASE(wrong_models_end_the_crew)};

    if (argc == 4 && strcmp(argv[1], "crew") == 0)
        return fm_crew_main(argv[2], (uint32_t)atoi(argv[3]));
    return check_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
