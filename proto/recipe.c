#include "proto/recipe.h"

#include <errno.h>
#include <string.h>

#define RECIPE_VERSION 1
#define MASKED_VERSION 2        /* the same and the mask's model */

void fm_recipe_default(fm_recipe *recipe)
{
    memset(recipe, 0, sizeof *recipe);
    recipe->face = FM_FACE_LARGEST;
    recipe->landmarks = 68;
    recipe->chip_size = 150;
    recipe->chip_padding = 0.25;
    recipe->max_pixels = 100u * 1000 * 1000;
    recipe->max_bytes = 256u << 20;
}

void fm_recipe_encode(const fm_recipe *r, fm_buf *out)
{
    fm_buf_u8(out, r->mask ? MASKED_VERSION : RECIPE_VERSION);
    fm_buf_u8(out, r->upsample);
    fm_buf_f64(out, r->threshold);
    fm_buf_u8(out, (uint8_t)r->face);
    fm_buf_u32(out, r->face_min_pixels);
    fm_buf_u8(out, r->landmarks);
    fm_buf_u16(out, r->chip_size);
    fm_buf_f64(out, r->chip_padding);
    fm_buf_u8(out, r->strict);
    fm_buf_u64(out, r->max_pixels);
    fm_buf_u64(out, r->max_bytes);
    fm_buf_put(out, r->detector_model.b, FM_DIGEST_BYTES);
    fm_buf_put(out, r->landmarks_model.b, FM_DIGEST_BYTES);
    if (r->mask)
        fm_buf_put(out, r->mask_model.b, FM_DIGEST_BYTES);
}

static void digest_read(fm_reader *in, fm_digest *out)
{
    const uint8_t *b = fm_reader_get(in, FM_DIGEST_BYTES);

    if (b)
        memcpy(out->b, b, FM_DIGEST_BYTES);
}

int fm_recipe_decode(fm_reader *in, fm_recipe *out, fm_err *err)
{
    fm_recipe r;
    uint8_t version = fm_reader_u8(in);

    memset(&r, 0, sizeof r);
    r.upsample = fm_reader_u8(in);
    r.threshold = fm_reader_f64(in);
    r.face = (fm_face_choice)fm_reader_u8(in);
    r.face_min_pixels = fm_reader_u32(in);
    r.landmarks = fm_reader_u8(in);
    r.chip_size = fm_reader_u16(in);
    r.chip_padding = fm_reader_f64(in);
    r.strict = fm_reader_u8(in) != 0;
    r.max_pixels = fm_reader_u64(in);
    r.max_bytes = fm_reader_u64(in);
    digest_read(in, &r.detector_model);
    digest_read(in, &r.landmarks_model);
    r.mask = version == MASKED_VERSION;
    if (r.mask)
        digest_read(in, &r.mask_model);
    if (in->failed || (version != RECIPE_VERSION && !r.mask))
        return fm_fail(err, -EBADMSG, "recipe: cut short, or of version %u where %u or %u is expected", version,
                       RECIPE_VERSION, MASKED_VERSION);
    if (r.upsample > 4 || r.face > FM_FACE_ONLY || (r.landmarks != 5 && r.landmarks != 68) || r.chip_size < 32 ||
        r.chip_size > 1024 || !(r.chip_padding >= 0 && r.chip_padding <= 2) || !(r.threshold > -100 && r.threshold < 100))
        return fm_fail(err, -EBADMSG, "recipe: a value is out of range");
    *out = r;
    return 0;
}

int fm_recipe_digest(const fm_recipe *recipe, fm_digest *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = 0;

    fm_recipe_encode(recipe, &b);
    if (b.failed)
        rc = fm_fail_nomem(err, "recipe", b.size);
    else
        fm_digest_of(b.data, b.size, out);
    fm_buf_fini(&b);
    return rc;
}

static void key(const char *kind, const fm_digest *a, const fm_digest *b, fm_digest *out)
{
    fm_hasher h;

    fm_hasher_init(&h);
    fm_hasher_add_str(&h, kind);
    fm_hasher_add(&h, a->b, FM_DIGEST_BYTES);
    fm_hasher_add(&h, b->b, FM_DIGEST_BYTES);
    fm_hasher_end(&h, out);
}

void fm_key_photo(const fm_digest *image, const fm_digest *recipe, fm_digest *out)
{
    key("photo", image, recipe, out);
}

void fm_key_code(const fm_digest *photo_key, const fm_digest *encoder, fm_digest *out)
{
    key("code", photo_key, encoder, out);
}
