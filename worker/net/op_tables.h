/* The tables that the files of operators give to the one in ops.c. */
#ifndef FM_WORKER_NET_OP_TABLES_H
#define FM_WORKER_NET_OP_TABLES_H

#include "worker/net/ops.h"

extern const fm_op fm_ops_elementwise[], fm_ops_conv[], fm_ops_pool[], fm_ops_move[], fm_ops_shape[], fm_ops_reduce[], fm_ops_product[],
    fm_ops_resize[];
extern const size_t fm_ops_elementwise_n, fm_ops_conv_n, fm_ops_pool_n, fm_ops_move_n, fm_ops_shape_n, fm_ops_reduce_n, fm_ops_product_n,
    fm_ops_resize_n;

extern const fm_op fm_op_pad;

/* Of Slice and Pad: starts and steps of each axis. */
void fm_permute_ranges(fm_node *n, int rank);

#endif
