/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Authentication of connections, and again while they are in use. */
#include "net/sasl.h"
#include "protocol/codec.h"
#include "tests/unit/net/sasl_rig.h"

#include <kafkac/unstable/errors.h>

#include <stdio.h>
#include <stdlib.h>

#define CALLS 16

typedef struct fixture {
    rig r;
    rig_broker *broker;
    sasl_server server;
    kn_sasl_conf conf;
    kn_token_source *tokens;
    int asks;
    rig_conn c;
    rig_call calls[CALLS];
    size_t count;
    int16_t fault_key; /**< answer this API by: */
    bool (*fault)(rig_peer *peer, const kp_request_info *info);
    bool is_holding; /**< requests are kept in `held` */
    rig_peer *held_peer;
    kp_request_info held;
    int64_t handshake_ms; /**< when the last one came */
    int16_t authenticate_version;
    kb_buf log;
} fixture;

/* ---- the broker ---- */

static bool hook(rig_peer *peer, const kp_request_info *info)
{
    fixture *f = peer->broker->user;
    if (f->fault && info->api_key == f->fault_key)
        return f->fault(peer, info);
    if (info->api_key == KP_API_SASL_HANDSHAKE)
        f->handshake_ms = rig_ms(&f->r);
    if (info->api_key == KP_API_SASL_AUTHENTICATE)
        f->authenticate_version = info->version;
    if (sasl_rig_serve(&f->server, peer, info))
        return true;
    if (info->api_key == KP_API_API_VERSIONS)
        return false;
    if (f->is_holding) {
        f->held_peer = peer;
        f->held = *info;
        return true;
    }
    return false;
}

/* ---- the client ---- */

static void random_bytes(void *user, void *out, size_t len)
{
    kb_rand *rand = user;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)kb_rand_u64(rand);
}

static void ask(void *user)
{
    ((fixture *)user)->asks++;
}

static void on_log(kc_log_level level, const char *line, void *user)
{
    (void)level;
    kb_buf_put_bytes(user, kc_str(line));
}

static void init(fixture *f, const char *mechanism, size_t count)
{
    memset(f, 0, sizeof *f);
    rig_init(&f->r);
    kb_buf_init(&f->log, &f->r.rig_mem, 0);
    f->broker = rig_broker_add(&f->r, "broker", 9092);
    f->broker->hook = hook;
    f->broker->user = f;
    sasl_server_init(&f->server);
    f->conf = (kn_sasl_conf){.mem = &f->r.mem,
                             .mechanism = kn_sasl_mechanism_find(kc_str(mechanism)),
                             .random = random_bytes,
                             .random_user = &f->r.rand};
    if (f->conf.mechanism->needs == KN_SASL_PASSWORD) {
        ck_assert_int_eq(kn_sasl_conf_set(&f->conf, "alice", "alice-secret"), KC_OK);
    } else {
        kn_token_options options = {.mem = &f->r.mem,
                                    .loop = f->r.loop,
                                    .rand = &f->r.rand,
                                    .refresh_factor = 0.8,
                                    .ask = ask,
                                    .user = f};
        ck_assert_int_eq(kn_token_source_new(&options, &f->tokens), KC_OK);
        f->conf.tokens = f->tokens;
    }
    f->count = count;
    for (size_t i = 0; i < count; i++)
        rig_call_init(&f->r, &f->calls[i]);
}

static void init_conn(fixture *f, const char *mechanism, size_t count)
{
    init(f, mechanism, count);
    rig_conn_init(&f->r, &f->c);
    f->c.env.rand = &f->r.rand;
    f->c.env.sasl = &f->conf;
}

static void init_pool(fixture *f, const char *mechanism, size_t count)
{
    static kb_log log;
    init(f, mechanism, count);
    kn_pool_options options = rig_options(&f->r, "broker:9092");
    log = (kb_log){.fn = on_log, .user = &f->log, .level = KC_LOG_DEBUG};
    options.sasl = &f->conf;
    options.log = &log;
    ck_assert_int_eq(kn_pool_new(&options, &f->r.pool, NULL), KC_OK);
    ck_assert_int_eq(kn_pool_set_broker(f->r.pool, 1, KC_STR("broker"), 9092), KC_OK);
}

static bool has(kc_bytes text, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++)
        if (memcmp(text.ptr + i, word, len) == 0)
            return true;
    return false;
}

static void cleanup(fixture *f)
{
    ck_assert(!has(kb_buf_bytes(&f->log), "secret"));
    ck_assert(!has(kb_buf_bytes(&f->log), "good.token"));
    ck_assert_uint_eq(f->server.violations, 0);
    if (f->c.conn)
        rig_conn_cleanup(&f->c);
    kn_pool_free(f->r.pool);
    f->r.pool = NULL;
    for (size_t i = 0; i < f->count; i++)
        rig_call_cleanup(&f->calls[i]);
    kn_token_source_free(f->tokens);
    kn_sasl_conf_cleanup(&f->conf);
    kb_buf_cleanup(&f->log);
    rig_cleanup(&f->r);
}

static void give_token(fixture *f, const char *token)
{
    ck_assert_int_eq(kn_token_give(f->tokens, kc_str(token), KC_STR(""), 0, NULL), KC_OK);
}

/** The connection ended before it was ready; check the whole error. */
static void check_refused(const fixture *f, kc_err code, const char *text)
{
    const kc_error *error = &f->c.conn->error;
    ck_assert_int_eq(f->c.ready, 0);
    ck_assert_int_eq(f->c.closed, 1);
    ck_assert_int_eq(error->code, code);
    ck_assert_int_eq(error->phase, KC_PHASE_SASL);
    ck_assert_int_eq((error->flags & KC_ERRF_AUTH) != 0, code == KC_ERR_AUTH);
    ck_assert_msg(strstr(error->text, text) != NULL, "%s", error->text);
    ck_assert_ptr_null(strstr(error->text, "secret"));
    ck_assert_ptr_null(strstr(error->text, "token.x"));
}

/* ---- set-up ---- */

START_TEST(every_mechanism_opens_a_connection)
{
    static const char *const names[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fixture f;
        init_conn(&f, names[i], 1);
        if (f.tokens)
            give_token(&f, "good.token");
        rig_conn_ready(&f.c, "broker", 9092);
        ck_assert_uint_eq(f.server.successes, 1);
        ck_assert_int_eq(f.authenticate_version, 2);
        ck_assert_ptr_null(f.c.conn->setup_request.frame.data); // wiped and given back
        ck_assert_ptr_null(f.c.conn->auth.sasl.out.data);
        rig_conn_send(&f.c, &f.calls[0]);
        kn_conn_flush(f.c.conn);
        rig_run(&f.r, 1);
        ck_assert_int_eq(f.calls[0].err, KC_OK);
        cleanup(&f);
    }
}
END_TEST

START_TEST(an_old_broker_authenticates_by_what_it_has)
{
    fixture f;
    init_conn(&f, "SCRAM-SHA-256", 0);
    f.broker->list_max = 1; // SaslAuthenticate v1, as Kafka 2.0
    rig_conn_ready(&f.c, "broker", 9092);
    ck_assert_int_eq(f.authenticate_version, 1);
    cleanup(&f);
    init_conn(&f, "PLAIN", 0);
    f.broker->list_max = 0; // before Kafka 1.0: tokens without a frame
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 100);
    check_refused(&f, KC_ERR_VERSION, "it serves no SaslHandshake 1");
    cleanup(&f);
}
END_TEST

START_TEST(a_wrong_password_is_told_with_name_mechanism_and_the_brokers_words)
{
    static const char *const names[] = {"PLAIN", "SCRAM-SHA-256"};
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        char want[160];
        init_conn(&f, names[i], 0);
        f.server.password = "other";
        rig_conn_open(&f.c, "broker", 9092);
        rig_run(&f.r, 100);
        snprintf(want, sizeof want,
                 "SASL authentication failed as alice by %s: Authentication failed: Invalid "
                 "username or password (broker 7 at broker:9092)",
                 names[i]);
        check_refused(&f, KC_ERR_AUTH, want);
        ck_assert_int_eq(f.c.conn->error.broker_id, 7);
        cleanup(&f);
    }
}
END_TEST

START_TEST(a_refused_token_is_told_with_what_the_broker_says_of_it)
{
    fixture f;
    init_conn(&f, "OAUTHBEARER", 0);
    give_token(&f, "bad.token.x");
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 100);
    check_refused(&f, KC_ERR_AUTH, "SASL authentication failed by OAUTHBEARER: ");
    ck_assert_uint_eq(f.server.failures, 1); // after our acknowledgement
    cleanup(&f);
}
END_TEST

START_TEST(a_mechanism_the_broker_has_not_is_told_with_those_it_has)
{
    fixture f;
    init_conn(&f, "PLAIN", 0);
    f.server.offered = "SCRAM-SHA-256,OAUTHBEARER";
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 100);
    check_refused(&f, KC_ERR_AUTH, "by PLAIN: the broker offers SCRAM-SHA-256, OAUTHBEARER as");
    ck_assert(f.c.conn->error.flags & KC_ERRF_CONFIG);
    cleanup(&f);
    init_conn(&f, "PLAIN", 0);
    f.server.offered = "";
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 100);
    check_refused(&f, KC_ERR_AUTH, "the broker offers none as sasl.mechanism");
    cleanup(&f);
}
END_TEST

static bool refuse_handshake(rig_peer *peer, const kp_request_info *info)
{
    kp_sasl_handshake_resp resp = {.error_code = KC_E_ILLEGAL_SASL_STATE};
    rig_answer_message(peer, info, info->version, &resp);
    return true;
}

START_TEST(a_listener_without_sasl_is_told_so)
{
    fixture f;
    init_conn(&f, "PLAIN", 0);
    f.fault_key = KP_API_SASL_HANDSHAKE;
    f.fault = refuse_handshake;
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 100);
    check_refused(&f, KC_ERR_AUTH, "this listener has no SASL; is security.protocol right?");
    cleanup(&f);
}
END_TEST

static bool close_it(rig_peer *peer, const kp_request_info *info)
{
    (void)info;
    rig_peer_close(peer, false);
    return true;
}

static bool say_nothing(rig_peer *peer, const kp_request_info *info)
{
    (void)peer;
    (void)info;
    return true;
}

static bool send_garbage(rig_peer *peer, const kp_request_info *info)
{
    rig_answer_body(peer, info, KC_STR("\x7f\xff\xff\xff\xff\xff\xff"));
    return true;
}

static void run_fault(fixture *f, int16_t key,
                      bool (*fault)(rig_peer *peer, const kp_request_info *info))
{
    init_conn(f, "SCRAM-SHA-256", 0);
    f->fault_key = key;
    f->fault = fault;
    rig_conn_open(&f->c, "broker", 9092);
    rig_run(&f->r, 60000);
}

START_TEST(a_broker_that_closes_is_silent_or_talks_nonsense_is_told)
{
    static const int16_t keys[] = {KP_API_SASL_HANDSHAKE, KP_API_SASL_AUTHENTICATE};
    static const char *const names[] = {"SaslHandshake", "SaslAuthenticate"};
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        char want[96];
        run_fault(&f, keys[i], close_it);
        check_refused(&f, KC_ERR_CONNECT,
                      "closed the connection during SASL authentication by SCRAM-SHA-256");
        ck_assert(!f.c.conn->closed_by_peer); // no reason to ask for an older ApiVersions
        cleanup(&f);
        run_fault(&f, keys[i], say_nothing);
        snprintf(want, sizeof want, "still waits for an answer to %s after 10000 ms", names[i]);
        check_refused(&f, KC_ERR_CONNECT, want);
        cleanup(&f);
        run_fault(&f, keys[i], send_garbage);
        ck_assert_int_eq(f.c.closed, 1);
        ck_assert_int_eq(f.c.ready, 0);
        cleanup(&f);
    }
}
END_TEST

START_TEST(a_connection_cut_at_any_byte_ends_and_leaks_nothing)
{
    bool was_ready = false;
    for (size_t at = 0; !was_ready; at++) {
        fixture f;
        init_conn(&f, "SCRAM-SHA-256", 0);
        f.broker->cut_at = at;
        f.broker->is_reset = at % 2 != 0;
        rig_conn_open(&f.c, "broker", 9092);
        rig_run(&f.r, 20000);
        was_ready = f.c.ready > 0;
        ck_assert(was_ready || f.c.closed == 1);
        cleanup(&f);
        ck_assert_uint_lt(at, 4096);
    }
}
END_TEST

START_TEST(without_memory_authentication_ends_without_a_leak)
{
    for (size_t room = 0; room < 65536; room += 512) {
        fixture f;
        init_conn(&f, "SCRAM-SHA-512", 0);
        rig_conn_open(&f.c, "broker", 9092);
        f.r.mem.limit = f.r.mem.used + room;
        rig_run(&f.r, 1000);
        ck_assert_int_eq(f.c.ready + f.c.closed, 1);
        if (f.c.closed)
            ck_assert_int_eq(f.c.conn->error.code, KC_ERR_NOMEM);
        cleanup(&f);
    }
}
END_TEST

START_TEST(a_connection_waits_for_its_token_until_the_set_up_time_is_over)
{
    fixture f;
    init_conn(&f, "OAUTHBEARER", 0);
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 5000);
    ck_assert_int_eq(f.asks, 1);
    ck_assert_int_eq(f.c.ready, 0);
    give_token(&f, "good.token");
    rig_run(&f.r, 10);
    ck_assert_int_eq(f.c.ready, 1);
    cleanup(&f);
    init_conn(&f, "OAUTHBEARER", 0);
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 10001);
    check_refused(&f, KC_ERR_CONNECT, "still waits for a token after 10000 ms");
    cleanup(&f);
    init_conn(&f, "OAUTHBEARER", 0);
    rig_conn_open(&f.c, "broker", 9092);
    rig_run(&f.r, 100);
    kn_token_fail(f.tokens, "the identity provider is away");
    rig_run(&f.r, 100);
    check_refused(&f, KC_ERR_AUTH, "the identity provider is away");
    cleanup(&f);
}
END_TEST

/* ---- through the pool ---- */

START_TEST(a_wrong_password_ends_every_waiting_call_at_once)
{
    fixture f;
    init_pool(&f, "SCRAM-SHA-512", 6);
    f.server.password = "other";
    for (size_t i = 0; i < 6; i++)
        rig_submit(&f.calls[i], i < 3 ? 1 : KN_ANY_BROKER);
    rig_run(&f.r, 100);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_int_eq(f.calls[i].done, 1);
        ck_assert_int_eq(f.calls[i].err, KC_ERR_AUTH);
        ck_assert(!f.calls[i].was_sent);
        ck_assert_ptr_nonnull(strstr(f.calls[i].error.text, "SASL authentication failed as alice"));
    }
    ck_assert_int_eq(kn_pool_last_error(f.r.pool)->code, KC_ERR_AUTH);
    rig_run(&f.r, 60000);
    ck_assert_uint_eq(f.server.failures, 1); // nobody wants anything: no further attempt
    cleanup(&f);
}
END_TEST

static void submit_again(rig_call *call)
{
    call->done = 0;
    ++*(int *)call->user;
    rig_submit(call, 1);
}

START_TEST(who_asks_again_and_again_does_not_make_a_tight_loop_of_it)
{
    fixture f;
    int tries = 0;
    init_pool(&f, "PLAIN", 1);
    f.server.password = "other";
    f.calls[0].then = submit_again;
    f.calls[0].user = &tries;
    rig_submit(&f.calls[0], 1);
    rig_run(&f.r, 60000);
    ck_assert_int_ge(tries, 55);
    ck_assert_int_le(tries, 85); // reconnect.backoff.max.ms is one second
    f.calls[0].then = NULL;
    ck_assert_int_eq(kn_sasl_conf_set(&f.conf, "alice", "other"), KC_OK); // mended at run time
    rig_run(&f.r, 2000);
    ck_assert_int_eq(f.calls[0].err, KC_OK);
    cleanup(&f);
}
END_TEST

/* ---- again on the live connection ---- */

START_TEST(a_session_is_renewed_again_and_again_without_a_failed_request)
{
    fixture f;
    int answered[CALLS] = {0};
    kn_pool_stats stats;
    init_pool(&f, "SCRAM-SHA-256", CALLS);
    f.server.lifetime_ms = 2000;
    kn_mem_network_shape(f.r.network)->latency_us = 20000;
    for (size_t i = 0; i < CALLS; i++) {
        f.calls[i].then = submit_again;
        f.calls[i].user = &answered[i];
        rig_submit(&f.calls[i], 1);
    }
    for (int second = 0; second < 200; second++) {
        rig_run(&f.r, 1000);
        for (size_t i = 0; i < CALLS; i++)
            ck_assert_msg(f.calls[i].err == KC_OK, "%s", f.calls[i].error.text);
    }
    kn_pool_stats_get(f.r.pool, &stats);
    ck_assert_uint_eq(f.broker->accepts, 1);
    ck_assert_uint_eq(stats.disconnects, 0);
    ck_assert_uint_ge(stats.reauthentications, 200 * 1000 / (1900 + 160) - 2); // 4 round trips each
    ck_assert_uint_le(stats.reauthentications, 200 * 1000 / 1700 + 2);
    ck_assert_uint_ge(f.server.successes, 1 + stats.reauthentications);
    for (size_t i = 0; i < CALLS; i++) {
        ck_assert_int_ge(answered[i], 1000);
        ck_assert_int_le(abs(answered[i] - answered[0]), 1); // each in its turn: the order is kept
        f.calls[i].then = NULL;
    }
    cleanup(&f);
}
END_TEST

START_TEST(renewal_comes_at_85_to_95_percent_of_the_life)
{
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        fixture f;
        init_conn(&f, "PLAIN", 0);
        kb_rand_init(&f.r.rand, seed);
        f.server.lifetime_ms = 100000;
        rig_conn_ready(&f.c, "broker", 9092);
        rig_run(&f.r, 97000);
        ck_assert_uint_eq(f.server.successes, 2);
        least = f.handshake_ms < least ? f.handshake_ms : least;
        most = f.handshake_ms > most ? f.handshake_ms : most;
        cleanup(&f);
    }
    ck_assert_int_ge(least, 85000);
    ck_assert_int_lt(least, 87000);
    ck_assert_int_gt(most, 93000);
    ck_assert_int_le(most, 95001);
}
END_TEST

START_TEST(a_renewal_awaits_what_is_in_flight_and_parks_the_rest_in_order)
{
    fixture f;
    init_pool(&f, "PLAIN", 5);
    f.server.lifetime_ms = 2000;
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    f.is_holding = true;
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 2500); // past the session, the answer is still due
    ck_assert_uint_eq(f.server.handshakes, 1);
    for (size_t i = 2; i < 5; i++)
        rig_submit(&f.calls[i], 1);
    rig_run(&f.r, 2500);
    ck_assert_uint_eq(f.broker->requests, 2 + 2); // SASL's, and the two calls
    f.is_holding = false;
    rig_answer(f.held_peer, &f.held);
    rig_run(&f.r, 100);
    ck_assert_uint_eq(f.server.handshakes, 2);
    for (size_t i = 1; i < 5; i++)
        ck_assert_int_eq(f.calls[i].err, KC_OK);
    ck_assert_int_eq(f.calls[4].done, 1);
    ck_assert_uint_eq(f.broker->accepts, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_failed_renewal_closes_with_its_cause_and_the_parked_go_over_another_connection)
{
    fixture f;
    init_pool(&f, "PLAIN", 3);
    f.server.lifetime_ms = 2000;
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    f.server.password = "new-secret"; // the old one is gone
    f.is_holding = true;
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 1990);
    rig_submit(&f.calls[2], 1); // parked
    f.is_holding = false;
    rig_answer(f.held_peer, &f.held);
    rig_run(&f.r, 1);
    ck_assert_int_eq(f.calls[1].err, KC_OK);
    ck_assert_int_eq(f.calls[2].done, 0);
    ck_assert_int_eq(f.r.last_down.code, KC_ERR_AUTH);
    ck_assert_int_eq(f.r.downs, 1); // not taken for the end of an idle connection
    ck_assert_ptr_nonnull(strstr(f.r.last_down.text, "SASL authentication failed as alice"));
    ck_assert_int_eq(kn_sasl_conf_set(&f.conf, "alice", "new-secret"), KC_OK);
    rig_run(&f.r, 1000);
    ck_assert_int_eq(f.calls[2].done, 1);
    ck_assert_int_eq(f.calls[2].err, KC_OK);
    ck_assert_uint_eq(f.broker->accepts, 2);
    cleanup(&f);
}
END_TEST

START_TEST(credentials_replaced_at_run_time_serve_the_next_renewal)
{
    fixture f;
    init_pool(&f, "SCRAM-SHA-512", 1);
    f.server.lifetime_ms = 2000;
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    f.server.password = "new-secret";
    ck_assert_int_eq(kn_sasl_conf_set(&f.conf, "alice", "new-secret"), KC_OK);
    rig_run(&f.r, 20000);
    ck_assert_uint_ge(f.server.successes, 10);
    ck_assert_uint_eq(f.server.failures, 0);
    ck_assert_uint_eq(f.broker->accepts, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_connection_that_only_renews_itself_is_idle)
{
    fixture f;
    init_pool(&f, "PLAIN", 1);
    f.server.lifetime_ms = 60000;
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    rig_run(&f.r, 539000);
    ck_assert_uint_ge(f.server.successes, 9);
    ck_assert_uint_eq(f.r.idle_downs, 0);
    rig_run(&f.r, 2000);
    ck_assert_uint_eq(f.r.idle_downs, 1);
    ck_assert_uint_eq(f.r.downs, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_broker_that_closes_or_is_silent_in_a_renewal_is_told)
{
    fixture f;
    init_conn(&f, "PLAIN", 0);
    f.server.lifetime_ms = 2000;
    rig_conn_ready(&f.c, "broker", 9092);
    f.fault_key = KP_API_SASL_AUTHENTICATE;
    f.fault = close_it;
    rig_run(&f.r, 2000);
    ck_assert_int_eq(f.c.closed, 1);
    ck_assert(!f.c.conn->was_idle);
    ck_assert_int_eq(f.c.conn->error.code, KC_ERR_DISCONNECTED);
    ck_assert_ptr_nonnull(strstr(f.c.conn->error.text, "during SASL authentication by PLAIN"));
    cleanup(&f);
    init_conn(&f, "PLAIN", 0);
    f.server.lifetime_ms = 2000;
    rig_conn_ready(&f.c, "broker", 9092);
    f.fault_key = KP_API_SASL_HANDSHAKE;
    f.fault = say_nothing;
    rig_run(&f.r, 33000);
    ck_assert_int_eq(f.c.closed, 1);
    ck_assert_int_eq(f.c.conn->error.code, KC_ERR_TIMEOUT);
    cleanup(&f);
}
END_TEST

START_TEST(a_late_token_holds_nobody_up_until_the_session_ends)
{
    fixture f;
    init_pool(&f, "OAUTHBEARER", 2);
    f.server.lifetime_ms = 2000;
    give_token(&f, "good.token");
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    kn_token_refused(f.tokens, 1); // there is none to renew with
    rig_run(&f.r, 1950);
    ck_assert_int_eq(f.asks, 1);
    rig_submit(&f.calls[1], 1);
    rig_run(&f.r, 10);
    ck_assert_int_eq(f.calls[1].err, KC_OK);
    ck_assert_int_eq(f.calls[1].done, 1);
    give_token(&f, "good.token");
    rig_run(&f.r, 100);
    ck_assert_uint_eq(f.server.successes, 2);
    kn_token_refused(f.tokens, 2);
    rig_run(&f.r, 2100);
    ck_assert_int_eq(f.r.last_down.code, KC_ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(f.r.last_down.text, "no token has come to renew it"));
    cleanup(&f);
}
END_TEST

/* A session ends with its token; the next token comes while the renewal has to wait. */
START_TEST(a_renewal_that_had_to_wait_takes_the_newest_token)
{
    fixture f;
    init_pool(&f, "OAUTHBEARER", 1);
    f.server.lifetime_ms = 300;
    give_token(&f, "good.token");
    rig_submit(&f.calls[0], 1);
    rig_wait(&f.calls[0]);
    rig_run(&f.r, 600);
    ck_assert_uint_eq(f.server.successes, 1);
    f.server.token = "better.token";
    give_token(&f, "better.token");
    rig_run(&f.r, 500);
    ck_assert_uint_eq(f.server.successes, 2);
    ck_assert_uint_eq(f.server.failures, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_connection_can_be_drained_in_any_phase_of_a_renewal)
{
    for (int64_t us = 0; us < 20000; us += 1000) {
        fixture f;
        kb_list unsent;
        init_conn(&f, "SCRAM-SHA-256", 1);
        f.server.lifetime_ms = 2000;
        kn_mem_network_shape(f.r.network)->latency_us = 2000;
        rig_conn_ready(&f.c, "broker", 9092);
        kb_list_init(&unsent);
        while (f.c.conn->auth.state == KN_AUTH_IDLE)
            ck_assert(kn_loop_advance(f.r.loop, INT64_MAX));
        rig_run(&f.r, us / 1000);
        kn_conn_drain(f.c.conn, &unsent);
        ck_assert(kb_list_is_empty(&unsent));
        rig_run(&f.r, 50);
        ck_assert_int_eq(f.c.closed, 1);
        ck_assert_int_eq(f.c.conn->error.code, KC_ERR_CLOSED);
        cleanup(&f);
    }
}
END_TEST

START_TEST(a_session_of_absurd_length_is_taken_in_stride)
{
    static const int64_t lives[] = {INT64_MAX, INT64_MIN, -1, 0};
    for (size_t i = 0; i < 4; i++) {
        fixture f;
        init_conn(&f, "PLAIN", 0);
        f.server.lifetime_ms = lives[i];
        rig_conn_ready(&f.c, "broker", 9092);
        rig_run(&f.r, 100000);
        ck_assert_uint_eq(f.server.successes, 1);
        cleanup(&f);
    }
    fixture f;
    init_conn(&f, "PLAIN", 0);
    f.server.lifetime_ms = 1;
    rig_conn_ready(&f.c, "broker", 9092);
    rig_run(&f.r, 10000);
    ck_assert_uint_ge(f.server.successes, 10); // no more than one a second: a broker's own limit
    ck_assert_uint_le(f.server.successes, 12);
    cleanup(&f);
}
END_TEST
