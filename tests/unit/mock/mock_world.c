/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The embedded broker without a network. */
#include "tests/unit/mock/mock_world.h"

#include "protocol/frame.h"
#include "protocol/wire.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/** Requests without an answer that one link may have. */
#define ASKED_MAX 64

struct mock_link {
    kb_list node;
    mock_world *world;
    km_conn *conn;
    int32_t broker_id;
    struct {
        const kp_api *api;
        int16_t version;
    } asked[ASKED_MAX];
    int first, count;
    kb_arena arena;
    kb_buf frame;
};

static void on_output(km_conn *conn, void *user)
{
    (void)conn;
    (void)user;
}

static const km_conn_ops ops = {.on_output = on_output};

mock_world *mock_new_with(const km_options *options)
{
    mock_world *world = calloc(1, sizeof *world);
    ck_assert_ptr_nonnull(world);
    kb_mem_init(&world->mem, NULL, 0);
    kb_list_init(&world->links);
    world->options = *options;
    ck_assert_int_eq(km_cluster_new(&world->mem, options, 1000000, 1700000000000, &world->cluster),
                     KC_OK);
    for (int i = 0; i < options->broker_count; i++) {
        snprintf(world->cluster->brokers[i].host, sizeof world->cluster->brokers[i].host, "b%d",
                 i + 1);
        world->cluster->brokers[i].port = 9092;
    }
    return world;
}

mock_world *mock_new(int broker_count)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = broker_count;
    return mock_new_with(&options);
}

void mock_free(mock_world *world)
{
    while (!kb_list_is_empty(&world->links))
        mock_link_free(KB_CONTAINER(world->links.next, mock_link, node));
    km_cluster_free(world->cluster);
    ck_assert_uint_eq(world->mem.used, 0);
    free(world);
}

void mock_run(mock_world *world, int64_t ms)
{
    km_cluster *cluster = world->cluster;
    int64_t until_us = cluster->now_us + ms * 1000;
    for (;;) {
        int64_t due_us = km_cluster_next_due(cluster);
        int64_t at_us = due_us < until_us ? due_us : until_us;
        at_us = at_us < cluster->now_us ? cluster->now_us : at_us;
        int64_t wall_ms = 1700000000000 + (at_us - 1000000) / 1000;
        km_cluster_advance(cluster, at_us, wall_ms);
        if (due_us > until_us)
            return;
    }
}

km_broker *mock_broker(mock_world *world, int32_t id)
{
    km_broker *broker = km_broker_by_id(world->cluster, id);
    ck_assert_ptr_nonnull(broker);
    return broker;
}

km_topic *mock_topic(mock_world *world, const char *name, int32_t partitions)
{
    km_topic *topic = NULL;
    ck_assert_int_eq(km_topic_create(world->cluster, kc_str(name), partitions, -1, &topic), 0);
    return topic;
}

mock_link *mock_link_new(mock_world *world, int32_t broker_id)
{
    mock_link *link = calloc(1, sizeof *link);
    ck_assert_ptr_nonnull(link);
    link->world = world;
    link->broker_id = broker_id;
    link->conn = km_conn_new(mock_broker(world, broker_id), &ops, link);
    ck_assert_ptr_nonnull(link->conn);
    kb_arena_init(&link->arena, &world->mem, 0);
    kb_buf_init(&link->frame, &world->mem, 0);
    kb_list_push_back(&world->links, &link->node);
    return link;
}

void mock_link_free(mock_link *link)
{
    km_conn_free(link->conn);
    kb_arena_cleanup(&link->arena);
    kb_buf_cleanup(&link->frame);
    kb_list_remove(&link->node);
    free(link);
}

static mock_link *link_to(mock_world *world, int32_t broker_id)
{
    KB_LIST_FOR (node, &world->links) {
        mock_link *link = KB_CONTAINER(node, mock_link, node);
        if (link->broker_id == broker_id && !km_conn_is_done(link->conn))
            return link;
    }
    return mock_link_new(world, broker_id);
}

mock_link *mock_leader(mock_world *world, const char *topic, int32_t partition)
{
    const km_partition *found = km_partition_find(world->cluster, kc_str(topic), partition);
    ck_assert_ptr_nonnull(found);
    return link_to(world, found->leader);
}

mock_link *mock_coordinator(mock_world *world, km_coordinator_type type, const char *key)
{
    const km_partition *found = km_coordinator_partition(world->cluster, type, kc_str(key));
    ck_assert_ptr_nonnull(found);
    return link_to(world, found->leader);
}

static int16_t allow(km_request *request, const km_partition *partition, int64_t producer_id,
                     int16_t producer_epoch, kc_bytes transactional_id)
{
    (void)request;
    (void)partition;
    (void)producer_id;
    (void)producer_epoch;
    (void)transactional_id;
    return 0;
}

void mock_allow_transactions(mock_world *world)
{
    world->cluster->on_transactional_produce = allow;
}

void mock_defaults(int16_t api_key, void *request)
{
    kp_defaults(kp_api_by_key(api_key)->request, request);
}

void mock_send_bytes(mock_link *link, kc_bytes bytes)
{
    km_conn_receive(link->conn, bytes);
}

void mock_send(mock_link *link, int16_t api_key, int16_t version, const void *request)
{
    const kp_api *api = kp_api_by_key(api_key);
    kp_fault fault = {0};
    kb_buf out;
    kb_buf_init(&out, &link->world->mem, 0);
    kc_err err = kp_frame_request(api, version, 7, KC_STR("test"), request, &out, NULL, &fault);
    ck_assert_msg(err == KC_OK, "%s v%d: %s at %s", api->name, version, fault.reason, fault.path);
    ck_assert_int_lt(link->count, ASKED_MAX);
    int at = (link->first + link->count++) % ASKED_MAX;
    link->asked[at].api = api;
    link->asked[at].version = version;
    mock_send_bytes(link, kb_buf_bytes(&out));
    kb_buf_cleanup(&out);
}

const void *mock_answer(mock_link *link)
{
    kc_bytes there = km_conn_output(link->conn);
    if (there.len < 4 || there.len - 4 < kp_load32(there.ptr))
        return NULL;
    ck_assert_int_gt(link->count, 0);
    const kp_api *api = link->asked[link->first].api;
    int16_t version = link->asked[link->first].version;
    link->first = (link->first + 1) % ASKED_MAX;
    link->count--;
    kb_buf_reset(&link->frame);
    kb_arena_reset(&link->arena);
    kb_buf_put(&link->frame, there.ptr + 4, kp_load32(there.ptr));
    km_conn_sent(link->conn, 4 + (size_t)kp_load32(there.ptr));
    kc_bytes body;
    kp_fault fault = {0};
    ck_assert_int_eq(
        kp_frame_response_body(api, version, kb_buf_bytes(&link->frame), &body, &fault), KC_OK);
    void *response = kb_arena_zalloc(&link->arena, api->response->root->size);
    ck_assert_ptr_nonnull(response);
    kc_err err = kp_decode(api->response, version, body, &link->arena, response, &fault);
    ck_assert_msg(err == KC_OK, "%s v%d: %s at %s", api->name, version, fault.reason, fault.path);
    return response;
}

const void *mock_ask(mock_link *link, int16_t api_key, int16_t version, const void *request)
{
    mock_send(link, api_key, version, request);
    const void *response = mock_answer(link);
    ck_assert_msg(response, "%s v%d: no answer", kp_api_by_key(api_key)->name, version);
    return response;
}

bool mock_is_closed(const mock_link *link)
{
    return km_conn_is_done(link->conn);
}

kc_bytes mock_batch(mock_world *world, int count, const kp_batch_producer *producer)
{
    static uint8_t data[65536];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    for (int i = 0; i < count; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "v%d", i);
        ck_assert(
            kp_batch_append(&writer, world->cluster->wall_ms, kc_str(key), kc_str(value), NULL, 0));
    }
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, producer);
    return kc_span(data, len);
}

km_conn *mock_conn(const mock_link *link)
{
    return link->conn;
}
