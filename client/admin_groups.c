/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Groups: list, describe, delete. A coordinator knows only its own groups, so a list asks every
 * broker, and what is about one group goes to that group's coordinator. */
#include "client/admin_call.h"
#include "client/consumer_protocol.h"
#include "protocol/base/error.h"
#include "protocol/base/map.h"
#include "protocol/base/text.h"
#include "protocol/codec.h"
#include "protocol/generated/messages.h"

/* ---- ListGroups ---- */

typedef struct listed {
    kb_list node;
    kc_group_listing listing;
} listed;

typedef struct list_state {
    kb_map by_id; /**< each group once: it may move while the brokers are asked (trap 60) */
    kb_list all;
    size_t count;
} list_state;

static void list_cleanup(kc_admin_op *op)
{
    kb_map_cleanup(&((list_state *)op->state)->by_id);
}

static void list_complete(kc_admin_op *op)
{
    list_state *state = op->state;
    kc_group_listing *groups = kc_admin_array(op, state->count, sizeof *groups);
    size_t count = 0;
    KB_LIST_FOR (node, &state->all)
        if (groups)
            groups[count++] = KB_CONTAINER(node, listed, node)->listing;
    op->result->groups = groups;
    op->result->group_count = count;
}

static void add_group(kc_admin_op *op, const kp_list_groups_resp_group *told)
{
    list_state *state = op->state;
    if (!told->group_id.ptr || kb_map_get(&state->by_id, told->group_id))
        return;
    listed *group = kb_arena_zalloc(&op->arena, sizeof *group);
    if (!group) {
        kc_admin_fail_code(op, KC_ERR_NOMEM);
        return;
    }
    group->listing = (kc_group_listing){.group_id = kc_admin_copy(op, told->group_id),
                                        .protocol_type = kc_admin_copy(op, told->protocol_type),
                                        .state = kc_admin_copy(op, told->group_state),
                                        .type = kc_admin_copy(op, told->group_type)};
    if (kb_map_put(&state->by_id, group->listing.group_id, group) != KC_OK) {
        kc_admin_fail_code(op, KC_ERR_NOMEM);
        return;
    }
    kb_list_push_back(&state->all, &group->node);
    state->count++;
}

static void on_list(kc_admin_part *part, const kc_response *response)
{
    const kp_list_groups_resp *answer = response->message;
    kc_error error = {.code = KC_OK};
    if (response->err != KC_OK) {
        kc_admin_fail(part->op, response->error);
        return;
    }
    if (answer->error_code != KC_OK) {
        kb_error_set(&error, answer->error_code, "broker %d can't list its groups: %s",
                     response->broker_id, kc_err_text(answer->error_code));
        error.broker_id = response->broker_id;
        kc_admin_fail(part->op, &error);
        return;
    }
    for (int32_t i = 0; i < answer->groups.count; i++)
        add_group(part->op, &answer->groups.items[i]);
}

static void on_brokers(kc_admin_part *part, const kc_response *response)
{
    const kp_metadata_resp *answer = response->message;
    if (response->err != KC_OK) {
        kc_admin_fail(part->op, response->error);
        return;
    }
    kp_list_groups_req request = {.states_filter = {NULL, 0}};
    for (int32_t i = 0; i < answer->brokers.count; i++)
        if (answer->brokers.items[i].node_id >= 0)
            kc_admin_send_on(part->op, KP_API_LIST_GROUPS, &request,
                             &(kc_admin_target){.to = answer->brokers.items[i].node_id,
                                                .version_max = -1,
                                                .done = on_list});
}

static kc_err start_list(kc_admin_op *op, kc_error *err)
{
    list_state *state = kb_arena_zalloc(&op->arena, sizeof *state);
    if (!state)
        return kb_error_code(err, KC_ERR_NOMEM);
    kb_map_init(&state->by_id, &op->client->mem);
    kb_list_init(&state->all);
    op->state = state;
    op->complete = list_complete;
    op->cleanup = list_cleanup;
    kp_metadata_req request = {.allow_auto_topic_creation = false}; /* brokers only */
    return kc_admin_send(op, KP_API_METADATA, &request,
                         &(kc_admin_target){.to = KC_TO_ANY, .version_max = -1, .done = on_brokers},
                         err);
}

kc_err kc_admin_list_groups(kc_client *client, const kc_admin_options *options, kc_admin_fn fn,
                            void *user, kc_error *err)
{
    kc_admin_op *op;
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_list(op, err));
}

/* ---- DescribeGroups ---- */

/** Partitions of one member, flattened. */
typedef struct flat {
    kc_topic_partition *items;
    size_t count;
} flat;

static void flat_add(kc_admin_op *op, flat *out, kc_bytes topic, const int32_t *numbers,
                     int32_t count)
{
    kc_bytes name = kc_admin_copy(op, topic);
    for (int32_t i = 0; i < count; i++)
        out->items[out->count++] = (kc_topic_partition){name, numbers[i]};
}

/** The leader's bytes for one member. They are another client's: when they can't be read, there is no
 * assignment to show. */
static void decode_assignment(kc_admin_op *op, kc_bytes bytes, kc_member_info *member)
{
    kp_consumer_protocol_assignment assignment;
    kb_arena scratch;
    kb_arena_init(&scratch, &op->client->mem, kc_client_answer_max(op->client));
    kc_err decoded = kc_consumer_protocol_read(&kp_consumer_protocol_assignment_message, bytes,
                                               &scratch, &assignment);
    size_t total = 0;
    for (int32_t i = 0; decoded == KC_OK && i < assignment.assigned_partitions.count; i++)
        total += (size_t)assignment.assigned_partitions.items[i].partitions.count;
    flat out = {total > 0 ? kc_admin_array(op, total, sizeof *out.items) : NULL, 0};
    for (int32_t i = 0; out.items && i < assignment.assigned_partitions.count; i++) {
        const kp_consumer_protocol_assignment_assigned_partition *from =
            &assignment.assigned_partitions.items[i];
        flat_add(op, &out, from->topic, from->partitions.items, from->partitions.count);
    }
    kb_arena_cleanup(&scratch);
    member->assignment = out.items;
    member->assignment_count = out.count;
}

static void copy_classic(kc_admin_op *op, const kp_describe_groups_resp_group *told,
                         kc_group_description *group)
{
    size_t count = (size_t)told->members.count;
    kc_member_info *members = kc_admin_array(op, count, sizeof *members);
    group->state = kc_admin_copy(op, told->group_state);
    group->protocol_type = kc_admin_copy(op, told->protocol_type);
    group->protocol = kc_admin_copy(op, told->protocol_data);
    for (size_t i = 0; members && i < count; i++) {
        const kp_describe_groups_resp_member *from = &told->members.items[i];
        members[i] = (kc_member_info){.member_id = kc_admin_copy(op, from->member_id),
                                      .instance_id = kc_admin_copy(op, from->group_instance_id),
                                      .client_id = kc_admin_copy(op, from->client_id),
                                      .client_host = kc_admin_copy(op, from->client_host)};
        if (kc_bytes_equal(told->protocol_type, KC_STR("consumer")))
            decode_assignment(op, from->member_assignment, &members[i]);
    }
    group->members = members;
    group->member_count = members ? count : 0;
}

static void copy_next_assignment(kc_admin_op *op,
                                 const kp_consumer_group_describe_resp_assignment *told,
                                 kc_member_info *member)
{
    size_t total = 0;
    for (int32_t i = 0; i < told->topic_partitions.count; i++)
        total += (size_t)told->topic_partitions.items[i].partitions.count;
    flat out = {total > 0 ? kc_admin_array(op, total, sizeof *out.items) : NULL, 0};
    for (int32_t i = 0; out.items && i < told->topic_partitions.count; i++) {
        const kp_consumer_group_describe_resp_topic_partitions *from =
            &told->topic_partitions.items[i];
        flat_add(op, &out, from->topic_name, from->partitions.items, from->partitions.count);
    }
    member->assignment = out.items;
    member->assignment_count = out.count;
}

/** A group of the new protocol (KIP-848). */
static void copy_next(kc_admin_op *op, const kp_consumer_group_describe_resp_group *told,
                      kc_group_description *group)
{
    size_t count = (size_t)told->members.count;
    kc_member_info *members = kc_admin_array(op, count, sizeof *members);
    group->err = KC_OK;
    group->state = kc_admin_copy(op, told->group_state);
    group->protocol_type = KC_STR("consumer");
    group->protocol = kc_admin_copy(op, told->assignor_name);
    for (size_t i = 0; members && i < count; i++) {
        const kp_consumer_group_describe_resp_member *from = &told->members.items[i];
        members[i] = (kc_member_info){.member_id = kc_admin_copy(op, from->member_id),
                                      .instance_id = kc_admin_copy(op, from->instance_id),
                                      .client_id = kc_admin_copy(op, from->client_id),
                                      .client_host = kc_admin_copy(op, from->client_host)};
        copy_next_assignment(op, &from->assignment, &members[i]);
    }
    group->members = members;
    group->member_count = members ? count : 0;
}

static kc_err retry_next(const kc_response *response, void *user)
{
    (void)user;
    const kp_consumer_group_describe_resp *answer = response->message;
    kc_err code = answer->groups.count > 0 ? answer->groups.items[0].error_code : KC_OK;
    return kc_is_coordinator_error(code) ? code : KC_OK;
}

/** Whatever went wrong here, the first answer ("no such classic group") stands. */
static void on_next(kc_admin_part *part, const kc_response *response)
{
    kc_admin_op *op = part->op;
    kc_group_description *group = &op->result->descriptions[part->index];
    const kp_consumer_group_describe_resp *answer = response->message;
    if (response->err == KC_OK && answer->groups.count == 1 &&
        answer->groups.items[0].error_code == KC_OK)
        copy_next(op, &answer->groups.items[0], group);
}

static void ask_next(kc_admin_op *op, size_t index)
{
    kc_bytes id = op->result->descriptions[index].group_id;
    kp_consumer_group_describe_req request = {.group_ids = {&id, 1}};
    kc_admin_send_on(op, KP_API_CONSUMER_GROUP_DESCRIBE, &request,
                     &(kc_admin_target){.to = KC_TO_AUTO,
                                        .version_max = -1,
                                        .index = index,
                                        .done = on_next,
                                        .retry = retry_next});
}

static kc_err retry_describe(const kc_response *response, void *user)
{
    (void)user;
    const kp_describe_groups_resp *answer = response->message;
    kc_err code = answer->groups.count > 0 ? answer->groups.items[0].error_code : KC_OK;
    return kc_is_coordinator_error(code) ? code : KC_OK;
}

static void on_describe(kc_admin_part *part, const kc_response *response)
{
    kc_admin_op *op = part->op;
    kc_group_description *group = &op->result->descriptions[part->index];
    const kp_describe_groups_resp *answer = response->message;
    group->coordinator = response->broker_id;
    if (response->err != KC_OK) {
        group->err = response->err;
        kc_admin_fail(op, response->error);
        return;
    }
    if (answer->groups.count != 1 ||
        !kc_bytes_equal(answer->groups.items[0].group_id, group->group_id)) {
        group->err = KC_ERR_MALFORMED;
        return;
    }
    group->err = answer->groups.items[0].error_code;
    if (group->err == KC_OK)
        copy_classic(op, &answer->groups.items[0], group);
    /* Of another protocol, or not there: brokers before 4.0 say "Dead" (KIP-1043). */
    if (group->err == KC_E_GROUP_ID_NOT_FOUND ||
        (group->err == KC_OK && kb_text_is(group->state, "Dead")))
        ask_next(op, part->index);
}

static kc_err start_describe(kc_admin_op *op, const kc_bytes *ids, size_t count, kc_error *err)
{
    kc_admin_result *result = op->result;
    result->descriptions = kb_arena_array(&result->arena, count, sizeof *result->descriptions);
    if (!result->descriptions)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < count; i++) {
        kc_group_description *group = &result->descriptions[i];
        if (!ids[i].ptr)
            return kb_error_set(err, KC_ERR_ARGUMENT, "group id %zu is null", i);
        group->group_id = kb_arena_copy(&result->arena, ids[i]);
        if (!group->group_id.ptr)
            return kb_error_code(err, KC_ERR_NOMEM);
        group->coordinator = -1;
        kp_describe_groups_req request = {.groups = {&group->group_id, 1}};
        KB_TRY(kc_admin_send(op, KP_API_DESCRIBE_GROUPS, &request,
                             &(kc_admin_target){.to = KC_TO_AUTO,
                                                .version_max = -1,
                                                .index = i,
                                                .done = on_describe,
                                                .retry = retry_describe},
                             err));
    }
    result->description_count = count;
    return KC_OK;
}

kc_err kc_admin_describe_groups(kc_client *client, const kc_bytes *group_ids, size_t count,
                                const kc_admin_options *options, kc_admin_fn fn, void *user,
                                kc_error *err)
{
    kc_admin_op *op;
    if (count > 0 && !group_ids)
        return kb_error_set(err, KC_ERR_ARGUMENT, "the group ids are null");
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_describe(op, group_ids, count, err));
}

/* ---- DeleteGroups ---- */

static kc_err retry_delete(const kc_response *response, void *user)
{
    (void)user;
    const kp_delete_groups_resp *answer = response->message;
    kc_err code = answer->results.count > 0 ? answer->results.items[0].error_code : KC_OK;
    return kc_is_coordinator_error(code) ? code : KC_OK;
}

static void on_delete(kc_admin_part *part, const kc_response *response)
{
    kc_admin_op *op = part->op;
    kc_admin_item *item = &op->result->items[part->index];
    const kp_delete_groups_resp *answer = response->message;
    if (response->err != KC_OK) {
        item->err = response->err;
        item->message = kc_admin_copy(op, kc_str(response->error->text));
        kc_admin_fail(op, response->error);
    } else if (answer->results.count == 1 &&
               kc_bytes_equal(answer->results.items[0].group_id, item->name)) {
        item->err = answer->results.items[0].error_code;
    }
}

static kc_err start_delete(kc_admin_op *op, const kc_bytes *ids, size_t count, kc_error *err)
{
    KB_TRY(kc_admin_add_items(op, ids, count, err));
    for (size_t i = 0; i < count; i++) {
        kp_delete_groups_req request = {.groups_names = {&op->result->items[i].name, 1}};
        KB_TRY(kc_admin_send(op, KP_API_DELETE_GROUPS, &request,
                             &(kc_admin_target){.to = KC_TO_AUTO,
                                                .version_max = -1,
                                                .index = i,
                                                .done = on_delete,
                                                .retry = retry_delete},
                             err));
    }
    return KC_OK;
}

kc_err kc_admin_delete_groups(kc_client *client, const kc_bytes *group_ids, size_t count,
                              const kc_admin_options *options, kc_admin_fn fn, void *user,
                              kc_error *err)
{
    kc_admin_op *op;
    if (count > 0 && !group_ids)
        return kb_error_set(err, KC_ERR_ARGUMENT, "the group ids are null");
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_delete(op, group_ids, count, err));
}
