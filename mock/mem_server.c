/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Carries bytes between the in-memory network and the brokers' connections, and time from the loop. */
#include "mock/mem_server.h"

#include "mock/conn.h"

#include <stdio.h>

struct km_mem_server {
    kn_loop *loop;
    kn_mem_network *network;
    km_cluster *cluster;
    kn_timer timer; /**< when the cluster has something to do next */
    kn_task settle; /**< after anything happened: see on_settle()  */
    kb_list peers;  /**< mem_link                                  */
};

/** One connection. */
typedef struct mem_link {
    kb_list node;
    km_mem_server *server;
    kn_mem_peer *peer;
    km_conn *conn;
    bool is_dirty; /**< has output, or has ended */
} mem_link;

static void link_free(mem_link *link)
{
    kb_list_remove(&link->node);
    km_conn_free(link->conn);
    kb_mem_free(link->server->cluster->mem, link);
}

static void on_output(km_conn *conn, void *user)
{
    (void)conn;
    mem_link *link = user;
    link->is_dirty = true;
    kn_task_queue(link->server->loop, &link->server->settle);
}

static const km_conn_ops conn_ops = {.on_output = on_output};

static void advance(km_mem_server *server)
{
    km_cluster_advance(server->cluster, kn_loop_now_us(server->loop),
                       kn_loop_wall_ms(server->loop));
    kn_task_queue(server->loop, &server->settle);
}

static void flush(mem_link *link)
{
    link->is_dirty = false;
    kc_bytes output = km_conn_output(link->conn);
    bool is_lost = output.len > 0 && kn_mem_peer_write(link->peer, output) != KC_OK;
    km_conn_sent(link->conn, output.len);
    if (!is_lost && !km_conn_is_done(link->conn))
        return;
    if (is_lost || km_conn_is_cut(link->conn))
        kn_mem_peer_reset(link->peer);
    else
        kn_mem_peer_close(link->peer);
    link_free(link);
}

/** What the brokers have to say leaves, and the timer follows theirs. */
static void on_settle(kn_task *task)
{
    km_mem_server *server = task->user;
    KB_LIST_FOR (node, &server->peers) {
        mem_link *link = KB_CONTAINER(node, mem_link, node);
        if (link->is_dirty)
            flush(link);
    }
    int64_t due_us = km_cluster_next_due(server->cluster);
    if (due_us == INT64_MAX)
        kn_timer_stop(server->loop, &server->timer);
    else if (kn_timer_set(server->loop, &server->timer, due_us))
        return; /* it always is KC_OK */
}

static void on_due(kn_timer *timer)
{
    advance(timer->user);
}

/* ---- the network's side ---- */

static void on_accept(void *user, kn_mem_peer *peer)
{
    km_broker *broker = user;
    km_mem_server *server = broker->carrier;
    mem_link *link = kb_mem_zalloc(server->cluster->mem, sizeof *link);
    km_conn *conn = link ? km_conn_new(broker, &conn_ops, link) : NULL;
    if (!conn) {
        kb_mem_free(server->cluster->mem, link);
        kn_mem_peer_reset(peer);
        return;
    }
    link->server = server;
    link->peer = peer;
    link->conn = conn;
    kb_list_push_back(&server->peers, &link->node);
    kn_mem_peer_set_user(peer, link);
}

static void on_data(void *user, kn_mem_peer *peer)
{
    km_broker *broker = user;
    mem_link *link = kn_mem_peer_user(peer);
    if (!link)
        return;
    advance(broker->carrier);
    kc_bytes in = kn_mem_peer_in(peer);
    km_conn_receive(link->conn, in);
    kn_mem_peer_take(peer, in.len);
}

static void on_close(void *user, kn_mem_peer *peer)
{
    mem_link *link = kn_mem_peer_user(peer);
    if (!link)
        return;
    advance(((km_broker *)user)->carrier);
    link_free(link);
}

static const kn_mem_server server_ops = {on_accept, on_data, on_close};

static void on_state(km_broker *broker, void *carrier)
{
    km_mem_server *server = carrier;
    if (broker->is_down) {
        kn_mem_unlisten(server->network, broker->host, KM_MEM_PORT);
    } else if (kn_mem_listen(server->network, broker->host, KM_MEM_PORT, &server_ops, broker)) {
        kb_log_line(&server->cluster->log, KC_LOG_ERROR, "broker %d can't listen", broker->id);
    }
    kn_task_queue(server->loop, &server->settle);
}

kc_err km_mem_server_new(kn_loop *loop, kn_mem_network *network, km_cluster *cluster,
                         km_mem_server **server_out)
{
    km_mem_server *server = kb_mem_zalloc(cluster->mem, sizeof *server);
    if (!server)
        return KC_ERR_NOMEM;
    server->loop = loop;
    server->network = network;
    server->cluster = cluster;
    server->timer.fn = on_due;
    server->timer.user = server;
    server->settle.fn = on_settle;
    server->settle.user = server;
    kb_list_init(&server->peers);
    for (int i = 0; i < cluster->broker_count; i++) {
        km_broker *broker = &cluster->brokers[i];
        snprintf(broker->host, sizeof broker->host, "b%d", broker->id);
        broker->port = KM_MEM_PORT;
        broker->carrier = server;
        broker->on_state = on_state;
        kc_err err = kn_mem_listen(network, broker->host, KM_MEM_PORT, &server_ops, broker);
        if (err) {
            km_mem_server_free(server);
            return err;
        }
    }
    *server_out = server;
    return KC_OK;
}

void km_mem_server_free(km_mem_server *server)
{
    if (!server)
        return;
    KB_LIST_FOR (node, &server->peers) {
        mem_link *link = KB_CONTAINER(node, mem_link, node);
        kn_mem_peer_reset(link->peer);
        link_free(link);
    }
    for (int i = 0; i < server->cluster->broker_count; i++) {
        km_broker *broker = &server->cluster->brokers[i];
        if (broker->carrier == server && !broker->is_down)
            kn_mem_unlisten(server->network, broker->host, KM_MEM_PORT);
        broker->carrier = NULL;
        broker->on_state = NULL;
    }
    kn_timer_stop(server->loop, &server->timer);
    kn_task_cancel(&server->settle);
    kb_mem_free(server->cluster->mem, server);
}
