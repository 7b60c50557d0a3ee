/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The pool without memory, in a forked child, and under a random network. */
#include "net/tcp.h"
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/net/rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- out of memory */

static int run_scenario(kb_mem *mem_hooks, const kc_alloc *alloc)
{
    (void)mem_hooks;
    rig r;
    rig_call calls[3];
    int answered = 0;
    rig_init(&r);
    kb_mem_init(&r.mem, alloc, 0);
    rig_broker *broker = rig_broker_add(&r, "one", 9092);
    broker->body_bytes = 200000;
    kn_mem_network_shape(r.network)->read_max = 50000;
    kn_pool_options options = rig_options(&r, "none:9092,one:9092");
    kc_error error;
    kc_err err = kn_pool_new(&options, &r.pool, &error);
    for (size_t i = 0; i < 3; i++)
        rig_call_init(&r, &calls[i]);
    if (err == KC_OK) {
        if (kn_pool_set_broker(r.pool, 1, KC_STR("one"), 9092) == KC_OK)
            rig_submit_to(&calls[0], 1, KN_LANE_PRODUCE, 0);
        rig_submit(&calls[1], KN_ANY_BROKER);
        calls[2].request.deadline_us = RIG_START_US + 20000000;
        rig_submit_to(&calls[2], 1, KN_LANE_FETCH, 2);
        kn_pool_throttle(r.pool, (kn_target){1, KN_LANE_FETCH, 2}, 100);
        rig_run(&r, 40000);
        for (size_t i = 0; i < 3; i++) {
            ck_assert_int_eq(calls[i].done, i == 0 && !kn_pool_has_broker(r.pool, 1) ? 0 : 1);
            answered += calls[i].done == 1 && calls[i].err == KC_OK;
        }
    } else {
        ck_assert_int_eq(err, KC_ERR_NOMEM);
        r.pool = NULL;
    }
    kn_pool_free(r.pool);
    r.pool = NULL;
    for (size_t i = 0; i < 3; i++)
        rig_call_cleanup(&calls[i]);
    rig_cleanup(&r); // all memory is given back
    return answered;
}

static bool scenario(const kc_alloc *alloc)
{
    return run_scenario(NULL, alloc) == 3;
}

START_TEST(every_allocation_may_fail_and_every_request_still_ends_once)
{
    size_t failed = fail_each_alloc(scenario);
    ck_assert_uint_ne(failed, SIZE_MAX);
    ck_assert_uint_gt(failed, 10);
}
END_TEST

START_TEST(the_scenario_succeeds_when_memory_is_there)
{
    ck_assert_int_eq(run_scenario(NULL, NULL), 3);
}
END_TEST

/* ---- a random network */

typedef struct storm {
    rig r;
    rig_call calls[40];
    uint64_t submitted, completed;
    bool is_over;
} storm;

static void storm_submit(storm *s, rig_call *call)
{
    call->done = 0;
    s->submitted++;
    uint64_t dice = kb_rand_below(&s->r.rand, 10);
    call->request.deadline_us =
        dice < 3 ? kn_loop_now_us(s->r.loop) + (int64_t)kb_rand_below(&s->r.rand, 3000000) + 1 : 0;
    call->request.timeout_ms = dice < 5 ? 2000 : 0;
    int32_t broker_id = (int32_t)kb_rand_below(&s->r.rand, 4); // 0: any
    rig_submit_to(call, broker_id == 0 ? KN_ANY_BROKER : broker_id,
                  (kn_lane)kb_rand_below(&s->r.rand, 4), (uint32_t)kb_rand_below(&s->r.rand, 3));
}

static void storm_then(rig_call *call)
{
    storm *s = call->user;
    ck_assert_int_eq(call->done, 1);
    s->completed++;
    if (!s->is_over && kb_rand_below(&s->r.rand, 4) != 0)
        storm_submit(s, call);
}

static void storm_step(storm *s)
{
    static const char *const hosts[] = {"b1", "b2", "b3"};
    static const char *const others[] = {"b1", "b2", "b3", "nowhere"};
    rig *r = &s->r;
    uint64_t pick = kb_rand_below(&r->rand, 3);
    kn_mem_shape *shape = kn_mem_network_shape(r->network);
    rig_broker *broker = &r->brokers[pick];
    switch (kb_rand_below(&r->rand, 14)) {
    case 0:
        kn_mem_cut(r->network, hosts[pick], 9092);
        break;
    case 1:
        kn_mem_pause(r->network, hosts[pick], 9092, kb_rand_below(&r->rand, 3) == 0);
        break;
    case 2:
        broker->is_silent = kb_rand_below(&r->rand, 3) == 0;
        break;
    case 3:
        shape->read_max = kb_rand_below(&r->rand, 3) == 0 ? 1 + kb_rand_below(&r->rand, 100) : 0;
        shape->write_max = kb_rand_below(&r->rand, 3) == 0 ? 1 + kb_rand_below(&r->rand, 30) : 0;
        break;
    case 4:
        shape->latency_us = (int64_t)kb_rand_below(&r->rand, 5000);
        shape->jitter_us = (int64_t)kb_rand_below(&r->rand, 5000);
        break;
    case 5:
        broker->cut_at = kb_rand_below(&r->rand, 2) == 0 ? kb_rand_below(&r->rand, 5000) : SIZE_MAX;
        broker->is_reset = kb_rand_below(&r->rand, 2) == 0;
        break;
    case 6:
        broker->body_bytes = kb_rand_below(&r->rand, 3) == 0 ? kb_rand_below(&r->rand, 300000) : 20;
        break;
    case 7:
        ck_assert_int_eq(kn_pool_set_broker(r->pool, (int32_t)pick + 1,
                                            kc_str(others[kb_rand_below(&r->rand, 4)]), 9092),
                         KC_OK);
        break;
    case 8:
        kn_pool_keep_brokers(r->pool, (int32_t[]){1, 2}, kb_rand_below(&r->rand, 3));
        break;
    case 9:
        kn_pool_close_owner(r->pool, 1 + (uint32_t)kb_rand_below(&r->rand, 2));
        break;
    case 10:
        kn_pool_throttle(r->pool, (kn_target){(int32_t)pick + 1, KN_LANE_MAIN, 0},
                         (int32_t)kb_rand_below(&r->rand, 500));
        break;
    default: {
        rig_call *call = &s->calls[kb_rand_below(&r->rand, 40)];
        if (!kn_request_is_active(&call->request)) {
            storm_submit(s, call);
        } else if (kb_rand_below(&r->rand, 4) == 0) {
            kn_request_cancel(&call->request);
            s->completed++;
        }
        break;
    }
    }
}

static void run_storm(uint64_t seed)
{
    storm *s = malloc(sizeof *s);
    memset(s, 0, sizeof *s);
    rig_init(&s->r);
    kb_rand_init(&s->r.rand, seed);
    rig_broker_add(&s->r, "b1", 9092);
    rig_broker_add(&s->r, "b2", 9092);
    rig_broker_add(&s->r, "b3", 9092);
    rig_pool(&s->r, "b1:9092,nowhere:9092,b3:9092");
    for (size_t i = 0; i < 40; i++) {
        rig_call_init(&s->r, &s->calls[i]);
        s->calls[i].then = storm_then;
        s->calls[i].user = s;
    }
    for (int i = 0; i < 1500; i++) {
        storm_step(s);
        rig_run(&s->r, (int64_t)kb_rand_below(&s->r.rand, 40));
    }
    s->is_over = true;
    rig_run(&s->r, 120000);
    for (size_t i = 0; i < 40; i++)
        ck_assert_msg(!kn_request_is_active(&s->calls[i].request), "seed %llu",
                      (unsigned long long)seed);
    ck_assert_uint_eq(s->submitted, s->completed);
    ck_assert_uint_gt(s->submitted, 300);
    kn_pool_free(s->r.pool);
    s->r.pool = NULL;
    for (size_t i = 0; i < 40; i++)
        rig_call_cleanup(&s->calls[i]);
    rig_cleanup(&s->r);
    free(s);
}

START_TEST(in_a_storm_of_faults_every_request_ends_exactly_once)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        run_storm(seed);
}
END_TEST

/* ---- real sockets */

typedef struct real {
    kb_mem mem;
    kb_rand rand;
    kn_loop *loop;
    kn_network *network;
    kn_pool *pool;
    int listener, peer;
    uint16_t port;
    rig rig; /**< for the calls: only loop and mem */
    rig_call call;
} real;

static void real_init(real *t)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    kc_error error;
    memset(t, 0, sizeof *t);
    kb_mem_init(&t->mem, NULL, 0);
    kb_rand_init(&t->rand, 1);
    ck_assert_int_eq(kn_loop_new(&t->mem, &t->loop, &error), KC_OK);
    ck_assert_int_eq(kn_tcp_network_new(&t->mem, t->loop, &t->network), KC_OK);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    t->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(t->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(t->listener, 8), 0);
    ck_assert_int_eq(getsockname(t->listener, (struct sockaddr *)&address, &len), 0);
    t->port = ntohs(address.sin_port);
    t->peer = -1;
    kb_mem_init(&t->rig.mem, NULL, 0);
    t->rig.loop = t->loop;
    rig_call_init(&t->rig, &t->call);
    char bootstrap[64];
    snprintf(bootstrap, sizeof bootstrap, "localhost:%u", t->port);
    kn_pool_options options = rig_options(&t->rig, bootstrap);
    options.mem = &t->mem;
    options.loop = t->loop;
    options.network = t->network;
    options.rand = &t->rand;
    options.user = &t->rig;
    ck_assert_int_eq(kn_pool_new(&options, &t->pool, &error), KC_OK);
    t->rig.pool = t->pool;
}

static void real_cleanup(real *t)
{
    kn_pool_free(t->pool);
    rig_call_cleanup(&t->call);
    kn_network_free(t->network);
    kn_loop_free(t->loop);
    close(t->listener);
    if (t->peer >= 0)
        close(t->peer);
    ck_assert_uint_eq(t->mem.used, 0);
    ck_assert_uint_eq(t->rig.mem.used, 0);
}

static void turn(real *t)
{
    ck_assert_int_eq(kn_loop_turn(t->loop, 30000, NULL), KC_OK);
}

/** Read one request from the client and answer it: version lists of Metadata 0-8 and ApiVersions.
 */
static void serve_one(real *t, size_t body_len)
{
    static uint8_t frame[1 << 22];
    if (t->peer < 0)
        t->peer = accept(t->listener, NULL, NULL);
    ck_assert_int_eq(recv(t->peer, frame, 4, MSG_WAITALL), 4);
    size_t size = (size_t)frame[2] << 8 | frame[3];
    ck_assert_int_eq(recv(t->peer, frame + 4, size, MSG_WAITALL), (ssize_t)size);
    static const uint8_t versions[] = {0, 0, 3, 0, 18, 0, 0, 0, 4, 0, 0,
                                       3, 0, 0, 0, 8,  0, 0, 0, 0, 0, 0};
    bool is_versions = frame[5] == 18;
    size_t len = is_versions ? sizeof versions : body_len;
    uint8_t *out = malloc(8 + len);
    uint32_t out_size = htonl((uint32_t)(4 + len));
    memcpy(out, &out_size, 4);
    memcpy(out + 4, frame + 8, 4);
    for (size_t i = 0; i < len; i++)
        out[8 + i] = is_versions ? versions[i] : rig_byte(i);
    size_t sent = 0;
    while (sent < 8 + len) {
        ssize_t part = send(t->peer, out + sent, 8 + len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (part > 0)
            sent += (size_t)part;
        else
            turn(t); // its buffer is full: let the client read
    }
    free(out);
}

START_TEST(a_whole_request_goes_over_real_dns_and_real_sockets)
{
    real t;
    real_init(&t);
    rig_submit(&t.call, KN_ANY_BROKER);
    while (kn_pool_last_error(t.pool)->code == KC_OK && t.rig.ups == 0) {
        kn_pool_stats stats;
        kn_pool_stats_get(t.pool, &stats);
        if (stats.bytes_out > 0 && t.peer < 0)
            serve_one(&t, 0);
        turn(&t);
    }
    ck_assert_uint_eq(t.rig.ups, 1);
    serve_one(&t, 3000000);
    while (!t.call.done)
        turn(&t);
    ck_assert_msg(t.call.err == KC_OK, "%s", t.call.error.text);
    ck_assert_uint_eq(t.call.body_len, 3000000);
    ck_assert_int_eq(t.call.version, 8);
    real_cleanup(&t);
}
END_TEST

START_TEST(a_refused_real_connection_is_reported_in_one_sentence)
{
    real t;
    real_init(&t);
    close(t.listener);
    t.call.request.deadline_us = kn_loop_refresh_now(t.loop) + 200000;
    rig_submit(&t.call, KN_ANY_BROKER);
    while (!t.call.done)
        turn(&t);
    ck_assert_int_eq(t.call.err, KC_ERR_TIMEOUT);
    ck_assert_ptr_eq(strstr(t.call.error.text, "connect to bootstrap server localhost:"),
                     t.call.error.text);
    ck_assert_ptr_nonnull(strstr(t.call.error.text, "Connection refused"));
    t.listener = dup(0);
    real_cleanup(&t);
}
END_TEST

START_TEST(a_forked_child_frees_its_copy_and_the_parent_goes_on)
{
    real t;
    real_init(&t);
    rig_submit(&t.call, KN_ANY_BROKER);
    kn_pool_stats stats = {0};
    while (stats.bytes_out == 0) {
        turn(&t);
        kn_pool_stats_get(t.pool, &stats);
    }
    pid_t pid = fork();
    if (pid == 0) {
        bool is_good = kn_loop_turn(t.loop, 0, NULL) == KC_ERR_FORKED;
        kn_pool_free(t.pool);
        is_good = is_good && t.call.done == 1 && t.call.err == KC_ERR_FORKED;
        kn_network_free(t.network);
        kn_loop_free(t.loop);
        _exit(is_good && t.mem.used == 0 ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    serve_one(&t, 0); // ApiVersions
    while (t.rig.ups == 0)
        turn(&t);
    turn(&t);
    serve_one(&t, 100);
    while (!t.call.done)
        turn(&t);
    ck_assert_int_eq(t.call.err, KC_OK);
    real_cleanup(&t);
}
END_TEST
