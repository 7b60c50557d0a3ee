/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The token source under the virtual clock: asked once for all, refreshed in time, never hanging. */
#include "net/token.h"

#include <check.h>

#define WALL_MS INT64_C(1700000000000)

typedef struct world {
    kb_mem mem;
    kb_rand rand;
    kn_loop *loop;
    kn_token_source *source;
    int asks, fails, told, told_errors;
    int64_t asked_ms;
    kc_error error;
    const char *answers; /**< give this at once; NULL: nothing yet */
    int64_t life_ms;     /**< of that                              */
    kn_token_wait waits[4];
} world;

static int64_t now_ms(const world *w)
{
    return kn_loop_wall_ms(w->loop) - WALL_MS;
}

static kc_err give(world *w, const char *value, int64_t life_ms)
{
    return kn_token_give(w->source, kc_str(value), KC_STR("a=b\x01"),
                         life_ms ? kn_loop_wall_ms(w->loop) + life_ms : 0, &w->error);
}

static void ask(void *user)
{
    world *w = user;
    w->asks++;
    ck_assert_int_lt(w->asks, 1000);
    w->asked_ms = now_ms(w);
    if (w->answers)
        ck_assert_int_eq(give(w, w->answers, w->life_ms), KC_OK);
}

static void on_failed(void *user, const kc_error *error)
{
    world *w = user;
    w->fails++;
    w->error = *error;
}

static void on_told(kn_token_wait *wait, const kc_error *error)
{
    world *w = wait->user;
    w->told++;
    w->told_errors += error != NULL;
}

static void init_with(world *w, bool can_ask)
{
    memset(w, 0, sizeof *w);
    kb_mem_init(&w->mem, NULL, 0);
    kb_rand_init(&w->rand, 11);
    w->life_ms = 3600000;
    ck_assert_int_eq(kn_loop_new_virtual(&w->mem, 1000000, WALL_MS, &w->loop), KC_OK);
    kn_token_options options = {.mem = &w->mem,
                                .loop = w->loop,
                                .rand = &w->rand,
                                .refresh_factor = 0.8,
                                .refresh_jitter = 0.05,
                                .refresh_min_period_s = 60,
                                .refresh_buffer_s = 300,
                                .ask = can_ask ? ask : NULL,
                                .on_failed = on_failed,
                                .user = w};
    ck_assert_int_eq(kn_token_source_new(&options, &w->source), KC_OK);
    for (size_t i = 0; i < 4; i++) {
        kb_list_init(&w->waits[i].node);
        w->waits[i].fn = on_told;
        w->waits[i].user = w;
    }
}

static void init(world *w)
{
    init_with(w, true);
}

static void cleanup(world *w)
{
    kn_token_source_free(w->source);
    kn_loop_free(w->loop);
    ck_assert_uint_eq(w->mem.used, 0);
}

static void run(world *w, int64_t ms)
{
    int64_t until_us = kn_loop_now_us(w->loop) + ms * 1000;
    while (kn_loop_advance(w->loop, until_us))
        ;
}

static kc_err get(world *w, size_t i)
{
    kn_token token;
    kc_err err = kn_token_get(w->source, &token, &w->waits[i]);
    if (err == KC_OK)
        ck_assert(kc_bytes_equal(token.extensions, KC_STR("a=b\x01")));
    return err;
}

START_TEST(many_who_wait_make_one_question)
{
    world w;
    init(&w);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(get(&w, i), KC_ERR_AGAIN);
    ck_assert_int_eq(w.asks, 0); // from a turn
    run(&w, 60000);
    ck_assert_int_eq(w.asks, 1);
    kn_token_cancel(&w.waits[3]);
    ck_assert_int_eq(give(&w, "t", 0), KC_OK);
    run(&w, 0);
    ck_assert_int_eq(w.told, 3);
    ck_assert_int_eq(w.told_errors, 0);
    ck_assert_int_eq(get(&w, 0), KC_OK);
    run(&w, 86400000);
    ck_assert_int_eq(w.asks, 1); // it does not expire
    cleanup(&w);
}
END_TEST

START_TEST(an_answer_may_come_from_inside_the_question)
{
    world w;
    init(&w);
    w.answers = "t";
    ck_assert_int_eq(get(&w, 0), KC_ERR_AGAIN);
    run(&w, 0);
    ck_assert_int_eq(w.told, 1);
    ck_assert_int_eq(get(&w, 0), KC_OK);
    cleanup(&w);
}
END_TEST

START_TEST(a_token_is_refreshed_at_four_fifths_of_its_life_by_the_timer)
{
    world w;
    init(&w);
    w.answers = "t";
    ck_assert_int_eq(give(&w, "first", 3600000), KC_OK);
    for (int i = 1; i <= 20; i++) {
        int64_t from_ms = i == 1 ? 0 : w.asked_ms;
        run(&w, from_ms + 3600000 - now_ms(&w) - 1);
        ck_assert_int_eq(w.asks, i);
        ck_assert_int_ge(w.asked_ms - from_ms, 2880000);
        ck_assert_int_le(w.asked_ms - from_ms, 3060000);
        ck_assert_int_eq(get(&w, 0), KC_OK); // at no time without
    }
    cleanup(&w);
}
END_TEST

/** When a token of this life is asked for anew. */
static int64_t refresh_of(int64_t life_ms)
{
    world w;
    init(&w);
    ck_assert_int_eq(give(&w, "t", life_ms), KC_OK);
    run(&w, life_ms);
    ck_assert_int_eq(w.asks, 1);
    int64_t at_ms = w.asked_ms;
    cleanup(&w);
    return at_ms;
}

START_TEST(buffer_and_least_period_bound_the_refresh_where_both_fit)
{
    ck_assert_int_eq(refresh_of(600000), 300000); // 80 % would be in the last 300 s
    ck_assert_int_eq(refresh_of(360000), 60000);
    int64_t at_ms = refresh_of(100000); // both don't fit: by the share alone
    ck_assert_int_ge(at_ms, 80000);
    ck_assert_int_le(at_ms, 85000);
}
END_TEST

START_TEST(a_failed_refresh_is_told_and_tried_again_while_the_old_token_is_good)
{
    world w;
    init(&w);
    ck_assert_int_eq(give(&w, "t", 100000), KC_OK);
    run(&w, 86000);
    ck_assert_int_eq(w.asks, 1);
    kn_token_fail(w.source, "busy");
    ck_assert_int_eq(w.fails, 1);
    ck_assert_int_eq(w.error.code, KC_ERR_AUTH);
    ck_assert_int_eq(w.error.phase, KC_PHASE_SASL);
    ck_assert_str_eq(w.error.text, "no new token for SASL OAUTHBEARER: busy");
    ck_assert_int_eq(get(&w, 0), KC_OK);
    run(&w, 10001);
    ck_assert_int_eq(w.asks, 2);
    run(&w, 100000); // the old one has expired, the answer is still due
    ck_assert_int_eq(w.asks, 2);
    ck_assert_int_eq(get(&w, 0), KC_ERR_AGAIN);
    run(&w, 1000);
    ck_assert_int_eq(w.asks, 2);
    kn_token_fail(w.source, "down");
    run(&w, 0);
    ck_assert_int_eq(w.told_errors, 1);
    ck_assert_str_eq(w.error.text, "no token for SASL OAUTHBEARER: down");
    run(&w, 3600000);
    ck_assert_int_eq(w.asks, 2); // nobody needs one
    cleanup(&w);
}
END_TEST

START_TEST(a_bad_token_answers_the_question_as_a_failure)
{
    world w;
    init(&w);
    ck_assert_int_eq(get(&w, 0), KC_ERR_AGAIN);
    run(&w, 0);
    ck_assert_int_eq(give(&w, "has space", 0), KC_ERR_ARGUMENT);
    ck_assert_ptr_null(strstr(w.error.text, "has space"));
    run(&w, 0);
    ck_assert_int_eq(w.told_errors, 1);
    static const char *const bad[] = {"", "=",
                                      "a\x01"
                                      "auth=Bearer x",
                                      "a=b", "t\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(give(&w, bad[i], 0), KC_ERR_ARGUMENT);
    ck_assert_int_eq(give(&w, "t", -1), KC_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(w.error.text, "expired"));
    ck_assert_int_eq(give(&w, "aZ09-._~+/==", 1), KC_OK);
    cleanup(&w);
}
END_TEST

START_TEST(an_expired_token_is_not_handed_out)
{
    world w;
    init_with(&w, false);
    ck_assert_int_eq(give(&w, "t", 1000), KC_OK);
    run(&w, 999);
    ck_assert_int_eq(get(&w, 0), KC_OK);
    run(&w, 1);
    ck_assert_int_eq(get(&w, 0), KC_ERR_AUTH); // and there is nobody to ask
    cleanup(&w);
}
END_TEST

START_TEST(a_refusal_of_an_older_token_does_not_cost_the_newer)
{
    world w;
    init(&w);
    kn_token old;
    ck_assert_int_eq(give(&w, "old", 0), KC_OK);
    ck_assert_int_eq(kn_token_get(w.source, &old, &w.waits[0]), KC_OK);
    ck_assert_int_eq(give(&w, "new", 0), KC_OK);
    kn_token_refused(w.source, old.generation);
    ck_assert_int_eq(get(&w, 0), KC_OK);
    kn_token_refused(w.source, old.generation + 1);
    ck_assert_int_eq(get(&w, 0), KC_ERR_AGAIN);
    kn_token_cancel(&w.waits[0]);
    cleanup(&w);
}
END_TEST

START_TEST(a_token_of_very_long_life_overflows_nothing)
{
    world w;
    init(&w);
    ck_assert_int_eq(kn_token_give(w.source, KC_STR("t"), KC_STR("a=b\x01"), INT64_MAX, NULL),
                     KC_OK);
    run(&w, 1000);
    ck_assert_int_eq(get(&w, 0), KC_OK);
    ck_assert_int_eq(w.asks, 0);
    cleanup(&w);
}
END_TEST

START_TEST(tokens_of_a_moments_life_are_not_asked_for_without_pause)
{
    world w;
    init(&w);
    w.answers = "t";
    w.life_ms = 1;
    ck_assert_int_eq(get(&w, 0), KC_ERR_AGAIN);
    run(&w, 10000);
    ck_assert_int_eq(w.told, 1);
    ck_assert_int_ge(w.asks, 9);
    ck_assert_int_le(w.asks, 11);
    cleanup(&w);
}
END_TEST
