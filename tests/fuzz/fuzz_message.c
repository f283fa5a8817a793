/* Messages between workers, coordinator and observers: what is accepted encodes to what decodes to the same. */
#include <string.h>

#include "proto/message.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fm_buf first = FM_BUF_INIT, second = FM_BUF_INIT;
    fm_message m, again;
    fm_err err = FM_ERR_INIT;
    int rc;

    fm_message_init(&m, FM_MSG_HELLO);
    rc = fm_message_decode(bytes, n, &m, &err);
    must(rc == 0 || (err.code == rc && err.text[0]));
    if (rc != 0)
        return 0;
    fm_message_encode(&m, &first);
    must(!first.failed && fm_message_decode(first.data, first.size, &again, &err) == 0);
    fm_message_encode(&again, &second);
    must(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    fm_message_fini(&again);
    fm_message_fini(&m);
    fm_buf_fini(&first);
    fm_buf_fini(&second);
    return 0;
}
