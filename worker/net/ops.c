#include "worker/net/ops.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "worker/net/op_tables.h"

enum { OPS_MAX = 96 };

typedef struct {
    const fm_op *ops;
    const size_t *n;
} table;

static const size_t one = 1;
static const table tables[] = {
    {fm_ops_elementwise, &fm_ops_elementwise_n}, {&fm_op_conv, &one}, {fm_ops_conv, &fm_ops_conv_n},
    {fm_ops_product, &fm_ops_product_n}, {fm_ops_pool, &fm_ops_pool_n}, {fm_ops_resize, &fm_ops_resize_n},
    {&fm_op_transpose, &one}, {&fm_op_reshape, &one}, {&fm_op_pad, &one}, {fm_ops_move, &fm_ops_move_n}, {fm_ops_shape, &fm_ops_shape_n},
    {fm_ops_reduce, &fm_ops_reduce_n}};

static size_t all(const fm_op **out)
{
    size_t n = 0;

    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (size_t i = 0; i < *tables[t].n && n < OPS_MAX; i++)
            out[n++] = &tables[t].ops[i];
    return n;
}

const fm_op *fm_op_find(const char *name)
{
    const fm_op *ops[OPS_MAX];

    for (size_t i = 0, n = all(ops); i < n; i++)
        if (strcmp(ops[i]->name, name) == 0)
            return ops[i];
    return NULL;
}

const char *fm_op_near(const char *name)
{
    const fm_op *ops[OPS_MAX];
    const char *names[OPS_MAX];
    size_t n = all(ops);

    for (size_t i = 0; i < n; i++)
        names[i] = ops[i]->name;
    return fm_nearest(name, names, n);
}

void fm_op_names(char *out, size_t out_size)
{
    const fm_op *ops[OPS_MAX];
    size_t used = 0;

    for (size_t i = 0, n = all(ops); i < n && used < out_size; i++)
        used += (size_t)snprintf(out + used, out_size - used, "%s%s", i ? " " : "", ops[i]->name);
}
