/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Admin operations: their parts, their end, and the result as the application reads it. */
#include "client/admin_call.h"
#include "protocol/base/error.h"

#include <assert.h>

/* ---- the end of an operation ---- */

static void result_free(kc_admin_result *result)
{
    if (!result)
        return;
    kc_client *client = result->client;
    kb_arena_cleanup(&result->arena);
    kb_mem_free(&client->mem, result);
    kc_client_unpin(client);
}

static void part_free(kc_admin_part *part)
{
    kb_list_remove(&part->node);
    kb_mem_free(&part->op->client->mem, part);
}

/** All but the result. */
static void op_free(kc_admin_op *op)
{
    kc_client *client = op->client;
    while (!kb_list_is_empty(&op->parts)) {
        kc_admin_part *part = KB_CONTAINER(op->parts.next, kc_admin_part, node);
        kc_call_cancel(part->call);
        part_free(part);
    }
    if (op->cleanup)
        op->cleanup(op);
    kb_list_remove(&op->handle.node);
    kn_task_cancel(&op->end_task);
    kb_arena_cleanup(&op->arena);
    kb_mem_free(&client->mem, op);
}

/** Items nobody answered: the broker left them out, or the whole call failed. */
static void settle_items(kc_admin_op *op)
{
    kc_error error = op->result->error;
    if (error.code == KC_OK)
        kb_error_set(&error, KC_ERR_MALFORMED, "the broker's answer leaves this out");
    kc_admin_answer_rest(op, &error);
}

static void finish(kc_admin_op *op)
{
    kc_admin_result *result = op->result;
    kc_admin_fn fn = op->fn;
    void *user = op->user;
    settle_items(op);
    if (op->complete)
        op->complete(op);
    op_free(op);
    fn(result, user);
}

void kc_admin_finish_if_idle(kc_admin_op *op)
{
    if (!kb_list_is_empty(&op->parts) || op->is_held)
        return;
    if (op->is_starting)
        kn_task_queue(op->client->loop, &op->end_task);
    else
        finish(op);
}

static void on_end(kn_task *task)
{
    kc_admin_finish_if_idle(task->user);
}

/** Calls tell of themselves; this is what is not one. */
static void explain(const kc_handle *handle, kb_explain *out)
{
    const kc_admin_op *op = KB_CONTAINER(handle, kc_admin_op, handle);
    if (op->is_held && kb_list_is_empty(&op->parts))
        kb_explain_line(out, "an admin operation waits for the leaders of its partitions, %s left",
                        kb_duration(op->deadline_us - out->now_us).text);
}

static void abandon(kc_handle *handle)
{
    kc_admin_op *op = KB_CONTAINER(handle, kc_admin_op, handle);
    kc_client *client = op->client;
    kc_admin_fn fn = op->fn;
    void *user = op->user;
    result_free(op->result);
    op->result = NULL;
    op_free(op);
    if (!client->is_forked)
        fn(NULL, user);
}

/* ---- the beginning ---- */

static kc_admin_result *result_new(kc_client *client)
{
    kc_admin_result *result = kb_mem_zalloc(&client->mem, sizeof *result);
    if (!result)
        return NULL;
    result->client = client;
    kc_client_pin(client);
    kb_arena_init(&result->arena, &client->mem, SIZE_MAX);
    return result;
}

kc_err kc_admin_begin(const kc_admin_ask *ask, kc_admin_op **op_out, kc_error *err)
{
    kc_client *client = ask->client;
    const kc_admin_options *options = ask->options;
    KB_TRY(kc_client_check(client, err));
    if (!ask->fn || (options && (options->size != sizeof *options || options->timeout_ms < 0)))
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "a callback is missing, or size or timeout_ms of kc_admin_options is "
                            "not valid");
    kc_admin_op *op = kb_mem_zalloc(&client->mem, sizeof *op);
    kc_admin_result *result = op ? result_new(client) : NULL;
    if (!result) {
        kb_mem_free(&client->mem, op);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    op->client = client;
    op->result = result;
    op->fn = ask->fn;
    op->user = ask->user;
    op->deadline_us = kc_call_deadline(client, options ? options->timeout_ms : 0);
    op->validate_only = options && options->validate_only;
    op->is_starting = true;
    kb_arena_init(&op->arena, &client->mem, SIZE_MAX);
    kb_list_init(&op->parts);
    op->end_task.fn = on_end;
    op->end_task.user = op;
    op->handle.abandon = abandon;
    op->handle.explain = explain;
    kb_list_push_back(&client->handles, &op->handle.node);
    *op_out = op;
    return KC_OK;
}

kc_err kc_admin_started(kc_admin_op *op, kc_err started)
{
    op->is_starting = false;
    if (started != KC_OK) {
        result_free(op->result);
        op->result = NULL;
        op_free(op);
    } else if (kb_list_is_empty(&op->parts)) {
        kn_task_queue(op->client->loop, &op->end_task); /* nothing to ask: told from a turn */
    }
    return started;
}

/* ---- parts ---- */

static void on_response(const kc_response *response, void *user)
{
    kc_admin_part *part = user;
    kc_admin_op *op = part->op;
    part->call = NULL;
    part->done(part, response);
    part_free(part);
    kc_admin_finish_if_idle(op);
}

static kc_err on_retry(const kc_response *response, void *user)
{
    kc_admin_part *part = user;
    return part->retry(response, part);
}

kc_err kc_admin_send(kc_admin_op *op, int16_t api_key, const void *request,
                     const kc_admin_target *target, kc_error *err)
{
    kc_client *client = op->client;
    kc_admin_part *part = kb_mem_zalloc(&client->mem, sizeof *part);
    if (!part)
        return kb_error_code(err, KC_ERR_NOMEM);
    part->op = op;
    part->index = target->index;
    part->done = target->done;
    part->retry = target->retry;
    const kp_api *api = kp_api_by_key(api_key);
    kc_call_spec spec = {
        .api = api,
        .request = request,
        .to = target->to,
        .version_min = -1,
        .version_max = kc_version_or(target->version_max, api->stable_max),
        .deadline_us = op->deadline_us,
        .no_retry = target->no_retry,
        .retry = target->retry ? on_retry : NULL,
        .fn = on_response,
        .user = part,
    };
    kb_list_push_back(&op->parts, &part->node);
    kc_err started = kc_call_start(client, &spec, &part->call, err);
    if (started != KC_OK)
        part_free(part);
    return started;
}

void kc_admin_send_on(kc_admin_op *op, int16_t api_key, const void *request,
                      const kc_admin_target *target)
{
    kc_error error = {.code = KC_OK};
    if (kc_admin_send(op, api_key, request, target, &error) != KC_OK)
        kc_admin_fail(op, &error);
}

/* ---- filling the result ---- */

void kc_admin_fail(kc_admin_op *op, const kc_error *error)
{
    if (op->result->error.code == KC_OK)
        op->result->error = *error;
}

void kc_admin_fail_code(kc_admin_op *op, kc_err code)
{
    kc_error error = {.code = KC_OK};
    kb_error_code(&error, code);
    kc_admin_fail(op, &error);
}

void *kc_admin_array(kc_admin_op *op, size_t count, size_t item_size)
{
    void *items = kb_arena_array(&op->result->arena, count, item_size);
    if (!items)
        kc_admin_fail_code(op, KC_ERR_NOMEM);
    return items;
}

kc_bytes kc_admin_copy(kc_admin_op *op, kc_bytes bytes)
{
    kc_bytes copy = kb_arena_copy(&op->result->arena, bytes);
    if (!bytes.ptr || copy.ptr)
        return copy;
    kc_admin_fail_code(op, KC_ERR_NOMEM);
    return KC_STR("");
}

kc_err kc_admin_add_items(kc_admin_op *op, const kc_bytes *names, size_t count, kc_error *err)
{
    kc_admin_result *result = op->result;
    result->items = kb_arena_array(&result->arena, count, sizeof *result->items);
    if (!result->items)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < count; i++) {
        if (!names[i].ptr)
            return kb_error_set(err, KC_ERR_ARGUMENT, "name %zu is null", i);
        result->items[i].name = kb_arena_copy(&result->arena, names[i]);
        result->items[i].err = KC_ERR_AGAIN; /* not answered yet */
        if (!result->items[i].name.ptr)
            return kb_error_code(err, KC_ERR_NOMEM);
    }
    result->item_count = count;
    return KC_OK;
}

size_t kc_admin_answer(kc_admin_op *op, kc_bytes name, kc_err code, kc_bytes message)
{
    kc_admin_result *result = op->result;
    for (size_t i = 0; i < result->item_count; i++) {
        kc_admin_item *item = &result->items[i];
        if (item->err != KC_ERR_AGAIN || !kc_bytes_equal(item->name, name))
            continue;
        item->err = code;
        item->message = kc_admin_copy(op, message);
        return i;
    }
    return SIZE_MAX;
}

void kc_admin_answer_rest(kc_admin_op *op, const kc_error *error)
{
    kc_admin_result *result = op->result;
    for (size_t i = 0; i < result->item_count; i++) {
        kc_admin_item *item = &result->items[i];
        if (item->err != KC_ERR_AGAIN)
            continue;
        item->err = error->code;
        /* Without memory the code must do. */
        item->message = kb_arena_copy(&result->arena, kc_str(error->text));
    }
}

int32_t kc_admin_ms_left(const kc_admin_op *op)
{
    int64_t ms = (op->deadline_us - kc_client_fresh_us(op->client)) / 1000;
    if (ms < 1)
        return 1;
    return ms < INT32_MAX ? (int32_t)ms : INT32_MAX;
}

/* ---- what the application reads ---- */

void kc_admin_free(kc_admin_result *result)
{
    result_free(result);
}

const kc_error *kc_admin_error(const kc_admin_result *result)
{
    return &result->error;
}

size_t kc_admin_count(const kc_admin_result *result)
{
    return result->item_count;
}

const kc_admin_item *kc_admin_item_at(const kc_admin_result *result, size_t index)
{
    return index < result->item_count ? &result->items[index] : NULL;
}

const kc_cluster_info *kc_admin_cluster(const kc_admin_result *result)
{
    return &result->cluster;
}

const kc_config_entry *kc_admin_configs(const kc_admin_result *result, size_t item,
                                        size_t *count_out)
{
    bool is_there = result->entries && item < result->item_count;
    *count_out = is_there ? result->entries[item].count : 0;
    return is_there ? result->entries[item].items : NULL;
}

const kc_group_listing *kc_admin_groups(const kc_admin_result *result, size_t *count_out)
{
    *count_out = result->group_count;
    return result->groups;
}

const kc_group_description *kc_admin_group_descriptions(const kc_admin_result *result,
                                                        size_t *count_out)
{
    *count_out = result->description_count;
    return result->descriptions;
}

const kc_topic_offset *kc_admin_offsets(const kc_admin_result *result, size_t *count_out)
{
    *count_out = result->offset_count;
    return result->offsets;
}

/* ---- the blocking form ---- */

void kc_admin_waiter_fn(kc_admin_result *result, void *user)
{
    kc_admin_waiter *waiter = user;
    waiter->result = result;
    waiter->is_done = true;
}

kc_err kc_admin_wait(kc_client *client, kc_admin_waiter *waiter, kc_error *err)
{
    kc_err run = kc_client_run_until(client, &waiter->is_done, -1);
    if (run != KC_OK)
        return kb_error_code(err, run);
    if (!waiter->result)
        return kb_error_code(err, KC_ERR_CLOSED);
    const kc_error *error = kc_admin_error(waiter->result);
    if (error->code != KC_OK && err)
        *err = *error;
    return error->code;
}
