/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Streams: the records of one partition, one after the other. Work is done in slices from a timer
 * of the loop, so that a backlog of fast handlers never keeps heartbeats and timers waiting for
 * more than a slice. */
#include "officeflow/consumer_core.h"

/* records handled in one turn of the loop, all streams together */
#define TURN_RECORDS 64
/* batches held before the partition's fetching is paused, and below which it goes on */
#define HELD_BATCHES_MAX 4
#define HELD_BATCHES_LOW 1

static void set_paused(of_stream *stream, bool is_paused)
{
    kc_topic_partition place = {stream->topic, stream->partition};
    if (stream->is_paused == is_paused)
        return;
    stream->is_paused = is_paused;
    if (is_paused)
        kc_consumer_pause(stream->consumer->kafka, &place, 1);
    else
        kc_consumer_resume(stream->consumer->kafka, &place, 1);
}

static void set_work(of_consumer *consumer)
{
    if (consumer->work_is_set)
        return;
    consumer->work_is_set = true;
    kc_timer_set(consumer->work_timer, 0);
}

void of_stream_wake(of_stream *stream)
{
    if (stream->state != OF_STREAM_IDLE)
        return;
    kb_list_remove(&stream->ready);
    kb_list_push_back(&stream->consumer->ready, &stream->ready);
    set_work(stream->consumer);
}

void of_stream_push(of_stream *stream, kc_batch *batch)
{
    of_held_batch *held = kb_mem_alloc(&stream->consumer->platform->mem, sizeof *held);
    if (!held) { // nothing of it was acknowledged: it is read again when there is memory
        if (kc_consumer_seek(stream->consumer->kafka, stream->topic, stream->partition,
                             stream->expected >= 0 ? stream->expected : KC_OFFSET_STORED) != KC_OK)
            stream->expected = -1; // gone meanwhile
        kc_batch_free(batch);
        return;
    }
    held->batch = batch;
    kb_list_push_back(&stream->batches, &held->node);
    stream->expected = kc_batch_next_offset(batch);
    if (++stream->batch_count >= HELD_BATCHES_MAX)
        set_paused(stream, true);
    of_stream_wake(stream);
}

static void pop_batch(of_stream *stream)
{
    of_held_batch *held = KB_CONTAINER(kb_list_pop_front(&stream->batches), of_held_batch, node);
    // control records and what compaction left out count as handled
    if (kc_batch_is_current(held->batch) && kc_batch_next_offset(held->batch) > stream->ack_next)
        stream->ack_next = kc_batch_next_offset(held->batch);
    kc_batch_free(held->batch);
    kb_mem_free(&stream->consumer->platform->mem, held);
    if (--stream->batch_count <= HELD_BATCHES_LOW)
        set_paused(stream, false);
}

/** Begin the next record; false: there is none. */
static bool begin_next(of_stream *stream)
{
    kc_view view;
    while (!kb_list_is_empty(&stream->batches)) {
        of_held_batch *held = KB_CONTAINER(stream->batches.next, of_held_batch, node);
        if (kc_batch_is_current(held->batch) && kc_batch_read(held->batch, &view)) {
            of_ctx_begin(stream->ctx, &view, stream->topic, stream->partition);
            return true;
        }
        pop_batch(stream);
    }
    return false;
}

/** Is the head of a delayed topic due? Else wait for it: FIFO and one delay make it the next due of
 * the partition. */
static bool is_due(of_stream *stream, int64_t appended_ms)
{
    if (!stream->is_retry)
        return true;
    int64_t wait = appended_ms + stream->tier_delay_ms - of_consumer_wall_ms(stream->consumer);
    if (wait <= 0)
        return true;
    of_stream_wait(stream, wait, OF_RESUME_RUN);
    return false;
}

void of_consumer_on_work(void *user)
{
    of_consumer *consumer = user;
    consumer->work_is_set = false;
    if (consumer->stop_asked && !consumer->is_stopping)
        (void)of_consumer_is_stopped(consumer);
    for (int left = TURN_RECORDS; left > 0 && !consumer->is_stopping; left--) {
        kb_list *node = kb_list_pop_front(&consumer->ready);
        if (!node)
            return;
        of_stream *stream = KB_CONTAINER(node, of_stream, ready);
        if (stream->state != OF_STREAM_IDLE || !begin_next(stream))
            continue;
        stream->state = OF_STREAM_RUNNING;
        if (is_due(stream, stream->ctx->record_ms))
            of_ctx_run(stream->ctx);
    }
    if (!kb_list_is_empty(&consumer->ready))
        set_work(consumer);
}

void of_stream_wait(of_stream *stream, int64_t delay_ms, of_resume resume)
{
    stream->state = OF_STREAM_WAITING;
    stream->ctx->resume = resume;
    kc_timer_set(stream->timer, delay_ms > 0 ? delay_ms : 0);
}

void of_stream_on_timer(void *user)
{
    of_stream *stream = user;
    if (stream->state != OF_STREAM_WAITING || stream->consumer->is_stopping)
        return;
    if (stream->ctx->resume == OF_RESUME_WRITE) {
        of_ctx_write(stream->ctx);
        return;
    }
    stream->state = OF_STREAM_RUNNING;
    of_ctx_run(stream->ctx);
}

void of_stream_ack(of_stream *stream)
{
    stream->ack_next = stream->ctx->offset + 1;
    stream->state = OF_STREAM_IDLE;
    of_stream_wake(stream);
}
