/* JPEG through libjpeg-turbo.
 *
 * The library reports by two callbacks; errors leave by longjmp to the one setjmp
 * in fm_jpeg_decode, and everything that has to survive the jump lives in the job,
 * never in a local variable.  The simple TurboJPEG interface was rejected: it hides
 * markers, colour spaces and which warning it was.
 *
 * Hostile files: pixels are counted before memory is asked for; a picture that its
 * bytes cannot hold (below one bit a block) is refused at the header; scans are
 * budgeted, since a few bytes can ask for another pass over every block. */
#include "worker/image/codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "worker/image/exif.h"

#define SCANS_MAX 100               /* encoders write 1 to about 20 */
#define SCAN_PIXELS_MAX 2000000000u /* pixels times scans: seconds, not minutes */

typedef struct {
    struct jpeg_error_mgr errors;   /* first: the library hands it back to the callbacks */
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct c;
    jmp_buf jump;
    const fm_decode_limits *limits;
    fm_decode_info *info;
    fm_err *err;
    fm_image image;
    uint8_t *row;                   /* CMYK only */
    int rc;
} jpeg_job;

static _Noreturn void leave(jpeg_job *job, int rc)
{
    job->rc = rc;
    longjmp(job->jump, 1);
}

static void on_error(j_common_ptr c)
{
    jpeg_job *job = (jpeg_job *)c->err;
    char text[JMSG_LENGTH_MAX];

    c->err->format_message(c, text);
    if (c->err->msg_code == JERR_OUT_OF_MEMORY)
        leave(job, fm_fail(job->err, -ENOMEM, "no memory to decode a JPEG of %u x %u", job->info->width,
                           job->info->height));
    leave(job, fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG, "%s", text));
}

/* After these the library goes on with pixels it made up. */
static bool loses_pixels(int code)
{
    return code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
           code == JWRN_ARITH_BAD_CODE || code == JWRN_MUST_RESYNC;
}

/* Level -1 is a warning. */
static void on_message(j_common_ptr c, int level)
{
    jpeg_job *job = (jpeg_job *)c->err;
    char text[JMSG_LENGTH_MAX];

    if (level >= 0)
        return;
    if (loses_pixels(c->err->msg_code))
        on_error(c);
    c->err->num_warnings++;
    c->err->format_message(c, text);
    fm_decode_warn(job->info, text);
}

static void on_progress(j_common_ptr c)
{
    jpeg_job *job = (jpeg_job *)c->err;
    int scans = job->c.input_scan_number;

    if (scans > SCANS_MAX || (scans > 1 && (uint64_t)scans * job->info->width * job->info->height > SCAN_PIXELS_MAX))
        leave(job, fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG,
                                  "too many scans for %u x %u pixels", job->info->width, job->info->height));
}

/* The IJG's luminance table at quality 50 (ITU-T T.81, table K.1), row by row. */
static const uint8_t ijg_luminance[64] = {
    16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,  14, 13, 16, 24, 40,  57,
    69, 56, 14, 17, 22,  29,  51,  87,  80, 62, 18, 22, 37,  56,  68,  109, 103, 77, 24, 35, 55,  64,
    81, 104, 113, 92, 49, 64,  78,  87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99};

/* The quality whose table is nearest to this one, entry by entry. */
static int quality_of(const JQUANT_TBL *table)
{
    long best = -1;
    int quality = 0;

    for (int q = 1; q <= 100; q++) {
        int scale = q < 50 ? 5000 / q : 200 - 2 * q;
        long distance = 0;

        for (int i = 0; i < 64; i++) {
            int want = (ijg_luminance[i] * scale + 50) / 100;

            want = want < 1 ? 1 : want > 255 ? 255 : want;
            distance += labs((long)table->quantval[i] - want);
        }
        if (best < 0 || distance <= best) {
            best = distance;
            quality = q;
        }
    }
    return quality;
}

static void note_header(jpeg_job *job)
{
    struct jpeg_decompress_struct *c = &job->c;
    int table = c->comp_info[0].quant_tbl_no;

    job->info->components = (uint8_t)c->num_components;
    job->info->bit_depth = (uint8_t)c->data_precision;
    job->info->progressive = jpeg_has_multiple_scans(c);
    if (table >= 0 && table < NUM_QUANT_TBLS && c->quant_tbl_ptrs[table])
        job->info->jpeg_quality = (uint8_t)quality_of(c->quant_tbl_ptrs[table]);
    for (jpeg_saved_marker_ptr m = c->marker_list; m; m = m->next) {
        int orientation = 0;

        if (m->marker == JPEG_APP0 + 1 && m->data_length >= 6 && memcmp(m->data, "Exif\0", 5) == 0)
            orientation = fm_exif_orientation(m->data, m->data_length);
        if (orientation) {
            job->info->orientation = (uint8_t)orientation;
            break;
        }
    }
}

/* Huffman coding spends at least one bit on every block. */
static bool bytes_can_hold(const struct jpeg_decompress_struct *c, size_t n)
{
    uint64_t blocks = 0;

    if (c->arith_code)
        return true;
    for (int i = 0; i < c->num_components; i++)
        blocks += (uint64_t)c->comp_info[i].width_in_blocks * c->comp_info[i].height_in_blocks;
    return blocks / 8 <= n;
}

static void choose_colours(jpeg_job *job)
{
    struct jpeg_decompress_struct *c = &job->c;

    if (c->jpeg_color_space == JCS_UNKNOWN)
        leave(job, fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG,
                                  "not 1, 3 or 4 colour components but %d: convert it to RGB", c->num_components));
    if (c->num_components == 4 || c->jpeg_color_space == JCS_CMYK || c->jpeg_color_space == JCS_YCCK)
        c->out_color_space = JCS_CMYK;
    else
        c->out_color_space = JCS_RGB;
    c->dct_method = JDCT_ISLOW;
    c->do_fancy_upsampling = TRUE;
    c->progress = &job->progress;
}

/* A file may end whole and yet lack scans, as when only the first of a progressive picture
 * were kept: the library draws what it has, a grey or blurred face.  Asked after
 * jpeg_start_decompress, which has then read all scans of a file that has several. */
static void check_scans(jpeg_job *job)
{
    const struct jpeg_decompress_struct *c = &job->c;
    bool blurred = false;

    for (int i = 0; i < c->num_components; i++) {
        if (!c->comp_info[i].quant_table)
            leave(job, fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG,
                                      "cut short: no data for colour component %d of %d", i + 1, c->num_components));
        for (int k = 0; c->coef_bits && k < DCTSIZE2; k++)
            blurred = blurred || c->coef_bits[i][k] != 0;
    }
    if (blurred)
        fm_decode_warn(job->info, "a progressive JPEG without its last scans: less sharp than it was");
}

static void cmyk_to_rgb(const uint8_t *in, uint8_t *out, size_t n, bool inverted)
{
    uint8_t flip = inverted ? 0 : 255;

    for (size_t i = 0; i < n; i++, in += 4, out += 3) {
        unsigned k = in[3] ^ flip;

        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)(((in[c] ^ flip) * k + 127) / 255);
    }
}

static void read_rows(jpeg_job *job)
{
    struct jpeg_decompress_struct *c = &job->c;
    bool cmyk = c->out_color_space == JCS_CMYK;

    while (c->output_scanline < c->output_height) {
        uint8_t *to = job->image.pixels + job->image.stride_bytes * c->output_scanline;
        JSAMPROW row = cmyk ? job->row : to;

        jpeg_read_scanlines(c, &row, 1);
        if (cmyk)
            cmyk_to_rgb(job->row, to, c->output_width, c->saw_Adobe_marker);
    }
}

/* Everything that may jump. */
static void decode(jpeg_job *job, const uint8_t *bytes, size_t n)
{
    struct jpeg_decompress_struct *c = &job->c;
    int rc;

    jpeg_create_decompress(c);
    jpeg_mem_src(c, bytes, (unsigned long)n);
    jpeg_save_markers(c, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(c, TRUE);
    rc = fm_decode_size(job->info, job->limits, c->image_width, c->image_height, job->err);
    if (rc != 0)
        leave(job, rc);
    note_header(job);
    if (!bytes_can_hold(c, n))
        leave(job, fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG,
                                  "cut short: %zu bytes cannot hold %u x %u pixels", n, job->info->width,
                                  job->info->height));
    choose_colours(job);
    rc = fm_image_create((int)c->image_width, (int)c->image_height, &job->image, job->err);
    if (rc == 0 && c->out_color_space == JCS_CMYK && !(job->row = malloc(4 * (size_t)c->image_width)))
        rc = fm_fail_nomem(job->err, "a row of a CMYK JPEG", 4 * (size_t)c->image_width);
    if (rc != 0)
        leave(job, rc);
    jpeg_start_decompress(c);
    check_scans(job);
    read_rows(job);
    jpeg_finish_decompress(c);
}

int fm_jpeg_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                   fm_decode_info *info, fm_err *err)
{
    jpeg_job job = {.limits = limits, .info = info, .err = err, .image = FM_IMAGE_INIT};

    job.c.err = jpeg_std_error(&job.errors);
    job.errors.error_exit = on_error;
    job.errors.emit_message = on_message;
    job.progress.progress_monitor = on_progress;
    if (setjmp(job.jump) == 0)
        decode(&job, bytes, n);
    jpeg_destroy_decompress(&job.c);
    free(job.row);
    if (job.rc == 0)
        job.rc = fm_decode_strict(info, limits, err);
    if (job.rc == 0)
        *out = job.image;
    else
        fm_image_fini(&job.image);
    return job.rc;
}
