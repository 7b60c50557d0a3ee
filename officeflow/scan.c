/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The scan: which topics are there, where they begin and end, a consumer by assignment over what
 * has records, until every partition is read to its end. A partition that is done is paused, so
 * that what is written meanwhile is not fetched. */
#include "officeflow/scan.h"

#include "protocol/base/arena.h"
#include "protocol/base/error.h"

#include <limits.h>

#define DEFAULT_TIMEOUT_MS 60000
/* positions also move over what is never handed out (control records, emptied batches): looked at
 * this often */
#define POLL_MS 100
/* a cluster of this many partitions is scanned in the memory of one arena */
#define ARENA_BYTES_MAX ((size_t)256 << 20)

typedef struct scanned {
    kc_topic_offset place; /* where reading begins */
    int64_t end;
    bool is_done;
} scanned;

typedef struct scanning {
    of_platform *platform;
    const of_scan *scan;
    kb_arena arena;
    scanned *parts;
    size_t count, left;
    kc_consumer *consumer;
    kc_error *err;
} scanning;

int64_t of_scan_deadline(int32_t timeout_ms)
{
    int64_t ms = timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS;
    return kc_clock_monotonic_us() + ms * 1000;
}

int32_t of_scan_left_ms(int64_t deadline_us)
{
    int64_t left = (deadline_us - kc_clock_monotonic_us() + 999) / 1000;
    return left < 1 ? 1 : left > INT32_MAX ? INT32_MAX : (int32_t)left;
}

/* ---- what is there ---- */

static kc_err list_partitions(scanning *s, const kc_cluster_info *cluster)
{
    size_t total = 0;
    for (size_t t = 0; t < cluster->topic_count; t++)
        total += cluster->topics[t].partition_count;
    s->parts = kb_arena_array(&s->arena, total + 1, sizeof *s->parts);
    if (!s->parts)
        return kb_error_code(s->err, KC_ERR_NOMEM);
    for (size_t t = 0; t < cluster->topic_count; t++) {
        const kc_topic_info *topic = &cluster->topics[t];
        if (topic->err != KC_OK || !s->scan->wants(topic->name, s->scan->user))
            continue;
        kc_bytes name = kb_arena_copy(&s->arena, topic->name);
        if (!name.ptr)
            return kb_error_code(s->err, KC_ERR_NOMEM);
        for (size_t p = 0; p < topic->partition_count; p++)
            s->parts[s->count++] = (scanned){.place = {.topic = name,
                                                       .partition = topic->partitions[p].partition,
                                                       .leader_epoch = -1}};
    }
    return KC_OK;
}

static kc_err describe(scanning *s)
{
    kc_admin_options options = of_admin_timeout(of_scan_left_ms(s->scan->deadline_us));
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_topics(s->platform->client, NULL, 0, &options,
                                              kc_admin_waiter_fn, &waiter, s->err);
    kc_admin_result *result = of_admin_wait(s->platform, started, &waiter, s->err);
    if (!result)
        return of_admin_failed(s->err);
    kc_err err = list_partitions(s, kc_admin_cluster(result));
    kc_admin_free(result);
    return err;
}

static scanned *find_part(scanning *s, kc_bytes topic, int32_t partition)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->parts[i].place.partition == partition &&
            kc_bytes_equal(s->parts[i].place.topic, topic))
            return &s->parts[i];
    return NULL;
}

/** Ask where every partition begins (`when`: KC_OFFSET_BEGINNING or a time) or ends. */
static kc_err ask_offsets(scanning *s, int64_t when, bool is_end)
{
    kc_topic_offset *queries = kb_arena_array(&s->arena, s->count + 1, sizeof *queries);
    if (!queries)
        return kb_error_code(s->err, KC_ERR_NOMEM);
    for (size_t i = 0; i < s->count; i++) {
        queries[i] = s->parts[i].place;
        queries[i].offset = when;
    }
    kc_admin_options options = of_admin_timeout(of_scan_left_ms(s->scan->deadline_us));
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_list_offsets(s->platform->client, queries, s->count, false, &options,
                                           kc_admin_waiter_fn, &waiter, s->err);
    kc_admin_result *result = of_admin_wait(s->platform, started, &waiter, s->err);
    if (!result)
        return of_admin_failed(s->err);
    size_t count;
    const kc_topic_offset *answers = kc_admin_offsets(result, &count);
    kc_err err = KC_OK;
    for (size_t i = 0; i < count && err == KC_OK; i++) {
        // answers come as they were asked; by name where they do not
        scanned *part = i < s->count && s->parts[i].place.partition == answers[i].partition &&
                                kc_bytes_equal(s->parts[i].place.topic, answers[i].topic)
                            ? &s->parts[i]
                            : find_part(s, answers[i].topic, answers[i].partition);
        if (answers[i].err != KC_OK)
            err = kb_error_set(
                s->err, answers[i].err, "Offsets of " KC_FMT "/%d can't be asked for: %s.",
                KC_ARG(answers[i].topic), answers[i].partition, kc_err_name(answers[i].err));
        else if (part && is_end)
            part->end = answers[i].offset;
        else if (part)
            part->place.offset = answers[i].offset;
    }
    kc_admin_free(result);
    return err;
}

/** Forget what has nothing to read. */
static void keep_filled(scanning *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        // no record since that time: -1
        if (s->parts[i].place.offset >= 0 && s->parts[i].place.offset < s->parts[i].end)
            s->parts[kept++] = s->parts[i];
    s->count = s->left = kept;
}

/* ---- reading ---- */

static kc_err open_consumer(scanning *s)
{
    kc_topic_offset *places = kb_arena_array(&s->arena, s->count + 1, sizeof *places);
    kc_config *config = kc_config_copy(s->platform->config.kafka);
    kc_err err = config && places ? KC_OK : kb_error_code(s->err, KC_ERR_NOMEM);
    if (err == KC_OK)
        err = kc_config_set(config, "auto.offset.reset", "earliest", s->err);
    if (err == KC_OK)
        err = kc_config_set(config, "enable.auto.commit", "false", s->err);
    if (err == KC_OK)
        err = kc_consumer_open(s->platform->client, config, &s->consumer, s->err);
    kc_config_free(config);
    if (err != KC_OK)
        return err;
    for (size_t i = 0; i < s->count; i++)
        places[i] = s->parts[i].place;
    return kc_consumer_assign(s->consumer, places, s->count, s->err);
}

static void finish_part(scanning *s, scanned *part)
{
    if (part->is_done)
        return;
    kc_topic_partition place = {part->place.topic, part->place.partition};
    part->is_done = true;
    s->left--;
    kc_consumer_pause(s->consumer, &place, 1);
}

/** Positions that moved without a batch. */
static void look_at_positions(scanning *s)
{
    for (size_t i = 0; i < s->count; i++) {
        scanned *part = &s->parts[i];
        int64_t position;
        if (!part->is_done &&
            kc_consumer_position(s->consumer, part->place.topic, part->place.partition,
                                 &position) == KC_OK &&
            position >= part->end)
            finish_part(s, part);
    }
}

/** False: the caller had enough. */
static bool read_batch(scanning *s, kc_batch *batch)
{
    kc_bytes topic = kc_batch_topic(batch);
    int32_t partition = kc_batch_partition(batch);
    scanned *part = find_part(s, topic, partition);
    kc_view view;
    while (part && !part->is_done && kc_batch_read(batch, &view)) {
        if (view.offset >= part->end)
            break;
        if (view.offset >= part->place.offset &&
            !s->scan->take(part->place.topic, partition, &view, s->scan->user))
            return false;
    }
    if (part && kc_batch_next_offset(batch) >= part->end)
        finish_part(s, part);
    return true;
}

static kc_err read_all(scanning *s)
{
    while (s->left > 0) {
        kc_batch *batch;
        kc_err err = kc_consumer_poll(s->consumer, POLL_MS, &batch, s->err);
        if (err == KC_OK) {
            bool goes_on = read_batch(s, batch);
            kc_batch_free(batch);
            if (!goes_on)
                return KC_OK;
        } else if (err == KC_ERR_AGAIN) {
            look_at_positions(s);
        } else {
            return err;
        }
        if (s->left > 0 && kc_clock_monotonic_us() > s->scan->deadline_us)
            return kb_error_set(s->err, KC_ERR_TIMEOUT,
                                "Reading was not done in time: %zu of %zu partitions are not read "
                                "to their end.",
                                s->left, s->count);
    }
    return KC_OK;
}

static void begin(scanning *s, of_platform *platform, const of_scan *scan, kc_error *err)
{
    *s = (scanning){.platform = platform, .scan = scan, .err = err};
    *err = (kc_error){0};
    kb_arena_init(&s->arena, &platform->mem, ARENA_BYTES_MAX);
}

static void end(scanning *s)
{
    kc_consumer_close(s->consumer, 0);
    kb_arena_cleanup(&s->arena);
}

kc_err of_scan_run(of_platform *platform, const of_scan *scan, kc_error *err)
{
    kc_error local;
    scanning s;
    err = err ? err : &local;
    begin(&s, platform, scan, err);
    kc_err result = describe(&s);
    if (result == KC_OK && s.count > 0)
        result = ask_offsets(&s, scan->since_ms > 0 ? scan->since_ms : KC_OFFSET_BEGINNING, false);
    if (result == KC_OK && s.count > 0)
        result = ask_offsets(&s, KC_OFFSET_END, true);
    if (result == KC_OK)
        keep_filled(&s);
    if (result == KC_OK && s.count > 0)
        result = open_consumer(&s);
    if (result == KC_OK && s.count > 0)
        result = read_all(&s);
    end(&s);
    return result;
}

/** Reads what stands at one place, tells it when it is the very record. */
typedef struct one_record {
    const of_scan *scan;
    int64_t offset;
    bool is_found;
} one_record;

static bool take_one(kc_bytes topic, int32_t partition, const kc_view *view, void *user)
{
    one_record *one = user;
    if (view->offset == one->offset) {
        one->is_found = true;
        one->scan->take(topic, partition, view, one->scan->user);
    }
    return false;
}

kc_err of_scan_record(of_platform *platform, const of_scan *scan, kc_bytes topic, int32_t partition,
                      int64_t offset, kc_error *err)
{
    kc_error local;
    scanning s;
    err = err ? err : &local;
    one_record one = {.scan = scan, .offset = offset};
    of_scan inner = *scan;
    inner.take = take_one;
    inner.user = &one;
    begin(&s, platform, &inner, err);
    s.parts = kb_arena_array(&s.arena, 1, sizeof *s.parts);
    if (!s.parts) {
        end(&s);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    s.parts[0].place =
        (kc_topic_offset){.topic = topic, .partition = partition, .leader_epoch = -1};
    s.count = s.left = 1;
    kc_err result = ask_offsets(&s, KC_OFFSET_BEGINNING, false);
    if (result == KC_OK)
        result = ask_offsets(&s, KC_OFFSET_END, true);
    bool is_there = result == KC_OK && offset >= s.parts[0].place.offset && offset < s.parts[0].end;
    s.parts[0].place.offset = offset;
    if (is_there)
        result = open_consumer(&s);
    if (is_there && result == KC_OK)
        result = read_all(&s);
    if (result == KC_OK && !one.is_found)
        result = kb_error_set(err, KC_ERR_NOT_FOUND,
                              "The record " KC_FMT "/%d at offset %lld is not in the log any more.",
                              KC_ARG(topic), partition, (long long)offset);
    end(&s);
    return result;
}
