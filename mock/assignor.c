/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The server-side assignors "uniform" and "range".
 *
 * uniform, when all are subscribed to the same topics: each member has its quota, and the members that hold one more
 * than that already are the ones that keep the one more. What is above a quota, or nobody's, is dealt in turn to those
 * with room. With different subscriptions there are no quotas: what is nobody's goes to the least loaded subscriber;
 * then, as long as a partition's owner has at least two more than another subscriber of the topic, it moves there. Each
 * such move makes the sum of the squared loads smaller, so it ends. */
#include "mock/assignor.h"

#include "protocol/base/names.h"

int km_assignor_compare(kc_bytes instance_a, kc_bytes member_a, kc_bytes instance_b,
                        kc_bytes member_b)
{
    if (instance_a.ptr && instance_b.ptr)
        return kb_compare(instance_a, instance_b);
    if (instance_a.ptr || instance_b.ptr)
        return instance_a.ptr ? -1 : 1;
    return kb_compare(member_a, member_b);
}

size_t km_assignor_places(const km_assignor_input *input)
{
    size_t places = 0;
    for (int32_t topic = 0; topic < input->topic_count; topic++)
        places += (size_t)input->partition_counts[topic];
    return places;
}

static bool is_subscribed(const km_assignor_input *input, int32_t member, int32_t topic)
{
    return input->is_subscribed[(size_t)member * (size_t)input->topic_count + (size_t)topic];
}

static bool has_equal_subscriptions(const km_assignor_input *input)
{
    size_t row = (size_t)input->topic_count * sizeof *input->is_subscribed;
    for (int32_t member = 1; member < input->member_count; member++)
        if (memcmp(input->is_subscribed, input->is_subscribed + (size_t)member * row, row) != 0)
            return false;
    return true;
}

/** Forget owners that are none; count what the others have. How many partitions have subscribers. */
static size_t count_loads(const km_assignor_input *input, int32_t *owners, size_t *loads)
{
    size_t place = 0;
    size_t wanted = 0;
    for (int32_t topic = 0; topic < input->topic_count; topic++) {
        bool has_subscriber = false;
        for (int32_t member = 0; member < input->member_count && !has_subscriber; member++)
            has_subscriber = is_subscribed(input, member, topic);
        wanted += has_subscriber ? (size_t)input->partition_counts[topic] : 0;
        for (int32_t i = 0; i < input->partition_counts[topic]; i++, place++) {
            int32_t owner = owners[place];
            if (owner < 0 || owner >= input->member_count || !is_subscribed(input, owner, topic))
                owners[place] = KM_NO_OWNER;
            else
                loads[owner]++;
        }
    }
    return wanted;
}

/** Quotas into `room`: those that hold more than the rest already are the first to get one more. */
static void make_quotas(const km_assignor_input *input, size_t wanted, const size_t *loads,
                        size_t *room)
{
    size_t members = (size_t)input->member_count;
    size_t quota = wanted / members;
    size_t extra = wanted % members;
    for (size_t i = 0; i < members; i++) {
        room[i] = quota;
        if (extra > 0 && loads[i] > quota) {
            room[i]++;
            extra--;
        }
    }
    for (size_t i = 0; i < members && extra > 0; i++)
        if (room[i] == quota) {
            room[i]++;
            extra--;
        }
}

static void deal_equal(const km_assignor_input *input, int32_t *owners, size_t *room)
{
    size_t places = km_assignor_places(input);
    for (size_t place = 0; place < places; place++) {
        if (owners[place] == KM_NO_OWNER)
            continue;
        if (room[owners[place]] > 0)
            room[owners[place]]--;
        else
            owners[place] = KM_NO_OWNER;
    }
    int32_t next = 0;
    size_t place = 0;
    for (int32_t topic = 0; topic < input->topic_count; topic++) {
        for (int32_t i = 0; i < input->partition_counts[topic]; i++, place++) {
            if (owners[place] != KM_NO_OWNER || !is_subscribed(input, 0, topic))
                continue;
            while (room[next] == 0)
                next = (next + 1) % input->member_count;
            owners[place] = next;
            room[next]--;
            next = (next + 1) % input->member_count;
        }
    }
}

/** KM_NO_OWNER: nobody is subscribed. */
static int32_t least_loaded(const km_assignor_input *input, int32_t topic, const size_t *loads)
{
    int32_t found = KM_NO_OWNER;
    for (int32_t member = 0; member < input->member_count; member++)
        if (is_subscribed(input, member, topic) &&
            (found == KM_NO_OWNER || loads[member] < loads[found]))
            found = member;
    return found;
}

/** Give what is nobody's away, and move what can make it more even. Was anything moved? */
static bool deal_unequal(const km_assignor_input *input, int32_t *owners, size_t *loads)
{
    bool has_moved = false;
    size_t place = 0;
    for (int32_t topic = 0; topic < input->topic_count; topic++) {
        for (int32_t i = 0; i < input->partition_counts[topic]; i++, place++) {
            int32_t owner = owners[place];
            int32_t other = least_loaded(input, topic, loads);
            if (other == KM_NO_OWNER)
                continue;
            if (owner != KM_NO_OWNER && loads[owner] < loads[other] + 2)
                continue;
            if (owner != KM_NO_OWNER)
                loads[owner]--;
            loads[other]++;
            owners[place] = other;
            has_moved = true;
        }
    }
    return has_moved;
}

static void no_owners(const km_assignor_input *input, int32_t *owners)
{
    size_t places = km_assignor_places(input);
    for (size_t place = 0; place < places; place++)
        owners[place] = KM_NO_OWNER;
}

kc_err km_assign_uniform(const km_assignor_input *input, int32_t *owners)
{
    if (input->member_count == 0) {
        no_owners(input, owners);
        return KC_OK;
    }
    size_t members = (size_t)input->member_count;
    size_t *loads = kb_mem_zalloc(input->mem, 2 * members * sizeof *loads);
    if (!loads)
        return KC_ERR_NOMEM;
    size_t wanted = count_loads(input, owners, loads);
    if (has_equal_subscriptions(input)) {
        make_quotas(input, wanted, loads, loads + members);
        deal_equal(input, owners, loads + members);
    } else {
        while (deal_unequal(input, owners, loads)) {
        }
    }
    kb_mem_free(input->mem, loads);
    return KC_OK;
}

kc_err km_assign_range(const km_assignor_input *input, int32_t *owners)
{
    no_owners(input, owners);
    size_t place = 0;
    for (int32_t topic = 0; topic < input->topic_count; topic++) {
        int32_t subscribers = 0;
        for (int32_t member = 0; member < input->member_count; member++)
            subscribers += is_subscribed(input, member, topic);
        int32_t left = input->partition_counts[topic];
        size_t next = place;
        for (int32_t member = 0; member < input->member_count && subscribers > 0; member++) {
            if (!is_subscribed(input, member, topic))
                continue;
            int32_t piece = (left + subscribers - 1) / subscribers;
            subscribers--;
            left -= piece;
            for (; piece > 0; piece--)
                owners[next++] = member;
        }
        place += (size_t)input->partition_counts[topic];
    }
    return KC_OK;
}

km_assignor km_assignor_by_name(kc_bytes name)
{
    if (kc_bytes_equal(name, KC_STR("uniform")))
        return km_assign_uniform;
    return kc_bytes_equal(name, KC_STR("range")) ? km_assign_range : NULL;
}
