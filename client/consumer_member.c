/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Membership of a group, classic protocol: the state machine around the rebalance, heartbeats,
 * leaving.
 *
 *   NONE -> UNJOINED -> JOINING -> (leader: ASSIGNING) -> SYNCING -> STABLE
 *              ^  back-off, coordinator   |                  |         |
 *              +--------------------------+------------------+         |  rebalance, subscription,
 *              ^                                                       v  new partitions
 *              +---- lost (trap 36) <----------------------------- REVOKING -> JOINING, or
 *                                                                              LEAVING -> NONE
 *
 * Eager: everything is given back before a JoinGroup. on_revoked comes first, then all commits are
 * awaited, then the partitions go and the JoinGroup leaves: so a commit never stands between
 * JoinGroup and SyncGroup (trap 35). Heartbeats go on the shared lane, since a JoinGroup may stand
 * on the group lane for minutes; they begin with the JoinGroup's answer and go on while partitions
 * are given back. They are sent by dispatch only: an application that does not dispatch for
 * session.timeout.ms is out, and told so (on_lost) by the next dispatch. State changes happen in
 * step(), replies and timers; each callback of the application may change the state, which `serial`
 * tells. */
#include "client/consumer_member.h"

#include "client/consumer_core.h"
#include "client/consumer_offset_op.h"
#include "client/consumer_part.h"
#include "protocol/base/error.h"
#include "protocol/generated/messages.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>

#define HEARTBEAT_VERSION_STATIC 3
#define LEAVE_VERSION_MEMBERS    3

static void step(kc_consumer *consumer);

const char *kc_member_state_name(kc_member_state state)
{
    static const char *const names[] = {
        [KC_MEMBER_NONE] = "none",           [KC_MEMBER_UNJOINED] = "unjoined",
        [KC_MEMBER_REVOKING] = "revoking",   [KC_MEMBER_JOINING] = "joining",
        [KC_MEMBER_ASSIGNING] = "assigning", [KC_MEMBER_SYNCING] = "syncing",
        [KC_MEMBER_STABLE] = "stable",       [KC_MEMBER_LEAVING] = "leaving",
        [KC_MEMBER_FATAL] = "fatal",
    };
    return names[state];
}

static void update_out(kc_consumer *consumer)
{
    kc_member_state state = consumer->member.state;
    consumer->is_out =
        (state == KC_MEMBER_NONE || state == KC_MEMBER_FATAL) && consumer->commits_pending == 0;
}

void kc_member_set_state(kc_consumer *consumer, kc_member_state state)
{
    kc_member *member = &consumer->member;
    kb_log_line(kc_client_log(consumer->client, KC_DEBUG_GROUP), KC_LOG_DEBUG, "group %s: %s -> %s",
                consumer->settings->group_id, kc_member_state_name(member->state),
                kc_member_state_name(state));
    assert(state != KC_MEMBER_STABLE || member->state == KC_MEMBER_SYNCING);
    assert(state != KC_MEMBER_SYNCING || member->state == KC_MEMBER_JOINING ||
           member->state == KC_MEMBER_ASSIGNING);
    member->state = state;
    member->serial++;
    update_out(consumer);
}

void kc_member_step_soon(kc_consumer *consumer)
{
    kn_task_queue(consumer->client->loop, &consumer->member.task);
}

kc_err kc_member_set_id(kc_consumer *consumer, kc_bytes id)
{
    kc_member *member = &consumer->member;
    char *copy = NULL;
    if (id.len > 0) {
        copy = kb_mem_strndup(kc_consumer_mem(consumer), id.ptr, id.len);
        if (!copy)
            return KC_ERR_NOMEM;
    }
    kb_mem_free(kc_consumer_mem(consumer), member->id);
    member->id = copy;
    return KC_OK;
}

static void forget_id(kc_consumer *consumer)
{
    kc_err err = kc_member_set_id(consumer, KC_NULL);
    assert(err == KC_OK); /* nothing is allocated */
    (void)err;
}

void kc_member_retry_later(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kc_member_stop_heartbeat(consumer);
    kc_member_set_state(consumer, KC_MEMBER_UNJOINED);
    kc_consumer_set_timer(consumer, &member->timer,
                          kc_consumer_now_us(consumer) +
                              kc_retry_backoff_us(consumer->client, member->attempts++));
}

void kc_member_fail(kc_consumer *consumer, kc_err code, const char *what)
{
    kc_error error;
    kb_error_set(&error, code, "group %s: %s failed: %s", consumer->settings->group_id, what,
                 kc_err_text(code));
    error.broker_id = consumer->member.coordinator;
    kc_consumer_fail(consumer, &error);
}

/* ---- coordinator ---- */

void kc_member_coordinator_failed(kc_consumer *consumer, kc_err code)
{
    kc_client *client = consumer->client;
    kb_log_line(kc_client_log(client, KC_DEBUG_GROUP), KC_LOG_INFO, "group %s: coordinator %d: %s",
                consumer->settings->group_id, (int)consumer->member.coordinator, kc_err_text(code));
    consumer->member.coordinator = -1;
    if (code != KC_E_COORDINATOR_LOAD_IN_PROGRESS)
        kc_coordinator_forget(client->coordinators, KC_COORDINATOR_GROUP, consumer->group_id);
}

static void on_found(kc_coordinator_wait *wait, int32_t broker_id, const kc_error *error)
{
    kc_consumer *consumer = wait->user;
    kc_member *member = &consumer->member;
    if (!error || error->code == KC_OK) {
        member->coordinator = broker_id;
        if (member->state == KC_MEMBER_UNJOINED)
            step(consumer);
        else if (kn_timer_is_set(&member->heartbeat_timer))
            kc_consumer_set_timer(consumer, &member->heartbeat_timer, kc_consumer_now_us(consumer));
        return;
    }
    if (error->flags & KC_ERRF_AUTH) {
        kc_consumer_fail(consumer, error);
        return;
    }
    if (member->state == KC_MEMBER_UNJOINED)
        kc_member_retry_later(consumer);
}

/** Broker id, or -1: a look-up is under way and on_found() goes on. */
static int32_t find_coordinator(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kc_coordinators *coordinators = consumer->client->coordinators;
    member->coordinator =
        kc_coordinator_known(coordinators, KC_COORDINATOR_GROUP, consumer->group_id);
    if (member->coordinator >= 0 || !kb_list_is_empty(&member->wait.node))
        return member->coordinator;
    member->wait.fn = on_found;
    member->wait.user = consumer;
    member->wait.deadline_us =
        kc_consumer_now_us(consumer) + (int64_t)consumer->settings->default_api_timeout_ms * 1000;
    kc_err err =
        kc_coordinator_find(coordinators, KC_COORDINATOR_GROUP, consumer->group_id, &member->wait);
    if (err != KC_OK && member->state == KC_MEMBER_UNJOINED)
        kc_member_retry_later(consumer);
    return -1;
}

/* ---- giving back ---- */

/** on_lost for all partitions, which are no longer read when it is called. */
static void lose_parts(kc_consumer *consumer)
{
    if (consumer->part_count == 0)
        return;
    kc_part_list list = kc_part_list_take(consumer);
    kc_part_drop_all(consumer);
    if (consumer->events.on_lost)
        consumer->events.on_lost(consumer, list.names, list.count, consumer->events.user);
    kc_part_list_return(consumer, &list);
}

static void give_back(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    uint32_t serial = member->serial;
    kc_part_list list = kc_part_list_take(consumer);
    if (consumer->events.on_revoked)
        consumer->events.on_revoked(consumer, list.names, list.count, consumer->events.user);
    kc_part_list_return(consumer, &list);
    if (member->serial != serial)
        return;
    /* One under way may lack what was handed out since. */
    if (consumer->auto_op) {
        kc_offset_op_cancel(consumer->auto_op);
        consumer->auto_op = NULL;
    }
    kc_commit_auto(consumer);
    KB_LIST_FOR (node, &consumer->parts) {
        kc_part *part = KB_CONTAINER(node, kc_part, node);
        part->is_revoked = true;
        kc_part_clear(part);
    }
}

static void begin_revoking(kc_consumer *consumer)
{
    const kc_settings *settings = consumer->settings;
    kc_member *member = &consumer->member;
    int32_t wait_ms = settings->default_api_timeout_ms < settings->max_poll_interval_ms
                          ? settings->default_api_timeout_ms
                          : settings->max_poll_interval_ms;
    kc_member_set_state(consumer, KC_MEMBER_REVOKING);
    kc_consumer_set_timer(consumer, &member->timer,
                          kc_consumer_now_us(consumer) + (int64_t)wait_ms * 1000);
    if (consumer->part_count > 0)
        give_back(consumer);
    kc_member_step_soon(consumer);
}

static void step_unjoined(kc_consumer *consumer);

static void end_revoking(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    uint32_t serial = member->serial;
    if (consumer->commits_pending > 0) {
        if (kn_timer_is_set(&member->timer))
            return;
        kc_offset_op_end_all(consumer, KC_ERR_TIMEOUT, true);
        if (member->serial != serial)
            return;
    }
    kn_timer_stop(consumer->client->loop, &member->timer);
    kc_part_drop_all(consumer);
    kc_member_stop_heartbeat(consumer);
    kc_member_set_state(consumer, KC_MEMBER_UNJOINED);
    step_unjoined(consumer);
}

void kc_member_commits_done(kc_consumer *consumer)
{
    update_out(consumer);
    if (consumer->member.state == KC_MEMBER_REVOKING)
        kc_member_step_soon(consumer);
}

bool kc_member_may_commit(const kc_consumer *consumer)
{
    return consumer->is_by_hand || consumer->member.state == KC_MEMBER_STABLE;
}

void kc_member_lost(kc_consumer *consumer, kc_err code)
{
    kc_member *member = &consumer->member;
    if (code == KC_E_FENCED_INSTANCE_ID) {
        kc_member_fail(consumer, code, "membership");
        return;
    }
    if (member->state == KC_MEMBER_NONE || member->state == KC_MEMBER_FATAL ||
        member->state == KC_MEMBER_LEAVING)
        return;
    bool is_given_back = member->state == KC_MEMBER_REVOKING; /* on_revoked was called */
    kb_log_line(kc_client_log(consumer->client, KC_DEBUG_GROUP), KC_LOG_WARNING,
                "group %s: membership lost: %s", consumer->settings->group_id, kc_err_text(code));
    kc_member_cancel_round(consumer);
    kc_member_stop_heartbeat(consumer);
    kn_timer_stop(consumer->client->loop, &member->timer);
    member->generation = -1;
    member->must_rejoin = false;
    member->reason = "membership was lost";
    if (code != KC_E_ILLEGAL_GENERATION)
        forget_id(consumer);
    kc_member_set_state(consumer, KC_MEMBER_UNJOINED);
    kc_member_step_soon(consumer);
    if (is_given_back)
        kc_part_drop_all(consumer);
    uint32_t serial = member->serial;
    kc_offset_op_end_all(consumer, code, true);
    if (member->serial == serial)
        lose_parts(consumer);
}

/* ---- leaving ---- */

static void end_leaving(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    forget_id(consumer);
    member->must_leave = false;
    member->attempts = 0;
    kc_member_set_state(consumer, KC_MEMBER_NONE);
    if (consumer->subscription.is_set && !consumer->is_closing)
        kc_member_rejoin(consumer, "joining anew");
}

static void on_leave(kn_request *request, const kn_reply *reply)
{
    kc_consumer *consumer = request->user;
    if (reply->err == KC_ERR_CLOSED)
        return;
    end_leaving(consumer); /* the group finds out by itself where this failed */
}

/** The request has two shapes: the version must be known. */
static bool build_leave(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    const kp_versions *versions = kn_pool_versions(consumer->client->pool, member->coordinator);
    const kp_api *api = kp_api_by_key(KP_API_LEAVE_GROUP);
    if (!versions)
        return false;
    int16_t version = kp_version_choose(api, versions, -1, -1);
    if (version < 0)
        return false;
    kp_defaults(&kp_leave_group_req_message, &member->leave);
    member->leave.group_id = consumer->group_id;
    if (version < LEAVE_VERSION_MEMBERS) {
        member->leave.member_id = kc_member_id(member);
    } else {
        kp_struct_defaults(&kp_leave_group_req_member_desc, &member->leave_member);
        member->leave_member.member_id = kc_member_id(member);
        member->leave_member.reason = member->is_expired
                                          ? KC_STR("no batch was taken for max.poll.interval.ms")
                                          : KC_STR("the consumer unsubscribed or was closed");
        member->leave.members.items = &member->leave_member;
        member->leave.members.count = 1;
    }
    member->leave_request.api = api;
    member->leave_request.msg = &member->leave;
    member->leave_request.version_min = member->leave_request.version_max = version;
    return true;
}

/** Not on the group's lane: a JoinGroup may still stand there. */
static void leave(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kc_member_cancel_round(consumer);
    kc_member_stop_heartbeat(consumer);
    kn_timer_stop(consumer->client->loop, &member->timer);
    member->generation = -1;
    member->must_rejoin = false;
    kc_member_set_state(consumer, KC_MEMBER_LEAVING);
    /* A static member stays until its session ends: that is what it is for (KIP-345, trap 38). */
    if (!member->id || consumer->settings->group_instance_id || member->coordinator < 0 ||
        !build_leave(consumer)) {
        end_leaving(consumer);
        return;
    }
    member->leave_request.timeout_ms = consumer->settings->request_timeout_ms;
    member->leave_request.done = on_leave;
    kn_target target = {member->coordinator, KN_LANE_MAIN, 0};
    kn_pool_submit(consumer->client->pool, target, &member->leave_request);
}

void kc_member_leave(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    if (member->state == KC_MEMBER_NONE || member->state == KC_MEMBER_FATAL)
        return;
    member->must_leave = true;
    kc_member_step_soon(consumer);
}

void kc_member_leave_abruptly(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    if (member->state == KC_MEMBER_NONE || member->state == KC_MEMBER_FATAL ||
        member->state == KC_MEMBER_LEAVING)
        return;
    leave(consumer);
}

/** Somebody holds partitions and reads nothing: others shall have them (KIP-62). */
static void expire(kc_consumer *consumer)
{
    kc_error error;
    kb_error_set(&error, KC_ERR_TIMEOUT,
                 "group %s: no batch was taken for max.poll.interval.ms (%d), though some are "
                 "there: left the "
                 "group until the next one is",
                 consumer->settings->group_id, (int)consumer->settings->max_poll_interval_ms);
    kc_consumer_tell(consumer, &error);
    consumer->member.is_expired = true;
    kc_offset_op_end_all(consumer, KC_E_UNKNOWN_MEMBER_ID, true);
    if (consumer->member.state == KC_MEMBER_STABLE) {
        leave(consumer);
        lose_parts(consumer);
    }
}

/* ---- heartbeats ---- */

static void on_heartbeat(kn_request *request, const kn_reply *reply)
{
    kc_consumer *consumer = request->user;
    kc_member *member = &consumer->member;
    kp_heartbeat_resp answer;
    kc_error error;
    kc_err code = reply->err;
    if (code == KC_OK)
        code = kn_reply_decode(request, reply, &consumer->scratch, &answer, &error);
    if (code == KC_OK)
        code = answer.error_code;
    kb_arena_reset(&consumer->scratch);
    switch (code) {
    case KC_OK:
        member->heard_us = member->heartbeat_sent_us;
        return;
    case KC_E_REBALANCE_IN_PROGRESS:
        member->heard_us = member->heartbeat_sent_us;
        if (member->state == KC_MEMBER_STABLE) /* else it joins already */
            kc_member_rejoin(consumer, "the group is rebalancing");
        return;
    case KC_E_ILLEGAL_GENERATION:
    case KC_E_UNKNOWN_MEMBER_ID:
    case KC_E_FENCED_INSTANCE_ID:
        kc_member_lost(consumer, code);
        return;
    case KC_ERR_CLOSED:
        return;
    default:
        break;
    }
    if (code > 0 && !(kc_err_flags(code) & KC_ERRF_RETRIABLE)) {
        kc_member_fail(consumer, code, "Heartbeat");
        return;
    }
    kc_member_coordinator_failed(consumer, code);
    kc_consumer_set_timer(consumer, &member->heartbeat_timer,
                          kc_consumer_now_us(consumer) + kc_retry_backoff_us(consumer->client, 0));
}

static void send_heartbeat(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    const kc_settings *settings = consumer->settings;
    if (kn_request_is_active(&member->heartbeat_request) || find_coordinator(consumer) < 0)
        return;
    kp_defaults(&kp_heartbeat_req_message, &member->heartbeat);
    member->heartbeat.group_id = consumer->group_id;
    member->heartbeat.generation_id = member->generation;
    member->heartbeat.member_id = kc_member_id(member);
    member->heartbeat_request.version_min = -1;
    if (settings->group_instance_id) {
        member->heartbeat.group_instance_id = kc_str(settings->group_instance_id);
        member->heartbeat_request.version_min = HEARTBEAT_VERSION_STATIC;
    }
    member->heartbeat_request.version_max = -1;
    member->heartbeat_request.api = kp_api_by_key(KP_API_HEARTBEAT);
    member->heartbeat_request.msg = &member->heartbeat;
    member->heartbeat_request.timeout_ms =
        settings->session_timeout_ms < settings->request_timeout_ms ? settings->session_timeout_ms
                                                                    : settings->request_timeout_ms;
    member->heartbeat_request.done = on_heartbeat;
    member->heartbeat_sent_us = kc_consumer_now_us(consumer);
    kn_target target = {member->coordinator, KN_LANE_MAIN, 0};
    kn_pool_submit(consumer->client->pool, target, &member->heartbeat_request);
}

static void on_heartbeat_timer(kn_timer *timer)
{
    kc_consumer *consumer = timer->user;
    kc_member *member = &consumer->member;
    const kc_settings *settings = consumer->settings;
    int64_t now_us = kc_consumer_now_us(consumer);
    kc_consumer_set_timer(consumer, timer,
                          now_us + (int64_t)settings->heartbeat_interval_ms * 1000);
    if (now_us - member->heard_us >= (int64_t)settings->session_timeout_ms * 1000) {
        kc_member_lost(consumer, KC_ERR_TIMEOUT);
        return;
    }
    if (member->state == KC_MEMBER_STABLE && consumer->has_ready &&
        now_us - consumer->taken_us >= (int64_t)settings->max_poll_interval_ms * 1000) {
        expire(consumer);
        return;
    }
    send_heartbeat(consumer);
}

void kc_member_start_heartbeat(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kc_consumer_set_timer(consumer, &member->heartbeat_timer,
                          kc_consumer_now_us(consumer) +
                              (int64_t)consumer->settings->heartbeat_interval_ms * 1000);
}

void kc_member_stop_heartbeat(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kn_timer_stop(consumer->client->loop, &member->heartbeat_timer);
    kn_request_cancel(&member->heartbeat_request);
}

/* ---- steps ---- */

static void step_unjoined(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    if (member->must_leave) {
        leave(consumer);
        return;
    }
    if (kn_timer_is_set(&member->timer) || member->is_expired ||
        !kc_subscription_is_ready(consumer))
        return;
    if (consumer->commits_pending > 0) { /* from before the subscription */
        begin_revoking(consumer);
        return;
    }
    if (find_coordinator(consumer) >= 0)
        kc_member_join(consumer);
}

/** Real changes only: topics of the subscription, and for the leader the partitions it shared out
 * (trap 43). */
static void look_at_metadata(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    uint64_t version = kc_metadata_version(consumer->client->metadata);
    if (member->metadata_version == version)
        return;
    member->metadata_version = version;
    if (kc_subscription_refresh(consumer) && member->state != KC_MEMBER_UNJOINED) {
        member->must_rejoin = true;
        member->reason = "other topics match the subscription";
    }
    if (member->state == KC_MEMBER_STABLE && member->is_leader &&
        kc_member_partitions_changed(consumer)) {
        member->must_rejoin = true;
        member->reason = "the partitions of a topic changed";
    }
}

static void step(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    if (member->state != KC_MEMBER_NONE && member->state != KC_MEMBER_FATAL)
        look_at_metadata(consumer);
    switch (member->state) {
    case KC_MEMBER_UNJOINED:
        step_unjoined(consumer);
        break;
    case KC_MEMBER_REVOKING:
        end_revoking(consumer);
        break;
    case KC_MEMBER_JOINING:
    case KC_MEMBER_SYNCING:
        if (member->must_leave)
            leave(consumer);
        break;
    case KC_MEMBER_ASSIGNING:
        if (member->must_leave)
            leave(consumer);
        else if (kc_member_topics_known(consumer) || !kn_timer_is_set(&member->timer))
            kc_member_assign_now(consumer);
        break;
    case KC_MEMBER_STABLE:
        if (member->must_leave || member->must_rejoin)
            begin_revoking(consumer);
        break;
    case KC_MEMBER_NONE:
    case KC_MEMBER_LEAVING:
    case KC_MEMBER_FATAL:
        break;
    }
}

static void on_task(kn_task *task)
{
    step(task->user);
}

static void on_timer(kn_timer *timer)
{
    step(timer->user);
}

void kc_member_rejoin(kc_consumer *consumer, const char *why)
{
    kc_member *member = &consumer->member;
    if (member->state == KC_MEMBER_FATAL)
        return;
    kb_log_line(kc_client_log(consumer->client, KC_DEBUG_GROUP), KC_LOG_INFO,
                "group %s: joining: %s", consumer->settings->group_id, why);
    member->reason = why;
    member->must_leave = false;
    if (member->state == KC_MEMBER_NONE) {
        member->attempts = 0;
        kc_member_set_state(consumer, KC_MEMBER_UNJOINED);
    } else if (member->state != KC_MEMBER_UNJOINED) {
        member->must_rejoin = true;
    }
    kc_member_step_soon(consumer);
}

void kc_member_on_metadata(kc_consumer *consumer)
{
    kc_member_state state = consumer->member.state;
    if (state != KC_MEMBER_NONE && state != KC_MEMBER_FATAL && state != KC_MEMBER_LEAVING)
        kc_member_step_soon(consumer);
}

/* ---- life ---- */

void kc_member_init(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kb_mem *mem = kc_consumer_mem(consumer);
    member->state = KC_MEMBER_NONE;
    member->generation = member->coordinator = -1;
    consumer->is_out = true;
    member->task.fn = on_task;
    member->task.user = consumer;
    kb_list_init(&member->task.node);
    member->timer.fn = on_timer;
    member->timer.user = consumer;
    member->heartbeat_timer.fn = on_heartbeat_timer;
    member->heartbeat_timer.user = consumer;
    kb_list_init(&member->wait.node);
    kb_arena_init(&member->round, mem, kc_client_answer_max(consumer->client));
    kb_buf_init(&member->metadata, mem, 0);
    kn_request *requests[] = {&member->join_request, &member->sync_request,
                              &member->heartbeat_request, &member->leave_request};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        kn_request_init(requests[i], mem);
        requests[i]->user = consumer;
    }
}

void kc_member_cleanup(kc_consumer *consumer)
{
    kc_member *member = &consumer->member;
    kn_loop *loop = consumer->client->loop;
    kn_request *requests[] = {&member->join_request, &member->sync_request,
                              &member->heartbeat_request, &member->leave_request};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        kn_request_cancel(requests[i]);
        kn_request_cleanup(requests[i]);
    }
    kn_task_cancel(&member->task);
    kn_timer_stop(loop, &member->timer);
    kn_timer_stop(loop, &member->heartbeat_timer);
    kc_coordinator_cancel(&member->wait);
    kc_member_cancel_round(consumer);
    kb_buf_cleanup(&member->metadata);
    kb_arena_cleanup(&member->round);
    forget_id(consumer);
}
