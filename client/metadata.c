/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * When the cluster is asked about itself. One request is in flight at most; everybody's needs merge
 * into the next.
 *
 *            use(new topic)         at once, unless requests fail now
 *            refresh()              spaced by retry.backoff from the last start
 *   idle ->  unsettled topic        retry.backoff doubling per answer, up to retry.backoff.max
 *            a failed request       the same, per failure
 *            metadata.max.age       only while a topic is in use
 *        ->  asking  ->  answer or failure: tell the listeners, back to idle
 *
 * A request lists the topics in use, or all. Whether it may make missing topics is one flag for the
 * whole request, so when a topic that may be made is missing there are two: first those that may,
 * with the flag, then the others without. */
#include "client/metadata_state.h"
#include "client/timer.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>

static void start(kc_metadata *metadata);

static const kb_log *log_of(const kc_metadata *metadata)
{
    return kc_client_log(metadata->client, KC_DEBUG_METADATA);
}

/* ---- when ---- */

static void ask_at(kc_metadata *metadata, int64_t due_us)
{
    if (due_us >= metadata->due_us || kn_request_is_active(&metadata->request))
        return;
    metadata->due_us = due_us;
    kc_timer_arm(metadata->client->loop, &metadata->timer, due_us);
}

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool is_needed(const kc_metadata *metadata)
{
    return !kb_list_is_empty(&metadata->topics) || metadata->all_uses > 0 ||
           !kb_list_is_empty(&metadata->listeners);
}

static void on_timer(kn_timer *timer)
{
    start(timer->user);
}

void kc_metadata_refresh(kc_metadata *metadata, const char *why)
{
    if (metadata->client->is_closing)
        return;
    if (kn_request_is_active(&metadata->request)) {
        metadata->ask_again = true;
        return;
    }
    if (metadata->due_us > metadata->floor_us)
        kb_log_line(log_of(metadata), KC_LOG_DEBUG, "metadata is asked for: %s", why);
    ask_at(metadata, later_of(kc_client_fresh_us(metadata->client), metadata->floor_us));
}

/** For a topic never asked for: don't wait for the spacing, but for the end of failures. */
static void ask_now(kc_metadata *metadata)
{
    if (kn_request_is_active(&metadata->request))
        metadata->ask_again = true;
    else
        ask_at(metadata, metadata->failures > 0 ? metadata->floor_us
                                                : kn_loop_now_us(metadata->client->loop));
}

/** After a request: when is the next one? */
static void plan(kc_metadata *metadata)
{
    kc_client *client = metadata->client;
    int64_t now_us = kn_loop_now_us(client->loop);
    if (metadata->failures > 0) {
        metadata->floor_us = now_us + kc_retry_backoff_us(client, metadata->failures - 1);
        if (is_needed(metadata))
            ask_at(metadata, metadata->floor_us);
        return;
    }
    metadata->floor_us = metadata->started_us + kc_retry_backoff_us(client, 0);
    if (metadata->ask_again)
        ask_at(metadata, later_of(now_us, metadata->floor_us));
    if (kc_metadata_is_unsettled(metadata)) {
        int64_t wait_us = kc_retry_backoff_us(client, metadata->unsettled++);
        ask_at(metadata, later_of(now_us, metadata->started_us + wait_us));
    } else {
        metadata->unsettled = 0;
    }
    if (!kb_list_is_empty(&metadata->topics) || metadata->all_uses > 0) {
        int64_t age_us = (int64_t)client->settings->metadata_max_age_ms * 1000;
        ask_at(metadata, later_of(metadata->floor_us, now_us + age_us));
    }
}

/** A topic came into use while a request was under way that does not ask for it. */
static bool has_new_topic(const kc_metadata *metadata)
{
    KB_LIST_FOR (node, &metadata->topics) {
        if (KB_CONTAINER(node, kc_meta_topic, node)->err == KC_ERR_AGAIN)
            return true;
    }
    return false;
}

/* ---- listeners ---- */

/** A listener may add, remove and free listeners, itself too. */
static void tell(kc_metadata *metadata)
{
    kb_list waiting;
    kb_list_init(&waiting);
    kb_list_splice_back(&waiting, &metadata->listeners);
    kb_list *node;
    while ((node = kb_list_pop_front(&waiting))) {
        kb_list_push_back(&metadata->listeners, node);
        kc_meta_listener *listener = KB_CONTAINER(node, kc_meta_listener, node);
        listener->fn(listener);
    }
}

static void on_hint(kn_task *task)
{
    tell(task->user);
}

void kc_metadata_listen(kc_metadata *metadata, kc_meta_listener *listener)
{
    kb_list_push_back(&metadata->listeners, &listener->node);
}

void kc_metadata_unlisten(kc_meta_listener *listener)
{
    if (listener->node.next)
        kb_list_remove(&listener->node);
}

/* ---- the request ---- */

/** Is a topic missing that may be made? */
static bool wants_create(const kc_metadata *metadata)
{
    KB_LIST_FOR (node, &metadata->topics) {
        kc_meta_topic *topic = KB_CONTAINER(node, kc_meta_topic, node);
        bool is_missing =
            topic->err == KC_ERR_AGAIN || topic->err == KC_E_UNKNOWN_TOPIC_OR_PARTITION;
        if (is_missing && kc_meta_entry_of(topic)->may_create)
            return true;
    }
    return false;
}

/** Does this request leave the topic to the other half? */
static bool is_left_out(const kc_metadata *metadata, const kc_meta_entry *entry)
{
    return (metadata->is_creating && !entry->may_create) ||
           (metadata->is_second_half && entry->may_create);
}

static kc_err list_topics(kc_metadata *metadata)
{
    size_t count = 0, used = 0;
    KB_LIST_FOR (node, &metadata->topics) {
        count++;
    }
    if (count > INT32_MAX)
        return KC_ERR_TOO_LARGE;
    kp_metadata_req_topic *items = kb_arena_array(&metadata->ask_arena, count, sizeof *items);
    if (!items)
        return KC_ERR_NOMEM;
    KB_LIST_FOR (node, &metadata->topics) {
        kc_meta_topic *topic = KB_CONTAINER(node, kc_meta_topic, node);
        kc_meta_entry *entry = kc_meta_entry_of(topic);
        entry->is_asked = !is_left_out(metadata, entry);
        if (!entry->is_asked)
            continue;
        /* The entry may go while the request is under way. */
        items[used].name = kb_arena_copy(&metadata->ask_arena, topic->name);
        if (!items[used].name.ptr)
            return KC_ERR_NOMEM;
        used++;
    }
    metadata->ask.topics.items = items;
    metadata->ask.topics.count = (int32_t)used;
    return KC_OK;
}

/** All topics: null instead of names. */
static void list_all(kc_metadata *metadata)
{
    metadata->ask.topics.items = NULL;
    metadata->ask.topics.count = -1;
    KB_LIST_FOR (node, &metadata->topics) {
        kc_meta_entry_of(KB_CONTAINER(node, kc_meta_topic, node))->is_asked = true;
    }
}

static void fail(kc_metadata *metadata, const kc_error *error)
{
    kc_client *client = metadata->client;
    int64_t now_us = kn_loop_now_us(client->loop);
    if (metadata->failures++ == 0)
        metadata->failing_us = now_us;
    metadata->error = *error;
    metadata->failed_us = now_us;
    kc_client_note(client, error);
    /* KIP-1102: the known addresses may all be of the past. The time starts anew, so that what is
     * learned has as long. */
    int64_t patience_us =
        (int64_t)client->settings->metadata_recovery_rebootstrap_trigger_ms * 1000;
    if (client->settings->metadata_recovery_rebootstrap &&
        now_us - metadata->failing_us >= patience_us &&
        kn_pool_brokers(client->pool, NULL, 0) > 0) {
        kb_log_line(log_of(metadata), KC_LOG_WARNING,
                    "no known broker answers: beginning anew with bootstrap.servers");
        kn_pool_keep_brokers(client->pool, NULL, 0);
        metadata->failing_us = now_us;
    }
    /* Once loud, then quiet: the cause of a long failure is in kc_client_last_error(). */
    kb_log_line(log_of(metadata), metadata->failures == 1 ? KC_LOG_WARNING : KC_LOG_DEBUG,
                "metadata could not be read: %s", error->text);
}

static void start(kc_metadata *metadata)
{
    kc_client *client = metadata->client;
    assert(!kn_request_is_active(&metadata->request));
    metadata->due_us = INT64_MAX;
    kn_timer_stop(client->loop, &metadata->timer);
    metadata->ask_again = false;
    metadata->started_us = kn_loop_now_us(client->loop);
    metadata->is_creating = !metadata->is_second_half && wants_create(metadata);
    kb_arena_reset(&metadata->ask_arena);
    kc_err listed = KC_OK;
    if (metadata->all_uses > 0 && !metadata->is_creating)
        list_all(metadata);
    else
        listed = list_topics(metadata);
    if (listed != KC_OK) {
        kc_error error = {.code = KC_OK};
        kb_error_code(&error, listed);
        metadata->is_second_half = false;
        fail(metadata, &error);
        plan(metadata);
        return;
    }
    metadata->ask.allow_auto_topic_creation = metadata->is_creating;
    kc_any_ask_send(&metadata->any_ask);
}

/** After a creating request: is there anything it left out? */
static bool has_second_half(const kc_metadata *metadata)
{
    if (!metadata->is_creating)
        return false;
    if (metadata->all_uses > 0)
        return true;
    KB_LIST_FOR (node, &metadata->topics) {
        if (!kc_meta_entry_of(KB_CONTAINER(node, kc_meta_topic, node))->may_create)
            return true;
    }
    return false;
}

static kc_err take(kc_metadata *metadata, const kn_reply *reply, kc_error *error)
{
    if (reply->err != KC_OK) {
        *error = *reply->error;
        return reply->err;
    }
    kc_client *client = metadata->client;
    kb_arena arena;
    kb_arena_init(&arena, &client->mem, kc_client_answer_max(client));
    kp_metadata_resp answer;
    kc_err taken = kn_reply_decode(&metadata->request, reply, &arena, &answer, error);
    if (taken == KC_OK)
        taken = kc_metadata_update(metadata, &answer, error);
    kb_arena_cleanup(&arena);
    return taken;
}

static void end_asking(kc_metadata *metadata)
{
    KB_LIST_FOR (node, &metadata->topics) {
        kc_meta_entry_of(KB_CONTAINER(node, kc_meta_topic, node))->is_asked = false;
    }
}

static void on_reply(kn_request *request, const kn_reply *reply)
{
    kc_metadata *metadata = request->user;
    kc_any_ask_end(&metadata->any_ask);
    if (metadata->client->is_closing)
        return;
    kc_error error = {.code = KC_OK};
    bool is_good = take(metadata, reply, &error) == KC_OK;
    end_asking(metadata);
    bool has_more = is_good && has_second_half(metadata);
    metadata->is_second_half = false;
    if (is_good) {
        metadata->failures = 0;
        metadata->error.code = KC_OK;
        kc_client_note(metadata->client, NULL);
    } else {
        fail(metadata, &error);
    }
    if (has_more) {
        bool ask_again = metadata->ask_again;
        metadata->is_second_half = true;
        start(metadata);
        metadata->ask_again = ask_again;
    } else {
        plan(metadata);
        if (metadata->failures == 0 && has_new_topic(metadata))
            ask_now(metadata);
    }
    tell(metadata);
}

/* ---- use ---- */

bool kc_topic_name_is_valid(kc_bytes name)
{
    if (name.len == 0 || name.len > KC_TOPIC_NAME_MAX || !name.ptr)
        return false;
    if (name.ptr[0] == '.' && (name.len == 1 || (name.len == 2 && name.ptr[1] == '.')))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

static kc_err add_topic(kc_metadata *metadata, kc_bytes name, kc_meta_topic **topic_out)
{
    kc_client *client = metadata->client;
    kc_meta_entry *entry = kb_mem_zalloc(&client->mem, sizeof *entry + name.len);
    if (!entry)
        return KC_ERR_NOMEM;
    memcpy(entry->name, name.ptr, name.len);
    entry->topic.name = kc_span(entry->name, name.len);
    entry->topic.err = KC_ERR_AGAIN;
    entry->topic.first_asked_us = later_of(kc_client_fresh_us(client), 1);
    kc_err put = kb_map_put(&metadata->by_name, entry->topic.name, entry);
    if (put != KC_OK) {
        kb_mem_free(&client->mem, entry);
        return put;
    }
    kb_list_push_back(&metadata->topics, &entry->topic.node);
    *topic_out = &entry->topic;
    return KC_OK;
}

kc_err kc_metadata_use(kc_metadata *metadata, kc_bytes name, kc_meta_topic **topic_out)
{
    if (metadata->client->is_closing)
        return KC_ERR_STATE;
    if (!kc_topic_name_is_valid(name))
        return KC_ERR_ARGUMENT;
    kc_meta_topic *topic = kc_metadata_find(metadata, name);
    if (!topic)
        KB_TRY(add_topic(metadata, name, &topic));
    topic->uses++;
    if (topic->err == KC_ERR_AGAIN && !kc_meta_entry_of(topic)->is_asked)
        ask_now(metadata);
    *topic_out = topic;
    return KC_OK;
}

void kc_metadata_allow_create(kc_metadata *metadata, kc_meta_topic *topic)
{
    kc_meta_entry *entry = kc_meta_entry_of(topic);
    if (entry->may_create)
        return;
    entry->may_create = true;
    /* Asked for without leave to make it: that answer won't do. */
    if (entry->is_asked || topic->err == KC_E_UNKNOWN_TOPIC_OR_PARTITION)
        ask_now(metadata);
}

void kc_metadata_unuse(kc_metadata *metadata, kc_meta_topic *topic)
{
    assert(topic->uses > 0);
    if (--topic->uses > 0)
        return;
    kb_mem *mem = &metadata->client->mem;
    kb_list_remove(&topic->node);
    (void)kb_map_remove(&metadata->by_name, topic->name);
    if (!kc_uuid_is_zero(topic->id))
        (void)kb_map_remove(&metadata->by_id, KB_KEY(topic->id));
    kb_mem_free(mem, topic->partitions);
    kb_mem_free(mem, kc_meta_entry_of(topic));
}

kc_meta_topic *kc_metadata_find(const kc_metadata *metadata, kc_bytes name)
{
    kc_meta_entry *entry = kb_map_get(&metadata->by_name, name);
    return entry ? &entry->topic : NULL;
}

kc_meta_topic *kc_metadata_find_id(const kc_metadata *metadata, kc_uuid id)
{
    kc_meta_entry *entry = kb_map_get(&metadata->by_id, KB_KEY(id));
    return entry ? &entry->topic : NULL;
}

void kc_metadata_use_all(kc_metadata *metadata)
{
    if (metadata->all_uses++ == 0)
        ask_now(metadata);
}

void kc_metadata_unuse_all(kc_metadata *metadata)
{
    assert(metadata->all_uses > 0);
    if (--metadata->all_uses > 0)
        return;
    kb_arena_cleanup(&metadata->names_arena);
    metadata->names = NULL;
    metadata->name_count = 0;
}

kc_bytes kc_metadata_next_name(const kc_metadata *metadata, size_t *pos, bool *is_internal_out,
                               int32_t *partition_count_out)
{
    if (*pos >= metadata->name_count)
        return KC_NULL;
    const kc_meta_name *name = &metadata->names[(*pos)++];
    if (is_internal_out)
        *is_internal_out = name->is_internal;
    if (partition_count_out)
        *partition_count_out = name->partition_count;
    return name->name;
}

/* ---- facts ---- */

uint64_t kc_metadata_version(const kc_metadata *metadata)
{
    return metadata->version;
}

void kc_metadata_hint(kc_metadata *metadata, kc_meta_topic *topic, int32_t partition,
                      int32_t leader, int32_t leader_epoch)
{
    if (partition < 0 || partition >= topic->partition_count || leader < 0)
        return;
    kc_meta_partition *known = &topic->partitions[partition];
    bool is_newer = leader_epoch > known->leader_epoch ||
                    (leader_epoch == known->leader_epoch && known->leader < 0);
    if (!is_newer)
        return;
    known->leader = leader;
    known->leader_epoch = leader_epoch;
    if (!kn_pool_has_broker(metadata->client->pool, leader))
        kc_metadata_refresh(metadata, "a new leader is not known");
    kn_task_queue(metadata->client->loop, &metadata->hint_task);
}

int32_t kc_metadata_controller(const kc_metadata *metadata)
{
    return metadata->controller;
}

kc_bytes kc_metadata_cluster_id(const kc_metadata *metadata)
{
    return kc_str(metadata->cluster_id);
}

const kc_error *kc_metadata_error(const kc_metadata *metadata)
{
    if (metadata->error.code == KC_OK && kn_request_is_active(&metadata->request))
        return kn_pool_last_error(metadata->client->pool);
    return &metadata->error;
}

int64_t kc_metadata_failed_us(const kc_metadata *metadata)
{
    return metadata->failed_us;
}

/* ---- lifetime ---- */

kc_err kc_metadata_new(kc_client *client, kc_metadata **metadata_out)
{
    kc_metadata *metadata = kb_mem_zalloc(&client->mem, sizeof *metadata);
    if (!metadata)
        return KC_ERR_NOMEM;
    metadata->client = client;
    metadata->controller = -1;
    metadata->due_us = INT64_MAX;
    metadata->timer.fn = on_timer;
    metadata->timer.user = metadata;
    metadata->hint_task.fn = on_hint;
    metadata->hint_task.user = metadata;
    kb_list_init(&metadata->topics);
    kb_list_init(&metadata->listeners);
    kb_map_init(&metadata->by_name, &client->mem);
    kb_map_init(&metadata->by_id, &client->mem);
    kb_arena_init(&metadata->names_arena, &client->mem, 0);
    kb_arena_init(&metadata->ask_arena, &client->mem, 0);
    const kp_api *api = kp_api_by_key(KP_API_METADATA);
    kp_defaults(api->request, &metadata->ask);
    kn_request_init(&metadata->request, &client->mem);
    metadata->request.api = api;
    metadata->request.msg = &metadata->ask;
    metadata->request.version_min = 4; /* below, asking for a topic may make it */
    metadata->request.version_max = -1;
    metadata->request.done = on_reply;
    metadata->request.user = metadata;
    kc_any_ask_init(&metadata->any_ask, client, &metadata->request);
    *metadata_out = metadata;
    return KC_OK;
}

void kc_metadata_free(kc_metadata *metadata)
{
    if (!metadata)
        return;
    kc_client *client = metadata->client;
    kc_any_ask_cancel(&metadata->any_ask);
    kn_request_cleanup(&metadata->request);
    kn_timer_stop(client->loop, &metadata->timer);
    kn_task_cancel(&metadata->hint_task);
    KB_LIST_FOR (node, &metadata->topics) {
        kc_meta_topic *topic = KB_CONTAINER(node, kc_meta_topic, node);
        topic->uses = 1;
        kc_metadata_unuse(metadata, topic);
    }
    kb_map_cleanup(&metadata->by_name);
    kb_map_cleanup(&metadata->by_id);
    kb_arena_cleanup(&metadata->names_arena);
    kb_arena_cleanup(&metadata->ask_arena);
    kb_mem_free(&client->mem, metadata->cluster_id);
    kb_mem_free(&client->mem, metadata);
}
