/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Plans on the screen: what is created, altered, refused, and what the cluster said to it. */
#include "officeflow/cli/plan.h"

#include <stdio.h>

const char *cli_topic_shape(const char *topic, int32_t partitions, int16_t replicas, char *out,
                            size_t cap)
{
    of_topic_spec spec;
    char keep[24];
    int len = snprintf(out, cap, "%2d × %d", partitions, replicas);
    if (!of_catalogue_find(kc_str(topic), &spec) || len < 0)
        return out;
    size_t at = (size_t)len < cap ? (size_t)len : cap;
    int insync = spec.min_insync > 0 ? spec.min_insync : replicas >= 3 ? 2 : 1;
    if (insync > replicas)
        insync = replicas;
    snprintf(out + at, cap - at, "   %s%s   isr %d%s",
             spec.is_compacted ? "compacted" : "retention ",
             spec.is_compacted ? "" : cli_duration(spec.retention_ms, keep), insync,
             spec.is_log_append_time ? "   LogAppendTime" : "");
    return out;
}

static const char *kind_name(of_change_kind kind)
{
    static const char *const names[] = {
        [OF_CHANGE_OK] = "ok",
        [OF_CHANGE_CREATE] = "create",
        [OF_CHANGE_ALTER] = "alter",
        [OF_CHANGE_REFUSE] = "refuse",
    };
    return names[kind];
}

static cli_style kind_style(of_change_kind kind)
{
    static const cli_style styles[] = {
        [OF_CHANGE_OK] = CLI_DIM,
        [OF_CHANGE_CREATE] = CLI_GREEN,
        [OF_CHANGE_ALTER] = CLI_YELLOW,
        [OF_CHANGE_REFUSE] = CLI_RED,
    };
    return styles[kind];
}

static void print_json(const of_change *change)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_str(&json, "change", kind_name(change->kind));
    kb_json_member_str(&json, "topic", change->topic);
    kb_json_member_int(&json, "partitions", change->partitions);
    kb_json_member_int(&json, "replicationFactor", change->replication_factor);
    kb_json_member_str(&json, "detail", change->detail);
    kb_json_object_end(&json);
    cli_json_end();
}

void cli_plan_print(const of_plan *plan, bool as_json, bool all)
{
    const of_change *change;
    int widest = 30;
    for (size_t i = 0; (change = of_plan_change(plan, i)) != NULL; i++)
        if ((change->kind != OF_CHANGE_OK || all) && (int)strlen(change->topic) > widest)
            widest = (int)strlen(change->topic);
    for (size_t i = 0; (change = of_plan_change(plan, i)) != NULL; i++) {
        char shape[160];
        if (change->kind == OF_CHANGE_OK && !all)
            continue;
        if (as_json) {
            print_json(change);
            continue;
        }
        cli_printf("  ");
        cli_styled(kind_style(change->kind), "%-6s", kind_name(change->kind));
        const char *what = change->detail;
        if (change->kind == OF_CHANGE_CREATE || change->kind == OF_CHANGE_OK)
            what = cli_topic_shape(change->topic, change->partitions, change->replication_factor,
                                   shape, sizeof shape);
        cli_printf("  %-*s  %s\n", widest, change->topic, what);
    }
}

void cli_plan_count(const of_plan *plan, cli_plan_sums *sums)
{
    const of_change *change;
    for (size_t i = 0; (change = of_plan_change(plan, i)) != NULL; i++) {
        bool is_ok = change->err == KC_OK;
        sums->created += change->kind == OF_CHANGE_CREATE && is_ok ? 1 : 0;
        sums->altered += change->kind == OF_CHANGE_ALTER && is_ok ? 1 : 0;
        sums->refused += change->kind == OF_CHANGE_REFUSE ? 1 : 0;
        sums->failed += is_ok ? 0 : 1;
    }
}

bool cli_plan_apply(cli_session *session, of_plan *plan, cli_plan_sums *sums)
{
    kc_error err;
    kc_err result = of_topics_apply(session->platform, plan, CLI_TIMEOUT_MS, &err);
    cli_plan_count(plan, sums);
    if (result == KC_OK)
        return true;
    bool is_said = false;
    const of_change *change;
    for (size_t i = 0; (change = of_plan_change(plan, i)) != NULL; i++) {
        if (change->err == KC_OK)
            continue;
        cli_complain("%s %s: %s", kind_name(change->kind), change->topic,
                     change->error ? change->error : kc_err_text(change->err));
        is_said = true;
    }
    return is_said ? false : cli_fail("", &err) == CLI_OK;
}

kc_admin_result *cli_describe_cluster(cli_session *session)
{
    kc_error err;
    kc_admin_waiter waiter = {0};
    kc_err started =
        kc_admin_describe_topics(session->client, NULL, 0, NULL, kc_admin_waiter_fn, &waiter, &err);
    return cli_wait(session, started, &waiter, "looking at the cluster", &err);
}

kc_bytes cli_org_of(kc_bytes topic)
{
    of_topic_spec spec;
    if (!of_catalogue_find(topic, &spec) || !spec.is_template ||
        strcmp(spec.family, "lifecycle") != 0)
        return KC_NULL;
    // an organisation's id has no dot
    size_t at = topic.len;
    while (at > 0 && topic.ptr[at - 1] != '.')
        at--;
    return kc_span(topic.ptr + at, topic.len - at);
}

static bool is_known(const char *const *orgs, size_t count, kc_bytes org)
{
    for (size_t i = 0; i < count; i++)
        if (kc_bytes_equal(kc_str(orgs[i]), org))
            return true;
    return false;
}

const char *const *cli_find_orgs(cli_session *session, size_t *count_out)
{
    kc_admin_result *result = cli_describe_cluster(session);
    if (!result)
        return NULL;
    const kc_cluster_info *cluster = kc_admin_cluster(result);
    const char **orgs = kb_arena_array(&session->arena, cluster->topic_count + 1, sizeof *orgs);
    *count_out = 0;
    for (size_t t = 0; orgs && t < cluster->topic_count; t++) {
        kc_bytes org = cli_org_of(cluster->topics[t].name);
        if (!org.ptr || is_known(orgs, *count_out, org))
            continue;
        const char *copy = kb_arena_printf(&session->arena, KC_FMT, KC_ARG(org));
        if (copy)
            orgs[(*count_out)++] = copy;
    }
    kc_admin_free(result);
    if (!orgs)
        cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
    return orgs;
}
