/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The scripted cluster: frames in, handlers, frames out. */
#include "tests/unit/client/fake_broker.h"

#include "protocol/frame.h"

#include <check.h>
#include <stdio.h>

/** One connection as its broker has it. */
typedef struct fake_peer {
    kb_list node;
    fake_broker *broker;
    kn_mem_peer *peer; /**< NULL: gone, but a held request still points here */
    uint32_t connection;
    uint32_t held; /**< requests held or delayed */
} fake_peer;

/** A request with all it lives in. */
typedef struct fake_held {
    kb_list node; /**< in the cluster while held or delayed */
    fake_request request;
    fake_peer *peer;
    kb_arena arena;
    kb_buf frame; /**< copy of the request's bytes */
    void *message;
    void *response;
    kn_timer timer; /**< of a delayed answer */
    bool is_blocking;
} fake_held;

static void serve(fake_peer *peer);

/* ---- answers ---- */

static void *alloc(fake_cluster *cluster, size_t size)
{
    void *ptr = kb_mem_zalloc(&cluster->mem, size);
    ck_assert_ptr_nonnull(ptr);
    return ptr;
}

void *fake_alloc(fake_request *request, size_t count, size_t item_size)
{
    void *ptr = kb_arena_array(request->arena, count, item_size);
    ck_assert_ptr_nonnull(ptr);
    return ptr;
}

static void peer_release(fake_peer *peer)
{
    if (peer->peer || peer->held > 0)
        return;
    kb_list_remove(&peer->node);
    kb_mem_free(&peer->broker->cluster->mem, peer);
}

static void held_free(fake_held *held)
{
    fake_cluster *cluster = held->request.cluster;
    fake_peer *peer = held->peer;
    kn_timer_stop(cluster->loop, &held->timer);
    kb_list_remove(&held->node);
    kb_arena_cleanup(&held->arena);
    kb_buf_cleanup(&held->frame);
    if (held->is_blocking)
        peer->held--;
    kb_mem_free(&cluster->mem, held);
}

/** After a held request: go on with those behind it. */
static void held_end(fake_held *held)
{
    fake_peer *peer = held->peer;
    held_free(held);
    if (peer->peer)
        serve(peer);
    else
        peer_release(peer);
}

static void send_response(fake_held *held, const void *response)
{
    fake_request *request = &held->request;
    if (!held->peer->peer)
        return;
    kb_buf out;
    kp_fault fault = {0};
    kb_buf_init(&out, &request->cluster->mem, 0);
    kc_err encoded = kp_frame_response(request->api, request->version, request->correlation_id,
                                       response, &out, &fault);
    ck_assert_msg(encoded == KC_OK, "%s v%d: %s at %s", request->api->name, request->version,
                  fault.reason ? fault.reason : "?", fault.path);
    ck_assert_int_eq(kn_mem_peer_write(held->peer->peer, kb_buf_bytes(&out)), KC_OK);
    kb_buf_cleanup(&out);
}

void fake_answer(fake_request *request, const void *response)
{
    fake_held *held = request->held;
    send_response(held, response);
    held_end(held);
}

void fake_drop(fake_request *request)
{
    held_end(request->held);
}

static void on_delay(kn_timer *timer)
{
    fake_held *held = timer->user;
    send_response(held, held->response);
    held_end(held);
}

static void hold(fake_held *held)
{
    held->is_blocking = true;
    held->peer->held++;
    kb_list_push_back(&held->request.cluster->held, &held->node);
}

static void act(fake_held *held, fake_action action)
{
    fake_cluster *cluster = held->request.cluster;
    fake_peer *peer = held->peer;
    if (action == FAKE_HOLD) {
        hold(held);
        return;
    }
    if (action == FAKE_ANSWER && held->request.delay_us > 0) {
        hold(held);
        held->timer.fn = on_delay;
        held->timer.user = held;
        ck_assert_int_eq(kn_timer_set(cluster->loop, &held->timer,
                                      kn_loop_now_us(cluster->loop) + held->request.delay_us),
                         KC_OK);
        return;
    }
    if (action == FAKE_ANSWER)
        send_response(held, held->response);
    if (action == FAKE_CLOSE && peer->peer) {
        kn_mem_peer_close(peer->peer);
        peer->peer = NULL;
        peer->broker->connections--;
    }
    held_free(held);
}

/* ---- the model ---- */

static void model_versions(fake_request *request, kp_api_versions_resp *response)
{
    fake_cluster *cluster = request->cluster;
    response->api_keys.items =
        fake_alloc(request, FAKE_API_MAX, sizeof response->api_keys.items[0]);
    for (int16_t key = 0; key < FAKE_API_MAX; key++) {
        if (cluster->versions[key].max < 0)
            continue;
        kp_api_versions_resp_api_key *item = &response->api_keys.items[response->api_keys.count++];
        item->api_key = key;
        item->min_version = cluster->versions[key].min;
        item->max_version = cluster->versions[key].max;
    }
}

static void model_topic(fake_request *request, const fake_topic *topic, kp_metadata_resp_topic *out)
{
    out->name = kc_str(topic->name);
    out->error_code = topic->error;
    out->is_internal = topic->is_internal;
    out->topic_authorized_operations = INT32_MIN;
    if (request->version >= 10)
        out->topic_id = topic->id;
    if (topic->error != 0)
        return;
    size_t count = (size_t)topic->partition_count;
    out->partitions.items = fake_alloc(request, count, sizeof out->partitions.items[0]);
    out->partitions.count = topic->partition_count;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        kp_metadata_resp_partition *partition = &out->partitions.items[i];
        partition->partition_index = i;
        partition->error_code = topic->partitions[i].error;
        partition->leader_id = topic->partitions[i].leader;
        partition->leader_epoch = topic->partitions[i].leader_epoch;
        partition->replica_nodes.items = fake_alloc(request, 1, sizeof(int32_t));
        partition->replica_nodes.items[0] = topic->partitions[i].leader;
        partition->replica_nodes.count = 1;
        partition->isr_nodes.items = partition->replica_nodes.items;
        partition->isr_nodes.count = 1;
    }
}

static void model_asked(fake_request *request, const kp_metadata_req *asked,
                        kp_metadata_resp *response)
{
    fake_cluster *cluster = request->cluster;
    size_t count = (size_t)asked->topics.count;
    response->topics.items = fake_alloc(request, count, sizeof response->topics.items[0]);
    response->topics.count = asked->topics.count;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        kc_bytes name = asked->topics.items[i].name;
        fake_topic *topic = fake_topic_find(cluster, name);
        if (!topic && asked->allow_auto_topic_creation && cluster->creates_topics) {
            char text[64];
            snprintf(text, sizeof text, KC_FMT, KC_ARG(name));
            topic = fake_topic_add(cluster, text, 1);
        }
        if (topic) {
            model_topic(request, topic, &response->topics.items[i]);
        } else {
            response->topics.items[i].name = name;
            response->topics.items[i].error_code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
            response->topics.items[i].topic_authorized_operations = INT32_MIN;
        }
    }
}

static void model_metadata(fake_request *request, kp_metadata_resp *response)
{
    fake_cluster *cluster = request->cluster;
    const kp_metadata_req *asked = request->message;
    response->brokers.items =
        fake_alloc(request, FAKE_BROKERS_MAX, sizeof response->brokers.items[0]);
    for (int i = 0; i < cluster->broker_count; i++) {
        if (cluster->brokers[i].is_gone)
            continue;
        kp_metadata_resp_broker *broker = &response->brokers.items[response->brokers.count++];
        broker->node_id = cluster->brokers[i].id;
        broker->host = kc_str(cluster->brokers[i].host);
        broker->port = 9092;
    }
    response->cluster_id = KC_STR("fake");
    response->controller_id = cluster->controller;
    if (asked->topics.count >= 0) {
        model_asked(request, asked, response);
        return;
    }
    response->topics.items = fake_alloc(request, FAKE_TOPICS_MAX, sizeof response->topics.items[0]);
    for (int i = 0; i < cluster->topic_count; i++)
        model_topic(request, &cluster->topics[i],
                    &response->topics.items[response->topics.count++]);
}

static void model_coordinator(fake_request *request, kp_find_coordinator_resp *response)
{
    const kp_find_coordinator_req *asked = request->message;
    const fake_broker *broker = fake_broker_of(request->cluster, request->cluster->coordinator);
    if (request->version < 4) {
        response->node_id = broker->id;
        response->host = kc_str(broker->host);
        response->port = 9092;
        return;
    }
    size_t count = (size_t)asked->coordinator_keys.count;
    response->coordinators.items =
        fake_alloc(request, count, sizeof response->coordinators.items[0]);
    response->coordinators.count = asked->coordinator_keys.count;
    for (size_t i = 0; i < count; i++) {
        kp_find_coordinator_resp_coordinator *item = &response->coordinators.items[i];
        item->key = asked->coordinator_keys.items[i];
        item->node_id = broker->id;
        item->host = kc_str(broker->host);
        item->port = 9092;
    }
}

void fake_model(fake_request *request, void *response)
{
    switch (request->api->key) {
    case KP_API_METADATA:
        model_metadata(request, response);
        break;
    case KP_API_FIND_COORDINATOR:
        model_coordinator(request, response);
        break;
    case KP_API_API_VERSIONS:
        model_versions(request, response);
        break;
    default:
        ck_abort_msg("broker %d has no answer to %s", request->broker, request->api->name);
    }
}

/* ---- requests ---- */

/** ApiVersions in a version not served: error 35 in version 0, as KIP-511 says. */
static bool is_refused(fake_held *held)
{
    fake_request *request = &held->request;
    if (request->api->key != KP_API_API_VERSIONS ||
        request->version <= request->cluster->versions[KP_API_API_VERSIONS].max)
        return false;
    request->version = 0;
    kp_api_versions_resp *response = held->response;
    fake_model(request, response);
    response->error_code = KC_E_UNSUPPORTED_VERSION;
    act(held, FAKE_ANSWER);
    return true;
}

static void handle(fake_peer *peer, kc_bytes frame)
{
    fake_cluster *cluster = peer->broker->cluster;
    fake_held *held = alloc(cluster, sizeof *held);
    kb_list_init(&held->node);
    kb_buf_init(&held->frame, &cluster->mem, 0);
    kb_buf_put_bytes(&held->frame, frame);
    kb_arena_init(&held->arena, &cluster->mem, SIZE_MAX);
    kp_request_info info;
    kp_fault fault = {0};
    ck_assert_int_eq(kp_frame_request_parse(kb_buf_bytes(&held->frame), &info, &fault), KC_OK);
    const kp_api *api = kp_api_by_key(info.api_key);
    ck_assert_ptr_nonnull(api);
    held->peer = peer;
    held->message = kb_arena_zalloc(&held->arena, api->request->root->size);
    held->response = kb_arena_zalloc(&held->arena, api->response->root->size);
    kp_defaults(api->response, held->response);
    held->request = (fake_request){.cluster = cluster,
                                   .broker = peer->broker->id,
                                   .connection = peer->connection,
                                   .api = api,
                                   .version = info.version,
                                   .correlation_id = info.correlation_id,
                                   .client_id = info.client_id,
                                   .message = held->message,
                                   .arena = &held->arena,
                                   .held = held};
    peer->broker->requests[api->key]++;
    if (is_refused(held))
        return;
    kc_err decoded =
        kp_decode(api->request, info.version, info.body, &held->arena, held->message, &fault);
    ck_assert_msg(decoded == KC_OK, "%s v%d can't be read: %s at %s", api->name, info.version,
                  fault.reason ? fault.reason : "?", fault.path);
    fake_action action = FAKE_ANSWER;
    if (cluster->handlers[api->key].fn)
        action = cluster->handlers[api->key].fn(&held->request, held->response,
                                                cluster->handlers[api->key].user);
    else
        fake_model(&held->request, held->response);
    act(held, action);
}

static void serve(fake_peer *peer)
{
    while (peer->peer && peer->held == 0) {
        kc_bytes in = kn_mem_peer_in(peer->peer);
        if (in.len < 4)
            return;
        size_t size =
            (size_t)in.ptr[0] << 24 | (size_t)in.ptr[1] << 16 | (size_t)in.ptr[2] << 8 | in.ptr[3];
        if (in.len < 4 + size)
            return;
        fake_cluster *cluster = peer->broker->cluster;
        kb_buf frame;
        kb_buf_init(&frame, &cluster->mem, 0);
        kb_buf_put(&frame, in.ptr + 4, size);
        kn_mem_peer_take(peer->peer, 4 + size);
        handle(peer, kb_buf_bytes(&frame));
        kb_buf_cleanup(&frame);
    }
    peer_release(peer);
}

static void on_accept(void *user, kn_mem_peer *mem_peer)
{
    fake_broker *broker = user;
    fake_peer *peer = alloc(broker->cluster, sizeof *peer);
    peer->broker = broker;
    peer->peer = mem_peer;
    peer->connection = ++broker->cluster->next_connection;
    broker->connections++;
    kb_list_push_back(&broker->cluster->peers, &peer->node);
    kn_mem_peer_set_user(mem_peer, peer);
}

static void on_data(void *user, kn_mem_peer *mem_peer)
{
    (void)user;
    serve(kn_mem_peer_user(mem_peer));
}

static void on_close(void *user, kn_mem_peer *mem_peer)
{
    fake_broker *broker = user;
    fake_peer *peer = kn_mem_peer_user(mem_peer);
    broker->connections--;
    peer->peer = NULL;
    peer_release(peer);
}

static const kn_mem_server server = {on_accept, on_data, on_close};

/* ---- the cluster ---- */

fake_broker *fake_broker_of(fake_cluster *cluster, int32_t id)
{
    ck_assert(id >= 1 && id <= cluster->broker_count);
    return &cluster->brokers[id - 1];
}

void fake_up(fake_cluster *cluster, int32_t id)
{
    fake_broker *broker = fake_broker_of(cluster, id);
    ck_assert_int_eq(kn_mem_listen(cluster->network, broker->host, 9092, &server, broker), KC_OK);
    broker->is_down = false;
}

void fake_cut(fake_cluster *cluster, int32_t id)
{
    kn_mem_cut(cluster->network, fake_broker_of(cluster, id)->host, 9092);
}

void fake_down(fake_cluster *cluster, int32_t id)
{
    fake_broker *broker = fake_broker_of(cluster, id);
    kn_mem_cut(cluster->network, broker->host, 9092);
    kn_mem_unlisten(cluster->network, broker->host, 9092);
    broker->is_down = true;
}

static void add_brokers(fake_cluster *cluster, int broker_count)
{
    for (int i = 0; i < broker_count; i++) {
        fake_broker *broker = &cluster->brokers[i];
        broker->cluster = cluster;
        broker->id = i + 1;
        snprintf(broker->host, sizeof broker->host, "b%d", i + 1);
        cluster->broker_count++;
        fake_up(cluster, i + 1);
    }
}

static void set_versions(fake_cluster *cluster)
{
    for (int16_t key = 0; key < FAKE_API_MAX; key++) {
        const kp_api *api = kp_api_by_key(key);
        bool is_served = api && (api->listeners & KP_LISTENER_BROKER);
        cluster->versions[key].min = is_served ? api->request->min : 0;
        cluster->versions[key].max = is_served ? api->stable_max : -1;
    }
}

fake_cluster *fake_new(int broker_count)
{
    ck_assert(broker_count >= 1 && broker_count <= FAKE_BROKERS_MAX);
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    fake_cluster *cluster = kb_mem_zalloc(&mem, sizeof *cluster);
    ck_assert_ptr_nonnull(cluster);
    cluster->mem = mem;
    kb_list_init(&cluster->peers);
    kb_list_init(&cluster->held);
    kb_rand_init(&cluster->rand, 1);
    ck_assert_int_eq(
        kn_loop_new_virtual(&cluster->mem, 1000000, INT64_C(1700000000000), &cluster->loop), KC_OK);
    ck_assert_int_eq(
        kn_mem_network_new(&cluster->mem, cluster->loop, &cluster->rand, &cluster->network), KC_OK);
    kn_mem_network_shape(cluster->network)->latency_us = 100;
    cluster->controller = 1;
    cluster->coordinator = 1;
    cluster->creates_topics = true;
    set_versions(cluster);
    add_brokers(cluster, broker_count);
    return cluster;
}

static void free_topic(fake_cluster *cluster, int index)
{
    kb_mem_free(&cluster->mem, cluster->topics[index].partitions);
    cluster->topics[index] = cluster->topics[--cluster->topic_count];
}

void fake_free(fake_cluster *cluster)
{
    fake_run(cluster, 1000); /* brokers hear of closed connections */
    while (cluster->topic_count > 0)
        free_topic(cluster, 0);
    while (!kb_list_is_empty(&cluster->held))
        held_end(KB_CONTAINER(cluster->held.next, fake_held, node));
    ck_assert_msg(kb_list_is_empty(&cluster->peers), "a connection is still open");
    kn_network_free(kn_mem_network_base(cluster->network));
    kn_loop_free(cluster->loop);
    kb_mem mem = cluster->mem;
    kb_mem_free(&mem, cluster);
    ck_assert_uint_eq(mem.used, 0);
}

kc_client *fake_client_with(fake_cluster *cluster, const kc_config *config,
                            const kc_client_options *options, kc_error *err)
{
    kc_config *own = config ? kc_config_copy(config) : kc_config_new();
    ck_assert_ptr_nonnull(own);
    if (!kc_config_is_set(own, "bootstrap.servers"))
        ck_assert_int_eq(kc_config_set(own, "bootstrap.servers",
                                       cluster->broker_count > 1 ? "b1:9092,b2:9092" : "b1:9092",
                                       NULL),
                         KC_OK);
    kc_client *client = NULL;
    kc_err made = kc_client_new_on(own, options, cluster->loop,
                                   kn_mem_network_base(cluster->network), &client, err);
    kc_config_free(own);
    return made == KC_OK ? client : NULL;
}

kc_client *fake_client(fake_cluster *cluster, const kc_config *config)
{
    kc_error err = {.code = KC_OK};
    kc_client_options options = {.size = sizeof options, .seed = 7};
    kc_client *client = fake_client_with(cluster, config, &options, &err);
    ck_assert_msg(client != NULL, "%s", err.text);
    return client;
}

/* ---- time ---- */

int64_t fake_now_ms(const fake_cluster *cluster)
{
    return kn_loop_now_us(cluster->loop) / 1000;
}

bool fake_run_until(fake_cluster *cluster, const bool *done, int64_t ms)
{
    int64_t until_us = kn_loop_now_us(cluster->loop) + ms * 1000;
    while (!*done && kn_loop_advance(cluster->loop, until_us))
        ;
    return *done;
}

void fake_run(fake_cluster *cluster, int64_t ms)
{
    bool never = false;
    (void)fake_run_until(cluster, &never, ms);
}

/* ---- what the test sets and asks ---- */

void fake_on(fake_cluster *cluster, int16_t api_key, fake_handler fn, void *user)
{
    ck_assert(api_key >= 0 && api_key < FAKE_API_MAX);
    cluster->handlers[api_key].fn = fn;
    cluster->handlers[api_key].user = user;
}

uint32_t fake_count(const fake_cluster *cluster, int32_t broker, int16_t api_key)
{
    uint32_t count = 0;
    for (int i = 0; i < cluster->broker_count; i++)
        if (broker == 0 || broker == i + 1)
            count += cluster->brokers[i].requests[api_key];
    return count;
}

static void fill_topic(fake_cluster *cluster, fake_topic *topic, int partition_count)
{
    kb_mem_free(&cluster->mem, topic->partitions);
    topic->partitions = alloc(cluster, (size_t)partition_count * sizeof topic->partitions[0]);
    topic->partition_count = partition_count;
    uint32_t number = ++cluster->next_id;
    memset(&topic->id, 0, sizeof topic->id);
    memcpy(topic->id.bytes + 12, &number, sizeof number);
    for (int i = 0; i < partition_count; i++)
        topic->partitions[i].leader = i % cluster->broker_count + 1;
}

fake_topic *fake_topic_add(fake_cluster *cluster, const char *name, int partition_count)
{
    ck_assert_int_lt(cluster->topic_count, FAKE_TOPICS_MAX);
    fake_topic *topic = &cluster->topics[cluster->topic_count++];
    memset(topic, 0, sizeof *topic);
    snprintf(topic->name, sizeof topic->name, "%s", name);
    fill_topic(cluster, topic, partition_count);
    return topic;
}

fake_topic *fake_topic_find(fake_cluster *cluster, kc_bytes name)
{
    for (int i = 0; i < cluster->topic_count; i++)
        if (kc_bytes_equal(name, kc_str(cluster->topics[i].name)))
            return &cluster->topics[i];
    return NULL;
}

static fake_topic *must_find(fake_cluster *cluster, const char *name)
{
    fake_topic *topic = fake_topic_find(cluster, kc_str(name));
    ck_assert_ptr_nonnull(topic);
    return topic;
}

void fake_topic_remove(fake_cluster *cluster, const char *name)
{
    free_topic(cluster, (int)(must_find(cluster, name) - cluster->topics));
}

void fake_topic_recreate(fake_cluster *cluster, const char *name, int partition_count)
{
    fill_topic(cluster, must_find(cluster, name), partition_count);
}

void fake_move_leader(fake_cluster *cluster, const char *name, int32_t partition, int32_t leader)
{
    fake_topic *topic = must_find(cluster, name);
    topic->partitions[partition].leader = leader;
    topic->partitions[partition].leader_epoch++;
}
