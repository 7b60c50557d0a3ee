/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Ten thousand connections, set up and closed under faults drawn by chance, in virtual time: each
 * request ends once, each connection ends once and says why, nothing leaks and nothing hangs. The
 * same seed gives the same run. */
#include "net/sasl.h"
#include "tests/unit/net/sasl_rig.h"

#include <stdio.h>

#define SET_UPS 10000
#define CALLS   4
/** Set-up, its time-out and the time-out of a request: nothing takes longer. */
#define LONGEST_MS 60000

typedef enum fault {
    NO_FAULT,
    UNKNOWN_NAME,
    DEAD_ADDRESSES, /* before the good one */
    REFUSED,
    CUT_CABLE,
    CUT,          /* behind a random byte of what the broker sends */
    RESET,        /* the same                                      */
    SPLIT,        /* there                                         */
    SILENT_SETUP, /* a request of the set-up is never answered     */
    SILENT,       /* nor one after it                              */
    GARBAGE,      /* instead of an answer                          */
    WRONG_PASSWORD,
    CLOSED_BY_US, /* at a random time */
    DRAINED,
    OLD_BROKER, /* error 35 first */
    FAULTS,
} fault;

typedef struct storm {
    rig r;
    rig_broker *broker;
    sasl_server server;
    kn_sasl_conf conf;
    fault fault;
    uint64_t quiet_from; /* the request that is not answered, or by garbage */
    uint64_t served;
    rig_conn c;
    rig_call calls[CALLS];
    size_t count;
    bool is_submitted;
    uint32_t became_ready[FAULTS], answered[FAULTS], failed[FAULTS];
} storm;

static uint64_t dice(storm *s, uint64_t below)
{
    return kb_rand_below(&s->r.rand, below);
}

static void random_bytes(void *user, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)kb_rand_u64(user);
}

/* ---- the broker ---- */

static void send_garbage(storm *s, rig_peer *peer)
{
    uint8_t bytes[64];
    random_bytes(&s->r.rand, bytes, sizeof bytes);
    if (dice(s, 2) == 0) { // a good length, at least
        memset(bytes, 0, 4);
        bytes[3] = (uint8_t)dice(s, 60);
    }
    rig_send(peer, kc_span(bytes, sizeof bytes));
}

static bool hook(rig_peer *peer, const kp_request_info *info)
{
    storm *s = peer->broker->user;
    bool is_due = s->served++ >= s->quiet_from;
    if (is_due && (s->fault == SILENT_SETUP || s->fault == SILENT))
        return true;
    if (is_due && s->fault == GARBAGE) {
        send_garbage(s, peer);
        return true;
    }
    if (s->fault == OLD_BROKER && info->api_key == KP_API_API_VERSIONS && info->version > 2) {
        rig_answer_versions(peer, info, 0, 35, 2);
        return true;
    }
    return s->c.env.sasl && sasl_rig_serve(&s->server, peer, info);
}

/* ---- one connection ---- */

static const char *draw_name(storm *s)
{
    switch (s->fault) {
    case UNKNOWN_NAME:
        return "nowhere";
    case DEAD_ADDRESSES:
        return "many";
    default:
        return dice(s, 4) == 0 ? "10.9.0.9" : "broker";
    }
}

static void draw(storm *s)
{
    /* SCRAM hashes for milliseconds, by intent */
    static const char *const mechanisms[] = {"PLAIN", "PLAIN", "PLAIN",         "PLAIN",
                                             "PLAIN", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    rig *r = &s->r;
    kn_mem_shape *shape = kn_mem_network_shape(r->network);
    s->fault = (fault)dice(s, FAULTS);
    s->served = 0;
    s->is_submitted = false;
    *shape = (kn_mem_shape){.latency_us = (int64_t)dice(s, 20000),
                            .jitter_us = (int64_t)dice(s, 5000),
                            .resolve_latency_us = (int64_t)dice(s, 50000)};
    if (dice(s, 3) == 0) {
        shape->read_max = 1 + dice(s, 100);
        shape->write_max = 1 + dice(s, 30);
    }
    rig_conn_init(r, &s->c);
    s->c.env.rand = &r->rand;
    bool has_sasl = s->fault == WRONG_PASSWORD || dice(s, 2) == 0;
    s->c.env.sasl = has_sasl ? &s->conf : NULL;
    s->conf.mechanism = kn_sasl_mechanism_find(kc_str(mechanisms[dice(s, 8)]));
    ck_assert_int_eq(
        kn_sasl_conf_set(&s->conf, "alice", s->fault == WRONG_PASSWORD ? "wrong" : "alice-secret"),
        KC_OK);
    bool is_cut = s->fault == CUT || s->fault == RESET;
    s->broker->cut_at = is_cut ? dice(s, 3000) : SIZE_MAX;
    s->broker->is_reset = s->fault == RESET;
    s->broker->split_at = s->fault == SPLIT ? 1 + dice(s, 1000) : 0;
    s->quiet_from = s->fault == SILENT_SETUP ? dice(s, has_sasl ? 3 : 1) : dice(s, 7);
    s->count = dice(s, CALLS + 1);
    for (size_t i = 0; i < s->count; i++)
        rig_call_init(r, &s->calls[i]);
}

/** Requests go out as soon as they can; some with little time. */
static void submit(storm *s)
{
    s->is_submitted = true;
    for (size_t i = 0; i < s->count && s->c.conn->state == KN_CONN_READY; i++) {
        rig_call *call = &s->calls[i];
        if (s->fault != NO_FAULT && dice(s, 4) == 0)
            call->request.timeout_ms = 1 + (int32_t)dice(s, 200);
        rig_conn_send(&s->c, call);
    }
    if (s->c.conn->state == KN_CONN_READY)
        kn_conn_flush(s->c.conn);
}

static void act(storm *s)
{
    kn_conn *conn = s->c.conn;
    if (conn->state == KN_CONN_CLOSED)
        return;
    if (s->fault == CLOSED_BY_US && dice(s, 8) == 0) {
        kc_error error = {.code = KC_ERR_CLOSED, .text = "enough"};
        kn_conn_fail(conn, &error);
    } else if (s->fault == DRAINED && conn->state == KN_CONN_READY && s->is_submitted &&
               dice(s, 3) == 0) {
        kn_conn_drain(conn, &s->c.unsent);
    }
}

static void live(storm *s)
{
    int64_t until_us = kn_loop_now_us(s->r.loop) + INT64_C(1000) * LONGEST_MS;
    while (s->c.conn->state != KN_CONN_CLOSED && kn_loop_advance(s->r.loop, until_us)) {
        if (s->c.conn->state == KN_CONN_READY && !s->is_submitted)
            submit(s);
        act(s);
        size_t done = 0;
        for (size_t i = 0; i < s->count; i++)
            done += s->calls[i].done > 0;
        if (s->is_submitted && done == s->count && s->fault != DRAINED)
            break;
    }
}

/** What was never handed over counts as neither. */
static void count(storm *s)
{
    for (size_t i = 0; i < s->count; i++) {
        rig_call *call = &s->calls[i];
        ck_assert_int_le(call->done, 1);
        ck_assert(!kn_request_is_active(&call->request));
        s->answered[s->fault] += call->done == 1 && call->err == KC_OK;
        s->failed[s->fault] += call->done == 1 && call->err != KC_OK;
        rig_call_cleanup(call);
    }
    s->became_ready[s->fault] += s->c.ready > 0;
}

/** Those it closed itself stay on its list. */
static size_t open_at_broker(const storm *s)
{
    size_t open = 0;
    KB_LIST_FOR (node, &s->broker->peers)
        open += KB_CONTAINER(node, rig_peer, node)->peer != NULL;
    return open;
}

static void one_set_up(storm *s)
{
    rig *r = &s->r;
    draw(s);
    if (s->fault == REFUSED)
        kn_mem_unlisten(r->network, "broker", 9092);
    if (s->fault == CUT_CABLE)
        kn_mem_pause(r->network, "broker", 9092, true);
    size_t sent = 0;
    rig_conn_open(&s->c, draw_name(s), 9092);
    live(s);
    for (size_t i = 0; i < s->count; i++)
        sent += s->calls[i].done == 1 || kn_request_is_active(&s->calls[i].request);
    if (s->c.conn->state == KN_CONN_CLOSED && s->fault != DRAINED) {
        ck_assert_int_ne(s->c.conn->error.code, KC_OK);
        ck_assert_str_ne(s->c.conn->error.text, "");
    }
    rig_conn_cleanup(&s->c);
    size_t ended = 0;
    for (size_t i = 0; i < s->count; i++)
        ended += s->calls[i].done == 1;
    ck_assert_uint_eq(ended, sent);
    count(s);
    if (s->fault == REFUSED)
        rig_broker_listen(s->broker);
    if (s->fault == CUT_CABLE)
        kn_mem_pause(r->network, "broker", 9092, false);
    rig_run(r, 100); // the broker hears of it
    ck_assert_uint_eq(open_at_broker(s), 0);
    kn_sasl_conf_cleanup(&s->conf);
    ck_assert_uint_eq(r->mem.used, 0);
}

START_TEST(ten_thousand_set_ups_under_faults_end_each_request_once)
{
    static const char *const names[FAULTS] = {
        "none",    "unknown name", "dead addresses", "refused",      "cut cable",
        "cut",     "reset",        "split",          "silent setup", "silent",
        "garbage", "password",     "closed",         "drained",      "old broker"};
    storm s = {.served = 0};
    rig_init(&s.r);
    ck_assert_int_eq(kn_mem_name_add(s.r.network, "broker", "10.9.0.9"), KC_OK);
    s.broker = rig_broker_add(&s.r, "broker", 9092);
    s.broker->hook = hook;
    s.broker->user = &s;
    ck_assert_int_eq(kn_mem_name_add(s.r.network, "many", "10.9.0.1"), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(s.r.network, "many", "10.9.0.2"), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(s.r.network, "many", "10.9.0.9"), KC_OK);
    kn_mem_pause(s.r.network, "10.9.0.2", 9092, true);
    sasl_server_init(&s.server);
    s.conf = (kn_sasl_conf){.mem = &s.r.mem, .random = random_bytes, .random_user = &s.r.rand};
    for (int i = 0; i < SET_UPS; i++)
        one_set_up(&s);
    uint32_t ready = 0;
    for (int i = 0; i < FAULTS; i++) {
        printf("%-14s %5u ready, %5u requests answered, %5u failed\n", names[i], s.became_ready[i],
               s.answered[i], s.failed[i]);
        ready += s.became_ready[i];
    }
    printf("%d set-ups, %u ready, %.0f s of virtual time\n", SET_UPS, ready,
           (double)rig_ms(&s.r) / 1000);
    /* The faults bite, and what has none works. */
    ck_assert_uint_eq(s.failed[NO_FAULT] + s.became_ready[UNKNOWN_NAME] + s.became_ready[REFUSED] +
                          s.became_ready[WRONG_PASSWORD] + s.became_ready[CUT_CABLE],
                      0);
    ck_assert_uint_gt(s.answered[NO_FAULT], 500);
    ck_assert_uint_gt(s.became_ready[OLD_BROKER], 500);
    ck_assert_uint_gt(s.failed[SILENT], 100);
    ck_assert_uint_gt(s.failed[GARBAGE], 100);
    ck_assert_uint_gt(s.failed[CUT] + s.failed[RESET], 100);
    rig_cleanup(&s.r);
}
END_TEST
