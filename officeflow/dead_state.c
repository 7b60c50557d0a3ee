/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The state of dead letters, as it stands in the compacted topic. */
#include "officeflow/dead_state.h"

#include "officeflow/catalogue.h"
#include "officeflow/dead_letter.h"
#include "protocol/base/error.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

static const char *const names[] = {"dead",        "scheduled", "redriven", "resolved",
                                    "quarantined", "discarded", "purged"};
#define STATE_COUNT (sizeof names / sizeof names[0])

const char *of_dead_state_name(of_dead_state state)
{
    return (size_t)state < STATE_COUNT ? names[state] : "unknown";
}

/** Rank within one redrive. Put to rest (quarantined, discarded) stands above waiting; a release is
 * an act that happened, and stands above both: what an operator releases from quarantine is out of
 * it. */
static int rank(of_dead_state state)
{
    static const int ranks[STATE_COUNT] = {
        [OF_DEAD] = 0,           [OF_DEAD_SCHEDULED] = 1, [OF_DEAD_QUARANTINED] = 2,
        [OF_DEAD_DISCARDED] = 3, [OF_DEAD_REDRIVEN] = 4,  [OF_DEAD_RESOLVED] = 5,
        [OF_DEAD_PURGED] = 6,
    };
    return (size_t)state < STATE_COUNT ? ranks[state] : -1;
}

bool of_state_is_above(of_dead_state next, int32_t next_redrive, of_dead_state now,
                       int32_t now_redrive)
{
    bool next_is_gone = next == OF_DEAD_PURGED, now_is_gone = now == OF_DEAD_PURGED;
    if (next_is_gone || now_is_gone) // the record itself is gone
        return !now_is_gone;
    return next_redrive != now_redrive ? next_redrive > now_redrive : rank(next) > rank(now);
}

kc_err of_state_write(of_outbox *outbox, const of_state_record *record, of_written_fn fn,
                      void *user, kc_error *err)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    kb_buf buf;
    kb_buf_init(&buf, &mem, 0);
    kb_json_writer writer;
    kb_json_writer_init(&writer, &buf);
    kb_json_object(&writer);
    kb_json_member_str(&writer, "state", of_dead_state_name(record->state));
    kb_json_member_int(&writer, "redrive", record->redrive);
    if (record->due_ms)
        kb_json_member_int(&writer, "due", record->due_ms);
    kb_json_member_int(&writer, "at", record->wall_ms);
    if (record->by.ptr)
        kb_json_member_string(&writer, "by", record->by);
    if (record->correlation_id.ptr)
        kb_json_member_string(&writer, "correlationId", record->correlation_id);
    kb_json_object_end(&writer);
    kc_err result = buf.err;
    if (result == KC_OK) {
        of_message message = {.key = kc_str(record->id), .value = kb_buf_bytes(&buf)};
        result = of_outbox_write(outbox, KC_STR(OF_STATE_TOPIC), KC_PARTITION_ANY, &message, fn,
                                 user, err);
    } else {
        kb_error_code(err, result);
    }
    kb_buf_cleanup(&buf);
    return result;
}

bool of_state_read(kc_bytes key, kc_bytes value, kb_arena *arena, of_state_record *record_out)
{
    if (key.len != 16 || !value.ptr || kb_json_check(value, false, arena, NULL) != KC_OK)
        return false;
    of_state_record record = {0};
    memcpy(record.id, key.ptr, 16);
    kc_bytes state = kb_json_pointer_text(value, "/state", arena);
    size_t i = 0;
    while (i < STATE_COUNT && !kc_bytes_equal(state, kc_str(names[i])))
        i++;
    int64_t redrive;
    if (i == STATE_COUNT || !kb_json_i64(kb_json_pointer(value, "/redrive"), &redrive) ||
        redrive < 0 || redrive > OF_COUNT_MAX)
        return false;
    record.state = (of_dead_state)i;
    record.redrive = (int32_t)redrive;
    kb_json_i64(kb_json_pointer(value, "/due"), &record.due_ms);
    kb_json_i64(kb_json_pointer(value, "/at"), &record.wall_ms);
    record.by = kb_json_pointer_text(value, "/by", arena);
    record.correlation_id = kb_json_pointer_text(value, "/correlationId", arena);
    *record_out = record;
    return true;
}
