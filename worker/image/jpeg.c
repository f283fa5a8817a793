/* JPEG through libjpeg-turbo.  Its error handler may only leave by longjmp, so
 * everything the handler's way out must free lives in one struct that is set up
 * before setjmp. */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "worker/image/decode.h"
#include "worker/image/encode.h"

#define SCANS_MAX 200   /* a progressive file with more is an attack on our time */

typedef struct {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    fm_decode_info *info;
    fm_image image;
    uint8_t *row;           /* CMYK only */
    char message[JMSG_LENGTH_MAX];
    jmp_buf out;
} decoder;

static void on_error(j_common_ptr c)
{
    decoder *j = c->client_data;

    c->err->format_message(c, j->message);
    longjmp(j->out, 1);
}

static void on_message(j_common_ptr c, int level)
{
    decoder *j = c->client_data;
    char text[JMSG_LENGTH_MAX];

    if (level >= 0)
        return;
    c->err->format_message(c, text);
    fm_decode_warn(j->info, text);
}

static void on_progress(j_common_ptr c)
{
    decoder *j = c->client_data;

    if (((j_decompress_ptr)c)->input_scan_number > SCANS_MAX) {
        snprintf(j->message, sizeof j->message, "more than %d scans", SCANS_MAX);
        longjmp(j->out, 1);
    }
}

/* Inverse of the IJG quality scale, from the mean of the luminance table against the standard one. */
static uint8_t quality_of(const struct jpeg_decompress_struct *d)
{
    static const uint32_t standard_sum = 3688;     /* of ITU-T T.81, table K.1 */
    const JQUANT_TBL *t = d->quant_tbl_ptrs[0];
    double scale = 0, quality;

    for (int i = 0; t && i < DCTSIZE2; i++)
        scale += t->quantval[i];
    if (!t)
        return 0;
    scale = 100 * scale / standard_sum;
    quality = scale <= 100 ? (200 - scale) / 2 : 5000 / scale;
    return quality < 1 ? 1 : quality > 100 ? 100 : (uint8_t)(quality + 0.5);
}

static uint8_t orientation_of(const struct jpeg_decompress_struct *d)
{
    for (const struct jpeg_marker_struct *m = d->marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0", 6) == 0)
            return fm_exif_orientation(m->data + 6, m->data_length - 6);
    return 1;
}

static void cmyk_to_rgb(const decoder *j, const uint8_t *from, uint8_t *to)
{
    bool inverted = j->d.saw_Adobe_marker;      /* Adobe stores 255 - ink */

    for (JDIMENSION x = 0; x < j->d.output_width; x++, from += 4)
        for (int c = 0; c < 3; c++) {
            unsigned light = inverted ? from[c] : 255u - from[c], k = inverted ? from[3] : 255u - from[3];

            *to++ = (uint8_t)((light * k + 127) / 255);
        }
}

static int start(decoder *j, const fm_decode_limits *limits, fm_err *err)
{
    fm_decode_info *info = j->info;

    jpeg_save_markers(&j->d, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&j->d, TRUE);
    info->format = FM_FORMAT_JPEG;
    info->width = j->d.image_width;
    info->height = j->d.image_height;
    info->orientation = orientation_of(&j->d);
    info->jpeg_quality = quality_of(&j->d);
    if ((uint64_t)info->width * info->height > limits->max_pixels)
        return fm_decode_fail(info, FM_TOO_LARGE, err, "%u x %u pixels, more than the limit of %llu", info->width,
                              info->height, (unsigned long long)limits->max_pixels);
    j->d.out_color_space = j->d.num_components == 4 ? JCS_CMYK : JCS_RGB;
    j->d.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&j->d);
    return 0;
}

static int read_rows(decoder *j, fm_err *err)
{
    int rc = fm_image_create((int)j->d.output_width, (int)j->d.output_height, &j->image, err);

    if (rc == 0 && j->d.out_color_space == JCS_CMYK && !(j->row = malloc(4 * (size_t)j->d.output_width)))
        rc = fm_fail_nomem(err, "CMYK row", 4 * (size_t)j->d.output_width);
    if (rc != 0)
        return rc;
    while (j->d.output_scanline < j->d.output_height) {
        uint8_t *to = j->image.pixels + j->d.output_scanline * j->image.stride_bytes;
        uint8_t *row = j->row ? j->row : to;

        jpeg_read_scanlines(&j->d, &row, 1);
        if (j->row)
            cmyk_to_rgb(j, j->row, to);
    }
    jpeg_finish_decompress(&j->d);
    return 0;
}

int fm_jpeg_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                   fm_decode_info *info, fm_err *err)
{
    decoder *j = calloc(1, sizeof *j);
    int rc;

    if (!j)
        return fm_fail_nomem(err, "JPEG decoder", sizeof *j);
    j->info = info;
    j->d.err = jpeg_std_error(&j->errors);
    j->d.client_data = j;
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    if (setjmp(j->out) != 0) {
        rc = j->errors.msg_code == JERR_OUT_OF_MEMORY
                 ? fm_fail_nomem(err, "JPEG", n)
                 : fm_decode_fail(info, FM_DECODE_ERROR, err, "JPEG: %s", j->message);
    } else {
        jpeg_create_decompress(&j->d);
        j->progress.progress_monitor = on_progress;
        j->d.progress = &j->progress;
        jpeg_mem_src(&j->d, bytes, n);
        rc = start(j, limits, err);
        if (rc == 0)
            rc = read_rows(j, err);
    }
    jpeg_destroy_decompress(&j->d);
    free(j->row);
    if (rc == 0)
        *out = j->image;
    else
        fm_image_fini(&j->image);
    free(j);
    return rc;
}

typedef struct {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *bytes;
    unsigned long n;
    char message[JMSG_LENGTH_MAX];
    jmp_buf out;
} encoder;

static void on_encode_error(j_common_ptr c)
{
    encoder *e = c->client_data;

    c->err->format_message(c, e->message);
    longjmp(e->out, 1);
}

/* A function of its own: no local variable of the caller may change between setjmp and longjmp. */
static bool encode(encoder *e, const fm_image *image, int quality)
{
    if (setjmp(e->out) != 0)
        return false;
    jpeg_create_compress(&e->c);
    jpeg_mem_dest(&e->c, &e->bytes, &e->n);
    e->c.image_width = (JDIMENSION)image->width;
    e->c.image_height = (JDIMENSION)image->height;
    e->c.input_components = 3;
    e->c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&e->c);
    jpeg_set_quality(&e->c, quality, TRUE);
    jpeg_start_compress(&e->c, TRUE);
    while (e->c.next_scanline < e->c.image_height) {
        JSAMPROW row = image->pixels + e->c.next_scanline * image->stride_bytes;

        jpeg_write_scanlines(&e->c, &row, 1);
    }
    jpeg_finish_compress(&e->c);
    return true;
}

int fm_jpeg_encode(const fm_image *image, int quality, fm_buf *out, fm_err *err)
{
    encoder *e = calloc(1, sizeof *e);
    int rc;

    if (!e)
        return fm_fail_nomem(err, "JPEG encoder", sizeof *e);
    e->c.err = jpeg_std_error(&e->errors);
    e->c.client_data = e;
    e->errors.error_exit = on_encode_error;
    if (encode(e, image, quality)) {
        fm_buf_put(out, e->bytes, e->n);
        rc = out->failed ? fm_fail_nomem(err, "JPEG", e->n) : 0;
    } else {
        rc = fm_fail(err, -EINVAL, "JPEG encoder: %s", e->message);
    }
    jpeg_destroy_compress(&e->c);
    free(e->bytes);
    free(e);
    return rc;
}
