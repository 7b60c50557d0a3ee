/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Events to records and back, in the three forms; payload bytes pass unchanged. */
#include "officeflow/wire.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>
#include <stdio.h>

/* P-04 */
#define ODD_PAYLOAD                                                                                \
    "{\"n\":9007199254740993,\"u\":18446744073709551615,\"d\":1.10,\"s\":\"\\u0000\"}"

static kb_mem mem;
static kb_arena arena;

static void begin(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
}

static void end(void)
{
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}

static of_event seed_event(void)
{
    return (of_event){
        .id = KC_STR("01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e11"),
        .type = KC_STR("employee.onboard"),
        .version = KC_STR("1.0"),
        .timestamp_ms = 1795436102417,
        .organization_id = KC_STR("org-123"),
        .correlation_id = KC_STR("01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e10"),
        .causation_id = KC_STR("01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e0f"),
        .source = KC_STR("hrms-adapter"),
        .metadata = KC_STR("{ \"source\": \"hrms-adapter\",  \"employeeId\": \"emp-456\" }"),
        .payload = KC_STR("{ \"employeeId\":\"emp-456\", \"name\":\"John Doe\" }"),
        .traceparent = KC_STR("00-01990f3e6d0a7c419b1e5f0c2a7d9e10-00f067aa0ba902b7-01"),
        .tracestate = KC_STR("a=b"),
        .expires_ms = 1795436999000,
        .key = KC_STR("emp-456"),
    };
}

static of_message encode(const of_event *event, of_wire_mode mode, bool ce_headers)
{
    of_message message;
    kc_error err;
    ck_assert_msg(of_wire_encode(event, mode, ce_headers, &arena, &message, &err) == KC_OK, "%s",
                  err.text);
    return message;
}

static of_event decode(const of_message *message)
{
    of_event event;
    kc_error err;
    ck_assert_msg(of_wire_decode(message, KC_STR("t/0/7"), &arena, &event, &err) == KC_OK, "%s",
                  err.text);
    return event;
}

static of_event decode_json(const char *json)
{
    of_message message = {.value = kc_str(json)};
    return decode(&message);
}

static void same(kc_bytes a, kc_bytes b, const char *what)
{
    ck_assert_msg(kc_bytes_equal(a, b), "%s: \"" KC_FMT "\" and \"" KC_FMT "\"", what, KC_ARG(a),
                  KC_ARG(b));
}

static void same_event(const of_event *a, const of_event *b)
{
    same(a->id, b->id, "id");
    same(a->type, b->type, "type");
    same(a->version, b->version, "version");
    ck_assert_int_eq(a->timestamp_ms, b->timestamp_ms);
    same(a->organization_id, b->organization_id, "organization");
    same(a->correlation_id, b->correlation_id, "correlation");
    same(a->causation_id, b->causation_id, "causation");
    same(a->source, b->source, "source");
    same(a->metadata, b->metadata, "metadata");
    same(a->payload, b->payload, "payload");
    same(a->traceparent, b->traceparent, "traceparent");
    same(a->tracestate, b->tracestate, "tracestate");
    same(a->key, b->key, "key");
    ck_assert_int_eq(a->expires_ms, b->expires_ms);
}

/* P-03 */
START_TEST(three_forms_read_back_equal)
{
    static const of_wire_mode modes[] = {OF_WIRE_ENVELOPE, OF_WIRE_CE_STRUCTURED,
                                         OF_WIRE_CE_BINARY};
    begin();
    of_event event = seed_event();
    for (size_t i = 0; i < 3; i++) {
        of_message message = encode(&event, modes[i], false);
        of_event back = decode(&message);
        ck_assert_int_eq(back.mode, modes[i]);
        ck_assert(!back.is_tombstone);
        same_event(&event, &back);
    }
    end();
}
END_TEST

/* P-04 */
START_TEST(odd_payload_passes_byte_for_byte_in_every_form)
{
    begin();
    of_event event = seed_event();
    event.payload = KC_STR(ODD_PAYLOAD);
    for (int mode = OF_WIRE_ENVELOPE; mode <= OF_WIRE_CE_BINARY; mode++) {
        of_message message = encode(&event, (of_wire_mode)mode, false);
        same(decode(&message).payload, event.payload, "payload");
    }
    end();
}
END_TEST

START_TEST(scalar_payloads_pass)
{
    static const char *const payloads[] = {"null", "true", "-0.0", "\"\\ud83d\\ude00\"",
                                           "[]",   "{}"};
    begin();
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        of_event event = seed_event();
        event.payload = kc_str(payloads[i]);
        for (int mode = OF_WIRE_ENVELOPE; mode <= OF_WIRE_CE_STRUCTURED; mode++) {
            of_message message = encode(&event, (of_wire_mode)mode, false);
            same(decode(&message).payload, event.payload, "payload");
        }
    }
    end();
}
END_TEST

START_TEST(envelope_has_the_seeds_members_in_order)
{
    begin();
    of_event event = seed_event();
    event.causation_id = KC_NULL;
    of_message message = encode(&event, OF_WIRE_ENVELOPE, false);
    same(message.value,
         KC_STR("{\"id\":\"01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e11\",\"type\":\"employee.onboard\","
                "\"version\":\"1.0\",\"timestamp\":\"2026-11-23T12:15:02.417Z\","
                "\"organizationId\":\"org-123\","
                "\"correlationId\":\"01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e10\",\"causationId\":null,"
                "\"metadata\":{ \"source\": \"hrms-adapter\",  \"employeeId\": \"emp-456\" },"
                "\"payload\":{ \"employeeId\":\"emp-456\", \"name\":\"John Doe\" }}"),
         "value");
    end();
}
END_TEST

START_TEST(envelope_headers_are_the_copies_of_its_members)
{
    static const char *const pairs[][2] = {
        {"content-type", "application/json"},
        {"of-envelope", "1"},
        {"of-id", "01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e11"},
        {"of-type", "employee.onboard"},
        {"of-version", "1.0"},
        {"of-org", "org-123"},
        {"of-correlation-id", "01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e10"},
        {"of-causation-id", "01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e0f"},
        {"of-source", "hrms-adapter"},
        {"of-expires", "1795436999000"},
        {"tracestate", "a=b"},
    };
    begin();
    of_event event = seed_event();
    of_message message = encode(&event, OF_WIRE_ENVELOPE, false);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        same(of_header_text(message.headers, message.header_count, pairs[i][0]),
             kc_str(pairs[i][1]), pairs[i][0]);
    ck_assert_uint_eq(message.header_count, sizeof pairs / sizeof pairs[0] + 1); // traceparent
    end();
}
END_TEST

START_TEST(foreign_headers_pass_in_front_and_in_order)
{
    begin();
    kc_header foreign[] = {{KC_STR("b"), KC_STR("1")},
                           {KC_STR("a"), KC_STR("2")},
                           {KC_STR("b"), KC_STR("3")},
                           {KC_STR("of-id"), KC_STR("forged")}};
    of_event event = seed_event();
    event.headers = foreign;
    event.header_count = 4;
    of_message message = encode(&event, OF_WIRE_ENVELOPE, false);
    for (size_t i = 0; i < 3; i++) {
        same(message.headers[i].name, foreign[i].name, "name");
        same(message.headers[i].value, foreign[i].value, "value");
    }
    size_t ids = 0;
    for (size_t i = 0; i < message.header_count; i++)
        ids += kc_bytes_equal(message.headers[i].name, KC_STR("of-id")) ? 1 : 0;
    ck_assert_uint_eq(ids, 1);
    same(of_header_text(message.headers, message.header_count, "of-id"), event.id, "of-id");
    end();
}
END_TEST

START_TEST(source_is_added_to_metadata_that_lacks_it)
{
    static const char *const cases[][2] = {
        {NULL, "{\"source\":\"hrms-adapter\"}"},
        {"{}", "{\"source\":\"hrms-adapter\"}"},
        {"{ }", "{\"source\":\"hrms-adapter\"}"},
        {"{ \"a\" : 1 }", "{\"source\":\"hrms-adapter\",\"a\" : 1 }"},
        {"{\"source\":\"x\"}", "{\"source\":\"x\"}"},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        of_event event = seed_event();
        event.metadata = kc_str(cases[i][0]);
        of_message message = encode(&event, OF_WIRE_ENVELOPE, false);
        same(decode(&message).metadata, kc_str(cases[i][1]), "metadata");
    }
    end();
}
END_TEST

START_TEST(text_is_escaped_and_comes_back)
{
    begin();
    of_event event = seed_event();
    event.source = KC_STR("a\"b\\c\n\x01\xc3\xa4");
    event.metadata = KC_NULL;
    for (int mode = OF_WIRE_ENVELOPE; mode <= OF_WIRE_CE_BINARY; mode++) {
        of_message message = encode(&event, (of_wire_mode)mode, false);
        same(decode(&message).source, event.source, "source");
    }
    end();
}
END_TEST

START_TEST(structured_form_is_a_cloudevent)
{
    begin();
    of_event event = seed_event();
    event.subject = KC_STR("emp-456");
    of_message message = encode(&event, OF_WIRE_CE_STRUCTURED, false);
    same(of_header_text(message.headers, message.header_count, "content-type"),
         KC_STR("application/cloudevents+json; charset=UTF-8"), "content-type");
    static const char *const parts[] = {
        "\"specversion\":\"1.0\"",
        "\"source\":\"/officeflow/hrms-adapter\"",
        "\"time\":\"2026-11-23T12:15:02.417Z\"",
        "\"subject\":\"emp-456\"",
        "\"organizationid\":\"org-123\"",
        "\"causationid\":\"01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e0f\"",
        "\"ofmetadata\":\"{ \\\"source\\\"",
        "\"partitionkey\":\"emp-456\"",
        "\"datacontenttype\":\"application/json\"",
        "\"data\":{ \"employeeId\"",
    };
    char text[2048];
    ck_assert_uint_lt(message.value.len, sizeof text);
    snprintf(text, sizeof text, KC_FMT, KC_ARG(message.value));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "%s in %s", parts[i], text);
    end();
}
END_TEST

START_TEST(binary_form_carries_attributes_as_headers)
{
    begin();
    of_event event = seed_event();
    of_message message = encode(&event, OF_WIRE_CE_BINARY, false);
    same(message.value, event.payload, "value");
    same(of_header_text(message.headers, message.header_count, "ce_specversion"), KC_STR("1.0"),
         "ce_specversion");
    same(of_header_text(message.headers, message.header_count, "ce_type"), event.type, "ce_type");
    same(of_header_text(message.headers, message.header_count, "ce_source"),
         KC_STR("/officeflow/hrms-adapter"), "ce_source");
    ck_assert_ptr_null(of_header_text(message.headers, message.header_count, "of-envelope").ptr);
    end();
}
END_TEST

START_TEST(bytes_that_are_no_json_travel_in_the_cloudevents_forms)
{
    begin();
    of_event event = seed_event();
    event.payload = kc_span("\x00\xff\x01", 3);
    event.content_type = KC_STR("application/octet-stream");
    for (int mode = OF_WIRE_CE_STRUCTURED; mode <= OF_WIRE_CE_BINARY; mode++) {
        of_message message = encode(&event, (of_wire_mode)mode, false);
        of_event back = decode(&message);
        same(back.payload, event.payload, "payload");
        same(back.content_type, event.content_type, "content type");
    }
    end();
}
END_TEST

START_TEST(envelope_with_ce_headers_is_still_an_envelope)
{
    begin();
    of_event event = seed_event();
    of_message message = encode(&event, OF_WIRE_ENVELOPE, true);
    ck_assert_ptr_nonnull(of_header_text(message.headers, message.header_count, "ce_type").ptr);
    of_event back = decode(&message);
    ck_assert_int_eq(back.mode, OF_WIRE_ENVELOPE);
    same_event(&event, &back);
    end();
}
END_TEST

START_TEST(detection_ignores_case_of_the_content_type)
{
    begin();
    kc_header headers[] = {{KC_STR("content-type"), KC_STR("Application/CloudEvents+JSON")}};
    of_message message = {.value = KC_STR("{\"specversion\":\"1.0\",\"type\":\"a.b\",\"data\":5}"),
                          .headers = headers,
                          .header_count = 1};
    of_event event = decode(&message);
    ck_assert_int_eq(event.mode, OF_WIRE_CE_STRUCTURED);
    same(event.payload, KC_STR("5"), "payload");
    end();
}
END_TEST

START_TEST(unknown_cloudevents_format_is_refused)
{
    begin();
    kc_header headers[] = {{KC_STR("content-type"), KC_STR("application/cloudevents+avro")}};
    of_message message = {.value = KC_STR("{}"), .headers = headers, .header_count = 1};
    of_event event;
    kc_error err;
    ck_assert_int_eq(of_wire_decode(&message, KC_NULL, &arena, &event, &err), KC_ERR_MALFORMED);
    ck_assert_int_eq(event.mode, OF_WIRE_RAW);
    end();
}
END_TEST

START_TEST(little_is_enough_on_read)
{
    begin();
    of_event event = decode_json("{\"type\":\"a.b\",\"payload\":{}}");
    same(event.id, KC_STR("t/0/7"), "id");
    same(event.version, KC_STR("1.0"), "version");
    event = decode_json("{\"type\":\"a.b\",\"data\":[1]}");
    same(event.payload, KC_STR("[1]"), "payload");
    end();
}
END_TEST

START_TEST(headers_fill_what_the_value_leaves_out)
{
    begin();
    kc_header headers[] = {{KC_STR("of-id"), KC_STR("id-1")},
                           {KC_STR("of-correlation-id"), KC_STR("old")},
                           {KC_STR("of-correlation-id"), KC_STR("c-1")},
                           {KC_STR("of-org"), KC_STR("org-9")},
                           {KC_STR("of-source"), KC_STR("svc")},
                           {KC_STR("of-expires"), KC_STR("77")}};
    of_message message = {
        .value = KC_STR("{\"type\":\"a.b\",\"payload\":1}"), .headers = headers, .header_count = 6};
    of_event event = decode(&message);
    same(event.id, KC_STR("id-1"), "id");
    same(event.correlation_id, KC_STR("c-1"), "correlation");
    same(event.organization_id, KC_STR("org-9"), "org");
    same(event.source, KC_STR("svc"), "source");
    ck_assert_int_eq(event.expires_ms, 77);
    end();
}
END_TEST

START_TEST(times_are_read_in_every_form)
{
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {{"\"2026-11-23T12:15:02.417Z\"", 1795436102417},
                 {"\"2026-11-23T13:15:02.417+01:00\"", 1795436102417},
                 {"\"2026-11-23t12:15:02Z\"", 1795436102000},
                 {"1795436102417", 1795436102417},
                 {"null", 0}};
    begin();
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"type\":\"a\",\"payload\":1,\"timestamp\":%s}",
                 times[i].text);
        ck_assert_int_eq(decode_json(json).timestamp_ms, times[i].ms);
    }
    end();
}
END_TEST

START_TEST(metadata_that_is_no_object_is_absent)
{
    begin();
    ck_assert_ptr_null(decode_json("{\"type\":\"a\",\"payload\":1,\"metadata\":[]}").metadata.ptr);
    ck_assert_ptr_null(
        decode_json("{\"type\":\"a\",\"payload\":1,\"metadata\":null}").metadata.ptr);
    end();
}
END_TEST

START_TEST(version_may_be_a_number)
{
    begin();
    same(decode_json("{\"type\":\"a\",\"payload\":1,\"version\":2}").version, KC_STR("2"), "v");
    same(decode_json("{\"type\":\"a\",\"payload\":1,\"version\":2.1}").version, KC_STR("2.1"), "v");
    end();
}
END_TEST

START_TEST(what_is_no_event_is_refused_whole)
{
    static const char *const bad[] = {
        "",
        "{\"broken",
        "{}",
        "[]",
        "null",
        "{\"type\":\"a\"}",
        "{\"payload\":1}",
        "{\"type\":\"\",\"payload\":1}",
        "{\"type\":5.5e,\"payload\":1}",
        "{\"type\":{},\"payload\":1}",
        "{\"type\":\"a\",\"payload\":1}x",
        "{\"type\":\"a\",\"payload\":1} {}",
        "{\"type\":\"a\",\"payload\":NaN}",
        "{\"type\":\"a\",\"payload\":Infinity}",
        "{\"type\":\"a\",\"payload\":01}",
        "{\"type\":\"a\",\"payload\":1,\"payload\":2}",
        "{\"type\":\"a\",\"payload\":1,\"p\\u0061yload\":2}",
        "{\"type\":\"a\",\"payload\":{\"x\":1,\"x\":2}}",
        "{\"type\":\"a\",\"payload\":\"\xff\"}",
        "{\"type\":\"a\",\"payload\":\"\xed\xa0\x80\"}",
        "{\"type\":\"a\",\"payload\":\"\\ud800\"}",
        "{\"type\":\"a\",\"payload\":1,}",
        "{\"type\":\"a\",\"payload\":1,\"timestamp\":\"yesterday\"}",
        "{\"type\":\"a\",\"payload\":1,\"timestamp\":true}",
        "{\"type\":\"a\",\"payload\":1,\"timestamp\":[]}",
        "{'type':'a','payload':1}",
        "\xef\xbb\xbf{\"type\":\"a\",\"payload\":1}",
    };
    begin();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        of_message message = {.value = kc_str(bad[i])};
        of_event event;
        kc_error err;
        ck_assert_msg(of_wire_decode(&message, KC_STR("x"), &arena, &event, &err) ==
                          KC_ERR_MALFORMED,
                      "%s", bad[i]);
        ck_assert_int_eq(event.mode, OF_WIRE_RAW);
        same(event.payload, message.value, "payload");
        ck_assert_ptr_null(event.type.ptr);
        ck_assert_uint_gt(strlen(err.text), 0);
    }
    end();
}
END_TEST

START_TEST(nesting_is_limited)
{
    begin();
    char json[512];
    for (int depth = 62; depth < 66; depth++) {
        size_t len = (size_t)snprintf(json, sizeof json, "{\"type\":\"a\",\"payload\":");
        memset(json + len, '[', (size_t)depth);
        memset(json + len + depth, ']', (size_t)depth);
        snprintf(json + len + 2 * depth, sizeof json - len - 2 * (size_t)depth, "}");
        of_message message = {.value = kc_str(json)};
        of_event event;
        kc_err err = of_wire_decode(&message, KC_NULL, &arena, &event, NULL);
        ck_assert_int_eq(err, depth <= 63 ? KC_OK : KC_ERR_MALFORMED);
    }
    end();
}
END_TEST

START_TEST(tombstone_is_told_and_has_no_payload)
{
    begin();
    kc_header headers[] = {{KC_STR("of-type"), KC_STR("a.b")}};
    of_message message = {.key = KC_STR("k"), .headers = headers, .header_count = 1};
    of_event event = decode(&message);
    ck_assert(event.is_tombstone);
    ck_assert_ptr_null(event.payload.ptr);
    same(event.type, KC_STR("a.b"), "type");
    end();
}
END_TEST

START_TEST(travelled_trace_context_wins_over_the_one_in_the_value)
{
    begin();
    of_event event = seed_event();
    of_message message = encode(&event, OF_WIRE_CE_STRUCTURED, false);
    kc_header headers[] = {
        {KC_STR("content-type"), KC_STR("application/cloudevents+json")},
        {KC_STR("traceparent"), KC_STR("00-11111111111111111111111111111111-2222222222222222-00")}};
    message.headers = headers;
    message.header_count = 2;
    same(decode(&message).traceparent, headers[1].value, "traceparent");
    end();
}
END_TEST

START_TEST(too_long_or_bad_text_is_refused_on_write)
{
    begin();
    char longest[OF_ID_MAX + 2];
    memset(longest, 'i', sizeof longest);
    of_event event = seed_event();
    of_message message;
    kc_error err;
    event.id = kc_span(longest, OF_ID_MAX);
    ck_assert_int_eq(of_wire_encode(&event, OF_WIRE_ENVELOPE, false, &arena, &message, &err),
                     KC_OK);
    event.id = kc_span(longest, OF_ID_MAX + 1);
    ck_assert_int_eq(of_wire_encode(&event, OF_WIRE_ENVELOPE, false, &arena, &message, &err),
                     KC_ERR_ARGUMENT);
    event = seed_event();
    event.source = KC_STR("\xc3");
    ck_assert_int_eq(of_wire_encode(&event, OF_WIRE_ENVELOPE, false, &arena, &message, &err),
                     KC_ERR_ARGUMENT);
    event = seed_event();
    event.traceparent = KC_STR("\xc3");
    ck_assert_int_eq(of_wire_encode(&event, OF_WIRE_ENVELOPE, false, &arena, &message, &err),
                     KC_ERR_ARGUMENT);
    event = seed_event();
    event.metadata = KC_STR("");
    ck_assert_int_eq(of_wire_encode(&event, OF_WIRE_ENVELOPE, false, &arena, &message, &err),
                     KC_ERR_ARGUMENT);
    end();
}
END_TEST

START_TEST(over_long_members_are_refused_on_read)
{
    begin();
    char json[512];
    snprintf(json, sizeof json, "{\"type\":\"a\",\"payload\":1,\"id\":\"%0129d\"}", 0);
    of_message message = {.value = kc_str(json)};
    of_event event;
    ck_assert_int_eq(of_wire_decode(&message, KC_NULL, &arena, &event, NULL), KC_ERR_MALFORMED);
    snprintf(json, sizeof json, "{\"type\":\"a\",\"payload\":1,\"id\":\"%0128d\"}", 0);
    message.value = kc_str(json);
    ck_assert_int_eq(of_wire_decode(&message, KC_NULL, &arena, &event, NULL), KC_OK);
    end();
}
END_TEST

START_TEST(members_are_found_by_pointer)
{
    begin();
    char text[16];
    of_event event = seed_event();
    ck_assert(of_event_get(&event, "/payload/employeeId", text, sizeof text));
    ck_assert_str_eq(text, "emp-456");
    ck_assert(of_event_get(&event, "/metadata/source", text, sizeof text));
    ck_assert_str_eq(text, "hrms-adapter");
    ck_assert(!of_event_get(&event, "/payload/nothing", text, sizeof text));
    ck_assert(!of_event_get(&event, "/payload", text, sizeof text));
    ck_assert(!of_event_get(&event, "/payloads", text, sizeof text));
    ck_assert(!of_event_get(&event, "payload/name", text, sizeof text));
    ck_assert(!of_event_get(&event, "/payload/name", text, 8)); // "John Doe" and its zero
    ck_assert(of_event_get(&event, "/payload/name", text, 9));
    event.payload = KC_STR("{\"n\":1.10,\"b\":true,\"z\":null,\"nul\":\"a\\u0000b\"}");
    ck_assert(of_event_get(&event, "/payload/n", text, sizeof text));
    ck_assert_str_eq(text, "1.10");
    ck_assert(of_event_get(&event, "/payload/b", text, sizeof text));
    ck_assert(!of_event_get(&event, "/payload/z", text, sizeof text));
    ck_assert(!of_event_get(&event, "/payload/nul", text, sizeof text));
    event.payload = KC_NULL;
    ck_assert(!of_event_get(&event, "/payload/n", text, sizeof text));
    end();
}
END_TEST

static bool encode_and_decode(const kc_alloc *alloc)
{
    kb_mem_init(&mem, alloc, 0);
    kb_arena_init(&arena, &mem, 0);
    of_event event = seed_event(), back;
    event.source = KC_STR("needs \"escapes\"");
    event.metadata = KC_NULL;
    of_message message;
    kc_err err = KC_OK;
    for (int mode = OF_WIRE_ENVELOPE; mode <= OF_WIRE_CE_BINARY && err == KC_OK; mode++) {
        err = of_wire_encode(&event, (of_wire_mode)mode, true, &arena, &message, NULL);
        if (err == KC_OK)
            err = of_wire_decode(&message, KC_NULL, &arena, &back, NULL);
        ck_assert(err == KC_OK || err == KC_ERR_NOMEM);
        if (err == KC_OK)
            same_event(&(of_event){.id = event.id, .type = event.type},
                       &(of_event){.id = back.id, .type = back.type});
    }
    end();
    return err == KC_OK;
}

START_TEST(running_out_of_memory_is_an_error_everywhere)
{
    size_t failed = fail_each_alloc(encode_and_decode);
    ck_assert_uint_gt(failed, 0);
    ck_assert_uint_ne(failed, SIZE_MAX);
}
END_TEST
