/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Coordinators: one look-up for all who wait, forgotten on error, tried until a deadline. */
#include "client/coordinator.h"
#include "client/metadata.h"
#include "tests/unit/client/fake_broker.h"

#include <check.h>
#include <stdio.h>

typedef struct world {
    fake_cluster *cluster;
    kc_client *client;
    kc_coordinators *coordinators;
} world;

static void set_up(world *w)
{
    w->cluster = fake_new(3);
    w->client = fake_client(w->cluster, NULL);
    w->coordinators = w->client->coordinators;
}

static void tear_down(world *w)
{
    kc_client_free(w->client);
    fake_free(w->cluster);
}

/** Somebody who waits. */
typedef struct seeker {
    kc_coordinator_wait wait;
    int told;
    int32_t broker_id;
    kc_error error;
} seeker;

static void on_told(kc_coordinator_wait *wait, int32_t broker_id, const kc_error *error)
{
    seeker *self = wait->user;
    self->told++;
    self->broker_id = broker_id;
    if (error)
        self->error = *error;
}

static void seek(world *w, seeker *self, const char *key, int64_t timeout_ms)
{
    *self = (seeker){.broker_id = -2};
    kb_list_init(&self->wait.node);
    self->wait.fn = on_told;
    self->wait.user = self;
    self->wait.deadline_us = kn_loop_now_us(w->cluster->loop) + timeout_ms * 1000;
    ck_assert_int_eq(
        kc_coordinator_find(w->coordinators, KC_COORDINATOR_GROUP, kc_str(key), &self->wait),
        KC_OK);
    ck_assert_int_eq(self->told, 0);
}

static uint32_t asked(const world *w)
{
    return fake_count(w->cluster, 0, KP_API_FIND_COORDINATOR);
}

START_TEST(one_look_up_answers_all_who_wait)
{
    world w;
    seeker a, b, c;
    set_up(&w);
    w.cluster->coordinator = 2;
    seek(&w, &a, "g", 1000);
    seek(&w, &b, "g", 1000);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(a.told, 1);
    ck_assert_int_eq(b.told, 1);
    ck_assert_int_eq(a.broker_id, 2);
    ck_assert(kn_pool_has_broker(w.client->pool, 2));
    ck_assert_uint_eq(asked(&w), 1);
    ck_assert_int_eq(kc_coordinator_known(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("g")), 2);
    ck_assert_int_eq(kc_coordinator_known(w.coordinators, KC_COORDINATOR_TRANSACTION, KC_STR("g")),
                     -1);
    seek(&w, &c, "g", 1000); /* known: told from a turn all the same */
    fake_run(w.cluster, 1);
    ck_assert_int_eq(c.told, 1);
    ck_assert_uint_eq(asked(&w), 1);
    tear_down(&w);
}
END_TEST

START_TEST(cancelling_one_wait_leaves_the_look_up_to_the_others)
{
    world w;
    seeker a, b;
    set_up(&w);
    seek(&w, &a, "g", 1000);
    seek(&w, &b, "g", 1000);
    kc_coordinator_cancel(&a.wait);
    kc_coordinator_cancel(&a.wait);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(a.told, 0);
    ck_assert_int_eq(b.told, 1);
    tear_down(&w);
}
END_TEST

START_TEST(a_forgotten_one_is_looked_up_anew)
{
    world w;
    seeker a, b;
    set_up(&w);
    seek(&w, &a, "g", 1000);
    fake_run(w.cluster, 50);
    kc_coordinator_forget(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("g"));
    kc_coordinator_forget(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("other"));
    ck_assert_int_eq(kc_coordinator_known(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("g")), -1);
    w.cluster->coordinator = 3;
    seek(&w, &b, "g", 1000);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(b.broker_id, 3);
    ck_assert_uint_eq(asked(&w), 2);
    tear_down(&w);
}
END_TEST

START_TEST(forgotten_before_it_was_told_means_asked_again)
{
    world w;
    seeker a, b;
    set_up(&w);
    seek(&w, &a, "g", 1000);
    fake_run(w.cluster, 50);
    seek(&w, &b, "g", 1000);
    kc_coordinator_forget(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("g"));
    w.cluster->coordinator = 2;
    fake_run(w.cluster, 50);
    ck_assert_int_eq(b.told, 1);
    ck_assert_int_eq(b.broker_id, 2);
    tear_down(&w);
}
END_TEST

START_TEST(a_lost_connection_makes_forget)
{
    world w;
    seeker a;
    kc_meta_topic *topic;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    ck_assert_int_eq(kc_metadata_use(w.client->metadata, KC_STR("t"), &topic), KC_OK);
    fake_run(w.cluster, 50);
    seek(&w, &a, "g", 1000);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(a.broker_id, 1);
    kc_coordinators_forget_broker(w.coordinators, 2);
    ck_assert_int_eq(kc_coordinator_known(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("g")), 1);
    kc_coordinators_forget_broker(w.coordinators, 1);
    ck_assert_int_eq(kc_coordinator_known(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("g")), -1);
    tear_down(&w);
}
END_TEST

/** Errors a few times, then the model's answer. */
typedef struct script {
    int16_t error;
    int times;
} script;

static fake_action answer_error(fake_request *request, void *response, void *user)
{
    script *self = user;
    kp_find_coordinator_resp *answer = response;
    fake_model(request, response);
    if (self->times-- > 0) {
        answer->coordinators.items[0].error_code = self->error;
        answer->coordinators.items[0].error_message = KC_STR("so it is");
        answer->coordinators.items[0].node_id = -1;
    }
    return FAKE_ANSWER;
}

START_TEST(retriable_errors_are_tried_again_with_backoff)
{
    world w;
    seeker a;
    script s = {KC_E_COORDINATOR_NOT_AVAILABLE, 5};
    set_up(&w);
    fake_on(w.cluster, KP_API_FIND_COORDINATOR, answer_error, &s);
    seek(&w, &a, "g", 30000);
    fake_run(w.cluster, 1000);
    ck_assert_int_eq(a.told, 0);
    fake_run(w.cluster, 5000);
    ck_assert_int_eq(a.told, 1);
    ck_assert_int_eq(a.broker_id, 1);
    ck_assert_uint_eq(asked(&w), 6);
    tear_down(&w);
}
END_TEST

START_TEST(final_errors_are_told_at_once)
{
    world w;
    seeker a, b;
    script s = {KC_E_GROUP_AUTHORIZATION_FAILED, 1};
    set_up(&w);
    fake_on(w.cluster, KP_API_FIND_COORDINATOR, answer_error, &s);
    seek(&w, &a, "g", 30000);
    seek(&w, &b, "g", 30000);
    fake_run(w.cluster, 100);
    ck_assert_int_eq(a.told, 1);
    ck_assert_int_eq(b.told, 1);
    ck_assert_int_eq(a.error.code, KC_E_GROUP_AUTHORIZATION_FAILED);
    ck_assert_ptr_nonnull(strstr(a.error.text, "so it is"));
    seek(&w, &a, "g", 30000); /* and the next one asks anew */
    fake_run(w.cluster, 100);
    ck_assert_int_eq(a.broker_id, 1);
    tear_down(&w);
}
END_TEST

START_TEST(the_deadline_tells_the_last_cause)
{
    world w;
    seeker a, b;
    script s = {KC_E_COORDINATOR_LOAD_IN_PROGRESS, 1000};
    set_up(&w);
    fake_on(w.cluster, KP_API_FIND_COORDINATOR, answer_error, &s);
    seek(&w, &a, "g", 500);
    seek(&w, &b, "g", 2000);
    fake_run(w.cluster, 600);
    ck_assert_int_eq(a.told, 1);
    ck_assert_int_eq(a.error.code, KC_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(a.error.text, "so it is"));
    ck_assert_int_eq(b.told, 0);
    fake_run(w.cluster, 1500);
    ck_assert_int_eq(b.told, 1);
    uint32_t before = asked(&w);
    fake_run(w.cluster, 10000); /* nobody waits: nothing is asked */
    ck_assert_uint_le(asked(&w), before + 1);
    tear_down(&w);
}
END_TEST

START_TEST(without_any_broker_the_deadline_names_the_connection)
{
    world w;
    seeker a;
    set_up(&w);
    fake_down(w.cluster, 1);
    fake_down(w.cluster, 2);
    seek(&w, &a, "g", 3000);
    fake_run(w.cluster, 3001);
    ck_assert_int_eq(a.told, 1);
    ck_assert_int_eq(a.error.code, KC_ERR_TIMEOUT);
    ck_assert_msg(strstr(a.error.text, "refused") != NULL, "%s", a.error.text);
    tear_down(&w);
}
END_TEST

START_TEST(brokers_without_the_list_of_keys_are_asked_for_one)
{
    world w;
    seeker a, b;
    set_up(&w);
    w.cluster->versions[KP_API_FIND_COORDINATOR].max = 3;
    w.cluster->coordinator = 3;
    seek(&w, &a, "g", 1000);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(a.broker_id, 3);
    seek(&w, &b, "h", 1000);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(b.broker_id, 3);
    ck_assert_uint_eq(asked(&w), 2);
    tear_down(&w);
}
END_TEST

START_TEST(of_two_who_ask_an_old_broker_at_once_both_are_answered)
{
    world w;
    seeker a, b;
    set_up(&w);
    w.cluster->versions[KP_API_FIND_COORDINATOR].max = 3;
    w.cluster->coordinator = 3;
    seek(&w, &a, "g", 1000);
    seek(&w, &b, "h", 1000);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(a.broker_id, 3);
    ck_assert_int_eq(b.broker_id, 3);
    tear_down(&w);
}
END_TEST

static fake_action answer_nonsense(fake_request *request, void *response, void *user)
{
    (void)user;
    kp_find_coordinator_resp *answer = response;
    fake_model(request, response);
    answer->coordinators.items[0].port = 123456;
    return FAKE_ANSWER;
}

START_TEST(a_nonsense_address_is_not_believed)
{
    world w;
    seeker a;
    set_up(&w);
    fake_on(w.cluster, KP_API_FIND_COORDINATOR, answer_nonsense, NULL);
    seek(&w, &a, "g", 1000);
    fake_run(w.cluster, 1001);
    ck_assert_int_eq(a.told, 1);
    ck_assert_int_eq(a.broker_id, -1);
    tear_down(&w);
}
END_TEST

/** Waits that end others, and begin anew, when they are told. */
typedef struct meddler {
    kc_coordinator_wait wait;
    world *w;
    seeker *other;
    int told;
} meddler;

static void on_meddle(kc_coordinator_wait *wait, int32_t broker_id, const kc_error *error)
{
    meddler *self = wait->user;
    (void)broker_id;
    (void)error;
    kc_coordinator_cancel(&self->other->wait);
    kc_coordinator_forget(self->w->coordinators, KC_COORDINATOR_GROUP, KC_STR("g"));
    if (self->told++ == 0)
        ck_assert_int_eq(kc_coordinator_find(self->w->coordinators, KC_COORDINATOR_GROUP,
                                             KC_STR("g"), &self->wait),
                         KC_OK);
}

START_TEST(who_is_told_may_cancel_forget_and_wait_again)
{
    world w;
    seeker other;
    set_up(&w);
    meddler m = {.w = &w, .other = &other};
    kb_list_init(&m.wait.node);
    m.wait.fn = on_meddle;
    m.wait.user = &m;
    m.wait.deadline_us = INT64_MAX;
    ck_assert_int_eq(
        kc_coordinator_find(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("g"), &m.wait), KC_OK);
    seek(&w, &other, "g", 1000);
    fake_run(w.cluster, 500);
    ck_assert_int_eq(m.told, 2);
    ck_assert_int_eq(other.told, 0);
    tear_down(&w);
}
END_TEST

START_TEST(many_keys_asked_once_are_not_remembered_for_ever)
{
    world w;
    seeker a;
    set_up(&w);
    for (int i = 0; i < 5000; i++) {
        char key[32];
        snprintf(key, sizeof key, "group-%d", i);
        seek(&w, &a, key, 1000);
        fake_run(w.cluster, 2);
        ck_assert_int_eq(a.told, 1);
    }
    ck_assert_int_eq(kc_coordinator_known(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("group-0")),
                     -1);
    ck_assert_int_eq(
        kc_coordinator_known(w.coordinators, KC_COORDINATOR_GROUP, KC_STR("group-4999")), 1);
    tear_down(&w);
}
END_TEST
