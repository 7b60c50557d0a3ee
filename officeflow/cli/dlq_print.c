/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Dead letters as table rows, JSON lines, and one in full. */
#include "officeflow/cli/dlq_print.h"

#include "protocol/base/text.h"

#include <stdio.h>

#define VALUE_BYTES_SHOWN 4096

cli_style cli_dead_style(of_dead_state state)
{
    switch (state) {
    case OF_DEAD:
        return CLI_RED;
    case OF_DEAD_SCHEDULED:
    case OF_DEAD_REDRIVEN:
        return CLI_YELLOW;
    case OF_DEAD_RESOLVED:
        return CLI_GREEN;
    case OF_DEAD_QUARANTINED:
        return CLI_MAGENTA;
    default:
        return CLI_DIM;
    }
}

void cli_dead_table(cli_table *table, kb_arena *arena)
{
    static const char *const titles[] = {"ID",   "STATE", "ORIGIN", "GROUP",       "CLASS",
                                         "CODE", "TRIES", "AGE",    "FINGERPRINT", "MESSAGE"};
    static const bool right[] = {false, false, false, false, false,
                                 false, true,  true,  false, false};
    cli_table_init(table, arena, titles, right, 10);
}

void cli_dead_row(cli_table *table, const of_dead_letter *letter)
{
    char age[24];
    size_t len = kb_utf8_cut(
        kc_span(letter->message.ptr, letter->message.len > 60 ? 60 : letter->message.len));
    cli_table_row(table);
    cli_table_cell(table, CLI_BOLD, "%s", letter->id);
    cli_table_cell(table, cli_dead_style(letter->state), "%s", of_dead_state_name(letter->state));
    cli_table_cell(table, CLI_PLAIN, KC_FMT "/%d@%lld", KC_ARG(letter->topic), letter->partition,
                   (long long)letter->offset);
    cli_table_cell(table, CLI_PLAIN, KC_FMT, KC_ARG(letter->group));
    cli_table_cell(table, CLI_PLAIN, "%s", of_class_name(letter->failure_class));
    cli_table_cell(table, CLI_PLAIN, KC_FMT, KC_ARG(letter->code));
    cli_table_cell(table, CLI_PLAIN, "%d", letter->attempts);
    cli_table_cell(table, CLI_PLAIN, "%s", cli_age(letter->last_ms, age));
    cli_table_cell(table, CLI_DIM, KC_FMT, KC_ARG(letter->fingerprint));
    cli_table_cell(table, CLI_PLAIN, "%.*s", (int)len, (const char *)letter->message.ptr);
}

static void time_member(kb_json_writer *json, const char *name, int64_t ms)
{
    char time[25];
    kb_json_key_str(json, name);
    if (ms <= 0) {
        kb_json_null(json);
        return;
    }
    kb_time_format(ms, time);
    kb_json_str(json, time);
}

void cli_dead_json(const of_dead_letter *letter, bool with_value)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_str(&json, "id", letter->id);
    kb_json_member_str(&json, "state", of_dead_state_name(letter->state));
    kb_json_member_string(&json, "topic", letter->topic);
    kb_json_member_int(&json, "partition", letter->partition);
    kb_json_member_int(&json, "offset", letter->offset);
    kb_json_member_string(&json, "group", letter->group);
    kb_json_member_str(&json, "class", of_class_name(letter->failure_class));
    kb_json_member_string(&json, "code", letter->code);
    kb_json_member_string(&json, "message", letter->message);
    kb_json_member_string(&json, "fingerprint", letter->fingerprint);
    kb_json_member_string(&json, "handler", letter->handler);
    kb_json_member_int(&json, "attempts", letter->attempts);
    kb_json_member_int(&json, "redrives", letter->redrives);
    time_member(&json, "first", letter->first_ms);
    time_member(&json, "last", letter->last_ms);
    time_member(&json, "next", letter->next_ms);
    kb_json_member_string(&json, "type", letter->type);
    kb_json_member_string(&json, "organizationId", letter->organization_id);
    kb_json_member_string(&json, "correlationId", letter->correlation_id);
    kb_json_member_bool(&json, "strict", letter->is_strict);
    kb_json_member_string(&json, "dlqTopic", letter->dlq_topic);
    kb_json_member_int(&json, "dlqPartition", letter->dlq_partition);
    kb_json_member_int(&json, "dlqOffset", letter->dlq_offset);
    cli_json_bytes(&json, "key", "key64", letter->key);
    if (with_value) {
        cli_json_bytes(&json, "value", "value64", letter->value);
        cli_json_bytes(&json, "history", "history64", letter->history);
    }
    kb_json_object_end(&json);
    cli_json_end();
}

static void show_history(kc_bytes history, kb_arena *arena)
{
    char pointer[32], clock[16];
    for (int i = 0; history.ptr && i < 64; i++) {
        snprintf(pointer, sizeof pointer, "/%d", i);
        kc_bytes entry = kb_json_pointer(history, pointer);
        if (!entry.ptr)
            break;
        int64_t n = 0, t = 0;
        kb_json_i64(kb_json_pointer(entry, "/n"), &n);
        kb_json_i64(kb_json_pointer(entry, "/t"), &t);
        kc_bytes stage = kb_json_pointer_text(entry, "/stage", arena);
        kc_bytes code = kb_json_pointer_text(entry, "/code", arena);
        cli_printf("  %s  try %lld  %-10.*s  " KC_FMT "\n", cli_clock(t, clock), (long long)n,
                   (int)stage.len, (const char *)stage.ptr, KC_ARG(code));
    }
}

static void show_value(kc_bytes value)
{
    if (!value.ptr) {
        cli_printf("value: none\n");
        return;
    }
    size_t len = value.len > VALUE_BYTES_SHOWN ? VALUE_BYTES_SHOWN : value.len;
    len = kb_utf8_cut(kc_span(value.ptr, len));
    if (!kb_utf8_is_valid(kc_span(value.ptr, len)))
        cli_printf("value: %zu bytes that are no text", value.len);
    else
        cli_printf("%.*s%s", (int)len, (const char *)value.ptr, len < value.len ? " …" : "");
    cli_printf("\n");
}

void cli_dead_show(const of_dead_letter *letter, kb_arena *arena)
{
    char first[25], last[16], next[16];
    kb_time_format(letter->first_ms, first);
    cli_styled(CLI_BOLD, "id %s", letter->id);
    cli_printf("  " KC_FMT "/%d@%lld  group " KC_FMT "  key " KC_FMT "\n", KC_ARG(letter->topic),
               letter->partition, (long long)letter->offset, KC_ARG(letter->group),
               KC_ARG(letter->key));
    cli_styled(cli_dead_style(letter->state), "%s", of_dead_state_name(letter->state));
    cli_printf("  redrives %d", letter->redrives);
    if (letter->next_ms > 0)
        cli_printf("  next %s", cli_clock(letter->next_ms, next));
    cli_printf("%s\n", letter->is_strict ? "  strict: redriven by an operator only" : "");
    cli_printf("class %s  code " KC_FMT "  %d %s from %.10s %.12s to %s UTC\n",
               of_class_name(letter->failure_class), KC_ARG(letter->code), letter->attempts,
               letter->attempts == 1 ? "try" : "tries", first, first + 11,
               cli_clock(letter->last_ms, last));
    cli_printf("message " KC_FMT "\n", KC_ARG(letter->message));
    cli_printf("type " KC_FMT, KC_ARG(letter->type));
    if (letter->organization_id.len > 0)
        cli_printf("  organisation " KC_FMT, KC_ARG(letter->organization_id));
    cli_printf("  handler " KC_FMT "  fingerprint " KC_FMT "\n", KC_ARG(letter->handler),
               KC_ARG(letter->fingerprint));
    cli_printf("correlation " KC_FMT "\n", KC_ARG(letter->correlation_id));
    cli_printf("lies in " KC_FMT "/%d@%lld\n", KC_ARG(letter->dlq_topic), letter->dlq_partition,
               (long long)letter->dlq_offset);
    show_history(letter->history, arena);
    show_value(letter->value);
}
