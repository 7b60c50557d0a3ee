/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Decoding by table: all messages in all versions there and back, and what is refused. */
#include "codec_fixture.h"
#include "protocol/random_fill.h"

#define SEEDS_PER_VERSION 12

START_TEST(the_defaults_of_every_message_round_trip_in_every_version)
{
    fixture f;
    set_up(&f);
    for (size_t i = 0; message_at(i); i++) {
        const kp_message *message = message_at(i);
        for (int16_t v = message->min; v <= message->max; v++) {
            message_room msg;
            kp_defaults(message, &msg);
            assert_round_trip(&f, message, v, &msg);
            kb_arena_reset(&f.arena);
        }
    }
    tear_down(&f);
}
END_TEST

START_TEST(random_messages_round_trip_in_every_version)
{
    fixture f;
    set_up(&f);
    kb_rand rand;
    kb_rand_init(&rand, 1);
    size_t rounds = 0;
    for (size_t i = 0; message_at(i); i++) {
        const kp_message *message = message_at(i);
        for (int16_t v = message->min; v <= message->max; v++) {
            for (int seed = 0; seed < SEEDS_PER_VERSION; seed++, rounds++) {
                message_room msg;
                ck_assert_int_eq(kp_random_fill(message, v, &rand, &f.arena, &msg), KC_OK);
                assert_round_trip(&f, message, v, &msg);
                kb_arena_reset(&f.arena);
            }
        }
    }
    ck_assert_uint_ge(rounds, 604 * SEEDS_PER_VERSION);
    tear_down(&f);
}
END_TEST

/* Three items in each outermost array, all at their defaults: the least an item can take. */
static void put_default_items(const kp_struct_desc *desc, kb_arena *arena, uint8_t *out)
{
    for (size_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        if (!(field->flags & KP_F_ARRAY) || field->type != KP_STRUCT)
            continue;
        kp_array *array = (kp_array *)(void *)(out + field->offset);
        array->count = 3;
        array->items = kb_arena_array(arena, 3, field->sub->size);
        for (size_t n = 0; n < 3; n++) {
            uint8_t *item = (uint8_t *)array->items + n * field->sub->size;
            kp_struct_defaults(field->sub, item);
            if (n == 0)
                put_default_items(field->sub, arena, item);
        }
    }
}

START_TEST(the_smallest_items_are_not_taken_for_a_hostile_count)
{
    fixture f;
    set_up(&f);
    size_t tried = 0;
    for (size_t i = 0; message_at(i); i++) {
        const kp_message *message = message_at(i);
        for (int16_t v = message->min; v <= message->max; v++) {
            message_room msg;
            size_t size;
            kp_defaults(message, &msg);
            put_default_items(message->root, &f.arena, msg.bytes);
            /* an array that this version has not is an error on write, and not what is asked here
             */
            if (kp_size(message, v, &msg, &size, NULL) == KC_OK) {
                assert_round_trip(&f, message, v, &msg);
                tried++;
            }
            kb_arena_reset(&f.arena);
        }
    }
    ck_assert_uint_gt(tried, 400);
    tear_down(&f);
}
END_TEST

START_TEST(every_truncation_is_an_error_and_never_more)
{
    fixture f;
    set_up(&f);
    kb_rand rand;
    kb_rand_init(&rand, 2);
    for (size_t i = 0; message_at(i); i++) {
        const kp_message *message = message_at(i);
        for (int16_t v = message->min; v <= message->max; v++) {
            message_room msg;
            ck_assert_int_eq(kp_random_fill(message, v, &rand, &f.arena, &msg), KC_OK);
            assert_round_trip(&f, message, v, &msg);
            for (size_t len = 0; len < f.first.len; len++) {
                /* a block of its own, so that the sanitizer sees a read behind its end */
                uint8_t *exact = kb_mem_alloc(&f.mem, len);
                memcpy(exact, f.first.data, len);
                kc_err err = kp_decode(message, v, kc_span(exact, len), &f.arena, &msg, &f.fault);
                ck_assert(err == KC_ERR_TRUNCATED || err == KC_ERR_MALFORMED);
                ck_assert_uint_le(f.fault.at, len);
                ck_assert_ptr_nonnull(f.fault.reason);
                kb_mem_free(&f.mem, exact);
                kb_arena_reset(&f.arena);
            }
        }
    }
    tear_down(&f);
}
END_TEST

START_TEST(spoilt_bytes_are_refused_or_give_a_message_that_round_trips)
{
    fixture f;
    set_up(&f);
    kb_rand rand;
    kb_rand_init(&rand, 3);
    size_t accepted = 0;
    size_t refused = 0;
    for (size_t i = 0; message_at(i); i++) {
        const kp_message *message = message_at(i);
        for (int round = 0; round < 60; round++) {
            int16_t v =
                (int16_t)(message->min + (int16_t)kb_rand_below(
                                             &rand, (uint64_t)(message->max - message->min + 1)));
            message_room msg;
            ck_assert_int_eq(kp_random_fill(message, v, &rand, &f.arena, &msg), KC_OK);
            assert_round_trip(&f, message, v, &msg);
            for (uint64_t n = 1 + kb_rand_below(&rand, 3); n > 0 && f.first.len > 0; n--)
                f.first.data[kb_rand_below(&rand, f.first.len)] = (uint8_t)kb_rand_u64(&rand);
            uint8_t *exact = kb_mem_alloc(&f.mem, f.first.len);
            size_t len = f.first.len;
            memcpy(exact, f.first.data, len);
            if (kp_decode(message, v, kc_span(exact, len), &f.arena, &msg, &f.fault) == KC_OK) {
                accepted++;
                assert_round_trip(&f, message, v, &msg);
            } else {
                refused++;
            }
            kb_mem_free(&f.mem, exact);
            kb_arena_reset(&f.arena);
        }
    }
    ck_assert_uint_gt(accepted, 500);
    ck_assert_uint_gt(refused, 500);
    tear_down(&f);
}
END_TEST

START_TEST(a_hostile_count_takes_no_memory)
{
    fixture f;
    set_up(&f);
    ASSERT_REFUSED(kp_metadata_resp_message, 0, BYTES(0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1),
                   KC_ERR_TRUNCATED, 4, "brokers");
    /* throttleTimeMs, then a compact count of 2^28 - 1 */
    ASSERT_REFUSED(kp_metadata_resp_message, 12,
                   BYTES(0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0), KC_ERR_TRUNCATED, 8,
                   "brokers");
    /* one broker, which has the least size, claimed twice */
    ASSERT_REFUSED(kp_metadata_resp_message, 0, BYTES(0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0),
                   KC_ERR_TRUNCATED, 4, "brokers");
    /* more tags than bytes */
    ASSERT_REFUSED(kp_response_header_message, 1, BYTES(0, 0, 0, 1, 0x7f, 1, 0), KC_ERR_TRUNCATED,
                   5, "");
    ck_assert_uint_eq(f.arena.used, 0);
    tear_down(&f);
}
END_TEST

START_TEST(an_arena_limit_stops_a_large_message)
{
    fixture f;
    set_up(&f);
    kp_delete_groups_req msg;
    kp_defaults(&kp_delete_groups_req_message, &msg);
    kc_bytes names[500];
    for (size_t i = 0; i < 500; i++)
        names[i] = KC_STR("g");
    msg.groups_names.items = names;
    msg.groups_names.count = 500;
    ck_assert_int_eq(kp_encode(&kp_delete_groups_req_message, 2, &msg, &f.first, NULL, &f.fault),
                     KC_OK);
    kb_arena small;
    kb_arena_init(&small, &f.mem, 4096);
    ck_assert_int_eq(
        kp_decode(&kp_delete_groups_req_message, 2, kb_buf_bytes(&f.first), &small, &msg, &f.fault),
        KC_ERR_NOMEM);
    ck_assert_str_eq(f.fault.path, "groupsNames");
    kb_arena_cleanup(&small);
    tear_down(&f);
}
END_TEST

START_TEST(bytes_behind_a_message_are_refused_but_a_prefix_is_read)
{
    fixture f;
    set_up(&f);
    kp_response_header header;
    kc_bytes in = BYTES(0, 0, 0, 7, 0xaa);
    ASSERT_REFUSED(kp_response_header_message, 0, in, KC_ERR_MALFORMED, 4, "");
    size_t used = 0;
    ck_assert_int_eq(
        kp_decode_prefix(&kp_response_header_message, 0, in, &f.arena, &header, &used, &f.fault),
        KC_OK);
    ck_assert_uint_eq(used, 4);
    ck_assert_int_eq(header.correlation_id, 7);
    tear_down(&f);
}
END_TEST

START_TEST(versions_outside_the_schema_are_refused)
{
    fixture f;
    set_up(&f);
    kp_produce_req msg;
    size_t size;
    kp_defaults(&kp_produce_req_message, &msg);
    for (int16_t v = 2; v <= 14; v = (int16_t)(v + 12)) {
        ck_assert_int_eq(kp_encode(&kp_produce_req_message, v, &msg, &f.first, NULL, &f.fault),
                         KC_ERR_VERSION);
        ck_assert_int_eq(kp_size(&kp_produce_req_message, v, &msg, &size, &f.fault),
                         KC_ERR_VERSION);
        ck_assert_int_eq(decode_bytes(&f, &kp_produce_req_message, v, KC_NULL, &msg),
                         KC_ERR_VERSION);
        ck_assert_ptr_nonnull(f.fault.reason);
    }
    tear_down(&f);
}
END_TEST

START_TEST(what_no_real_peer_writes_is_refused_with_its_place)
{
    fixture f;
    set_up(&f);
    /* over-long varint: 0x80 0x00 for 0; and one above 32 bits */
    ASSERT_REFUSED(kp_response_header_message, 1, BYTES(0, 0, 0, 1, 0x80, 0x00), KC_ERR_MALFORMED,
                   4, "");
    ASSERT_REFUSED(kp_response_header_message, 1, BYTES(0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x1f),
                   KC_ERR_MALFORMED, 4, "");
    ASSERT_REFUSED(kp_response_header_message, 1,
                   BYTES(0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), KC_ERR_MALFORMED, 4, "");
    /* lengths below -1 */
    ASSERT_REFUSED(kp_sasl_handshake_req_message, 1, BYTES(0xff, 0xfe), KC_ERR_MALFORMED, 0,
                   "mechanism");
    ASSERT_REFUSED(kp_sasl_authenticate_req_message, 1, BYTES(0xff, 0xff, 0xff, 0xfe),
                   KC_ERR_MALFORMED, 0, "authBytes");
    /* null that the schema does not allow, fixed and compact */
    ASSERT_REFUSED(kp_sasl_handshake_req_message, 1, BYTES(0xff, 0xff), KC_ERR_MALFORMED, 2,
                   "mechanism");
    ASSERT_REFUSED(kp_sasl_authenticate_req_message, 2, BYTES(0, 0), KC_ERR_MALFORMED, 1,
                   "authBytes");
    ASSERT_REFUSED(kp_delete_groups_req_message, 2, BYTES(0, 0), KC_ERR_MALFORMED, 1,
                   "groupsNames");
    ASSERT_REFUSED(kp_delete_groups_req_message, 2, BYTES(2, 0, 0), KC_ERR_MALFORMED, 2,
                   "groupsNames[0]");
    /* boolean 2 */
    ASSERT_REFUSED(kp_describe_cluster_req_message, 0, BYTES(2, 0), KC_ERR_MALFORMED, 0,
                   "includeClusterAuthorizedOperations");
    /* mark of a nullable struct: the cursor of DescribeTopicPartitions */
    ASSERT_REFUSED(kp_describe_topic_partitions_req_message, 0, BYTES(1, 0, 0, 0, 9, 0, 0),
                   KC_ERR_MALFORMED, 5, "cursor");
    tear_down(&f);
}
END_TEST

START_TEST(a_compact_string_keeps_the_limit_of_32767)
{
    fixture f;
    set_up(&f);
    kp_sasl_handshake_req old;
    kp_describe_transactions_req msg;
    static uint8_t text[32768];
    memset(text, 'a', sizeof text);
    kc_bytes id = kc_span(text, 32767);
    kp_defaults(&kp_describe_transactions_req_message, &msg);
    msg.transactional_ids.items = &id;
    msg.transactional_ids.count = 1;
    assert_round_trip(&f, &kp_describe_transactions_req_message, 0, &msg);
    id.len++;
    ck_assert_int_eq(
        kp_encode(&kp_describe_transactions_req_message, 0, &msg, &f.second, NULL, &f.fault),
        KC_ERR_ARGUMENT);
    ck_assert_str_eq(f.fault.path, "transactionalIds[0]");
    old.mechanism = id;
    old.unknown_tags = (kp_tags){0};
    ck_assert_int_eq(kp_encode(&kp_sasl_handshake_req_message, 1, &old, &f.second, NULL, &f.fault),
                     KC_ERR_ARGUMENT);
    /* one item of 32768 bytes: varint 32769 is 81 80 02 */
    kb_buf_reset(&f.first);
    kb_buf_put(&f.first, "\x02\x81\x80\x02", 4);
    kb_buf_put(&f.first, text, sizeof text);
    kb_buf_put_byte(&f.first, 0);
    ASSERT_REFUSED(kp_describe_transactions_req_message, 0, kb_buf_bytes(&f.first),
                   KC_ERR_MALFORMED, 4, "transactionalIds[0]");
    tear_down(&f);
}
END_TEST

START_TEST(nullability_follows_the_version)
{
    fixture f;
    set_up(&f);
    kp_metadata_req msg;
    kp_defaults(&kp_metadata_req_message, &msg);
    msg.topics.count = -1; /* all topics; v0 says that with an empty array */
    ck_assert_int_eq(kp_encode(&kp_metadata_req_message, 0, &msg, &f.first, NULL, &f.fault),
                     KC_ERR_ARGUMENT);
    ck_assert_str_eq(f.fault.path, "topics");
    assert_round_trip(&f, &kp_metadata_req_message, 1, &msg);
    ck_assert_uint_eq(f.first.len, 4);
    ck_assert_mem_eq(f.first.data, "\xff\xff\xff\xff", 4);
    ASSERT_REFUSED(kp_metadata_req_message, 0, BYTES(0xff, 0xff, 0xff, 0xff), KC_ERR_MALFORMED, 4,
                   "topics");
    kp_metadata_req_topic topic;
    kp_struct_defaults(&kp_metadata_req_topic_desc, &topic);
    topic.name = KC_NULL;
    msg.topics.items = &topic;
    msg.topics.count = 1;
    ck_assert_int_eq(kp_encode(&kp_metadata_req_message, 9, &msg, &f.first, NULL, &f.fault),
                     KC_ERR_ARGUMENT);
    ck_assert_str_eq(f.fault.path, "topics[0].name");
    assert_round_trip(&f, &kp_metadata_req_message, 10, &msg);
    tear_down(&f);
}
END_TEST

START_TEST(a_nullable_struct_has_a_mark_in_front)
{
    fixture f;
    set_up(&f);
    kp_describe_topic_partitions_req msg;
    kp_defaults(&kp_describe_topic_partitions_req_message, &msg);
    ck_assert_ptr_null(msg.cursor);
    assert_round_trip(&f, &kp_describe_topic_partitions_req_message, 0, &msg);
    ck_assert_uint_eq(f.first.len, 7);
    ck_assert_mem_eq(f.first.data, "\x01\x00\x00\x07\xd0\xff\x00", 7); /* limit 2000, no cursor */
    kp_describe_topic_partitions_req_cursor cursor = {.topic_name = KC_STR("t"),
                                                      .partition_index = 3};
    msg.cursor = &cursor;
    assert_round_trip(&f, &kp_describe_topic_partitions_req_message, 0, &msg);
    ck_assert_uint_eq(f.first.len, 14);
    ck_assert_mem_eq(f.first.data + 5, "\x01\x02t\x00\x00\x00\x03\x00\x00", 9);
    kp_describe_topic_partitions_req back;
    ck_assert_int_eq(decode_bytes(&f, &kp_describe_topic_partitions_req_message, 0,
                                  kb_buf_bytes(&f.first), &back),
                     KC_OK);
    ck_assert_ptr_nonnull(back.cursor);
    ck_assert_int_eq(back.cursor->partition_index, 3);
    tear_down(&f);
}
END_TEST

START_TEST(unknown_tags_are_kept_at_every_level_and_merged_in_order)
{
    fixture f;
    set_up(&f);
    kp_api_versions_resp msg;
    kp_defaults(&kp_api_versions_resp_message, &msg);
    kp_api_versions_resp_api_key key = {.api_key = 18, .max_version = 4};
    kp_tag inner = {5, KC_STR("in")};
    kp_tag outer[] = {{4, KC_STR("four")}, {900, KC_STR("")}};
    key.unknown_tags = (kp_tags){&inner, 1};
    msg.api_keys.items = &key;
    msg.api_keys.count = 1;
    msg.zk_migration_ready = true; /* tag 3 */
    msg.unknown_tags = (kp_tags){outer, 2};
    assert_round_trip(&f, &kp_api_versions_resp_message, 3, &msg);
    static const uint8_t expected[] = {0, 0, 2, 0, 18, 0, 0, 0, 4,   1,   5,   2,   'i',  'n', 0, 0,
                                       0, 0, 3, 3, 1,  1, 4, 4, 'f', 'o', 'u', 'r', 0x84, 7,   0};
    ck_assert_uint_eq(f.first.len, sizeof expected);
    ck_assert_mem_eq(f.first.data, expected, sizeof expected);
    kp_api_versions_resp back;
    ck_assert_int_eq(
        decode_bytes(&f, &kp_api_versions_resp_message, 3, kb_buf_bytes(&f.first), &back), KC_OK);
    ck_assert_int_eq(back.unknown_tags.count, 2);
    ck_assert_uint_eq(back.unknown_tags.items[1].tag, 900);
    ck_assert(kc_bytes_equal(back.api_keys.items[0].unknown_tags.items[0].data, KC_STR("in")));
    tear_down(&f);
}
END_TEST

START_TEST(tags_must_ascend_and_a_known_one_must_fill_its_size)
{
    fixture f;
    set_up(&f);
    const kp_message *resp = &kp_api_versions_resp_message;
    kp_api_versions_resp msg;
    /* error 0, no keys, throttle 0, then the tags from byte 7 on */
    ck_assert_int_eq(decode_bytes(&f, resp, 3, BYTES(0, 0, 1, 0, 0, 0, 0, 2, 3, 1, 1, 7, 0), &msg),
                     KC_OK);
    ck_assert(msg.zk_migration_ready);
    ASSERT_REFUSED(*resp, 3, BYTES(0, 0, 1, 0, 0, 0, 0, 2, 3, 1, 1, 3, 1, 1), KC_ERR_MALFORMED, 12,
                   "");
    ASSERT_REFUSED(*resp, 3, BYTES(0, 0, 1, 0, 0, 0, 0, 2, 7, 0, 3, 1, 1), KC_ERR_MALFORMED, 11,
                   "");
    ASSERT_REFUSED(*resp, 3, BYTES(0, 0, 1, 0, 0, 0, 0, 1, 3, 2, 1, 1), KC_ERR_MALFORMED, 11,
                   "zkMigrationReady");
    ASSERT_REFUSED(*resp, 3, BYTES(0, 0, 1, 0, 0, 0, 0, 1, 1, 7, 0, 0, 0, 0, 0, 0, 0),
                   KC_ERR_MALFORMED, 10, "finalizedFeaturesEpoch");
    ASSERT_REFUSED(*resp, 3, BYTES(0, 0, 1, 0, 0, 0, 0, 1, 9, 4, 0), KC_ERR_TRUNCATED, 10, "");
    tear_down(&f);
}
END_TEST

START_TEST(a_tag_before_its_version_is_kept_as_unknown)
{
    fixture f;
    set_up(&f);
    kp_fetch_resp msg;
    /* v15: throttle, error, session, no responses; tag 0 is nodeEndpoints from 16 on */
    kc_bytes in = BYTES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1);
    ck_assert_int_eq(decode_bytes(&f, &kp_fetch_resp_message, 15, in, &msg), KC_OK);
    ck_assert_int_eq(msg.unknown_tags.count, 1);
    assert_round_trip(&f, &kp_fetch_resp_message, 15, &msg);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first), in));
    ck_assert_int_eq(decode_bytes(&f, &kp_fetch_resp_message, 16, in, &msg), KC_OK);
    ck_assert_int_eq(msg.unknown_tags.count, 0);
    tear_down(&f);
}
END_TEST

START_TEST(without_an_arena_unknown_tags_are_skipped)
{
    kp_response_header header;
    size_t used = 0;
    kp_fault fault;
    ck_assert_int_eq(kp_decode_prefix(&kp_response_header_message, 1,
                                      BYTES(0, 0, 0, 9, 1, 6, 2, 0xaa, 0xbb, 0xcc), NULL, &header,
                                      &used, &fault),
                     KC_OK);
    ck_assert_uint_eq(used, 9);
    ck_assert_int_eq(header.unknown_tags.count, 0);
}
END_TEST

START_TEST(the_path_of_a_deep_fault_names_every_step)
{
    fixture f;
    set_up(&f);
    kp_offset_fetch_req msg;
    kp_offset_fetch_req_group groups[2];
    kp_offset_fetch_req_group_topic topics[3];
    kp_defaults(&kp_offset_fetch_req_message, &msg);
    for (size_t i = 0; i < 2; i++)
        kp_struct_defaults(&kp_offset_fetch_req_group_desc, &groups[i]);
    for (size_t i = 0; i < 3; i++)
        kp_struct_defaults(&kp_offset_fetch_req_group_topic_desc, &topics[i]);
    msg.groups.items = groups;
    msg.groups.count = 2;
    groups[1].topics.items = topics;
    groups[1].topics.count = 3;
    topics[2].name = KC_NULL;
    size_t size;
    ck_assert_int_eq(kp_size(&kp_offset_fetch_req_message, 8, &msg, &size, &f.fault),
                     KC_ERR_ARGUMENT);
    ck_assert_str_eq(f.fault.path, "groups[1].topics[2].name");
    ck_assert_int_eq(kp_size(&kp_offset_fetch_req_message, 8, &msg, &size, NULL), KC_ERR_ARGUMENT);
    /* the same on decode: the null name of a topic */
    topics[2].name = KC_STR("");
    ck_assert_int_eq(kp_encode(&kp_offset_fetch_req_message, 8, &msg, &f.first, NULL, &f.fault),
                     KC_OK);
    uint8_t *last_topic = f.first.data + f.first.len - 6; /* name, partitions, tags; tags; ...  */
    ck_assert_uint_eq(last_topic[0], 1);
    last_topic[0] = 0;
    ASSERT_REFUSED(kp_offset_fetch_req_message, 8, kb_buf_bytes(&f.first), KC_ERR_MALFORMED,
                   f.first.len - 5, "groups[1].topics[2].name");
    tear_down(&f);
}
END_TEST

START_TEST(golden_metadata_response_v12)
{
    fixture f;
    set_up(&f);
    kc_bytes in = KC_STR("\0\0\0\x05" /* throttle               */
                         "\x02"
                         "\0\0\0\x01"
                         "\x0alocalhost"
                         "\0\0\x23\x84"
                         "\0"
                         "\0" /* broker */
                         "\x04"
                         "abc"
                         "\0\0\0\x01" /* cluster id, controller */
                         "\x02"
                         "\0\0"
                         "\x02t" /* one topic, no error    */
                         "\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10" /* topic id     */
                         "\0"
                         "\x02" /* internal, partitions   */
                         "\0\0"
                         "\0\0\0\x07"
                         "\0\0\0\x01"
                         "\0\0\0\x02" /* leader, epoch        */
                         "\x03"
                         "\0\0\0\x01"
                         "\0\0\0\x02" /* replicas               */
                         "\x02"
                         "\0\0\0\x01"
                         "\x01"
                         "\0" /* isr, offline, tags     */
                         "\x80\0\0\0"
                         "\0"
                         "\0"); /* operations, tags       */
    kp_metadata_resp msg;
    assert_ok(&f, &kp_metadata_resp_message, 12,
              decode_bytes(&f, &kp_metadata_resp_message, 12, in, &msg));
    ck_assert_int_eq(msg.throttle_time_ms, 5);
    ck_assert_int_eq(msg.brokers.count, 1);
    ck_assert(kc_bytes_equal(msg.brokers.items[0].host, KC_STR("localhost")));
    ck_assert_int_eq(msg.brokers.items[0].port, 9092);
    ck_assert_ptr_null(msg.brokers.items[0].rack.ptr);
    ck_assert(kc_bytes_equal(msg.cluster_id, KC_STR("abc")));
    ck_assert_int_eq(msg.cluster_authorized_operations, INT32_MIN); /* 8-10: default */
    const kp_metadata_resp_topic *topic = &msg.topics.items[0];
    ck_assert(kc_bytes_equal(topic->name, KC_STR("t")));
    ck_assert_uint_eq(topic->topic_id.bytes[15], 16);
    ck_assert_int_eq(topic->topic_authorized_operations, INT32_MIN);
    const kp_metadata_resp_partition *partition = &topic->partitions.items[0];
    ck_assert_int_eq(partition->partition_index, 7);
    ck_assert_int_eq(partition->leader_epoch, 2);
    ck_assert_int_eq(partition->replica_nodes.count, 2);
    ck_assert_int_eq(partition->replica_nodes.items[1], 2);
    ck_assert_int_eq(partition->isr_nodes.items[0], 1);
    ck_assert_int_eq(partition->offline_replicas.count, 0);
    ck_assert_int_eq(kp_encode(&kp_metadata_resp_message, 12, &msg, &f.first, NULL, &f.fault),
                     KC_OK);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first), in));
    tear_down(&f);
}
END_TEST

START_TEST(defaults_are_those_of_the_schema)
{
    kp_fetch_req fetch;
    kp_defaults(&kp_fetch_req_message, &fetch);
    ck_assert_ptr_null(fetch.cluster_id.ptr);
    ck_assert_ptr_nonnull(fetch.rack_id.ptr);
    ck_assert_int_eq(fetch.max_bytes, INT32_MAX);
    ck_assert_int_eq(fetch.replica_state.replica_epoch, -1);
    kp_fetch_req_partition partition;
    kp_struct_defaults(&kp_fetch_req_partition_desc, &partition);
    ck_assert(partition.high_watermark == INT64_MAX);
    kp_list_partition_reassignments_req list;
    kp_defaults(&kp_list_partition_reassignments_req_message, &list);
    ck_assert_int_eq(list.topics.count, -1);
    ck_assert_int_eq(list.timeout_ms, 60000);
    kp_describe_log_dirs_req dirs; /* nullable without a default: empty */
    kp_defaults(&kp_describe_log_dirs_req_message, &dirs);
    ck_assert_int_eq(dirs.topics.count, 0);
    kp_produce_req_partition_data data; /* records: null */
    kp_struct_defaults(&kp_produce_req_partition_data_desc, &data);
    ck_assert_ptr_null(data.records.ptr);
    kp_metadata_req metadata;
    kp_defaults(&kp_metadata_req_message, &metadata);
    ck_assert(metadata.allow_auto_topic_creation);
}
END_TEST
