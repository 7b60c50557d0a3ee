/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One connection against networks and brokers that misbehave. */
#include "tests/unit/net/rig.h"

#include <kafkac/unstable/errors.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct fixture {
    rig r;
    rig_broker *broker;
    rig_conn c;
    rig_call calls[4];
    size_t count;
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

static void init_ready(fixture *f, size_t count)
{
    init(f, count);
    rig_conn_ready(&f->c, "broker", 9092);
}

static void send_all(fixture *f)
{
    for (size_t i = 0; i < f->count; i++)
        rig_conn_send(&f->c, &f->calls[i]);
    kn_conn_flush(f->c.conn);
}

static rig_peer *peer_of(fixture *f)
{
    return KB_CONTAINER(f->broker->peers.next, rig_peer, node);
}

static void check_closed(const fixture *f, kc_err code, const char *text)
{
    const kn_conn *conn = f->c.conn;
    ck_assert_int_eq(conn->state, KN_CONN_CLOSED);
    ck_assert_int_eq(f->c.closed, 1);
    ck_assert_msg(conn->error.code == code, "%d: %s", conn->error.code, conn->error.text);
    ck_assert_msg(strstr(conn->error.text, text), "%s", conn->error.text);
    ck_assert_int_eq(conn->error.broker_id, 7);
}

static void check_failed(const rig_call *call, kc_err err, bool was_sent)
{
    ck_assert_int_eq(call->done, 1);
    ck_assert_msg(call->err == err, "%d: %s", call->err, call->error.text);
    ck_assert_int_eq(call->was_sent, was_sent);
    ck_assert(call->in_turn);
    ck_assert_int_eq(call->error.broker_id, 7);
    ck_assert_int_eq(call->error.api_key, KP_API_METADATA);
}

/* ---- getting there */

START_TEST(an_unresolvable_name_says_which)
{
    fixture f;
    init(&f, 0);
    rig_conn_open(&f.c, "nowhere", 9092);
    rig_run(&f.r, 10);
    check_closed(&f, KC_ERR_RESOLVE, "nowhere:9092");
    ck_assert_int_eq(f.c.conn->error.phase, KC_PHASE_DNS);
    ck_assert(f.c.conn->error.flags & KC_ERRF_RETRIABLE);
    cleanup(&f);
}
END_TEST

START_TEST(a_refused_connection_says_where_why_and_what_to_do)
{
    fixture f;
    init(&f, 0);
    kn_mem_unlisten(f.r.network, "broker", 9092);
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 10);
    check_closed(&f, KC_ERR_CONNECT, "broker:9092");
    ck_assert_ptr_nonnull(strstr(f.c.conn->error.text, "Connection refused"));
    ck_assert_ptr_nonnull(strstr(f.c.conn->error.text, "is the broker running"));
    ck_assert_int_eq(f.c.conn->error.os_errno, ECONNREFUSED);
    ck_assert_int_eq(f.c.conn->error.phase, KC_PHASE_CONNECT);
    ck_assert(!f.c.conn->was_idle);
    cleanup(&f);
}
END_TEST

START_TEST(all_addresses_of_a_name_are_tried)
{
    fixture f;
    init(&f, 0);
    rig_broker_add(&f.r, "10.7.7.7", 9092);
    for (int i = 1; i < 5; i++) {
        char literal[16];
        snprintf(literal, sizeof literal, "10.0.9.%d", i);
        ck_assert_int_eq(kn_mem_name_add(f.r.network, "many", literal), KC_OK);
    }
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "many", "10.7.7.7"), KC_OK);
    rig_conn_ready(&f.c, "many", 9092);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 5);
    cleanup(&f);
}
END_TEST

START_TEST(the_next_address_is_tried_when_one_is_silent_and_the_first_to_open_wins)
{
    fixture f;
    init(&f, 0);
    rig_broker_add(&f.r, "10.7.7.7", 9092);
    rig_broker_add(&f.r, "10.6.6.6", 9092);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "two", "10.6.6.6"), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "two", "10.7.7.7"), KC_OK);
    kn_mem_pause(f.r.network, "10.6.6.6", 9092, true);
    rig_conn_open(&f.c, "two", 9092);
    rig_run(&f.r, 249);
    ck_assert_int_eq(f.c.ready, 0);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 1);
    rig_run(&f.r, 5);
    ck_assert_int_eq(f.c.ready, 1);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 2);
    ck_assert_uint_eq(f.c.conn->racing, 0);
    kn_mem_pause(f.r.network, "10.6.6.6", 9092, false); /* too late: it was given up */
    rig_run(&f.r, 100);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_READY);
    cleanup(&f);
}
END_TEST

START_TEST(a_slow_first_address_may_still_win)
{
    fixture f;
    init(&f, 0);
    rig_broker_add(&f.r, "10.6.6.6", 9092);
    rig_broker_add(&f.r, "10.7.7.7", 9092);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "two", "10.6.6.6"), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "two", "10.7.7.7"), KC_OK);
    kn_mem_pause(f.r.network, "10.6.6.6", 9092, true);
    kn_mem_pause(f.r.network, "10.7.7.7", 9092, true);
    rig_conn_open(&f.c, "two", 9092);
    rig_run(&f.r, 1000);
    ck_assert_uint_eq(f.c.conn->racing, 2);
    kn_mem_pause(f.r.network, "10.6.6.6", 9092, false);
    rig_run(&f.r, 5);
    ck_assert_int_eq(f.c.ready, 1);
    ck_assert_uint_eq(f.c.conn->racing, 0);
    cleanup(&f);
}
END_TEST

START_TEST(the_families_of_addresses_take_turns)
{
    fixture f;
    init(&f, 0);
    rig_broker_add(&f.r, "10.7.7.7", 9092);
    static const char *const six[] = {"fd00::1", "fd00::2", "fd00::3"};
    for (int i = 0; i < 3; i++) {
        rig_broker_add(&f.r, six[i], 9092);
        kn_mem_pause(f.r.network, six[i], 9092, true);
        ck_assert_int_eq(kn_mem_name_add(f.r.network, "both", six[i]), KC_OK);
    }
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "both", "10.7.7.7"), KC_OK);
    rig_conn_open(&f.c, "both", 9092);
    rig_run(&f.r, 260); /* the one of the other family is second */
    ck_assert_int_eq(f.c.ready, 1);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 2);
    cleanup(&f);
}
END_TEST

START_TEST(a_connection_closed_in_the_middle_of_the_race_leaves_nothing_behind)
{
    fixture f;
    init(&f, 0);
    for (int i = 1; i < 5; i++) {
        char literal[16];
        snprintf(literal, sizeof literal, "10.0.9.%d", i);
        rig_broker_add(&f.r, literal, 9092);
        kn_mem_pause(f.r.network, literal, 9092, true);
        ck_assert_int_eq(kn_mem_name_add(f.r.network, "many", literal), KC_OK);
    }
    rig_conn_open(&f.c, "many", 9092);
    rig_run(&f.r, 600);
    ck_assert_uint_eq(f.c.conn->racing, 3);
    kn_conn_drain(f.c.conn, NULL);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_CLOSED);
    ck_assert_uint_eq(f.c.conn->racing, 0);
    cleanup(&f);
}
END_TEST

START_TEST(when_all_addresses_fail_the_error_says_how_many_there_were)
{
    fixture f;
    init(&f, 0);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "two", "10.6.6.6"), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "two", "10.7.7.7"), KC_OK);
    rig_conn_open(&f.c, "two", 9092);
    rig_run(&f.r, 10);
    check_closed(&f, KC_ERR_CONNECT, "(10.7.7.7:9092, of 2 addresses): Connection refused");
    cleanup(&f);
}
END_TEST

START_TEST(a_connection_attempt_ends_at_its_deadline)
{
    fixture f;
    init(&f, 0);
    kn_mem_pause(f.r.network, "broker", 9092, true);
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 9999);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_CONNECTING);
    rig_run(&f.r, 1);
    check_closed(&f, KC_ERR_CONNECT, "no answer after 10000 ms");
    ck_assert_int_eq(f.c.conn->error.phase, KC_PHASE_CONNECT);
    cleanup(&f);
}
END_TEST

START_TEST(a_silent_resolver_ends_the_attempt_at_its_deadline)
{
    fixture f;
    init(&f, 0);
    kn_mem_network_shape(f.r.network)->resolve_latency_us = INT64_C(3600000000);
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 10000);
    check_closed(&f, KC_ERR_RESOLVE, "DNS");
    cleanup(&f);
}
END_TEST

static bool stay_silent(rig_peer *peer, const kp_request_info *info)
{
    (void)peer;
    (void)info;
    return true;
}

START_TEST(a_listener_that_does_not_answer_api_versions_times_out)
{
    fixture f;
    init(&f, 0);
    f.broker->hook = stay_silent;
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 10000);
    check_closed(&f, KC_ERR_CONNECT, "ApiVersions");
    ck_assert_int_eq(f.c.conn->error.phase, KC_PHASE_API);
    ck_assert(!f.c.conn->closed_by_peer);
    cleanup(&f);
}
END_TEST

START_TEST(a_reset_in_answer_to_api_versions_is_noticed_as_such)
{
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        fixture f;
        init(&f, 0);
        f.broker->cut_at = 0;
        f.broker->is_reset = is_reset;
        rig_conn_open(&f.c, "broker", 9092);
        rig_run(&f.r, 10);
        check_closed(&f, KC_ERR_CONNECT, "ApiVersions");
        ck_assert(f.c.conn->closed_by_peer);
        ck_assert_int_eq(f.c.conn->setup_version, 4);
        cleanup(&f);
    }
}
END_TEST

/* ---- hostile answers to ApiVersions */

static bool answer_with(rig_peer *peer, const kp_request_info *info)
{
    const kc_bytes *body = peer->broker->user;
    if (info->api_key != KP_API_API_VERSIONS)
        return false;
    rig_answer_body(peer, info, *body);
    return true;
}

START_TEST(api_versions_answers_that_are_no_answers_end_the_attempt)
{
    const struct {
        kc_bytes body;
        kc_err err;
    } cases[] = {
        {KC_STR(""), KC_ERR_MALFORMED},
        {KC_STR("\0"), KC_ERR_MALFORMED},
        {KC_STR("\0\0"), KC_ERR_MALFORMED},
        {KC_STR("\0\0\377\377\377\377\17"), KC_ERR_MALFORMED}, // 4 billion keys
        {KC_STR("\0\0\1\0\0\0\0\0x"), KC_ERR_MALFORMED},       // something behind the end
        {KC_STR("\0\0\2\0\3\0\0"), KC_ERR_MALFORMED},          // cut in a key
        {KC_STR("\0\36\1\0\0\0\0\0"), 30},                     // GROUP_AUTHORIZATION_FAILED
        {KC_STR("\377\377\1\0\0\0\0\0"), -1},                  // UNKNOWN_SERVER_ERROR
        {KC_STR("\0\43"), KC_ERR_VERSION},                     // 35 even for version 0
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f;
        init(&f, 0);
        f.broker->hook = answer_with;
        f.broker->user = (void *)(uintptr_t)&cases[i].body;
        rig_conn_open(&f.c, "broker", 9092);
        rig_run(&f.r, 10);
        check_closed(&f, cases[i].err, "broker 7 at broker:9092");
        ck_assert_uint_le(f.broker->versions, 2);
        ck_assert_int_eq(f.c.ready, 0);
        cleanup(&f);
    }
}
END_TEST

static bool always_claim_more(rig_peer *peer, const kp_request_info *info)
{
    rig_answer_versions(peer, info, 0, KC_E_UNSUPPORTED_VERSION, (int16_t)(info->version - 1));
    return true;
}

START_TEST(a_broker_that_always_refuses_is_asked_a_bounded_number_of_times)
{
    fixture f;
    init(&f, 0);
    f.broker->hook = always_claim_more;
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 100);
    check_closed(&f, KC_ERR_VERSION, "version 0");
    ck_assert_uint_eq(f.broker->versions, 5); // 4, 3, 2, 1, 0
    cleanup(&f);
}
END_TEST

/* ---- hostile frames */

static void check_frame(kc_bytes bytes, kc_err err, kc_err first_err, const char *text)
{
    fixture f;
    init_ready(&f, 2);
    f.broker->is_silent = true;
    send_all(&f);
    rig_run(&f.r, 1);
    rig_send(peer_of(&f), bytes);
    rig_run(&f.r, 1);
    check_closed(&f, err, text);
    check_failed(&f.calls[0], first_err, true);
    check_failed(&f.calls[1], KC_ERR_DISCONNECTED, true);
    cleanup(&f);
}

START_TEST(a_frame_of_impossible_size_closes_the_connection)
{
    check_frame(KC_STR("\377\377\377\377"), KC_ERR_MALFORMED, KC_ERR_DISCONNECTED, "size");
    check_frame(KC_STR("\200\0\0\0abcd"), KC_ERR_MALFORMED, KC_ERR_DISCONNECTED, "size");
    check_frame(KC_STR("\0\0\0\0"), KC_ERR_MALFORMED, KC_ERR_DISCONNECTED, "size");
    check_frame(KC_STR("\0\0\0\3abc"), KC_ERR_MALFORMED, KC_ERR_DISCONNECTED, "size");
}
END_TEST

START_TEST(a_frame_above_the_limit_closes_the_connection_and_names_the_limit)
{
    check_frame(KC_STR("\6\100\0\1"), KC_ERR_TOO_LARGE, KC_ERR_TOO_LARGE, "104857600");
}
END_TEST

START_TEST(tls_and_http_are_recognised)
{
    check_frame(KC_STR("\25\3\3\0\2\2\106"), KC_ERR_CONNECT, KC_ERR_DISCONNECTED, "TLS");
    check_frame(KC_STR("HTTP/1.1 400"), KC_ERR_CONNECT, KC_ERR_DISCONNECTED, "HTTP");
}
END_TEST

START_TEST(a_wrong_correlation_id_closes_the_connection)
{
    check_frame(KC_STR("\0\0\0\5\0\0\0\2\0"), KC_ERR_MALFORMED, KC_ERR_DISCONNECTED,
                "answered request 2 where 1");
}
END_TEST

START_TEST(a_bad_response_header_is_told_to_its_request)
{
    check_frame(KC_STR("\0\0\0\6\0\0\0\1\377\377"), KC_ERR_MALFORMED, KC_ERR_MALFORMED, "header");
    check_frame(KC_STR("\0\0\0\4\0\0\0\1"), KC_ERR_MALFORMED, KC_ERR_MALFORMED, "header");
}
END_TEST

START_TEST(bytes_nobody_asked_for_close_the_connection)
{
    fixture f;
    init_ready(&f, 0);
    rig_send(peer_of(&f), KC_STR("\0\0\0\5\0\0\0\1\0"));
    rig_run(&f.r, 1);
    check_closed(&f, KC_ERR_MALFORMED, "nobody asked for");
    cleanup(&f);
}
END_TEST

static bool answer_twice(rig_peer *peer, const kp_request_info *info)
{
    if (info->api_key == KP_API_API_VERSIONS)
        return false;
    rig_answer(peer, info);
    rig_answer(peer, info);
    return true;
}

START_TEST(a_second_answer_behind_a_good_one_closes_the_connection)
{
    fixture f;
    init_ready(&f, 1);
    f.broker->hook = answer_twice;
    send_all(&f);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[0].err, KC_OK);
    ck_assert_int_eq(f.calls[0].done, 1);
    check_closed(&f, KC_ERR_MALFORMED, "nobody asked for");
    cleanup(&f);
}
END_TEST

/* ---- cuts */

static void cut_at(size_t cut, bool is_reset)
{
    fixture f;
    init_ready(&f, 3);
    rig_peer *peer = peer_of(&f);
    f.broker->cut_at = peer->sent + cut;
    f.broker->is_reset = is_reset;
    send_all(&f);
    rig_run(&f.r, 10);
    size_t frame = 4 + 5 + f.broker->body_bytes;
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(f.calls[i].done, 1);
        /* Before a reset even whole frames may be lost. */
        if (!is_reset && cut >= (i + 1) * frame)
            ck_assert_int_eq(f.calls[i].err, KC_OK);
        if (cut < (i + 1) * frame)
            check_failed(&f.calls[i], KC_ERR_DISCONNECTED, true);
    }
    check_closed(&f, KC_ERR_DISCONNECTED, "closed");
    ck_assert_int_eq(f.c.conn->was_idle, cut >= 3 * frame && !is_reset);
    cleanup(&f);
}

START_TEST(a_connection_cut_at_every_byte_completes_every_request_once)
{
    for (size_t cut = 1; cut <= 3 * 19; cut++) {
        cut_at(cut, false);
        cut_at(cut, true);
    }
}
END_TEST

START_TEST(a_set_up_cut_at_every_byte_fails_cleanly)
{
    for (size_t cut = 0; cut < 560; cut += cut < 30 ? 1 : 53) {
        for (int is_reset = 0; is_reset < 2; is_reset++) {
            fixture f;
            init(&f, 0);
            f.broker->cut_at = cut;
            f.broker->is_reset = is_reset;
            rig_conn_open(&f.c, "broker", 9092);
            rig_run(&f.r, 10);
            ck_assert_int_eq(f.c.closed, 1);
            ck_assert_int_eq(f.c.ready, 0);
            ck_assert_int_eq(f.c.conn->error.code, KC_ERR_CONNECT);
            cleanup(&f);
        }
    }
}
END_TEST

START_TEST(a_large_response_cut_in_the_middle_leaks_nothing)
{
    fixture f;
    init_ready(&f, 1);
    f.broker->body_bytes = 5000000;
    f.broker->cut_at = 3000000;
    send_all(&f);
    rig_run(&f.r, 10);
    check_failed(&f.calls[0], KC_ERR_DISCONNECTED, true);
    cleanup(&f);
}
END_TEST

START_TEST(an_idle_connection_closed_by_the_broker_is_no_fault)
{
    fixture f;
    init_ready(&f, 0);
    rig_peer_close(peer_of(&f), false);
    rig_run(&f.r, 1);
    check_closed(&f, KC_ERR_DISCONNECTED, "idle");
    ck_assert(f.c.conn->was_idle);
    cleanup(&f);
}
END_TEST

START_TEST(a_write_into_a_dead_connection_gives_the_requests_back)
{
    fixture f;
    init_ready(&f, 2);
    rig_peer_close(peer_of(&f), true);
    rig_conn_send(&f.c, &f.calls[0]);
    rig_conn_send(&f.c, &f.calls[1]);
    kn_conn_flush(f.c.conn); // before the read has told us
    ck_assert_int_eq(f.c.conn->state, KN_CONN_CLOSED);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[0].done + f.calls[1].done, 0);
    ck_assert_ptr_eq(f.c.unsent.next, &f.calls[0].request.node); // in order
    ck_assert_ptr_eq(f.c.unsent.prev, &f.calls[1].request.node);
    cleanup(&f);
}
END_TEST

/* ---- time */

START_TEST(a_request_not_answered_in_time_closes_the_connection_and_all_is_unsure)
{
    fixture f;
    init_ready(&f, 4);
    f.broker->is_silent = true;
    f.calls[0].request.timeout_ms = 60000;
    f.calls[1].request.timeout_ms = 5000; // not the first in the row
    send_all(&f);
    rig_run(&f.r, 4999);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_READY);
    rig_run(&f.r, 1);
    check_closed(&f, KC_ERR_TIMEOUT, "did not answer Metadata within 5000 ms");
    check_failed(&f.calls[0], KC_ERR_DISCONNECTED, true);
    check_failed(&f.calls[1], KC_ERR_TIMEOUT, true);
    check_failed(&f.calls[2], KC_ERR_DISCONNECTED, true);
    check_failed(&f.calls[3], KC_ERR_DISCONNECTED, true);
    cleanup(&f);
}
END_TEST

START_TEST(the_default_timeout_counts_from_each_request)
{
    fixture f;
    init_ready(&f, 1);
    f.broker->is_silent = true;
    rig_run(&f.r, 20000);
    send_all(&f);
    rig_run(&f.r, 29999);
    ck_assert_int_eq(f.calls[0].done, 0);
    rig_run(&f.r, 1);
    check_failed(&f.calls[0], KC_ERR_TIMEOUT, true);
    cleanup(&f);
}
END_TEST

static bool answer_late(rig_peer *peer, const kp_request_info *info)
{
    /* The first request is answered when the second comes. */
    static kp_request_info first;
    if (info->api_key == KP_API_API_VERSIONS)
        return false;
    if (peer->broker->requests == 1) {
        first = *info;
        return true;
    }
    rig_answer(peer, &first);
    rig_answer(peer, info);
    return true;
}

START_TEST(a_callers_deadline_gives_up_the_request_and_keeps_the_connection)
{
    fixture f;
    init_ready(&f, 2);
    f.broker->hook = answer_late;
    f.calls[0].request.deadline_us = kn_loop_now_us(f.r.loop) + 1000000;
    rig_conn_send(&f.c, &f.calls[0]);
    kn_conn_flush(f.c.conn);
    rig_run(&f.r, 1000);
    check_failed(&f.calls[0], KC_ERR_TIMEOUT, true);
    ck_assert_ptr_nonnull(strstr(f.calls[0].error.text, "deadline"));
    ck_assert_int_eq(f.c.conn->state, KN_CONN_READY);
    rig_conn_send(&f.c, &f.calls[1]);
    kn_conn_flush(f.c.conn);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[1].err, KC_OK);
    ck_assert_int_eq(f.calls[0].done, 1); // the late answer was dropped
    cleanup(&f);
}
END_TEST

START_TEST(a_deadline_of_a_request_that_could_not_be_written_says_it_was_not_sent)
{
    fixture f;
    init_ready(&f, 3);
    kn_mem_network_shape(f.r.network)->window_bytes = 10;
    for (size_t i = 0; i < 3; i++)
        f.calls[i].request.deadline_us = kn_loop_now_us(f.r.loop) + 1000000;
    send_all(&f);
    rig_run(&f.r, 1000);
    for (size_t i = 0; i < 3; i++)
        check_failed(&f.calls[i], KC_ERR_TIMEOUT, false);
    ck_assert_int_eq(f.c.conn->state, KN_CONN_READY); // the half-written one is finished for nobody
    ck_assert(f.c.conn->has_orphan);
    rig_run(&f.r, 29000);
    check_closed(&f, KC_ERR_TIMEOUT, "did not answer");
    cleanup(&f);
}
END_TEST

START_TEST(a_peer_that_takes_no_bytes_times_out_too)
{
    fixture f;
    init_ready(&f, 1);
    rig_call *call = malloc(sizeof *call);
    rig_call_produce(&f.r, call, 10, 10000, true);
    kn_mem_network_shape(f.r.network)->window_bytes = 1000;
    rig_conn_send(&f.c, call);
    kn_conn_flush(f.c.conn);
    rig_run(&f.r, 30000);
    check_closed(&f, KC_ERR_TIMEOUT, "Produce");
    ck_assert_int_eq(call->err, KC_ERR_TIMEOUT);
    ck_assert_int_eq(call->done, 1);
    ck_assert(!call->was_sent); // its frame never was whole
    rig_call_cleanup(call);
    free(call);
    cleanup(&f);
}
END_TEST

/* ---- memory */

START_TEST(a_response_there_is_no_memory_for_fails_its_request_and_says_so)
{
    fixture f;
    init_ready(&f, 2);
    f.broker->body_bytes = 1000000;
    send_all(&f);
    f.r.mem.limit = f.r.mem.used + 100000;
    rig_run(&f.r, 1);
    f.r.mem.limit = SIZE_MAX;
    check_closed(&f, KC_ERR_NOMEM, "no memory");
    check_failed(&f.calls[0], KC_ERR_NOMEM, true);
    check_failed(&f.calls[1], KC_ERR_DISCONNECTED, true);
    cleanup(&f);
}
END_TEST

START_TEST(a_full_memory_still_lets_small_answers_in)
{
    fixture f;
    init_ready(&f, 1);
    rig_run(&f.r, 5000); // the shared chunk was given back
    send_all(&f);
    f.r.mem.limit = f.r.mem.used + KN_SHARED_ROOM_BYTES + 200;
    rig_run(&f.r, 1);
    f.r.mem.limit = SIZE_MAX;
    ck_assert_int_eq(f.calls[0].err, KC_OK);
    ck_assert_int_eq(f.calls[0].done, 1);
    cleanup(&f);
}
END_TEST
