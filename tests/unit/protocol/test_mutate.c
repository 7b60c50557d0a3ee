/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Mutation: of messages, which still encode and differ; of bytes, most of which no decoder takes. */
#include "message_vectors.h"
#include "random_message.h"

#include <kafkac/mutate.h>

#define SEEDS 2000

static kc_arena *new_arena(void)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    ck_assert_ptr_nonnull(arena);
    return arena;
}

/* A mutant of a shallow copy: it encodes to other bytes, and what both point to is as it was. */
static void assert_mutates(const kc_schema *schema, int16_t version, uint64_t seed, kc_arena *arena)
{
    message_room mutant;
    kc_mutation mutation = {0};
    void *back = NULL;
    void *msg = random_message(schema, version, seed, arena);
    kc_bytes before = encoded(schema, version, msg, arena);
    memcpy(&mutant, msg, schema->root->size);
    kc_err err = kc_mutate_message(schema, version, &mutant, seed, arena, &mutation);
    if (err == KC_ERR_END) {
        ck_assert_uint_eq(before.len, 0);
        return;
    }
    ck_assert_int_eq(err, KC_OK);
    ck_assert_ptr_nonnull(mutation.what);
    kc_bytes after = encoded(schema, version, &mutant, arena);
    ck_assert_int_eq(kc_message_decode(schema, version, after, arena, &back, NULL), KC_OK);
    if (kc_bytes_equal(before, after))
        ck_abort_msg("%s v%d seed %d: %s of %s changes nothing", schema->name, version, (int)seed,
                     mutation.what, mutation.path);
    if (!kc_bytes_equal(before, encoded(schema, version, msg, arena)))
        ck_abort_msg("%s v%d seed %d: %s of %s reaches the original", schema->name, version,
                     (int)seed, mutation.what, mutation.path);
}

START_TEST(a_mutated_message_encodes_and_differs_and_the_original_stays)
{
    kc_arena *arena = new_arena();
    for (size_t i = 0; i < kc_schema_count(); i++) {
        const kc_schema *schema = kc_schema_at(i);
        for (int16_t version = schema->min; version <= schema->max; version++)
            for (uint64_t seed = 0; seed < 20; seed++) {
                assert_mutates(schema, version, seed, arena);
                kc_arena_reset(arena);
            }
    }
    kc_arena_free(arena);
}
END_TEST

START_TEST(the_same_seed_makes_the_same_change_and_another_seed_another)
{
    const kc_schema *schema = kc_schema_find(KC_STR("Metadata"), KC_MESSAGE_RESPONSE);
    kc_arena *arena = new_arena();
    uint64_t same = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        kc_bytes bytes[3];
        kc_mutation mutation[3];
        for (size_t i = 0; i < 3; i++) {
            void *msg = random_message(schema, 12, 1, arena);
            ck_assert_int_eq(kc_mutate_message(schema, 12, msg, seed + i / 2, arena, &mutation[i]),
                             KC_OK);
            bytes[i] = encoded(schema, 12, msg, arena);
        }
        ck_assert(kc_bytes_equal(bytes[0], bytes[1]));
        ck_assert_str_eq(mutation[0].what, mutation[1].what);
        ck_assert_str_eq(mutation[0].path, mutation[1].path);
        same += kc_bytes_equal(bytes[0], bytes[2]);
        kc_arena_reset(arena);
    }
    ck_assert_uint_lt(same, 40);
    kc_arena_free(arena);
}
END_TEST

static void assert_mutates_twice(const kc_schema *schema, int16_t version, uint64_t seed,
                                 kc_arena *arena)
{
    void *msg = random_message(schema, version, seed, arena);
    for (int i = 0; i < 2; i++) {
        kc_bytes before = encoded(schema, version, msg, arena);
        kc_err err = kc_mutate_message(schema, version, msg, seed, arena, NULL);
        if (err == KC_OK && kc_bytes_equal(before, encoded(schema, version, msg, arena)))
            ck_abort_msg("%s v%d seed %d: time %d changes nothing", schema->name, version,
                         (int)seed, i + 1);
    }
}

START_TEST(the_same_seed_changes_its_own_mutant_again)
{
    kc_arena *arena = new_arena();
    for (size_t i = 0; i < kc_schema_count(); i++) {
        const kc_schema *schema = kc_schema_at(i);
        for (uint64_t seed = 0; seed < 50; seed++) {
            assert_mutates_twice(schema, schema->max, seed, arena);
            kc_arena_reset(arena);
        }
    }
    kc_arena_free(arena);
}
END_TEST

/* How many of the names came about; each of them must. */
static void assert_all_seen(const char *const *names, const size_t *seen, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (seen[i] == 0)
            ck_abort_msg("\"%s\" never came about", names[i]);
}

static void note(const char *const *names, size_t *seen, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], what) == 0) {
            seen[i]++;
            return;
        }
    ck_abort_msg("\"%s\" is not expected", what);
}

START_TEST(every_kind_of_change_of_a_message_comes_about)
{
    static const char *const names[] = {"value",        "null",          "item added", "emptied",
                                        "item dropped", "item repeated", "tag added",  "tag data",
                                        "tag dropped",  "struct added"};
    size_t seen[10] = {0};
    /* it has nullable structs */
    const kc_schema *schema = kc_schema_find(KC_STR("ConsumerGroupHeartbeat"), KC_MESSAGE_RESPONSE);
    kc_arena *arena = new_arena();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        kc_mutation mutation;
        void *msg = random_message(schema, 0, seed, arena);
        ck_assert_int_eq(kc_mutate_message(schema, 0, msg, seed, arena, &mutation), KC_OK);
        note(names, seen, 10, mutation.what);
        kc_arena_reset(arena);
    }
    assert_all_seen(names, seen, 10);
    kc_arena_free(arena);
}
END_TEST

START_TEST(the_items_of_large_arrays_do_not_crowd_out_the_rest)
{
    kp_metadata_resp_topic topics[500];
    kc_arena *arena = new_arena();
    size_t outside = 0;
    for (size_t i = 0; i < 500; i++)
        kp_struct_defaults(&kp_metadata_resp_topic_desc, &topics[i]);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        kp_metadata_resp msg;
        kc_mutation mutation;
        kp_defaults(&kp_metadata_resp_message, &msg);
        msg.topics.items = topics, msg.topics.count = 500;
        ck_assert_int_eq(
            kc_mutate_message(&kp_metadata_resp_message, 9, &msg, seed, arena, &mutation), KC_OK);
        outside += strncmp(mutation.path, "topics[", 7) != 0;
        kc_arena_reset(arena);
    }
    ck_assert_uint_gt(outside, SEEDS / 4); /* 7 of 13 sites */
    ck_assert_uint_lt(outside, SEEDS * 3 / 4);
    kc_arena_free(arena);
}
END_TEST

START_TEST(without_memory_a_message_stays_as_it_was)
{
    const kc_schema *schema = kc_schema_find(KC_STR("Metadata"), KC_MESSAGE_RESPONSE);
    kc_arena *plenty = new_arena();
    size_t refused = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        kc_arena *little = kc_arena_new(NULL, 2200);
        ck_assert_ptr_nonnull(little);
        void *msg = random_message(schema, 12, seed, plenty);
        kc_bytes before = encoded(schema, 12, msg, plenty);
        kc_err err = kc_mutate_message(schema, 12, msg, seed, little, NULL);
        kc_bytes after = encoded(schema, 12, msg, plenty);
        ck_assert(err == KC_OK || err == KC_ERR_NOMEM);
        ck_assert(kc_bytes_equal(before, after) == (err == KC_ERR_NOMEM));
        refused += err == KC_ERR_NOMEM;
        kc_arena_free(little);
        kc_arena_reset(plenty);
    }
    ck_assert_uint_gt(refused, 0);
    kc_arena_free(plenty);
}
END_TEST

START_TEST(what_cannot_be_mutated_is_refused)
{
    const kc_schema *empty = kc_schema_find(KC_STR("ListGroups"), KC_MESSAGE_REQUEST);
    kc_arena *arena = new_arena();
    kc_bytes bytes;
    void *msg = random_message(empty, 0, 1, arena);
    ck_assert_int_eq(kc_mutate_message(empty, 0, msg, 1, arena, NULL), KC_ERR_END);
    ck_assert_int_eq(kc_mutate_message(empty, 99, msg, 1, arena, NULL), KC_ERR_VERSION);
    ck_assert_int_eq(kc_mutate_bytes(empty, 0, KC_STR(""), 1, arena, &bytes, NULL), KC_ERR_END);
    ck_assert_int_eq(kc_mutate_bytes(empty, 99, KC_STR("a"), 1, arena, &bytes, NULL),
                     KC_ERR_VERSION);
    kc_arena_free(arena);
}
END_TEST

static size_t mutants;
static size_t refused_mutants;

static void mutate_bytes_of(fixture *f, const vector *v)
{
    kc_arena *arena = new_arena();
    for (uint64_t seed = 0; seed < 20 && v->bytes.len > 0; seed++) {
        message_room msg;
        kc_mutation mutation;
        kc_bytes out = KC_NULL;
        ck_assert_int_eq(
            kc_mutate_bytes(v->message, v->version, v->bytes, seed, arena, &out, &mutation), KC_OK);
        ck_assert(!kc_bytes_equal(out, v->bytes));
        ck_assert_ptr_nonnull(mutation.what);
        size_t common = mutation.at;
        ck_assert(common <= out.len && common <= v->bytes.len &&
                  (common == 0 || memcmp(out.ptr, v->bytes.ptr, common) == 0));
        refused_mutants += decode_bytes(f, v->message, v->version, out, &msg) != KC_OK;
        mutants++;
        kb_arena_reset(&f->arena);
    }
    kc_arena_free(arena);
}

START_TEST(mutated_bytes_of_the_java_messages_differ_and_most_are_refused)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_eq(for_each_vector(&f, mutate_bytes_of, false), 815);
    ck_assert_uint_gt(mutants, 10000);
    ck_assert_uint_gt(refused_mutants, mutants / 2);
    tear_down(&f);
}
END_TEST

START_TEST(every_kind_of_lie_comes_about)
{
    static const char *const names[] = {"number", "varint",   "tag repeated", "byte",
                                        "cut",    "repeated", "left out"};
    size_t seen[7] = {0};
    const kc_schema *schema = kc_schema_find(KC_STR("Fetch"), KC_MESSAGE_RESPONSE);
    kc_arena *arena = new_arena();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        kc_mutation mutation;
        kc_bytes bytes = encoded(schema, 16, random_message(schema, 16, seed, arena), arena);
        ck_assert_int_eq(kc_mutate_bytes(schema, 16, bytes, seed, arena, &bytes, &mutation), KC_OK);
        note(names, seen, 7, mutation.what);
        kc_arena_reset(arena);
    }
    assert_all_seen(names, seen, 7);
    kc_arena_free(arena);
}
END_TEST

START_TEST(a_repeated_tag_is_refused_for_its_order)
{
    kp_tag unknown = {70, KC_STR("xyz")};
    kp_request_header msg;
    kc_arena *arena = new_arena();
    size_t repeated = 0;
    kp_defaults(&kp_request_header_message, &msg);
    msg.unknown_tags = (kp_tags){&unknown, 1};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        kc_mutation mutation;
        kc_fault fault;
        void *back;
        kc_bytes bytes = encoded(&kp_request_header_message, 2, &msg, arena);
        ck_assert_int_eq(
            kc_mutate_bytes(&kp_request_header_message, 2, bytes, seed, arena, &bytes, &mutation),
            KC_OK);
        if (strcmp(mutation.what, "tag repeated") != 0)
            continue;
        ck_assert_int_eq(
            kc_message_decode(&kp_request_header_message, 2, bytes, arena, &back, &fault),
            KC_ERR_MALFORMED);
        ck_assert_str_eq(fault.reason, "tags do not ascend");
        repeated++;
    }
    ck_assert_uint_gt(repeated, 10);
    kc_arena_free(arena);
}
END_TEST

START_TEST(a_lie_that_would_be_the_truth_changes_its_own_field)
{
    enum {
        MARK_AT = 16
    };
    static const uint8_t data[250];
    kp_tag unknown = {1000, kc_span(data, sizeof data)};
    kp_consumer_group_heartbeat_resp msg;
    kc_arena *arena = new_arena();
    size_t seen = 0;
    kp_defaults(&kp_consumer_group_heartbeat_resp_message, &msg);
    msg.unknown_tags = (kp_tags){&unknown, 1};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        kc_mutation mutation;
        kc_bytes bytes = encoded(&kp_consumer_group_heartbeat_resp_message, 0, &msg, arena);
        /* 255 bytes behind a mark of -1: in its one byte these are the same */
        ck_assert_uint_eq(bytes.len, MARK_AT + 1 + 255);
        ck_assert_int_eq(kc_mutate_bytes(&kp_consumer_group_heartbeat_resp_message, 0, bytes, seed,
                                         arena, &bytes, &mutation),
                         KC_OK);
        if (strcmp(mutation.what, "byte") == 0 && strcmp(mutation.path, "assignment") == 0) {
            ck_assert_uint_eq(mutation.at, MARK_AT);
            seen++;
        }
        kc_arena_reset(arena);
    }
    ck_assert_uint_gt(seen, 0);
    kc_arena_free(arena);
}
END_TEST
