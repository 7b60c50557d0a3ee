/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Where a partition begins.
 *
 * A committed offset wins. Without one it is the beginning of the log, but for one case: when the
 * group starts for the very first time, the topics that are there begin as the subscription says.
 * A group that has committed anything, anywhere, was here before, or was set up: a topic for which
 * it has nothing came since, and its first events, those of a new organisation, were read by
 * nobody. So the group's past is asked for once, before the first partition flows:
 *
 *     assigned --> paused --> [past, the first time] --> committed offsets --> seek --> flows
 *
 * The client's own reset is "earliest": where an answer fails, and after an out-of-range offset,
 * events come again rather than never. What retention took is told. */
#include "officeflow/consumer_core.h"
#include "protocol/base/error.h"

#define PAST_TIMEOUT_MS 15000

void of_start_remember(of_consumer *consumer, kc_bytes topic)
{
    if (consumer->was_assigned || kb_map_get(&consumer->first_topics, topic))
        return;
    of_known_topic *known = kb_mem_zalloc(&consumer->platform->mem, sizeof *known);
    if (!known)
        return;
    memcpy(known->name, topic.ptr, topic.len);
    if (kb_map_put(&consumer->first_topics, kc_str(known->name), known) != KC_OK)
        kb_mem_free(&consumer->platform->mem, known);
}

/* ---- committed offsets ---- */

static bool begins_at_end(const of_consumer *consumer, const of_stream *stream)
{
    return consumer->is_first_start && !stream->is_retry &&
           kb_map_get(&consumer->first_topics, stream->topic) != NULL;
}

static void on_committed(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                         size_t count, void *user)
{
    of_consumer *consumer = user;
    if (err == KC_ERR_CLOSED)
        return;
    if (err != KC_OK)
        of_consumer_tell(consumer, error);
    for (size_t i = 0; i < count; i++) {
        of_stream *stream = of_stream_find(consumer, offsets[i].topic, offsets[i].partition);
        if (!stream)
            continue;
        // the answer to a question of an earlier assignment may have let it flow already: what it has handled since must
        // not be forgotten
        bool has_begun = stream->ack_next >= 0 || stream->expected >= 0;
        if (has_begun) {
            stream->must_commit_start = false;
        } else if (offsets[i].err == KC_OK && offsets[i].offset >= 0) {
            stream->ack_next = stream->committed = stream->expected = offsets[i].offset;
        } else if (offsets[i].err == KC_OK && begins_at_end(consumer, stream)) {
            stream->must_commit_start = kc_consumer_seek(consumer->kafka, stream->topic,
                                                         stream->partition, KC_OFFSET_END) == KC_OK;
        }
        kc_topic_partition place = {stream->topic, stream->partition};
        if (!stream->is_paused)
            kc_consumer_resume(consumer->kafka, &place, 1);
    }
}

static void ask_committed(of_consumer *consumer, const kc_topic_partition *partitions, size_t count)
{
    if (kc_consumer_committed(consumer->kafka, partitions, count, on_committed, consumer, NULL) !=
        KC_OK)
        kc_consumer_resume(consumer->kafka, partitions, count);
}

/** Of all partitions that are owned by now: all of them waited for the group's past. */
static void ask_all_committed(of_consumer *consumer)
{
    kc_error error;
    size_t pos = 0, count = 0;
    of_stream *stream;
    if (consumer->streams.count == 0)
        return;
    kb_mem *mem = &consumer->platform->mem;
    kc_topic_partition *owned = kb_mem_alloc(mem, consumer->streams.count * sizeof *owned);
    if (!owned) {
        kb_error_code(&error, KC_ERR_NOMEM);
        of_consumer_fail(consumer, &error);
        return;
    }
    while ((stream = kb_map_next(&consumer->streams, &pos)) != NULL)
        owned[count++] = (kc_topic_partition){stream->topic, stream->partition};
    ask_committed(consumer, owned, count);
    kb_mem_free(mem, owned);
}

/* ---- the group's past ---- */

static bool has_committed(const kc_admin_result *result)
{
    size_t count;
    const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
    for (size_t i = 0; i < count; i++)
        if (offsets[i].err == KC_OK && offsets[i].offset >= 0)
            return true;
    return false;
}

/** `result` NULL: out of memory. A past that can't be read is taken for one: nothing is lost. */
static void take_past(of_consumer *consumer, const kc_admin_result *result)
{
    kc_error error;
    kb_error_code(&error, KC_ERR_NOMEM);
    if (result)
        error = *kc_admin_error(result);
    if (error.code == KC_ERR_CLOSED)
        return;
    if (error.code != KC_OK)
        of_consumer_tell(consumer, &error);
    consumer->is_first_start = error.code == KC_OK && !has_committed(result);
    consumer->is_past_known = true;
    ask_all_committed(consumer);
}

static void on_past(kc_admin_result *result, void *user)
{
    of_past_question *question = user;
    of_consumer *consumer = question->consumer;
    kb_mem mem = question->mem;
    kb_mem_free(&mem, question);
    if (consumer) {
        consumer->question = NULL;
        take_past(consumer, result);
    }
    kc_admin_free(result);
}

static kc_err ask_past(of_consumer *consumer)
{
    kb_mem mem;
    kb_mem_init(&mem, &consumer->platform->mem.alloc, 0);
    of_past_question *question = kb_mem_zalloc(&mem, sizeof *question);
    if (!question)
        return KC_ERR_NOMEM;
    *question = (of_past_question){.mem = mem, .consumer = consumer};
    kc_admin_options options = of_admin_timeout(PAST_TIMEOUT_MS);
    kc_err result = kc_admin_list_group_offsets(consumer->platform->client, kc_str(consumer->group),
                                                NULL, 0, &options, on_past, question, NULL);
    if (result == KC_OK)
        consumer->question = question;
    else
        kb_mem_free(&mem, question);
    return result;
}

void of_start_find(of_consumer *consumer, const kc_topic_partition *partitions, size_t count)
{
    if (consumer->question)
        return; // its answer asks for these too
    if (consumer->from_beginning || consumer->is_past_known || ask_past(consumer) != KC_OK)
        ask_committed(consumer, partitions, count);
}

void of_start_cancel(of_consumer *consumer)
{
    if (consumer->question)
        consumer->question->consumer = NULL;
}

void of_start_note(of_consumer *consumer, of_stream *stream)
{
    int64_t position;
    if (!stream->must_commit_start ||
        kc_consumer_position(consumer->kafka, stream->topic, stream->partition, &position) !=
            KC_OK ||
        position < 0)
        return;
    stream->must_commit_start = false;
    if (stream->ack_next < 0 && stream->expected < 0)
        stream->ack_next = position;
}
