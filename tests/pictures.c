#include "tests/pictures.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

typedef struct {
    struct jpeg_error_mgr errors;
    jmp_buf jump;
} refusal;

static void on_jpeg_error(j_common_ptr c)
{
    longjmp(((refusal *)c->err)->jump, 1);
}

static void set_up(struct jpeg_compress_struct *c, const picture_jpeg *p)
{
    static const J_COLOR_SPACE spaces[] = {[1] = JCS_GRAYSCALE, [2] = JCS_UNKNOWN, [3] = JCS_RGB, [4] = JCS_CMYK};

    c->image_width = (JDIMENSION)p->width;
    c->image_height = (JDIMENSION)p->height;
    c->input_components = p->components;
    c->in_color_space = spaces[p->components];
    jpeg_set_defaults(c);
    if (p->ycck)
        jpeg_set_colorspace(c, JCS_YCCK);
    if (p->plain_cmyk)
        c->write_Adobe_marker = FALSE;
    jpeg_set_quality(c, p->quality ? p->quality : 75, TRUE);
    if (!p->halved)
        for (int i = 0; i < c->num_components; i++)
            c->comp_info[i].h_samp_factor = c->comp_info[i].v_samp_factor = 1;
    if (p->progressive)
        jpeg_simple_progression(c);
    c->arith_code = p->arithmetic;
    c->restart_in_rows = p->restart_rows;
}

bool picture_jpeg_write(const picture_jpeg *p, fm_buf *out)
{
    struct jpeg_compress_struct c;
    refusal r;
    unsigned char *bytes = NULL;
    unsigned long n = 0;

    c.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = on_jpeg_error;
    if (setjmp(r.jump)) {
        jpeg_destroy_compress(&c);
        return false;
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    set_up(&c, p);
    jpeg_start_compress(&c, TRUE);
    if (p->exif)
        jpeg_write_marker(&c, JPEG_APP0 + 1, p->exif, (unsigned)p->exif_bytes);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = (JSAMPROW)(p->samples + (size_t)c.next_scanline * (size_t)(p->width * p->components));

        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    fm_buf_put(out, bytes, n);
    free(bytes);
    return true;
}

static void on_png_write(png_structp png, png_bytep bytes, size_t n)
{
    fm_buf_put(png_get_io_ptr(png), bytes, n);
}

static void on_png_flush(png_structp png)
{
    (void)png;
}

static void set_colours(png_structp png, png_infop header, const picture_png *p)
{
    png_color palette[256];
    png_byte alpha = 0;
    png_color_16 colour = {0};

    if (p->palette) {
        for (int i = 0; i < 256; i++)
            palette[i] = (png_color){p->palette[3 * i], p->palette[3 * i + 1], p->palette[3 * i + 2]};
        png_set_PLTE(png, header, palette, 1 << p->depth);
    }
    if (p->transparent && p->palette)
        png_set_tRNS(png, header, &alpha, 1, NULL);
    else if (p->transparent)
        png_set_tRNS(png, header, NULL, 0, &colour);
}

void picture_png_write(const picture_png *p, fm_buf *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop header = png_create_info_struct(png);
    size_t row_bytes;
    int passes;

    png_set_write_fn(png, out, on_png_write, on_png_flush);
    png_set_IHDR(png, header, (png_uint_32)p->width, (png_uint_32)p->height, p->depth, p->colours,
                 p->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    set_colours(png, header, p);
    if (p->exif && !p->exif_last)
        png_set_eXIf_1(png, header, (png_uint_32)p->exif_bytes, (png_bytep)p->exif);
    png_write_info(png, header);
    row_bytes = png_get_rowbytes(png, header);
    passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < p->height; y++)
            png_write_row(png, p->rows + row_bytes * (size_t)y);
    if (p->exif && p->exif_last)
        png_write_chunk(png, (png_const_bytep)"eXIf", p->exif, p->exif_bytes);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &header);
}

static uint8_t *put(uint8_t *at, uint32_t v, int bytes, bool big_endian)
{
    for (int i = 0; i < bytes; i++)
        *at++ = (uint8_t)(v >> 8 * (big_endian ? bytes - 1 - i : i));
    return at;
}

void picture_png_claim(uint32_t width, uint32_t height, fm_buf *out)
{
    static const uint8_t data[] = {0x78, 0x9c, 0x63, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    uint8_t header[13] = {0}, *at = put(put(header, width, 4, true), height, 4, true);

    at[0] = 8;
    at[1] = PNG_COLOR_TYPE_RGB;
    png_set_write_fn(png, out, on_png_write, on_png_flush);
    png_write_sig(png);
    png_write_chunk(png, (png_const_bytep)"IHDR", header, sizeof header);
    png_write_chunk(png, (png_const_bytep)"IDAT", data, sizeof data);
    png_write_chunk(png, (png_const_bytep)"IEND", NULL, 0);
    png_destroy_write_struct(&png, NULL);
}

void picture_jpeg_claim(uint16_t width, uint16_t height, bool progressive, fm_buf *out)
{
    uint8_t grey[64] = {0};
    size_t start = out->size;

    picture_jpeg_write(&(picture_jpeg){8, 8, 1, grey, .progressive = progressive}, out);
    for (uint8_t *at = out->data + start; at + 9 < out->data + out->size; at++)
        if (at[0] == 0xff && at[1] == (progressive ? 0xc2 : 0xc0)) {
            put(put(at + 5, height, 2, true), width, 2, true);
            return;
        }
}

static uint8_t *put_entry(uint8_t *at, uint32_t tag, uint32_t value, bool big_endian)
{
    at = put(at, tag, 2, big_endian);
    at = put(at, 3, 2, big_endian);
    at = put(at, 1, 4, big_endian);
    at = put(at, value, 2, big_endian);
    return put(at, 0, 2, big_endian);
}

size_t picture_exif(uint8_t out[64], int orientation, bool big_endian)
{
    uint8_t *at = out + 6;

    memcpy(out, "Exif\0", 6);
    memcpy(at, big_endian ? "MM" : "II", 2);
    at = put(at + 2, 42, 2, big_endian);
    at = put(at, 8, 4, big_endian);
    at = put(at, 2, 2, big_endian);
    at = put_entry(at, 0x0100, 640, big_endian);
    at = put_entry(at, 0x0112, (uint32_t)orientation, big_endian);
    return (size_t)(put(at, 0, 4, big_endian) - out);
}

uint8_t *picture_scene(int width, int height)
{
    uint8_t *rgb = malloc(3 * (size_t)width * (size_t)height), *at = rgb;

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, at += 3) {
            bool inside = 3 * x > width && 4 * y > height && 2 * y < height;

            at[0] = (uint8_t)(255 * x / width);
            at[1] = (uint8_t)(255 * y / height);
            at[2] = inside ? 230 : 60;
        }
    return rgb;
}
