/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Decoding what no honest peer writes: lengths and counts beyond the bytes, tags out of order at every
 * level, varints too long. */
#include "codec_fixture.h"
#include "protocol/codec_internal.h"
#include "protocol/frame.h"

START_TEST(a_length_beyond_the_bytes_is_refused_where_it_stands)
{
    fixture f;
    set_up(&f);
    /* string, 16 bit and compact */
    ASSERT_REFUSED(kp_sasl_handshake_req_message, 1, BYTES(0x7f, 0xff, 'a'), KC_ERR_TRUNCATED, 2,
                   "mechanism");
    ASSERT_REFUSED(kp_delete_groups_req_message, 2, BYTES(2, 3, 'a'), KC_ERR_TRUNCATED, 2,
                   "groupsNames[0]");
    /* bytes, 32 bit and compact: 2^31 - 1, and what no int32 can say */
    ASSERT_REFUSED(kp_sasl_authenticate_req_message, 1, BYTES(0x7f, 0xff, 0xff, 0xff, 1),
                   KC_ERR_TRUNCATED, 4, "authBytes");
    ASSERT_REFUSED(kp_sasl_authenticate_req_message, 2, BYTES(0x80, 0x80, 0x80, 0x80, 0x08, 1),
                   KC_ERR_TRUNCATED, 5, "authBytes");
    ASSERT_REFUSED(kp_sasl_authenticate_req_message, 2, BYTES(0x81, 0x80, 0x80, 0x80, 0x08, 1),
                   KC_ERR_MALFORMED, 0, "authBytes");
    /* records: no transactional id, acks, timeout, one topic "t", one partition 0, then the length */
    ASSERT_REFUSED(kp_produce_req_message, 9,
                   BYTES(0, 0, 1, 0, 0, 0, 9, 2, 2, 't', 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0),
                   KC_ERR_TRUNCATED, 19, "topicData[0].partitionData[0].records");
    ck_assert_uint_lt(f.arena.used, 512);
    tear_down(&f);
}
END_TEST

START_TEST(a_varint_is_as_short_as_it_can_be_wherever_it_stands)
{
    fixture f;
    set_up(&f);
    /* count of an array, length of a string in it, count of tags, a tag, its size */
    ASSERT_REFUSED(kp_delete_groups_req_message, 2, BYTES(0x82, 0, 2, 'a', 0), KC_ERR_MALFORMED, 0,
                   "groupsNames");
    ASSERT_REFUSED(kp_delete_groups_req_message, 2, BYTES(2, 0x82, 0, 'a', 0), KC_ERR_MALFORMED, 1,
                   "groupsNames[0]");
    ASSERT_REFUSED(kp_delete_groups_req_message, 2, BYTES(1, 0x81, 0, 0, 0), KC_ERR_MALFORMED, 1,
                   "");
    ASSERT_REFUSED(kp_delete_groups_req_message, 2, BYTES(1, 1, 0x80, 0, 0), KC_ERR_MALFORMED, 2,
                   "");
    ASSERT_REFUSED(kp_delete_groups_req_message, 2, BYTES(1, 1, 7, 0x80, 0), KC_ERR_MALFORMED, 3,
                   "");
    /* the same numbers as they have to be written */
    kp_delete_groups_req msg;
    ck_assert_int_eq(
        decode_bytes(&f, &kp_delete_groups_req_message, 2, BYTES(2, 2, 'a', 1, 7, 0), &msg), KC_OK);
    /* the largest tag there is */
    ck_assert_int_eq(decode_bytes(&f, &kp_delete_groups_req_message, 2,
                                  BYTES(1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0), &msg),
                     KC_OK);
    ck_assert_uint_eq(msg.unknown_tags.items[0].tag, UINT32_MAX);
    tear_down(&f);
}
END_TEST

START_TEST(tags_of_a_header_must_ascend_and_fit_with_and_without_an_arena)
{
    const struct {
        kc_bytes tags;
        kc_err err;
        size_t at;
    } cases[] = {
        {KC_STR("\2\1\0\1\0"), KC_ERR_MALFORMED, 8}, /* twice      */
        {KC_STR("\2\2\0\1\0"), KC_ERR_MALFORMED, 8}, /* descending */
        {KC_STR("\1\1\3ab"), KC_ERR_TRUNCATED, 7},   /* size       */
        {KC_STR("\2\1\0\2"), KC_ERR_TRUNCATED, 5},   /* count      */
        {KC_STR("\2\1\0"), KC_ERR_TRUNCATED, 5},     /* count      */
        {KC_STR("\xff\xff\xff\xff\x0f\1\0"), KC_ERR_TRUNCATED, 9},
        {KC_STR("\1\1\xff\xff\xff\xff\x0f"), KC_ERR_TRUNCATED, 11},
    };
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kb_buf_reset(&f.first);
        kb_buf_put(&f.first, "\0\0\0\7", 4); /* correlation id */
        kb_buf_put_bytes(&f.first, cases[i].tags);
        for (int with_arena = 0; with_arena < 2; with_arena++) {
            kp_response_header header;
            size_t used;
            ck_assert_int_eq(kp_decode_prefix(&kp_response_header_message, 1,
                                              kb_buf_bytes(&f.first), with_arena ? &f.arena : NULL,
                                              &header, &used, &f.fault),
                             cases[i].err);
            ck_assert_uint_eq(f.fault.at, cases[i].at);
        }
    }
    tear_down(&f);
}
END_TEST

/* A Fetch response of version 12 with one topic "t", one partition, and these bytes for its tags. */
static void put_fetch_response(kb_buf *out, kc_bytes tags)
{
    kb_buf_reset(out);
    kb_buf_put(out,
               "\0\0\0\0"
               "\0\0"
               "\0\0\0\0",
               10); /* throttle, error, session */
    kb_buf_put(out,
               "\2"
               "\2t"
               "\2",
               4); /* topics, name, partitions */
    kb_buf_put(out,
               "\0\0\0\0"
               "\0\0",
               6); /* index, error             */
    kb_buf_put(out,
               "\0\0\0\0\0\0\0\1"
               "\0\0\0\0\0\0\0\1"
               "\0\0\0\0\0\0\0\0",
               24);
    kb_buf_put(out,
               "\0"
               "\xff\xff\xff\xff"
               "\0",
               6); /* aborted, preferred replica, records */
    kb_buf_put_bytes(out, tags);
    kb_buf_put(out, "\0\0", 2); /* tags of topic and response */
}
#define PARTITION_TAGS_AT 50

START_TEST(unknown_tags_inside_a_tagged_struct_are_kept)
{
    fixture f;
    set_up(&f);
    /* tag 1, currentLeader: id 5, epoch 6, and inside it tags 3 and 200 */
    put_fetch_response(&f.second, KC_STR("\1"
                                         "\1\x10"
                                         "\0\0\0\5"
                                         "\0\0\0\6"
                                         "\2"
                                         "\3\1x"
                                         "\xc8\1\1y"));
    kb_buf in = f.second;
    f.second = (kb_buf){.mem = &f.mem, .limit = in.limit};
    kp_fetch_resp msg;
    assert_ok(&f, &kp_fetch_resp_message, 12,
              decode_bytes(&f, &kp_fetch_resp_message, 12, kb_buf_bytes(&in), &msg));
    const kp_fetch_resp_partition *partition = &msg.responses.items[0].partitions.items[0];
    ck_assert_int_eq(partition->current_leader.leader_id, 5);
    ck_assert_int_eq(partition->current_leader.unknown_tags.count, 2);
    ck_assert_uint_eq(partition->current_leader.unknown_tags.items[1].tag, 200);
    assert_round_trip(&f, &kp_fetch_resp_message, 12, &msg);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&f.first), kb_buf_bytes(&in)));
    kb_buf_cleanup(&in);
    tear_down(&f);
}
END_TEST

START_TEST(tags_inside_a_tagged_struct_are_held_to_the_same_rules)
{
    static const char leader[] = "responses[0].partitions[0].currentLeader";
    const struct {
        kc_bytes tags;
        kc_err err;
        size_t at; /* from the first byte of the tags */
        const char *path;
    } cases[] = {
        /* inside: twice, descending, larger than the struct's own size, more than there can be */
        {KC_STR("\1\1\x0d\0\0\0\5\0\0\0\6\2\3\0\3\0"), KC_ERR_MALFORMED, 15, leader},
        {KC_STR("\1\1\x0d\0\0\0\5\0\0\0\6\2\3\0\2\0"), KC_ERR_MALFORMED, 15, leader},
        {KC_STR("\1\1\x0c\0\0\0\5\0\0\0\6\1\3\2x"), KC_ERR_MALFORMED, 14, leader},
        {KC_STR("\1\1\x09\0\0\0\5\0\0\0\6\1"), KC_ERR_MALFORMED, 12, leader},
        /* the struct does not fill its tag, or wants more */
        {KC_STR("\1\1\x0a\0\0\0\5\0\0\0\6\0\0"), KC_ERR_MALFORMED, 12, leader},
        {KC_STR("\1\1\x06\0\0\0\5\0\0"), KC_ERR_MALFORMED, 7,
         "responses[0].partitions[0].currentLeader.leaderEpoch"},
        /* outside: twice the same struct, and descending behind it */
        {KC_STR("\2\1\x09\0\0\0\5\0\0\0\6\0\1\0"), KC_ERR_MALFORMED, 13,
         "responses[0].partitions[0]"},
        {KC_STR("\2\1\x09\0\0\0\5\0\0\0\6\0\0\0"), KC_ERR_MALFORMED, 13,
         "responses[0].partitions[0]"},
    };
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_fetch_response(&f.first, cases[i].tags);
        ASSERT_REFUSED(kp_fetch_resp_message, 12, kb_buf_bytes(&f.first), cases[i].err,
                       PARTITION_TAGS_AT + cases[i].at, cases[i].path);
    }
    tear_down(&f);
}
END_TEST

START_TEST(a_frame_header_is_refused_with_the_place_of_its_fault)
{
    kp_request_info info;
    kp_fault fault;
    /* Heartbeat 4, correlation id 1, client id of 32,767 bytes, of which there are two */
    ck_assert_int_eq(kp_frame_request_parse(KC_STR("\0\x0c\0\4\0\0\0\1\x7f\xffme"), &info, &fault),
                     KC_ERR_TRUNCATED);
    ck_assert_uint_eq(fault.at, 10);
    ck_assert_str_eq(fault.path, "clientId");
    /* the same with a client id, and a tag twice */
    ck_assert_int_eq(
        kp_frame_request_parse(KC_STR("\0\x0c\0\4\0\0\0\1\0\2me\2\1\0\1\0"), &info, &fault),
        KC_ERR_MALFORMED);
    ck_assert_uint_eq(fault.at, 16);
}
END_TEST

START_TEST(a_path_too_long_loses_its_left_end)
{
    static char name[100];
    const kp_field_desc deep = {.name = name};
    memset(name, 'n', sizeof name - 1);
    kp_fault fault = {.path = ""};
    kp_fault_field(&fault, &(kp_field_desc){.name = "last"});
    kp_fault_index(&fault, 12);
    kp_fault_field(&fault, &deep);
    ck_assert_uint_eq(strlen(fault.path), 99 + strlen("[12].last"));
    for (int i = 0; i < 3; i++) {
        kp_fault_field(&fault, &deep);
        ck_assert_uint_eq(strlen(fault.path), sizeof fault.path - 1);
        ck_assert_str_eq(fault.path + sizeof fault.path - 1 - strlen("n[12].last"), "n[12].last");
    }
    kp_fault_field(NULL, &deep); /* nobody wants to know */
    kp_fault_index(NULL, 1);
}
END_TEST
