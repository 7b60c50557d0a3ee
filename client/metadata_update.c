/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Taking an answer in. Any broker may have answered, also one whose view is old, so:
 *   - leaders of an older epoch are left out while the topic's id stays (KIP-320);
 *   - a topic never loses partitions, and an error of a topic takes nothing away (trap 48);
 *   - another id is another topic: it starts afresh, with a new incarnation (KIP-516, trap 34);
 *   - an empty list of brokers is no answer: the broker just started.
 * Everything in the answer is checked before it is used: it may come from anyone. */
#include "client/metadata_state.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

/* ---- brokers ---- */

static bool is_usable(const kp_metadata_resp_broker *broker)
{
    return broker->node_id >= 0 && broker->host.len > 0 && broker->port > 0 &&
           broker->port <= UINT16_MAX;
}

static kc_err update_brokers(kc_metadata *metadata, const kp_metadata_resp *answer, kc_error *err)
{
    kc_client *client = metadata->client;
    size_t count = 0;
    kb_arena scratch;
    kb_arena_init(&scratch, &client->mem, 0);
    int32_t *ids = kb_arena_array(&scratch, (size_t)answer->brokers.count + 1, sizeof *ids);
    kc_err result = ids ? KC_OK : KC_ERR_NOMEM;
    for (int32_t i = 0; result == KC_OK && i < answer->brokers.count; i++) {
        const kp_metadata_resp_broker *broker = &answer->brokers.items[i];
        if (!is_usable(broker))
            continue;
        ids[count++] = broker->node_id;
        result = kn_pool_set_broker(client->pool, broker->node_id, broker->host, broker->port);
    }
    if (result == KC_OK && count > 0)
        kn_pool_keep_brokers(client->pool, ids, count);
    kb_arena_cleanup(&scratch);
    if (result != KC_OK)
        return kb_error_code(err, result);
    if (count == 0)
        return kb_error_set(err, KC_ERR_NO_BROKER, "the answer to Metadata names no broker");
    return KC_OK;
}

static kc_err update_cluster(kc_metadata *metadata, const kp_metadata_resp *answer, kc_error *err)
{
    kc_client *client = metadata->client;
    metadata->controller = answer->controller_id >= 0 ? answer->controller_id : -1;
    kc_bytes known = kc_str(metadata->cluster_id);
    if (!answer->cluster_id.ptr || kc_bytes_equal(known, answer->cluster_id))
        return KC_OK;
    if (known.ptr)
        kb_log_line(kc_client_log(client, KC_DEBUG_METADATA), KC_LOG_WARNING,
                    "the cluster was " KC_FMT " and is " KC_FMT " now: bootstrap.servers lead to "
                    "another one",
                    KC_ARG(known), KC_ARG(answer->cluster_id));
    char *copy = kb_mem_strndup(&client->mem, answer->cluster_id.ptr, answer->cluster_id.len);
    if (!copy)
        return kb_error_code(err, KC_ERR_NOMEM);
    kb_mem_free(&client->mem, metadata->cluster_id);
    metadata->cluster_id = copy;
    return KC_OK;
}

/* ---- one topic ---- */

static kc_err set_id(kc_metadata *metadata, kc_meta_entry *entry, kc_uuid id)
{
    kc_meta_topic *topic = &entry->topic;
    if (!kc_uuid_is_zero(topic->id))
        (void)kb_map_remove(&metadata->by_id, KB_KEY(topic->id));
    topic->id = (kc_uuid){{0}};
    if (kc_uuid_is_zero(id))
        return KC_OK;
    /* Two names with one id are a broker's mistake: the first keeps it. */
    if (kb_map_get(&metadata->by_id, KB_KEY(id)))
        return KC_OK;
    topic->id = id;
    kc_err put = kb_map_put(&metadata->by_id, KB_KEY(topic->id), entry);
    if (put != KC_OK)
        topic->id = (kc_uuid){{0}};
    return put;
}

static kc_err update_id(kc_metadata *metadata, kc_meta_entry *entry, kc_uuid id)
{
    kc_meta_topic *topic = &entry->topic;
    if (kc_uuid_is_zero(id) || memcmp(&id, &topic->id, sizeof id) == 0)
        return KC_OK; /* a broker that gives no ids says nothing about them */
    if (!kc_uuid_is_zero(topic->id)) {
        kb_log_line(kc_client_log(metadata->client, KC_DEBUG_METADATA), KC_LOG_INFO,
                    "topic " KC_FMT " was made anew", KC_ARG(topic->name));
        topic->incarnation++;
        topic->partition_count = 0; /* nothing of the old one holds */
    }
    return set_id(metadata, entry, id);
}

static kc_err grow(kc_metadata *metadata, kc_meta_topic *topic, int32_t count)
{
    if (count <= topic->partition_count)
        return KC_OK;
    kc_meta_partition *larger =
        kb_mem_realloc(&metadata->client->mem, topic->partitions, (size_t)count * sizeof *larger);
    if (!larger)
        return KC_ERR_NOMEM;
    for (int32_t i = topic->partition_count; i < count; i++)
        larger[i] = (kc_meta_partition){.leader = -1, .leader_epoch = -1};
    topic->partitions = larger;
    topic->partition_count = count;
    return KC_OK;
}

static void update_partition(kc_meta_topic *topic, const kp_metadata_resp_partition *told)
{
    if (told->partition_index < 0 || told->partition_index >= topic->partition_count)
        return;
    kc_meta_partition *known = &topic->partitions[told->partition_index];
    if (told->leader_epoch >= 0 && told->leader_epoch < known->leader_epoch)
        return; /* an old view */
    known->leader = told->leader_id >= 0 ? told->leader_id : -1;
    if (told->leader_epoch >= 0)
        known->leader_epoch = told->leader_epoch;
}

static bool is_unknown(kc_err err)
{
    return err == KC_ERR_AGAIN || err == KC_E_UNKNOWN_TOPIC_OR_PARTITION;
}

static void set_error(kc_metadata *metadata, kc_meta_topic *topic, kc_err err)
{
    topic->err = err;
    if (!is_unknown(err))
        topic->first_asked_us = 0;
    else if (topic->first_asked_us == 0)
        topic->first_asked_us = kn_loop_now_us(metadata->client->loop);
}

static kc_err update_topic(kc_metadata *metadata, const kp_metadata_resp_topic *told)
{
    kc_meta_entry *entry = told->name.ptr ? kb_map_get(&metadata->by_name, told->name) : NULL;
    if (!entry)
        return KC_OK;
    if (told->error_code == KC_OK) {
        KB_TRY(update_id(metadata, entry, told->topic_id));
        KB_TRY(grow(metadata, &entry->topic, told->partitions.count));
    }
    for (int32_t i = 0; i < told->partitions.count; i++)
        update_partition(&entry->topic, &told->partitions.items[i]);
    set_error(metadata, &entry->topic, told->error_code);
    entry->is_answered = true;
    return KC_OK;
}

static kc_err update_topics(kc_metadata *metadata, const kp_metadata_resp *answer, kc_error *err)
{
    KB_LIST_FOR (node, &metadata->topics) {
        kc_meta_entry_of(KB_CONTAINER(node, kc_meta_topic, node))->is_answered = false;
    }
    for (int32_t i = 0; i < answer->topics.count; i++) {
        kc_err taken = update_topic(metadata, &answer->topics.items[i]);
        if (taken != KC_OK)
            return kb_error_code(err, taken);
    }
    /* An answer for all topics says nothing about those that are not there. */
    KB_LIST_FOR (node, &metadata->topics) {
        kc_meta_topic *topic = KB_CONTAINER(node, kc_meta_topic, node);
        kc_meta_entry *entry = kc_meta_entry_of(topic);
        if (entry->is_asked && !entry->is_answered)
            set_error(metadata, topic, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    }
    return KC_OK;
}

/* ---- all names ---- */

static bool copy_name(kc_meta_name *name, const kp_metadata_resp_topic *told, kb_arena *arena)
{
    name->name = kb_arena_copy(arena, told->name);
    name->is_internal = told->is_internal;
    name->partition_count = told->partitions.count;
    return name->name.ptr != NULL;
}

/** The old names stay until the new ones are complete. */
static kc_err update_names(kc_metadata *metadata, const kp_metadata_resp *answer, kc_error *err)
{
    if (metadata->ask.topics.count >= 0 || metadata->all_uses == 0)
        return KC_OK;
    kb_arena arena;
    kb_arena_init(&arena, &metadata->client->mem, SIZE_MAX);
    size_t count = 0;
    kc_meta_name *names = kb_arena_array(&arena, (size_t)answer->topics.count + 1, sizeof *names);
    bool has_memory = names != NULL;
    for (int32_t i = 0; has_memory && i < answer->topics.count; i++) {
        const kp_metadata_resp_topic *told = &answer->topics.items[i];
        if (told->name.ptr && told->error_code == KC_OK)
            has_memory = copy_name(&names[count++], told, &arena);
    }
    if (!has_memory) {
        kb_arena_cleanup(&arena);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    kb_arena_cleanup(&metadata->names_arena);
    metadata->names_arena = arena;
    metadata->names = names;
    metadata->name_count = count;
    return KC_OK;
}

/* ---- the whole ---- */

kc_err kc_metadata_update(kc_metadata *metadata, const kp_metadata_resp *answer, kc_error *err)
{
    if (answer->error_code == KC_E_REBOOTSTRAP_REQUIRED && /* KIP-1102 */
        metadata->client->settings->metadata_recovery_rebootstrap)
        kn_pool_keep_brokers(metadata->client->pool, NULL, 0);
    if (answer->error_code != KC_OK)
        return kb_error_set(err, answer->error_code, "the broker answers Metadata with %s",
                            kc_err_name(answer->error_code));
    KB_TRY(update_brokers(metadata, answer, err));
    KB_TRY(update_cluster(metadata, answer, err));
    KB_TRY(update_topics(metadata, answer, err));
    KB_TRY(update_names(metadata, answer, err));
    metadata->version++;
    return KC_OK;
}

bool kc_meta_topic_is_settled(const kc_metadata *metadata, const kc_meta_topic *topic)
{
    if (topic->err != KC_OK)
        return topic->err != KC_ERR_AGAIN && !(kc_err_flags(topic->err) & KC_ERRF_RETRIABLE);
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (topic->partitions[i].leader < 0 ||
            !kn_pool_has_broker(metadata->client->pool, topic->partitions[i].leader))
            return false;
    return topic->partition_count > 0;
}

bool kc_metadata_is_unsettled(const kc_metadata *metadata)
{
    KB_LIST_FOR (node, &metadata->topics) {
        if (!kc_meta_topic_is_settled(metadata, KB_CONTAINER(node, kc_meta_topic, node)))
            return true;
    }
    return false;
}
