/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * ShareFetch (KIP-932): acknowledge, acquire, and wait for records.
 *
 *     session -> acknowledgements -> enough to acquire? -> read, acquire, answer
 *                                        no -> held until there is, or max_wait_ms is over
 */
#include "mock/api.h"
#include "mock/configs.h"
#include "mock/producer_state.h"
#include "mock/share_acks.h"
#include "mock/share_session.h"
#include "protocol/base/error.h"

#include <assert.h>

/** fetch.max.bytes of a broker's defaults. */
#define FETCH_BYTES_MAX 57671680

#define FINAL_EPOCH   (-1)
#define INITIAL_EPOCH 0

/** ShareAcquireMode (KIP-1206). */
enum {
    BATCH_OPTIMIZED = 0,
    RECORD_LIMIT = 1,
};

/** A partition that is fetched. */
typedef struct fetch_item {
    kc_uuid topic_id;
    int32_t index;
    km_waiter on_records; /**< on the partition       */
    km_waiter on_state;   /**< on the share partition */
    bool is_told;         /**< stands in the answer   */
    int16_t error;        /**< not tried, then        */
    kc_bytes records;
    km_share_ranges ranges;
    /* of one try */
    km_partition *partition;
    km_share_partition *shared;
    int64_t offset;
    size_t bytes_max;
} fetch_item;

typedef struct share_fetch {
    km_request *request;
    const kp_share_fetch_req *asked;
    kp_share_fetch_resp *out;
    km_share_acks acks;
    fetch_item *items;
    size_t count;
    fetch_item **tried; /**< room for each */
    bool is_filtered;   /**< a later request of a session: what has nothing to tell is left out */
    kn_timer retry;
} share_fetch;

/* ---- the answer ---- */

static km_share_session *session_of(const share_fetch *fetch)
{
    return km_share_session_find(fetch->request->broker, fetch->asked->group_id,
                                 fetch->asked->member_id);
}

/** A session leaves out what has neither records nor an error, but for what is new in it or had an error before. */
static void filter(share_fetch *fetch)
{
    const km_share_session *session = session_of(fetch);
    for (size_t i = 0; session && i < fetch->count; i++) {
        fetch_item *item = &fetch->items[i];
        km_share_item *known = km_share_session_item(session, item->topic_id, item->index);
        if (!item->is_told || !known)
            continue;
        item->is_told = item->records.len > 0 || item->error || known->is_due;
        known->is_due = item->error != 0;
    }
}

static bool is_same(kc_uuid a, kc_uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/** What is told, one partition after the other; topics are made of it when all is there. */
typedef struct answer {
    kp_share_fetch_resp_partition *partitions;
    kc_uuid *topic_ids; /**< of each */
    int32_t count;
} answer;

static kp_share_fetch_resp_partition *put(answer *all, kc_uuid topic_id, int32_t index)
{
    kp_share_fetch_resp_partition *partition = &all->partitions[all->count];
    all->topic_ids[all->count++] = topic_id;
    partition->partition_index = index;
    partition->records = KC_STR("");
    return partition;
}

static void put_acknowledged(kp_share_fetch_resp_partition *partition, km_share_ack_item *item)
{
    partition->acknowledge_error_code = item->error;
    partition->acknowledge_error_message = item->message ? kc_str(item->message) : KC_NULL;
    item->is_told = false; /* not once more */
}

/** Where the leader is, for one who asked another broker. */
static void put_leader(share_fetch *fetch, const fetch_item *item,
                       kp_share_fetch_resp_partition *partition)
{
    const km_topic *topic = km_topic_by_id(fetch->request->cluster, item->topic_id);
    if (!topic || item->index < 0 || item->index >= topic->partition_count)
        return;
    const km_partition *found = topic->partitions[item->index];
    const km_broker *leader = km_broker_by_id(fetch->request->cluster, found->leader);
    partition->current_leader.leader_id = found->leader;
    partition->current_leader.leader_epoch = found->leader_epoch;
    for (int32_t i = 0; leader && i < fetch->out->node_endpoints.count; i++)
        if (fetch->out->node_endpoints.items[i].node_id == leader->id)
            return;
    if (!leader)
        return;
    kp_share_fetch_resp_node_endpoint *node =
        &fetch->out->node_endpoints.items[fetch->out->node_endpoints.count++];
    node->node_id = leader->id;
    node->host = kc_str(leader->host);
    node->port = leader->port;
    node->rack = leader->rack[0] ? kc_str(leader->rack) : KC_NULL;
}

static void put_item(share_fetch *fetch, answer *all, const fetch_item *item)
{
    kp_share_fetch_resp_partition *partition = put(all, item->topic_id, item->index);
    partition->error_code = item->error;
    partition->records = item->records.ptr ? item->records : KC_STR("");
    partition->acquired_records.items = item->ranges.items;
    partition->acquired_records.count = item->ranges.count;
    if (item->error == KC_E_NOT_LEADER_OR_FOLLOWER || item->error == KC_E_FENCED_LEADER_EPOCH)
        put_leader(fetch, item, partition);
    km_share_ack_item *acked = km_share_acks_find(&fetch->acks, item->topic_id, item->index);
    if (acked && acked->is_told)
        put_acknowledged(partition, acked);
}

/** Partitions of one topic that come one after the other make a topic of the answer. */
static bool put_topics(share_fetch *fetch, const answer *all)
{
    kp_share_fetch_resp *out = fetch->out;
    int32_t topics = 0;
    for (int32_t i = 0; i < all->count; i++)
        topics += i == 0 || !is_same(all->topic_ids[i], all->topic_ids[i - 1]);
    out->responses.items =
        km_request_alloc(fetch->request, (size_t)topics, sizeof *out->responses.items);
    if (!out->responses.items)
        return false;
    for (int32_t i = 0; i < all->count; i++) {
        if (i == 0 || !is_same(all->topic_ids[i], all->topic_ids[i - 1])) {
            kp_share_fetch_resp_response *topic = &out->responses.items[out->responses.count++];
            topic->topic_id = all->topic_ids[i];
            topic->partitions.items = &all->partitions[i];
        }
        out->responses.items[out->responses.count - 1].partitions.count++;
    }
    return true;
}

/** False: no memory. */
static bool put_answer(share_fetch *fetch)
{
    size_t most = fetch->count + fetch->acks.count;
    answer all = {
        .partitions = km_request_alloc(fetch->request, most, sizeof *all.partitions),
        .topic_ids = km_request_alloc(fetch->request, most, sizeof *all.topic_ids),
    };
    fetch->out->node_endpoints.items =
        km_request_alloc(fetch->request, KM_BROKERS_MAX, sizeof *fetch->out->node_endpoints.items);
    if (!all.partitions || !all.topic_ids || !fetch->out->node_endpoints.items)
        return false;
    if (fetch->is_filtered)
        filter(fetch);
    for (size_t i = 0; i < fetch->count; i++)
        if (fetch->items[i].is_told)
            put_item(fetch, &all, &fetch->items[i]);
    for (size_t i = 0; i < fetch->acks.count; i++) {
        km_share_ack_item *acked = &fetch->acks.items[i];
        if (acked->is_told)
            put_acknowledged(put(&all, acked->topic_id, acked->index), acked);
    }
    fetch->out->acquisition_lock_timeout_ms =
        km_share_lock_ms(fetch->request->cluster, fetch->asked->group_id);
    return put_topics(fetch, &all);
}

/* ---- reading ---- */

static bool reads_committed(const share_fetch *fetch)
{
    return kc_bytes_equal(
        km_group_config(fetch->request->cluster, fetch->asked->group_id, "share.isolation.level"),
        KC_STR("read_committed"));
}

static int64_t readable_until(const share_fetch *fetch, const km_partition *partition)
{
    return reads_committed(fetch) ? km_partition_last_stable(partition)
                                  : partition->log.high_watermark;
}

/** The partition as it is now; false: it or the group's state for it is gone. */
static bool locate(const share_fetch *fetch, fetch_item *item)
{
    const km_share_group *group =
        km_share_group_find(fetch->request->cluster, fetch->asked->group_id);
    const km_topic *topic = km_topic_by_id(fetch->request->cluster, item->topic_id);
    bool is_there = topic && item->index >= 0 && item->index < topic->partition_count;
    item->partition = is_there ? topic->partitions[item->index] : NULL;
    item->shared = group ? km_share_partition_find(group, item->topic_id, item->index) : NULL;
    return item->partition && item->shared;
}

/** Has it something to acquire, or room to? */
static bool can_try(const share_fetch *fetch, fetch_item *item)
{
    if (item->error || !locate(fetch, item) ||
        item->partition->leader != fetch->request->broker->id ||
        !km_share_is_loaded(item->shared, item->partition) || !km_share_can_acquire(item->shared))
        return false;
    item->offset = km_share_fetch_offset(item->shared);
    return true;
}

static bool is_out_of_range(const fetch_item *item)
{
    return item->offset < item->partition->log.start_offset ||
           item->offset > item->partition->log.end_offset;
}

/** Bytes that could be read, at most `most`. */
static size_t count_bytes(const km_log *log, int64_t offset, int64_t until, size_t most)
{
    size_t bytes = 0;
    for (size_t i = km_log_find(log, offset);
         i < log->entry_count && log->entries[i].next_offset <= until && bytes < most; i++)
        bytes += log->entries[i].len;
    return bytes < most ? bytes : most;
}

/** The bytes of the request in equal parts; somebody gets the rest. */
static void share_bytes(share_fetch *fetch, fetch_item **tried, size_t count)
{
    size_t total = (size_t)(fetch->asked->max_bytes < FETCH_BYTES_MAX ? fetch->asked->max_bytes
                                                                      : FETCH_BYTES_MAX);
    size_t lucky = (size_t)kb_rand_below(&fetch->request->cluster->rand, count);
    for (size_t i = 0; i < count; i++)
        tried[i]->bytes_max = total / count + (i == lucky ? total % count : 0);
}

static bool is_enough(const share_fetch *fetch, fetch_item **tried, size_t count)
{
    int64_t wanted = fetch->asked->min_bytes < fetch->asked->max_bytes ? fetch->asked->min_bytes
                                                                       : fetch->asked->max_bytes;
    int64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_out_of_range(tried[i]))
            return true;
        bytes +=
            (int64_t)count_bytes(&tried[i]->partition->log, tried[i]->offset,
                                 readable_until(fetch, tried[i]->partition), tried[i]->bytes_max);
    }
    return bytes >= wanted;
}

/** Whole batches of one segment; at least one when nothing was read yet. */
static size_t read_entries(const km_log *log, const fetch_item *item, int64_t until, size_t *left,
                           bool *is_first)
{
    size_t first = km_log_find(log, item->offset);
    size_t cap = item->bytes_max < *left ? item->bytes_max : *left;
    size_t bytes = 0;
    size_t i = first;
    for (; i < log->entry_count; i++) {
        const km_entry *entry = &log->entries[i];
        bool fits = bytes + entry->len <= cap || (*is_first && i == first);
        if (entry->next_offset > until || entry->segment != log->entries[first].segment || !fits)
            break;
        bytes += entry->len;
    }
    *is_first = *is_first && i == first;
    *left -= bytes < *left ? bytes : *left;
    return i - first;
}

/** Transactions that were aborted: what was acquired of them is archived at once. */
static void skip_aborted(share_fetch *fetch, fetch_item *item, const km_entry *entries,
                         size_t count)
{
    int64_t from = entries[0].base_offset;
    int64_t until = entries[count - 1].next_offset;
    size_t aborted_count = km_producers_aborted(item->partition, from, until, NULL, 0);
    km_aborted *aborted = km_request_alloc(fetch->request, aborted_count, sizeof *aborted);
    if (!aborted)
        return;
    km_producers_aborted(item->partition, from, until, aborted, aborted_count);
    for (size_t i = 0; i < count; i++) {
        const km_entry *entry = &entries[i];
        bool is_data =
            (entry->attributes & KP_ATTR_TRANSACTIONAL) && !(entry->attributes & KP_ATTR_CONTROL);
        for (size_t k = 0; is_data && k < aborted_count; k++)
            if (aborted[k].producer_id == entry->producer_id &&
                aborted[k].first_offset <= entry->base_offset &&
                aborted[k].last_offset >= entry->base_offset) {
                km_share_acquired_aborted(item->shared, entry->base_offset, entry->next_offset - 1,
                                          &item->ranges);
                break;
            }
    }
}

/** The batches that hold what was acquired. */
static kc_bytes slice_of(const km_log *log, const km_entry *entries, size_t count,
                         const km_share_ranges *ranges)
{
    size_t first = 0;
    size_t last = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].base_offset <= ranges->items[0].first_offset)
            first = i;
        if (entries[i].base_offset <= ranges->items[ranges->count - 1].last_offset)
            last = i;
    }
    kc_bytes slice = km_log_entry_bytes(log, &entries[first]);
    for (size_t i = first + 1; i <= last; i++)
        slice.len += entries[i].len;
    return slice;
}

static void acquire_all(share_fetch *fetch, fetch_item **tried, size_t count)
{
    const kp_share_fetch_req *asked = fetch->asked;
    size_t left = (size_t)(asked->max_bytes < FETCH_BYTES_MAX ? asked->max_bytes : FETCH_BYTES_MAX);
    bool is_first = true;
    int32_t records_left = asked->max_records;
    for (size_t i = 0; i < count; i++) {
        fetch_item *item = tried[i];
        const km_log *log = &item->partition->log;
        item->is_told = true;
        if (is_out_of_range(item)) {
            km_share_log_moved(item->shared, log->start_offset);
            continue;
        }
        const km_entry *entries = log->entries + km_log_find(log, item->offset);
        size_t entry_count =
            read_entries(log, item, readable_until(fetch, item->partition), &left, &is_first);
        const km_share_take take = {asked->member_id,  asked->share_acquire_mode == RECORD_LIMIT,
                                    asked->batch_size, records_left,
                                    item->offset,      entries,
                                    entry_count};
        item->ranges.arena = &fetch->request->arena;
        records_left -= km_share_acquire(item->shared, &take, &item->ranges);
        if (item->ranges.count > 0 && reads_committed(fetch))
            skip_aborted(fetch, item, entries, entry_count);
        if (item->ranges.count > 0)
            item->records = slice_of(log, entries, entry_count, &item->ranges);
    }
}

/** True: the answer can go. */
static bool try_fetch(share_fetch *fetch, bool is_late)
{
    fetch_item **tried = fetch->tried;
    size_t count = 0;
    for (size_t i = 0; i < fetch->count; i++)
        if (can_try(fetch, &fetch->items[i]))
            tried[count++] = &fetch->items[i];
    if (count == 0)
        return is_late;
    share_bytes(fetch, tried, count);
    if (!is_late && !is_enough(fetch, tried, count))
        return false;
    acquire_all(fetch, tried, count);
    return true;
}

/* ---- waiting ---- */

static void stop_waiting(share_fetch *fetch)
{
    km_timer_stop(fetch->request->cluster, &fetch->retry);
    for (size_t i = 0; i < fetch->count; i++) {
        kb_list_remove(&fetch->items[i].on_records.node);
        kb_list_remove(&fetch->items[i].on_state.node);
    }
}

/** Somebody is at work on the partition right now: look again in the next turn. */
static void on_change(km_waiter *waiter)
{
    share_fetch *fetch = waiter->user;
    km_timer_set(fetch->request->cluster, &fetch->retry, fetch->request->cluster->now_us);
}

static void wait_on(share_fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++) {
        fetch_item *item = &fetch->items[i];
        if (item->error || !locate(fetch, item))
            continue;
        kb_list_remove(&item->on_records.node);
        kb_list_remove(&item->on_state.node);
        kb_list_push_back(&item->shared->waiters, &item->on_state.node);
        km_partition_wait(item->partition, &item->on_records);
    }
}

static void complete(share_fetch *fetch)
{
    km_request *request = fetch->request;
    stop_waiting(fetch);
    if (put_answer(fetch))
        km_request_answer(request);
    else
        km_request_drop(request);
}

static void on_retry(kn_timer *timer)
{
    share_fetch *fetch = timer->user;
    if (try_fetch(fetch, false))
        complete(fetch);
    else
        wait_on(fetch);
}

static void on_late(kn_timer *timer)
{
    share_fetch *fetch = timer->user;
    try_fetch(fetch, true);
    complete(fetch);
}

static void on_abandon(km_request *request)
{
    stop_waiting(request->user);
}

static km_action hold(share_fetch *fetch)
{
    km_request *request = fetch->request;
    int64_t wait_us = (int64_t)fetch->asked->max_wait_ms * 1000;
    request->user = fetch;
    request->on_abandon = on_abandon;
    request->timer.fn = on_late;
    request->timer.user = fetch;
    km_timer_set(request->cluster, &request->timer, request->cluster->now_us + wait_us);
    wait_on(fetch);
    return KM_HOLD;
}

/* ---- the request ---- */

static int16_t check_head(const km_request *request, const kp_share_fetch_req *asked)
{
    int16_t forced = km_check_broker(request);
    if (forced && !km_share_error_is_of_partition(forced))
        return forced;
    if (!asked->group_id.ptr || !km_share_member_id_is_valid(asked->member_id))
        return KC_E_INVALID_REQUEST;
    bool fetches = asked->max_bytes != 0 || asked->min_bytes != 0 || asked->max_records != 0 ||
                   asked->max_wait_ms != 0;
    return asked->is_renew_ack && fetches ? KC_E_INVALID_REQUEST : 0;
}

static kc_err change_session(km_share_session *session, const kp_share_fetch_req *asked,
                             bool is_due)
{
    for (int32_t i = 0; i < asked->topics.count; i++) {
        const kp_share_fetch_req_topic *topic = &asked->topics.items[i];
        for (int32_t k = 0; k < topic->partitions.count; k++)
            KB_TRY(km_share_session_add(session, topic->topic_id,
                                        topic->partitions.items[k].partition_index, is_due));
    }
    for (int32_t i = 0; i < asked->forgotten_topics_data.count; i++) {
        const kp_share_fetch_req_forgotten_topics_data *topic =
            &asked->forgotten_topics_data.items[i];
        for (int32_t k = 0; k < topic->partitions.count; k++)
            km_share_session_forget(session, topic->topic_id, topic->partitions.items[k]);
    }
    return KC_OK;
}

/** UNKNOWN_SERVER_ERROR: no memory. */
static int16_t enter_session(share_fetch *fetch, km_share_session **session_out)
{
    const kp_share_fetch_req *asked = fetch->asked;
    km_share_session *session = session_of(fetch);
    int16_t error = 0;
    if (asked->share_session_epoch == FINAL_EPOCH) {
        error = session ? 0 : KC_E_SHARE_SESSION_NOT_FOUND;
    } else if (asked->share_session_epoch == INITIAL_EPOCH) {
        error = fetch->acks.has_any ? KC_E_INVALID_REQUEST
                                    : km_share_session_open(fetch->request, asked->group_id,
                                                            asked->member_id, &session);
        if (!error && change_session(session, asked, false))
            error = KC_E_UNKNOWN_SERVER_ERROR;
    } else {
        fetch->is_filtered = true;
        error = km_share_session_check(session, asked->share_session_epoch);
        if (!error && change_session(session, asked, true))
            error = KC_E_UNKNOWN_SERVER_ERROR;
    }
    *session_out = session;
    return error;
}

/** A partition as the metadata has it, then as its leader has it. */
static int16_t check_item(const share_fetch *fetch, const km_share_item *known, bool is_idle)
{
    km_request *request = fetch->request;
    if (km_check_broker(request))
        return km_check_broker(request);
    const km_topic *topic = km_topic_by_id(request->cluster, known->topic_id);
    if (!topic && !known->is_known)
        return KC_E_UNKNOWN_TOPIC_ID;
    if (!topic || known->index < 0 || known->index >= topic->partition_count)
        return KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    if (is_idle)
        return 0;
    const km_partition *partition = topic->partitions[known->index];
    int16_t error = km_check_leader(request, partition, -1);
    if (error)
        return error;
    /* State is made by the group's coordinator when a member subscribes. */
    const km_share_group *group = km_share_group_find(request->cluster, fetch->asked->group_id);
    km_share_partition *shared =
        group ? km_share_partition_find(group, known->topic_id, known->index) : NULL;
    if (!shared)
        return KC_E_UNKNOWN_SERVER_ERROR;
    km_share_load(shared, partition);
    return fetch->asked->max_bytes < 0 ? KC_E_UNKNOWN_SERVER_ERROR : 0;
}

/** What the session fetches, each time from another one on. False: no memory. */
static bool list_items(share_fetch *fetch, const km_share_session *session, bool is_idle)
{
    size_t count = session->items.count;
    fetch->items = km_request_alloc(fetch->request, count, sizeof *fetch->items);
    fetch->tried = km_request_alloc(fetch->request, count, sizeof(fetch_item *));
    if (!fetch->items || !fetch->tried)
        return false;
    size_t from = count > 0 ? (size_t)fetch->asked->share_session_epoch % count : 0;
    size_t pos = 0;
    const km_share_item *known;
    for (size_t i = 0; i < count && (known = kb_map_next(&session->items, &pos)); i++) {
        fetch_item *item = &fetch->items[(i + count - from) % count];
        item->topic_id = known->topic_id;
        item->index = known->index;
        item->error = check_item(fetch, known, is_idle);
        item->is_told = item->error != 0;
        item->on_records = (km_waiter){.fn = on_change, .user = fetch};
        item->on_state = item->on_records;
        kb_list_init(&item->on_records.node);
        kb_list_init(&item->on_state.node);
    }
    fetch->count = count;
    return true;
}

/** Kafka 4.3.1 stumbles over an id that it has no name for, with all of the request. */
static bool has_unknown_id(const share_fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++)
        if (fetch->items[i].error == KC_E_UNKNOWN_TOPIC_ID)
            return fetch->request->error == 0;
    return false;
}

static bool is_all_failed(const share_fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++)
        if (!fetch->items[i].error)
            return false;
    return true;
}

static km_action answer_now(share_fetch *fetch)
{
    return put_answer(fetch) ? KM_ANSWER : KM_CLOSE;
}

static km_action answer_error(share_fetch *fetch, int16_t error)
{
    fetch->out->error_code = error;
    return KM_ANSWER;
}

static void on_limit_told(kn_timer *timer)
{
    km_request_answer(timer->user);
}

/** One who can't have a session is not to ask again at once. */
static km_action answer_limit(share_fetch *fetch)
{
    km_request *request = fetch->request;
    int64_t wait_us = (int64_t)fetch->asked->max_wait_ms * 1000;
    fetch->out->error_code = KC_E_SHARE_SESSION_LIMIT_REACHED;
    if (wait_us <= 0)
        return KM_ANSWER;
    request->timer.fn = on_limit_told;
    request->timer.user = request;
    km_timer_set(request->cluster, &request->timer, request->cluster->now_us + wait_us);
    return KM_HOLD;
}

static km_action fetch_records(share_fetch *fetch, const km_share_session *session)
{
    const kp_share_fetch_req *asked = fetch->asked;
    bool is_idle = asked->max_records == 0 || asked->max_bytes == 0;
    if (!list_items(fetch, session, is_idle))
        return KM_CLOSE;
    if (has_unknown_id(fetch) ||
        (asked->share_acquire_mode != BATCH_OPTIMIZED && asked->share_acquire_mode != RECORD_LIMIT))
        return answer_error(fetch, KC_E_UNKNOWN_SERVER_ERROR);
    if (is_idle || is_all_failed(fetch) || try_fetch(fetch, asked->max_wait_ms <= 0))
        return answer_now(fetch);
    return hold(fetch);
}

km_action km_api_share_fetch(km_request *request, const void *message, void *response)
{
    const kp_share_fetch_req *asked = message;
    share_fetch *fetch = km_request_alloc(request, 1, sizeof *fetch);
    if (!fetch)
        return KM_CLOSE;
    fetch->request = request;
    fetch->asked = asked;
    fetch->out = response;
    fetch->retry = (kn_timer){.fn = on_retry, .user = fetch};
    int16_t error = check_head(request, asked);
    if (error)
        return answer_error(fetch, error);
    km_share_session *session = NULL;
    if (!km_share_acks_of_fetch(request, asked, &fetch->acks))
        return KM_CLOSE;
    error = enter_session(fetch, &session);
    if (error == KC_E_UNKNOWN_SERVER_ERROR)
        return KM_CLOSE;
    if (error == KC_E_SHARE_SESSION_LIMIT_REACHED)
        return answer_limit(fetch);
    if (error)
        return answer_error(fetch, error);
    if (fetch->acks.has_any)
        km_share_acks_apply(request, asked->group_id, asked->member_id, asked->is_renew_ack,
                            &fetch->acks);
    if (asked->share_session_epoch != FINAL_EPOCH && !asked->is_renew_ack)
        return fetch_records(fetch, session);
    km_action action = answer_now(fetch);
    if (asked->share_session_epoch == FINAL_EPOCH)
        km_share_session_close(session);
    return action;
}
