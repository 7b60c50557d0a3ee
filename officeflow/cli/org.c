/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow org: the topics of organisations. */
#include "officeflow/cli/plan.h"
#include "officeflow/cli/verbs.h"

static struct {
    bool as_json;
} opt;

static int run_create(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    kc_error err;
    const char *org = words.items[0];
    if (of_org_id_check(kc_str(org), &err) != KC_OK)
        return cli_fail("org create", &err);
    if (!cli_connect(session))
        return CLI_ERROR;
    of_plan *plan = NULL;
    cli_progress("creating the topics of %s", org);
    if (of_topics_create_org(session->platform, org, CLI_TIMEOUT_MS, &plan, &err) != KC_OK)
        return cli_fail("org create", &err);
    cli_plan_sums sums = {0};
    cli_plan_count(plan, &sums);
    cli_plan_print(plan, opt.as_json, false);
    int32_t partitions = 0;
    const of_change *change;
    for (size_t i = 0; (change = of_plan_change(plan, i)) != NULL; i++)
        if (cli_org_of(kc_str(change->topic)).ptr || strncmp(change->topic, "dlq.", 4) == 0)
            partitions += change->partitions;
    if (!opt.as_json)
        cli_printf("organisation %s: %zu topics created, %d partitions in all\n", org, sums.created,
                   partitions);
    of_plan_free(plan);
    return sums.refused > 0 ? CLI_ERROR : CLI_OK;
}

/** Topics and partitions that carry the organisation's name. */
static void count_topics(const kc_cluster_info *cluster, kc_bytes org, int64_t *topics_out,
                         int64_t *partitions_out)
{
    *topics_out = *partitions_out = 0;
    for (size_t t = 0; t < cluster->topic_count; t++) {
        const kc_topic_info *topic = &cluster->topics[t];
        kc_bytes name = topic->name;
        of_topic_spec spec;
        if (!of_catalogue_find(name, &spec) || name.len <= org.len + 1 ||
            name.ptr[name.len - org.len - 1] != '.' ||
            !kc_bytes_equal(kc_span(name.ptr + name.len - org.len, org.len), org))
            continue;
        (*topics_out)++;
        *partitions_out += (int64_t)topic->partition_count;
    }
}

static int run_list(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    static const char *const titles[] = {"ORGANISATION", "TOPICS", "PARTITIONS"};
    static const bool right[] = {false, true, true};
    if (!cli_connect(session))
        return CLI_ERROR;
    size_t count;
    const char *const *orgs = cli_find_orgs(session, &count);
    kc_admin_result *result = orgs ? cli_describe_cluster(session) : NULL;
    if (!result)
        return CLI_ERROR;
    cli_table table;
    cli_table_init(&table, &session->arena, titles, right, 3);
    for (size_t i = 0; i < count; i++) {
        int64_t topics, partitions;
        count_topics(kc_admin_cluster(result), kc_str(orgs[i]), &topics, &partitions);
        if (opt.as_json) {
            kb_json_writer json = cli_json_begin();
            kb_json_object(&json);
            kb_json_member_str(&json, "organization", orgs[i]);
            kb_json_member_int(&json, "topics", topics);
            kb_json_member_int(&json, "partitions", partitions);
            kb_json_object_end(&json);
            cli_json_end();
            continue;
        }
        cli_table_row(&table);
        cli_table_cell(&table, CLI_PLAIN, "%s", orgs[i]);
        cli_table_cell(&table, CLI_PLAIN, "%lld", (long long)topics);
        cli_table_cell(&table, CLI_PLAIN, "%lld", (long long)partitions);
    }
    if (!opt.as_json)
        cli_table_print(&table);
    kc_admin_free(result);
    return CLI_OK;
}

static const cli_option options[] = {
    {0, "json", CLI_FLAG, &opt.as_json, NULL, "JSON lines", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_org_verbs[] = {
    {.name = "org create",
     .arguments = "ORG",
     .summary = "Create the topics of an organisation",
     .help = "Four lifecycle topics and their dead letter queues. Running consumers are told, and "
             "read them from\ntheir beginning. Existing ones are left alone. ORG: letters, digits "
             "and '-', at most 64.",
     .options = options,
     .words_min = 1,
     .words_max = 1,
     .run = run_create},
    {.name = "org list",
     .arguments = "",
     .summary = "List the organisations that have topics",
     .options = options,
     .run = run_list},
    {.name = NULL},
};
