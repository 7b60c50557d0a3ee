/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Encoding by table: what a version has not, tags, splices, and bytes laid out by hand. */
#include "codec_fixture.h"

START_TEST(a_value_a_version_has_not_is_dropped_only_if_ignorable)
{
    fixture f;
    set_up(&f);
    kp_fetch_req msg;
    kp_defaults(&kp_fetch_req_message, &msg);
    msg.rack_id = KC_STR("r1"); /* 11+, ignorable */
    msg.session_epoch = 5;      /* 7+, ignorable  */
    assert_round_trip(&f, &kp_fetch_req_message, 4, &msg);
    kp_fetch_req back;
    ck_assert_int_eq(decode_bytes(&f, &kp_fetch_req_message, 4, kb_buf_bytes(&f.first), &back),
                     KC_OK);
    ck_assert(kc_bytes_equal(back.rack_id, KC_STR(""))); /* default, not null */
    ck_assert_int_eq(back.session_epoch, -1);
    kp_fetch_req_forgotten_topics_data forgotten; /* 7+, not ignorable */
    kp_struct_defaults(&kp_fetch_req_forgotten_topics_data_desc, &forgotten);
    msg.forgotten_topics_data.items = &forgotten;
    msg.forgotten_topics_data.count = 1;
    ck_assert_int_eq(kp_encode(&kp_fetch_req_message, 4, &msg, &f.first, NULL, &f.fault),
                     KC_ERR_VERSION);
    ck_assert_str_eq(f.fault.path, "forgottenTopicsData");
    kp_metadata_req metadata;
    kp_defaults(&kp_metadata_req_message, &metadata);
    metadata.allow_auto_topic_creation = false; /* 4+, default true, not ignorable */
    size_t size;
    ck_assert_int_eq(kp_size(&kp_metadata_req_message, 3, &metadata, &size, &f.fault),
                     KC_ERR_VERSION);
    ck_assert_str_eq(f.fault.path, "allowAutoTopicCreation");
    ck_assert_int_eq(kp_size(&kp_metadata_req_message, 4, &metadata, &size, &f.fault), KC_OK);
    tear_down(&f);
}
END_TEST

START_TEST(a_known_tag_before_its_version_is_an_error_on_write)
{
    fixture f;
    set_up(&f);
    kp_broker_heartbeat_req msg;
    kp_defaults(&kp_broker_heartbeat_req_message, &msg);
    kc_uuid dir = {.bytes = {1}};
    msg.offline_log_dirs.items = &dir; /* tag 0, 1+, not ignorable */
    msg.offline_log_dirs.count = 1;
    size_t size;
    ck_assert_int_eq(kp_size(&kp_broker_heartbeat_req_message, 0, &msg, &size, &f.fault),
                     KC_ERR_VERSION);
    ck_assert_str_eq(f.fault.path, "offlineLogDirs");
    assert_round_trip(&f, &kp_broker_heartbeat_req_message, 1, &msg);
    tear_down(&f);
}
END_TEST

START_TEST(a_tagged_field_at_its_default_is_not_written)
{
    fixture f;
    set_up(&f);
    kp_api_versions_resp msg;
    kp_defaults(&kp_api_versions_resp_message, &msg);
    assert_round_trip(&f, &kp_api_versions_resp_message, 3, &msg);
    ck_assert_uint_eq(f.first.len, 8); /* error, empty list, throttle time, no tags */
    msg.finalized_features_epoch = 0;  /* the default is -1 */
    assert_round_trip(&f, &kp_api_versions_resp_message, 3, &msg);
    ck_assert_uint_eq(f.first.len, 18);
    ck_assert_mem_eq(f.first.data + 7, "\x01\x01\x08\0\0\0\0\0\0\0\0", 11);
    tear_down(&f);
}
END_TEST

START_TEST(unknown_tags_that_can_not_be_written_are_refused)
{
    fixture f;
    set_up(&f);
    kp_api_versions_resp msg;
    kp_defaults(&kp_api_versions_resp_message, &msg);
    kp_tag tags[] = {{9, KC_STR("a")}, {9, KC_STR("b")}};
    size_t size;
    msg.unknown_tags = (kp_tags){tags, 2};
    ck_assert_int_eq(kp_size(&kp_api_versions_resp_message, 3, &msg, &size, &f.fault),
                     KC_ERR_ARGUMENT);
    tags[0].tag = 3; /* zkMigrationReady */
    ck_assert_int_eq(kp_size(&kp_api_versions_resp_message, 3, &msg, &size, &f.fault),
                     KC_ERR_ARGUMENT);
    tags[0].tag = 8;
    ck_assert_int_eq(kp_size(&kp_api_versions_resp_message, 3, &msg, &size, &f.fault), KC_OK);
    ck_assert_int_eq(kp_size(&kp_api_versions_resp_message, 2, &msg, &size, &f.fault),
                     KC_ERR_VERSION);
    tear_down(&f);
}
END_TEST

static void fill_produce(kp_produce_req *msg, kp_produce_req_topic_data *topic,
                         kp_produce_req_partition_data partitions[2])
{
    kp_defaults(&kp_produce_req_message, msg);
    kp_struct_defaults(&kp_produce_req_topic_data_desc, topic);
    msg->acks = -1;
    msg->timeout_ms = 30000;
    msg->topic_data.items = topic;
    msg->topic_data.count = 1;
    topic->name = KC_STR("orders");
    topic->partition_data.items = partitions;
    topic->partition_data.count = 2;
    for (int32_t i = 0; i < 2; i++)
        partitions[i] = (kp_produce_req_partition_data){
            .index = i, .records = i == 0 ? KC_STR("first batch") : KC_STR("second")};
}

/* The buffer with the spliced bytes put in their places. */
static void join(const kb_buf *buf, size_t from, const kp_splices *splices, kb_buf *out)
{
    size_t pos = from;
    for (uint32_t i = 0; i < splices->count; i++) {
        kb_buf_put(out, buf->data + pos, splices->items[i].at - pos);
        kb_buf_put_bytes(out, splices->items[i].bytes);
        pos = splices->items[i].at;
    }
    kb_buf_put(out, buf->data + pos, buf->len - pos);
}

START_TEST(records_are_listed_instead_of_copied)
{
    for (int16_t version = 3; version <= 12; version++) {
        for (uint32_t cap = 0; cap <= 3; cap++) {
            fixture f;
            set_up(&f);
            kp_produce_req msg;
            kp_produce_req_topic_data topic;
            kp_produce_req_partition_data partitions[2];
            fill_produce(&msg, &topic, partitions);
            kp_splice items[3];
            kp_splices splices = {.items = items, .cap = cap};
            kb_buf joined;
            kb_buf_init(&joined, &f.mem, 0);
            kb_buf_put(&f.first, "before", 6);
            ck_assert_int_eq(
                kp_encode(&kp_produce_req_message, version, &msg, &f.first, &splices, &f.fault),
                KC_OK);
            ck_assert_uint_eq(splices.count, cap < 2 ? cap : 2);
            if (cap > 0)
                ck_assert_ptr_eq(splices.items[0].bytes.ptr, partitions[0].records.ptr);
            ck_assert_uint_eq(splices.bytes, cap == 0 ? 0 : cap == 1 ? 11 : 17);
            join(&f.first, 6, &splices, &joined);
            ck_assert_int_eq(
                kp_encode(&kp_produce_req_message, version, &msg, &f.second, NULL, &f.fault),
                KC_OK);
            ck_assert(kc_bytes_equal(kb_buf_bytes(&joined), kb_buf_bytes(&f.second)));
            kb_buf_cleanup(&joined);
            tear_down(&f);
        }
    }
}
END_TEST

START_TEST(a_failed_encode_leaves_the_buffer_as_it_was)
{
    fixture f;
    set_up(&f);
    kp_produce_req msg;
    kp_produce_req_topic_data topic;
    kp_produce_req_partition_data partitions[2];
    fill_produce(&msg, &topic, partitions);
    kb_buf small;
    kb_buf_init(&small, &f.mem, 20);
    kb_buf_put(&small, "abc", 3);
    ck_assert_int_eq(kp_encode(&kp_produce_req_message, 9, &msg, &small, NULL, &f.fault),
                     KC_ERR_TOO_LARGE);
    topic.name = KC_NULL;
    ck_assert_int_eq(kp_encode(&kp_produce_req_message, 9, &msg, &small, NULL, &f.fault),
                     KC_ERR_ARGUMENT);
    ck_assert_str_eq(f.fault.path, "topicData[0].name");
    ck_assert_int_eq(small.err, KC_OK);
    ck_assert_uint_eq(small.len, 3);
    f.mem.limit = f.mem.used;
    topic.name = KC_STR("orders");
    ck_assert_int_eq(kp_encode(&kp_produce_req_message, 9, &msg, &f.first, NULL, &f.fault),
                     KC_ERR_NOMEM);
    ck_assert_int_eq(f.first.err, KC_OK);
    ck_assert_uint_eq(f.first.len, 0);
    kb_buf_cleanup(&small);
    tear_down(&f);
}
END_TEST

START_TEST(golden_api_versions_request_v3)
{
    fixture f;
    set_up(&f);
    kp_api_versions_req msg;
    kp_defaults(&kp_api_versions_req_message, &msg);
    msg.client_software_name = KC_STR("kafkac");
    msg.client_software_version = KC_STR("1.0");
    assert_round_trip(&f, &kp_api_versions_req_message, 3, &msg);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first), KC_STR("\x07kafkac\x04"
                                                            "1.0\0")));
    assert_round_trip(&f, &kp_api_versions_req_message, 0, &msg);
    ck_assert_uint_eq(f.first.len, 0);
    tear_down(&f);
}
END_TEST

START_TEST(golden_produce_request_v9)
{
    fixture f;
    set_up(&f);
    kp_produce_req msg;
    kp_produce_req_topic_data topic;
    kp_produce_req_partition_data partitions[2];
    fill_produce(&msg, &topic, partitions);
    partitions[1].records = KC_NULL;
    assert_round_trip(&f, &kp_produce_req_message, 9, &msg);
    kc_bytes expected = KC_STR("\0"             /* transactional id: null      */
                               "\xff\xff"       /* acks -1                     */
                               "\0\0\x75\x30"   /* timeout 30000               */
                               "\x02\x07orders" /* one topic                   */
                               "\x03"           /* two partitions              */
                               "\0\0\0\0"       /* index 0                     */
                               "\x0c"
                               "first batch" /* 11 bytes                    */
                               "\0"          /* tags                        */
                               "\0\0\0\x01"  /* index 1                     */
                               "\0"
                               "\0"   /* records null, tags          */
                               "\0"   /* tags of the topic           */
                               "\0"); /* tags of the request         */
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first), expected));
    tear_down(&f);
}
END_TEST

/* ---- what a program may get wrong ---- */

#define ASSERT_NOT_ENCODED(message, version, msg, code, field_path)                                \
    do {                                                                                           \
        size_t size_;                                                                              \
        ck_assert_int_eq(kp_size(&(message), version, msg, &size_, &f.fault), code);               \
        ck_assert_str_eq(f.fault.path, field_path);                                                \
        ck_assert_ptr_nonnull(f.fault.reason);                                                     \
        ck_assert_int_eq(kp_encode(&(message), version, msg, &f.first, NULL, &f.fault), code);     \
        ck_assert_uint_eq(f.first.len, 0);                                                         \
    } while (0)

START_TEST(arrays_and_tags_that_can_not_be_are_refused)
{
    fixture f;
    set_up(&f);
    kp_delete_groups_req msg;
    kp_defaults(&kp_delete_groups_req_message, &msg);
    msg.groups_names.count = 3;
    ASSERT_NOT_ENCODED(kp_delete_groups_req_message, 2, &msg, KC_ERR_ARGUMENT, "groupsNames");
    msg.groups_names.count = -2;
    ASSERT_NOT_ENCODED(kp_delete_groups_req_message, 2, &msg, KC_ERR_ARGUMENT, "groupsNames");
    kc_bytes names[2] = {KC_STR("g"), KC_NULL};
    msg.groups_names.items = names;
    msg.groups_names.count = 2;
    ASSERT_NOT_ENCODED(kp_delete_groups_req_message, 2, &msg, KC_ERR_ARGUMENT, "groupsNames[1]");
    msg.groups_names.count = 1;
    msg.unknown_tags.count = 1;
    ASSERT_NOT_ENCODED(kp_delete_groups_req_message, 2, &msg, KC_ERR_ARGUMENT, "");
    kp_tag tag = {7, KC_STR("")};
    msg.unknown_tags = (kp_tags){&tag, -1};
    ASSERT_NOT_ENCODED(kp_delete_groups_req_message, 2, &msg, KC_ERR_ARGUMENT, "");
    msg.unknown_tags.count = 1;
    assert_round_trip(&f, &kp_delete_groups_req_message, 2, &msg);
    tear_down(&f);
}
END_TEST

/* Sizes are added up before anything is read or written, so the bytes need not be there. */
START_TEST(what_no_length_can_tell_is_too_large_and_not_touched)
{
    fixture f;
    set_up(&f);
    kp_sasl_authenticate_req sasl;
    kp_defaults(&kp_sasl_authenticate_req_message, &sasl);
    sasl.auth_bytes = kc_span(&f, (size_t)1 << 31);
    ASSERT_NOT_ENCODED(kp_sasl_authenticate_req_message, 1, &sasl, KC_ERR_TOO_LARGE, "authBytes");
    ASSERT_NOT_ENCODED(kp_sasl_authenticate_req_message, 2, &sasl, KC_ERR_TOO_LARGE, "authBytes");
    sasl.auth_bytes = kc_span(&f, INT32_MAX - 1); /* with its length above 2^31 - 1 */
    ASSERT_NOT_ENCODED(kp_sasl_authenticate_req_message, 1, &sasl, KC_ERR_TOO_LARGE, "");
    sasl.auth_bytes = KC_STR("");
    kp_tag tag = {7, kc_span(&f, (size_t)1 << 31)};
    sasl.unknown_tags = (kp_tags){&tag, 1};
    ASSERT_NOT_ENCODED(kp_sasl_authenticate_req_message, 2, &sasl, KC_ERR_TOO_LARGE, "");
    tear_down(&f);
}
END_TEST

/* A message that no API has: tagged fields of every kind, with a gap before the first. */
typedef struct made_up {
    uint16_t port;
    double rate;
    kp_api_versions_resp_api_key *key;
    kp_array numbers;
    kp_tags unknown_tags;
} made_up;

static const kp_field_desc made_up_fields[] = {
    {"port", offsetof(made_up, port), KP_U16, 0, 0, 0, -1, 2, 0, sizeof(uint16_t), 9092, NULL},
    {"rate", offsetof(made_up, rate), KP_F64, 0, 0, 0, -1, 3, 0, sizeof(double), 0, NULL},
    {"key", offsetof(made_up, key), KP_STRUCT, 0, 0, 0, 0, 5, 0, sizeof(void *), 0,
     &kp_api_versions_resp_api_key_desc},
    {"numbers", offsetof(made_up, numbers), KP_I16, KP_F_ARRAY, 0, 0, -1, 6, 0, sizeof(int16_t), 0,
     NULL},
};
static const kp_struct_desc made_up_desc = {
    "made_up", made_up_fields, 4, sizeof(made_up), offsetof(made_up, unknown_tags), 1};
static const kp_message made_up_message = {"MadeUp", &made_up_desc, 0, 0, 0};

START_TEST(tagged_fields_of_every_kind_are_left_out_at_their_default)
{
    fixture f;
    set_up(&f);
    made_up msg;
    kp_defaults(&made_up_message, &msg);
    assert_round_trip(&f, &made_up_message, 0, &msg);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first), BYTES(0)));
    msg.numbers.count = -1; /* null says no more than empty where there is no null */
    assert_round_trip(&f, &made_up_message, 0, &msg);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first), BYTES(0)));
    msg.port = 1;
    msg.rate = 0.5;
    kp_api_versions_resp_api_key key = {.api_key = 3};
    msg.key = &key;
    assert_round_trip(&f, &made_up_message, 0, &msg);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first), BYTES(3, 2, 2, 0, 1, 3, 8, 0x3f, 0xe0, 0, 0, 0,
                                                           0, 0, 0, 5, 8, 1, 0, 3, 0, 0, 0, 0, 0)));
    tear_down(&f);
}
END_TEST

START_TEST(unknown_tags_are_written_between_known_ones)
{
    fixture f;
    set_up(&f);
    made_up msg;
    int16_t number = 7;
    kp_tag unknown[] = {{1, KC_STR("a")}, {4, KC_STR("")}, {9, KC_STR("b")}};
    kp_defaults(&made_up_message, &msg);
    msg.port = 1;
    msg.numbers = (kp_array){&number, 1};
    msg.unknown_tags = (kp_tags){unknown, 3};
    assert_round_trip(&f, &made_up_message, 0, &msg);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first),
                             BYTES(5, 1, 1, 'a', 2, 2, 0, 1, 4, 0, 6, 3, 2, 0, 7, 9, 1, 'b')));
    tear_down(&f);
}
END_TEST
