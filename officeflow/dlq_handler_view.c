/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The view of the state topic: read from its beginning before the first letter is looked at, then
 * kept up. It is what remembers over restarts, and how acts of operators, consumers and other
 * handlers are heard. */
#include "officeflow/dlq_handler_core.h"

static bool is_settled(of_dead_state state)
{
    return state == OF_DEAD_RESOLVED || state >= OF_DEAD_QUARANTINED;
}

const of_dlq_seen *of_dlq_view_find(const of_dlq_handler *handler, const char *id)
{
    return kb_map_get(&handler->seen, kc_span(id, 16));
}

static void forget(of_dlq_handler *handler, of_dlq_seen *seen)
{
    kb_list_remove(&seen->node);
    kb_map_remove(&handler->seen, kc_span(seen->id, 16));
    kb_mem_free(&handler->mem, seen);
}

static of_dlq_seen *add(of_dlq_handler *handler, const char *id)
{
    if (handler->seen.count >= OF_DLQ_VIEW_MAX) {
        kb_list *oldest =
            kb_list_is_empty(&handler->settled) ? handler->open.next : handler->settled.next;
        forget(handler, KB_CONTAINER(oldest, of_dlq_seen, node));
    }
    of_dlq_seen *seen = kb_mem_zalloc(&handler->mem, sizeof *seen);
    if (!seen)
        return NULL;
    kb_list_init(&seen->node);
    memcpy(seen->id, id, 16);
    if (kb_map_put(&handler->seen, kc_span(seen->id, 16), seen) == KC_OK)
        return seen;
    kb_mem_free(&handler->mem, seen);
    return NULL;
}

void of_dlq_view_put(of_dlq_handler *handler, const char *id, of_dead_state state, int32_t redrive,
                     int64_t due_ms)
{
    of_dlq_seen *seen = kb_map_get(&handler->seen, kc_span(id, 16));
    if (seen && !(seen->state == state && seen->redrive == redrive) &&
        !of_state_is_above(state, redrive, seen->state, seen->redrive))
        return;
    if (!seen)
        seen = add(handler, id);
    if (!seen)
        return;
    seen->state = state;
    seen->redrive = redrive;
    seen->due_ms = due_ms;
    seen->is_settled = is_settled(state);
    kb_list_remove(&seen->node);
    kb_list_push_back(seen->is_settled ? &handler->settled : &handler->open, &seen->node);
}

void of_dlq_view_free(of_dlq_handler *handler)
{
    KB_LIST_FOR (node, &handler->open)
        forget(handler, KB_CONTAINER(node, of_dlq_seen, node));
    KB_LIST_FOR (node, &handler->settled)
        forget(handler, KB_CONTAINER(node, of_dlq_seen, node));
    kb_map_cleanup(&handler->seen);
}

/** While running, records of others matter at once. */
static void hear(of_dlq_handler *handler, const of_state_record *record, bool is_new)
{
    if (handler->phase != OF_DLQ_RUNNING)
        return;
    if (record->state == OF_DEAD_RESOLVED || record->state == OF_DEAD)
        of_dlq_heard(handler, record->id, record->redrive, record->state == OF_DEAD_RESOLVED);
    if (record->state == OF_DEAD_RESOLVED && is_new) {
        of_dead_letter letter = {.state = OF_DEAD_RESOLVED,
                                 .redrives = record->redrive,
                                 .correlation_id = record->correlation_id};
        memcpy(letter.id, record->id, sizeof letter.id);
        handler->stats.resolved++;
        of_dlq_notice_letter(handler, OF_DLQ_RESOLVED, &letter, "", 0);
    }
    of_parked *p = kb_map_get(&handler->parked, kc_span(record->id, 16));
    // an operator, or another handler, was quicker: the letter is not ours any more
    if (p && !p->is_writing &&
        of_state_is_above(record->state, record->redrive, OF_DEAD_SCHEDULED, p->letter.redrives))
        of_dlq_done(p);
}

static void take(of_dlq_handler *handler, const kc_view *view)
{
    of_state_record record;
    kb_arena_reset(&handler->scratch);
    if (!of_state_read(view->key, view->value, &handler->scratch, &record))
        return;
    const of_dlq_seen *seen = of_dlq_view_find(handler, record.id);
    bool is_new =
        !seen || of_state_is_above(record.state, record.redrive, seen->state, seen->redrive);
    of_dlq_view_put(handler, record.id, record.state, record.redrive, record.due_ms);
    hear(handler, &record, is_new);
}

void of_dlq_view_read(of_dlq_handler *handler)
{
    kc_batch *batch;
    kc_view view;
    while (kc_consumer_next(handler->states, &batch) == KC_OK) {
        while (kc_batch_read(batch, &view))
            take(handler, &view);
        kc_batch_free(batch);
    }
}

bool of_dlq_view_is_loaded(of_dlq_handler *handler)
{
    for (size_t i = 0; i < handler->end_count; i++) {
        int64_t position;
        const kc_topic_offset *end = &handler->ends[i];
        if (end->offset > 0 && (kc_consumer_position(handler->states, end->topic, end->partition,
                                                     &position) != KC_OK ||
                                position < end->offset))
            return false;
    }
    return true;
}
