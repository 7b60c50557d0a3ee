/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Record batches and message sets of all magics and codecs: every record and header is looked at. */
#include "fuzz/fuzz.h"
#include "protocol/base/text.h"
#include "protocol/message_set.h"
#include "tests/unit/protocol/record_vectors.h"

#include <kafkac/records.h>

#include <limits.h>

#define PLAIN_BYTES_MAX ((size_t)1 << 20)
#define RECORDS_MAX     16
#define HEADERS_MAX     8

static uint64_t touched; /* so that no read is left out */

static void read_record(const kp_record *record)
{
    kc_bytes pos = record->headers_raw;
    kc_header header;
    for (size_t i = 0; i < record->key.len; i++)
        touched += record->key.ptr[i];
    for (size_t i = 0; i < record->value.len; i++)
        touched += record->value.ptr[i];
    while (kp_header_next(&pos, &header) == KC_OK)
        touched += header.name.len + header.value.len;
    touched += (uint64_t)kp_control_type(record->key);
}

static void read_batch(const kp_batch *batch, kb_buf *plain)
{
    kp_record_iter iter;
    kp_record record;
    kc_bytes records = batch->records;
    if (kp_batch_codec(batch) != KP_CODEC_NONE) {
        kb_buf_reset(plain);
        if (kp_decompress(kp_batch_codec(batch), batch->records, false, plain) != KC_OK)
            return;
        records = kb_buf_bytes(plain);
    }
    kp_record_iter_init(&iter, batch, records);
    while (kp_record_next(&iter, &record) == KC_OK)
        read_record(&record);
}

/* As the client reads them. */
static void read_in_parts(kc_bytes rest)
{
    kb_mem mem;
    kb_buf plain;
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    kb_buf_init(&plain, &mem, PLAIN_BYTES_MAX);
    for (;;) {
        kp_batch batch;
        kp_message_set set;
        kp_record record;
        kc_err err = kp_batch_next(&rest, true, &batch);
        if (err == KC_OK || err == KC_ERR_CRC) {
            read_batch(&batch, &plain);
            continue;
        }
        if (err != KC_ERR_UNSUPPORTED || kp_message_set_next(&rest, false, &plain, &set) != KC_OK)
            break;
        while (kp_message_next(&set, &record) == KC_OK)
            read_record(&record);
    }
    kb_buf_cleanup(&plain);
    FUZZ_CHECK(mem.used == 0);
}

/* Some records of a batch as they can be written. */
typedef struct some_records {
    size_t count;
    kc_record records[RECORDS_MAX];
    kc_header headers[RECORDS_MAX][HEADERS_MAX];
} some_records;

static void keep(some_records *some, const kc_view *view)
{
    if (some->count == RECORDS_MAX || view->header_count > HEADERS_MAX)
        return;
    kc_header *headers = some->headers[some->count];
    kc_bytes pos = view->headers_raw;
    size_t count = 0;
    while (kc_view_header(&pos, &headers[count]) && ++count < HEADERS_MAX)
        ;
    FUZZ_CHECK(count == (size_t)view->header_count);
    some->records[some->count++] = (kc_record){.timestamp_ms = view->timestamp_ms,
                                               .key = view->key,
                                               .value = view->value,
                                               .headers = headers,
                                               .header_count = count};
}

static void check_same(const kc_record *record, const kc_view *view)
{
    kc_bytes pos = view->headers_raw;
    kc_header header;
    FUZZ_CHECK(view->timestamp_ms == record->timestamp_ms);
    FUZZ_CHECK(kc_bytes_equal(view->key, record->key));
    FUZZ_CHECK(kc_bytes_equal(view->value, record->value));
    for (size_t i = 0; i < record->header_count; i++) {
        FUZZ_CHECK(kc_view_header(&pos, &header));
        FUZZ_CHECK(kc_bytes_equal(header.name, record->headers[i].name));
        FUZZ_CHECK(kc_bytes_equal(header.value, record->headers[i].value));
    }
    FUZZ_CHECK(!kc_view_header(&pos, &header));
}

/* What was read can be written, in the same compression, and reads the same. */
static void write_again(const some_records *some, kc_compression compression)
{
    kc_arena *arena = kc_arena_new(NULL, FUZZ_BYTES_MAX);
    kc_batch_options options = KC_BATCH_OPTIONS_INIT;
    kc_record_batch batch;
    kc_bytes rest;
    kc_view view;
    FUZZ_CHECK(arena);
    options.compression = compression;
    FUZZ_CHECK(kc_record_batch_write(&options, some->records, some->count, arena, &rest) == KC_OK);
    FUZZ_CHECK(kc_record_batch_next(&rest, true, arena, &batch, NULL) == KC_OK && rest.len == 0);
    for (size_t i = 0; i < some->count; i++) {
        FUZZ_CHECK(kc_record_batch_read(&batch, &view, NULL) == KC_OK);
        check_same(&some->records[i], &view);
    }
    FUZZ_CHECK(kc_record_batch_read(&batch, &view, NULL) == KC_ERR_END);
    kc_arena_free(arena);
}

/* As <kafkac/records.h> gives them; checksums are not looked at, for few mutants would get past them. */
static void read_as_public(kc_bytes rest)
{
    kc_arena *arena = kc_arena_new(NULL, PLAIN_BYTES_MAX);
    kc_record_batch batch;
    kc_fault fault = {0};
    kc_view view;
    kc_err err;
    FUZZ_CHECK(arena);
    for (kc_bytes left = rest;
         (err = kc_record_batch_next(&rest, false, arena, &batch, &fault)) == KC_OK; left = rest) {
        some_records some = {.count = 0};
        FUZZ_CHECK(rest.len < left.len);
        while ((err = kc_record_batch_read(&batch, &view, &fault)) == KC_OK) {
            touched += (uint64_t)kc_control_type(view.key);
            keep(&some, &view);
        }
        FUZZ_CHECK(err == KC_ERR_END || (fault.reason && fault.at <= batch.bytes.len));
        if (some.count > 0)
            write_again(&some, batch.compression);
    }
    FUZZ_CHECK(err == KC_ERR_END || (fault.reason && fault.at <= rest.len));
    kc_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_in_parts(kc_span(data, size));
    read_as_public(kc_span(data, size));
    return 0;
}

static void put_written(kb_rand *rand, kb_buf *out)
{
    uint8_t space[2048], bytes[64];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, space, sizeof space);
    for (uint64_t n = kb_rand_below(rand, 8) + 1; n > 0; n--) {
        kc_header header = {KC_STR("h"), kc_span(bytes, kb_rand_below(rand, 8))};
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)kb_rand_below(rand, 4);
        kp_batch_append(&writer, (int64_t)n, kc_span(bytes, kb_rand_below(rand, 16)),
                        kc_span(bytes, kb_rand_below(rand, 64)), &header, kb_rand_below(rand, 2));
    }
    bool is_smaller = false;
    size_t begin = out->len;
    kp_codec codec = (kp_codec)kb_rand_below(rand, KP_CODEC_COUNT);
    if (codec == KP_CODEC_NONE ||
        kp_batch_finish_compressed(&writer, codec, INT_MIN, out, &is_smaller) != KC_OK ||
        !is_smaller)
        kb_buf_put(out, space, kp_batch_finish(&writer));
    kp_batch_seal(out->data + begin, out->len - begin, NULL);
}

/* Batches of our own, and those of the Java client in all magics and codecs. */
void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    static const char *const java[] = {
        VECTOR_V0_GZIP,       VECTOR_V0_LZ4,         VECTOR_V0_NONE,       VECTOR_V0_SNAPPY,
        VECTOR_V1_APPEND_LZ4, VECTOR_V1_APPEND_NONE, VECTOR_V1_GZIP,       VECTOR_V1_LZ4,
        VECTOR_V1_NONE,       VECTOR_V1_SNAPPY,      VECTOR_V2_ABORT,      VECTOR_V2_COMMIT,
        VECTOR_V2_EMPTY,      VECTOR_V2_GZIP,        VECTOR_V2_HORIZON,    VECTOR_V2_LZ4,
        VECTOR_V2_NONE,       VECTOR_V2_SNAPPY,      VECTOR_V2_TXN_APPEND, VECTOR_V2_ZSTD};
    for (uint64_t n = 1 + kb_rand_below(rand, 3); n > 0; n--)
        if (kb_rand_below(rand, 2) == 0)
            put_written(rand, out);
        else
            FUZZ_CHECK(
                kb_hex_get(out, kc_str(java[kb_rand_below(rand, sizeof java / sizeof java[0])])));
}
