/* Generated cohorts and the study of them.
 *
 * Subject numbers are even for cases and odd for controls, so that more of one
 * cohort leave the other's faces as they are.  study.yaml is written last: when
 * it is there, everything is. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "jobs/synth_face.h"
#include "worker/image/encode.h"

#define QUALITY 92
#define COUNT_MAX 1000000

static const char generated[] = "The faces in this folder are drawn by facemill synth. They show no real person.\n";

static void tell_truth(const synth_person *p, const synth_shot *s, fm_synth_truth *truth)
{
    *truth = (fm_synth_truth){.sex = p->sex, .age = p->age, .glasses = p->glasses};
    synth_project(s, -p->eye_x, 0, truth->eyes[0]);
    synth_project(s, p->eye_x, 0, truth->eyes[1]);
    synth_project(s, 0, p->mouth_y, truth->mouth);
}

int fm_synth_face(const fm_synth_id *id, fm_image *out, fm_synth_truth *truth, fm_err *err)
{
    synth_person p;
    synth_shot s;
    synth_canvas c;
    int rc;

    synth_person_draw(id, &p);
    synth_shot_draw(id, &p, &s);
    if ((rc = synth_canvas_create(&s, id->seed, &c, err)) != 0)
        return rc;
    if ((rc = fm_image_create(s.width, s.height, out, err)) == 0) {
        synth_paint_backdrop(&c);
        synth_paint_behind(&c, &p);
        synth_paint_head(&c, &p);
        synth_paint_before(&c, &p);
        synth_canvas_develop(&c, out);
        if (truth)
            tell_truth(&p, &s, truth);
    }
    synth_canvas_destroy(&c);
    return rc;
}

/* Not synced: a thousand small files would wait for the disk, and can be drawn again. */
static int put_photo(const char *path, const fm_buf *bytes, fm_err *err)
{
    FILE *f = fopen(path, "wb");
    bool whole = f && fwrite(bytes->data, 1, bytes->size, f) == bytes->size;

    if (f && fclose(f) != 0)
        whole = false;
    return whole ? 0 : fm_fail(err, -errno, "%s: cannot be written: %s", path, strerror(errno));
}

/* Draw, encode and write one photograph, and its row. */
static int write_photo(const char *dir, const fm_synth_id *id, fm_buf *manifest, fm_err *err)
{
    char name[64], path[FM_PATH_MAX];
    fm_synth_truth truth;
    fm_image image = FM_IMAGE_INIT;
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_synth_face(id, &image, &truth, err);

    snprintf(name, sizeof name, "s%07lld-%d.jpg", (long long)id->subject, id->photo + 1);
    if (rc == 0)
        rc = fm_path_join(path, sizeof path, dir, name, err);
    if (rc == 0)
        rc = fm_jpeg_encode(&image, QUALITY, &bytes, err);
    if (rc == 0)
        rc = put_photo(path, &bytes, err);
    if (rc == 0)
        fm_buf_printf(manifest, "%s,s%07lld,%s,%d\n", name, (long long)id->subject, fm_sex_name(truth.sex), truth.age);
    fm_buf_fini(&bytes);
    fm_image_fini(&image);
    return rc;
}

static int photos_of(int64_t seed, int64_t subject)
{
    fm_rng r = fm_rng_init((uint64_t)seed, fm_rng_stream("synth photos", (uint64_t)subject, 0));

    return fm_rng_below(&r, 8) == 0 ? 2 : 1;
}

static int put_file(const char *dir, const char *name, const void *bytes, size_t n, fm_err *err)
{
    char path[FM_PATH_MAX];
    int rc = fm_path_join(path, sizeof path, dir, name, err);

    return rc != 0 ? rc : fm_file_write(path, bytes, n, err);
}

/* odd: 0 for cases, 1 for controls. */
static int write_cohort(const fm_synth_spec *spec, const char *name, int odd, int64_t n, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_buf manifest = FM_BUF_INIT;
    fm_synth_id id = {.seed = spec->seed, .subject = odd, .effect = odd ? 0 : spec->effect};
    int rc = fm_path_join(dir, sizeof dir, spec->dir, name, err);

    if (rc == 0)
        rc = fm_dir_make(dir, err);
    if (rc == 0)
        rc = put_file(dir, "GENERATED", generated, sizeof generated - 1, err);
    fm_buf_printf(&manifest, "file,subject,sex,age\n");
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        rc = write_photo(dir, &id, &manifest, err);
        if (++id.photo == photos_of(spec->seed, id.subject)) {
            id.photo = 0;
            id.subject += 2;
        }
    }
    if (rc == 0 && manifest.failed)
        rc = fm_fail_nomem(err, "a manifest", manifest.size);
    if (rc == 0)
        rc = put_file(dir, "manifest.csv", manifest.data, manifest.size, err);
    fm_buf_fini(&manifest);
    return rc;
}

static int write_study(const fm_synth_spec *spec, fm_err *err)
{
    fm_buf text = FM_BUF_INIT;
    int rc;

    fm_buf_printf(&text,
                  "# Generated faces: %lld cases, %lld controls, seed %lld, effect %g.  No real person is shown.\n"
                  "name: generated-faces\n"
                  "seed: %lld\n"
                  "out: results\n"
                  "cohorts:\n"
                  "  - {name: cases,    role: case,    format: csv, path: cases/manifest.csv}\n"
                  "  - {name: controls, role: control, format: csv, path: controls/manifest.csv}\n"
                  "match:    {by: [sex, age], ratio: 1}\n"
                  "task:     {label: cohort}\n"
                  "head:     {kind: fc}\n"
                  "evaluate: {split: kfold, folds: 5, group: subject}\n",
                  (long long)spec->cases, (long long)spec->controls, (long long)spec->seed, spec->effect,
                  (long long)spec->seed);
    rc = text.failed ? fm_fail_nomem(err, "study.yaml", text.size)
                     : put_file(spec->dir, "study.yaml", text.data, text.size, err);
    fm_buf_fini(&text);
    return rc;
}

static int check_spec(const fm_synth_spec *spec, fm_err *err)
{
    struct dirent *entry;
    DIR *d;
    int rc = 0;

    if (spec->cases < 1 || spec->cases > COUNT_MAX || spec->controls < 1 || spec->controls > COUNT_MAX)
        return fm_fail(err, -EINVAL, "%lld cases and %lld controls: each must be 1 to %d", (long long)spec->cases,
                       (long long)spec->controls, COUNT_MAX);
    if (!(spec->effect >= 0 && spec->effect <= 4))
        return fm_fail(err, -EINVAL, "effect %g: must be 0 to 4", spec->effect);
    if (spec->seed < 0)
        return fm_fail(err, -EINVAL, "seed %lld: must be 0 or more", (long long)spec->seed);
    d = opendir(spec->dir);
    while (d && rc == 0 && (entry = readdir(d)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = fm_fail(err, -EEXIST, "%s: is not empty; name a new folder, or empty this one", spec->dir);
    if (d)
        closedir(d);
    return rc;
}

int fm_synth_write(const fm_synth_spec *spec, fm_err *err)
{
    int rc = check_spec(spec, err);

    if (rc == 0)
        rc = fm_dir_make(spec->dir, err);
    if (rc == 0)
        rc = write_cohort(spec, "cases", 0, spec->cases, err);
    if (rc == 0)
        rc = write_cohort(spec, "controls", 1, spec->controls, err);
    return rc == 0 ? write_study(spec, err) : rc;
}
