/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The pool with brokers that are known: lanes, reconnecting, throttling, closing. */
#include "tests/unit/net/pool_fixture.h"

#include <kafkac/unstable/errors.h>

#include <errno.h>

/* ---- asking */

START_TEST(the_first_request_opens_the_connection_and_later_ones_share_it)
{
    fixture f;
    init(&f, 2);
    ck_assert_ptr_null(kn_pool_versions(f.r.pool, 1));
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 0); // nothing before there is need
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    rig_check_answered(&f.calls[0]);
    ck_assert_int_eq(f.calls[0].broker_id, 1);
    rig_submit(&f.calls[1], 1);
    rig_wait(&f.calls[1]);
    ck_assert_uint_eq(f.broker->accepts, 1);
    ck_assert_uint_eq(f.r.ups, 1);
    ck_assert_uint_eq(f.r.versions_heard, 1);
    ck_assert_int_eq(kn_pool_versions(f.r.pool, 1)->range[KP_API_METADATA].max, 13);
    kn_pool_stats stats = stats_of(&f);
    ck_assert_uint_eq(stats.connections, 1);
    ck_assert_uint_eq(stats.connects, 1);
    ck_assert_uint_eq(stats.disconnects, 0);
    ck_assert_uint_eq(stats.requests, 3); // with ApiVersions
    ck_assert_uint_eq(stats.responses, 3);
    ck_assert_uint_eq(stats.bytes_out, f.broker->request_bytes);
    ck_assert_uint_gt(stats.bytes_in, 0);
    cleanup(&f);
}
END_TEST

START_TEST(each_lane_and_owner_has_its_own_connection)
{
    fixture f;
    init(&f, 6);
    f.broker->is_silent = true;
    rig_submit_to(&f.calls[0], 1, KN_LANE_MAIN, 0);
    rig_submit_to(&f.calls[1], 1, KN_LANE_PRODUCE, 0);
    rig_submit_to(&f.calls[2], 1, KN_LANE_FETCH, 1);
    rig_submit_to(&f.calls[3], 1, KN_LANE_FETCH, 2);
    rig_submit_to(&f.calls[4], 1, KN_LANE_GROUP, 1);
    rig_submit_to(&f.calls[5], 1, KN_LANE_FETCH, 2);
    rig_run(&f.r, 10);
    ck_assert_uint_eq(f.broker->accepts, 5);
    ck_assert_uint_eq(f.broker->requests, 6);
    cleanup(&f);
}
END_TEST

START_TEST(what_one_turn_submits_leaves_in_one_write)
{
    fixture f;
    init(&f, 5);
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    for (size_t i = 1; i < 5; i++)
        rig_submit(&f.calls[i], 1);
    const kn_link *link = link_of(&f);
    ck_assert_uint_eq(kn_conn_load(link->conn), 0); // submit alone encodes nothing
    ck_assert_int_eq(kn_loop_turn(f.r.loop, 0, NULL), KC_OK);
    ck_assert_uint_eq(link->conn->ring_count, 4);
    rig_run(&f.r, 1);
    for (size_t i = 1; i < 5; i++)
        rig_check_answered(&f.calls[i]);
    cleanup(&f);
}
END_TEST

START_TEST(more_requests_than_may_be_in_flight_wait_their_turn_in_order)
{
    fixture f;
    init(&f, 8);
    for (size_t i = 0; i < 8; i++)
        rig_submit(&f.calls[i], 1);
    rig_run(&f.r, 10);
    for (size_t i = 0; i < 8; i++) {
        rig_check_answered(&f.calls[i]);
        ck_assert_int_eq(f.calls[i].request.correlation_id, (int)i + 1);
    }
    cleanup(&f);
}
END_TEST

START_TEST(an_unknown_broker_is_told_from_a_turn)
{
    fixture f;
    init(&f, 1);
    rig_submit(&f.calls[0], 99);
    rig_run(&f.r, 1);
    check_failed(&f.calls[0], KC_ERR_NO_BROKER, false);
    ck_assert(f.calls[0].in_turn);
    ck_assert_ptr_nonnull(strstr(f.calls[0].error.text, "99"));
    cleanup(&f);
}
END_TEST

START_TEST(a_version_the_broker_lacks_is_told_from_a_turn)
{
    fixture f;
    init(&f, 1);
    f.broker->list_max = 3;
    f.calls[0].request.version_min = 5;
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 10);
    check_failed(&f.calls[0], KC_ERR_VERSION, false);
    ck_assert(f.calls[0].in_turn);
    cleanup(&f);
}
END_TEST

static void submit_again(rig_call *call)
{
    if (call->done < 3)
        rig_submit(call, 1);
}

START_TEST(a_request_may_be_submitted_anew_from_its_callback)
{
    fixture f;
    init(&f, 1);
    f.calls[0].then = submit_again;
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 10);
    ck_assert_int_eq(f.calls[0].done, 3);
    ck_assert_uint_eq(f.broker->accepts, 1);
    cleanup(&f);
}
END_TEST

/* ---- cancelling and deadlines */

START_TEST(a_request_can_be_cancelled_at_every_moment)
{
    for (int turns = 0; turns < 30; turns++) {
        fixture f;
        init(&f, 2);
        kn_mem_network_shape(f.r.network)->latency_us = 1000;
        f.calls[0].keeps = true;
        rig_submit(&f.calls[0], 1);
        rig_submit(&f.calls[1], 1);
        for (int i = 0; i < turns; i++)
            kn_loop_advance(f.r.loop, RIG_START_US + 60000000);
        bool was_done = f.calls[0].done == 1;
        kn_request_cancel(&f.calls[0].request);
        ck_assert(!kn_request_is_active(&f.calls[0].request));
        rig_call_cleanup(&f.calls[0]);
        memset(&f.calls[0], 0xee, sizeof f.calls[0]);
        rig_run(&f.r, 100);
        rig_check_answered(&f.calls[1]);
        rig_call_init(&f.r, &f.calls[0]);
        cleanup(&f);
        if (was_done)
            return;
    }
    ck_abort_msg("never answered");
}
END_TEST

START_TEST(a_deadline_holds_while_connecting_and_while_backing_off)
{
    fixture f;
    init(&f, 2);
    kn_mem_pause(f.r.network, "one", 9092, true);
    f.calls[0].request.deadline_us = RIG_START_US + 3000000;
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 2999);
    ck_assert_int_eq(f.calls[0].done, 0);
    rig_run(&f.r, 1);
    check_failed(&f.calls[0], KC_ERR_TIMEOUT, false);
    ck_assert_ptr_nonnull(strstr(f.calls[0].error.text, "one:9092"));
    f.calls[1].request.deadline_us = RIG_START_US + 1; // long past
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 1);
    check_failed(&f.calls[1], KC_ERR_TIMEOUT, false);
    cleanup(&f);
}
END_TEST

START_TEST(a_deadline_holds_behind_a_full_connection)
{
    fixture f;
    init(&f, 8);
    f.broker->is_silent = true;
    for (size_t i = 0; i < 7; i++)
        rig_submit(&f.calls[i], 1);
    f.calls[7].request.deadline_us = RIG_START_US + 2000000;
    rig_submit(&f.calls[7], 1);
    rig_run(&f.r, 2000);
    check_failed(&f.calls[7], KC_ERR_TIMEOUT, false);
    ck_assert_int_eq(f.calls[6].done, 0);
    cleanup(&f);
}
END_TEST

/* ---- connecting and reconnecting */

START_TEST(a_failed_attempt_fails_what_waits_and_later_requests_wait_for_the_back_off)
{
    fixture f;
    init(&f, 2);
    kn_mem_unlisten(f.r.network, "one", 9092);
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 1);
    check_failed(&f.calls[0], KC_ERR_CONNECT, false);
    ck_assert_int_eq(f.calls[0].error.os_errno, ECONNREFUSED);
    ck_assert_uint_eq(f.r.downs, 1);
    ck_assert_int_eq(kn_pool_last_error(f.r.pool)->code, KC_ERR_CONNECT);
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 38); // the back-off is 50 ms, with jitter at least 40
    ck_assert_int_eq(f.calls[1].done, 0);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 1);
    rig_run(&f.r, 30);
    check_failed(&f.calls[1], KC_ERR_CONNECT, false);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 2);
    cleanup(&f);
}
END_TEST

static void submit_for_ever(rig_call *call)
{
    rig_submit(call, 1);
}

START_TEST(a_dead_broker_costs_few_attempts_and_its_return_is_noticed)
{
    fixture f;
    init(&f, 1);
    static const kn_mem_server none;
    (void)none;
    kn_mem_unlisten(f.r.network, "one", 9092);
    f.calls[0].then = submit_for_ever; // the most eager caller there can be
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 60000);
    uint32_t connects = kn_mem_network_connects(f.r.network);
    ck_assert_uint_ge(connects, 55); // 50, 100, 200, 400, 800, then every 0.8 to 1 s
    ck_assert_uint_le(connects, 85);
    f.calls[0].then = NULL;
    cleanup(&f);
}
END_TEST

START_TEST(nothing_is_tried_while_nobody_asks)
{
    fixture f;
    init(&f, 1);
    kn_mem_unlisten(f.r.network, "one", 9092);
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 3600000);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 1);
    ck_assert(!kn_loop_advance(f.r.loop, INT64_MAX / 2)); // not one timer is left
    cleanup(&f);
}
END_TEST

START_TEST(after_a_loss_what_was_sent_is_unsure_and_what_was_not_goes_again)
{
    fixture f;
    init(&f, 8);
    f.broker->is_silent = true;
    for (size_t i = 0; i < 7; i++)
        rig_submit(&f.calls[i], 1);
    rig_run(&f.r, 10);
    f.broker->is_silent = false;
    kn_mem_cut(f.r.network, "one", 9092);
    rig_run(&f.r, 1);
    for (size_t i = 0; i < 5; i++)
        check_failed(&f.calls[i], KC_ERR_DISCONNECTED, true);
    ck_assert_int_eq(f.calls[5].done + f.calls[6].done, 0);
    rig_run(&f.r, 100);
    rig_check_answered(&f.calls[5]);
    rig_check_answered(&f.calls[6]);
    ck_assert_uint_eq(f.broker->accepts, 2);
    ck_assert_uint_eq(f.r.downs, 1);
    ck_assert_int_eq(kn_pool_last_error(f.r.pool)->code, KC_OK); // it is up again
    cleanup(&f);
}
END_TEST

START_TEST(a_broker_that_closes_an_idle_connection_makes_no_noise_and_no_delay)
{
    fixture f;
    init(&f, 2);
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 10);
    kn_mem_cut(f.r.network, "one", 9092);
    rig_run(&f.r, 1000);
    ck_assert_uint_eq(f.r.downs, 0);
    ck_assert_uint_eq(f.r.idle_downs, 1);
    ck_assert_int_eq(kn_pool_last_error(f.r.pool)->code, KC_OK);
    ck_assert_uint_eq(f.broker->accepts, 1); // nobody asked for another
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

START_TEST(idle_connections_are_closed_before_the_brokers_reaper_does_it)
{
    fixture f;
    init(&f, 2);
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 539000);
    ck_assert_uint_eq(stats_of(&f).connections, 1);
    rig_run(&f.r, 2000);
    ck_assert_uint_eq(stats_of(&f).connections, 0);
    ck_assert_uint_eq(f.r.idle_downs, 1);
    ck_assert_uint_eq(f.r.downs, 0);
    ck_assert_uint_eq(f.broker->closes, 1);
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

START_TEST(a_timed_out_request_closes_its_lane_only)
{
    fixture f;
    init(&f, 2);
    f.broker->is_silent = true;
    f.calls[0].request.timeout_ms = 1000;
    rig_submit_to(&f.calls[0], 1, KN_LANE_FETCH, 4);
    rig_submit_to(&f.calls[1], 1, KN_LANE_MAIN, 0);
    rig_run(&f.r, 1001);
    check_failed(&f.calls[0], KC_ERR_TIMEOUT, true);
    ck_assert_int_eq(f.calls[1].done, 0);
    ck_assert_uint_eq(stats_of(&f).connections, 1);
    cleanup(&f);
}
END_TEST

/** Answers ApiVersions up to *user, resets the connection on a newer one. */
static bool reset_newer(rig_peer *peer, const kp_request_info *info)
{
    int16_t max = *(int16_t *)peer->broker->user;
    if (info->api_key != KP_API_API_VERSIONS || info->version <= max)
        return false;
    rig_peer_close(peer, true);
    return true;
}

START_TEST(a_broker_that_resets_on_a_new_api_versions_is_asked_an_older_one)
{
    for (int16_t max = 0; max <= 3; max++) {
        fixture f;
        init(&f, 2);
        f.broker->hook = reset_newer;
        f.broker->user = &max;
        rig_submit(&f.calls[0], 1);
        rig_run(&f.r, 1); // without a back-off
        rig_check_answered(&f.calls[0]);
        ck_assert_uint_eq(f.broker->accepts, max == 3 ? 2 : 3);
        ck_assert_uint_eq(f.r.downs, 0);
        kn_mem_cut(f.r.network, "one", 9092);
        rig_run(&f.r, 1);
        rig_submit(&f.calls[1], 1); // remembered
        rig_run(&f.r, 1);
        rig_check_answered(&f.calls[1]);
        ck_assert_uint_eq(f.broker->accepts, max == 3 ? 3 : 4);
        cleanup(&f);
    }
}
END_TEST

START_TEST(an_older_api_versions_is_not_remembered_for_ever)
{
    fixture f;
    init(&f, 2);
    int16_t max = 3;
    f.broker->hook = reset_newer;
    f.broker->user = &max;
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 1);
    max = 4; // upgraded
    kn_mem_cut(f.r.network, "one", 9092);
    rig_run(&f.r, KN_OLD_VERSIONS_MS);
    f.broker->versions = 0;
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[1]);
    ck_assert_int_eq(f.broker->versions_seen[0], 4);
    cleanup(&f);
}
END_TEST

START_TEST(a_broker_that_resets_everything_is_a_failed_attempt)
{
    fixture f;
    init(&f, 1);
    f.broker->cut_at = 0;
    f.broker->is_reset = true;
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 1);
    check_failed(&f.calls[0], KC_ERR_CONNECT, false);
    ck_assert_uint_eq(f.broker->accepts, 3); // versions 4, 3, 0
    ck_assert_uint_eq(f.r.downs, 1);
    cleanup(&f);
}
END_TEST

/* ---- the cluster changes */

START_TEST(brokers_are_kept_by_id)
{
    fixture f;
    init(&f, 0);
    int32_t ids[4];
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 5, KC_STR("one"), 9092), KC_OK); // same address
    ck_assert_uint_eq(kn_pool_brokers(f.r.pool, ids, 4), 2);
    ck_assert_int_eq(ids[0], 1);
    ck_assert_int_eq(ids[1], 5);
    ck_assert_uint_eq(kn_pool_brokers(f.r.pool, ids, 1), 2);
    ck_assert(kn_pool_has_broker(f.r.pool, 5));
    kn_pool_keep_brokers(f.r.pool, (int32_t[]){5, 8}, 2);
    ck_assert(!kn_pool_has_broker(f.r.pool, 1));
    ck_assert_uint_eq(kn_pool_brokers(f.r.pool, ids, 4), 1);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, -1, KC_STR("x"), 1), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR(""), 1), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("x"), 0), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("x"), 65536), KC_ERR_ARGUMENT);
    cleanup(&f);
}
END_TEST

/* ---- throttling */

START_TEST(a_throttled_lane_sends_nothing_until_the_time_is_over_and_then_does)
{
    fixture f;
    init(&f, 3);
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    kn_pool_throttle(f.r.pool, (kn_target){1, KN_LANE_MAIN, 0}, 5000);
    kn_pool_throttle(f.r.pool, (kn_target){1, KN_LANE_MAIN, 0}, 10);    // the longer one holds
    kn_pool_throttle(f.r.pool, (kn_target){1, KN_LANE_FETCH, 3}, 5000); // no such lane
    kn_pool_throttle(f.r.pool, (kn_target){77, KN_LANE_MAIN, 0}, 5000);
    kn_pool_throttle(f.r.pool, (kn_target){1, KN_LANE_MAIN, 0}, -1);
    rig_submit(&f.calls[1], 1);
    rig_submit_to(&f.calls[2], 1, KN_LANE_PRODUCE, 0);
    rig_run(&f.r, 4999);
    rig_check_answered(&f.calls[2]); // another lane
    ck_assert_int_eq(f.calls[1].done, 0);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

START_TEST(an_absurd_throttle_time_has_a_limit)
{
    fixture f;
    init(&f, 2);
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    kn_pool_throttle(f.r.pool, (kn_target){1, KN_LANE_MAIN, 0}, INT32_MAX);
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, KN_THROTTLE_MAX_MS);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

/* ---- closing */

START_TEST(closing_an_owner_ends_its_lanes_and_no_others)
{
    fixture f;
    init(&f, 5);
    f.broker->is_silent = true;
    rig_submit_to(&f.calls[0], 1, KN_LANE_FETCH, 1);
    rig_submit_to(&f.calls[1], 1, KN_LANE_GROUP, 1);
    rig_submit_to(&f.calls[2], 1, KN_LANE_FETCH, 2);
    rig_submit_to(&f.calls[3], 1, KN_LANE_MAIN, 0);
    rig_run(&f.r, 10);
    kn_pool_close_owner(f.r.pool, 1);
    kn_pool_close_owner(f.r.pool, 1);
    kn_pool_close_owner(f.r.pool, 42);
    rig_submit_to(&f.calls[4], 1, KN_LANE_FETCH, 1); // a new lane
    rig_run(&f.r, 10);
    check_failed(&f.calls[0], KC_ERR_CLOSED, true);
    check_failed(&f.calls[1], KC_ERR_CLOSED, true);
    ck_assert_int_eq(f.calls[2].done + f.calls[3].done + f.calls[4].done, 0);
    ck_assert_uint_eq(stats_of(&f).connections, 3);
    ck_assert_int_eq(kn_pool_last_error(f.r.pool)->code, KC_OK); // our own doing is no error
    cleanup(&f);
}
END_TEST

static void close_all(rig_call *call)
{
    kn_pool_close_owner(call->rig->pool, 3);
    kn_pool_keep_brokers(call->rig->pool, NULL, 0);
}

START_TEST(a_callback_may_close_its_own_lane_and_forget_its_broker)
{
    fixture f;
    init(&f, 3);
    f.calls[0].then = close_all;
    for (size_t i = 0; i < 3; i++)
        rig_submit_to(&f.calls[i], 1, KN_LANE_FETCH, 3);
    rig_run(&f.r, 10);
    rig_check_answered(&f.calls[0]);
    for (size_t i = 1; i < 3; i++)
        ck_assert_int_eq(f.calls[i].done, 1);
    ck_assert_uint_eq(stats_of(&f).connections, 0);
    cleanup(&f);
}
END_TEST

START_TEST(freeing_the_pool_at_any_moment_completes_every_request_once)
{
    for (int turns = 0; turns < 40; turns++) {
        fixture f;
        init(&f, 8);
        kn_mem_network_shape(f.r.network)->latency_us = 1000;
        f.broker->is_silent = turns % 2;
        for (size_t i = 0; i < 6; i++)
            rig_submit(&f.calls[i], 1);
        rig_submit(&f.calls[6], 2);             // refused
        rig_submit(&f.calls[7], KN_ANY_BROKER); // waits
        for (int i = 0; i < turns; i++)
            kn_loop_advance(f.r.loop, RIG_START_US + 2000000);
        if (turns % 3 == 0)
            ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("one"), 9093), KC_OK);
        if (turns % 5 == 0)
            kn_pool_keep_brokers(f.r.pool, NULL, 0);
        free_pool(&f);
        for (size_t i = 0; i < 8; i++) {
            ck_assert_int_eq(f.calls[i].done, 1);
            ck_assert(!kn_request_is_active(&f.calls[i].request));
        }
        cleanup(&f);
    }
}
END_TEST

static void meddle(rig_call *call)
{
    kn_pool *pool = call->rig->pool;
    rig_call *other = call->user;
    kn_pool_close_owner(pool, 3);
    kn_pool_keep_brokers(pool, NULL, 0);
    ck_assert_int_eq(kn_pool_set_broker(pool, 9, KC_STR("x"), 1), KC_ERR_CLOSED);
    kn_request_cancel(&other->request);
}

START_TEST(callbacks_of_a_closing_pool_may_cancel_and_close)
{
    fixture f;
    init(&f, 4);
    f.broker->is_silent = true;
    rig_submit_to(&f.calls[0], 1, KN_LANE_FETCH, 3);
    rig_submit_to(&f.calls[1], 1, KN_LANE_FETCH, 3);
    rig_submit_to(&f.calls[2], 1, KN_LANE_MAIN, 0);
    f.calls[0].then = meddle;
    f.calls[0].user = &f.calls[1];
    rig_run(&f.r, 10);
    rig_submit(&f.calls[3], 1);
    free_pool(&f);
    ck_assert_int_eq(f.calls[0].err, KC_ERR_CLOSED);
    ck_assert_int_eq(f.calls[1].done, 0);
    ck_assert_int_eq(f.calls[2].err, KC_ERR_CLOSED);
    ck_assert_int_eq(f.calls[3].err, KC_ERR_CLOSED);
    cleanup(&f);
}
END_TEST

START_TEST(trimming_gives_buffers_back)
{
    fixture f;
    init(&f, 1);
    f.broker->body_bytes = 1000000;
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    ck_assert_uint_gt(f.r.mem.used, 1000000);
    kn_pool_trim(f.r.pool);
    ck_assert_uint_lt(f.r.mem.used, 100000);
    cleanup(&f);
}
END_TEST
