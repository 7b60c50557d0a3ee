/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow setup-topics: the seed's script. Connect, plan, apply, the demo organisation, group
 * offsets. Running it again changes nothing. */
#include "officeflow/cli/plan.h"
#include "officeflow/cli/verbs.h"

#include <stdio.h>

#define GROUPS_MAX 8

static struct {
    bool dry_run, allow_shrink;
} opt;

typedef struct features {
    bool is_done;
    bool transactions, consumer_protocol;
} features;

/** ApiVersions says what the cluster can do beyond the basics. */
static void on_versions(kc_err err, const kc_error *error, int16_t version, kc_bytes json,
                        void *user)
{
    features *f = user;
    (void)error;
    (void)version;
    f->is_done = true;
    char pointer[64];
    for (int i = 0; err == KC_OK; i++) {
        int64_t key;
        snprintf(pointer, sizeof pointer, "/apiKeys/%d/apiKey", i);
        kc_bytes text = kb_json_pointer(json, pointer);
        if (!text.ptr || !kb_json_i64(text, &key))
            break;
        f->transactions |= key == 22;      // InitProducerId
        f->consumer_protocol |= key == 68; // ConsumerGroupHeartbeat
    }
}

static bool ask_features(cli_session *session, features *f)
{
    kc_error err;
    kc_bytes request = KC_STR("{\"clientSoftwareName\":\"officeflow\","
                              "\"clientSoftwareVersion\":\"" KC_VERSION "\"}");
    if (kc_call_json(session->client, KC_STR("ApiVersions"), request, NULL, on_versions, f, &err) !=
        KC_OK)
        return cli_fail("ApiVersions", &err) == CLI_OK;
    while (!f->is_done) {
        kc_err turned = kc_client_dispatch(session->client, 1000);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            return cli_complain("%s", kc_err_text(turned));
    }
    return true;
}

static bool print_cluster(cli_session *session, const of_plan *plan)
{
    features f = {0};
    if (!ask_features(session, &f))
        return false;
    cli_printf("cluster %s  brokers %d  features: %s, %s\n", of_plan_cluster_id(plan),
               of_plan_brokers(plan), f.transactions ? "transactions" : "no transactions",
               f.consumer_protocol ? "KIP-848" : "no KIP-848");
    if (of_plan_brokers(plan) < 3)
        cli_note("note: %d broker%s: %d instead of 3 copies, no fault tolerance",
                 of_plan_brokers(plan), of_plan_brokers(plan) == 1 ? "" : "s",
                 of_plan_brokers(plan));
    return true;
}

static bool set_up_org(cli_session *session, const char *org, cli_plan_sums *sums)
{
    kc_error err;
    of_plan *plan = NULL;
    if (of_topics_create_org(session->platform, org, CLI_TIMEOUT_MS, &plan, &err) != KC_OK)
        return cli_fail(org, &err) == CLI_OK;
    size_t lifecycle = 0, dead = 0;
    const of_change *change;
    for (size_t i = 0; (change = of_plan_change(plan, i)) != NULL; i++) {
        of_topic_spec spec = {0};
        if (!of_catalogue_find(kc_str(change->topic), &spec) || !spec.is_template)
            continue;
        dead += strcmp(spec.family, "dlq") == 0 ? 1 : 0;
        lifecycle += strcmp(spec.family, "lifecycle") == 0 ? 1 : 0;
    }
    cli_plan_print(plan, false, false);
    cli_printf("  org     %-30s  %zu lifecycle + %zu dlq\n", org, lifecycle, dead);
    cli_plan_count(plan, sums);
    of_plan_free(plan);
    return true;
}

static bool set_up_groups(cli_session *session)
{
    kc_error err;
    of_group_seed seeds[GROUPS_MAX];
    size_t count = 0, seeded = 0, active = 0;
    if (of_topics_seed_groups(session->platform, CLI_TIMEOUT_MS, seeds, &count, &err) != KC_OK)
        return cli_fail("groups", &err) == CLI_OK;
    for (size_t i = 0; i < count; i++) {
        seeded += seeds[i].seeded > 0 ? 1 : 0;
        active += seeds[i].is_active ? 1 : 0;
    }
    cli_printf("  groups  %zu seeded at log start", seeded);
    const char *before = " (";
    for (size_t i = 0; i < count; i++)
        if (seeds[i].seeded > 0) {
            cli_printf("%s%s %d partitions", before, seeds[i].group, seeds[i].seeded);
            before = ", ";
        }
    cli_printf("%s", seeded > 0 ? ")" : "");
    if (count > seeded)
        cli_printf(", %zu left as they are%s", count - seeded,
                   active > 0 ? " (some have members)" : "");
    cli_printf("\n");
    return true;
}

static int dry_run(const of_plan *plan)
{
    size_t changes = of_plan_count(plan, OF_CHANGE_CREATE) + of_plan_count(plan, OF_CHANGE_ALTER);
    size_t refused = of_plan_count(plan, OF_CHANGE_REFUSE);
    cli_printf("dry run: %zu to create, %zu to alter, %zu refused\n",
               of_plan_count(plan, OF_CHANGE_CREATE), of_plan_count(plan, OF_CHANGE_ALTER),
               refused);
    return refused > 0 ? CLI_ERROR : changes > 0 ? CLI_SOMETHING : CLI_OK;
}

static int carry_out(cli_session *session, of_plan *plan, int64_t begun_us)
{
    cli_plan_sums sums = {0};
    bool is_ok = cli_plan_apply(session, plan, &sums);
    if (is_ok && session->config.demo_org_id)
        is_ok = set_up_org(session, session->config.demo_org_id, &sums);
    if (is_ok)
        is_ok = set_up_groups(session);
    double took = (double)(kc_clock_monotonic_us() - begun_us) / 1e6;
    cli_styled(is_ok && sums.refused == 0 ? CLI_GREEN : CLI_RED, is_ok ? "done" : "failed");
    cli_printf(" %s %.1f s: %zu created, %zu altered, %zu refused\n", is_ok ? "in" : "after", took,
               sums.created, sums.altered, sums.refused);
    return is_ok && sums.refused == 0 ? CLI_OK : CLI_ERROR;
}

static int run_setup(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    kc_error err;
    int64_t begun_us = kc_clock_monotonic_us();
    if (!cli_connect(session))
        return CLI_ERROR;
    const char *org = session->config.demo_org_id;
    if (org && of_org_id_check(kc_str(org), &err) != KC_OK)
        return cli_fail("DEMO_ORG_ID", &err);
    of_plan *plan;
    of_plan_options options = {.allow_shrink = opt.allow_shrink};
    if (opt.dry_run && org) {
        options.orgs = &org;
        options.org_count = 1;
    }
    if (of_topics_plan(session->platform, &options, CLI_TIMEOUT_MS, &plan, &err) != KC_OK)
        return cli_fail("", &err);
    int code = CLI_ERROR;
    if (print_cluster(session, plan)) {
        cli_plan_print(plan, false, false);
        (void)cli_flush();
        code = opt.dry_run ? dry_run(plan) : carry_out(session, plan, begun_us);
    }
    of_plan_free(plan);
    return code;
}

static const cli_option options[] = {
    {'n', "dry-run", CLI_FLAG, &opt.dry_run, NULL,
     "only print what would be done; exit code 2 if anything", 0, 0},
    {0, "allow-shrink", CLI_FLAG, &opt.allow_shrink, NULL,
     "shorten retention where the catalogue's is shorter", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_setup_verbs[] = {
    {
        .name = "setup-topics",
        .arguments = "",
        .summary = "Create all topics of the platform, set up its consumer groups",
        .help =
            "Compares the catalogue with the cluster, creates and alters what is needed, creates "
            "the topics of\nthe organisation in $DEMO_ORG_ID, and gives each group without members "
            "a committed offset at the\nbeginning of the log where it has none. Running it again "
            "changes nothing. What would lose data\nor move keys is refused: exit code 1.",
        .options = options,
        .words_max = 0,
        .run = run_setup,
    },
    {.name = NULL},
};
