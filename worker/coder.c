#include "worker/coder.h"

#include <errno.h>
#include <stdlib.h>

#include "worker/face_network.h"
#include "worker/net/encoder.h"

struct fm_coder {
    fm_encoding e;
    fm_encoder *dlib;               /* borrowed */
    fm_face_network *network;
    uint8_t *masked;                /* u8 [FM_CODER_BATCH, room] */
    size_t room;                    /* bytes of one chip */
};

int fm_coder_create(const fm_encoding *e, const fm_models *models, fm_coder **out, fm_err *err)
{
    size_t n;
    const void *file = fm_models_network(models, &n);
    fm_coder *c;
    int rc = 0;

    if (e->kind == FM_ENCODER_DLIB ? !fm_models_encoder(models) : !file)
        return fm_fail(err, -EINVAL, "the encoder that was loaded is another than the run's");
    c = calloc(1, sizeof *c);
    if (!c)
        return fm_fail_nomem(err, "encoder", sizeof *c);
    c->e = *e;
    if (e->kind == FM_ENCODER_DLIB)
        c->dlib = fm_models_encoder(models);
    else
        rc = fm_face_network_open(file, n, e, &c->network, err);
    if (rc == 0)
        *out = c;
    else
        fm_coder_destroy(c);
    return rc;
}

void fm_coder_destroy(fm_coder *c)
{
    if (!c)
        return;
    fm_face_network_close(c->network);
    free(c->masked);
    free(c);
}

uint32_t fm_coder_width(const fm_coder *c)
{
    return c->dlib ? FM_ENCODER_WIDTH : c->e.width;
}

void fm_mask_apply(const uint8_t *chip, const uint8_t *mask, int size, const uint8_t fill[3], uint8_t *out)
{
    for (size_t i = 0; i < (size_t)size * (size_t)size; i++)
        for (size_t c = 0; c < 3; c++)
            out[3 * i + c] = (uint8_t)((mask[i] * chip[3 * i + c] + (255 - mask[i]) * fill[c] + 127) / 255);
}

static int mask_room(fm_coder *c, int size, fm_err *err)
{
    size_t each = 3 * (size_t)size * (size_t)size;
    uint8_t *room;

    if (c->room == each)
        return 0;
    room = realloc(c->masked, FM_CODER_BATCH * each);
    if (!room)
        return fm_fail_nomem(err, "masked chips", FM_CODER_BATCH * each);
    c->masked = room;
    c->room = each;
    return 0;
}

static int run_batch(fm_coder *c, const fm_coder_face *faces, int size, size_t n, float *codes, size_t *wrong, fm_err *err)
{
    const uint8_t *chips[FM_CODER_BATCH];

    for (size_t i = 0; i < n; i++) {
        chips[i] = faces[i].chip;
        if (!c->e.mask)
            continue;
        if (!faces[i].mask)
            return fm_fail(err, -EINVAL, "a chip has no mask; build the study again");
        fm_mask_apply(chips[i], faces[i].mask, size, c->e.fill, c->masked + i * c->room);
        chips[i] = c->masked + i * c->room;
    }
    return c->dlib ? fm_encoder_run(c->dlib, chips, n, codes, err)
                   : fm_face_network_run(c->network, chips, size, n, codes, wrong, err);
}

int fm_coder_run(fm_coder *c, const fm_coder_face *faces, int size, size_t n, float *codes, size_t *wrong, fm_err *err)
{
    size_t at = 0, which = 0;
    int rc = c->e.mask ? mask_room(c, size, err) : 0;

    if (c->dlib && size != FM_ENCODER_CHIP)
        return fm_fail(err, -EINVAL, "the encoder takes chips of %d pixels, these have %d: set chip size to %d",
                       FM_ENCODER_CHIP, size, FM_ENCODER_CHIP);
    for (size_t count; rc == 0 && at < n; at += count) {
        count = n - at < FM_CODER_BATCH ? n - at : FM_CODER_BATCH;
        rc = run_batch(c, faces + at, size, count, codes + at * fm_coder_width(c), &which, err);
        if (rc == -EDOM && wrong)
            *wrong = at + which;
    }
    return rc;
}
