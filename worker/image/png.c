/* PNG through libpng's row interface; as in jpeg.c, what an error must free is
 * in one struct that lives before setjmp. */
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "worker/image/decode.h"
#include "worker/image/encode.h"

#define CHUNK_BYTES_MAX (8u << 20)
#define CHUNKS_MAX 1000

typedef struct {
    png_structp png;
    png_infop info;
    const uint8_t *at, *end;
    fm_decode_info *told;
    fm_image image;
    png_bytep *rows;        /* interlaced files need all at once */
    bool no_memory;
    char message[160];
} decoder;

static void on_error(png_structp png, png_const_charp text)
{
    decoder *p = png_get_error_ptr(png);

    snprintf(p->message, sizeof p->message, "%s", text);
    p->no_memory = strstr(text, "emory") != NULL;
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    fm_decode_warn(((decoder *)png_get_error_ptr(png))->told, text);
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    decoder *p = png_get_io_ptr(png);

    if (n > (size_t)(p->end - p->at))
        png_error(png, "the file is cut short");
    memcpy(to, p->at, n);
    p->at += n;
}

static int start(decoder *p, const fm_decode_limits *limits, fm_err *err)
{
    png_bytep exif;
    png_uint_32 exif_bytes;
    int depth, colour;

    png_set_user_limits(p->png, 1u << 20, 1u << 20);
    png_set_chunk_cache_max(p->png, CHUNKS_MAX);
    png_set_chunk_malloc_max(p->png, CHUNK_BYTES_MAX);
    png_set_read_fn(p->png, p, on_read);
    png_read_info(p->png, p->info);
    p->told->format = FM_FORMAT_PNG;
    p->told->width = png_get_image_width(p->png, p->info);
    p->told->height = png_get_image_height(p->png, p->info);
    if ((uint64_t)p->told->width * p->told->height > limits->max_pixels)
        return fm_decode_fail(p->told, FM_TOO_LARGE, err, "%u x %u pixels, more than the limit of %llu",
                              p->told->width, p->told->height, (unsigned long long)limits->max_pixels);
    if (png_get_eXIf_1(p->png, p->info, &exif_bytes, &exif))
        p->told->orientation = fm_exif_orientation(exif, exif_bytes);
    depth = png_get_bit_depth(p->png, p->info);
    colour = png_get_color_type(p->png, p->info);
    if (depth == 16)
        png_set_strip_16(p->png);
    if (colour == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(p->png);
    if (!(colour & PNG_COLOR_MASK_COLOR) && depth < 8)
        png_set_expand_gray_1_2_4_to_8(p->png);
    if (!(colour & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(p->png);
    png_set_strip_alpha(p->png);
    png_set_interlace_handling(p->png);
    png_read_update_info(p->png, p->info);
    return 0;
}

static int read_rows(decoder *p, fm_err *err)
{
    int rc = fm_image_create((int)p->told->width, (int)p->told->height, &p->image, err);

    if (rc != 0)
        return rc;
    if (png_get_rowbytes(p->png, p->info) != p->image.stride_bytes)
        return fm_decode_fail(p->told, FM_DECODE_ERROR, err, "PNG: rows of %zu bytes where %zu are expected",
                              png_get_rowbytes(p->png, p->info), p->image.stride_bytes);
    p->rows = malloc((size_t)p->image.height * sizeof *p->rows);
    if (!p->rows)
        return fm_fail_nomem(err, "PNG rows", (size_t)p->image.height * sizeof *p->rows);
    for (int y = 0; y < p->image.height; y++)
        p->rows[y] = p->image.pixels + (size_t)y * p->image.stride_bytes;
    png_read_image(p->png, p->rows);
    png_read_end(p->png, NULL);
    return 0;
}

int fm_png_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                  fm_decode_info *info, fm_err *err)
{
    decoder *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return fm_fail_nomem(err, "PNG decoder", sizeof *p);
    *p = (decoder){.at = bytes, .end = bytes + n, .told = info};
    p->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, p, on_error, on_warning);
    p->info = p->png ? png_create_info_struct(p->png) : NULL;
    if (!p->info) {
        rc = fm_fail_nomem(err, "PNG decoder", sizeof *p);
    } else if (setjmp(png_jmpbuf(p->png)) != 0) {
        rc = p->no_memory ? fm_fail_nomem(err, "PNG", n)
                          : fm_decode_fail(info, FM_DECODE_ERROR, err, "PNG: %s", p->message);
    } else {
        rc = start(p, limits, err);
        if (rc == 0)
            rc = read_rows(p, err);
    }
    png_destroy_read_struct(&p->png, &p->info, NULL);
    free(p->rows);
    if (rc == 0)
        *out = p->image;
    else
        fm_image_fini(&p->image);
    free(p);
    return rc;
}

static void on_write(png_structp png, png_bytep from, size_t n)
{
    fm_buf *out = png_get_io_ptr(png);

    fm_buf_put(out, from, n);
    if (out->failed)
        png_error(png, "no memory");
}

static void on_flush(png_structp png)
{
    (void)png;
}

static bool encode(decoder *p, const fm_image *image, fm_buf *out)
{
    if (setjmp(png_jmpbuf(p->png)) != 0)
        return false;
    png_set_write_fn(p->png, out, on_write, on_flush);
    png_set_IHDR(p->png, p->info, (png_uint_32)image->width, (png_uint_32)image->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(p->png, p->info);
    for (int y = 0; y < image->height; y++)
        png_write_row(p->png, image->pixels + (size_t)y * image->stride_bytes);
    png_write_end(p->png, NULL);
    return true;
}

int fm_png_encode(const fm_image *image, fm_buf *out, fm_err *err)
{
    decoder *p = calloc(1, sizeof *p);
    fm_decode_info told = {.reason = FM_USED};
    int rc = 0;

    if (!p)
        return fm_fail_nomem(err, "PNG encoder", sizeof *p);
    p->told = &told;
    p->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, p, on_error, on_warning);
    p->info = p->png ? png_create_info_struct(p->png) : NULL;
    if (!p->info || (!encode(p, image, out) && p->no_memory))
        rc = fm_fail_nomem(err, "PNG", out->size);
    else if (p->message[0])
        rc = fm_fail(err, -EINVAL, "PNG: %s", p->message);
    png_destroy_write_struct(&p->png, &p->info);
    free(p);
    return rc;
}
