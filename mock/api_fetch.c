/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Fetch: what is wanted comes from the request and its session (KIP-227); the answer waits for `min_bytes`.
 *
 *     request + session -> items -> read all -> enough, or an error, or no time? -> answer
 *                                      ^                  | no
 *                                      +--- woken --------+ hold
 *
 * An item keeps a copy of what is wanted, as its session may go while the request is held. */
#include "mock/api.h"
#include "mock/fetch_read.h"

#define FINAL_EPOCH   (-1)
#define INITIAL_EPOCH 0
/** Versions: topic ids (KIP-516); leaders (KIP-951). */
#define ID_VERSION     13
#define LEADER_VERSION 16
/** fetch.max.bytes of a broker */
#define BYTES_MAX 57671680

struct fetch;

/** One partition. */
typedef struct item {
    struct fetch *fetch;
    km_fetch_want want;
    km_partition *partition; /**< NULL: not there, see error */
    int16_t error;           /**< with partition NULL        */
    kp_fetch_resp_partition out;
    km_waiter waiter;
} item;

typedef struct fetch {
    km_request *request;
    bool makes_session;
    int32_t session_id; /**< an incremental fetch; 0: none */
    item *items;
    int32_t count;
    km_watcher watcher;
} fetch;

static bool uses_ids(const km_request *request)
{
    return request->version >= ID_VERSION;
}

static bool is_same_id(const kc_uuid *a, const kc_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* ---- what is wanted ---- */

/** The topic may be deleted while the request is held, so its name is copied; but once for all its partitions. */
static kc_bytes keep_name(km_request *request, const item *it, const km_topic *topic)
{
    const item *before = it > it->fetch->items ? it - 1 : NULL;
    if (before && before->want.name.ptr && is_same_id(&before->want.topic_id, &topic->id))
        return before->want.name;
    return km_request_copy(request, kc_str(topic->name));
}

/** Which partition is meant. With an id that is gone, its name says what there is instead. */
static void resolve(km_request *request, item *it)
{
    km_cluster *cluster = request->cluster;
    if (!uses_ids(request)) {
        it->partition = km_partition_find(cluster, it->want.name, it->want.partition);
        it->error = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    const km_topic *topic = km_topic_by_id(cluster, it->want.topic_id);
    if (topic) {
        it->want.name = keep_name(request, it, topic);
        it->partition = km_partition_find(cluster, kc_str(topic->name), it->want.partition);
        it->error = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (!it->want.name.ptr) {
        it->error = KC_E_UNKNOWN_TOPIC_ID;
    } else {
        it->error = km_partition_find(cluster, it->want.name, it->want.partition)
                        ? KC_E_INCONSISTENT_TOPIC_ID
                        : KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    }
}

/** KC_ERR_NOMEM. */
static kc_err want_of(km_request *request, const kp_fetch_req_topic *topic,
                      const kp_fetch_req_partition *asked, km_fetch_want *out)
{
    *out = (km_fetch_want){
        .name = uses_ids(request) ? KC_NULL : topic->topic,
        .topic_id = topic->topic_id,
        .partition = asked->partition,
        .bytes_max = asked->partition_max_bytes,
        .offset = asked->fetch_offset,
        .leader_epoch = asked->current_leader_epoch,
        .last_fetched_epoch = asked->last_fetched_epoch,
    };
    out->key = km_fetch_key(&request->arena, out->name, uses_ids(request) ? &topic->topic_id : NULL,
                            asked->partition);
    return out->key.ptr ? KC_OK : KC_ERR_NOMEM;
}

/** Room for the items. False: no memory. */
static bool reserve(fetch *all, size_t count)
{
    all->items = km_request_alloc(all->request, count, sizeof *all->items);
    return all->items;
}

static void on_woken(km_waiter *waiter);

static void add_item(fetch *all, const km_fetch_want *want)
{
    item *it = &all->items[all->count++];
    it->fetch = all;
    it->want = *want;
    it->waiter.fn = on_woken;
    it->waiter.user = it;
    kb_list_init(&it->waiter.node);
    resolve(all->request, it);
}

/** A partition that is named again is one still, with what was told last. False: no memory. */
static bool take_want(fetch *all, kb_map *seen, km_fetch_want *want)
{
    item *twin = kb_map_get(seen, want->key);
    if (!twin) {
        add_item(all, want);
        return kb_map_put(seen, want->key, &all->items[all->count - 1]) == KC_OK;
    }
    want->name = twin->want.name;
    twin->want = *want;
    return true;
}

static bool take_topic(fetch *all, kb_map *seen, const kp_fetch_req_topic *topic)
{
    for (int32_t i = 0; i < topic->partitions.count; i++) {
        km_fetch_want want;
        if (want_of(all->request, topic, &topic->partitions.items[i], &want) ||
            !take_want(all, seen, &want))
            return false;
    }
    return true;
}

static bool take_request(fetch *all)
{
    const kp_fetch_req *asked = all->request->message;
    kb_map seen;
    size_t count = 0;
    for (int32_t i = 0; i < asked->topics.count; i++)
        count += (size_t)asked->topics.items[i].partitions.count;
    bool is_taken = reserve(all, count);
    kb_map_init(&seen, all->request->cluster->mem);
    for (int32_t i = 0; is_taken && i < asked->topics.count; i++)
        is_taken = take_topic(all, &seen, &asked->topics.items[i]);
    kb_map_cleanup(&seen);
    return is_taken;
}

/** The session follows the request. False: no memory. */
static bool change_session(km_request *request, km_fetch_session *session)
{
    const kp_fetch_req *asked = request->message;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        const kp_fetch_req_topic *topic = &asked->topics.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            km_fetch_want want;
            if (want_of(request, topic, &topic->partitions.items[j], &want) ||
                !km_fetch_session_put(session, &want))
                return false;
        }
    }
    for (int32_t i = 0; i < asked->forgotten_topics_data.count; i++) {
        const kp_fetch_req_forgotten_topics_data *topic = &asked->forgotten_topics_data.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            kc_bytes key = km_fetch_key(&request->arena, topic->topic,
                                        uses_ids(request) ? &topic->topic_id : NULL,
                                        topic->partitions.items[j]);
            if (!key.ptr)
                return false;
            km_fetch_session_forget(session, key);
        }
    }
    return true;
}

/** The items are copies of the session's partitions, in its order. False: no memory. */
static bool take_session(fetch *all, km_fetch_session *session)
{
    if (!reserve(all, session->parts.count))
        return false;
    KB_LIST_FOR (node, &session->order) {
        const km_fetch_part *part = KB_CONTAINER(node, km_fetch_part, node);
        km_fetch_want want = part->want;
        want.key = km_request_copy(all->request, want.key);
        want.name = km_request_copy(all->request, want.name);
        if (!want.key.ptr || (part->want.name.ptr && !want.name.ptr))
            return false;
        add_item(all, &want);
    }
    /* From now on the session knows the names, too. */
    for (int32_t i = 0; i < all->count; i++) {
        const km_fetch_want *want = &all->items[i].want;
        if (want->name.ptr && !km_fetch_session_get(session, want->key)->want.name.ptr &&
            !km_fetch_session_put(session, want))
            return false;
    }
    return true;
}

static int16_t check_session(const km_request *request, const km_fetch_session *session)
{
    const kp_fetch_req *asked = request->message;
    if (!session)
        return KC_E_FETCH_SESSION_ID_NOT_FOUND;
    if (session->epoch != asked->session_epoch)
        return KC_E_INVALID_FETCH_SESSION_EPOCH;
    return session->uses_ids == uses_ids(request) ? 0 : KC_E_FETCH_SESSION_TOPIC_ID_ERROR;
}

static bool take_incremental(fetch *all, km_fetch_session *session)
{
    km_request *request = all->request;
    if (!change_session(request, session)) {
        km_fetch_session_free(session); /* half changed: its next request makes a new one */
        return false;
    }
    if (session->parts.count == 0) {
        km_fetch_session_free(session);
        return take_request(all);
    }
    km_fetch_session_touch(request->broker, session);
    session->epoch = km_fetch_session_next_epoch(session->epoch);
    all->session_id = session->id;
    return take_session(all, session);
}

/* ---- the answer ---- */

static bool put_endpoint(km_request *request, int32_t broker_id)
{
    kp_fetch_resp *response = request->response;
    const km_broker *broker = km_broker_by_id(request->cluster, broker_id);
    for (int32_t i = 0; i < response->node_endpoints.count; i++)
        if (response->node_endpoints.items[i].node_id == broker_id)
            return true;
    if (!broker)
        return true;
    if (!response->node_endpoints.count)
        response->node_endpoints.items =
            km_request_alloc(request, KM_BROKERS_MAX, sizeof *response->node_endpoints.items);
    if (!response->node_endpoints.items)
        return false;
    kp_fetch_resp_node_endpoint *out =
        &response->node_endpoints.items[response->node_endpoints.count++];
    out->node_id = broker_id;
    out->host = kc_str(broker->host);
    out->port = broker->port;
    out->rack = broker->rack[0] ? kc_str(broker->rack) : KC_NULL;
    return true;
}

/** KIP-951. False: no memory. */
static bool put_leader(km_request *request, item *it)
{
    if (request->version < LEADER_VERSION || !it->partition ||
        (it->out.error_code != KC_E_NOT_LEADER_OR_FOLLOWER &&
         it->out.error_code != KC_E_FENCED_LEADER_EPOCH))
        return true;
    it->out.current_leader.leader_id = it->partition->leader;
    it->out.current_leader.leader_epoch = it->partition->leader_epoch;
    return put_endpoint(request, it->partition->leader);
}

/** What did not change is left out; what had records has its next turn after the others. */
static bool is_news(km_fetch_session *session, const item *it)
{
    km_fetch_part *part = km_fetch_session_get(session, it->want.key);
    const kp_fetch_resp_partition *out = &it->out;
    if (!part)
        return true;
    bool is_new = out->records.len > 0 || out->error_code || km_fetch_is_diverging(out) ||
                  part->high_watermark != out->high_watermark ||
                  part->log_start_offset != out->log_start_offset;
    part->high_watermark = out->error_code ? -1 : out->high_watermark;
    part->log_start_offset = out->log_start_offset;
    if (out->records.len > 0) {
        kb_list_remove(&part->node);
        kb_list_push_back(&session->order, &part->node);
    }
    return is_new;
}

static bool same_topic(const km_request *request, const kp_fetch_resp_response *topic,
                       const item *it)
{
    return uses_ids(request) ? is_same_id(&topic->topic_id, &it->want.topic_id)
                             : kc_bytes_equal(topic->topic, it->want.name);
}

/** One partition more; one after the other of the same topic share an entry. */
static void put_item(km_request *request, const item *it, kp_fetch_resp_partition *partitions,
                     int32_t *count)
{
    kp_fetch_resp *out = request->response;
    kp_fetch_resp_response *topic =
        out->responses.count > 0 ? &out->responses.items[out->responses.count - 1] : NULL;
    partitions[*count] = it->out;
    partitions[*count].partition_index = it->want.partition;
    if (!topic || !same_topic(request, topic, it)) {
        topic = &out->responses.items[out->responses.count++];
        topic->topic = it->want.name.ptr ? it->want.name : KC_STR("");
        topic->topic_id = it->want.topic_id;
        topic->partitions.items = partitions + *count;
        topic->partitions.count = 0;
    }
    topic->partitions.count++;
    ++*count;
}

/** What this fetch read is what its session knows. 0: there is none, or no room for it. */
static int32_t make_session(const fetch *all)
{
    km_request *request = all->request;
    km_fetch_session *session =
        km_fetch_session_new(request->broker, (size_t)all->count, uses_ids(request));
    for (int32_t i = 0; session && i < all->count; i++) {
        const item *it = &all->items[i];
        km_fetch_part *part = km_fetch_session_put(session, &it->want);
        if (!part) {
            km_fetch_session_free(session);
            return 0;
        }
        part->high_watermark = it->out.error_code ? -1 : it->out.high_watermark;
        part->log_start_offset = it->out.log_start_offset;
    }
    return session ? session->id : 0;
}

/** The items were read. False: no memory. */
static bool build(fetch *all)
{
    km_request *request = all->request;
    const kp_fetch_req *asked = request->message;
    kp_fetch_resp *out = request->response;
    km_fetch_session *session = NULL;
    if (all->session_id) {
        session = km_fetch_session_find(request->broker, all->session_id);
        out->session_id = all->session_id;
        if (!session || session->epoch != km_fetch_session_next_epoch(asked->session_epoch)) {
            out->error_code =
                KC_E_INVALID_FETCH_SESSION_EPOCH; /* another request came in between */
            return true;
        }
    }
    kp_fetch_resp_partition *partitions =
        km_request_alloc(request, (size_t)all->count, sizeof *partitions);
    out->responses.items =
        km_request_alloc(request, (size_t)all->count, sizeof *out->responses.items);
    if (!partitions || !out->responses.items)
        return false;
    out->responses.count = 0;
    int32_t count = 0;
    for (int pass = 0; pass < 2; pass++) /* what is not there comes last */
        for (int32_t i = 0; i < all->count; i++) {
            item *it = &all->items[i];
            if (!it->partition != (pass == 1) || (session && !is_news(session, it)))
                continue;
            if (!put_leader(request, it) ||
                (it->partition &&
                 !km_fetch_put_aborted(request, &it->want, it->partition, &it->out)))
                return false;
            put_item(request, it, partitions, &count);
        }
    if (all->makes_session)
        out->session_id = make_session(all);
    return true;
}

/* ---- reading and waiting ---- */

/** Read everything anew. True: it is to be answered now. */
static bool read_all(fetch *all)
{
    const km_request *request = all->request;
    const kp_fetch_req *asked = request->message;
    int32_t bytes_max = asked->max_bytes < BYTES_MAX ? asked->max_bytes : BYTES_MAX;
    int32_t bytes_min = asked->min_bytes < bytes_max ? asked->min_bytes : bytes_max;
    km_fetch_room room = {bytes_max > 0 ? (size_t)bytes_max : 0, true};
    int64_t bytes = 0;
    bool is_urgent = request->error != 0;
    bool has_any = false;
    for (int32_t i = 0; i < all->count; i++) {
        item *it = &all->items[i];
        if (!it->partition) {
            km_fetch_refuse(&it->out, request->error ? request->error : it->error);
            it->out.aborted_transactions.count = 0; /* not null, as in a broker's answer */
            is_urgent |= it->out.error_code == KC_E_INCONSISTENT_TOPIC_ID;
            continue;
        }
        has_any = true;
        km_fetch_read(request, &it->want, it->partition, &room, &it->out);
        bytes += (int64_t)it->out.records.len;
        is_urgent |= it->out.error_code != 0 || km_fetch_is_diverging(&it->out);
    }
    return is_urgent || !has_any || bytes >= bytes_min;
}

static void stop_waiting(fetch *all)
{
    for (int32_t i = 0; i < all->count; i++)
        kb_list_remove(&all->items[i].waiter.node);
    km_unwatch(&all->watcher);
}

static void finish(fetch *all)
{
    stop_waiting(all);
    if (build(all))
        km_request_answer(all->request);
    else
        km_request_drop(all->request);
}

static void on_woken(km_waiter *waiter)
{
    item *it = waiter->user;
    bool is_gone = it->partition->is_deleted;
    if (is_gone) {
        it->partition = NULL;
        it->error = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (read_all(it->fetch) || is_gone)
        finish(it->fetch);
    else
        km_partition_wait(it->partition, waiter);
}

static void on_changed(km_watcher *watcher)
{
    fetch *all = watcher->user;
    if (read_all(all))
        finish(all);
}

static void on_timeout(kn_timer *timer)
{
    km_request *request = timer->user;
    fetch *all = request->user;
    read_all(all);
    finish(all);
}

static void on_abandon(km_request *request)
{
    stop_waiting(request->user);
}

static km_action hold(fetch *all)
{
    km_request *request = all->request;
    const kp_fetch_req *asked = request->message;
    for (int32_t i = 0; i < all->count; i++)
        if (all->items[i].partition)
            km_partition_wait(all->items[i].partition, &all->items[i].waiter);
    all->watcher.fn = on_changed;
    all->watcher.user = all;
    km_watch(request->cluster, &all->watcher);
    request->user = all;
    request->on_abandon = on_abandon;
    request->timer.fn = on_timeout;
    request->timer.user = request;
    km_timer_set(request->cluster, &request->timer,
                 request->cluster->now_us + (int64_t)asked->max_wait_ms * 1000);
    return KM_HOLD;
}

/* ---- the handler ---- */

/** Errors of the whole answer. */
static bool is_session_error(int16_t error)
{
    return error == KC_E_FETCH_SESSION_ID_NOT_FOUND || error == KC_E_INVALID_FETCH_SESSION_EPOCH ||
           error == KC_E_FETCH_SESSION_TOPIC_ID_ERROR;
}

/** Items out of request and session. KM_HOLD: there they are; else what to do at once. */
static km_action prepare(fetch *all, km_request *request, kp_fetch_resp *out)
{
    const kp_fetch_req *asked = request->message;
    bool is_full = asked->session_epoch == INITIAL_EPOCH || asked->session_epoch == FINAL_EPOCH;
    km_fetch_session *session =
        asked->session_id ? km_fetch_session_find(request->broker, asked->session_id) : NULL;
    out->error_code = is_session_error(request->error) ? request->error
                      : is_full                        ? 0
                                                       : check_session(request, session);
    if (out->error_code)
        return KM_ANSWER;
    if (!is_full)
        return take_incremental(all, session) ? KM_HOLD : KM_CLOSE;
    km_fetch_session_free(session);
    all->makes_session = asked->session_epoch == INITIAL_EPOCH;
    return take_request(all) ? KM_HOLD : KM_CLOSE;
}

km_action km_api_fetch(km_request *request, const void *message, void *response)
{
    const kp_fetch_req *asked = message;
    fetch *all = km_request_alloc(request, 1, sizeof *all);
    if (!all)
        return KM_CLOSE;
    all->request = request;
    kb_list_init(&all->watcher.node);
    km_action action = prepare(all, request, response);
    if (action != KM_HOLD)
        return action;
    if (!read_all(all) && asked->max_wait_ms > 0)
        return hold(all);
    return build(all) ? KM_ANSWER : KM_CLOSE;
}
