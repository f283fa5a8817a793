/* The portrait network against masks that ONNX Runtime made with it. */
#include "tests/check.h"
#include "tests/oracle.h"
#include "worker/net/network.h"

static float half_to_float(const uint8_t *p)
{
    unsigned h = (unsigned)(p[0] | p[1] << 8), e = h >> 10 & 31, m = h & 1023;
    double v = e ? ldexp(1024 + m, (int)e - 25) : ldexp(m, -24);

    return (float)(h >> 15 ? -v : v);
}

static void compare_mask(const float *got, const uint8_t *want, int image)
{
    enum { PIXELS = 256 * 256 };
    int both = 0, either = 0;
    double worst = 0;

    for (int i = 0; i < PIXELS; i++) {
        float w = half_to_float(want + 2 * i);

        both += got[i] > 0.5f && w > 0.5f;
        either += got[i] > 0.5f || w > 0.5f;
        worst = fmax(worst, fabs((double)got[i] - w));
    }
    if (both < 0.999 * either || worst > 1e-3)
        check_failed(__FILE__, __LINE__, "image %d: IoU %g, largest difference %g", image, (double)both / either, worst);
}

static void portrait_masks_as_kept(void)
{
    enum { IMAGES = 8, PIXELS = 256 * 256, HEADER = 128 };
    fm_buf model = FM_BUF_INIT, images = FM_BUF_INIT, masks = FM_BUF_INIT;
    static float x[3 * PIXELS];
    const fm_network_options options = {.isa = fm_cpu_isa()};
    fm_network *net = NULL;

    if (!oracle_bytes("models/portrait.onnx", &model) || !oracle_bytes("oracle/mask/images.npy", &images) ||
        !oracle_bytes("oracle/mask/masks.npy", &masks))
        return;
    REQUIRE(images.size == HEADER + (size_t)IMAGES * PIXELS * 3 && masks.size == HEADER + (size_t)IMAGES * PIXELS * 2);
    REQUIRE(fm_network_load(model.data, model.size, &options, &net, NULL) == 0);
    for (int i = 0; i < IMAGES; i++) {
        const uint8_t *rgb = images.data + HEADER + (size_t)i * PIXELS * 3;
        fm_tensor in = {FM_F32, 4, {1, 3, 256, 256}, x}, out;

        for (int k = 0; k < 3 * PIXELS; k++)
            x[k] = (float)rgb[k % PIXELS * 3 + k / PIXELS] / 255;
        REQUIRE(fm_network_run(net, &in, &out, NULL) == 0);
        compare_mask(out.data, masks.data + HEADER + (size_t)i * PIXELS * 2, i);
    }
    fm_network_close(net);
    fm_buf_fini(&model);
    fm_buf_fini(&images);
    fm_buf_fini(&masks);
}

CHECK_MAIN(CHECK_CASE(portrait_masks_as_kept))
