/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client with a thread of its own: what other threads may do, and what becomes of it. No broker is
 * there: what needs one is in tests/broker. */
#define _GNU_SOURCE /* gettid by syscall */
#include <kafkac/kafkac.h>

#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static kc_client *client;
static kc_producer *producer;
/** What is found wrong on other threads, where an assertion can't be. */
static int wrong;

/** Nobody listens at port 1. */
static void set_up(const char *delivery_timeout_ms)
{
    kc_error err;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", "127.0.0.1:1", &err), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "linger.ms", "0", &err), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "request.timeout.ms", delivery_timeout_ms, &err), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "delivery.timeout.ms", delivery_timeout_ms, &err),
                     KC_OK);
    ck_assert_int_eq(kc_client_new(config, NULL, &client, &err), KC_OK);
    ck_assert_int_eq(kc_producer_open(client, NULL, &producer, &err), KC_OK);
    kc_config_free(config);
}

static int thread_count(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/** A thread that was joined is still listed for a moment. */
static void wait_for_threads(int count)
{
    int64_t until_us = kc_clock_monotonic_us() + INT64_C(30000000);
    while (thread_count() != count) {
        ck_assert_int_lt(kc_clock_monotonic_us(), until_us);
        usleep(100);
    }
}

static void note_thread(kc_client *on, void *user)
{
    wrong += on != client;
    *(pthread_t *)user = pthread_self();
}

START_TEST(a_client_has_no_thread_and_one_when_it_was_started)
{
    kc_error err;
    pthread_t where;
    int before = thread_count();
    set_up("100");
    ck_assert_int_eq(thread_count(), before);
    ck_assert_int_eq(kc_client_post(client, note_thread, &where), KC_ERR_STATE);
    ck_assert_int_eq(kc_client_run(client, note_thread, &where), KC_OK);
    ck_assert(pthread_equal(where, pthread_self()));
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    int started = thread_count();
    ck_assert_int_gt(started, before);
    ck_assert_int_eq(kc_client_start(client, &err), KC_ERR_STATE);
    ck_assert_int_eq(kc_client_run(client, note_thread, &where), KC_OK);
    ck_assert(!pthread_equal(where, pthread_self()));
    ck_assert_int_eq(kc_client_stop(client), KC_OK);
    wait_for_threads(started - 1); /* it was one, whatever a sanitizer has */
    ck_assert_int_eq(kc_client_stop(client), KC_ERR_STATE);
    kc_client_free(client);
}
END_TEST

START_TEST(calls_from_another_thread_are_refused_with_the_way_to_make_them)
{
    kc_error err;
    kc_producer *other;
    set_up("100");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    ck_assert_int_eq(kc_client_dispatch(client, 0), KC_ERR_STATE);
    ck_assert_int_eq(kc_producer_open(client, NULL, &other, &err), KC_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(err.text, "kc_client_run()"));
    kc_client_free(client); /* stops it first */
}
END_TEST

typedef struct order {
    int failed;
} order;

static void on_delivery(const kc_delivery *delivery, void *user)
{
    order *o = user;
    wrong += delivery->err == KC_OK;
    o->failed++;
}

START_TEST(what_can_not_be_delivered_is_told_on_the_clients_thread_and_flush_waits_for_it)
{
    kc_error err;
    order o = {.failed = 0};
    kc_record record = KC_RECORD_INIT;
    const kc_header header = {KC_STR("h"), KC_STR("v")};
    set_up("300");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    record.topic = KC_STR("t");
    record.key = KC_STR("k");
    record.headers = &header;
    record.header_count = 1;
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(kc_producer_send(producer, &record, on_delivery, &o, &err), KC_OK);
    record.topic = KC_STR("not/legal");
    ck_assert_int_eq(kc_producer_send(producer, &record, on_delivery, &o, &err), KC_OK);
    ck_assert_int_eq(kc_producer_flush(producer, -1), KC_OK);
    ck_assert_int_eq(o.failed, 1001);
    ck_assert_int_eq(wrong, 0);
    kc_client_free(client);
}
END_TEST

/** Lane and number: each lane counts up. */
static void check_number(kc_client *on, void *user)
{
    static int next[4];
    int number = (int)(intptr_t)user;
    (void)on;
    wrong += (number & 0xffff) != next[number >> 16]++;
}

static void do_nothing(kc_client *on, void *user)
{
    (void)on;
    (void)user;
}

static void *post_many(void *user)
{
    intptr_t lane = (intptr_t)user;
    for (intptr_t i = 0; i < 20000; i++)
        while (kc_client_post(client, check_number, (void *)(lane << 16 | i)) != KC_OK)
            if (kc_client_run(client, do_nothing, NULL) != KC_OK)
                return user;
    return NULL;
}

START_TEST(each_threads_posts_come_in_its_order)
{
    kc_error err;
    pthread_t threads[4];
    set_up("100");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    for (intptr_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, (void *)i), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(kc_client_stop(client), KC_OK); /* takes what is left */
    ck_assert_int_eq(wrong, 0);
    kc_client_free(client);
}
END_TEST

START_TEST(a_full_buffer_pushes_back_and_what_finds_no_room_at_the_end_is_told)
{
    kc_error err;
    order o = {.failed = 0};
    int accepted = 0;
    kc_record record = KC_RECORD_INIT;
    char *value = calloc(1, 500000);
    set_up("60000");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    record.topic = KC_STR("t");
    record.value = kc_span(value, 500000);
    while (kc_producer_send(producer, &record, on_delivery, &o, &err) == KC_OK)
        ck_assert_int_lt(accepted++, 1000);
    ck_assert_int_eq(err.code, KC_ERR_BUFFER_FULL);
    ck_assert_int_eq(kc_producer_flush(producer, 50), KC_ERR_TIMEOUT);
    ck_assert_int_eq(kc_client_stop(client), KC_OK);
    kc_client_free(client);
    ck_assert_int_eq(o.failed, accepted);
    free(value);
}
END_TEST

START_TEST(a_record_larger_than_the_queue_is_refused_at_once)
{
    kc_error err;
    kc_record record = KC_RECORD_INIT;
    set_up("100");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    record.topic = KC_STR("t");
    char *value = calloc(1, (size_t)5 << 20);
    record.value = kc_span(value, (size_t)5 << 20);
    ck_assert_int_eq(kc_producer_send(producer, &record, NULL, NULL, &err), KC_ERR_TOO_LARGE);
    free(value);
    kc_client_free(client);
}
END_TEST

START_TEST(in_a_forked_child_every_call_says_so_and_free_is_safe)
{
    kc_error err;
    kc_record record = KC_RECORD_INIT;
    pthread_t where;
    set_up("100");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    pid_t child = fork();
    if (child == 0) {
        record.topic = KC_STR("t");
        bool is_good = kc_producer_send(producer, &record, NULL, NULL, &err) == KC_ERR_FORKED &&
                       kc_producer_flush(producer, -1) == KC_ERR_FORKED &&
                       kc_client_post(client, note_thread, &where) == KC_ERR_FORKED &&
                       kc_client_run(client, note_thread, &where) == KC_ERR_FORKED &&
                       kc_client_dispatch(client, 0) == KC_ERR_FORKED &&
                       kc_client_stop(client) == KC_ERR_FORKED;
        kc_client_free(client);
        _exit(is_good ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kc_client_free(client);
}
END_TEST

/* ---- being stopped ---- */

static void post_anew(kc_client *on, void *user)
{
    (void)!kc_client_post(on, post_anew, user);
}

START_TEST(what_posts_itself_again_and_again_lets_the_thread_do_the_rest_and_end)
{
    kc_error err;
    set_up("100");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    ck_assert_int_eq(kc_client_post(client, post_anew, NULL), KC_OK);
    ck_assert_int_eq(kc_client_run(client, do_nothing, NULL), KC_OK);
    ck_assert_int_eq(kc_client_stop(client), KC_OK);
    kc_client_free(client);
}
END_TEST

static void *stop(void *user)
{
    return kc_client_stop(client) == KC_OK ? user : NULL;
}

typedef struct last_call {
    pthread_t first, last;
    pthread_mutex_t gate;
    bool is_at_gate;
    kc_err explained, stopped, posted;
} last_call;

static void wait_at_gate(kc_client *on, void *user)
{
    last_call *l = user;
    (void)on;
    l->first = pthread_self();
    __atomic_store_n(&l->is_at_gate, true, __ATOMIC_RELEASE);
    pthread_mutex_lock(&l->gate);
    pthread_mutex_unlock(&l->gate);
}

static void *run_wait_at_gate(void *user)
{
    return kc_client_run(client, wait_at_gate, user) == KC_OK ? user : NULL;
}

static void ignore_line(kc_bytes line, void *user)
{
    (void)line;
    (void)user;
}

static void call_last(kc_client *on, void *user)
{
    last_call *l = user;
    l->last = pthread_self();
    l->explained = kc_client_explain(on, ignore_line, NULL);
    l->stopped = kc_client_stop(on);
    l->posted = kc_client_post(on, call_last, user);
}

START_TEST(what_was_handed_over_before_the_stop_is_taken_on_the_clients_thread)
{
    kc_error err;
    order o = {.failed = 0};
    kc_record record = KC_RECORD_INIT;
    pthread_t runner, stopper;
    last_call l = {.gate = PTHREAD_MUTEX_INITIALIZER};
    set_up("100");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    pthread_mutex_lock(&l.gate);
    ck_assert_int_eq(pthread_create(&runner, NULL, run_wait_at_gate, &l), 0);
    while (!__atomic_load_n(&l.is_at_gate, __ATOMIC_ACQUIRE))
        usleep(100);
    record.topic = KC_STR("t");
    ck_assert_int_eq(kc_producer_send(producer, &record, on_delivery, &o, &err), KC_OK);
    ck_assert_int_eq(kc_client_post(client, call_last, &l), KC_OK);
    ck_assert_int_eq(pthread_create(&stopper, NULL, stop, &l), 0);
    while (kc_client_post(client, do_nothing, NULL) == KC_OK)
        usleep(1000);
    pthread_mutex_unlock(&l.gate);
    void *ran, *stopped;
    ck_assert_int_eq(pthread_join(runner, &ran), 0);
    ck_assert_int_eq(pthread_join(stopper, &stopped), 0);
    ck_assert(ran && stopped);
    ck_assert(pthread_equal(l.first, l.last));
    ck_assert_int_eq(l.explained, KC_OK);
    ck_assert_int_eq(l.stopped, KC_ERR_STATE);
    ck_assert_int_eq(l.posted, KC_ERR_STATE);
    kc_client_free(client);
    ck_assert_int_eq(o.failed, 1);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

static void send_again(const kc_delivery *delivery, void *user)
{
    kc_error err;
    kc_record record = KC_RECORD_INIT;
    record.topic = KC_STR("t");
    record.value = kc_span(user, 500000);
    if (delivery->err == KC_ERR_CLOSED)
        (void)!kc_producer_send(producer, &record, send_again, user, &err);
}

START_TEST(a_record_that_is_sent_again_when_it_failed_does_not_hold_up_the_stop)
{
    kc_error err;
    kc_record record = KC_RECORD_INIT;
    char *value = calloc(1, 500000);
    set_up("60000");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    record.topic = KC_STR("t");
    record.value = kc_span(value, 500000);
    while (kc_producer_send(producer, &record, send_again, value, &err) == KC_OK)
        ;
    ck_assert_int_eq(err.code, KC_ERR_BUFFER_FULL);
    ck_assert_int_eq(kc_client_stop(client), KC_OK);
    kc_client_free(client);
    free(value);
}
END_TEST

/** Memory that nobody can use any more without being noticed; each block begins with its size. */
static void *poison_malloc(size_t size, void *user)
{
    size_t *block = malloc(size + 16);
    (void)user;
    if (block)
        *block = size;
    return block ? block + 2 : NULL;
}

static void poison_free(void *data, void *user)
{
    size_t *block = data;
    (void)user;
    if (!block)
        return;
    memset(block, 0x5d, block[-2]);
    free(block - 2);
}

static void *poison_realloc(void *data, size_t size, void *user)
{
    void *to = poison_malloc(size, user);
    if (to && data) {
        size_t before = ((size_t *)data)[-2];
        memcpy(to, data, before < size ? before : size);
        poison_free(data, user);
    }
    return to;
}

static void count_call(kc_client *on, void *user)
{
    (void)on;
    __atomic_add_fetch((int *)user, 1, __ATOMIC_RELEASE);
}

static void *run_count_call(void *user)
{
    if (kc_client_run(client, count_call, user) != KC_OK)
        __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(the_stop_waits_until_the_last_caller_of_run_has_left)
{
    static const kc_alloc poisoning = {poison_malloc, poison_realloc, poison_free, NULL};
    kc_error err;
    pthread_t threads[64];
    kc_client_options options = {.size = sizeof options, .alloc = &poisoning};
    ck_assert_int_eq(kc_client_new(NULL, &options, &client, &err), KC_OK);
    for (int round = 0; round < 10; round++) {
        int calls = 0;
        ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
        for (int i = 0; i < 64; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, run_count_call, &calls), 0);
        while (__atomic_load_n(&calls, __ATOMIC_ACQUIRE) < 64)
            usleep(100);
        ck_assert_int_eq(kc_client_stop(client), KC_OK);
        for (int i = 0; i < 64; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_int_eq(wrong, 0);
    kc_client_free(client);
}
END_TEST

/* ---- forks ---- */

static void delivery_at_gate(const kc_delivery *delivery, void *user)
{
    (void)delivery;
    wait_at_gate(client, user);
}

START_TEST(a_child_forked_off_while_the_thread_is_at_work_can_free_the_client)
{
    kc_error err;
    last_call l = {.gate = PTHREAD_MUTEX_INITIALIZER};
    kc_record record = KC_RECORD_INIT;
    set_up("50");
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    record.topic = KC_STR("t");
    pthread_mutex_lock(&l.gate);
    ck_assert_int_eq(kc_producer_send(producer, &record, delivery_at_gate, &l, &err), KC_OK);
    while (!__atomic_load_n(&l.is_at_gate, __ATOMIC_ACQUIRE))
        usleep(100);
    pid_t child = fork();
    if (child == 0) {
        kc_client_free(client);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pthread_mutex_unlock(&l.gate);
    kc_client_free(client);
}
END_TEST

START_TEST(a_forked_child_without_a_thread_is_told_by_run_too)
{
    pthread_t where;
    set_up("100");
    pid_t child = fork();
    if (child == 0) {
        bool is_good = kc_client_run(client, note_thread, &where) == KC_ERR_FORKED;
        kc_client_free(client);
        _exit(is_good ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kc_client_free(client);
}
END_TEST
