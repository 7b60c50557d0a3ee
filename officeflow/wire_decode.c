/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Record -> event. Services in other languages write these topics too, so only a type and a payload
 * are asked for; what the value leaves out comes from the headers. The JSON itself is read
 * strictly: a second "payload" member that another reader would take instead of ours is an error,
 * not a choice. */
#include "officeflow/wire.h"
#include "protocol/base/error.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

#define CE_SOURCE_PREFIX "/officeflow/"

/** Where the members of a JSON event go. */
typedef struct member {
    const char *name;
    size_t offset; /* of a kc_bytes in of_event */
    size_t max;
} member;

static const member envelope_members[] = {
    {"id", offsetof(of_event, id), OF_ID_MAX},
    {"type", offsetof(of_event, type), OF_TYPE_MAX},
    {"version", offsetof(of_event, version), OF_ID_MAX},
    {"organizationId", offsetof(of_event, organization_id), OF_ID_MAX},
    {"correlationId", offsetof(of_event, correlation_id), OF_ID_MAX},
    {"causationId", offsetof(of_event, causation_id), OF_ID_MAX},
    {"subject", offsetof(of_event, subject), OF_TYPE_MAX},
    {NULL, 0, 0},
};

/* also the names of the ce_ headers */
static const member ce_members[] = {
    {"id", offsetof(of_event, id), OF_ID_MAX},
    {"type", offsetof(of_event, type), OF_TYPE_MAX},
    {"source", offsetof(of_event, source), OF_TYPE_MAX},
    {"subject", offsetof(of_event, subject), OF_TYPE_MAX},
    {"ofversion", offsetof(of_event, version), OF_ID_MAX},
    {"organizationid", offsetof(of_event, organization_id), OF_ID_MAX},
    {"correlationid", offsetof(of_event, correlation_id), OF_ID_MAX},
    {"causationid", offsetof(of_event, causation_id), OF_ID_MAX},
    {"ofmetadata", offsetof(of_event, metadata), SIZE_MAX},
    {"datacontenttype", offsetof(of_event, content_type), OF_TYPE_MAX},
    {"traceparent", offsetof(of_event, traceparent), OF_TYPE_MAX},
    {"tracestate", offsetof(of_event, tracestate), 512},
    {NULL, 0, 0},
};

static kc_bytes *slice_at(of_event *event, size_t offset)
{
    return (kc_bytes *)(void *)((char *)event + offset);
}

/** A member's text, where the event does not have it yet. A number is taken as written ("version":
 * 2). */
static kc_err take_text(const member *m, kb_json_type type, kc_bytes raw, kb_arena *arena,
                        of_event *event, kc_error *err)
{
    kc_bytes *field = slice_at(event, m->offset), text = raw;
    if (type == KB_JSON_NULL)
        return KC_OK;
    if (type == KB_JSON_STRING && !kb_json_unescape(raw, arena, &text))
        return kb_error_code(err, KC_ERR_NOMEM);
    if ((type != KB_JSON_STRING && type != KB_JSON_NUMBER) || text.len == 0 || text.len > m->max)
        return kb_error_set(err, KC_ERR_MALFORMED, "member \"%s\" is no text of 1 to %zu bytes",
                            m->name, m->max);
    *field = text;
    return KC_OK;
}

static kc_err take_time(const char *name, kb_json_type type, kc_bytes raw, int64_t *ms,
                        kc_error *err)
{
    if (type == KB_JSON_NULL)
        return KC_OK;
    if (type == KB_JSON_NUMBER && kb_json_i64(raw, ms))
        return KC_OK;
    if (type == KB_JSON_STRING && kb_time_parse(kc_span(raw.ptr + 1, raw.len - 2), ms))
        return KC_OK;
    return kb_error_set(err, KC_ERR_MALFORMED,
                        "member \"%s\" is neither an RFC 3339 time nor milliseconds", name);
}

static const member *find_member(const member *members, kc_bytes raw_key)
{
    for (; members->name; members++)
        if (kb_json_string_is(raw_key, kc_str(members->name)))
            return members;
    return NULL;
}

static bool is_key(kc_bytes raw_key, const char *name)
{
    return kb_json_string_is(raw_key, kc_str(name));
}

/** Members that are not plain text. *taken: it was one of them. */
static kc_err take_special(kc_bytes key, kb_json_type type, kc_bytes raw, kb_arena *arena,
                           of_event *event, bool *taken, kc_error *err)
{
    *taken = true;
    if (is_key(key, "timestamp") || is_key(key, "time"))
        return take_time("timestamp", type, raw, &event->timestamp_ms, err);
    if (is_key(key, "expirytime") || is_key(key, "expiresAt"))
        return take_time("expirytime", type, raw, &event->expires_ms, err);
    if (is_key(key, "payload") || is_key(key, "data")) {
        event->payload = raw;
        return KC_OK;
    }
    if (is_key(key, "metadata") && type == KB_JSON_OBJECT) {
        event->metadata = raw;
        return KC_OK;
    }
    if (is_key(key, "data_base64") && type == KB_JSON_STRING) {
        kb_buf buf;
        kb_buf_init(&buf, arena->mem, 0);
        bool is_ok = kb_base64_get(&buf, kc_span(raw.ptr + 1, raw.len - 2));
        event->payload = is_ok ? kb_arena_copy(arena, kb_buf_bytes(&buf)) : KC_NULL;
        kb_buf_cleanup(&buf);
        if (!is_ok)
            return kb_error_set(err, KC_ERR_MALFORMED, "member \"data_base64\" is no base64");
        return event->payload.ptr ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
    }
    *taken = false;
    return KC_OK;
}

/** Read the members of a JSON event, in either shape. */
static kc_err read_json(kc_bytes value, const member *members, kb_arena *arena, of_event *event,
                        kc_error *err)
{
    kc_error why;
    kc_err checked = kb_json_check(value, true, arena, &why);
    if (checked != KC_OK)
        return kb_error_set(err, checked, "%s", why.text);
    kb_json_reader reader;
    kb_json_reader_init(&reader, value);
    if (kb_json_next(&reader) != KB_JSON_OBJECT)
        return kb_error_set(err, KC_ERR_MALFORMED, "the value is no JSON object");
    while (kb_json_next(&reader) == KB_JSON_KEY) {
        kc_bytes key = reader.raw, raw;
        kb_json_type type = kb_json_value(&reader, &raw);
        bool is_taken;
        KB_TRY(take_special(key, type, raw, arena, event, &is_taken, err));
        const member *m = is_taken ? NULL : find_member(members, key);
        if (m)
            KB_TRY(take_text(m, type, raw, arena, event, err));
    }
    if (!event->type.ptr)
        return kb_error_set(err, KC_ERR_MALFORMED, "the JSON object has no \"type\"");
    if (!event->payload.ptr)
        return kb_error_set(err, KC_ERR_MALFORMED,
                            "the event has neither \"payload\" nor \"data\"");
    return KC_OK;
}

static void read_ce_headers(const of_message *message, of_event *event)
{
    for (const member *m = ce_members; m->name; m++)
        for (size_t i = message->header_count; i > 0; i--) {
            kc_header h = message->headers[i - 1];
            if (h.name.len < 4 || !kb_text_starts(h.name, KC_STR("ce_")) ||
                !kc_bytes_equal(kc_span(h.name.ptr + 3, h.name.len - 3), kc_str(m->name)))
                continue;
            if (h.value.len > 0 && h.value.len <= m->max && kb_utf8_is_valid(h.value))
                *slice_at(event, m->offset) = h.value;
            break;
        }
    kc_bytes time = of_header_text(message->headers, message->header_count, "ce_time");
    if (time.ptr)
        kb_time_parse(time, &event->timestamp_ms);
    time = of_header_text(message->headers, message->header_count, "ce_expirytime");
    if (time.ptr)
        kb_time_parse(time, &event->expires_ms);
}

/** What the value did not say, from our headers. */
static void fill_from_headers(const of_message *message, kc_bytes fallback_id, of_event *event)
{
    static const struct {
        const char *header;
        size_t offset;
    } map[] = {
        {OF_H_ID, offsetof(of_event, id)},
        {OF_H_TYPE, offsetof(of_event, type)},
        {OF_H_VERSION, offsetof(of_event, version)},
        {OF_H_ORG, offsetof(of_event, organization_id)},
        {OF_H_CORRELATION, offsetof(of_event, correlation_id)},
        {OF_H_CAUSATION, offsetof(of_event, causation_id)},
        {OF_H_SOURCE, offsetof(of_event, source)},
        {OF_H_BAGGAGE, offsetof(of_event, baggage)},
    };
    const kc_header *headers = message->headers;
    size_t count = message->header_count;
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        kc_bytes *field = slice_at(event, map[i].offset);
        if (!field->ptr)
            *field = of_header_text(headers, count, map[i].header);
    }
    // the record's header is the creation context as it travelled; it wins over a copy inside the
    // value
    kc_bytes trace = of_header_text(headers, count, OF_H_TRACEPARENT);
    if (trace.ptr) {
        event->traceparent = trace;
        event->tracestate = of_header_text(headers, count, OF_H_TRACESTATE);
    }
    if (!event->expires_ms)
        of_header_i64(headers, count, OF_H_EXPIRES, &event->expires_ms);
    if (!event->id.ptr)
        event->id = fallback_id;
    if (!event->version.ptr)
        event->version = KC_STR("1.0");
}

static void fill_from_metadata(kb_arena *arena, of_event *event)
{
    if (!event->metadata.ptr)
        return;
    if (!event->source.ptr)
        event->source = kb_json_pointer_text(event->metadata, "/source", arena);
    if (!event->subject.ptr)
        event->subject = kb_json_pointer_text(event->metadata, "/employeeId", arena);
}

static of_wire_mode detect(const of_message *message)
{
    kc_bytes ignored;
    kc_bytes type = of_header_text(message->headers, message->header_count, OF_H_CONTENT_TYPE);
    static const char ce[] = "application/cloudevents";
    if (type.len >= sizeof ce - 1 && kb_text_is(kc_span(type.ptr, sizeof ce - 1), ce))
        return OF_WIRE_CE_STRUCTURED;
    if (of_header_find(message->headers, message->header_count, "ce_specversion", &ignored) &&
        !of_header_find(message->headers, message->header_count, OF_H_ENVELOPE, &ignored))
        return OF_WIRE_CE_BINARY;
    return OF_WIRE_ENVELOPE;
}

static kc_err read_structured(const of_message *message, kc_bytes content_type, kb_arena *arena,
                              of_event *event, kc_error *err)
{
    static const char json[] = "application/cloudevents+json";
    if (content_type.len < sizeof json - 1 ||
        !kb_text_is(kc_span(content_type.ptr, sizeof json - 1), json))
        return kb_error_set(err, KC_ERR_MALFORMED, "unknown CloudEvents format \"" KC_FMT "\"",
                            KC_ARG(content_type));
    return read_json(message->value, ce_members, arena, event, err);
}

static kc_err read_value(const of_message *message, of_wire_mode mode, kb_arena *arena,
                         of_event *event, kc_error *err)
{
    kc_bytes content_type =
        of_header_text(message->headers, message->header_count, OF_H_CONTENT_TYPE);
    if (mode == OF_WIRE_CE_STRUCTURED)
        return read_structured(message, content_type, arena, event, err);
    if (mode == OF_WIRE_ENVELOPE)
        return read_json(message->value, envelope_members, arena, event, err);
    read_ce_headers(message, event);
    event->payload = message->value;
    event->content_type = content_type;
    return event->type.ptr ? KC_OK : kb_error_set(err, KC_ERR_MALFORMED, "no ce_type header");
}

kc_err of_wire_decode(const of_message *message, kc_bytes fallback_id, kb_arena *arena,
                      of_event *event_out, kc_error *err)
{
    of_wire_mode mode = detect(message);
    of_event event = {.mode = mode};
    kc_err result = KC_OK;
    if (message->value.ptr)
        result = read_value(message, mode, arena, &event, err);
    else if (mode == OF_WIRE_CE_BINARY)
        read_ce_headers(message, &event);
    if (result != KC_OK) // nothing half read may leak into what a dead letter says
        event = (of_event){.mode = OF_WIRE_RAW, .payload = message->value};
    event.value = message->value;
    event.is_tombstone = message->value.ptr == NULL;
    event.key = message->key;
    event.headers = message->headers;
    event.header_count = message->header_count;
    if (kb_text_starts(event.source, KC_STR(CE_SOURCE_PREFIX))) {
        size_t skip = sizeof CE_SOURCE_PREFIX - 1;
        event.source = kc_span(event.source.ptr + skip, event.source.len - skip);
    }
    fill_from_headers(message, fallback_id, &event);
    fill_from_metadata(arena, &event);
    *event_out = event;
    return result;
}

bool of_event_get(const of_event *event, const char *pointer, char *text_out, size_t cap)
{
    static const struct {
        const char *prefix;
        size_t offset;
    } parts[] = {{"/payload", offsetof(of_event, payload)},
                 {"/metadata", offsetof(of_event, metadata)}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t len = strlen(parts[i].prefix);
        kc_bytes doc = *(const kc_bytes *)(const void *)((const char *)event + parts[i].offset);
        if (strncmp(pointer, parts[i].prefix, len) != 0 || !doc.ptr)
            continue;
        kb_mem mem;
        kb_mem_init(&mem, NULL, 0);
        kb_arena arena;
        kb_arena_init(&arena, &mem, 0);
        kc_bytes text = kb_json_pointer_text(doc, pointer + len, &arena);
        bool is_ok = text.ptr && text.len < cap && !memchr(text.ptr, 0, text.len);
        if (is_ok) {
            memcpy(text_out, text.ptr, text.len);
            text_out[text.len] = 0;
        }
        kb_arena_cleanup(&arena);
        return is_ok;
    }
    return false;
}
