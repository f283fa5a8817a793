/* usage: mark PHOTOGRAPH...   Paints a dark disc on the right of the picture, on the cheek of a face that facemill synth
 * drew, in place; losslessly, so that nothing else of the picture changes. */
#include <stdio.h>

#include "base/file.h"
#include "worker/image/decode.h"
#include "worker/image/encode.h"

#define ACROSS 0.10     /* from the middle, in widths of the picture */
#define DOWN 0.07
#define RADIUS 0.03

static void paint(fm_image *image)
{
    double w = image->width, x0 = w * (0.5 + ACROSS), y0 = 0.47 * image->height + DOWN * w, r = RADIUS * w;

    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++)
            if ((x - x0) * (x - x0) + (y - y0) * (y - y0) < r * r) {
                uint8_t *rgb = image->pixels + (size_t)y * image->stride_bytes + 3 * (size_t)x;

                rgb[0] = 60;
                rgb[1] = 20;
                rgb[2] = 20;
            }
}

static int mark(const char *path, fm_err *err)
{
    const fm_decode_limits limits = {.max_pixels = 1u << 24};
    fm_buf in = FM_BUF_INIT, out = FM_BUF_INIT;
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;
    int rc = fm_file_read(path, 1u << 24, &in, err);

    if (rc == 0)
        rc = fm_image_decode(in.data, in.size, &limits, &image, &info, err);
    if (rc == 0) {
        paint(&image);
        rc = fm_png_encode(&image, &out, err);
    }
    if (rc == 0)
        rc = fm_file_write(path, out.data, out.size, err);
    fm_image_fini(&image);
    fm_buf_fini(&in);
    fm_buf_fini(&out);
    return rc;
}

int main(int argc, char **argv)
{
    fm_err err = FM_ERR_INIT;

    for (int i = 1; i < argc; i++)
        if (mark(argv[i], &err) != 0) {
            fprintf(stderr, "mark: %s\n", err.text);
            return 1;
        }
    return 0;
}
