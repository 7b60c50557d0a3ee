/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/batch, writing: the bytes Java writes, records that do not fit, and random records
 * through every codec and back. */
#include "batch_expect.h"
#include "protocol/base/rand.h"
#include "protocol/batch.h"
#include "protocol/wire.h"

#include <limits.h>

static void append_vector_records(kp_batch_writer *w)
{
    const kc_header headers[] = {
        {KC_STR("trace"), KC_STR("abc")},
        {KC_STR("none"), KC_NULL},
        {KC_NULL, KC_STR("")}}; /* a null name is written as an empty one */
    ck_assert(kp_batch_append(w, TIME, KC_STR("key-1"), KC_STR("value-1"), NULL, 0));
    ck_assert(kp_batch_append(w, TIME + 5, KC_NULL, kc_str(long_value), NULL, 0));
    ck_assert(kp_batch_append(w, TIME - 1000, KC_STR("tombstone"), KC_NULL, NULL, 0));
    ck_assert(kp_batch_append(w, TIME + 100000, KC_STR(""), KC_STR(""), headers, 3));
}

static const kp_batch_producer vector_producer = {.id = 4711, .epoch = 3, .base_sequence = 42};

START_TEST(the_same_records_become_the_bytes_java_writes)
{
    begin();
    kc_bytes java = vector_bytes(&mem, VECTOR_V2_NONE);
    uint8_t *data = kb_mem_alloc(&mem, java.len); /* not a byte more is needed */
    kp_batch_writer w;
    kp_batch_writer_init(&w, data, java.len);
    append_vector_records(&w);
    ck_assert_uint_eq(kp_batch_finish(&w), java.len);
    kp_batch_seal(data, w.len, &vector_producer);
    kp_store64(data + KP_BATCH_AT_BASE_OFFSET, 100); /* the broker's part */
    kp_store32(data + KP_BATCH_AT_LEADER_EPOCH, 7);
    ck_assert(memcmp(data, java.ptr, java.len) == 0);
    kb_mem_free(&mem, data);
    vector_free(&mem, java);
    finish();
}
END_TEST

START_TEST(a_finished_batch_belongs_to_nobody)
{
    begin();
    uint8_t data[400];
    kp_batch_writer w;
    kp_batch b;
    kp_batch_writer_init(&w, data, sizeof data);
    append_vector_records(&w);
    kc_bytes rest = kc_span(data, kp_batch_finish(&w));
    ck_assert_int_eq(kp_batch_next(&rest, false, &b), KC_OK);
    ck_assert_int_eq(b.base_offset, 0);
    ck_assert_int_eq(b.leader_epoch, -1);
    ck_assert_int_eq(b.producer_id, -1);
    ck_assert_int_eq(b.producer_epoch, -1);
    ck_assert_int_eq(b.base_sequence, -1);
    kp_batch_seal(data, w.len, NULL);
    rest = kc_span(data, w.len);
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    ck_assert_int_eq(b.producer_id, -1);
    finish();
}
END_TEST

START_TEST(a_batch_can_be_sealed_again_for_another_epoch)
{
    begin();
    uint8_t data[400];
    kp_batch_writer w;
    kp_batch b;
    kp_batch_writer_init(&w, data, sizeof data);
    append_vector_records(&w);
    size_t len = kp_batch_finish(&w);
    kp_batch_producer p = {
        .id = 1, .epoch = 2, .base_sequence = INT32_MAX, .is_transactional = true};
    kp_batch_seal(data, len, &p);
    kc_bytes rest = kc_span(data, len);
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    ck_assert_int_eq(b.attributes, KP_ATTR_TRANSACTIONAL);
    ck_assert_int_eq(b.base_sequence, INT32_MAX);
    p = (kp_batch_producer){.id = 1, .epoch = 3, .base_sequence = 0};
    kp_batch_seal(data, len, &p);
    rest = kc_span(data, len);
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    ck_assert_int_eq(b.attributes, 0);
    ck_assert_int_eq(b.producer_epoch, 3);
    finish();
}
END_TEST

START_TEST(a_field_changed_in_place_needs_a_new_checksum)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_NONE);
    uint8_t *data = (uint8_t *)(uintptr_t)bytes.ptr;
    kp_batch b;
    kp_store64(data + KP_BATCH_AT_MAX_TIMESTAMP, 5);
    kc_bytes rest = bytes;
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_ERR_CRC);
    kp_batch_reseal(data, bytes.len);
    rest = bytes;
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    ck_assert_int_eq(b.max_timestamp, 5);
    vector_free(&mem, bytes);
    finish();
}
END_TEST

START_TEST(compression_that_pays_writes_a_batch_and_else_nothing)
{
    begin();
    uint8_t data[1000];
    kb_buf out;
    kb_buf_init(&out, &mem, 0);
    for (int codec = 1; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        kp_batch_writer w;
        kp_batch b;
        bool is_smaller;
        kp_batch_writer_init(&w, data, sizeof data);
        append_vector_records(&w);
        kb_buf_reset(&out);
        kb_buf_put(&out, "kept", 4);
        ck_assert_int_eq(
            kp_batch_finish_compressed(&w, (kp_codec)codec, INT_MIN, &out, &is_smaller), KC_OK);
        ck_assert(is_smaller);
        ck_assert(memcmp(out.data, "kept", 4) == 0);
        kp_batch_seal(out.data + 4, out.len - 4, &vector_producer);
        kp_store64(out.data + 4, 100);
        kc_bytes rest = kc_span(out.data + 4, out.len - 4);
        ck_assert_uint_lt(rest.len, w.len);
        ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
        ck_assert_int_eq(b.attributes, codec);
        expect_vector_records(&b, vector_times);

        kp_batch_writer_init(&w, data, sizeof data);
        ck_assert(kp_batch_append(&w, TIME, KC_NULL, KC_STR("1"), NULL, 0));
        size_t before = out.len;
        ck_assert_int_eq(
            kp_batch_finish_compressed(&w, (kp_codec)codec, INT_MIN, &out, &is_smaller), KC_OK);
        ck_assert(!is_smaller);
        ck_assert_uint_eq(out.len, before);
    }
    kb_buf_cleanup(&out);
    finish();
}
END_TEST

START_TEST(compression_that_fails_changes_nothing)
{
    begin();
    uint8_t data[1000];
    kp_batch_writer w;
    bool is_smaller = true;
    kp_batch_writer_init(&w, data, sizeof data);
    append_vector_records(&w);
    for (size_t limit = 8; limit < 100; limit += 40) {
        kb_buf out;
        kb_buf_init(&out, &mem, limit);
        kb_buf_put(&out, "kept", 4);
        ck_assert_int_eq(kp_batch_finish_compressed(&w, KP_CODEC_GZIP, INT_MIN, &out, &is_smaller),
                         KC_ERR_NOMEM);
        ck_assert(!is_smaller && out.err == KC_OK && out.len == 4);
        ck_assert_int_eq(kp_batch_finish_compressed(&w, (kp_codec)7, INT_MIN, &out, &is_smaller),
                         limit < 65 ? KC_ERR_NOMEM : KC_ERR_UNSUPPORTED);
        ck_assert(out.err == KC_OK && out.len == 4);
        out.err = KC_ERR_NOMEM; /* of an earlier write: told again, and stays */
        ck_assert_int_eq(kp_batch_finish_compressed(&w, KP_CODEC_GZIP, INT_MIN, &out, &is_smaller),
                         KC_ERR_NOMEM);
        ck_assert(out.err == KC_ERR_NOMEM && out.len == 4);
        kb_buf_cleanup(&out);
    }
    finish();
}
END_TEST

START_TEST(a_record_that_does_not_fit_changes_nothing)
{
    begin();
    const kc_header header = {KC_STR("name"), KC_STR("value")};
    kc_bytes key = KC_STR("key");
    kc_bytes value = kc_str(long_value);
    /* length 2, attributes 1, deltas 2, key 4, value 2 + 113, header count 1, header 5 + 6 */
    const size_t exact = KP_BATCH_HEADER_BYTES + 136;
    for (size_t cap = KP_BATCH_HEADER_BYTES; cap <= exact; cap++) {
        uint8_t *data = kb_mem_alloc(&mem, cap);
        kp_batch_writer w;
        kp_batch_writer_init(&w, data, cap);
        bool fits = kp_batch_append(&w, TIME, key, value, &header, 1);
        ck_assert_int_eq(fits, cap == exact);
        ck_assert_int_eq(w.count, fits);
        ck_assert_uint_eq(w.len, fits ? exact : KP_BATCH_HEADER_BYTES);
        ck_assert_int_eq(w.base_timestamp, fits ? TIME : KP_NO_TIMESTAMP);
        ck_assert_int_eq(w.max_timestamp, fits ? TIME : KP_NO_TIMESTAMP);
        kb_mem_free(&mem, data);
    }
    finish();
}
END_TEST

START_TEST(an_open_batch_can_move_to_larger_memory)
{
    begin();
    kc_bytes java = vector_bytes(&mem, VECTOR_V2_NONE);
    uint8_t small[KP_BATCH_HEADER_BYTES + 40];
    uint8_t large[400];
    kp_batch_writer w;
    kp_batch_writer_init(&w, small, sizeof small);
    ck_assert(kp_batch_append(&w, TIME, KC_STR("key-1"), KC_STR("value-1"), NULL, 0));
    ck_assert(!kp_batch_append(&w, TIME + 5, KC_NULL, kc_str(long_value), NULL, 0));
    memcpy(large, small, w.len);
    kp_batch_writer_move(&w, large, sizeof large);
    ck_assert(kp_batch_append(&w, TIME + 5, KC_NULL, kc_str(long_value), NULL, 0));
    ck_assert_int_eq(w.count, 2);
    ck_assert(memcmp(large + KP_BATCH_HEADER_BYTES, java.ptr + KP_BATCH_HEADER_BYTES,
                     w.len - KP_BATCH_HEADER_BYTES) == 0);
    vector_free(&mem, java);
    finish();
}
END_TEST

START_TEST(a_record_that_can_not_be_encoded_has_no_size)
{
    begin();
    static const uint8_t byte = 0;
    kc_bytes huge = kc_span(&byte, (size_t)INT32_MAX); /* never read: refused by its length */
    kc_bytes more = kc_span(&byte, SIZE_MAX);
    kc_header headers[3] = {{huge, KC_NULL}, {huge, huge}, {KC_NULL, more}};
    ck_assert_uint_eq(kp_record_size_max(huge, KC_NULL, NULL, 0), SIZE_MAX);
    ck_assert_uint_eq(kp_record_size_max(KC_NULL, huge, NULL, 0), SIZE_MAX);
    ck_assert_uint_eq(kp_record_size_max(more, more, NULL, 0), SIZE_MAX);
    ck_assert_uint_eq(kp_record_size_max(KC_NULL, KC_NULL, headers, 1), SIZE_MAX);
    ck_assert_uint_eq(kp_record_size_max(KC_NULL, KC_NULL, headers, 2), SIZE_MAX);
    ck_assert_uint_eq(kp_record_size_max(KC_NULL, KC_NULL, headers + 2, 1), SIZE_MAX);
    ck_assert_uint_eq(kp_record_size_max(KC_NULL, KC_NULL, headers, SIZE_MAX), SIZE_MAX);
    uint8_t data[100];
    kp_batch_writer w;
    kp_batch_writer_init(&w, data, sizeof data);
    ck_assert(!kp_batch_append(&w, 0, huge, KC_NULL, NULL, 0));
    ck_assert(!kp_batch_append(&w, 0, KC_NULL, more, NULL, 0));
    ck_assert(!kp_batch_append(&w, 0, KC_NULL, KC_NULL, headers, 2));
    ck_assert(!kp_batch_append(&w, 0, KC_NULL, KC_NULL, headers + 2, 1));
    ck_assert(!kp_batch_append(&w, 0, KC_NULL, KC_NULL, headers, SIZE_MAX));
    w.count = INT32_MAX;
    ck_assert(!kp_batch_append(&w, 0, KC_NULL, KC_NULL, NULL, 0));
    ck_assert_uint_eq(w.len, KP_BATCH_HEADER_BYTES);
    kp_batch_writer_init(&w, data, SIZE_MAX); /* only as far as a length can say */
    ck_assert_uint_eq(w.cap, INT32_MAX);
    finish();
}
END_TEST

/* ---- random records ---- */

enum {
    TEXT_BYTES = 3000,
    HEADERS_MAX = 4
};

typedef struct model {
    kb_rand rand;
    uint8_t text[TEXT_BYTES];
    int64_t timestamp;
    kc_bytes key;
    kc_bytes value;
    kc_header headers[HEADERS_MAX];
    size_t header_count;
} model;

static void model_init(model *m, uint64_t seed)
{
    kb_rand_init(&m->rand, seed);
    for (size_t i = 0; i < TEXT_BYTES; i++)
        m->text[i] = (uint8_t)('a' + kb_rand_below(&m->rand, 3));
}

static kc_bytes model_bytes(model *m, bool may_be_null)
{
    static const size_t bounds[] = {1, 3, 70, 200, TEXT_BYTES};
    uint64_t kind = kb_rand_below(&m->rand, 7);
    if (kind >= 5)
        return may_be_null ? KC_NULL : KC_STR("");
    size_t len = kb_rand_below(&m->rand, bounds[kind]);
    return kc_span(m->text + kb_rand_below(&m->rand, TEXT_BYTES - len), len);
}

static void model_next(model *m)
{
    static const int64_t edges[] = {INT64_MIN, INT64_MAX, -1, 0};
    uint64_t kind = kb_rand_below(&m->rand, 20);
    m->timestamp = kind < 4 ? edges[kind] : TIME + (int64_t)kb_rand_below(&m->rand, 100000);
    m->key = model_bytes(m, true);
    m->value = model_bytes(m, true);
    m->header_count = kb_rand_below(&m->rand, 3) ? 0 : kb_rand_below(&m->rand, HEADERS_MAX + 1);
    for (size_t i = 0; i < m->header_count; i++)
        m->headers[i] = (kc_header){model_bytes(m, false), model_bytes(m, true)};
}

static void expect_model(const model *m, const kp_record *r)
{
    ck_assert_int_eq(r->timestamp, m->timestamp);
    ck_assert(kc_bytes_equal(r->key, m->key));
    ck_assert(kc_bytes_equal(r->value, m->value));
    ck_assert_int_eq(r->header_count, (int32_t)m->header_count);
    kc_bytes pos = r->headers_raw;
    kc_header header;
    for (size_t i = 0; i < m->header_count; i++) {
        ck_assert_int_eq(kp_header_next(&pos, &header), KC_OK);
        ck_assert(kc_bytes_equal(header.name, m->headers[i].name));
        ck_assert(kc_bytes_equal(header.value, m->headers[i].value));
    }
    ck_assert_int_eq(kp_header_next(&pos, &header), KC_ERR_END);
}

static size_t write_model(model *m, kp_batch_writer *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        model_next(m);
        size_t before = w->len;
        size_t most = kp_record_size_max(m->key, m->value, m->headers, m->header_count);
        if (!kp_batch_append(w, m->timestamp, m->key, m->value, m->headers, m->header_count)) {
            ck_assert_uint_gt(most, w->cap - w->len);
            return i;
        }
        ck_assert_uint_le(w->len - before, most);
    }
    return count;
}

static void expect_batch(kc_bytes bytes, uint64_t seed, size_t count)
{
    static model m;
    kp_batch b;
    kp_record_iter iter;
    kp_record r;
    kc_bytes records;
    ck_assert_int_eq(kp_batch_next(&bytes, true, &b), KC_OK);
    ck_assert_int_eq(b.record_count, (int32_t)count);
    ck_assert_int_eq(kp_batch_plain(&b, &scratch, &records), KC_OK);
    kp_record_iter_init(&iter, &b, records);
    model_init(&m, seed);
    for (size_t i = 0; i < count; i++) {
        model_next(&m);
        ck_assert_int_eq(kp_record_next(&iter, &r), KC_OK);
        ck_assert_int_eq(r.offset, (int64_t)i);
        expect_model(&m, &r);
    }
    ck_assert_int_eq(kp_record_next(&iter, &r), KC_ERR_END);
}

START_TEST(random_records_come_back_through_every_codec)
{
    begin();
    enum {
        CAP = 60000
    };
    static model m;
    uint8_t *data = kb_mem_alloc(&mem, CAP);
    kb_buf out;
    kb_buf_init(&out, &mem, 0);
    for (uint64_t seed = 0; seed < 120; seed++) {
        model_init(&m, seed);
        size_t want = 1 + kb_rand_below(&m.rand, seed % 10 == 0 ? 2000 : 20);
        kp_batch_writer w;
        kp_batch_writer_init(&w, data, CAP);
        model_init(&m, seed);
        size_t count = write_model(&m, &w, want);
        ck_assert_uint_gt(count, 0);
        for (int codec = 1; codec < KP_CODEC_COUNT; codec++) {
            if (!kp_codec_is_built((kp_codec)codec))
                continue;
            bool is_smaller;
            kb_buf_reset(&out);
            ck_assert_int_eq(
                kp_batch_finish_compressed(&w, (kp_codec)codec, INT_MIN, &out, &is_smaller), KC_OK);
            if (!is_smaller)
                continue;
            kp_batch_seal(out.data, out.len, NULL);
            expect_batch(kb_buf_bytes(&out), seed, count);
        }
        kp_batch_seal(data, kp_batch_finish(&w), NULL);
        expect_batch(kc_span(data, w.len), seed, count);
    }
    kb_buf_cleanup(&out);
    kb_mem_free(&mem, data);
    finish();
}
END_TEST
