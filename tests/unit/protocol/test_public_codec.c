/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * <kafkac/codec.h> as a program without a client uses it: every message through every function. */
#define _GNU_SOURCE /* memmem */
#include "protocol/wire.h"
#include "random_message.h"
#include "tests/unit/base/fail_alloc.h"

#include <kafkac/codec.h>
#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/** All versions of all messages. */
static void for_each(kc_arena *arena, void (*check)(const kc_schema *, int16_t, kc_arena *))
{
    for (size_t i = 0; i < kc_schema_count(); i++) {
        kc_schema_info info;
        kc_schema_get_info(kc_schema_at(i), &info);
        for (int16_t v = info.version_min; v <= info.version_max; v++) {
            check(kc_schema_at(i), v, arena);
            kc_arena_reset(arena);
        }
    }
}

START_TEST(there_are_604_versions_of_178_messages_two_headers_and_data)
{
    size_t of_apis = 0, versions = 0, headers = 0, data = 0;
    for (size_t i = 0; i < kc_schema_count(); i++) {
        kc_schema_info info;
        const kc_schema *schema = kc_schema_at(i);
        kc_schema_get_info(schema, &info);
        ck_assert_ptr_eq(kc_schema_find(kc_str(info.name), info.kind), schema);
        if (info.api_key >= 0) {
            of_apis++;
            versions += (size_t)(info.version_max - info.version_min + 1);
            ck_assert_ptr_eq(kc_schema_of_api(info.api_key, info.kind), schema);
        } else {
            *(info.kind == KC_MESSAGE_DATA ? &data : &headers) += 1;
        }
    }
    ck_assert_uint_eq(of_apis, 178);
    ck_assert_uint_eq(versions, 604);
    ck_assert_uint_eq(headers, 2);
    ck_assert_uint_eq(data, 10);
    ck_assert_ptr_null(kc_schema_at(kc_schema_count()));
    ck_assert_ptr_null(kc_schema_of_api(4, KC_MESSAGE_REQUEST));
    ck_assert_ptr_null(kc_schema_of_api(3, KC_MESSAGE_DATA));
    ck_assert_ptr_null(kc_schema_find(KC_STR("Nothing"), KC_MESSAGE_REQUEST));
}
END_TEST

START_TEST(kinds_have_names_both_ways)
{
    for (int i = 0; i <= KC_MESSAGE_DATA; i++) {
        kc_message_kind kind;
        ck_assert(kc_message_kind_by_name(kc_str(kc_message_kind_name((kc_message_kind)i)), &kind));
        ck_assert_int_eq((int)kind, i);
    }
    ck_assert(!kc_message_kind_by_name(KC_STR("reply"), &(kc_message_kind){0}));
}
END_TEST

static void check_all_ways(const kc_schema *schema, int16_t version, kc_arena *arena)
{
    void *msg = random_message(schema, version, 11 + (uint64_t)version, arena), *back, *read;
    kc_fault fault;
    kc_bytes bytes = encoded(schema, version, msg, arena), json, again;
    size_t size;
    ck_assert_int_eq(kc_message_size(schema, version, msg, &size, NULL), KC_OK);
    ck_assert_uint_eq(size, bytes.len);
    ck_assert_int_eq(kc_message_decode(schema, version, bytes, arena, &back, &fault), KC_OK);
    if (!kc_message_equal(schema, version, msg, back, &fault))
        ck_abort_msg("decoded, %s differs", fault.path);
    ck_assert_int_eq(kc_message_to_json(schema, version, msg, arena, &json), KC_OK);
    ck_assert_int_eq(kc_message_from_json(schema, version, json, arena, &read, &fault), KC_OK);
    again = encoded(schema, version, read, arena);
    ck_assert(kc_bytes_equal(bytes, again) || memmem(json.ptr, json.len, "NaN", 3));
}

START_TEST(every_message_goes_through_bytes_and_json_and_back)
{
    fail_alloc state = {.fail_at = SIZE_MAX};
    const kc_alloc alloc = fail_alloc_hooks(&state);
    kc_arena *arena = kc_arena_new(&alloc, 0);
    for_each(arena, check_all_ways);
    kc_arena_free(arena);
    ck_assert_uint_eq(state.held, 0);
}
END_TEST

static void check_copy(const kc_schema *schema, int16_t version, kc_arena *arena)
{
    kc_arena *other = kc_arena_new(NULL, 0);
    void *copy;
    kc_fault fault;
    void *msg = random_message(schema, version, 5, other);
    kc_bytes bytes = encoded(schema, version, msg, arena);
    ck_assert_int_eq(kc_message_copy(schema, msg, arena, &copy), KC_OK);
    if (!kc_message_equal(schema, version, msg, copy, &fault))
        ck_abort_msg("copied, %s differs", fault.path);
    kc_arena_free(other); /* a pointer into the original would be found now */
    ck_assert(kc_bytes_equal(encoded(schema, version, copy, arena), bytes));
}

START_TEST(a_copy_shares_nothing_with_its_message)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    for_each(arena, check_copy);
    kc_arena_free(arena);
}
END_TEST

static kp_metadata_req *metadata_of(const char *topic, kc_arena *arena)
{
    void *msg;
    ck_assert_int_eq(kc_message_new(kc_schema_of_api(3, KC_MESSAGE_REQUEST), arena, &msg), KC_OK);
    kp_metadata_req *request = msg;
    void *topics = kc_arena_alloc(arena, 2 * sizeof request->topics.items[0]);
    request->topics.items = topics;
    request->topics.count = 2;
    for (int i = 0; i < 2; i++)
        request->topics.items[i] = (kp_metadata_req_topic){.name = KC_STR("same")};
    request->topics.items[1].name = kc_str(topic);
    return request;
}

START_TEST(a_difference_is_named_by_its_path)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    const kc_schema *schema = kc_schema_of_api(3, KC_MESSAGE_REQUEST);
    kp_metadata_req *a = metadata_of("x", arena), *b = metadata_of("y", arena);
    kc_fault fault;
    ck_assert(!kc_message_equal(schema, 12, a, b, &fault));
    ck_assert_str_eq(fault.path, "topics[1].name");
    b->topics.items[1].name = KC_STR("x");
    ck_assert(kc_message_equal(schema, 12, a, b, &fault));
    b->include_cluster_authorized_operations = true;
    ck_assert(kc_message_equal(schema, 12, a, b, &fault)); /* 12 does not have it */
    ck_assert(!kc_message_equal(schema, 9, a, b, NULL));
    b->topics.count = 1;
    ck_assert(!kc_message_equal(schema, 12, a, b, &fault));
    ck_assert_str_eq(fault.path, "topics");
    kc_arena_free(arena);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_message_and_another_seed_another)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    const kc_schema *schema = kc_schema_of_api(1, KC_MESSAGE_RESPONSE);
    void *one = random_message(schema, 16, 1, arena), *two = random_message(schema, 16, 1, arena);
    ck_assert(kc_message_equal(schema, 16, one, two, NULL));
    ck_assert(!kc_message_equal(schema, 16, one, random_message(schema, 16, 2, arena), NULL));
    kc_arena_free(arena);
}
END_TEST

START_TEST(refusals_name_the_byte_and_the_path)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    const kc_schema *schema = kc_schema_of_api(3, KC_MESSAGE_REQUEST);
    kc_bytes bytes = encoded(schema, 12, metadata_of("x", arena), arena);
    void *msg;
    kc_fault fault;
    ck_assert_int_eq(kc_message_decode(schema, 12, kc_span(bytes.ptr, 10), arena, &msg, &fault),
                     KC_ERR_TRUNCATED);
    ck_assert_uint_eq(fault.at, 1);
    ck_assert_str_eq(fault.path, "topics[0].topicId");
    ck_assert_int_eq(kc_message_decode(schema, 99, bytes, arena, &msg, &fault), KC_ERR_VERSION);
    ck_assert_int_eq(
        kc_message_from_json(schema, 12, KC_STR("{\"topics\":7}"), arena, &msg, &fault),
        KC_ERR_MALFORMED);
    ck_assert_uint_eq(fault.at, 10);
    ck_assert_str_eq(fault.path, "topics");
    kc_bytes json;
    ck_assert_int_eq(kc_message_to_json(schema, 99, msg, arena, &json), KC_ERR_VERSION);
    kc_arena_free(arena);
}
END_TEST

static void nothing(const kc_wire_item *item, void *user)
{
    (void)item, (void)user;
}

static void check_fault_stays(const kc_schema *schema, int16_t version, kc_arena *arena)
{
    static const kc_fault earlier = {.at = 7, .reason = "an earlier one", .path = "topics[3]"};
    kc_fault fault = earlier;
    void *msg = random_message(schema, version, 3, arena), *back;
    kc_bytes bytes, json;
    size_t size;
    ck_assert_int_eq(kc_message_encode(schema, version, msg, arena, &bytes, &fault), KC_OK);
    ck_assert_int_eq(kc_message_size(schema, version, msg, &size, &fault), KC_OK);
    ck_assert_int_eq(kc_message_decode(schema, version, bytes, arena, &back, &fault), KC_OK);
    ck_assert_int_eq(kc_message_trace(schema, version, bytes, arena, nothing, NULL, &fault), KC_OK);
    ck_assert(kc_message_equal(schema, version, msg, back, &fault));
    ck_assert_int_eq(kc_message_to_json(schema, version, msg, arena, &json), KC_OK);
    ck_assert_int_eq(kc_message_from_json(schema, version, json, arena, &back, &fault), KC_OK);
    ck_assert_uint_eq(fault.at, earlier.at);
    ck_assert_ptr_eq(fault.reason, earlier.reason);
    ck_assert_str_eq(fault.path, earlier.path);
}

START_TEST(a_fault_is_written_only_by_a_call_that_fails)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    for_each(arena, check_fault_stays);
    kc_arena_free(arena);
}
END_TEST

/* ---- memory ---- */

START_TEST(an_arena_gives_no_more_than_its_limit_and_is_good_again_after_a_reset)
{
    fail_alloc state = {.fail_at = SIZE_MAX};
    const kc_alloc alloc = fail_alloc_hooks(&state);
    kc_arena *arena = kc_arena_new(&alloc, 10000);
    ck_assert_ptr_nonnull(kc_arena_alloc(arena, 4000));
    ck_assert_ptr_null(kc_arena_alloc(arena, 9000));
    ck_assert_uint_le(kc_arena_used(arena), 10000);
    kc_arena_reset(arena);
    ck_assert_ptr_nonnull(kc_arena_alloc(arena, 4000));
    kc_arena_free(arena);
    kc_arena_free(NULL);
    ck_assert_uint_eq(state.held, 0);
    ck_assert_ptr_null(kc_arena_new(&alloc, 16)); /* not even itself */
}
END_TEST

START_TEST(running_out_of_memory_anywhere_is_an_error_and_leaks_nothing)
{
    const kc_schema *schema = kc_schema_of_api(3, KC_MESSAGE_RESPONSE);
    bool is_done = false;
    for (size_t n = 0; !is_done; n++) {
        fail_alloc state = {.fail_at = n, .keeps_failing = true};
        const kc_alloc alloc = fail_alloc_hooks(&state);
        kc_arena *arena = kc_arena_new(&alloc, 0);
        void *msg = NULL, *other;
        kc_bytes bytes, json;
        is_done = arena && kc_message_random(schema, 12, 3, arena, &msg) == KC_OK &&
                  kc_message_encode(schema, 12, msg, arena, &bytes, NULL) == KC_OK &&
                  kc_message_decode(schema, 12, bytes, arena, &other, NULL) == KC_OK &&
                  kc_message_to_json(schema, 12, msg, arena, &json) == KC_OK &&
                  kc_message_from_json(schema, 12, json, arena, &other, NULL) == KC_OK &&
                  kc_message_copy(schema, msg, arena, &other) == KC_OK;
        kc_arena_free(arena);
        ck_assert_uint_eq(state.held, 0);
        ck_assert_uint_lt(n, 199);
    }
}
END_TEST

/* ---- walking ---- */

typedef struct walk_log {
    char text[512];
    kc_walk stop_at_topics;
} walk_log;

static kc_walk note_node(const kc_node *node, void *user)
{
    walk_log *log = user;
    char line[64];
    snprintf(line, sizeof line, "%*s%s[%d]%s%s\n", node->depth, "", node->name, (int)node->index,
             node->is_array ? " list" : "", node->is_null ? " null" : "");
    strcat(log->text, line);
    return node->is_array ? log->stop_at_topics : KC_WALK_ON;
}

START_TEST(a_walk_visits_every_field_of_the_version_in_order)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    const kc_schema *schema = kc_schema_of_api(3, KC_MESSAGE_REQUEST);
    kp_metadata_req *request = metadata_of("x", arena);
    request->topics.items[1].name = KC_NULL;
    walk_log log = {.stop_at_topics = KC_WALK_ON};
    ck_assert_int_eq(kc_message_walk(schema, 12, request, note_node, &log), KC_OK);
    ck_assert_str_eq(log.text, "topics[-1] list\n topics[0]\n  topicId[-1]\n  name[-1]\n"
                               " topics[1]\n  topicId[-1]\n  name[-1] null\n"
                               "allowAutoTopicCreation[-1]\n"
                               "includeTopicAuthorizedOperations[-1]\n");
    log = (walk_log){.stop_at_topics = KC_WALK_OVER};
    ck_assert_int_eq(kc_message_walk(schema, 1, request, note_node, &log), KC_OK);
    ck_assert_str_eq(log.text, "topics[-1] list\n");
    log = (walk_log){.stop_at_topics = KC_WALK_END};
    ck_assert_int_eq(kc_message_walk(schema, 12, request, note_node, &log), KC_OK);
    ck_assert_str_eq(log.text, "topics[-1] list\n");
    ck_assert_int_eq(kc_message_walk(schema, 99, request, note_node, &log), KC_ERR_VERSION);
    kc_arena_free(arena);
}
END_TEST

static kc_walk touch(const kc_node *node, void *user)
{
    size_t *sum = user;
    if (!node->is_null && !node->is_array && node->type >= KC_TYPE_STRING &&
        node->type <= KC_TYPE_RECORDS)
        *sum += ((const kc_bytes *)node->value)->len;
    ck_assert(node->is_null == !node->value || node->is_array);
    return KC_WALK_ON;
}

static void check_walk(const kc_schema *schema, int16_t version, kc_arena *arena)
{
    size_t sum = 0;
    void *msg = random_message(schema, version, 9, arena);
    ck_assert_int_eq(kc_message_walk(schema, version, msg, touch, &sum), KC_OK);
}

START_TEST(every_message_can_be_walked)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    for_each(arena, check_walk);
    kc_arena_free(arena);
}
END_TEST

/* ---- shape ---- */

START_TEST(a_schema_prints_one_field_a_line)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_bytes text;
    const kc_schema *schema = kc_schema_find(KC_STR("FindCoordinator"), KC_MESSAGE_REQUEST);
    static const char all[] = "key                             string      0-3\n"
                              "keyType                         int8        1+\n"
                              "coordinatorKeys                 []string    4+\n";
    ck_assert_int_eq(kc_schema_print(schema, -1, arena, &text), KC_OK);
    ck_assert(kc_bytes_equal(text, kc_str(all)));
    ck_assert_int_eq(kc_schema_print(schema, 0, arena, &text), KC_OK);
    ck_assert(kc_bytes_equal(text, KC_STR("key                             string\n")));
    ck_assert_int_eq(kc_schema_print(schema, 77, arena, &text), KC_ERR_VERSION);
    kc_arena_free(arena);
}
END_TEST

/* ---- frames ---- */

static kc_bytes request_frame(kc_arena *arena)
{
    kp_request_header header = {.correlation_id = 42, .client_id = KC_STR("me")};
    kc_frame frame = {.kind = KC_MESSAGE_REQUEST,
                      .api_key = 3,
                      .version = 12,
                      .header = &header,
                      .body = metadata_of("x", arena)};
    kc_bytes bytes;
    ck_assert_int_eq(kc_frame_encode(&frame, arena, &bytes, NULL), KC_OK);
    return bytes;
}

START_TEST(a_request_frame_says_what_it_is)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_bytes bytes = request_frame(arena);
    kc_frame frame;
    kc_fault fault;
    ck_assert_int_eq(kc_frame_decode(KC_MESSAGE_REQUEST, -1, -1, bytes, arena, &frame, &fault),
                     KC_OK);
    ck_assert_int_eq(frame.api_key, 3);
    ck_assert_int_eq(frame.version, 12);
    ck_assert_int_eq(frame.header_version, 2);
    ck_assert_int_eq(((kp_request_header *)frame.header)->correlation_id, 42);
    ck_assert_int_eq(((kp_metadata_req *)frame.body)->topics.count, 2);
    ck_assert_uint_eq(frame.end, bytes.len);
    kc_arena_free(arena);
}
END_TEST

START_TEST(a_frame_cut_or_lengthened_anywhere_is_refused)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_bytes bytes = request_frame(arena);
    uint8_t *copy = kc_arena_alloc(arena, bytes.len + 1);
    kc_frame frame;
    kc_fault fault;
    memcpy(copy, bytes.ptr, bytes.len);
    for (size_t len = 0; len < bytes.len; len++) {
        ck_assert_int_eq(
            kc_frame_decode(KC_MESSAGE_REQUEST, -1, -1, kc_span(copy, len), arena, &frame, &fault),
            KC_ERR_TRUNCATED);
        if (len < 4)
            continue;
        kp_store32(copy, (uint32_t)len - 4); /* a frame that says so itself */
        ck_assert_int_eq(
            kc_frame_decode(KC_MESSAGE_REQUEST, -1, -1, kc_span(copy, len), arena, &frame, &fault),
            KC_ERR_TRUNCATED);
        ck_assert_uint_le(fault.at, len);
        memcpy(copy, bytes.ptr, 4);
    }
    copy[bytes.len] = 0;
    ck_assert_int_eq(kc_frame_decode(KC_MESSAGE_REQUEST, -1, -1, kc_span(copy, bytes.len + 1),
                                     arena, &frame, &fault),
                     KC_ERR_MALFORMED);
    ck_assert_uint_eq(fault.at, bytes.len);
    kp_store32(copy, (uint32_t)bytes.len - 3);
    ck_assert_int_eq(kc_frame_decode(KC_MESSAGE_REQUEST, -1, -1, kc_span(copy, bytes.len + 1),
                                     arena, &frame, &fault),
                     KC_ERR_MALFORMED);
    ck_assert_uint_eq(fault.at, bytes.len);
    kc_arena_free(arena);
}
END_TEST

START_TEST(an_api_versions_response_with_error_35_is_read_in_version_0)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kp_response_header header = {.correlation_id = 7};
    kp_api_versions_resp body = {.error_code = KC_E_UNSUPPORTED_VERSION};
    kc_frame frame = {.kind = KC_MESSAGE_RESPONSE, .api_key = 18, .header = &header, .body = &body};
    kc_bytes bytes;
    ck_assert_int_eq(kc_frame_encode(&frame, arena, &bytes, NULL), KC_OK);
    ck_assert_int_eq(kc_frame_decode(KC_MESSAGE_RESPONSE, 18, 4, bytes, arena, &frame, NULL),
                     KC_OK);
    ck_assert_int_eq(frame.version, 0);
    ck_assert_int_eq(((kp_api_versions_resp *)frame.body)->error_code, KC_E_UNSUPPORTED_VERSION);
    /* whatever was asked: also what only a newer client knows */
    ck_assert_int_eq(kc_frame_decode(KC_MESSAGE_RESPONSE, 18, 99, bytes, arena, &frame, NULL),
                     KC_OK);
    ck_assert_int_eq(frame.version, 0);
    kc_arena_free(arena);
}
END_TEST

START_TEST(a_frame_above_the_arenas_limit_is_refused_with_a_reason)
{
    kc_arena *plenty = kc_arena_new(NULL, 0);
    kp_request_header header = {.client_id = KC_STR("me")};
    kc_frame frame = {.kind = KC_MESSAGE_REQUEST,
                      .api_key = 3,
                      .version = 12,
                      .header = &header,
                      .body = metadata_of("a_topic_with_a_name_of_some_length", plenty)};
    kc_bytes whole, bytes;
    bool is_done = false;
    ck_assert_int_eq(kc_frame_encode(&frame, plenty, &whole, NULL), KC_OK);
    for (size_t limit = 160; !is_done; limit += 8) {
        kc_arena *arena = kc_arena_new(NULL, limit);
        kc_fault fault = {0};
        kc_err err = arena ? kc_frame_encode(&frame, arena, &bytes, &fault) : KC_ERR_NOMEM;
        is_done = err == KC_OK;
        ck_assert(is_done ? kc_bytes_equal(bytes, whole) : err == KC_ERR_NOMEM);
        ck_assert(is_done || !arena || fault.reason);
        kc_arena_free(arena);
        ck_assert_uint_lt(limit, 4096);
    }
    kc_arena_free(plenty);
}
END_TEST

START_TEST(frames_of_what_the_schema_does_not_have_are_refused)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_bytes bytes = request_frame(arena);
    uint8_t *copy = kc_arena_alloc(arena, bytes.len);
    kc_frame frame;
    kc_fault fault;
    memcpy(copy, bytes.ptr, bytes.len);
    kp_store16(copy + 4, 4); /* an API that is no more */
    ck_assert_int_eq(kc_frame_decode(KC_MESSAGE_REQUEST, -1, -1, kc_span(copy, bytes.len), arena,
                                     &frame, &fault),
                     KC_ERR_VERSION);
    kp_store16(copy + 4, 3);
    kp_store16(copy + 6, 99);
    ck_assert_int_eq(kc_frame_decode(KC_MESSAGE_REQUEST, -1, -1, kc_span(copy, bytes.len), arena,
                                     &frame, &fault),
                     KC_ERR_VERSION);
    ck_assert_uint_eq(fault.at, 6);
    ck_assert_int_eq(kc_frame_decode(KC_MESSAGE_DATA, 3, 1, bytes, arena, &frame, &fault),
                     KC_ERR_ARGUMENT);
    kc_arena_free(arena);
}
END_TEST
