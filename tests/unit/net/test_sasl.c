/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The mechanisms, byte by byte: the examples of the RFCs, and brokers that lie. */
#include "net/loop.h"
#include "net/sasl.h"
#include "protocol/base/error.h"
#include "tests/unit/net/sasl_server.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct world {
    kb_mem mem;
    kn_loop *loop;
    kb_rand rand;
    kn_sasl_conf conf;
    kn_sasl sasl;
    const char *nonce; /**< base64 of the bytes that come out of conf.random; NULL: zeros */
    int wakes;
    kn_sasl_status woken;
    int asks;
    kn_token_source *tokens;
} world;

static void fill(void *user, void *out, size_t len)
{
    const world *w = user;
    uint8_t bytes[64] = {0};
    if (w->nonce)
        EVP_DecodeBlock(bytes, (const uint8_t *)w->nonce, (int)strlen(w->nonce));
    memcpy(out, bytes, len);
}

static void on_wake(kn_sasl *sasl)
{
    world *w = sasl->user;
    w->wakes++;
    w->woken = kn_sasl_step(sasl, KC_NULL);
}

static void init(world *w, const char *mechanism, const char *username, const char *password)
{
    memset(w, 0, sizeof *w);
    kb_mem_init(&w->mem, NULL, 0);
    kb_rand_init(&w->rand, 3);
    ck_assert_int_eq(kn_loop_new_virtual(&w->mem, 1000000, INT64_C(1700000000000), &w->loop),
                     KC_OK);
    w->conf = (kn_sasl_conf){.mem = &w->mem,
                             .mechanism = kn_sasl_mechanism_find(kc_str(mechanism)),
                             .random = fill,
                             .random_user = w};
    ck_assert_ptr_nonnull(w->conf.mechanism);
    ck_assert_int_eq(kn_sasl_conf_set(&w->conf, username, password), KC_OK);
    kn_sasl_init(&w->sasl, &w->conf, "broker", on_wake, w);
}

static void ask(void *user)
{
    ((world *)user)->asks++;
}

static void init_oauth(world *w)
{
    init(w, "OAUTHBEARER", NULL, NULL);
    kn_token_options options = {.mem = &w->mem,
                                .loop = w->loop,
                                .rand = &w->rand,
                                .refresh_factor = 0.8,
                                .ask = ask,
                                .user = w};
    ck_assert_int_eq(kn_token_source_new(&options, &w->tokens), KC_OK);
    w->conf.tokens = w->tokens;
}

static void cleanup(world *w)
{
    kn_sasl_finish(&w->sasl);
    kn_sasl_finish(&w->sasl);
    kn_token_source_free(w->tokens);
    kn_sasl_conf_cleanup(&w->conf);
    kn_loop_free(w->loop);
    ck_assert_uint_eq(w->mem.used, 0);
}

static void run(world *w)
{
    while (kn_loop_advance(w->loop, kn_loop_now_us(w->loop)))
        ;
}

static bool out_is(const world *w, const char *text, size_t len)
{
    return kc_bytes_equal(kb_buf_bytes(&w->sasl.out), kc_span(text, len));
}

START_TEST(mechanisms_are_found_by_their_exact_name)
{
    ck_assert_ptr_eq(kn_sasl_mechanism_find(KC_STR("PLAIN")), &kn_sasl_plain);
    ck_assert_ptr_eq(kn_sasl_mechanism_find(KC_STR("SCRAM-SHA-512")), &kn_sasl_scram_sha512);
    ck_assert_ptr_null(kn_sasl_mechanism_find(KC_STR("SCRAM-SHA-1")));
    ck_assert_ptr_null(kn_sasl_mechanism_find(KC_STR("plain")));
    ck_assert_ptr_null(kn_sasl_mechanism_find(KC_NULL));
}
END_TEST

START_TEST(plain_sends_name_and_password_between_zero_bytes)
{
    world w;
    init(&w, "PLAIN", "tim", "tanstaaftanstaaf");
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_SEND);
    ck_assert(out_is(&w, "\0tim\0tanstaaftanstaaf", 21)); // RFC 4616, without authzid
    ck_assert_int_eq(kn_sasl_step(&w.sasl, KC_NULL), KN_SASL_DONE);
    cleanup(&w);
}
END_TEST

/* ---- SCRAM ---- */

typedef struct vector {
    const char *mechanism, *username, *password, *nonce;
    const char *client_first, *server_first, *client_final, *server_final;
} vector;

/* The example of RFC 7677, then more made with Python's hashlib and hmac. */
static const vector vectors[] = {
    {"SCRAM-SHA-256", "user", "pencil", "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+"
     "Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
    {"SCRAM-SHA-512", "user", "pencil", "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/"
     "8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
     "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw=="},
    {"SCRAM-SHA-256", "a,b=c", "p,=ä€", "rOprNGfwEbeRWgbNEkqO",
     "n,,n=a=2Cb=3Dc,r=rOprNGfwEbeRWgbNEkqO", "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=4096",
     "c=biws,r=rOprNGfwEbeRWgbNEkqOx,p=+rlM9saRA3VR3KYkii/O9D9o2EQ0kI35llZcb7Aw5lY=",
     "v=y949edeXNAULtoGAPdjWUy8sqfSGO7q2mky+SyFAr+s="},
    {"SCRAM-SHA-512", "alice", "alice-secret", "rOprNGfwEbeRWgbNEkqO",
     "n,,n=alice,r=rOprNGfwEbeRWgbNEkqO",
     "r=rOprNGfwEbeRWgbNEkqO0123456789,s=MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=,i=16384",
     "c=biws,r=rOprNGfwEbeRWgbNEkqO0123456789,p=JYw28FrogP91fsX8qiXEVY6j2kL4Q+"
     "70A7XO9vnlgftWFu53ezxtI9KHSgvBwPX6T32//9E0IdOWbezMlww9IA==",
     "v=kVA7tI3k5IC7Y3lrnocEcJdlGBu5SwEGvtg+UxJQ9cYAjLL8ycaaDMv1OBYE/KGqmR1+fPi+g01c85BhDHkN6A=="},
};

static void run_vector(const vector *v)
{
    world w;
    init(&w, v->mechanism, v->username, v->password);
    w.nonce = v->nonce;
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_SEND);
    ck_assert(out_is(&w, v->client_first, strlen(v->client_first)));
    ck_assert_int_eq(kn_sasl_step(&w.sasl, kc_str(v->server_first)), KN_SASL_SEND);
    ck_assert(out_is(&w, v->client_final, strlen(v->client_final)));
    ck_assert_int_eq(kn_sasl_step(&w.sasl, kc_str(v->server_final)), KN_SASL_DONE);
    cleanup(&w);
}

START_TEST(scram_gives_the_bytes_of_rfc_7677_and_of_another_implementation)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        run_vector(&vectors[i]);
}
END_TEST

/** A whole exchange with a server; what it sends can be changed by `change`. */
typedef struct exchange {
    world w;
    sasl_server server;
    sasl_session session;
    char first[SASL_SERVER_MESSAGE], final[SASL_SERVER_MESSAGE];
    size_t first_len, final_len;
} exchange;

static void exchange_begin(exchange *e, const char *mechanism)
{
    init(&e->w, mechanism, "alice", "alice-secret");
    sasl_server_init(&e->server);
    memset(&e->session, 0, sizeof e->session);
    e->session.mechanism = e->w.conf.mechanism->name;
    ck_assert_int_eq(kn_sasl_start(&e->w.sasl), KN_SASL_SEND);
    ck_assert(
        sasl_server_step(&e->server, &e->session, kb_buf_bytes(&e->w.sasl.out), &e->first_len));
    memcpy(e->first, e->session.out, e->first_len);
}

static void exchange_prove(exchange *e)
{
    ck_assert_int_eq(kn_sasl_step(&e->w.sasl, kc_span(e->first, e->first_len)), KN_SASL_SEND);
    ck_assert(
        sasl_server_step(&e->server, &e->session, kb_buf_bytes(&e->w.sasl.out), &e->final_len));
    memcpy(e->final, e->session.out, e->final_len);
}

START_TEST(scram_and_a_server_are_content_with_each_other)
{
    static const char *const mechanisms[] = {"SCRAM-SHA-256", "SCRAM-SHA-512"};
    for (size_t i = 0; i < 2; i++) {
        exchange e;
        exchange_begin(&e, mechanisms[i]);
        exchange_prove(&e);
        ck_assert_int_eq(kn_sasl_step(&e.w.sasl, kc_span(e.final, e.final_len)), KN_SASL_DONE);
        cleanup(&e.w);
    }
}
END_TEST

START_TEST(an_exchange_can_be_started_anew_with_other_credentials)
{
    exchange e;
    exchange_begin(&e, "SCRAM-SHA-256");
    ck_assert_int_eq(kn_sasl_conf_set(&e.w.conf, "bob", "other"), KC_OK);
    exchange_prove(&e); // goes on with those it began with
    ck_assert_int_eq(kn_sasl_step(&e.w.sasl, kc_span(e.final, e.final_len)), KN_SASL_DONE);
    kn_sasl_finish(&e.w.sasl);
    ck_assert_int_eq(kn_sasl_start(&e.w.sasl), KN_SASL_SEND);
    ck_assert(out_is(&e.w, "n,,n=bob,r=AAAAAAAAAAAAAAAAAAAA", 31));
    cleanup(&e.w);
}
END_TEST

START_TEST(names_with_a_comma_or_an_equals_sign_are_escaped)
{
    world w;
    init(&w, "SCRAM-SHA-256", "a,b=c", "x");
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_SEND);
    ck_assert(out_is(&w, "n,,n=a=2Cb=3Dc,r=AAAAAAAAAAAAAAAAAAAA", 37));
    cleanup(&w);
}
END_TEST

/** The first message as given is refused, and `why` is told. */
static void refuse_first(const char *text, const char *why)
{
    world w;
    init(&w, "SCRAM-SHA-256", "alice", "alice-secret");
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_SEND);
    ck_assert_int_eq(kn_sasl_step(&w.sasl, kc_str(text)), KN_SASL_FAILED);
    ck_assert_int_eq(w.sasl.err, KC_ERR_AUTH);
    ck_assert_msg(strstr(w.sasl.why, why) != NULL, "%s: %s", text, w.sasl.why);
    cleanup(&w);
}

#define OURS "AAAAAAAAAAAAAAAAAAAA"

START_TEST(lies_in_the_first_message_are_found)
{
    refuse_first("", "malformed");
    refuse_first("r=" OURS "x", "malformed");
    refuse_first("r=" OURS "x,s=AAAA", "malformed");
    refuse_first("m=new,r=" OURS "x,s=AAAA,i=4096", "malformed");
    refuse_first("s=AAAA,r=" OURS "x,i=4096", "malformed");
    refuse_first("e=other-error", "malformed");
    refuse_first("r=" OURS ",s=AAAA,i=4096", "nonce");
    refuse_first("r=BAAA" OURS "x,s=AAAA,i=4096", "nonce");
    refuse_first("r=" OURS "\x01x,s=AAAA,i=4096", "nonce");
    refuse_first("r=x,s=AAAA,i=4096", "nonce");
    refuse_first("r=" OURS "x,s=!,i=4096", "salt");
    refuse_first("r=" OURS "x,s=AAA,i=4096", "salt");
    refuse_first("r=" OURS "x,s=AAAA,i=x", "iterations");
    refuse_first("r=" OURS "x,s=AAAA,i=4095", "4095 iterations; 4096 to 100000");
    refuse_first("r=" OURS "x,s=AAAA,i=100001", "iterations");
    refuse_first("r=" OURS "x,s=AAAA,i=-1", "iterations");
    refuse_first("r=" OURS "x,s=AAAA,i=2147483648", "iterations");
    refuse_first("r=" OURS "x,s=AAAA,i=99999999999999999999", "iterations");
}
END_TEST

START_TEST(a_changed_or_cut_first_message_never_ends_in_success)
{
    exchange e;
    for (size_t at = 0;; at++) {
        exchange_begin(&e, "SCRAM-SHA-256");
        size_t len = e.first_len;
        if (at >= 2 * len) {
            cleanup(&e.w);
            break;
        }
        bool is_cut = at >= len;
        if (is_cut)
            e.first_len = at - len;
        else
            e.first[at] = (char)(e.first[at] ^ 0x04);
        if (kn_sasl_step(&e.w.sasl, kc_span(e.first, e.first_len)) == KN_SASL_SEND) {
            size_t final_len;
            ck_assert_msg(
                !sasl_server_step(&e.server, &e.session, kb_buf_bytes(&e.w.sasl.out), &final_len),
                "the server took a proof of other words, %zu", at);
        }
        cleanup(&e.w);
    }
}
END_TEST

START_TEST(a_changed_or_cut_signature_never_ends_in_success)
{
    exchange e;
    exchange_begin(&e, "SCRAM-SHA-512");
    exchange_prove(&e);
    for (size_t at = 0; at < e.final_len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            char changed[SASL_SERVER_MESSAGE];
            memcpy(changed, e.final, e.final_len);
            changed[at] = (char)(changed[at] ^ (1 << bit));
            ck_assert_int_eq(kn_sasl_step(&e.w.sasl, kc_span(changed, e.final_len)),
                             KN_SASL_FAILED);
            ck_assert_int_eq(e.w.sasl.err, KC_ERR_AUTH);
        }
        ck_assert_int_eq(kn_sasl_step(&e.w.sasl, kc_span(e.final, at)), KN_SASL_FAILED);
    }
    ck_assert_int_eq(kn_sasl_step(&e.w.sasl, KC_STR("v=AAAA")), KN_SASL_FAILED);
    ck_assert_ptr_nonnull(strstr(e.w.sasl.why, "signature"));
    ck_assert_int_eq(kn_sasl_step(&e.w.sasl, KC_STR("e=invalid\nproof")), KN_SASL_FAILED);
    ck_assert_str_eq(e.w.sasl.why, "the broker says invalid?proof");
    ck_assert_int_eq(kn_sasl_step(&e.w.sasl, kc_span(e.final, e.final_len)), KN_SASL_DONE);
    cleanup(&e.w);
}
END_TEST

START_TEST(a_huge_message_is_refused)
{
    exchange e;
    exchange_begin(&e, "SCRAM-SHA-256");
    char *huge = malloc(KN_SASL_MESSAGE_MAX + 1);
    ck_assert_ptr_nonnull(huge);
    memset(huge, 'x', KN_SASL_MESSAGE_MAX + 1);
    ck_assert_int_eq(kn_sasl_step(&e.w.sasl, kc_span(huge, KN_SASL_MESSAGE_MAX + 1)),
                     KN_SASL_FAILED);
    ck_assert_ptr_nonnull(strstr(e.w.sasl.why, "above"));
    free(huge);
    cleanup(&e.w);
}
END_TEST

START_TEST(without_memory_an_exchange_says_so)
{
    for (size_t limit = 1; limit < 4096; limit += 64) {
        exchange e;
        init(&e.w, "SCRAM-SHA-256", "alice", "alice-secret");
        e.w.mem.limit = e.w.mem.used + limit;
        kn_sasl_status status = kn_sasl_start(&e.w.sasl);
        if (status == KN_SASL_SEND)
            status = kn_sasl_step(&e.w.sasl, KC_STR("r=" OURS "x,s=AAAA,i=4096"));
        if (status == KN_SASL_FAILED)
            ck_assert_int_eq(e.w.sasl.err, KC_ERR_NOMEM);
        cleanup(&e.w);
    }
}
END_TEST

/* ---- OAUTHBEARER ---- */

START_TEST(a_token_goes_out_as_rfc_7628_writes_it)
{
    world w;
    init_oauth(&w);
    ck_assert_int_eq(kn_token_give(w.tokens, KC_STR("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
                                   KC_STR("host=server.example.com\x01port=143\x01"), 0, NULL),
                     KC_OK);
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_SEND);
    static const char want[] = "n,,\x01"
                               "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01"
                               "host=server.example.com\x01port=143\x01\x01";
    ck_assert(out_is(&w, want, sizeof want - 1));
    ck_assert_int_eq(kn_sasl_step(&w.sasl, KC_NULL), KN_SASL_DONE);
    cleanup(&w);
}
END_TEST

START_TEST(a_refused_token_is_acknowledged_told_and_not_used_again)
{
    world w;
    init_oauth(&w);
    ck_assert_int_eq(kn_token_give(w.tokens, KC_STR("bad"), KC_STR(""), 0, NULL), KC_OK);
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_SEND);
    ck_assert(out_is(&w,
                     "n,,\x01"
                     "auth=Bearer bad\x01\x01",
                     21));
    ck_assert_int_eq(kn_sasl_step(&w.sasl, KC_STR("{\"status\":\"invalid_token\"}")), KN_SASL_SEND);
    ck_assert(out_is(&w, "\x01", 1));
    ck_assert_int_eq(kn_sasl_step(&w.sasl, KC_STR("")), KN_SASL_FAILED); // says success after all
    ck_assert_ptr_nonnull(strstr(w.sasl.why, "invalid_token"));
    kn_sasl_finish(&w.sasl);
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_LATER);
    run(&w);
    ck_assert_int_eq(w.asks, 1);
    cleanup(&w);
}
END_TEST

START_TEST(an_exchange_waits_for_its_token)
{
    world w;
    init_oauth(&w);
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_LATER);
    run(&w);
    ck_assert_int_eq(w.asks, 1);
    ck_assert_int_eq(w.wakes, 0);
    ck_assert_int_eq(kn_token_give(w.tokens, KC_STR("t"), KC_STR(""), 0, NULL), KC_OK);
    ck_assert_int_eq(w.wakes, 0); // from a turn, never inside the call
    run(&w);
    ck_assert_int_eq(w.wakes, 1);
    ck_assert_int_eq(w.woken, KN_SASL_SEND);
    ck_assert(out_is(&w,
                     "n,,\x01"
                     "auth=Bearer t\x01\x01",
                     19));
    cleanup(&w);
}
END_TEST

START_TEST(an_exchange_fails_with_the_reason_why_there_is_no_token)
{
    world w;
    init_oauth(&w);
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_LATER);
    run(&w);
    kn_token_fail(w.tokens, "the server answers 503");
    run(&w);
    ck_assert_int_eq(w.woken, KN_SASL_FAILED);
    ck_assert_int_eq(w.sasl.err, KC_ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(w.sasl.why, "the server answers 503"));
    cleanup(&w);
}
END_TEST

START_TEST(an_abandoned_exchange_is_not_woken)
{
    world w;
    init_oauth(&w);
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_LATER);
    run(&w);
    kn_sasl_finish(&w.sasl);
    ck_assert_int_eq(kn_token_give(w.tokens, KC_STR("t"), KC_STR(""), 0, NULL), KC_OK);
    run(&w);
    ck_assert_int_eq(w.wakes, 0);
    cleanup(&w);
}
END_TEST

START_TEST(kerberos_needs_a_worker_which_a_virtual_loop_has_not)
{
    world w;
    if (!kn_sasl_mechanism_find(KC_STR("GSSAPI"))) {
        printf("skipped: this build has no GSSAPI\n");
        exit(77);
    }
    init(&w, "GSSAPI", NULL, NULL);
    w.conf.loop = w.loop;
    w.conf.kerberos.service = "kafka";
    ck_assert_int_eq(kn_sasl_start(&w.sasl), KN_SASL_FAILED);
    ck_assert_int_eq(w.sasl.err, KC_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(w.sasl.why, "worker"));
    cleanup(&w);
}
END_TEST

/** In the place of the Kerberos library's, which may have been forked off with its locks held. */
int krb5_init_context(void **context_out);
static int contexts;

int krb5_init_context(void **context_out)
{
    contexts++;
    *context_out = NULL;
    return 1;
}

START_TEST(a_forked_child_leaves_the_kerberos_library_alone)
{
    world w;
    if (!kn_sasl_mechanism_find(KC_STR("GSSAPI"))) {
        printf("skipped: this build has no GSSAPI\n");
        exit(77);
    }
    init(&w, "GSSAPI", NULL, NULL);
    kn_loop *loop;
    ck_assert_int_eq(kn_loop_new(&w.mem, &loop, NULL), KC_OK);
    w.conf.loop = loop;
    w.conf.kerberos.ccache = "MEMORY:a";
    w.conf.kerberos.owns_ccache = true;
    pid_t child = fork();
    if (child == 0) {
        kn_sasl_conf_cleanup(&w.conf);
        _exit(contexts);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kn_sasl_conf_cleanup(&w.conf);
    ck_assert_int_eq(contexts, 1);
    w.conf.kerberos.owns_ccache = false;
    kn_loop_free(loop);
    cleanup(&w);
}
END_TEST
