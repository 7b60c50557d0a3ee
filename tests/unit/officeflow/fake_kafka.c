/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A whole small Kafka on the scripted cluster. */
#include "tests/unit/officeflow/fake_kafka.h"

#include "protocol/generated/messages.h"
#include "protocol/wire.h"

#include <check.h>
#include <stdio.h>

/* a Fetch without records is answered within this; by its client's measure it is late, and no harm is
 * done: hours of virtual time should not be full of empty Fetches */
#define FETCH_WAIT_MS 10000

/* ---- logs ---- */

static fake_kafka_log *log_of(fake_kafka *k, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < k->log_count; i++)
        if (k->logs[i].partition == partition && strcmp(k->logs[i].topic, topic) == 0)
            return &k->logs[i];
    ck_assert_uint_lt(k->log_count, FAKE_LOGS_MAX);
    fake_kafka_log *log = &k->logs[k->log_count++];
    snprintf(log->topic, sizeof log->topic, "%s", topic);
    log->partition = partition;
    log->end = 0;
    kb_buf_init(&log->bytes, &k->cluster->mem, 0);
    return log;
}

static void serve_waiting(fake_kafka *k, bool is_over);

static int64_t append(fake_kafka *k, fake_kafka_log *log, kc_bytes bytes)
{
    kp_batch batch;
    kc_bytes rest = bytes;
    int64_t base = log->end;
    ck_assert_int_eq(kp_batch_next(&rest, true, &batch), KC_OK);
    size_t at = log->bytes.len;
    kb_buf_put_bytes(&log->bytes, batch.bytes);
    ck_assert_int_eq(log->bytes.err, KC_OK);
    kp_store64(log->bytes.data + at + KP_BATCH_AT_BASE_OFFSET, (uint64_t)base);
    kp_store32(log->bytes.data + at + KP_BATCH_AT_LEADER_EPOCH, 0);
    log->end = base + batch.record_count;
    serve_waiting(k, false);
    return base;
}

void fake_kafka_put(fake_kafka *k, const char *topic, int32_t partition, const of_message *message)
{
    static uint8_t data[1 << 16];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    ck_assert(kp_batch_append(&writer, kn_loop_wall_ms(k->cluster->loop), message->key,
                              message->value, message->headers, message->header_count));
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, NULL);
    append(k, log_of(k, topic, partition), kc_span(data, len));
}

size_t fake_kafka_count(fake_kafka *k, const char *topic)
{
    size_t count = 0;
    for (size_t i = 0; i < k->log_count; i++)
        count += strcmp(k->logs[i].topic, topic) == 0 ? (size_t)k->logs[i].end : 0;
    return count;
}

static of_message copy_record(const kp_record *record, kb_arena *arena)
{
    of_message message = {.key = kb_arena_copy(arena, record->key),
                          .value = kb_arena_copy(arena, record->value)};
    kc_header *headers = kb_arena_array(arena, (size_t)record->header_count + 1, sizeof *headers);
    kc_bytes pos = record->headers_raw;
    kc_header header;
    while (message.header_count < (size_t)record->header_count &&
           kp_header_next(&pos, &header) == KC_OK) {
        headers[message.header_count].name = kb_arena_copy(arena, header.name);
        headers[message.header_count++].value = kb_arena_copy(arena, header.value);
    }
    message.headers = headers;
    return message;
}

of_message fake_kafka_get(fake_kafka *k, const char *topic, size_t index, kb_arena *arena)
{
    size_t seen = 0;
    for (int32_t partition = 0; partition < 16; partition++)
        for (size_t i = 0; i < k->log_count; i++) {
            if (k->logs[i].partition != partition || strcmp(k->logs[i].topic, topic) != 0)
                continue;
            kc_bytes rest = kb_buf_bytes(&k->logs[i].bytes);
            kp_batch batch;
            while (kp_batch_next(&rest, false, &batch) == KC_OK) {
                kp_record_iter iter;
                kp_record record;
                kp_record_iter_init(&iter, &batch, batch.records);
                while (kp_record_next(&iter, &record) == KC_OK)
                    if (seen++ == index)
                        return copy_record(&record, arena);
            }
        }
    ck_abort_msg("%s has no record %zu", topic, index);
    return (of_message){0};
}

/* ---- produce ---- */

static fake_topic *topic_by(fake_kafka *k, kc_bytes name, const kc_uuid *id)
{
    if (!id)
        return fake_topic_find(k->cluster, name);
    for (int i = 0; i < k->cluster->topic_count; i++)
        if (memcmp(&k->cluster->topics[i].id, id, sizeof *id) == 0)
            return &k->cluster->topics[i];
    return NULL;
}

static int16_t refusal(fake_kafka *k, const char *topic)
{
    if (!k->refused_prefix || k->refused_times == 0 ||
        strncmp(topic, k->refused_prefix, strlen(k->refused_prefix)) != 0)
        return 0;
    k->refused_times -= k->refused_times > 0 ? 1 : 0;
    return k->refused_code;
}

static void produce_one(fake_kafka *k, fake_topic *topic, const kp_produce_req_partition_data *data,
                        kp_produce_resp_partition_response *answer)
{
    answer->index = data->index;
    answer->base_offset = answer->log_append_time_ms = -1;
    answer->current_leader.leader_id = answer->current_leader.leader_epoch = -1;
    answer->error_code = topic && data->index < topic->partition_count
                             ? refusal(k, topic->name)
                             : KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    if (answer->error_code)
        return;
    answer->base_offset = append(k, log_of(k, topic->name, data->index), data->records);
    k->produced++;
}

static void serve_produce(fake_kafka *k, fake_request *request, kp_produce_resp *answer)
{
    const kp_produce_req *asked = request->message;
    answer->responses.count = asked->topic_data.count;
    answer->responses.items =
        fake_alloc(request, (size_t)asked->topic_data.count, sizeof answer->responses.items[0]);
    for (int32_t t = 0; t < asked->topic_data.count; t++) {
        const kp_produce_req_topic_data *from = &asked->topic_data.items[t];
        kp_produce_resp_response *to = &answer->responses.items[t];
        fake_topic *topic =
            topic_by(k, from->name, request->version >= 13 ? &from->topic_id : NULL);
        to->name = from->name;
        to->topic_id = from->topic_id;
        to->partition_responses.count = from->partition_data.count;
        to->partition_responses.items = fake_alloc(request, (size_t)from->partition_data.count,
                                                   sizeof to->partition_responses.items[0]);
        for (int32_t p = 0; p < from->partition_data.count; p++)
            produce_one(k, topic, &from->partition_data.items[p],
                        &to->partition_responses.items[p]);
    }
}

static fake_action on_produce(fake_request *request, void *response, void *user)
{
    fake_kafka *k = user;
    if (k->holds_produce) {
        k->holds_produce = false;
        k->held_produce = request;
        return FAKE_HOLD;
    }
    serve_produce(k, request, response);
    return FAKE_ANSWER;
}

void fake_kafka_release(fake_kafka *k)
{
    kp_produce_resp answer;
    ck_assert_ptr_nonnull(k->held_produce);
    kp_struct_defaults(&kp_produce_resp_desc, &answer);
    serve_produce(k, k->held_produce, &answer);
    fake_answer(k->held_produce, &answer);
    k->held_produce = NULL;
}

/* ---- fetch ---- */

static kc_bytes slice(const fake_kafka_log *log, int64_t offset)
{
    kc_bytes rest = kb_buf_bytes(&log->bytes);
    kp_batch batch;
    while (rest.len > 0) {
        kc_bytes here = rest;
        ck_assert_int_eq(kp_batch_next(&rest, false, &batch), KC_OK);
        if (kp_batch_next_offset(&batch) > offset)
            return here;
    }
    return KC_STR("");
}

static bool fetch_topic(fake_kafka *k, fake_request *request, const kp_fetch_req_topic *from,
                        kp_fetch_resp_response *to)
{
    bool has_data = false;
    fake_topic *topic = topic_by(k, from->topic, request->version >= 13 ? &from->topic_id : NULL);
    to->topic = from->topic;
    to->topic_id = from->topic_id;
    to->partitions.count = from->partitions.count;
    to->partitions.items =
        fake_alloc(request, (size_t)from->partitions.count, sizeof to->partitions.items[0]);
    for (int32_t p = 0; p < from->partitions.count; p++) {
        kp_fetch_resp_partition *partition = &to->partitions.items[p];
        kp_struct_defaults(&kp_fetch_resp_partition_desc, partition);
        partition->partition_index = from->partitions.items[p].partition;
        partition->records = KC_STR("");
        if (!topic) {
            partition->error_code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
            has_data = true;
            continue;
        }
        fake_kafka_log *log = log_of(k, topic->name, partition->partition_index);
        partition->high_watermark = partition->last_stable_offset = log->end;
        partition->log_start_offset = 0;
        partition->preferred_read_replica = -1;
        partition->records = slice(log, from->partitions.items[p].fetch_offset);
        has_data |= partition->records.len > 0;
    }
    return has_data;
}

/** False: no record for it. */
static bool fill_fetch(fake_kafka *k, fake_request *request, kp_fetch_resp *answer)
{
    const kp_fetch_req *asked = request->message;
    bool has_data = false;
    answer->responses.count = asked->topics.count;
    answer->responses.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->responses.items[0]);
    for (int32_t t = 0; t < asked->topics.count; t++)
        has_data |= fetch_topic(k, request, &asked->topics.items[t], &answer->responses.items[t]);
    return has_data;
}

/** Answer the Fetches that wait; where there is still nothing for them, only at the end of their
 * time. */
static void serve_waiting(fake_kafka *k, bool is_over)
{
    size_t kept = 0;
    for (size_t i = 0; i < k->waiting_count; i++) {
        kp_fetch_resp answer;
        fake_request *request = k->waiting[i];
        kp_struct_defaults(&kp_fetch_resp_desc, &answer);
        if (fill_fetch(k, request, &answer) || is_over)
            fake_answer(request, &answer);
        else
            k->waiting[kept++] = request;
    }
    k->waiting_count = kept;
}

static void set_fetch_timer(fake_kafka *k)
{
    ck_assert_int_eq(kn_timer_set(k->cluster->loop, &k->fetch_timer,
                                  kn_loop_now_us(k->cluster->loop) + FETCH_WAIT_MS * 1000),
                     KC_OK);
}

static void on_fetch_timer(kn_timer *timer)
{
    serve_waiting(timer->user, true);
    set_fetch_timer(timer->user);
}

static fake_action on_fetch(fake_request *request, void *response, void *user)
{
    fake_kafka *k = user;
    if (fill_fetch(k, request, response))
        return FAKE_ANSWER;
    ck_assert_uint_lt(k->waiting_count, FAKE_WAITING_MAX);
    k->waiting[k->waiting_count++] = request;
    return FAKE_HOLD;
}

static int64_t offset_at(const fake_kafka_log *log, int64_t timestamp)
{
    kc_bytes rest = kb_buf_bytes(&log->bytes);
    kp_batch batch;
    if (timestamp < 0)
        return timestamp == -2 ? 0 : log->end;
    while (kp_batch_next(&rest, false, &batch) == KC_OK)
        if (batch.max_timestamp >= timestamp)
            return batch.base_offset;
    return -1;
}

static fake_action on_list_offsets(fake_request *request, void *response, void *user)
{
    const kp_list_offsets_req *asked = request->message;
    kp_list_offsets_resp *answer = response;
    answer->topics.count = asked->topics.count;
    answer->topics.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->topics.items[0]);
    for (int32_t t = 0; t < asked->topics.count; t++) {
        const kp_list_offsets_req_topic *from = &asked->topics.items[t];
        kp_list_offsets_resp_topic *to = &answer->topics.items[t];
        char name[64];
        snprintf(name, sizeof name, KC_FMT, KC_ARG(from->name));
        to->name = from->name;
        to->partitions.count = from->partitions.count;
        to->partitions.items =
            fake_alloc(request, (size_t)from->partitions.count, sizeof to->partitions.items[0]);
        for (int32_t p = 0; p < from->partitions.count; p++) {
            kp_list_offsets_resp_partition *one = &to->partitions.items[p];
            one->partition_index = from->partitions.items[p].partition_index;
            one->timestamp = -1;
            one->leader_epoch = 0;
            one->offset = offset_at(log_of(user, name, one->partition_index),
                                    from->partitions.items[p].timestamp);
        }
    }
    return FAKE_ANSWER;
}

static fake_action on_create(fake_request *request, void *response, void *user)
{
    fake_kafka *k = user;
    const kp_create_topics_req *asked = request->message;
    kp_create_topics_resp *answer = response;
    k->creates++;
    answer->topics.count = asked->topics.count;
    answer->topics.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->topics.items[0]);
    for (int32_t t = 0; t < asked->topics.count; t++) {
        const kp_create_topics_req_topic *from = &asked->topics.items[t];
        kp_create_topics_resp_topic *to = &answer->topics.items[t];
        char name[64];
        snprintf(name, sizeof name, KC_FMT, KC_ARG(from->name));
        to->name = from->name;
        if (k->refuses_create)
            to->error_code = KC_E_TOPIC_AUTHORIZATION_FAILED;
        else if (fake_topic_find(k->cluster, from->name))
            to->error_code = KC_E_TOPIC_ALREADY_EXISTS;
        else
            fake_topic_add(k->cluster, name, from->num_partitions);
    }
    return FAKE_ANSWER;
}

/* ---- groups of one member ---- */

static fake_group *group_of(fake_kafka *k, kc_bytes id)
{
    for (size_t i = 0; i < k->group_count; i++)
        if (kc_bytes_equal(id, kc_str(k->groups[i].id)))
            return &k->groups[i];
    ck_assert_uint_lt(k->group_count, FAKE_GROUPS_MAX);
    fake_group *group = &k->groups[k->group_count++];
    snprintf(group->id, sizeof group->id, KC_FMT, KC_ARG(id));
    return group;
}

static fake_action on_join(fake_request *request, void *response, void *user)
{
    fake_kafka *k = user;
    const kp_join_group_req *asked = request->message;
    kp_join_group_resp *answer = response;
    fake_group *group = group_of(k, asked->group_id);
    k->joins++;
    answer->protocol_type = KC_STR("consumer");
    answer->protocol_name = answer->leader = answer->member_id = KC_STR("");
    if (asked->member_id.len == 0) {
        snprintf(group->member, sizeof group->member, "member-%u", ++k->members);
        answer->error_code = KC_E_MEMBER_ID_REQUIRED;
        answer->member_id = kc_str(group->member);
        return FAKE_ANSWER;
    }
    answer->generation_id = ++group->generation;
    answer->protocol_name = asked->protocols.items[0].name;
    answer->leader = answer->member_id = asked->member_id;
    answer->members.count = 1;
    answer->members.items = fake_alloc(request, 1, sizeof answer->members.items[0]);
    answer->members.items[0].member_id = asked->member_id;
    answer->members.items[0].metadata = asked->protocols.items[0].metadata;
    return FAKE_ANSWER;
}

static fake_action on_sync(fake_request *request, void *response, void *user)
{
    const kp_sync_group_req *asked = request->message;
    kp_sync_group_resp *answer = response;
    fake_group *group = group_of(user, asked->group_id);
    answer->protocol_type = KC_STR("consumer");
    answer->protocol_name = asked->protocol_name;
    ck_assert_int_eq(asked->assignments.count, 1);
    kc_bytes bytes = asked->assignments.items[0].assignment;
    ck_assert_uint_le(bytes.len, sizeof group->assignment);
    memcpy(group->assignment, bytes.ptr, bytes.len);
    group->assignment_len = bytes.len;
    answer->assignment = kc_span(group->assignment, group->assignment_len);
    return FAKE_ANSWER;
}

static fake_action on_heartbeat(fake_request *request, void *response, void *user)
{
    const kp_heartbeat_req *asked = request->message;
    fake_group *group = group_of(user, asked->group_id);
    ((kp_heartbeat_resp *)response)->error_code =
        asked->generation_id == group->generation ? 0 : KC_E_ILLEGAL_GENERATION;
    return FAKE_ANSWER;
}

static fake_action on_leave(fake_request *request, void *response, void *user)
{
    fake_kafka *k = user;
    (void)request;
    (void)response;
    k->leaves++;
    return FAKE_ANSWER;
}

static int64_t *commit_of(fake_kafka *k, kc_bytes group, kc_bytes topic, int32_t partition,
                          bool adds)
{
    for (size_t i = 0; i < k->commit_count; i++)
        if (k->commits[i].partition == partition &&
            kc_bytes_equal(group, kc_str(k->commits[i].group)) &&
            kc_bytes_equal(topic, kc_str(k->commits[i].topic)))
            return &k->commits[i].offset;
    if (!adds)
        return NULL;
    ck_assert_uint_lt(k->commit_count, FAKE_COMMITS_MAX);
    size_t at = k->commit_count++;
    snprintf(k->commits[at].group, sizeof k->commits[at].group, KC_FMT, KC_ARG(group));
    snprintf(k->commits[at].topic, sizeof k->commits[at].topic, KC_FMT, KC_ARG(topic));
    k->commits[at].partition = partition;
    k->commits[at].offset = -1;
    return &k->commits[at].offset;
}

static fake_action on_commit(fake_request *request, void *response, void *user)
{
    fake_kafka *k = user;
    const kp_offset_commit_req *asked = request->message;
    kp_offset_commit_resp *answer = response;
    k->offset_commits++;
    answer->topics.count = asked->topics.count;
    answer->topics.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->topics.items[0]);
    for (int32_t t = 0; t < asked->topics.count; t++) {
        const kp_offset_commit_req_topic *from = &asked->topics.items[t];
        kp_offset_commit_resp_topic *to = &answer->topics.items[t];
        to->name = from->name;
        to->partitions.count = from->partitions.count;
        to->partitions.items =
            fake_alloc(request, (size_t)from->partitions.count, sizeof to->partitions.items[0]);
        for (int32_t p = 0; p < from->partitions.count; p++) {
            int32_t partition = from->partitions.items[p].partition_index;
            int64_t *offset = commit_of(k, asked->group_id, from->name, partition, true);
            to->partitions.items[p].partition_index = partition;
            ck_assert_int_ge(from->partitions.items[p].committed_offset, *offset);
            *offset = from->partitions.items[p].committed_offset;
        }
    }
    return FAKE_ANSWER;
}

static void tell_stored(fake_request *request, kp_offset_fetch_resp_group_topic *topic,
                        kc_bytes name, int32_t count)
{
    topic->name = name;
    topic->partitions.count = count;
    topic->partitions.items = fake_alloc(request, (size_t)count, sizeof topic->partitions.items[0]);
    for (int32_t p = 0; p < count; p++) {
        topic->partitions.items[p].committed_offset = -1;
        topic->partitions.items[p].committed_leader_epoch = -1;
        topic->partitions.items[p].metadata = KC_STR("");
    }
}

/** A null list of topics asks for all the group has: one topic a commit is good enough. */
static void tell_all_stored(fake_kafka *k, fake_request *request, kp_offset_fetch_resp_group *to)
{
    to->topics.count = 0;
    to->topics.items = fake_alloc(request, FAKE_COMMITS_MAX, sizeof to->topics.items[0]);
    for (size_t i = 0; i < k->commit_count; i++) {
        if (!kc_bytes_equal(to->group_id, kc_str(k->commits[i].group)))
            continue;
        kp_offset_fetch_resp_group_topic *topic = &to->topics.items[to->topics.count++];
        tell_stored(request, topic, kc_str(k->commits[i].topic), 1);
        topic->partitions.items[0].partition_index = k->commits[i].partition;
        topic->partitions.items[0].committed_offset = k->commits[i].offset;
    }
}

static void tell_asked_stored(fake_kafka *k, fake_request *request,
                              const kp_offset_fetch_req_group *group,
                              kp_offset_fetch_resp_group *to)
{
    to->topics.count = group->topics.count;
    to->topics.items = fake_alloc(request, (size_t)group->topics.count, sizeof to->topics.items[0]);
    for (int32_t t = 0; t < group->topics.count; t++) {
        const kp_offset_fetch_req_group_topic *from = &group->topics.items[t];
        kp_offset_fetch_resp_group_topic *topic = &to->topics.items[t];
        tell_stored(request, topic, from->name, from->partition_indexes.count);
        for (int32_t p = 0; p < from->partition_indexes.count; p++) {
            int32_t partition = from->partition_indexes.items[p];
            const int64_t *offset = commit_of(k, group->group_id, from->name, partition, false);
            topic->partitions.items[p].partition_index = partition;
            if (offset)
                topic->partitions.items[p].committed_offset = *offset;
        }
    }
}

static fake_action on_stored(fake_request *request, void *response, void *user)
{
    fake_kafka *k = user;
    const kp_offset_fetch_req *asked = request->message;
    kp_offset_fetch_resp *answer = response;
    ck_assert_int_ge(request->version, 8);
    const kp_offset_fetch_req_group *group = &asked->groups.items[0];
    kp_offset_fetch_resp_group *to = fake_alloc(request, 1, sizeof *to);
    answer->groups.items = to;
    answer->groups.count = 1;
    to->group_id = group->group_id;
    bool is_all = group->topics.count < 0;
    if (is_all)
        tell_all_stored(k, request, to);
    else
        tell_asked_stored(k, request, group, to);
    to->error_code = is_all ? k->past_code : 0;
    return is_all && k->hides_past ? FAKE_SILENT : FAKE_ANSWER;
}

int64_t fake_kafka_committed(const fake_kafka *k, const char *group, const char *topic,
                             int32_t partition)
{
    const int64_t *offset =
        commit_of((fake_kafka *)(uintptr_t)k, kc_str(group), kc_str(topic), partition, false);
    return offset ? *offset : -1;
}

/* ---- life ---- */

static void open_platform(fake_kafka *k, const char *policy_json)
{
    kc_error err = {0};
    of_config config;
    k->client = fake_client(k->cluster, NULL);
    ck_assert_int_eq(of_config_init(&config), KC_OK);
    if (policy_json)
        ck_assert_msg(of_policies_load(config.policies, kc_str(policy_json), &err) == KC_OK, "%s",
                      err.text);
    ck_assert_msg(of_platform_open_on(k->client, &config, &k->platform, &err) == KC_OK, "%s",
                  err.text);
    of_config_cleanup(&config);
}

void fake_kafka_start(fake_kafka *k, const char *policy_json)
{
    static const struct {
        int16_t key;
        fake_handler fn;
    } handlers[] = {
        {KP_API_PRODUCE, on_produce},           {KP_API_FETCH, on_fetch},
        {KP_API_LIST_OFFSETS, on_list_offsets}, {KP_API_CREATE_TOPICS, on_create},
        {KP_API_JOIN_GROUP, on_join},           {KP_API_SYNC_GROUP, on_sync},
        {KP_API_HEARTBEAT, on_heartbeat},       {KP_API_LEAVE_GROUP, on_leave},
        {KP_API_OFFSET_COMMIT, on_commit},      {KP_API_OFFSET_FETCH, on_stored},
    };
    *k = (fake_kafka){.cluster = fake_new(1)};
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        fake_on(k->cluster, handlers[i].key, handlers[i].fn, k);
    k->fetch_timer.fn = on_fetch_timer;
    k->fetch_timer.user = k;
    set_fetch_timer(k);
    open_platform(k, policy_json);
}

void fake_kafka_restart(fake_kafka *k, const char *policy_json)
{
    of_platform_close(k->platform);
    kc_client_free(k->client);
    open_platform(k, policy_json);
}

void fake_kafka_stop(fake_kafka *k)
{
    of_platform_close(k->platform);
    kc_client_free(k->client);
    fake_run(k->cluster, 1000); // what is on its way still arrives
    kn_timer_stop(k->cluster->loop, &k->fetch_timer);
    for (size_t i = 0; i < k->log_count; i++)
        kb_buf_cleanup(&k->logs[i].bytes);
    fake_free(k->cluster);
}
