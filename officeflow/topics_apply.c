/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Apply: carry out a plan's creates and alters. Each step can be repeated: what exists is no error,
 * so a run that was cut off is completed by the next one. Brokers answer from their copy of the
 * metadata, seconds old after many creates: apply ends when they show what was done, so that a plan
 * made right after it is empty. */
#include "officeflow/catalogue.h"
#include "officeflow/topics_plan.h"
#include "protocol/base/error.h"
#include "protocol/base/json.h"

#include <kafkac/producer.h>
#include <kafkac/unstable/errors.h>

#define SEEN_POLL_MS     50
#define SEEN_POLL_MAX_MS 1000

static void note_failure(of_plan *plan, of_planned *item, kc_err code, kc_bytes message)
{
    item->change.err = code;
    item->change.error = message.ptr ? kb_arena_printf(&plan->arena, "%s: " KC_FMT,
                                                       kc_err_name(code), KC_ARG(message))
                                     : kc_err_name(code);
}

static kc_err create_all(of_platform *platform, of_plan *plan, int32_t timeout_ms, kc_error *err)
{
    kc_new_topic *topics = kb_arena_array(&plan->arena, plan->count + 1, sizeof *topics);
    if (!topics)
        return kb_error_code(err, KC_ERR_NOMEM);
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        of_planned *item = &plan->items[i];
        if (item->change.kind == OF_CHANGE_CREATE)
            topics[count++] = (kc_new_topic){
                .name = kc_str(item->change.topic),
                .partitions = item->change.partitions,
                .replication_factor = item->change.replication_factor,
                .configs = item->configs,
                .config_count = item->config_count,
            };
    }
    if (count == 0)
        return KC_OK;
    kc_admin_options options = of_admin_timeout(timeout_ms);
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_create_topics(platform->client, topics, count, &options,
                                            kc_admin_waiter_fn, &waiter, err);
    kc_admin_result *result = of_admin_wait(platform, started, &waiter, err);
    if (!result)
        return of_admin_failed(err);
    for (size_t i = 0; i < kc_admin_count(result); i++) {
        const kc_admin_item *answer = kc_admin_item_at(result, i);
        of_planned *item = of_plan_find(plan, answer->name);
        if (item && answer->err != KC_OK && answer->err != KC_E_TOPIC_ALREADY_EXISTS)
            note_failure(plan, item, answer->err, answer->message);
    }
    kc_admin_free(result);
    return KC_OK;
}

static kc_err alter_one(of_platform *platform, of_plan *plan, of_planned *item, int32_t timeout_ms,
                        kc_error *err)
{
    kc_admin_options options = of_admin_timeout(timeout_ms);
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_alter_configs(
        platform->client, KC_RESOURCE_TOPIC, kc_str(item->change.topic), item->configs,
        item->config_count, &options, kc_admin_waiter_fn, &waiter, err);
    kc_admin_result *result = of_admin_wait(platform, started, &waiter, err);
    if (!result)
        return of_admin_failed(err);
    const kc_admin_item *answer = kc_admin_item_at(result, 0);
    if (answer && answer->err != KC_OK)
        note_failure(plan, item, answer->err, answer->message);
    kc_admin_free(result);
    return KC_OK;
}

static bool has_leaders(const kc_topic_info *topic)
{
    if (topic->err != KC_OK || topic->partition_count == 0)
        return false;
    for (size_t i = 0; i < topic->partition_count; i++)
        if (topic->partitions[i].leader < 0)
            return false;
    return true;
}

/** Ask once: does every topic that was created have all its leaders? */
static kc_err ask_leaders(of_platform *platform, const of_chosen *created, int32_t timeout_ms,
                          bool *all_out, kc_error *err)
{
    *all_out = true;
    if (created->count == 0)
        return KC_OK;
    kc_admin_options options = of_admin_timeout(timeout_ms);
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_topics(platform->client, created->names, created->count,
                                              &options, kc_admin_waiter_fn, &waiter, err);
    kc_admin_result *result = of_admin_wait(platform, started, &waiter, err);
    if (!result)
        return of_admin_failed(err);
    const kc_cluster_info *cluster = kc_admin_cluster(result);
    *all_out = cluster->topic_count >= created->count;
    for (size_t i = 0; i < cluster->topic_count; i++)
        *all_out = *all_out && has_leaders(&cluster->topics[i]);
    kc_admin_free(result);
    return KC_OK;
}

static bool is_created(const of_planned *item)
{
    return item->change.err == KC_OK && item->change.kind == OF_CHANGE_CREATE;
}

static bool is_carried_out(const of_planned *item)
{
    return is_created(item) || (item->change.err == KC_OK && item->change.kind == OF_CHANGE_ALTER);
}

static bool has_configs(const of_planned *item, const kc_config_entry *have, size_t count)
{
    for (size_t i = 0; i < item->config_count; i++)
        if (of_config_drift(&item->configs[i], have, count))
            return false;
    return true;
}

/** Ask once: does every topic that was created or altered show its configuration? */
static kc_err ask_configs(of_platform *platform, of_plan *plan, const of_chosen *changed,
                          int32_t timeout_ms, bool *all_out, kc_error *err)
{
    kc_admin_result *result;
    KB_TRY(of_plan_describe(platform, changed, timeout_ms, &result, err));
    *all_out = true;
    for (size_t i = 0; result && i < kc_admin_count(result); i++) {
        const kc_admin_item *answer = kc_admin_item_at(result, i);
        const of_planned *item = of_plan_find(plan, answer->name);
        size_t count;
        const kc_config_entry *entries = kc_admin_configs(result, i, &count);
        *all_out = *all_out && answer->err == KC_OK && item && has_configs(item, entries, count);
    }
    kc_admin_free(result);
    return KC_OK;
}

static kc_err dispatch_for(kc_client *client, int64_t ms)
{
    int64_t until = kc_clock_monotonic_us() + ms * 1000;
    for (;;) {
        int64_t left_us = until - kc_clock_monotonic_us();
        if (left_us <= 0)
            return KC_OK;
        kc_err err = kc_client_dispatch(client, (int)((left_us + 999) / 1000));
        if (err != KC_OK && err != KC_ERR_AGAIN)
            return err;
    }
}

static kc_err wait_until_seen(of_platform *platform, of_plan *plan, int32_t timeout_ms,
                              kc_error *err)
{
    int64_t deadline = kc_clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    int64_t pause_ms = SEEN_POLL_MS;
    bool is_seen = false;
    of_chosen created, changed;
    KB_TRY(of_plan_choose(plan, is_created, &created, err));
    KB_TRY(of_plan_choose(plan, is_carried_out, &changed, err));
    for (;;) {
        KB_TRY(ask_leaders(platform, &created, timeout_ms, &is_seen, err));
        if (is_seen)
            KB_TRY(ask_configs(platform, plan, &changed, timeout_ms, &is_seen, err));
        if (is_seen)
            return KC_OK;
        if (kc_clock_monotonic_us() > deadline)
            return kb_error_set(err, KC_ERR_TIMEOUT,
                                "Topics were created or altered, but not every partition has a "
                                "leader and its configuration after %d ms: look at the brokers.",
                                timeout_ms);
        KB_TRY(dispatch_for(platform->client, pause_ms));
        pause_ms = 2 * pause_ms < SEEN_POLL_MAX_MS ? 2 * pause_ms : SEEN_POLL_MAX_MS;
    }
}

kc_err of_topics_apply(of_platform *platform, of_plan *plan, int32_t timeout_ms, kc_error *err)
{
    kc_error local;
    err = err ? err : &local;
    *err = (kc_error){0};
    KB_TRY(create_all(platform, plan, timeout_ms, err));
    for (size_t i = 0; i < plan->count; i++)
        if (plan->items[i].change.kind == OF_CHANGE_ALTER)
            KB_TRY(alter_one(platform, plan, &plan->items[i], timeout_ms, err));
    KB_TRY(wait_until_seen(platform, plan, timeout_ms, err));
    for (size_t i = 0; i < plan->count; i++) {
        const of_change *change = &plan->items[i].change;
        if (change->err != KC_OK)
            return kb_error_set(err, change->err, "Topic %s: %s.", change->topic, change->error);
    }
    return KC_OK;
}

kc_err of_topics_create_all(of_platform *platform, int32_t timeout_ms, kc_error *err)
{
    of_plan *plan;
    KB_TRY(of_topics_plan(platform, NULL, timeout_ms, &plan, err));
    kc_err result = of_topics_apply(platform, plan, timeout_ms, err);
    of_plan_free(plan);
    return result;
}

/** Tell running consumers that an organisation came: a record on the control topic, keyed by the
 * organisation. */
static kc_err announce_org(of_platform *platform, const char *org, int32_t timeout_ms,
                           kc_error *err)
{
    kc_producer *producer;
    KB_TRY(kc_producer_open(platform->client, NULL, &producer, err));
    kb_buf value;
    kb_buf_init(&value, &platform->mem, 0);
    kb_json_writer writer;
    kb_json_writer_init(&writer, &value);
    kb_json_object(&writer);
    kb_json_member_str(&writer, "type", "org-created");
    kb_json_member_str(&writer, "organizationId", org);
    kb_json_object_end(&writer);
    char key[80] = "org/"; // an organisation id has at most 64 characters
    strncat(key, org, sizeof key - 5);
    kc_record record = KC_RECORD_INIT;
    record.topic = KC_STR(OF_CONTROL_TOPIC);
    record.key = kc_str(key);
    record.value = kb_buf_bytes(&value);
    kc_err result = kc_producer_send(producer, &record, NULL, NULL, err);
    if (result == KC_OK)
        result = kc_producer_flush(producer, timeout_ms);
    kc_producer_stats stats;
    kc_producer_stats_get(producer, &stats);
    if (result == KC_OK && stats.records_failed > 0) {
        kc_producer_last_error(producer, err);
        result = err->code;
    }
    kb_buf_cleanup(&value);
    kc_producer_close(producer);
    return result;
}

kc_err of_topics_create_org(of_platform *platform, const char *org, int32_t timeout_ms,
                            of_plan **plan_out, kc_error *err)
{
    kc_error local;
    err = err ? err : &local;
    KB_TRY(of_org_id_check(kc_str(org), err));
    of_topic_spec control = {0};
    of_catalogue_find(KC_STR(OF_CONTROL_TOPIC), &control);
    of_plan_options options = {
        .orgs = &org, .org_count = 1, .orgs_only = true, .extra = &control, .extra_count = 1};
    of_plan *plan;
    KB_TRY(of_topics_plan(platform, &options, timeout_ms, &plan, err));
    kc_err result = of_topics_apply(platform, plan, timeout_ms, err);
    if (result == KC_OK)
        result = of_topics_seed_plan(platform, plan, timeout_ms, err);
    if (result == KC_OK && of_plan_count(plan, OF_CHANGE_CREATE) > 0)
        result = announce_org(platform, org, timeout_ms, err);
    if (result == KC_OK && plan_out)
        *plan_out = plan;
    else
        of_plan_free(plan);
    return result;
}
