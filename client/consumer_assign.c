/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the application says about single partitions: assign, pause, seek, ask. */
#include "client/consumer_offset_op.h"
#include "client/consumer_part.h"
#include "protocol/base/error.h"

static bool is_offset(int64_t offset)
{
    return offset >= 0 || offset == KC_OFFSET_END || offset == KC_OFFSET_BEGINNING ||
           offset == KC_OFFSET_STORED;
}

static kc_err check_assignment(const kc_topic_offset *partitions, size_t count, kc_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const kc_topic_offset *item = &partitions[i];
        if (!kc_topic_name_is_valid(item->topic) || item->partition < 0 || !is_offset(item->offset))
            return kb_error_set(err, KC_ERR_ARGUMENT,
                                "partition %d of \"" KC_FMT "\" can't be read from offset %lld",
                                (int)item->partition, KC_ARG(item->topic), (long long)item->offset);
    }
    return KC_OK;
}

/** The look-up of committed offsets was for what was assigned before. */
static void cancel_stored(kc_consumer *consumer)
{
    if (consumer->stored_op)
        kc_offset_op_cancel(consumer->stored_op);
    consumer->stored_op = NULL;
}

static void leave_group(kc_consumer *consumer)
{
    kc_subscription_clear(consumer);
    kc_part_drop_all(consumer);
    kc_member_leave_abruptly(consumer);
}

kc_err kc_consumer_assign(kc_consumer *consumer, const kc_topic_offset *partitions, size_t count,
                          kc_error *err)
{
    if (consumer->is_closing)
        return kb_error_set(err, KC_ERR_STATE, "the consumer is closing");
    KB_TRY(check_assignment(partitions, count, err));
    leave_group(consumer);
    cancel_stored(consumer);
    consumer->is_by_hand = true;
    for (size_t i = 0; i < count; i++) {
        kc_part *part = kc_part_find(consumer, partitions[i].topic, partitions[i].partition);
        kc_err result = KC_OK;
        if (!part) /* named twice: the last offset counts */
            result = kc_part_add(consumer, partitions[i].topic, partitions[i].partition, &part);
        if (result != KC_OK) {
            kc_part_drop_all(consumer);
            return kb_error_code(err, result);
        }
        kc_part_start(part, partitions[i].offset);
    }
    kc_consumer_plan_soon(consumer);
    return KC_OK;
}

size_t kc_consumer_assignment(const kc_consumer *consumer, kc_topic_partition *partitions,
                              size_t cap)
{
    size_t count = 0;
    KB_LIST_FOR (node, &consumer->parts) {
        const kc_part *part = KB_CONTAINER(node, kc_part, node);
        if (part->is_revoked)
            continue;
        if (count < cap)
            partitions[count] =
                (kc_topic_partition){.topic = kc_part_name(part), .partition = part->partition};
        count++;
    }
    return count;
}

void kc_consumer_pause(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kc_part *part = kc_part_find(consumer, partitions[i].topic, partitions[i].partition);
        if (!part || part->is_paused)
            continue;
        part->is_paused = true;
        kc_part_update_ready(part);
        kc_part_compact(part);
    }
}

void kc_consumer_resume(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kc_part *part = kc_part_find(consumer, partitions[i].topic, partitions[i].partition);
        if (!part || !part->is_paused)
            continue;
        part->is_paused = false;
        kc_part_update_ready(part);
        if (!kb_list_is_empty(&part->fetched))
            kc_consumer_announce(consumer);
        kc_consumer_plan_soon(consumer);
    }
}

kc_err kc_consumer_seek(kc_consumer *consumer, kc_bytes topic, int32_t partition, int64_t offset)
{
    kc_part *part = kc_part_find(consumer, topic, partition);
    if (!part || part->is_revoked)
        return KC_ERR_NOT_FOUND;
    if (!is_offset(offset))
        return KC_ERR_ARGUMENT;
    kc_part_start(part, offset);
    return KC_OK;
}

kc_err kc_consumer_position(const kc_consumer *consumer, kc_bytes topic, int32_t partition,
                            int64_t *offset_out)
{
    const kc_part *part = kc_part_find(consumer, topic, partition);
    if (!part)
        return KC_ERR_NOT_FOUND;
    *offset_out = part->position;
    return KC_OK;
}

kc_err kc_consumer_watermarks(const kc_consumer *consumer, kc_bytes topic, int32_t partition,
                              int64_t *low_out, int64_t *high_out, int64_t *last_stable_out)
{
    const kc_part *part = kc_part_find(consumer, topic, partition);
    if (!part)
        return KC_ERR_NOT_FOUND;
    *low_out = part->low;
    *high_out = part->high;
    *last_stable_out = part->last_stable;
    return KC_OK;
}
