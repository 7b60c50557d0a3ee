/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Commands in words: a table of forms. A word of a form in capitals stands for an argument, whose name says what may
 * stand there; the last one takes the rest of the line where it ends with dots. */
#include "mock/fault_text.h"
#include "mock/mock_core.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <stdio.h>

#define COMMAND_BYTES_MAX 1024
#define ARGUMENTS_MAX     4
#define RULE_EXAMPLE      "api=Fetch,nth=3,error=NOT_LEADER_OR_FOLLOWER"

typedef struct command_argument {
    char text[COMMAND_BYTES_MAX];
    int64_t number;
} command_argument;

/** A command that was understood, and where its answer goes. */
typedef struct command {
    kc_mock *mock;
    const struct command_form *form;
    command_argument arguments[ARGUMENTS_MAX];
    kc_mock_line_fn fn;
    void *user;
    int *said; /**< lines; may be NULL */
} command;

typedef struct command_form {
    const char *form;
    const char *help;
    kc_err (*run)(const command *c, kc_error *err);
} command_form;

/** A command that waits for its time. */
typedef struct later {
    kb_list node;
    kc_mock *mock;
    kn_timer timer;
    kc_mock_line_fn fn;
    void *user;
    char text[COMMAND_BYTES_MAX];
} later;

static void KC_PRINTF(2, 3) say(const command *c, const char *fmt, ...)
{
    char line[KB_LINE_BYTES_MAX + 1];
    va_list args;
    va_start(args, fmt);
    bool is_made = kb_text_line(line, fmt, args);
    va_end(args);
    if (c->fn && is_made)
        c->fn(line, c->user);
    if (c->said)
        ++*c->said;
}

static const char *text_of(const command *c, int at)
{
    return c->arguments[at].text;
}

static int32_t number_of(const command *c, int at)
{
    return (int32_t)c->arguments[at].number;
}

/* ---- what they do ---- */

static kc_err run_brokers(const command *c, kc_error *err)
{
    (void)err;
    km_cluster *cluster = c->mock->cluster;
    for (int i = 0; i < cluster->broker_count; i++) {
        const km_broker *broker = &cluster->brokers[i];
        km_tcp_weather weather = km_tcp_server_weather(c->mock->server, broker->id);
        char link[48] = "";
        if (weather.is_cut_off)
            snprintf(link, sizeof link, ", cut off");
        else if (weather.bytes_per_second > 0)
            snprintf(link, sizeof link, ", %lld bytes/s", (long long)weather.bytes_per_second);
        say(c, "broker %d at %s:%d: %s%s, %zu connections%s", broker->id, broker->host,
            broker->port, broker->is_down ? "down" : "up", link,
            km_tcp_server_connections(c->mock->server, broker->id),
            cluster->controller == broker->id && !broker->is_down ? ", controller" : "");
    }
    return KC_OK;
}

static kc_err run_topics(const command *c, kc_error *err)
{
    (void)err;
    size_t pos = 0;
    const km_topic *topic;
    bool is_any = false;
    while ((topic = kb_map_next(&c->mock->cluster->topics, &pos)))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const km_partition *partition = topic->partitions[i];
            const km_log *log = &partition->log;
            if (topic->is_internal && log->end_offset == 0)
                continue; /* there are many */
            is_any = true;
            say(c, "%s %d: leader %d, epoch %d, offsets %lld to %lld, readable to %lld",
                topic->name, i, partition->leader, partition->leader_epoch,
                (long long)log->start_offset, (long long)log->end_offset,
                (long long)log->high_watermark);
        }
    if (!is_any)
        say(c, "no topics");
    return KC_OK;
}

static kc_err run_topic_create(const command *c, kc_error *err)
{
    int32_t partitions = text_of(c, 1)[0] ? number_of(c, 1) : -1;
    int32_t replicas = text_of(c, 2)[0] ? number_of(c, 2) : -1;
    return km_mock_topic_create(c->mock, text_of(c, 0), partitions, (int16_t)replicas, err);
}

static kc_err run_topic_delete(const command *c, kc_error *err)
{
    return km_mock_topic_delete(c->mock, text_of(c, 0), false, err);
}

static kc_err run_topic_recreate(const command *c, kc_error *err)
{
    return km_mock_topic_delete(c->mock, text_of(c, 0), true, err);
}

static kc_err move(const command *c, int32_t broker_id, kc_error *err)
{
    km_partition *partition;
    KB_TRY(km_mock_find_partition(c->mock, text_of(c, 0), number_of(c, 1), &partition, err));
    return km_mock_move(c->mock, partition, broker_id, err);
}

static kc_err run_move(const command *c, kc_error *err)
{
    return move(c, number_of(c, 2), err);
}

static kc_err run_epoch(const command *c, kc_error *err)
{
    return move(c, -1, err);
}

static kc_err move_coordinator(const command *c, kc_mock_coordinator kind, kc_error *err)
{
    km_partition *partition;
    KB_TRY(km_mock_coordinator(c->mock, kind, text_of(c, 0), &partition, err));
    return km_mock_move(c->mock, partition, number_of(c, 1), err);
}

static kc_err run_group_move(const command *c, kc_error *err)
{
    return move_coordinator(c, KC_MOCK_GROUP, err);
}

static kc_err run_transaction_move(const command *c, kc_error *err)
{
    return move_coordinator(c, KC_MOCK_TRANSACTION, err);
}

static kc_err run_down(const command *c, kc_error *err)
{
    return km_mock_broker_down(c->mock, number_of(c, 0), KC_MOCK_KEEP, err);
}

static kc_err run_down_with_loss(const command *c, kc_error *err)
{
    return km_mock_broker_down(c->mock, number_of(c, 0), KC_MOCK_LOSE, err);
}

static kc_err run_up(const command *c, kc_error *err)
{
    return km_mock_broker_up(c->mock, number_of(c, 0), err);
}

static kc_err run_cut(const command *c, kc_error *err)
{
    return km_mock_cut(c->mock, number_of(c, 0), err);
}

static kc_err set_link(const command *c, bool is_cut_off, int64_t bytes_per_second, kc_error *err)
{
    const km_tcp_weather weather = {is_cut_off, bytes_per_second};
    return km_mock_link_set(c->mock, number_of(c, 0), &weather, err);
}

static kc_err run_link_on(const command *c, kc_error *err)
{
    return set_link(c, false, 0, err);
}

static kc_err run_link_off(const command *c, kc_error *err)
{
    return set_link(c, true, 0, err);
}

static kc_err run_link_slow(const command *c, kc_error *err)
{
    return set_link(c, false, c->arguments[1].number, err);
}

static kc_err run_fault(const command *c, kc_error *err)
{
    km_fault fault;
    uint32_t number;
    KB_TRY(km_fault_parse(kc_str(text_of(c, 0)), &fault, err));
    KB_TRY(km_mock_fault_add(c->mock, &fault, NULL, NULL, text_of(c, 0), &number, err));
    say(c, "fault %u: %s", (unsigned)number, text_of(c, 0));
    return KC_OK;
}

static kc_err run_fault_remove(const command *c, kc_error *err)
{
    return km_mock_fault_remove(c->mock, (uint32_t)number_of(c, 0), err);
}

static kc_err run_fault_clear(const command *c, kc_error *err)
{
    (void)err;
    km_mock_fault_clear(c->mock);
    return KC_OK;
}

static kc_err run_faults(const command *c, kc_error *err)
{
    (void)err;
    bool is_any = false;
    KB_LIST_FOR (node, &c->mock->rules) {
        const km_mock_rule *rule = KB_CONTAINER(node, km_mock_rule, node);
        if (rule->is_removed)
            continue;
        is_any = true;
        say(c, "fault %u: %s: met %u requests", (unsigned)rule->number,
            rule->text[0] ? rule->text : "(of the program)",
            (unsigned)km_fault_hits(c->mock->cluster, rule->number));
    }
    if (!is_any)
        say(c, "no faults");
    return KC_OK;
}

static kc_err run_echo(const command *c, kc_error *err)
{
    (void)err;
    say(c, "%s", text_of(c, 0));
    return KC_OK;
}

static kc_err run_at(const command *c, kc_error *err);
static kc_err run_help(const command *c, kc_error *err);

static const command_form forms[] = {
    {"help", "this list", run_help},
    {"brokers", "where they are, and how", run_brokers},
    {"topics", "partitions with their leaders and offsets", run_topics},
    {"topic create NAME", "", run_topic_create},
    {"topic create NAME PARTITIONS", "", run_topic_create},
    {"topic create NAME PARTITIONS REPLICAS", "", run_topic_create},
    {"topic delete NAME", "", run_topic_delete},
    {"topic recreate NAME", "empty, with another id", run_topic_recreate},
    {"move NAME PARTITION to BROKER", "another leader", run_move},
    {"epoch NAME PARTITION", "the same leader, the next epoch", run_epoch},
    {"coordinator group KEY to BROKER", "", run_group_move},
    {"coordinator transaction KEY to BROKER", "", run_transaction_move},
    {"broker BROKER down", "its connections are reset, new ones refused", run_down},
    {"broker BROKER down with loss", "and what its replicas have not got is gone",
     run_down_with_loss},
    {"broker BROKER up", "", run_up},
    {"cut BROKERS", "reset connections; BROKERS is one number, or all", run_cut},
    {"link BROKERS off", "nothing moves, nothing is closed", run_link_off},
    {"link BROKERS slow BYTES", "so many bytes a second, each way", run_link_slow},
    {"link BROKERS on", "", run_link_on},
    {"fault RULE...", "a new rule; the oldest that fits a request is used", run_fault},
    {"fault remove NUMBER", "", run_fault_remove},
    {"fault clear", "remove all", run_fault_clear},
    {"faults", "the rules, and how many requests they met", run_faults},
    {"at TIME COMMAND...", "later, as 5s or 250ms from now", run_at},
    {"echo TEXT...", "say it: what was asked before is answered by then", run_echo},
};

static kc_err run_help(const command *c, kc_error *err)
{
    (void)err;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        say(c, "%-38s %s", forms[i].form, forms[i].help);
    say(c, "A RULE is a list of these, each once, as " RULE_EXAMPLE ":");
    for (const char *const *line = km_fault_help; *line; line++)
        say(c, "  %s", *line);
    return KC_OK;
}

/* ---- understanding ---- */

/** Take the next word off the front; false: none is left. */
static bool next_word(kc_bytes *rest, kc_bytes *word)
{
    *rest = kb_text_trim(*rest);
    return kb_text_split(rest, ' ', word) && word->len > 0;
}

static bool is_argument(kc_bytes word)
{
    return word.ptr[0] >= 'A' && word.ptr[0] <= 'Z';
}

/** Arguments that are numbers. */
typedef struct number_range {
    const char *name;
    int32_t min, max; /**< max 0: the number of brokers, -1: none */
} number_range;

static const number_range ranges[] = {
    {"BROKER", 1, 0},
    {"BROKERS", 1, 0},
    {"PARTITION", 0, -1},
    {"PARTITIONS", 1, 100000},
    {"REPLICAS", 1, KM_REPLICAS_MAX},
    {"NUMBER", 1, -1},
    {"BYTES", 1, 1000000000},
};

/** How far a form fits the words of a line. */
typedef struct fitting {
    const command_form *form;
    int words;         /**< so many of them                                     */
    int literals;      /**< of them so many before the first argument           */
    bool is_whole;     /**< all of both                                         */
    kc_bytes wrong;    /**< what stands in place of what is expected            */
    char expected[64]; /**< empty: nothing                                      */
} fitting;

static bool take_number(const number_range *range, kc_bytes value, int32_t broker_count,
                        int64_t *number_out, fitting *found)
{
    int32_t max = range->max > 0 ? range->max : INT32_MAX;
    char end[16] = "";
    if (kb_parse_i64(value, number_out) && *number_out >= range->min && *number_out <= max)
        return true;
    if (range->max >= 0)
        snprintf(end, sizeof end, " to %d", range->max > 0 ? range->max : broker_count);
    snprintf(found->expected, sizeof found->expected, "a number from %d%s%s", range->min, end,
             strcmp(range->name, "BROKERS") == 0 ? ", or all" : "");
    return false;
}

/** May `value` stand for the argument `name`? False: what is expected is told. */
static bool take_argument(kc_bytes name, kc_bytes value, const kc_mock *mock, command_argument *to,
                          fitting *found)
{
    snprintf(to->text, sizeof to->text, KC_FMT, KC_ARG(value));
    if (kb_text_is(name, "TIME") && !km_text_duration(value, false, &to->number)) {
        snprintf(found->expected, sizeof found->expected, "a time as 250ms, 5s, 2m or 1h");
        return false;
    }
    if (kb_text_is(name, "BROKERS") && kb_text_is(value, "all"))
        return true;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (kb_text_is(name, ranges[i].name))
            return take_number(&ranges[i], value, mock->cluster->broker_count, &to->number, found);
    return true;
}

static fitting fit(const command_form *form, kc_bytes line, command *c)
{
    fitting found = {.form = form};
    command_argument *argument = c->arguments;
    kc_bytes words = kc_str(form->form), word, value;
    memset(c->arguments, 0, sizeof c->arguments);
    for (; next_word(&words, &word); found.words++) {
        bool takes_rest = word.ptr[word.len - 1] == '.';
        value = kb_text_trim(line);
        if (takes_rest)
            line = KC_NULL;
        if (takes_rest ? value.len == 0 : !next_word(&line, &value))
            return found;
        if (!is_argument(word) && !kc_bytes_equal(word, value))
            return found;
        found.literals += argument == c->arguments && !is_argument(word);
        found.wrong = value;
        if (is_argument(word) && !take_argument(word, value, c->mock, argument++, &found))
            return found;
    }
    found.is_whole = !next_word(&line, &value);
    return found;
}

/** Do the forms begin with the same so many words? */
static bool begin_alike(const char *a, const char *b, int count)
{
    kc_bytes rest_a = kc_str(a), rest_b = kc_str(b), word_a, word_b;
    for (int i = 0; i < count; i++)
        if (!next_word(&rest_a, &word_a) || !next_word(&rest_b, &word_b) ||
            !kc_bytes_equal(word_a, word_b))
            return false;
    return true;
}

/** All forms of the command that was meant, and what their arguments look like. */
static kc_err complain_of_form(const fitting *best, kc_error *err)
{
    char list[200] = "";
    size_t len = 0;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && len < sizeof list; i++)
        if (begin_alike(forms[i].form, best->form->form, best->literals))
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len > 0 ? ", or " : "",
                                    forms[i].form);
    if (len < sizeof list && strstr(list, "RULE"))
        len += (size_t)snprintf(list + len, sizeof list - len, "; a RULE as " RULE_EXAMPLE);
    if (len < sizeof list && strstr(list, "BROKERS"))
        snprintf(list + len, sizeof list - len, "; BROKERS is one number, or all");
    return kb_error_set(err, KC_ERR_ARGUMENT, "needs: %s", list);
}

static kc_err complain(const fitting *best, kc_error *err)
{
    char wrong[64];
    kb_text_printable(wrong, sizeof wrong, best->wrong);
    if (best->words == 0)
        return kb_error_set(err, KC_ERR_ARGUMENT, "there is no such command: \"help\" lists them");
    if (best->expected[0])
        return kb_error_set(err, KC_ERR_ARGUMENT, "%s: needs %s, not \"%s\"", best->form->form,
                            best->expected, wrong);
    return complain_of_form(best, err);
}

static kc_err understand(kc_bytes line, command *c, kc_error *err);

/** What can be wrong inside of an argument. */
static kc_err check(const command *c, kc_error *err)
{
    if (c->form->run == run_fault) {
        km_fault fault;
        return km_fault_parse(kc_str(text_of(c, 0)), &fault, err);
    }
    if (c->form->run == run_at) {
        command rest = {.mock = c->mock};
        KB_TRY(understand(kc_str(text_of(c, 1)), &rest, err));
        if (rest.form->run == run_at)
            return kb_error_set(err, KC_ERR_ARGUMENT, "at: one time is enough");
    }
    return KC_OK;
}

static kc_err understand(kc_bytes line, command *c, kc_error *err)
{
    fitting best = {.words = -1}, whole = {.literals = -1};
    c->form = &forms[0];
    if (line.len >= COMMAND_BYTES_MAX)
        return kb_error_set(err, KC_ERR_ARGUMENT, "longer than %d bytes", COMMAND_BYTES_MAX - 1);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        fitting found = fit(&forms[i], line, c);
        if (found.is_whole && found.literals > whole.literals)
            whole = found;
        if (found.words > best.words ||
            (found.words == best.words &&
             (found.literals > best.literals || (found.expected[0] && !best.expected[0]))))
            best = found;
    }
    /* "fault remove x" is no rule. */
    if (whole.is_whole && whole.literals >= best.literals) {
        c->form = fit(whole.form, line, c).form;
        return check(c, err);
    }
    return complain(&best, err);
}

/* ---- doing ---- */

static bool is_nothing(kc_bytes line)
{
    line = kb_text_trim(line);
    return line.len == 0 || line.ptr[0] == '#';
}

static void later_free(later *gone)
{
    kn_timer_stop(gone->mock->loop, &gone->timer);
    kb_list_remove(&gone->node);
    kb_mem_free(&gone->mock->mem, gone);
}

void km_mock_later_free(kc_mock *mock)
{
    KB_LIST_FOR (node, &mock->later) {
        later_free(KB_CONTAINER(node, later, node));
    }
}

/** In a turn. */
static void on_time(kn_timer *timer)
{
    later *due = timer->user;
    kc_mock *mock = due->mock;
    kc_error err;
    int said = 0;
    command c = {.mock = mock, .fn = due->fn, .user = due->user, .said = &said};
    mock->cluster->now_us = kn_loop_now_us(mock->loop);
    mock->cluster->wall_ms = kn_loop_wall_ms(mock->loop);
    kc_err failed = understand(kc_str(due->text), &c, &err);
    if (!failed)
        failed = c.form->run(&c, &err);
    if (failed)
        say(&c, "%s: %s", due->text, err.text);
    else if (said == 0)
        say(&c, "%s: done", due->text);
    km_tcp_server_settle(mock->server);
    later_free(due);
}

static kc_err run_at(const command *c, kc_error *err)
{
    kc_mock *mock = c->mock;
    later *added = kb_mem_zalloc(&mock->mem, sizeof *added);
    if (!added)
        return kb_error_code(err, KC_ERR_NOMEM);
    added->mock = mock;
    added->fn = c->fn;
    added->user = c->user;
    added->timer.fn = on_time;
    added->timer.user = added;
    snprintf(added->text, sizeof added->text, "%s", text_of(c, 1));
    kb_list_push_back(&mock->later, &added->node);
    return kn_timer_set(mock->loop, &added->timer,
                        kn_loop_now_us(mock->loop) + c->arguments[0].number);
}

kc_err kc_mock_command(kc_mock *mock, const char *text, kc_mock_line_fn fn, void *user,
                       kc_error *err)
{
    command c = {.mock = mock, .fn = fn, .user = user};
    if (is_nothing(kc_str(text)))
        return KC_OK;
    KB_TRY(understand(kc_str(text), &c, err));
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, c.form->run(&c, err));
}
