/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Frames: header versions, sizes, what servers and clients read of them. */
#include "codec_fixture.h"
#include "protocol/frame.h"

START_TEST(header_versions_follow_the_api_but_api_versions_answers_with_0)
{
    const kp_api *produce = kp_api_by_key(KP_API_PRODUCE);
    ck_assert_int_eq(kp_request_header_version(produce, 8), 1);
    ck_assert_int_eq(kp_request_header_version(produce, 9), 2);
    ck_assert_int_eq(kp_response_header_version(produce, 8), 0);
    ck_assert_int_eq(kp_response_header_version(produce, 9), 1);
    const kp_api *versions = kp_api_by_key(KP_API_API_VERSIONS);
    ck_assert_int_eq(kp_request_header_version(versions, 2), 1);
    ck_assert_int_eq(kp_request_header_version(versions, 3), 2);
    for (int16_t v = 0; v <= 5; v++)
        ck_assert_int_eq(kp_response_header_version(versions, v), 0);
    const kp_api *delete = kp_api_by_key(KP_API_OFFSET_DELETE); /* never flexible */
    ck_assert_int_eq(kp_request_header_version(delete, 0), 1);
    ck_assert_int_eq(kp_response_header_version(delete, 0), 0);
}
END_TEST

START_TEST(golden_request_frames)
{
    fixture f;
    set_up(&f);
    const kp_api *api = kp_api_by_key(KP_API_HEARTBEAT);
    kp_heartbeat_req msg;
    kp_defaults(&kp_heartbeat_req_message, &msg);
    msg.group_id = KC_STR("g");
    msg.generation_id = 2;
    msg.member_id = KC_STR("m");
    ck_assert_int_eq(kp_frame_request(api, 0, 9, KC_STR("me"), &msg, &f.first, NULL, &f.fault),
                     KC_OK);
    ck_assert(
        kc_bytes_equal(kb_buf_bytes(&f.first),
                       KC_STR("\0\0\0\x16\0\x0c\0\0\0\0\0\x09\0\x02me\0\x01g\0\0\0\x02\0\x01m")));
    kb_buf_reset(&f.first);
    ck_assert_int_eq(kp_frame_request(api, 4, 9, KC_NULL, &msg, &f.first, NULL, &f.fault), KC_OK);
    ck_assert(kc_bytes_equal(
        kb_buf_bytes(&f.first), /* client id keeps two bytes in header v2, then its tags */
        KC_STR("\0\0\0\x15\0\x0c\0\x04\0\0\0\x09\xff\xff\0\x02g\0\0\0\x02\x02m\0\0")));
    tear_down(&f);
}
END_TEST

START_TEST(the_size_counts_what_is_spliced)
{
    fixture f;
    set_up(&f);
    const kp_api *api = kp_api_by_key(KP_API_PRODUCE);
    kp_produce_req msg;
    kp_produce_req_topic_data topic;
    kp_produce_req_partition_data partition = {.records = KC_STR("0123456789")};
    kp_defaults(&kp_produce_req_message, &msg);
    kp_struct_defaults(&kp_produce_req_topic_data_desc, &topic);
    topic.name = KC_STR("t");
    topic.partition_data.items = &partition;
    topic.partition_data.count = 1;
    msg.topic_data.items = &topic;
    msg.topic_data.count = 1;
    kp_splice items[2];
    kp_splices splices = {.items = items, .cap = 2};
    ck_assert_int_eq(kp_frame_request(api, 9, 1, KC_NULL, &msg, &f.first, &splices, &f.fault),
                     KC_OK);
    ck_assert_int_eq(kp_frame_request(api, 9, 1, KC_NULL, &msg, &f.second, NULL, &f.fault), KC_OK);
    ck_assert_uint_eq(splices.bytes, 10);
    ck_assert_uint_eq(f.first.len + 10, f.second.len);
    ck_assert_mem_eq(f.first.data, f.second.data, items[0].at);
    ck_assert_uint_eq(f.second.data[3], f.second.len - 4);
    /* a second frame in the same buffer: its splice counts from the start of the buffer */
    size_t len = f.first.len;
    ck_assert_int_eq(kp_frame_request(api, 9, 2, KC_NULL, &msg, &f.first, &splices, &f.fault),
                     KC_OK);
    ck_assert_uint_eq(items[1].at, len + items[0].at);
    ck_assert_uint_eq(f.first.data[len + 3], f.second.len - 4);
    tear_down(&f);
}
END_TEST

START_TEST(a_refused_frame_leaves_buffer_and_splices_as_they_were)
{
    fixture f;
    set_up(&f);
    const kp_api *api = kp_api_by_key(KP_API_PRODUCE);
    kp_produce_req msg;
    kp_defaults(&kp_produce_req_message, &msg);
    msg.topic_data.count = -1;
    kb_buf_put(&f.first, "x", 1);
    ck_assert_int_eq(kp_frame_request(api, 9, 1, KC_NULL, &msg, &f.first, NULL, &f.fault),
                     KC_ERR_ARGUMENT);
    ck_assert_str_eq(f.fault.path, "topicData");
    ck_assert_int_eq(kp_frame_request(api, 99, 1, KC_NULL, &msg, &f.first, NULL, &f.fault),
                     KC_ERR_VERSION);
    ck_assert_uint_eq(f.first.len, 1);
    kb_buf tiny;
    kb_buf_init(&tiny, &f.mem, 3);
    msg.topic_data.count = 0;
    f.fault = (kp_fault){0};
    ck_assert_int_eq(kp_frame_request(api, 9, 1, KC_NULL, &msg, &tiny, NULL, &f.fault),
                     KC_ERR_TOO_LARGE);
    ck_assert_int_eq(tiny.err, KC_OK);
    ck_assert_ptr_nonnull(f.fault.reason);
    kb_buf_cleanup(&tiny);
    tear_down(&f);
}
END_TEST

START_TEST(a_frame_whose_size_no_int32_can_tell_is_refused)
{
    fixture f;
    set_up(&f);
    kp_splice items[1] = {{0}};
    kp_splices splices = {.items = items, .cap = 1};
    kp_produce_req_partition_data data = {.records = kc_span(&f, INT32_MAX - 40)};
    kp_produce_req_topic_data topic = {.name = KC_STR("t"), .partition_data = {&data, 1}};
    kp_produce_req msg;
    kp_defaults(&kp_produce_req_message, &msg);
    msg.topic_data.items = &topic;
    msg.topic_data.count = 1;
    /* the body alone could be told, and the records are not touched */
    const kp_api *api = kp_api_by_key(KP_API_PRODUCE);
    ck_assert_int_eq(kp_frame_request(api, 9, 1, KC_STR("twenty bytes or more"), &msg, &f.first,
                                      &splices, &f.fault),
                     KC_ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(f.fault.reason);
    ck_assert_uint_eq(f.first.len, 0);
    ck_assert_uint_eq(splices.count, 0);
    ck_assert_uint_eq(splices.bytes, 0);
    tear_down(&f);
}
END_TEST

START_TEST(a_response_frame_is_read_back)
{
    fixture f;
    set_up(&f);
    const kp_api *api = kp_api_by_key(KP_API_HEARTBEAT);
    kp_heartbeat_resp msg = {.error_code = 27};
    for (int16_t v = 0; v <= 4; v++) {
        kb_buf_reset(&f.first);
        ck_assert_int_eq(kp_frame_response(api, v, -5, &msg, &f.first, &f.fault), KC_OK);
        kc_bytes frame = kc_span(f.first.data + 4, f.first.len - 4);
        ck_assert_uint_eq(f.first.data[3], frame.len);
        int32_t id = 0;
        ck_assert(kp_frame_correlation_id(frame, &id));
        ck_assert_int_eq(id, -5);
        kc_bytes body;
        kp_heartbeat_resp back;
        ck_assert_int_eq(kp_frame_response_body(api, v, frame, &body, &f.fault), KC_OK);
        ck_assert_int_eq(kp_decode(api->response, v, body, &f.arena, &back, &f.fault), KC_OK);
        ck_assert_int_eq(back.error_code, 27);
        size_t header_len = frame.len - body.len;
        for (size_t len = 0; len < header_len; len++)
            ck_assert_int_eq(
                kp_frame_response_body(api, v, kc_span(frame.ptr, len), &body, &f.fault),
                KC_ERR_TRUNCATED);
        ck_assert(!kp_frame_correlation_id(kc_span(frame.ptr, 3), &id));
    }
    tear_down(&f);
}
END_TEST

START_TEST(the_answer_to_api_versions_has_no_tags_in_its_header)
{
    fixture f;
    set_up(&f);
    const kp_api *api = kp_api_by_key(KP_API_API_VERSIONS);
    kp_api_versions_resp msg;
    kp_defaults(&kp_api_versions_resp_message, &msg);
    msg.error_code = 35;
    ck_assert_int_eq(kp_frame_response(api, 3, 1, &msg, &f.first, &f.fault), KC_OK);
    ck_assert(
        kc_bytes_equal(kb_buf_bytes(&f.first), KC_STR("\0\0\0\x0c\0\0\0\x01\0\x23\x01\0\0\0\0\0")));
    kc_bytes body;
    ck_assert_int_eq(kp_frame_response_body(api, 3, kc_span(f.first.data + 4, 12), &body, &f.fault),
                     KC_OK);
    ck_assert_uint_eq(body.len, 8);
    tear_down(&f);
}
END_TEST

START_TEST(a_response_header_may_carry_tags)
{
    kp_fault fault;
    kc_bytes body;
    ck_assert_int_eq(kp_frame_response_body(kp_api_by_key(KP_API_HEARTBEAT), 4,
                                            KC_STR("\0\0\0\x01\x02\x01\x01x\x09\x02yzBODY"), &body,
                                            &fault),
                     KC_OK);
    ck_assert(kc_bytes_equal(body, KC_STR("BODY")));
}
END_TEST

START_TEST(a_server_reads_the_header_of_each_request)
{
    fixture f;
    set_up(&f);
    const kp_api *api = kp_api_by_key(KP_API_HEARTBEAT);
    kp_heartbeat_req msg;
    kp_defaults(&kp_heartbeat_req_message, &msg);
    for (int16_t v = 0; v <= 4; v++) {
        kb_buf_reset(&f.first);
        ck_assert_int_eq(kp_frame_request(api, v, 77, KC_STR("me"), &msg, &f.first, NULL, &f.fault),
                         KC_OK);
        kp_request_info info;
        kc_bytes frame = kc_span(f.first.data + 4, f.first.len - 4);
        ck_assert_int_eq(kp_frame_request_parse(frame, &info, &f.fault), KC_OK);
        ck_assert_int_eq(info.api_key, KP_API_HEARTBEAT);
        ck_assert_int_eq(info.version, v);
        ck_assert_int_eq(info.correlation_id, 77);
        ck_assert(kc_bytes_equal(info.client_id, KC_STR("me")));
        ck_assert_int_eq(kp_decode(api->request, v, info.body, &f.arena, &msg, &f.fault), KC_OK);
        for (size_t len = 0; len < frame.len - info.body.len; len++) {
            kp_request_info cut;
            ck_assert_int_eq(kp_frame_request_parse(kc_span(frame.ptr, len), &cut, &f.fault),
                             KC_ERR_TRUNCATED);
            ck_assert_ptr_nonnull(f.fault.reason);
        }
    }
    tear_down(&f);
}
END_TEST

START_TEST(requests_a_server_does_not_know_still_show_key_and_correlation_id)
{
    kp_request_info info;
    kp_fault fault;
    kc_bytes unknown = KC_STR("\x03\xe8\0\x01\0\0\0\x05\xff\xff");
    ck_assert_int_eq(kp_frame_request_parse(unknown, &info, &fault), KC_ERR_VERSION);
    ck_assert_int_eq(info.api_key, 1000);
    ck_assert_int_eq(info.correlation_id, 5);
    ck_assert_ptr_null(info.body.ptr);
    /* ApiVersions in a version from the future has a header v2; its body is not looked at here */
    kc_bytes future = KC_STR("\0\x12\0\x63\0\0\0\x06\0\x01x\0???");
    ck_assert_int_eq(kp_frame_request_parse(future, &info, &fault), KC_OK);
    ck_assert_int_eq(info.version, 99);
    ck_assert(kc_bytes_equal(info.body, KC_STR("???")));
}
END_TEST
