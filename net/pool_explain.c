/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What connections and requests wait for, in words: a line for each link that has something to do or is in
 * trouble. Reads only. */
#include "net/pool_core.h"
#include "protocol/base/text.h"

#include <stdio.h>

/** "broker 2 at b2:9092 (fetch)": the lane is said where it is not the common one. */
static const char *name_link(const kn_link *link, char *buf, size_t cap)
{
    static const char *const lanes[] = {
        [KN_LANE_MAIN] = "",
        [KN_LANE_PRODUCE] = " (produce)",
        [KN_LANE_FETCH] = " (fetch)",
        [KN_LANE_GROUP] = " (group)",
    };
    const kn_broker *broker = link->broker;
    char peer[KN_PEER_NAME_MAX];
    kn_peer_name(broker->id, broker->host, broker->port, peer, sizeof peer);
    snprintf(buf, cap, "%s%s", peer, lanes[link->lane]);
    return buf;
}

static size_t count_of(const kb_list *list)
{
    size_t count = 0;
    KB_LIST_FOR (node, list)
        count++;
    return count;
}

/* ---- one link ---- */

/** On the way to be connected. */
static void explain_setup(const kn_conn *conn, const char *name, kb_explain *out)
{
    kb_word age = kb_duration(out->now_us - conn->setup_started_us);
    kb_word limit = kb_duration(conn->setup_deadline_us - conn->setup_started_us);
    const char *question = "an answer to ApiVersions", *via = conn->env->network->via;
    if (conn->auth.state != KN_AUTH_IDLE)
        question = kn_conn_auth_waits_for(conn);
    if (conn->state == KN_CONN_SETUP)
        kb_explain_line(out, "%s: connected, waits for %s, for %s of %s in all", name, question,
                        age.text, limit.text);
    else if (conn->state == KN_CONN_CONNECTING)
        kb_explain_line(out, "%s: connecting%s%s for %s of %s, to address %zu of %zu%s", name,
                        via ? " through " : "", via ? via : "", age.text, limit.text, conn->tried,
                        conn->lookup.count, via ? " of the proxy" : "");
    else
        kb_explain_line(out, "%s: the name%s%s is being resolved, for %s of %s", name,
                        via ? " of " : "", via ? via : "", age.text, limit.text);
}

static void explain_requests(const kn_conn *conn, size_t waiting, const char *name, kb_explain *out)
{
    char behind[64] = "";
    size_t unwritten = waiting + conn->unsent_count + conn->has_orphan;
    const char *hold = conn->is_blocked ? "its socket takes no more now" : "about to be written";
    if (conn->ring_count == 0) {
        kb_explain_line(out, "%s: %s: %s", name, kb_count(unwritten, "request").text, hold);
        return;
    }
    if (unwritten > 0)
        snprintf(behind, sizeof behind, ", %zu more behind %s", unwritten,
                 conn->ring_count == 1 ? "it" : "them");
    const kn_sent *oldest = &conn->ring[conn->ring_head];
    kb_explain_line(out, "%s: %s in flight, the oldest %s for %s of %s%s", name,
                    kb_count(conn->ring_count, "request").text, oldest->api->name,
                    kb_duration(out->now_us - oldest->written_us).text,
                    kb_duration(oldest->expires_us - oldest->written_us).text, behind);
}

static void explain_open(const kn_link *link, const char *name, kb_explain *out)
{
    const kn_conn *conn = link->conn;
    size_t waiting = count_of(&link->waiting);
    kb_word in_flight = kb_count(conn->ring_count, "request");
    if (link->mute_until_us > out->now_us)
        kb_explain_line(out, "%s: the broker throttles us, for %s more; %s in flight, %zu wait",
                        name, kb_duration(link->mute_until_us - out->now_us).text, in_flight.text,
                        waiting);
    else if (conn->auth.state == KN_AUTH_QUIETING)
        kb_explain_line(
            out, "%s: its session is renewed when %s in flight %s answered; %zu more wait for that",
            name, in_flight.text, conn->ring_count == 1 ? "is" : "are", waiting);
    else if (conn->auth.state != KN_AUTH_IDLE)
        kb_explain_line(out,
                        "%s: its session is being renewed, waits for %s; %zu "
                        "requests wait",
                        name, kn_conn_auth_waits_for(conn), waiting);
    else
        explain_requests(conn, waiting, name, out);
}

static void explain_unconnected(const kn_link *link, const char *name, kb_explain *out)
{
    size_t waiting = count_of(&link->waiting);
    char when[64] = "tried again when it is needed", who[48] = "", why[320] = "";
    if (link->retry_at_us > out->now_us)
        snprintf(when, sizeof when, "next try in %s",
                 kb_duration(link->retry_at_us - out->now_us).text);
    else if (waiting > 0 || link->is_wanted)
        snprintf(when, sizeof when, "about to be connected");
    if (waiting > 0)
        snprintf(who, sizeof who, ", for %s", kb_count(waiting, "request").text);
    if (link->broker->trouble[0])
        snprintf(why, sizeof why, " (%s in a row: %s)", kb_count(link->failures, "failure").text,
                 link->broker->trouble);
    kb_explain_line(out, "%s: not connected, %s%s%s", name, when, who, why);
}

static void explain_link(const kn_link *link, kb_explain *out)
{
    char name[KN_PEER_NAME_MAX + 16];
    name_link(link, name, sizeof name);
    if (!link->conn)
        explain_unconnected(link, name, out);
    else if (link->conn->state < KN_CONN_READY)
        explain_setup(link->conn, name, out);
    else
        explain_open(link, name, out);
}

/** Connected, or not in need of it, and nothing to do. */
static bool is_at_rest(const kn_link *link, int64_t now_us)
{
    const kn_conn *conn = link->conn;
    bool has_waiting = link->is_wanted || !kb_list_is_empty(&link->waiting);
    if (link->doom != KC_OK)
        return true;
    if (!conn)
        return !has_waiting && link->retry_at_us <= now_us && !link->broker->trouble[0];
    return conn->state == KN_CONN_CLOSED ||
           (conn->state == KN_CONN_READY && !has_waiting && kn_conn_load(conn) == 0 &&
            link->mute_until_us <= now_us && conn->auth.state == KN_AUTH_IDLE);
}

/* ---- all ---- */

static void explain_brokers(const kb_list *brokers, kb_explain *out, kb_explain_list *list)
{
    KB_LIST_FOR (node, brokers) {
        const kn_broker *broker = KB_CONTAINER(node, kn_broker, node);
        KB_LIST_FOR (link_node, &broker->links) {
            const kn_link *link = KB_CONTAINER(link_node, kn_link, node);
            if (!is_at_rest(link, out->now_us) && kb_explain_next(list))
                explain_link(link, out);
        }
    }
}

static void explain_any(const kn_pool *pool, kb_explain *out)
{
    if (kb_list_is_empty(&pool->any))
        return;
    const kn_request *oldest = KB_CONTAINER(pool->any.next, kn_request, node);
    size_t count = count_of(&pool->any);
    kb_explain_line(out, "%s wait%s for any broker, the oldest %s for %s of %s",
                    kb_count(count, "request").text, count == 1 ? "s" : "", oldest->api->name,
                    kb_duration(out->now_us - oldest->submitted_us).text,
                    kb_duration(oldest->expires_us - oldest->submitted_us).text);
}

/** The look-up of canonical names. */
static void explain_seeds(const kn_bootstrap *canonical, kb_explain *out, kb_explain_list *list)
{
    for (size_t i = 0; i < canonical->count; i++) {
        const kn_seed *seed = &canonical->seeds[i];
        char name[KN_PEER_NAME_MAX];
        if (seed->is_busy && kb_explain_next(list))
            kb_explain_line(out, "%s: its canonical names are being looked up, for %s",
                            kn_peer_name(KN_ANY_BROKER, seed->host, seed->port, name, sizeof name),
                            kb_duration(out->now_us - canonical->started_us).text);
    }
}

static void explain_ways(const kn_pool *pool, kb_explain *out, kb_explain_list *list)
{
    explain_seeds(&pool->canonical, out, list);
    explain_brokers(&pool->bootstrap, out, list);
    explain_brokers(&pool->brokers, out, list);
}

void kn_pool_explain(const kn_pool *pool, kb_explain *out)
{
    kb_explain_list list = {0};
    explain_any(pool, out);
    explain_ways(pool, out, &list);
    KB_LIST_FOR (node, &pool->detached) {
        const kn_conn *conn = KB_CONTAINER(node, kn_conn, node);
        char name[KN_PEER_NAME_MAX];
        if (conn->state == KN_CONN_DRAINING && kb_explain_next(&list))
            kb_explain_line(out, "%s: closed when %s in flight %s answered",
                            kn_conn_name(conn, name, sizeof name),
                            kb_count(conn->ring_count, "request").text,
                            conn->ring_count == 1 ? "is" : "are");
    }
    kb_explain_rest(out, &list, "connections");
}

typedef struct first_line {
    char *text;
    size_t cap;
    bool is_there;
} first_line;

static void keep_first(kc_bytes line, void *user)
{
    first_line *first = user;
    if (!first->is_there)
        kb_text_printable(first->text, first->cap, line);
    first->is_there = true;
}

bool kn_pool_first_trouble(const kn_pool *pool, char *text, size_t cap)
{
    first_line first = {.text = text, .cap = cap};
    kb_explain_list list = {0};
    kb_explain out = {.fn = keep_first, .user = &first, .now_us = kn_loop_now_us(pool->env.loop)};
    explain_ways(pool, &out, &list);
    return first.is_there;
}

void kn_pool_explain_idle(const kn_pool *pool, kb_explain *out)
{
    size_t count = 0;
    KB_LIST_FOR (node, &pool->brokers) {
        const kn_broker *broker = KB_CONTAINER(node, kn_broker, node);
        bool is_idle = true, is_open = false;
        KB_LIST_FOR (link_node, &broker->links) {
            const kn_link *link = KB_CONTAINER(link_node, kn_link, node);
            is_idle &= is_at_rest(link, out->now_us);
            is_open |= link->conn && link->conn->state == KN_CONN_READY;
        }
        count += is_idle && is_open;
    }
    if (count > 0)
        kb_explain_line(out, "%s connected, idle", kb_count(count, "broker").text);
}

/* ---- one request ---- */

static const kn_sent *find_sent(const kn_conn *conn, const kn_request *request)
{
    for (size_t i = 0; i < conn->ring_count; i++) {
        const kn_sent *sent = &conn->ring[(conn->ring_head + i) % conn->ring_cap];
        if (sent->request == request)
            return sent;
    }
    return NULL;
}

kn_whereabouts kn_request_where(const kn_request *request, int64_t now_us)
{
    kn_whereabouts where;
    char peer[32] = "any broker";
    int32_t broker_id = request->conn ? request->conn->broker_id : request->target_id;
    const kn_sent *sent = NULL;
    if (request->state == KN_REQUEST_SENT && request->conn)
        sent = find_sent(request->conn, request);
    if (broker_id >= 0)
        snprintf(peer, sizeof peer, "broker %d", (int)broker_id);
    else if (request->conn)
        snprintf(peer, sizeof peer, "a bootstrap server");
    if (sent)
        snprintf(where.text, sizeof where.text, "%s is in flight to %s for %s of %s",
                 request->api->name, peer, kb_duration(now_us - sent->written_us).text,
                 kb_duration(sent->expires_us - sent->written_us).text);
    else if (request->state == KN_REQUEST_IDLE)
        snprintf(where.text, sizeof where.text, "%s is being answered", request->api->name);
    else
        snprintf(where.text, sizeof where.text, "%s waits for a connection to %s, for %s",
                 request->api->name, peer, kb_duration(now_us - request->submitted_us).text);
    return where;
}
