/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A group on the scripted cluster: its coordinator, the other members, the committed offsets. */
#include "protocol/generated/messages.h"
#include "protocol/wire.h"
#include "tests/unit/client/consumer_world.h"

#include <stdio.h>

/** The scripted error, while it lasts. */
static int16_t take_error(int16_t *error, int *times)
{
    int16_t code = *error;
    if (code && *times > 0 && --*times == 0)
        *error = 0;
    return code;
}

static fake_action on_join(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_join_group_req *asked = request->message;
    kp_join_group_resp *answer = response;
    snprintf(w->joined_with, sizeof w->joined_with, KC_FMT, KC_ARG(asked->member_id));
    snprintf(w->reason, sizeof w->reason, KC_FMT, KC_ARG(asked->reason));
    answer->protocol_name = KC_STR("");
    answer->leader = answer->member_id = KC_STR("");
    answer->error_code = take_error(&w->join_error, &w->join_errors);
    if (answer->error_code)
        return FAKE_ANSWER;
    if (asked->member_id.len == 0 && !asked->group_instance_id.ptr && !w->skips_member_id) {
        snprintf(w->member_id, sizeof w->member_id, "me-%d", ++w->joins);
        answer->error_code = KC_E_MEMBER_ID_REQUIRED;
        answer->member_id = kc_str(w->member_id);
        return FAKE_ANSWER;
    }
    if (asked->member_id.len == 0)
        snprintf(w->member_id, sizeof w->member_id, "me-%d", ++w->joins);
    if (w->holds_join) {
        w->holds_join = false;
        w->held_join = request;
        return FAKE_HOLD;
    }
    answer->generation_id = ++w->generation;
    answer->protocol_type = KC_STR("consumer");
    answer->protocol_name = KC_STR("range");
    answer->member_id = kc_str(w->member_id);
    answer->leader = w->is_follower ? KC_STR("other") : answer->member_id;
    kp_consumer_protocol_subscription subscription;
    kp_fault fault;
    kc_bytes metadata = asked->protocols.items[0].metadata;
    ck_assert_int_eq(kp_decode(&kp_consumer_protocol_subscription_message,
                               (int16_t)kp_load16(metadata.ptr),
                               kc_span(metadata.ptr + 2, metadata.len - 2), request->arena,
                               &subscription, &fault),
                     KC_OK);
    w->subscription[0] = '\0';
    for (int32_t i = 0; i < subscription.topics.count; i++) {
        size_t len = strlen(w->subscription);
        snprintf(w->subscription + len, sizeof w->subscription - len, "%s" KC_FMT, i ? "," : "",
                 KC_ARG(subscription.topics.items[i]));
    }
    if (w->is_follower)
        return FAKE_ANSWER;
    answer->members.count = 1 + w->other_count;
    answer->members.items =
        fake_alloc(request, (size_t)answer->members.count, sizeof answer->members.items[0]);
    answer->members.items[0].member_id = answer->member_id;
    answer->members.items[0].metadata = metadata;
    for (int i = 0; i < w->other_count; i++) {
        answer->members.items[i + 1].member_id = kc_str(w->others[i].id);
        answer->members.items[i + 1].metadata =
            kc_span(w->others[i].metadata, w->others[i].metadata_len);
    }
    return FAKE_ANSWER;
}

static fake_action on_sync(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_sync_group_req *asked = request->message;
    kp_sync_group_resp *answer = response;
    answer->assignment = KC_STR("");
    answer->error_code = take_error(&w->sync_error, &w->sync_errors);
    if (answer->error_code)
        return FAKE_ANSWER;
    if (asked->generation_id != w->generation) {
        answer->error_code = KC_E_ILLEGAL_GENERATION;
        return FAKE_ANSWER;
    }
    answer->protocol_type = KC_STR("consumer");
    answer->protocol_name = KC_STR("range");
    w->syncs_with_assignment += asked->assignments.count > 0;
    if (w->is_follower || w->assignment_len)
        answer->assignment = kc_span(w->assignment, w->assignment_len);
    else
        for (int32_t i = 0; i < asked->assignments.count; i++)
            if (kc_bytes_equal(asked->assignments.items[i].member_id, kc_str(w->member_id)))
                answer->assignment = asked->assignments.items[i].assignment;
    return FAKE_ANSWER;
}

static fake_action on_heartbeat(fake_request *request, void *response, void *user)
{
    world *w = user;
    (void)request;
    ((kp_heartbeat_resp *)response)->error_code =
        take_error(&w->heartbeat_error, &w->heartbeat_errors);
    return FAKE_ANSWER;
}

static fake_action on_leave(fake_request *request, void *response, void *user)
{
    world *w = user;
    (void)request;
    ((kp_leave_group_resp *)response)->error_code = w->leave_error;
    w->leaves++;
    return FAKE_ANSWER;
}

static void store(world *w, kc_bytes topic, const kp_offset_commit_req_partition *partition)
{
    char name[64];
    snprintf(name, sizeof name, KC_FMT, KC_ARG(topic));
    int i = 0;
    while (i < w->committed_count && (strcmp(w->committed[i].topic, name) != 0 ||
                                      w->committed[i].partition != partition->partition_index))
        i++;
    ck_assert_int_lt(i, WORLD_COMMITTED);
    if (i == w->committed_count)
        w->committed_count++;
    snprintf(w->committed[i].topic, sizeof w->committed[i].topic, "%s", name);
    w->committed[i].partition = partition->partition_index;
    w->committed[i].offset = partition->committed_offset;
    w->committed[i].epoch = partition->committed_leader_epoch;
}

static fake_action on_commit(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_offset_commit_req *asked = request->message;
    kp_offset_commit_resp *answer = response;
    int16_t error = take_error(&w->commit_error, &w->commit_errors);
    if (request->broker != w->cluster->coordinator)
        error = KC_E_NOT_COORDINATOR;
    w->commit_generation = asked->generation_id_or_member_epoch;
    if (w->holds_commit) {
        w->holds_commit = false;
        w->held_commit = request;
        return FAKE_HOLD;
    }
    if (!error && asked->generation_id_or_member_epoch >= 0 &&
        asked->generation_id_or_member_epoch != w->generation)
        error = KC_E_ILLEGAL_GENERATION;
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
            to->partitions.items[p].partition_index = from->partitions.items[p].partition_index;
            to->partitions.items[p].error_code = error;
            if (!error)
                store(w, from->name, &from->partitions.items[p]);
        }
    }
    return FAKE_ANSWER;
}

static int find_committed(const world *w, kc_bytes topic, int32_t partition)
{
    for (int i = 0; i < w->committed_count; i++)
        if (kc_bytes_equal(topic, kc_str(w->committed[i].topic)) &&
            w->committed[i].partition == partition)
            return i;
    return -1;
}

int64_t world_committed(const world *w, const char *topic, int32_t partition)
{
    int i = find_committed(w, kc_str(topic), partition);
    return i < 0 ? -1 : w->committed[i].offset;
}

static fake_action answer_old_stored(world *w, fake_request *request, kp_offset_fetch_resp *answer)
{
    const kp_offset_fetch_req *asked = request->message;
    answer->topics.count = asked->topics.count;
    answer->topics.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->topics.items[0]);
    for (int32_t t = 0; t < asked->topics.count; t++) {
        const kp_offset_fetch_req_topic *from = &asked->topics.items[t];
        kp_offset_fetch_resp_topic *to = &answer->topics.items[t];
        to->name = from->name;
        to->partitions.count = from->partition_indexes.count;
        to->partitions.items = fake_alloc(request, (size_t)from->partition_indexes.count,
                                          sizeof to->partitions.items[0]);
        for (int32_t p = 0; p < from->partition_indexes.count; p++) {
            int i = find_committed(w, from->name, from->partition_indexes.items[p]);
            to->partitions.items[p].partition_index = from->partition_indexes.items[p];
            to->partitions.items[p].committed_offset = i < 0 ? -1 : w->committed[i].offset;
            to->partitions.items[p].committed_leader_epoch = -1;
            to->partitions.items[p].metadata = KC_STR("");
        }
    }
    return FAKE_ANSWER;
}

static fake_action on_stored(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_offset_fetch_req *asked = request->message;
    kp_offset_fetch_resp *answer = response;
    w->stored_lookups++;
    w->stored_requires_stable = asked->require_stable;
    if (request->version < 8)
        return answer_old_stored(w, request, answer);
    int16_t error = take_error(&w->stored_error, &w->stored_errors);
    const kp_offset_fetch_req_group *group = &asked->groups.items[0];
    kp_offset_fetch_resp_group *to = fake_alloc(request, 1, sizeof *to);
    answer->groups.items = to;
    answer->groups.count = 1;
    to->group_id = group->group_id;
    to->topics.count = group->topics.count;
    to->topics.items = fake_alloc(request, (size_t)group->topics.count, sizeof to->topics.items[0]);
    for (int32_t t = 0; t < group->topics.count; t++) {
        const kp_offset_fetch_req_group_topic *from = &group->topics.items[t];
        kp_offset_fetch_resp_group_topic *topic = &to->topics.items[t];
        topic->name = from->name;
        topic->partitions.count = from->partition_indexes.count;
        topic->partitions.items = fake_alloc(request, (size_t)from->partition_indexes.count,
                                             sizeof topic->partitions.items[0]);
        for (int32_t p = 0; p < from->partition_indexes.count; p++) {
            kp_offset_fetch_resp_group_topic_partition *partition = &topic->partitions.items[p];
            int i = find_committed(w, from->name, from->partition_indexes.items[p]);
            partition->partition_index = from->partition_indexes.items[p];
            partition->committed_offset = i < 0 || error ? -1 : w->committed[i].offset;
            partition->committed_leader_epoch = i < 0 || error ? -1 : w->committed[i].epoch;
            partition->metadata = KC_STR("");
            partition->error_code = error;
        }
    }
    return FAKE_ANSWER;
}

void world_add_member(world *w, const char *id, kc_bytes metadata)
{
    ck_assert_int_lt(w->other_count, WORLD_MEMBERS);
    world_member *member = &w->others[w->other_count++];
    snprintf(member->id, sizeof member->id, "%s", id);
    ck_assert_uint_le(metadata.len, sizeof member->metadata);
    memcpy(member->metadata, metadata.ptr, metadata.len);
    member->metadata_len = metadata.len;
}

void world_add_member_for(world *w, const char *id, const char *topic)
{
    kc_bytes name = kc_str(topic);
    kp_consumer_protocol_subscription subscription;
    kp_defaults(&kp_consumer_protocol_subscription_message, &subscription);
    subscription.topics.items = &name;
    subscription.topics.count = 1;
    kb_buf out;
    kp_fault fault;
    kb_buf_init(&out, &w->cluster->mem, 0);
    kb_buf_put(&out, "\0", 1);
    kb_buf_put(&out, "\0", 1);
    ck_assert_int_eq(
        kp_encode(&kp_consumer_protocol_subscription_message, 0, &subscription, &out, NULL, &fault),
        KC_OK);
    world_add_member(w, id, kb_buf_bytes(&out));
    kb_buf_cleanup(&out);
}

void world_group_serve(world *w)
{
    static const struct {
        int16_t key;
        fake_handler fn;
    } handlers[] = {
        {KP_API_JOIN_GROUP, on_join},      {KP_API_SYNC_GROUP, on_sync},
        {KP_API_HEARTBEAT, on_heartbeat},  {KP_API_LEAVE_GROUP, on_leave},
        {KP_API_OFFSET_COMMIT, on_commit}, {KP_API_OFFSET_FETCH, on_stored},
    };
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        fake_on(w->cluster, handlers[i].key, handlers[i].fn, w);
}
