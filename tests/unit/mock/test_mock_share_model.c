/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Delivery to share groups against a naive model: any requests in any order, time, connections and leaders that go. */
#include "tests/unit/mock/share_helpers.h"

#include <stdlib.h>

#define MODEL_RECORDS 400
#define MODEL_MEMBERS 3
#define LOCK_MS       30000
#define LIMIT         5

/** One record as the model has it. */
typedef struct model_record {
    bool is_done;
    bool was_accepted;
    int owner; /**< -1: available */
    int16_t count;
    int16_t stored_count; /**< what a new leader knows */
    int64_t locked_until_ms;
} model_record;

typedef struct model {
    setup s;
    kb_rand rand;
    int64_t now_ms;
    model_record records[MODEL_RECORDS];
    int64_t count; /**< produced */
    mock_link *links[MODEL_MEMBERS];
    int32_t epochs[MODEL_MEMBERS];
} model;

static const char *const model_names[MODEL_MEMBERS] = {"m", "n", "o"};

static int64_t below(model *m, int64_t bound)
{
    return (int64_t)kb_rand_below(&m->rand, (uint64_t)bound);
}

static void model_give_back(model_record *record)
{
    record->owner = -1;
    record->stored_count = record->count;
    record->is_done = record->count >= LIMIT;
}

static void model_pass(model *m, int64_t ms)
{
    m->now_ms += ms;
    mock_run(m->s.world, ms);
    for (int64_t i = 0; i < m->count; i++)
        if (m->records[i].owner >= 0 && m->records[i].locked_until_ms <= m->now_ms)
            model_give_back(&m->records[i]);
}

static void model_release(model *m, int member)
{
    m->epochs[member] = 0;
    for (int64_t i = 0; i < m->count; i++)
        if (m->records[i].owner == member)
            model_give_back(&m->records[i]);
}

static mock_link *model_link(model *m, int member)
{
    if (!m->links[member])
        m->links[member] = mock_link_new(m->s.world, m->s.topic->partitions[0]->leader);
    m->s.leader = m->links[member];
    return m->links[member];
}

static void model_fetch(model *m, int member)
{
    model_link(m, member);
    asks(&m->s, model_names[member], m->epochs[member]++);
    m->s.request.max_records = (int32_t)below(m, 40) + 1;
    m->s.request.batch_size = (int32_t)below(m, 40) + 1;
    m->s.request.share_acquire_mode = (int8_t)below(m, 2);
    const kp_share_fetch_resp *response = fetched(&m->s);
    ck_assert_int_eq(response->error_code, 0);
    if (response->responses.count == 0)
        return;
    const kp_share_fetch_resp_partition *got = only(response);
    ck_assert_int_eq(got->error_code, 0);
    int64_t acquired = 0;
    for (int32_t i = 0; i < got->acquired_records.count; i++) {
        const kp_share_fetch_resp_acquired_record *range = &got->acquired_records.items[i];
        for (int64_t offset = range->first_offset; offset <= range->last_offset; offset++) {
            ck_assert_int_lt(offset, m->count);
            model_record *record = &m->records[offset];
            ck_assert(!record->is_done);
            ck_assert_int_eq(record->owner, -1);
            ck_assert_int_eq(range->delivery_count, record->count + 1);
            ck_assert_int_le(range->delivery_count, LIMIT);
            record->count = range->delivery_count;
            record->owner = member;
            record->locked_until_ms = m->now_ms + LOCK_MS;
            acquired++;
        }
    }
    if (m->s.request.share_acquire_mode == 1)
        ck_assert_int_le(acquired, m->s.request.max_records);
}

static int64_t model_start(const model *m)
{
    int64_t start = 0;
    while (start < m->count && m->records[start].is_done)
        start++;
    return start;
}

static bool model_can_acknowledge(const model *m, int member, int64_t first, int64_t last)
{
    int64_t start = model_start(m);
    for (int64_t offset = first > start ? first : start; offset <= last; offset++)
        if (m->records[offset].is_done || m->records[offset].owner != member)
            return false;
    return true;
}

/** Any range, often one that is the member's. */
static void model_acknowledge(model *m, int member)
{
    int64_t first = below(m, m->count);
    for (int64_t i = 0; i < m->count && below(m, 20) > 0; i++)
        if (m->records[first].owner != member)
            first = (first + 1) % m->count;
    int64_t last = first;
    while (last + 1 < m->count && m->records[last + 1].owner == member && below(m, 8) > 0)
        last++;
    if (below(m, 20) == 0 && last + 1 < m->count)
        last++;
    int8_t type = (int8_t)below(m, 5);
    model_link(m, member);
    int16_t error = acknowledge(&m->s, model_names[member], m->epochs[member]++, first, last, type);
    ck_assert_int_eq(error == 0, model_can_acknowledge(m, member, first, last));
    for (int64_t offset = first; offset <= last && !error; offset++) {
        model_record *record = &m->records[offset];
        if (record->is_done)
            continue;
        if (type == KM_SHARE_ACK_RENEW) {
            record->locked_until_ms = m->now_ms + LOCK_MS;
        } else if (type == KM_SHARE_ACK_RELEASE) {
            model_give_back(record);
        } else {
            ck_assert(!record->was_accepted);
            record->was_accepted = type == KM_SHARE_ACK_ACCEPT;
            record->is_done = true;
            record->owner = -1;
        }
    }
    ck_assert_int_eq(shared_of(&m->s)->start_offset, model_start(m));
}

static void model_move(model *m)
{
    km_partition *partition = m->s.topic->partitions[0];
    km_partition_move(m->s.world->cluster, partition, partition->leader % 3 + 1);
    km_changed(m->s.world->cluster);
    for (int64_t i = 0; i < m->count; i++)
        if (m->records[i].owner >= 0) {
            m->records[i].owner = -1;
            m->records[i].count = m->records[i].stored_count;
        }
    for (int member = 0; member < MODEL_MEMBERS; member++) {
        if (m->links[member])
            mock_link_free(m->links[member]);
        m->links[member] = NULL;
        m->epochs[member] = 0;
    }
}

static void model_step(model *m)
{
    int member = (int)below(m, MODEL_MEMBERS);
    int64_t what = below(m, 100);
    if (what < 12 && m->count < MODEL_RECORDS - 20) {
        int count = (int)below(m, 20) + 1;
        produce(&m->s, count);
        m->count += count;
    } else if (what < 45) {
        model_fetch(m, member);
    } else if (what < 80) {
        if (m->epochs[member] > 0 && m->count > 0)
            model_acknowledge(m, member);
    } else if (what < 95) {
        model_pass(m, below(m, 12000));
    } else if (what < 97 && m->links[member]) {
        mock_link_free(m->links[member]);
        m->links[member] = NULL;
        model_release(m, member);
    } else if (what == 99) {
        model_move(m);
    }
    for (int64_t i = 0; i < m->count; i++)
        m->records[i].is_done |= m->records[i].was_accepted;
}

START_TEST(a_naive_model_agrees_and_in_the_end_every_record_is_done_once)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        model *m = calloc(1, sizeof *m);
        set_up(&m->s, 3);
        kb_rand_init(&m->rand, seed);
        for (int i = 0; i < MODEL_RECORDS; i++)
            m->records[i].owner = -1;
        for (int i = 0; i < 400; i++)
            model_step(m);
        for (int i = 0; i < 3000 && model_start(m) < m->count; i++) {
            model_fetch(m, i % MODEL_MEMBERS);
            model_acknowledge(m, i % MODEL_MEMBERS);
            model_pass(m, 1000);
        }
        ck_assert_int_eq(model_start(m), m->count);
        mock_free(m->s.world);
        free(m);
    }
}
END_TEST
