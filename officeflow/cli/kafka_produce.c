/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow kafka produce: a record per line of standard input. A line that is wrong, and a record
 * that fails, is told by its number; the others go on. */
#include "officeflow/cli/lines.h"
#include "officeflow/cli/verbs.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <kafkac/unstable/errors.h>

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define INTERRUPTED_DRAIN_S 3

/** Milliseconds to wait for room in the producer's buffer before looking again. */
#define ROOM_WAIT_MS 100
/** How often it is asked whether the topic is there, while nothing was acknowledged; a topic that is not there by then
 *  is a typing error more likely than one about to be created. */
#define TOPIC_WAIT_MS 2500
#define TOPIC_ASKS    3

static struct {
    bool is_plain;
} opt;

/** Everything of one run. */
typedef struct production {
    cli_session *session;
    kc_producer *producer;
    kc_topic *topic;
    kb_arena arena; /* of one line */
    kb_buf bytes;   /* base64 being decoded */
    kc_header *headers;
    size_t header_cap;
    uint64_t accepted, failed;
    kc_timer *topic_timer;
    kc_bytes topic_name;
    int asks;
    bool is_asking, has_no_topic;
} production;

/** What a callback of a record needs to know of the run. */
static production *current;

/** A line being read: a reason where it is wrong. */
typedef struct line_reader {
    production *run;
    kb_json_reader json;
    kc_record *record;
    unsigned seen; /* bits of `members` */
    char why[200];
} line_reader;

static bool wrong(line_reader *line, const char *fmt, ...) KC_PRINTF(2, 3);

static bool wrong(line_reader *line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(line->why, sizeof line->why, fmt, args);
    va_end(args);
    return false;
}

static bool syntax(line_reader *line)
{
    return wrong(line, "not valid JSON at byte %zu: %s", line->json.at,
                 line->json.reason ? line->json.reason : "unexpected");
}

/** A string or null. */
static bool read_text(line_reader *line, const char *name, kc_bytes *out)
{
    kb_json_type type = kb_json_next(&line->json);
    if (type == KB_JSON_ERROR)
        return syntax(line);
    *out = KC_NULL;
    if (type == KB_JSON_NULL)
        return true;
    if (type != KB_JSON_STRING)
        return wrong(line, "\"%s\" must be a string or null", name);
    return kb_json_unescape(line->json.raw, &line->run->arena, out) || wrong(line, "out of memory");
}

/** Base64 or null. */
static bool read_base64(line_reader *line, const char *name, kc_bytes *out)
{
    kc_bytes text = KC_NULL;
    if (!read_text(line, name, &text))
        return false;
    *out = KC_NULL;
    if (!text.ptr)
        return true;
    kb_buf *bytes = &line->run->bytes;
    kb_buf_reset(bytes);
    if (!kb_base64_get(bytes, text))
        return wrong(line, "\"%s\" is no padded base64", name);
    *out = kb_arena_copy(&line->run->arena, kb_buf_bytes(bytes));
    return (bytes->err == KC_OK && out->ptr) || wrong(line, "out of memory");
}

static bool read_number(line_reader *line, const char *name, int64_t max, int64_t *out)
{
    kb_json_type type = kb_json_next(&line->json);
    if (type == KB_JSON_ERROR)
        return syntax(line);
    if (type != KB_JSON_NUMBER || !kb_json_i64(line->json.raw, out) || *out < 0 || *out > max)
        return wrong(line, "\"%s\" must be a whole number from 0 to %lld", name, (long long)max);
    return true;
}

/** A header's value: a string, null, or {"b64": "..."}. */
static bool read_header_value(line_reader *line, kc_bytes *out)
{
    kb_json_type type = kb_json_next(&line->json);
    *out = KC_NULL;
    if (type == KB_JSON_NULL)
        return true;
    if (type == KB_JSON_STRING)
        return kb_json_unescape(line->json.raw, &line->run->arena, out) ||
               wrong(line, "out of memory");
    if (type == KB_JSON_OBJECT && kb_json_next(&line->json) == KB_JSON_KEY &&
        kb_json_string_is(line->json.raw, KC_STR("b64"))) {
        if (!read_base64(line, "b64", out))
            return false;
        if (out->ptr && kb_json_next(&line->json) == KB_JSON_OBJECT_END)
            return true;
    }
    return line->json.reason
               ? syntax(line)
               : wrong(line, "a header's value must be a string, null or {\"b64\": \"...\"}");
}

static bool has_header_room(production *run, size_t count)
{
    if (count < run->header_cap)
        return true;
    size_t cap = run->header_cap ? run->header_cap * 2 : 16;
    kc_header *grown = kb_mem_realloc(&run->session->mem, run->headers, cap * sizeof *grown);
    if (!grown)
        return false;
    run->headers = grown;
    run->header_cap = cap;
    return true;
}

/** [["name", VALUE], ...] */
static bool read_headers(line_reader *line)
{
    static const char *const form = "\"headers\" must be a list of [\"name\", value]";
    kb_json_reader *json = &line->json;
    production *run = line->run;
    size_t count = 0;
    kb_json_type type = kb_json_next(json);
    if (type != KB_JSON_ARRAY)
        return type == KB_JSON_ERROR ? syntax(line) : wrong(line, "%s", form);
    while ((type = kb_json_next(json)) == KB_JSON_ARRAY) {
        if (!has_header_room(run, count))
            return wrong(line, "out of memory");
        kc_header *header = &run->headers[count];
        if (kb_json_next(json) != KB_JSON_STRING)
            return json->reason ? syntax(line) : wrong(line, "%s", form);
        if (!kb_json_unescape(json->raw, &run->arena, &header->name))
            return wrong(line, "out of memory");
        if (!read_header_value(line, &header->value))
            return false;
        if (kb_json_next(json) != KB_JSON_ARRAY_END)
            return json->reason ? syntax(line) : wrong(line, "%s", form);
        count++;
    }
    if (type != KB_JSON_ARRAY_END)
        return type == KB_JSON_ERROR ? syntax(line) : wrong(line, "%s", form);
    line->record->headers = run->headers;
    line->record->header_count = count;
    return true;
}

enum {
    KEY = 1,
    KEY64 = 2,
    VALUE = 4,
    VALUE64 = 8,
    HEADERS = 16,
    PARTITION = 32,
    TIMESTAMP = 64
};
static const struct {
    const char *name;
    unsigned bit;
    unsigned excludes;
} members[] = {
    {"key", KEY, KEY64},         {"key64", KEY64, KEY},   {"value", VALUE, VALUE64},
    {"value64", VALUE64, VALUE}, {"headers", HEADERS, 0}, {"partition", PARTITION, 0},
    {"timestamp", TIMESTAMP, 0},
};

static bool read_value_of(line_reader *line, unsigned bit)
{
    kc_record *record = line->record;
    int64_t number = 0;
    switch (bit) {
    case KEY:
        return read_text(line, "key", &record->key);
    case KEY64:
        return read_base64(line, "key64", &record->key);
    case VALUE:
        return read_text(line, "value", &record->value);
    case VALUE64:
        return read_base64(line, "value64", &record->value);
    case HEADERS:
        return read_headers(line);
    case PARTITION:
        if (!read_number(line, "partition", INT32_MAX, &number))
            return false;
        record->partition = (int32_t)number;
        return true;
    default:
        return read_number(line, "timestamp", INT64_MAX, &record->timestamp_ms);
    }
}

static bool read_member(line_reader *line)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (!kb_json_string_is(line->json.raw, kc_str(members[i].name)))
            continue;
        if (line->seen & members[i].bit)
            return wrong(line, "\"%s\" stands there twice", members[i].name);
        if (line->seen & members[i].excludes)
            return wrong(line, "\"%s\" and \"%s64\" are two forms of one field: give one",
                         members[i].bit <= KEY64 ? "key" : "value",
                         members[i].bit <= KEY64 ? "key" : "value");
        line->seen |= members[i].bit;
        return read_value_of(line, members[i].bit);
    }
    return wrong(line,
                 "unknown member %.60s: there are key, key64, value, value64, headers, partition, "
                 "timestamp",
                 kb_arena_printf(&line->run->arena, KC_FMT, KC_ARG(line->json.raw)));
}

static bool read_json(line_reader *line, kc_bytes text)
{
    kb_json_reader_init(&line->json, text);
    kb_json_type type = kb_json_next(&line->json);
    if (type != KB_JSON_OBJECT)
        return type == KB_JSON_ERROR ? syntax(line) : wrong(line, "not a JSON object");
    while ((type = kb_json_next(&line->json)) == KB_JSON_KEY)
        if (!read_member(line))
            return false;
    if (type != KB_JSON_OBJECT_END || kb_json_next(&line->json) != KB_JSON_END)
        return syntax(line);
    return (line->seen & (VALUE | VALUE64)) || wrong(line, "\"value\" is missing");
}

static void tell(uint64_t line, const char *reason)
{
    cli_note("line %llu: %s", (unsigned long long)line, reason);
}

static void tell_no_topic(uint64_t line)
{
    char why[KC_TOPIC_NAME_MAX + 80];
    snprintf(why, sizeof why, "topic " KC_FMT " does not exist: create it or check its name",
             KC_ARG(current->topic_name));
    tell(line, why);
}

static void on_delivery(const kc_delivery *delivery, void *user)
{
    uint64_t line = (uint64_t)(uintptr_t)user;
    if (delivery->err == KC_OK)
        return;
    current->failed++;
    if (current->has_no_topic)
        tell_no_topic(line);
    else
        tell(line, delivery->error->text);
}

/* ---- is there such a topic? ---- */

static void on_topic(kc_admin_result *result, void *user)
{
    production *run = user;
    run->is_asking = false;
    const kc_cluster_info *cluster =
        result && kc_admin_error(result)->code == KC_OK ? kc_admin_cluster(result) : NULL;
    bool is_unknown = cluster && cluster->topic_count == 1 &&
                      cluster->topics[0].err == KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    bool is_known = cluster && !is_unknown;
    kc_admin_free(result);
    if (is_known || run->producer == NULL)
        return;
    run->asks += is_unknown ? 1 : 0;
    run->has_no_topic = run->asks >= TOPIC_ASKS;
    kc_timer_set(run->topic_timer, TOPIC_WAIT_MS);
    kc_client_wake(run->session->client);
}

/** Records of a topic that is not there would wait for delivery.timeout.ms: two minutes for a slip of the hand. */
static void on_topic_timer(void *user)
{
    production *run = user;
    kc_producer_stats stats;
    kc_producer_stats_get(run->producer, &stats);
    if (stats.records_acked > 0 || run->is_asking || run->has_no_topic)
        return;
    run->is_asking = kc_admin_describe_topics(run->session->client, &run->topic_name, 1, NULL,
                                              on_topic, run, NULL) == KC_OK;
}

/* ---- sending ---- */

static bool is_full(kc_err err)
{
    return err == KC_ERR_BUFFER_FULL || err == KC_ERR_NOMEM;
}

/** Send; while there is no room, let what is under way arrive. */
static kc_err send_record(production *run, const kc_record *record, uint64_t line, kc_error *err)
{
    kc_producer_stats stats;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the number is all a delivery needs to know
    void *user = (void *)(uintptr_t)line;
    for (;;) {
        kc_err result = kc_producer_send_to(run->topic, record, on_delivery, user, err);
        if (!is_full(result))
            return result;
        kc_producer_stats_get(run->producer, &stats);
        if (result == KC_ERR_NOMEM && stats.records_pending == 0)
            return result; // nothing will give memory back
        cli_watch_standstill(run->session, stats.records_acked + stats.records_failed);
        kc_err turned = kc_client_dispatch(run->session->client, ROOM_WAIT_MS);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            return kb_error_code(err, turned);
        if (run->has_no_topic || cli_is_interrupted())
            return kb_error_code(err, KC_ERR_CLOSED);
    }
}

static void produce_line(production *run, uint64_t number, kc_bytes text)
{
    kc_record record = KC_RECORD_INIT;
    line_reader line = {.run = run, .record = &record};
    kc_error err;
    if (opt.is_plain)
        record.value = text;
    else if (!read_json(&line, text)) {
        tell(number, line.why);
        run->failed++;
        kb_arena_reset(&run->arena);
        return;
    }
    if (send_record(run, &record, number, &err) == KC_OK) {
        run->accepted++;
    } else {
        run->failed++;
        if (run->has_no_topic)
            tell_no_topic(number);
        else
            tell(number, err.text);
    }
    kb_arena_reset(&run->arena);
}

static cli_line produce_all(production *run)
{
    cli_lines lines;
    cli_lines_init(&lines, &run->session->mem, run->session->client, STDIN_FILENO);
    lines.stop = &run->has_no_topic;
    kc_bytes text;
    cli_line got;
    while ((got = cli_lines_next(&lines, &text)) <= CLI_LINE_TOO_LONG) {
        if (got == CLI_LINE_OK) {
            produce_line(run, lines.number, text);
        } else {
            tell(lines.number, "longer than 64 MiB");
            run->failed++;
        }
        if (lines.number % 4096 == 0) {
            char count[32];
            cli_progress("%s lines read", cli_number((int64_t)lines.number, count));
        }
    }
    cli_lines_cleanup(&lines);
    return got;
}

static int finish(production *run, cli_line end)
{
    kc_error err;
    kc_producer_stats stats;
    int drained_s = 0;
    // after a signal what is on its way gets a moment, not delivery.timeout.ms
    while (!run->has_no_topic && (!cli_is_interrupted() || drained_s++ < INTERRUPTED_DRAIN_S) &&
           kc_producer_flush(run->producer, 1000) == KC_ERR_TIMEOUT) {
        kc_producer_stats_get(run->producer, &stats);
        cli_watch_standstill(run->session, stats.records_acked + stats.records_failed);
        char count[32];
        kc_client_last_error(run->session->client, &err);
        cli_progress("waiting for %s records to be acknowledged%s%s",
                     cli_number((int64_t)stats.records_pending, count),
                     err.code != KC_OK ? ": " : "", err.code != KC_OK ? err.text : "");
    }
    cli_progress_end();
    kc_producer_stats_get(run->producer, &stats);
    kc_producer_close(run->producer); // what is left fails now
    run->producer = NULL;
    if (end == CLI_LINE_ERROR)
        return CLI_ERROR;
    if (cli_is_interrupted()) {
        cli_complain("interrupted: %llu records sent", (unsigned long long)stats.records_acked);
        return CLI_ERROR;
    }
    return run->failed == 0 && stats.records_failed == 0 && stats.records_pending == 0
               ? CLI_OK
               : CLI_PARTIAL;
}

static int run_produce(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    kc_error err;
    production run = {.session = session, .topic_name = kc_str(words.items[0])};
    if (!cli_connect(session))
        return CLI_ERROR;
    current = &run;
    kb_arena_init(&run.arena, &session->mem, 2 * CLI_LINE_BYTES_MAX);
    kb_buf_init(&run.bytes, &session->mem, CLI_LINE_BYTES_MAX);
    int code = CLI_ERROR;
    if (kc_producer_open(session->client, NULL, &run.producer, &err) != KC_OK ||
        kc_producer_topic(run.producer, run.topic_name, &run.topic, &err) != KC_OK) {
        cli_fail("kafka produce", &err);
    } else if (kc_timer_new(session->client, on_topic_timer, &run, &run.topic_timer) != KC_OK) {
        cli_complain("kafka produce: %s", kc_err_text(KC_ERR_NOMEM));
    } else {
        cli_catch_signals(session);
        kc_timer_set(run.topic_timer, TOPIC_WAIT_MS);
        code = finish(&run, produce_all(&run));
    }
    kc_timer_free(run.topic_timer);
    kc_producer_close(run.producer);
    cli_session_close(session); // an answer still out would come to `run`
    kb_mem_free(&session->mem, run.headers);
    kb_buf_cleanup(&run.bytes);
    kb_arena_cleanup(&run.arena);
    return code;
}

static const cli_option options[] = {
    {0, "lines", CLI_FLAG, &opt.is_plain, NULL, "every line is a value, as it stands", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_produce_verbs[] = {
    {
        .name = "kafka produce",
        .arguments = "TOPIC",
        .summary = "Send a record for each JSON line of standard input",
        .help = "A line: {\"key\": ..., \"value\": ..., \"headers\": [[\"name\", VALUE], ...], "
                "\"partition\": N,\n\"timestamp\": MS}; all but value may be absent. \"value\": "
                "null is a "
                "tombstone. key64 and\nvalue64 hold bytes in base64 instead. A header's VALUE is a "
                "string, null or {\"b64\": ...}.\nWhat is wrong with a line, or why its record "
                "failed, is "
                "said as \"line N: reason\"; the rest\ngoes on, and the exit code is 3.",
        .options = options,
        .words_min = 1,
        .words_max = 1,
        .run = run_produce,
    },
    {.name = NULL},
};
