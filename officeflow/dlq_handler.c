/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The DLQ handler's life. Nothing of it blocks but its close: all work is done in dispatch, from
 * one timer that is set to the next thing to do. */
#include "officeflow/catalogue.h"
#include "officeflow/dlq_handler_core.h"
#include "protocol/base/error.h"

#define ADMIN_TIMEOUT_MS  30000
#define START_WAIT_MS     1000
#define START_WAIT_MAX_MS 30000
#define LOAD_POLL_MS      50LL
/* new DLQ topics are looked for, and the group told that this member lives, this often */
#define LOOK_MS              30000LL
#define POLL_MAX_TEXT        "300000"
#define STATE_PARTITIONS_MAX 1024

void of_dlq_options_init(of_dlq_options *options)
{
    *options = (of_dlq_options){.canary_above = 10, .redrive_rate = 50.0};
}

void of_dlq_stats_get(const of_dlq_handler *handler, of_dlq_stats *stats_out)
{
    *stats_out = handler->stats;
}

void of_dlq_notice_error(of_dlq_handler *handler, const kc_error *error, const char *reason)
{
    if (handler->options.on_notice && !handler->is_closed)
        handler->options.on_notice(
            &(of_dlq_notice){.kind = OF_DLQ_ERROR, .reason = reason, .error = error},
            handler->options.user);
}

void of_dlq_notice_letter(of_dlq_handler *handler, enum of_dlq_notice_kind kind,
                          const of_dead_letter *letter, const char *reason, int64_t due_ms)
{
    if (handler->options.on_notice && !handler->is_closed)
        handler->options.on_notice(
            &(of_dlq_notice){.kind = kind, .letter = letter, .reason = reason, .due_ms = due_ms},
            handler->options.user);
}

void of_dlq_wake(of_dlq_handler *handler)
{
    if (!handler->is_closed)
        kc_timer_set(handler->timer, 0);
}

/* ---- start ---- */

static void start_failed(of_dlq_handler *handler, const kc_error *error)
{
    handler->phase = OF_DLQ_IDLE;
    handler->start_again_us = of_dlq_now_us(handler) + handler->start_wait_ms * 1000;
    handler->start_wait_ms = 2 * handler->start_wait_ms < START_WAIT_MAX_MS
                                 ? 2 * handler->start_wait_ms
                                 : START_WAIT_MAX_MS;
    of_dlq_notice_error(handler, error, "starting is tried again");
    of_dlq_wake(handler);
}

static void free_handler(of_dlq_handler *handler)
{
    kb_mem mem = handler->mem;
    kb_mem_free(&mem, handler);
}

/** True when the handler was closed meanwhile; the last answer frees it. */
static bool answer_is_late(of_dlq_handler *handler)
{
    handler->calls--;
    if (!handler->is_closed)
        return handler->is_stopping;
    if (handler->calls == 0)
        free_handler(handler);
    return true;
}

/** The failure of an admin call; code KC_OK: none. */
static kc_error failure_of(const kc_admin_result *result)
{
    kc_error error = {0};
    if (!result)
        kb_error_code(&error, KC_ERR_NOMEM);
    else
        error = *kc_admin_error(result);
    return error;
}

static kc_err load(of_dlq_handler *handler, kc_error *err)
{
    kc_topic_offset *places =
        kb_mem_alloc(&handler->mem, (handler->end_count + 1) * sizeof *places);
    if (!places)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < handler->end_count; i++) {
        places[i] = handler->ends[i];
        places[i].offset = KC_OFFSET_BEGINNING;
    }
    kc_err result = kc_consumer_assign(handler->states, places, handler->end_count, err);
    kb_mem_free(&handler->mem, places);
    return result;
}

static void on_ends(kc_admin_result *result, void *user)
{
    of_dlq_handler *handler = user;
    if (answer_is_late(handler)) {
        kc_admin_free(result);
        return;
    }
    size_t count = 0;
    kc_error error = failure_of(result);
    const kc_topic_offset *ends = error.code == KC_OK ? kc_admin_offsets(result, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (ends[i].err != KC_OK)
            kb_error_set(&error, ends[i].err, "The end of " OF_STATE_TOPIC "/%d is not known: %s.",
                         ends[i].partition, kc_err_name(ends[i].err));
        else if (ends[i].partition >= 0 && (size_t)ends[i].partition < handler->end_count)
            handler->ends[ends[i].partition].offset = ends[i].offset;
    }
    kc_admin_free(result);
    if (error.code == KC_OK && load(handler, &error) == KC_OK)
        handler->phase = OF_DLQ_LOADING;
    if (error.code != KC_OK)
        start_failed(handler, &error);
    else
        of_dlq_wake(handler);
}

static kc_err ask_ends(of_dlq_handler *handler, size_t partitions, kc_error *err)
{
    kb_mem_free(&handler->mem, handler->ends);
    handler->ends = kb_mem_alloc(&handler->mem, partitions * sizeof *handler->ends);
    handler->end_count = handler->ends ? partitions : 0;
    if (!handler->ends)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < partitions; i++)
        handler->ends[i] = (kc_topic_offset){.topic = KC_STR(OF_STATE_TOPIC),
                                             .partition = (int32_t)i,
                                             .offset = KC_OFFSET_END,
                                             .leader_epoch = -1};
    kc_admin_options options = of_admin_timeout(ADMIN_TIMEOUT_MS);
    handler->phase = OF_DLQ_ASKING_ENDS;
    kc_err result = kc_admin_list_offsets(handler->platform->client, handler->ends, partitions,
                                          false, &options, on_ends, handler, err);
    handler->calls += result == KC_OK ? 1 : 0;
    return result;
}

static void on_described(kc_admin_result *result, void *user)
{
    of_dlq_handler *handler = user;
    if (answer_is_late(handler)) {
        kc_admin_free(result);
        return;
    }
    kc_error error = failure_of(result);
    const kc_cluster_info *cluster = error.code == KC_OK ? kc_admin_cluster(result) : NULL;
    size_t partitions = cluster && cluster->topic_count > 0 && cluster->topics[0].err == KC_OK
                            ? cluster->topics[0].partition_count
                            : 0;
    if (cluster && (partitions == 0 || partitions > STATE_PARTITIONS_MAX))
        kb_error_set(&error, KC_ERR_NOT_FOUND,
                     "Topic " OF_STATE_TOPIC " is not there: run officeflow setup-topics.");
    kc_admin_free(result);
    if (error.code == KC_OK)
        (void)ask_ends(handler, partitions, &error);
    if (error.code != KC_OK)
        start_failed(handler, &error);
}

static kc_err describe(of_dlq_handler *handler, kc_error *err)
{
    kc_bytes name = KC_STR(OF_STATE_TOPIC);
    kc_admin_options options = of_admin_timeout(ADMIN_TIMEOUT_MS);
    handler->phase = OF_DLQ_DESCRIBING;
    kc_err result = kc_admin_describe_topics(handler->platform->client, &name, 1, &options,
                                             on_described, handler, err);
    handler->calls += result == KC_OK ? 1 : 0;
    return result;
}

static void on_prepared(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                        void *user)
{
    (void)partition;
    (void)offset;
    of_dlq_handler *handler = user;
    kc_error local;
    handler->writes--;
    if (handler->is_closed || handler->is_stopping) {
        of_dlq_wake(handler);
        return;
    }
    if (err == KC_OK) {
        error = &local;
        err = describe(handler, &local);
    }
    if (err != KC_OK)
        start_failed(handler, error);
}

/** The state topic is made sure of first, by the way of every write. */
static kc_err prepare(of_dlq_handler *handler, kc_error *err)
{
    handler->phase = OF_DLQ_PREPARING;
    handler->start_again_us = 0;
    kc_err result = of_outbox_prepare(handler->outbox, on_prepared, handler, err);
    handler->writes += result == KC_OK ? 1 : 0;
    return result;
}

static bool match_dlq(kc_bytes topic, void *user)
{
    (void)user;
    return of_pattern_match(KC_STR(OF_DLQ_PREFIX "**"), topic);
}

static void run(of_dlq_handler *handler)
{
    kc_error error;
    kb_mem_free(&handler->mem, handler->ends);
    handler->ends = NULL;
    handler->end_count = 0;
    if (kc_consumer_subscribe_match(handler->letters, match_dlq, handler, &error) != KC_OK) {
        start_failed(handler, &error);
        return;
    }
    handler->phase = OF_DLQ_RUNNING;
    handler->look_us = of_dlq_now_us(handler) + LOOK_MS * 1000;
}

/* ---- the turn ---- */

static void stopped(of_dlq_handler *handler)
{
    handler->phase = OF_DLQ_STOPPED;
    kc_consumer_unsubscribe(handler->letters);
    kc_consumer_unsubscribe(handler->states);
}

/** Stopping: first what is being written, then what was done is committed. */
static int64_t stop_step(of_dlq_handler *handler)
{
    if (handler->phase == OF_DLQ_STOPPED)
        return INT64_MAX;
    if (of_dlq_now_us(handler) >= handler->stop_deadline_us) {
        stopped(handler);
    } else if (handler->phase == OF_DLQ_COMMITTING) {
        if (!handler->is_committing)
            stopped(handler);
    } else if (handler->writes > 0 || handler->is_committing) {
        handler->phase = OF_DLQ_DRAINING;
    } else {
        handler->phase = OF_DLQ_COMMITTING;
        if (!of_dlq_commit(handler))
            stopped(handler);
    }
    return handler->phase == OF_DLQ_STOPPED ? INT64_MAX : handler->stop_deadline_us;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t run_step(of_dlq_handler *handler)
{
    int64_t now = of_dlq_now_us(handler);
    bool has_more = of_dlq_take(handler);
    if (handler->is_stopping) // reading can't go on
        return now;
    int64_t next = of_dlq_serve(handler);
    if (now >= handler->look_us) {
        handler->look_us = now + LOOK_MS * 1000;
        kc_consumer_refresh_topics(handler->letters);
    }
    if (of_dlq_has_to_commit(handler)) {
        if (now >= handler->commit_us)
            (void)of_dlq_commit(handler);
        next = least(next, handler->commit_us);
    }
    if (handler->take_again_us > 0)
        next = least(next, handler->take_again_us);
    return has_more ? now : least(next, handler->look_us);
}

static int64_t start_step(of_dlq_handler *handler)
{
    kc_error error;
    int64_t now = of_dlq_now_us(handler);
    if (handler->phase == OF_DLQ_LOADING) {
        of_dlq_view_read(handler);
        if (!of_dlq_view_is_loaded(handler))
            return now + LOAD_POLL_MS * 1000;
        run(handler);
        return now;
    }
    if (handler->phase != OF_DLQ_IDLE || handler->start_again_us == 0)
        return INT64_MAX; // an answer is awaited
    if (now < handler->start_again_us)
        return handler->start_again_us;
    if (prepare(handler, &error) != KC_OK)
        start_failed(handler, &error);
    return INT64_MAX;
}

static void turn(void *user)
{
    of_dlq_handler *handler = user;
    int64_t next;
    if (handler->is_stopping)
        next = stop_step(handler);
    else if (handler->phase == OF_DLQ_RUNNING)
        next = run_step(handler);
    else
        next = start_step(handler);
    if (handler->is_stopping && handler->phase < OF_DLQ_DRAINING)
        next = 0; // asked to stop in this turn
    int64_t now = of_dlq_now_us(handler);
    if (next < INT64_MAX)
        kc_timer_set(handler->timer, next > now ? (next - now + 999) / 1000 : 0);
}

/* ---- open and close ---- */

static void abandon(of_part *part)
{
    of_dlq_handler *handler = KB_CONTAINER(part, of_dlq_handler, part);
    handler->is_closed = true;
    kc_timer_free(handler->timer);
    of_outbox_free(handler->outbox); // letters being written end here
    kc_batch_free(handler->batch);
    handler->batch = NULL;
    kc_consumer_close(handler->letters, 0);
    kc_consumer_close(handler->states, 0);
    of_dlq_drop_all(handler);
    of_dlq_free_causes(handler);
    of_dlq_view_free(handler);
    kb_map_cleanup(&handler->parked);
    kb_arena_cleanup(&handler->scratch);
    kb_mem_free(&handler->mem, handler->ends);
    if (handler->calls == 0)
        free_handler(handler);
}

static kc_err set_all(kc_config *config, const char *const (*values)[2], size_t count,
                      kc_error *err)
{
    for (size_t i = 0; i < count; i++)
        KB_TRY(kc_config_set(config, values[i][0], values[i][1], err));
    return KC_OK;
}

static kc_err open_consumers(of_dlq_handler *handler, kc_error *err)
{
    static const char *const both[][2] = {{"auto.offset.reset", "earliest"},
                                          {"enable.auto.commit", "false"}};
    static const char *const of_letters[][2] = {{"group.id", OF_DLQ_GROUP},
                                                {"max.poll.interval.ms", POLL_MAX_TEXT}};
    kc_config *config = kc_config_copy(handler->platform->config.kafka);
    if (!config)
        return kb_error_code(err, KC_ERR_NOMEM);
    kc_client *client = handler->platform->client;
    kc_err result = set_all(config, both, 2, err);
    if (result == KC_OK)
        result = kc_consumer_open(client, config, &handler->states, err);
    if (result == KC_OK)
        result = set_all(config, of_letters, 2, err);
    if (result == KC_OK)
        result = kc_consumer_open(client, config, &handler->letters, err);
    kc_config_free(config);
    return result;
}

kc_err of_dlq_open(of_platform *platform, const of_dlq_options *options,
                   of_dlq_handler **handler_out, kc_error *err)
{
    kb_mem mem;
    kb_mem_init(&mem, &platform->mem.alloc, 0);
    of_dlq_handler *handler = kb_mem_zalloc(&mem, sizeof *handler);
    if (!handler)
        return kb_error_code(err, KC_ERR_NOMEM);
    handler->mem = mem;
    handler->platform = platform;
    handler->start_wait_ms = START_WAIT_MS;
    of_dlq_options_init(&handler->options);
    if (options)
        handler->options = *options;
    if (handler->options.redrive_rate <= 0.0)
        handler->options.redrive_rate = 50.0;
    if (handler->options.canary_above < 0)
        handler->options.canary_above = 0;
    kb_list_init(&handler->part.node);
    kb_list_init(&handler->open);
    kb_list_init(&handler->settled);
    kb_map_init(&handler->seen, &handler->mem);
    kb_map_init(&handler->parts, &handler->mem);
    kb_map_init(&handler->parked, &handler->mem);
    kb_map_init(&handler->causes, &handler->mem);
    kb_arena_init(&handler->scratch, &handler->mem, 0);
    handler->part.abandon = abandon;
    kc_err result = kc_timer_new(platform->client, turn, handler, &handler->timer);
    if (result != KC_OK)
        kb_error_code(err, result);
    if (result == KC_OK)
        result = of_outbox_new(platform, &handler->outbox, err);
    if (result == KC_OK)
        result = open_consumers(handler, err);
    if (result != KC_OK) {
        abandon(&handler->part);
        return result;
    }
    of_dlq_set_events(handler);
    kb_list_push_back(&platform->parts, &handler->part.node);
    *handler_out = handler;
    return KC_OK;
}

kc_err of_dlq_start(of_dlq_handler *handler, kc_error *err)
{
    if (handler->phase != OF_DLQ_IDLE || handler->start_again_us != 0 || handler->is_stopping)
        return kb_error_set(err, KC_ERR_STATE, "The DLQ handler was started already.");
    return prepare(handler, err);
}

void of_dlq_stop(of_dlq_handler *handler, int32_t drain_ms)
{
    if (handler->is_stopping)
        return;
    handler->is_stopping = true;
    handler->stop_deadline_us =
        of_dlq_now_us(handler) + (drain_ms > 0 ? (int64_t)drain_ms * 1000 : 0);
    if (handler->phase == OF_DLQ_IDLE)
        handler->phase = OF_DLQ_STOPPED; // nothing of it runs
    of_dlq_wake(handler);
}

bool of_dlq_is_stopped(const of_dlq_handler *handler)
{
    return handler->phase == OF_DLQ_STOPPED;
}

void of_dlq_close(of_dlq_handler *handler, int32_t drain_ms)
{
    if (!handler)
        return;
    kc_client *client = handler->platform->client;
    int64_t deadline = kc_clock_monotonic_us() + (drain_ms > 0 ? (int64_t)drain_ms * 1000 : 0);
    of_dlq_stop(handler, drain_ms);
    while (!of_dlq_is_stopped(handler)) {
        int64_t left = (deadline - kc_clock_monotonic_us() + 999) / 1000;
        kc_err err = left > 0 ? kc_client_dispatch(client, (int)left) : KC_ERR_TIMEOUT;
        if (err != KC_OK && err != KC_ERR_AGAIN)
            break;
    }
    int64_t left = (deadline - kc_clock_monotonic_us() + 999) / 1000;
    // leave the group, so that the others need not wait for the session's end
    if (kc_consumer_close(handler->letters, left > 0 ? (int)left : 0) == KC_ERR_STATE)
        return; // in a callback: what called it still needs it all
    handler->letters = NULL;
    kb_list_remove(&handler->part.node);
    abandon(&handler->part);
}
