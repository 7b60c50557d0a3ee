/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow send: one event, or one for each JSON line. */
#define _GNU_SOURCE // O_CLOEXEC
#include "officeflow/cli/lines.h"
#include "officeflow/cli/verbs.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <kafkac/unstable/errors.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define ROOM_WAIT_MS 100

static struct {
    const char *org, *payload, *file, *key, *correlation, *causation, *source, *mode;
    cli_list meta;
    bool as_json;
} opt = {.mode = "envelope"};

typedef struct sending {
    cli_session *session;
    of_producer *producer;
    of_event event; /* without payload */
    uint64_t accepted, acknowledged, failed;
    bool has_lines;
} sending;

static void tell(const sending *s, uint64_t line, const char *reason)
{
    if (s->has_lines)
        cli_note("line %llu: %s", (unsigned long long)line, reason);
    else
        cli_complain("send: %s", reason);
}

/** An answer finds its line again by this. */
typedef struct sent_line {
    sending *sending;
    uint64_t number;
} sent_line;

static void print_sent(const of_sent *sent)
{
    if (!opt.as_json) {
        cli_printf("sent " KC_FMT "  correlation " KC_FMT "  " KC_FMT "/%d@%lld\n",
                   KC_ARG(sent->id), KC_ARG(sent->correlation_id), KC_ARG(sent->topic),
                   sent->partition, (long long)sent->offset);
        return;
    }
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_string(&json, "id", sent->id);
    kb_json_member_string(&json, "correlationId", sent->correlation_id);
    kb_json_member_string(&json, "topic", sent->topic);
    kb_json_member_int(&json, "partition", sent->partition);
    kb_json_member_int(&json, "offset", sent->offset);
    kb_json_object_end(&json);
    cli_json_end();
}

static void on_sent(const of_sent *sent, void *user)
{
    sent_line *line = user;
    sending *s = line->sending;
    if (sent->err != KC_OK) {
        tell(s, line->number, sent->error->text);
        s->failed++;
    } else {
        s->acknowledged++;
        print_sent(sent);
    }
    kb_mem_free(&s->session->mem, line);
}

/** {"source": ..., "employeeId": ...} of --meta and --source; null slice: none. False: said. */
static bool make_metadata(cli_session *session, kb_buf *buf, kc_bytes *out)
{
    kb_json_writer json;
    kb_json_writer_init(&json, buf);
    *out = KC_NULL;
    if (opt.meta.count == 0)
        return true;
    kb_json_object(&json);
    for (size_t i = 0; i < opt.meta.count; i++) {
        const char *pair = opt.meta.items[i], *equals = strchr(pair, '=');
        if (!equals || equals == pair)
            return cli_complain("send: --meta needs NAME=VALUE, not \"%s\"", pair);
        kb_json_key(&json, kc_span(pair, (size_t)(equals - pair)));
        kb_json_str(&json, equals + 1);
    }
    kb_json_object_end(&json);
    *out = kb_arena_copy(&session->arena, kb_buf_bytes(buf));
    return (buf->err == KC_OK && out->ptr) || cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
}

/** Send; while there is no room, let what is under way arrive. */
static kc_err send_event(sending *s, const of_event *event, sent_line *line, kc_error *err)
{
    for (;;) {
        kc_err result = of_producer_send(s->producer, event, on_sent, line, err);
        if (result != KC_ERR_BUFFER_FULL)
            return result;
        cli_watch_standstill(s->session, s->acknowledged + s->failed);
        kc_err turned = kc_client_dispatch(s->session->client, ROOM_WAIT_MS);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            return kb_error_code(err, turned);
    }
}

static void send_payload(sending *s, uint64_t number, kc_bytes payload)
{
    kc_error err;
    of_event event = s->event;
    event.payload = payload;
    sent_line *line = kb_mem_zalloc(&s->session->mem, sizeof *line);
    kc_err result = KC_ERR_NOMEM;
    if (line) {
        *line = (sent_line){.sending = s, .number = number};
        result = send_event(s, &event, line, &err);
    } else {
        kb_error_code(&err, KC_ERR_NOMEM);
    }
    if (result == KC_OK) {
        s->accepted++;
        return;
    }
    tell(s, number, err.text);
    s->failed++;
    kb_mem_free(&s->session->mem, line);
}

static bool send_lines(sending *s, int fd)
{
    cli_lines lines;
    kc_bytes text;
    cli_line got;
    s->has_lines = true;
    cli_lines_init(&lines, &s->session->mem, s->session->client, fd);
    while ((got = cli_lines_next(&lines, &text)) <= CLI_LINE_TOO_LONG) {
        if (got == CLI_LINE_OK) {
            send_payload(s, lines.number, text);
        } else {
            tell(s, lines.number, "longer than 64 MiB");
            s->failed++;
        }
        if (lines.number % 256 == 0)
            (void)cli_flush();
    }
    cli_lines_cleanup(&lines);
    return got == CLI_LINE_END;
}

/** A file is one payload, or, when it is no JSON as a whole, one in each line. */
static bool send_file(sending *s, const char *path)
{
    if (strcmp(path, "-") == 0)
        return send_lines(s, STDIN_FILENO);
    kb_buf buf;
    kb_arena scratch;
    kb_buf_init(&buf, &s->session->mem, CLI_LINE_BYTES_MAX);
    kb_arena_init(&scratch, &s->session->mem, 0);
    bool is_ok = cli_read_file(path, &buf);
    bool is_one = is_ok && (strcmp(opt.mode, "ce-binary") == 0 ||
                            kb_json_check(kb_buf_bytes(&buf), false, &scratch, NULL) == KC_OK);
    if (is_one)
        send_payload(s, 0, kb_text_trim(kb_buf_bytes(&buf)));
    kb_arena_cleanup(&scratch);
    kb_buf_cleanup(&buf);
    if (!is_ok || is_one)
        return is_ok;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_complain("%s: %s", path, strerror(errno));
    is_ok = send_lines(s, fd);
    close(fd);
    return is_ok;
}

static int send_all(sending *s)
{
    kc_error err;
    bool is_ok = true;
    if (opt.file)
        is_ok = send_file(s, opt.file);
    else
        send_payload(s, 0, kc_str(opt.payload ? opt.payload : "{}"));
    while (of_producer_flush(s->producer, 1000) == KC_ERR_TIMEOUT) {
        kc_client_last_error(s->session->client, &err);
        cli_watch_standstill(s->session, s->acknowledged + s->failed);
        cli_progress("waiting for the brokers%s%s", err.code != KC_OK ? ": " : "",
                     err.code != KC_OK ? err.text : "");
    }
    if (!is_ok)
        return CLI_ERROR;
    if (s->failed > 0 || s->acknowledged < s->accepted)
        return s->has_lines ? CLI_PARTIAL : CLI_ERROR;
    return CLI_OK;
}

/** Events for a topic that is not there would wait for minutes; better say at once what to do. */
static bool has_topic(cli_session *session, const char *type)
{
    kc_error err;
    of_topic_spec spec;
    const char *name = opt.org ? kb_arena_printf(&session->arena, "%s.%s", type, opt.org) : NULL;
    bool is_per_org = name && of_catalogue_find(kc_str(name), &spec) && spec.is_template;
    kc_bytes topic = kc_str(is_per_org ? name : type);
    if (!of_catalogue_find(topic, &spec))
        return true; // what is wrong with it, the producer says
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_topics(session->client, &topic, 1, NULL, kc_admin_waiter_fn,
                                              &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "send", &err);
    if (!result)
        return false;
    const kc_cluster_info *cluster = kc_admin_cluster(result);
    bool is_there =
        cluster->topic_count == 1 && cluster->topics[0].err != KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    kc_admin_free(result);
    if (is_there)
        return true;
    return is_per_org ? cli_complain("send: topic " KC_FMT " does not exist: run officeflow org "
                                     "create %s",
                                     KC_ARG(topic), opt.org)
                      : cli_complain("send: topic " KC_FMT " does not exist: run officeflow "
                                     "setup-topics",
                                     KC_ARG(topic));
}

static of_wire_mode wire_mode(void)
{
    if (strcmp(opt.mode, "ce-structured") == 0)
        return OF_WIRE_CE_STRUCTURED;
    return strcmp(opt.mode, "ce-binary") == 0 ? OF_WIRE_CE_BINARY : OF_WIRE_ENVELOPE;
}

static int run_send(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    kc_error err;
    sending s = {.session = session};
    if (opt.payload && opt.file) {
        cli_complain("send: --payload or --file, not both");
        return CLI_ERROR;
    }
    s.event = (of_event){.type = kc_str(words.items[0]),
                         .organization_id = kc_str(opt.org),
                         .correlation_id = kc_str(opt.correlation),
                         .causation_id = kc_str(opt.causation),
                         .source = kc_str(opt.source),
                         .key = kc_str(opt.key)};
    kb_buf buf;
    kb_buf_init(&buf, &session->mem, 0);
    bool is_ok = make_metadata(session, &buf, &s.event.metadata);
    kb_buf_cleanup(&buf);
    if (!is_ok || !cli_connect(session) || !has_topic(session, words.items[0]))
        return CLI_ERROR;
    of_producer_options options = {.mode = wire_mode()};
    if (of_producer_open(session->platform, &options, &s.producer, &err) != KC_OK)
        return cli_fail("send", &err);
    cli_catch_signals(session);
    int code = send_all(&s);
    of_producer_close(s.producer);
    return code;
}

static const cli_option options[] = {
    {0, "org", CLI_TEXT, &opt.org, "ORG", "organizationId; required for employee.* types", 0, 0},
    {'m', "meta", CLI_LIST, &opt.meta, "NAME=VALUE",
     "a member of the metadata, such as employeeId=emp-456 (several)", 0, 0},
    {'p', "payload", CLI_TEXT, &opt.payload, "JSON", "the payload; default {}", 0, 0},
    {'f', "file", CLI_TEXT, &opt.file, "FILE",
     "the payload from a file; where that is no JSON as a whole, and from\n- (standard input), an "
     "event "
     "for each line",
     0, 0},
    {'k', "key", CLI_TEXT, &opt.key, "KEY", "record key; default: by the type's rule", 0, 0},
    {0, "source", CLI_TEXT, &opt.source, "NAME", "metadata.source; default: the client id", 0, 0},
    {0, "correlation", CLI_TEXT, &opt.correlation, "ID", "correlation id; default: a new one", 0,
     0},
    {0, "causation", CLI_TEXT, &opt.causation, "ID", "id of the event that caused this one", 0, 0},
    {0, "mode", CLI_CHOICE, &opt.mode, "envelope|ce-structured|ce-binary",
     "form on the wire; default envelope", 0, 0},
    {0, "json", CLI_FLAG, &opt.as_json, NULL, "print JSON lines", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_send_verbs[] = {
    {
        .name = "send",
        .arguments = "TYPE",
        .summary = "Send an event, or one for each JSON line",
        .help = "Prints id, correlation id and where it lies of each acknowledged event. A line "
                "that is "
                "wrong, or\nwhose event failed, is told as \"line N: reason\"; the rest goes on, "
                "and the "
                "exit code is 3.\n\n"
                "  officeflow send employee.onboard --org org-123 --meta employeeId=emp-456 \\\n"
                "      --meta source=hrms-adapter --payload '{\"name\": \"John Doe\"}'",
        .options = options,
        .words_min = 1,
        .words_max = 1,
        .run = run_send,
    },
    {.name = NULL},
};
