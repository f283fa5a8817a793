/* The PHOTO payload: fixed fields, then per face its geometry, points and raw
 * chip, and in version 2 its mask.  Both are kept raw: deflating them costs more
 * time than detection. */
#include "storage/photo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PHOTO_VERSION 1
#define MASKED_VERSION 2
#define CHIP_SIZE_MAX 2048

static size_t mask_bytes(unsigned size)
{
    return (size_t)size * size;
}

static size_t chip_bytes(unsigned size)
{
    return 3 * mask_bytes(size);
}

void fm_photo_fini(fm_photo *photo)
{
    for (uint32_t i = 0; photo->faces && i < photo->n_faces; i++) {
        free(photo->faces[i].chip);
        free(photo->faces[i].mask);
    }
    free(photo->faces);
    *photo = (fm_photo)FM_PHOTO_INIT;
}

static void face_encode(const fm_photo_face *face, unsigned chip_size, fm_buf *out)
{
    fm_buf_i32(out, face->left);
    fm_buf_i32(out, face->top);
    fm_buf_i32(out, face->right);
    fm_buf_i32(out, face->bottom);
    fm_buf_f32(out, face->score);
    fm_buf_u8(out, face->view);
    fm_buf_u16(out, face->n_points);
    for (unsigned i = 0; i < face->n_points; i++) {
        fm_buf_i32(out, face->points[i][0]);
        fm_buf_i32(out, face->points[i][1]);
    }
    fm_buf_put(out, face->chip, chip_bytes(chip_size));
    if (face->mask)
        fm_buf_put(out, face->mask, mask_bytes(chip_size));
}

void fm_photo_encode(const fm_photo *photo, fm_buf *out)
{
    fm_buf_u8(out, photo->n_faces && photo->faces[0].mask ? MASKED_VERSION : PHOTO_VERSION);
    fm_buf_u8(out, (uint8_t)photo->reason);
    fm_buf_str(out, photo->detail);
    fm_buf_u32(out, photo->width);
    fm_buf_u32(out, photo->height);
    fm_buf_u8(out, photo->format);
    fm_buf_u8(out, photo->orientation);
    fm_buf_u8(out, photo->jpeg_quality);
    fm_buf_u8(out, photo->upsample);
    fm_buf_u32(out, photo->faces_found);
    fm_buf_u16(out, photo->chip_size);
    fm_buf_u32(out, photo->n_faces);
    for (uint32_t i = 0; i < photo->n_faces; i++)
        face_encode(&photo->faces[i], photo->chip_size, out);
}

/* A copy of the next n bytes, which are the caller's. */
static int take(fm_reader *r, size_t n, uint8_t **out)
{
    const uint8_t *bytes = fm_reader_get(r, n);

    if (!bytes)
        return -EBADMSG;
    *out = malloc(n);
    if (!*out)
        return -ENOMEM;
    memcpy(*out, bytes, n);
    return 0;
}

static int face_decode(fm_reader *r, bool masked, unsigned chip_size, fm_photo_face *face)
{
    int rc;

    face->left = fm_reader_i32(r);
    face->top = fm_reader_i32(r);
    face->right = fm_reader_i32(r);
    face->bottom = fm_reader_i32(r);
    face->score = fm_reader_f32(r);
    face->view = fm_reader_u8(r);
    face->n_points = fm_reader_u16(r);
    if (face->n_points > FM_POINTS_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < face->n_points; i++) {
        face->points[i][0] = fm_reader_i32(r);
        face->points[i][1] = fm_reader_i32(r);
    }
    rc = take(r, chip_bytes(chip_size), &face->chip);
    return rc == 0 && masked ? take(r, mask_bytes(chip_size), &face->mask) : rc;
}

static int header_decode(fm_reader *r, fm_photo *p, bool *masked)
{
    uint8_t version = fm_reader_u8(r);

    *masked = version == MASKED_VERSION;
    if (version != PHOTO_VERSION && !*masked)
        return -EBADMSG;
    p->reason = (fm_reason)fm_reader_u8(r);
    fm_reader_str(r, p->detail, sizeof p->detail);
    p->width = fm_reader_u32(r);
    p->height = fm_reader_u32(r);
    p->format = fm_reader_u8(r);
    p->orientation = fm_reader_u8(r);
    p->jpeg_quality = fm_reader_u8(r);
    p->upsample = fm_reader_u8(r);
    p->faces_found = fm_reader_u32(r);
    p->chip_size = fm_reader_u16(r);
    p->n_faces = fm_reader_u32(r);
    if (r->failed || p->reason >= FM_REASON_COUNT || p->n_faces > FM_PHOTO_FACES_MAX ||
        p->chip_size > CHIP_SIZE_MAX || (p->n_faces ? p->chip_size == 0 : *masked))
        return -EBADMSG;
    return 0;
}

int fm_photo_decode(const void *bytes, size_t n, fm_photo *out, fm_err *err)
{
    fm_reader r = fm_reader_init(bytes, n);
    fm_photo p = FM_PHOTO_INIT;
    bool masked;
    int rc = header_decode(&r, &p, &masked);

    if (rc != 0)
        return fm_fail(err, rc, "photo record of %zu bytes: header damaged or of another version", n);
    if (p.n_faces && !(p.faces = calloc(p.n_faces, sizeof *p.faces)))
        return fm_fail_nomem(err, "faces of a photo record", p.n_faces * sizeof *p.faces);
    for (uint32_t i = 0; rc == 0 && i < p.n_faces; i++)
        rc = face_decode(&r, masked, p.chip_size, &p.faces[i]);
    if (rc == 0 && fm_reader_left(&r) != 0)
        rc = -EBADMSG;
    if (rc != 0) {
        fm_photo_fini(&p);
        return rc == -ENOMEM ? fm_fail_nomem(err, "chip", n)
                             : fm_fail(err, rc, "photo record of %zu bytes: damaged", n);
    }
    *out = p;
    return 0;
}
