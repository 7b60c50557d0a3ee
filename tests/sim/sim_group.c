/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Workload: a consumer group whose members come, go, are killed and frozen, while producers send.
 *
 * Promised, and checked: no record is skipped by the group; within one assignment a member gets each partition in order
 * and without a gap; committed offsets never go back nor beyond what was handed out; a commit's callback comes exactly
 * once; in the end everything was delivered and is committed. A commit that was sent and never answered may take effect
 * late, after the one behind it: that is allowed to set the offset back, and nothing else. */
#include "mock/group_offsets.h"
#include "tests/sim/sim_readers.h"

#include <kafkac/consumer.h>

#include <stdlib.h>

#define MEMBERS_MAX  4
#define HELD_MAX     4
#define DOUBTFUL_MAX 64
#define GROUP        "g"

typedef struct sim_member {
    sim_world *sim;
    int slot;
    sim_host *host; /**< NULL: not there */
    kc_consumer *consumer;
    kn_timer poll_timer;
    int64_t interval_us;
    bool auto_commits;
    bool is_away;                                         /**< unsubscribed */
    int64_t expected[SIM_TOPICS_MAX][SIM_PARTITIONS_MAX]; /**< -1: not known in this assignment */
    int commits;                                          /**< under way */
    kc_batch *held[HELD_MAX];
    int held_count;
} sim_member;

/** A commit whose end is not known. */
typedef struct doubtful_commit {
    int topic;
    int32_t partition;
    int64_t offset;
} doubtful_commit;

typedef struct group_state {
    sim_member members[MEMBERS_MAX];
    int member_count;
    sim_seen_table seen;
    kn_timer change_timer; /**< members come and go */
    int64_t change_us;
    bool any_auto_commit;
    doubtful_commit doubtful[DOUBTFUL_MAX];
    int doubtful_count;
} group_state;

static group_state *state_of(const sim_member *member)
{
    return member->sim->state;
}

/* ---- what a member is given ---- */

static void forget_positions(sim_member *member)
{
    memset(member->expected, -1, sizeof member->expected);
}

static void on_assigned(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                        void *user)
{
    (void)consumer;
    (void)partitions;
    sim_member *member = user;
    sim_note(member->sim, "member %d is assigned %zu partitions", member->slot, count);
    forget_positions(member);
}

static void on_gone(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                    void *user)
{
    (void)consumer;
    (void)partitions;
    sim_member *member = user;
    sim_note(member->sim, "member %d gives back %zu partitions", member->slot, count);
    forget_positions(member);
}

static void on_error(kc_consumer *consumer, const kc_error *error, void *user)
{
    (void)consumer;
    sim_member *member = user;
    sim_note(member->sim, "member %d: %s", member->slot, error->text);
}

static void take_record(sim_member *member, int topic, int32_t partition, const kc_view *view)
{
    sim_world *sim = member->sim;
    sim_seen *seen = &state_of(member)->seen.partitions[topic][partition];
    int64_t *expected = &member->expected[topic][partition];
    if (*expected >= 0 && view->offset != *expected)
        sim_fail(sim, "member %d: %s-%d came to %lld, expected is %lld", member->slot,
                 sim->topics[topic].name, partition, (long long)view->offset, (long long)*expected);
    if (view->offset > seen->covered)
        sim_fail(sim, "member %d: %s-%d begins at %lld, and nobody was given %lld", member->slot,
                 sim->topics[topic].name, partition, (long long)view->offset,
                 (long long)seen->covered);
    *expected = view->offset + 1;
    if (!sim->has_failed)
        (void)sim_seen_add(sim, seen, view->offset, view->key, view->value);
}

static void take_batch(sim_member *member, kc_batch *batch)
{
    sim_world *sim = member->sim;
    int topic = sim_topic_index(sim, kc_batch_topic(batch));
    int32_t partition = kc_batch_partition(batch);
    kc_view view;
    if (topic >= 0) {
        sim_note(sim, "member %d: %s-%d up to %lld", member->slot, sim->topics[topic].name,
                 partition, (long long)kc_batch_next_offset(batch));
        while (kc_batch_read(batch, &view))
            take_record(member, topic, partition, &view);
    }
    if (sim_chance(sim, 10) && member->held_count < HELD_MAX)
        member->held[member->held_count++] = batch;
    else
        kc_batch_free(batch);
}

static void free_held(sim_member *member)
{
    while (member->held_count > 0)
        kc_batch_free(member->held[--member->held_count]);
}

/* ---- commits ---- */

static void doubt(sim_world *sim, const kc_topic_offset *offset)
{
    group_state *state = sim->state;
    int topic = sim_topic_index(sim, offset->topic);
    if (topic < 0 || state->doubtful_count == DOUBTFUL_MAX) {
        state->any_auto_commit |= topic >= 0; /* too many to tell: as if they were not seen */
        return;
    }
    state->doubtful[state->doubtful_count++] =
        (doubtful_commit){topic, offset->partition, offset->offset};
}

static void on_committed(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                         size_t count, void *user)
{
    (void)error;
    sim_member *member = user;
    if (member->commits == 0) {
        sim_fail(member->sim, "member %d: a commit is told twice", member->slot);
        return;
    }
    member->commits--;
    sim_note(member->sim, "member %d: a commit of %zu offsets: %d", member->slot, count, err);
    for (size_t i = 0; i < count; i++)
        if (err != KC_OK || offsets[i].err != KC_OK)
            doubt(member->sim, &offsets[i]);
}

static void commit(sim_member *member)
{
    if (kc_consumer_commit(member->consumer, NULL, 0, on_committed, member, NULL) == KC_OK)
        member->commits++;
}

/* ---- the member's loop ---- */

static void on_poll(kn_timer *timer)
{
    sim_member *member = timer->user;
    sim_world *sim = member->sim;
    kc_batch *batch;
    int64_t burst = sim->is_settled ? 1000 : sim_between(sim, 1, 20);
    while (burst-- > 0 && !sim->has_failed && !member->is_away) {
        kc_err err = kc_consumer_next(member->consumer, &batch);
        if (err == KC_OK)
            take_batch(member, batch);
        else if (err != KC_ERR_AGAIN && err != KC_ERR_NOMEM)
            sim_fail(sim, "member %d: next says %d", member->slot, err);
        if (err != KC_OK)
            break;
    }
    if (sim->is_settled || sim_chance(sim, 30))
        free_held(member);
    if (!member->auto_commits && !member->is_away && member->commits < 4 && sim_chance(sim, 20))
        commit(member);
    int64_t pause_us = sim->is_settled ? 10000 : sim_between(sim, 0, member->interval_us * 2);
    if (!sim->is_settled && sim_chance(sim, 1))
        pause_us = sim_between(sim, 0, 90000000); /* a slow handler */
    if (kn_timer_set(member->host->loop, timer, sim_host_now_us(member->host) + pause_us))
        sim_fail(sim, "a timer can't be set");
}

static kc_config *member_config(sim_member *member)
{
    sim_world *sim = member->sim;
    kc_config *config = kc_config_new();
    if (!config) {
        sim_fail(sim, "no memory for a configuration");
        return NULL;
    }
    int64_t session_ms = sim_between(sim, 6000, 45000);
    member->interval_us = sim_between(sim, 1000, 300000);
    member->auto_commits = sim_chance(sim, 30);
    state_of(member)->any_auto_commit |= member->auto_commits;
    sim_set(sim, config, "group.id", GROUP);
    sim_set(sim, config, "auto.offset.reset", "earliest");
    sim_set(sim, config, "session.timeout.ms", "%lld", (long long)session_ms);
    sim_set(sim, config, "heartbeat.interval.ms", "%lld",
            (long long)sim_between(sim, 500, session_ms / 3));
    sim_set(sim, config, "max.poll.interval.ms", "%lld",
            (long long)sim_between(sim, 20000, 300000));
    sim_set(sim, config, "enable.auto.commit", member->auto_commits ? "true" : "false");
    sim_set(sim, config, "auto.commit.interval.ms", "%lld", (long long)sim_between(sim, 100, 5000));
    sim_set(sim, config, "request.timeout.ms", "%lld", (long long)sim_between(sim, 1000, 30000));
    sim_set(sim, config, "fetch.max.wait.ms", "%lld", (long long)sim_between(sim, 0, 1000));
    sim_set(sim, config, "max.partition.fetch.bytes", "%lld",
            (long long)(sim_chance(sim, 50) ? 1048576 : sim_between(sim, 1000, 20000)));
    sim_set(sim, config, "metadata.max.age.ms", "%lld", (long long)sim_between(sim, 1000, 300000));
    return config;
}

static void subscribe(sim_member *member)
{
    sim_world *sim = member->sim;
    kc_bytes topics[SIM_TOPICS_MAX];
    kc_error err = {0};
    for (int i = 0; i < sim->topic_count; i++)
        topics[i] = kc_str(sim->topics[i].name);
    kc_err code = kc_consumer_subscribe(member->consumer, topics, (size_t)sim->topic_count, &err);
    member->is_away = code != KC_OK;
    if (code != KC_OK && code != KC_ERR_NOMEM)
        sim_fail(sim, "member %d can't subscribe: %s", member->slot, err.text);
}

static void begin_member(sim_world *sim, int slot)
{
    group_state *state = sim->state;
    sim_member *member = &state->members[slot];
    kc_error err = {0};
    *member = (sim_member){.sim = sim, .slot = slot, .poll_timer = {.fn = on_poll, .user = member}};
    forget_positions(member);
    kc_config *config = member_config(member);
    if (!config)
        return;
    member->host = sim_host_new(sim, config);
    kc_config_free(config);
    if (!member->host)
        return;
    if (kc_consumer_open(member->host->client, NULL, &member->consumer, &err)) {
        sim_fail(sim, "a consumer can't be opened: %s", err.text);
        return;
    }
    const kc_consumer_events events = {.on_assigned = on_assigned,
                                       .on_revoked = on_gone,
                                       .on_lost = on_gone,
                                       .on_error = on_error,
                                       .user = member};
    kc_consumer_set_events(member->consumer, &events);
    subscribe(member);
    sim_note(sim, "member %d begins on host %d", slot, member->host->index);
    if (kn_timer_set(member->host->loop, &member->poll_timer, sim->now_us + member->interval_us))
        sim_fail(sim, "a timer can't be set");
}

static void end_member(sim_member *member)
{
    sim_world *sim = member->sim;
    sim_note(sim, "member %d is killed", member->slot);
    kn_timer_stop(member->host->loop, &member->poll_timer);
    free_held(member);
    sim_host_kill(member->host);
    if (member->commits != 0)
        sim_fail(sim, "member %d: %d commits were never told of", member->slot, member->commits);
    member->host = NULL;
}

/** One member comes, goes, is killed, or turns away for a while. */
static void on_change(kn_timer *timer)
{
    sim_world *sim = timer->user;
    group_state *state = sim->state;
    sim_member *member = &state->members[sim_between(sim, 0, state->member_count - 1)];
    if (!member->host) {
        begin_member(sim, member->slot);
    } else if (member->is_away) {
        subscribe(member);
    } else if (sim_chance(sim, 40)) {
        end_member(member);
    } else if (sim_chance(sim, 50)) {
        sim_note(sim, "member %d leaves", member->slot);
        kc_consumer_unsubscribe(member->consumer);
        member->is_away = true;
        forget_positions(member);
    }
    if (kn_timer_set(sim->loop, timer, sim->now_us + sim_between(sim, 0, state->change_us * 2)))
        sim_fail(sim, "a timer can't be set");
}

/* ---- what must hold ---- */

static bool was_doubtful(const group_state *state, int topic, int32_t partition, int64_t offset)
{
    for (int i = 0; i < state->doubtful_count; i++)
        if (state->doubtful[i].topic == topic && state->doubtful[i].partition == partition &&
            state->doubtful[i].offset == offset)
            return true;
    return false;
}

static void watch_partition(sim_world *sim, const km_group *group, int topic, int32_t partition)
{
    group_state *state = sim->state;
    sim_seen *seen = &state->seen.partitions[topic][partition];
    const km_offset *offset =
        km_group_offset_get(group, kc_str(sim->topics[topic].name), partition);
    if (!offset || offset->offset == seen->committed)
        return;
    if (offset->offset < seen->committed && !state->any_auto_commit &&
        !was_doubtful(state, topic, partition, offset->offset))
        sim_fail(sim, "the committed offset of %s-%d goes back from %lld to %lld",
                 sim->topics[topic].name, partition, (long long)seen->committed,
                 (long long)offset->offset);
    if (offset->offset > seen->covered)
        sim_fail(sim, "%s-%d is committed at %lld, and handed out up to %lld",
                 sim->topics[topic].name, partition, (long long)offset->offset,
                 (long long)seen->covered);
    seen->committed = offset->offset;
}

static void watch(sim_world *sim)
{
    const km_group *group = km_group_find(sim->cluster, KC_STR(GROUP));
    sim_producers_watch(sim);
    for (int t = 0; group && t < sim->topic_count; t++)
        for (int32_t p = 0; p < sim->topics[t].partitions; p++)
            watch_partition(sim, group, t, p);
}

static void start(sim_world *sim)
{
    group_state *state = calloc(1, sizeof *state);
    sim->state = state;
    if (!state) {
        sim_fail(sim, "no memory for the ledger");
        return;
    }
    int topics = (int)sim_between(sim, 1, 2);
    for (int i = 0; i < topics; i++)
        if (!sim_topic_new(sim, (int32_t)sim_between(sim, 1, 6), -1))
            return;
    for (int t = 0; t < SIM_TOPICS_MAX; t++)
        for (int p = 0; p < SIM_PARTITIONS_MAX; p++)
            state->seen.partitions[t][p].committed = -1;
    sim_producers_start(sim, (int)sim_between(sim, 1, 2));
    state->member_count = (int)sim_between(sim, 1, MEMBERS_MAX);
    state->change_us = sim_chance(sim, 50) ? 3000000 : 20000000;
    state->change_timer = (kn_timer){.fn = on_change, .user = sim};
    for (int i = 0; i < state->member_count && !sim->has_failed; i++)
        begin_member(sim, i);
    if (kn_timer_set(sim->loop, &state->change_timer,
                     sim->now_us + sim_between(sim, 0, state->change_us * 2)))
        sim_fail(sim, "a timer can't be set");
}

static void settle(sim_world *sim)
{
    group_state *state = sim->state;
    sim_producers_settle(sim);
    kn_timer_stop(sim->loop, &state->change_timer);
    for (int i = 0; i < state->member_count && !sim->has_failed; i++) {
        if (!state->members[i].host)
            begin_member(sim, i);
        else if (state->members[i].is_away)
            subscribe(&state->members[i]);
    }
}

static bool is_committed(const sim_world *sim, const group_state *state)
{
    for (int t = 0; t < sim->topic_count; t++) {
        for (int32_t p = 0; p < sim->topics[t].partitions; p++) {
            const km_partition *partition =
                km_partition_find(sim->cluster, kc_str(sim->topics[t].name), p);
            if (partition->log.high_watermark > 0 &&
                state->seen.partitions[t][p].committed < partition->log.high_watermark)
                return false;
        }
    }
    return true;
}

static bool is_done(sim_world *sim)
{
    const group_state *state = sim->state;
    return sim_producers_are_done(sim) && sim_seen_all(sim, &state->seen) &&
           is_committed(sim, state);
}

static void check(sim_world *sim)
{
    group_state *state = sim->state;
    sim_producers_check(sim);
    sim_seen_check(sim, &state->seen);
    for (int i = 0; i < state->member_count && !sim->has_failed; i++)
        if (state->members[i].host)
            end_member(&state->members[i]);
}

static void release(sim_world *sim)
{
    group_state *state = sim->state;
    for (int i = 0; i < state->member_count; i++)
        free_held(&state->members[i]);
}

static void tell(sim_world *sim)
{
    const group_state *state = sim->state;
    sim_seen_tell(sim, &state->seen);
}

static void finish(sim_world *sim)
{
    group_state *state = sim->state;
    if (state) {
        kn_timer_stop(sim->loop, &state->change_timer);
        sim_seen_free(&state->seen);
    }
    free(state);
    sim_producers_free(sim);
}

const sim_workload sim_group = {
    .name = "group",
    .about = "members of a group come, go, freeze and commit",
    .start = start,
    .settle = settle,
    .is_done = is_done,
    .check = check,
    .watch = watch,
    .release = release,
    .finish = finish,
    .tell = tell,
};
