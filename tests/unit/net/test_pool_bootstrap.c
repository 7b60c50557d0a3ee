/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Canonical bootstrap servers (KIP-235): from configured names by addresses to names. */
#include "net/pool_core.h"
#include "tests/unit/net/rig.h"

#include <stdio.h>

typedef struct fixture {
    rig r;
    rig_call calls[2];
} fixture;

static void init(fixture *f, const char *bootstrap)
{
    kc_error error;
    rig_init(&f->r);
    kn_pool_options options = rig_options(&f->r, bootstrap);
    options.is_canonical = true;
    ck_assert_int_eq(kn_pool_new(&options, &f->r.pool, &error), KC_OK);
    for (size_t i = 0; i < 2; i++)
        rig_call_init(&f->r, &f->calls[i]);
}

static void cleanup(fixture *f)
{
    kn_pool_free(f->r.pool);
    f->r.pool = NULL;
    for (size_t i = 0; i < 2; i++)
        rig_call_cleanup(&f->calls[i]);
    rig_cleanup(&f->r);
}

/** A broker by its own name, which its address leads to and back. */
static rig_broker *broker_at(fixture *f, const char *name, const char *literal)
{
    ck_assert_int_eq(kn_mem_name_add(f->r.network, name, literal), KC_OK);
    ck_assert_int_eq(kn_mem_canonical_set(f->r.network, literal, name), KC_OK);
    return rig_broker_add(&f->r, name, 9092);
}

static void add_name(fixture *f, const char *name, const char *literal)
{
    ck_assert_int_eq(kn_mem_name_add(f->r.network, name, literal), KC_OK);
}

static void ask(fixture *f, int call)
{
    rig_submit(&f->calls[call], KN_ANY_BROKER);
}

/** "a:1 b:2", in the order they were found. Static storage. */
static const char *servers(const fixture *f)
{
    static char text[512];
    size_t len = 0;
    text[0] = 0;
    KB_LIST_FOR (node, &f->r.pool->bootstrap) {
        const kn_broker *broker = KB_CONTAINER(node, kn_broker, node);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s:%u", len ? " " : "",
                                broker->host, (unsigned)broker->port);
    }
    return text;
}

START_TEST(each_address_of_a_name_becomes_a_server_by_its_own_name)
{
    fixture f;
    init(&f, "all.example:9092");
    broker_at(&f, "b1.example", "10.9.0.1");
    broker_at(&f, "b2.example", "10.9.0.2");
    add_name(&f, "all.example", "10.9.0.1");
    add_name(&f, "all.example", "10.9.0.2");
    ck_assert_str_eq(servers(&f), ""); // nothing before it is needed
    ask(&f, 0);
    rig_run(&f.r, 10);
    rig_check_answered(&f.calls[0]);
    ck_assert_str_eq(servers(&f), "b1.example:9092 b2.example:9092");
    cleanup(&f);
}
END_TEST

START_TEST(the_connection_has_the_canonical_name_which_certificates_are_checked_for)
{
    fixture f;
    init(&f, "all.example:9092");
    broker_at(&f, "b1.example", "10.9.0.1");
    add_name(&f, "all.example", "10.9.0.1");
    ask(&f, 0);
    rig_run(&f.r, 10);
    kn_broker *server = KB_CONTAINER(f.r.pool->bootstrap.next, kn_broker, node);
    const kn_link *link = kn_link_find(server, KN_LANE_MAIN, 0);
    ck_assert_str_eq(link->conn->host, "b1.example");
    cleanup(&f);
}
END_TEST

START_TEST(an_address_without_a_name_is_the_server_itself)
{
    fixture f;
    init(&f, "all.example:9092,10.9.0.3:9092");
    add_name(&f, "all.example", "10.9.0.1");
    add_name(&f, "all.example", "fd00::7");
    rig_broker_add(&f.r, "10.9.0.1", 9092);
    ask(&f, 0);
    rig_run(&f.r, 1000);
    rig_check_answered(&f.calls[0]);
    ck_assert_ptr_nonnull(strstr(servers(&f), "10.9.0.1:9092"));
    ck_assert_ptr_nonnull(strstr(servers(&f), "fd00::7:9092"));
    ck_assert_ptr_nonnull(strstr(servers(&f), "10.9.0.3:9092"));
    cleanup(&f);
}
END_TEST

START_TEST(a_name_that_does_not_lead_back_is_not_believed)
{
    fixture f;
    init(&f, "all.example:9092");
    add_name(&f, "all.example", "10.9.0.1");
    add_name(&f, "all.example", "10.9.0.2");
    add_name(&f, "bank.example", "10.9.9.9");
    ck_assert_int_eq(kn_mem_canonical_set(f.r.network, "10.9.0.1", "bank.example"), KC_OK);
    ck_assert_int_eq(kn_mem_canonical_set(f.r.network, "10.9.0.2", "nowhere.example"), KC_OK);
    ask(&f, 0);
    rig_run(&f.r, 10);
    ck_assert_str_eq(servers(&f), "10.9.0.1:9092 10.9.0.2:9092");
    cleanup(&f);
}
END_TEST

START_TEST(names_that_lead_to_the_same_server_give_one)
{
    fixture f;
    init(&f, "a.example:9092,b.example:9092,a.example:9093");
    broker_at(&f, "b1.example", "10.9.0.1");
    add_name(&f, "a.example", "10.9.0.1");
    add_name(&f, "b.example", "10.9.0.1");
    ask(&f, 0);
    rig_run(&f.r, 100);
    rig_check_answered(&f.calls[0]);
    ck_assert_str_eq(servers(&f), "b1.example:9092 b1.example:9093");
    cleanup(&f);
}
END_TEST

START_TEST(a_name_that_is_not_known_leaves_the_others)
{
    fixture f;
    init(&f, "nowhere.example:9092,all.example:9092");
    broker_at(&f, "b1.example", "10.9.0.1");
    add_name(&f, "all.example", "10.9.0.1");
    ask(&f, 0);
    rig_run(&f.r, 10);
    rig_check_answered(&f.calls[0]);
    cleanup(&f);
}
END_TEST

START_TEST(where_no_name_is_known_the_request_says_why_and_it_is_tried_again)
{
    fixture f;
    init(&f, "nowhere.example:9092");
    f.calls[0].request.deadline_us = RIG_START_US + 2500000;
    ask(&f, 0);
    rig_run(&f.r, 2500);
    ck_assert_int_eq(f.calls[0].err, KC_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(f.calls[0].error.text,
                                 "bootstrap server nowhere.example:9092: host "
                                 "name could not be resolved: "));
    ck_assert_int_eq(f.calls[0].error.phase, KC_PHASE_DNS);
    ck_assert_uint_eq(f.r.downs, 3); // once a second, and told
    broker_at(&f, "b1.example", "10.9.0.1");
    add_name(&f, "nowhere.example", "10.9.0.1");
    ask(&f, 1);
    rig_run(&f.r, KN_BOOTSTRAP_SPACING_MS);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

START_TEST(when_all_servers_failed_their_names_are_looked_up_anew)
{
    fixture f;
    init(&f, "all.example:9092");
    add_name(&f, "all.example", "10.9.0.1");
    add_name(&f, "old.example", "10.9.0.1");
    ck_assert_int_eq(kn_mem_canonical_set(f.r.network, "10.9.0.1", "old.example"), KC_OK);
    ask(&f, 0);
    rig_run(&f.r, 3000);
    ck_assert_str_eq(servers(&f), "old.example:9092");
    ck_assert_uint_ge(f.r.downs, 4);
    ck_assert_uint_le(f.r.downs, 9); // its back-off is kept
    kn_mem_name_remove(f.r.network, "all.example");
    broker_at(&f, "new.example", "10.9.0.2");
    add_name(&f, "all.example", "10.9.0.2");
    rig_run(&f.r, 2500);
    rig_check_answered(&f.calls[0]);
    ck_assert_str_eq(servers(&f), "new.example:9092");
    cleanup(&f);
}
END_TEST

START_TEST(each_new_beginning_looks_the_names_up_anew)
{
    fixture f;
    init(&f, "all.example:9092");
    broker_at(&f, "old.example", "10.9.0.1");
    add_name(&f, "all.example", "10.9.0.1");
    ask(&f, 0);
    rig_run(&f.r, 10);
    rig_check_answered(&f.calls[0]);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("old.example"), 9092), KC_OK);
    rig_run(&f.r, 2000);
    kn_mem_name_remove(f.r.network, "all.example");
    rig_broker *fresh = broker_at(&f, "new.example", "10.9.0.2");
    add_name(&f, "all.example", "10.9.0.2");
    kn_pool_keep_brokers(f.r.pool, NULL, 0);
    ask(&f, 1);
    rig_run(&f.r, 10);
    rig_check_answered(&f.calls[1]);
    ck_assert_uint_eq(fresh->requests, 1);
    ck_assert_str_eq(servers(&f), "new.example:9092");
    cleanup(&f);
}
END_TEST

START_TEST(what_was_found_stays_where_a_new_look_up_finds_nothing)
{
    fixture f;
    init(&f, "all.example:9092");
    broker_at(&f, "b1.example", "10.9.0.1");
    add_name(&f, "all.example", "10.9.0.1");
    ask(&f, 0);
    rig_run(&f.r, 10);
    ck_assert_int_eq(kn_pool_set_broker(f.r.pool, 1, KC_STR("b1.example"), 9092), KC_OK);
    rig_run(&f.r, 2000);
    kn_mem_name_remove(f.r.network, "all.example");
    kn_pool_keep_brokers(f.r.pool, NULL, 0);
    ask(&f, 1);
    rig_run(&f.r, 10);
    rig_check_answered(&f.calls[1]);
    cleanup(&f);
}
END_TEST

static void take_line(kc_bytes line, void *user)
{
    snprintf(user, 256, KC_FMT, KC_ARG(line));
}

START_TEST(a_slow_name_holds_up_no_other_and_is_explained)
{
    fixture f;
    init(&f, "all.example:9092,10.9.0.1:9092");
    broker_at(&f, "b1.example", "10.9.0.1");
    add_name(&f, "all.example", "10.9.0.2");
    ck_assert_int_eq(kn_mem_canonical_set(f.r.network, "10.9.0.1", NULL), KC_OK);
    kn_mem_network_shape(f.r.network)->resolve_latency_us = 4000000;
    ask(&f, 0);
    rig_run(&f.r, 500);
    rig_check_answered(&f.calls[0]);
    char line[256] = "";
    kb_explain out = {.fn = take_line, .user = line, .now_us = kn_loop_now_us(f.r.loop)};
    kn_pool_explain(f.r.pool, &out);
    ck_assert_uint_eq(out.lines, 1);
    ck_assert_str_eq(
        line,
        "bootstrap server all.example:9092: its canonical names are being looked up, for 0.5 s");
    cleanup(&f);
}
END_TEST

START_TEST(a_pool_can_be_freed_at_any_step_of_the_look_up)
{
    for (int ms = 0; ms < 8; ms++) {
        fixture f;
        init(&f, "all.example:9092,nowhere.example:9092");
        broker_at(&f, "b1.example", "10.9.0.1");
        add_name(&f, "all.example", "10.9.0.1");
        kn_mem_network_shape(f.r.network)->resolve_latency_us = 2000;
        ask(&f, 0);
        rig_run(&f.r, ms);
        cleanup(&f);
    }
}
END_TEST

START_TEST(running_out_of_memory_leaves_nothing_behind)
{
    for (size_t spare = 0; spare < 6000; spare += 40) {
        rig r;
        kc_error error;
        rig_init(&r);
        ck_assert_int_eq(kn_mem_name_add(r.network, "all.example", "10.9.0.1"), KC_OK);
        kn_pool_options options = rig_options(&r, "all.example:9092,b.example:9092");
        options.is_canonical = true;
        r.mem.limit = r.mem.used + spare;
        kc_err made = kn_pool_new(&options, &r.pool, &error);
        ck_assert(made == KC_OK || made == KC_ERR_NOMEM);
        rig_call call;
        rig_call_init(&r, &call);
        if (made == KC_OK) {
            rig_submit(&call, KN_ANY_BROKER);
            rig_run(&r, 3000);
            kn_pool_free(r.pool);
        }
        r.pool = NULL;
        rig_call_cleanup(&call);
        rig_cleanup(&r);
    }
}
END_TEST

START_TEST(a_configured_name_that_is_too_long_is_refused)
{
    rig r;
    kc_error error;
    kn_pool *pool = NULL;
    char text[300];
    rig_init(&r);
    memset(text, 'a', sizeof text);
    memcpy(text + 270, ":9092", 6);
    kn_pool_options options = rig_options(&r, text);
    options.is_canonical = true;
    ck_assert_int_eq(kn_pool_new(&options, &pool, &error), KC_ERR_CONFIG);
    rig_cleanup(&r);
}
END_TEST
