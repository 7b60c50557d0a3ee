/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the records of a producer wait for, in words: partitions in the order of their oldest record. */
#include "client/producer_flow.h"

#include <kafkac/unstable/errors.h>

#include <stdio.h>

/** Why a queue's first batch is not in the log. */
typedef struct hold {
    char text[320];
} hold;

static kc_producer_batch *first_batch(const kc_producer_queue *queue)
{
    if (queue->in_flight)
        return queue->in_flight;
    if (!kb_list_is_empty(&queue->closed))
        return KB_CONTAINER(queue->closed.next, kc_producer_batch, node);
    return queue->open;
}

static const kc_producer_request *request_of(const kc_producer *producer,
                                             const kc_producer_batch *batch)
{
    KB_LIST_FOR (node, &producer->requests) {
        const kc_producer_request *request = KB_CONTAINER(node, kc_producer_request, node);
        for (uint32_t i = 0; i < request->count; i++) {
            if (request->batches[i] == batch)
                return request;
        }
    }
    return NULL;
}

static hold hold_in_flight(const kc_producer_queue *queue, int64_t now_us)
{
    hold why;
    const kc_producer_batch *batch = queue->in_flight;
    const kc_producer_request *request = request_of(queue->topic->producer, batch);
    char again[96] = "";
    if (batch->tries > 0)
        snprintf(again, sizeof again, ", retry %u after %s", (unsigned)batch->tries,
                 kc_err_name(batch->last_err));
    snprintf(why.text, sizeof why.text, "%s%s",
             request ? kn_request_where(&request->net, now_us).text : "being answered", again);
    return why;
}

static hold hold_backoff(const kc_producer_queue *queue, int64_t now_us)
{
    hold why;
    const kc_producer_batch *batch = first_batch(queue);
    kb_word left = kb_duration(queue->retry_us - now_us);
    if (batch && batch->tries > 0)
        snprintf(why.text, sizeof why.text, "retry %u after %s, in %s", (unsigned)batch->tries,
                 kc_err_name(batch->last_err), left.text);
    else
        snprintf(why.text, sizeof why.text, "no memory to send it, tried again in %s", left.text);
    return why;
}

static hold hold_leaderless(const kc_producer_queue *queue)
{
    hold why;
    const kc_meta_topic *meta = queue->topic->meta;
    if (queue->partition >= meta->partition_count)
        snprintf(why.text, sizeof why.text, "the topic has only %s",
                 kb_count((uint64_t)meta->partition_count, "partition").text);
    else
        snprintf(why.text, sizeof why.text, "waits for a leader: %s",
                 kc_err_name(meta->err != KC_OK ? meta->err : KC_E_LEADER_NOT_AVAILABLE));
    return why;
}

static hold hold_ready(const kc_producer_queue *queue, int64_t now_us)
{
    hold why;
    const kc_producer *producer = queue->topic->producer;
    const kc_producer_broker *broker = queue->broker;
    if (broker->muted_until_us > now_us)
        snprintf(why.text, sizeof why.text, "broker %d throttles us, for %s more", (int)broker->id,
                 kb_duration(broker->muted_until_us - now_us).text);
    else if (broker->in_flight >= producer->in_flight_max)
        snprintf(why.text, sizeof why.text,
                 "broker %d has as many requests in flight as "
                 "max.in.flight.requests.per.connection allows, %d",
                 (int)broker->id, (int)broker->in_flight);
    else if (producer->nomem_retry_us > now_us)
        snprintf(why.text, sizeof why.text, "no memory for a request, tried again in %s",
                 kb_duration(producer->nomem_retry_us - now_us).text);
    else
        snprintf(why.text, sizeof why.text, "about to be sent to broker %d", (int)broker->id);
    return why;
}

/** Nothing of it is due. */
static hold hold_idle(const kc_producer_queue *queue, int64_t now_us)
{
    hold why;
    const kc_producer *producer = queue->topic->producer;
    int64_t left_us = queue->open ? queue->open->created_us + producer->linger_us - now_us : 0;
    if (queue->open && !queue->open_is_due)
        snprintf(why.text, sizeof why.text, "linger.ms, %s left", kb_duration(left_us).text);
    else
        snprintf(why.text, sizeof why.text, "about to be sent");
    return why;
}

static hold hold_of(const kc_producer_queue *queue, int64_t now_us)
{
    if (queue->in_flight)
        return hold_in_flight(queue, now_us);
    switch (queue->state) {
    case KC_QUEUE_BACKOFF:
        return hold_backoff(queue, now_us);
    case KC_QUEUE_LEADERLESS:
        return hold_leaderless(queue);
    case KC_QUEUE_READY:
        return hold_ready(queue, now_us);
    case KC_QUEUE_IDLE:
        break;
    }
    return hold_idle(queue, now_us);
}

static void add_batch(const kc_producer_batch *batch, uint64_t *records, uint64_t *bytes)
{
    if (!batch)
        return;
    *records += (uint64_t)batch->writer.count;
    *bytes += batch->wire_bytes > 0 ? batch->wire_bytes : batch->writer.len;
}

static void explain_queue(const kc_producer_queue *queue, const kc_producer_batch *oldest,
                          kb_explain *out)
{
    uint64_t records = 0, bytes = 0;
    const kc_producer *producer = queue->topic->producer;
    add_batch(queue->in_flight, &records, &bytes);
    add_batch(queue->open, &records, &bytes);
    KB_LIST_FOR (node, &queue->closed)
        add_batch(KB_CONTAINER(node, kc_producer_batch, node), &records, &bytes);
    kb_explain_line(
        out, "producer: " KC_FMT "/%d: %s (%s), the oldest for %s of %s: %s",
        KC_ARG(queue->topic->meta->name), (int)queue->partition, kb_count(records, "record").text,
        kb_size(bytes).text, kb_duration(out->now_us - oldest->created_us).text,
        kb_duration(producer->delivery_timeout_us).text, hold_of(queue, out->now_us).text);
}

static void explain_staged(const kc_topic *topic, kb_explain *out)
{
    const kc_meta_topic *meta = topic->meta;
    const kc_error *failure = kc_metadata_error(topic->producer->client->metadata);
    const char *why = "the topic is not known yet";
    if (meta->partition_count > 0)
        why = "buffer.memory has no room for their batches";
    else if (meta->err != KC_OK && meta->err != KC_ERR_AGAIN)
        why = kc_err_name(meta->err);
    else if (failure->code != KC_OK)
        why = failure->text;
    kb_explain_line(out,
                    "producer: " KC_FMT ": %s for no partition yet, the oldest for %s of %s: %s",
                    KC_ARG(meta->name), kb_count(topic->staged_count, "record").text,
                    kb_duration(out->now_us - kc_stage_oldest_us(topic)).text,
                    kb_duration(topic->producer->delivery_timeout_us).text, why);
}

void kc_producer_explain(const kc_handle *handle, kb_explain *out)
{
    const kc_producer *producer = KB_CONTAINER(handle, kc_producer, handle);
    kb_explain_list topics = {0}, partitions = {0};
    if (producer->wants_room)
        kb_explain_line(out, "producer: buffer.memory is full, %s of %s taken: sends are refused",
                        kb_size(producer->memory.used).text, kb_size(producer->memory.limit).text);
    if (producer->flush_left > 0)
        kb_explain_line(out, "producer: a flush waits for all that was sent before it");
    KB_LIST_FOR (node, &producer->topic_list) {
        const kc_topic *topic = KB_CONTAINER(node, kc_topic, node);
        if (topic->staged_count > 0 && kb_explain_next(&topics))
            explain_staged(topic, out);
    }
    kb_explain_rest(out, &topics, "topics with such records");
    KB_LIST_FOR (node, &producer->ages) {
        const kc_producer_batch *batch = KB_CONTAINER(node, kc_producer_batch, age);
        if (batch == first_batch(batch->queue) && kb_explain_next(&partitions))
            explain_queue(batch->queue, batch, out);
    }
    kb_explain_rest(out, &partitions, "partitions with records");
}
