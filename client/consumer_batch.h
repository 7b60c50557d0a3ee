/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Memory that batches lie in, and how batches are cut from it. */
#ifndef KC_CONSUMER_BATCH_H
#define KC_CONSUMER_BATCH_H

#include "client/consumer_part.h"
#include "protocol/base/chunk.h"

/** Bytes that somebody reads: a received chunk or a decompressed batch. Counted against the
 * consumer's credit until the last reference goes; outlives the consumer with the batches that name
 * it. */
struct kc_source {
    kb_list node;          /**< kc_consumer.sources */
    kc_consumer *consumer; /**< NULL: closed */
    kb_mem *mem;
    uint32_t refs;
    kb_chunk *chunk; /**< NULL: decompressed */
    kb_buf inflated;
    size_t bytes; /**< counted */
};

/** Takes a reference to the chunk; one reference of its own. NULL out of memory. */
kc_source *kc_source_new(kc_consumer *consumer, kb_chunk *chunk, size_t bytes);
static inline kc_source *kc_source_ref(kc_source *source)
{
    source->refs++;
    return source;
}
void kc_source_unref(kc_source *source);
/** The consumer goes: nothing is counted any more. */
void kc_source_orphan_all(kc_consumer *consumer);
/** Free what is kept for the next use. */
void kc_batch_free_spares(kc_consumer *consumer);

/** The next batch of any partition. KC_OK, KC_ERR_AGAIN, KC_ERR_NOMEM. */
KC_NODISCARD kc_err kc_batch_take(kc_consumer *consumer, kc_batch **batch_out);

/** Cut the whole batches off the front of `records`, by their headers only: bytes in whole batches
 * in *bytes_out, offset behind them in *next_out (unchanged when there is none). KC_ERR_MALFORMED:
 * what follows can't be a batch. */
KC_NODISCARD kc_err kc_records_measure(kc_bytes records, size_t *bytes_out, int64_t *next_out);

#endif
