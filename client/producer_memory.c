/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Blocks of a producer's buffer.memory. */
#include "client/producer_memory.h"

#include "client/variant.h"
#include "protocol/base/poison.h"

#include <assert.h>

void kc_producer_memory_init(kc_producer_memory *memory, kb_mem *mem, size_t limit, size_t largest)
{
    *memory = (kc_producer_memory){.mem = mem, .limit = limit};
    // counted down from the largest, so that a full batch has a block of exactly its size
    size_t sizes[KC_BLOCK_CLASSES_MAX];
    uint32_t count = 0;
    for (size_t size = largest; size > KC_BLOCK_BYTES_MIN && count < KC_BLOCK_CLASSES_MAX - 1;
         size /= 4)
        sizes[count++] = size;
    sizes[count++] = KC_BLOCK_BYTES_MIN;
    for (uint32_t i = 0; i < count; i++)
        memory->classes[i].bytes = sizes[count - 1 - i];
    memory->class_count = count;
}

/** Index of the smallest class of at least `bytes`; class_count: none. */
static uint32_t class_index(const kc_producer_memory *memory, size_t bytes)
{
    uint32_t i = 0;
    while (i < memory->class_count && memory->classes[i].bytes < bytes)
        i++;
    return i;
}

static kc_block_class *class_of(kc_producer_memory *memory, size_t bytes)
{
    uint32_t i = class_index(memory, bytes);
    return i < memory->class_count ? &memory->classes[i] : NULL;
}

size_t kc_block_bytes(const kc_producer_memory *memory, size_t bytes, kc_block_need need)
{
    uint32_t i = class_index(memory, bytes);
    bool is_class = i == 0 || (i < memory->class_count && need == KC_BLOCK_CLASS);
    return is_class ? memory->classes[i].bytes : bytes;
}

static void *take_idle(kc_producer_memory *memory, kc_block_class *class)
{
    void *block = class->idle;
    KB_UNPOISON(block, class->bytes);
    memcpy(&class->idle, block, sizeof(void *));
    memory->idle -= class->bytes;
    return block;
}

/** Give back one idle block, a large one first; false: there is none. */
static bool trim_one(kc_producer_memory *memory)
{
    for (uint32_t i = memory->class_count; i-- > 0;) {
        if (memory->classes[i].idle) {
            kb_mem_free(memory->mem, take_idle(memory, &memory->classes[i]));
            return true;
        }
    }
    return false;
}

void kc_producer_memory_trim(kc_producer_memory *memory)
{
    while (trim_one(memory))
        ;
    assert(memory->idle == 0);
}

static bool has_room(const kc_producer_memory *memory, size_t bytes)
{
    return KC_VARIANT(MEMORY_UNBOUNDED) ||
           (bytes <= memory->limit && memory->used <= memory->limit - bytes);
}

kc_err kc_block_take(kc_producer_memory *memory, size_t bytes, kc_block_need need, void **block_out,
                     size_t *bytes_out)
{
    assert(bytes > 0);
    bool is_bound = need != KC_BLOCK_ACCEPTED;
    kc_block_class *class = class_of(memory, bytes);
    if (class && is_bound && !has_room(memory, class->bytes)) {
        if (need == KC_BLOCK_CLASS || bytes <= KC_BLOCK_BYTES_MIN)
            return KC_ERR_BUFFER_FULL;
        class = NULL;
    }
    size_t size = class ? class->bytes : bytes;
    if (is_bound && !has_room(memory, size))
        return KC_ERR_BUFFER_FULL;
    void *block = NULL;
    if (class && class->idle) {
        block = take_idle(memory, class);
    } else {
        while (is_bound && memory->idle > memory->limit - memory->used - size && trim_one(memory))
            ;
        // idle blocks of other sizes may be what stands between us and memory.bytes.max
        do {
            block = kb_mem_alloc(memory->mem, size < sizeof(void *) ? sizeof(void *) : size);
        } while (!block && trim_one(memory));
    }
    if (!block)
        return KC_ERR_NOMEM;
    memory->used += size;
    *block_out = block;
    *bytes_out = size;
    return KC_OK;
}

void kc_block_give(kc_producer_memory *memory, void *block, size_t bytes)
{
    assert(block && bytes <= memory->used);
    memory->used -= bytes;
    kc_block_class *class = class_of(memory, bytes);
    bool fits = memory->used <= memory->limit && bytes <= memory->limit - memory->used &&
                memory->idle <= memory->limit - memory->used - bytes;
    if (!class || class->bytes != bytes || !fits) {
        kb_mem_free(memory->mem, block);
        return;
    }
    // last in, first out: the warmest block is used next
    memcpy(block, &class->idle, sizeof(void *));
    class->idle = block;
    memory->idle += bytes;
    KB_POISON((char *)block + sizeof(void *), bytes - sizeof(void *));
}
