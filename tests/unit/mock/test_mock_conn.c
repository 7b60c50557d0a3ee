/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One connection: its limits, its end, and what a fault does to it. */
#include "tests/unit/mock/mock_world.h"

#include <check.h>

static const uint8_t api_versions[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff};

static void drain(mock_link *link, size_t len)
{
    km_conn_sent(mock_conn(link), len);
}

START_TEST(a_throttle_is_told_in_the_answer_and_the_connection_is_silent_for_so_long)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    km_fault fault;
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    km_fault_init(&fault);
    fault.api_key = KP_API_METADATA;
    fault.count = 1;
    fault.throttle_ms = 500;
    ck_assert_uint_gt(km_fault_add(world->cluster, &fault), 0);
    const kp_metadata_resp *response = mock_ask(link, KP_API_METADATA, 12, &request);
    ck_assert_int_eq(response->throttle_time_ms, 500);
    mock_send(link, KP_API_METADATA, 12, &request);
    mock_run(world, 499);
    ck_assert_ptr_null(mock_answer(link));
    mock_run(world, 1);
    response = mock_answer(link);
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->throttle_time_ms, 0);
    mock_free(world);
}
END_TEST

START_TEST(a_client_that_reads_no_answers_is_served_no_further)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    km_conn *conn = mock_conn(link);
    size_t sent = 0, answered = 0;
    while (km_conn_wants_input(conn) && sent < 1000000) {
        mock_send_bytes(link, kc_span(api_versions, sizeof api_versions));
        sent++;
    }
    ck_assert_uint_lt(sent, 1000000);
    size_t size = km_conn_output(conn).ptr[3] + 256u * km_conn_output(conn).ptr[2] + 4;
    ck_assert_uint_lt(km_conn_output(conn).len, ((size_t)1 << 20) + size);
    /* Reading them makes room for the others: none is lost. */
    while (km_conn_output(conn).len > 0) {
        answered += km_conn_output(conn).len / size;
        ck_assert_uint_eq(km_conn_output(conn).len % size, 0);
        drain(link, km_conn_output(conn).len);
        mock_run(world, 0);
    }
    ck_assert_uint_eq(answered, sent);
    ck_assert(km_conn_wants_input(conn));
    mock_free(world);
}
END_TEST

START_TEST(an_idle_connection_is_closed_and_one_that_waits_for_its_answer_is_not)
{
    km_options options;
    km_options_init(&options);
    options.connections_max_idle_ms = 1000;
    mock_world *world = mock_new_with(&options);
    mock_link *idle = mock_link_new(world, 1), *busy = mock_link_new(world, 1),
              *waiting = mock_link_new(world, 1);
    km_fault fault;
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    km_fault_init(&fault);
    fault.api_key = KP_API_METADATA;
    fault.delay_us = 5000000;
    ck_assert_uint_gt(km_fault_add(world->cluster, &fault), 0);
    mock_send(waiting, KP_API_METADATA, 12, &request);
    mock_run(world, 900);
    mock_send_bytes(busy, kc_span(api_versions, sizeof api_versions));
    mock_run(world, 200);
    ck_assert(mock_is_closed(idle));
    ck_assert(!mock_is_closed(busy));
    mock_run(world, 1000);
    ck_assert(mock_is_closed(busy));
    mock_run(world, 3000);
    ck_assert(!mock_is_closed(waiting));
    ck_assert_ptr_nonnull(mock_answer(waiting));
    mock_run(world, 1000);
    ck_assert(mock_is_closed(waiting));
    mock_free(world);
}
END_TEST

START_TEST(memory_of_a_large_message_is_given_back)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    static uint8_t bytes[1 << 20];
    static const uint8_t size[] = {0x01, 0, 0, 0}; /* 16 MiB */
    size_t before = world->mem.used;
    mock_send_bytes(link, kc_span(size, sizeof size));
    bytes[1] = 127; /* an API that is not there */
    for (int i = 0; i < 15; i++)
        mock_send_bytes(link, kc_span(bytes, sizeof bytes));
    ck_assert_uint_gt(world->mem.used, (size_t)15 << 20);
    mock_send_bytes(link, kc_span(bytes, sizeof bytes));
    ck_assert(mock_is_closed(link));
    ck_assert_uint_le(world->mem.used, before + 1000);
    mock_free(world);
}
END_TEST

START_TEST(a_client_that_reads_slowly_and_goes_on_asking_costs_no_more_memory)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    km_conn *conn = mock_conn(link);
    size_t sent = 0;
    while (km_conn_wants_input(conn))
        mock_send_bytes(link, kc_span(api_versions, sizeof api_versions));
    size_t before = world->mem.used;
    for (; sent < (size_t)16 << 20; sent += 64 << 10) {
        drain(link, 64 << 10);
        mock_run(world, 0);
        while (km_conn_wants_input(conn))
            mock_send_bytes(link, kc_span(api_versions, sizeof api_versions));
    }
    ck_assert_uint_lt(world->mem.used, before + ((size_t)4 << 20));
    mock_free(world);
}
END_TEST

START_TEST(bytes_behind_a_request_are_passed_over)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    km_conn *conn = mock_conn(link);
    /* Metadata v13 of all topics, as a client wrote it that took the null array for one of four bytes. */
    static const uint8_t request[] = {0, 0,    0,    18, 0, 3, 0, 13, 0, 0, 0,
                                      7, 0xff, 0xff, 0,  0, 0, 0, 0,  1, 0, 0};
    mock_send_bytes(link, kc_span(request, sizeof request - 1));
    ck_assert_uint_eq(km_conn_output(conn).len, 0);
    mock_send_bytes(link, kc_span(request + sizeof request - 1, 1));
    ck_assert(!mock_is_closed(link));
    ck_assert_uint_gt(km_conn_output(conn).len, 0);
    mock_free(world);
}
END_TEST

START_TEST(what_kafkas_decoder_takes_is_taken)
{
    /* Metadata v10 of no topic, behind the correlation id: client id, header's tags, the body. */
    const kc_bytes bodies[] = {KC_STR("\xff\xff\0\1\0\0\xff\0"),   /* a boolean of 255 */
                               KC_STR("\xff\xff\0\x81\0\0\0\0\0"), /* a count in two bytes */
                               KC_STR("\xff\xff\0\1\0\0\0\2\x64\1a\x63\1b"), /* tags that descend */
                               KC_STR("\xff\xff\0\1\0\0\0\2\x63\1a\x63\1b")}; /* one twice */
    mock_world *world = mock_new(1);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        mock_link *link = mock_link_new(world, 1);
        const uint8_t head[] = {0, 0, 0, (uint8_t)(8 + bodies[i].len), 0, 3, 0, 10, 0, 0, 0, 1};
        mock_send_bytes(link, kc_span(head, sizeof head));
        mock_send_bytes(link, bodies[i]);
        ck_assert(!mock_is_closed(link));
        ck_assert_uint_gt(km_conn_output(mock_conn(link)).len, 0);
    }
    mock_free(world);
}
END_TEST

static void produce_without_answer(mock_link *link)
{
    kp_produce_req request;
    mock_defaults(KP_API_PRODUCE, &request);
    request.acks = 0;
    mock_send(link, KP_API_PRODUCE, 9, &request);
}

static void add_rule(mock_world *world, km_fault_end end, int32_t throttle_ms)
{
    km_fault fault;
    km_fault_init(&fault);
    fault.api_key = KP_API_PRODUCE;
    fault.end = end;
    fault.throttle_ms = throttle_ms;
    km_fault_clear(world->cluster);
    ck_assert_uint_gt(km_fault_add(world->cluster, &fault), 0);
}

START_TEST(a_fault_of_a_request_without_an_answer_costs_the_connection_or_time_too)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    add_rule(world, KM_FAULT_ANSWER, 500);
    produce_without_answer(link);
    mock_send_bytes(link, kc_span(api_versions, sizeof api_versions));
    mock_run(world, 499);
    ck_assert_uint_eq(km_conn_output(mock_conn(link)).len, 0);
    mock_run(world, 1);
    ck_assert_uint_gt(km_conn_output(mock_conn(link)).len, 0);
    add_rule(world, KM_FAULT_CLOSE_AFTER, 0);
    produce_without_answer(link);
    ck_assert(mock_is_closed(link));
    mock_free(world);
}
END_TEST
