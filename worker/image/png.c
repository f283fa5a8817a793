/* PNG through libpng's row interface, which keeps memory to one image and one row.
 *
 * As with JPEG, errors leave by longjmp and what survives lives in the job.  Chunks
 * that cannot change pixels are skipped unread (colour profiles, texts), so their
 * bombs do not go off.  A picture that its bytes cannot hold (deflate shrinks by
 * 1032 at most) is refused at the header. */
#include "worker/image/codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "worker/image/exif.h"

#define SIDE_MAX (1u << 20)
#define SIGNATURE_BYTES 8
#define EXIF_BYTES_MAX (16u << 20)      /* the only chunk of any length that the library keeps */
#define DEFLATE_RATIO_MAX 1032u

typedef struct {
    png_structp png;
    png_infop header;
    const uint8_t *at, *end;            /* input not read yet */
    const fm_decode_limits *limits;
    fm_decode_info *info;
    fm_err *err;
    fm_image image;
    int rc;
} png_job;

static PNG_NORETURN void leave(png_job *job, int rc)
{
    job->rc = rc;
    longjmp(png_jmpbuf(job->png), 1);
}

static bool says_no_memory(const char *text)
{
    return strstr(text, "ut of memory") || strstr(text, "nsufficient memory");
}

static PNG_NORETURN void on_error(png_structp png, png_const_charp text)
{
    png_job *job = png_get_error_ptr(png);

    if (says_no_memory(text))
        leave(job, fm_fail(job->err, -ENOMEM, "no memory to decode a PNG of %u x %u", job->info->width,
                           job->info->height));
    leave(job, fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG, "%s", text));
}

/* Without memory the library goes on without the chunk: an orientation would be lost.
 * (Without a header there is nowhere to jump to yet, and creating the reader fails by itself.) */
static void on_warning(png_structp png, png_const_charp text)
{
    png_job *job = png_get_error_ptr(png);

    if (job->header && says_no_memory(text))
        on_error(png, text);
    fm_decode_warn(job->info, text);
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    png_job *job = png_get_io_ptr(png);

    if ((size_t)(job->end - job->at) < n)
        png_error(png, "the file ends early");
    memcpy(to, job->at, n);
    job->at += n;
}

/* Every chunk ends within the file and EXIF is no larger than it may be: the library asks for
 * a chunk's memory before it reads it, and only warns above png_set_chunk_malloc_max. */
static int check_chunks(png_job *job, const uint8_t *at)
{
    while (job->end - at >= 12) {
        size_t n = png_get_uint_32(at), left = (size_t)(job->end - at) - 12;
        bool exif = memcmp(at + 4, "eXIf", 4) == 0;

        if (n > left)
            return fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG,
                                  "cut short: %zu bytes left for a chunk of %zu", left, n);
        if (exif && n > EXIF_BYTES_MAX)
            return fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG,
                                  "%zu bytes of EXIF data: at most %u are read", n, EXIF_BYTES_MAX);
        if (memcmp(at + 4, "IEND", 4) == 0)
            break;
        at += n + 12;
    }
    return 0;
}

static void skip_what_changes_no_pixel(png_structp png)
{
    static const uint8_t names[] = "iCCP\0sRGB\0gAMA\0cHRM\0tEXt\0zTXt\0iTXt\0sPLT\0hIST\0pCAL\0sCAL\0oFFs\0"
                                   "pHYs\0tIME\0bKGD\0sBIT";

    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, sizeof names / 5);
}

static void note_header(png_job *job)
{
    int colours = png_get_color_type(job->png, job->header);

    job->info->bit_depth = png_get_bit_depth(job->png, job->header);
    job->info->components = png_get_channels(job->png, job->header);
    job->info->progressive = png_get_interlace_type(job->png, job->header) != PNG_INTERLACE_NONE;
    job->info->alpha = (colours & PNG_COLOR_MASK_ALPHA) || png_get_valid(job->png, job->header, PNG_INFO_tRNS);
}

static bool bytes_can_hold(const png_job *job, size_t n)
{
    uint64_t bits = (uint64_t)job->info->bit_depth * job->info->components;

    return ((uint64_t)job->info->width * bits + 7) / 8 * job->info->height / DEFLATE_RATIO_MAX <= n;
}

static void to_rgb8(png_job *job)
{
    png_structp png = job->png;
    int colours = png_get_color_type(png, job->header);

    if (job->info->bit_depth == 16)
        png_set_strip_16(png);
    if (colours == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    else if (!(colours & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(png);
    if (colours == PNG_COLOR_TYPE_GRAY && job->info->bit_depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_alpha(png);
}

/* eXIf may also follow the pixels, so this is asked after the end. */
static void note_orientation(png_job *job)
{
    png_uint_32 n = 0;
    png_bytep exif = NULL;
    int orientation = 0;

    if (png_get_eXIf_1(job->png, job->header, &n, &exif) && exif)
        orientation = fm_exif_orientation(exif, n);
    if (orientation)
        job->info->orientation = (uint8_t)orientation;
}

static void read_rows(png_job *job)
{
    int passes = png_set_interlace_handling(job->png);

    png_read_update_info(job->png, job->header);
    if (png_get_rowbytes(job->png, job->header) != 3 * (size_t)job->image.width)
        png_error(job->png, "colours that do not become RGB");
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < job->image.height; y++)
            png_read_row(job->png, job->image.pixels + job->image.stride_bytes * (size_t)y, NULL);
    png_read_end(job->png, job->header);
}

/* Everything that may jump. */
static void decode(png_job *job, size_t n)
{
    png_structp png = job->png;
    int rc;

    rc = check_chunks(job, job->at + SIGNATURE_BYTES);
    if (rc != 0)
        leave(job, rc);
    png_set_read_fn(png, job, on_read);
    png_set_user_limits(png, SIDE_MAX, SIDE_MAX);
    png_set_chunk_malloc_max(png, 0);   /* check_chunks has seen to it */
    skip_what_changes_no_pixel(png);
    png_read_info(png, job->header);
    rc = fm_decode_size(job->info, job->limits, png_get_image_width(png, job->header),
                        png_get_image_height(png, job->header), job->err);
    if (rc != 0)
        leave(job, rc);
    note_header(job);
    if (!bytes_can_hold(job, n))
        leave(job, fm_decode_fail(job->info, FM_DECODE_ERROR, job->err, -EBADMSG,
                                  "cut short: %zu bytes cannot hold %u x %u pixels", n, job->info->width,
                                  job->info->height));
    rc = fm_image_create((int)job->info->width, (int)job->info->height, &job->image, job->err);
    if (rc != 0)
        leave(job, rc);
    to_rgb8(job);
    read_rows(job);
    note_orientation(job);
}

int fm_png_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                  fm_decode_info *info, fm_err *err)
{
    png_job job = {.at = bytes, .end = bytes + n, .limits = limits, .info = info, .err = err,
                   .image = FM_IMAGE_INIT};

    job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
    if (job.png)
        job.header = png_create_info_struct(job.png);
    if (!job.header)
        job.rc = fm_fail(err, -ENOMEM, "no memory to decode a PNG");
    else if (setjmp(png_jmpbuf(job.png)) == 0)
        decode(&job, n);
    png_destroy_read_struct(&job.png, &job.header, NULL);
    if (job.rc == 0)
        job.rc = fm_decode_strict(info, limits, err);
    if (job.rc == 0)
        *out = job.image;
    else
        fm_image_fini(&job.image);
    return job.rc;
}
