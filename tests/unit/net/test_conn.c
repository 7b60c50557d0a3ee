/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One connection: set-up, framing in and out, order, cancelling, idling, draining. */
#include "tests/unit/net/rig.h"

#include <kafkac/unstable/errors.h>

#include <stdlib.h>

typedef struct fixture {
    rig r;
    rig_broker *broker;
    rig_conn c;
    rig_call calls[8];
    size_t count; /**< calls in use */
} fixture;

static void init(fixture *f, size_t count)
{
    rig_init(&f->r);
    f->broker = rig_broker_add(&f->r, "broker", 9092);
    rig_conn_init(&f->r, &f->c);
    f->count = count;
    for (size_t i = 0; i < count; i++)
        rig_call_init(&f->r, &f->calls[i]);
}

static void cleanup(fixture *f)
{
    rig_conn_cleanup(&f->c);
    for (size_t i = 0; i < f->count; i++)
        rig_call_cleanup(&f->calls[i]);
    rig_cleanup(&f->r);
}

/** Connected, nothing sent. */
static void init_ready(fixture *f, size_t count)
{
    init(f, count);
    rig_conn_ready(&f->c, "broker", 9092);
}

static void send_now(fixture *f, size_t i)
{
    rig_conn_send(&f->c, &f->calls[i]);
    kn_conn_flush(f->c.conn);
}

static void check_answered(const rig_call *call)
{
    rig_check_answered(call);
    ck_assert(call->was_sent);
    ck_assert_int_eq(call->broker_id, 7);
}

/* ---- set-up */

START_TEST(a_connection_becomes_ready_and_answers_a_request)
{
    fixture f;
    init(&f, 1);
    rig_conn_open(&f.c, "broker", 9092);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_RESOLVING);
    ck_assert(!kn_conn_has_room(f.c.conn));
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_READY);
    ck_assert_int_eq(f.c.ready, 1);
    ck_assert_int_eq(f.c.versions, 1);
    ck_assert_int_eq(f.broker->versions_seen[0], 4);
    send_now(&f, 0);
    rig_run(&f.r, 1);
    check_answered(&f.calls[0]);
    ck_assert_int_eq(f.calls[0].version, 13);
    ck_assert_uint_eq(f.calls[0].body_len, 10);
    ck_assert_int_eq(f.c.rooms, 1);
    ck_assert_uint_eq(f.c.stats.bytes_out, f.broker->request_bytes);
    ck_assert_uint_eq(f.c.stats.responses, 2); // with ApiVersions
    cleanup(&f);
}
END_TEST

static bool check_software(rig_peer *peer, const kp_request_info *info)
{
    kb_arena arena;
    kp_api_versions_req req;
    kp_fault fault;
    if (info->api_key != KP_API_API_VERSIONS)
        return false;
    kb_arena_init(&arena, &peer->broker->rig->rig_mem, 0);
    const kp_message *message = kp_api_by_key(info->api_key)->request;
    ck_assert_int_eq(kp_decode(message, info->version, info->body, &arena, &req, &fault), KC_OK);
    ck_assert(kc_bytes_equal(req.client_software_name, KC_STR("kafkac")));
    ck_assert_uint_gt(req.client_software_version.len, 0);
    ck_assert(kc_bytes_equal(info->client_id, KC_STR("rig")));
    kb_arena_cleanup(&arena);
    peer->broker->user = peer;
    return false;
}

START_TEST(api_versions_names_the_software_and_the_client)
{
    fixture f;
    init(&f, 0);
    f.broker->hook = check_software;
    rig_conn_ready(&f.c, "broker", 9092);
    ck_assert_ptr_nonnull(f.broker->user);
    cleanup(&f);
}
END_TEST

/** Serves ApiVersions up to *user and answers the rest as KIP-511 says: error 35, body v0, key 18
 * only. */
static bool refuse_newer(rig_peer *peer, const kp_request_info *info)
{
    int16_t max = *(int16_t *)peer->broker->user;
    if (info->api_key != KP_API_API_VERSIONS || info->version <= max)
        return false;
    rig_answer_versions(peer, info, 0, KC_E_UNSUPPORTED_VERSION, max);
    return true;
}

START_TEST(an_older_broker_names_its_api_versions_version_and_is_asked_again)
{
    for (int16_t max = 0; max <= 3; max++) {
        fixture f;
        init(&f, 1);
        f.broker->hook = refuse_newer;
        f.broker->user = &max;
        f.broker->list_max = 8;
        rig_conn_ready(&f.c, "broker", 9092);
        ck_assert_uint_eq(f.broker->versions, 2);
        ck_assert_int_eq(f.broker->versions_seen[1], max);
        ck_assert_uint_eq(f.broker->accepts, 1); // on the same connection
        send_now(&f, 0);
        rig_run(&f.r, 1);
        check_answered(&f.calls[0]);
        ck_assert_int_eq(f.calls[0].version, 8);
        cleanup(&f);
    }
}
END_TEST

/** Error 35 for every version above 0, with a body of the test's choice. */
static bool refuse_oddly(rig_peer *peer, const kp_request_info *info)
{
    if (info->api_key != KP_API_API_VERSIONS || info->version == 0)
        return false;
    const kc_bytes *body = peer->broker->user;
    rig_answer_body(peer, info, *body);
    return true;
}

START_TEST(a_refusal_that_can_not_be_read_falls_back_to_version_0)
{
    /* Only the error; an empty list; garbage behind the error; a list that claims a higher version.
     */
    const kc_bytes bodies[] = {
        KC_STR("\0\43"), KC_STR("\0\43\0\0\0\0"), KC_STR("\0\43\177\377\377\377x"),
        KC_STR("\0\43\0\0\0\1\0\22\0\0\0\143"), KC_STR("\0\43\0\0\0\1\0\22\377\377\377\377")};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        fixture f;
        init(&f, 0);
        f.broker->hook = refuse_oddly;
        f.broker->user = (void *)(uintptr_t)&bodies[i];
        rig_conn_ready(&f.c, "broker", 9092);
        ck_assert_uint_eq(f.broker->versions, 2);
        ck_assert_int_eq(f.broker->versions_seen[1], 0);
        cleanup(&f);
    }
}
END_TEST

static bool list_oddly(rig_peer *peer, const kp_request_info *info)
{
    static const uint8_t body[] = {
        0,    0,    0,    0,    0,    6,    0, 3, 0, 0, 0, 5, // Metadata 0-5
        0,    3,    0,    0,    0,    7,                      // and once more: the last counts
        0,    1,    0,    9,    0,    4,                      // Fetch 9-4: nonsense
        0,    0,    0xff, 0xff, 0,    4,                      // Produce from -1
        0xff, 0xfe, 0,    0,    0,    4,                      // key -2
        0x7f, 0xff, 0,    0,    0x7f, 0xff,                   // key 32767
    };
    if (info->api_key != KP_API_API_VERSIONS)
        return false;
    if (info->version > 0)
        rig_answer_versions(peer, info, 0, KC_E_UNSUPPORTED_VERSION, 0);
    else
        rig_answer_body(peer, info, kc_span(body, sizeof body));
    return true;
}

START_TEST(hostile_version_ranges_are_left_out)
{
    fixture f;
    init(&f, 1);
    f.broker->hook = list_oddly;
    rig_conn_ready(&f.c, "broker", 9092);
    const kp_versions *versions = &f.c.conn->versions;
    ck_assert_int_eq(versions->range[KP_API_METADATA].max, 7);
    ck_assert_int_eq(versions->range[KP_API_FETCH].max, -1);
    ck_assert_int_eq(versions->range[KP_API_PRODUCE].max, -1);
    send_now(&f, 0);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[0].version, 7);
    cleanup(&f);
}
END_TEST

START_TEST(a_version_both_sides_know_is_chosen_within_the_callers_bounds)
{
    fixture f;
    init_ready(&f, 1);
    f.calls[0].request.version_max = 9;
    send_now(&f, 0);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[0].version, 9);
    kc_error error;
    f.c.conn->versions.range[KP_API_METADATA].max = 4;
    f.calls[0].request.version_min = 5;
    ck_assert_int_eq(kn_conn_send(f.c.conn, &f.calls[0].request, &error), KC_ERR_VERSION);
    ck_assert_ptr_nonnull(strstr(error.text, "Metadata 0-4"));
    ck_assert_ptr_nonnull(strstr(error.text, "5-9"));
    ck_assert_int_eq(error.api_key, KP_API_METADATA);
    ck_assert_int_eq(error.broker_id, 7);
    f.c.conn->versions.range[KP_API_METADATA].max = -1;
    ck_assert_int_eq(kn_conn_send(f.c.conn, &f.calls[0].request, &error), KC_ERR_VERSION);
    ck_assert_ptr_nonnull(strstr(error.text, "does not serve Metadata"));
    ck_assert(!kn_request_is_active(&f.calls[0].request));
    cleanup(&f);
}
END_TEST

START_TEST(a_request_that_can_not_be_encoded_is_refused_and_leaves_no_trace)
{
    fixture f;
    init_ready(&f, 1);
    kc_error error;
    kp_metadata_req_topic topic = {.name = KC_NULL}; // no name in a version without ids
    f.calls[0].metadata.topics.items = &topic;
    f.calls[0].metadata.topics.count = 1;
    f.calls[0].request.version_max = 5;
    kc_err err = kn_conn_send(f.c.conn, &f.calls[0].request, &error);
    ck_assert_int_ne(err, KC_OK);
    ck_assert_int_eq(error.code, err);
    ck_assert_ptr_nonnull(strstr(error.text, "Metadata"));
    ck_assert_uint_eq(kn_conn_load(f.c.conn), 0);
    topic.name = KC_STR("t");
    send_now(&f, 0);
    rig_run(&f.r, 1);
    check_answered(&f.calls[0]);
    cleanup(&f);
}
END_TEST

/* ---- framing */

START_TEST(responses_split_at_every_byte_arrive_whole)
{
    for (size_t split = 1; split < 40; split++) {
        fixture f;
        init(&f, 2);
        rig_conn_ready(&f.c, "broker", 9092);
        rig_peer *peer = KB_CONTAINER(f.broker->peers.next, rig_peer, node);
        f.broker->split_at = peer->sent + split;
        send_now(&f, 0);
        rig_conn_send(&f.c, &f.calls[1]);
        kn_conn_flush(f.c.conn);
        rig_run(&f.r, 10);
        check_answered(&f.calls[0]);
        check_answered(&f.calls[1]);
        cleanup(&f);
    }
}
END_TEST

START_TEST(set_up_split_at_every_byte_works)
{
    for (size_t split = 1; split < 700; split += split < 40 ? 1 : 37) {
        fixture f;
        init(&f, 0);
        f.broker->split_at = split;
        rig_conn_ready(&f.c, "broker", 9092);
        cleanup(&f);
    }
}
END_TEST

START_TEST(bytes_one_at_a_time_in_both_directions_work)
{
    fixture f;
    init(&f, 3);
    kn_mem_network_shape(f.r.network)->read_max = 1;
    kn_mem_network_shape(f.r.network)->write_max = 1;
    rig_conn_ready(&f.c, "broker", 9092);
    for (size_t i = 0; i < 3; i++)
        rig_conn_send(&f.c, &f.calls[i]);
    kn_conn_flush(f.c.conn);
    rig_run(&f.r, 1);
    for (size_t i = 0; i < 3; i++)
        check_answered(&f.calls[i]);
    ck_assert_uint_eq(f.c.stats.bytes_out, f.broker->request_bytes);
    cleanup(&f);
}
END_TEST

START_TEST(bodies_of_all_sizes_arrive_unchanged_in_reads_of_all_sizes)
{
    const size_t sizes[] = {0,     1,     4000,   32760,  65518,   65523,   65527,   65528,
                            65536, 65545, 100000, 200000, 4194295, 4194296, 4200000, 13000000};
    const size_t reads[] = {0, 1000, 65536, 1000003};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t k = 0; k < sizeof reads / sizeof reads[0]; k++) {
            if (reads[k] == 1000 && sizes[i] > 1000000)
                continue;
            fixture f;
            init_ready(&f, 2);
            kn_mem_network_shape(f.r.network)->read_max = reads[k];
            f.broker->body_bytes = sizes[i];
            send_now(&f, 0);
            send_now(&f, 1);
            rig_run(&f.r, 1);
            check_answered(&f.calls[0]);
            check_answered(&f.calls[1]);
            ck_assert_uint_eq(f.calls[1].body_len, sizes[i]);
            cleanup(&f);
        }
    }
}
END_TEST

START_TEST(kept_responses_stay_valid_while_others_come)
{
    fixture f;
    init_ready(&f, 8);
    for (size_t round = 0; round < 3; round++) {
        f.broker->body_bytes = round == 0 ? 100 : round == 1 ? 30000 : 300000;
        for (size_t i = 0; i < 8; i++) {
            f.calls[i].keeps = true;
            f.calls[i].done = 0;
            send_now(&f, i);
            rig_run(&f.r, 1);
            check_answered(&f.calls[i]);
        }
        for (size_t i = 0; i < 8; i++) {
            ck_assert_uint_eq(f.calls[i].body.len, f.broker->body_bytes);
            ck_assert(rig_is_pattern(f.calls[i].body));
            kb_chunk_unref(f.calls[i].chunk);
            f.calls[i].chunk = NULL;
        }
    }
    cleanup(&f);
}
END_TEST

START_TEST(large_responses_reuse_their_chunk)
{
    fixture f;
    init_ready(&f, 1);
    f.broker->body_bytes = 1000000;
    f.calls[0].keeps = true;
    kb_chunk *first = NULL;
    for (int round = 0; round < 5; round++) {
        f.calls[0].done = 0;
        send_now(&f, 0);
        rig_run(&f.r, 1);
        check_answered(&f.calls[0]);
        if (!first)
            first = f.calls[0].chunk;
        ck_assert_ptr_eq(f.calls[0].chunk, first);
        kb_chunk_unref(f.calls[0].chunk);
        f.calls[0].chunk = NULL;
    }
    cleanup(&f);
}
END_TEST

START_TEST(an_idle_connection_holds_no_buffer)
{
    fixture f;
    init_ready(&f, 1);
    rig_run(&f.r, 3000);
    size_t used = f.r.mem.used;
    ck_assert_uint_lt(used, 16384);
    f.broker->body_bytes = 1000000;
    send_now(&f, 0);
    rig_run(&f.r, 1);
    check_answered(&f.calls[0]);
    ck_assert_uint_gt(f.r.mem.used, 1000000);
    rig_run(&f.r, 3000);
    ck_assert_uint_le(f.r.mem.used, used + 256); // the request keeps its own buffer
    cleanup(&f);
}
END_TEST

START_TEST(a_long_size_is_believed_only_as_its_bytes_come)
{
    fixture f;
    init_ready(&f, 1);
    f.broker->is_silent = true;
    send_now(&f, 0);
    rig_run(&f.r, 1);
    rig_peer *peer = KB_CONTAINER(f.broker->peers.next, rig_peer, node);
    rig_send(peer, KC_STR("\5\365\341\0\0\0\0\1")); // 100,000,000 bytes to come
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_READY);
    ck_assert_uint_lt(f.r.mem.used, KN_FRAME_TRUST_BYTES * 5 / 4);
    cleanup(&f);
}
END_TEST

/* ---- writing */

START_TEST(spliced_records_arrive_as_encoded_ones_do)
{
    const size_t write_max[] = {0, 1, 7, 1000, 65536};
    for (size_t i = 0; i < sizeof write_max / sizeof write_max[0]; i++) {
        uint64_t bytes[2];
        for (int is_spliced = 0; is_spliced < 2; is_spliced++) {
            fixture f;
            init_ready(&f, 0);
            rig_call *call = malloc(sizeof *call);
            rig_call_produce(&f.r, call, 200, write_max[i] > 100 ? 3000 : 30, is_spliced);
            kn_mem_network_shape(f.r.network)->write_max = write_max[i];
            uint64_t before = f.broker->request_bytes;
            rig_conn_send(&f.c, call);
            kn_conn_flush(f.c.conn);
            rig_run(&f.r, 1);
            check_answered(call);
            ck_assert_uint_eq(call->request.splices.count, is_spliced ? 200 : 0);
            bytes[is_spliced] = f.broker->request_bytes - before;
            rig_call_cleanup(call);
            free(call);
            cleanup(&f);
        }
        ck_assert_uint_eq(bytes[0], bytes[1]);
    }
}
END_TEST

/** Checks that the records are the pattern, all of them. */
static bool check_records(rig_peer *peer, const kp_request_info *info)
{
    if (info->api_key != KP_API_PRODUCE)
        return false;
    kb_arena arena;
    kp_produce_req req;
    kp_fault fault;
    kb_arena_init(&arena, &peer->broker->rig->rig_mem, 0);
    const kp_message *message = kp_api_by_key(info->api_key)->request;
    ck_assert_int_eq(kp_decode(message, info->version, info->body, &arena, &req, &fault), KC_OK);
    ck_assert_int_eq(req.topic_data.items[0].partition_data.count, 200);
    for (int32_t i = 0; i < 200; i++) {
        const kp_produce_req_partition_data *part =
            &req.topic_data.items[0].partition_data.items[i];
        ck_assert_int_eq(part->index, i);
        ck_assert_uint_eq(part->records.len, 999);
        ck_assert(rig_is_pattern(part->records));
    }
    kb_arena_cleanup(&arena);
    peer->broker->user = peer;
    return false;
}

START_TEST(spliced_records_are_right_however_the_writes_are_cut)
{
    for (size_t write_max = 0; write_max < 5000; write_max += 641) {
        fixture f;
        init_ready(&f, 0);
        rig_call *call = malloc(sizeof *call);
        rig_call_produce(&f.r, call, 200, 999, true);
        f.broker->hook = check_records;
        kn_mem_network_shape(f.r.network)->write_max = write_max;
        rig_conn_send(&f.c, call);
        kn_conn_flush(f.c.conn);
        rig_run(&f.r, 1);
        check_answered(call);
        ck_assert_ptr_nonnull(f.broker->user);
        rig_call_cleanup(call);
        free(call);
        cleanup(&f);
    }
}
END_TEST

START_TEST(acks_0_is_done_when_written_and_matches_no_response)
{
    fixture f;
    init_ready(&f, 1);
    rig_call *call = malloc(sizeof *call);
    rig_call_produce(&f.r, call, 3, 1000, true);
    call->produce.acks = 0;
    call->request.has_no_response = true;
    kn_mem_network_shape(f.r.network)->window_bytes = 1500;
    rig_conn_send(&f.c, call);
    kn_conn_flush(f.c.conn);
    ck_assert_int_eq(call->done, 0); // written in part
    rig_run(&f.r, 1);
    ck_assert_int_eq(call->done, 0); // the broker takes whole requests, and the window is smaller
    kn_mem_network_shape(f.r.network)->window_bytes = 0;
    kn_mem_network_reshaped(f.r.network);
    rig_run(&f.r, 1);
    check_answered(call);
    ck_assert_uint_eq(call->body_len, 0);
    send_now(&f, 0); // its response is matched to it
    rig_run(&f.r, 1);
    check_answered(&f.calls[0]);
    rig_call_cleanup(call);
    free(call);
    cleanup(&f);
}
END_TEST

START_TEST(no_more_requests_than_the_limit_are_in_flight)
{
    fixture f;
    init(&f, 8);
    f.c.env.in_flight_max = 3;
    rig_conn_ready(&f.c, "broker", 9092);
    f.broker->is_silent = true;
    for (size_t i = 0; i < 3; i++) {
        ck_assert(kn_conn_has_room(f.c.conn));
        rig_conn_send(&f.c, &f.calls[i]);
    }
    ck_assert(!kn_conn_has_room(f.c.conn));
    kn_conn_flush(f.c.conn);
    rig_run(&f.r, 1);
    ck_assert(!kn_conn_has_room(f.c.conn));
    ck_assert_uint_eq(kn_conn_load(f.c.conn), 3);
    cleanup(&f);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(f.calls[i].err, KC_ERR_CLOSED);
}
END_TEST

START_TEST(correlation_ids_wrap_to_zero)
{
    fixture f;
    init_ready(&f, 5);
    f.c.conn->next_correlation_id = INT32_MAX - 1;
    for (size_t i = 0; i < 5; i++)
        rig_conn_send(&f.c, &f.calls[i]);
    ck_assert_int_eq(f.calls[1].request.correlation_id, INT32_MAX);
    ck_assert_int_eq(f.calls[2].request.correlation_id, 0);
    kn_conn_flush(f.c.conn);
    rig_run(&f.r, 1);
    for (size_t i = 0; i < 5; i++)
        check_answered(&f.calls[i]);
    ck_assert_int_eq(f.c.conn->next_correlation_id, 3);
    cleanup(&f);
}
END_TEST

/* ---- cancelling */

START_TEST(cancelling_before_the_write_takes_the_request_out)
{
    fixture f;
    init_ready(&f, 2);
    rig_conn_send(&f.c, &f.calls[0]);
    rig_conn_send(&f.c, &f.calls[1]);
    kn_request_cancel(&f.calls[0].request);
    ck_assert(!kn_request_is_active(&f.calls[0].request));
    kn_conn_flush(f.c.conn);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[0].done, 0);
    check_answered(&f.calls[1]);
    ck_assert_uint_eq(f.broker->requests, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_cancelled_request_on_its_way_is_answered_and_dropped)
{
    fixture f;
    init_ready(&f, 2);
    send_now(&f, 0);
    kn_request_cancel(&f.calls[0].request);
    kn_request_cancel(&f.calls[0].request);
    rig_call_cleanup(&f.calls[0]); // its memory is the owner's at once
    memset(&f.calls[0], 0xee, sizeof f.calls[0]);
    send_now(&f, 1);
    rig_run(&f.r, 1);
    check_answered(&f.calls[1]);
    ck_assert_uint_eq(f.broker->requests, 2);
    rig_call_init(&f.r, &f.calls[0]);
    cleanup(&f);
}
END_TEST

START_TEST(cancelling_at_every_byte_of_the_write_keeps_the_stream_in_step)
{
    for (size_t cut = 1; cut < 30; cut++) {
        fixture f;
        init_ready(&f, 3);
        kn_mem_network_shape(f.r.network)->window_bytes = cut;
        rig_conn_send(&f.c, &f.calls[0]);
        rig_conn_send(&f.c, &f.calls[1]);
        kn_conn_flush(f.c.conn); // writes `cut` bytes
        kn_request_cancel(&f.calls[0].request);
        rig_call_cleanup(&f.calls[0]);
        memset(&f.calls[0], 0xee, sizeof f.calls[0]);
        rig_conn_send(&f.c, &f.calls[2]);
        kn_mem_network_shape(f.r.network)->window_bytes = 0;
        rig_run(&f.r, 1);
        check_answered(&f.calls[1]);
        check_answered(&f.calls[2]);
        rig_call_init(&f.r, &f.calls[0]);
        cleanup(&f);
    }
}
END_TEST

START_TEST(cancelling_a_half_written_request_with_splices_costs_the_connection)
{
    fixture f;
    init_ready(&f, 2);
    rig_call *call = malloc(sizeof *call);
    rig_call_produce(&f.r, call, 2, 5000, true);
    f.broker->is_silent = true;
    send_now(&f, 0);
    kn_mem_network_shape(f.r.network)->window_bytes = 500;
    rig_conn_send(&f.c, call);
    kn_conn_flush(f.c.conn);
    rig_conn_send(&f.c, &f.calls[1]);
    kn_request_cancel(&call->request);
    ck_assert_int_eq(call->done, 0);
    rig_call_cleanup(call);
    free(call);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_CLOSED);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[0].err, KC_ERR_DISCONNECTED);
    ck_assert(f.calls[0].was_sent);
    ck_assert_int_eq(f.calls[1].done, 0); // never begun: given back
    ck_assert(!kb_list_is_empty(&f.c.unsent));
    cleanup(&f);
}
END_TEST

static void cancel_next(rig_call *call)
{
    kn_request_cancel(&((rig_call *)call->user)->request);
}

START_TEST(a_callback_may_cancel_any_other_request)
{
    fixture f;
    init_ready(&f, 3);
    f.calls[0].then = cancel_next;
    f.calls[0].user = &f.calls[1];
    for (size_t i = 0; i < 3; i++)
        rig_conn_send(&f.c, &f.calls[i]);
    kn_conn_flush(f.c.conn);
    rig_run(&f.r, 1);
    check_answered(&f.calls[0]);
    ck_assert_int_eq(f.calls[1].done, 0);
    check_answered(&f.calls[2]);
    cleanup(&f);
}
END_TEST

static void send_again(rig_call *call)
{
    rig_conn *c = call->user;
    if (call->done < 4) {
        rig_conn_send(c, call);
        kn_conn_flush(c->conn);
    }
}

START_TEST(a_request_may_be_sent_anew_from_its_own_callback)
{
    fixture f;
    init_ready(&f, 1);
    f.calls[0].then = send_again;
    f.calls[0].user = &f.c;
    send_now(&f, 0);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[0].done, 4);
    ck_assert_uint_eq(f.broker->requests, 4);
    cleanup(&f);
}
END_TEST

/* ---- idling and draining */

START_TEST(an_unused_connection_is_closed_by_us)
{
    fixture f;
    init_ready(&f, 1);
    rig_run(&f.r, 400000);
    send_now(&f, 0);
    rig_run(&f.r, 539000);
    check_answered(&f.calls[0]);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_READY);
    rig_run(&f.r, 2000);
    ck_assert_int_eq(f.c.closed, 1);
    ck_assert(f.c.conn->was_idle);
    ck_assert_int_eq(f.c.conn->error.code, KC_ERR_CLOSED);
    cleanup(&f);
}
END_TEST

START_TEST(a_connection_without_idle_limit_sets_no_timer)
{
    fixture f;
    init(&f, 0);
    f.c.env.max_idle_ms = 0;
    rig_conn_ready(&f.c, "broker", 9092);
    rig_run(&f.r, 5000);
    ck_assert(!kn_timer_is_set(&f.c.conn->timer));
    cleanup(&f);
}
END_TEST

START_TEST(draining_answers_what_is_on_its_way_gives_back_the_rest_and_closes)
{
    fixture f;
    init_ready(&f, 3);
    kn_mem_network_shape(f.r.network)->latency_us = 1000;
    send_now(&f, 0);
    kn_mem_network_shape(f.r.network)->window_bytes = f.calls[0].request.frame.len + 5;
    send_now(&f, 1); // five bytes of it
    rig_conn_send(&f.c, &f.calls[2]);
    kb_list unsent;
    kb_list_init(&unsent);
    kn_conn_drain(f.c.conn, &unsent);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_DRAINING);
    ck_assert_ptr_eq(unsent.next, &f.calls[2].request.node);
    ck_assert_ptr_eq(unsent.prev, &f.calls[2].request.node);
    kn_request_cancel(&f.calls[2].request);
    rig_run(&f.r, 100);
    check_answered(&f.calls[0]);
    check_answered(&f.calls[1]);
    ck_assert_int_eq(f.c.closed, 1);
    ck_assert(f.c.conn->was_idle);
    cleanup(&f);
}
END_TEST

START_TEST(draining_an_idle_or_unfinished_connection_closes_it_at_once)
{
    fixture f;
    kb_list unsent;
    kb_list_init(&unsent);
    init_ready(&f, 0);
    kn_conn_drain(f.c.conn, &unsent);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_CLOSED);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.c.closed, 1);
    cleanup(&f);
    init(&f, 0);
    rig_conn_open(&f.c, "broker", 9092);
    kn_conn_drain(f.c.conn, &unsent);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.c.closed, 1);
    ck_assert_int_eq(f.c.ready, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_reply_is_decoded_by_its_request_and_a_bad_one_says_where)
{
    rig r;
    rig_init(&r);
    rig_call call;
    rig_call_init(&r, &call);
    kb_arena arena;
    kb_arena_init(&arena, &r.mem, 0);
    kp_metadata_resp resp;
    kc_error error;
    kn_reply reply = {.broker_id = 3, .version = 0, .body = KC_STR("\0\0\0\0\0\0\0\0")};
    ck_assert_int_eq(kn_reply_decode(&call.request, &reply, &arena, &resp, &error), KC_OK);
    ck_assert_int_eq(resp.brokers.count, 0);
    reply.body.len = 5;
    ck_assert_int_ne(kn_reply_decode(&call.request, &reply, &arena, &resp, &error), KC_OK);
    ck_assert_int_eq(error.broker_id, 3);
    ck_assert_int_eq(error.api_key, KP_API_METADATA);
    ck_assert_ptr_nonnull(strstr(error.text, "broker 3"));
    ck_assert_ptr_nonnull(strstr(error.text, "Metadata v0"));
    ck_assert_ptr_nonnull(strstr(error.text, "byte"));
    kb_arena_cleanup(&arena);
    rig_call_cleanup(&call);
    rig_cleanup(&r);
}
END_TEST
