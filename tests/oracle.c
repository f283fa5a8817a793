#include "tests/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/check.h"
#include "worker/image/decode.h"

static void parse_line(char *line, oracle_face *f)
{
    char *save = NULL, *field = strtok_r(line, "\t\n", &save);
    double v[7 + 136] = {0};
    int n = 0;

    memset(f, 0, sizeof *f);
    snprintf(f->file, sizeof f->file, "%s", field);
    while ((field = strtok_r(NULL, "\t\n", &save)) && n < 7 + 136)
        v[n++] = atof(field);
    f->face = (int)v[0];
    f->score = v[5];
    f->box = (fm_face_box){(int)v[1], (int)v[2], (int)v[3], (int)v[4], (float)v[5], (int)v[6]};
    for (int i = 0; i < 68; i++)
        f->points[i] = (fm_point){(int)v[7 + 2 * i], (int)v[8 + 2 * i]};
}

int oracle_load(const char *rel, oracle_faces *out)
{
    const char *path = check_data(rel);
    static char line[65536];
    FILE *f;

    *out = (oracle_faces){NULL, 0};
    if (!path)
        return 0;
    f = fopen(path, "r");
    if (!CHECK(f && fgets(line, sizeof line, f)))
        return 0;
    while (fgets(line, sizeof line, f)) {
        out->v = realloc(out->v, (out->n + 1) * sizeof *out->v);
        parse_line(line, &out->v[out->n++]);
    }
    fclose(f);
    return 1;
}

void oracle_free(oracle_faces *o)
{
    free(o->v);
    *o = (oracle_faces){NULL, 0};
}

int oracle_bytes(const char *rel, fm_buf *out)
{
    const char *path = check_data(rel);
    fm_err err = FM_ERR_INIT;

    if (!path)
        return 0;
    if (fm_file_read(path, 1u << 30, out, &err) != 0) {
        check_failed(__FILE__, __LINE__, "%s", err.text);
        return 0;
    }
    return 1;
}

int oracle_image(const char *folder, const char *file, fm_image *out)
{
    fm_decode_limits limits = {1u << 30, false};
    fm_decode_info info;
    fm_buf bytes = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    char rel[512];
    int rc;

    snprintf(rel, sizeof rel, "%s/%s", folder, file);
    if (!oracle_bytes(rel, &bytes))
        return 0;
    rc = fm_image_decode(bytes.data, bytes.size, &limits, out, &info, &err);
    fm_buf_fini(&bytes);
    if (rc != 0)
        check_failed(__FILE__, __LINE__, "%s: %s", file, err.text);
    return rc == 0;
}

void oracle_each(const char *folder, const oracle_faces *o, size_t every,
                 void (*fn)(void *ctx, const fm_image *image, const oracle_face *faces, size_t n), void *ctx)
{
    size_t photographs = 0;

    for (size_t i = 0, n; i < o->n; i += n) {
        fm_image image;

        for (n = 1; i + n < o->n && strcmp(o->v[i].file, o->v[i + n].file) == 0;)
            n++;
        if (photographs++ % every != 0 || !oracle_image(folder, o->v[i].file, &image))
            continue;
        fn(ctx, &image, &o->v[i], o->v[i].face == -2 ? 0 : n);
        fm_image_fini(&image);
    }
}
