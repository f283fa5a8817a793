/* Doing the photographs of one lease. */
#ifndef FM_WORKER_SHARD_H
#define FM_WORKER_SHARD_H

#include "base/digest.h"
#include "base/err.h"
#include "proto/journal.h"
#include "proto/message.h"
#include "worker/coder.h"
#include "worker/preprocess.h"
#include "worker/records.h"
#include "worker/spans.h"

typedef struct {
    fm_records *records;            /* all borrowed */
    fm_preprocessor *preprocessor;
    fm_journal *journal;            /* is told of each photograph before anything is done about it */
    fm_spans *spans;                /* gets what time was spent on */
    fm_coder *coder;                /* NULL: chips only */
    fm_digest recipe;               /* fm_recipe_digest */
    fm_digest masked_recipe;        /* the recipe with a mask beside it, whose records serve too; zero: none */
    uint32_t chip_size;             /* of the recipe */
    uint64_t max_bytes;             /* of a file */
    fm_digest encoding;             /* fm_encoding_digest */
    /* Called between photographs and between batches.  0: go on; 1: the lease is not to be finished; or a negative code. */
    int (*between)(void *ctx, fm_err *err);
    void *ctx;
} fm_shard_tools;

/* Put the photo and code records of a lease's photographs that are not there yet, uncommitted.
 * acks  caller's, [lease->n_items], zeroed; written for all items on 0.
 * A record's bytes depend on the photograph, the recipe and the models alone: not on the batch, its neighbours or the rank.
 * The journal ends idle, except on -ENOMEM: the photograph that takes all memory is to be found out like one that crashes.
 * Returns 0; 1 when `between` said so (what was put stays); or a negative code. */
int fm_shard_do(const fm_shard_tools *tools, const fm_message *lease, fm_ack_item *acks, fm_err *err);

#endif
