/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Logs and a group on the scripted cluster. */
#include "tests/unit/client/consumer_world.h"

#include "protocol/generated/messages.h"
#include "protocol/wire.h"

#include <stdio.h>

/* ---- logs ---- */

world_log *world_log_of(world *w, const char *topic, int32_t partition)
{
    for (int i = 0; i < w->log_count; i++)
        if (strcmp(w->logs[i].topic, topic) == 0 && w->logs[i].partition == partition)
            return &w->logs[i];
    ck_assert_int_lt(w->log_count, WORLD_LOGS);
    world_log *log = &w->logs[w->log_count++];
    memset(log, 0, sizeof *log);
    snprintf(log->topic, sizeof log->topic, "%s", topic);
    log->partition = partition;
    log->last_stable = log->preferred_replica = -1;
    kb_buf_init(&log->bytes, &w->cluster->mem, 0);
    return log;
}

void world_append_raw(world_log *log, kc_bytes bytes, int64_t next)
{
    ck_assert_int_lt(log->batch_count, WORLD_BATCHES);
    log->batches[log->batch_count].at = log->bytes.len;
    log->batches[log->batch_count].len = bytes.len;
    log->batches[log->batch_count].base = log->end;
    log->batches[log->batch_count++].next = next;
    kb_buf_put_bytes(&log->bytes, bytes);
    ck_assert_int_eq(log->bytes.err, KC_OK);
    log->end = next;
}

uint8_t *world_batch(world_log *log, int index)
{
    return log->bytes.data + log->batches[index].at;
}

void world_reseal(world_log *log, int index)
{
    kp_batch_reseal(world_batch(log, index), log->batches[index].len);
}

static void place(world_log *log, uint8_t *batch, size_t len, int16_t attributes, int64_t next)
{
    kp_store64(batch + KP_BATCH_AT_BASE_OFFSET, (uint64_t)log->end);
    kp_store32(batch + KP_BATCH_AT_LEADER_EPOCH, (uint32_t)log->leader_epoch);
    uint16_t set = kp_load16(batch + KP_BATCH_AT_ATTRIBUTES);
    kp_store16(batch + KP_BATCH_AT_ATTRIBUTES, (uint16_t)(set | attributes));
    kp_batch_reseal(batch, len);
    world_append_raw(log, kc_span(batch, len), next);
}

static void fill(world_log *log, kp_batch_writer *writer, int count)
{
    for (int i = 0; i < count; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "v%lld", (long long)(log->end + i));
        ck_assert(
            kp_batch_append(writer, 1000 + i, KC_STR("k"), kc_span(text, (size_t)len), NULL, 0));
    }
}

int64_t world_append(world_log *log, int count, kp_codec codec)
{
    static uint8_t data[1 << 20];
    int64_t base = log->end;
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    fill(log, &writer, count);
    if (codec == KP_CODEC_NONE) {
        size_t len = kp_batch_finish(&writer);
        kp_batch_seal(data, len, NULL);
        place(log, data, len, 0, base + count);
        return base;
    }
    kb_buf out;
    bool is_smaller;
    kb_buf_init(&out, log->bytes.mem, 0);
    ck_assert_int_eq(kp_batch_finish_compressed(&writer, codec, INT32_MIN, &out, &is_smaller),
                     KC_OK);
    ck_assert(is_smaller);
    kp_batch_seal(out.data, out.len, NULL);
    place(log, out.data, out.len, 0, base + count);
    kb_buf_cleanup(&out);
    return base;
}

int64_t world_append_from(world_log *log, int count, int64_t producer_id, int16_t attributes)
{
    uint8_t data[4096];
    int64_t base = log->end;
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    fill(log, &writer, count);
    size_t len = kp_batch_finish(&writer);
    kp_batch_producer producer = {.id = producer_id, .base_sequence = 0};
    producer.is_transactional = attributes & KP_ATTR_TRANSACTIONAL;
    kp_batch_seal(data, len, &producer);
    place(log, data, len, attributes, base + count);
    return base;
}

int64_t world_append_marker(world_log *log, int64_t producer_id, int16_t type)
{
    uint8_t data[256], key[4] = {0, 0, 0, (uint8_t)type}, value[6] = {0};
    int64_t base = log->end;
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    ck_assert(kp_batch_append(&writer, 1000, kc_span(key, 4), kc_span(value, 6), NULL, 0));
    size_t len = kp_batch_finish(&writer);
    kp_batch_producer producer = {.id = producer_id, .base_sequence = -1, .is_transactional = true};
    kp_batch_seal(data, len, &producer);
    place(log, data, len, KP_ATTR_CONTROL | KP_ATTR_TRANSACTIONAL, base + 1);
    return base;
}

int64_t world_append_empty(world_log *log, int32_t span)
{
    uint8_t data[KP_BATCH_HEADER_BYTES] = {0};
    int64_t base = log->end;
    kp_store32(data + KP_BATCH_AT_LENGTH, sizeof data - KP_BATCH_OVERHEAD_BYTES);
    data[KP_BATCH_AT_MAGIC] = 2;
    kp_store32(data + KP_BATCH_AT_LAST_OFFSET_DELTA, (uint32_t)(span - 1));
    kp_store64(data + KP_BATCH_AT_PRODUCER_ID, UINT64_MAX);
    place(log, data, sizeof data, 0, base + span);
    return base;
}

/* ---- fetch ---- */

/** From the batch that holds `offset`, at most `max` bytes and at least one batch, as a broker
 * does. */
static kc_bytes slice(world_log *log, int64_t offset, size_t max)
{
    int first = 0;
    while (first < log->batch_count && log->batches[first].next <= offset)
        first++;
    if (first == log->batch_count)
        return KC_STR("");
    size_t from = log->batches[first].at;
    size_t len = log->bytes.len - from;
    if (len > max)
        len = log->batches[first].len > max ? log->batches[first].len : max;
    if (log->cut_bytes && log->cut_bytes < len)
        len -= log->cut_bytes;
    log->cut_bytes = 0;
    return kc_span(log->bytes.data + from, len);
}

static void answer_partition(world *w, fake_request *request, fake_topic *topic,
                             const kp_fetch_req_partition *asked, kp_fetch_resp_partition *answer)
{
    world_log *log = world_log_of(w, topic->name, asked->partition);
    int32_t leader = topic->partitions[asked->partition].leader;
    int32_t epoch = topic->partitions[asked->partition].leader_epoch;
    bool is_replica = log->preferred_replica == request->broker;
    answer->partition_index = asked->partition;
    answer->high_watermark = log->end;
    answer->last_stable_offset = log->last_stable < 0 ? log->end : log->last_stable;
    answer->log_start_offset = log->start;
    answer->preferred_read_replica = -1;
    w->last_offset = asked->fetch_offset;
    w->last_epoch = asked->current_leader_epoch;
    if (log->fetch_error) {
        answer->error_code = log->fetch_error;
        if (log->hint_leader) {
            answer->current_leader.leader_id = log->hint_leader;
            answer->current_leader.leader_epoch = log->hint_epoch;
        }
    } else if (leader != request->broker && !is_replica) {
        answer->error_code = KC_E_NOT_LEADER_OR_FOLLOWER;
    } else if (asked->current_leader_epoch >= 0 && asked->current_leader_epoch < epoch) {
        answer->error_code = KC_E_FENCED_LEADER_EPOCH;
    } else if (asked->current_leader_epoch > epoch) {
        answer->error_code = KC_E_UNKNOWN_LEADER_EPOCH;
    } else if (asked->fetch_offset < log->start || asked->fetch_offset > log->end) {
        answer->error_code = KC_E_OFFSET_OUT_OF_RANGE;
    } else if (log->preferred_replica > 0 && !is_replica) {
        answer->preferred_read_replica = log->preferred_replica;
    } else {
        size_t max = (size_t)asked->partition_max_bytes;
        if (w->budget > 0)
            answer->records = slice(log, asked->fetch_offset, max < w->budget ? max : w->budget);
        w->budget -= answer->records.len < w->budget ? answer->records.len : w->budget;
        answer->aborted_transactions.items = log->aborted;
        answer->aborted_transactions.count = log->aborted_count;
    }
    if (answer->error_code)
        answer->high_watermark = answer->last_stable_offset = answer->log_start_offset = -1;
}

static fake_topic *topic_of(fake_request *request, const kp_fetch_req_topic *asked)
{
    if (request->version < 13)
        return fake_topic_find(request->cluster, asked->topic);
    ck_assert(!kc_uuid_is_zero(asked->topic_id)); /* trap 33 */
    for (int i = 0; i < request->cluster->topic_count; i++)
        if (memcmp(&request->cluster->topics[i].id, &asked->topic_id, sizeof(kc_uuid)) == 0)
            return &request->cluster->topics[i];
    return NULL;
}

static bool answer_topic(world *w, fake_request *request, const kp_fetch_req_topic *asked,
                         kp_fetch_resp_response *answer)
{
    fake_topic *topic = topic_of(request, asked);
    int32_t count = asked->partitions.count;
    int32_t copies = w->answers_twice ? 2 : 1;
    bool has_data = false;
    answer->topic = asked->topic;
    answer->topic_id = asked->topic_id;
    answer->partitions.items =
        fake_alloc(request, (size_t)(count * copies), sizeof answer->partitions.items[0]);
    answer->partitions.count = count * copies;
    for (int32_t i = 0; i < count * copies; i++) {
        kp_fetch_resp_partition *partition = &answer->partitions.items[i];
        kp_struct_defaults(&kp_fetch_resp_partition_desc, partition);
        partition->records = KC_STR("");
        if (topic) {
            answer_partition(w, request, topic, &asked->partitions.items[i / copies], partition);
        } else {
            partition->partition_index = asked->partitions.items[i / copies].partition;
            partition->error_code = KC_E_UNKNOWN_TOPIC_ID;
        }
        has_data |= partition->records.len > 0 || partition->error_code ||
                    partition->preferred_read_replica >= 0;
        w->last_partitions++;
    }
    return has_data;
}

static fake_action on_fetch(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_fetch_req *asked = request->message;
    kp_fetch_resp *answer = response;
    if (w->holds_fetch) {
        w->holds_fetch = false;
        w->held = request;
        return FAKE_HOLD;
    }
    w->last_wait_ms = asked->max_wait_ms;
    w->last_max_bytes = asked->max_bytes;
    w->last_partitions = 0;
    w->budget = (size_t)asked->max_bytes;
    answer->throttle_time_ms = w->fetch_throttle_ms;
    answer->responses.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->responses.items[0]);
    answer->responses.count = asked->topics.count;
    bool has_data = false;
    for (int32_t t = 0; t < asked->topics.count; t++)
        has_data |= answer_topic(w, request, &asked->topics.items[t], &answer->responses.items[t]);
    if (!has_data)
        request->delay_us = (int64_t)asked->max_wait_ms * 1000;
    return FAKE_ANSWER;
}

/* ---- offsets ---- */

static fake_action on_list_offsets(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_list_offsets_req *asked = request->message;
    kp_list_offsets_resp *answer = response;
    answer->topics.count = asked->topics.count;
    answer->topics.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->topics.items[0]);
    for (int32_t t = 0; t < asked->topics.count; t++) {
        kp_list_offsets_resp_topic *topic = &answer->topics.items[t];
        fake_topic *model = fake_topic_find(w->cluster, asked->topics.items[t].name);
        topic->name = asked->topics.items[t].name;
        topic->partitions.count = asked->topics.items[t].partitions.count;
        topic->partitions.items =
            fake_alloc(request, (size_t)topic->partitions.count, sizeof topic->partitions.items[0]);
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const kp_list_offsets_req_partition *from = &asked->topics.items[t].partitions.items[p];
            kp_list_offsets_resp_partition *to = &topic->partitions.items[p];
            world_log *log = world_log_of(w, model->name, from->partition_index);
            to->partition_index = from->partition_index;
            to->timestamp = -1;
            to->offset = from->timestamp == -2 ? log->start : log->end;
            to->leader_epoch = log->leader_epoch;
            to->error_code = log->list_error;
            if (model->partitions[from->partition_index].leader != request->broker)
                to->error_code = KC_E_NOT_LEADER_OR_FOLLOWER;
            if (to->error_code)
                to->offset = -1;
        }
    }
    return FAKE_ANSWER;
}

static fake_action on_epochs(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_offset_for_leader_epoch_req *asked = request->message;
    kp_offset_for_leader_epoch_resp *answer = response;
    answer->topics.count = asked->topics.count;
    answer->topics.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->topics.items[0]);
    for (int32_t t = 0; t < asked->topics.count; t++) {
        kp_offset_for_leader_epoch_resp_topic *topic = &answer->topics.items[t];
        topic->topic = asked->topics.items[t].topic;
        topic->partitions.count = asked->topics.items[t].partitions.count;
        topic->partitions.items =
            fake_alloc(request, (size_t)topic->partitions.count, sizeof topic->partitions.items[0]);
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            int32_t index = asked->topics.items[t].partitions.items[p].partition;
            world_log *log = world_log_of(w, "t", index);
            topic->partitions.items[p].partition = index;
            topic->partitions.items[p].leader_epoch = log->epoch_answer;
            topic->partitions.items[p].end_offset = log->epoch_end_offset;
            topic->partitions.items[p].error_code = log->epoch_error;
        }
    }
    return FAKE_ANSWER;
}

/* ---- what the application is told ---- */

static void note(world *w, char kind, size_t count, const kc_error *error)
{
    ck_assert_int_lt(w->event_count, WORLD_EVENTS);
    world_event *event = &w->events[w->event_count++];
    *event = (world_event){.kind = kind, .count = count, .code = error ? error->code : KC_OK};
    if (error)
        snprintf(event->text, sizeof event->text, "%s", error->text);
    if (w->on_event)
        w->on_event(w, kind);
}

static void on_assigned(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                        void *user)
{
    (void)consumer;
    (void)partitions;
    note(user, 'A', count, NULL);
}

static void on_revoked(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                       void *user)
{
    (void)consumer;
    (void)partitions;
    note(user, 'R', count, NULL);
}

static void on_lost(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                    void *user)
{
    (void)consumer;
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_gt(partitions[i].topic.len, 0);
    note(user, 'L', count, NULL);
}

static void on_error(kc_consumer *consumer, const kc_error *error, void *user)
{
    (void)consumer;
    note(user, 'E', 1, error);
}

static void on_batch(kc_consumer *consumer, void *user)
{
    (void)consumer;
    world *w = user;
    if (w->on_event)
        w->on_event(w, 'B');
}

void world_on_commit(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                     size_t count, void *user)
{
    (void)offsets;
    ck_assert_int_eq(err, error ? error->code : KC_OK);
    note(user, 'C', count, error);
}

int world_events(const world *w, char kind)
{
    int count = 0;
    for (int i = 0; i < w->event_count; i++)
        count += w->events[i].kind == kind;
    return count;
}

const world_event *world_last(const world *w, char kind)
{
    for (int i = w->event_count; i > 0; i--)
        if (w->events[i - 1].kind == kind)
            return &w->events[i - 1];
    ck_abort_msg("no event %c", kind);
    return NULL;
}

/* ---- life ---- */

static kc_config *make_config(const char *const *settings)
{
    kc_config *config = kc_config_new();
    kc_error error;
    ck_assert_int_eq(kc_config_set(config, "auto.offset.reset", "earliest", &error), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "enable.auto.commit", "false", &error), KC_OK);
    for (; settings && *settings; settings += 2)
        ck_assert_msg(kc_config_set(config, settings[0], settings[1], &error) == KC_OK, "%s",
                      error.text);
    return config;
}

static void open_consumer(world *w)
{
    kc_error error;
    kc_consumer_events events = {.on_assigned = on_assigned,
                                 .on_revoked = on_revoked,
                                 .on_lost = on_lost,
                                 .on_error = on_error,
                                 .on_batch = on_batch,
                                 .user = w};
    ck_assert_msg(kc_consumer_open(w->client, NULL, &w->consumer, &error) == KC_OK, "%s",
                  error.text);
    kc_consumer_set_events(w->consumer, &events);
}

void world_start(world *w, int brokers, int partitions, const char *const *settings)
{
    memset(w, 0, sizeof *w);
    w->cluster = fake_new(brokers);
    fake_topic_add(w->cluster, "t", partitions);
    static const struct {
        int16_t key;
        fake_handler fn;
    } handlers[] = {
        {KP_API_FETCH, on_fetch},
        {KP_API_LIST_OFFSETS, on_list_offsets},
        {KP_API_OFFSET_FOR_LEADER_EPOCH, on_epochs},
    };
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        fake_on(w->cluster, handlers[i].key, handlers[i].fn, w);
    world_group_serve(w);
    for (int32_t p = 0; p < partitions && p < WORLD_LOGS; p++)
        world_log_of(w, "t", p);
    world_reopen(w, settings);
}

void world_reopen(world *w, const char *const *settings)
{
    kc_config *config = make_config(settings);
    w->client = fake_client(w->cluster, config);
    kc_config_free(config);
    open_consumer(w);
}

void world_stop(world *w)
{
    w->on_event = NULL;
    if (w->consumer)
        kc_consumer_close(w->consumer, 0);
    kc_client_free(w->client);
    for (int i = 0; i < w->log_count; i++)
        kb_buf_cleanup(&w->logs[i].bytes);
    fake_free(w->cluster);
}

void world_assign(world *w, int partitions, int64_t offset)
{
    kc_topic_offset items[WORLD_LOGS] = {0};
    kc_error error;
    for (int i = 0; i < partitions; i++)
        items[i] = (kc_topic_offset){.topic = KC_STR("t"), .partition = i, .offset = offset};
    ck_assert_msg(kc_consumer_assign(w->consumer, items, (size_t)partitions, &error) == KC_OK, "%s",
                  error.text);
}

void world_subscribe(world *w, const char *topic)
{
    kc_bytes name = kc_str(topic);
    kc_error error;
    ck_assert_msg(kc_consumer_subscribe(w->consumer, &name, 1, &error) == KC_OK, "%s", error.text);
}

void world_run(world *w, int64_t ms)
{
    bool never = false;
    ck_assert_int_eq(kc_client_run_until(w->client, &never, (int)ms), KC_ERR_TIMEOUT);
}

kc_batch *world_next(world *w)
{
    kc_batch *batch = NULL;
    kc_err err = kc_consumer_next(w->consumer, &batch);
    ck_assert_int_eq(err, batch ? KC_OK : KC_ERR_AGAIN);
    return batch;
}

int world_read(world *w)
{
    int count = 0;
    kc_batch *batch;
    while ((batch = world_next(w))) {
        kc_view view;
        while (kc_batch_read(batch, &view)) {
            char text[32];
            snprintf(text, sizeof text, "v%lld", (long long)view.offset);
            ck_assert(kc_bytes_equal(view.value, kc_str(text)));
            count++;
        }
        kc_batch_free(batch);
    }
    return count;
}

int world_read_until(world *w, int count, int64_t ms)
{
    int total = world_read(w);
    for (int64_t end = fake_now_ms(w->cluster) + ms;
         total < count && fake_now_ms(w->cluster) < end;) {
        world_run(w, 10);
        total += world_read(w);
    }
    return total;
}

int64_t world_position(world *w, int32_t partition)
{
    int64_t position;
    ck_assert_int_eq(kc_consumer_position(w->consumer, KC_STR("t"), partition, &position), KC_OK);
    return position;
}

const char *world_state(const world *w)
{
    kc_group_info info;
    kc_consumer_group_info(w->consumer, &info);
    return info.state;
}

void world_stable(world *w)
{
    for (int i = 0; i < 500 && strcmp(world_state(w), "stable") != 0; i++)
        world_run(w, 10);
    ck_assert_str_eq(world_state(w), "stable");
}
