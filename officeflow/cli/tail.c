/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow tail: events as they come, decoded, without a group. Topics that appear while it runs
 * are read from their beginning. */
#include "officeflow/cli/partitions.h"
#include "officeflow/cli/plan.h"
#include "officeflow/cli/verbs.h"
#include "protocol/base/text.h"

#include <stdio.h>

#define REFRESH_US    5000000
#define IDLE_MS       500
#define PREVIEW_BYTES 120

static struct {
    const char *from, *correlation;
    cli_list types;
    int64_t count;
    bool as_json;
} opt = {.from = "end"};

typedef struct tailing {
    cli_session *session;
    cli_words patterns;
    kc_consumer *consumer;
    of_decoder *decoder;
    cli_partitions partitions;
    size_t assigned; /* of partitions */
    int64_t from;    /* KC_OFFSET_... or a time */
    int64_t printed, refreshed_us;
    kc_admin_waiter looking;
    bool is_looking;
} tailing;

/* ---- printing ---- */

static cli_style style_of(kc_bytes type)
{
    static const cli_style styles[] = {CLI_CYAN, CLI_GREEN, CLI_BLUE, CLI_MAGENTA, CLI_YELLOW};
    uint32_t hash = 2166136261u; // FNV-1a: the same colour for a type in every run
    for (size_t i = 0; i < type.len; i++)
        hash = (hash ^ type.ptr[i]) * 16777619u;
    return styles[hash % (sizeof styles / sizeof styles[0])];
}

/** On one line, without what a terminal would obey. */
static void print_preview(kc_bytes text)
{
    size_t len = text.len > PREVIEW_BYTES ? PREVIEW_BYTES : text.len;
    len = kb_utf8_cut(kc_span(text.ptr, len));
    if (!kb_utf8_is_valid(kc_span(text.ptr, len))) {
        cli_styled(CLI_DIM, "(%zu bytes)", text.len);
        return;
    }
    uint8_t *to = kb_buf_extend(cli_out(), len);
    for (size_t i = 0; to && i < len; i++)
        to[i] = text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? ' ' : text.ptr[i];
    if (len < text.len)
        cli_styled(CLI_DIM, " …");
}

static void print_field(const char *name, kc_bytes value)
{
    if (value.len == 0)
        return;
    cli_styled(CLI_DIM, "%s ", name);
    print_preview(value);
    cli_printf("  ");
}

static void print_line(kc_bytes topic, int32_t partition, const kc_view *view,
                       const of_event *event)
{
    char clock[16];
    cli_styled(CLI_DIM, "%s  ", cli_clock(view->timestamp_ms, clock));
    if (event->mode == OF_WIRE_RAW)
        cli_styled(CLI_RED, "%-24s  ", "(no event)");
    else
        cli_styled(style_of(event->type), "%-24.*s  ", (int)event->type.len,
                   (const char *)event->type.ptr);
    print_field("org", event->organization_id);
    print_field("key", event->key);
    print_field("from", event->source);
    print_field("correlation", event->correlation_id);
    if (event->is_tombstone)
        cli_styled(CLI_DIM, "tombstone");
    else
        print_preview(event->payload);
    cli_styled(CLI_DIM, "  " KC_FMT "/%d@%lld", KC_ARG(topic), partition, (long long)view->offset);
    cli_printf("\n");
    cli_flush_if_full();
}

static void member_if(kb_json_writer *json, const char *name, kc_bytes text)
{
    if (text.ptr)
        kb_json_member_string(json, name, text);
}

static void print_json(kc_bytes topic, int32_t partition, const kc_view *view,
                       const of_event *event)
{
    char time[25];
    bool is_raw = event->mode == OF_WIRE_RAW;
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_string(&json, "topic", topic);
    kb_json_member_int(&json, "partition", partition);
    kb_json_member_int(&json, "offset", view->offset);
    cli_json_bytes(&json, "key", "key64", event->key);
    kb_json_member_bool(&json, "isEvent", !is_raw);
    member_if(&json, "id", event->id);
    member_if(&json, "type", event->type);
    member_if(&json, "version", event->version);
    kb_time_format(event->timestamp_ms ? event->timestamp_ms : view->timestamp_ms, time);
    kb_json_member_str(&json, "timestamp", time);
    member_if(&json, "organizationId", event->organization_id);
    member_if(&json, "correlationId", event->correlation_id);
    member_if(&json, "causationId", event->causation_id);
    member_if(&json, "source", event->source);
    if (event->metadata.ptr) {
        kb_json_key_str(&json, "metadata");
        kb_json_raw(&json, event->metadata);
    }
    bool is_json = event->payload.ptr && !is_raw &&
                   (event->mode != OF_WIRE_CE_BINARY ||
                    kb_json_check(event->payload, false, NULL, NULL) == KC_OK);
    if (!is_json) {
        cli_json_bytes(&json, "payloadText", "payload64", event->payload);
    } else {
        kb_json_key_str(&json, "payload");
        kb_json_raw(&json, event->payload);
    }
    kb_json_object_end(&json);
    cli_json_end();
}

/* ---- choosing ---- */

static bool is_wanted(const of_event *event)
{
    if (opt.correlation && !kc_bytes_equal(event->correlation_id, kc_str(opt.correlation)))
        return false;
    cli_words types = {opt.types.items, opt.types.count};
    return types.count == 0 || cli_patterns_match(types, event->type);
}

static void take_batch(tailing *t, kc_batch *batch)
{
    kc_view view;
    kc_error err;
    of_event event;
    kc_bytes topic = kc_batch_topic(batch);
    int32_t partition = kc_batch_partition(batch);
    while ((opt.count == 0 || t->printed < opt.count) && kc_batch_read(batch, &view)) {
        kc_err got = of_event_decode(t->decoder, topic, partition, &view, &event, &err);
        if (got == KC_ERR_NOMEM || !is_wanted(&event))
            continue;
        t->printed++;
        if (opt.as_json)
            print_json(topic, partition, &view, &event);
        else
            print_line(topic, partition, &view, &event);
    }
}

/** Partitions not known yet. False: out of memory. */
static bool add_matching(tailing *t, const kc_cluster_info *cluster)
{
    for (size_t i = 0; i < cluster->topic_count; i++) {
        const kc_topic_info *topic = &cluster->topics[i];
        if (topic->err != KC_OK || !cli_patterns_match(t->patterns, topic->name))
            continue;
        for (size_t p = 0; p < topic->partition_count; p++)
            if (!cli_partitions_find(&t->partitions, topic->name, topic->partitions[p].partition))
                return cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
    }
    return true;
}

/** Read all known partitions: the new ones from where they begin, the others from where they are. */
static bool assign(tailing *t)
{
    kc_error err;
    size_t count = t->partitions.count;
    if (count == t->assigned)
        return true;
    kc_topic_offset *offsets = kb_mem_zalloc(&t->session->mem, count * sizeof *offsets);
    if (!offsets)
        return cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
    for (size_t i = 0; i < count; i++) {
        const cli_partition *p = &t->partitions.items[i];
        int64_t position = -1;
        if (i >= t->assigned ||
            kc_consumer_position(t->consumer, p->topic, p->partition, &position) != KC_OK ||
            position < 0)
            position = p->begin >= 0 ? p->begin : KC_OFFSET_BEGINNING;
        offsets[i] = (kc_topic_offset){
            .topic = p->topic, .partition = p->partition, .offset = position, .leader_epoch = -1};
    }
    t->assigned = count;
    bool is_ok = kc_consumer_assign(t->consumer, offsets, count, &err) == KC_OK;
    kb_mem_free(&t->session->mem, offsets);
    return is_ok || cli_fail("tail", &err) == CLI_OK;
}

static void on_topics(kc_admin_result *result, void *user)
{
    tailing *t = user;
    t->is_looking = false;
    if (result && kc_admin_error(result)->code == KC_OK &&
        add_matching(t, kc_admin_cluster(result)))
        (void)assign(t);
    kc_admin_free(result);
}

/** Look for new topics now and then, without waiting. */
static void look_again(tailing *t)
{
    int64_t now_us = kc_client_now_us(t->session->client);
    if (t->is_looking || now_us - t->refreshed_us < REFRESH_US)
        return;
    t->refreshed_us = now_us;
    t->is_looking =
        kc_admin_describe_topics(t->session->client, NULL, 0, NULL, on_topics, t, NULL) == KC_OK;
}

/* ---- running ---- */

static bool parse_from(tailing *t)
{
    kc_bytes text = kc_str(opt.from);
    if (strcmp(opt.from, "beginning") == 0)
        t->from = KC_OFFSET_BEGINNING;
    else if (strcmp(opt.from, "end") == 0)
        t->from = KC_OFFSET_END;
    else if (!kb_time_parse(text, &t->from) && !(kb_parse_i64(text, &t->from) && t->from >= 0))
        return cli_complain("tail: --from must be beginning, end, a time such as "
                            "2026-11-23T12:00:00Z or ms since 1970, not \"%s\"",
                            opt.from);
    return true;
}

static bool start(tailing *t)
{
    kc_error err;
    kc_admin_result *result = cli_describe_cluster(t->session);
    if (!result)
        return false;
    bool is_ok = add_matching(t, kc_admin_cluster(result));
    kc_admin_free(result);
    if (!is_ok || !cli_partitions_ask(&t->partitions, KC_OFFSET_END, false) ||
        (t->from != KC_OFFSET_END && !cli_partitions_ask(&t->partitions, t->from, false)))
        return false;
    // "end", and a time behind the last record, mean the end as it is now, not at the first fetch
    for (size_t i = 0; i < t->partitions.count; i++)
        if (t->partitions.items[i].begin < 0)
            t->partitions.items[i].begin = t->partitions.items[i].end;
    if (kc_consumer_open(t->session->client, t->session->config.kafka, &t->consumer, &err) != KC_OK)
        return cli_fail("tail", &err) == CLI_OK;
    if (t->partitions.count == 0)
        cli_note("no topic matches yet; waiting for one");
    t->refreshed_us = kc_client_now_us(t->session->client);
    return assign(t);
}

static int follow(tailing *t)
{
    kc_batch *batch;
    kc_error err;
    while (!cli_is_interrupted() && !cli_is_output_broken() &&
           (opt.count == 0 || t->printed < opt.count)) {
        kc_err got =
            t->assigned > 0 ? kc_consumer_poll(t->consumer, 0, &batch, &err) : KC_ERR_AGAIN;
        if (got == KC_OK) {
            take_batch(t, batch);
            kc_batch_free(batch);
            continue;
        }
        if (got != KC_ERR_AGAIN)
            return cli_fail("tail", &err);
        cli_flush();
        look_again(t);
        got = kc_client_dispatch(t->session->client, IDLE_MS);
        if (got != KC_OK && got != KC_ERR_AGAIN) {
            cli_complain("tail: %s", kc_err_text(got));
            return CLI_ERROR;
        }
    }
    return CLI_OK;
}

static bool check_patterns(cli_words words)
{
    kc_error err;
    for (size_t i = 0; i < words.count; i++)
        if (of_pattern_check(kc_str(words.items[i]), &err) != KC_OK)
            return cli_fail("tail", &err) == CLI_OK;
    for (size_t i = 0; i < opt.types.count; i++)
        if (of_pattern_check(kc_str(opt.types.items[i]), &err) != KC_OK)
            return cli_fail("tail: --type", &err) == CLI_OK;
    return true;
}

static int run_tail(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    tailing t = {.session = session, .patterns = words};
    t.partitions.session = session;
    if (!check_patterns(words) || !parse_from(&t) ||
        !cli_session_default(session, "isolation.level", "read_committed") ||
        !cli_session_open(session))
        return CLI_ERROR;
    t.decoder = of_decoder_new();
    int code = CLI_ERROR;
    if (t.decoder && start(&t)) {
        cli_catch_signals(session);
        code = follow(&t);
    }
    kc_consumer_close(t.consumer, 0);
    of_decoder_free(t.decoder);
    cli_session_close(session); // an answer still out would come to `t`
    cli_partitions_cleanup(&t.partitions);
    return code;
}

static const cli_option options[] = {
    {0, "from", CLI_TEXT, &opt.from, "WHERE",
     "beginning, end (default), a time (RFC 3339), or ms since 1970", 0, 0},
    {'t', "type", CLI_LIST, &opt.types, "PATTERN", "only these event types (several)", 0, 0},
    {0, "correlation", CLI_TEXT, &opt.correlation, "ID", "only this correlation id", 0, 0},
    {'n', "count", CLI_INT, &opt.count, "N", "stop after N events", 1, INT64_MAX},
    {0, "json", CLI_FLAG, &opt.as_json, NULL, "JSON lines", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_tail_verbs[] = {
    {
        .name = "tail",
        .arguments = "PATTERN...",
        .summary = "Follow the events of topics, decoded",
        .help =
            "Patterns go by segments: * is exactly one, ** at the end one or more: "
            "'employee.onboard.*',\n'employee.**'. Topics of dead letters and retries need their "
            "first segment: 'dlq.**'. Joins no group.",
        .options = options,
        .words_min = 1,
        .words_max = 64,
        .run = run_tail,
    },
    {.name = NULL},
};
