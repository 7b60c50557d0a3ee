/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Messages as JSON: the form of Kafka's converters, there and back for all messages, and what is
 * refused. */
#include "codec_fixture.h"
#include "protocol/random_fill.h"

#include <stdio.h>

static void print(fixture *f, const kp_message *message, int16_t version, const void *msg)
{
    kb_json_writer writer;
    kb_buf_reset(&f->second);
    kb_json_writer_init(&writer, &f->second);
    kp_json_print(message, version, msg, &writer);
    ck_assert_int_eq(f->second.err, KC_OK);
}

static void assert_prints(fixture *f, const kp_message *message, int16_t version, const void *msg,
                          const char *expected)
{
    print(f, message, version, msg);
    kb_buf_put_byte(&f->second, 0);
    ck_assert_str_eq((const char *)f->second.data, expected);
}

static kc_err read_text(fixture *f, const kp_message *message, int16_t version, const char *json,
                        void *msg)
{
    return kp_json_read(message, version, kc_str(json), &f->arena, msg, &f->fault);
}

/* Print, read, encode: the bytes of the message itself. */
static void assert_json_round_trip(fixture *f, const kp_message *message, int16_t version,
                                   const void *msg)
{
    message_room back;
    kb_buf_reset(&f->first);
    assert_ok(f, message, version, kp_encode(message, version, msg, &f->first, NULL, &f->fault));
    print(f, message, version, msg);
    assert_ok(
        f, message, version,
        kp_json_read(message, version, kb_buf_bytes(&f->second), &f->arena, &back, &f->fault));
    kb_buf out;
    kb_buf_init(&out, &f->mem, 0);
    assert_ok(f, message, version, kp_encode(message, version, &back, &out, NULL, &f->fault));
    if (!kc_bytes_equal(kb_buf_bytes(&f->first), kb_buf_bytes(&out)))
        ck_abort_msg("%s v%d: other bytes after JSON " KC_FMT, message->name, version,
                     KC_ARG(kb_buf_bytes(&f->second)));
    kb_buf_cleanup(&out);
}

START_TEST(every_message_survives_json_in_every_version)
{
    fixture f;
    set_up(&f);
    kb_rand rand;
    kb_rand_init(&rand, 4);
    for (size_t i = 0; message_at(i); i++) {
        const kp_message *message = message_at(i);
        for (int16_t v = message->min; v <= message->max; v++) {
            message_room msg;
            kp_defaults(message, &msg);
            assert_json_round_trip(&f, message, v, &msg);
            for (int seed = 0; seed < 6; seed++) {
                ck_assert_int_eq(kp_random_fill(message, v, &rand, &f.arena, &msg), KC_OK);
                assert_json_round_trip(&f, message, v, &msg);
                kb_arena_reset(&f.arena);
            }
        }
    }
    tear_down(&f);
}
END_TEST

START_TEST(names_begin_small_and_only_fields_of_the_version_are_printed)
{
    fixture f;
    set_up(&f);
    kp_find_coordinator_req msg;
    kp_defaults(&kp_find_coordinator_req_message, &msg);
    msg.key = KC_STR("g\"1");
    assert_prints(&f, &kp_find_coordinator_req_message, 0, &msg, "{\"key\":\"g\\\"1\"}");
    assert_prints(&f, &kp_find_coordinator_req_message, 3, &msg,
                  "{\"key\":\"g\\\"1\",\"keyType\":0}");
    assert_prints(&f, &kp_find_coordinator_req_message, 4, &msg,
                  "{\"keyType\":0,\"coordinatorKeys\":[]}");
    tear_down(&f);
}
END_TEST

START_TEST(values_have_the_form_of_the_java_converters)
{
    fixture f;
    set_up(&f);
    kp_fetch_resp msg;
    kp_fetch_resp_response response;
    kp_fetch_resp_partition partition;
    kp_defaults(&kp_fetch_resp_message, &msg);
    kp_struct_defaults(&kp_fetch_resp_response_desc, &response);
    kp_struct_defaults(&kp_fetch_resp_partition_desc, &partition);
    msg.responses.items = &response;
    msg.responses.count = 1;
    memcpy(response.topic_id.bytes,
           "\xff\xfe\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d", 16);
    response.partitions.items = &partition;
    response.partitions.count = 1;
    partition.high_watermark = INT64_MAX;
    partition.aborted_transactions.count = -1;
    partition.current_leader.leader_id = 4;
    partition.records = KC_STR("\x00\x01");
    assert_prints(&f, &kp_fetch_resp_message, 16, &msg,
                  "{\"throttleTimeMs\":0,\"errorCode\":0,\"sessionId\":0,\"responses\":[{"
                  "\"topicId\":\"__4AAQIDBAUGBwgJCgsMDQ\",\"partitions\":[{\"partitionIndex\":0,"
                  "\"errorCode\":0,\"highWatermark\":9223372036854775807,\"lastStableOffset\":-1,"
                  "\"logStartOffset\":-1,\"currentLeader\":{\"leaderId\":4,\"leaderEpoch\":-1},"
                  "\"abortedTransactions\":null,\"preferredReadReplica\":-1,\"records\":\"AAE=\"}]"
                  "}]}");
    tear_down(&f);
}
END_TEST

START_TEST(floats_and_nullable_structs_print_and_read)
{
    fixture f;
    set_up(&f);
    const char *json = "{\"throttleTimeMs\":0,\"errorCode\":0,\"errorMessage\":null,\"entries\":[{"
                       "\"entity\":[{\"entityType\":\"user\",\"entityName\":null}],\"values\":["
                       "{\"key\":\"a\",\"value\":\"NaN\"},{\"key\":\"b\",\"value\":\"Infinity\"},"
                       "{\"key\":\"c\",\"value\":\"-Infinity\"}]}]}";
    kp_describe_client_quotas_resp quotas;
    assert_ok(&f, &kp_describe_client_quotas_resp_message, 1,
              read_text(&f, &kp_describe_client_quotas_resp_message, 1, json, &quotas));
    assert_prints(&f, &kp_describe_client_quotas_resp_message, 1, &quotas, json);
    kp_describe_topic_partitions_req topics;
    json = "{\"topics\":[],\"responsePartitionLimit\":7,\"cursor\":{\"topicName\":\"t\","
           "\"partitionIndex\":1}}";
    assert_ok(&f, &kp_describe_topic_partitions_req_message, 0,
              read_text(&f, &kp_describe_topic_partitions_req_message, 0, json, &topics));
    assert_prints(&f, &kp_describe_topic_partitions_req_message, 0, &topics, json);
    topics.cursor = NULL;
    assert_prints(&f, &kp_describe_topic_partitions_req_message, 0, &topics,
                  "{\"topics\":[],\"responsePartitionLimit\":7,\"cursor\":null}");
    tear_down(&f);
}
END_TEST

START_TEST(a_tagged_field_at_its_default_is_absent_and_unknown_tags_are_listed)
{
    fixture f;
    set_up(&f);
    kp_api_versions_resp msg;
    kp_tag tags[] = {{7, KC_STR("seven")}, {4000000000, KC_STR("")}};
    kp_defaults(&kp_api_versions_resp_message, &msg);
    assert_prints(&f, &kp_api_versions_resp_message, 3, &msg,
                  "{\"errorCode\":0,\"apiKeys\":[],\"throttleTimeMs\":0}");
    msg.zk_migration_ready = true;
    msg.unknown_tags = (kp_tags){tags, 2};
    const char *json = "{\"errorCode\":0,\"apiKeys\":[],\"throttleTimeMs\":0,\"zkMigrationReady\":"
                       "true,\"_unknownTags\":[{\"tag\":7,\"base64\":\"c2V2ZW4=\"},{\"tag\":"
                       "4000000000,\"base64\":\"\"}]}";
    assert_prints(&f, &kp_api_versions_resp_message, 3, &msg, json);
    kp_api_versions_resp back;
    assert_ok(&f, &kp_api_versions_resp_message, 3,
              read_text(&f, &kp_api_versions_resp_message, 3, json, &back));
    ck_assert_int_eq(back.unknown_tags.count, 2);
    ck_assert_uint_eq(back.unknown_tags.items[1].tag, 4000000000);
    ck_assert_int_eq(back.finalized_features_epoch, -1);
    tear_down(&f);
}
END_TEST

START_TEST(absent_members_take_their_default)
{
    fixture f;
    set_up(&f);
    kp_fetch_req msg;
    ck_assert_int_eq(read_text(&f, &kp_fetch_req_message, 12, " { } ", &msg), KC_OK);
    ck_assert_int_eq(msg.max_bytes, INT32_MAX);
    ck_assert_int_eq(msg.replica_id, -1);
    ck_assert_ptr_nonnull(msg.rack_id.ptr);
    tear_down(&f);
}
END_TEST

START_TEST(text_that_is_no_message_is_refused_with_its_place)
{
    static const struct {
        const char *json;
        kc_err err;
        size_t at;
        const char *path;
    } cases[] = {
        {"", KC_ERR_MALFORMED, 0, ""},
        {"[]", KC_ERR_MALFORMED, 0, ""},
        {"{\"maxBytes\":1} 2", KC_ERR_MALFORMED, 15, ""},
        {"{\"maxBytes\":1", KC_ERR_MALFORMED, 13, ""},
        {"{\"nothing\":1}", KC_ERR_MALFORMED, 1, "nothing"},
        {"{\"topics\":[{\"nothing\":1}]}", KC_ERR_MALFORMED, 12, "topics[0].nothing"},
        {"{\"maxBytes\":1,\"maxBytes\":1}", KC_ERR_MALFORMED, 14, "maxBytes"},
        {"{\"maxBytes\":2147483648}", KC_ERR_MALFORMED, 12, "maxBytes"},
        {"{\"maxBytes\":1.0}", KC_ERR_MALFORMED, 12, "maxBytes"},
        {"{\"maxBytes\":\"1\"}", KC_ERR_MALFORMED, 12, "maxBytes"},
        {"{\"maxBytes\":null}", KC_ERR_MALFORMED, 12, "maxBytes"},
        {"{\"rackId\":null}", KC_ERR_MALFORMED, 10, "rackId"},
        {"{\"rackId\":7}", KC_ERR_MALFORMED, 10, "rackId"},
        {"{\"topics\":{}}", KC_ERR_MALFORMED, 10, "topics"},
        {"{\"topics\":[1]}", KC_ERR_MALFORMED, 11, "topics[0]"},
        {"{\"topics\":[{},{\"partitions\":[{\"partition\":true}]}]}", KC_ERR_MALFORMED, 42,
         "topics[1].partitions[0].partition"},
        {"{\"topics\":[{\"topicId\":\"AAAA\"}]}", KC_ERR_MALFORMED, 22, "topics[0].topicId"},
        {"{\"topics\":[{\"topic\":\"old\"}]}", KC_ERR_MALFORMED, 12, "topics[0].topic"},
        {"{\"topics\":[{\"partitions\":[{]}", KC_ERR_MALFORMED, 27, "topics"},
        {"{\"replicaState\":[]}", KC_ERR_MALFORMED, 16, "replicaState"},
        {"{\"_unknownTags\":[{\"tag\":1}]}", KC_ERR_MALFORMED, 25, "_unknownTags[0]"},
        {"{\"_unknownTags\":[{\"tag\":-1,\"base64\":\"\"}]}", KC_ERR_MALFORMED, 24,
         "_unknownTags[0]"},
        {"{\"_unknownTags\":[{\"tag\":1,\"base64\":\"A\"}]}", KC_ERR_MALFORMED, 35,
         "_unknownTags[0]"},
        {"{\"_unknownTags\":{}}", KC_ERR_MALFORMED, 16, "_unknownTags"},
        {"{\"_unknownTags\":[7]}", KC_ERR_MALFORMED, 17, "_unknownTags[0]"},
        {"{\"_unknownTags\":[{\"tag\":1,\"tag\":1}]}", KC_ERR_MALFORMED, 26, "_unknownTags[0]"},
        {"{\"_unknownTags\":[{\"data\":\"\"}]}", KC_ERR_MALFORMED, 18, "_unknownTags[0]"},
        {"{\"topics\":[{\"_unknownTags\":[{\"tag\":1,\"base64\":\"\"},{}]}]}", KC_ERR_MALFORMED, 51,
         "topics[0]._unknownTags[1]"},
        {"{\"_unknownTags\":[],\"_unknownTags\":[]}", KC_ERR_MALFORMED, 19, "_unknownTags"},
    };
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kp_fetch_req msg;
        kc_err err = read_text(&f, &kp_fetch_req_message, 17, cases[i].json, &msg);
        if (err != cases[i].err || f.fault.at != cases[i].at ||
            strcmp(f.fault.path, cases[i].path) != 0 || !f.fault.reason)
            ck_abort_msg("%s: %d at %zu, %s (%s)", cases[i].json, err, f.fault.at, f.fault.path,
                         f.fault.reason ? f.fault.reason : "?");
    }
    kp_fetch_req msg;
    ck_assert_int_eq(read_text(&f, &kp_fetch_req_message, 11, "{\"_unknownTags\":[]}", &msg),
                     KC_ERR_MALFORMED);
    ck_assert_int_eq(read_text(&f, &kp_fetch_req_message, 3, "{}", &msg), KC_ERR_VERSION);
    tear_down(&f);
}
END_TEST

START_TEST(every_cut_of_a_text_is_refused)
{
    fixture f;
    set_up(&f);
    kb_rand rand;
    kb_rand_init(&rand, 5);
    for (size_t i = 0; message_at(i); i += 7) {
        const kp_message *message = message_at(i);
        message_room msg;
        ck_assert_int_eq(kp_random_fill(message, message->max, &rand, &f.arena, &msg), KC_OK);
        print(&f, message, message->max, &msg);
        for (size_t len = 0; len < f.second.len; len++) {
            ck_assert_int_eq(kp_json_read(message, message->max, kc_span(f.second.data, len),
                                          &f.arena, &msg, &f.fault),
                             KC_ERR_MALFORMED);
            kb_arena_reset(&f.arena);
        }
    }
    tear_down(&f);
}
END_TEST

START_TEST(reading_stops_at_the_arena_limit)
{
    fixture f;
    set_up(&f);
    kb_arena small;
    kb_arena_init(&small, &f.mem, 256);
    kp_fetch_req msg;
    kc_bytes json = KC_STR("{\"topics\":[{},{},{},{},{},{},{},{},{}]}");
    ck_assert_int_eq(kp_json_read(&kp_fetch_req_message, 17, json, &small, &msg, &f.fault),
                     KC_ERR_NOMEM);
    ck_assert_str_eq(f.fault.path, "topics");
    kb_arena_cleanup(&small);
    tear_down(&f);
}
END_TEST

START_TEST(a_float_is_a_number_or_one_of_three_words)
{
    static const char *const wrong[] = {"\"nan\"", "\"1\"", "true", "null", "\"\""};
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[200];
        kp_alter_client_quotas_req msg;
        (void)snprintf(text, sizeof text, "{\"entries\":[{\"ops\":[{\"value\":%s}]}]}", wrong[i]);
        ck_assert_int_eq(read_text(&f, &kp_alter_client_quotas_req_message, 1, text, &msg),
                         KC_ERR_MALFORMED);
        ck_assert_str_eq(f.fault.path, "entries[0].ops[0].value");
        ck_assert_uint_eq(f.fault.at, 29);
    }
    tear_down(&f);
}
END_TEST
