/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow topics: the catalogue and what the cluster has of it. */
#include "officeflow/cli/plan.h"
#include "officeflow/cli/verbs.h"

#include <kafkac/unstable/errors.h>

#include <stdio.h>

static struct {
    bool as_json, allow_shrink, all;
    cli_list orgs;
} opt;

/** The catalogue and the topics of all organisations there are, and of --org. NULL: said. */
static of_plan *make_plan(cli_session *session)
{
    kc_error err;
    size_t found, count = 0;
    const char *const *known = cli_find_orgs(session, &found);
    if (!known)
        return NULL;
    const char **orgs = kb_arena_array(&session->arena, found + opt.orgs.count + 1, sizeof *orgs);
    for (size_t i = 0; orgs && i < found; i++)
        orgs[count++] = known[i];
    for (size_t i = 0; orgs && i < opt.orgs.count; i++) {
        bool is_there = false;
        for (size_t k = 0; k < count; k++)
            is_there |= strcmp(orgs[k], opt.orgs.items[i]) == 0;
        if (!is_there)
            orgs[count++] = opt.orgs.items[i];
    }
    of_plan *plan;
    of_plan_options options = {.orgs = orgs, .org_count = count, .allow_shrink = opt.allow_shrink};
    if (of_topics_plan(session->platform, &options, CLI_TIMEOUT_MS, &plan, &err) == KC_OK)
        return plan;
    cli_fail("topics", &err);
    return NULL;
}

static int run_plan(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    of_plan *plan = cli_connect(session) ? make_plan(session) : NULL;
    if (!plan)
        return CLI_ERROR;
    size_t create = of_plan_count(plan, OF_CHANGE_CREATE);
    size_t alter = of_plan_count(plan, OF_CHANGE_ALTER);
    size_t refuse = of_plan_count(plan, OF_CHANGE_REFUSE);
    cli_plan_print(plan, opt.as_json, opt.all);
    if (!opt.as_json)
        cli_printf("%zu to create, %zu to alter, %zu refused, %zu ok\n", create, alter, refuse,
                   of_plan_count(plan, OF_CHANGE_OK));
    of_plan_free(plan);
    return create + alter + refuse > 0 ? CLI_SOMETHING : CLI_OK;
}

static int run_apply(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    of_plan *plan = cli_connect(session) ? make_plan(session) : NULL;
    if (!plan)
        return CLI_ERROR;
    cli_plan_sums sums = {0};
    cli_plan_print(plan, opt.as_json, false);
    (void)cli_flush();
    bool is_ok = cli_plan_apply(session, plan, &sums);
    if (!opt.as_json)
        cli_printf("%zu created, %zu altered, %zu refused\n", sums.created, sums.altered,
                   sums.refused);
    of_plan_free(plan);
    return is_ok && sums.refused == 0 ? CLI_OK : CLI_ERROR;
}

/* ---- list ---- */

static const char *order_name(of_order order)
{
    static const char *const names[] = {
        [OF_ORDER_STRICT] = "strict",
        [OF_ORDER_RELAXED] = "relaxed",
        [OF_ORDER_NONE] = "none",
    };
    return names[order];
}

/** How a topic stands to the catalogue. */
typedef struct standing {
    const char *name;
    cli_style style;
} standing;

static standing standing_of(of_change_kind kind)
{
    switch (kind) {
    case OF_CHANGE_OK:
        return (standing){"ok", CLI_GREEN};
    case OF_CHANGE_CREATE:
        return (standing){"missing", CLI_RED};
    default:
        return (standing){"differs", CLI_YELLOW};
    }
}

typedef struct listed {
    kc_bytes topic;
    int32_t partitions;
    int32_t replicas; /* -1: not known */
    of_change_kind kind;
    const char *detail;
} listed;

static void list_json(const listed *item, const of_topic_spec *spec)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_string(&json, "topic", item->topic);
    kb_json_member_str(&json, "family", spec->family);
    kb_json_member_int(&json, "partitions", item->partitions);
    kb_json_member_int(&json, "replicationFactor", item->replicas);
    kb_json_member_str(&json, "order", order_name(spec->order));
    kb_json_key_str(&json, "retentionMs");
    if (spec->is_compacted)
        kb_json_null(&json);
    else
        kb_json_int(&json, spec->retention_ms);
    kb_json_member_str(&json, "state", standing_of(item->kind).name);
    kb_json_member_str(&json, "detail", item->detail);
    kb_json_object_end(&json);
    cli_json_end();
}

static void list_row(cli_table *table, const listed *item, const of_topic_spec *spec)
{
    char keep[24];
    standing state = standing_of(item->kind);
    cli_table_row(table);
    cli_table_cell(table, CLI_PLAIN, KC_FMT, KC_ARG(item->topic));
    cli_table_cell(table, CLI_DIM, "%s", spec->family);
    cli_table_cell(table, CLI_PLAIN, "%d × %d", item->partitions, item->replicas);
    cli_table_cell(table, CLI_PLAIN, "%s", order_name(spec->order));
    cli_table_cell(table, CLI_PLAIN, "%s",
                   spec->is_compacted ? "compacted" : cli_duration(spec->retention_ms, keep));
    cli_table_cell(table, state.style, "%s", state.name);
    cli_table_cell(table, CLI_PLAIN, "%s", item->detail);
}

static void list_one(cli_table *table, const listed *item)
{
    of_topic_spec spec = {.family = ""};
    of_catalogue_find(item->topic, &spec);
    if (opt.as_json)
        list_json(item, &spec);
    else
        list_row(table, item, &spec);
}

static bool is_planned(const of_plan *plan, kc_bytes topic)
{
    const of_change *change;
    for (size_t i = 0; (change = of_plan_change(plan, i)) != NULL; i++)
        if (kc_bytes_equal(kc_str(change->topic), topic))
            return true;
    return false;
}

/** Quarantines and tiers of a policy: the platform's, but in no plan. */
static bool list_others(cli_session *session, const of_plan *plan, cli_table *table)
{
    kc_admin_result *result = cli_describe_cluster(session);
    if (!result)
        return false;
    const kc_cluster_info *cluster = kc_admin_cluster(result);
    for (size_t t = 0; t < cluster->topic_count; t++) {
        const kc_topic_info *topic = &cluster->topics[t];
        of_topic_spec spec;
        if (!of_catalogue_find(topic->name, &spec) || is_planned(plan, topic->name))
            continue;
        listed item = {
            .topic = topic->name,
            .partitions = (int32_t)topic->partition_count,
            .replicas =
                topic->partition_count > 0 ? (int32_t)topic->partitions[0].replica_count : -1,
            .detail = "",
        };
        list_one(table, &item);
    }
    kc_admin_free(result);
    return true;
}

static int run_list(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    static const char *const titles[] = {"TOPIC",     "FAMILY", "SIZE",  "ORDER",
                                         "RETENTION", "STATE",  "DETAIL"};
    of_plan *plan = cli_connect(session) ? make_plan(session) : NULL;
    if (!plan)
        return CLI_ERROR;
    cli_table table;
    cli_table_init(&table, &session->arena, titles, NULL, 7);
    const of_change *change;
    for (size_t i = 0; (change = of_plan_change(plan, i)) != NULL; i++) {
        listed item = {.topic = kc_str(change->topic),
                       .partitions = change->partitions,
                       .replicas = change->replication_factor,
                       .kind = change->kind,
                       .detail = change->detail};
        list_one(&table, &item);
    }
    bool is_ok = list_others(session, plan, &table);
    if (!opt.as_json)
        cli_table_print(&table);
    of_plan_free(plan);
    return is_ok ? CLI_OK : CLI_ERROR;
}

/* ---- describe ---- */

static void describe_partitions(cli_session *session, const kc_topic_info *topic)
{
    static const char *const titles[] = {"PARTITION", "LEADER", "REPLICAS", "ISR"};
    static const bool right[] = {true, true, false, false};
    cli_table table;
    cli_table_init(&table, &session->arena, titles, right, 4);
    for (size_t p = 0; p < topic->partition_count; p++) {
        const kc_partition_info *info = &topic->partitions[p];
        char lists[2][128] = {"", ""};
        for (int l = 0; l < 2; l++) {
            size_t count = l == 0 ? info->replica_count : info->isr_count, at = 0;
            const int32_t *ids = l == 0 ? info->replicas : info->isr;
            for (size_t i = 0; i < count && at + 16 < sizeof lists[l]; i++)
                at += (size_t)snprintf(lists[l] + at, sizeof lists[l] - at, "%s%d", i ? "," : "",
                                       ids[i]);
        }
        cli_table_row(&table);
        cli_table_cell(&table, CLI_PLAIN, "%d", info->partition);
        cli_table_cell(&table, info->leader < 0 ? CLI_RED : CLI_PLAIN, "%d", info->leader);
        cli_table_cell(&table, CLI_PLAIN, "%s", lists[0]);
        cli_table_cell(&table, info->isr_count < info->replica_count ? CLI_YELLOW : CLI_PLAIN, "%s",
                       lists[1]);
    }
    cli_table_print(&table);
}

static bool describe_configs(cli_session *session, kc_bytes name, kb_json_writer *json)
{
    kc_error err;
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_configs(session->client, KC_RESOURCE_TOPIC, &name, 1, NULL,
                                               kc_admin_waiter_fn, &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "configuration", &err);
    if (!result)
        return false;
    size_t count = 0;
    const kc_config_entry *entries =
        kc_admin_count(result) > 0 ? kc_admin_configs(result, 0, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].is_default && !opt.all)
            continue;
        if (json)
            kb_json_member_string(
                json,
                (const char *)kb_arena_printf(&session->arena, KC_FMT, KC_ARG(entries[i].name)),
                entries[i].value);
        else
            cli_printf("  " KC_FMT " = " KC_FMT "%s\n", KC_ARG(entries[i].name),
                       KC_ARG(entries[i].value), entries[i].is_default ? "  (default)" : "");
    }
    kc_admin_free(result);
    return true;
}

static bool describe_json(cli_session *session, const kc_topic_info *topic)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_string(&json, "topic", topic->name);
    kb_json_key_str(&json, "partitions");
    kb_json_array(&json);
    for (size_t p = 0; p < topic->partition_count; p++) {
        const kc_partition_info *info = &topic->partitions[p];
        kb_json_object(&json);
        kb_json_member_int(&json, "partition", info->partition);
        kb_json_member_int(&json, "leader", info->leader);
        kb_json_key_str(&json, "replicas");
        kb_json_array(&json);
        for (size_t i = 0; i < info->replica_count; i++)
            kb_json_int(&json, info->replicas[i]);
        kb_json_array_end(&json);
        kb_json_key_str(&json, "isr");
        kb_json_array(&json);
        for (size_t i = 0; i < info->isr_count; i++)
            kb_json_int(&json, info->isr[i]);
        kb_json_array_end(&json);
        kb_json_object_end(&json);
    }
    kb_json_array_end(&json);
    kb_json_key_str(&json, "configs");
    kb_json_object(&json);
    bool is_ok = describe_configs(session, topic->name, &json);
    kb_json_object_end(&json);
    kb_json_object_end(&json);
    cli_json_end();
    return is_ok;
}

static bool describe(cli_session *session, const kc_topic_info *topic)
{
    if (topic->err == KC_E_UNKNOWN_TOPIC_OR_PARTITION)
        return cli_complain("topic " KC_FMT " does not exist", KC_ARG(topic->name));
    if (topic->err != KC_OK)
        return cli_complain("topic " KC_FMT ": %s", KC_ARG(topic->name), kc_err_text(topic->err));
    if (opt.as_json)
        return describe_json(session, topic);
    of_topic_spec spec;
    cli_styled(CLI_BOLD, KC_FMT, KC_ARG(topic->name));
    if (of_catalogue_find(topic->name, &spec))
        cli_printf("  family %s, order %s, as %s in the catalogue\n", spec.family,
                   order_name(spec.order), spec.name);
    else
        cli_printf("  not in the catalogue\n");
    describe_partitions(session, topic);
    cli_printf("configuration%s:\n", opt.all ? "" : " set on the topic");
    return describe_configs(session, topic->name, NULL);
}

static int run_describe(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    kc_error err;
    kc_admin_waiter waiter = {0};
    if (!cli_connect(session))
        return CLI_ERROR;
    kc_bytes name = kc_str(words.items[0]);
    kc_err started = kc_admin_describe_topics(session->client, &name, 1, NULL, kc_admin_waiter_fn,
                                              &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "topics describe", &err);
    if (!result)
        return CLI_ERROR;
    const kc_cluster_info *cluster = kc_admin_cluster(result);
    bool is_ok = cluster->topic_count > 0 ? describe(session, &cluster->topics[0])
                                          : cli_complain("topic %s does not exist", words.items[0]);
    kc_admin_free(result);
    return is_ok ? CLI_OK : CLI_ERROR;
}

#define JSON_OPTION                                                                                \
    {                                                                                              \
        0, "json", CLI_FLAG, &opt.as_json, NULL, "JSON lines instead of a table", 0, 0             \
    }
#define ORG_OPTION                                                                                 \
    {                                                                                              \
        0, "org", CLI_LIST, &opt.orgs, "ORG",                                                      \
            "also the topics of this organisation, which has none yet (several)", 0, 0             \
    }
#define SHRINK_OPTION                                                                              \
    {                                                                                              \
        0, "allow-shrink", CLI_FLAG, &opt.allow_shrink, NULL,                                      \
            "shorten retention where the catalogue's is shorter", 0, 0                             \
    }
#define NO_OPTION                                                                                  \
    {                                                                                              \
        0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0                                                  \
    }

static const cli_option list_options[] = {JSON_OPTION, ORG_OPTION, NO_OPTION};
static const cli_option plan_options[] = {
    JSON_OPTION,
    ORG_OPTION,
    SHRINK_OPTION,
    {0, "all", CLI_FLAG, &opt.all, NULL, "also what is as it should be", 0, 0},
    NO_OPTION};
static const cli_option apply_options[] = {JSON_OPTION, ORG_OPTION, SHRINK_OPTION, NO_OPTION};
static const cli_option describe_options[] = {
    JSON_OPTION, {0, "all", CLI_FLAG, &opt.all, NULL, "also defaults", 0, 0}, NO_OPTION};

const cli_verb cli_topics_verbs[] = {
    {.name = "topics",
     .arguments = "",
     .summary = "List the platform's topics: catalogue and cluster (topics list)",
     .options = list_options,
     .run = run_list},
    {.name = "topics list",
     .arguments = "",
     .summary = "List the platform's topics: catalogue and cluster",
     .options = list_options,
     .run = run_list},
    {.name = "topics plan",
     .arguments = "",
     .summary = "Say what topics apply would do; exit code 2 if anything",
     .options = plan_options,
     .run = run_plan},
    {.name = "topics apply",
     .arguments = "",
     .summary = "Make the cluster agree with the catalogue",
     .help = "Creates topics and alters their configuration. What would lose data or move keys is "
             "refused:\nfewer or more partitions, another replication factor, shorter retention "
             "without --allow-shrink.",
     .options = apply_options,
     .run = run_apply},
    {.name = "topics describe",
     .arguments = "TOPIC",
     .summary = "Partitions and configuration of one topic",
     .options = describe_options,
     .words_min = 1,
     .words_max = 1,
     .run = run_describe},
    {.name = NULL},
};
