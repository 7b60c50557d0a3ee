/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Commands in words, and fault rules as text. */
#include "tests/unit/mock/tcp_world.h"

#include <kafkac/unstable/errors.h>

#include <check.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>

typedef struct lines {
    atomic_int count;
    char last[1100];
} lines;

static void on_line(const char *line, void *user)
{
    lines *told = user;
    snprintf(told->last, sizeof told->last, "%s", line);
    atomic_fetch_add(&told->count, 1);
}

START_TEST(commands_in_words_do_what_they_say)
{
    static const char *const good[] = {
        "",
        "  # nothing",
        "help",
        "topic create orders",
        "topic create invoices 3",
        "topic create letters 3 2",
        "topic recreate letters",
        "topic delete letters",
        "move orders 0 to 2",
        "epoch orders 0",
        "coordinator group g to 1",
        "coordinator transaction x to 2",
        "broker 2 down",
        "broker 2 up",
        "broker 2 down with loss",
        "broker 2 up",
        "cut 1",
        "cut all",
        "link 1 off",
        "link all slow 100000",
        "link all on",
        "fault api=Fetch, nth=3, error=NOT_LEADER_OR_FOLLOWER",
        "fault drop",
        "fault broker=1,every=2,count=5,skip=1,delay=5s,answer-delay=250,throttle=1m",
        "fault api=1,error=-1",
        "fault close=before",
        "fault delay=1h,answer-delay=1m,close=after",
        "fault nth=2,count=3,delay=5,error=3,drop",
        "faults",
        "fault remove 1",
        "fault clear",
        "brokers",
        "topics",
    };
    kc_error err = {.text = ""};
    lines told = {0};
    kc_mock *mock = tcp_mock_start(2);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        kc_err failed = kc_mock_command(mock, good[i], on_line, &told, &err);
        ck_assert_msg(failed == KC_OK, "%s: %s", good[i], err.text);
    }
    ck_assert_ptr_nonnull(strstr(told.last, "invoices 2: leader "));
    ck_assert_ptr_nonnull(strstr(told.last, ", offsets 0 to 0, readable to 0"));
    kc_mock_free(mock);
}
END_TEST

START_TEST(commands_that_are_wrong_say_what_was_expected)
{
#define BROKER_FORMS                                                                               \
    "needs: broker BROKER down, or broker BROKER down with loss, or broker BROKER up"
    static const struct {
        const char *text;
        kc_err code;
        const char *error;
    } bad[] = {
        {"brocker 1 down", KC_ERR_ARGUMENT, "there is no such command: \"help\" lists them"},
        {"broker", KC_ERR_ARGUMENT, BROKER_FORMS},
        {"broker 2", KC_ERR_ARGUMENT, BROKER_FORMS},
        {"broker two down", KC_ERR_ARGUMENT,
         "broker BROKER down: needs a number from 1 to 2, not \"two\""},
        {"broker 1 dwon", KC_ERR_ARGUMENT, BROKER_FORMS},
        {"broker 1 down now", KC_ERR_ARGUMENT, BROKER_FORMS},
        {"link", KC_ERR_ARGUMENT,
         "needs: link BROKERS off, or link BROKERS slow BYTES, or link BROKERS on; BROKERS is one "
         "number, or all"},
        {"link all slow 0", KC_ERR_ARGUMENT,
         "link BROKERS slow BYTES: needs a number from 1 to 1000000000, not \"0\""},
        {"coordinator foo x to 1", KC_ERR_ARGUMENT,
         "needs: coordinator group KEY to BROKER, or coordinator transaction KEY to BROKER"},
        {"topic create", KC_ERR_ARGUMENT,
         "needs: topic create NAME, or topic create NAME PARTITIONS, or topic create NAME "
         "PARTITIONS REPLICAS"},
        {"topic create t 0", KC_ERR_ARGUMENT,
         "topic create NAME PARTITIONS: needs a number from 1 to 100000, not \"0\""},
        {"topic create t 1 9", KC_ERR_ARGUMENT,
         "topic create NAME PARTITIONS REPLICAS: needs a number from 1 to 8, not \"9\""},
        {"topic delete orders", KC_E_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic orders"},
        {"topic recreate orders", KC_E_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic orders"},
        {"move t -1 to 1", KC_ERR_ARGUMENT,
         "move NAME PARTITION to BROKER: needs a number from 0, not \"-1\""},
        {"fault", KC_ERR_ARGUMENT,
         "needs: fault RULE..., or fault remove NUMBER, or fault clear; a RULE as "
         "api=Fetch,nth=3,error=NOT_LEADER_OR_FOLLOWER"},
        {"fault remove", KC_ERR_ARGUMENT, "needs: fault remove NUMBER"},
        {"fault remove x", KC_ERR_ARGUMENT,
         "fault remove NUMBER: needs a number from 1, not \"x\""},
        {"fault clear all", KC_ERR_ARGUMENT, "needs: fault clear"},
        {"broker 9 down", KC_ERR_ARGUMENT, "there is no broker 9: 1 to 2"},
        {"move t 0 to 1", KC_E_UNKNOWN_TOPIC_OR_PARTITION, "there is no partition 0 of a topic t"},
        {"at soon broker 1 down", KC_ERR_ARGUMENT,
         "at TIME COMMAND...: needs a time as 250ms, 5s, 2m or 1h, not \"soon\""},
        {"at 5s broker 1", KC_ERR_ARGUMENT, BROKER_FORMS},
        {"at 5s at 5s help", KC_ERR_ARGUMENT, "at: one time is enough"},
        {"fault api=Fetsh", KC_ERR_ARGUMENT,
         "fault: api needs an API's name as Fetch, or its key, not \"Fetsh\""},
        {"fault error=OOPS", KC_ERR_ARGUMENT,
         "fault: error needs an error's name as NOT_LEADER_OR_FOLLOWER, or its code, not \"OOPS\""},
        {"fault nth=0", KC_ERR_ARGUMENT, "fault: nth needs a number from 1, not \"0\""},
        {"fault drop=1", KC_ERR_ARGUMENT, "fault: drop needs no value, not \"1\""},
        {"fault delay=2days", KC_ERR_ARGUMENT,
         "fault: delay needs a time as 250ms, 5s, 2m, 1h, or in ms, up to 24h, not \"2days\""},
        {"fault api=Fetch,,", KC_ERR_ARGUMENT, "fault: there is no key \"\""},
        {"fault broker=7", KC_ERR_ARGUMENT, "there is no broker 7: 1 to 2"},
        {"fault remove 1", KC_ERR_NOT_FOUND, "there is no fault 1"},
        {"cut 0", KC_ERR_ARGUMENT, "cut BROKERS: needs a number from 1 to 2, or all, not \"0\""},
    };
    kc_error err;
    kc_mock *mock = tcp_mock_start(2);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(kc_mock_command(mock, bad[i].text, NULL, NULL, &err) == bad[i].code, "%s: %d",
                      bad[i].text, err.code);
        ck_assert_str_eq(err.text, bad[i].error);
    }
    char longest[2000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    ck_assert_int_eq(kc_mock_command(mock, longest, NULL, NULL, &err), KC_ERR_ARGUMENT);
    kc_mock_free(mock);
}
END_TEST

START_TEST(lists_of_nothing_say_so_and_nobody_controls_what_is_down)
{
    kc_error err;
    lines told = {0};
    kc_mock *mock = tcp_mock_start(1);
    ck_assert_int_eq(kc_mock_command(mock, "topics", on_line, &told, &err), KC_OK);
    ck_assert_str_eq(told.last, "no topics");
    ck_assert_int_eq(kc_mock_command(mock, "faults", on_line, &told, &err), KC_OK);
    ck_assert_str_eq(told.last, "no faults");
    ck_assert_int_eq(kc_mock_command(mock, "echo end of 7", on_line, &told, &err), KC_OK);
    ck_assert_str_eq(told.last, "end of 7");
    ck_assert_int_eq(kc_mock_command(mock, "brokers", on_line, &told, &err), KC_OK);
    ck_assert_ptr_nonnull(strstr(told.last, ", controller"));
    ck_assert_int_eq(kc_mock_command(mock, "broker 1 down", on_line, &told, &err), KC_OK);
    ck_assert_int_eq(kc_mock_command(mock, "brokers", on_line, &told, &err), KC_OK);
    ck_assert_ptr_null(strstr(told.last, ", controller"));
    kc_mock_free(mock);
}
END_TEST

START_TEST(a_list_with_a_time_is_the_list_alone)
{
    kc_error err;
    lines told = {0};
    kc_mock *mock = tcp_mock_new(1);
    ck_assert_int_eq(kc_mock_command(mock, "at 1ms topics", on_line, &told, &err), KC_OK);
    ck_assert_int_eq(kc_mock_command(mock, "at 20ms cut all", on_line, &told, &err), KC_OK);
    while (strcmp(told.last, "cut all: done") != 0)
        ck_assert_int_eq(kc_mock_dispatch(mock, -1), KC_OK);
    ck_assert_int_eq(atomic_load(&told.count), 2);
    kc_mock_free(mock);
}
END_TEST

START_TEST(a_rule_that_contradicts_itself_is_refused_with_the_keys)
{
    static const struct {
        const char *rule, *error;
    } bad[] = {
        {"api=Fetch,api=Produce,delay=700", "fault: api is given twice"},
        {"nth=2,nth=3", "fault: nth is given twice"},
        {"close=after,close=before", "fault: close is given twice"},
        {"drop,drop", "fault: drop is given twice"},
        {"nth=2,skip=5", "fault: nth and skip exclude each other"},
        {"every=2,nth=3", "fault: nth and every exclude each other"},
        {"drop,close=after", "fault: close and drop exclude each other"},
        {"close=before,error=3", "fault: error has no effect with close=before"},
        {"close=before,delay=3", "fault: delay has no effect with close=before"},
        {"error=3,close=after", "fault: error has no effect with close=after"},
        {"close=after,throttle=3", "fault: throttle has no effect with close=after"},
        {"drop,answer-delay=3", "fault: answer-delay has no effect with drop"},
    };
    kc_mock *mock = tcp_mock_start(1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[100];
        kc_error err;
        snprintf(line, sizeof line, "fault %s", bad[i].rule);
        ck_assert_int_eq(kc_mock_command(mock, line, NULL, NULL, &err), KC_ERR_ARGUMENT);
        ck_assert_str_eq(err.text, bad[i].error);
    }
    kc_mock_free(mock);
}
END_TEST

START_TEST(a_command_with_a_time_is_done_then)
{
    kc_error err;
    lines told = {0};
    kc_mock *mock = tcp_mock_start(2);
    int64_t begun_ms = tcp_now_ms();
    ck_assert_int_eq(kc_mock_command(mock, "at 100ms broker 2 down", on_line, &told, &err), KC_OK);
    ck_assert_int_eq(kc_mock_command(mock, "at 1h cut all", on_line, &told, &err), KC_OK);
    while (atomic_load(&told.count) == 0)
        poll(NULL, 0, 5);
    ck_assert_int_ge(tcp_now_ms() - begun_ms, 100);
    ck_assert_int_eq(tcp_try(tcp_port(mock, 2)), -1);
    ck_assert_int_eq(kc_mock_stop(mock), KC_OK);
    ck_assert_str_eq(told.last, "broker 2 down: done");
    kc_mock_free(mock);
}
END_TEST
