/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One request with its route, retries and deadline.
 *
 *   begin -> routing -> sent -> answered: deliver
 *              ^  |       |
 *              |  |       +-- retriable failure or error code: back off, then routing again
 *              |  +-- waits for metadata or the coordinator
 *              +----- and from everywhere to delivered, at the deadline with the last real cause
 *
 * Nothing is delivered from inside kc_call(): even what fails at once is told from a task. */
#include "client/call.h"

#include "client/timer.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#include <assert.h>

typedef enum call_state {
    CALL_BEGIN,
    CALL_METADATA,    /**< waits for an answer to Metadata     */
    CALL_COORDINATOR, /**< waits for the coordinator's id      */
    CALL_SENT,
    CALL_BACKOFF,
} call_state;

struct kc_call_op {
    kb_list node;
    kc_client *client;
    kb_arena arena;
    kc_call_spec spec; /**< request points into the arena */
    kc_route route;
    call_state state;
    kn_request request;
    kn_task task;   /**< begins                                  */
    kn_timer timer; /**< the deadline, or the end of the back-off */
    kc_meta_listener listener;
    kc_coordinator_wait wait;
    uint32_t attempt;
    kc_error last; /**< cause of the last retry */
};

static void step(kc_call_op *op);

/* ---- the end ---- */

static void op_free(kc_call_op *op)
{
    kc_client *client = op->client;
    kb_list_remove(&op->node);
    kc_metadata_unlisten(&op->listener);
    kc_coordinator_cancel(&op->wait);
    kn_task_cancel(&op->task);
    kn_timer_stop(client->loop, &op->timer);
    kn_request_cancel(&op->request);
    kn_request_cleanup(&op->request);
    kc_route_cleanup(&op->route, client);
    kb_arena_cleanup(&op->arena);
    kb_mem_free(&client->mem, op);
}

void kc_call_cancel(kc_call_op *op)
{
    if (op)
        op_free(op);
}

/** The operation is gone before its callback runs, so nothing done there can disturb it. */
static void deliver(kc_call_op *op, const kc_response *response)
{
    kc_client *client = op->client;
    kc_response_fn fn = op->spec.fn;
    void *user = op->spec.user;
    bool is_called = !client->is_forked || op->spec.runs_in_child;
    op_free(op);
    if (is_called)
        fn(response, user);
}

static void deliver_error(kc_call_op *op, const kc_error *error)
{
    kc_error copy = *error;
    if (copy.api_key < 0)
        copy.api_key = op->spec.api->key;
    kc_response response = {
        .err = copy.code,
        .error = &copy,
        .api_key = op->spec.api->key,
        .version = -1,
        .broker_id = copy.broker_id,
    };
    deliver(op, &response);
}

/** What made it wait for anything but its answer. */
static const kc_error *cause_of(const kc_call_op *op)
{
    const kc_error *error = kc_metadata_error(op->client->metadata);
    return error->code != KC_OK ? error : kn_pool_last_error(op->client->pool);
}

static void time_out(kc_call_op *op, const kc_error *cause)
{
    kc_error error;
    if (op->last.code != KC_OK)
        cause = &op->last;
    if (cause->code == KC_OK)
        kb_error_set(&error, KC_ERR_TIMEOUT, "%s was not answered in time", op->spec.api->name);
    else
        kb_error_set(&error, KC_ERR_TIMEOUT, "%s was not answered in time: %s", op->spec.api->name,
                     cause->text);
    error.os_errno = cause->os_errno;
    error.phase = cause->code == KC_OK ? KC_PHASE_API : cause->phase;
    error.broker_id = cause->code == KC_OK ? -1 : cause->broker_id;
    deliver_error(op, &error);
}

/* ---- retries ---- */

/** Plan another attempt; false: no time is left for one, or none is wanted. */
static bool try_again(kc_call_op *op, const kc_error *error)
{
    kc_client *client = op->client;
    if (op->spec.no_retry || !(kc_err_flags(error->code) & KC_ERRF_RETRIABLE))
        return false;
    int64_t at_us = kn_loop_now_us(client->loop) + kc_retry_backoff_us(client, op->attempt);
    if (at_us >= op->spec.deadline_us)
        return false;
    op->attempt++;
    op->last = *error;
    kc_route_failed(&op->route, client, error->code);
    kb_log_line(kc_client_log(client, KC_DEBUG_ADMIN), KC_LOG_DEBUG, "%s is tried again: %s",
                op->spec.api->name, error->text);
    op->state = CALL_BACKOFF;
    kc_timer_arm(client->loop, &op->timer, at_us);
    return true;
}

static void fail(kc_call_op *op, const kc_error *error)
{
    bool is_out_of_time = kn_loop_now_us(op->client->loop) >= op->spec.deadline_us;
    if (try_again(op, error))
        return;
    /* An answer that did not come names the request itself, and is the cause where none was before. */
    bool says_all = error->phase == KC_PHASE_API && op->last.code == KC_OK;
    if (is_out_of_time && error->code == KC_ERR_TIMEOUT && !says_all)
        time_out(op, error);
    else
        deliver_error(op, error);
}

static void on_timer(kn_timer *timer)
{
    kc_call_op *op = timer->user;
    if (kn_loop_now_us(op->client->loop) >= op->spec.deadline_us)
        time_out(op, cause_of(op));
    else
        step(op);
}

/* ---- answers ---- */

/** The error code in the root of any answer; KC_OK where there is none. */
static kc_err root_error(const kc_response *response, void *user)
{
    (void)user;
    const kp_api *api = kp_api_by_key(response->api_key);
    const kp_field_desc *field = kc_field_of(api->response->root, "errorCode");
    if (!field || field->type != KP_I16 || (field->flags & KP_F_ARRAY))
        return KC_OK;
    return *(const int16_t *)(const void *)((const uint8_t *)response->message + field->offset);
}

static bool is_retried(kc_call_op *op, const kc_response *response)
{
    kc_call_retry_fn retry = op->spec.retry ? op->spec.retry : root_error;
    kc_err code = retry(response, op->spec.user);
    if (code == KC_OK)
        return false;
    kc_error error;
    kb_error_set(&error, code, "broker %d answers %s with %s", response->broker_id,
                 op->spec.api->name, kc_err_name(code));
    error.phase = KC_PHASE_API;
    error.broker_id = response->broker_id;
    error.api_key = op->spec.api->key;
    return try_again(op, &error);
}

static void take(kc_call_op *op, const kn_reply *reply)
{
    kc_client *client = op->client;
    kc_response response = {
        .err = KC_OK,
        .api_key = op->spec.api->key,
        .version = reply->version,
        .broker_id = reply->broker_id,
    };
    if (op->request.has_no_response) {
        deliver(op, &response);
        return;
    }
    kb_arena arena;
    kb_arena_init(&arena, &client->mem, kc_client_answer_max(client));
    kc_error error = {.code = KC_OK};
    void *message = kb_arena_alloc(&arena, op->spec.api->response->root->size);
    if (!message)
        kb_error_code(&error, KC_ERR_NOMEM);
    else if (kn_reply_decode(&op->request, reply, &arena, message, &error) != KC_OK)
        message = NULL;
    response.message = message;
    if (!message)
        deliver_error(op, &error);
    else if (!is_retried(op, &response))
        deliver(op, &response);
    kb_arena_cleanup(&arena);
}

static void on_reply(kn_request *request, const kn_reply *reply)
{
    kc_call_op *op = request->user;
    if (reply->err == KC_OK)
        take(op, reply);
    else
        fail(op, reply->error);
}

/* ---- attempts ---- */

/** Requests that wait at the broker must not hold up others on the same connection. */
static kn_lane lane_of(const kp_api *api)
{
    switch (api->key) {
    case KP_API_PRODUCE:
        return KN_LANE_PRODUCE;
    case KP_API_FETCH:
    case KP_API_SHARE_FETCH:
        return KN_LANE_FETCH;
    case KP_API_JOIN_GROUP:
    case KP_API_SYNC_GROUP:
        return KN_LANE_GROUP;
    default:
        return KN_LANE_MAIN;
    }
}

static void send(kc_call_op *op)
{
    op->state = CALL_SENT;
    op->request.deadline_us = op->spec.deadline_us; /* the pool tells the cause, a timer can't */
    kn_timer_stop(op->client->loop, &op->timer);
    kn_pool_submit(op->client->pool,
                   (kn_target){.broker_id = op->route.broker_id, .lane = lane_of(op->spec.api)},
                   &op->request);
}

static void on_coordinator(kc_coordinator_wait *wait, int32_t broker_id, const kc_error *error)
{
    kc_call_op *op = wait->user;
    if (error) {
        deliver_error(op, error); /* it was tried until the deadline */
        return;
    }
    op->route.broker_id = broker_id;
    send(op);
}

static void find_coordinator(kc_call_op *op)
{
    op->state = CALL_COORDINATOR;
    kn_timer_stop(op->client->loop, &op->timer); /* the wait has the deadline */
    op->wait.deadline_us = op->spec.deadline_us;
    kc_err found =
        kc_coordinator_find(op->client->coordinators, op->route.type, op->route.key, &op->wait);
    if (found == KC_OK)
        return;
    kc_error error;
    kb_error_code(&error, found);
    deliver_error(op, &error);
}

static void wait_for_metadata(kc_call_op *op)
{
    if (kb_list_is_empty(&op->listener.node))
        kc_metadata_listen(op->client->metadata, &op->listener);
    op->state = CALL_METADATA;
    kc_timer_arm(op->client->loop, &op->timer, op->spec.deadline_us);
}

/** One attempt, or what is needed before it. */
static void step(kc_call_op *op)
{
    kc_error error = {.code = KC_OK};
    kc_route_state state = kc_route_find(&op->route, op->client, &error);
    if (state == KC_ROUTE_METADATA) {
        wait_for_metadata(op);
        return;
    }
    kc_metadata_unlisten(&op->listener);
    if (state == KC_ROUTE_FAILED)
        deliver_error(op, &error);
    else if (state == KC_ROUTE_COORDINATOR)
        find_coordinator(op);
    else
        send(op);
}

static void on_metadata(kc_meta_listener *listener)
{
    kc_call_op *op = listener->user;
    const kc_error *error = kc_metadata_error(op->client->metadata);
    if (op->state != CALL_METADATA)
        return;
    if (error->code != KC_OK && !(kc_err_flags(error->code) & KC_ERRF_RETRIABLE))
        deliver_error(op, error);
    else
        step(op);
}

static void on_begin(kn_task *task)
{
    step(task->user);
}

/* ---- the beginning ---- */

int64_t kc_call_deadline(const kc_client *client, int32_t timeout_ms)
{
    if (timeout_ms <= 0)
        timeout_ms = client->settings->default_api_timeout_ms;
    return kc_client_fresh_us(client) + (int64_t)timeout_ms * 1000;
}

/** Versions the request can be encoded in: the highest, and those below without a gap. A topic with
 * a name but no id stays below the versions that know topics by id only, and the other way round
 * (trap 33). */
static kc_err find_versions(kc_call_op *op, kc_error *err)
{
    const kp_message *message = op->spec.api->request;
    int16_t min = kc_version_or(op->spec.version_min, message->min);
    int16_t max = kc_version_or(op->spec.version_max, message->max);
    kc_route_versions(message, op->spec.request, &min, &max);
    kp_fault fault = {0};
    size_t size;
    int16_t high = max;
    while (high >= min && kp_size(message, high, op->spec.request, &size, &fault) != KC_OK)
        high--;
    if (high < min) {
        /* Say what is wrong in the version that would have been best. */
        kc_err why = kp_size(message, max, op->spec.request, &size, &fault);
        return kb_error_set(err, why == KC_ERR_NOMEM ? why : KC_ERR_ARGUMENT,
                            "%s version %d can't be encoded: %s: %s", op->spec.api->name, max,
                            fault.path, fault.reason ? fault.reason : "no such version");
    }
    int16_t low = high;
    while (low > min &&
           kp_size(message, (int16_t)(low - 1), op->spec.request, &size, &fault) == KC_OK)
        low--;
    op->request.version_min = low;
    op->request.version_max = high;
    return KC_OK;
}

/** What the broker itself may wait adds to the time for an answer (trap 54). */
static int32_t answer_timeout(const kc_call_op *op)
{
    static const char *const names[] = {"maxWaitMs", "rebalanceTimeoutMs", "timeoutMs"};
    int64_t timeout_ms = op->client->settings->request_timeout_ms;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const kp_field_desc *field = kc_field_of(op->spec.api->request->root, names[i]);
        if (!field || field->type != KP_I32)
            continue;
        int32_t wait_ms =
            *(const int32_t *)(const void *)((const uint8_t *)op->spec.request + field->offset);
        if (wait_ms > 0)
            timeout_ms += wait_ms;
    }
    return timeout_ms < INT32_MAX ? (int32_t)timeout_ms : INT32_MAX;
}

static bool has_no_response(const kc_call_spec *spec)
{
    return spec->api->key == KP_API_PRODUCE && ((const kp_produce_req *)spec->request)->acks == 0;
}

static kc_err prepare(kc_call_op *op, kc_error *err)
{
    op->spec.request = kp_copy(op->spec.api->request, op->spec.request, &op->arena);
    if (!op->spec.request)
        return kb_error_code(err, KC_ERR_NOMEM);
    KB_TRY(find_versions(op, err));
    op->route.api = op->spec.api;
    op->route.request = op->spec.request;
    op->route.to = op->spec.to;
    KB_TRY(kc_route_init(&op->route, op->client, &op->arena, err));
    op->request.api = op->spec.api;
    op->request.msg = op->spec.request;
    op->request.timeout_ms = answer_timeout(op);
    op->request.has_no_response = has_no_response(&op->spec);
    return KC_OK;
}

kc_err kc_call_start(kc_client *client, const kc_call_spec *spec, kc_call_op **op_out,
                     kc_error *err)
{
    assert(spec->api && spec->request && spec->fn);
    KB_TRY(kc_client_check(client, err));
    kc_call_op *op = kb_mem_zalloc(&client->mem, sizeof *op);
    if (!op)
        return kb_error_code(err, KC_ERR_NOMEM);
    op->client = client;
    op->spec = *spec;
    kb_list_push_back(&client->calls, &op->node);
    kb_arena_init(&op->arena, &client->mem, SIZE_MAX);
    kb_list_init(&op->listener.node);
    kb_list_init(&op->wait.node);
    op->listener.fn = on_metadata;
    op->listener.user = op;
    op->wait.fn = on_coordinator;
    op->wait.user = op;
    op->task.fn = on_begin;
    op->task.user = op;
    op->timer.fn = on_timer;
    op->timer.user = op;
    kn_request_init(&op->request, &client->mem);
    op->request.done = on_reply;
    op->request.user = op;
    kc_err prepared = prepare(op, err);
    if (prepared != KC_OK) {
        op_free(op);
        return prepared;
    }
    kn_task_queue(client->loop, &op->task);
    if (op_out)
        *op_out = op;
    return KC_OK;
}

void kc_calls_free(kc_client *client)
{
    kc_error error = {.code = KC_OK};
    kb_error_code(&error, KC_ERR_CLOSED);
    while (!kb_list_is_empty(&client->calls))
        deliver_error(KB_CONTAINER(client->calls.next, kc_call_op, node), &error);
}

/* ---- why is it not answered? ---- */

static void explain(const kc_call_op *op, kb_explain *out)
{
    const char *name = op->spec.api->name;
    kb_word left = kb_duration(op->spec.deadline_us - out->now_us);
    switch (op->state) {
    case CALL_BEGIN:
        kb_explain_line(out, "call: %s: about to begin, %s left", name, left.text);
        break;
    case CALL_METADATA:
        kb_explain_line(out, "call: %s: waits for metadata, %s left", name, left.text);
        break;
    case CALL_COORDINATOR:
        kb_explain_line(out, "call: %s: waits for the coordinator of " KC_FMT ", %s left", name,
                        KC_ARG(op->route.key), left.text);
        break;
    case CALL_SENT:
        kb_explain_line(out, "call: %s, %s left in all%s%s",
                        kn_request_where(&op->request, out->now_us).text, left.text,
                        op->attempt > 0 ? "; before: " : "", op->attempt > 0 ? op->last.text : "");
        break;
    case CALL_BACKOFF:
        kb_explain_line(out, "call: %s: tried again in %s (%s), %s left: %s", name,
                        kb_duration(op->timer.due_us - out->now_us).text,
                        kb_count(op->attempt, "failure").text, left.text, op->last.text);
        break;
    }
}

void kc_calls_explain(const kc_client *client, kb_explain *out)
{
    kb_explain_list list = {0};
    KB_LIST_FOR (node, &client->calls) {
        if (kb_explain_next(&list))
            explain(KB_CONTAINER(node, kc_call_op, node), out);
    }
    kb_explain_rest(out, &list, "calls");
}

/* ---- the public call ---- */

static kc_err check_options(const kc_call_options *options, const kp_api *api, kc_error *err)
{
    if (options->size != sizeof *options)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "kc_call_options.size is not set: use KC_CALL_OPTIONS_INIT");
    if (options->to < KC_TO_CONTROLLER || options->timeout_ms < 0)
        return kb_error_set(err, KC_ERR_ARGUMENT, "to or timeout_ms of kc_call_options is invalid");
    if (options->version >= 0 &&
        (options->version < api->request->min || options->version > api->request->max))
        return kb_error_set(err, KC_ERR_ARGUMENT, "%s has versions %d to %d, not %d", api->name,
                            api->request->min, api->request->max, options->version);
    return KC_OK;
}

kc_err kc_call_spec_init(kc_call_spec *spec, const kc_client *client, const kp_api *api,
                         const void *request, const kc_call_options *options, kc_error *err)
{
    static const kc_call_options defaults = KC_CALL_OPTIONS_INIT;
    if (!options)
        options = &defaults;
    KB_TRY(check_options(options, api, err));
    *spec = (kc_call_spec){
        .api = api,
        .request = request,
        .to = options->to,
        .version_min = options->version,
        .version_max = kc_version_or(options->version, api->stable_max),
        .deadline_us = kc_call_deadline(client, options->timeout_ms),
        .no_retry = options->no_retry,
    };
    return KC_OK;
}

kc_err kc_call(kc_client *client, int16_t api_key, const void *request,
               const kc_call_options *options, kc_response_fn fn, void *user, kc_error *err)
{
    const kp_api *api = kp_api_by_key(api_key);
    if (!api)
        return kb_error_set(err, KC_ERR_ARGUMENT, "there is no API with key %d", api_key);
    if (!request || !fn)
        return kb_error_set(err, KC_ERR_ARGUMENT, "kc_call() needs a request and a callback");
    kc_call_spec spec;
    KB_TRY(kc_call_spec_init(&spec, client, api, request, options, err));
    spec.fn = fn;
    spec.user = user;
    return kc_call_start(client, &spec, NULL, err);
}
