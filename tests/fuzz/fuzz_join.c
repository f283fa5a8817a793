/* Join files.  The digest at the end is mended, so that what is before it is read.  What is read may be written as other
 * bytes (any number but 0 says that there is a mask), but then it stays the same. */
#include <string.h>

#include "proto/join.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static fm_join join, again;
    fm_buf in = FM_BUF_INIT, out = FM_BUF_INIT, second = FM_BUF_INIT;
    fm_digest check;

    fm_buf_put(&in, bytes, n);
    fm_join_decode(in.data, in.size, &join, NULL);
    fm_digest_of(bytes, n, &check);
    fm_buf_put(&in, check.b, sizeof check.b);
    if (fm_join_decode(in.data, in.size, &join, NULL) == 0) {
        fm_join_encode(&join, &out);
        must(!out.failed && fm_join_decode(out.data, out.size, &again, NULL) == 0);
        fm_join_encode(&again, &second);
        must(second.size == out.size && memcmp(second.data, out.data, out.size) == 0);
    }
    fm_buf_fini(&in);
    fm_buf_fini(&out);
    fm_buf_fini(&second);
    return 0;
}
