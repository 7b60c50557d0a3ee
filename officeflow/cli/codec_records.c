/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow codec records, batch: record batches of all magics, without a broker. */
#include "officeflow/cli/codec_line.h"
#include "protocol/base/text.h"

#include <limits.h>
#include <stdio.h>

/* ---- reading ---- */

/** Put where it happened in front of what the codec said. */
static bool fail_at(cli_codec_line *line, size_t at, const char *path)
{
    char inner[sizeof line->fault.path];
    memcpy(inner, line->fault.path, sizeof inner);
    line->fault.at += at;
    snprintf(line->fault.path, sizeof line->fault.path, "%s%s%.100s", path, *inner ? "." : "",
             inner);
    return false;
}

static void put_base64(kb_json_writer *json, const char *name, kc_bytes bytes)
{
    kb_json_key_str(json, name);
    kb_json_base64(json, bytes);
}

static void put_headers(kb_json_writer *json, const kc_view *record)
{
    kc_bytes pos = record->headers_raw;
    kc_header header;
    kb_json_key_str(json, "headers");
    kb_json_array(json);
    while (kc_view_header(&pos, &header)) {
        kb_json_array(json);
        kb_json_string(json, header.name);
        if (header.value.ptr) {
            kb_json_object(json);
            put_base64(json, "b64", header.value);
            kb_json_object_end(json);
        } else {
            kb_json_null(json);
        }
        kb_json_array_end(json);
    }
    kb_json_array_end(json);
}

static void put_record(kb_json_writer *json, const kc_record_batch *batch, const kc_view *record)
{
    kb_json_object(json);
    kb_json_member_int(json, "offset", record->offset);
    kb_json_member_int(json, "timestamp", record->timestamp_ms);
    put_base64(json, "key64", record->key);
    put_base64(json, "value64", record->value);
    put_headers(json, record);
    if (batch->is_control) {
        kb_json_key_str(json, "control");
        kb_json_object(json);
        kb_json_member_int(json, "type", kc_control_type(record->key));
        kb_json_object_end(json);
    }
    kb_json_object_end(json);
}

static void put_header_of_batch(kb_json_writer *json, const kc_record_batch *batch)
{
    kb_json_member_int(json, "baseOffset", batch->base_offset);
    kb_json_member_int(json, "magic", batch->magic);
    kb_json_member_int(json, "crc", batch->crc);
    kb_json_member_str(json, "compression", kc_compression_name(batch->compression));
    kb_json_member_str(json, "timestampType",
                       batch->timestamp_type == KC_TIMESTAMP_LOG_APPEND ? "LogAppendTime"
                                                                        : "CreateTime");
    if (batch->magic < 2)
        return;
    kb_json_member_int(json, "batchLength", batch->batch_length);
    kb_json_member_int(json, "partitionLeaderEpoch", batch->leader_epoch);
    kb_json_member_bool(json, "isTransactional", batch->is_transactional);
    kb_json_member_bool(json, "isControl", batch->is_control);
    kb_json_key_str(json, "deleteHorizonMs");
    if (batch->has_delete_horizon)
        kb_json_int(json, batch->base_timestamp_ms);
    else
        kb_json_null(json);
    kb_json_member_int(json, "lastOffsetDelta", batch->last_offset_delta);
    kb_json_member_int(json, "baseTimestamp", batch->base_timestamp_ms);
    kb_json_member_int(json, "maxTimestamp", batch->max_timestamp_ms);
    kb_json_member_int(json, "producerId", batch->producer_id);
    kb_json_member_int(json, "producerEpoch", batch->producer_epoch);
    kb_json_member_int(json, "baseSequence", batch->base_sequence);
}

/** The batch whose number is `number` and which begins at byte `at`. */
static bool put_batch(cli_codec_line *line, kb_json_writer *json, kc_record_batch *batch,
                      unsigned number, size_t at)
{
    kb_json_object(json);
    put_header_of_batch(json, batch);
    kb_json_key_str(json, "records");
    kb_json_array(json);
    kc_view record;
    kc_err err = KC_OK;
    unsigned count = 0;
    for (; cli_codec_fits(line) &&
           (err = kc_record_batch_read(batch, &record, &line->fault)) == KC_OK;
         count++)
        put_record(json, batch, &record);
    if (err != KC_ERR_END) {
        char path[64];
        snprintf(path, sizeof path, "batches[%u].records[%u]", number, count);
        return fail_at(line, at, path);
    }
    kb_json_array_end(json);
    kb_json_object_end(json);
    return true;
}

static bool answer_records(cli_codec_line *line, kc_bytes text)
{
    cli_member members[] = {{.name = "hex", .type = KB_JSON_STRING}, {NULL}};
    kc_bytes bytes;
    if (!cli_codec_members(line, text, members) || !cli_codec_hex(line, &members[0], &bytes))
        return false;
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_key_str(&json, "batches");
    kb_json_array(&json);
    kc_bytes rest = bytes;
    for (unsigned number = 0;; number++) {
        kc_record_batch batch;
        size_t at = bytes.len - rest.len;
        kc_err err = kc_record_batch_next(&rest, true, line->arena, &batch, &line->fault);
        if (err == KC_ERR_END)
            break;
        if (err != KC_OK) {
            char path[32];
            snprintf(path, sizeof path, "batches[%u]", number);
            return fail_at(line, at, path);
        }
        if (!put_batch(line, &json, &batch, number, at))
            return false;
    }
    kb_json_array_end(&json);
    kb_json_member_int(&json, "validBytes", (int64_t)(bytes.len - rest.len));
    kb_json_object_end(&json);
    return true;
}

/* ---- writing ---- */

/** A batch being read from its line. */
typedef struct batch_reader {
    cli_codec_line *line;
    kc_record *records;
    kc_header *headers; /* of one record */
    size_t count;
} batch_reader;

/** Elements of an array's source text. */
static size_t count_items(kc_bytes array)
{
    kb_json_reader json;
    kb_json_reader_init(&json, array);
    (void)kb_json_next(&json);
    size_t count = 0;
    for (kb_json_type type;
         (type = kb_json_value(&json, NULL)) != KB_JSON_ARRAY_END && type != KB_JSON_ERROR;)
        count++;
    return count;
}

/** Base64 or null. */
static bool take_base64(batch_reader *r, kb_json_type type, kc_bytes raw, kc_bytes *out)
{
    *out = KC_NULL;
    if (type == KB_JSON_NULL)
        return true;
    if (type != KB_JSON_STRING)
        return cli_codec_wrong(r->line, "base64 or null is expected");
    kb_buf *buf = &r->line->hex;
    kb_buf_reset(buf);
    if (!kb_base64_get(buf, kc_span(raw.ptr + 1, raw.len - 2)))
        return cli_codec_wrong(r->line, "base64 is not valid");
    *out = kb_arena_copy(&r->line->text, kb_buf_bytes(buf));
    return out->ptr || cli_codec_wrong(r->line, "out of memory");
}

/** ["name", {"b64": "..."} | null] */
static bool read_header(batch_reader *r, kb_json_reader *json, kc_header *out)
{
    kb_json_type type = kb_json_next(json);
    kc_bytes raw = json->raw, value = KC_STR("null");
    if (type != KB_JSON_STRING)
        return cli_codec_wrong(r->line, "a header is [\"name\", {\"b64\":\"...\"} or null]");
    if (!kb_json_unescape(raw, &r->line->text, &out->name))
        return cli_codec_wrong(r->line, "out of memory");
    type = kb_json_next(json);
    if (type == KB_JSON_OBJECT) {
        if (kb_json_next(json) != KB_JSON_KEY || !kb_json_string_is(json->raw, KC_STR("b64")))
            return cli_codec_wrong(r->line, "a header's value is {\"b64\":\"...\"} or null");
        type = kb_json_value(json, &value);
        if (kb_json_next(json) != KB_JSON_OBJECT_END)
            return cli_codec_wrong(r->line, "a header's value is {\"b64\":\"...\"} or null");
    }
    if (!take_base64(r, type, value, &out->value))
        return false;
    return kb_json_next(json) == KB_JSON_ARRAY_END ||
           cli_codec_wrong(r->line, "a header has a name and a value");
}

static bool read_headers(batch_reader *r, kc_bytes text, kc_record *record)
{
    size_t count = count_items(text);
    kc_header *headers = kc_arena_alloc(r->line->arena, count * sizeof *headers);
    if (!headers)
        return cli_codec_wrong(r->line, "out of memory");
    kb_json_reader json;
    kb_json_reader_init(&json, text);
    (void)kb_json_next(&json);
    for (size_t i = 0; i < count; i++)
        if (kb_json_next(&json) != KB_JSON_ARRAY || !read_header(r, &json, &headers[i]))
            return r->line->fault.reason ? false : cli_codec_wrong(r->line, "a header is a list");
    record->headers = headers;
    record->header_count = count;
    return true;
}

static bool read_record_member(batch_reader *r, kb_json_reader *json, kc_record *record)
{
    kc_bytes key = json->raw, raw;
    kb_json_type type = kb_json_value(json, &raw);
    if (kb_json_string_is(key, KC_STR("timestamp")))
        return (type == KB_JSON_NUMBER && kb_json_i64(raw, &record->timestamp_ms)) ||
               cli_codec_wrong(r->line, "timestamp must be a whole number");
    if (kb_json_string_is(key, KC_STR("key64")))
        return take_base64(r, type, raw, &record->key);
    if (kb_json_string_is(key, KC_STR("value64")))
        return take_base64(r, type, raw, &record->value);
    if (kb_json_string_is(key, KC_STR("headers")))
        return type == KB_JSON_ARRAY ? read_headers(r, raw, record)
                                     : cli_codec_wrong(r->line, "headers must be a list");
    return cli_codec_wrong(r->line, "a record has timestamp, key64, value64, headers");
}

static bool read_records(batch_reader *r, kc_bytes text)
{
    r->count = count_items(text);
    r->records = kc_arena_alloc(r->line->arena, r->count * sizeof *r->records);
    if (!r->records)
        return cli_codec_wrong(r->line, "out of memory");
    kb_json_reader json;
    kb_json_reader_init(&json, text);
    (void)kb_json_next(&json);
    for (size_t i = 0; i < r->count; i++) {
        r->records[i] = (kc_record){.timestamp_ms = 0};
        if (kb_json_next(&json) != KB_JSON_OBJECT)
            return cli_codec_wrong(r->line, "a record is an object");
        while (kb_json_next(&json) == KB_JSON_KEY)
            if (!read_record_member(r, &json, &r->records[i]))
                return false;
    }
    return true;
}

static bool read_words(cli_codec_line *line, const cli_member *compression, const cli_member *type,
                       kc_batch_options *options)
{
    kc_bytes word;
    if (!cli_codec_text(line, compression, &word))
        return false;
    if (word.ptr && !kc_compression_by_name(word, &options->compression))
        return cli_codec_wrong(line, "compression is none, gzip, snappy, lz4 or zstd");
    if (!cli_codec_text(line, type, &word))
        return false;
    if (word.ptr && kb_text_is(word, "LogAppendTime"))
        options->timestamp_type = KC_TIMESTAMP_LOG_APPEND;
    else if (word.ptr && !kb_text_is(word, "CreateTime"))
        return cli_codec_wrong(line, "timestampType is CreateTime or LogAppendTime");
    return true;
}

static bool read_options(cli_codec_line *line, const cli_member *m, kc_batch_options *options)
{
    int64_t epoch = options->producer_epoch, leader = options->leader_epoch,
            sequence = options->base_sequence;
    if (!read_words(line, &m[0], &m[1], options) ||
        !cli_codec_int(line, &m[4], 0, INT64_MAX, &options->base_offset) ||
        !cli_codec_int(line, &m[5], -1, INT32_MAX, &leader) ||
        !cli_codec_int(line, &m[6], -1, INT64_MAX, &options->producer_id) ||
        !cli_codec_int(line, &m[7], -1, INT16_MAX, &epoch) ||
        !cli_codec_int(line, &m[8], -1, INT32_MAX, &sequence))
        return false;
    options->is_transactional = m[2].is_true;
    options->is_control = m[3].is_true;
    options->producer_epoch = (int16_t)epoch;
    options->leader_epoch = (int32_t)leader;
    options->base_sequence = (int32_t)sequence;
    return true;
}

static bool answer_batch(cli_codec_line *line, kc_bytes text)
{
    cli_member members[] = {
        {.name = "compression", .type = KB_JSON_STRING},
        {.name = "timestampType", .type = KB_JSON_STRING},
        {.name = "isTransactional", .type = KB_JSON_TRUE},
        {.name = "isControl", .type = KB_JSON_TRUE},
        {.name = "baseOffset", .type = KB_JSON_NUMBER},
        {.name = "partitionLeaderEpoch", .type = KB_JSON_NUMBER},
        {.name = "producerId", .type = KB_JSON_NUMBER},
        {.name = "producerEpoch", .type = KB_JSON_NUMBER},
        {.name = "baseSequence", .type = KB_JSON_NUMBER},
        {.name = "records", .type = KB_JSON_ARRAY},
        {NULL},
    };
    enum {
        RECORDS = 9
    };
    batch_reader r = {.line = line};
    kc_batch_options options = KC_BATCH_OPTIONS_INIT;
    kc_bytes bytes;
    if (!cli_codec_members(line, text, members) || !read_options(line, members, &options))
        return false;
    if (!members[RECORDS].raw.ptr)
        return cli_codec_wrong(line, "member \"records\" is missing");
    if (!read_records(&r, members[RECORDS].raw))
        return false;
    kc_err err = kc_record_batch_write(&options, r.records, r.count, line->arena, &bytes);
    if (err == KC_ERR_ARGUMENT)
        return cli_codec_wrong(line, "a batch has one record at least");
    if (err != KC_OK)
        return cli_codec_wrong(line, "%s", kc_err_text(err));
    cli_codec_print_hex(bytes);
    return true;
}

/* ---- the verbs ---- */

static int run_records(cli_session *session, cli_words words, cli_words command)
{
    (void)session, (void)words, (void)command;
    return cli_codec_lines(answer_records);
}

static int run_batch(cli_session *session, cli_words words, cli_words command)
{
    (void)session, (void)words, (void)command;
    return cli_codec_lines(answer_batch);
}

const cli_verb cli_codec_records_verbs[] = {
    {
        .name = "codec records",
        .arguments = "",
        .summary = "Read record batches: JSON lines with hex in, JSON lines out",
        .help =
            "  {\"hex\":\"...\"}  ->  {\"batches\":[...],\"validBytes\":N}\n"
            "or {\"error\":\"...\",\"at\":BYTE,\"path\":\"batches[0].records[3]\"}. All magics and "
            "compressions; checksums are verified; a part of a batch at the end is left out. An "
            "answer has 512 MiB at most.",
        .is_offline = true,
        .run = run_records,
    },
    {
        .name = "codec batch",
        .arguments = "",
        .summary = "Write record batches of magic 2: JSON lines in, JSON lines with hex out",
        .help = "  {\"compression\":\"lz4\",\"records\":[{\"timestamp\":1,\"key64\":null,"
                "\"value64\":\"aGk=\",\"headers\":[[\"name\",{\"b64\":\"eA==\"}]]}]}  ->  "
                "{\"hex\":\"...\"}\n"
                "Also: timestampType (CreateTime, LogAppendTime), isTransactional, isControl, "
                "baseOffset, partitionLeaderEpoch,\nproducerId, producerEpoch, baseSequence.",
        .is_offline = true,
        .run = run_batch,
    },
    {.name = NULL},
};
