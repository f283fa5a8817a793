/* Join files.  The digest at the end is mended, so that what is before it is read. */
#include <string.h>

#include "proto/join.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static fm_join join, again;
    fm_buf in = FM_BUF_INIT, out = FM_BUF_INIT;
    fm_digest check;

    fm_buf_put(&in, bytes, n);
    fm_join_decode(in.data, in.size, &join, NULL);
    fm_digest_of(bytes, n, &check);
    fm_buf_put(&in, check.b, sizeof check.b);
    if (fm_join_decode(in.data, in.size, &join, NULL) == 0) {
        fm_join_encode(&join, &out);
        must(!out.failed && fm_join_decode(out.data, out.size, &again, NULL) == 0);
        must(in.size == out.size && memcmp(in.data, out.data, in.size) == 0);
    }
    fm_buf_fini(&in);
    fm_buf_fini(&out);
    return 0;
}
