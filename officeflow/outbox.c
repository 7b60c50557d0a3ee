/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The outbox. Per topic: UNKNOWN -> CREATING -> ASKING -> READY; writes that come before READY wait
 * as copies in a list. A failed step fails what waits and goes back to UNKNOWN, so that the next
 * write tries again. */
#include "officeflow/outbox.h"

#include "officeflow/catalogue.h"
#include "officeflow/platform_core.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <stdio.h>

#define ENSURE_TIMEOUT_MS 15000

typedef enum topic_state {
    TOPIC_UNKNOWN,
    TOPIC_CREATING,
    TOPIC_ASKING,
    TOPIC_READY,
} topic_state;

typedef struct out_topic {
    of_outbox *outbox;
    topic_state state;
    int32_t partitions;
    kb_list waiting; /* of write */
    char name[KC_TOPIC_NAME_MAX + 1];
} out_topic;

typedef struct write {
    kb_list node;
    of_outbox *outbox;
    of_written_fn fn;
    void *user;
    int32_t partition;
    bool is_probe; /* only wants the cluster id */
    kb_arena arena;
    of_message message;
} write;

struct of_outbox {
    kb_mem mem; /* own: answers may come after the platform is gone */
    of_platform *platform;
    kc_producer *producer;
    kb_map topics;
    uint32_t calls; /* admin calls whose answers are out */
    bool is_closing;
    char cluster_id[64];
};

/** A dead letter is its record and our headers: the largest record must still go out. */
static kc_err make_room(kc_config *config, kc_error *err)
{
    int64_t bytes;
    char text[24];
    of_topic_spec dlq;
    const char *now = kc_config_get(config, "max.request.size");
    of_dlq_spec(&(of_topic_spec){.retention_ms = 0}, &dlq);
    if (now && kb_parse_i64(kc_str(now), &bytes) && bytes >= dlq.max_message_bytes)
        return KC_OK;
    snprintf(text, sizeof text, "%lld", (long long)dlq.max_message_bytes);
    return kc_config_set(config, "max.request.size", text, err);
}

kc_err of_outbox_new(of_platform *platform, of_outbox **outbox_out, kc_error *err)
{
    kb_mem mem;
    kb_mem_init(&mem, &platform->mem.alloc, 0);
    of_outbox *outbox = kb_mem_zalloc(&mem, sizeof *outbox);
    if (!outbox)
        return kb_error_code(err, KC_ERR_NOMEM);
    outbox->mem = mem;
    outbox->platform = platform;
    kb_map_init(&outbox->topics, &outbox->mem);
    kc_config *config = kc_config_copy(platform->config.kafka);
    kc_err result = config ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
    // what is written here is waited for: lingering would only add to every retry's way
    if (result == KC_OK)
        result = kc_config_set(config, "linger.ms", "0", err);
    if (result == KC_OK)
        result = kc_config_set(config, "acks", "all", err);
    if (result == KC_OK)
        result = make_room(config, err);
    if (result == KC_OK)
        result = kc_producer_open(platform->client, config, &outbox->producer, err);
    kc_config_free(config);
    if (result == KC_OK)
        *outbox_out = outbox;
    else
        of_outbox_free(outbox);
    return result;
}

static void finish(write *w, kc_err err, const kc_error *error, int32_t partition, int64_t offset)
{
    of_outbox *outbox = w->outbox;
    kb_list_remove(&w->node);
    w->fn(err, error, partition, offset, w->user);
    kb_arena_cleanup(&w->arena);
    kb_mem_free(&outbox->mem, w);
}

static void fail_waiting(out_topic *topic, kc_err err, const kc_error *error)
{
    kb_list failed;
    kb_list_init(&failed);
    kb_list_splice_back(&failed, &topic->waiting);
    topic->state = TOPIC_UNKNOWN;
    while (!kb_list_is_empty(&failed))
        finish(KB_CONTAINER(failed.next, write, node), err, error, -1, -1);
}

void of_outbox_free(of_outbox *outbox)
{
    if (!outbox)
        return;
    kb_mem mem;
    kc_error closed;
    kb_error_code(&closed, KC_ERR_CLOSED);
    outbox->is_closing = true;
    size_t pos = 0;
    out_topic *topic;
    while ((topic = kb_map_next(&outbox->topics, &pos)) != NULL)
        fail_waiting(topic, KC_ERR_CLOSED, &closed);
    kc_producer_close(outbox->producer);
    outbox->producer = NULL;
    if (outbox->calls > 0)
        return; // the last answer frees
    pos = 0;
    while ((topic = kb_map_next(&outbox->topics, &pos)) != NULL)
        kb_mem_free(&outbox->mem, topic);
    kb_map_cleanup(&outbox->topics);
    mem = outbox->mem;
    kb_mem_free(&mem, outbox);
}

const char *of_outbox_cluster_id(const of_outbox *outbox)
{
    return outbox->cluster_id;
}

static void on_delivery(const kc_delivery *delivery, void *user)
{
    finish(user, delivery->err, delivery->error, delivery->partition, delivery->offset);
}

static kc_err send(out_topic *topic, write *w, kc_error *err)
{
    kc_record record = KC_RECORD_INIT;
    record.topic = kc_str(topic->name);
    if (w->partition >= 0)
        record.partition = w->partition % topic->partitions;
    record.key = w->message.key;
    record.value = w->message.value;
    record.headers = w->message.headers;
    record.header_count = w->message.header_count;
    return kc_producer_send(topic->outbox->producer, &record, on_delivery, w, err);
}

static void release_waiting(out_topic *topic)
{
    kb_list ready;
    kb_list_init(&ready);
    kb_list_splice_back(&ready, &topic->waiting);
    while (!kb_list_is_empty(&ready)) {
        write *w = KB_CONTAINER(ready.next, write, node);
        kb_list_remove(&w->node);
        kc_error error;
        if (w->is_probe) {
            finish(w, KC_OK, NULL, -1, -1);
            continue;
        }
        kc_err err = send(topic, w, &error);
        if (err != KC_OK)
            finish(w, err, &error, -1, -1);
    }
}

/** True when the outbox was closed meanwhile: the answer is dropped, and the last one frees. */
static bool answer_is_late(of_outbox *outbox)
{
    outbox->calls--;
    if (!outbox->is_closing)
        return false;
    if (outbox->calls == 0)
        of_outbox_free(outbox);
    return true;
}

static void on_described(kc_admin_result *result, void *user)
{
    out_topic *topic = user;
    of_outbox *outbox = topic->outbox;
    if (answer_is_late(outbox)) {
        kc_admin_free(result);
        return;
    }
    kc_error error = {0};
    const kc_error *call = result ? kc_admin_error(result) : NULL;
    if (!result)
        kb_error_code(&error, KC_ERR_NOMEM);
    else if (call->code != KC_OK)
        error = *call;
    const kc_cluster_info *cluster = error.code == KC_OK ? kc_admin_cluster(result) : NULL;
    if (cluster) // a cluster without an id must not be asked for it for ever
        snprintf(outbox->cluster_id, sizeof outbox->cluster_id, KC_FMT,
                 KC_ARG(cluster->cluster_id.len > 0 ? cluster->cluster_id : KC_STR("none")));
    const kc_topic_info *info = cluster && cluster->topic_count > 0 ? cluster->topics : NULL;
    if (cluster && (!info || info->err != KC_OK || info->partition_count == 0))
        kb_error_set(&error, info && info->err != KC_OK ? info->err : 3,
                     "Topic %s is not there: run officeflow setup-topics.", topic->name);
    if (error.code == KC_OK) {
        topic->state = TOPIC_READY;
        topic->partitions = (int32_t)info->partition_count;
        release_waiting(topic);
    } else {
        fail_waiting(topic, error.code, &error);
    }
    kc_admin_free(result);
}

static kc_err ask(out_topic *topic, kc_error *err)
{
    kc_bytes name = kc_str(topic->name);
    kc_admin_options options = of_admin_timeout(ENSURE_TIMEOUT_MS);
    kc_err result = kc_admin_describe_topics(topic->outbox->platform->client, &name, 1, &options,
                                             on_described, topic, err);
    if (result != KC_OK)
        return result;
    topic->state = TOPIC_ASKING;
    topic->outbox->calls++;
    return KC_OK;
}

static void on_created(kc_admin_result *result, void *user)
{
    out_topic *topic = user;
    bool is_late = answer_is_late(topic->outbox);
    // whatever it said: if the topic is not there, asking for it tells
    kc_admin_free(result);
    kc_error error;
    kc_err err = is_late ? KC_OK : ask(topic, &error);
    if (err != KC_OK)
        fail_waiting(topic, err, &error);
}

static kc_err create(out_topic *topic, kc_error *err)
{
    of_topic_spec spec = {.partitions = 3};
    of_catalogue_find(kc_str(topic->name), &spec);
    of_outbox *outbox = topic->outbox;
    char retention[24], bytes[24];
    snprintf(retention, sizeof retention, "%lld", (long long)spec.retention_ms);
    snprintf(bytes, sizeof bytes, "%lld", (long long)spec.max_message_bytes);
    kc_config_entry configs[4];
    size_t count = 0;
    if (spec.is_compacted)
        configs[count++] =
            (kc_config_entry){.name = KC_STR("cleanup.policy"), .value = KC_STR("compact")};
    else if (spec.retention_ms > 0)
        configs[count++] =
            (kc_config_entry){.name = KC_STR("retention.ms"), .value = kc_str(retention)};
    if (spec.max_message_bytes > 0)
        configs[count++] =
            (kc_config_entry){.name = KC_STR("max.message.bytes"), .value = kc_str(bytes)};
    if (spec.is_log_append_time)
        configs[count++] = (kc_config_entry){.name = KC_STR("message.timestamp.type"),
                                             .value = KC_STR("LogAppendTime")};
    kc_new_topic wanted = {.name = kc_str(topic->name),
                           .partitions = spec.partitions,
                           .replication_factor = -1,
                           .configs = configs,
                           .config_count = count};
    kc_admin_options options = of_admin_timeout(ENSURE_TIMEOUT_MS);
    kc_err result = kc_admin_create_topics(outbox->platform->client, &wanted, 1, &options,
                                           on_created, topic, err);
    if (result != KC_OK)
        return result;
    topic->state = TOPIC_CREATING;
    outbox->calls++;
    return KC_OK;
}

static out_topic *find_topic(of_outbox *outbox, kc_bytes name)
{
    out_topic *topic = kb_map_get(&outbox->topics, name);
    if (topic)
        return topic;
    topic = kb_mem_zalloc(&outbox->mem, sizeof *topic);
    if (!topic)
        return NULL;
    topic->outbox = outbox;
    kb_list_init(&topic->waiting);
    memcpy(topic->name, name.ptr, name.len);
    if (kb_map_put(&outbox->topics, kc_str(topic->name), topic) != KC_OK) {
        kb_mem_free(&outbox->mem, topic);
        return NULL;
    }
    return topic;
}

static bool copy_message(write *w, const of_message *from)
{
    kc_header *headers = kb_arena_array(&w->arena, from->header_count + 1, sizeof *headers);
    if (!headers)
        return false;
    bool is_ok = true;
    for (size_t i = 0; i < from->header_count; i++) {
        headers[i].name = kb_arena_copy(&w->arena, from->headers[i].name);
        headers[i].value = kb_arena_copy(&w->arena, from->headers[i].value);
        is_ok =
            is_ok && headers[i].name.ptr && (headers[i].value.ptr || !from->headers[i].value.ptr);
    }
    w->message = (of_message){.key = kb_arena_copy(&w->arena, from->key),
                              .value = kb_arena_copy(&w->arena, from->value),
                              .headers = headers,
                              .header_count = from->header_count};
    return is_ok && (w->message.key.ptr || !from->key.ptr) &&
           (w->message.value.ptr || !from->value.ptr);
}

static write *new_write(of_outbox *outbox, int32_t partition, of_written_fn fn, void *user)
{
    write *w = kb_mem_zalloc(&outbox->mem, sizeof *w);
    if (!w)
        return NULL;
    *w = (write){.outbox = outbox, .fn = fn, .user = user, .partition = partition};
    kb_list_init(&w->node);
    kb_arena_init(&w->arena, &outbox->mem, 0);
    return w;
}

static void drop(write *w)
{
    kb_arena_cleanup(&w->arena);
    kb_mem_free(&w->outbox->mem, w);
}

/** Make sure of the topic, the write waiting meanwhile. What can't be begun is told by the result and
 * not by the callback: the caller has not counted it yet. */
static kc_err wait_for_topic(out_topic *topic, write *w, kc_error *err)
{
    kc_err result = KC_OK;
    if (topic->state == TOPIC_UNKNOWN)
        result = create(topic, err);
    else if (topic->state == TOPIC_READY) // a probe: answered from a later turn, as every callback
        result = ask(topic, err);
    if (result == KC_OK)
        kb_list_push_back(&topic->waiting, &w->node);
    else
        drop(w);
    return result;
}

kc_err of_outbox_write(of_outbox *outbox, kc_bytes topic_name, int32_t partition,
                       const of_message *message, of_written_fn fn, void *user, kc_error *err)
{
    if (outbox->is_closing)
        return kb_error_code(err, KC_ERR_CLOSED);
    if (topic_name.len == 0 || topic_name.len > KC_TOPIC_NAME_MAX)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "Topic name \"" KC_FMT "\" must have 1 to %d characters.",
                            KC_ARG(topic_name), KC_TOPIC_NAME_MAX);
    out_topic *topic = find_topic(outbox, topic_name);
    write *w = topic ? new_write(outbox, partition, fn, user) : NULL;
    if (!w)
        return kb_error_code(err, KC_ERR_NOMEM);
    if (topic->state == TOPIC_READY) {
        w->message = *message; // the producer copies
        kc_err result = send(topic, w, err);
        w->message = (of_message){0};
        if (result != KC_OK)
            drop(w);
        return result;
    }
    if (!copy_message(w, message)) {
        drop(w);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    return wait_for_topic(topic, w, err);
}

kc_err of_outbox_prepare(of_outbox *outbox, of_written_fn fn, void *user, kc_error *err)
{
    if (outbox->is_closing)
        return kb_error_code(err, KC_ERR_CLOSED);
    out_topic *topic = find_topic(outbox, KC_STR(OF_STATE_TOPIC));
    write *w = topic ? new_write(outbox, 0, fn, user) : NULL;
    if (!w)
        return kb_error_code(err, KC_ERR_NOMEM);
    w->is_probe = true;
    return wait_for_topic(topic, w, err);
}
