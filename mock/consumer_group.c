/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Consumer groups of KIP-848, as GroupMetadataManager of Kafka 4.3 keeps them.
 *
 * Three epochs: the group's goes up when a subscription or a topic subscribed to changes, or a member goes; the
 * target's is the group's epoch when the target was made; a member's is the target's when it had given back what it
 * was to. A heartbeat goes through them in this order:
 *
 *   find the member           consumer_group_member.c        who is it, is its epoch right
 *   what it is subscribed to  consumer_group_subscription.c  may make a new epoch of the group
 *   the target                consumer_group_target.c        if the group's epoch is newer, and it is time
 *   the next step             consumer_group_reconcile.c     what the member may have now
 *
 * All of it is made ready in a km_consumer_change, which is then applied as a whole (commit) or leaves no trace
 * (abort): a request that is refused, or finds no memory, changes nothing.
 *
 * Members that are not heard of for the session timeout are fenced, and so are those that do not give back in their
 * rebalance timeout. The coordinator may move: the group stays, the sessions begin anew, as after loading the log. */
#include "mock/configs.h"
#include "mock/consumer_group_core.h"
#include "mock/text.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

/* ---- as a kind of group ---- */

static const char *state_name(const km_group *group)
{
    const km_consumer_group *cg = group->impl;
    if (cg->members.count == 0)
        return "Empty";
    if (cg->epoch > cg->assignment_epoch)
        return "Assigning";
    size_t pos = 0;
    const km_consumer_member *member;
    while ((member = kb_map_next(&cg->members, &pos)))
        if (!km_consumer_view_is_reconciled(&member->now, cg->assignment_epoch))
            return "Reconciling";
    return "Stable";
}

static bool is_empty(const km_group *group)
{
    const km_consumer_group *cg = group->impl;
    return cg->members.count == 0;
}

static kc_bytes protocol_type(const km_group *group)
{
    (void)group;
    return KC_STR("consumer");
}

static bool is_subscribed(const km_group *group, kc_bytes topic)
{
    const km_consumer_group *cg = group->impl;
    size_t pos = 0;
    const km_consumer_member *member;
    while ((member = kb_map_next(&cg->members, &pos)))
        if (km_consumer_view_subscribes(cg, &member->now, topic))
            return true;
    return false;
}

static int16_t check_commit(km_group *group, kc_bytes member_id, kc_bytes instance_id,
                            int32_t epoch, bool is_transactional)
{
    const km_consumer_group *cg = group->impl;
    if (epoch < 0 && cg->members.count == 0)
        return 0;
    if (is_transactional && epoch == -1 && member_id.len == 0 && !instance_id.ptr)
        return 0; // a producer that says nothing of its group
    const km_consumer_member *member = km_consumer_member_find(cg, member_id);
    if (!member)
        return KC_E_UNKNOWN_MEMBER_ID;
    return epoch > member->now.epoch ? KC_E_STALE_MEMBER_EPOCH : 0;
}

static int16_t check_commit_partition(const km_group *group, kc_bytes member_id, int32_t epoch,
                                      kc_bytes topic_name, int32_t partition)
{
    const km_consumer_group *cg = group->impl;
    const km_consumer_member *member = km_consumer_member_find(cg, member_id);
    if (!member || epoch >= member->now.epoch)
        return 0; // check_commit() has seen to it
    const km_topic *topic = km_topic_by_name(group->cluster, topic_name);
    const km_owned *owned = NULL;
    if (topic)
        owned = km_partition_set_find(&member->now.assigned, topic->id, partition);
    if (topic && !owned)
        owned = km_partition_set_find(&member->now.revoking, topic->id, partition);
    return owned && epoch >= owned->epoch ? 0 : KC_E_STALE_MEMBER_EPOCH;
}

static int16_t check_fetch(const km_group *group, kc_bytes member_id, int32_t epoch)
{
    if (!member_id.ptr && epoch < 0)
        return 0;
    const km_consumer_member *member = km_consumer_member_find(group->impl, member_id);
    if (!member)
        return KC_E_UNKNOWN_MEMBER_ID;
    return epoch == member->now.epoch ? 0 : KC_E_STALE_MEMBER_EPOCH;
}

static int16_t leave_by_admin(km_group *group, kc_bytes member_id, kc_bytes instance_id)
{
    km_consumer_group *cg = group->impl;
    km_consumer_member *member = instance_id.ptr ? km_consumer_member_static(cg, instance_id)
                                                 : km_consumer_member_find(cg, member_id);
    if (!member)
        return KC_E_UNKNOWN_MEMBER_ID;
    if (member_id.len > 0 && !kc_bytes_equal(member_id, member->id))
        return KC_E_FENCED_INSTANCE_ID;
    km_consumer_member_fence(member);
    return 0;
}

static void group_free(km_group *group)
{
    km_consumer_group *cg = group->impl;
    kb_mem *mem = group->cluster->mem;
    size_t pos = 0;
    km_consumer_member *member;
    while ((member = kb_map_next(&cg->members, &pos)))
        km_consumer_member_free(member);
    km_consumer_group_prune(cg);
    km_timer_stop(group->cluster, &cg->regex_refresh);
    km_unwatch(&cg->watcher);
    kb_map_cleanup(&cg->members);
    kb_map_cleanup(&cg->regexes);
    kb_mem_free(mem, cg);
}

static const km_group_ops ops = {
    .type_name = "Consumer",
    .state_name = state_name,
    .is_empty = is_empty,
    .protocol_type = protocol_type,
    .is_subscribed = is_subscribed,
    .check_commit = check_commit,
    .check_commit_partition = check_commit_partition,
    .check_fetch = check_fetch,
    .leave = leave_by_admin,
    .free = group_free,
};

/** The coordinator is another one, or the same again: it gives everybody a whole session. */
static void on_change(km_watcher *watcher)
{
    km_consumer_group *cg = watcher->user;
    km_cluster *cluster = cg->group->cluster;
    const km_partition *partition =
        km_coordinator_partition(cluster, KM_COORDINATOR_GROUP, cg->group->id);
    bool is_down = !partition || partition->leader < 0;
    if (!is_down && partition->leader_epoch == cg->coordinator_epoch)
        return;
    cg->coordinator_epoch = is_down ? -1 : partition->leader_epoch;
    size_t pos = 0;
    km_consumer_member *member;
    while ((member = kb_map_next(&cg->members, &pos))) {
        if (is_down) {
            km_timer_stop(cluster, &member->session);
            km_timer_stop(cluster, &member->rebalance);
        } else {
            km_consumer_member_touch(member);
            km_consumer_member_await(member);
        }
    }
}

/** Make the group, or make it one of this kind; it is none yet, or empty. */
static kc_err open_group(km_consumer_change *change, kc_bytes group_id)
{
    if (change->cg)
        return KC_OK;
    km_cluster *cluster = change->request->cluster;
    change->is_new_group = !km_group_find(cluster, group_id);
    km_group *group = km_group_open(cluster, group_id);
    km_consumer_group *cg = group ? kb_mem_zalloc(cluster->mem, sizeof *cg) : NULL;
    if (!cg || km_group_become(group, KM_GROUP_CONSUMER, &ops, cg)) {
        if (group && change->is_new_group)
            km_group_delete(group);
        kb_mem_free(cluster->mem, cg);
        return KC_ERR_NOMEM;
    }
    const km_partition *partition =
        km_coordinator_partition(cluster, KM_COORDINATOR_GROUP, group_id);
    cg->group = group;
    kb_map_init(&cg->members, cluster->mem);
    kb_map_init(&cg->regexes, cluster->mem);
    cg->epoch = 1;
    cg->assignment_epoch = 1; // nobody has anything
    cg->assigned_us = INT64_MIN;
    cg->metadata_version = UINT64_MAX;
    cg->coordinator_epoch = partition ? partition->leader_epoch : -1;
    cg->watcher.fn = on_change;
    cg->watcher.user = cg;
    km_watch(cluster, &cg->watcher);
    change->cg = cg;
    return KC_OK;
}

/* ---- who asks ---- */

/** Refuse with a text, which may be NULL for want of memory. */
static kc_err refuse(kp_consumer_group_heartbeat_resp *out, int code, const char *text)
{
    if (!text)
        return KC_ERR_NOMEM;
    out->error_message = kc_str(text);
    return (kc_err)code;
}

/** The consumer group, if it is one; `cg_out` NULL: one is to be made. */
static kc_err find_group(km_request *request, const kp_consumer_group_heartbeat_req *asked,
                         km_consumer_group **cg_out, kp_consumer_group_heartbeat_resp *out)
{
    kc_bytes group_id = asked->group_id;
    bool may_make = asked->member_epoch == 0;
    km_group *group = km_group_find(request->cluster, group_id);
    *cg_out = group && group->type == KM_GROUP_CONSUMER ? group->impl : NULL;
    bool is_free = !group || group->type == KM_GROUP_NONE ||
                   (group->type == KM_GROUP_CLASSIC && km_group_is_empty(group));
    if (*cg_out || (may_make && is_free))
        return KC_OK;
    kb_arena *arena = &request->arena;
    const char *text;
    if (!km_group_is_known(group) && asked->member_epoch < 0)
        text = km_text(arena, "Group " KC_FMT " not found.", KC_ARG(group_id));
    else if (!km_group_is_known(group))
        text = km_text(arena, "Consumer group " KC_FMT " not found.", KC_ARG(group_id));
    else if (may_make && group->type == KM_GROUP_CLASSIC)
        text = km_text(arena,
                       "Cannot upgrade classic group " KC_FMT
                       " to consumer group because online upgrade is disabled.",
                       KC_ARG(group_id));
    else
        text = km_text(arena, "Group " KC_FMT " is not a consumer group.", KC_ARG(group_id));
    return refuse(out, KC_E_GROUP_ID_NOT_FOUND, text);
}

static bool owns_no_more(const kp_consumer_group_heartbeat_req *asked,
                         const km_consumer_member *member)
{
    if (asked->topic_partitions.count < 0)
        return false;
    for (int32_t i = 0; i < asked->topic_partitions.count; i++) {
        const kp_consumer_group_heartbeat_req_topic_partition *topic =
            &asked->topic_partitions.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++)
            if (!km_partition_set_find(&member->now.assigned, topic->topic_id,
                                       topic->partitions.items[j]))
                return false;
    }
    return true;
}

/** An epoch before this one is right when the answer that told the new one may have been lost. */
static kc_err check_epoch(km_request *request, const kp_consumer_group_heartbeat_req *asked,
                          const km_consumer_member *member, kp_consumer_group_heartbeat_resp *out)
{
    int32_t epoch = asked->member_epoch;
    if (epoch == 0 || epoch == member->now.epoch)
        return KC_OK;
    bool is_smaller = epoch < member->now.epoch;
    if (is_smaller && epoch == member->now.previous_epoch && owns_no_more(asked, member))
        return KC_OK;
    return refuse(out, KC_E_FENCED_MEMBER_EPOCH,
                  km_text(&request->arena,
                          "The consumer group member has a %s member epoch (%d) than the "
                          "one known by the group coordinator (%d). The member must "
                          "abandon all its partitions and rejoin.",
                          is_smaller ? "smaller" : "greater", epoch, member->now.epoch));
}

static kc_err unknown_member(km_request *request, const kp_consumer_group_heartbeat_req *asked,
                             kp_consumer_group_heartbeat_resp *out)
{
    return refuse(out, KC_E_UNKNOWN_MEMBER_ID,
                  km_text(&request->arena, "Member " KC_FMT " is not a member of group " KC_FMT ".",
                          KC_ARG(asked->member_id), KC_ARG(asked->group_id)));
}

/** The static member of this instance, which `member_id` must be. */
static kc_err find_static(km_request *request, const km_consumer_group *cg,
                          const kp_consumer_group_heartbeat_req *asked,
                          km_consumer_member **member_out, kp_consumer_group_heartbeat_resp *out)
{
    km_consumer_member *member = km_consumer_member_static(cg, asked->instance_id);
    *member_out = member;
    if (!member)
        return refuse(out, KC_E_UNKNOWN_MEMBER_ID,
                      km_text(&request->arena, "Instance id " KC_FMT " is unknown.",
                              KC_ARG(asked->instance_id)));
    if (!kc_bytes_equal(member->id, asked->member_id))
        return refuse(out, KC_E_FENCED_INSTANCE_ID,
                      km_text(&request->arena,
                              "Static member " KC_FMT " with instance id " KC_FMT
                              " was fenced by member " KC_FMT ".",
                              KC_ARG(asked->member_id), KC_ARG(asked->instance_id),
                              KC_ARG(member->id)));
    return KC_OK;
}

/** A static member joins: as a new one, or in the place of one that has left for a while. */
static kc_err join_static(km_consumer_change *change, const kp_consumer_group_heartbeat_req *asked,
                          kc_bytes member_id, kp_consumer_group_heartbeat_resp *out)
{
    km_consumer_member *there = km_consumer_member_static(change->cg, asked->instance_id);
    change->member = km_consumer_member_find(change->cg, member_id);
    if (!there) {
        change->base = change->member ? &change->member->now : change->base;
        return KC_OK;
    }
    if (there->now.epoch != KM_EPOCH_LEAVE_STATIC)
        return refuse(out, KC_E_UNRELEASED_INSTANCE_ID,
                      km_text(&change->request->arena,
                              "Static member " KC_FMT " with instance id " KC_FMT
                              " cannot join the group because the instance id is owned by " KC_FMT
                              " member.",
                              KC_ARG(member_id), KC_ARG(asked->instance_id), KC_ARG(there->id)));
    change->base = &there->now;
    change->replaced = there != change->member ? there : NULL;
    change->view.epoch = 0;
    return KC_OK;
}

/** Who it is, or that it is a new one, and what it was so far. */
static kc_err find_base(km_consumer_change *change, const kp_consumer_group_heartbeat_req *asked,
                        kc_bytes member_id, kp_consumer_group_heartbeat_resp *out)
{
    km_request *request = change->request;
    bool is_joining = asked->member_epoch == 0;
    if (asked->instance_id.ptr && is_joining)
        return join_static(change, asked, member_id, out);
    if (asked->instance_id.ptr)
        KB_TRY(find_static(request, change->cg, asked, &change->member, out));
    else
        change->member = km_consumer_member_find(change->cg, member_id);
    if (!change->member)
        return is_joining ? KC_OK : unknown_member(request, asked, out);
    KB_TRY(check_epoch(request, asked, change->member, out));
    change->base = &change->member->now;
    return KC_OK;
}

/** `view` becomes a copy of what it was. */
static kc_err find_member(km_consumer_change *change, const kp_consumer_group_heartbeat_req *asked,
                          kc_bytes member_id, kp_consumer_group_heartbeat_resp *out)
{
    static const km_consumer_view new_member = {.rebalance_timeout_ms = -1, .previous_epoch = -1};
    change->base = &new_member;
    KB_TRY(find_base(change, asked, member_id, out));
    change->view = *change->base;
    if (change->view.epoch == KM_EPOCH_LEAVE_STATIC) {
        change->view.epoch = 0;
        change->view.previous_epoch = 0;
    }
    return KC_OK;
}

static kc_err set_text(km_consumer_change *change, kc_bytes *field, kc_bytes asked)
{
    if (!asked.ptr || (field->ptr && kc_bytes_equal(*field, asked)))
        return KC_OK;
    return km_text_dup(change->request->cluster->mem, asked, field);
}

static kc_err fill_view(km_consumer_change *change, const kp_consumer_group_heartbeat_req *asked)
{
    kc_bytes client_id = change->request->client_id;
    KB_TRY(set_text(change, &change->view.instance_id, asked->instance_id));
    KB_TRY(set_text(change, &change->view.rack_id, asked->rack_id));
    KB_TRY(set_text(change, &change->view.assignor, asked->server_assignor));
    KB_TRY(set_text(change, &change->view.client_id, client_id.ptr ? client_id : KC_STR("")));
    if (asked->rebalance_timeout_ms != -1)
        change->view.rebalance_timeout_ms = asked->rebalance_timeout_ms;
    return KC_OK;
}

/* ---- the change as a whole ---- */

static kc_err make_room(km_consumer_change *change, kc_bytes group_id, kc_bytes member_id)
{
    KB_TRY(open_group(change, group_id));
    if (change->regex) {
        KB_TRY(kb_map_put(&change->cg->regexes, change->regex->pattern, change->regex));
        change->regex = NULL; // the group's
    }
    if (change->member)
        return KC_OK;
    change->member = km_consumer_member_new(change->cg, member_id);
    change->is_new_member = change->member != NULL;
    return change->member ? KC_OK : KC_ERR_NOMEM;
}

static void abort_change(km_consumer_change *change)
{
    kb_mem *mem = change->request->cluster->mem;
    km_consumer_view_drop(mem, &change->view, change->base);
    for (size_t i = 0; i < change->member_count; i++)
        km_partition_set_cleanup(&change->targets[i], mem);
    km_subscribed_regex_free(mem, change->regex);
    if (change->is_new_member)
        km_consumer_member_free(change->member);
    if (change->cg)
        km_consumer_group_prune(change->cg);
    if (change->cg && change->is_new_group)
        km_group_delete(change->cg->group);
}

static void commit_target(km_consumer_change *change)
{
    kb_mem *mem = change->request->cluster->mem;
    km_consumer_group *cg = change->cg;
    km_consumer_member *replaced = change->replaced;
    if (replaced) {
        km_partition_set_cleanup(&change->member->target, mem);
        change->member->target = replaced->target;
        replaced->target = (km_partition_set){0};
    }
    if (!change->members)
        return;
    for (size_t i = 0; i < change->member_count; i++) {
        km_partition_set_cleanup(&change->members[i]->target, mem);
        change->members[i]->target = change->targets[i];
    }
    cg->assignment_epoch = change->target_epoch;
    cg->assigned_us = cg->group->cluster->now_us;
}

static void commit_change(km_consumer_change *change)
{
    kb_mem *mem = change->request->cluster->mem;
    km_consumer_group *cg = change->cg;
    km_consumer_member *member = change->member;
    km_consumer_view old = member->now;
    commit_target(change);
    member->now = change->view;
    km_consumer_view_drop(mem, &old, &member->now);
    if (change->replaced) {
        km_consumer_view_drop(mem, &change->replaced->now, &member->now);
        km_consumer_member_free(change->replaced);
    }
    cg->epoch = change->epoch;
    cg->metadata_hash = change->metadata_hash;
    if (change->has_metadata)
        cg->metadata_version = cg->group->cluster->topics_version;
    if (change->is_reconciled)
        km_consumer_member_await(member);
    km_consumer_member_touch(member);
}

/** Sorted partitions as topics with partitions. */
static kc_err put_assignment(km_request *request, const km_partition_set *set,
                             kp_consumer_group_heartbeat_resp *out)
{
    kp_consumer_group_heartbeat_resp_assignment *assignment =
        km_request_alloc(request, 1, sizeof *assignment);
    kp_consumer_group_heartbeat_resp_topic_partitions *topics =
        km_request_alloc(request, set->count, sizeof *topics);
    int32_t *partitions = km_request_alloc(request, set->count, sizeof *partitions);
    if (!assignment || !topics || !partitions)
        return KC_ERR_NOMEM;
    int32_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        const km_owned *item = &set->items[i];
        partitions[i] = item->partition;
        if (i == 0 || memcmp(&item->topic_id, &item[-1].topic_id, sizeof item->topic_id) != 0) {
            topics[count].topic_id = item->topic_id;
            topics[count++].partitions.items = &partitions[i];
        }
        topics[count - 1].partitions.count++;
    }
    assignment->topic_partitions.items = topics;
    assignment->topic_partitions.count = count;
    out->assignment = assignment;
    return KC_OK;
}

static kc_err put_answer(km_consumer_change *change, const kp_consumer_group_heartbeat_req *asked,
                         kp_consumer_group_heartbeat_resp *out)
{
    km_request *request = change->request;
    const km_cluster *cluster = request->cluster;
    out->member_id = km_request_copy(request, change->member->id);
    if (!out->member_id.ptr)
        return KC_ERR_NOMEM;
    out->member_epoch = change->view.epoch;
    out->heartbeat_interval_ms = (int32_t)km_group_config_i64(
        cluster, change->cg->group->id, "consumer.heartbeat.interval.ms",
        cluster->options.consumer_heartbeat_interval_ms);
    bool is_full = asked->rebalance_timeout_ms != -1 && asked->topic_partitions.count >= 0 &&
                   (asked->subscribed_topic_names.count >= 0 || asked->subscribed_topic_regex.ptr);
    bool is_other = !km_partition_set_equal(&change->view.assigned, &change->base->assigned);
    if (asked->member_epoch != 0 && !is_full && !is_other)
        return KC_OK;
    return put_assignment(request, &change->view.assigned, out);
}

static kc_err prepare(km_consumer_change *change, const kp_consumer_group_heartbeat_req *asked,
                      kc_bytes member_id, kp_consumer_group_heartbeat_resp *out)
{
    KB_TRY(find_member(change, asked, member_id, out));
    KB_TRY(fill_view(change, asked));
    kc_bytes reason;
    kc_err err = km_consumer_change_subscribe(change, asked, &reason);
    if (err == (kc_err)KC_E_INVALID_REGULAR_EXPRESSION)
        return refuse(out, (int)err,
                      km_text(&change->request->arena,
                              "SubscribedTopicRegex `" KC_FMT
                              "` is not a valid regular expression: " KC_FMT ".",
                              KC_ARG(asked->subscribed_topic_regex), KC_ARG(reason)));
    KB_TRY(err);
    KB_TRY(make_room(change, asked->group_id, member_id));
    km_consumer_change_epoch(change);
    KB_TRY(km_consumer_change_target(change));
    KB_TRY(km_consumer_change_reconcile(change, asked));
    return put_answer(change, asked, out);
}

/* ---- requests ---- */

/** A new id, as Kafka writes uuids; null: no memory. */
static kc_bytes new_member_id(km_request *request)
{
    kb_buf text;
    kb_buf_init(&text, request->cluster->mem, 0);
    do { // none that looks like an option of a command
        kc_uuid id = kb_uuid_v4(&request->cluster->rand);
        kb_buf_reset(&text);
        kb_base64url_put(&text, kc_span(id.bytes, sizeof id.bytes));
    } while (!text.err && text.data[0] == '-');
    kc_bytes id = text.err ? (kc_bytes){0} : km_request_copy(request, kb_buf_bytes(&text));
    kb_buf_cleanup(&text);
    return id;
}

static kc_err leave(km_request *request, const kp_consumer_group_heartbeat_req *asked,
                    kp_consumer_group_heartbeat_resp *out)
{
    km_consumer_group *cg;
    km_consumer_member *member;
    KB_TRY(find_group(request, asked, &cg, out));
    if (asked->instance_id.ptr) {
        KB_TRY(find_static(request, cg, asked, &member, out));
    } else {
        member = km_consumer_member_find(cg, asked->member_id);
        if (!member)
            return unknown_member(request, asked, out);
    }
    out->member_id = asked->member_id;
    out->member_epoch = asked->member_epoch;
    if (!asked->instance_id.ptr || asked->member_epoch != KM_EPOCH_LEAVE_STATIC) {
        km_consumer_member_fence(member);
        return KC_OK;
    }
    /* It keeps its partitions until the session ends, for the one that comes in its place. */
    member->now.epoch = KM_EPOCH_LEAVE_STATIC;
    member->now.revoking.count = 0;
    for (size_t i = 0; i < member->now.assigned.count; i++)
        member->now.assigned.items[i].epoch = 0;
    return KC_OK;
}

kc_err km_consumer_group_heartbeat(km_request *request,
                                   const kp_consumer_group_heartbeat_req *asked,
                                   kp_consumer_group_heartbeat_resp *out)
{
    if (asked->member_epoch < 0)
        return leave(request, asked, out);
    km_consumer_change change = {.request = request};
    KB_TRY(find_group(request, asked, &change.cg, out));
    kc_bytes member_id = asked->member_id.len > 0 ? asked->member_id : new_member_id(request);
    if (!member_id.ptr)
        return KC_ERR_NOMEM;
    kc_err err = prepare(&change, asked, member_id, out);
    if (err) {
        abort_change(&change);
        return err;
    }
    bool has_new_regex = change.has_new_regex && change.view.regex.len > 0;
    commit_change(&change);
    km_consumer_group_refresh(change.cg, has_new_regex);
    return KC_OK;
}
