/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A classic group's rebalance: who joins, until when, and who is in the next generation.
 *
 * The first rebalance of an empty group lasts group.initial.rebalance.delay, and longer while members come; any other
 * until all members have joined, at most the longest rebalance timeout. Dynamic members that have not joined then are
 * out; static ones stay until their session is over. */
#include "mock/classic_group.h"
#include "protocol/base/text.h"

/** Who was told no member id yet can't send heartbeats: so long may its first JoinGroup take. */
#define NEW_MEMBER_TIMEOUT_US (300 * INT64_C(1000000))
/** The peers of the embedded broker have no address. */
#define CLIENT_HOST   KC_STR("/127.0.0.1")
#define UUID_TEXT_LEN 36

static km_cluster *cluster_of(const km_classic_group *group)
{
    return group->group->cluster;
}

static void prepare(km_classic_group *group);
static void complete(km_classic_group *group);

/* ---- answers ---- */

static km_action refuse(km_request *request, kc_bytes member_id, int16_t error)
{
    kp_join_group_resp *out = request->response;
    out->member_id = member_id;
    out->error_code = error;
    return KM_ANSWER;
}

static void release_error(km_classic_member *member, kc_bytes member_id, int16_t error)
{
    if (member->awaits_join && member->join)
        refuse(member->join, km_request_copy(member->join, member_id), error);
    member->awaits_join = false;
    km_classic_release(member->group, &member->join, true);
}

static bool put_members(const km_classic_group *group, km_request *request)
{
    kp_join_group_resp *out = request->response;
    out->members.items =
        km_request_alloc(request, (size_t)group->member_count, sizeof *out->members.items);
    if (!out->members.items)
        return false;
    KB_LIST_FOR (node, &group->members) {
        const km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        kc_bytes metadata = km_classic_metadata(member->protocols, km_classic_protocol_name(group));
        kp_join_group_resp_member *item = &out->members.items[out->members.count++];
        item->member_id = km_request_copy(request, member->id);
        item->group_instance_id = km_request_copy(request, member->instance_id);
        item->metadata = km_request_copy(request, metadata.ptr ? metadata : KC_STR(""));
        if (!item->member_id.ptr || !item->metadata.ptr ||
            (member->instance_id.ptr && !item->group_instance_id.ptr))
            return false;
    }
    return true;
}

/** The current generation as an answer; false: no memory. */
static bool put_generation(const km_classic_group *group, km_request *request,
                           const km_classic_member *member, bool has_members)
{
    kp_join_group_resp *out = request->response;
    out->error_code = 0;
    out->generation_id = group->generation;
    out->protocol_type = km_request_copy(request, km_classic_protocol_type(group));
    out->protocol_name = km_request_copy(request, km_classic_protocol_name(group));
    out->leader = km_request_copy(request, group->leader ? group->leader->id : KC_STR(""));
    out->member_id = km_request_copy(request, member->id);
    return out->protocol_type.ptr && out->protocol_name.ptr && out->leader.ptr &&
           out->member_id.ptr && (!has_members || put_members(group, request));
}

static km_action answer_generation(const km_classic_group *group, km_request *request,
                                   const km_classic_member *member, bool has_members)
{
    return put_generation(group, request, member, has_members) ? KM_ANSWER : KM_CLOSE;
}

/* ---- protocols ---- */

static bool is_known_to_all(const km_classic_group *group, kc_bytes protocol)
{
    KB_LIST_FOR (node, &group->members) {
        if (!km_classic_metadata(KB_CONTAINER(node, km_classic_member, node)->protocols, protocol)
                 .ptr)
            return false;
    }
    return true;
}

static bool is_supported(const km_classic_group *group, const kp_join_group_req *asked)
{
    if (group->state == KM_CLASSIC_EMPTY)
        return asked->protocol_type.len > 0 && asked->protocols.count > 0;
    if (!kc_bytes_equal(km_classic_protocol_type(group), asked->protocol_type))
        return false;
    for (int32_t i = 0; i < asked->protocols.count; i++)
        if (is_known_to_all(group, asked->protocols.items[i].name))
            return true;
    return false;
}

/** Each member votes for the first of its protocols that all know. */
static kc_bytes vote(const km_classic_group *group, const km_classic_member *member)
{
    for (int32_t i = 0; i < member->protocols->count; i++)
        if (is_known_to_all(group, member->protocols->items[i].name))
            return member->protocols->items[i].name;
    return KC_NULL;
}

static kc_bytes select_protocol(const km_classic_group *group)
{
    kc_bytes best = KC_NULL;
    int32_t best_votes = 0;
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        member->vote = vote(group, member);
    }
    KB_LIST_FOR (node, &group->members) {
        kc_bytes candidate = KB_CONTAINER(node, km_classic_member, node)->vote;
        int32_t votes = 0;
        KB_LIST_FOR (other, &group->members) {
            votes += kc_bytes_equal(KB_CONTAINER(other, km_classic_member, node)->vote, candidate);
        }
        if (votes > best_votes) {
            best = candidate;
            best_votes = votes;
        }
    }
    return best;
}

static bool has_same_protocols(const km_classic_member *member, const kp_join_group_req *asked)
{
    if (member->protocols->count != asked->protocols.count)
        return false;
    for (int32_t i = 0; i < asked->protocols.count; i++)
        if (!kc_bytes_equal(member->protocols->items[i].name, asked->protocols.items[i].name) ||
            !kc_bytes_equal(member->protocols->items[i].metadata,
                            asked->protocols.items[i].metadata))
            return false;
    return true;
}

/* ---- the rebalance ---- */

static int64_t rebalance_timeout_us(const km_classic_group *group)
{
    int64_t longest_ms = 0;
    KB_LIST_FOR (node, &group->members) {
        int64_t ms = KB_CONTAINER(node, km_classic_member, node)->rebalance_timeout_ms;
        longest_ms = ms > longest_ms ? ms : longest_ms;
    }
    return longest_ms * 1000;
}

static bool have_all_joined(const km_classic_group *group)
{
    KB_LIST_FOR (node, &group->members) {
        if (!KB_CONTAINER(node, km_classic_member, node)->awaits_join)
            return false;
    }
    return kb_list_is_empty(&group->pending);
}

static void wait_for_joins(km_classic_group *group)
{
    group->is_initial_delay = false;
    km_timer_set(cluster_of(group), &group->join_timer,
                 cluster_of(group)->now_us + rebalance_timeout_us(group));
}

static void wait_initially(km_classic_group *group, int64_t delay_ms, int64_t remaining_ms)
{
    group->is_initial_delay = true;
    group->delay_ms = delay_ms;
    group->remaining_ms = remaining_ms;
    km_timer_set(cluster_of(group), &group->join_timer,
                 cluster_of(group)->now_us + delay_ms * 1000);
}

/** A rebalance begins. */
static void prepare(km_classic_group *group)
{
    if (group->state == KM_CLASSIC_COMPLETING)
        km_classic_unassign(group);
    km_timer_stop(cluster_of(group), &group->sync_timer);
    KB_LIST_FOR (node, &group->members) {
        KB_CONTAINER(node, km_classic_member, node)->owes_sync = false;
    }
    group->was_empty = group->state == KM_CLASSIC_EMPTY;
    group->state = KM_CLASSIC_PREPARING;
    group->has_new_member = false;
    int64_t delay_ms = cluster_of(group)->options.group_initial_delay_ms;
    if (group->was_empty && delay_ms > 0) {
        int64_t rest_ms = rebalance_timeout_us(group) / 1000 - delay_ms;
        wait_initially(group, delay_ms, rest_ms > 0 ? rest_ms : 0);
    } else if (have_all_joined(group) || group->was_empty) {
        complete(group);
    } else {
        wait_for_joins(group);
    }
}

/** Not while it is the first rebalance, which ends by its delay alone. */
static void complete_if_all_joined(km_classic_group *group)
{
    if (group->state == KM_CLASSIC_PREPARING && !group->was_empty && have_all_joined(group))
        complete(group);
}

static void prepare_or_complete(km_classic_group *group)
{
    if (group->state == KM_CLASSIC_PREPARING)
        complete_if_all_joined(group);
    else
        prepare(group);
}

void km_classic_left(km_classic_group *group)
{
    if (group->state != KM_CLASSIC_EMPTY)
        prepare_or_complete(group);
}

/** False: nobody has joined, so nobody can lead. */
static bool elect_leader(km_classic_group *group)
{
    if (!group->leader || group->leader->awaits_join)
        return group->leader != NULL;
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        if (member->awaits_join) {
            group->leader = member;
            return true;
        }
    }
    return false;
}

static void become_empty(km_classic_group *group)
{
    group->state = KM_CLASSIC_EMPTY;
    kb_buf_reset(&group->protocol_name);
    /* Without memory a new coordinator finds the members of before, and loses them by their sessions. */
    kc_err err = km_classic_store(group, NULL);
    (void)err;
}

static void answer_joined(km_classic_group *group)
{
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        bool is_complete =
            !member->join || put_generation(group, member->join, member, member == group->leader);
        km_classic_release(group, &member->join, is_complete);
        member->awaits_join = false;
        member->is_new = false;
        member->owes_sync = true;
        km_classic_touch(member);
    }
}

/** The next generation begins with who has joined. */
static void complete(km_classic_group *group)
{
    km_timer_stop(cluster_of(group), &group->join_timer);
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        if (!member->awaits_join && !member->instance_id.ptr)
            km_classic_member_remove(member);
    }
    if (!elect_leader(group) && group->member_count > 0) {
        wait_for_joins(group);
        return;
    }
    group->generation++;
    if (group->member_count == 0) {
        become_empty(group);
        return;
    }
    kc_bytes chosen = select_protocol(group);
    kb_buf_reset(&group->protocol_name);
    kb_buf_put_bytes(&group->protocol_name, chosen);
    group->state = KM_CLASSIC_COMPLETING;
    answer_joined(group);
    km_timer_set(cluster_of(group), &group->sync_timer,
                 cluster_of(group)->now_us + rebalance_timeout_us(group));
}

/* ---- time ---- */

void km_classic_on_join(kn_timer *timer)
{
    km_classic_group *group = timer->user;
    if (group->is_initial_delay && group->has_new_member && group->remaining_ms > 0) {
        int64_t most_ms = cluster_of(group)->options.group_initial_delay_ms;
        int64_t rest_ms = group->remaining_ms - group->delay_ms;
        group->has_new_member = false;
        wait_initially(group, group->remaining_ms < most_ms ? group->remaining_ms : most_ms,
                       rest_ms > 0 ? rest_ms : 0);
        return;
    }
    complete(group);
    km_classic_flush(group);
}

void km_classic_on_sync(kn_timer *timer)
{
    km_classic_group *group = timer->user;
    bool is_any_out = false;
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        if (member->owes_sync) {
            km_classic_member_remove(member);
            is_any_out = true;
        }
    }
    if (is_any_out)
        prepare(group);
    km_classic_flush(group);
}

void km_classic_kick(km_classic_member *member)
{
    release_error(member, KC_STR(""), KC_E_UNKNOWN_MEMBER_ID);
    km_classic_member_remove(member);
}

void km_classic_on_session(kn_timer *timer)
{
    km_classic_member *member = timer->user;
    km_classic_group *group = member->group;
    if (!member->is_new && (member->awaits_join || member->awaits_sync))
        return;
    km_classic_kick(member);
    if (group->state != KM_CLASSIC_PREPARING)
        prepare(group);
    else if (have_all_joined(group))
        complete(group);
    km_classic_flush(group);
}

void km_classic_on_pending(kn_timer *timer)
{
    km_classic_pending *pending = timer->user;
    km_classic_group *group = pending->group;
    km_classic_pending_remove(pending);
    if (group->state == KM_CLASSIC_PREPARING && have_all_joined(group))
        complete(group);
    km_classic_flush(group);
}

/* ---- a member joins ---- */

static void await_join(km_classic_member *member, km_request *request)
{
    member->awaits_join = true;
    km_classic_hold(member, &member->join, request);
}

static int32_t rebalance_timeout_of(const km_request *request)
{
    const kp_join_group_req *asked = request->message;
    return request->version == 0 ? asked->session_timeout_ms : asked->rebalance_timeout_ms;
}

static km_classic_protocols *protocols_of(const km_request *request)
{
    const kp_join_group_req *asked = request->message;
    return km_classic_protocols_new(request->cluster->mem, asked->protocols.items,
                                    asked->protocols.count);
}

static km_action add_member(km_classic_group *group, km_request *request, kc_bytes id)
{
    const kp_join_group_req *asked = request->message;
    const km_classic_member like = {
        .id = id,
        .instance_id = asked->group_instance_id,
        .client_id = request->client_id.ptr ? request->client_id : KC_STR(""),
        .client_host = CLIENT_HOST,
        .session_timeout_ms = asked->session_timeout_ms,
        .rebalance_timeout_ms = rebalance_timeout_of(request),
    };
    km_classic_member *member = km_classic_member_new(group, &like, protocols_of(request));
    if (!member)
        return KM_CLOSE;
    if (km_classic_member_add(member, asked->protocol_type)) {
        km_classic_member_free(member);
        return KM_CLOSE;
    }
    km_classic_pending *pending = km_classic_pending_find(group, id);
    if (pending)
        km_classic_pending_remove(pending);
    member->is_new = true;
    await_join(member, request);
    km_timer_set(request->cluster, &member->session,
                 request->cluster->now_us + NEW_MEMBER_TIMEOUT_US);
    if (group->state == KM_CLASSIC_PREPARING && group->was_empty)
        group->has_new_member = true;
    prepare_or_complete(group);
    return KM_HOLD;
}

static km_action update_member(km_classic_member *member, km_request *request)
{
    const kp_join_group_req *asked = request->message;
    km_classic_group *group = member->group;
    km_classic_protocols *protocols = protocols_of(request);
    if (!protocols || km_classic_reserve(group, protocols)) {
        kb_mem_free(request->cluster->mem, protocols);
        return KM_CLOSE;
    }
    kb_mem_free(request->cluster->mem, member->protocols);
    member->protocols = protocols;
    member->session_timeout_ms = asked->session_timeout_ms;
    member->rebalance_timeout_ms = rebalance_timeout_of(request);
    await_join(member, request);
    prepare_or_complete(group);
    return KM_HOLD;
}

/** Client or instance id, and a random one. Null: no memory. */
static kc_bytes make_id(km_request *request)
{
    const kp_join_group_req *asked = request->message;
    kc_bytes prefix = asked->group_instance_id.ptr ? asked->group_instance_id
                      : request->client_id.ptr     ? request->client_id
                                                   : KC_STR("null");
    char uuid[UUID_TEXT_LEN + 1];
    kb_uuid_format(kb_uuid_v4(&request->cluster->rand), uuid);
    uint8_t *id = km_request_alloc(request, prefix.len + 1 + UUID_TEXT_LEN, 1);
    if (!id)
        return KC_NULL;
    if (prefix.len > 0)
        memcpy(id, prefix.ptr, prefix.len);
    id[prefix.len] = '-';
    memcpy(id + prefix.len + 1, uuid, UUID_TEXT_LEN);
    return kc_span(id, prefix.len + 1 + UUID_TEXT_LEN);
}

/** Told its id, to come again with it: one that is lost on the way does not stay as a member. */
static km_action add_pending(km_classic_group *group, km_request *request, kc_bytes id)
{
    const kp_join_group_req *asked = request->message;
    km_cluster *cluster = request->cluster;
    km_classic_pending *pending = kb_mem_zalloc(cluster->mem, sizeof *pending + id.len);
    if (!pending)
        return KM_CLOSE;
    memcpy(pending + 1, id.ptr, id.len);
    pending->id = kc_span(pending + 1, id.len);
    pending->group = group;
    pending->expiry.fn = km_classic_on_pending;
    pending->expiry.user = pending;
    kb_list_push_back(&group->pending, &pending->node);
    km_timer_set(cluster, &pending->expiry,
                 cluster->now_us + (int64_t)asked->session_timeout_ms * 1000);
    return refuse(request, id, KC_E_MEMBER_ID_REQUIRED);
}

/* ---- a static member comes back without its id ---- */

static void fence(km_classic_member *old)
{
    release_error(old, old->id, KC_E_FENCED_INSTANCE_ID);
    if (old->sync) {
        kp_sync_group_resp *out = old->sync->response;
        out->error_code = KC_E_FENCED_INSTANCE_ID;
    }
    km_classic_release(old->group, &old->sync, true);
}

/** Its successor stands where it stood. */
static void succeed(km_classic_member *old, km_classic_member *member)
{
    km_classic_group *group = old->group;
    fence(old);
    member->assignment = old->assignment;
    kb_list_insert_before(&old->node, &member->node);
    group->member_count++;
    bool was_leader = group->leader == old;
    km_classic_member_remove(old);
    if (was_leader)
        group->leader = member;
    km_classic_touch(member);
}

/** Nothing changes for the others, so nobody needs to join. */
static km_action answer_successor(km_classic_group *group, km_request *request,
                                  km_classic_member *member, kc_bytes leader_before)
{
    kp_join_group_resp *out = request->response;
    bool can_skip = request->version >= 9; /* KIP-814 */
    bool is_leader = member == group->leader;
    /* Without memory a new coordinator knows the member by the id it had. */
    kc_err err = km_classic_store(group, NULL);
    (void)err;
    if (!put_generation(group, request, member, is_leader && can_skip))
        return KM_CLOSE;
    out->skip_assignment = is_leader && can_skip;
    /* Older clients would assign again as leaders: they are told of a leader that is no more. */
    if (!can_skip)
        out->leader = leader_before;
    return KM_ANSWER;
}

static km_action replace_static(km_classic_member *old, km_request *request, kc_bytes id)
{
    const kp_join_group_req *asked = request->message;
    km_classic_group *group = old->group;
    km_classic_member like = *old;
    like.id = id;
    kc_bytes leader_before =
        km_request_copy(request, group->leader ? group->leader->id : KC_STR(""));
    km_classic_member *member = km_classic_member_new(group, &like, protocols_of(request));
    if (!member)
        return KM_CLOSE;
    if (!leader_before.ptr || km_classic_reserve(group, member->protocols)) {
        km_classic_member_free(member);
        return KM_CLOSE;
    }
    succeed(old, member);
    member->session_timeout_ms = asked->session_timeout_ms;
    member->rebalance_timeout_ms = rebalance_timeout_of(request);
    if (group->state == KM_CLASSIC_STABLE &&
        kc_bytes_equal(select_protocol(group), km_classic_protocol_name(group)))
        return answer_successor(group, request, member, leader_before);
    await_join(member, request);
    prepare_or_complete(group);
    return KM_HOLD;
}

/* ---- JoinGroup ---- */

static km_action join_new(km_classic_group *group, km_request *request)
{
    const kp_join_group_req *asked = request->message;
    kc_bytes id = make_id(request);
    if (!id.ptr)
        return KM_CLOSE;
    km_classic_member *old = km_classic_static_find(group, asked->group_instance_id);
    if (old)
        return replace_static(old, request, id);
    if (request->version >= 4 && !asked->group_instance_id.ptr) /* KIP-394 */
        return add_pending(group, request, id);
    return add_member(group, request, id);
}

static km_action join_existing(km_classic_group *group, km_request *request)
{
    const kp_join_group_req *asked = request->message;
    if (km_classic_pending_find(group, asked->member_id)) {
        if (asked->group_instance_id.ptr) /* an exception in Kafka */
            return refuse(request, KC_STR(""), KC_E_UNKNOWN_SERVER_ERROR);
        return add_member(group, request, asked->member_id);
    }
    int16_t error = km_classic_check_member(group, asked->member_id, asked->group_instance_id);
    if (error)
        return refuse(request, asked->member_id, error);
    km_classic_member *member = km_classic_member_find(group, asked->member_id);
    bool is_leader = member == group->leader;
    bool is_same = has_same_protocols(member, asked);
    if (group->state == KM_CLASSIC_COMPLETING && is_same)
        return answer_generation(group, request, member, is_leader); /* the answer got lost */
    if (group->state == KM_CLASSIC_STABLE && is_same && !is_leader)
        return answer_generation(group, request, member, false);
    return update_member(member, request);
}

km_action km_classic_join(km_classic_group *group, km_request *request)
{
    const kp_join_group_req *asked = request->message;
    if (asked->protocols.count > KM_CLASSIC_PROTOCOLS_MAX || !is_supported(group, asked))
        return refuse(request, asked->member_id, KC_E_INCONSISTENT_GROUP_PROTOCOL);
    return asked->member_id.len == 0 ? join_new(group, request) : join_existing(group, request);
}
