/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The pool with brokers that move to another address, or are forgotten. */
#include "tests/unit/net/pool_fixture.h"

START_TEST(a_moved_broker_gets_new_requests_at_once_and_answers_old_ones)
{
    fixture f;
    init(&f, 3);
    rig_broker *moved = rig_broker_add(&f.r, "two", 9093);
    kn_mem_network_shape(f.r.network)->latency_us = 1000;
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    rig_submit(&f.calls[1], 1);
    ck_assert_int_eq(kn_loop_turn(f.r.loop, 0, NULL), KC_OK);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("two"), 9093), KC_OK);
    rig_submit(&f.calls[2], 1);
    rig_run(&f.r, 100);
    rig_check_answered(&f.calls[1]);
    rig_check_answered(&f.calls[2]);
    ck_assert_uint_eq(f.broker->requests, 2);
    ck_assert_uint_eq(moved->requests, 1);
    ck_assert_uint_eq(f.broker->closes, 1); // drained
    ck_assert_uint_eq(stats_of(&f).connections, 1);
    ck_assert_uint_eq(f.r.downs, 0);
    cleanup(&f);
}
END_TEST

START_TEST(the_same_address_again_changes_nothing)
{
    fixture f;
    init(&f, 1);
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("one"), 9092), KC_OK);
    rig_run(&f.r, 100);
    ck_assert_uint_eq(f.broker->closes, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_broker_that_moves_while_connecting_is_connected_at_its_new_place)
{
    fixture f;
    init(&f, 1);
    rig_broker *moved = rig_broker_add(&f.r, "two", 9093);
    kn_mem_pause(f.r.network, "one", 9092, true);
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 100);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("two"), 9093), KC_OK);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[0]);
    ck_assert_uint_eq(moved->requests, 1);
    cleanup(&f);
}
END_TEST

/* The end of a connection is told in a later task of its turn; until then its set-up request, which is
 * a part of it, is still in its queue. */
START_TEST(a_broker_that_moves_in_the_instant_its_set_up_breaks_is_connected_at_its_new_place)
{
    fixture f;
    init(&f, 1);
    rig_broker *moved = rig_broker_add(&f.r, "two", 9093);
    kn_mem_network_shape(f.r.network)->latency_us = 1000;
    kn_mem_network_shape(f.r.network)->window_bytes = 8; // ApiVersions is written in part
    rig_submit(&f.calls[0], 1);
    while (!link_of(&f) || !link_of(&f)->conn || link_of(&f)->conn->state != KN_CONN_SETUP)
        ck_assert(kn_loop_advance(f.r.loop, INT64_MAX));
    ck_assert_uint_eq(link_of(&f)->conn->unsent_count, 1);
    kn_conn_fail(link_of(&f)->conn, &(kc_error){.code = KC_ERR_DISCONNECTED});
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("two"), 9093), KC_OK);
    kn_mem_network_shape(f.r.network)->window_bytes = 0;
    rig_run(&f.r, 100);
    rig_check_answered(&f.calls[0]);
    ck_assert_uint_eq(moved->requests, 1);
    ck_assert_uint_eq(moved->versions, 1);
    ck_assert_uint_eq(f.broker->requests, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_broker_that_moves_in_the_instant_an_unsent_request_expires_sends_the_others_only)
{
    fixture f;
    init(&f, 3);
    rig_broker *moved = rig_broker_add(&f.r, "two", 9093);
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    kn_mem_network_shape(f.r.network)->latency_us = 1000;
    kn_mem_network_shape(f.r.network)->window_bytes = 8;
    rig_submit(&f.calls[1], 1);
    rig_submit(&f.calls[2], 1);
    ck_assert_int_eq(kn_loop_turn(f.r.loop, 0, NULL), KC_OK);
    kn_conn *conn = link_of(&f)->conn;
    ck_assert_uint_eq(conn->unsent_count, 2);
    conn->expired = &f.calls[1].request;
    kn_conn_fail(conn, &(kc_error){.code = KC_ERR_TIMEOUT, .text = "no answer"});
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("two"), 9093), KC_OK);
    kn_mem_network_shape(f.r.network)->window_bytes = 0;
    rig_run(&f.r, 100);
    ck_assert_int_eq(f.calls[1].done, 1);
    ck_assert_int_eq(f.calls[1].err, KC_ERR_TIMEOUT);
    ck_assert(!f.calls[1].was_sent);
    rig_check_answered(&f.calls[2]);
    ck_assert_uint_eq(moved->requests, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_forgotten_broker_ends_its_requests)
{
    fixture f;
    init(&f, 7);
    f.broker->is_silent = true;
    for (size_t i = 0; i < 6; i++)
        rig_submit(&f.calls[i], 1);
    rig_run(&f.r, 10);
    rig_submit_to(&f.calls[6], 1, KN_LANE_FETCH, 3); // still connecting
    kn_pool_keep_brokers(f.r.pool, NULL, 0);
    ck_assert_int_eq(f.calls[0].done, 0); // not from inside the call
    rig_run(&f.r, 1);
    for (size_t i = 0; i < 5; i++)
        check_failed(&f.calls[i], KC_ERR_NO_BROKER, true);
    check_failed(&f.calls[5], KC_ERR_NO_BROKER, false);
    check_failed(&f.calls[6], KC_ERR_NO_BROKER, false);
    ck_assert_uint_eq(stats_of(&f).connections, 0);
    ck_assert(kb_list_is_empty(&f.r.pool->gone));
    cleanup(&f);
}
END_TEST

START_TEST(a_forgotten_broker_may_come_back)
{
    fixture f;
    init(&f, 2);
    rig_submit(&f.calls[0], 1);
    kn_pool_keep_brokers(f.r.pool, NULL, 0);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("one"), 9092), KC_OK);
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 10);
    check_failed(&f.calls[0], KC_ERR_NO_BROKER, false);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

START_TEST(a_drained_connection_of_a_forgotten_broker_ends_too)
{
    fixture f;
    init(&f, 1);
    f.broker->is_silent = true;
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 10);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("elsewhere"), 1), KC_OK);
    rig_run(&f.r, 10);
    ck_assert_int_eq(f.calls[0].done, 0);
    kn_pool_keep_brokers(f.r.pool, NULL, 0);
    rig_run(&f.r, 1);
    check_failed(&f.calls[0], KC_ERR_NO_BROKER, true);
    cleanup(&f);
}
END_TEST
