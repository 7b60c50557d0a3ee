/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the tests of reading and of writing batches share: memory, and the records of the vectors.
 */
#ifndef BATCH_EXPECT_H
#define BATCH_EXPECT_H

#include "protocol/batch.h"
#include "record_vectors.h"

#include <check.h>

static kb_mem mem;
static kb_buf scratch;

static void begin(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&scratch, &mem, 0);
}

static void finish(void)
{
    kb_buf_cleanup(&scratch);
    ck_assert_uint_eq(mem.used, 0);
}

/* ---- the records of the vectors ---- */

static const char long_value[] =
    "a value without a key, a value without a key, a value without a key, a value without a key, a "
    "value without a key";

#define TIME ((int64_t)1700000000000)

static void expect_bytes(kc_bytes bytes, const char *text)
{
    ck_assert(kc_bytes_equal(bytes, kc_str(text)));
}

static void expect_header(kc_bytes *pos, const char *name, const char *value)
{
    kc_header header;
    ck_assert_int_eq(kp_header_next(pos, &header), KC_OK);
    expect_bytes(header.name, name);
    expect_bytes(header.value, value);
}

static void expect_vector_records(const kp_batch *batch, const int64_t times[4])
{
    kc_bytes records;
    kp_record_iter iter;
    kp_record r;
    ck_assert_int_eq(kp_batch_plain(batch, &scratch, &records), KC_OK);
    kp_record_iter_init(&iter, batch, records);
    static const char *const keys[] = {"key-1", NULL, "tombstone", ""};
    static const char *const values[] = {"value-1", long_value, NULL, ""};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(kp_record_next(&iter, &r), KC_OK);
        ck_assert_int_eq(r.offset, 100 + i);
        ck_assert_int_eq(r.timestamp, times[i]);
        expect_bytes(r.key, keys[i]);
        expect_bytes(r.value, values[i]);
        ck_assert_int_eq(r.header_count, i < 3 ? 0 : 3);
    }
    kc_header header;
    expect_header(&r.headers_raw, "trace", "abc");
    expect_header(&r.headers_raw, "none", NULL);
    expect_header(&r.headers_raw, "", "");
    ck_assert_int_eq(kp_header_next(&r.headers_raw, &header), KC_ERR_END);
    ck_assert_int_eq(kp_record_next(&iter, &r), KC_ERR_END);
    ck_assert_int_eq(kp_record_next(&iter, &r), KC_ERR_END);
}

static const int64_t vector_times[4] = {TIME, TIME + 5, TIME - 1000, TIME + 100000};

#endif
