/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * kc_client_explain(): connections, metadata, calls, producers. One test for each kind of waiting. */
#include "client/metadata.h"
#include "tests/unit/client/explain_text.h"
#include "tests/unit/client/fake_produce.h"

#include <kafkac/admin.h>

#include <sys/wait.h>
#include <unistd.h>

static fake_action hold(fake_request *request, void *response, void *user)
{
    (void)request;
    (void)response;
    (void)user;
    return FAKE_SILENT;
}

static void ignore(const kc_response *response, void *user)
{
    (void)response;
    (void)user;
}

static void call_any(kc_client *client)
{
    kp_describe_cluster_req request;
    kc_error err;
    kp_defaults(kp_api_by_key(KP_API_DESCRIBE_CLUSTER)->request, &request);
    ck_assert_int_eq(kc_call(client, KP_API_DESCRIBE_CLUSTER, &request, NULL, ignore, NULL, &err),
                     KC_OK);
}

/* ---- the call itself ---- */

START_TEST(with_nothing_pending_it_says_so)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    expect_all(client, "nothing is pending\n");
    ck_assert_int_eq(kc_client_explain(client, NULL, NULL), KC_ERR_ARGUMENT);
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(what_was_answered_is_no_longer_told_and_idle_brokers_are_counted)
{
    producer_fixture *fixture = fixture_new(2, 2, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture_run(fixture, 500);
    ck_assert_uint_eq(fixture->told_count, 2);
    expect_all(fixture->client, "nothing is pending\n2 brokers connected, idle\n");
    fixture_free(fixture);
}
END_TEST

static explain_text inside;
static void explain_inside(producer_fixture *fixture)
{
    inside.len = 0;
    ck_assert_int_eq(kc_client_explain(fixture->client, explain_take, &inside), KC_OK);
}

START_TEST(it_may_be_asked_from_a_callback)
{
    producer_fixture *fixture = fixture_new(1, 2, PROPERTIES("linger.ms=0"));
    fixture->on_told = explain_inside;
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture_run(fixture, 500);
    ck_assert_uint_eq(fixture->told_count, 2);
    ck_assert_uint_gt(inside.lines, 0); // "a" was told, the answer for "b" not looked at yet
    fixture_free(fixture);
}
END_TEST

START_TEST(it_changes_nothing_and_allocates_nothing)
{
    producer_fixture *fixture = fixture_new(1, 3, PROPERTIES("linger.ms=50"));
    fixture_send(fixture, 0, "a");
    size_t used = fixture->client->mem.used, peak = fixture->client->mem.peak;
    fixture->client->mem.limit = used;
    for (int i = 0; i < 100; i++)
        explain_all(fixture->client);
    ck_assert_uint_eq(fixture->client->mem.used, used);
    ck_assert_uint_eq(fixture->client->mem.peak, peak);
    fixture->client->mem.limit = (size_t)1 << 30;
    fixture_run(fixture, 500);
    ck_assert_str_eq(fixture->told, "a@0:0 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_forked_child_is_told_that_it_is_one)
{
    kc_client *client;
    kc_error err;
    ck_assert_int_eq(kc_client_new(NULL, NULL, &client, &err), KC_OK);
    pid_t child = fork();
    if (child == 0)
        _exit(kc_client_explain(client, explain_take, &inside) == KC_ERR_FORKED ? 0 : 1);
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    kc_client_free(client);
}
END_TEST

static void explain_there(kc_client *client, void *user)
{
    *(kc_err *)user = kc_client_explain(client, explain_take, &inside);
}

START_TEST(with_a_thread_of_the_client_it_is_asked_there)
{
    kc_client *client;
    kc_error err;
    kc_err there = KC_ERR_STATE;
    ck_assert_int_eq(kc_client_new(NULL, NULL, &client, &err), KC_OK);
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    ck_assert_int_eq(kc_client_explain(client, explain_take, &inside), KC_ERR_STATE);
    ck_assert_int_eq(kc_client_run(client, explain_there, &there), KC_OK);
    ck_assert_int_eq(there, KC_OK);
    kc_client_free(client);
}
END_TEST

/* ---- connections ---- */

START_TEST(a_name_that_is_resolved_is_told)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    kn_mem_network_shape(cluster->network)->resolve_latency_us = 3000000;
    call_any(client);
    fake_run(cluster, 1200);
    expect_line(client, "bootstrap server b1:9092: the name is being resolved, for 1.2 s of 9.1 s");
    expect_line(client,
                "1 request waits for any broker, the oldest DescribeCluster for 1.2 s of 30 s");
    expect_line(client, "call: DescribeCluster waits for a connection to any broker, for 1.2 s, "
                        "58.8 s left in all");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(a_connection_that_is_made_is_told)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    kn_mem_pause(cluster->network, "b1", 9092, true);
    call_any(client);
    fake_run(cluster, 2000);
    expect_line(client, "bootstrap server b1:9092: connecting for 2 s of 9.1 s, to address 1 of 1");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(a_broker_that_does_not_say_its_versions_is_told)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    fake_on(cluster, KP_API_API_VERSIONS, hold, NULL);
    call_any(client);
    fake_run(cluster, 500);
    expect_line(client, "bootstrap server b1:9092: connected, waits for an answer to ApiVersions, "
                        "for 0.5 s of 9.1 s in all");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(a_broker_that_is_down_is_told_with_the_cause)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    fake_down(cluster, 1);
    call_any(client);
    fake_run(cluster, 3000);
    expect_line(
        client,
        "bootstrap server b1:9092: not connected, next try in 0.5 s (7 failures in a row: connect "
        "to "
        "bootstrap server b1:9092 (10.0.0.1:9092): Connection refused; is the broker running and "
        "bootstrap.servers right?)");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(requests_in_flight_are_told_with_the_oldest)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    fake_on(cluster, KP_API_DESCRIBE_CLUSTER, hold, NULL);
    call_any(client);
    fake_run(cluster, 2100);
    call_any(client);
    fake_run(cluster, 100);
    expect_line(client,
                "bootstrap server b1:9092: 2 requests in flight, the oldest DescribeCluster "
                "for 2.1 s of 30 s");
    expect_line(client, "call: DescribeCluster is in flight to a bootstrap server for 2.1 s of 30 "
                        "s, 57.8 s left in all");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(what_a_broker_said_can_not_forge_a_line)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    fake_down(cluster, 1);
    ck_assert_int_eq(kn_pool_set_broker(client->pool, 7, KC_STR("x\n\x1b[2Jnothing"), 1), KC_OK);
    call_any(client);
    fake_run(cluster, 500);
    const explain_text *all = explain_all(client); // explain_take() looks for line feeds
    ck_assert_ptr_null(strchr(all->text, '\x1b'));
    ck_assert_ptr_nonnull(strstr(all->text, "broker 7 at x  [2Jnothing:1: not connected"));
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(a_throttled_connection_is_told)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 500);
    kn_target target = {.broker_id = 1, .lane = KN_LANE_PRODUCE};
    kn_pool_throttle(fixture->client->pool, target, 400);
    fixture_run(fixture, 100);
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 100);
    expect_line(fixture->client,
                "broker 1 at b1:9092 (produce): the broker throttles us, for 0.2 s more; "
                "0 requests in flight, 1 wait");
    fixture_free(fixture);
}
END_TEST

/* ---- metadata, coordinators ---- */

START_TEST(metadata_that_is_asked_for_and_fails_is_told)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    kc_producer *producer;
    kc_error err;
    fake_on(cluster, KP_API_METADATA, hold, NULL);
    ck_assert_int_eq(kc_producer_open(client, NULL, &producer, &err), KC_OK);
    const kc_record record = {.topic = KC_STR("orders"), .partition = KC_PARTITION_ANY};
    ck_assert_int_eq(kc_producer_send(producer, &record, NULL, NULL, NULL), KC_OK);
    fake_run(cluster, 1000);
    expect_line(
        client,
        "metadata: not known yet; Metadata is in flight to a bootstrap server for 0.9 s of 30 s");
    expect_line(client, "topic orders: not known yet for 1 s, being asked");
    expect_line(client,
                "producer: orders: 1 record for no partition yet, the oldest for 1 s of 120 s: "
                "the topic is not known yet");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(a_topic_that_is_not_there_is_told)
{
    producer_fixture *fixture = fixture_new(1, 1, NO_PROPERTIES);
    fixture->cluster->creates_topics = false;
    const kc_record record = {.topic = KC_STR("orders"), .partition = KC_PARTITION_ANY};
    ck_assert_int_eq(kc_producer_send(fixture->producer, &record, NULL, NULL, NULL), KC_OK);
    fixture_run(fixture, 2050);
    const explain_text *all = explain_all(fixture->client);
    ck_assert_msg(
        strstr(all->text, "topic orders: UNKNOWN_TOPIC_OR_PARTITION for 2 s, asked again in "),
        "%s", all->text);
    ck_assert_ptr_nonnull(strstr(all->text,
                                 "producer: orders: 1 record for no partition yet, the oldest for "
                                 "2 s of 120 s: UNKNOWN_TOPIC_OR_PARTITION\n"));
    fixture_free(fixture);
}
END_TEST

static fake_action not_available(fake_request *request, void *response, void *user)
{
    (void)user;
    kp_find_coordinator_resp *answer = response;
    fake_model(request, response);
    answer->coordinators.items[0].error_code = KC_E_COORDINATOR_NOT_AVAILABLE;
    return FAKE_ANSWER;
}

START_TEST(a_coordinator_that_is_not_found_is_told)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    kc_error err;
    kc_admin_waiter waiter = {0};
    const kc_bytes group = KC_STR("g");
    fake_on(cluster, KP_API_FIND_COORDINATOR, not_available, NULL);
    ck_assert_int_eq(
        kc_admin_describe_groups(client, &group, 1, NULL, kc_admin_waiter_fn, &waiter, &err),
        KC_OK);
    fake_run(cluster, 1000);
    const explain_text *all = explain_all(client);
    ck_assert_msg(strstr(all->text, "coordinator of g: asked again in "), "%s", all->text);
    ck_assert_ptr_nonnull(strstr(all->text, "(4 failures): coordinator of g: "));
    expect_line(client, "call: DescribeGroups: waits for the coordinator of g, 59 s left");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

/* ---- calls ---- */

static fake_action answer_busy(fake_request *request, void *response, void *user)
{
    (void)request;
    (void)user;
    ((kp_describe_cluster_resp *)response)->error_code = KC_E_REQUEST_TIMED_OUT;
    return FAKE_ANSWER;
}

START_TEST(a_call_that_is_tried_again_is_told_with_the_cause)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    fake_on(cluster, KP_API_DESCRIBE_CLUSTER, answer_busy, NULL);
    call_any(client);
    fake_run(cluster, 50);
    expect_line(
        client,
        "call: DescribeCluster: tried again in 64 ms (1 failure), 59.9 s left: broker -1 answers "
        "DescribeCluster with REQUEST_TIMED_OUT");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(a_long_list_is_cut_and_counted)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    fake_down(cluster, 1);
    for (int i = 0; i < 25; i++)
        call_any(client);
    fake_run(cluster, 100);
    expect_line(client, "and 15 more calls");
    ck_assert_uint_eq(explain_all(client)->lines, 10 + 1 + 1 + 1);
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

START_TEST(an_admin_operation_that_waits_for_leaders_is_told)
{
    fake_cluster *cluster = fake_new(1);
    kc_client *client = fake_client(cluster, NULL);
    kc_error err;
    kc_admin_waiter waiter = {0};
    fake_topic_add(cluster, "t", 1)->partitions[0].leader = -1;
    const kc_topic_offset query = {.topic = KC_STR("t"), .offset = KC_OFFSET_END};
    ck_assert_int_eq(
        kc_admin_list_offsets(client, &query, 1, false, NULL, kc_admin_waiter_fn, &waiter, &err),
        KC_OK);
    fake_run(cluster, 3000);
    expect_line(client, "an admin operation waits for the leaders of its partitions, 57 s left");
    kc_client_free(client);
    fake_free(cluster);
}
END_TEST

/* ---- producers ---- */

/** The topic is known, the connection is there. */
static producer_fixture *warm(int brokers, int partitions, const char *const *properties)
{
    producer_fixture *fixture = fixture_new(brokers, partitions, properties);
    for (int i = 0; i < partitions; i++)
        fixture_send(fixture, i, "warm");
    ck_assert_int_eq(kc_producer_flush(fixture->producer, -1), KC_OK);
    fixture_run(fixture, 500);
    return fixture;
}

START_TEST(records_that_linger_are_told)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES("linger.ms=80"));
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 30);
    expect_line(fixture->client, "producer: t/0: 2 records (77 bytes), the oldest for 30 ms of 120 "
                                 "s: linger.ms, 50 ms left");
    fixture_free(fixture);
}
END_TEST

START_TEST(records_in_flight_are_told)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES("linger.ms=0"));
    fixture->log->is_holding = true;
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 300);
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 1);
    expect_line(
        fixture->client,
        "producer: t/0: 2 records (138 bytes), the oldest for 0.3 s of 120 s: Produce is in "
        "flight to broker 1 for 0.3 s of 30 s");
    expect_line(fixture->client,
                "broker 1 at b1:9092 (produce): 1 request in flight, the oldest Produce "
                "for 0.3 s of 30 s");
    fixture_free(fixture);
}
END_TEST

START_TEST(records_that_are_tried_again_are_told_with_the_cause)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES("linger.ms=0"));
    fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 150);
    const explain_text *all = explain_all(fixture->client);
    ck_assert_msg(strstr(all->text,
                         "producer: t/0: 1 record (69 bytes), the oldest for 0.1 s of 120 s: "
                         "retry 2 after NOT_ENOUGH_REPLICAS, in "),
                  "%s", all->text);
    fixture_free(fixture);
}
END_TEST

START_TEST(records_without_a_leader_are_told)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES("linger.ms=0"));
    fixture->cluster->topics[0].partitions[0].leader = -1;
    fixture->cluster->topics[0].partitions[0].leader_epoch++;
    kc_metadata_refresh(fixture->client->metadata, "test");
    fixture_run(fixture, 500);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50);
    expect_line(fixture->client,
                "producer: t/0: 1 record (69 bytes), the oldest for 50 ms of 120 s: waits for a "
                "leader: LEADER_NOT_AVAILABLE");
    ck_assert_ptr_nonnull(
        strstr(explain_all(fixture->client)->text, "topic t: partition 0 has no leader now, "));
    fixture_free(fixture);
}
END_TEST

START_TEST(records_behind_the_limit_of_requests_are_told)
{
    producer_fixture *fixture =
        warm(1, 2, PROPERTIES("linger.ms=0", "max.in.flight.requests.per.connection=1"));
    fixture->log->is_holding = true;
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 10);
    fixture_send(fixture, 1, "b");
    fixture_run(fixture, 10);
    expect_line(fixture->client,
                "producer: t/1: 1 record (69 bytes), the oldest for 10 ms of 120 s: broker 1 has "
                "as many requests in flight as max.in.flight.requests.per.connection allows, 1");
    fixture_free(fixture);
}
END_TEST

START_TEST(records_for_a_throttling_broker_are_told)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES("linger.ms=0"));
    fixture->log->throttle_ms = 700;
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 100);
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 100);
    expect_line(
        fixture->client,
        "producer: t/0: 1 record (69 bytes), the oldest for 0.1 s of 120 s: broker 1 throttles "
        "us, for 0.5 s more");
    fixture_free(fixture);
}
END_TEST

START_TEST(records_whose_broker_is_gone_are_told_with_its_connection)
{
    producer_fixture *fixture = warm(2, 2, PROPERTIES("linger.ms=0"));
    fake_down(fixture->cluster, 2);
    fixture_send(fixture, 1, "a");
    fixture_run(fixture, 3000);
    const explain_text *all = explain_all(fixture->client);
    ck_assert_msg(
        strstr(all->text, "producer: t/1: 1 record (69 bytes), the oldest for 3 s of 120 s: "),
        "%s", all->text);
    ck_assert_msg(strstr(all->text, "broker 2 at b2:9092 (produce): not connected, next try in "),
                  "%s", all->text);
    ck_assert_msg(
        strstr(all->text, "connect to broker 2 at b2:9092 (10.0.0.2:9092): Connection refused"),
        "%s", all->text);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_broker_that_is_back_is_no_longer_told_of)
{
    producer_fixture *fixture = warm(2, 2, PROPERTIES("linger.ms=0"));
    fake_down(fixture->cluster, 2);
    fixture_send(fixture, 1, "a");
    fixture_run(fixture, 3000);
    fake_up(fixture->cluster, 2);
    fixture_run(fixture, 3000);
    const explain_text *all = explain_all(fixture->client);
    ck_assert_msg(!strstr(all->text, "not connected"), "%s", all->text);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_partition_with_several_batches_is_told_once)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES("linger.ms=0", "batch.size=100"));
    static const char value[400];
    fixture->log->is_holding = true;
    for (int i = 0; i < 60; i++) {
        ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
        fixture_run(fixture, 1);
    }
    const explain_text *all = explain_all(fixture->client);
    const char *first = strstr(all->text, "producer: t/0: 60 records (");
    ck_assert_msg(first, "%s", all->text);
    ck_assert_ptr_null(strstr(first + 1, "producer: t/0: "));
    fixture_free(fixture);
}
END_TEST

START_TEST(a_full_buffer_is_told)
{
    producer_fixture *fixture =
        warm(1, 1, PROPERTIES("linger.ms=0", "buffer.memory=32768", "batch.size=8192"));
    static const char value[1000];
    fixture->log->is_holding = true;
    kc_err err = KC_OK;
    for (int i = 0; i < 100 && err == KC_OK; i++)
        err = fixture_try(fixture, 0, NULL, value, sizeof value);
    ck_assert_int_eq(err, KC_ERR_BUFFER_FULL);
    fixture_run(fixture, 50);
    const explain_text *all = explain_all(fixture->client);
    ck_assert_msg(strstr(all->text, "producer: buffer.memory is full, "), "%s", all->text);
    ck_assert_ptr_nonnull(strstr(all->text, " of 32.0 KiB taken: sends are refused\n"));
    fixture_free(fixture);
}
END_TEST

START_TEST(the_partitions_with_the_oldest_records_come_first_and_the_others_are_counted)
{
    producer_fixture *fixture = warm(1, 40, PROPERTIES("linger.ms=90"));
    for (int i = 0; i < 40; i++) {
        fixture_send(fixture, 39 - i, "a");
        fixture_run(fixture, 1);
    }
    const explain_text *all = explain_all(fixture->client);
    ck_assert_msg(strncmp(all->text, "producer: t/39: ", 16) == 0, "%s", all->text);
    expect_line(fixture->client, "and 30 more partitions with records");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_flush_under_way_is_told)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES("linger.ms=0"));
    fixture->log->is_holding = true;
    fixture_send(fixture, 0, "a");
    kc_producer_flush_start(fixture->producer);
    fixture_run(fixture, 50);
    expect_line(fixture->client, "producer: a flush waits for all that was sent before it");
    fixture_free(fixture);
}
END_TEST
