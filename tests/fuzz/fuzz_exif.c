/* The walk to EXIF's orientation. */
#include "tests/fuzz/fuzz.h"
#include "worker/image/exif.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    int orientation = fm_exif_orientation(bytes, n);

    must(orientation >= 0 && orientation <= 8);
    return 0;
}
