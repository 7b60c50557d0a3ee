/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tests of the producer's lifetime: closing in the middle of anything, calls from callbacks,
 * memory. */
#include "client/producer_core.h"
#include "tests/unit/client/fake_produce.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define QUICK "linger.ms=0", "retry.backoff.ms=10", "retry.backoff.max.ms=50"

/** A producer with records everywhere: in flight, behind it, backing off, lingering, leaderless,
 * staged. */
static producer_fixture *busy(void)
{
    producer_fixture *fixture =
        fixture_new(2, 6, PROPERTIES("linger.ms=500", "batch.size=200", "retry.backoff.ms=1000"));
    fixture_send(fixture, 0, "w");
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 1000), KC_OK);
    fixture->told_count = 0;
    fixture->log->is_holding = true;
    fixture->log->only_partition = 1;
    fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fake_move_leader(fixture->cluster, "t", 3, -1);
    for (int i = 0; i < 60; i++)
        fixture_send(fixture, i % 5, fixture_name(i));
    fixture_run(fixture, 20);
    kc_producer_flush_start(fixture->producer);
    fixture_run(fixture, 10);
    fake_log_release(fixture->log); // and what follows is held again
    fixture_run(fixture, 10);
    for (int i = 60; i < 80; i++)
        fixture_send(fixture, i % 5, fixture_name(i));
    return fixture;
}

START_TEST(close_in_the_middle_tells_every_record_once)
{
    producer_fixture *fixture = busy();
    uint32_t before = fixture->told_count;
    ck_assert_uint_lt(before, 80);
    kc_producer_close(fixture->producer);
    ck_assert_uint_eq(fixture->told_count, 80);
    ck_assert_uint_eq(fixture->failed_count, 80 - before);
    ck_assert_int_eq(fixture->last_error.code, KC_ERR_CLOSED);
    fake_log_release(fixture->log);
    fixture_run(fixture, 5000);
    ck_assert_uint_eq(fixture->told_count, 80);
    fixture_free(fixture);
}
END_TEST

START_TEST(freeing_the_client_tells_every_record_once)
{
    producer_fixture *fixture = busy();
    kc_client_free(fixture->client);
    fixture->client = NULL;
    ck_assert_uint_eq(fixture->told_count, 80);
    fixture_free(fixture);
}
END_TEST

START_TEST(close_of_null_does_nothing)
{
    kc_producer_close(NULL);
}
END_TEST

static void close_now(producer_fixture *fixture)
{
    fixture->on_told = NULL;
    kc_producer_close(fixture->producer);
    kc_producer_close(fixture->producer); // its memory is still there
}

START_TEST(close_from_a_callback_of_an_acknowledged_record)
{
    producer_fixture *fixture = fixture_new(2, 4, PROPERTIES(QUICK));
    for (int i = 0; i < 40; i++)
        fixture_send(fixture, i % 4, fixture_name(i));
    fixture->on_told = close_now;
    fixture_run(fixture, 1000);
    // the batch that was being told about is acknowledged to its end, the others are closed
    ck_assert_uint_eq(fixture->told_count, 40);
    ck_assert_uint_eq(fixture->failed_count, 30);
    fixture_free(fixture);
}
END_TEST

START_TEST(close_from_a_callback_of_a_failed_record)
{
    producer_fixture *fixture = fixture_new(1, 3, PROPERTIES(QUICK));
    for (int i = 0; i < 3; i++)
        fake_log_error(fixture->log, KC_E_INVALID_TIMESTAMP);
    for (int i = 0; i < 9; i++)
        fixture_send(fixture, i % 3, fixture_name(i));
    fixture->on_told = close_now;
    fixture_run(fixture, 1000);
    ck_assert_uint_eq(fixture->told_count, 9);
    fixture_free(fixture);
}
END_TEST

START_TEST(close_from_a_callback_of_an_expired_record)
{
    producer_fixture *fixture =
        fixture_new(1, 3, PROPERTIES(QUICK, "delivery.timeout.ms=3000", "request.timeout.ms=1000"));
    fake_move_leader(fixture->cluster, "t", 0, -1);
    fake_move_leader(fixture->cluster, "t", 1, -1);
    for (int i = 0; i < 4; i++)
        fixture_send(fixture, i % 2, fixture_name(i));
    fixture->on_told = close_now;
    fixture_run(fixture, 10000);
    ck_assert_uint_eq(fixture->told_count, 4);
    fixture_free(fixture);
}
END_TEST

START_TEST(close_from_a_callback_of_a_staged_record)
{
    producer_fixture *fixture =
        fixture_new(1, 0, PROPERTIES(QUICK, "delivery.timeout.ms=3000", "request.timeout.ms=1000"));
    for (int i = 0; i < 4; i++)
        fixture_send(fixture, -1, fixture_name(i));
    fixture->on_told = close_now;
    fixture_run(fixture, 10000);
    ck_assert_uint_eq(fixture->told_count, 4);
    fixture_free(fixture);
}
END_TEST

START_TEST(close_from_a_callback_of_a_refused_record)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=5"));
    fixture->log->refused = "bad";
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 0, "bad");
    fixture_send(fixture, 0, "b");
    fixture->on_told = close_now;
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "bad!INVALID_RECORD a!CLOSED b!CLOSED ");
    fixture_free(fixture);
}
END_TEST

START_TEST(close_from_a_callback_inside_flush)
{
    producer_fixture *fixture = fixture_new(1, 2, PROPERTIES(QUICK));
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture->on_told = close_now;
    ck_assert_int_eq(kc_producer_flush(fixture->producer, -1), KC_ERR_STATE);
    ck_assert_uint_eq(fixture->told_count, 2);
    fixture_free(fixture);
}
END_TEST

static void try_all(producer_fixture *fixture)
{
    kc_topic *topic;
    ck_assert_int_eq(fixture_try(fixture, 0, NULL, "x", 1), KC_ERR_STATE);
    ck_assert_int_eq(kc_producer_topic(fixture->producer, KC_STR("u"), &topic, NULL), KC_ERR_STATE);
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 0), KC_ERR_STATE);
    kc_producer_flush_start(fixture->producer);
}

START_TEST(calls_while_closing_are_refused)
{
    producer_fixture *fixture = fixture_new(1, 2, PROPERTIES(QUICK));
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture->on_told = try_all;
    kc_producer_close(fixture->producer);
    ck_assert_str_eq(fixture->told, "a!CLOSED b!CLOSED ");
    fixture_free(fixture);
}
END_TEST

static void flush_here(producer_fixture *fixture)
{
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 100), KC_ERR_STATE);
}

START_TEST(flush_from_a_callback_is_refused)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES(QUICK));
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 0, "b");
    fixture->on_told = flush_here;
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 1000), KC_OK);
    ck_assert_str_eq(fixture->told, "a@0:0 b@0:1 ");
    fixture_free(fixture);
}
END_TEST

static void turn_here(producer_fixture *fixture)
{
    ck_assert_int_eq(kc_client_dispatch(fixture->client, 0), KC_ERR_STATE);
    kc_client_free(fixture->client); // ignored
}

START_TEST(a_callback_of_closing_cannot_turn_or_free_the_client)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=500"));
    fixture_send(fixture, 0, "a");
    fixture->on_told = turn_here;
    kc_producer_close(fixture->producer);
    fixture->producer = NULL;
    ck_assert_uint_eq(fixture->failed_count, 1);
    fixture_free(fixture);
}
END_TEST

static void send_two(producer_fixture *fixture)
{
    if (fixture->told_count > 500)
        return;
    fixture_send(fixture, (int32_t)fixture->told_count % 3, "x");
    if (fixture->told_count % 2)
        fixture_send(fixture, -1, "y");
}

START_TEST(sending_from_callbacks_goes_on)
{
    producer_fixture *fixture = fixture_new(2, 3, PROPERTIES(QUICK));
    fixture->on_told = send_two;
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 5000);
    kc_producer_stats stats = fixture_stats(fixture);
    ck_assert_uint_gt(stats.records_acked, 500);
    ck_assert_uint_eq(stats.records_pending, 0);
    ck_assert_uint_eq(stats.records_acked, fixture->told_count);
    fixture_free(fixture);
}
END_TEST

START_TEST(two_producers_share_a_client)
{
    producer_fixture *fixture = fixture_new(2, 2, PROPERTIES(QUICK));
    kc_producer *second = NULL;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "acks", "1", NULL), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "linger.ms", "0", NULL), KC_OK);
    ck_assert_int_eq(kc_producer_open(fixture->client, config, &second, NULL), KC_OK);
    kc_config_free(config);
    kc_record record = KC_RECORD_INIT;
    record.topic = KC_STR("t");
    record.partition = 1;
    char name[] = "second";
    ck_assert_int_eq(kc_producer_send(second, &record, fixture_told, name, NULL), KC_OK);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fixture->told_count, 2);
    kc_producer_close(second);
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fixture->told_count, 3);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_wrong_combination_of_properties_is_refused)
{
    producer_fixture *fixture = fixture_new(1, 1, NO_PROPERTIES);
    kc_producer *second = NULL;
    kc_error err;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "delivery.timeout.ms", "10", NULL), KC_OK);
    ck_assert_int_eq(kc_producer_open(fixture->client, config, &second, &err), KC_ERR_CONFIG);
    ck_assert_ptr_null(second);
    kc_config_free(config);
    fixture_free(fixture);
}
END_TEST

/* ---- memory ---- */

static uint64_t allocations;
static uint64_t fail_at;

static bool is_failing(void)
{
    return ++allocations == fail_at;
}

static void *count_malloc(size_t size, void *user)
{
    (void)user;
    return is_failing() ? NULL : malloc(size);
}

static void *count_realloc(void *ptr, size_t size, void *user)
{
    (void)user;
    return is_failing() ? NULL : realloc(ptr, size);
}

static void count_free(void *ptr, void *user)
{
    (void)user;
    free(ptr);
}

/** Put the counting allocator under a client that is there already: it works like the one it had.
 */
static void count_allocations(producer_fixture *fixture)
{
    fixture->client->mem.alloc = (kc_alloc){count_malloc, count_realloc, count_free, NULL};
}

START_TEST(the_steady_state_allocates_nothing)
{
    producer_fixture *fixture = fixture_new(2, 6, PROPERTIES("linger.ms=1", "batch.size=1000"));
    static char value[100];
    fixture->log->batch_bytes_max = 0;
    allocations = fail_at = 0;
    count_allocations(fixture);
    uint64_t before = 0;
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 30; i++)
            ck_assert_int_eq(fixture_try(fixture, i % 2 ? -1 : i % 6, NULL, value, sizeof value),
                             KC_OK);
        fixture_run(fixture, 20);
        if (round == 30)
            before = allocations;
    }
    ck_assert_uint_eq(fixture->told_count, 1800);
    ck_assert_uint_eq(allocations, before);
    fixture_free(fixture);
}
END_TEST

static const kc_header one_header = {{(const uint8_t *)"h", 1}, {(const uint8_t *)"v", 1}};

/** Each record told of stands in the log where it was told to be. */
static void check_told(const producer_fixture *fixture)
{
    int partition, used;
    long long offset;
    char value[FAKE_TEXT_MAX];
    for (const char *at = fixture->told; *at; at = strchr(at, ' ') + 1) {
        if (sscanf(at, "%23[^@! ]@%d:%lld %n", value, &partition, &offset, &used) != 3)
            continue; // failed
        bool is_there = false;
        for (size_t i = 0; i < fixture->log->record_count && !is_there; i++) {
            const fake_record *record = &fixture->log->records[i];
            is_there = record->partition == partition && record->offset == offset &&
                       strcmp(record->value, value) == 0;
        }
        ck_assert_msg(is_there, "%s is not at %d:%lld", value, partition, offset);
    }
}

/** Everything a producer does, with each allocation failing once: whatever was accepted is told
 * once. */
static bool run_out_of_memory(uint64_t n, const char *codec)
{
    producer_fixture *fixture =
        fixture_new(2, 3,
                    PROPERTIES(QUICK, "delivery.timeout.ms=20000", "request.timeout.ms=1000",
                               "batch.size=300", codec));
    fixture->log->batch_bytes_max = 900;
    fixture->log->refused = "bad";
    fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    allocations = 0;
    fail_at = n;
    count_allocations(fixture);
    uint32_t accepted = 0;
    for (int i = 0; i < 120; i++) {
        kc_record record = KC_RECORD_INIT;
        record.topic = KC_STR("t");
        record.partition = i % 4 - 1;
        record.value = i == 77 ? KC_STR("bad") : kc_str(fixture_name(i));
        record.headers = &one_header;
        record.header_count = (size_t)(i % 2);
        kc_err err = kc_producer_send(fixture->producer, &record, fixture_told,
                                      (void *)(uintptr_t)fixture_name(i), NULL);
        ck_assert(err == KC_OK || err == KC_ERR_NOMEM);
        accepted += err == KC_OK;
        if (i % 40 == 20)
            fixture_run(fixture, 100);
    }
    fixture_run(fixture, 40000);
    ck_assert_msg(fixture->told_count == accepted, "allocation %d: %u of %u told", (int)n,
                  fixture->told_count, accepted);
    ck_assert_uint_ge(accepted, 118);
    check_told(fixture);
    kc_producer_stats stats = fixture_stats(fixture);
    ck_assert_uint_eq(stats.records_pending, 0);
    ck_assert_uint_eq(stats.buffer_bytes, 0);
    bool was_reached = allocations >= n;
    fail_at = 0;
    fixture_free(fixture);
    return was_reached;
}

START_TEST(each_allocation_that_fails_is_survived)
{
    uint64_t n = 1;
    while (run_out_of_memory(n, "compression.type=none"))
        n++;
    ck_assert_uint_gt(n, 50);
}
END_TEST

START_TEST(each_allocation_that_fails_is_survived_with_compression)
{
    uint64_t n = 1;
    while (run_out_of_memory(n, "compression.type=lz4"))
        n++;
    ck_assert_uint_gt(n, 50);
}
END_TEST

START_TEST(a_record_refused_for_lack_of_memory_leaves_nothing_behind)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=1000"));
    fixture_send(fixture, 0, "w");
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 1000), KC_OK);
    fixture_send(fixture, 0, "a");
    kc_producer_memory_trim(&fixture->producer->memory);
    fixture->client->mem.limit = fixture->client->mem.used;
    // the batch has room, but not the list of whom to tell
    ck_assert_int_eq(fixture_try(fixture, 0, NULL, "b", 1), KC_ERR_NOMEM);
    fixture->client->mem.limit = SIZE_MAX;
    fixture_send(fixture, 0, "c");
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "w a c");
    ck_assert_str_eq(fixture->told, "w@0:0 a@0:1 c@0:2 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(opening_survives_each_allocation_that_fails)
{
    producer_fixture *fixture = fixture_new(1, 1, NO_PROPERTIES);
    count_allocations(fixture);
    kc_err err = KC_ERR_NOMEM;
    for (uint64_t n = 1; err != KC_OK; n++) {
        kc_producer *second = NULL;
        kc_topic *topic = NULL;
        allocations = 0;
        fail_at = n;
        err = kc_producer_open(fixture->client, NULL, &second, NULL);
        if (err == KC_OK)
            err = kc_producer_topic(second, KC_STR("another"), &topic, NULL);
        fail_at = 0;
        ck_assert(err == KC_OK || err == KC_ERR_NOMEM);
        kc_producer_close(second);
        ck_assert_uint_lt(n, 100);
    }
    fixture_free(fixture);
}
END_TEST
