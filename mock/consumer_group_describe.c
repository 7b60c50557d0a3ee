/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What ConsumerGroupDescribe tells of a group. */
#include "mock/consumer_group_core.h"
#include "mock/text.h"
#include "protocol/base/error.h"

/** Where a carrier has no addresses; as Java writes one. */
#define CLIENT_HOST "/127.0.0.1"

/** Sorted partitions, each with its topic's name; a topic that is gone is left out. */
static kc_err put_set(km_request *request, const km_partition_set *set,
                      kp_consumer_group_describe_resp_assignment *out)
{
    kp_consumer_group_describe_resp_topic_partitions *topics =
        km_request_alloc(request, set->count, sizeof *topics);
    int32_t *partitions = km_request_alloc(request, set->count, sizeof *partitions);
    if (!topics || !partitions)
        return KC_ERR_NOMEM;
    int32_t count = 0;
    const km_topic *topic = NULL;
    for (size_t i = 0; i < set->count; i++) {
        const km_owned *item = &set->items[i];
        partitions[i] = item->partition;
        if (i == 0 || memcmp(&item->topic_id, &item[-1].topic_id, sizeof item->topic_id) != 0) {
            topic = km_topic_by_id(request->cluster, item->topic_id);
            if (topic) {
                topics[count].topic_id = item->topic_id;
                topics[count].topic_name = kc_str(topic->name);
                topics[count++].partitions.items = &partitions[i];
            }
        }
        if (topic)
            topics[count - 1].partitions.count++;
    }
    out->topic_partitions.items = topics;
    out->topic_partitions.count = count;
    return KC_OK;
}

/** What it holds is what it has and what it is to give back. */
static kc_err put_assigned(km_request *request, const km_consumer_view *view,
                           kp_consumer_group_describe_resp_assignment *out)
{
    size_t count = view->assigned.count + view->revoking.count;
    km_partition_set held = {km_request_alloc(request, count, sizeof(km_owned)), 0};
    if (!held.items)
        return KC_ERR_NOMEM;
    size_t i = 0;
    size_t j = 0;
    while (i < view->assigned.count || j < view->revoking.count) {
        bool is_assigned =
            j == view->revoking.count ||
            (i < view->assigned.count &&
             km_owned_compare(&view->assigned.items[i], &view->revoking.items[j]) < 0);
        km_partition_set_push(&held, is_assigned ? &view->assigned.items[i++]
                                                 : &view->revoking.items[j++]);
    }
    return put_set(request, &held, out);
}

static kc_err put_member(km_request *request, const km_consumer_member *member,
                         kp_consumer_group_describe_resp_member *out)
{
    const km_consumer_view *view = &member->now;
    out->member_id = member->id;
    out->instance_id = view->instance_id;
    out->rack_id = view->rack_id;
    out->member_epoch = view->epoch;
    out->client_id = view->client_id;
    out->client_host = KC_STR(CLIENT_HOST);
    out->subscribed_topic_regex = view->regex.ptr ? view->regex : KC_STR("");
    out->member_type = 1; // of the consumer protocol
    size_t count = view->names ? view->names->count : 0;
    out->subscribed_topic_names.items =
        km_request_alloc(request, count, sizeof *out->subscribed_topic_names.items);
    if (!out->subscribed_topic_names.items)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        out->subscribed_topic_names.items[i] = view->names->items[i];
    out->subscribed_topic_names.count = (int32_t)count;
    KB_TRY(put_assigned(request, view, &out->assignment));
    return put_set(request, &member->target, &out->target_assignment);
}

kc_err km_consumer_group_describe(km_request *request, kc_bytes group_id,
                                  kp_consumer_group_describe_resp_group *out)
{
    const km_group *group = km_group_find(request->cluster, group_id);
    if (!group || group->type != KM_GROUP_CONSUMER) {
        kb_arena *arena = &request->arena;
        const char *text =
            !km_group_is_known(group)
                ? km_text(arena, "Group " KC_FMT " not found.", KC_ARG(group_id))
                : km_text(arena, "Group " KC_FMT " is not a consumer group.", KC_ARG(group_id));
        if (!text)
            return KC_ERR_NOMEM;
        out->error_message = kc_str(text);
        return (kc_err)KC_E_GROUP_ID_NOT_FOUND;
    }
    const km_consumer_group *cg = group->impl;
    out->group_state = kc_str(group->ops->state_name(group));
    out->group_epoch = cg->epoch;
    out->assignment_epoch = cg->assignment_epoch;
    out->assignor_name = km_consumer_group_assignor(cg, NULL);
    out->members.items = km_request_alloc(request, cg->members.count, sizeof *out->members.items);
    if (!out->members.items)
        return KC_ERR_NOMEM;
    size_t pos = 0;
    const km_consumer_member *member;
    while ((member = kb_map_next(&cg->members, &pos)))
        KB_TRY(put_member(request, member, &out->members.items[out->members.count++]));
    return KC_OK;
}
