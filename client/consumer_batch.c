/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Batches handed out: cut off a fetched slice one at a time, checked, decompressed and filtered
 * only then, and read in place. A batch object and its decompression buffer are used again and
 * again; nothing is allocated per record.
 *
 * The position moves with each batch handed out or passed over (trap 19): behind the batch by its
 * header, whatever records are left in it. */
#include "client/consumer_batch.h"

#include "client/consumer_fetch.h"
#include "client/consumer_offset_op.h"
#include "client/variant.h"
#include "protocol/base/error.h"
#include "protocol/batch.h"
#include "protocol/message_set.h"
#include "protocol/wire.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>

struct kc_batch {
    kp_record_iter iter; /**< first: what reading touches */
    int64_t
        start_offset; /**< records below came with the batch, but were not asked for (trap 20) */
    kc_timestamp_type timestamp_type;
    int32_t leader_epoch;
    bool is_message_set;
    bool is_at_end;
    kp_message_set set;
    int64_t read_offset; /**< behind the last record read */
    int64_t next_offset;
    int64_t high;
    uint32_t version;
    kc_part *part;       /**< a reference */
    kc_source *source;   /**< the received chunk; NULL: not needed any more */
    kc_source *inflated; /**< the decompressed batch; NULL: not compressed */
    kb_list node;        /**< kc_consumer.spare_batches */
    kc_client *client;   /**< pinned while it is handed out: it counts the memory */
};

/* ---- memory ---- */

static void count_source(kc_source *source, size_t bytes)
{
    kc_consumer *consumer = source->consumer;
    size_t *sum = source->chunk ? &consumer->pinned_bytes : &consumer->inflated_bytes;
    *sum = *sum - source->bytes + bytes;
    if (bytes < source->bytes && consumer->is_starved)
        kc_consumer_plan_soon(consumer);
    source->bytes = bytes;
}

kc_source *kc_source_new(kc_consumer *consumer, kb_chunk *chunk, size_t bytes)
{
    kb_mem *mem = kc_consumer_mem(consumer);
    kc_source *source = kb_mem_zalloc(mem, sizeof *source);
    if (!source)
        return NULL;
    source->consumer = consumer;
    source->mem = mem;
    source->refs = 1;
    source->chunk = chunk ? kb_chunk_ref(chunk) : NULL;
    kb_buf_init(&source->inflated, mem, (size_t)consumer->settings->decompressed_bytes_max);
    kb_list_push_back(&consumer->sources, &source->node);
    count_source(source, bytes);
    return source;
}

static void free_source(kc_source *source)
{
    kb_list_remove(&source->node);
    kb_chunk_unref(source->chunk);
    kb_buf_cleanup(&source->inflated);
    kb_mem_free(source->mem, source);
}

void kc_source_unref(kc_source *source)
{
    if (!source)
        return;
    assert(source->refs > 0);
    if (--source->refs > 0)
        return;
    kc_consumer *consumer = source->consumer;
    if (consumer) {
        count_source(source, 0);
        if (!source->chunk && !consumer->spare_inflated &&
            source->inflated.cap <= KC_CONSUMER_SPARE_INFLATED_BYTES_MAX) {
            kb_buf_reset(&source->inflated);
            consumer->spare_inflated = source;
            return;
        }
    }
    free_source(source);
}

void kc_source_orphan_all(kc_consumer *consumer)
{
    KB_LIST_FOR (node, &consumer->sources) {
        KB_CONTAINER(node, kc_source, node)->consumer = NULL;
        kb_list_remove(node);
    }
}

void kc_batch_free_spares(kc_consumer *consumer)
{
    kb_list *node;
    while ((node = kb_list_pop_front(&consumer->spare_batches)))
        kb_mem_free(kc_consumer_mem(consumer), KB_CONTAINER(node, kc_batch, node));
    consumer->spare_batch_count = 0;
    if (consumer->spare_inflated)
        free_source(consumer->spare_inflated);
    consumer->spare_inflated = NULL;
    kp_codec_cache_cleanup(&consumer->codecs);
}

static kc_source *take_inflated(kc_consumer *consumer)
{
    kc_source *source = consumer->spare_inflated;
    if (!source)
        return kc_source_new(consumer, NULL, 0);
    consumer->spare_inflated = NULL;
    source->refs = 1;
    return source;
}

static kc_batch *new_batch(kc_part *part, const kc_fetched *fetched)
{
    kc_consumer *consumer = part->consumer;
    kc_batch *batch;
    kb_list *node = kb_list_pop_front(&consumer->spare_batches);
    if (node) {
        batch = KB_CONTAINER(node, kc_batch, node);
        consumer->spare_batch_count--;
    } else {
        batch = kb_mem_alloc(part->mem, sizeof *batch);
        if (!batch)
            return NULL;
        kb_list_init(&batch->node);
    }
    batch->client = consumer->client;
    kc_client_pin(batch->client);
    batch->start_offset = batch->read_offset = part->position;
    batch->timestamp_type = KC_TIMESTAMP_CREATE;
    batch->is_message_set = batch->is_at_end = false;
    batch->high = fetched->high;
    batch->version = part->version;
    batch->part = kc_part_ref(part);
    batch->source = kc_source_ref(fetched->source);
    batch->inflated = NULL;
    return batch;
}

void kc_batch_free(kc_batch *batch)
{
    if (!batch)
        return;
    const kc_source *source = batch->source ? batch->source : batch->inflated;
    kc_consumer *consumer = source->consumer;
    kb_mem *mem = source->mem;
    kc_source_unref(batch->source);
    kc_source_unref(batch->inflated);
    kc_part_unref(batch->part);
    kc_client *client = batch->client;
    if (consumer && consumer->spare_batch_count < KC_CONSUMER_SPARE_BATCHES_MAX) {
        kb_list_push_front(&consumer->spare_batches, &batch->node);
        consumer->spare_batch_count++;
    } else {
        kb_mem_free(mem, batch);
    }
    kc_client_unpin(client);
}

/* ---- aborted transactions (KIP-98, trap 23) ---- */

static int32_t find_active(const kc_fetched *fetched, int64_t producer_id)
{
    for (int32_t i = 0; i < fetched->active_count; i++)
        if (fetched->active[i] == producer_id)
            return i;
    return -1;
}

static bool is_abort_marker(const kp_batch *header)
{
    kp_record_iter iter;
    kp_record record;
    if (!(header->attributes & KP_ATTR_CONTROL) || kp_batch_codec(header) != KP_CODEC_NONE)
        return false;
    kp_record_iter_init(&iter, header, header->records);
    return kp_record_next(&iter, &record) == KC_OK && kp_control_type(record.key) == 0;
}

/** Follow the list through this batch; true: its records belong to an aborted transaction. A marker
 * without an entry is legal: its transaction began before the fetch offset. */
static bool is_aborted(kc_fetched *fetched, const kp_batch *header)
{
    if (header->producer_id < 0)
        return false;
    int64_t last_offset = header->base_offset + header->last_offset_delta;
    while (fetched->aborted_next < fetched->aborted_count &&
           fetched->aborted[fetched->aborted_next].first_offset <= last_offset) {
        int64_t producer_id = fetched->aborted[fetched->aborted_next++].producer_id;
        if (find_active(fetched, producer_id) < 0)
            fetched->active[fetched->active_count++] = producer_id;
    }
    int32_t at = find_active(fetched, header->producer_id);
    if (at < 0)
        return false;
    if (is_abort_marker(header) && !KC_VARIANT(ABORT_GOES_ON))
        fetched->active[at] = fetched->active[--fetched->active_count];
    return header->attributes & KP_ATTR_TRANSACTIONAL;
}

/* ---- handing out ---- */

kc_err kc_records_measure(kc_bytes records, size_t *bytes_out, int64_t *next_out)
{
    const uint8_t *p = records.ptr;
    size_t left = records.len;
    kc_err err = KC_OK;
    while (left > KP_BATCH_AT_MAGIC) {
        int64_t offset = (int64_t)kp_load64(p);
        int32_t length = (int32_t)kp_load32(p + KP_BATCH_AT_LENGTH);
        int8_t magic = (int8_t)p[KP_BATCH_AT_MAGIC];
        int64_t last = 0;
        int32_t least = KP_BATCH_AT_MAGIC + 1 - KP_BATCH_OVERHEAD_BYTES;
        if (magic == 2)
            least = KP_BATCH_HEADER_BYTES - KP_BATCH_OVERHEAD_BYTES;
        if (length < least || magic < 0 || magic > 2 || offset < 0) {
            err = KC_ERR_MALFORMED;
            break;
        }
        size_t size = (size_t)length + KP_BATCH_OVERHEAD_BYTES;
        if (size > left)
            break;
        if (magic == 2)
            last = (int32_t)kp_load32(p + KP_BATCH_AT_LAST_OFFSET_DELTA);
        if (last < 0 || offset > INT64_MAX - 1 - last) {
            err = KC_ERR_MALFORMED;
            break;
        }
        *next_out = offset + last + 1;
        p += size;
        left -= size;
    }
    *bytes_out = records.len - left;
    return err;
}

/** The slice is read up to `rest`; records go on at `next`. */
static void advance(kc_part *part, kc_fetched *fetched, kc_bytes rest, int64_t next, int32_t epoch)
{
    part->buffered_bytes -= fetched->rest.len - rest.len;
    fetched->rest = rest;
    if (next > part->position) {
        part->position = next;
        part->position_epoch = epoch;
    }
    kc_part_succeeded(part);
    if (rest.len > 0)
        return;
    kc_part_free_fetched(part, fetched);
    /* Others first, then this one again; and there is room for more of it. */
    kb_list_remove(&part->ready);
    kc_part_update_ready(part);
    kc_consumer_update_ready(part->consumer);
    if (part->leader)
        part->leader->short_wait_ms = 0;
    kc_consumer_plan_soon(part->consumer);
}

/** It can't go on here: only a seek helps. The position stays, to be asked for. */
static void stop(kc_part *part)
{
    kc_part_clear(part);
    part->state = KC_PART_STOPPED;
}

/** What lies at the position can't be read. A checksum that differs may be a fault on the way (trap
 * 26), so all but what would fail for ever is fetched again, slower each time. */
static void corrupt(kc_part *part, kc_err err)
{
    if (err == KC_ERR_TOO_LARGE || err == KC_ERR_UNSUPPORTED) {
        stop(part);
        kc_consumer_tell_part(part, err,
                              "the batch at offset %lld can't be read (%s): seek to go on",
                              (long long)part->position, kc_err_text(err));
        return;
    }
    if (!part->is_told) {
        part->is_told = true;
        kc_consumer_tell_part(part, err, "the batch at offset %lld is damaged (%s): fetched again",
                              (long long)part->position, kc_err_text(err));
    }
    kc_part_clear(part);
    kc_part_retry_later(part);
}

static kc_err inflate(kc_batch *batch, const kp_batch *header, kc_bytes *records_out)
{
    kc_consumer *consumer = batch->part->consumer;
    batch->inflated = take_inflated(consumer);
    if (!batch->inflated)
        return KC_ERR_NOMEM;
    KB_TRY(kp_batch_plain_with(header, &consumer->codecs, &batch->inflated->inflated, records_out));
    count_source(batch->inflated, batch->inflated->inflated.cap);
    kc_source_unref(batch->source);
    batch->source = NULL;
    return KC_OK;
}

/** KC_OK, KC_ERR_AGAIN (passed over), KC_ERR_NOMEM (nothing changed), or why it can't be read. */
static kc_err take_batch(kc_part *part, kc_fetched *fetched, const kp_batch *header, kc_bytes rest,
                         kc_batch **batch_out)
{
    kc_consumer *consumer = part->consumer;
    int64_t next = kp_batch_next_offset(header);
    bool is_skipped = (consumer->settings->isolation_read_committed &&
                       is_aborted(fetched, header) && !KC_VARIANT(ABORTED_DELIVERED)) ||
                      ((header->attributes & KP_ATTR_CONTROL) && !KC_VARIANT(CONTROL_DELIVERED)) ||
                      header->record_count == 0 || next <= part->position;
    if (is_skipped) {
        advance(part, fetched, rest, next, header->leader_epoch);
        return KC_ERR_AGAIN;
    }
    kc_batch *batch = new_batch(part, fetched);
    if (!batch)
        return KC_ERR_NOMEM;
    kc_bytes records = header->records;
    if (kp_batch_codec(header) != KP_CODEC_NONE) {
        kc_err err = inflate(batch, header, &records);
        if (err != KC_OK) {
            kc_batch_free(batch);
            return err;
        }
    }
    kp_record_iter_init(&batch->iter, header, records);
    if (header->attributes & KP_ATTR_LOG_APPEND_TIME)
        batch->timestamp_type = KC_TIMESTAMP_LOG_APPEND;
    batch->leader_epoch = header->leader_epoch;
    batch->next_offset = next;
    consumer->stats.records += (uint64_t)header->record_count;
    consumer->stats.bytes += header->bytes.len;
    advance(part, fetched, rest, next, header->leader_epoch);
    *batch_out = batch;
    return KC_OK;
}

/** The same for one outer message of magic 0 or 1. */
static kc_err take_set(kc_part *part, kc_fetched *fetched, kc_batch **batch_out)
{
    kc_consumer *consumer = part->consumer;
    kc_bytes rest = fetched->rest;
    kc_batch *batch = new_batch(part, fetched);
    if (!batch)
        return KC_ERR_NOMEM;
    batch->inflated = take_inflated(consumer);
    kc_err err = KC_ERR_NOMEM;
    if (batch->inflated)
        err = kp_message_set_next(&rest, consumer->settings->check_crcs, &batch->inflated->inflated,
                                  &batch->set);
    if (err == KC_OK && batch->set.last_offset < part->position) {
        kc_batch_free(batch);
        advance(part, fetched, rest, part->position, part->position_epoch);
        return KC_ERR_AGAIN;
    }
    if (err != KC_OK) {
        kc_batch_free(batch);
        return err == KC_ERR_END ? KC_ERR_MALFORMED : err;
    }
    count_source(batch->inflated, batch->inflated->inflated.cap);
    batch->is_message_set = true;
    batch->timestamp_type = batch->set.magic == 0 ? KC_TIMESTAMP_NONE : KC_TIMESTAMP_CREATE;
    if (batch->set.magic == 1 && (batch->set.attributes & KP_ATTR_LOG_APPEND_TIME))
        batch->timestamp_type = KC_TIMESTAMP_LOG_APPEND;
    batch->leader_epoch = -1;
    batch->next_offset = batch->set.last_offset + 1;
    consumer->stats.records += (uint64_t)batch->set.count;
    consumer->stats.bytes += fetched->rest.len - rest.len;
    advance(part, fetched, rest, batch->next_offset, -1);
    *batch_out = batch;
    return KC_OK;
}

static kc_err take_from(kc_part *part, kc_batch **batch_out)
{
    bool check_crcs = part->consumer->settings->check_crcs;
    while (!kb_list_is_empty(&part->fetched)) {
        kc_fetched *fetched = KB_CONTAINER(part->fetched.next, kc_fetched, node);
        kc_bytes rest = fetched->rest;
        kp_batch header;
        kc_err err = kp_batch_next(&rest, check_crcs, &header);
        if (err == KC_OK)
            err = take_batch(part, fetched, &header, rest, batch_out);
        else if (err == KC_ERR_UNSUPPORTED)
            err = take_set(part, fetched, batch_out);
        else if (err == KC_ERR_END)
            err = KC_ERR_MALFORMED; /* measured as whole when it came */
        if (err == KC_OK || err == KC_ERR_NOMEM)
            return err;
        if (err != KC_ERR_AGAIN) {
            corrupt(part, err);
            return KC_ERR_AGAIN;
        }
    }
    return KC_ERR_AGAIN;
}

kc_err kc_batch_take(kc_consumer *consumer, kc_batch **batch_out)
{
    while (!kb_list_is_empty(&consumer->ready)) {
        kc_part *part = KB_CONTAINER(consumer->ready.next, kc_part, ready);
        kc_err err = take_from(part, batch_out);
        if (err == KC_OK) {
            consumer->stats.batches++;
            kc_commit_note(consumer);
        }
        if (err != KC_ERR_AGAIN)
            return err;
    }
    return KC_ERR_AGAIN;
}

/* ---- reading ---- */

/** The records end here; if not as they should, what is left of the batch was not handed out after
 * all. */
static bool end_of_batch(kc_batch *batch, kc_err err)
{
    kc_part *part = batch->part;
    batch->is_at_end = true;
    if (err == KC_ERR_END)
        return false;
    batch->next_offset = batch->read_offset;
    if (!kc_batch_is_current(batch))
        return false;
    part->version++; /* batches behind this one were handed out in vain */
    batch->version = part->version;
    part->position = batch->read_offset;
    stop(part);
    kc_consumer_tell_part(part, err, "the record at offset %lld is damaged: seek to go on",
                          (long long)part->position);
    return false;
}

bool kc_batch_read(kc_batch *batch, kc_view *view_out)
{
    kp_record record;
    do {
        if (batch->is_at_end)
            return false;
        kc_err err = batch->is_message_set ? kp_message_next(&batch->set, &record)
                                           : kp_record_next(&batch->iter, &record);
        if (err != KC_OK)
            return end_of_batch(batch, err);
    } while (record.offset < batch->start_offset);
    batch->read_offset = record.offset + 1;
    view_out->offset = record.offset;
    view_out->timestamp_ms = record.timestamp;
    view_out->timestamp_type = batch->timestamp_type;
    view_out->leader_epoch = batch->leader_epoch;
    view_out->key = record.key;
    view_out->value = record.value;
    view_out->header_count = record.header_count;
    view_out->headers_raw = record.headers_raw;
    return true;
}

kc_bytes kc_batch_topic(const kc_batch *batch)
{
    return kc_part_name(batch->part);
}

int32_t kc_batch_partition(const kc_batch *batch)
{
    return batch->part->partition;
}

int64_t kc_batch_next_offset(const kc_batch *batch)
{
    return batch->next_offset;
}

int64_t kc_batch_high_watermark(const kc_batch *batch)
{
    return batch->high;
}

bool kc_batch_is_current(const kc_batch *batch)
{
    const kc_part *part = batch->part;
    return part->consumer && !part->is_revoked && part->version == batch->version;
}
