/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow groups: state, members and lag of the platform's consumer groups. */
#include "officeflow/cli/partitions.h"
#include "officeflow/cli/verbs.h"

#include <kafkac/unstable/errors.h>

/** State of a group the cluster does not know. */
#define NO_GROUP KC_STR("none")

static struct {
    bool as_json, all;
} opt;

typedef struct group_row {
    kc_bytes name, state;
    size_t members, partitions;
    int64_t lag; /* -1: not known */
    kc_err err;
} group_row;

/** The names to look at, in the session's arena. */
typedef struct names {
    kc_bytes *items;
    size_t count;
} names;

static bool has_name(const names *n, kc_bytes name)
{
    for (size_t i = 0; i < n->count; i++)
        if (kc_bytes_equal(n->items[i], name))
            return true;
    return false;
}

static bool add_listed(cli_session *session, names *n)
{
    kc_error err;
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_list_groups(session->client, NULL, kc_admin_waiter_fn, &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "groups", &err);
    if (!result)
        return false;
    size_t count;
    const kc_group_listing *groups = kc_admin_groups(result, &count);
    kc_bytes *grown = kb_arena_array(&session->arena, n->count + count + 1, sizeof *grown);
    if (grown && n->count > 0)
        memcpy(grown, n->items, n->count * sizeof *grown);
    n->items = grown;
    for (size_t i = 0; grown && i < count; i++) {
        kc_bytes name = kb_arena_copy(&session->arena, groups[i].group_id);
        if (name.ptr && !has_name(n, name))
            grown[n->count++] = name;
    }
    kc_admin_free(result);
    return grown || cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
}

static bool collect_names(cli_session *session, cli_words words, names *n)
{
    static kc_bytes items[64];
    *n = (names){items, 0};
    for (size_t i = 0; i < words.count && i < 64; i++)
        items[n->count++] = kc_str(words.items[i]);
    for (size_t i = 0; words.count == 0 && of_catalogue_group(i) && n->count < 64; i++)
        items[n->count++] = kc_str(of_catalogue_group(i)->name);
    return !opt.all || add_listed(session, n);
}

/** Sum of what is between committed offsets and the ends of the logs. */
static bool measure_lag(cli_session *session, group_row *row)
{
    kc_error err;
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_list_group_offsets(session->client, row->name, NULL, 0, NULL,
                                                 kc_admin_waiter_fn, &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "offsets", &err);
    if (!result)
        return false;
    size_t count;
    const kc_topic_offset *committed = kc_admin_offsets(result, &count);
    cli_partitions partitions = {.session = session};
    for (size_t i = 0; i < count; i++) {
        cli_partition *p =
            committed[i].offset < 0 || committed[i].err != KC_OK
                ? NULL
                : cli_partitions_find(&partitions, committed[i].topic, committed[i].partition);
        if (p)
            p->next = committed[i].offset;
    }
    kc_admin_free(result);
    row->partitions = partitions.count;
    bool is_ok = cli_partitions_ask(&partitions, KC_OFFSET_END, false);
    row->lag = 0;
    for (size_t i = 0; i < partitions.count; i++)
        if (partitions.items[i].end > partitions.items[i].next)
            row->lag += partitions.items[i].end - partitions.items[i].next;
    cli_partitions_cleanup(&partitions);
    return is_ok;
}

static void print_json(const group_row *row)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_string(&json, "group", row->name);
    kb_json_member_string(&json, "state", row->state);
    kb_json_member_int(&json, "members", (int64_t)row->members);
    kb_json_member_int(&json, "partitions", (int64_t)row->partitions);
    kb_json_member_int(&json, "lag", row->lag);
    kb_json_object_end(&json);
    cli_json_end();
}

static void print_row(cli_table *table, const group_row *row)
{
    char lag[32];
    bool is_stable = kc_bytes_equal(row->state, KC_STR("Stable"));
    cli_table_row(table);
    cli_table_cell(table, CLI_PLAIN, KC_FMT, KC_ARG(row->name));
    cli_table_cell(table, is_stable ? CLI_GREEN : CLI_DIM, KC_FMT, KC_ARG(row->state));
    cli_table_cell(table, CLI_PLAIN, "%zu", row->members);
    cli_table_cell(table, CLI_PLAIN, "%zu", row->partitions);
    cli_table_cell(table, row->lag > 0 && row->members == 0 ? CLI_YELLOW : CLI_PLAIN, "%s",
                   cli_number(row->lag, lag));
}

/** Members of one group, when a group is asked for by name. */
static void print_members(cli_session *session, const kc_group_description *group)
{
    static const char *const titles[] = {"MEMBER", "CLIENT", "HOST", "PARTITIONS"};
    static const bool right[] = {false, false, false, true};
    cli_table table;
    if (opt.as_json || group->member_count == 0)
        return;
    cli_table_init(&table, &session->arena, titles, right, 4);
    for (size_t i = 0; i < group->member_count; i++) {
        const kc_member_info *member = &group->members[i];
        cli_table_row(&table);
        cli_table_cell(&table, CLI_PLAIN, KC_FMT, KC_ARG(member->member_id));
        cli_table_cell(&table, CLI_PLAIN, KC_FMT, KC_ARG(member->client_id));
        cli_table_cell(&table, CLI_PLAIN, KC_FMT, KC_ARG(member->client_host));
        cli_table_cell(&table, CLI_PLAIN, "%zu", member->assignment_count);
    }
    cli_printf("\n");
    cli_table_print(&table);
}

static group_row row_of(const kc_group_description *group)
{
    group_row row = {.name = group->group_id,
                     .state = group->state,
                     .members = group->member_count,
                     .err = group->err};
    if (group->err == KC_E_GROUP_ID_NOT_FOUND || kc_bytes_equal(group->state, KC_STR("Dead"))) {
        row.state = NO_GROUP;
        row.err = KC_OK;
    }
    return row;
}

/** @param is_named  Asked for by name: an unknown one is told, and the others have their members printed. */
static bool print_groups(cli_session *session, const kc_group_description *groups, size_t count,
                         bool is_named)
{
    static const char *const titles[] = {"GROUP", "STATE", "MEMBERS", "PARTITIONS", "LAG"};
    static const bool right[] = {false, false, true, true, true};
    cli_table table;
    bool is_ok = true;
    cli_table_init(&table, &session->arena, titles, right, 5);
    for (size_t i = 0; i < count; i++) {
        group_row row = row_of(&groups[i]);
        if (row.err != KC_OK) {
            is_ok = cli_complain("group " KC_FMT ": %s", KC_ARG(row.name), kc_err_text(row.err));
            continue;
        }
        if (is_named && kc_bytes_equal(row.state, NO_GROUP))
            cli_note("there is no group " KC_FMT, KC_ARG(row.name));
        if (!measure_lag(session, &row))
            return false;
        if (opt.as_json)
            print_json(&row);
        else
            print_row(&table, &row);
    }
    if (!opt.as_json)
        cli_table_print(&table);
    for (size_t i = 0; is_named && i < count; i++)
        print_members(session, &groups[i]);
    return is_ok;
}

static int run_groups(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    kc_error err;
    names n;
    if (!cli_connect(session) || !collect_names(session, words, &n))
        return CLI_ERROR;
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_groups(session->client, n.items, n.count, NULL,
                                              kc_admin_waiter_fn, &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "groups", &err);
    if (!result)
        return CLI_ERROR;
    size_t count;
    const kc_group_description *groups = kc_admin_group_descriptions(result, &count);
    bool is_ok = print_groups(session, groups, count, words.count > 0);
    kc_admin_free(result);
    return is_ok ? CLI_OK : CLI_ERROR;
}

static const cli_option options[] = {
    {'a', "all", CLI_FLAG, &opt.all, NULL, "also groups that are not in the catalogue", 0, 0},
    {0, "json", CLI_FLAG, &opt.as_json, NULL, "JSON lines", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_groups_verbs[] = {
    {.name = "groups",
     .arguments = "[GROUP...]",
     .summary = "State, members and lag of consumer groups",
     .help = "Without a name: the eight of the catalogue. Lag is the number of records behind the "
             "committed offsets.",
     .options = options,
     .words_max = 32,
     .run = run_groups},
    {.name = NULL},
};
