/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The log of a partition against a naive model of it. */
#include "mock/log.h"
#include "protocol/base/rand.h"
#include "protocol/wire.h"

#include <check.h>
#include <stdlib.h>

#define BATCHES_MAX 4096

/** What the log must say, kept the simplest way. */
typedef struct model_batch {
    int64_t base, next;
    int32_t epoch;
    uint8_t mark; /**< in its value */
    size_t len;
} model_batch;

typedef struct model {
    model_batch batches[BATCHES_MAX];
    size_t count;
    int64_t start, end, high_watermark;
    int32_t epoch;
} model;

static kp_batch make(uint8_t *data, size_t cap, int count, size_t value_len, uint8_t mark)
{
    kp_batch_writer writer;
    kp_batch batch;
    uint8_t *value = malloc(value_len);
    ck_assert_ptr_nonnull(value);
    memset(value, mark, value_len);
    kp_batch_writer_init(&writer, data, cap);
    for (int i = 0; i < count; i++)
        ck_assert(kp_batch_append(&writer, 1000 + i, KC_NULL, kc_span(value, value_len), NULL, 0));
    free(value);
    kc_bytes rest = kc_span(data, kp_batch_finish(&writer));
    kp_batch_seal(data, rest.len, NULL);
    ck_assert_int_eq(kp_batch_next(&rest, true, &batch), KC_OK);
    return batch;
}

static const model_batch *model_find(const model *m, int64_t offset)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->batches[i].next > offset)
            return &m->batches[i];
    return NULL;
}

/** End of the newest epoch that wrote and is not above `epoch`. */
static void model_epoch_end(const model *m, int32_t epoch, int32_t *found, int64_t *end)
{
    *found = -1;
    *end = m->end;
    for (size_t i = m->count; i-- > 0;) {
        if (m->batches[i].epoch <= epoch) {
            *found = m->batches[i].epoch;
            return;
        }
        *end = m->batches[i].base;
    }
}

static void check_batch(const km_log *log, const model_batch *expected)
{
    kc_bytes rest = km_log_read(log, expected->base, expected->next, 1, true);
    kp_batch batch;
    kp_record_iter iter;
    kp_record record;
    ck_assert_uint_eq(rest.len, expected->len);
    ck_assert_int_eq(kp_batch_next(&rest, true, &batch), KC_OK);
    ck_assert_int_eq(batch.base_offset, expected->base);
    ck_assert_int_eq(kp_batch_next_offset(&batch), expected->next);
    ck_assert_int_eq(batch.leader_epoch, expected->epoch);
    kp_record_iter_init(&iter, &batch, batch.records);
    ck_assert_int_eq(kp_record_next(&iter, &record), KC_OK);
    ck_assert_int_eq(record.value.ptr[0], expected->mark);
}

static void check_all(const km_log *log, const model *m)
{
    ck_assert_int_eq(log->start_offset, m->start);
    ck_assert_int_eq(log->end_offset, m->end);
    ck_assert_int_eq(log->high_watermark, m->high_watermark);
    ck_assert_uint_eq(log->entry_count, m->count);
    size_t bytes = 0;
    for (size_t i = 0; i < m->count; i++) {
        check_batch(log, &m->batches[i]);
        bytes += m->batches[i].len;
    }
    ck_assert_uint_eq(log->bytes, bytes);
}

/** A read of anything: whole batches from the right one, within the limits. */
static void check_read(const km_log *log, const model *m, kb_rand *rand)
{
    int64_t offset = (int64_t)kb_rand_below(rand, (uint64_t)m->end + 2);
    int64_t until = (int64_t)kb_rand_below(rand, (uint64_t)m->end + 2);
    size_t most = kb_rand_below(rand, 20000);
    bool is_first_whole = kb_rand_one_in(rand, 2);
    const model_batch *expected = model_find(m, offset);
    kc_bytes rest = km_log_read(log, offset, until, most, is_first_whole);
    if (!expected || expected->next > until || (expected->len > most && !is_first_whole)) {
        ck_assert_uint_eq(rest.len, 0);
        return;
    }
    ck_assert(rest.len <= most || rest.len == expected->len);
    kp_batch batch;
    while (kp_batch_next(&rest, true, &batch) == KC_OK) {
        ck_assert_int_eq(batch.base_offset, expected->base);
        ck_assert_int_le(expected->next, until);
        expected++;
    }
    ck_assert_uint_eq(rest.len, 0);
}

static void check_epochs(const km_log *log, const model *m)
{
    for (int32_t epoch = 0; epoch <= m->epoch; epoch++) {
        int32_t found, expected;
        int64_t end, expected_end;
        model_epoch_end(m, epoch, &expected, &expected_end);
        ck_assert(km_log_epoch_end(log, epoch, &found, &end));
        if (epoch == m->epoch) { /* it may have written nothing yet */
            ck_assert_int_eq(found, epoch);
            ck_assert_int_eq(end, m->end);
        } else if (expected >= 0) {
            ck_assert_int_eq(found, expected);
            ck_assert_int_eq(end, expected_end);
        }
    }
    int32_t none_epoch;
    int64_t none_end;
    ck_assert(!km_log_epoch_end(log, m->epoch + 1, &none_epoch, &none_end));
    ck_assert(!km_log_epoch_end(log, -1, &none_epoch, &none_end));
    for (size_t i = 0; i < m->count; i++)
        ck_assert_int_eq(km_log_epoch_at(log, m->batches[i].base), m->batches[i].epoch);
}

static void do_append(km_log *log, model *m, kb_rand *rand)
{
    static uint8_t data[2500000];
    size_t value_len =
        kb_rand_one_in(rand, 30) ? kb_rand_below(rand, 700000) + 1 : kb_rand_below(rand, 400) + 1;
    int count = (int)kb_rand_below(rand, 3) + 1;
    uint8_t mark = (uint8_t)kb_rand_below(rand, 256);
    kp_batch batch = make(data, sizeof data, count, value_len, mark);
    if (m->count == BATCHES_MAX)
        return;
    ck_assert_int_eq(km_log_append(log, &batch, m->epoch), KC_OK);
    m->batches[m->count++] = (model_batch){m->end, m->end + count, m->epoch, mark, batch.bytes.len};
    m->end += count;
}

static void do_truncate(km_log *log, model *m, kb_rand *rand)
{
    /* As loss does: to an offset that is not below the high watermark. Then a new epoch begins. */
    int64_t offset = m->high_watermark +
                     (int64_t)kb_rand_below(rand, (uint64_t)(m->end - m->high_watermark) + 1);
    km_log_truncate(log, offset);
    while (m->count > 0 && m->batches[m->count - 1].next > offset)
        m->end = m->batches[--m->count].base;
    if (m->high_watermark > m->end)
        m->high_watermark = m->end;
    m->epoch++;
    ck_assert_int_eq(km_log_begin_epoch(log, m->epoch), KC_OK);
}

static void do_delete(km_log *log, model *m, kb_rand *rand)
{
    int64_t offset = (int64_t)kb_rand_below(rand, (uint64_t)m->end + 2);
    km_log_delete_before(log, offset);
    if (offset > m->high_watermark)
        offset = m->high_watermark;
    if (offset <= m->start)
        return;
    m->start = offset;
    size_t gone = 0;
    while (gone < m->count && m->batches[gone].next <= offset)
        gone++;
    memmove(m->batches, m->batches + gone, (m->count - gone) * sizeof m->batches[0]);
    m->count -= gone;
}

START_TEST(a_log_does_what_a_naive_model_does)
{
    static model m;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        kb_mem mem;
        km_log log;
        kb_rand rand;
        kb_mem_init(&mem, NULL, 0);
        kb_rand_init(&rand, seed);
        km_log_init(&log, &mem);
        m = (model){0};
        ck_assert_int_eq(km_log_begin_epoch(&log, 0), KC_OK);
        for (int step = 0; step < 400; step++) {
            uint64_t what = kb_rand_below(&rand, 100);
            if (what < 60) {
                do_append(&log, &m, &rand);
            } else if (what < 64) {
                do_truncate(&log, &m, &rand);
            } else if (what < 68) {
                do_delete(&log, &m, &rand);
            } else if (what < 80) {
                m.high_watermark +=
                    (int64_t)kb_rand_below(&rand, (uint64_t)(m.end - m.high_watermark) + 1);
                log.high_watermark = m.high_watermark;
            } else {
                check_read(&log, &m, &rand);
            }
            if (step % 20 == 0) {
                check_all(&log, &m);
                check_epochs(&log, &m);
            }
        }
        check_all(&log, &m);
        check_epochs(&log, &m);
        km_log_cleanup(&log);
        ck_assert_uint_eq(mem.used, 0);
    }
}
END_TEST

START_TEST(a_log_without_memory_for_a_batch_stays_as_it_was)
{
    static uint8_t data[65536];
    kp_batch batch = make(data, sizeof data, 2, 3000, 'x');
    int refused = 0;
    for (size_t room = 0; room < 30000; room += 500) {
        kb_mem mem;
        km_log log;
        kb_mem_init(&mem, NULL, room ? room : 1);
        km_log_init(&log, &mem);
        if (km_log_begin_epoch(&log, 0) == KC_OK)
            for (int64_t i = 0; i < 3; i++) {
                int64_t end = log.end_offset;
                if (km_log_append(&log, &batch, 0) == KC_OK)
                    continue;
                refused++;
                ck_assert_int_eq(log.end_offset, end);
                ck_assert_int_eq((int64_t)log.entry_count, end / 2);
            }
        km_log_cleanup(&log);
        ck_assert_uint_eq(mem.used, 0);
    }
    ck_assert_int_gt(refused, 0);
}
END_TEST
