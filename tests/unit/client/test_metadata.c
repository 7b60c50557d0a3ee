/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Metadata: when the cluster is asked, and what an answer may change. */
#include "client/metadata.h"
#include "tests/unit/client/fake_broker.h"

#include <check.h>

/** A client on a cluster, with one topic in use. */
typedef struct world {
    fake_cluster *cluster;
    kc_client *client;
    kc_metadata *metadata;
    kc_meta_listener listener;
    int told;
} world;

static void on_change(kc_meta_listener *listener)
{
    ((world *)listener->user)->told++;
}

static void set_up_with(world *w, int brokers, kc_config *config)
{
    *w = (world){.cluster = fake_new(brokers)};
    w->client = fake_client(w->cluster, config);
    w->metadata = w->client->metadata;
    w->listener.fn = on_change;
    w->listener.user = w;
    kc_metadata_listen(w->metadata, &w->listener);
    kc_config_free(config);
}

static void set_up(world *w)
{
    set_up_with(w, 3, NULL);
}

static void tear_down(world *w)
{
    kc_metadata_unlisten(&w->listener);
    kc_client_free(w->client);
    fake_free(w->cluster);
}

static kc_meta_topic *use(world *w, const char *name)
{
    kc_meta_topic *topic;
    ck_assert_int_eq(kc_metadata_use(w->metadata, kc_str(name), &topic), KC_OK);
    return topic;
}

static uint32_t asked(const world *w)
{
    return fake_count(w->cluster, 0, KP_API_METADATA);
}

/** The model's answer, after the time in *user. */
static fake_action answer_late(fake_request *request, void *response, void *user)
{
    fake_model(request, response);
    request->delay_us = *(int64_t *)user;
    return FAKE_ANSWER;
}

START_TEST(a_topic_in_use_gets_its_leaders)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 4);
    kc_meta_topic *topic = use(&w, "t");
    ck_assert_int_eq(topic->err, KC_ERR_AGAIN);
    ck_assert_ptr_eq(kc_metadata_find(w.metadata, KC_STR("t")), topic);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(topic->err, KC_OK);
    ck_assert_int_eq(topic->first_asked_us, 0);
    ck_assert_int_eq(topic->partition_count, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(topic->partitions[i].leader, i % 3 + 1);
    ck_assert(!kc_uuid_is_zero(topic->id));
    ck_assert_ptr_eq(kc_metadata_find_id(w.metadata, topic->id), topic);
    ck_assert_int_eq(kc_metadata_controller(w.metadata), 1);
    ck_assert(kc_bytes_equal(kc_metadata_cluster_id(w.metadata), KC_STR("fake")));
    ck_assert_int_eq(w.told, 1);
    ck_assert_uint_eq(kc_metadata_version(w.metadata), 1);
    ck_assert_uint_eq(asked(&w), 1);
    kc_metadata_unuse(w.metadata, topic);
    tear_down(&w);
}
END_TEST

START_TEST(uses_are_counted_and_merged_into_one_request)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "a", 1);
    fake_topic_add(w.cluster, "b", 1);
    kc_meta_topic *a = use(&w, "a"), *again = use(&w, "a"), *b = use(&w, "b");
    ck_assert_ptr_eq(a, again);
    fake_run(w.cluster, 50);
    ck_assert_uint_eq(asked(&w), 1);
    kc_metadata_unuse(w.metadata, a);
    ck_assert_ptr_eq(kc_metadata_find(w.metadata, KC_STR("a")), a);
    kc_metadata_unuse(w.metadata, a);
    ck_assert_ptr_null(kc_metadata_find(w.metadata, KC_STR("a")));
    kc_metadata_unuse(w.metadata, b);
    tear_down(&w);
}
END_TEST

START_TEST(illegal_names_are_refused)
{
    world w;
    set_up(&w);
    kc_meta_topic *topic;
    const char *bad[] = {"", ".", "..", "a b", "a/b", "a\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(kc_metadata_use(w.metadata, kc_str(bad[i]), &topic), KC_ERR_ARGUMENT);
    char name[251];
    memset(name, 'x', sizeof name);
    ck_assert(!kc_topic_name_is_valid(kc_span(name, 250)));
    ck_assert(kc_topic_name_is_valid(kc_span(name, 249)));
    ck_assert(kc_topic_name_is_valid(KC_STR("...")));
    ck_assert(kc_topic_name_is_valid(KC_STR("A_b-c.9")));
    tear_down(&w);
}
END_TEST

START_TEST(a_topic_that_comes_during_a_request_is_asked_for_right_after)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "a", 1);
    fake_topic_add(w.cluster, "b", 1);
    use(&w, "a");
    while (asked(&w) == 0)
        ck_assert(kn_loop_advance(w.cluster->loop, INT64_MAX));
    kc_meta_topic *b = use(&w, "b");
    fake_run(w.cluster, 20);
    ck_assert_int_eq(b->err, KC_OK);
    ck_assert_uint_eq(asked(&w), 2);
    tear_down(&w);
}
END_TEST

START_TEST(refreshes_are_spaced_by_the_backoff)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    use(&w, "t");
    fake_run(w.cluster, 50);
    for (int i = 0; i < 1000; i++) {
        kc_metadata_refresh(w.metadata, "test");
        fake_run(w.cluster, 1);
    }
    ck_assert_uint_ge(asked(&w), 8);
    ck_assert_uint_le(asked(&w), 14);
    uint32_t before = asked(&w);
    fake_run(w.cluster, 60000);
    ck_assert_uint_le(asked(&w), before + 1);
    tear_down(&w);
}
END_TEST

START_TEST(a_settled_client_is_quiet_until_the_age_is_over)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    use(&w, "t");
    fake_run(w.cluster, 299000);
    ck_assert_uint_eq(asked(&w), 1);
    fake_run(w.cluster, 2000);
    ck_assert_uint_eq(asked(&w), 2);
    tear_down(&w);
}
END_TEST

START_TEST(without_a_topic_in_use_nothing_is_asked)
{
    world w;
    set_up(&w);
    fake_run(w.cluster, 3600000);
    ck_assert_uint_eq(asked(&w), 0);
    ck_assert_uint_eq(kn_mem_network_connects(w.cluster->network), 0);
    tear_down(&w);
}
END_TEST

START_TEST(an_unknown_topic_is_asked_for_with_growing_waits)
{
    world w;
    set_up(&w);
    kc_meta_topic *topic = use(&w, "missing");
    fake_run(w.cluster, 30000);
    ck_assert_int_eq(topic->err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_ne(topic->first_asked_us, 0);
    ck_assert_uint_ge(asked(&w), 25);
    ck_assert_uint_le(asked(&w), 45);
    fake_topic_add(w.cluster, "missing", 2);
    fake_run(w.cluster, 1500);
    ck_assert_int_eq(topic->err, KC_OK);
    ck_assert_int_eq(topic->partition_count, 2);
    tear_down(&w);
}
END_TEST

START_TEST(asking_never_makes_a_topic_unless_it_was_allowed)
{
    world w;
    set_up(&w);
    kc_meta_topic *reader = use(&w, "read");
    fake_run(w.cluster, 5000);
    ck_assert_int_eq(reader->err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    kc_meta_topic *writer = use(&w, "written");
    kc_metadata_allow_create(w.metadata, writer);
    fake_run(w.cluster, 5000);
    ck_assert_int_eq(writer->err, KC_OK);
    ck_assert_int_eq(reader->err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_ptr_null(fake_topic_find(w.cluster, KC_STR("read")));
    tear_down(&w);
}
END_TEST

START_TEST(leave_to_make_a_topic_may_come_after_the_first_answer)
{
    world w;
    set_up(&w);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 500);
    kc_metadata_allow_create(w.metadata, topic);
    fake_run(w.cluster, 1500);
    ck_assert_int_eq(topic->err, KC_OK);
    tear_down(&w);
}
END_TEST

START_TEST(an_older_leader_epoch_is_left_out)
{
    world w;
    set_up(&w);
    fake_topic *model = fake_topic_add(w.cluster, "t", 1);
    model->partitions[0].leader_epoch = 7;
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    model->partitions[0] = (fake_partition){.leader = 2, .leader_epoch = 6};
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 500);
    ck_assert_int_eq(topic->partitions[0].leader, 1);
    ck_assert_int_eq(topic->partitions[0].leader_epoch, 7);
    model->partitions[0] = (fake_partition){.leader = 2, .leader_epoch = -1};
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 500);
    ck_assert_int_eq(topic->partitions[0].leader, 2); /* says nothing of epochs: believed */
    ck_assert_int_eq(topic->partitions[0].leader_epoch, 7);
    model->partitions[0] = (fake_partition){.leader = 3, .leader_epoch = 8};
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 500);
    ck_assert_int_eq(topic->partitions[0].leader, 3);
    ck_assert_uint_eq(topic->incarnation, 0);
    tear_down(&w);
}
END_TEST

START_TEST(an_error_takes_no_partition_away)
{
    world w;
    set_up(&w);
    fake_topic *model = fake_topic_add(w.cluster, "t", 3);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    model->error = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 300);
    ck_assert_int_eq(topic->err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(topic->partition_count, 3);
    ck_assert_int_eq(topic->partitions[1].leader, 2);
    model->error = 0;
    fake_run(w.cluster, 2000);
    ck_assert_int_eq(topic->err, KC_OK);
    ck_assert_uint_eq(topic->incarnation, 0);
    tear_down(&w);
}
END_TEST

START_TEST(partitions_grow_and_never_shrink)
{
    world w;
    set_up(&w);
    fake_topic *model = fake_topic_add(w.cluster, "t", 5);
    model->partition_count = 2;
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    ck_assert_int_eq(topic->partition_count, 2);
    model->partition_count = 5;
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 300);
    ck_assert_int_eq(topic->partition_count, 5);
    model->partition_count = 3; /* a broker with an old view */
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 300);
    ck_assert_int_eq(topic->partition_count, 5);
    tear_down(&w);
}
END_TEST

START_TEST(another_id_is_another_topic)
{
    world w;
    set_up(&w);
    fake_topic *model = fake_topic_add(w.cluster, "t", 3);
    model->partitions[0].leader_epoch = 9;
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    kc_uuid old = topic->id;
    fake_topic_recreate(w.cluster, "t", 1);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 300);
    ck_assert_uint_eq(topic->incarnation, 1);
    ck_assert_int_eq(topic->partition_count, 1);
    ck_assert_int_eq(topic->partitions[0].leader_epoch, 0);
    ck_assert_ptr_null(kc_metadata_find_id(w.metadata, old));
    ck_assert_ptr_eq(kc_metadata_find_id(w.metadata, topic->id), topic);
    tear_down(&w);
}
END_TEST

START_TEST(brokers_without_ids_say_nothing_about_them)
{
    world w;
    set_up(&w);
    fake_topic *model = fake_topic_add(w.cluster, "t", 1);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    kc_uuid id = topic->id;
    memset(&model->id, 0, sizeof model->id);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 300);
    ck_assert_mem_eq(&topic->id, &id, sizeof id);
    ck_assert_uint_eq(topic->incarnation, 0);
    tear_down(&w);
}
END_TEST

START_TEST(old_brokers_give_neither_ids_nor_epochs)
{
    world w;
    set_up(&w);
    w.cluster->versions[KP_API_METADATA].max = 5;
    fake_topic_add(w.cluster, "t", 2);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    ck_assert_int_eq(topic->err, KC_OK);
    ck_assert(kc_uuid_is_zero(topic->id));
    ck_assert_int_eq(topic->partitions[0].leader_epoch, -1);
    fake_move_leader(w.cluster, "t", 0, 3);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 300);
    ck_assert_int_eq(topic->partitions[0].leader, 3);
    tear_down(&w);
}
END_TEST

START_TEST(a_partition_without_leader_is_asked_for_until_it_has_one)
{
    world w;
    set_up(&w);
    fake_topic *model = fake_topic_add(w.cluster, "t", 2);
    model->partitions[1] = (fake_partition){.leader = -1, .error = KC_E_LEADER_NOT_AVAILABLE};
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 5000);
    ck_assert_int_eq(topic->partitions[1].leader, -1);
    ck_assert_int_eq(topic->partitions[0].leader, 1);
    ck_assert_uint_ge(asked(&w), 5);
    model->partitions[1] = (fake_partition){.leader = 2, .leader_epoch = 1};
    fake_run(w.cluster, 1500);
    ck_assert_int_eq(topic->partitions[1].leader, 2);
    uint32_t before = asked(&w);
    fake_run(w.cluster, 60000);
    ck_assert_uint_eq(asked(&w), before);
    tear_down(&w);
}
END_TEST

START_TEST(only_authorization_errors_are_final)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1)->error = KC_E_TOPIC_AUTHORIZATION_FAILED;
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 60000);
    ck_assert_int_eq(topic->err, KC_E_TOPIC_AUTHORIZATION_FAILED);
    ck_assert_uint_eq(asked(&w), 1);
    tear_down(&w);
}
END_TEST

START_TEST(all_names_are_kept_while_somebody_wants_them)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "a", 1);
    fake_topic_add(w.cluster, "b", 2)->is_internal = true;
    fake_topic_add(w.cluster, "c", 3)->error = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    kc_metadata_use_all(w.metadata);
    kc_metadata_use_all(w.metadata);
    kc_meta_topic *missing = use(&w, "missing");
    fake_run(w.cluster, 50);
    size_t pos = 0;
    bool is_internal;
    int32_t count;
    kc_bytes name = kc_metadata_next_name(w.metadata, &pos, &is_internal, &count);
    ck_assert(kc_bytes_equal(name, KC_STR("a")) && !is_internal && count == 1);
    name = kc_metadata_next_name(w.metadata, &pos, &is_internal, &count);
    ck_assert(kc_bytes_equal(name, KC_STR("b")) && is_internal && count == 2);
    ck_assert_ptr_null(kc_metadata_next_name(w.metadata, &pos, NULL, NULL).ptr);
    ck_assert_int_eq(missing->err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    kc_metadata_unuse_all(w.metadata);
    pos = 0;
    ck_assert_ptr_nonnull(kc_metadata_next_name(w.metadata, &pos, NULL, NULL).ptr);
    kc_metadata_unuse_all(w.metadata);
    pos = 0;
    ck_assert_ptr_null(kc_metadata_next_name(w.metadata, &pos, NULL, NULL).ptr);
    tear_down(&w);
}
END_TEST

START_TEST(all_names_and_a_topic_to_make_take_two_requests)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "a", 1);
    kc_metadata_use_all(w.metadata);
    kc_meta_topic *made = use(&w, "made");
    kc_metadata_allow_create(w.metadata, made);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(made->err, KC_OK);
    ck_assert_uint_eq(asked(&w), 2);
    size_t pos = 0, count = 0;
    while (kc_metadata_next_name(w.metadata, &pos, NULL, NULL).ptr)
        count++;
    ck_assert_uint_eq(count, 2);
    tear_down(&w);
}
END_TEST

START_TEST(a_hint_moves_a_leader_when_its_epoch_is_newer)
{
    world w;
    set_up(&w);
    fake_topic *model = fake_topic_add(w.cluster, "t", 1);
    model->partitions[0].leader_epoch = 3;
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    int told = w.told;
    kc_metadata_hint(w.metadata, topic, 0, 2, 3);
    kc_metadata_hint(w.metadata, topic, 0, 2, 2);
    kc_metadata_hint(w.metadata, topic, 7, 2, 9);
    kc_metadata_hint(w.metadata, topic, 0, -1, 9);
    ck_assert_int_eq(topic->partitions[0].leader, 1);
    kc_metadata_hint(w.metadata, topic, 0, 2, 4);
    ck_assert_int_eq(topic->partitions[0].leader, 2);
    ck_assert_int_eq(w.told, told); /* from a turn, not from inside */
    fake_run(w.cluster, 1);
    ck_assert_int_eq(w.told, told + 1);
    tear_down(&w);
}
END_TEST

START_TEST(requests_that_fail_back_off_and_keep_the_cause)
{
    world w;
    set_up(&w);
    fake_down(w.cluster, 1);
    fake_down(w.cluster, 2);
    fake_topic_add(w.cluster, "t", 1);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 100000);
    ck_assert_int_eq(topic->err, KC_ERR_AGAIN);
    const kc_error *error = kc_metadata_error(w.metadata);
    ck_assert_int_eq(error->code, KC_ERR_TIMEOUT);
    ck_assert_msg(strstr(error->text, "refused") != NULL, "%s", error->text);
    kc_error last;
    kc_client_last_error(w.client, &last);
    ck_assert_int_ne(last.code, KC_OK);
    ck_assert_uint_le(kn_mem_network_connects(w.cluster->network), 300); /* about 2 in a second */
    fake_up(w.cluster, 2);
    fake_run(w.cluster, 3000);
    ck_assert_int_eq(topic->err, KC_OK);
    ck_assert_int_eq(kc_metadata_error(w.metadata)->code, KC_OK);
    kc_client_last_error(w.client, &last);
    ck_assert_int_eq(last.code, KC_OK);
    tear_down(&w);
}
END_TEST

START_TEST(while_the_first_request_is_stuck_the_cause_is_known)
{
    world w;
    set_up(&w);
    fake_down(w.cluster, 1);
    fake_down(w.cluster, 2);
    use(&w, "t");
    fake_run(w.cluster, 1000);
    ck_assert_int_eq(kc_metadata_error(w.metadata)->code, KC_ERR_CONNECT);
    tear_down(&w);
}
END_TEST

START_TEST(a_lost_broker_does_not_stop_the_others_from_answering)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 3);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    fake_down(w.cluster, 1);
    for (int i = 0; i < 3; i++)
        if (topic->partitions[i].leader == 1)
            fake_move_leader(w.cluster, "t", i, 2);
    fake_broker_of(w.cluster, 1)->is_gone = true;
    w.cluster->controller = 3;
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 5000);
    ck_assert_int_eq(topic->partitions[0].leader, 2);
    ck_assert_int_eq(kc_metadata_controller(w.metadata), 3);
    ck_assert(!kn_pool_has_broker(w.client->pool, 1));
    ck_assert(kn_pool_has_broker(w.client->pool, 3));
    tear_down(&w);
}
END_TEST

START_TEST(a_broker_that_hangs_does_not_hold_up_the_answer)
{
    for (int32_t hung = 1; hung <= 3; hung++) {
        world w;
        set_up(&w);
        fake_topic_add(w.cluster, "t", 3);
        kc_meta_topic *topic = use(&w, "t");
        fake_run(w.cluster, 100);
        fake_move_leader(w.cluster, "t", hung - 1, hung % 3 + 1);
        kn_mem_pause(w.cluster->network, fake_broker_of(w.cluster, hung)->host, 9092, true);
        kc_metadata_refresh(w.metadata, "test");
        fake_run(w.cluster, 12000);
        ck_assert_int_eq(topic->partitions[hung - 1].leader, hung % 3 + 1);
        kn_mem_pause(w.cluster->network, fake_broker_of(w.cluster, hung)->host, 9092, false);
        tear_down(&w);
    }
}
END_TEST

START_TEST(one_broker_that_is_slow_is_waited_for)
{
    world w;
    set_up(&w);
    int64_t delay_us = 8000000;
    fake_on(w.cluster, KP_API_METADATA, answer_late, &delay_us);
    fake_topic_add(w.cluster, "t", 1);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 9000);
    ck_assert_int_eq(topic->err, KC_OK); /* the only one known so far */
    delay_us = 18000000;                 /* all are slow now */
    fake_move_leader(w.cluster, "t", 0, 3);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 120000);
    ck_assert_int_eq(topic->partitions[0].leader, 3);
    tear_down(&w);
}
END_TEST

/** Broker 3 has lost its mind: it answers, but names nobody. */
static fake_action name_nobody(fake_request *request, void *response, void *user)
{
    (void)user;
    fake_model(request, response);
    if (request->broker == 3)
        ((kp_metadata_resp *)response)->brokers.count = 0;
    return FAKE_ANSWER;
}

/** The topic's leader moved from broker 3, the only one known, to broker 1, of bootstrap.servers. */
static kc_meta_topic *move_away(world *w)
{
    fake_topic_add(w->cluster, "t", 1);
    kc_meta_topic *topic = use(w, "t");
    fake_broker_of(w->cluster, 1)->is_gone = true;
    fake_broker_of(w->cluster, 2)->is_gone = true;
    w->cluster->topics[0].partitions[0].leader = 3;
    fake_run(w->cluster, 100);
    ck_assert_uint_eq(kn_pool_brokers(w->client->pool, NULL, 0), 1);
    fake_broker_of(w->cluster, 1)->is_gone = false;
    fake_move_leader(w->cluster, "t", 0, 1);
    return topic;
}

static void set_up_without_recovery(world *w)
{
    kc_error error;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "metadata.recovery.strategy", "none", &error), KC_OK);
    set_up_with(w, 3, config);
}

/* KIP-1102. */
START_TEST(when_no_known_broker_answers_it_begins_anew_with_bootstrap)
{
    world w;
    set_up(&w);
    kc_meta_topic *topic = move_away(&w);
    fake_on(w.cluster, KP_API_METADATA, name_nobody, NULL);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 295000);
    ck_assert_int_eq(topic->partitions[0].leader, 3);
    fake_run(w.cluster, 10000);
    ck_assert_int_eq(topic->partitions[0].leader, 1);
    tear_down(&w);
}
END_TEST

/* KIP-899. */
START_TEST(when_no_known_broker_can_be_connected_bootstrap_is_asked_at_once)
{
    world w;
    set_up(&w);
    kc_meta_topic *topic = move_away(&w);
    fake_down(w.cluster, 3);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 1000);
    ck_assert_int_eq(topic->partitions[0].leader, 1);
    tear_down(&w);
}
END_TEST

START_TEST(without_recovery_only_known_brokers_are_asked)
{
    world w;
    set_up_without_recovery(&w);
    kc_meta_topic *topic = move_away(&w);
    fake_down(w.cluster, 3);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 700000);
    ck_assert_int_eq(topic->partitions[0].leader, 3);
    fake_up(w.cluster, 3);
    fake_run(w.cluster, 5000);
    ck_assert_int_eq(topic->partitions[0].leader, 1);
    tear_down(&w);
}
END_TEST

static fake_action require_bootstrap(fake_request *request, void *response, void *user)
{
    (void)user;
    fake_model(request, response);
    if (request->broker == 3 && request->version >= 13)
        ((kp_metadata_resp *)response)->error_code = KC_E_REBOOTSTRAP_REQUIRED;
    return FAKE_ANSWER;
}

/* KIP-1102. */
START_TEST(a_broker_may_ask_for_a_new_beginning)
{
    world w;
    set_up(&w);
    kc_meta_topic *topic = move_away(&w);
    fake_on(w.cluster, KP_API_METADATA, require_bootstrap, NULL);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 1000);
    ck_assert_int_eq(topic->partitions[0].leader, 1);
    tear_down(&w);
}
END_TEST

START_TEST(without_recovery_a_broker_asks_in_vain)
{
    world w;
    set_up_without_recovery(&w);
    kc_meta_topic *topic = move_away(&w);
    fake_on(w.cluster, KP_API_METADATA, require_bootstrap, NULL);
    kc_metadata_refresh(w.metadata, "test");
    fake_run(w.cluster, 10000);
    ck_assert_int_eq(topic->partitions[0].leader, 3);
    ck_assert(kn_pool_has_broker(w.client->pool, 3));
    tear_down(&w);
}
END_TEST

/** An answer that names no broker, or errors, twice; then the model's. */
static fake_action answer_badly(fake_request *request, void *response, void *user)
{
    int *count = user;
    kp_metadata_resp *answer = response;
    fake_model(request, response);
    if ((*count)++ < 1)
        answer->brokers.count = 0;
    else if (*count <= 2 && request->version >= 13)
        answer->error_code = KC_E_REBOOTSTRAP_REQUIRED;
    return FAKE_ANSWER;
}

START_TEST(an_answer_without_brokers_or_with_an_error_is_none)
{
    world w;
    set_up(&w);
    int count = 0;
    fake_on(w.cluster, KP_API_METADATA, answer_badly, &count);
    fake_topic_add(w.cluster, "t", 1);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 60);
    ck_assert_int_eq(topic->err, KC_ERR_AGAIN);
    ck_assert_int_eq(kc_metadata_error(w.metadata)->code, KC_ERR_NO_BROKER);
    fake_run(w.cluster, 3000);
    ck_assert_int_eq(topic->err, KC_OK);
    ck_assert_int_eq(count, 3);
    tear_down(&w);
}
END_TEST

/** What a hostile broker may say. */
static fake_action answer_nonsense(fake_request *request, void *response, void *user)
{
    (void)user;
    kp_metadata_resp *answer = response;
    fake_model(request, response);
    answer->brokers.items[0].port = 70000;
    answer->brokers.items[1].node_id = -5;
    kp_metadata_resp_partition *partitions = answer->topics.items[0].partitions.items;
    partitions[0].partition_index = 1000000;
    partitions[1].partition_index = -1;
    partitions[2].leader_id = -77;
    return FAKE_ANSWER;
}

START_TEST(nonsense_in_an_answer_is_left_out)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_METADATA, answer_nonsense, NULL);
    fake_topic_add(w.cluster, "t", 3);
    kc_meta_topic *topic = use(&w, "t");
    fake_run(w.cluster, 50);
    ck_assert_int_eq(topic->partition_count, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(topic->partitions[i].leader, -1);
    ck_assert(!kn_pool_has_broker(w.client->pool, 1));
    ck_assert(kn_pool_has_broker(w.client->pool, 3));
    tear_down(&w);
}
END_TEST

/** A listener that takes itself and another one off. */
typedef struct quitter {
    kc_meta_listener listener;
    kc_meta_listener *other;
    int told;
} quitter;

static void on_quit(kc_meta_listener *listener)
{
    quitter *self = listener->user;
    self->told++;
    kc_metadata_unlisten(&self->listener);
    kc_metadata_unlisten(self->other);
}

START_TEST(listeners_may_go_while_they_are_told)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    quitter a = {.told = 0}, b = {.told = 0};
    a.listener.fn = b.listener.fn = on_quit;
    a.listener.user = &a;
    b.listener.user = &b;
    a.other = &b.listener;
    b.other = &a.listener;
    kc_metadata_listen(w.metadata, &a.listener);
    kc_metadata_listen(w.metadata, &b.listener);
    use(&w, "t");
    fake_run(w.cluster, 500);
    ck_assert_int_eq(a.told, 1);
    ck_assert_int_eq(b.told, 0);
    ck_assert_int_eq(w.told, 1);
    tear_down(&w);
}
END_TEST

START_TEST(a_client_freed_in_the_middle_of_a_request_leaves_nothing)
{
    for (int steps = 0; steps < 12; steps++) {
        world w;
        set_up(&w);
        fake_topic_add(w.cluster, "t", 3);
        use(&w, "t");
        kc_metadata_use_all(w.metadata);
        for (int i = 0; i < steps; i++)
            (void)kn_loop_advance(w.cluster->loop, INT64_MAX);
        tear_down(&w);
    }
}
END_TEST
