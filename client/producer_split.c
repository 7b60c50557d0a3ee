/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A batch the broker does not take as it is, replaced by batches it may take: smaller ones
 * (MESSAGE_TOO_LARGE), or one without the records it named (INVALID_RECORD, KIP-467). Their records
 * are encoded anew, as new batches. */
#include "client/producer_flow.h"
#include "protocol/base/error.h"

#include <assert.h>

typedef struct splitting {
    kc_producer_batch *batch;
    size_t bytes_max;
    kb_list children;            /**< closed ones and, last, the one being filled */
    kc_producer_batch *child;    /**< the one being filled; NULL: none            */
    kc_producer_batch *refused;  /**< NULL: none                                  */
    const uint8_t *refused_bits; /**< one bit a record                            */
    kb_arena arena;              /**< headers of one record                       */
} splitting;

static size_t child_bytes(const splitting *split)
{
    size_t whole = split->batch->writer.len;
    return split->bytes_max < whole ? split->bytes_max : whole;
}

static kc_err new_child(splitting *split, size_t bytes, kc_producer_batch **child_out)
{
    kc_producer_batch *batch = split->batch;
    KB_TRY(kc_batch_new(batch->queue, bytes, batch->created_us, KC_BLOCK_ACCEPTED, child_out));
    kp_batch_writer_move(&(*child_out)->writer, (*child_out)->writer.data, bytes);
    return KC_OK;
}

static kc_err add_record(splitting *split, const kc_record *record, kc_delivery_target target,
                         bool is_refused)
{
    kc_producer_memory *memory = &split->batch->queue->topic->producer->memory;
    kc_producer_batch **place = is_refused ? &split->refused : &split->child;
    kc_err err = KC_ERR_AGAIN;
    if (*place)
        err = kc_batch_add(*place, memory, record, record->timestamp_ms, target.fn, target.user);
    if (err != KC_ERR_AGAIN)
        return err;
    assert(!is_refused || !*place);
    size_t least =
        KP_BATCH_HEADER_BYTES +
        kp_record_size_max(record->key, record->value, record->headers, record->header_count);
    bool is_alone = least > child_bytes(split);
    KB_TRY(new_child(split, is_alone ? least : child_bytes(split), place));
    kc_producer_batch *child = *place;
    if (!is_refused)
        kb_list_push_back(&split->children, &child->node);
    KB_TRY(kc_batch_add(child, memory, record, record->timestamp_ms, target.fn, target.user));
    // or a small one could join it where the estimate left room, and splitting would never end
    if (is_alone && !is_refused)
        kp_batch_writer_move(&child->writer, child->writer.data, child->writer.len);
    return KC_OK;
}

/** Read one record of ours back into the form it was sent in. */
static kc_err read_record(splitting *split, const kp_record *from, kc_record *record_out)
{
    kb_arena_reset(&split->arena);
    kc_header *headers = kb_arena_array(&split->arena, (size_t)from->header_count, sizeof *headers);
    if (!headers)
        return KC_ERR_NOMEM;
    kc_bytes pos = from->headers_raw;
    for (int32_t i = 0; i < from->header_count; i++)
        KB_TRY(kp_header_next(&pos, &headers[i]));
    *record_out = (kc_record){
        .timestamp_ms = from->timestamp,
        .key = from->key,
        .value = from->value,
        .headers = headers,
        .header_count = (size_t)from->header_count,
    };
    return KC_OK;
}

static kc_err deal_records(splitting *split, const kp_batch *view, kc_bytes records)
{
    kp_record_iter iter;
    kc_delivery_cursor cursor;
    kp_record_iter_init(&iter, view, records);
    kc_delivery_cursor_init(&cursor, &split->batch->deliveries);
    for (uint32_t i = 0; i < (uint32_t)view->record_count; i++) {
        kp_record from;
        kc_record record;
        KB_TRY(kp_record_next(&iter, &from));
        KB_TRY(read_record(split, &from, &record));
        bool is_refused = split->refused_bits && (split->refused_bits[i / 8] >> i % 8 & 1);
        KB_TRY(add_record(split, &record, kc_delivery_cursor_next(&cursor), is_refused));
    }
    return KC_OK;
}

static kc_err deal(splitting *split)
{
    kc_producer_batch *batch = split->batch;
    kc_bytes rest = kc_span(batch->writer.data, batch->wire_bytes);
    kp_batch view;
    KB_TRY(kp_batch_next(&rest, false, &view));
    if (kp_batch_codec(&view) == KP_CODEC_NONE)
        return deal_records(split, &view, view.records);
    kb_buf plain;
    kb_buf_init(&plain, batch->queue->topic->producer->memory.mem, batch->writer.len);
    kc_err err = kp_decompress(kp_batch_codec(&view), view.records, false, &plain);
    if (err == KC_OK)
        err = deal_records(split, &view, kb_buf_bytes(&plain));
    kb_buf_cleanup(&plain);
    return err;
}

static kc_err mark_refused(splitting *split, kb_arena *arena, kc_split_refused refused)
{
    int32_t count = split->batch->writer.count;
    if (refused.count <= 0)
        return KC_OK;
    uint8_t *bits = kb_arena_zalloc(arena, (size_t)count / 8 + 1);
    if (!bits)
        return KC_ERR_NOMEM;
    for (int32_t i = 0; i < refused.count; i++) {
        int32_t index = refused.items[i].batch_index;
        if (index < 0 || index >= count)
            continue;
        bits[index / 8] |= (uint8_t)(1u << index % 8);
        split->refused_bits = bits;
    }
    return split->refused_bits ? KC_OK : KC_ERR_NOT_FOUND;
}

static void drop_children(splitting *split)
{
    kb_list *node;
    while ((node = kb_list_pop_front(&split->children)))
        kc_batch_discard(KB_CONTAINER(node, kc_producer_batch, node));
    if (split->refused)
        kc_batch_discard(split->refused);
}

/** The children take the batch's place at the front of its queue. */
static void replace(splitting *split)
{
    kc_producer_queue *queue = split->batch->queue;
    bool is_flushed = split->batch->is_flushed;
    assert(!split->child || split->child->writer.count < split->batch->writer.count);
    if (is_flushed && split->refused)
        kc_batch_mark_flushed(split->refused);
    KB_LIST_FOR (node, &split->children) {
        queue->depth++;
        if (is_flushed)
            kc_batch_mark_flushed(KB_CONTAINER(node, kc_producer_batch, node));
    }
    kb_list_splice_back(&split->children, &queue->closed);
    kb_list_splice_back(&queue->closed, &split->children);
    kc_batch_discard(split->batch);
    queue->retry_us = 0;
    kc_queue_update(queue);
}

kc_err kc_batch_split(kc_producer_batch *batch, size_t bytes_max, kc_split_refused refused,
                      kc_producer_batch **refused_out)
{
    assert(batch->queue->in_flight == batch && batch->wire_bytes > 0);
    kb_mem *mem = batch->queue->topic->producer->memory.mem;
    splitting split = {.batch = batch, .bytes_max = bytes_max};
    kb_arena bits;
    kb_list_init(&split.children);
    kb_arena_init(&split.arena, mem, SIZE_MAX / 2);
    kb_arena_init(&bits, mem, SIZE_MAX / 2);
    kc_err err = mark_refused(&split, &bits, refused);
    if (err == KC_OK)
        err = deal(&split);
    kb_arena_cleanup(&split.arena);
    kb_arena_cleanup(&bits);
    if (err != KC_OK) {
        drop_children(&split);
        return err;
    }
    *refused_out = split.refused;
    replace(&split);
    return KC_OK;
}
