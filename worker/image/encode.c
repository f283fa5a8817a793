/* Writing PNG and JPEG into a buffer; the same jump discipline as reading.  Both grow
 * the caller's buffer directly and cut it back on failure. */
#include "worker/image/encode.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>
#include <png.h>

typedef struct {
    png_structp png;
    fm_buf *out;
    fm_err *err;
    int rc;
} png_writer;

static PNG_NORETURN void on_png_error(png_structp png, png_const_charp text)
{
    png_writer *w = png_get_error_ptr(png);

    w->rc = w->out->failed || strstr(text, "emory") ? fm_fail(w->err, -ENOMEM, "no memory for a PNG file")
                                                    : fm_fail(w->err, -EIO, "PNG: %s", text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_png_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_png_write(png_structp png, png_bytep bytes, size_t n)
{
    png_writer *w = png_get_io_ptr(png);

    fm_buf_put(w->out, bytes, n);
    if (w->out->failed)
        png_error(png, "memory");
}

static void on_png_flush(png_structp png)
{
    (void)png;
}

static void write_png(png_writer *w, png_infop header, const fm_image *image)
{
    png_set_write_fn(w->png, w, on_png_write, on_png_flush);
    png_set_IHDR(w->png, header, (png_uint_32)image->width, (png_uint_32)image->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, header);
    for (int y = 0; y < image->height; y++)
        png_write_row(w->png, image->pixels + image->stride_bytes * (size_t)y);
    png_write_end(w->png, header);
}

int fm_png_encode(const fm_image *image, fm_buf *out, fm_err *err)
{
    png_writer w = {.out = out, .err = err};
    png_infop header = NULL;
    size_t before = out->size;

    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_png_error, on_png_warning);
    if (w.png)
        header = png_create_info_struct(w.png);
    if (!header)
        w.rc = fm_fail(err, -ENOMEM, "no memory for a PNG file");
    else if (setjmp(png_jmpbuf(w.png)) == 0)
        write_png(&w, header, image);
    png_destroy_write_struct(&w.png, &header);
    if (w.rc != 0)
        out->size = before;
    return w.rc;
}

#define JPEG_GROWTH_BYTES 65536

/* jpeg_mem_dest was rejected: when memory ends it leaves its caller a buffer already freed. */
typedef struct {
    struct jpeg_error_mgr errors;   /* first: the library hands it back to the callbacks */
    struct jpeg_destination_mgr to; /* writes into what was added to out last */
    struct jpeg_compress_struct c;
    jmp_buf jump;
    fm_buf *out;
    fm_err *err;
    int rc;
} jpeg_writer;

static void on_jpeg_error(j_common_ptr c)
{
    jpeg_writer *w = (jpeg_writer *)c->err;
    char text[JMSG_LENGTH_MAX];

    c->err->format_message(c, text);
    w->rc = c->err->msg_code == JERR_OUT_OF_MEMORY ? fm_fail(w->err, -ENOMEM, "no memory for a JPEG file")
                                                   : fm_fail(w->err, -EIO, "JPEG: %s", text);
    longjmp(w->jump, 1);
}

static void on_jpeg_message(j_common_ptr c, int level)
{
    (void)c;
    (void)level;
}

static void on_jpeg_start(j_compress_ptr c)
{
    jpeg_writer *w = (jpeg_writer *)c->err;

    w->to.next_output_byte = fm_buf_add(w->out, JPEG_GROWTH_BYTES);
    w->to.free_in_buffer = JPEG_GROWTH_BYTES;
    if (w->out->failed)
        ERREXIT1(c, JERR_OUT_OF_MEMORY, 0);
}

static boolean on_jpeg_full(j_compress_ptr c)
{
    on_jpeg_start(c);
    return TRUE;
}

static void on_jpeg_end(j_compress_ptr c)
{
    jpeg_writer *w = (jpeg_writer *)c->err;

    w->out->size -= w->to.free_in_buffer;
}

static void write_jpeg(jpeg_writer *w, const fm_image *image, int quality)
{
    struct jpeg_compress_struct *c = &w->c;

    jpeg_create_compress(c);
    w->to = (struct jpeg_destination_mgr){.init_destination = on_jpeg_start, .empty_output_buffer = on_jpeg_full,
                                          .term_destination = on_jpeg_end};
    c->dest = &w->to;
    c->image_width = (JDIMENSION)image->width;
    c->image_height = (JDIMENSION)image->height;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, quality, TRUE);
    c->dct_method = JDCT_ISLOW;
    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height) {
        JSAMPROW row = image->pixels + image->stride_bytes * c->next_scanline;

        jpeg_write_scanlines(c, &row, 1);
    }
    jpeg_finish_compress(c);
}

int fm_jpeg_encode(const fm_image *image, int quality, fm_buf *out, fm_err *err)
{
    jpeg_writer w = {.out = out, .err = err};
    size_t before = out->size;

    if (quality < 1 || quality > 100)
        return fm_fail(err, -EINVAL, "JPEG quality %d: it goes from 1 to 100", quality);
    if (image->width > JPEG_MAX_DIMENSION || image->height > JPEG_MAX_DIMENSION)
        return fm_fail(err, -EINVAL, "%d x %d pixels: JPEG takes sides up to %ld", image->width, image->height,
                       (long)JPEG_MAX_DIMENSION);
    w.c.err = jpeg_std_error(&w.errors);
    w.errors.error_exit = on_jpeg_error;
    w.errors.emit_message = on_jpeg_message;
    if (setjmp(w.jump) == 0)
        write_jpeg(&w, image, quality);
    jpeg_destroy_compress(&w.c);
    if (w.rc != 0)
        out->size = before;
    return w.rc;
}
