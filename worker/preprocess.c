/* One photograph, as dlib's users do it in Python: decode, double the image as
 * often as the recipe says, and from there on everything (boxes, landmarks,
 * chips) is computed on, and counted in pixels of, the doubled image.  What the
 * recipe calls pixels of a face are pixels of the photograph itself, however
 * often it was doubled.
 * max_pixels bounds the doubled image too: it is what the detector's memory grows
 * with, and a 100 megapixel photograph doubled four times would be 25 gigapixels. */
#include "worker/preprocess.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/face/chip.h"
#include "worker/face/detector.h"
#include "worker/face/pyramid.h"
#include "worker/portrait.h"

struct fm_preprocessor {
    fm_recipe recipe;
    const fm_landmarks *landmarks;
    fm_detector *detector;
    fm_isolate *isolate;    /* borrowed; NULL: decode here */
    fm_portrait *portrait;      /* NULL: no masks */
};

static int create_portrait(const fm_models *models, fm_portrait **out, fm_err *err)
{
    size_t n;
    const void *file = fm_models_mask(models, &n);

    return file ? fm_portrait_create(file, n, out, err)
                : fm_fail(err, -EINVAL, "the recipe asks for masks and no mask's model was loaded");
}

int fm_preprocessor_create(const fm_recipe *recipe, const fm_models *models, fm_preprocessor **out, fm_err *err)
{
    fm_preprocessor *p = calloc(1, sizeof *p);
    size_t n_bytes;
    const void *filters = fm_models_detector(models, &n_bytes);
    int rc = 0;

    if (!p)
        return fm_fail_nomem(err, "preprocessor", sizeof *p);
    p->recipe = *recipe;
    p->landmarks = fm_models_landmarks(models);
    if (fm_landmarks_count(p->landmarks) != recipe->landmarks)
        rc = fm_fail(err, -EINVAL, "the recipe asks for %d landmarks and the model places %d", recipe->landmarks,
                     fm_landmarks_count(p->landmarks));
    if (rc == 0)
        rc = fm_detector_create(filters, n_bytes, fm_cpu_isa(), &p->detector, err);
    if (rc == 0 && recipe->mask)
        rc = create_portrait(models, &p->portrait, err);
    if (rc != 0)
        fm_preprocessor_destroy(p);
    else
        *out = p;
    return rc;
}

void fm_preprocessor_destroy(fm_preprocessor *p)
{
    if (!p)
        return;
    fm_detector_destroy(p->detector);
    fm_portrait_destroy(p->portrait);
    free(p);
}

void fm_preprocessor_isolate(fm_preprocessor *p, fm_isolate *isolate)
{
    p->isolate = isolate;
}

/* The photograph is left out, and why. */
static void leave_out(fm_photo *photo, fm_reason reason, const char *why)
{
    photo->reason = reason;
    snprintf(photo->detail, sizeof photo->detail, "%s", why);
}

/* 0, also for a photograph that has no image (photo->reason then says so); -ENOMEM, -EIO. */
static int decode(const fm_preprocessor *p, const uint8_t *bytes, size_t n, fm_image *image, fm_photo *photo, fm_err *err)
{
    fm_decode_limits limits = {p->recipe.max_pixels, p->recipe.strict};
    fm_decode_info info;
    fm_err why = FM_ERR_INIT;
    int rc = fm_isolate_decode(p->isolate, bytes, n, &limits, image, &info, &why);

    if (rc == -ENOMEM || rc == -EIO)
        return fm_fail(err, rc, "%s", why.text);
    photo->format = info.format == FM_FORMAT_JPEG  ? FM_PHOTO_JPEG
                    : info.format == FM_FORMAT_PNG ? FM_PHOTO_PNG
                                                   : FM_PHOTO_FORMAT_NONE;
    photo->orientation = info.orientation;
    photo->jpeg_quality = info.jpeg_quality;
    if (rc != 0) {
        leave_out(photo, info.reason, why.text);
        return 0;
    }
    photo->width = (uint32_t)image->width;
    photo->height = (uint32_t)image->height;
    snprintf(photo->detail, sizeof photo->detail, "%s", info.warning);
    return 0;
}

static int double_image(const fm_recipe *recipe, fm_image *image, fm_photo *photo, fm_err *err)
{
    uint64_t pixels = (uint64_t)image->width * (uint64_t)image->height << 2 * recipe->upsample;
    int rc = pixels > recipe->max_pixels ? -EINVAL : 0;

    for (int i = 0; rc == 0 && i < recipe->upsample; i++) {
        fm_image twice;

        rc = fm_image_double(image, &twice, err);
        if (rc != 0)
            break;
        fm_image_fini(image);
        *image = twice;
    }
    if (rc == -EINVAL) {    /* too many pixels, or a side longer than an image may have */
        char why[sizeof photo->detail];

        snprintf(why, sizeof why, "doubled %u times it would have %llu pixels (at most %llu, no side over 2^20)",
                 recipe->upsample, (unsigned long long)pixels, (unsigned long long)recipe->max_pixels);
        leave_out(photo, FM_TOO_LARGE, why);
        rc = 0;
    }
    return rc;
}

static bool comes_first(const fm_face_box *a, const fm_face_box *b)
{
    int64_t wider = ((int64_t)a->right - a->left) - ((int64_t)b->right - b->left);

    if (wider != 0)
        return wider > 0;
    if (a->score != b->score)
        return a->score > b->score;
    return a->top != b->top ? a->top < b->top : a->left < b->left;
}

/* Narrow the boxes down to those the recipe keeps: a run of boxes, *n long. */
static const fm_face_box *choose(const fm_recipe *recipe, const fm_face_box *boxes, size_t *n, fm_photo *photo)
{
    const fm_face_box *first = boxes;
    char why[sizeof photo->detail];

    if (*n == 0) {
        leave_out(photo, FM_NO_FACE, "the detector finds no face");
    } else if (recipe->face == FM_FACE_ONLY && *n > 1) {
        snprintf(why, sizeof why, "%zu faces where only one may be", *n);
        leave_out(photo, FM_SEVERAL_FACES, why);
    } else if (recipe->face == FM_FACE_LARGEST) {
        for (size_t i = 1; i < *n; i++)
            if (comes_first(&boxes[i], first))
                first = &boxes[i];
        *n = 1;
    }
    if (*n > FM_PHOTO_FACES_MAX)
        *n = FM_PHOTO_FACES_MAX;
    return first;
}

static int make_mask(const fm_preprocessor *p, const fm_image *image, const fm_point *points, int n, fm_photo_face *face,
                     fm_photo *photo, fm_err *err)
{
    int size = p->recipe.chip_size, rc;
    bool misses = false;

    face->mask = malloc((size_t)size * (size_t)size);
    if (!face->mask)
        return fm_fail_nomem(err, "mask", (size_t)size * (size_t)size);
    rc = fm_portrait_chip(p->portrait, image, points, n, size, p->recipe.chip_padding, face->mask, &misses, err);
    if (rc == 0 && misses && !photo->detail[0])
        strcpy(photo->detail, FM_MASK_MISSES);
    return rc;
}

/* One face into the photo.  *made is false when its landmarks describe no face. */
static int make_face(const fm_preprocessor *p, const fm_image *image, const fm_face_box *box, fm_photo *photo,
                     bool *made, fm_err *err)
{
    fm_point points[FM_POINTS_MAX];
    int n = fm_landmarks_count(p->landmarks), size = p->recipe.chip_size, rc;
    fm_photo_face *face = &photo->faces[photo->n_faces];
    fm_similarity s;

    *face = (fm_photo_face){box->left, box->top, box->right, box->bottom, box->score, (uint8_t)box->view,
                            (uint16_t)n, {{0}}, NULL, NULL};
    fm_landmarks_find(p->landmarks, image, box, points);
    for (int i = 0; i < n; i++) {
        face->points[i][0] = points[i].x;
        face->points[i][1] = points[i].y;
    }
    rc = fm_chip_transform(points, n, size, p->recipe.chip_padding, &s, err);
    if (rc != 0)
        return rc;
    face->chip = malloc(3 * (size_t)size * (size_t)size);
    if (!face->chip)
        return fm_fail_nomem(err, "chip", 3 * (size_t)size * (size_t)size);
    rc = fm_chip_extract(image, &s, size, face->chip, err);
    if (rc == 0 && p->portrait)
        rc = make_mask(p, image, points, n, face, photo, err);
    *made = rc == 0;
    if (rc != 0) {
        free(face->chip);
        free(face->mask);
        face->chip = face->mask = NULL;
    }
    return rc == -EINVAL ? 0 : rc;
}

static int make_faces(const fm_preprocessor *p, const fm_image *image, const fm_face_box *boxes, size_t n,
                      fm_photo *photo, fm_err *err)
{
    int64_t narrowest = (int64_t)p->recipe.face_min_pixels << p->recipe.upsample;
    size_t small = 0;

    photo->faces = calloc(n, sizeof *photo->faces);
    if (!photo->faces)
        return fm_fail_nomem(err, "faces", n * sizeof *photo->faces);
    for (size_t i = 0; i < n; i++) {
        bool made = false;
        int rc;

        if ((int64_t)boxes[i].right - boxes[i].left + 1 < narrowest) {
            small++;
            continue;
        }
        rc = make_face(p, image, &boxes[i], photo, &made, err);
        if (rc != 0)
            return rc;
        photo->n_faces += made;
    }
    if (photo->n_faces == 0 && small)
        leave_out(photo, FM_FACE_TOO_SMALL, "every chosen face is narrower than the recipe allows");
    else if (photo->n_faces == 0)
        leave_out(photo, FM_NO_FACE, "landmarks of what was detected describe no face");
    else
        photo->chip_size = p->recipe.chip_size;
    return 0;
}

static int find_faces(fm_preprocessor *p, const fm_image *image, fm_photo *photo, fm_err *err)
{
    const fm_face_box *boxes;
    size_t n;
    int rc = fm_detector_find(p->detector, image, p->recipe.threshold, &boxes, &n, err);

    if (rc != 0)
        return rc;
    photo->faces_found = (uint32_t)n;
    boxes = choose(&p->recipe, boxes, &n, photo);
    return photo->reason == FM_USED ? make_faces(p, image, boxes, n, photo, err) : 0;
}

int fm_preprocess(fm_preprocessor *p, const uint8_t *bytes, size_t n, fm_photo *out, fm_err *err)
{
    fm_photo photo = FM_PHOTO_INIT;
    fm_image image = FM_IMAGE_INIT;
    int rc;

    photo.upsample = p->recipe.upsample;
    rc = decode(p, bytes, n, &image, &photo, err);
    if (rc == 0 && photo.reason == FM_USED)
        rc = double_image(&p->recipe, &image, &photo, err);
    if (rc == 0 && photo.reason == FM_USED)
        rc = find_faces(p, &image, &photo, err);
    fm_image_fini(&image);
    if (rc != 0)
        fm_photo_fini(&photo);
    else
        *out = photo;
    return rc;
}
