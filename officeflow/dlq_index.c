/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The index of dead letters. A letter has several records: one for each time it died, copies where
 * a crash came between its write and the commit, one in quarantine. So the topics are read twice:
 * first for ids and places only, then to tell the one record that counts of each. Memory is per id,
 * never per value. */
#include "officeflow/dlq_index.h"

#include "officeflow/catalogue.h"
#include "officeflow/dead_redrive.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#define ARENA_BYTES_MAX ((size_t)1 << 30)

typedef struct entry {
    char id[17];
    bool has_record, is_quarantined, is_told;
    of_dead_state state;
    int32_t redrive; /* n of the state */
    int64_t due_ms;
    kc_bytes topic; /* of the record that counts */
    int32_t partition;
    int32_t record_redrive; /* n it died with */
    int64_t offset;
} entry;

struct of_dlq_index {
    of_platform *platform;
    of_dead_filter filter;
    int64_t deadline_us;
    kb_arena arena, scratch;
    kb_map entries;
    kb_map topics; /* names, each kept once */
    kc_err failure;
    of_dlq_told_fn fn;
    void *user;
};

typedef struct topic_name {
    size_t len;
    uint8_t bytes[];
} topic_name;

static bool is_quarantine(kc_bytes topic)
{
    return kb_text_starts(topic, KC_STR(OF_QUARANTINE_PREFIX));
}

static bool wants_letters(kc_bytes topic, void *user)
{
    (void)user;
    return kb_text_starts(topic, KC_STR(OF_DLQ_PREFIX)) || is_quarantine(topic);
}

static bool wants_state(kc_bytes topic, void *user)
{
    (void)user;
    return kc_bytes_equal(topic, KC_STR(OF_STATE_TOPIC));
}

/** Text asked for, against what is there; null asks for anything. */
static bool is_asked(const char *asked, kc_bytes have)
{
    return !asked || kc_bytes_equal(kc_str(asked), have);
}

/** What is the same in every record of a letter. */
static bool may_pass(const of_dead_filter *filter, const of_dead_letter *letter)
{
    return is_asked(filter->id, kc_str(letter->id)) && is_asked(filter->group, letter->group) &&
           (!filter->topic || of_pattern_match(kc_str(filter->topic), letter->topic));
}

/** What the last death says, and the state. */
static bool passes(const of_dead_filter *filter, const of_dead_letter *letter)
{
    bool is_settled = letter->state == OF_DEAD_RESOLVED || letter->state == OF_DEAD_DISCARDED ||
                      letter->state == OF_DEAD_PURGED;
    return is_asked(filter->fingerprint, letter->fingerprint) &&
           (filter->failure_class == OF_CLASS_NONE ||
            filter->failure_class == letter->failure_class) &&
           letter->last_ms >= filter->since_ms && (filter->with_resolved || !is_settled) &&
           (!filter->quarantined_only || letter->state == OF_DEAD_QUARANTINED);
}

static entry *find_entry(of_dlq_index *index, const char *id)
{
    entry *found = kb_map_get(&index->entries, kc_span(id, 16));
    if (found)
        return found;
    if (index->entries.count >= OF_DLQ_INDEX_MAX) {
        index->failure = KC_ERR_TOO_LARGE;
        return NULL;
    }
    entry *added = kb_arena_zalloc(&index->arena, sizeof *added);
    if (added)
        memcpy(added->id, id, 16);
    if (added && kb_map_put(&index->entries, kc_span(added->id, 16), added) == KC_OK)
        return added;
    index->failure = KC_ERR_NOMEM;
    return NULL;
}

static kc_bytes keep_topic(of_dlq_index *index, kc_bytes name)
{
    topic_name *kept = kb_map_get(&index->topics, name);
    if (!kept) {
        kept = kb_arena_alloc(&index->arena, sizeof *kept + name.len);
        if (kept) {
            kept->len = name.len;
            memcpy(kept->bytes, name.ptr, name.len);
        }
        if (!kept || kb_map_put(&index->topics, kc_span(kept->bytes, kept->len), kept) != KC_OK) {
            index->failure = KC_ERR_NOMEM;
            return KC_NULL;
        }
    }
    return kc_span(kept->bytes, kept->len);
}

static void raise_state(entry *e, of_dead_state state, int32_t redrive, int64_t due_ms)
{
    bool is_same = state == e->state && redrive == e->redrive;
    if (!is_same && !of_state_is_above(state, redrive, e->state, e->redrive))
        return;
    e->state = state;
    e->redrive = redrive;
    e->due_ms = due_ms;
}

static bool take_state(kc_bytes topic, int32_t partition, const kc_view *view, void *user)
{
    (void)topic;
    (void)partition;
    of_dlq_index *index = user;
    of_state_record record;
    kb_arena_reset(&index->scratch);
    if (!of_state_read(view->key, view->value, &index->scratch, &record) ||
        !is_asked(index->filter.id, kc_str(record.id)))
        return true;
    entry *e = find_entry(index, record.id);
    if (e)
        raise_state(e, record.state, record.redrive, record.due_ms);
    return e != NULL;
}

/** Does this record of the letter count more than the one known? The last death does; of one death
 * the copy in quarantine. */
static bool counts_more(const entry *e, int32_t redrive, bool is_quarantined)
{
    if (!e->has_record || redrive != e->record_redrive)
        return !e->has_record || redrive > e->record_redrive;
    return is_quarantined && !e->is_quarantined;
}

static bool read_letter(of_dlq_index *index, const kc_view *view, of_dead_letter *letter)
{
    of_message message;
    kb_arena_reset(&index->scratch);
    return of_message_of_view(view, &index->scratch, &message) &&
           of_dead_letter_read(&message, letter) && may_pass(&index->filter, letter);
}

static bool take_place(kc_bytes topic, int32_t partition, const kc_view *view, void *user)
{
    of_dlq_index *index = user;
    of_dead_letter letter;
    if (!read_letter(index, view, &letter))
        return true;
    entry *e = find_entry(index, letter.id);
    if (!e)
        return false;
    bool is_quarantined = is_quarantine(topic);
    // what lies in quarantine is there, whether or not its state was still written
    raise_state(e, is_quarantined ? OF_DEAD_QUARANTINED : OF_DEAD, letter.redrives, 0);
    if (!counts_more(e, letter.redrives, is_quarantined))
        return true;
    e->topic = keep_topic(index, topic);
    e->partition = partition;
    e->offset = view->offset;
    e->record_redrive = letter.redrives;
    e->is_quarantined = is_quarantined;
    e->has_record = true;
    return e->topic.ptr != NULL;
}

static bool take_letter(kc_bytes topic, int32_t partition, const kc_view *view, void *user)
{
    of_dlq_index *index = user;
    of_dead_letter letter;
    if (!read_letter(index, view, &letter))
        return true;
    entry *e = kb_map_get(&index->entries, kc_span(letter.id, 16));
    if (!e || e->is_told || e->offset != view->offset || e->partition != partition ||
        !kc_bytes_equal(e->topic, topic))
        return true;
    e->is_told = true;
    letter.state = e->state;
    letter.redrives = e->state == OF_DEAD_REDRIVEN ? e->redrive + 1 : e->redrive;
    letter.next_ms = e->state == OF_DEAD_SCHEDULED ? e->due_ms : 0;
    letter.dlq_topic = topic;
    letter.dlq_partition = partition;
    letter.dlq_offset = view->offset;
    letter.is_strict = of_dead_letter_is_strict(&letter, of_platform_policies(index->platform));
    of_dlq_known known = {.state = e->state, .redrive = e->redrive};
    return !passes(&index->filter, &letter) || index->fn(&letter, &known, index->user);
}

void of_dlq_index_free(of_dlq_index *index)
{
    if (!index)
        return;
    kb_map_cleanup(&index->entries);
    kb_map_cleanup(&index->topics);
    kb_arena_cleanup(&index->arena);
    kb_arena_cleanup(&index->scratch);
    kb_mem_free(&index->platform->mem, index);
}

static kc_err failed(const of_dlq_index *index, kc_error *err)
{
    if (index->failure == KC_ERR_TOO_LARGE)
        return kb_error_set(err, KC_ERR_TOO_LARGE,
                            "More than %d dead letters: select by topic, group or id.",
                            OF_DLQ_INDEX_MAX);
    return index->failure == KC_OK ? KC_OK : kb_error_code(err, index->failure);
}

kc_err of_dlq_index_build(of_platform *platform, const of_dead_filter *filter, int64_t deadline_us,
                          of_dlq_index **index_out, kc_error *err)
{
    of_dlq_index *index = kb_mem_zalloc(&platform->mem, sizeof *index);
    if (!index)
        return kb_error_code(err, KC_ERR_NOMEM);
    index->platform = platform;
    if (filter)
        index->filter = *filter;
    index->deadline_us = deadline_us;
    kb_arena_init(&index->arena, &platform->mem, ARENA_BYTES_MAX);
    kb_arena_init(&index->scratch, &platform->mem, 0);
    kb_map_init(&index->entries, &platform->mem);
    kb_map_init(&index->topics, &platform->mem);
    of_scan state = {
        .wants = wants_state, .take = take_state, .user = index, .deadline_us = deadline_us};
    of_scan places = {
        .wants = wants_letters, .take = take_place, .user = index, .deadline_us = deadline_us};
    kc_err result = of_scan_run(platform, &state, err);
    if (result == KC_OK)
        result = failed(index, err);
    if (result == KC_OK)
        result = of_scan_run(platform, &places, err);
    if (result == KC_OK)
        result = failed(index, err);
    if (result == KC_OK)
        *index_out = index;
    else
        of_dlq_index_free(index);
    return result;
}

/** Only topics that hold a record which counts. */
static bool wants_indexed(kc_bytes topic, void *user)
{
    const of_dlq_index *index = user;
    return kb_map_get(&index->topics, topic) != NULL;
}

kc_err of_dlq_index_tell(of_dlq_index *index, of_dlq_told_fn fn, void *user, kc_error *err)
{
    index->fn = fn;
    index->user = user;
    of_scan scan = {.wants = wants_indexed,
                    .take = take_letter,
                    .user = index,
                    .deadline_us = index->deadline_us};
    return index->topics.count > 0 ? of_scan_run(index->platform, &scan, err) : KC_OK;
}
