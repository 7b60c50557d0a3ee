/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A member goes from what it holds to its target, one heartbeat after the other (KIP-848, "Reconciliation"):
 *
 *   STABLE ------- newer target ------+
 *                                     v
 *   UNREVOKED <-- has to give back -- next step --- all is there --> STABLE
 *       |                             ^    |
 *       +--- no longer owns them -----+    +--- others have it --> UNRELEASED --(each heartbeat)--> next step
 *
 * A member keeps its epoch until it has given back what it is to give back; then it is in the target's epoch and gets
 * at once what is free, and the rest when others have let go. So no partition ever has two owners. A member whose
 * subscription has changed gives up topics it left even when there is no new target so far. */
#include "mock/consumer_group_core.h"
#include "protocol/base/error.h"

/** What `view` is to become; its sets are owned by it until they are handed over. */
typedef struct step {
    km_consumer_change *change;
    const kp_consumer_group_heartbeat_req *asked;
    km_partition_set assigned;
    km_partition_set revoking;
    bool waits;    /**< others have partitions of the target */
    bool has_more; /**< partitions are added                 */
} step;

/** Does the member still say it owns something of `set`? If it says nothing, it does. */
static bool still_owns(const km_partition_set *set, const kp_consumer_group_heartbeat_req *asked)
{
    if (asked->topic_partitions.count < 0)
        return true;
    for (int32_t i = 0; i < asked->topic_partitions.count; i++) {
        const kp_consumer_group_heartbeat_req_topic_partition *topic =
            &asked->topic_partitions.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++)
            if (km_partition_set_find(set, topic->topic_id, topic->partitions.items[j]))
                return true;
    }
    return false;
}

static bool subscribes(const km_consumer_change *change, kc_uuid topic_id)
{
    const km_topic *topic = km_topic_by_id(change->request->cluster, topic_id);
    return topic && km_consumer_view_subscribes(change->cg, &change->view, kc_str(topic->name));
}

static bool has_other_owner(const km_consumer_change *change, const km_owned *item)
{
    size_t pos = 0;
    const km_consumer_member *member;
    while ((member = kb_map_next(&change->cg->members, &pos))) {
        if (member == change->member || member == change->replaced)
            continue;
        if (km_partition_set_find(&member->now.assigned, item->topic_id, item->partition) ||
            km_partition_set_find(&member->now.revoking, item->topic_id, item->partition))
            return true;
    }
    return false;
}

static void set_epoch(km_consumer_view *view, int32_t epoch)
{
    view->previous_epoch = view->epoch;
    view->epoch = epoch;
}

/** The view's old set is the base's, or one that was made in this heartbeat. */
static void hand_over(km_consumer_change *change, km_partition_set *to,
                      const km_partition_set *base, km_partition_set *from)
{
    if (to->items != base->items)
        kb_mem_free(change->request->cluster->mem, to->items);
    *to = *from;
    *from = (km_partition_set){0};
}

static void hand_over_assigned(step *s)
{
    hand_over(s->change, &s->change->view.assigned, &s->change->base->assigned, &s->assigned);
}

static void hand_over_revoking(step *s)
{
    hand_over(s->change, &s->change->view.revoking, &s->change->base->revoking, &s->revoking);
}

static void add_wanted(step *s, kc_uuid topic_id, int32_t partition)
{
    const km_owned item = {topic_id, partition, s->change->target_epoch};
    if (has_other_owner(s->change, &item)) {
        s->waits = true;
        return;
    }
    km_partition_set_push(&s->assigned, &item);
    s->has_more = true;
}

/** Both sets side by side: what is in both stays, what is only assigned goes, what is only wanted comes. */
static kc_err compare_with_target(step *s, bool adds)
{
    const km_partition_set *had = &s->change->view.assigned;
    const km_partition_set *wanted = s->change->target;
    kb_mem *mem = s->change->request->cluster->mem;
    KB_TRY(km_partition_set_init(&s->assigned, mem, had->count + wanted->count));
    KB_TRY(km_partition_set_init(&s->revoking, mem, had->count));
    size_t i = 0;
    size_t j = 0;
    while (i < had->count || j < wanted->count) {
        int order = i == had->count      ? 1
                    : j == wanted->count ? -1
                                         : km_owned_compare(&had->items[i], &wanted->items[j]);
        const km_owned *item = order <= 0 ? &had->items[i] : &wanted->items[j];
        bool is_wanted = order >= 0 && subscribes(s->change, item->topic_id);
        if (order <= 0)
            km_partition_set_push(is_wanted ? &s->assigned : &s->revoking, item);
        else if (is_wanted && adds)
            add_wanted(s, item->topic_id, item->partition);
        i += order <= 0;
        j += order >= 0;
    }
    return KC_OK;
}

static kc_err next_step(step *s)
{
    km_consumer_view *view = &s->change->view;
    KB_TRY(compare_with_target(s, true));
    if (s->revoking.count > 0 && still_owns(&s->revoking, s->asked)) {
        /* Without what was to be added: once more, as the sets are small and this is rare. */
        km_partition_set_cleanup(&s->assigned, s->change->request->cluster->mem);
        km_partition_set_cleanup(&s->revoking, s->change->request->cluster->mem);
        KB_TRY(compare_with_target(s, false));
        view->state = KM_CONSUMER_UNREVOKED;
        set_epoch(view, view->epoch);
    } else {
        view->state = s->waits ? KM_CONSUMER_UNRELEASED : KM_CONSUMER_STABLE;
        set_epoch(view, s->change->target_epoch);
        s->revoking.count = 0;
    }
    hand_over_assigned(s);
    hand_over_revoking(s);
    s->change->is_reconciled = true;
    return KC_OK;
}

/** Where both hold an item there is one of it. */
static void merge_into(km_partition_set *to, const km_partition_set *a, const km_partition_set *b)
{
    size_t i = 0;
    size_t j = 0;
    while (i < a->count || j < b->count) {
        int order = i == a->count   ? 1
                    : j == b->count ? -1
                                    : km_owned_compare(&a->items[i], &b->items[j]);
        km_partition_set_push(to, order <= 0 ? &a->items[i] : &b->items[j]);
        i += order <= 0;
        j += order >= 0;
    }
}

/** Only topics the member is no longer subscribed to go. */
static kc_err strip(step *s)
{
    km_consumer_view *view = &s->change->view;
    kb_mem *mem = s->change->request->cluster->mem;
    km_partition_set gone;
    KB_TRY(km_partition_set_init(&s->assigned, mem, view->assigned.count));
    KB_TRY(km_partition_set_init(&s->revoking, mem, view->assigned.count + view->revoking.count));
    KB_TRY(km_partition_set_init(&gone, mem, view->assigned.count));
    for (size_t i = 0; i < view->assigned.count; i++) {
        const km_owned *item = &view->assigned.items[i];
        km_partition_set_push(subscribes(s->change, item->topic_id) ? &s->assigned : &gone, item);
    }
    merge_into(&s->revoking, &view->revoking, &gone);
    if (gone.count > 0) {
        bool waits = still_owns(&s->revoking, s->asked);
        set_epoch(view, view->epoch);
        hand_over_assigned(s);
        if (waits) {
            view->state = KM_CONSUMER_UNREVOKED;
            hand_over_revoking(s);
        }
        s->change->is_reconciled = true;
    }
    km_partition_set_cleanup(&gone, mem);
    return KC_OK;
}

static kc_err go_on(step *s)
{
    const km_consumer_change *change = s->change;
    const km_consumer_view *view = &change->view;
    bool is_other = change->has_new_names || change->has_new_regex;
    if (km_consumer_view_is_reconciled(view, change->target_epoch))
        return is_other ? strip(s) : KC_OK;
    if (view->state == KM_CONSUMER_UNREVOKED && still_owns(&view->revoking, s->asked))
        return is_other ? strip(s) : KC_OK;
    return next_step(s);
}

kc_err km_consumer_change_reconcile(km_consumer_change *change,
                                    const kp_consumer_group_heartbeat_req *asked)
{
    step s = {.change = change, .asked = asked};
    kc_err err = go_on(&s);
    km_partition_set_cleanup(&s.assigned, change->request->cluster->mem);
    km_partition_set_cleanup(&s.revoking, change->request->cluster->mem);
    return err;
}
