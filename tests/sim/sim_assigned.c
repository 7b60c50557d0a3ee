/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Readers of partitions by assignment, for several workloads. */
#include "tests/sim/sim_assigned.h"

/** Is this the record that comes next? What it leaves out is noted as seen. */
static bool is_next(sim_reader *reader, int topic, int32_t partition, int64_t from, int64_t offset)
{
    if (!reader->rules->check)
        return offset == from;
    return offset >= from && reader->rules->check(reader, topic, partition, from, offset) &&
           sim_seen_skip(reader->sim, &reader->seen.partitions[topic][partition], from, offset);
}

static void take_record(sim_reader *reader, int topic, int32_t partition, const kc_view *view)
{
    sim_world *sim = reader->sim;
    int64_t *expected = &reader->expected[topic][partition];
    if (!is_next(reader, topic, partition, *expected, view->offset)) {
        sim_fail(sim, "reader %d: %s-%d came to %lld, expected is %lld", reader->host->index,
                 sim->topics[topic].name, partition, (long long)view->offset, (long long)*expected);
        return;
    }
    *expected = view->offset + 1;
    (void)sim_seen_add(sim, &reader->seen.partitions[topic][partition], view->offset, view->key,
                       view->value);
}

static void free_one(sim_reader *reader)
{
    kc_batch_free(reader->held[0]);
    memmove(reader->held, reader->held + 1, (size_t)--reader->held_count * sizeof(kc_batch *));
}

static void take_batch(sim_reader *reader, kc_batch *batch)
{
    int topic = sim_topic_index(reader->sim, kc_batch_topic(batch));
    int32_t partition = kc_batch_partition(batch);
    kc_view view;
    if (topic >= 0) {
        sim_note(reader->sim, "reader %d: %s-%d up to %lld", reader->host->index,
                 reader->sim->topics[topic].name, partition,
                 (long long)kc_batch_next_offset(batch));
        if (reader->is_paused[topic][partition])
            sim_fail(reader->sim, "reader %d: a batch of a paused partition", reader->host->index);
        while (kc_batch_read(batch, &view))
            take_record(reader, topic, partition, &view);
    }
    if (sim_chance(reader->sim, 10) && reader->held_count < SIM_HELD_MAX)
        reader->held[reader->held_count++] = batch;
    else
        kc_batch_free(batch);
}

static void move_about(sim_reader *reader)
{
    sim_world *sim = reader->sim;
    int topic = (int)sim_between(sim, 0, sim->topic_count - 1);
    int32_t partition = (int32_t)sim_between(sim, 0, sim->topics[topic].partitions - 1);
    kc_topic_partition where = {kc_str(sim->topics[topic].name), partition};
    int64_t *expected = &reader->expected[topic][partition];
    if (sim_chance(sim, 30)) {
        int64_t to = sim_between(sim, 0, reader->seen.partitions[topic][partition].covered);
        if (kc_consumer_seek(reader->consumer, where.topic, partition, to) == KC_OK) {
            sim_note(sim, "reader %d: %s-%d seeks %lld", reader->host->index,
                     sim->topics[topic].name, partition, (long long)to);
            *expected = to;
        }
    } else if (reader->is_paused[topic][partition]) {
        kc_consumer_resume(reader->consumer, &where, 1);
        reader->is_paused[topic][partition] = false;
    } else {
        kc_consumer_pause(reader->consumer, &where, 1);
        reader->is_paused[topic][partition] = true;
    }
}

static void on_poll(kn_timer *timer)
{
    sim_reader *reader = timer->user;
    sim_world *sim = reader->sim;
    kc_batch *batch;
    int64_t burst = sim->is_settled ? 1000 : sim_between(sim, 1, 20);
    while (burst-- > 0 && !sim->has_failed) {
        kc_err err = kc_consumer_next(reader->consumer, &batch);
        if (err == KC_OK)
            take_batch(reader, batch);
        else if (err != KC_ERR_AGAIN && err != KC_ERR_NOMEM)
            sim_fail(sim, "reader %d: next says %d", reader->host->index, err);
        if (err != KC_OK)
            break;
    }
    while (reader->held_count > 0 && (sim->is_settled || sim_chance(sim, 30)))
        free_one(reader);
    if (!sim->is_settled && sim_chance(sim, 3))
        move_about(reader);
    int64_t pause_us = sim->is_settled ? 10000 : sim_between(sim, 0, reader->interval_us * 2);
    if (kn_timer_set(reader->host->loop, timer, sim_host_now_us(reader->host) + pause_us))
        sim_fail(sim, "a timer can't be set");
}

static kc_config *reader_config(sim_reader *reader)
{
    sim_world *sim = reader->sim;
    kc_config *config = kc_config_new();
    if (!config) {
        sim_fail(sim, "no memory for a configuration");
        return NULL;
    }
    reader->interval_us = sim_between(sim, 1000, 300000);
    sim_set(sim, config, "auto.offset.reset", "earliest");
    sim_set(sim, config, "request.timeout.ms", "%lld", (long long)sim_between(sim, 1000, 30000));
    sim_set(sim, config, "fetch.max.wait.ms", "%lld", (long long)sim_between(sim, 0, 1000));
    /* Small answers that are to hold many bytes would each take fetch.max.wait.ms. */
    bool is_small = sim_chance(sim, 50);
    sim_set(sim, config, "fetch.min.bytes", "%lld",
            (long long)(is_small || sim_chance(sim, 50) ? 1 : sim_between(sim, 1, 50000)));
    sim_set(sim, config, "max.partition.fetch.bytes", "%lld",
            (long long)(is_small ? sim_between(sim, 1000, 20000) : 1048576));
    sim_set(sim, config, "fetch.max.bytes", "%lld",
            (long long)(is_small ? sim_between(sim, 30000, 100000) : 1048576));
    sim_set(sim, config, "metadata.max.age.ms", "%lld", (long long)sim_between(sim, 1000, 300000));
    reader->is_committed = sim_chance(sim, 50);
    sim_set(sim, config, "isolation.level", "%s",
            reader->is_committed ? "read_committed" : "read_uncommitted");
    return config;
}

static void assign_all(sim_reader *reader)
{
    sim_world *sim = reader->sim;
    kc_topic_offset offsets[SIM_TOPICS_MAX * SIM_PARTITIONS_MAX];
    size_t count = 0;
    kc_error err = {0};
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; p < sim->topics[t].partitions; p++)
            offsets[count++] =
                (kc_topic_offset){.topic = kc_str(sim->topics[t].name),
                                  .partition = p,
                                  .offset = sim_chance(sim, 50) ? 0 : KC_OFFSET_BEGINNING,
                                  .leader_epoch = -1};
    if (kc_consumer_assign(reader->consumer, offsets, count, &err))
        sim_fail(sim, "a consumer can't be assigned: %s", err.text);
}

void sim_reader_open(sim_world *sim, sim_reader *reader, const sim_reader_rules *rules)
{
    kc_error err = {0};
    reader->sim = sim;
    reader->rules = rules;
    reader->poll_timer = (kn_timer){.fn = on_poll, .user = reader};
    kc_config *config = reader_config(reader);
    if (!config)
        return;
    reader->host = sim_host_new(sim, config);
    kc_config_free(config);
    if (!reader->host)
        return;
    if (kc_consumer_open(reader->host->client, NULL, &reader->consumer, &err)) {
        sim_fail(sim, "a consumer can't be opened: %s", err.text);
        return;
    }
    assign_all(reader);
    if (kn_timer_set(reader->host->loop, &reader->poll_timer,
                     sim->now_us + sim_between(sim, 0, 1000000)))
        sim_fail(sim, "a timer can't be set");
}

void sim_reader_settle(sim_reader *reader)
{
    const sim_world *sim = reader->sim;
    for (int t = 0; t < sim->topic_count; t++) {
        for (int32_t p = 0; p < sim->topics[t].partitions; p++) {
            kc_topic_partition where = {kc_str(sim->topics[t].name), p};
            kc_consumer_resume(reader->consumer, &where, 1);
            reader->is_paused[t][p] = false;
        }
    }
}

bool sim_reader_is_done(sim_reader *reader)
{
    return reader->rules->has_all ? reader->rules->has_all(reader)
                                  : sim_seen_all(reader->sim, &reader->seen);
}

void sim_reader_release(sim_reader *reader)
{
    while (reader->held_count > 0)
        free_one(reader);
}

void sim_reader_finish(sim_reader *reader)
{
    sim_seen_free(&reader->seen);
}
