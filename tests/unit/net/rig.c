/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Scripted brokers in memory. */
#include "tests/unit/net/rig.h"

#include "net/loop_core.h"
#include "protocol/codec.h"

#include <kafkac/unstable/errors.h>

#include <stdlib.h>

#define PATTERN_BYTES (16 * 1024 * 1024)

static const uint8_t *pattern(void)
{
    static uint8_t bytes[PATTERN_BYTES];
    if (bytes[1] == 0)
        for (size_t i = 0; i < PATTERN_BYTES; i++)
            bytes[i] = rig_byte(i);
    return bytes;
}

uint8_t rig_byte(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + 1);
}

bool rig_is_pattern(kc_bytes bytes)
{
    return bytes.len <= PATTERN_BYTES && memcmp(bytes.ptr, pattern(), bytes.len) == 0;
}

void rig_init(rig *r)
{
    memset(r, 0, sizeof *r);
    kb_mem_init(&r->rig_mem, NULL, 0);
    kb_mem_init(&r->mem, NULL, 0);
    kb_rand_init(&r->rand, 7);
    ck_assert_int_eq(kn_loop_new_virtual(&r->rig_mem, RIG_START_US, 1700000000000, &r->loop),
                     KC_OK);
    ck_assert_int_eq(kn_mem_network_new(&r->rig_mem, r->loop, &r->rand, &r->network), KC_OK);
}

static void peer_free(rig_peer *peer)
{
    kn_timer_stop(peer->broker->rig->loop, &peer->timer);
    kb_buf_cleanup(&peer->later);
    kb_list_remove(&peer->node);
    kb_mem_free(&peer->broker->rig->rig_mem, peer);
}

void rig_cleanup(rig *r)
{
    kn_pool_free(r->pool);
    ck_assert_uint_eq(r->mem.used, 0);
    for (size_t i = 0; i < r->broker_count; i++)
        KB_LIST_FOR (node, &r->brokers[i].peers)
            peer_free(KB_CONTAINER(node, rig_peer, node));
    kn_network_free(kn_mem_network_base(r->network));
    kn_loop_free(r->loop);
    ck_assert_uint_eq(r->rig_mem.used, 0);
}

int64_t rig_ms(const rig *r)
{
    return (kn_loop_now_us(r->loop) - RIG_START_US) / 1000;
}

void rig_run(rig *r, int64_t ms)
{
    int64_t until_us = kn_loop_now_us(r->loop) + ms * 1000;
    while (kn_loop_advance(r->loop, until_us))
        continue;
}

void rig_wait(rig_call *call)
{
    int64_t until_us = kn_loop_now_us(call->rig->loop) + INT64_C(3600000000);
    while (!call->done && kn_loop_advance(call->rig->loop, until_us))
        continue;
    ck_assert_int_eq(call->done, 1);
}

void rig_check_answered(const rig_call *call)
{
    ck_assert_int_eq(call->done, 1);
    ck_assert_msg(call->err == KC_OK, "%s", call->error.text);
    ck_assert(call->in_turn);
}

/* ---- the broker's side */

void rig_peer_close(rig_peer *peer, bool is_reset)
{
    kn_mem_peer *mem_peer = peer->peer;
    if (!mem_peer)
        return;
    peer->peer = NULL;
    if (is_reset)
        kn_mem_peer_reset(mem_peer);
    else
        kn_mem_peer_close(mem_peer);
}

static void write_now(rig_peer *peer, kc_bytes bytes)
{
    const rig_broker *broker = peer->broker;
    if (!peer->peer)
        return;
    bool is_cut = broker->cut_at - peer->sent <= bytes.len;
    if (is_cut)
        bytes.len = broker->cut_at - peer->sent;
    peer->sent += bytes.len;
    ck_assert_int_eq(kn_mem_peer_write(peer->peer, bytes), KC_OK);
    if (is_cut)
        rig_peer_close(peer, broker->is_reset);
}

static void on_later(kn_timer *timer)
{
    rig_peer *peer = timer->user;
    write_now(peer, kb_buf_bytes(&peer->later));
    kb_buf_reset(&peer->later);
}

void rig_send(rig_peer *peer, kc_bytes bytes)
{
    rig_broker *broker = peer->broker;
    bool is_waiting = peer->later.len > 0;
    size_t now_len = bytes.len;
    if (broker->split_at > 0 && !is_waiting) {
        now_len = broker->split_at > peer->sent ? broker->split_at - peer->sent : 0;
        if (now_len > bytes.len || peer->sent >= broker->split_at)
            now_len = bytes.len;
    } else if (is_waiting) {
        now_len = 0;
    }
    if (now_len > 0)
        write_now(peer, kc_span(bytes.ptr, now_len));
    if (now_len == bytes.len)
        return;
    kb_buf_put(&peer->later, bytes.ptr + now_len, bytes.len - now_len);
    if (!is_waiting)
        ck_assert_int_eq(
            kn_timer_set(broker->rig->loop, &peer->timer, kn_loop_now_us(broker->rig->loop) + 1000),
            KC_OK);
}

static void put32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

void rig_answer_body(rig_peer *peer, const kp_request_info *info, kc_bytes body)
{
    const kp_api *api = kp_api_by_key(info->api_key);
    uint8_t head[9] = {0};
    size_t head_len = kp_response_header_version(api, info->version) == 1 ? 9 : 8;
    put32(head, (uint32_t)(head_len - 4 + body.len));
    put32(head + 4, (uint32_t)info->correlation_id);
    kb_buf frame;
    kb_buf_init(&frame, &peer->broker->rig->rig_mem, 0);
    kb_buf_put(&frame, head, head_len);
    kb_buf_put_bytes(&frame, body);
    rig_send(peer, kb_buf_bytes(&frame));
    kb_buf_cleanup(&frame);
}

void rig_answer_message(rig_peer *peer, const kp_request_info *info, int16_t version,
                        const void *resp)
{
    kb_buf frame;
    kp_fault fault;
    kb_buf_init(&frame, &peer->broker->rig->rig_mem, 0);
    ck_assert_int_eq(kp_frame_response(kp_api_by_key(info->api_key), version, info->correlation_id,
                                       resp, &frame, &fault),
                     KC_OK);
    rig_send(peer, kb_buf_bytes(&frame));
    kb_buf_cleanup(&frame);
}

void rig_answer_versions(rig_peer *peer, const kp_request_info *info, int16_t version,
                         int16_t error_code, int16_t own_max)
{
    kp_api_versions_resp resp;
    kp_api_versions_resp_api_key keys[128];
    const kp_api *api = kp_api_by_key(KP_API_API_VERSIONS);
    kp_defaults(api->response, &resp);
    int32_t count = 0;
    for (size_t i = 0; i < kp_api_count(); i++) {
        const kp_api *listed = kp_api_at(i);
        if (error_code != 0 && listed->key != KP_API_API_VERSIONS)
            continue;
        int16_t max = listed->key == KP_API_API_VERSIONS ? own_max : peer->broker->list_max;
        if (max > listed->request->max)
            max = listed->request->max;
        keys[count++] = (kp_api_versions_resp_api_key){
            .api_key = listed->key, .min_version = listed->request->min, .max_version = max};
    }
    resp.error_code = error_code;
    resp.api_keys.items = keys;
    resp.api_keys.count = count;
    rig_answer_message(peer, info, version, &resp);
}

void rig_answer(rig_peer *peer, const kp_request_info *info)
{
    if (info->api_key == KP_API_API_VERSIONS)
        rig_answer_versions(peer, info, info->version, 0, 4);
    else
        rig_answer_body(peer, info, kc_span(pattern(), peer->broker->body_bytes));
}

static void serve(rig_peer *peer, kc_bytes frame)
{
    rig_broker *broker = peer->broker;
    kp_request_info info;
    kp_fault fault;
    ck_assert_int_eq(kp_frame_request_parse(frame, &info, &fault), KC_OK);
    if (info.api_key == KP_API_API_VERSIONS)
        broker->versions_seen[broker->versions++ % 8] = info.version;
    else
        broker->requests++;
    if (broker->hook && broker->hook(peer, &info))
        return;
    if (broker->is_silent && info.api_key != KP_API_API_VERSIONS)
        return;
    if (info.api_key == KP_API_PRODUCE && info.body.len > 2) {
        const uint8_t *acks = info.body.ptr + (info.version >= 9 ? 1 : 2);
        if (acks[0] == 0 && acks[1] == 0)
            return;
    }
    rig_answer(peer, &info);
}

static void on_accept(void *user, kn_mem_peer *mem_peer)
{
    rig_broker *broker = user;
    broker->accepts++;
    rig_peer *peer = kb_mem_zalloc(&broker->rig->rig_mem, sizeof *peer);
    peer->broker = broker;
    peer->peer = mem_peer;
    peer->timer = (kn_timer){.fn = on_later, .user = peer};
    kb_buf_init(&peer->later, &broker->rig->rig_mem, 0);
    kb_list_push_back(&broker->peers, &peer->node);
    kn_mem_peer_set_user(mem_peer, peer);
    if (broker->cut_at == 0)
        rig_peer_close(peer, broker->is_reset);
}

static void on_data(void *user, kn_mem_peer *mem_peer)
{
    rig_broker *broker = user;
    rig_peer *peer = kn_mem_peer_user(mem_peer);
    kc_bytes in;
    while (peer->peer && (in = kn_mem_peer_in(mem_peer)).len >= 4) {
        size_t size =
            (size_t)in.ptr[0] << 24 | (size_t)in.ptr[1] << 16 | (size_t)in.ptr[2] << 8 | in.ptr[3];
        if (in.len < 4 + size)
            return;
        broker->request_bytes += 4 + size;
        uint8_t *frame = kb_mem_alloc(&broker->rig->rig_mem, size);
        memcpy(frame, in.ptr + 4, size);
        kn_mem_peer_take(mem_peer, 4 + size);
        serve(peer, kc_span(frame, size));
        kb_mem_free(&broker->rig->rig_mem, frame);
    }
}

static void on_close(void *user, kn_mem_peer *mem_peer)
{
    rig_peer *peer = kn_mem_peer_user(mem_peer);
    ((rig_broker *)user)->closes++;
    peer_free(peer);
}

void rig_broker_listen(rig_broker *broker)
{
    static const kn_mem_server server = {on_accept, on_data, on_close};
    ck_assert_int_eq(
        kn_mem_listen(broker->rig->network, broker->host, broker->port, &server, broker), KC_OK);
}

rig_broker *rig_broker_add(rig *r, const char *host, uint16_t port)
{
    ck_assert_uint_lt(r->broker_count, RIG_BROKERS);
    rig_broker *broker = &r->brokers[r->broker_count++];
    *broker = (rig_broker){
        .rig = r, .host = host, .port = port, .body_bytes = 10, .list_max = 99, .cut_at = SIZE_MAX};
    kb_list_init(&broker->peers);
    rig_broker_listen(broker);
    return broker;
}

/* ---- the client's side */

static void on_change(void *user, int32_t broker_id, const kc_error *error, bool was_idle)
{
    rig *r = user;
    (void)broker_id;
    if (!error)
        r->ups++;
    else if (was_idle)
        r->idle_downs++;
    else
        r->downs++;
    if (error)
        r->last_down = *error;
}

static void on_versions(void *user, int32_t broker_id, const void *response)
{
    rig *r = user;
    (void)broker_id;
    const kp_api_versions_resp *resp = response;
    ck_assert_int_gt(resp->api_keys.count, 0);
    r->versions_heard++;
}

kn_pool_options rig_options(rig *r, const char *bootstrap)
{
    return (kn_pool_options){.mem = &r->mem,
                             .loop = r->loop,
                             .network = r->network ? kn_mem_network_base(r->network) : NULL,
                             .rand = &r->rand,
                             .bootstrap_servers = kc_str(bootstrap),
                             .client_id = KC_STR("rig"),
                             .request_timeout_ms = 30000,
                             .connection_setup_timeout_ms = 10000,
                             .connection_setup_timeout_max_ms = 30000,
                             .reconnect_backoff_ms = 50,
                             .reconnect_backoff_max_ms = 1000,
                             .connections_max_idle_ms = 540000,
                             .in_flight_max = 5,
                             .response_bytes_max = 100 * 1024 * 1024,
                             .send_buffer_bytes = -1,
                             .receive_buffer_bytes = -1,
                             .on_change = on_change,
                             .on_versions = on_versions,
                             .user = r};
}

void rig_pool(rig *r, const char *bootstrap)
{
    kn_pool_options options = rig_options(r, bootstrap);
    kc_error error;
    ck_assert_int_eq(kn_pool_new(&options, &r->pool, &error), KC_OK);
}

static void on_done(kn_request *request, const kn_reply *reply)
{
    rig_call *call = request->user;
    call->done++;
    call->err = reply->err;
    call->was_sent = reply->was_sent;
    call->broker_id = reply->broker_id;
    call->version = reply->version;
    call->body_len = reply->body.len;
    call->in_turn = call->rig->loop->in_turn;
    ck_assert(!kn_request_is_active(request));
    ck_assert_int_eq(reply->err == KC_OK, reply->error == NULL);
    if (reply->error) {
        call->error = *reply->error;
        ck_assert_int_eq(reply->error->code, reply->err);
        ck_assert_uint_gt(strlen(reply->error->text), 0);
    } else if (!request->has_no_response) {
        ck_assert_ptr_nonnull(reply->chunk);
        ck_assert(rig_is_pattern(reply->body));
    }
    if (call->keeps && reply->chunk) {
        call->chunk = kb_chunk_ref(reply->chunk);
        call->body = reply->body;
    }
    if (call->then)
        call->then(call);
}

void rig_call_init(rig *r, rig_call *call)
{
    memset(call, 0, sizeof *call);
    call->rig = r;
    kn_request_init(&call->request, &r->mem);
    kp_defaults(kp_api_by_key(KP_API_METADATA)->request, &call->metadata);
    call->request.api = kp_api_by_key(KP_API_METADATA);
    call->request.msg = &call->metadata;
    call->request.done = on_done;
    call->request.user = call;
}

void rig_call_produce(rig *r, rig_call *call, size_t count, size_t len, bool is_spliced)
{
    rig_call_init(r, call);
    const kp_api *api = kp_api_by_key(KP_API_PRODUCE);
    ck_assert_uint_le(count, 200);
    kp_defaults(api->request, &call->produce);
    for (size_t i = 0; i < count; i++)
        call->partitions[i] = (kp_produce_req_partition_data){.index = (int32_t)i,
                                                              .records = kc_span(pattern(), len)};
    call->topic.name = KC_STR("topic");
    call->topic.partition_data.items = call->partitions;
    call->topic.partition_data.count = (int32_t)count;
    call->produce.acks = -1;
    call->produce.topic_data.items = &call->topic;
    call->produce.topic_data.count = 1;
    call->request.api = api;
    call->request.msg = &call->produce;
    call->request.version_max = 12; // by topic name
    if (is_spliced) {
        call->request.splices.items = call->splices;
        call->request.splices.cap = 200;
    }
}

void rig_call_cleanup(rig_call *call)
{
    kb_chunk_unref(call->chunk);
    call->chunk = NULL;
    kn_request_cleanup(&call->request);
}

void rig_submit_to(rig_call *call, int32_t broker_id, kn_lane lane, uint32_t owner)
{
    int done = call->done;
    kn_pool_submit(call->rig->pool, (kn_target){broker_id, lane, owner}, &call->request);
    ck_assert_int_eq(call->done, done); // never from inside submit
    ck_assert(kn_request_is_active(&call->request));
}

void rig_submit(rig_call *call, int32_t broker_id)
{
    rig_submit_to(call, broker_id, KN_LANE_MAIN, 0);
}

/* ---- one connection */

static void conn_ready(kn_conn *conn)
{
    ((rig_conn *)conn->user)->ready++;
}

static void conn_versions(kn_conn *conn, const void *response)
{
    const kp_api_versions_resp *resp = response;
    ck_assert_int_eq(resp->error_code, 0);
    ((rig_conn *)conn->user)->versions++;
}

static void conn_room(kn_conn *conn)
{
    ((rig_conn *)conn->user)->rooms++;
}

static void conn_closed(kn_conn *conn)
{
    rig_conn *c = conn->user;
    c->closed++;
    while (!kb_list_is_empty(&conn->unsent)) {
        kn_request *request = KB_CONTAINER(conn->unsent.next, kn_request, node);
        kb_list_remove(&request->node);
        request->conn = NULL;
        request->state = KN_REQUEST_LISTED;
        kb_list_push_back(&c->unsent, &request->node);
    }
}

void rig_conn_init(rig *r, rig_conn *c)
{
    memset(c, 0, sizeof *c);
    c->rig = r;
    kb_list_init(&c->unsent);
    kn_recycler_init(&c->recycler, &r->mem, r->loop);
    c->env = (kn_conn_env){.mem = &r->mem,
                           .loop = r->loop,
                           .network = r->network ? kn_mem_network_base(r->network) : NULL,
                           .recycler = &c->recycler,
                           .stats = &c->stats,
                           .client_id = KC_STR("rig"),
                           .request_timeout_ms = 30000,
                           .max_idle_ms = 540000,
                           .in_flight_max = 5,
                           .response_bytes_max = 100 * 1024 * 1024,
                           .send_buffer_bytes = -1,
                           .receive_buffer_bytes = -1};
}

void rig_conn_open(rig_conn *c, const char *host, uint16_t port)
{
    static const kn_conn_events events = {conn_ready, conn_versions, conn_room, conn_closed};
    const kn_conn_options options = {.env = &c->env,
                                     .events = &events,
                                     .user = c,
                                     .host = kc_str(host),
                                     .port = port,
                                     .broker_id = 7,
                                     .setup_timeout_us = 10000000,
                                     .api_versions_version = -1};
    ck_assert_int_eq(kn_conn_open(&options, &c->conn), KC_OK);
}

void rig_conn_ready(rig_conn *c, const char *host, uint16_t port)
{
    rig_conn_open(c, host, port);
    rig_run(c->rig, 100);
    ck_assert_int_eq(c->ready, 1);
    ck_assert_int_eq(c->conn->state, KN_CONN_READY);
}

void rig_conn_cleanup(rig_conn *c)
{
    kc_error error = {.code = KC_ERR_CLOSED, .text = "test is over"};
    kn_conn_fail(c->conn, &error);
    if (c->closed == 0)
        kn_conn_finish(c->conn);
    ck_assert_int_eq(c->closed, 1);
    while (!kb_list_is_empty(&c->unsent)) {
        kn_request *request = KB_CONTAINER(c->unsent.next, kn_request, node);
        kn_request_fail(request, &error, false, 7);
    }
    kn_conn_free(c->conn);
    kn_recycler_cleanup(&c->recycler);
}

void rig_conn_send(rig_conn *c, rig_call *call)
{
    kc_error error;
    ck_assert_int_eq(kn_conn_send(c->conn, &call->request, &error), KC_OK);
}
