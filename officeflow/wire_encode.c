/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Event -> record, in the platform's JSON envelope or as CloudEvents 1.0 (JSON format; Kafka
 * protocol binding). */
#include "officeflow/wire.h"
#include "protocol/base/error.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

#include <stdio.h>

#define CE_SOURCE_PREFIX "/officeflow/"
/* W3C Trace Context 3.3.1.5, W3C Baggage 3.3.2 */
#define TRACESTATE_MAX 512
#define BAGGAGE_MAX    8192

static kc_err check_text(const char *what, kc_bytes text, size_t max, kc_error *err)
{
    if (text.len > max)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "Event: %s has %zu bytes, at most %zu are allowed.", what, text.len,
                            max);
    if (!kb_utf8_is_valid(text))
        return kb_error_set(err, KC_ERR_ARGUMENT, "Event: %s is not valid UTF-8.", what);
    return KC_OK;
}

static bool is_json(kc_bytes content_type)
{
    return content_type.ptr == NULL || kb_text_starts(content_type, KC_STR("application/json"));
}

static kc_err check(const of_event *event, kc_error *err)
{
    KB_TRY(check_text("type", event->type, OF_TYPE_MAX, err));
    KB_TRY(check_text("id", event->id, OF_ID_MAX, err));
    KB_TRY(check_text("correlationId", event->correlation_id, OF_ID_MAX, err));
    KB_TRY(check_text("causationId", event->causation_id, OF_ID_MAX, err));
    KB_TRY(check_text("organizationId", event->organization_id, OF_ID_MAX, err));
    KB_TRY(check_text("source", event->source, OF_TYPE_MAX, err));
    KB_TRY(check_text("subject", event->subject, OF_TYPE_MAX, err));
    KB_TRY(check_text("version", event->version, OF_ID_MAX, err));
    KB_TRY(check_text("content type", event->content_type, OF_TYPE_MAX, err));
    KB_TRY(check_text("traceparent", event->traceparent, OF_TYPE_MAX, err));
    KB_TRY(check_text("tracestate", event->tracestate, TRACESTATE_MAX, err));
    KB_TRY(check_text("baggage", event->baggage, BAGGAGE_MAX, err));
    kc_bytes metadata = event->metadata;
    if (metadata.ptr && (metadata.len < 2 || metadata.ptr[0] != '{'))
        return kb_error_set(err, KC_ERR_ARGUMENT, "Event: metadata must be a JSON object.");
    return KC_OK;
}

/** Metadata with `source` in it: the caller's members byte for byte, ours in front when it is
 * missing. */
static kc_bytes metadata_with_source(const of_event *event, kb_arena *arena, kb_buf *buf)
{
    kc_bytes have = event->metadata.ptr ? event->metadata : KC_STR("{}");
    if (!event->source.ptr || kb_json_pointer(have, "/source").ptr)
        return have;
    kb_buf_reset(buf);
    kb_json_writer writer;
    kb_json_writer_init(&writer, buf);
    kb_buf_put_byte(buf, '{');
    kb_json_str(&writer, "source");
    kb_buf_put_byte(buf, ':');
    kb_json_writer_init(&writer, buf);
    kb_json_string(&writer, event->source);
    kc_bytes rest = kb_text_trim(kc_span(have.ptr + 1, have.len - 1));
    if (rest.len > 1) // more than the closing brace
        kb_buf_put_byte(buf, ',');
    kb_buf_put_bytes(buf, rest);
    return kb_arena_copy(arena, kb_buf_bytes(buf));
}

static void put_envelope(const of_event *event, kc_bytes metadata, kb_json_writer *writer)
{
    char time[25];
    kb_time_format(event->timestamp_ms, time);
    kb_json_object(writer);
    kb_json_member_string(writer, "id", event->id);
    kb_json_member_string(writer, "type", event->type);
    kb_json_member_string(writer, "version", event->version);
    kb_json_member_str(writer, "timestamp", time);
    kb_json_member_string(writer, "organizationId", event->organization_id);
    kb_json_member_string(writer, "correlationId", event->correlation_id);
    kb_json_member_string(writer, "causationId", event->causation_id);
    if (event->subject.ptr)
        kb_json_member_string(writer, "subject", event->subject);
    kb_json_key_str(writer, "metadata");
    kb_json_raw(writer, metadata);
    kb_json_key_str(writer, "payload");
    kb_json_raw(writer, event->payload);
    kb_json_object_end(writer);
}

/** A CloudEvents attribute; in the JSON format extensions are plain members. */
typedef struct attribute {
    const char *name;
    kc_bytes value; /* null: absent */
} attribute;
#define ATTRIBUTES_MAX 16

static size_t ce_attributes(const of_event *event, kc_bytes metadata, kb_arena *arena,
                            attribute attrs[ATTRIBUTES_MAX])
{
    char time[25], expires[25];
    kb_time_format(event->timestamp_ms, time);
    kb_time_format(event->expires_ms, expires);
    const char *source = kb_arena_printf(arena, CE_SOURCE_PREFIX KC_FMT, KC_ARG(event->source));
    attribute all[] = {
        {"specversion", KC_STR("1.0")},
        {"id", event->id},
        {"source", kc_str(source)},
        {"type", event->type},
        {"time", kb_arena_copy(arena, kc_str(time))},
        {"subject", event->subject},
        {"organizationid", event->organization_id},
        {"correlationid", event->correlation_id},
        {"causationid", event->causation_id},
        {"ofversion", event->version},
        {"ofmetadata", metadata},
        {"partitionkey", kb_utf8_is_valid(event->key) ? event->key : KC_NULL},
        {"expirytime", event->expires_ms ? kb_arena_copy(arena, kc_str(expires)) : KC_NULL},
        {"traceparent", event->traceparent},
        {"tracestate", event->tracestate},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].value.ptr)
            attrs[count++] = all[i];
    return count;
}

static void put_structured(const of_event *event, const attribute *attrs, size_t count,
                           kb_json_writer *writer)
{
    kb_json_object(writer);
    for (size_t i = 0; i < count; i++)
        kb_json_member_string(writer, attrs[i].name, attrs[i].value);
    if (is_json(event->content_type)) {
        kb_json_member_str(writer, "datacontenttype", "application/json");
        kb_json_key_str(writer, "data");
        kb_json_raw(writer, event->payload);
    } else {
        kb_json_member_string(writer, "datacontenttype", event->content_type);
        kb_json_key_str(writer, "data_base64");
        kb_json_base64(writer, event->payload);
    }
    kb_json_object_end(writer);
}

static void put_ce_headers(of_headers *headers, const attribute *attrs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (kc_bytes_equal(kc_str(attrs[i].name), KC_STR("traceparent")) ||
            kc_bytes_equal(kc_str(attrs[i].name), KC_STR("tracestate")))
            continue; // these have headers of their own
        const char *name = kb_arena_printf(headers->arena, "ce_%s", attrs[i].name);
        if (name)
            of_headers_set(headers, name, attrs[i].value);
        else
            headers->is_failed = true;
    }
}

static void put_headers(const of_event *event, of_wire_mode mode, of_headers *headers)
{
    of_headers_add_all(headers, event->headers, event->header_count);
    if (mode == OF_WIRE_CE_STRUCTURED)
        of_headers_set(headers, OF_H_CONTENT_TYPE,
                       KC_STR("application/cloudevents+json; charset=UTF-8"));
    else
        of_headers_set(headers, OF_H_CONTENT_TYPE,
                       event->content_type.ptr ? event->content_type : KC_STR("application/json"));
    of_headers_set(headers, OF_H_ENVELOPE, mode == OF_WIRE_ENVELOPE ? KC_STR("1") : KC_NULL);
    of_headers_set(headers, OF_H_ID, event->id);
    of_headers_set(headers, OF_H_TYPE, event->type);
    of_headers_set(headers, OF_H_VERSION, event->version);
    of_headers_set(headers, OF_H_ORG, event->organization_id);
    of_headers_set(headers, OF_H_CORRELATION, event->correlation_id);
    of_headers_set(headers, OF_H_CAUSATION, event->causation_id);
    of_headers_set(headers, OF_H_SOURCE, event->source);
    of_headers_set(headers, OF_H_TRACEPARENT, event->traceparent);
    of_headers_set(headers, OF_H_TRACESTATE, event->tracestate);
    of_headers_set(headers, OF_H_BAGGAGE, event->baggage);
    if (event->expires_ms)
        of_headers_set_i64(headers, OF_H_EXPIRES, event->expires_ms);
}

kc_err of_wire_encode(const of_event *event, of_wire_mode mode, bool ce_headers, kb_arena *arena,
                      of_message *message_out, kc_error *err)
{
    KB_TRY(check(event, err));
    kb_buf buf;
    kb_buf_init(&buf, arena->mem, 0);
    kc_bytes metadata = metadata_with_source(event, arena, &buf);
    attribute attrs[ATTRIBUTES_MAX];
    size_t attr_count = 0;
    if (mode != OF_WIRE_ENVELOPE || ce_headers)
        attr_count = ce_attributes(event, metadata, arena, attrs);

    kb_buf_reset(&buf);
    kb_json_writer writer;
    kb_json_writer_init(&writer, &buf);
    *message_out = (of_message){.key = event->key, .value = event->payload};
    if (event->payload.ptr && mode != OF_WIRE_CE_BINARY) {
        if (mode == OF_WIRE_ENVELOPE)
            put_envelope(event, metadata, &writer);
        else
            put_structured(event, attrs, attr_count, &writer);
        message_out->value = kb_arena_copy(arena, kb_buf_bytes(&buf));
    }
    bool is_failed =
        buf.err != KC_OK || !metadata.ptr || (event->payload.ptr && !message_out->value.ptr);
    kb_buf_cleanup(&buf);

    of_headers headers;
    of_headers_init(&headers, arena);
    put_headers(event, mode, &headers);
    if (mode == OF_WIRE_CE_BINARY || (mode == OF_WIRE_ENVELOPE && ce_headers))
        put_ce_headers(&headers, attrs, attr_count);
    if (is_failed || headers.is_failed)
        return kb_error_code(err, KC_ERR_NOMEM);
    message_out->headers = headers.items;
    message_out->header_count = headers.count;
    return KC_OK;
}
