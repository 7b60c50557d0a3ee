/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Replay by an operator. Each release is acknowledged before its state is written, and the states
 * are the progress: a replay that was cut off goes on where it stood, at worst it makes the
 * releases under way a second time under the same number. */
#include "officeflow/audit.h"
#include "officeflow/dead_redrive.h"
#include "officeflow/dlq_index.h"
#include "protocol/base/error.h"
#include "protocol/base/json.h"

#define IN_FLIGHT_MAX 64
#define WAIT_MS       100

typedef struct replay {
    of_platform *platform;
    const of_replay_options *options;
    kc_bytes by;
    of_outbox *outbox;
    of_replay_result result;
    int64_t deadline_us, next_us;
    size_t in_flight;
    kc_error failure; /* the first one; the others of the selection are still tried */
} replay;

/** One release under way. */
typedef struct release {
    replay *replay;
    of_state_record state;
} release;

static void note_failure(replay *r, const kc_error *error)
{
    if (r->failure.code == KC_OK)
        r->failure = *error;
}

static void finish(release *one)
{
    replay *r = one->replay;
    r->in_flight--;
    kb_mem_free(&r->platform->mem, one);
}

static void on_state(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                     void *user)
{
    (void)partition;
    (void)offset;
    release *one = user;
    if (err != KC_OK)
        note_failure(one->replay, error);
    finish(one);
}

static void on_released(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                        void *user)
{
    (void)partition;
    (void)offset;
    release *one = user;
    kc_error local;
    if (err == KC_OK) {
        one->replay->result.released++;
        error = &local;
        err = of_state_write(one->replay->outbox, &one->state, on_state, one, &local);
        if (err == KC_OK)
            return;
    }
    note_failure(one->replay, error);
    finish(one);
}

/** Dispatch until there is room for one more and its time has come. False: out of time. */
static bool wait_for_turn(replay *r, size_t room)
{
    for (;;) {
        int64_t now = kc_clock_monotonic_us();
        if (r->in_flight < room && now >= r->next_us)
            return true;
        if (now > r->deadline_us) {
            kc_error late;
            kb_error_set(&late, KC_ERR_TIMEOUT,
                         "Replay was not done in time; run it again to go on.");
            note_failure(r, &late);
            return false;
        }
        int64_t wait = r->in_flight < room ? (r->next_us - now + 999) / 1000 : WAIT_MS;
        kc_err err = kc_client_dispatch(r->platform->client, wait < WAIT_MS ? (int)wait : WAIT_MS);
        if (err != KC_OK && err != KC_ERR_AGAIN) {
            kc_error broken;
            kb_error_code(&broken, err);
            note_failure(r, &broken);
            return false;
        }
    }
}

/* ---- a pointer record: the value lies in the source ---- */

typedef struct source {
    kb_arena *arena;
    kc_bytes key, value;
    bool is_it;
} source;

static bool take_source(kc_bytes topic, int32_t partition, const kc_view *view, void *user)
{
    (void)topic;
    (void)partition;
    source *s = user;
    s->is_it = kc_bytes_equal(view->key, s->key); // else the topic was made anew
    s->value = kb_arena_copy(s->arena, view->value);
    return false;
}

static kc_err fetch_value(replay *r, of_dead_letter *letter, kb_arena *arena, kc_error *err)
{
    source s = {.arena = arena, .key = letter->key};
    of_scan scan = {.take = take_source, .user = &s, .deadline_us = r->deadline_us};
    KB_TRY(
        of_scan_record(r->platform, &scan, letter->topic, letter->partition, letter->offset, err));
    if (!s.is_it || !s.value.ptr)
        return kb_error_set(err, KC_ERR_NOT_FOUND,
                            "Dead letter %s: its source at " KC_FMT "/%d offset %lld is another "
                            "record now.",
                            letter->id, KC_ARG(letter->topic), letter->partition,
                            (long long)letter->offset);
    letter->value = s.value;
    return KC_OK;
}

/* ---- one letter ---- */

static kc_err write_release(replay *r, const of_dead_letter *told, int32_t n, kb_arena *arena,
                            kc_error *err)
{
    const char *to = r->options->to;
    bool is_to_group = !to || strcmp(to, "group") == 0;
    bool is_to_topic = to && strcmp(to, "topic") == 0;
    of_dead_letter letter = *told;
    if (is_to_group && !of_dead_letter_is_ours(&letter))
        return kb_error_set(err, KC_ERR_UNSUPPORTED,
                            "Dead letter %s was written by a broker for the share group " KC_FMT
                            ", which reads no retry topic: replay it to its topic.",
                            letter.id, KC_ARG(letter.group));
    if (of_dead_letter_is_pointer(&letter))
        KB_TRY(fetch_value(r, &letter, arena, err));
    of_message message;
    bool is_ok = is_to_group ? of_redrive_message(&letter, n + 1, r->by, arena, &message)
                             : of_replay_message(&letter, n + 1, r->by, arena, &message);
    kc_bytes topic = is_to_group   ? kc_str(of_redrive_topic(arena, &letter))
                     : is_to_topic ? letter.topic
                                   : kc_str(to);
    release *one = kb_mem_zalloc(&r->platform->mem, sizeof *one);
    if (!is_ok || !topic.ptr || !one) {
        kb_mem_free(&r->platform->mem, one);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    one->replay = r;
    one->state = (of_state_record){.state = OF_DEAD_REDRIVEN,
                                   .redrive = n,
                                   .wall_ms = kc_client_wall_ms(r->platform->client),
                                   .by = r->by};
    memcpy(one->state.id, letter.id, sizeof letter.id);
    kc_err result =
        of_outbox_write(r->outbox, topic, KC_PARTITION_ANY, &message, on_released, one, err);
    if (result == KC_OK)
        r->in_flight++;
    else
        kb_mem_free(&r->platform->mem, one);
    return result;
}

static void release_letter(replay *r, const of_dead_letter *letter, const of_dlq_known *known)
{
    // the lowest number that stands above what was made already
    int32_t n = known->redrive;
    if (!of_state_is_above(OF_DEAD_REDRIVEN, n, known->state, known->redrive))
        n++;
    kb_arena arena;
    kb_arena_init(&arena, &r->platform->mem, 0);
    kc_error error;
    if (write_release(r, letter, n, &arena, &error) != KC_OK)
        note_failure(r, &error);
    kb_arena_cleanup(&arena);
    if (r->options->rate > 0.0)
        r->next_us = kc_clock_monotonic_us() + (int64_t)(1e6 / r->options->rate);
}

static bool on_letter(const of_dead_letter *letter, const of_dlq_known *known, void *user)
{
    replay *r = user;
    const of_replay_options *options = r->options;
    bool was_redriven = known->state == OF_DEAD_REDRIVEN || known->state == OF_DEAD_RESOLVED;
    bool is_settled = known->state == OF_DEAD_RESOLVED || known->state == OF_DEAD_DISCARDED;
    if (known->state == OF_DEAD_PURGED ||
        (is_settled && !options->filter.with_resolved && !options->filter.id))
        return true;
    if (options->max > 0 && r->result.selected - r->result.refused >= options->max)
        return false;
    r->result.selected++;
    if (was_redriven && !options->again) {
        r->result.refused++;
        return true;
    }
    if (options->on_each && !options->on_each(letter, options->user))
        return false;
    if (options->dry_run)
        return true;
    if (!wait_for_turn(r, IN_FLIGHT_MAX))
        return false;
    release_letter(r, letter, known);
    return true;
}

/* ---- the audit record ---- */

static void member_if(kb_json_writer *writer, const char *name, const char *value)
{
    if (value)
        kb_json_member_str(writer, name, value);
}

static void put_audit(const replay *r, kb_json_writer *writer)
{
    const of_replay_options *options = r->options;
    const of_dead_filter *filter = &options->filter;
    kb_json_object(writer);
    kb_json_member_str(writer, "action", "dlq.replay");
    kb_json_member_string(writer, "by", r->by);
    kb_json_key_str(writer, "selection");
    kb_json_object(writer);
    member_if(writer, "id", filter->id);
    member_if(writer, "fingerprint", filter->fingerprint);
    member_if(writer, "topic", filter->topic);
    member_if(writer, "group", filter->group);
    if (filter->failure_class != OF_CLASS_NONE)
        kb_json_member_str(writer, "class", of_class_name(filter->failure_class));
    if (filter->since_ms > 0)
        kb_json_member_int(writer, "since", filter->since_ms);
    if (filter->quarantined_only)
        kb_json_member_bool(writer, "quarantined", true);
    kb_json_object_end(writer);
    kb_json_member_str(writer, "to", options->to ? options->to : "group");
    kb_json_member_bool(writer, "again", options->again);
    kb_json_member_int(writer, "selected", r->result.selected);
    kb_json_member_int(writer, "released", r->result.released);
    kb_json_member_int(writer, "refused", r->result.refused);
    kb_json_object_end(writer);
}

static void on_audited(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                       void *user)
{
    (void)partition;
    (void)offset;
    replay *r = user;
    r->in_flight--;
    if (err != KC_OK)
        note_failure(r, error);
}

static void write_audit(replay *r)
{
    kb_buf buf;
    kb_buf_init(&buf, &r->platform->mem, 0);
    kb_json_writer writer;
    kb_json_writer_init(&writer, &buf);
    put_audit(r, &writer);
    kc_error error;
    kc_err err = buf.err == KC_OK ? of_audit_write(r->platform, r->outbox, kb_buf_bytes(&buf),
                                                   on_audited, r, &error)
                                  : kb_error_code(&error, buf.err);
    kb_buf_cleanup(&buf);
    if (err == KC_OK)
        r->in_flight++;
    else
        note_failure(r, &error);
}

kc_err of_dlq_replay(of_platform *platform, const of_replay_options *options,
                     of_replay_result *result_out, kc_error *err)
{
    kc_error local;
    err = err ? err : &local;
    replay r = {.platform = platform,
                .options = options,
                .by = kc_str(options->operator_name ? options->operator_name : "operator"),
                .deadline_us = of_scan_deadline(options->timeout_ms)};
    of_dead_filter filter = options->filter;
    filter.with_resolved = true; // what is settled is judged here
    of_dlq_index *index = NULL;
    kc_err result = of_outbox_new(platform, &r.outbox, err);
    if (result == KC_OK)
        result = of_dlq_index_build(platform, &filter, r.deadline_us, &index, err);
    if (result == KC_OK)
        result = of_dlq_index_tell(index, on_letter, &r, err);
    if (result == KC_OK) {
        r.next_us = 0;
        (void)wait_for_turn(&r, 1);
        if (!options->dry_run) {
            write_audit(&r);
            (void)wait_for_turn(&r, 1);
        }
    }
    of_outbox_free(r.outbox); // what is still under way ends here
    of_dlq_index_free(index);
    *result_out = r.result;
    if (result == KC_OK && r.failure.code != KC_OK) {
        *err = r.failure;
        result = r.failure.code;
    }
    return result;
}
