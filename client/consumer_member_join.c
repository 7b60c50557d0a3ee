/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One rebalance of a group: JoinGroup, the leader's assignment, SyncGroup.
 *
 * What members say of themselves comes through the broker from strangers: a subscription that can't
 * be read gets nothing, a topic or partition named twice counts once (trap 41). */
#include "client/assignor.h"
#include "client/consumer_core.h"
#include "client/consumer_member.h"
#include "client/consumer_part.h"
#include "client/consumer_protocol.h"
#include "protocol/base/error.h"
#include "protocol/base/names.h"
#include "protocol/generated/messages.h"

#include <kafkac/unstable/errors.h>

#define PROTOCOL_TYPE       "consumer"
#define PROTOCOL_NAME       "range"
#define JOIN_VERSION_STATIC 5
#define SYNC_VERSION_STATIC 3
/** Our subscription: the rack is in version 3. */
#define SUBSCRIPTION_VERSION      1
#define SUBSCRIPTION_VERSION_RACK 3
/** All versions of an assignment look the same. */
#define ASSIGNMENT_VERSION 0
/** The broker's answer may come that much after the rebalance timeout (trap 54). */
#define JOIN_MARGIN_MS    5000
#define METADATA_WAIT_MAX 10000

static kc_err put_subscription(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    const char *rack = consumer->settings->client_rack;
    int16_t version = SUBSCRIPTION_VERSION;
    kp_consumer_protocol_subscription subscription;
    kp_defaults(&kp_consumer_protocol_subscription_message, &subscription);
    kb_names *names = consumer->subscription.names;
    subscription.topics.items = names ? names->items : NULL;
    subscription.topics.count = names ? (int32_t)names->count : 0;
    if (rack && *rack) {
        subscription.rack_id = kc_str(rack);
        version = SUBSCRIPTION_VERSION_RACK;
    }
    kb_buf_reset(&member->metadata);
    return kc_consumer_protocol_write(&kp_consumer_protocol_subscription_message, version,
                                      &subscription, &member->metadata);
}

/* ---- topics of the group, for its leader ---- */

static void unuse(kc_consumer *consumer, kc_member_topic *topics, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kc_metadata_unuse(consumer->client->metadata, topics[i].meta);
    kb_mem_free(kc_consumer_mem(consumer), topics);
}

void kc_member_release_topics(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    unuse(consumer, member->topics, member->topic_count);
    member->topics = NULL;
    member->topic_count = 0;
    member->is_leader = false;
}

bool kc_member_topics_known(const kc_consumer *consumer)
{
    const kc_member *member = &consumer->member;
    for (size_t i = 0; i < member->topic_count; i++)
        if (member->topics[i].meta->err == KC_ERR_AGAIN)
            return false;
    return true;
}

bool kc_member_partitions_changed(const kc_consumer *consumer)
{
    const kc_member *member = &consumer->member;
    for (size_t i = 0; i < member->topic_count; i++)
        if (member->topics[i].partition_count != member->topics[i].meta->partition_count)
            return true;
    return false;
}

/** What each member wants; one whose subscription can't be read wants nothing. */
static kc_err read_members(kc_consumer *consumer, size_t *name_count)
{
    kc_member *member = &consumer->member;
    member->assign_members =
        kb_arena_array(&member->round, (size_t)member->member_count, sizeof(kc_assign_member));
    if (!member->assign_members)
        return KC_ERR_NOMEM;
    *name_count = 0;
    for (int32_t i = 0; i < member->member_count; i++) {
        const kp_join_group_resp_member *from = &member->members[i];
        kc_assign_member *to = &member->assign_members[i];
        kp_consumer_protocol_subscription subscription;
        *to = (kc_assign_member){.id = from->member_id, .instance_id = from->group_instance_id};
        kc_err err = kc_consumer_protocol_read(&kp_consumer_protocol_subscription_message,
                                               from->metadata, &member->round, &subscription);
        if (err == KC_ERR_NOMEM)
            return err;
        if (err != KC_OK) {
            kb_log_line(kc_client_log(consumer->client, KC_DEBUG_GROUP), KC_LOG_WARNING,
                        "group %s: the subscription of member " KC_FMT " can't be read",
                        consumer->settings->group_id, KC_ARG(from->member_id));
            continue;
        }
        if (subscription.topics.count < 0)
            continue;
        to->topics = subscription.topics.items;
        to->topic_count = subscription.topics.count;
        *name_count += (size_t)to->topic_count;
    }
    return KC_OK;
}

/** All topics that any member wants, each once, put into use. The old ones go after that, so that
 * what is known of a topic stays known. */
static kc_err use_topics(kc_consumer *consumer, size_t name_count)
{
    kc_member *member = &consumer->member;
    kc_bytes *names = kb_arena_array(&member->round, name_count, sizeof *names);
    kc_member_topic *topics =
        kb_mem_zalloc(kc_consumer_mem(consumer), (name_count + 1) * sizeof *topics);
    kc_err err = names && topics ? KC_OK : KC_ERR_NOMEM;
    size_t count = 0, used = 0;
    for (int32_t i = 0; i < member->member_count && err == KC_OK; i++)
        for (int32_t t = 0; t < member->assign_members[i].topic_count; t++)
            if (kc_topic_name_is_valid(member->assign_members[i].topics[t]))
                names[count++] = member->assign_members[i].topics[t];
    count = kb_names_sort(names, count);
    for (size_t i = 0; i < count && err == KC_OK; i++) {
        err = kc_metadata_use(consumer->client->metadata, names[i], &topics[used].meta);
        used += err == KC_OK;
    }
    if (err != KC_OK) {
        unuse(consumer, topics, used);
        return err;
    }
    unuse(consumer, member->topics, member->topic_count);
    member->topics = topics;
    member->topic_count = used;
    return KC_OK;
}

/* ---- assignment ---- */

static void send_sync(kc_consumer *consumer, kp_sync_group_req_assignment *assignments,
                      int32_t count);

/** Ranges of one member, encoded; they are those with its index, in the order of the topics. */
static kc_err put_assignment(kc_consumer *consumer, const kc_assign_range *const *ranges,
                             size_t count, kb_buf *out, kc_bytes *bytes_out)
{
    kc_member *member = &consumer->member;
    kp_consumer_protocol_assignment assignment;
    kp_defaults(&kp_consumer_protocol_assignment_message, &assignment);
    assignment.assigned_partitions.items =
        kb_arena_array(&member->round, count, sizeof *assignment.assigned_partitions.items);
    if (!assignment.assigned_partitions.items)
        return KC_ERR_NOMEM;
    assignment.assigned_partitions.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const kc_assign_range *range = ranges[i];
        int32_t *partitions =
            kb_arena_array(&member->round, (size_t)range->count, sizeof *partitions);
        if (!partitions)
            return KC_ERR_NOMEM;
        for (int32_t p = 0; p < range->count; p++)
            partitions[p] = range->first + p;
        assignment.assigned_partitions.items[i].topic = member->topics[range->topic].meta->name;
        assignment.assigned_partitions.items[i].partitions.items = partitions;
        assignment.assigned_partitions.items[i].partitions.count = range->count;
    }
    kb_buf_reset(out);
    KB_TRY(kc_consumer_protocol_write(&kp_consumer_protocol_assignment_message, ASSIGNMENT_VERSION,
                                      &assignment, out));
    *bytes_out = kb_arena_copy(&member->round, kb_buf_bytes(out));
    return bytes_out->ptr ? KC_OK : KC_ERR_NOMEM;
}

static kc_err put_assignments(kc_consumer *consumer, const kc_assign_result *result, kb_buf *out,
                              kp_sync_group_req_assignment *assignments)
{
    kc_member *member = &consumer->member;
    size_t members = (size_t)member->member_count;
    size_t *starts = kb_arena_array(&member->round, members + 1, sizeof *starts);
    const kc_assign_range **ordered =
        kb_arena_array(&member->round, result->count, sizeof(kc_assign_range *));
    if (!starts || !ordered)
        return KC_ERR_NOMEM;
    /* By member, and within one as they are: by counting. */
    for (size_t i = 0; i < result->count; i++)
        starts[result->ranges[i].member + 1]++;
    for (size_t m = 0; m < members; m++)
        starts[m + 1] += starts[m];
    for (size_t i = 0; i < result->count; i++)
        ordered[starts[result->ranges[i].member]++] = &result->ranges[i];
    size_t from = 0;
    for (size_t m = 0; m < members; m++) {
        kp_struct_defaults(&kp_sync_group_req_assignment_desc, &assignments[m]);
        assignments[m].member_id = member->members[m].member_id;
        KB_TRY(put_assignment(consumer, ordered + from, starts[m] - from, out,
                              &assignments[m].assignment));
        from = starts[m];
    }
    return KC_OK;
}

static kc_err compute(kc_consumer *consumer, kp_sync_group_req_assignment **assignments_out)
{
    kc_member *member = &consumer->member;
    kc_assign_topic *topics = kb_arena_array(&member->round, member->topic_count, sizeof *topics);
    kp_sync_group_req_assignment *assignments =
        kb_arena_array(&member->round, (size_t)member->member_count, sizeof *assignments);
    if (!topics || !assignments)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < member->topic_count; i++) {
        kc_member_topic *topic = &member->topics[i];
        topic->partition_count = topic->meta->partition_count;
        topics[i] = (kc_assign_topic){topic->meta->name, topic->partition_count};
    }
    if (member->is_sync_empty) {
        *assignments_out = NULL;
        return KC_OK;
    }
    kc_assign_result result;
    KB_TRY(kc_assign_range_all(member->assign_members, member->member_count, topics,
                               (int32_t)member->topic_count, &member->round, &result));
    kb_buf out;
    kb_buf_init(&out, kc_consumer_mem(consumer), 0);
    kc_err err = put_assignments(consumer, &result, &out, assignments);
    kb_buf_cleanup(&out);
    *assignments_out = assignments;
    return err;
}

void kc_member_assign_now(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kp_sync_group_req_assignment *assignments;
    kn_timer_stop(consumer->client->loop, &member->timer);
    kc_err err = compute(consumer, &assignments);
    if (err != KC_OK) {
        kb_log_line(kc_client_log(consumer->client, KC_DEBUG_GROUP), KC_LOG_WARNING,
                    "group %s: no assignment: %s", consumer->settings->group_id, kc_err_text(err));
        kc_member_retry_later(consumer);
        return;
    }
    send_sync(consumer, assignments, assignments ? member->member_count : 0);
}

/* ---- errors of both requests ---- */

/** Every code ends in one of: again now, again later, fatal (trap 44: an unknown one is fatal). */
static void round_failed(kc_consumer *consumer, kc_err code, const char *what)
{
    kc_member *member = &consumer->member;
    kb_log_line(kc_client_log(consumer->client, KC_DEBUG_GROUP), KC_LOG_INFO, "group %s: %s: %s",
                consumer->settings->group_id, what, kc_err_text(code));
    switch (code) {
    case KC_ERR_CLOSED:
        return;
    case KC_E_UNKNOWN_MEMBER_ID:
    case KC_E_ILLEGAL_GENERATION:
        member->generation = -1;
        if (code == KC_E_UNKNOWN_MEMBER_ID && kc_member_set_id(consumer, KC_NULL) != KC_OK)
            return;
        kc_member_retry_later(consumer);
        return;
    case KC_E_REBALANCE_IN_PROGRESS:
    case KC_E_UNKNOWN_SERVER_ERROR:
        kc_member_retry_later(consumer);
        return;
    default:
        break;
    }
    bool is_ours = code < KC_E_UNKNOWN_SERVER_ERROR;
    if (code == KC_ERR_VERSION || (!is_ours && !(kc_err_flags(code) & KC_ERRF_RETRIABLE))) {
        kc_member_fail(consumer, code, what);
        return;
    }
    kc_member_coordinator_failed(consumer, code);
    kc_member_retry_later(consumer);
}

static void reset_round(kc_member *member)
{
    kb_arena_reset(&member->round);
    kb_chunk_unref(member->round_chunk);
    member->round_chunk = NULL;
    member->members = NULL;
    member->member_count = 0;
}

void kc_member_cancel_round(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kn_request_cancel(&member->join_request);
    kn_request_cancel(&member->sync_request);
    kc_member_release_topics(consumer);
    reset_round(member);
}

/* ---- SyncGroup ---- */

/** Each partition once, of topics that are subscribed. */
static kc_err take_assignment(kc_consumer *consumer, kc_bytes bytes)
{
    kp_consumer_protocol_assignment assignment;
    if (bytes.len == 0)
        return KC_OK;
    KB_TRY(kc_consumer_protocol_read(&kp_consumer_protocol_assignment_message, bytes,
                                     &consumer->member.round, &assignment));
    for (int32_t t = 0; t < assignment.assigned_partitions.count; t++) {
        kc_bytes topic = assignment.assigned_partitions.items[t].topic;
        bool is_wanted = kc_subscription_has(consumer, topic);
        if (!is_wanted)
            kb_log_line(kc_client_log(consumer->client, KC_DEBUG_GROUP), KC_LOG_WARNING,
                        "group %s: assigned " KC_FMT ", which is not subscribed: left out",
                        consumer->settings->group_id, KC_ARG(topic));
        for (int32_t p = 0;
             is_wanted && p < assignment.assigned_partitions.items[t].partitions.count; p++) {
            kc_part *part;
            kc_err err =
                kc_part_add(consumer, topic,
                            assignment.assigned_partitions.items[t].partitions.items[p], &part);
            if (err == KC_ERR_NOMEM)
                return err;
            if (err == KC_OK)
                kc_part_start(part, KC_OFFSET_STORED);
        }
    }
    return KC_OK;
}

static void become_stable(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    member->attempts = 0;
    kc_member_set_state(consumer, KC_MEMBER_STABLE);
    consumer->taken_us = kc_consumer_now_us(consumer);
    consumer->stats.rebalances++;
    kc_part_list list = kc_part_list_take(consumer);
    if (consumer->events.on_assigned)
        consumer->events.on_assigned(consumer, list.names, list.count, consumer->events.user);
    kc_part_list_return(consumer, &list);
    kc_consumer_plan_soon(consumer);
    kc_member_step_soon(consumer);
}

static void on_sync(kn_request *request, const kn_reply *reply)
{
    kc_consumer *consumer = request->user;
    kc_member *member = &consumer->member;
    kp_sync_group_resp answer;
    kc_error error;
    kc_err code = reply->err;
    if (code == KC_OK)
        code = kn_reply_decode(request, reply, &member->round, &answer, &error);
    if (code == KC_OK)
        code = answer.error_code;
    if (code == KC_OK && answer.protocol_name.ptr &&
        !kc_bytes_equal(answer.protocol_name, KC_STR(PROTOCOL_NAME)))
        code = KC_E_INCONSISTENT_GROUP_PROTOCOL;
    if (code == KC_OK) {
        code = take_assignment(consumer, answer.assignment);
        if (code != KC_OK)
            kc_part_drop_all(consumer);
    }
    if (code != KC_OK) {
        round_failed(consumer, code, "SyncGroup");
        return;
    }
    become_stable(consumer);
}

static void send_sync(kc_consumer *consumer, kp_sync_group_req_assignment *assignments,
                      int32_t count)
{
    kc_member *member = &consumer->member;
    const kc_settings *settings = consumer->settings;
    kp_sync_group_req *sync = &member->sync;
    kp_defaults(&kp_sync_group_req_message, sync);
    sync->group_id = consumer->group_id;
    sync->generation_id = member->generation;
    sync->member_id = kc_member_id(member);
    sync->protocol_type = KC_STR(PROTOCOL_TYPE);
    sync->protocol_name = KC_STR(PROTOCOL_NAME);
    sync->assignments.items = assignments;
    sync->assignments.count = count;
    member->sync_request.version_min = -1;
    if (settings->group_instance_id) {
        sync->group_instance_id = kc_str(settings->group_instance_id);
        member->sync_request.version_min = SYNC_VERSION_STATIC;
    }
    member->sync_request.version_max = -1;
    member->sync_request.api = kp_api_by_key(KP_API_SYNC_GROUP);
    member->sync_request.msg = sync;
    member->sync_request.timeout_ms = member->join_request.timeout_ms;
    member->sync_request.done = on_sync;
    kc_member_set_state(consumer, KC_MEMBER_SYNCING);
    kn_target target = {member->coordinator, KN_LANE_GROUP, consumer->owner};
    kn_pool_submit(consumer->client->pool, target, &member->sync_request);
}

/* ---- JoinGroup ---- */

static void become_leader(kc_consumer *consumer, const kp_join_group_resp *answer)
{
    const kc_settings *settings = consumer->settings;
    kc_member *member = &consumer->member;
    member->members = answer->members.items;
    member->member_count = answer->members.count > 0 ? answer->members.count : 0;
    member->is_sync_empty = answer->skip_assignment;
    size_t name_count;
    kc_err err = read_members(consumer, &name_count);
    if (err == KC_OK)
        err = use_topics(consumer, name_count);
    if (err != KC_OK) {
        round_failed(consumer, err, "JoinGroup");
        return;
    }
    member->is_leader = true;
    int32_t wait_ms = settings->session_timeout_ms < METADATA_WAIT_MAX
                          ? settings->session_timeout_ms
                          : METADATA_WAIT_MAX;
    kc_member_set_state(consumer, KC_MEMBER_ASSIGNING);
    kc_consumer_set_timer(consumer, &member->timer,
                          kc_consumer_now_us(consumer) + (int64_t)wait_ms * 1000);
    if (kc_member_topics_known(consumer))
        kc_member_assign_now(consumer);
}

/** What the answer must hold to be one. */
static kc_err check_join(const kp_join_group_resp *answer)
{
    if (answer->generation_id < 0 || answer->member_id.len == 0)
        return KC_ERR_MALFORMED;
    if (!kc_bytes_equal(answer->protocol_name, KC_STR(PROTOCOL_NAME)))
        return KC_E_INCONSISTENT_GROUP_PROTOCOL;
    if (answer->protocol_type.ptr && !kc_bytes_equal(answer->protocol_type, KC_STR(PROTOCOL_TYPE)))
        return KC_E_INCONSISTENT_GROUP_PROTOCOL;
    return KC_OK;
}

static void on_join(kn_request *request, const kn_reply *reply)
{
    kc_consumer *consumer = request->user;
    kc_member *member = &consumer->member;
    kp_join_group_resp answer = {0};
    kc_error error;
    kc_err code = reply->err;
    reset_round(member);
    if (code == KC_OK) {
        member->round_chunk = kb_chunk_ref(reply->chunk);
        code = kn_reply_decode(request, reply, &member->round, &answer, &error);
    }
    if (code == KC_OK)
        code = answer.error_code;
    if (code == KC_E_MEMBER_ID_REQUIRED && answer.member_id.len > 0 && !member->id) {
        /* KIP-394: the id is kept, whatever else fails (trap 39). */
        code = kc_member_set_id(consumer, answer.member_id);
        if (code == KC_OK) {
            kc_member_set_state(consumer, KC_MEMBER_UNJOINED);
            kc_member_step_soon(consumer);
            return;
        }
    }
    if (code == KC_OK)
        code = check_join(&answer);
    if (code == KC_OK)
        code = kc_member_set_id(consumer, answer.member_id);
    if (code != KC_OK) {
        round_failed(consumer, code, "JoinGroup");
        return;
    }
    member->generation = answer.generation_id;
    member->heard_us = kc_consumer_now_us(consumer);
    kc_member_start_heartbeat(consumer);
    if (kc_bytes_equal(answer.leader, answer.member_id)) {
        become_leader(consumer, &answer);
    } else {
        kc_member_release_topics(consumer);
        send_sync(consumer, NULL, 0);
    }
}

static int32_t join_timeout_ms(const kc_settings *settings)
{
    int32_t wait_ms = settings->max_poll_interval_ms;
    wait_ms = wait_ms < INT32_MAX - JOIN_MARGIN_MS ? wait_ms + JOIN_MARGIN_MS : INT32_MAX;
    return wait_ms > settings->request_timeout_ms ? wait_ms : settings->request_timeout_ms;
}

void kc_member_join(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    const kc_settings *settings = consumer->settings;
    kp_join_group_req *join = &member->join;
    if (put_subscription(consumer) != KC_OK) {
        kc_member_retry_later(consumer);
        return;
    }
    kp_struct_defaults(&kp_join_group_req_protocol_desc, &member->protocol);
    member->protocol.name = KC_STR(PROTOCOL_NAME);
    member->protocol.metadata = kb_buf_bytes(&member->metadata);
    kp_defaults(&kp_join_group_req_message, join);
    join->group_id = consumer->group_id;
    join->session_timeout_ms = settings->session_timeout_ms;
    join->rebalance_timeout_ms = settings->max_poll_interval_ms;
    join->member_id = kc_member_id(member);
    join->protocol_type = KC_STR(PROTOCOL_TYPE);
    join->protocols.items = &member->protocol;
    join->protocols.count = 1;
    if (member->reason)
        join->reason = kc_str(member->reason);
    member->join_request.version_min = -1;
    if (settings->group_instance_id) {
        join->group_instance_id = kc_str(settings->group_instance_id);
        member->join_request.version_min = JOIN_VERSION_STATIC;
    }
    member->join_request.version_max = -1;
    member->join_request.api = kp_api_by_key(KP_API_JOIN_GROUP);
    member->join_request.msg = join;
    member->join_request.timeout_ms = join_timeout_ms(settings);
    member->join_request.done = on_join;
    member->must_rejoin = false;
    kc_member_set_state(consumer, KC_MEMBER_JOINING);
    kn_target target = {member->coordinator, KN_LANE_GROUP, consumer->owner};
    kn_pool_submit(consumer->client->pool, target, &member->join_request);
}
