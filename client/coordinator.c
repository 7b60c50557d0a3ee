/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Coordinators by type and key.
 *
 * An entry belongs to the table, not to who asked first, so cancelling one wait leaves the look-up
 * to the others:
 *
 *   idle -> asking -> known          waiters are told from a task
 *            |  ^
 *            v  | retry.backoff      retriable failures, as long as somebody waits
 *          waiting                   final failures are told to all, and the entry is idle again
 *
 * FindCoordinator 4 and above has a list of keys, below one key: whoever is asked first decides,
 * since the version is known only with the connection. So the list is tried, and where no version
 * fits the single key (Kafka before 3.0). */
#include "client/coordinator.h"

#include "client/any_ask.h"
#include "client/metadata.h"
#include "client/timer.h"
#include "protocol/base/error.h"
#include "protocol/base/map.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#include <assert.h>

/** Entries nobody waits for, above which all such are forgotten. */
#define IDLE_ENTRIES_MAX 4096
/** First version with a list of keys (KIP-699). */
#define BATCH_VERSION 4
/** Most bytes of one decoded answer. */
#define ANSWER_BYTES_MAX 262144

typedef struct coordinator_entry {
    kb_list node;
    kc_coordinators *owner;
    kb_list waits;
    kn_request request;
    kc_any_ask any_ask;
    kp_find_coordinator_req ask;
    kc_bytes keys[1];
    kn_timer timer;    /**< next attempt, or the nearest deadline of a wait */
    kn_task task;      /**< tells the waiters                               */
    int32_t broker_id; /**< -1: not known */
    uint32_t attempt;
    int64_t retry_us; /**< time of the next attempt; INT64_MAX: none    */
    bool is_busy;     /**< waiters are being told: it must stay         */
    kc_error error;   /**< of the last attempt                          */
    uint8_t key_bytes[];
} coordinator_entry;

struct kc_coordinators {
    kc_client *client;
    kb_list entries;
    kb_map by_key[KC_COORDINATOR_SHARE + 1]; /**< by type */
    bool is_single;                          /**< brokers here know no list of keys */
};

static void ask_if_idle(coordinator_entry *entry);
static void arm(coordinator_entry *entry);

/* ---- telling ---- */

static bool has_waits(const coordinator_entry *entry)
{
    return !kb_list_is_empty(&entry->waits);
}

/** A wait may cancel others, start new ones, and free itself inside. */
static void tell_all(coordinator_entry *entry, const kc_error *error)
{
    kb_list told;
    kb_list_init(&told);
    kb_list_splice_back(&told, &entry->waits);
    int32_t broker_id = error ? -1 : entry->broker_id;
    kc_error copy = error ? *error : (kc_error){.code = KC_OK};
    kb_list *node;
    entry->is_busy = true;
    while ((node = kb_list_pop_front(&told))) {
        kc_coordinator_wait *wait = KB_CONTAINER(node, kc_coordinator_wait, node);
        wait->fn(wait, broker_id, error ? &copy : NULL);
    }
    entry->is_busy = false;
}

static void on_task(kn_task *task)
{
    coordinator_entry *entry = task->user;
    if (entry->broker_id >= 0)
        tell_all(entry, NULL);
    else
        ask_if_idle(entry); /* forgotten again before it was told */
    arm(entry);
}

/** The cause of a look-up that took too long, for who waited. */
static void time_out(coordinator_entry *entry, kc_coordinator_wait *wait)
{
    const kc_error *cause = &entry->error;
    if (cause->code == KC_OK)
        cause = kn_pool_last_error(entry->owner->client->pool);
    kc_error error = *cause;
    if (cause->code == KC_OK)
        kb_error_set(&error, KC_ERR_TIMEOUT, "the coordinator of " KC_FMT " was not found in time",
                     KC_ARG(entry->keys[0]));
    else
        kb_error_set(&error, KC_ERR_TIMEOUT,
                     "the coordinator of " KC_FMT " was not found in time: %s",
                     KC_ARG(entry->keys[0]), cause->text);
    error.broker_id = cause->code == KC_OK ? -1 : cause->broker_id;
    wait->fn(wait, -1, &error);
}

/* ---- times ---- */

static void arm(coordinator_entry *entry)
{
    int64_t due_us = has_waits(entry) ? entry->retry_us : INT64_MAX;
    KB_LIST_FOR (node, &entry->waits) {
        int64_t deadline_us = KB_CONTAINER(node, kc_coordinator_wait, node)->deadline_us;
        if (deadline_us < due_us)
            due_us = deadline_us;
    }
    if (due_us == INT64_MAX)
        kn_timer_stop(entry->owner->client->loop, &entry->timer);
    else
        kc_timer_arm(entry->owner->client->loop, &entry->timer, due_us);
}

/** Take off and tell one wait whose time is over. */
static bool expire_one(coordinator_entry *entry, int64_t now_us)
{
    KB_LIST_FOR (node, &entry->waits) {
        kc_coordinator_wait *wait = KB_CONTAINER(node, kc_coordinator_wait, node);
        if (wait->deadline_us > now_us)
            continue;
        kb_list_remove(&wait->node);
        entry->is_busy = true;
        time_out(entry, wait);
        entry->is_busy = false;
        return true;
    }
    return false;
}

static void on_timer(kn_timer *timer)
{
    coordinator_entry *entry = timer->user;
    int64_t now_us = kn_loop_now_us(entry->owner->client->loop);
    while (expire_one(entry, now_us))
        ;
    if (entry->retry_us <= now_us) {
        entry->retry_us = INT64_MAX;
        ask_if_idle(entry);
    }
    arm(entry);
}

/* ---- asking ---- */

static void ask(coordinator_entry *entry)
{
    kc_coordinators *owner = entry->owner;
    entry->retry_us = INT64_MAX;
    entry->ask.key = owner->is_single ? entry->keys[0] : KC_STR("");
    entry->ask.coordinator_keys.items = owner->is_single ? NULL : entry->keys;
    entry->ask.coordinator_keys.count = owner->is_single ? 0 : 1;
    entry->request.version_min = owner->is_single ? -1 : BATCH_VERSION;
    entry->request.version_max = owner->is_single ? BATCH_VERSION - 1 : -1;
    kc_any_ask_send(&entry->any_ask);
}

/** Somebody waits, nothing is under way, nothing is planned: begin. */
static void ask_if_idle(coordinator_entry *entry)
{
    bool is_idle = !kn_request_is_active(&entry->request) && entry->retry_us == INT64_MAX;
    if (has_waits(entry) && is_idle)
        ask(entry);
}

static void try_later(coordinator_entry *entry)
{
    kc_client *client = entry->owner->client;
    entry->retry_us = kn_loop_now_us(client->loop) + kc_retry_backoff_us(client, entry->attempt++);
    arm(entry);
}

static void fail(coordinator_entry *entry, const kc_error *error)
{
    entry->error = *error;
    if (kc_err_flags(error->code) & KC_ERRF_RETRIABLE) {
        try_later(entry);
        return;
    }
    entry->retry_us = INT64_MAX;
    entry->attempt = 0;
    tell_all(entry, error);
    arm(entry);
}

/** What both forms of the answer say. */
typedef struct finding {
    kc_err err;
    kc_bytes message;
    int32_t node_id;
    kc_bytes host;
    int32_t port;
} finding;

static bool find_in(const coordinator_entry *entry, int16_t version,
                    const kp_find_coordinator_resp *answer, finding *out)
{
    if (version < BATCH_VERSION) {
        *out = (finding){answer->error_code, answer->error_message, answer->node_id, answer->host,
                         answer->port};
        return true;
    }
    for (int32_t i = 0; i < answer->coordinators.count; i++) {
        const kp_find_coordinator_resp_coordinator *item = &answer->coordinators.items[i];
        if (!kc_bytes_equal(item->key, entry->keys[0]))
            continue;
        *out =
            (finding){item->error_code, item->error_message, item->node_id, item->host, item->port};
        return true;
    }
    return false;
}

static kc_err check(const coordinator_entry *entry, const finding *found, kc_error *error)
{
    if (found->err == KC_OK && found->node_id >= 0 && found->host.len > 0 && found->port > 0 &&
        found->port <= UINT16_MAX)
        return KC_OK;
    kc_err code = found->err != KC_OK ? found->err : KC_E_COORDINATOR_NOT_AVAILABLE;
    if (found->message.len > 0)
        kb_error_set(error, code, "coordinator of " KC_FMT ": " KC_FMT " (%s)",
                     KC_ARG(entry->keys[0]), KC_ARG(found->message), kc_err_name(code));
    else
        kb_error_set(error, code, "coordinator of " KC_FMT ": %s", KC_ARG(entry->keys[0]),
                     kc_err_text(code));
    error->phase = KC_PHASE_API;
    error->api_key = KP_API_FIND_COORDINATOR;
    return code;
}

/** The pool keeps its address where metadata already gave one. */
static kc_err learn(coordinator_entry *entry, const finding *found, kc_error *error)
{
    kn_pool *pool = entry->owner->client->pool;
    if (!kn_pool_has_broker(pool, found->node_id)) {
        kc_err set = kn_pool_set_broker(pool, found->node_id, found->host, found->port);
        if (set != KC_OK)
            return kb_error_code(error, set);
    }
    entry->broker_id = found->node_id;
    return KC_OK;
}

static kc_err take(coordinator_entry *entry, const kn_reply *reply, kc_error *error)
{
    kp_find_coordinator_resp answer;
    kb_arena arena;
    kb_arena_init(&arena, &entry->owner->client->mem, ANSWER_BYTES_MAX);
    kc_err taken = kn_reply_decode(&entry->request, reply, &arena, &answer, error);
    finding what = {.err = KC_OK};
    if (taken == KC_OK && !find_in(entry, reply->version, &answer, &what))
        taken = kb_error_set(error, KC_ERR_MALFORMED, "the answer to FindCoordinator lacks " KC_FMT,
                             KC_ARG(entry->keys[0]));
    if (taken == KC_OK)
        taken = check(entry, &what, error);
    if (taken == KC_OK)
        taken = learn(entry, &what, error);
    kb_arena_cleanup(&arena);
    return taken;
}

static void on_reply(kn_request *request, const kn_reply *reply)
{
    coordinator_entry *entry = request->user;
    kc_coordinators *owner = entry->owner;
    kc_any_ask_end(&entry->any_ask);
    if (owner->client->is_closing)
        return;
    bool was_list = request->version_min == BATCH_VERSION; // of this one: others may have learnt it
    if (reply->err == KC_ERR_VERSION && was_list) {
        owner->is_single = true;
        ask(entry);
        return;
    }
    kc_error error = {.code = KC_OK};
    if (reply->err != KC_OK) {
        fail(entry, reply->error);
        return;
    }
    if (take(entry, reply, &error) != KC_OK) {
        fail(entry, &error);
        return;
    }
    entry->attempt = 0;
    entry->error.code = KC_OK;
    kb_log_line(kc_client_log(owner->client, KC_DEBUG_GROUP), KC_LOG_DEBUG,
                "the coordinator of " KC_FMT " is broker %d", KC_ARG(entry->keys[0]),
                entry->broker_id);
    tell_all(entry, NULL);
    arm(entry);
}

/* ---- entries ---- */

static void entry_free(coordinator_entry *entry)
{
    kc_coordinators *owner = entry->owner;
    kc_any_ask_cancel(&entry->any_ask);
    kn_request_cleanup(&entry->request);
    kn_timer_stop(owner->client->loop, &entry->timer);
    kn_task_cancel(&entry->task);
    kb_list_remove(&entry->node);
    (void)kb_map_remove(&owner->by_key[entry->ask.key_type], entry->keys[0]);
    kb_mem_free(&owner->client->mem, entry);
}

/** A limit on what is remembered: thousands of groups may be asked about once each. */
static void drop_idle(kc_coordinators *coordinators)
{
    size_t count = 0;
    for (int type = 0; type <= KC_COORDINATOR_SHARE; type++)
        count += coordinators->by_key[type].count;
    if (count < IDLE_ENTRIES_MAX)
        return;
    KB_LIST_FOR (node, &coordinators->entries) {
        coordinator_entry *entry = KB_CONTAINER(node, coordinator_entry, node);
        if (!entry->is_busy && !has_waits(entry) && !kn_request_is_active(&entry->request))
            entry_free(entry);
    }
}

static kc_err entry_new(kc_coordinators *coordinators, kc_coordinator_type type, kc_bytes key,
                        coordinator_entry **entry_out)
{
    kb_mem *mem = &coordinators->client->mem;
    drop_idle(coordinators);
    coordinator_entry *entry = kb_mem_zalloc(mem, sizeof *entry + key.len);
    if (!entry)
        return KC_ERR_NOMEM;
    memcpy(entry->key_bytes, key.ptr, key.len);
    entry->keys[0] = kc_span(entry->key_bytes, key.len);
    kc_err put = kb_map_put(&coordinators->by_key[type], entry->keys[0], entry);
    if (put != KC_OK) {
        kb_mem_free(mem, entry);
        return put;
    }
    entry->owner = coordinators;
    entry->broker_id = -1;
    entry->retry_us = INT64_MAX;
    kb_list_init(&entry->waits);
    kb_list_push_back(&coordinators->entries, &entry->node);
    entry->timer.fn = on_timer;
    entry->timer.user = entry;
    entry->task.fn = on_task;
    entry->task.user = entry;
    const kp_api *api = kp_api_by_key(KP_API_FIND_COORDINATOR);
    kp_defaults(api->request, &entry->ask);
    entry->ask.key_type = (int8_t)type;
    kn_request_init(&entry->request, mem);
    entry->request.api = api;
    entry->request.msg = &entry->ask;
    entry->request.done = on_reply;
    entry->request.user = entry;
    kc_any_ask_init(&entry->any_ask, coordinators->client, &entry->request);
    *entry_out = entry;
    return KC_OK;
}

/* ---- the interface ---- */

kc_err kc_coordinator_find(kc_coordinators *coordinators, kc_coordinator_type type, kc_bytes key,
                           kc_coordinator_wait *wait)
{
    assert(wait->fn && kb_list_is_empty(&wait->node));
    if (coordinators->client->is_closing)
        return KC_ERR_STATE;
    if (!key.ptr)
        return KC_ERR_ARGUMENT;
    coordinator_entry *entry = kb_map_get(&coordinators->by_key[type], key);
    if (!entry)
        KB_TRY(entry_new(coordinators, type, key, &entry));
    kb_list_push_back(&entry->waits, &wait->node);
    if (entry->broker_id >= 0 && !kn_pool_has_broker(coordinators->client->pool, entry->broker_id))
        entry->broker_id = -1;
    if (entry->broker_id >= 0)
        kn_task_queue(coordinators->client->loop, &entry->task);
    else
        ask_if_idle(entry);
    arm(entry);
    return KC_OK;
}

void kc_coordinator_cancel(kc_coordinator_wait *wait)
{
    if (wait->node.next)
        kb_list_remove(&wait->node);
}

int32_t kc_coordinator_known(const kc_coordinators *coordinators, kc_coordinator_type type,
                             kc_bytes key)
{
    const coordinator_entry *entry = kb_map_get(&coordinators->by_key[type], key);
    return entry ? entry->broker_id : -1;
}

void kc_coordinator_forget(kc_coordinators *coordinators, kc_coordinator_type type, kc_bytes key)
{
    coordinator_entry *entry = kb_map_get(&coordinators->by_key[type], key);
    if (entry)
        entry->broker_id = -1;
}

void kc_coordinators_forget_broker(kc_coordinators *coordinators, int32_t broker_id)
{
    KB_LIST_FOR (node, &coordinators->entries) {
        coordinator_entry *entry = KB_CONTAINER(node, coordinator_entry, node);
        if (entry->broker_id == broker_id)
            entry->broker_id = -1;
    }
}

void kc_coordinators_explain(const kc_coordinators *coordinators, kb_explain *out)
{
    kb_explain_list list = {0};
    KB_LIST_FOR (node, &coordinators->entries) {
        const coordinator_entry *entry = KB_CONTAINER(node, coordinator_entry, node);
        const char *cause = entry->error.code != KC_OK ? entry->error.text : "not asked yet";
        if (!has_waits(entry) || entry->broker_id >= 0 || !kb_explain_next(&list))
            continue;
        if (kn_request_is_active(&entry->request))
            kb_explain_line(out, "coordinator of " KC_FMT ": %s%s%s", KC_ARG(entry->keys[0]),
                            kn_request_where(&entry->request, out->now_us).text,
                            entry->error.code != KC_OK ? "; before: " : "",
                            entry->error.code != KC_OK ? cause : "");
        else
            kb_explain_line(out, "coordinator of " KC_FMT ": asked again in %s (%s): %s",
                            KC_ARG(entry->keys[0]), kb_duration(entry->retry_us - out->now_us).text,
                            kb_count(entry->attempt, "failure").text, cause);
    }
    kb_explain_rest(out, &list, "coordinators");
}

kc_err kc_coordinators_new(kc_client *client, kc_coordinators **coordinators_out)
{
    kc_coordinators *coordinators = kb_mem_zalloc(&client->mem, sizeof *coordinators);
    if (!coordinators)
        return KC_ERR_NOMEM;
    coordinators->client = client;
    kb_list_init(&coordinators->entries);
    for (int type = 0; type <= KC_COORDINATOR_SHARE; type++)
        kb_map_init(&coordinators->by_key[type], &client->mem);
    *coordinators_out = coordinators;
    return KC_OK;
}

void kc_coordinators_free(kc_coordinators *coordinators)
{
    if (!coordinators)
        return;
    while (!kb_list_is_empty(&coordinators->entries)) {
        coordinator_entry *entry =
            KB_CONTAINER(coordinators->entries.next, coordinator_entry, node);
        assert(!has_waits(entry)); /* their owners were closed before */
        entry_free(entry);
    }
    for (int type = 0; type <= KC_COORDINATOR_SHARE; type++)
        kb_map_cleanup(&coordinators->by_key[type]);
    kb_mem_free(&coordinators->client->mem, coordinators);
}
