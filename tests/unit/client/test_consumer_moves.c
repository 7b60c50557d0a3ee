/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A consumer while leaders move, brokers die and come back, connections are cut, answers come late:
 * whatever the order of things, every record comes once and in order. The schedule is drawn from a
 * seed; a failure names it, and KC_SEED replays it. */
#include "consumer_world.h"
#include "protocol/generated/messages.h"

#include <stdio.h>
#include <stdlib.h>

#define BROKERS    3
#define PARTITIONS 3
#define ROUNDS     70
#define EPOCHS_MAX 128
#define SEEDS      200

/** Where each epoch of a partition began. */
typedef struct history {
    int64_t start[EPOCHS_MAX];
    int32_t count;
} history;

typedef struct game {
    world w;
    kb_rand rand;
    uint64_t seed;
    history epochs[PARTITIONS];
    int64_t next[PARTITIONS];
} game;

/* ---- the cluster ---- */

/** The end of the epoch asked for: where the next one began, as the leader has it. */
static fake_action on_epochs(fake_request *request, void *response, void *user)
{
    game *r = user;
    const kp_offset_for_leader_epoch_req *asked = request->message;
    kp_offset_for_leader_epoch_resp *answer = response;
    const fake_topic *model = fake_topic_find(r->w.cluster, KC_STR("t"));
    answer->topics.count = 1;
    answer->topics.items = fake_alloc(request, 1, sizeof answer->topics.items[0]);
    kp_offset_for_leader_epoch_resp_topic *topic = &answer->topics.items[0];
    topic->topic = KC_STR("t");
    topic->partitions.count = asked->topics.items[0].partitions.count;
    topic->partitions.items =
        fake_alloc(request, (size_t)topic->partitions.count, sizeof topic->partitions.items[0]);
    for (int32_t i = 0; i < topic->partitions.count; i++) {
        const kp_offset_for_leader_epoch_req_partition *from =
            &asked->topics.items[0].partitions.items[i];
        kp_offset_for_leader_epoch_resp_partition *to = &topic->partitions.items[i];
        const history *epochs = &r->epochs[from->partition];
        to->partition = from->partition;
        to->leader_epoch = from->leader_epoch;
        to->end_offset = from->leader_epoch + 1 < epochs->count
                             ? epochs->start[from->leader_epoch + 1]
                             : world_log_of(&r->w, "t", from->partition)->end;
        if (model->partitions[from->partition].leader != request->broker)
            to->error_code = KC_E_NOT_LEADER_OR_FOLLOWER;
        else if (from->current_leader_epoch < model->partitions[from->partition].leader_epoch)
            to->error_code = KC_E_FENCED_LEADER_EPOCH;
        if (to->error_code)
            to->end_offset = to->leader_epoch = -1;
    }
    request->delay_us = (int64_t)kb_rand_below(&r->rand, 30000);
    return FAKE_ANSWER;
}

static void move_leader(game *r, int32_t partition, int32_t leader)
{
    world_log *log = world_log_of(&r->w, "t", partition);
    history *epochs = &r->epochs[partition];
    if (epochs->count == EPOCHS_MAX)
        return;
    fake_move_leader(r->w.cluster, "t", partition, leader);
    epochs->start[epochs->count] = log->end;
    log->leader_epoch = epochs->count++;
    log->hint_leader = leader;
    log->hint_epoch = log->leader_epoch;
}

/** Another one that is up; the same where there is none. */
static int32_t choose_leader(game *r)
{
    int32_t first = (int32_t)kb_rand_below(&r->rand, BROKERS);
    for (int32_t i = 0; i < BROKERS; i++) {
        int32_t id = (first + i) % BROKERS + 1;
        if (!fake_broker_of(r->w.cluster, id)->is_down)
            return id;
    }
    return 1;
}

static void kill_broker(game *r, int32_t id)
{
    int up = 0;
    for (int32_t i = 1; i <= BROKERS; i++)
        up += !fake_broker_of(r->w.cluster, i)->is_down;
    if (up < 2 || fake_broker_of(r->w.cluster, id)->is_down)
        return;
    fake_down(r->w.cluster, id);
    if (kb_rand_one_in(&r->rand, 2))
        world_run(&r->w, (int64_t)kb_rand_below(&r->rand, 500));
    fake_topic *topic = fake_topic_find(r->w.cluster, KC_STR("t"));
    for (int32_t p = 0; p < PARTITIONS; p++)
        if (topic->partitions[p].leader == id)
            move_leader(r, p, choose_leader(r));
}

static void revive_broker(game *r, int32_t id)
{
    if (fake_broker_of(r->w.cluster, id)->is_down)
        fake_up(r->w.cluster, id);
}

static void disturb(game *r)
{
    int32_t id = (int32_t)kb_rand_below(&r->rand, BROKERS) + 1;
    int32_t partition = (int32_t)kb_rand_below(&r->rand, PARTITIONS);
    switch (kb_rand_below(&r->rand, 6)) {
    case 0:
        kill_broker(r, id);
        break;
    case 1:
    case 2:
        revive_broker(r, id);
        break;
    case 3:
        fake_cut(r->w.cluster, id);
        break;
    default:
        move_leader(r, partition, choose_leader(r));
    }
}

/* ---- the application ---- */

static void read_some(game *r)
{
    for (uint64_t n = kb_rand_below(&r->rand, 6); n > 0; n--) {
        kc_batch *batch = world_next(&r->w);
        kc_view view;
        if (!batch)
            return;
        int32_t p = kc_batch_partition(batch);
        while (kc_batch_read(batch, &view)) {
            if (view.offset != r->next[p])
                ck_abort_msg("seed %llu: partition %d gives offset %lld where %lld is next",
                             (unsigned long long)r->seed, p, (long long)view.offset,
                             (long long)r->next[p]);
            r->next[p]++;
        }
        kc_batch_free(batch);
    }
}

static bool has_all(game *r)
{
    for (int32_t p = 0; p < PARTITIONS; p++)
        if (r->next[p] < world_log_of(&r->w, "t", p)->end)
            return false;
    return true;
}

static void play(uint64_t seed)
{
    static game r;
    memset(&r, 0, sizeof r);
    r.seed = seed;
    kb_rand_init(&r.rand, seed);
    world_start(&r.w, BROKERS, PARTITIONS, NULL);
    fake_on(r.w.cluster, KP_API_OFFSET_FOR_LEADER_EPOCH, on_epochs, &r);
    for (int32_t p = 0; p < PARTITIONS; p++)
        r.epochs[p].count = 1;
    world_assign(&r.w, PARTITIONS, 0);
    for (int i = 0; i < ROUNDS; i++) {
        world_log *log = world_log_of(&r.w, "t", (int32_t)kb_rand_below(&r.rand, PARTITIONS));
        world_append(log, 1 + (int)kb_rand_below(&r.rand, 10), KP_CODEC_NONE);
        if (kb_rand_one_in(&r.rand, 3))
            disturb(&r);
        if (!kb_rand_one_in(&r.rand, 3))
            world_run(&r.w,
                      (int64_t)kb_rand_below(&r.rand, kb_rand_one_in(&r.rand, 5) ? 12000 : 60));
        read_some(&r);
    }
    for (int32_t id = 1; id <= BROKERS; id++)
        revive_broker(&r, id);
    for (int i = 0; i < 600 && !has_all(&r); i++) {
        world_run(&r.w, 100);
        read_some(&r);
    }
    if (!has_all(&r))
        ck_abort_msg("seed %llu: not all came", (unsigned long long)seed);
    world_stop(&r.w);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* KC_SEED: the first one; KC_SEEDS: how many. */
START_TEST(every_record_comes_once_and_in_order_while_leaders_move)
{
    uint64_t first = number_from("KC_SEED", 1);
    uint64_t count = number_from("KC_SEEDS", getenv("KC_SEED") ? 1 : SEEDS);
    for (uint64_t seed = first; seed < first + count; seed++)
        play(seed);
}
END_TEST
