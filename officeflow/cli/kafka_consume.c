/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow kafka consume: records as JSON lines, by assignment or as a member of a group. A group's
 * offsets are committed behind what standard output has taken, so nothing printed is lost and at
 * most the last second is printed twice. */
#include "officeflow/cli/partitions.h"
#include "officeflow/cli/verbs.h"
#include "protocol/base/text.h"

#include <stdio.h>

#define COMMIT_INTERVAL_US 1000000
#define LEAVE_MS           10000
/** Longest sleep; signals and data end it earlier. */
#define IDLE_MS 1000

static struct {
    bool from_beginning, until_end;
    const char *group, *offset;
    int64_t count, partition;
} opt = {.partition = -1};

typedef struct consumption {
    cli_session *session;
    kc_consumer *consumer;
    cli_partitions partitions;
    bool read_committed;
    bool commits;
    bool was_assigned;
    int64_t printed, committed_us;
} consumption;

static const char *timestamp_type(kc_timestamp_type type)
{
    switch (type) {
    case KC_TIMESTAMP_CREATE:
        return "CreateTime";
    case KC_TIMESTAMP_LOG_APPEND:
        return "LogAppendTime";
    default:
        return "NoTimestampType";
    }
}

static void print_headers(kb_json_writer *json, const kc_view *view)
{
    kb_json_key_str(json, "headers");
    kb_json_array(json);
    kc_bytes pos = view->headers_raw;
    kc_header header;
    while (kc_view_header(&pos, &header)) {
        kb_json_array(json);
        kb_json_string(json, header.name);
        if (!header.value.ptr || kb_utf8_is_valid(header.value)) {
            kb_json_string(json, header.value);
        } else {
            kb_json_object(json);
            kb_json_key_str(json, "b64");
            kb_json_base64(json, header.value);
            kb_json_object_end(json);
        }
        kb_json_array_end(json);
    }
    kb_json_array_end(json);
}

static void print_record(kc_bytes topic, int32_t partition, const kc_view *view)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_string(&json, "topic", topic);
    kb_json_member_int(&json, "partition", partition);
    kb_json_member_int(&json, "offset", view->offset);
    kb_json_member_int(&json, "timestamp", view->timestamp_ms);
    kb_json_member_str(&json, "timestampType", timestamp_type(view->timestamp_type));
    cli_json_bytes(&json, "key", "key64", view->key);
    cli_json_bytes(&json, "value", "value64", view->value);
    print_headers(&json, view);
    kb_json_object_end(&json);
    cli_json_end();
}

/* ---- commits ---- */

/** Offsets not committed yet, in memory the caller frees; NULL: none. */
static kc_topic_offset *dirty_offsets(consumption *c, size_t *count_out)
{
    *count_out = 0;
    kc_topic_offset *offsets =
        kb_mem_zalloc(&c->session->mem, c->partitions.count * sizeof *offsets);
    for (size_t i = 0; offsets && i < c->partitions.count; i++) {
        cli_partition *p = &c->partitions.items[i];
        if (p->is_dirty)
            offsets[(*count_out)++] = (kc_topic_offset){.topic = p->topic,
                                                        .partition = p->partition,
                                                        .offset = p->next,
                                                        .leader_epoch = -1};
        p->is_dirty = false;
    }
    return offsets;
}

static void on_commit(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                      size_t count, void *user)
{
    consumption *c = user;
    (void)error;
    // taken by a rebalance, or tried again with the next one: what is still ours is dirty again
    for (size_t i = 0; i < count; i++) {
        if (err == KC_OK && offsets[i].err == KC_OK)
            continue;
        cli_partition *p =
            cli_partitions_find(&c->partitions, offsets[i].topic, offsets[i].partition);
        int64_t position;
        if (p && kc_consumer_position(c->consumer, p->topic, p->partition, &position) == KC_OK)
            p->is_dirty = true;
    }
}

static void commit_soon(consumption *c)
{
    kc_error err;
    size_t count;
    if (!c->commits || !cli_flush())
        return;
    kc_topic_offset *offsets = dirty_offsets(c, &count);
    if (count > 0 && kc_consumer_commit(c->consumer, offsets, count, on_commit, c, &err) != KC_OK)
        cli_fail("commit", &err);
    kb_mem_free(&c->session->mem, offsets);
    c->committed_us = kc_client_now_us(c->session->client);
}

/** The last one, waited for. */
static bool commit_now(consumption *c)
{
    kc_error err;
    size_t count;
    if (!cli_flush())
        return false;
    if (!c->commits)
        return true;
    kc_topic_offset *offsets = dirty_offsets(c, &count);
    bool is_ok =
        count == 0 || kc_consumer_commit_sync(c->consumer, offsets, count, LEAVE_MS, &err) == KC_OK;
    kb_mem_free(&c->session->mem, offsets);
    return is_ok || cli_fail("commit", &err) == CLI_OK;
}

/* ---- events of the consumer ---- */

static void on_assigned(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                        void *user)
{
    consumption *c = user;
    (void)consumer;
    c->was_assigned = true;
    for (size_t i = 0; i < count; i++) {
        cli_partition *p =
            cli_partitions_find(&c->partitions, partitions[i].topic, partitions[i].partition);
        if (p)
            p->is_done = p->is_dirty = false;
    }
}

static void on_revoked(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                       void *user)
{
    (void)consumer;
    (void)partitions;
    (void)count;
    commit_soon(user);
}

static void on_lost(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                    void *user)
{
    consumption *c = user;
    (void)consumer;
    for (size_t i = 0; i < count; i++) {
        cli_partition *p =
            cli_partitions_find(&c->partitions, partitions[i].topic, partitions[i].partition);
        if (p)
            p->is_dirty = false;
    }
}

static void on_error(kc_consumer *consumer, const kc_error *error, void *user)
{
    (void)consumer;
    (void)user;
    cli_fail("consume", error);
}

/* ---- what to read ---- */

static bool set_properties(cli_session *session)
{
    kc_error err;
    if (opt.group && kc_config_set(session->config.kafka, "group.id", opt.group, &err) != KC_OK)
        return cli_fail("--group", &err) == CLI_OK;
    if (opt.from_beginning &&
        kc_config_set(session->config.kafka, "auto.offset.reset", "earliest", &err) != KC_OK)
        return cli_fail("--from-beginning", &err) == CLI_OK;
    return true;
}

static bool check_options(void)
{
    int64_t number;
    if (opt.group && (opt.partition >= 0 || opt.offset))
        return cli_complain("kafka consume: --partition and --offset are not for a group: it "
                            "decides who reads what, from where");
    if (opt.offset && opt.from_beginning)
        return cli_complain("kafka consume: --offset or --from-beginning, not both");
    if (opt.offset && (!kb_parse_i64(kc_str(opt.offset), &number) || number < 0))
        return cli_complain("kafka consume: --offset must be a number, 0 or more, not \"%s\"",
                            opt.offset);
    return true;
}

static bool ask_ends(consumption *c)
{
    bool needs_begin = opt.offset != NULL;
    if ((opt.until_end || needs_begin) &&
        !cli_partitions_ask(&c->partitions, KC_OFFSET_END, c->read_committed))
        return false;
    return !needs_begin ||
           cli_partitions_ask(&c->partitions, KC_OFFSET_BEGINNING, c->read_committed);
}

/** Where to begin a partition read by assignment. */
static int64_t start_of(const cli_partition *p, bool is_earliest)
{
    int64_t offset;
    if (opt.offset && kb_parse_i64(kc_str(opt.offset), &offset))
        return offset < p->begin ? p->begin : offset > p->end ? p->end : offset;
    if (is_earliest)
        return KC_OFFSET_BEGINNING;
    return opt.until_end ? p->end : KC_OFFSET_END;
}

static kc_err assign_all(consumption *c, kc_error *err)
{
    const char *reset = kc_config_get(c->session->config.kafka, "auto.offset.reset");
    bool is_earliest = reset && strcmp(reset, "earliest") == 0;
    size_t count = c->partitions.count;
    kc_topic_offset *offsets = kb_arena_array(&c->session->arena, count + 1, sizeof *offsets);
    if (!offsets) {
        *err = (kc_error){.code = KC_ERR_NOMEM};
        return KC_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        const cli_partition *p = &c->partitions.items[i];
        offsets[i] = (kc_topic_offset){.topic = p->topic,
                                       .partition = p->partition,
                                       .offset = start_of(p, is_earliest),
                                       .leader_epoch = -1};
    }
    return kc_consumer_assign(c->consumer, offsets, count, err);
}

static bool start(consumption *c, const kc_bytes *topics, size_t count)
{
    kc_error err;
    if (kc_consumer_open(c->session->client, c->session->config.kafka, &c->consumer, &err) != KC_OK)
        return cli_fail("kafka consume", &err) == CLI_OK;
    kc_consumer_events events = {.on_assigned = on_assigned,
                                 .on_revoked = on_revoked,
                                 .on_lost = on_lost,
                                 .on_error = on_error,
                                 .user = c};
    kc_consumer_set_events(c->consumer, &events);
    kc_err result =
        opt.group ? kc_consumer_subscribe(c->consumer, topics, count, &err) : assign_all(c, &err);
    return result == KC_OK || cli_fail("kafka consume", &err) == CLI_OK;
}

/* ---- reading ---- */

static bool has_enough(const consumption *c)
{
    return opt.count > 0 && c->printed >= opt.count;
}

/** Print a batch. Records behind the end that was taken at the start are left out. */
static void print_batch(consumption *c, kc_batch *batch)
{
    kc_bytes topic = kc_batch_topic(batch);
    int32_t partition = kc_batch_partition(batch);
    cli_partition *p = cli_partitions_find(&c->partitions, topic, partition);
    kc_view view;
    bool is_cut = false;
    if (!p || (opt.until_end && p->is_done))
        return;
    while (!is_cut && kc_batch_read(batch, &view)) {
        is_cut = opt.until_end && p->end >= 0 && view.offset >= p->end;
        if (is_cut)
            break;
        print_record(topic, partition, &view);
        p->next = view.offset + 1;
        c->printed++;
        is_cut = has_enough(c);
    }
    if (!is_cut)
        p->next = kc_batch_next_offset(batch);
    p->is_dirty = p->next >= 0 && kc_batch_is_current(batch);
}

static void note_done(consumption *c, cli_partition *p)
{
    p->is_done = true;
    kc_topic_partition one = {p->topic, p->partition};
    kc_consumer_pause(c->consumer, &one, 1);
}

/** Has every partition that is ours come to the end taken at the start? */
static bool is_at_end(consumption *c)
{
    if (!opt.until_end || (opt.group && !c->was_assigned))
        return false;
    size_t ours = 0;
    for (size_t i = 0; i < c->partitions.count; i++) {
        cli_partition *p = &c->partitions.items[i];
        int64_t position;
        if (kc_consumer_position(c->consumer, p->topic, p->partition, &position) != KC_OK)
            continue;
        ours++;
        if (!p->is_done && position >= 0 && position >= p->end)
            note_done(c, p);
        if (!p->is_done)
            return false;
    }
    return ours > 0 || c->partitions.count == 0;
}

/** Nothing to print now: hand on what was printed, and wait. False: the client can't go on. */
static bool idle(consumption *c)
{
    cli_flush();
    if (c->commits && kc_client_now_us(c->session->client) - c->committed_us > COMMIT_INTERVAL_US)
        commit_soon(c);
    kc_err err = kc_client_dispatch(c->session->client, IDLE_MS);
    kc_error last;
    kc_client_last_error(c->session->client, &last);
    if (c->printed == 0 && last.code != KC_OK)
        cli_progress("%s", last.text);
    return err == KC_OK || err == KC_ERR_AGAIN ||
           cli_complain("kafka consume: %s", kc_err_text(err));
}

static int consume(consumption *c)
{
    kc_batch *batch;
    kc_error err;
    while (!cli_is_interrupted() && !cli_is_output_broken() && !has_enough(c)) {
        kc_err got = kc_consumer_poll(c->consumer, 0, &batch, &err);
        if (got == KC_OK) {
            print_batch(c, batch);
            kc_batch_free(batch);
            if (c->commits &&
                kc_client_now_us(c->session->client) - c->committed_us > COMMIT_INTERVAL_US)
                commit_soon(c);
        } else if (got != KC_ERR_AGAIN) {
            return cli_fail("kafka consume", &err);
        } else if (is_at_end(c)) {
            break;
        } else if (!idle(c)) {
            return CLI_ERROR;
        }
    }
    return CLI_OK;
}

static int run_on(consumption *c, const kc_bytes *topics, size_t count)
{
    if (!cli_partitions_of(c->session, topics, count, opt.partition, &c->partitions) ||
        !ask_ends(c) || !start(c, topics, count))
        return CLI_ERROR;
    cli_catch_signals(c->session);
    c->committed_us = kc_client_now_us(c->session->client);
    int code = consume(c);
    cli_progress_end();
    if (!commit_now(c))
        code = CLI_ERROR;
    return code;
}

static int run_consume(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    consumption c = {.session = session};
    if (!check_options() || !set_properties(session))
        return CLI_ERROR;
    const char *wants = kc_config_get(session->config.kafka, "enable.auto.commit");
    c.commits = opt.group && wants && strcmp(wants, "true") == 0;
    const char *isolation = kc_config_get(session->config.kafka, "isolation.level");
    c.read_committed = isolation && strcmp(isolation, "read_committed") == 0;
    kc_error err;
    // commits are made here, behind what was printed and not behind what was handed out
    if (kc_config_set(session->config.kafka, "enable.auto.commit", "false", &err) != KC_OK)
        return cli_fail("kafka consume", &err);
    kc_bytes *topics = kb_arena_array(&session->arena, words.count, sizeof *topics);
    if (!topics || !(opt.until_end ? cli_connect(session) : cli_session_open(session)))
        return CLI_ERROR;
    for (size_t i = 0; i < words.count; i++)
        topics[i] = kc_str(words.items[i]);
    int code = run_on(&c, topics, words.count);
    kc_consumer_close(c.consumer, LEAVE_MS);
    cli_partitions_cleanup(&c.partitions);
    return code;
}

static const cli_option options[] = {
    {0, "from-beginning", CLI_FLAG, &opt.from_beginning, NULL,
     "from the first record (of a group: where nothing is committed);\ndefault: what comes from "
     "now on",
     0, 0},
    {0, "until-end", CLI_FLAG, &opt.until_end, NULL,
     "stop at the end of the partitions as it was at the start", 0, 0},
    {'g', "group", CLI_TEXT, &opt.group, "NAME", "read as a member of this group, and commit", 0,
     0},
    {'n', "count", CLI_INT, &opt.count, "N", "stop after N records", 1, INT64_MAX},
    {'p', "partition", CLI_INT, &opt.partition, "P", "only this partition", 0, INT32_MAX},
    {'o', "offset", CLI_TEXT, &opt.offset, "O", "begin at this offset", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_consume_verbs[] = {
    {
        .name = "kafka consume",
        .arguments = "TOPIC...",
        .summary = "Print records as JSON lines",
        .help =
            "A line has topic, partition, offset, timestamp, timestampType, key, value, headers. "
            "Bytes "
            "that\nare not valid UTF-8 stand in base64: key64, value64, {\"b64\": ...}.\n"
            "Without --group all partitions are read and nothing is committed. SIGINT and SIGTERM "
            "end it in\norder: what was printed is committed, the group is left, the exit code is "
            "0.\n"
            "-X isolation.level=read_committed leaves out what was aborted, and --until-end then "
            "means the\nlast stable offset.",
        .options = options,
        .words_min = 1,
        .words_max = 256,
        .run = run_consume,
    },
    {.name = NULL},
};
