/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a consumer waits for, in words: its group, its partitions, its commits. Partitions that are just read are
 * told by broker, with their Fetch; one by one only those that something is in the way of. */
#include "client/consumer_fetch.h"
#include "client/consumer_offset_op.h"
#include "client/consumer_part.h"

#include <kafkac/unstable/errors.h>

#include <stdio.h>

/** One explanation of one consumer. */
typedef struct telling {
    const kc_consumer *consumer;
    kb_explain *out;
    char who[96]; /**< "consumer of group g" */
} telling;

/** Why a partition is not being read; empty: it is. */
typedef struct hold {
    char text[224];
} hold;

static kn_whereabouts where_is(const telling *t, const kn_request *request)
{
    return kn_request_where(request, t->out->now_us);
}

static kb_word until(const telling *t, int64_t due_us)
{
    return kb_duration(due_us - t->out->now_us);
}

/* ---- membership ---- */

static void explain_unjoined(const telling *t)
{
    const kc_member *member = &t->consumer->member;
    const kc_subscription *subscription = &t->consumer->subscription;
    if (kn_timer_is_set(&member->timer))
        kb_explain_line(t->out, "%s: joins in %s (%s)", t->who, until(t, member->timer.due_us).text,
                        kb_count(member->attempts, "failure").text);
    else if (member->is_expired)
        kb_explain_line(t->out,
                        "%s: left because no batch was taken for max.poll.interval.ms, joins "
                        "again when one is",
                        t->who);
    else if (subscription->is_by_match && kb_names_equal(subscription->names, NULL))
        kb_explain_line(t->out, "%s: no topic matches its subscription yet", t->who);
    else if (!kb_list_is_empty(&member->wait.node))
        kb_explain_line(t->out, "%s: waits for its coordinator, to join", t->who);
    else
        kb_explain_line(t->out, "%s: about to join", t->who);
}

static void explain_heartbeat(const telling *t)
{
    const kc_member *member = &t->consumer->member;
    const kc_settings *settings = t->consumer->settings;
    int64_t silent_us = t->out->now_us - member->heard_us;
    if (!kn_timer_is_set(&member->heartbeat_timer) ||
        silent_us < 2 * (int64_t)settings->heartbeat_interval_ms * 1000)
        return;
    bool is_asking = kn_request_is_active(&member->heartbeat_request);
    kb_explain_line(
        t->out, "%s: no heartbeat was answered for %s of session.timeout.ms, %s%s%s", t->who,
        kb_duration(silent_us).text, kb_duration((int64_t)settings->session_timeout_ms * 1000).text,
        is_asking ? "; " : "", is_asking ? where_is(t, &member->heartbeat_request).text : "");
}

static void explain_stable(const telling *t)
{
    const kc_consumer *consumer = t->consumer;
    if (consumer->part_count > 0)
        kb_explain_line(t->out, "%s: member in generation %d, with %s", t->who,
                        (int)consumer->member.generation,
                        kb_count(consumer->part_count, "partition").text);
    else
        kb_explain_line(t->out,
                        "%s: member in generation %d, but no partition was assigned to it: there "
                        "are none, or others have all",
                        t->who, (int)consumer->member.generation);
}

static void explain_member(const telling *t)
{
    const kc_consumer *consumer = t->consumer;
    const kc_member *member = &consumer->member;
    switch (member->state) {
    case KC_MEMBER_NONE:
        if (consumer->part_count == 0)
            kb_explain_line(t->out, "%s: nothing is subscribed or assigned", t->who);
        break;
    case KC_MEMBER_FATAL: // said by its error
        break;
    case KC_MEMBER_UNJOINED:
        explain_unjoined(t);
        break;
    case KC_MEMBER_REVOKING:
        kb_explain_line(t->out, "%s: gives its partitions back, waits for %s, for %s more", t->who,
                        kb_count(consumer->commits_pending, "commit").text,
                        until(t, member->timer.due_us).text);
        break;
    case KC_MEMBER_JOINING:
        kb_explain_line(t->out,
                        "%s: joining, %s; waits for the other members, which have "
                        "max.poll.interval.ms (%s here), or session.timeout.ms (%s) when they are "
                        "gone",
                        t->who, where_is(t, &member->join_request).text,
                        kb_duration((int64_t)consumer->settings->max_poll_interval_ms * 1000).text,
                        kb_duration((int64_t)consumer->settings->session_timeout_ms * 1000).text);
        break;
    case KC_MEMBER_ASSIGNING:
        kb_explain_line(t->out,
                        "%s: leads the group, waits for metadata of all its topics, for %s more",
                        t->who, until(t, member->timer.due_us).text);
        break;
    case KC_MEMBER_SYNCING:
        kb_explain_line(t->out, "%s: waits for its assignment, %s", t->who,
                        where_is(t, &member->sync_request).text);
        break;
    case KC_MEMBER_STABLE:
        explain_stable(t);
        break;
    case KC_MEMBER_LEAVING:
        kb_explain_line(t->out, "%s: leaving, %s", t->who,
                        where_is(t, &member->leave_request).text);
        break;
    }
    explain_heartbeat(t);
}

/* ---- partitions ---- */

/** `request` is the one that asks for it. */
static void hold_for(const telling *t, const kc_part *part, const char *what,
                     const kn_request *request, hold *why)
{
    bool is_asking = part->is_busy && request && kn_request_is_active(request);
    snprintf(why->text, sizeof why->text, "%s%s%s", what, is_asking ? ", " : "",
             is_asking ? where_is(t, request).text : "");
}

static void hold_by_leader(const telling *t, const kc_part *part, hold *why)
{
    const kc_meta_topic *meta = part->topic->meta;
    const kc_leader *leader = part->leader;
    int32_t epoch;
    if (kc_part_meta_leader(part, &epoch) < 0)
        snprintf(why->text, sizeof why->text, "waits for a leader: %s",
                 kc_err_name(meta->err != KC_OK ? meta->err : KC_E_LEADER_NOT_AVAILABLE));
    else if (leader && leader->retry_at_us > t->out->now_us)
        snprintf(why->text, sizeof why->text, "broker %d is asked again in %s (%s)",
                 (int)leader->broker_id, until(t, leader->retry_at_us).text,
                 kb_count(leader->attempts, "failure").text);
}

static hold hold_of(const telling *t, const kc_part *part)
{
    hold why = {""};
    const kc_leader *leader = part->leader;
    if (part->is_revoked)
        hold_for(t, part, "being given back", NULL, &why);
    else if (part->is_paused)
        hold_for(t, part, "paused", NULL, &why);
    else if (part->state == KC_PART_STOPPED)
        hold_for(t, part, "no position, and auto.offset.reset is none: seek to go on", NULL, &why);
    else if (part->retry_at_us > t->out->now_us)
        snprintf(why.text, sizeof why.text, "tried again in %s (%s)",
                 until(t, part->retry_at_us).text, kb_count(part->attempts, "failure").text);
    else if (part->state == KC_PART_STORED)
        hold_for(t, part, "its committed offset is looked up", NULL, &why);
    else if (part->state == KC_PART_RESET && part->is_busy)
        hold_for(t, part, "where to begin is looked up", leader ? &leader->offsets.request : NULL,
                 &why);
    else if (part->state == KC_PART_VALIDATE && part->is_busy)
        hold_for(t, part, "its position is checked by a new leader",
                 leader ? &leader->epochs.request : NULL, &why);
    else if (!part->is_busy)
        hold_by_leader(t, part, &why);
    return why;
}

static void explain_parts(const telling *t)
{
    kb_explain_list list = {0};
    KB_LIST_FOR (node, &t->consumer->parts) {
        const kc_part *part = KB_CONTAINER(node, kc_part, node);
        hold why = hold_of(t, part);
        if (why.text[0] && kb_explain_next(&list))
            kb_explain_line(t->out, "%s: " KC_FMT "/%d: %s", t->who, KC_ARG(kc_part_name(part)),
                            (int)part->partition, why.text);
    }
    kb_explain_rest(t->out, &list, "partitions that are not read");
}

static size_t count_at_end(const kc_asked_set *asked)
{
    size_t count = 0;
    for (int32_t i = 0; i < asked->count; i++) {
        const kc_part *part = asked->items[i].part;
        count += part->consumer && part->high >= 0 && asked->items[i].offset >= part->high;
    }
    return count;
}

/** A broker answers a Fetch after fetch.max.wait.ms, also with nothing. */
#define FETCH_GRACE_US 1000000

static bool is_overdue(const telling *t, const kc_leader *leader)
{
    int64_t wait_us = (int64_t)t->consumer->settings->fetch_max_wait_ms * 1000;
    return leader->fetch.request.conn &&
           t->out->now_us - leader->fetch_sent_us > wait_us + FETCH_GRACE_US;
}

static void explain_fetches(const telling *t)
{
    kb_explain_list list = {0};
    KB_LIST_FOR (node, &t->consumer->leaders) {
        const kc_leader *leader = KB_CONTAINER(node, kc_leader, node);
        const kc_asked_set *asked = &leader->fetch.asked;
        if (!kn_request_is_active(&leader->fetch.request) || !kb_explain_next(&list))
            continue;
        kb_explain_line(t->out, "%s: %s, for %s, of which %zu had nothing more%s", t->who,
                        where_is(t, &leader->fetch.request).text,
                        kb_count((uint64_t)asked->count, "partition").text, count_at_end(asked),
                        is_overdue(t, leader)
                            ? "; it should have been answered after fetch.max.wait.ms: does the "
                              "broker hang, or the way to it?"
                            : "");
    }
    kb_explain_rest(t->out, &list, "brokers that are asked for records");
}

/** What was fetched and stands here. */
static void explain_ready(const telling *t)
{
    const kc_consumer *consumer = t->consumer;
    size_t parts = 0, bytes = 0;
    KB_LIST_FOR (node, &consumer->ready) {
        parts++;
        bytes += KB_CONTAINER(node, kc_part, ready)->buffered_bytes;
    }
    if (parts > 0)
        kb_explain_line(t->out, "%s: %s of %s wait to be taken; the last batch was taken %s ago",
                        t->who, kb_size(bytes).text, kb_count(parts, "partition").text,
                        kb_duration(t->out->now_us - consumer->taken_us).text);
    if (consumer->is_starved)
        kb_explain_line(t->out,
                        "%s: fetches no more now: records not taken, and batches not freed, hold "
                        "%s of %s",
                        t->who, kb_size(consumer->pinned_bytes + consumer->inflated_bytes).text,
                        kb_size(consumer->credit_bytes_max).text);
}

/* ---- commits and look-ups ---- */

static void explain_op(const telling *t, const kc_offset_op *op)
{
    char what[48];
    snprintf(what, sizeof what, "%s of %s",
             op->kind == KC_OFFSET_OP_COMMIT ? "commit" : "look-up of offsets",
             kb_count(op->count, "partition").text);
    if (op->is_waiting)
        kb_explain_line(t->out, "%s: %s: waits for the commit before it", t->who, what);
    else if (!kb_list_is_empty(&op->wait.node))
        kb_explain_line(t->out, "%s: %s: waits for the coordinator", t->who, what);
    else if (kn_timer_is_set(&op->timer))
        kb_explain_line(t->out, "%s: %s: tried again in %s (%s)%s%s", t->who, what,
                        until(t, op->timer.due_us).text, kb_count(op->attempts, "failure").text,
                        op->error.code != KC_OK ? ": " : "",
                        op->error.code != KC_OK ? op->error.text : "");
    else
        kb_explain_line(t->out, "%s: %s: %s", t->who, what, where_is(t, &op->request).text);
}

static void explain_ops(const telling *t)
{
    kb_explain_list list = {0};
    KB_LIST_FOR (node, &t->consumer->ops) {
        if (kb_explain_next(&list))
            explain_op(t, KB_CONTAINER(node, kc_offset_op, node));
    }
    kb_explain_rest(t->out, &list, "commits and look-ups");
}

void kc_consumer_explain(const kc_handle *handle, kb_explain *out)
{
    const kc_consumer *consumer = KB_CONTAINER(handle, kc_consumer, handle);
    telling t = {.consumer = consumer, .out = out, .who = "consumer"};
    if (consumer->group_id.ptr)
        snprintf(t.who, sizeof t.who, "consumer of group %.64s", consumer->settings->group_id);
    if (consumer->fatal.code != KC_OK)
        kb_explain_line(out, "%s: it has ended: %s", t.who, consumer->fatal.text);
    explain_member(&t);
    explain_ready(&t);
    explain_parts(&t);
    explain_fetches(&t);
    explain_ops(&t);
}
