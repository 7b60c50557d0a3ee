/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Plan: compare the catalogue with the cluster, topic by topic. Nothing is changed here. What would
 * lose data or move keys to other partitions is refused and said, never done. */
#include "officeflow/topics_plan.h"

#include "officeflow/catalogue.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <stdio.h>

#define REPLICATION_MAX   3
#define STATE_DIRTY_RATIO "0.1"

const of_change *of_plan_change(const of_plan *plan, size_t index)
{
    return index < plan->count ? &plan->items[index].change : NULL;
}

size_t of_plan_count(const of_plan *plan, of_change_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->items[i].change.kind == kind ? 1 : 0;
    return count;
}

int32_t of_plan_brokers(const of_plan *plan)
{
    return plan->brokers;
}

const char *of_plan_cluster_id(const of_plan *plan)
{
    return plan->cluster_id;
}

void of_plan_free(of_plan *plan)
{
    if (!plan)
        return;
    kb_arena_cleanup(&plan->arena);
    kb_mem mem = plan->mem;
    kb_mem_free(&mem, plan);
}

/* ---- what is wanted ---- */

static void want_config(of_plan *plan, of_planned *item, const char *name, const char *value)
{
    if (!value || item->config_count == OF_TOPIC_CONFIGS_MAX)
        return;
    (void)plan;
    item->configs[item->config_count++] =
        (kc_config_entry){.name = kc_str(name), .value = kc_str(value)};
}

static void want_number(of_plan *plan, of_planned *item, const char *name, int64_t value)
{
    want_config(plan, item, name, kb_arena_printf(&plan->arena, "%lld", (long long)value));
}

static void want_configs(of_plan *plan, of_planned *item)
{
    const of_topic_spec *spec = &item->spec;
    if (spec->is_compacted) {
        want_config(plan, item, "cleanup.policy", "compact");
        if (kc_bytes_equal(kc_str(spec->name), KC_STR(OF_STATE_TOPIC)))
            want_config(plan, item, "min.cleanable.dirty.ratio", STATE_DIRTY_RATIO);
    } else {
        want_number(plan, item, "retention.ms", spec->retention_ms);
    }
    if (spec->is_log_append_time)
        want_config(plan, item, "message.timestamp.type", "LogAppendTime");
    if (spec->max_message_bytes > 0)
        want_number(plan, item, "max.message.bytes", spec->max_message_bytes);
    if (spec->segment_ms > 0)
        want_number(plan, item, "segment.ms", spec->segment_ms);
    if (spec->compression)
        want_config(plan, item, "compression.type", spec->compression);
    int16_t insync = item->change.replication_factor >= REPLICATION_MAX ? 2 : 1;
    want_number(plan, item, "min.insync.replicas",
                spec->min_insync > 0 && spec->min_insync < insync ? spec->min_insync : insync);
}

static kc_err want_topic(of_plan *plan, const of_topic_spec *spec, const char *name)
{
    of_planned *item = &plan->items[plan->count];
    *item = (of_planned){.spec = *spec};
    item->change = (of_change){
        .kind = OF_CHANGE_CREATE,
        .topic = name,
        .partitions = spec->partitions,
        .replication_factor =
            (int16_t)(plan->brokers < REPLICATION_MAX ? plan->brokers : REPLICATION_MAX),
        .detail = "",
    };
    if (!name)
        return KC_ERR_NOMEM;
    want_configs(plan, item);
    plan->count++;
    return KC_OK;
}

/** "employee.onboard.{org}" for one organisation. */
static const char *org_topic(of_plan *plan, const char *template, const char *org)
{
    int stem = (int)(strchr(template, '{') - template);
    return kb_arena_printf(&plan->arena, "%.*s%s", stem, template, org);
}

static kc_err want_all(of_plan *plan, const of_plan_options *options, kc_error *err)
{
    size_t room = options->extra_count;
    for (size_t i = 0; of_catalogue_topic(i); i++)
        room += of_catalogue_topic(i)->is_template ? options->org_count : 1;
    plan->items = kb_arena_array(&plan->arena, room, sizeof *plan->items);
    if (!plan->items)
        return kb_error_code(err, KC_ERR_NOMEM);
    kc_err result = KC_OK;
    for (size_t i = 0; of_catalogue_topic(i) && result == KC_OK; i++) {
        const of_topic_spec *spec = of_catalogue_topic(i);
        if (!spec->is_template && !options->orgs_only)
            result = want_topic(plan, spec, spec->name);
        for (size_t o = 0; spec->is_template && o < options->org_count && result == KC_OK; o++) {
            KB_TRY(of_org_id_check(kc_str(options->orgs[o]), err));
            result = want_topic(plan, spec, org_topic(plan, spec->name, options->orgs[o]));
        }
    }
    for (size_t i = 0; i < options->extra_count && result == KC_OK; i++)
        result = want_topic(plan, &options->extra[i],
                            kb_arena_printf(&plan->arena, "%s", options->extra[i].name));
    return result == KC_OK ? KC_OK : kb_error_code(err, result);
}

/* ---- what is there ---- */

static void refuse(of_planned *item, const char *why)
{
    item->change.kind = OF_CHANGE_REFUSE;
    item->change.detail = why ? why : "out of memory";
}

static void compare_shape(of_plan *plan, of_planned *item, const kc_topic_info *have)
{
    item->is_present = true;
    item->change.kind = OF_CHANGE_OK;
    int32_t wanted = item->change.partitions, partitions = (int32_t)have->partition_count;
    size_t replicas = have->partition_count > 0 ? have->partitions[0].replica_count : 0;
    if (partitions > wanted)
        refuse(item,
               kb_arena_printf(&plan->arena,
                               "has %d partitions, the catalogue says %d: partitions can't be "
                               "taken away",
                               partitions, wanted));
    else if (partitions < wanted)
        refuse(item, kb_arena_printf(&plan->arena,
                                     "has %d partitions, the catalogue says %d: adding some moves "
                                     "keys to other partitions and breaks their order",
                                     partitions, wanted));
    else if (replicas != (size_t)item->change.replication_factor)
        refuse(item, kb_arena_printf(&plan->arena,
                                     "has replication factor %zu, the catalogue says %d: reassign "
                                     "its partitions",
                                     replicas, item->change.replication_factor));
    item->change.partitions = partitions;
}

const kc_config_entry *of_config_drift(const kc_config_entry *wanted, const kc_config_entry *have,
                                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (kc_bytes_equal(have[i].name, wanted->name))
            return kc_bytes_equal(have[i].value, wanted->value) ? NULL : &have[i];
    return NULL;
}

/** Would this change throw records away earlier than today? */
static bool is_shrink(const kc_config_entry *wanted, kc_bytes have)
{
    int64_t from, to;
    if (!kc_bytes_equal(wanted->name, KC_STR("retention.ms")))
        return false;
    if (!kb_parse_i64(have, &from) || !kb_parse_i64(wanted->value, &to))
        return false;
    return from < 0 || to < from;
}

/** Keep in the item only the entries that differ, and say so. */
static void compare_configs(of_plan *plan, of_planned *item, const kc_config_entry *have,
                            size_t have_count)
{
    size_t differing = 0;
    const char *detail = "";
    bool has_shrink = false;
    for (size_t i = 0; i < item->config_count; i++) {
        kc_config_entry wanted = item->configs[i];
        const kc_config_entry *entry = of_config_drift(&wanted, have, have_count);
        if (!entry)
            continue;
        has_shrink |= is_shrink(&wanted, entry->value);
        detail = kb_arena_printf(&plan->arena, "%s%s" KC_FMT " " KC_FMT " -> " KC_FMT, detail,
                                 *detail ? ", " : "", KC_ARG(wanted.name), KC_ARG(entry->value),
                                 KC_ARG(wanted.value));
        if (!detail)
            detail = "out of memory";
        item->configs[differing++] = wanted;
    }
    item->config_count = differing;
    if (differing == 0 || item->change.kind == OF_CHANGE_REFUSE)
        return;
    item->change.detail = detail;
    item->change.kind = OF_CHANGE_ALTER;
    if (has_shrink && !plan->allow_shrink)
        refuse(item, kb_arena_printf(&plan->arena,
                                     "%s: shorter retention deletes records; allow it "
                                     "with --allow-shrink",
                                     detail));
}

static kc_err compare_topics(of_platform *platform, of_plan *plan, int32_t timeout_ms,
                             kc_error *err)
{
    kc_admin_options options = of_admin_timeout(timeout_ms);
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_topics(platform->client, NULL, 0, &options,
                                              kc_admin_waiter_fn, &waiter, err);
    kc_admin_result *result = of_admin_wait(platform, started, &waiter, err);
    if (!result)
        return of_admin_failed(err);
    const kc_cluster_info *cluster = kc_admin_cluster(result);
    plan->brokers = (int32_t)cluster->broker_count;
    plan->cluster_id = kb_arena_printf(&plan->arena, KC_FMT, KC_ARG(cluster->cluster_id));
    for (size_t i = 0; i < plan->count; i++)
        for (size_t t = 0; t < cluster->topic_count; t++)
            if (cluster->topics[t].err == KC_OK &&
                kc_bytes_equal(cluster->topics[t].name, kc_str(plan->items[i].change.topic)))
                compare_shape(plan, &plan->items[i], &cluster->topics[t]);
    kc_admin_free(result);
    return KC_OK;
}

of_planned *of_plan_find(of_plan *plan, kc_bytes topic)
{
    for (size_t i = 0; i < plan->count; i++)
        if (kc_bytes_equal(topic, kc_str(plan->items[i].change.topic)))
            return &plan->items[i];
    return NULL;
}

kc_err of_plan_choose(of_plan *plan, bool (*is_chosen)(const of_planned *item), of_chosen *out,
                      kc_error *err)
{
    *out = (of_chosen){kb_arena_array(&plan->arena, plan->count + 1, sizeof *out->names), 0};
    if (!out->names)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < plan->count; i++)
        if (is_chosen(&plan->items[i]))
            out->names[out->count++] = kc_str(plan->items[i].change.topic);
    return KC_OK;
}

kc_err of_plan_describe(of_platform *platform, const of_chosen *topics, int32_t timeout_ms,
                        kc_admin_result **result_out, kc_error *err)
{
    *result_out = NULL;
    if (topics->count == 0)
        return KC_OK;
    kc_admin_options options = of_admin_timeout(timeout_ms);
    kc_admin_waiter waiter = {0};
    kc_err started =
        kc_admin_describe_configs(platform->client, KC_RESOURCE_TOPIC, topics->names, topics->count,
                                  &options, kc_admin_waiter_fn, &waiter, err);
    *result_out = of_admin_wait(platform, started, &waiter, err);
    return *result_out ? KC_OK : of_admin_failed(err);
}

static bool is_present(const of_planned *item)
{
    return item->is_present;
}

static kc_err compare_all_configs(of_platform *platform, of_plan *plan, int32_t timeout_ms,
                                  kc_error *err)
{
    kc_admin_result *result;
    of_chosen present;
    KB_TRY(of_plan_choose(plan, is_present, &present, err));
    KB_TRY(of_plan_describe(platform, &present, timeout_ms, &result, err));
    if (!result)
        return KC_OK;
    for (size_t i = 0; i < kc_admin_count(result); i++) {
        const kc_admin_item *answer = kc_admin_item_at(result, i);
        of_planned *item = of_plan_find(plan, answer->name);
        size_t entry_count;
        const kc_config_entry *entries = kc_admin_configs(result, i, &entry_count);
        if (!item)
            continue;
        if (answer->err == KC_OK)
            compare_configs(plan, item, entries, entry_count);
        else
            refuse(item, kb_arena_printf(&plan->arena, "its configuration can't be read: %s",
                                         kc_err_name(answer->err)));
    }
    kc_admin_free(result);
    return KC_OK;
}

/** The number of brokers decides the replication factor, so the cluster is asked before anything is
 * wanted. */
static kc_err ask_cluster(of_platform *platform, of_plan *plan, int32_t timeout_ms, kc_error *err)
{
    static const kc_bytes none;
    kc_admin_options options = of_admin_timeout(timeout_ms);
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_topics(platform->client, &none, 0, &options,
                                              kc_admin_waiter_fn, &waiter, err);
    kc_admin_result *result = of_admin_wait(platform, started, &waiter, err);
    if (!result)
        return of_admin_failed(err);
    plan->brokers = (int32_t)kc_admin_cluster(result)->broker_count;
    kc_admin_free(result);
    return KC_OK;
}

kc_err of_topics_plan(of_platform *platform, const of_plan_options *options, int32_t timeout_ms,
                      of_plan **plan_out, kc_error *err)
{
    static const of_plan_options defaults;
    kc_error local;
    err = err ? err : &local;
    kb_mem mem;
    kb_mem_init(&mem, &platform->mem.alloc, 0); // a plan may outlive its platform
    of_plan *plan = kb_mem_zalloc(&mem, sizeof *plan);
    if (!plan)
        return kb_error_code(err, KC_ERR_NOMEM);
    plan->mem = mem;
    kb_arena_init(&plan->arena, &plan->mem, 0);
    options = options ? options : &defaults;
    plan->allow_shrink = options->allow_shrink;
    kc_err result = ask_cluster(platform, plan, timeout_ms, err);
    if (result == KC_OK)
        result = want_all(plan, options, err);
    if (result == KC_OK)
        result = compare_topics(platform, plan, timeout_ms, err);
    if (result == KC_OK)
        result = compare_all_configs(platform, plan, timeout_ms, err);
    if (result == KC_OK)
        *plan_out = plan;
    else
        of_plan_free(plan);
    return result;
}
