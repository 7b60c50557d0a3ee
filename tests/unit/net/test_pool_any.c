/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Requests for any broker: bootstrap addresses, turns, hedging, deadlines. */
#include "net/pool_core.h"
#include "tests/unit/net/rig.h"

#include <errno.h>

typedef struct fixture {
    rig r;
    rig_call calls[12];
    size_t count;
} fixture;

static void init(fixture *f, const char *bootstrap, size_t count)
{
    rig_init(&f->r);
    rig_pool(&f->r, bootstrap);
    f->count = count;
    for (size_t i = 0; i < count; i++)
        rig_call_init(&f->r, &f->calls[i]);
}

static void cleanup(fixture *f)
{
    kn_pool_free(f->r.pool);
    f->r.pool = NULL;
    for (size_t i = 0; i < f->count; i++)
        rig_call_cleanup(&f->calls[i]);
    rig_cleanup(&f->r);
}

static void ask(rig_call *call)
{
    rig_submit(call, KN_ANY_BROKER);
}

START_TEST(a_bootstrap_list_that_is_none_is_refused_with_the_culprit)
{
    const char *bad[] = {"", " , ", "one", "one:9092,two", "[::1]", "one:99999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rig r;
        rig_init(&r);
        kn_pool_options options = rig_options(&r, bad[i]);
        kn_pool *pool = NULL;
        kc_error error;
        ck_assert_int_eq(kn_pool_new(&options, &pool, &error), KC_ERR_CONFIG);
        ck_assert_ptr_nonnull(strstr(error.text, "bootstrap.servers"));
        ck_assert(i < 2 || strstr(error.text, "host:port"));
        ck_assert_ptr_null(pool);
        rig_cleanup(&r);
    }
}
END_TEST

START_TEST(without_known_brokers_a_bootstrap_address_answers)
{
    fixture f;
    init(&f, "one:9092", 2);
    rig_broker *one = rig_broker_add(&f.r, "one", 9092);
    ask(&f.calls[0]);
    ask(&f.calls[1]);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[0]);
    rig_check_answered(&f.calls[1]);
    ck_assert_int_eq(f.calls[0].broker_id, -1);
    ck_assert_uint_eq(one->accepts, 1);
    ck_assert_uint_eq(one->requests, 2);
    cleanup(&f);
}
END_TEST

START_TEST(all_bootstrap_addresses_are_tried_and_the_last_one_is_found)
{
    fixture f;
    init(&f, "none1:9092,none2:9092,10.1.1.1:9092,10.1.1.2:9092,good:9092,none3:9092", 1);
    rig_broker_add(&f.r, "good", 9092);
    ask(&f.calls[0]);
    rig_run(&f.r, 30); // refused and unknown ones cost no time
    rig_check_answered(&f.calls[0]);
    ck_assert_int_eq(kn_pool_last_error(f.r.pool)->code, KC_OK);
    cleanup(&f);
}
END_TEST

START_TEST(when_all_fail_they_are_tried_again_until_one_is_up)
{
    fixture f;
    init(&f, "one:9092,two:9092", 1);
    rig_broker *one = rig_broker_add(&f.r, "one", 9092);
    kn_mem_unlisten(f.r.network, "one", 9092);
    ask(&f.calls[0]);
    rig_run(&f.r, 5000);
    ck_assert_int_eq(f.calls[0].done, 0);
    ck_assert_uint_ge(f.r.downs, 8);
    ck_assert_uint_le(f.r.downs, 30); // with back-off
    kn_mem_cut(f.r.network, "one", 9092);
    f.r.broker_count--; // listen again
    *one = (rig_broker){0};
    rig_broker_add(&f.r, "one", 9092);
    rig_run(&f.r, 1300);
    rig_check_answered(&f.calls[0]);
    cleanup(&f);
}
END_TEST

START_TEST(a_request_nobody_could_take_times_out_with_the_last_cause)
{
    fixture f;
    init(&f, "10.1.1.1:9092", 2);
    f.calls[0].request.deadline_us = RIG_START_US + 2000000;
    ask(&f.calls[0]);
    ask(&f.calls[1]);
    rig_run(&f.r, 1999);
    ck_assert_int_eq(f.calls[0].done, 0);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[0].done, 1);
    ck_assert_int_eq(f.calls[0].err, KC_ERR_TIMEOUT);
    ck_assert(!f.calls[0].was_sent);
    ck_assert(f.calls[0].in_turn);
    ck_assert_ptr_nonnull(strstr(f.calls[0].error.text, "Connection refused"));
    ck_assert_int_eq(f.calls[0].error.os_errno, ECONNREFUSED);
    ck_assert_int_eq(f.calls[0].error.phase, KC_PHASE_CONNECT);
    rig_run(&f.r, 27999);
    ck_assert_int_eq(f.calls[1].done, 0);
    rig_run(&f.r, 1); // the request timeout, when there is no deadline
    ck_assert_int_eq(f.calls[1].err, KC_ERR_TIMEOUT);
    cleanup(&f);
}
END_TEST

START_TEST(a_silent_broker_does_not_hold_up_the_others)
{
    fixture f;
    init(&f, "one:9092,two:9092", 1);
    rig_broker_add(&f.r, "one", 9092);
    rig_broker_add(&f.r, "two", 9092);
    /* Whichever is tried first says nothing. */
    kn_mem_pause(f.r.network, f.r.pool->any_next % 2 == 0 ? "one" : "two", 9092, true);
    ask(&f.calls[0]);
    rig_run(&f.r, KN_HEDGE_MS - 1);
    ck_assert_int_eq(f.calls[0].done, 0);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), 1);
    rig_run(&f.r, 2);
    rig_check_answered(&f.calls[0]);
    cleanup(&f);
}
END_TEST

START_TEST(known_brokers_are_asked_and_bootstrap_connections_let_go)
{
    fixture f;
    init(&f, "boot:9092", 2);
    rig_broker *boot = rig_broker_add(&f.r, "boot", 9092);
    rig_broker *one = rig_broker_add(&f.r, "one", 9092);
    ask(&f.calls[0]);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[0]);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("one"), 9092), KC_OK);
    rig_run(&f.r, 1);
    ck_assert_uint_eq(boot->closes, 1);
    ck_assert_uint_eq(f.r.downs, 0);
    ask(&f.calls[1]);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[1]);
    ck_assert_int_eq(f.calls[1].broker_id, 1);
    ck_assert_uint_eq(one->requests, 1);
    cleanup(&f);
}
END_TEST

static void learn_broker(rig_call *call)
{
    ck_assert_int_eq(kn_pool_set_broker(call->rig->pool, 1, KC_STR("one"), 9092), KC_OK);
}

START_TEST(brokers_may_be_learnt_inside_the_answer_of_the_bootstrap_address)
{
    fixture f;
    init(&f, "boot:9092", 3);
    rig_broker *boot = rig_broker_add(&f.r, "boot", 9092);
    rig_broker_add(&f.r, "one", 9092);
    f.calls[0].then = learn_broker;
    ask(&f.calls[0]);
    ask(&f.calls[1]); // in flight at the same time: still answered there
    rig_run(&f.r, 10);
    rig_check_answered(&f.calls[0]);
    rig_check_answered(&f.calls[1]);
    ck_assert_uint_eq(boot->closes, 1);
    ask(&f.calls[2]);
    rig_run(&f.r, 10);
    ck_assert_int_eq(f.calls[2].broker_id, 1);
    cleanup(&f);
}
END_TEST

/** metadata.recovery.strategy=none */
static void never_return(fixture *f, const char *bootstrap)
{
    kn_pool_free(f->r.pool);
    kn_pool_options options = rig_options(&f->r, bootstrap);
    kc_error error;
    options.never_returns = true;
    ck_assert_int_eq(kn_pool_new(&options, &f->r.pool, &error), KC_OK);
}

START_TEST(after_all_brokers_are_forgotten_bootstrap_is_used_again)
{
    fixture f;
    init(&f, "boot:9092", 1);
    never_return(&f, "boot:9092");
    rig_broker_add(&f.r, "boot", 9092);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("gone"), 9092), KC_OK);
    ask(&f.calls[0]);
    rig_run(&f.r, 1000);
    ck_assert_int_eq(f.calls[0].done, 0);
    kn_pool_keep_brokers(f.r.pool, NULL, 0);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[0]);
    ck_assert_int_eq(f.calls[0].broker_id, -1);
    cleanup(&f);
}
END_TEST

/* KIP-899. */
START_TEST(while_all_known_brokers_back_off_bootstrap_is_asked_beside_them)
{
    fixture f;
    init(&f, "boot:9092", 2);
    rig_broker *boot = rig_broker_add(&f.r, "boot", 9092);
    rig_broker *one = rig_broker_add(&f.r, "one", 9092);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("one"), 9092), KC_OK);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 2, KC_STR("gone"), 9092), KC_OK);
    ask(&f.calls[0]);
    rig_run(&f.r, 10);
    ck_assert_int_eq(f.calls[0].broker_id, 1); // one is enough
    ck_assert_uint_eq(boot->accepts, 0);
    kn_mem_unlisten(f.r.network, "one", 9092);
    kn_mem_cut(f.r.network, "one", 9092);
    rig_run(&f.r, 10);
    ask(&f.calls[1]);
    rig_run(&f.r, 1000);
    rig_check_answered(&f.calls[1]);
    ck_assert_int_eq(f.calls[1].broker_id, -1);
    ck_assert_uint_eq(boot->accepts, 1);
    ck_assert_uint_eq(one->accepts, 1);
    ck_assert(kn_pool_has_broker(f.r.pool, 1)); // nothing is forgotten
    cleanup(&f);
}
END_TEST

START_TEST(a_known_broker_that_is_connected_again_ends_the_bootstrap_connection)
{
    fixture f;
    init(&f, "boot:9092", 3);
    rig_broker *boot = rig_broker_add(&f.r, "boot", 9092);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("one"), 9092), KC_OK);
    ask(&f.calls[0]);
    rig_run(&f.r, 100);
    ck_assert_int_eq(f.calls[0].broker_id, -1);
    rig_broker_add(&f.r, "one", 9092);
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 2000);
    rig_check_answered(&f.calls[1]);
    ck_assert_uint_eq(boot->closes, 1);
    ask(&f.calls[2]);
    rig_run(&f.r, 10);
    ck_assert_int_eq(f.calls[2].broker_id, 1);
    cleanup(&f);
}
END_TEST

START_TEST(bootstrap_is_never_asked_again_where_that_is_configured)
{
    fixture f;
    init(&f, "boot:9092", 1);
    never_return(&f, "boot:9092");
    rig_broker *boot = rig_broker_add(&f.r, "boot", 9092);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("gone"), 9092), KC_OK);
    ask(&f.calls[0]);
    rig_run(&f.r, 30000);
    ck_assert_int_eq(f.calls[0].err, KC_ERR_TIMEOUT);
    ck_assert_uint_eq(boot->accepts, 0);
    cleanup(&f);
}
END_TEST

START_TEST(the_least_loaded_connection_is_taken)
{
    fixture f;
    init(&f, "boot:9092", 12);
    rig_broker *one = rig_broker_add(&f.r, "one", 9092);
    rig_broker *two = rig_broker_add(&f.r, "two", 9092);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("one"), 9092), KC_OK);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 2, KC_STR("two"), 9092), KC_OK);
    rig_submit(&f.calls[0], 1);
    rig_submit(&f.calls[1], 2);
    rig_run(&f.r, 10);
    one->is_silent = two->is_silent = true;
    for (size_t i = 2; i < 10; i++)
        ask(&f.calls[i]);
    rig_run(&f.r, 10);
    ck_assert_uint_eq(one->requests, 5);
    ck_assert_uint_eq(two->requests, 5);
    cleanup(&f);
}
END_TEST

START_TEST(a_lane_full_of_requests_takes_more_when_answers_come)
{
    fixture f;
    init(&f, "one:9092", 12);
    rig_broker *one = rig_broker_add(&f.r, "one", 9092);
    kn_mem_network_shape(f.r.network)->latency_us = 500;
    for (size_t i = 0; i < 12; i++)
        ask(&f.calls[i]);
    rig_run(&f.r, 100);
    for (size_t i = 0; i < 12; i++)
        rig_check_answered(&f.calls[i]);
    ck_assert_uint_eq(one->accepts, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_throttled_broker_is_passed_over_or_waited_for)
{
    fixture f;
    init(&f, "boot:9092", 3);
    rig_broker_add(&f.r, "one", 9092);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("one"), 9092), KC_OK);
    ask(&f.calls[0]);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[0]);
    kn_pool_throttle(f.r.pool, (kn_target){1, KN_LANE_MAIN, 0}, 5000);
    ask(&f.calls[1]);
    rig_run(&f.r, 4990);
    ck_assert_int_eq(f.calls[1].done, 0);
    rig_run(&f.r, 10);
    rig_check_answered(&f.calls[1]);
    kn_pool_throttle(f.r.pool, (kn_target){1, KN_LANE_MAIN, 0}, 5000);
    rig_broker_add(&f.r, "two", 9092);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 2, KC_STR("two"), 9092), KC_OK);
    ask(&f.calls[2]);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[2]);
    ck_assert_int_eq(f.calls[2].broker_id, 2);
    cleanup(&f);
}
END_TEST

START_TEST(a_request_cut_off_before_it_was_written_goes_to_another_broker)
{
    fixture f;
    init(&f, "one:9092,two:9092", 2);
    rig_broker *brokers[2] = {rig_broker_add(&f.r, "one", 9092), rig_broker_add(&f.r, "two", 9092)};
    ask(&f.calls[0]);
    rig_run(&f.r, 1);
    rig_broker *used = brokers[0]->accepts ? brokers[0] : brokers[1];
    rig_peer_close(KB_CONTAINER(used->peers.next, rig_peer, node), true);
    ask(&f.calls[1]); // written into the dead connection: given back
    kn_mem_unlisten(f.r.network, used->host, used->port);
    rig_run(&f.r, 1);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

START_TEST(a_waiting_request_can_be_cancelled)
{
    fixture f;
    init(&f, "one:9092", 2);
    ask(&f.calls[0]);
    ask(&f.calls[1]);
    rig_run(&f.r, 100);
    kn_request_cancel(&f.calls[0].request);
    rig_broker_add(&f.r, "one", 9092);
    rig_run(&f.r, 2000);
    ck_assert_int_eq(f.calls[0].done, 0);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

START_TEST(when_nobody_waits_any_more_nothing_is_tried)
{
    fixture f;
    init(&f, "one:9092", 1);
    ask(&f.calls[0]);
    rig_run(&f.r, 100);
    kn_request_cancel(&f.calls[0].request);
    rig_run(&f.r, 3000);
    uint32_t connects = kn_mem_network_connects(f.r.network);
    rig_run(&f.r, 3600000);
    ck_assert_uint_eq(kn_mem_network_connects(f.r.network), connects);
    cleanup(&f);
}
END_TEST
