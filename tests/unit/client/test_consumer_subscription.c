/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a member wants: lists, functions and patterns. */
#include "client/consumer_part.h"
#include "tests/unit/client/consumer_world.h"

static const char *const with_group[] = {"group.id", "g", NULL};

static void start(world *w)
{
    world_start(w, 1, 1, with_group);
    fake_topic_add(w->cluster, "orders", 1);
    fake_topic_add(w->cluster, "orders-old", 1);
    fake_topic_add(w->cluster, "__internal", 1)->is_internal = true;
}

START_TEST(a_list_is_sorted_and_each_topic_named_once)
{
    world w;
    start(&w);
    kc_bytes topics[] = {KC_STR("t"), KC_STR("orders"), KC_STR("t")};
    ck_assert_int_eq(kc_consumer_subscribe(w.consumer, topics, 3, NULL), KC_OK);
    world_stable(&w);
    ck_assert_str_eq(w.subscription, "orders,t");
    ck_assert_uint_eq(kc_consumer_assignment(w.consumer, NULL, 0), 2);
    world_stop(&w);
}
END_TEST

START_TEST(senseless_subscriptions_are_refused)
{
    world w;
    start(&w);
    kc_error error;
    kc_bytes bad = KC_STR("a b");
    ck_assert_int_eq(kc_consumer_subscribe(w.consumer, &bad, 1, &error), KC_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "a b"));
    ck_assert_int_eq(kc_consumer_subscribe(w.consumer, NULL, 0, &error), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_consumer_subscribe_match(w.consumer, NULL, NULL, &error), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(w.consumer, "a(", &error), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(w.consumer, "a)(b", &error), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(w.consumer, NULL, &error), KC_ERR_ARGUMENT);
    ck_assert_str_eq(world_state(&w), "none");
    world_stop(&w);
    world_start(&w, 1, 1, NULL);
    kc_bytes good = KC_STR("t");
    ck_assert_int_eq(kc_consumer_subscribe(w.consumer, &good, 1, &error), KC_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(error.text, "group.id"));
    world_stop(&w);
}
END_TEST

START_TEST(a_pattern_matches_whole_names_and_no_internal_topics)
{
    world w;
    start(&w);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(w.consumer, "orders|.*intern.*|x", NULL), KC_OK);
    world_stable(&w);
    ck_assert_str_eq(w.subscription, "orders");
    world_stop(&w);
}
END_TEST

static bool starts_with_o(kc_bytes topic, void *user)
{
    (*(int *)user)++;
    return topic.ptr[0] == 'o';
}

START_TEST(a_function_is_asked_for_every_topic_and_only_from_dispatch)
{
    world w;
    start(&w);
    int asked = 0;
    ck_assert_int_eq(kc_consumer_subscribe_match(w.consumer, starts_with_o, &asked, NULL), KC_OK);
    ck_assert_int_eq(asked, 0);
    world_stable(&w);
    ck_assert_str_eq(w.subscription, "orders,orders-old");
    ck_assert_int_ge(asked, 3);
    world_stop(&w);
}
END_TEST

START_TEST(new_topics_that_match_are_joined_for)
{
    world w;
    start(&w);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(w.consumer, "orders.*", NULL), KC_OK);
    world_stable(&w);
    fake_topic_add(w.cluster, "other", 1);
    kc_consumer_refresh_topics(w.consumer);
    world_run(&w, 1000);
    ck_assert_int_eq(w.generation, 1);
    fake_topic_add(w.cluster, "orders-new", 2);
    world_append(world_log_of(&w, "orders-new", 1), 3, KP_CODEC_NONE);
    kc_consumer_refresh_topics(w.consumer);
    world_run(&w, 2000);
    ck_assert_int_eq(w.generation, 2);
    ck_assert_str_eq(w.subscription, "orders,orders-new,orders-old");
    ck_assert_str_eq(w.reason, "other topics match the subscription");
    ck_assert_int_eq(world_read_until(&w, 3, 1000), 3);
    world_stop(&w);
}
END_TEST

START_TEST(new_topics_are_found_by_age_too)
{
    world w;
    const char *settings[] = {"group.id", "g", "metadata.max.age.ms", "10000", NULL};
    world_start(&w, 1, 1, settings);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(w.consumer, "orders.*", NULL), KC_OK);
    world_stable(&w); /* with nothing */
    ck_assert_str_eq(w.subscription, "");
    fake_topic_add(w.cluster, "orders", 1);
    world_run(&w, 15000);
    ck_assert_str_eq(w.subscription, "orders");
    ck_assert_uint_eq(kc_consumer_assignment(w.consumer, NULL, 0), 1);
    world_stop(&w);
}
END_TEST

START_TEST(topics_that_go_are_left_out)
{
    world w;
    start(&w);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(w.consumer, "orders.*", NULL), KC_OK);
    world_stable(&w);
    fake_topic_remove(w.cluster, "orders-old");
    kc_consumer_refresh_topics(w.consumer);
    world_run(&w, 2000);
    ck_assert_str_eq(w.subscription, "orders");
    world_stop(&w);
}
END_TEST

START_TEST(a_list_takes_the_place_of_a_pattern_and_of_an_assignment)
{
    world w;
    start(&w);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(w.consumer, "orders.*", NULL), KC_OK);
    ck_assert_uint_eq(kc_consumer_assignment(w.consumer, NULL, 0), 0);
    world_stable(&w);
    world_subscribe(&w, "t");
    world_run(&w, 1000);
    ck_assert_str_eq(w.subscription, "t");
    fake_topic_add(w.cluster, "orders-new", 1);
    kc_consumer_refresh_topics(w.consumer);
    int32_t generation = w.generation;
    world_run(&w, 2000);
    ck_assert_int_eq(w.generation, generation);
    world_stop(&w);
}
END_TEST
