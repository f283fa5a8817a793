#include "worker/image/image.h"

#include <errno.h>
#include <stdlib.h>

#define SIDE_MAX (1 << 20)

int fm_image_create(int width, int height, fm_image *out, fm_err *err)
{
    size_t stride_bytes, bytes;
    uint8_t *pixels;

    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
        return fm_fail(err, -EINVAL, "image of %d x %d: each side must be 1 to %d", width, height, SIDE_MAX);
    stride_bytes = 3 * (size_t)width;
    bytes = stride_bytes * (size_t)height;
    pixels = malloc(bytes);
    if (!pixels)
        return fm_fail_nomem(err, "image", bytes);
    *out = (fm_image){width, height, stride_bytes, pixels};
    return 0;
}

void fm_image_fini(fm_image *image)
{
    free(image->pixels);
    *image = (fm_image)FM_IMAGE_INIT;
}
