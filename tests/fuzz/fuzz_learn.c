/* What stages are given and what they leave behind: the first byte says which.  The digest
 * that closes results is mended, so that what is before it is read. */
#include <string.h>

#include "cluster/power.h"
#include "coordinator/learn/audit.h"
#include "tests/fuzz/fuzz.h"

static void same(const fm_buf *in, const fm_buf *out)
{
    must(!out->failed && in->size == out->size && memcmp(in->data, out->data, in->size) == 0);
}

static void try_plan(const fm_buf *in, fm_buf *out)
{
    fm_plan plan;

    if (fm_plan_decode(in->data, in->size, &plan, NULL) != 0)
        return;
    fm_plan_encode(&plan, out);
    same(in, out);
    fm_plan_fini(&plan);
}

static void try_audit_plan(const fm_buf *in, fm_buf *out)
{
    fm_audit_plan plan;

    if (fm_audit_plan_decode(in->data, in->size, &plan, NULL) != 0)
        return;
    fm_audit_plan_encode(&plan, out);
    same(in, out);
    fm_audit_plan_fini(&plan);
}

static void try_power_plan(const fm_buf *in, fm_buf *out)
{
    static fm_power_plan plan;

    if (fm_power_plan_decode(in->data, in->size, &plan, NULL) != 0)
        return;
    fm_power_plan_encode(&plan, out);
    same(in, out);
    fm_audit_plan_fini(&plan.rows);
}

static void try_evaluation(const fm_buf *in, fm_buf *out)
{
    fm_evaluation e;

    if (fm_evaluation_decode(in->data, in->size, &e, NULL) != 0)
        return;
    fm_evaluation_encode(&e, out);
    must(!out->failed);
    fm_evaluation_fini(&e);
}

static void try_audit(const fm_buf *in, fm_buf *out)
{
    fm_audit a;

    if (fm_audit_decode(in->data, in->size, &a, NULL) != 0)
        return;
    fm_audit_encode(&a, out);
    must(!out->failed);
    fm_audit_fini(&a);
}

static void try_head(const fm_buf *in, fm_buf *out)
{
    fm_head *head;

    if (fm_head_decode(in->data, in->size, &head, NULL) != 0)
        return;
    fm_head_encode(head, out);
    same(in, out);
    fm_head_destroy(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static void (*const kinds[])(const fm_buf *, fm_buf *) = {try_plan, try_audit_plan, try_power_plan, try_evaluation,
                                                              try_audit, try_head};
    fm_buf in = FM_BUF_INIT, out = FM_BUF_INIT;
    size_t kind = n ? bytes[0] % (sizeof kinds / sizeof *kinds) : 0;

    if (n == 0)
        return 0;
    fm_buf_put(&in, bytes + 1, n - 1);
    if (kind == 3 || kind == 4) {
        fm_digest d;

        fm_digest_of(in.data, in.size, &d);
        fm_buf_put(&in, d.b, sizeof d.b);
    }
    kinds[kind](&in, &out);
    fm_buf_fini(&in);
    fm_buf_fini(&out);
    return 0;
}
