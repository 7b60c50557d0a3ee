/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Streams: the records of one partition, one after the other. Work is done in slices from a timer
 * of the loop, so that a backlog of fast handlers never keeps heartbeats and timers waiting for
 * more than a slice. */
#include "officeflow/consumer_core.h"

#include <assert.h>

/* records handled in one turn of the loop, all streams together */
#define TURN_RECORDS 64
/* batches held below which a paused partition's fetching goes on */
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
    // a paused partition hands out nothing
    assert(stream->batch_count < OF_HELD_BATCHES_MAX);
    stream->batches[stream->batch_count++] = batch;
    stream->expected = kc_batch_next_offset(batch);
    if (stream->batch_count == OF_HELD_BATCHES_MAX)
        set_paused(stream, true);
    of_stream_wake(stream);
}

kc_batch *of_stream_take_batch(of_stream *stream)
{
    if (stream->batch_count == 0)
        return NULL;
    kc_batch *first = stream->batches[0];
    stream->batch_count--;
    memmove(stream->batches, stream->batches + 1, stream->batch_count * sizeof(kc_batch *));
    return first;
}

static void pop_batch(of_stream *stream)
{
    kc_batch *batch = of_stream_take_batch(stream);
    // control records and what compaction left out count as handled
    if (kc_batch_is_current(batch) && kc_batch_next_offset(batch) > stream->ack_next)
        stream->ack_next = kc_batch_next_offset(batch);
    kc_batch_free(batch);
    if (stream->batch_count <= HELD_BATCHES_LOW)
        set_paused(stream, false);
}

/** Begin the next record; false: there is none. */
static bool begin_next(of_stream *stream)
{
    kc_view view;
    while (stream->batch_count > 0) {
        kc_batch *batch = stream->batches[0];
        if (kc_batch_is_current(batch) && kc_batch_read(batch, &view)) {
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
    int64_t wall = of_consumer_wall_ms(stream->consumer), wait;
    if (__builtin_sub_overflow(wall, appended_ms, &wait) || wait >= stream->tier_delay_ms)
        return true;
    // a broker's clock that is ahead, or a stranger's timestamp: one delay is the longest wait
    wait = wait < 0 ? stream->tier_delay_ms : stream->tier_delay_ms - wait;
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
    if (!kb_list_is_empty(&consumer->ready) && !consumer->is_stopping)
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
