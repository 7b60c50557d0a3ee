/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow codec schema: what messages there are, and their shape. */
#include "officeflow/cli/codec_line.h"
#include "protocol/base/text.h"

#include <stdio.h>

static void print_versions(const kc_schema_info *info, char out[32])
{
    if (info->version_stable_max < info->version_max)
        snprintf(out, 32, "%d-%d (%d unstable)", info->version_min, info->version_stable_max,
                 info->version_max);
    else
        snprintf(out, 32, "%d-%d", info->version_min, info->version_max);
}

static int list_schemas(void)
{
    static const char *const titles[] = {"key", "name", "kind", "versions", "flexible"};
    static const bool is_right[] = {true, false, false, false, false};
    kb_mem mem;
    kb_arena arena;
    cli_table table;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    cli_table_init(&table, &arena, titles, is_right, 5);
    for (size_t i = 0; i < kc_schema_count(); i++) {
        kc_schema_info info;
        char versions[32], key[8] = "", flexible[8] = "never";
        kc_schema_get_info(kc_schema_at(i), &info);
        if (info.kind == KC_MESSAGE_RESPONSE)
            continue; /* it has its request's versions */
        print_versions(&info, versions);
        if (info.api_key >= 0)
            snprintf(key, sizeof key, "%d", info.api_key);
        if (info.flexible_from <= info.version_max)
            snprintf(flexible, sizeof flexible, "%d+", info.flexible_from);
        cli_table_row(&table);
        cli_table_cell(&table, CLI_DIM, "%s", key);
        cli_table_cell(&table, CLI_BOLD, "%s", info.name);
        cli_table_cell(&table, CLI_PLAIN, "%s",
                       info.kind == KC_MESSAGE_REQUEST ? "request, response"
                                                       : kc_message_kind_name(info.kind));
        cli_table_cell(&table, CLI_PLAIN, "%s", versions);
        cli_table_cell(&table, CLI_PLAIN, "%s", flexible);
    }
    cli_table_print(&table);
    kb_arena_cleanup(&arena);
    return CLI_OK;
}

static bool print_schema(const kc_schema *schema, int16_t version, kc_arena *arena)
{
    kc_schema_info info;
    kc_bytes text;
    char versions[32];
    kc_schema_get_info(schema, &info);
    print_versions(&info, versions);
    if (kc_schema_print(schema, version, arena, &text) != KC_OK)
        return cli_complain("codec schema: %s has versions %s, not %d", info.name, versions,
                            version);
    cli_styled(CLI_BOLD, "%s %s", info.name, kc_message_kind_name(info.kind));
    if (version >= 0)
        cli_printf("  version %d%s\n", version, version >= info.flexible_from ? ", flexible" : "");
    else if (info.flexible_from <= info.version_max)
        cli_printf("  versions %s, flexible %d+\n", versions, info.flexible_from);
    else
        cli_printf("  versions %s, never flexible\n", versions);
    if (text.len == 0)
        cli_printf("  no fields\n");
    for (kc_bytes row; kb_text_split(&text, '\n', &row) && row.len > 0;)
        cli_printf("  " KC_FMT "\n", KC_ARG(row));
    return true;
}

static int run_schema(cli_session *session, cli_words words, cli_words command)
{
    (void)session, (void)command;
    int64_t version = -1;
    if (words.count == 0)
        return list_schemas();
    if (words.count > 1 &&
        (!kb_parse_i64(kc_str(words.items[1]), &version) || version < 0 || version > INT16_MAX)) {
        cli_complain("codec schema: \"%s\" is no version", words.items[1]);
        return CLI_ERROR;
    }
    kc_arena *arena = kc_arena_new(NULL, 0);
    int found = 0;
    bool is_good = arena != NULL;
    for (size_t i = 0; is_good && i < kc_schema_count(); i++) {
        kc_schema_info info;
        kc_schema_get_info(kc_schema_at(i), &info);
        if (!kb_text_is(kc_str(words.items[0]), info.name))
            continue;
        if (found++ > 0)
            cli_printf("\n");
        is_good = print_schema(kc_schema_at(i), (int16_t)version, arena);
    }
    kc_arena_free(arena);
    if (is_good && found == 0)
        is_good = cli_complain("codec schema: there is no message \"%s\"; officeflow codec schema "
                               "lists them",
                               words.items[0]);
    return is_good ? CLI_OK : CLI_ERROR;
}

const cli_verb cli_codec_show_verbs[] = {
    {
        .name = "codec schema",
        .arguments = "[NAME [VERSION]]",
        .summary = "List the messages of the protocol, or print the shape of one",
        .help = "One field a line, nested ones indented: name, type, versions it is in, @tag, "
                "default. ? is nullable, [] an array, {} a struct.",
        .words_max = 2,
        .is_offline = true,
        .run = run_schema,
    },
    {.name = NULL},
};
