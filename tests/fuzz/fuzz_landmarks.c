/* dlib's shape predictor files; what is accepted must also place landmarks. */
#include "tests/fuzz/fuzz.h"
#include "worker/face/landmarks.h"

#define SIDE 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static uint8_t pixels[3 * SIDE * SIDE];
    const fm_image image = {SIDE, SIDE, 3 * SIDE, pixels};
    const fm_face_box box = {10, 10, 50, 50, 1, 0};
    fm_buf packed = FM_BUF_INIT;
    fm_landmarks *l = NULL;
    fm_point points[68];
    fm_err err = FM_ERR_INIT;
    int rc = fm_landmarks_pack(bytes, n, &packed, &err);

    must(rc == 0 || (err.code == rc && err.text[0] && packed.size == 0));
    if (rc == 0) {
        must(fm_landmarks_open(packed.data, packed.size, &l, &err) == 0);
        must(fm_landmarks_count(l) == 68 || fm_landmarks_count(l) == 5);
        fm_landmarks_find(l, &image, &box, points);
        fm_landmarks_close(l);
    }
    fm_buf_fini(&packed);
    return 0;
}
