/* What the encoders write, read back: by the project's decoder and by libjpeg. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "tests/pictures.h"
#include "worker/image/decode.h"
#include "worker/image/encode.h"

static const fm_decode_limits limits = {.max_pixels = 10000000};

/* Decodes what follows the first 4 bytes. */
static bool read_back(const fm_buf *file, fm_image *out, fm_decode_info *info)
{
    return CHECK(file->size > 4 && memcmp(file->data, "held", 4) == 0) &&
           CHECK(fm_image_decode(file->data + 4, file->size - 4, &limits, out, info, NULL) == 0) &&
           CHECK(info->warnings == 0);
}

static void png_round_trip(const fm_image *image)
{
    fm_buf file = FM_BUF_INIT;
    fm_image back = FM_IMAGE_INIT;
    fm_decode_info info;

    fm_buf_put(&file, "held", 4);
    CHECK_INT(fm_png_encode(image, &file, NULL), 0);
    if (read_back(&file, &back, &info)) {
        CHECK(back.width == image->width && back.height == image->height);
        CHECK(info.format == FM_FORMAT_PNG && info.bit_depth == 8 && info.components == 3 && !info.alpha);
        for (int y = 0; y < image->height; y++)
            CHECK(memcmp(back.pixels + back.stride_bytes * (size_t)y, image->pixels + image->stride_bytes * (size_t)y,
                         3 * (size_t)image->width) == 0);
    }
    fm_image_fini(&back);
    fm_buf_fini(&file);
}

static void png(void)
{
    uint8_t *scene = picture_scene(300, 200);
    const fm_image images[] = {
        {300, 200, 900, scene}, {1, 1, 3, scene}, {1, 200, 900, scene}, {60000, 1, 180000, scene},
        {299, 199, 900, scene + 3},
    };

    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        png_round_trip(&images[i]);
    free(scene);
}

static double mean_difference(const fm_image *a, const fm_image *b)
{
    double sum = 0;

    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < 3 * a->width; x++)
            sum += abs(a->pixels[a->stride_bytes * (size_t)y + (size_t)x] -
                       b->pixels[b->stride_bytes * (size_t)y + (size_t)x]);
    return sum / (3.0 * a->width * a->height);
}

static void jpeg_round_trip(const fm_image *image, int quality, double tolerance)
{
    fm_buf file = FM_BUF_INIT;
    fm_image back = FM_IMAGE_INIT;
    fm_decode_info info;

    fm_buf_put(&file, "held", 4);
    CHECK_INT(fm_jpeg_encode(image, quality, &file, NULL), 0);
    if (read_back(&file, &back, &info)) {
        REQUIRE(back.width == image->width && back.height == image->height);
        CHECK(info.format == FM_FORMAT_JPEG && info.components == 3 && !info.progressive && info.orientation == 1);
        CHECK_INT(info.jpeg_quality, quality);
        CHECK_NEAR(mean_difference(image, &back), 0, tolerance);
    }
    fm_image_fini(&back);
    fm_buf_fini(&file);
}

static void jpeg(void)
{
    uint8_t *scene = picture_scene(300, 200);
    const fm_image image = {300, 200, 900, scene}, part = {299, 199, 900, scene + 3}, one = {1, 1, 3, scene},
                   wide = {60000, 1, 180000, scene};

    jpeg_round_trip(&image, 100, 1);
    jpeg_round_trip(&image, 90, 1.2);
    jpeg_round_trip(&image, 1, 40);
    jpeg_round_trip(&part, 95, 1);
    jpeg_round_trip(&one, 95, 3);
    jpeg_round_trip(&wide, 95, 6);
    free(scene);
}

/* Halved chroma and standard tables, as the header says. */
static void jpeg_header(void)
{
    uint8_t *scene = picture_scene(64, 64);
    const fm_image image = {64, 64, 192, scene};
    fm_buf file = FM_BUF_INIT, again = FM_BUF_INIT;
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;

    REQUIRE(fm_jpeg_encode(&image, 80, &file, NULL) == 0 && fm_jpeg_encode(&image, 80, &again, NULL) == 0);
    CHECK(file.size == again.size && memcmp(file.data, again.data, file.size) == 0);
    c.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, file.data, file.size);
    jpeg_read_header(&c, TRUE);
    CHECK(c.jpeg_color_space == JCS_YCbCr && c.saw_JFIF_marker && c.num_components == 3);
    CHECK(c.comp_info[0].h_samp_factor == 2 && c.comp_info[0].v_samp_factor == 2);
    CHECK(c.comp_info[1].h_samp_factor == 1 && c.comp_info[2].v_samp_factor == 1);
    jpeg_destroy_decompress(&c);
    fm_buf_fini(&file);
    fm_buf_fini(&again);
    free(scene);
}

static void refused(void)
{
    static uint8_t row[3 * 65501];
    const fm_image image = {10, 10, 30, row}, wide = {65501, 1, sizeof row, row}, high = {1, 65501, 3, row};
    fm_buf file = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    fm_buf_put(&file, "held", 4);
    CHECK_INT(fm_jpeg_encode(&image, 0, &file, &err), -EINVAL);
    CHECK(strstr(err.text, "1 to 100"));
    CHECK_INT(fm_jpeg_encode(&image, 101, &file, &err), -EINVAL);
    CHECK_INT(fm_jpeg_encode(&wide, 90, &file, &err), -EINVAL);
    CHECK_INT(fm_jpeg_encode(&high, 90, &file, &err), -EINVAL);
    CHECK(strstr(err.text, "65500"));
    CHECK(file.size == 4 && memcmp(file.data, "held", 4) == 0);
    fm_buf_fini(&file);
}

CHECK_MAIN(CHECK_CASE(png), CHECK_CASE(jpeg), CHECK_CASE(jpeg_header), CHECK_CASE(refused))
