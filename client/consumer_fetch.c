/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which broker is asked for what, and when.
 *
 * A plan looks at every partition and sends what is to be sent; it runs as a task after anything
 * that may change its outcome, and at the next back-off. Per broker one Fetch is under way on the
 * consumer's own lane, with all its partitions that have at most one fetch's worth buffered: so the
 * next one is on its way while the application reads, and nothing is fetched without end for an
 * application that does not read. Byte credit is reserved before a Fetch is sent, for each broker not more than an even
 * share: one that has nothing new holds its share for fetch.max.wait.ms, and the others must not wait for that.
 *
 * A Fetch asks for a few megabytes as long as answers come fast, since what is read while it is in the cache costs
 * less; where they come slowly (far away, or a slow network) for up to fetch.max.bytes, to make each way count.
 *
 * A Fetch waits in the broker for up to fetch.max.wait.ms when its partitions have nothing new. If
 * another partition of that broker was left out because enough of it is buffered, so long a wait
 * would hold it up as soon as it is read: then the wait is short, and doubles from Fetch to Fetch
 * as long as that partition is not read. */
#include "client/consumer_fetch.h"

#include "client/consumer_batch.h"
#include "client/variant.h"
#include "protocol/generated/messages.h"

#define FETCH_VERSION_MIN 4
/** The last version that names topics; ids come with the next one (KIP-516, trap 33). */
#define FETCH_VERSION_NAMES 12
#define SHORT_WAIT_MS       10
/** Of a Fetch where the broker is near: what it brings is still in the cache when it is read. */
#define GOAL_BYTES_MIN ((size_t)2 << 20)
/** A full answer that took longer is worth asking for more at once; one that came faster is not. */
#define SLOW_ANSWER_US 8000
#define FAST_ANSWER_US 4000
/** A Fetch is worth its while with at least this part of the credit. */
#define CREDIT_SHARE 4

typedef struct fetch_plan {
    int64_t now_us;
    int64_t due_us;
    bool wants_stored;
} fetch_plan;

/* ---- partitions of a request ---- */

static bool count_wanted(kc_consumer *consumer, kb_list *want, kc_asked_set *set)
{
    kb_mem *mem = kc_consumer_mem(consumer);
    uint32_t serial = ++consumer->build_serial;
    size_t count = 0;
    set->count = set->topic_count = set->topic_hint = set->hint = 0;
    KB_LIST_FOR (node, want) {
        kc_part_topic *topic = KB_CONTAINER(node, kc_part, want)->topic;
        if (topic->build_serial != serial) {
            if (!kc_array_reserve(mem, (void **)&set->topics, &set->topic_cap,
                                  (size_t)set->topic_count + 1, sizeof *set->topics))
                return false;
            topic->build_serial = serial;
            topic->build_index = set->topic_count;
            set->topics[set->topic_count++] = (kc_asked_topic){.id = topic->meta->id};
        }
        set->topics[topic->build_index].count++;
        count++;
    }
    return kc_array_reserve(mem, (void **)&set->items, &set->cap, count, sizeof *set->items);
}

bool kc_asked_build(kc_consumer *consumer, kb_list *want, kc_asked_set *set)
{
    bool is_counted = count_wanted(consumer, want, set);
    int32_t first = 0;
    for (int32_t t = 0; t < set->topic_count; t++) {
        set->topics[t].first = first;
        first += set->topics[t].count;
        set->topics[t].count = 0;
    }
    kb_list *node;
    while ((node = kb_list_pop_front(want))) {
        kc_part *part = KB_CONTAINER(node, kc_part, want);
        if (!is_counted) {
            kc_part_retry_later(part);
            continue;
        }
        kc_asked_topic *topic = &set->topics[part->topic->build_index];
        set->items[topic->first + topic->count++] = (kc_asked){
            .part = kc_part_ref(part),
            .fetch_version = part->fetch_version,
            .offset = part->fetch_offset,
        };
        part->is_busy = true;
        set->count++;
    }
    if (!is_counted)
        set->topic_count = 0;
    return is_counted;
}

static bool is_topic(const kc_asked_set *set, int32_t t, kc_bytes name, const kc_uuid *id)
{
    if (id)
        return memcmp(&set->topics[t].id, id, sizeof *id) == 0;
    return kc_bytes_equal(kc_part_name(set->items[set->topics[t].first].part), name);
}

kc_asked *kc_asked_find(kc_asked_set *set, kc_bytes topic, const kc_uuid *topic_id,
                        int32_t partition)
{
    int32_t t = set->topic_hint;
    int32_t tries = set->topic_count;
    while (tries > 0 && !is_topic(set, t, topic, topic_id)) {
        t = t + 1 < set->topic_count ? t + 1 : 0;
        tries--;
    }
    if (tries == 0)
        return NULL;
    int32_t first = set->topics[t].first, end = first + set->topics[t].count;
    int32_t i = set->hint >= first && set->hint < end ? set->hint : first;
    set->topic_hint = t;
    for (tries = end - first; tries > 0; tries--) {
        kc_asked *asked = &set->items[i];
        i = i + 1 < end ? i + 1 : first;
        if (asked->part->partition != partition)
            continue;
        set->hint = i;
        if (asked->is_answered)
            return NULL;
        asked->is_answered = true;
        return asked;
    }
    return NULL;
}

void kc_asked_release(kc_asked_set *set)
{
    for (int32_t i = 0; i < set->count; i++) {
        kc_asked *asked = &set->items[i];
        if (kc_part_is_current(asked->part, asked->fetch_version))
            asked->part->is_busy = false;
        kc_part_unref(asked->part);
    }
    set->count = set->topic_count = 0;
}

void kc_asked_retry(kc_asked_set *set)
{
    for (int32_t i = 0; i < set->count; i++) {
        const kc_asked *asked = &set->items[i];
        if (!asked->is_answered && kc_part_is_current(asked->part, asked->fetch_version))
            kc_part_retry_later(asked->part);
    }
    kc_asked_release(set);
}

void kc_asked_free(kb_mem *mem, kc_asked_set *set)
{
    kc_asked_release(set);
    kb_mem_free(mem, set->items);
    kb_mem_free(mem, set->topics);
    *set = (kc_asked_set){0};
}

/* ---- leaders ---- */

static kc_leader *new_leader(kc_consumer *consumer, int32_t broker_id)
{
    kb_mem *mem = kc_consumer_mem(consumer);
    kc_leader *leader = kb_mem_zalloc(mem, sizeof *leader);
    if (!leader)
        return NULL;
    leader->consumer = consumer;
    leader->broker_id = broker_id;
    kn_request *requests[] = {&leader->fetch.request, &leader->offsets.request,
                              &leader->epochs.request};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        kn_request_init(requests[i], mem);
        requests[i]->user = leader;
    }
    leader->goal_bytes = GOAL_BYTES_MIN;
    kb_list_init(&leader->want_fetch);
    kb_list_init(&leader->want_offsets);
    kb_list_init(&leader->want_epochs);
    kb_list_push_back(&consumer->leaders, &leader->node);
    return leader;
}

static kc_leader *leader_of(kc_part *part, int32_t broker_id)
{
    kc_consumer *consumer = part->consumer;
    if (part->leader && part->leader->broker_id == broker_id)
        return part->leader;
    part->leader = NULL;
    KB_LIST_FOR (node, &consumer->leaders) {
        kc_leader *leader = KB_CONTAINER(node, kc_leader, node);
        if (leader->broker_id == broker_id)
            return part->leader = leader;
    }
    return part->leader = new_leader(consumer, broker_id);
}

static void free_leader(kc_leader *leader)
{
    kc_consumer *consumer = leader->consumer;
    kb_mem *mem = kc_consumer_mem(consumer);
    kn_request_cancel(&leader->fetch.request);
    kn_request_cancel(&leader->offsets.request);
    kn_request_cancel(&leader->epochs.request);
    kn_request_cleanup(&leader->fetch.request);
    kn_request_cleanup(&leader->offsets.request);
    kn_request_cleanup(&leader->epochs.request);
    consumer->reserved_bytes -= leader->fetch.reserved_bytes;
    kc_asked_free(mem, &leader->fetch.asked);
    kc_asked_free(mem, &leader->offsets.asked);
    kc_asked_free(mem, &leader->epochs.asked);
    kb_mem_free(mem, leader->fetch.topics);
    kb_mem_free(mem, leader->fetch.partitions);
    kb_mem_free(mem, leader->offsets.topics);
    kb_mem_free(mem, leader->offsets.partitions);
    kb_mem_free(mem, leader->epochs.topics);
    kb_mem_free(mem, leader->epochs.partitions);
    kb_list_remove(&leader->node);
    kb_mem_free(mem, leader);
}

void kc_leader_free_all(kc_consumer *consumer)
{
    while (!kb_list_is_empty(&consumer->leaders))
        free_leader(KB_CONTAINER(consumer->leaders.next, kc_leader, node));
    assert(consumer->reserved_bytes == 0);
}

void kc_leader_failed(kc_leader *leader, const kn_reply *reply, const char *what)
{
    kc_consumer *consumer = leader->consumer;
    kc_client *client = consumer->client;
    uint32_t flags = kc_err_flags(reply->err);
    kb_log_line(kc_client_log(client, KC_DEBUG_CONSUMER), KC_LOG_DEBUG,
                "consumer: %s to broker %d failed: %s", what, (int)leader->broker_id,
                reply->error ? reply->error->text : "");
    if (!(flags & KC_ERRF_RETRIABLE) && reply->error && !leader->is_told) {
        leader->is_told = true;
        kc_consumer_tell(consumer, reply->error);
    }
    kc_metadata_refresh(client->metadata, what);
    leader->retry_at_us =
        kc_consumer_now_us(consumer) + kc_retry_backoff_us(client, leader->attempts);
    leader->attempts++;
    kc_consumer_plan_soon(consumer);
}

/* ---- sending ---- */

static bool build_fetch(kc_leader *leader)
{
    kc_consumer *consumer = leader->consumer;
    kb_mem *mem = kc_consumer_mem(consumer);
    kc_fetch *fetch = &leader->fetch;
    kc_asked_set *asked = &fetch->asked;
    if (!kc_asked_build(consumer, &leader->want_fetch, asked))
        return false;
    if (!kc_array_reserve(mem, (void **)&fetch->topics, &fetch->topic_cap,
                          (size_t)asked->topic_count, sizeof *fetch->topics) ||
        !kc_array_reserve(mem, (void **)&fetch->partitions, &fetch->partition_cap,
                          (size_t)asked->count, sizeof *fetch->partitions)) {
        kc_asked_retry(asked);
        return false;
    }
    fetch->request.version_max = -1;
    for (int32_t t = 0; t < asked->topic_count; t++) {
        const kc_asked_topic *topic = &asked->topics[t];
        kp_struct_defaults(&kp_fetch_req_topic_desc, &fetch->topics[t]);
        fetch->topics[t].topic = kc_part_name(asked->items[topic->first].part);
        fetch->topics[t].topic_id = topic->id;
        fetch->topics[t].partitions.items = &fetch->partitions[topic->first];
        fetch->topics[t].partitions.count = topic->count;
        if (kc_uuid_is_zero(topic->id))
            fetch->request.version_max = FETCH_VERSION_NAMES;
    }
    for (int32_t i = 0; i < asked->count; i++) {
        kc_part *part = asked->items[i].part;
        kp_fetch_req_partition *partition = &fetch->partitions[i];
        kp_struct_defaults(&kp_fetch_req_partition_desc, partition);
        partition->partition = part->partition;
        partition->fetch_offset = part->fetch_offset;
        partition->partition_max_bytes = part->bytes_max;
        (void)kc_part_meta_leader(part, &partition->current_leader_epoch);
    }
    return true;
}

/** How long the broker may wait for data. */
static int32_t choose_wait(kc_leader *leader)
{
    int32_t wait_max = leader->consumer->settings->fetch_max_wait_ms;
    if (!leader->has_full) {
        leader->short_wait_ms = 0;
        return wait_max;
    }
    leader->short_wait_ms = leader->short_wait_ms ? leader->short_wait_ms * 2 : SHORT_WAIT_MS;
    if (leader->short_wait_ms > wait_max)
        leader->short_wait_ms = wait_max;
    return leader->short_wait_ms;
}

/** Credit for a Fetch of `want` bytes; 0: not now. With nothing outstanding there is always some,
 * or a small memory.bytes.max would stop the consumer for good. */
static size_t reserve(kc_consumer *consumer, size_t want)
{
    size_t outstanding =
        consumer->pinned_bytes + consumer->inflated_bytes + consumer->reserved_bytes;
    size_t max = consumer->credit_bytes_max;
    size_t left = outstanding < max ? max - outstanding : 0;
    size_t least = (size_t)consumer->settings->max_partition_fetch_bytes;
    if (least > max / CREDIT_SHARE)
        least = max / CREDIT_SHARE;
    if (least > want)
        least = want;
    if (outstanding > 0 && left < least) {
        consumer->is_starved = true;
        return 0;
    }
    return want < left ? want : left;
}

void kc_fetch_adapt(kc_leader *leader, size_t bytes)
{
    size_t max = (size_t)leader->consumer->settings->fetch_max_bytes;
    int64_t elapsed_us = kc_consumer_now_us(leader->consumer) - leader->fetch_sent_us;
    if (bytes < leader->goal_bytes - leader->goal_bytes / 4)
        return;
    if (elapsed_us > SLOW_ANSWER_US && leader->goal_bytes < max)
        leader->goal_bytes *= 2;
    else if (elapsed_us < FAST_ANSWER_US && leader->goal_bytes > GOAL_BYTES_MIN)
        leader->goal_bytes /= 2;
}

static void send_fetch(kc_leader *leader, size_t share)
{
    kc_consumer *consumer = leader->consumer;
    const kc_settings *settings = consumer->settings;
    kc_fetch *fetch = &leader->fetch;
    size_t want = leader->want_bytes;
    if (want > leader->goal_bytes)
        want = leader->goal_bytes;
    if (want > (size_t)settings->fetch_max_bytes)
        want = (size_t)settings->fetch_max_bytes;
    if (want > share)
        want = share;
    size_t bytes = reserve(consumer, want);
    if (bytes == 0) {
        while (kb_list_pop_front(&leader->want_fetch))
            ; /* planned again when credit comes back */
        return;
    }
    if (!build_fetch(leader))
        return;
    fetch->reserved_bytes = bytes;
    consumer->reserved_bytes += bytes;
    kp_defaults(&kp_fetch_req_message, &fetch->msg);
    fetch->msg.max_wait_ms = choose_wait(leader);
    /* With 0 a broker that has nothing would answer at once, and be asked again at once. */
    fetch->msg.min_bytes = settings->fetch_min_bytes > 0 ? settings->fetch_min_bytes : 1;
    fetch->msg.max_bytes = (int32_t)bytes;
    fetch->msg.isolation_level =
        settings->isolation_read_committed && !KC_VARIANT(OPEN_DELIVERED) ? 1 : 0;
    fetch->msg.topics.items = fetch->topics;
    fetch->msg.topics.count = fetch->asked.topic_count;
    fetch->msg.rack_id = kc_str(settings->client_rack ? settings->client_rack : "");
    fetch->request.api = kp_api_by_key(KP_API_FETCH);
    fetch->request.msg = &fetch->msg;
    fetch->request.version_min = FETCH_VERSION_MIN;
    /* The answer may take the wait on top of what any request may take (trap 54). */
    fetch->request.timeout_ms = settings->request_timeout_ms;
    if (fetch->request.timeout_ms <= INT32_MAX - fetch->msg.max_wait_ms)
        fetch->request.timeout_ms += fetch->msg.max_wait_ms;
    fetch->request.done = kc_fetch_on_reply;
    kn_target target = {leader->broker_id, KN_LANE_FETCH, consumer->owner};
    consumer->stats.fetches++;
    leader->fetch_sent_us = kc_consumer_now_us(consumer);
    kn_pool_submit(consumer->client->pool, target, &fetch->request);
}

/* ---- planning ---- */

static void remember_due(fetch_plan *plan, int64_t due_us)
{
    if (due_us < plan->due_us)
        plan->due_us = due_us;
}

/** The broker to ask; -1: none now. */
static int32_t choose_broker(kc_part *part, int64_t now_us)
{
    int32_t epoch;
    if (part->replica >= 0 && part->state == KC_PART_FETCH) {
        /* Back to the leader when the lease is over, to learn of a better replica (KIP-392, trap
         * 32). */
        if (now_us < part->replica_until_us &&
            kn_pool_has_broker(part->consumer->client->pool, part->replica))
            return part->replica;
        part->replica = -1;
    }
    return kc_part_meta_leader(part, &epoch);
}

/** Nobody leads it, as far as is known. */
static void wait_for_leader(kc_part *part, fetch_plan *plan)
{
    const kc_meta_topic *meta = part->topic->meta;
    if (meta->err == KC_ERR_AGAIN)
        return; /* asked for already; the listener will tell */
    if (meta->err != KC_OK && !(kc_err_flags(meta->err) & KC_ERRF_RETRIABLE)) {
        kc_part_failed(part, meta->err);
    } else {
        kc_metadata_refresh(part->consumer->client->metadata, "a partition has no leader");
        kc_part_retry_later(part);
    }
    remember_due(plan, part->retry_at_us);
}

static void want_fetch(kc_leader *leader, kc_part *part)
{
    if (part->is_paused)
        return;
    if (part->buffered_bytes > (size_t)part->bytes_max) {
        leader->has_full = true;
        return;
    }
    if (kn_request_is_active(&leader->fetch.request))
        return;
    kb_list_push_back(&leader->want_fetch, &part->want);
    leader->want_bytes += (size_t)part->bytes_max;
}

static void plan_part(kc_part *part, fetch_plan *plan)
{
    kc_position_follow_metadata(part);
    if (part->is_busy || part->is_revoked || part->state == KC_PART_STOPPED)
        return;
    if (part->retry_at_us > plan->now_us) {
        remember_due(plan, part->retry_at_us);
        return;
    }
    if (part->state == KC_PART_STORED) {
        plan->wants_stored = true;
        return;
    }
    int32_t broker_id = choose_broker(part, plan->now_us);
    kc_leader *leader = broker_id >= 0 ? leader_of(part, broker_id) : NULL;
    if (!leader) {
        wait_for_leader(part, plan);
        return;
    }
    if (leader->retry_at_us > plan->now_us) {
        remember_due(plan, leader->retry_at_us);
        return;
    }
    if (part->state == KC_PART_FETCH)
        want_fetch(leader, part);
    else if (part->state == KC_PART_RESET && !kn_request_is_active(&leader->offsets.request))
        kb_list_push_back(&leader->want_offsets, &part->want);
    else if (part->state == KC_PART_VALIDATE && !kn_request_is_active(&leader->epochs.request))
        kb_list_push_back(&leader->want_epochs, &part->want);
}

/** Of the credit, for each broker that is asked; one more is for what is being read. */
static size_t share_of_credit(const kc_consumer *consumer)
{
    size_t shares = 1;
    KB_LIST_FOR (node, &consumer->leaders) {
        const kc_leader *leader = KB_CONTAINER(node, kc_leader, node);
        if (kn_request_is_active(&leader->fetch.request) || !kb_list_is_empty(&leader->want_fetch))
            shares++;
    }
    return consumer->credit_bytes_max / shares;
}

/** Who got credit this time stands behind who did not the next time. */
static void send_all(kc_consumer *consumer)
{
    kb_list waiting, served;
    kb_list_init(&waiting);
    kb_list_init(&served);
    size_t share = share_of_credit(consumer);
    kb_list *node;
    while ((node = kb_list_pop_front(&consumer->leaders))) {
        kc_leader *leader = KB_CONTAINER(node, kc_leader, node);
        bool is_sent = false;
        if (!kb_list_is_empty(&leader->want_fetch)) {
            send_fetch(leader, share);
            is_sent = kn_request_is_active(&leader->fetch.request);
        }
        kc_position_list_offsets(leader);
        kc_position_check_epochs(leader);
        kb_list_push_back(is_sent ? &served : &waiting, node);
    }
    kb_list_splice_back(&consumer->leaders, &waiting);
    kb_list_splice_back(&consumer->leaders, &served);
}

void kc_fetch_plan(kc_consumer *consumer)
{
    if (consumer->is_closing || consumer->fatal.code != KC_OK)
        return;
    fetch_plan plan = {.now_us = kc_consumer_now_us(consumer), .due_us = INT64_MAX};
    consumer->is_starved = false;
    KB_LIST_FOR (node, &consumer->leaders) {
        kc_leader *leader = KB_CONTAINER(node, kc_leader, node);
        leader->has_full = false;
        leader->want_bytes = 0;
    }
    KB_LIST_FOR (node, &consumer->parts) {
        plan_part(KB_CONTAINER(node, kc_part, node), &plan);
    }
    if (plan.wants_stored)
        kc_position_fetch_stored(consumer);
    send_all(consumer);
    if (plan.due_us < INT64_MAX &&
        kn_timer_set(consumer->client->loop, &consumer->plan_timer, plan.due_us) != KC_OK)
        kc_consumer_plan_soon(consumer);
}
