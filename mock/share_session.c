/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Share sessions, and the ends of their connections. */
#include "mock/share_session.h"

/** A connection that opened a session: its end is the session's, unless another connection took it over. */
typedef struct session_link {
    kb_list node;
    km_conn_watcher watcher;
    km_conn *conn;
    km_broker *broker;
    km_share_session *session; /**< NULL: is over     */
    kc_bytes group_id;         /**< owned by the link */
} session_link;

struct km_share_sessions {
    km_module module;
    km_cluster *cluster;
    kb_list sessions; /**< km_share_session */
    kb_list links;    /**< session_link     */
};

/* ---- sessions ---- */

static void session_free(km_share_session *session)
{
    km_cluster *cluster = session->broker->cluster;
    KB_LIST_FOR (node, &cluster->share_sessions->links) {
        session_link *link = KB_CONTAINER(node, session_link, node);
        if (link->session == session)
            link->session = NULL;
    }
    kb_list_remove(&session->node);
    size_t pos = 0;
    km_share_item *item;
    while ((item = kb_map_next(&session->items, &pos)))
        kb_mem_free(cluster->mem, item);
    kb_map_cleanup(&session->items);
    kb_mem_free(cluster->mem, session);
}

static void link_free(session_link *link)
{
    km_cluster *cluster = link->broker->cluster;
    kb_list_remove(&link->node);
    kb_list_remove(&link->watcher.node);
    kb_mem_free(cluster->mem, (void *)link->group_id.ptr);
    kb_mem_free(cluster->mem, link);
}

static void sessions_free(km_module *module)
{
    km_share_sessions *all = KB_CONTAINER(module, km_share_sessions, module);
    km_cluster *cluster = all->cluster;
    KB_LIST_FOR (node, &all->links) {
        link_free(KB_CONTAINER(node, session_link, node));
    }
    KB_LIST_FOR (node, &all->sessions) {
        session_free(KB_CONTAINER(node, km_share_session, node));
    }
    cluster->share_sessions = NULL;
    kb_mem_free(cluster->mem, all);
}

static km_share_sessions *open_all(km_cluster *cluster)
{
    if (cluster->share_sessions)
        return cluster->share_sessions;
    km_share_sessions *all = kb_mem_zalloc(cluster->mem, sizeof *all);
    if (!all)
        return NULL;
    all->cluster = cluster;
    all->module.free = sessions_free;
    kb_list_init(&all->sessions);
    kb_list_init(&all->links);
    km_module_add(cluster, &all->module);
    cluster->share_sessions = all;
    return all;
}

km_share_session *km_share_session_find(const km_broker *broker, kc_bytes group_id,
                                        kc_bytes member_id)
{
    const km_share_sessions *all = broker->cluster->share_sessions;
    if (!all)
        return NULL;
    KB_LIST_FOR (node, &all->sessions) {
        km_share_session *session = KB_CONTAINER(node, km_share_session, node);
        if (session->broker == broker && kc_bytes_equal(session->member_id, member_id) &&
            kc_bytes_equal(session->group_id, group_id))
            return session;
    }
    return NULL;
}

static size_t count_on(const km_share_sessions *all, const km_broker *broker,
                       const kc_bytes *group_id)
{
    size_t count = 0;
    KB_LIST_FOR (node, &all->sessions) {
        const km_share_session *session = KB_CONTAINER(node, km_share_session, node);
        count += session->broker == broker &&
                 (!group_id || kc_bytes_equal(session->group_id, *group_id));
    }
    return count;
}

/* ---- the end of a connection ---- */

/** No member of the group is left on this broker: it forgets what it has in memory for it. */
static void unload_group(const km_broker *broker, kc_bytes group_id)
{
    const km_share_group *group = km_share_group_find(broker->cluster, group_id);
    size_t pos = 0;
    const km_share_topic *topic;
    while (group && (topic = kb_map_next(&group->topics, &pos)))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            km_share_partition *shared = topic->partitions[i];
            if (shared && shared->is_loaded && shared->leader == broker->id)
                km_share_unload(shared);
        }
}

static void on_conn_end(km_conn_watcher *watcher)
{
    session_link *link = KB_CONTAINER(watcher, session_link, watcher);
    /* A broker that is gone writes nothing any more. */
    if (link->session && link->broker->is_down)
        session_free(link->session);
    else if (link->session)
        km_share_session_close(link->session);
    if (count_on(link->broker->cluster->share_sessions, link->broker, &link->group_id) == 0)
        unload_group(link->broker, link->group_id);
    link_free(link);
}

/** One link for a connection: the last session it opened. */
static session_link *link_to(km_share_sessions *all, const km_request *request, kc_bytes group_id)
{
    kb_mem *mem = all->cluster->mem;
    char *copy =
        kb_mem_strndup(mem, group_id.len > 0 ? (const char *)group_id.ptr : "", group_id.len);
    session_link *link = NULL;
    KB_LIST_FOR (node, &all->links) {
        session_link *other = KB_CONTAINER(node, session_link, node);
        if (other->conn == request->conn)
            link = other;
    }
    if (copy && !link) {
        link = kb_mem_zalloc(mem, sizeof *link);
        if (link) {
            link->watcher.fn = on_conn_end;
            link->conn = request->conn;
            link->broker = request->broker;
            kb_list_push_back(&all->links, &link->node);
            km_conn_watch(request->conn, &link->watcher);
        }
    }
    if (!copy || !link) {
        kb_mem_free(mem, copy);
        return NULL;
    }
    kb_mem_free(mem, (void *)link->group_id.ptr);
    link->group_id = kc_span(copy, group_id.len);
    link->session = NULL;
    return link;
}

/* ---- what requests do ---- */

int16_t km_share_session_open(km_request *request, kc_bytes group_id, kc_bytes member_id,
                              km_share_session **session_out)
{
    km_share_sessions *all = open_all(request->cluster);
    km_share_session *old = km_share_session_find(request->broker, group_id, member_id);
    if (old)
        session_free(old);
    if (!all)
        return KC_E_UNKNOWN_SERVER_ERROR;
    if (count_on(all, request->broker, NULL) >= KM_SHARE_SESSIONS_MAX)
        return KC_E_SHARE_SESSION_LIMIT_REACHED;
    km_share_session *session =
        kb_mem_zalloc(all->cluster->mem, sizeof *session + group_id.len + member_id.len);
    session_link *link = session ? link_to(all, request, group_id) : NULL;
    if (!link) {
        kb_mem_free(all->cluster->mem, session);
        return KC_E_UNKNOWN_SERVER_ERROR;
    }
    uint8_t *text = (uint8_t *)(session + 1);
    if (group_id.len > 0)
        memcpy(text, group_id.ptr, group_id.len);
    memcpy(text + group_id.len, member_id.ptr, member_id.len);
    session->group_id = kc_span(text, group_id.len);
    session->member_id = kc_span(text + group_id.len, member_id.len);
    session->broker = request->broker;
    session->epoch = 1;
    kb_map_init(&session->items, all->cluster->mem);
    kb_list_push_back(&all->sessions, &session->node);
    link->session = session;
    *session_out = session;
    return 0;
}

int16_t km_share_session_check(km_share_session *session, int32_t epoch)
{
    if (!session)
        return KC_E_SHARE_SESSION_NOT_FOUND;
    if (session->epoch != epoch)
        return KC_E_INVALID_SHARE_SESSION_EPOCH;
    session->epoch = epoch == INT32_MAX ? 1 : epoch + 1;
    return 0;
}

#define ITEM_KEY_BYTES (sizeof(kc_uuid) + sizeof(int32_t))

static kc_bytes item_key(const km_share_item *item)
{
    return kc_span(&item->topic_id, ITEM_KEY_BYTES);
}

km_share_item *km_share_session_item(const km_share_session *session, kc_uuid topic_id,
                                     int32_t index)
{
    const km_share_item key = {.topic_id = topic_id, .index = index};
    return kb_map_get(&session->items, item_key(&key));
}

kc_err km_share_session_add(km_share_session *session, kc_uuid topic_id, int32_t index, bool is_due)
{
    if (km_share_session_item(session, topic_id, index))
        return KC_OK;
    km_cluster *cluster = session->broker->cluster;
    km_share_item *item = kb_mem_alloc(cluster->mem, sizeof *item);
    if (!item)
        return KC_ERR_NOMEM;
    *item = (km_share_item){topic_id, index, km_topic_by_id(cluster, topic_id) != NULL, is_due};
    kc_err err = kb_map_put(&session->items, item_key(item), item);
    if (err)
        kb_mem_free(cluster->mem, item);
    return err;
}

void km_share_session_forget(km_share_session *session, kc_uuid topic_id, int32_t index)
{
    km_share_item *item = km_share_session_item(session, topic_id, index);
    if (!item)
        return;
    kb_map_remove(&session->items, item_key(item));
    kb_mem_free(session->broker->cluster->mem, item);
}

void km_share_session_close(km_share_session *session)
{
    size_t pos = 0;
    const km_share_item *item;
    while ((item = kb_map_next(&session->items, &pos))) {
        km_share_partition *shared =
            km_share_partition_at(session->broker, session->group_id, item->topic_id, item->index);
        if (shared)
            km_share_release(shared, session->member_id);
    }
    session_free(session);
}
