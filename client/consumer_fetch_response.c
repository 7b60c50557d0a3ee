/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The answer to a Fetch: cut into slices per partition, or an error per partition.
 *
 * Slices point into the received chunk, which is kept by reference; batches are checked and
 * decompressed only when they are handed out. An answer counts only for a partition that still is
 * where it was when it was asked (trap 31), and only once. */
#include "client/consumer_batch.h"
#include "client/consumer_fetch.h"
#include "client/variant.h"
#include "net/recycle.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#include <stdlib.h>

/** Answers by topic id from this version on (KIP-516). */
#define FETCH_VERSION_IDS 13
/** A broker may ask for silence, but not for ever. */
#define THROTTLE_MS_MAX 60000

/** One answer while it is read. */
typedef struct fetch_answer {
    kc_leader *leader;
    const kn_reply *reply;
    kc_source *source; /**< made for the first slice */
    bool has_data;
} fetch_answer;

static int compare_aborted(const void *left, const void *right)
{
    const kc_aborted *a = left;
    const kc_aborted *b = right;
    return (a->first_offset > b->first_offset) - (a->first_offset < b->first_offset);
}

/** Brokers do not all sort the list (trap 23). */
static kc_fetched *new_fetched(kc_part *part, const kp_fetch_resp_partition *answer)
{
    size_t count = 0;
    if (part->consumer->settings->isolation_read_committed &&
        answer->aborted_transactions.count > 0)
        count = (size_t)answer->aborted_transactions.count;
    kc_fetched *fetched =
        kb_mem_zalloc(part->mem, sizeof *fetched + count * sizeof fetched->aborted[0]);
    if (!fetched || count == 0)
        return fetched;
    fetched->active = kb_mem_alloc(part->mem, count * sizeof fetched->active[0]);
    if (!fetched->active) {
        kb_mem_free(part->mem, fetched);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        fetched->aborted[i].first_offset = answer->aborted_transactions.items[i].first_offset;
        fetched->aborted[i].producer_id = answer->aborted_transactions.items[i].producer_id;
    }
    if (!KC_VARIANT(ABORTED_UNSORTED))
        qsort(fetched->aborted, count, sizeof fetched->aborted[0], compare_aborted);
    fetched->aborted_count = (int32_t)count;
    return fetched;
}

static kc_err add_slice(fetch_answer *whole, kc_part *part, const kp_fetch_resp_partition *answer,
                        size_t bytes, int64_t next)
{
    /* Small answers share a chunk, and each counts for itself. */
    kb_chunk *chunk = whole->reply->chunk;
    size_t bytes_held = chunk->cap <= KN_SHARED_CHUNK_BYTES ? whole->reply->body.len : chunk->cap;
    if (!whole->source)
        whole->source = kc_source_new(part->consumer, chunk, bytes_held);
    if (!whole->source)
        return KC_ERR_NOMEM;
    kc_fetched *fetched = new_fetched(part, answer);
    if (!fetched)
        return KC_ERR_NOMEM;
    fetched->source = kc_source_ref(whole->source);
    fetched->rest = kc_span(answer->records.ptr, bytes);
    fetched->high = answer->high_watermark;
    kb_list_push_back(&part->fetched, &fetched->node);
    part->buffered_bytes += bytes;
    part->fetch_offset = next + KC_VARIANT(SKIPS_A_RECORD);
    if (part->is_paused)
        kc_part_compact(part);
    kc_part_update_ready(part);
    whole->has_data = true;
    return KC_OK;
}

/** A part of a batch and nothing else: legal (trap 21), but it needs more room to get anywhere. */
static void ask_for_more(kc_part *part)
{
    int32_t max = part->consumer->settings->receive_message_max_bytes;
    if (part->bytes_max < max) {
        part->bytes_max = part->bytes_max < max / 2 ? part->bytes_max * 2 + 1 : max;
        kc_consumer_plan_soon(part->consumer);
        return;
    }
    kc_part_failed(part, KC_ERR_TOO_LARGE);
}

static void read_records(fetch_answer *whole, kc_part *part, const kp_fetch_resp_partition *answer)
{
    size_t bytes;
    int64_t next = -1;
    kc_err err = kc_records_measure(answer->records, &bytes, &next);
    if (bytes == 0 && err == KC_OK) {
        ask_for_more(part);
        return;
    }
    /* What stands in front of damage is good. A broker never sends only what lies below the fetch
     * offset. */
    if (bytes > 0)
        err = next > part->fetch_offset ? add_slice(whole, part, answer, bytes, next)
                                        : KC_ERR_MALFORMED;
    if (err == KC_ERR_NOMEM)
        kc_part_retry_later(part);
    else if (err != KC_OK)
        kc_part_failed(part, err);
    /* Next time it stands behind the others, which this answer may have had no room for. */
    kb_list_remove(&part->node);
    kb_list_push_back(&part->consumer->parts, &part->node);
}

/** Where its consumer should read instead (KIP-392). */
static void follow_replica(kc_part *part, int32_t replica)
{
    kc_consumer *consumer = part->consumer;
    if (!kn_pool_has_broker(consumer->client->pool, replica))
        return;
    part->replica = replica;
    part->replica_until_us = kc_consumer_now_us(consumer) +
                             (int64_t)consumer->client->settings->metadata_max_age_ms * 1000;
}

static void handle_error(fetch_answer *whole, kc_part *part, const kp_fetch_resp_partition *answer)
{
    kc_consumer *consumer = part->consumer;
    int32_t broker_id = whole->leader->broker_id;
    bool is_replica = part->replica == broker_id;
    int32_t epoch;
    part->replica = -1;
    if (KC_VARIANT(POSITION_GOES_BACK) && part->position > 0 && kb_list_is_empty(&part->fetched))
        part->fetch_offset = --part->position;
    if (answer->current_leader.leader_id >= 0)
        kc_metadata_hint(consumer->client->metadata, part->topic->meta, part->partition,
                         answer->current_leader.leader_id, answer->current_leader.leader_epoch);
    int32_t leader_now = kc_part_meta_leader(part, &epoch);
    if (leader_now != broker_id) {
        /* A replica that failed, or no longer the leader: what it says about offsets does not count
         * (trap 29). The leader is asked at once the first time. */
        if (leader_now < 0)
            kc_metadata_refresh(consumer->client->metadata, "a leader is gone");
        if (leader_now < 0 || is_replica || part->attempts > 0)
            kc_part_retry_later(part);
        else
            part->attempts = 1;
        kc_consumer_plan_soon(consumer);
        return;
    }
    if (answer->error_code == KC_E_OFFSET_OUT_OF_RANGE || KC_VARIANT(ERROR_RESETS)) {
        kb_log_line(kc_client_log(consumer->client, KC_DEBUG_CONSUMER), KC_LOG_INFO,
                    "consumer: offset %lld of " KC_FMT "-%d is out of range",
                    (long long)part->fetch_offset, KC_ARG(kc_part_name(part)),
                    (int)part->partition);
        kc_part_reset_by_policy(part, KC_E_OFFSET_OUT_OF_RANGE,
                                "the position is out of the range of the log");
        return;
    }
    kc_part_failed(part, answer->error_code);
}

static void read_partition(fetch_answer *whole, kc_part *part,
                           const kp_fetch_resp_partition *answer)
{
    part->is_busy = false;
    if (answer->error_code != KC_E_NONE) {
        handle_error(whole, part, answer);
        return;
    }
    part->high = answer->high_watermark;
    part->last_stable = answer->last_stable_offset;
    if (answer->log_start_offset >= 0)
        part->low = answer->log_start_offset;
    if (answer->preferred_read_replica >= 0 &&
        answer->preferred_read_replica != whole->leader->broker_id)
        follow_replica(part, answer->preferred_read_replica);
    if (answer->records.len > 0)
        read_records(whole, part, answer);
    else
        kc_part_succeeded(part);
}

static void read_response(fetch_answer *whole, const kp_fetch_resp *answer)
{
    kc_asked_set *asked = &whole->leader->fetch.asked;
    bool has_ids = whole->reply->version >= FETCH_VERSION_IDS;
    int32_t left = asked->count; /* more answers than questions are not looked at */
    for (int32_t t = 0; t < answer->responses.count; t++) {
        const kp_fetch_resp_response *topic = &answer->responses.items[t];
        for (int32_t p = 0; p < topic->partitions.count && left > 0; p++, left--) {
            const kp_fetch_resp_partition *partition = &topic->partitions.items[p];
            kc_asked *entry = kc_asked_find(asked, topic->topic, has_ids ? &topic->topic_id : NULL,
                                            partition->partition_index);
            if (entry && kc_part_is_current(entry->part, entry->fetch_version))
                read_partition(whole, entry->part, partition);
        }
    }
}

/** Brokers named along with new leaders (KIP-951). */
static void learn_brokers(kc_consumer *consumer, const kp_fetch_resp *answer)
{
    for (int32_t i = 0; i < answer->node_endpoints.count; i++) {
        const kp_fetch_resp_node_endpoint *node = &answer->node_endpoints.items[i];
        if (node->node_id < 0)
            continue;
        kc_err err =
            kn_pool_set_broker(consumer->client->pool, node->node_id, node->host, node->port);
        if (err != KC_OK)
            kb_log_line(kc_client_log(consumer->client, KC_DEBUG_CONSUMER), KC_LOG_DEBUG,
                        "consumer: broker %d not learned: %s", (int)node->node_id,
                        kc_err_text(err));
    }
}

static void read_reply(kc_leader *leader, const kn_reply *reply)
{
    kc_consumer *consumer = leader->consumer;
    kp_fetch_resp answer;
    kc_error error;
    kc_err err =
        kn_reply_decode(&leader->fetch.request, reply, &consumer->scratch, &answer, &error);
    if (err == KC_OK && answer.error_code != KC_E_NONE)
        err = kb_error_code(&error, answer.error_code);
    if (err != KC_OK) {
        kn_reply failed = *reply;
        failed.err = err;
        failed.error = &error;
        kc_leader_failed(leader, &failed, "Fetch");
        return;
    }
    leader->attempts = 0;
    leader->retry_at_us = 0;
    leader->is_told = false;
    kc_fetch_adapt(leader, reply->body.len);
    learn_brokers(consumer, &answer);
    fetch_answer whole = {.leader = leader, .reply = reply};
    read_response(&whole, &answer);
    kc_source_unref(whole.source);
    if (whole.has_data)
        kc_consumer_announce(consumer);
    int32_t throttle_ms = answer.throttle_time_ms;
    if (throttle_ms > THROTTLE_MS_MAX)
        throttle_ms = THROTTLE_MS_MAX;
    if (throttle_ms > 0) /* KIP-219 */
        leader->retry_at_us = kc_consumer_now_us(consumer) + (int64_t)throttle_ms * 1000;
}

void kc_fetch_on_reply(kn_request *request, const kn_reply *reply)
{
    kc_leader *leader = request->user;
    kc_consumer *consumer = leader->consumer;
    consumer->reserved_bytes -= leader->fetch.reserved_bytes;
    leader->fetch.reserved_bytes = 0;
    if (reply->err == KC_OK)
        read_reply(leader, reply);
    else if (reply->err != KC_ERR_CLOSED)
        kc_leader_failed(leader, reply, "Fetch");
    kc_asked_release(&leader->fetch.asked);
    kb_arena_reset(&consumer->scratch);
    /* Now, not in a task: the next Fetch leaves before the application reads this one. */
    if (reply->err != KC_ERR_CLOSED)
        kc_fetch_plan(consumer);
}
