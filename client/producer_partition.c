/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which partition a record goes to.
 *
 * A key decides by murmur2, as with the Java client, over all partitions whether they have a leader
 * or not. Records without key stick to one partition for batch.size bytes, then go on to another:
 * fuller batches than turn by turn, and each partition gets as many bytes, however slow its broker
 * (KIP-480, KIP-794). The next one is the less busy of two drawn at random, among those that have a
 * leader. */
#include "client/producer_flow.h"
#include "protocol/base/error.h"

#include <assert.h>

/** Draws before all partitions are looked at for one with a leader. */
#define DRAWS 8

kc_producer_queue *kc_partition_queue(kc_topic *topic, int32_t partition)
{
    kb_mem *mem = topic->producer->memory.mem;
    assert(partition >= 0);
    if (partition >= topic->queue_count) {
        int32_t count = topic->meta->partition_count;
        if (count <= partition)
            count = partition + 1;
        kc_producer_queue **queues =
            kb_mem_realloc(mem, topic->queues, (size_t)count * sizeof *queues);
        if (!queues)
            return NULL;
        memset(queues + topic->queue_count, 0,
               (size_t)(count - topic->queue_count) * sizeof *queues);
        topic->queues = queues;
        topic->queue_count = count;
    }
    kc_producer_queue *queue = topic->queues[partition];
    if (queue)
        return queue;
    queue = kb_mem_zalloc(mem, sizeof *queue);
    if (!queue)
        return NULL;
    queue->topic = topic;
    queue->partition = partition;
    kb_list_init(&queue->closed);
    kb_list_init(&queue->place);
    kb_list_init(&queue->linger);
    topic->queues[partition] = queue;
    return queue;
}

static bool has_leader(const kc_topic *topic, int32_t partition)
{
    return topic->meta->partitions[partition].leader >= 0;
}

/** Any partition with a leader; any at all where none has one. */
static int32_t draw(const kc_topic *topic)
{
    int32_t count = topic->meta->partition_count;
    kb_rand *rand = &topic->producer->client->rand;
    int32_t partition = 0;
    for (int i = 0; i < DRAWS; i++) {
        partition = (int32_t)kb_rand_below(rand, (uint64_t)count);
        if (has_leader(topic, partition))
            return partition;
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t next = (int32_t)(((int64_t)partition + i) % count);
        if (has_leader(topic, next))
            return next;
    }
    return partition;
}

static uint32_t load_of(const kc_topic *topic, int32_t partition)
{
    const kc_producer_queue *queue =
        partition < topic->queue_count ? topic->queues[partition] : NULL;
    if (!queue)
        return 0;
    return 2 * queue->depth + (queue->open_is_due ? 1 : 0);
}

/** The partition just left takes part: where all others are stuck, it is the best. */
static int32_t draw_two(const kc_topic *topic)
{
    int32_t one = draw(topic);
    int32_t two = draw(topic);
    return load_of(topic, two) < load_of(topic, one) ? two : one;
}

/** Has the sticky partition had its share? A batch that was sent for its age does not end the stay;
 * one that is full does, and each batch.size by which it grows while it can't be sent: a slow
 * broker gets no more than others. */
static bool is_worn(const kc_topic *topic, size_t bytes_max)
{
    const kc_producer_batch *open = topic->sticky->open;
    size_t share = topic->producer->batch_bytes;
    if (share > topic->batch_bytes_max)
        share = topic->batch_bytes_max;
    if (!open)
        return topic->sticky_bytes >= share;
    return open->writer.len + bytes_max > (open->writer.cap > share ? open->writer.cap : share);
}

static kc_producer_queue *choose_sticky(kc_topic *topic, size_t bytes_max)
{
    if (topic->sticky && !is_worn(topic, bytes_max))
        return topic->sticky;
    if (topic->sticky)
        kc_queue_leave(topic->sticky, bytes_max);
    kc_producer_queue *queue = kc_partition_queue(topic, draw_two(topic));
    if (queue) {
        topic->sticky = queue;
        topic->sticky_bytes = 0;
    }
    return queue;
}

static int32_t choose_turn(kc_topic *topic)
{
    uint32_t count = (uint32_t)topic->meta->partition_count;
    int32_t partition = 0;
    for (uint32_t i = 0; i < count; i++) {
        partition = (int32_t)(topic->turn++ % count);
        if (has_leader(topic, partition))
            break;
    }
    return partition;
}

kc_err kc_partition_choose(kc_topic *topic, const kc_record *record, size_t bytes_max,
                           kc_producer_queue **queue_out, kc_error *err)
{
    int32_t count = topic->meta->partition_count;
    assert(count > 0);
    kc_producer_queue *queue = NULL;
    if (record->partition >= count) {
        kc_metadata_refresh(topic->producer->client->metadata, "record for an unknown partition");
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "partition %d of topic " KC_FMT " does not exist as far as is known: "
                            "there are %d, counted from 0; metadata is being asked for anew",
                            (int)record->partition, KC_ARG(topic->meta->name), (int)count);
    }
    if (record->partition >= 0)
        queue = kc_partition_queue(topic, record->partition);
    else if (topic->producer->is_roundrobin)
        queue = kc_partition_queue(topic, choose_turn(topic));
    else if (record->key.ptr)
        queue =
            kc_partition_queue(topic, kp_partition_of_key(record->key.ptr, record->key.len, count));
    else
        queue = choose_sticky(topic, bytes_max);
    if (!queue)
        return kb_error_code(err, KC_ERR_NOMEM);
    *queue_out = queue;
    return KC_OK;
}
