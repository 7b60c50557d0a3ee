/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Taking letters: read, decide, keep what is not done at once. Bounded by number and bytes; beyond
 * that the partitions are paused and the lag shows. */
#include "officeflow/catalogue.h"
#include "officeflow/dlq_handler_core.h"
#include "officeflow/variant.h"
#include "protocol/base/error.h"

/* letters looked at in one turn of the loop */
#define TURN_LETTERS 256
#define COMMIT_MS    1000LL
/* out of memory: read the letter again after this */
#define AGAIN_MS 1000LL

/* ---- partitions ---- */

static size_t make_key(uint8_t *key, kc_bytes topic, int32_t partition)
{
    memcpy(key, topic.ptr, topic.len);
    memcpy(key + topic.len, &partition, sizeof partition);
    return topic.len + sizeof partition;
}

static of_dlq_part *find_part(of_dlq_handler *handler, kc_bytes topic, int32_t partition)
{
    uint8_t key[KC_TOPIC_NAME_MAX + sizeof partition];
    if (topic.len > KC_TOPIC_NAME_MAX)
        return NULL;
    size_t len = make_key(key, topic, partition);
    return kb_map_get(&handler->parts, kc_span(key, len));
}

static of_dlq_part *add_part(of_dlq_handler *handler, kc_bytes topic, int32_t partition)
{
    of_dlq_part *part = kb_mem_zalloc(&handler->mem, sizeof *part + topic.len + sizeof partition);
    if (!part)
        return NULL;
    part->handler = handler;
    part->next = part->committed = -1;
    part->partition = partition;
    part->key_len = make_key(part->key, topic, partition);
    part->topic = kc_span(part->key, topic.len);
    kb_list_init(&part->letters);
    if (kb_map_put(&handler->parts, kc_span(part->key, part->key_len), part) == KC_OK)
        return part;
    kb_mem_free(&handler->mem, part);
    return NULL;
}

static void free_letter(of_parked *p)
{
    of_dlq_handler *handler = p->handler;
    kb_list_remove(&p->window);
    of_dlq_unpark(p);
    if (kb_map_get(&handler->parked, kc_span(p->letter.id, 16)) == p)
        kb_map_remove(&handler->parked, kc_span(p->letter.id, 16));
    handler->count--;
    handler->bytes -= p->bytes;
    kb_arena_cleanup(&p->arena);
    kb_mem_free(&handler->mem, p);
}

/** The partition goes to others, with what is not done. A letter being written goes on, so that its
 * state is still told; only when that fails it is let go. */
static void drop_part(of_dlq_part *part)
{
    KB_LIST_FOR (node, &part->letters) {
        of_parked *p = KB_CONTAINER(node, of_parked, window);
        p->part = NULL;
        kb_list_remove(&p->window);
        if (!p->is_writing)
            free_letter(p);
    }
    kb_map_remove(&part->handler->parts, kc_span(part->key, part->key_len));
    kb_mem_free(&part->handler->mem, part);
}

void of_dlq_drop_all(of_dlq_handler *handler)
{
    size_t pos = 0;
    of_dlq_part *part;
    kc_batch_free(handler->batch);
    handler->batch = NULL;
    while ((part = kb_map_next(&handler->parts, &pos)) != NULL)
        drop_part(part);
    kb_map_cleanup(&handler->parts);
}

void of_dlq_done(of_parked *p)
{
    of_dlq_handler *handler = p->handler;
    free_letter(p);
    of_dlq_wake(handler); // there is room, and something to commit
}

/* ---- commits ---- */

/** The first offset that is not done; -1: nothing was read. */
static int64_t committable(const of_dlq_part *part)
{
    if (kb_list_is_empty(&part->letters) || OF_VARIANT(LETTER_FORGOTTEN))
        return part->next;
    return KB_CONTAINER(part->letters.next, of_parked, window)->offset;
}

static void on_commit(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                      size_t count, void *user)
{
    of_dlq_handler *handler = user;
    handler->is_committing = false;
    for (size_t i = 0; err == KC_OK && i < count; i++) {
        of_dlq_part *part = find_part(handler, offsets[i].topic, offsets[i].partition);
        if (part && offsets[i].err == KC_OK && part->committed < offsets[i].offset)
            part->committed = offsets[i].offset;
    }
    if (err == KC_ERR_CLOSED)
        return;
    if (err != KC_OK) // a rebalance, or it is tried again with the next interval
        of_dlq_notice_error(handler, error, "offsets were not committed");
    of_dlq_wake(handler);
}

bool of_dlq_has_to_commit(const of_dlq_handler *handler)
{
    size_t pos = 0;
    const of_dlq_part *part;
    while ((part = kb_map_next(&handler->parts, &pos)) != NULL)
        if (committable(part) > part->committed)
            return true;
    return false;
}

static kc_topic_offset offset_of(const of_dlq_part *part)
{
    return (kc_topic_offset){.topic = part->topic,
                             .partition = part->partition,
                             .offset = committable(part),
                             .leader_epoch = -1};
}

static bool commit_these(of_dlq_handler *handler, const kc_topic_offset *offsets, size_t count)
{
    kc_error error;
    if (count == 0)
        return false;
    kc_err err = kc_consumer_commit(handler->letters, offsets, count, on_commit, handler, &error);
    if (err != KC_OK)
        of_dlq_notice_error(handler, &error, "offsets were not committed");
    else
        handler->is_committing = true;
    return err == KC_OK;
}

bool of_dlq_commit(of_dlq_handler *handler)
{
    size_t pos = 0, count = 0;
    const of_dlq_part *part;
    handler->commit_us = of_dlq_now_us(handler) + COMMIT_MS * 1000;
    if (handler->is_committing || handler->parts.count == 0)
        return handler->is_committing;
    kc_topic_offset *offsets = kb_mem_alloc(&handler->mem, handler->parts.count * sizeof *offsets);
    while (offsets && (part = kb_map_next(&handler->parts, &pos)) != NULL)
        if (committable(part) > part->committed)
            offsets[count++] = offset_of(part);
    bool is_begun = commit_these(handler, offsets, count);
    kb_mem_free(&handler->mem, offsets);
    return is_begun;
}

/* ---- the group's events ---- */

static void on_assigned(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                        void *user)
{
    of_dlq_handler *handler = user;
    for (size_t i = 0; i < count; i++) {
        of_dlq_part *part = find_part(handler, partitions[i].topic, partitions[i].partition);
        // without memory for it, its letters are not read until it is assigned again
        if (!part && !add_part(handler, partitions[i].topic, partitions[i].partition))
            kc_consumer_pause(consumer, &partitions[i], 1);
    }
    if (handler->is_paused)
        kc_consumer_pause(consumer, partitions, count);
}

static void on_lost(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                    void *user)
{
    (void)consumer;
    of_dlq_handler *handler = user;
    for (size_t i = 0; i < count; i++) {
        of_dlq_part *part = find_part(handler, partitions[i].topic, partitions[i].partition);
        if (part)
            drop_part(part);
    }
    of_dlq_wake(handler);
}

static void on_revoked(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                       void *user)
{
    of_dlq_handler *handler = user;
    size_t to_commit = 0;
    kc_topic_offset *offsets = kb_mem_alloc(&handler->mem, (count + 1) * sizeof *offsets);
    for (size_t i = 0; offsets && i < count; i++) {
        of_dlq_part *part = find_part(handler, partitions[i].topic, partitions[i].partition);
        if (part && committable(part) > part->committed)
            offsets[to_commit++] = offset_of(part);
    }
    (void)commit_these(handler, offsets, to_commit);
    kb_mem_free(&handler->mem, offsets);
    on_lost(consumer, partitions, count, user);
}

static void on_error(kc_consumer *consumer, const kc_error *error, void *user)
{
    (void)consumer;
    of_dlq_notice_error(user, error, "reading failed");
}

static void on_letters(kc_consumer *consumer, void *user)
{
    (void)consumer;
    of_dlq_wake(user);
}

static void on_states(kc_consumer *consumer, void *user)
{
    (void)consumer;
    of_dlq_view_read(user);
    of_dlq_wake(user);
}

void of_dlq_set_events(of_dlq_handler *handler)
{
    kc_consumer_events letters = {
        .on_assigned = on_assigned,
        .on_revoked = on_revoked,
        .on_lost = on_lost,
        .on_error = on_error,
        .on_batch = on_letters,
        .user = handler,
    };
    kc_consumer_events states = {.on_error = on_error, .on_batch = on_states, .user = handler};
    kc_consumer_set_events(handler->letters, &letters);
    kc_consumer_set_events(handler->states, &states);
}

/* ---- deciding ---- */

of_dlq_fate of_dlq_decide(const of_policy *policy, const of_dead_letter *letter,
                          const of_dlq_seen *seen, int64_t wall_ms, const char **reason_out)
{
    int32_t n = letter->redrives;
    int64_t since = letter->first_ms > 0 ? letter->first_ms : letter->last_ms;
    *reason_out = "";
    // redriven, quarantined, discarded, handled, or dead once more since: not this death's turn
    if (of_dlq_is_overtaken(seen, n) && !OF_VARIANT(STATES_IGNORED))
        return OF_DLQ_FATE_DUPLICATE;
    if (policy->redrive_by_operator_only && !OF_VARIANT(STRICT_REDRIVEN))
        *reason_out = "its family is kept in order";
    else if (!of_dead_letter_is_ours(letter))
        *reason_out = "not written by this platform";
    else if (of_dead_letter_is_pointer(letter))
        *reason_out = "its value is in the source topic only";
    else if (!of_dead_letter_has_topics(letter))
        *reason_out = "its topic or group can't be part of a topic's name";
    if (**reason_out) {
        // only this handler writes "dead": it was told before
        bool is_told = seen && seen->state == OF_DEAD && seen->redrive == n;
        return is_told ? OF_DLQ_FATE_DUPLICATE : OF_DLQ_FATE_LEAVE;
    }
    if (of_class_is_final(letter->failure_class))
        *reason_out = "its class is never retried";
    else if (n >= policy->max_redrives && !OF_VARIANT(REDRIVES_UNBOUNDED))
        *reason_out = "its redrives are used up";
    else if (since > 0 && wall_ms - since > policy->redrive_max_age_ms)
        *reason_out = "it failed too long ago";
    return **reason_out ? OF_DLQ_FATE_QUARANTINE : OF_DLQ_FATE_REDRIVE;
}

static kc_bytes keep(kb_arena *arena, kc_bytes bytes, bool *is_ok)
{
    kc_bytes copy = kb_arena_copy(arena, bytes);
    *is_ok = *is_ok && (copy.ptr || !bytes.ptr);
    return copy;
}

/** A letter of its own memory. NULL: out of it. */
static of_parked *keep_letter(of_dlq_part *part, const of_message *message, int64_t offset)
{
    of_dlq_handler *handler = part->handler;
    of_parked *p = kb_mem_zalloc(&handler->mem, sizeof *p);
    if (!p)
        return NULL;
    kb_arena_init(&p->arena, &handler->mem, 0);
    bool is_ok = true;
    of_message copy = {.key = keep(&p->arena, message->key, &is_ok),
                       .value = keep(&p->arena, message->value, &is_ok),
                       .header_count = message->header_count};
    kc_header *headers = kb_arena_array(&p->arena, message->header_count + 1, sizeof *headers);
    for (size_t i = 0; headers && i < message->header_count; i++) {
        headers[i].name = keep(&p->arena, message->headers[i].name, &is_ok);
        headers[i].value = keep(&p->arena, message->headers[i].value, &is_ok);
    }
    copy.headers = headers;
    kc_bytes topic = keep(&p->arena, part->topic, &is_ok);
    if (!headers || !is_ok || !of_dead_letter_read(&copy, &p->letter)) {
        kb_arena_cleanup(&p->arena);
        kb_mem_free(&handler->mem, p);
        return NULL;
    }
    p->handler = handler;
    p->part = part;
    p->offset = offset;
    p->bytes = sizeof *p + p->arena.used;
    p->letter.dlq_topic = topic;
    p->letter.dlq_partition = part->partition;
    p->letter.dlq_offset = offset;
    kb_list_init(&p->window);
    kb_list_init(&p->held);
    return p;
}

static bool begin_letter(of_dlq_part *part, const of_message *message, int64_t offset,
                         of_dlq_fate fate, const char *reason)
{
    of_dlq_handler *handler = part->handler;
    of_parked *p = keep_letter(part, message, offset);
    if (!p || kb_map_put(&handler->parked, kc_span(p->letter.id, 16), p) != KC_OK) {
        if (p)
            kb_arena_cleanup(&p->arena);
        kb_mem_free(&handler->mem, p);
        return false;
    }
    handler->count++;
    handler->bytes += p->bytes;
    kb_list_push_back(&part->letters, &p->window);
    p->reason = reason;
    p->letter.is_strict =
        of_dead_letter_is_strict(&p->letter, of_platform_policies(handler->platform));
    part->next = offset + 1;
    if (fate == OF_DLQ_FATE_REDRIVE) {
        of_dlq_park(p, of_dlq_view_find(handler, p->letter.id));
    } else {
        p->step = fate == OF_DLQ_FATE_LEAVE ? OF_DLQ_STEP_LEAVE : OF_DLQ_STEP_QUARANTINE;
        of_dlq_run_step(p);
    }
    return true;
}

/** A letter whose write outlived its partition's absence: it belongs to the partition again, so that
 * what the write comes to counts. */
static void adopt(of_dlq_part *part, of_parked *p, int64_t offset)
{
    p->part = part;
    p->offset = offset;
    kb_list_push_back(&part->letters, &p->window);
    part->next = offset + 1;
}

/** False: out of memory, nothing happened. */
static bool take_letter(of_dlq_part *part, const kc_view *view)
{
    of_dlq_handler *handler = part->handler;
    of_message message;
    of_dead_letter letter;
    const char *reason;
    kb_arena_reset(&handler->scratch);
    if (!of_message_of_view(view, &handler->scratch, &message))
        return false;
    if (!of_dead_letter_read(&message, &letter)) {
        handler->stats.seen++;
        of_dlq_notice_error(handler, NULL, "a record of a DLQ topic is no dead letter");
        part->next = view->offset + 1;
        return true;
    }
    letter.dlq_topic = part->topic;
    letter.dlq_partition = part->partition;
    letter.dlq_offset = view->offset;
    of_policy policy = of_dead_letter_policy(&letter, of_platform_policies(handler->platform));
    of_parked *older = kb_map_get(&handler->parked, kc_span(letter.id, 16));
    if (older && !older->part && older->letter.redrives == letter.redrives) {
        adopt(part, older, view->offset);
        return true;
    }
    of_dlq_fate fate = of_dlq_decide(&policy, &letter, of_dlq_view_find(handler, letter.id),
                                     of_dlq_wall_ms(handler), &reason);
    if (older && older->letter.redrives >= letter.redrives)
        fate = OF_DLQ_FATE_DUPLICATE;
    if (fate != OF_DLQ_FATE_DUPLICATE && letter.redrives > 0) { // before it waits with the others
        of_dlq_heard(handler, letter.id, letter.redrives, false);
        of_dlq_died_again(handler, &letter);
    }
    if (fate != OF_DLQ_FATE_DUPLICATE && !begin_letter(part, &message, view->offset, fate, reason))
        return false;
    // it was released by somebody else while it waited here, and died again
    if (fate != OF_DLQ_FATE_DUPLICATE && older && !older->is_writing)
        of_dlq_done(older);
    handler->stats.seen++;
    part->next = view->offset + 1;
    if (fate == OF_DLQ_FATE_DUPLICATE) {
        handler->stats.duplicates++;
        of_dlq_notice_letter(handler, OF_DLQ_DUPLICATE, &letter, reason, 0);
    }
    return true;
}

/* ---- reading ---- */

static bool is_full(const of_dlq_handler *handler)
{
    return handler->count >= OF_DLQ_LETTERS_MAX || handler->bytes >= OF_DLQ_LETTERS_BYTES_MAX;
}

static void set_paused(of_dlq_handler *handler, bool is_paused)
{
    if (handler->is_paused == is_paused)
        return;
    handler->is_paused = is_paused;
    size_t pos = 0;
    const of_dlq_part *part;
    while ((part = kb_map_next(&handler->parts, &pos)) != NULL) {
        kc_topic_partition place = {part->topic, part->partition};
        if (is_paused)
            kc_consumer_pause(handler->letters, &place, 1);
        else
            kc_consumer_resume(handler->letters, &place, 1);
    }
}

/** The batch is read, or its partition gone. */
static void end_batch(of_dlq_handler *handler)
{
    kc_batch *batch = handler->batch;
    of_dlq_part *part = find_part(handler, kc_batch_topic(batch), kc_batch_partition(batch));
    if (part && kc_batch_is_current(batch) && part->next < kc_batch_next_offset(batch))
        part->next = kc_batch_next_offset(batch);
    kc_batch_free(batch);
    handler->batch = NULL;
}

static void read_again(of_dlq_handler *handler, of_dlq_part *part, int64_t offset)
{
    kc_error error;
    kb_error_code(&error, KC_ERR_NOMEM);
    handler->take_again_us = of_dlq_now_us(handler) + AGAIN_MS * 1000;
    kc_err err = kc_consumer_seek(handler->letters, part->topic, part->partition, offset);
    (void)err; // gone meanwhile: whoever has it reads the letter
    kc_batch_free(handler->batch);
    handler->batch = NULL;
    of_dlq_notice_error(handler, &error, "a letter could not be kept: it is read again");
}

/** One letter; false: there is none now. */
static bool take_one(of_dlq_handler *handler)
{
    kc_view view;
    if (!handler->batch) {
        kc_err err = kc_consumer_next(handler->letters, &handler->batch);
        if (err != KC_OK && err != KC_ERR_AGAIN && !handler->is_stopping) {
            kc_error error;
            kb_error_code(&error, err);
            of_dlq_notice_error(handler, &error, "reading can't go on");
            of_dlq_stop(handler, 0);
        }
        if (err != KC_OK)
            return false;
    }
    if (!kc_batch_is_current(handler->batch) || !kc_batch_read(handler->batch, &view)) {
        end_batch(handler);
        return true;
    }
    of_dlq_part *part =
        find_part(handler, kc_batch_topic(handler->batch), kc_batch_partition(handler->batch));
    if (part && !take_letter(part, &view))
        read_again(handler, part, view.offset);
    return handler->take_again_us == 0;
}

bool of_dlq_take(of_dlq_handler *handler)
{
    if (handler->take_again_us > of_dlq_now_us(handler))
        return false;
    handler->take_again_us = 0;
    size_t left = TURN_LETTERS;
    while (left > 0 && !is_full(handler) && take_one(handler))
        left--;
    set_paused(handler, is_full(handler));
    // asking is what tells the group that this member lives
    if (handler->is_paused && !handler->batch &&
        kc_consumer_next(handler->letters, &handler->batch) != KC_OK)
        handler->batch = NULL;
    return left == 0;
}
