/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Blocks of a producer's buffer.memory: counted, of few sizes, recycled, so that the steady state
 * allocates nothing. */
#ifndef KC_PRODUCER_MEMORY_H
#define KC_PRODUCER_MEMORY_H

#include "protocol/base/mem.h"

/** Smallest block; each further size is four times the one before, up to the largest batch. */
#define KC_BLOCK_BYTES_MIN   2048
#define KC_BLOCK_CLASSES_MAX 12

typedef struct kc_block_class {
    size_t bytes;
    void *idle; /**< free blocks; each begins with the pointer to the next */
} kc_block_class;

typedef struct kc_producer_memory {
    kb_mem *mem;
    size_t limit; /**< buffer.memory                                          */
    size_t used;  /**< in blocks that are taken                               */
    size_t idle;  /**< in free blocks; used and idle together stay in `limit` */
    uint32_t class_count;
    kc_block_class classes[KC_BLOCK_CLASSES_MAX]; /**< ascending */
} kc_producer_memory;

/** Allocates nothing. `largest` is the size of the largest batch that is filled record by record.
 */
void kc_producer_memory_init(kc_producer_memory *memory, kb_mem *mem, size_t limit, size_t largest);
/** Give the idle blocks back. */
void kc_producer_memory_trim(kc_producer_memory *memory);

/** What to do where a block of the class is not to be had. */
typedef enum kc_block_need {
    KC_BLOCK_CLASS,    /**< refuse: for growing, which would go on in small steps else        */
    KC_BLOCK_EXACT,    /**< take exactly so much, if it is above the smallest block           */
    KC_BLOCK_ACCEPTED, /**< don't refuse for buffer.memory: for records accepted before       */
} kc_block_need;

/**
 * Take a block of the next larger class, or of exactly `bytes` where there is none so large.
 *
 * @retval KC_OK, KC_ERR_BUFFER_FULL, KC_ERR_NOMEM.
 */
KC_NODISCARD kc_err kc_block_take(kc_producer_memory *memory, size_t bytes, kc_block_need need,
                                  void **block_out, size_t *bytes_out);
/** What such a block takes of buffer.memory at least. */
size_t kc_block_bytes(const kc_producer_memory *memory, size_t bytes, kc_block_need need);
/** `bytes` as kc_block_take() told. */
void kc_block_give(kc_producer_memory *memory, void *block, size_t bytes);

#endif
