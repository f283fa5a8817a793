/* What worker and cluster tests share: the published models, packed once. */
#ifndef FM_TESTS_WORKER_FIXTURE_H
#define FM_TESTS_WORKER_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/file.h"
#include "tests/check.h"
#include "worker/models.h"

typedef struct {
    void *block;            /* packed, 64-byte aligned */
    size_t size;
    fm_models *models;
} fixture_models;

static inline bool fixture_read(const char *name, fm_buf *out)
{
    const char *path = check_model(name);

    return path && CHECK(fm_file_read(path, 1u << 28, out, NULL) == 0);
}

static inline void fixture_close(fixture_models *f)
{
    fm_models_close(f->models);
    free(f->block);
    memset(f, 0, sizeof *f);
}

/* False after marking the case skipped or failed.  Takes a second: a program does it once. */
static inline bool fixture_open(fixture_models *f, bool encoder)
{
    fm_buf parts[3] = {FM_BUF_INIT, FM_BUF_INIT, FM_BUF_INIT}, packed = FM_BUF_INIT;
    fm_model_files files = {0};
    fm_err err = FM_ERR_INIT;
    bool ok;

    memset(f, 0, sizeof *f);
    ok = fixture_read("frontal_hog.f32", &parts[0]) && fixture_read("shape_predictor_68_face_landmarks.dat", &parts[1]) &&
         (!encoder || fixture_read("dlib_face_recognition_resnet_model_v1.dat", &parts[2]));
    if (ok) {
        files = (fm_model_files){parts[0].data, parts[1].data, parts[2].data, NULL, parts[0].size, parts[1].size, parts[2].size, 0};
        ok = CHECK(fm_models_pack(&files, fm_cpu_isa(), &packed, &err) == 0) && CHECK(packed.size % 64 == 0);
    }
    f->block = ok ? aligned_alloc(64, packed.size) : NULL;
    if (f->block) {
        memcpy(f->block, packed.data, packed.size);
        f->size = packed.size;
        ok = CHECK(fm_models_open(f->block, f->size, &f->models, &err) == 0);
    }
    if (err.code)
        printf("  %s\n", err.text);
    for (int i = 0; i < 3; i++)
        fm_buf_fini(&parts[i]);
    fm_buf_fini(&packed);
    if (!ok)
        fixture_close(f);
    return ok;
}

#endif
