/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The log of one partition: entries in the order of their offsets, bytes in segments. */
#include "mock/log.h"

#include "protocol/wire.h"

#include <assert.h>

/** A segment holds at least this; a larger batch gets a segment of its own size. */
#define SEGMENT_BYTES ((size_t)1 << 20)

void km_log_init(km_log *log, kb_mem *mem)
{
    *log = (km_log){.mem = mem};
}

void km_log_cleanup(km_log *log)
{
    for (size_t i = 0; i < log->segment_count; i++)
        kb_chunk_unref(log->segments[i]);
    kb_mem_free(log->mem, log->segments);
    kb_mem_free(log->mem, log->entries);
    kb_mem_free(log->mem, log->epochs);
    km_log_init(log, log->mem);
}

/* ---- writing ---- */

/** Room for one more item; doubles. */
static kc_err grow(kb_mem *mem, void **items, size_t count, size_t *cap, size_t item_size)
{
    if (count < *cap)
        return KC_OK;
    size_t wanted = *cap ? *cap * 2 : 8;
    void *larger = kb_mem_realloc(mem, *items, wanted * item_size);
    if (!larger)
        return KC_ERR_NOMEM;
    *items = larger;
    *cap = wanted;
    return KC_OK;
}

/** A segment with room for `len` bytes at its end. The first ones are small: most logs of a test stay so. */
static kb_chunk *segment_for(km_log *log, size_t len)
{
    kb_chunk *last = log->segment_count ? log->segments[log->segment_count - 1] : NULL;
    if (last && last->cap - last->len >= len)
        return last;
    size_t size = last ? last->cap * 4 : 4096;
    if (size > SEGMENT_BYTES)
        size = SEGMENT_BYTES;
    kb_chunk **larger =
        kb_mem_realloc(log->mem, log->segments, (log->segment_count + 1) * sizeof(kb_chunk *));
    if (!larger)
        return NULL;
    log->segments = larger;
    kb_chunk *segment = kb_chunk_new(log->mem, len > size ? len : size);
    if (segment)
        log->segments[log->segment_count++] = segment;
    return segment;
}

kc_err km_log_append(km_log *log, const kp_batch *batch, int32_t leader_epoch)
{
    assert(batch->magic == 2 && batch->last_offset_delta >= 0);
    void *entries = log->entries;
    kc_err grown =
        grow(log->mem, &entries, log->entry_count, &log->entry_cap, sizeof *log->entries);
    log->entries = entries;
    if (grown)
        return grown;
    kb_chunk *segment = segment_for(log, batch->bytes.len);
    if (!segment)
        return KC_ERR_NOMEM;
    uint8_t *into = segment->data + segment->len;
    memcpy(into, batch->bytes.ptr, batch->bytes.len);
    kp_store64(into + KP_BATCH_AT_BASE_OFFSET, (uint64_t)log->end_offset);
    kp_store32(into + KP_BATCH_AT_LEADER_EPOCH, (uint32_t)leader_epoch);
    log->entries[log->entry_count++] = (km_entry){
        .base_offset = log->end_offset,
        .next_offset = log->end_offset + batch->last_offset_delta + 1,
        .max_timestamp = batch->max_timestamp,
        .leader_epoch = leader_epoch,
        .segment = log->first_segment + (uint32_t)log->segment_count - 1,
        .at = (uint32_t)segment->len,
        .len = (uint32_t)batch->bytes.len,
        .producer_id = batch->producer_id,
        .producer_epoch = batch->producer_epoch,
        .attributes = batch->attributes,
    };
    segment->len += batch->bytes.len;
    log->bytes += batch->bytes.len;
    log->end_offset += batch->last_offset_delta + 1;
    return KC_OK;
}

void km_log_truncate(km_log *log, int64_t offset)
{
    while (log->entry_count > 0 && log->entries[log->entry_count - 1].next_offset > offset) {
        const km_entry *last = &log->entries[--log->entry_count];
        log->bytes -= last->len;
        log->end_offset = last->base_offset;
        size_t segment = last->segment - log->first_segment;
        log->segments[segment]->len = last->at;
        while (log->segment_count > segment + 1)
            kb_chunk_unref(log->segments[--log->segment_count]);
    }
    if (log->high_watermark > log->end_offset)
        log->high_watermark = log->end_offset;
    while (log->epoch_count > 0 && log->epochs[log->epoch_count - 1].start_offset > log->end_offset)
        log->epoch_count--;
}

static void drop_segments_before(km_log *log, uint32_t number)
{
    size_t gone = 0;
    while (gone < log->segment_count && log->first_segment + gone < number)
        kb_chunk_unref(log->segments[gone++]);
    if (gone == 0)
        return;
    log->segment_count -= gone;
    log->first_segment += (uint32_t)gone;
    memmove(log->segments, log->segments + gone, log->segment_count * sizeof(kb_chunk *));
}

void km_log_delete_before(km_log *log, int64_t offset)
{
    if (offset > log->high_watermark)
        offset = log->high_watermark;
    if (offset <= log->start_offset)
        return;
    log->start_offset = offset;
    size_t gone = 0;
    while (gone < log->entry_count && log->entries[gone].next_offset <= offset)
        log->bytes -= log->entries[gone++].len;
    log->entry_count -= gone;
    if (gone > 0)
        memmove(log->entries, log->entries + gone, log->entry_count * sizeof *log->entries);
    drop_segments_before(log, log->entry_count > 0
                                  ? log->entries[0].segment
                                  : log->first_segment + (uint32_t)log->segment_count);
    size_t old = 0; /* epochs that ended before the start; the one the start is in stays */
    while (old + 1 < log->epoch_count && log->epochs[old + 1].start_offset <= offset)
        old++;
    log->epoch_count -= old;
    if (old > 0)
        memmove(log->epochs, log->epochs + old, log->epoch_count * sizeof *log->epochs);
}

kc_err km_log_begin_epoch(km_log *log, int32_t epoch)
{
    /* An epoch without a record leaves no trace, as in a real log. */
    if (log->epoch_count > 0 && log->epochs[log->epoch_count - 1].start_offset == log->end_offset) {
        log->epochs[log->epoch_count - 1].epoch = epoch;
        return KC_OK;
    }
    void *epochs = log->epochs;
    kc_err grown = grow(log->mem, &epochs, log->epoch_count, &log->epoch_cap, sizeof *log->epochs);
    log->epochs = epochs;
    if (grown)
        return grown;
    log->epochs[log->epoch_count++] = (km_epoch){epoch, log->end_offset};
    return KC_OK;
}

/* ---- reading ---- */

size_t km_log_find(const km_log *log, int64_t offset)
{
    size_t low = 0;
    size_t high = log->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->entries[middle].next_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

kc_bytes km_log_entry_bytes(const km_log *log, const km_entry *entry)
{
    const kb_chunk *segment = log->segments[entry->segment - log->first_segment];
    return kc_span(segment->data + entry->at, entry->len);
}

kc_bytes km_log_read(const km_log *log, int64_t offset, int64_t until, size_t bytes_max,
                     bool is_first_whole)
{
    size_t first = km_log_find(log, offset);
    if (first >= log->entry_count || log->entries[first].next_offset > until)
        return KC_STR("");
    kc_bytes slice = km_log_entry_bytes(log, &log->entries[first]);
    if (slice.len > bytes_max)
        return is_first_whole ? slice : KC_STR("");
    for (size_t i = first + 1; i < log->entry_count; i++) {
        const km_entry *entry = &log->entries[i];
        if (entry->segment != log->entries[first].segment || entry->next_offset > until ||
            slice.len + entry->len > bytes_max)
            break;
        slice.len += entry->len;
    }
    return slice;
}

bool km_log_epoch_end(const km_log *log, int32_t epoch, int32_t *epoch_out, int64_t *end_out)
{
    size_t i = log->epoch_count;
    if (i == 0 || epoch < 0 || epoch > log->epochs[i - 1].epoch)
        return false;
    while (i > 0 && log->epochs[i - 1].epoch > epoch)
        i--;
    *epoch_out = i > 0 ? log->epochs[i - 1].epoch : epoch;
    *end_out = i < log->epoch_count ? log->epochs[i].start_offset : log->end_offset;
    return true;
}

int32_t km_log_epoch_at(const km_log *log, int64_t offset)
{
    size_t i = log->epoch_count;
    while (i > 0 && log->epochs[i - 1].start_offset > offset)
        i--;
    return i > 0 ? log->epochs[i - 1].epoch : -1;
}
