/* Image decoding.  PNG checksums are mended after each mutation: libpng would otherwise
 * refuse nearly all of them before anything interesting happens. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/image/decode.h"

#define MAX_PIXELS (1u << 20)

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t max, unsigned seed);

static uint32_t crc_of(const uint8_t *bytes, size_t n)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void mend_png(uint8_t *bytes, size_t n)
{
    size_t at = 8;

    while (at < n && n - at >= 12 && get32(bytes + at) <= n - at - 12) {
        size_t length = get32(bytes + at);
        uint32_t crc = crc_of(bytes + at + 4, length + 4);

        for (int i = 0; i < 4; i++)
            bytes[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += length + 12;
    }
}

/* Every fourth mutation leaves the checksums wrong. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t max, unsigned seed)
{
    n = LLVMFuzzerMutate(bytes, n, max);
    if (seed % 4 && fm_image_sniff(bytes, n) == FM_FORMAT_PNG)
        mend_png(bytes, n);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fm_decode_limits limits = {.max_pixels = MAX_PIXELS, .strict = n % 4 == 0};
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;
    fm_err err = FM_ERR_INIT;
    int rc = fm_image_decode(bytes, n, &limits, &image, &info, &err);

    must(rc == 0 ? image.pixels && info.reason == FM_USED : !image.pixels && err.code == rc && err.text[0]);
    must(rc == -ENOMEM || (rc == 0) == (info.reason == FM_USED));
    must(info.orientation >= 1 && info.orientation <= 8);
    if (rc == 0) {
        uint64_t pixels = (uint64_t)image.width * (uint64_t)image.height;

        must(pixels == (uint64_t)info.width * info.height && pixels <= MAX_PIXELS);
        must(!limits.strict || info.warnings == 0);
    }
    fm_image_fini(&image);
    return 0;
}
