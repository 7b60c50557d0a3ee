/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Fault rules of <kafkac/mock.h>. A rule's memory stays until the mock is freed, as a request that it delays may still
 * come to its rewrite; once it is removed, that one is not called. */
#include "mock/mock_core.h"
#include "protocol/base/error.h"

#define DELAY_MS_MAX 86400000

void *kc_mock_request_alloc(const kc_mock_request *request, size_t count, size_t size)
{
    return count > 0 && size > 0 ? km_request_alloc(request->private_state, count, size) : NULL;
}

static void on_rewrite(km_request *request, void *response, void *user)
{
    const km_mock_rule *rule = user;
    const kc_mock_request told = {.broker_id = request->broker->id,
                                  .api_key = request->api->key,
                                  .version = request->version,
                                  .correlation_id = request->correlation_id,
                                  .client_id = request->client_id,
                                  .message = request->message,
                                  .private_state = request};
    if (!rule->is_removed)
        rule->rewrite(&told, response, rule->user);
}

kc_err km_mock_fault_add(kc_mock *mock, const km_fault *fault, kc_mock_rewrite_fn rewrite,
                         void *user, const char *text, uint32_t *number_out, kc_error *err)
{
    km_fault added = *fault;
    km_broker *broker;
    size_t len = text ? strlen(text) : 0;
    if (fault->broker_id != 0)
        KB_TRY(km_mock_find_broker(mock, fault->broker_id, &broker, err));
    km_mock_rule *rule = kb_mem_zalloc(&mock->mem, sizeof *rule + len + 1);
    if (!rule)
        return kb_error_code(err, KC_ERR_NOMEM);
    if (len > 0)
        memcpy(rule->text, text, len);
    rule->rewrite = rewrite;
    rule->user = user;
    added.rewrite = rewrite ? on_rewrite : NULL;
    added.user = rule;
    rule->number = km_fault_add(mock->cluster, &added);
    if (rule->number == 0) {
        kb_mem_free(&mock->mem, rule);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    kb_list_push_back(&mock->rules, &rule->node);
    if (number_out)
        *number_out = rule->number;
    return KC_OK;
}

static void remove_rule(kc_mock *mock, km_mock_rule *rule)
{
    km_fault_remove(mock->cluster, rule->number);
    rule->is_removed = true;
    if (rule->rewrite)
        return;
    kb_list_remove(&rule->node);
    kb_mem_free(&mock->mem, rule);
}

static kc_err no_rule(uint32_t number, kc_error *err)
{
    return kb_error_set(err, KC_ERR_NOT_FOUND, "there is no fault %u", (unsigned)number);
}

static km_mock_rule *find_rule(kc_mock *mock, uint32_t number)
{
    KB_LIST_FOR (node, &mock->rules) {
        km_mock_rule *rule = KB_CONTAINER(node, km_mock_rule, node);
        if (rule->number == number && !rule->is_removed)
            return rule;
    }
    return NULL;
}

kc_err km_mock_fault_remove(kc_mock *mock, uint32_t number, kc_error *err)
{
    km_mock_rule *rule = find_rule(mock, number);
    if (!rule)
        return no_rule(number, err);
    remove_rule(mock, rule);
    return KC_OK;
}

void km_mock_fault_clear(kc_mock *mock)
{
    KB_LIST_FOR (node, &mock->rules) {
        km_mock_rule *rule = KB_CONTAINER(node, km_mock_rule, node);
        if (!rule->is_removed)
            remove_rule(mock, rule);
    }
}

void km_mock_rules_free(kc_mock *mock)
{
    KB_LIST_FOR (node, &mock->rules) {
        kb_list_remove(node);
        kb_mem_free(&mock->mem, KB_CONTAINER(node, km_mock_rule, node));
    }
}

/* ---- the public calls ---- */

void kc_mock_fault_init(kc_mock_fault *fault)
{
    *fault = (kc_mock_fault){.size = sizeof *fault, .api_key = -1};
}

static kc_err check_fault(const kc_mock_fault *fault, kc_error *err)
{
    const struct {
        const char *name;
        int32_t value;
    } times[] = {{"delay_ms", fault->delay_ms},
                 {"answer_delay_ms", fault->answer_delay_ms},
                 {"throttle_ms", fault->throttle_ms}};
    if (fault->size != sizeof *fault)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "size is not that of this release: use kc_mock_fault_init()");
    if (fault->api_key != -1 && !kp_api_by_key(fault->api_key))
        return kb_error_set(err, KC_ERR_ARGUMENT, "there is no API with the key %d",
                            fault->api_key);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (times[i].value < 0 || times[i].value > DELAY_MS_MAX)
            return kb_error_set(err, KC_ERR_ARGUMENT, "%s must be 0 to %d", times[i].name,
                                DELAY_MS_MAX);
    if (fault->end < KC_MOCK_ANSWER || fault->end > KC_MOCK_DROP)
        return kb_error_set(err, KC_ERR_ARGUMENT, "end is none of kc_mock_end");
    return KC_OK;
}

kc_err kc_mock_fault_add(kc_mock *mock, const kc_mock_fault *fault, uint32_t *number_out,
                         kc_error *err)
{
    static const km_fault_end ends[] = {KM_FAULT_ANSWER, KM_FAULT_CLOSE_BEFORE,
                                        KM_FAULT_CLOSE_AFTER, KM_FAULT_DROP};
    KB_TRY(check_fault(fault, err));
    const km_fault added = {.api_key = fault->api_key,
                            .broker_id = fault->broker_id,
                            .skip = fault->skip,
                            .every = fault->every,
                            .count = fault->count,
                            .delay_us = (int64_t)fault->delay_ms * 1000,
                            .answer_delay_us = (int64_t)fault->answer_delay_ms * 1000,
                            .error = fault->error,
                            .throttle_ms = fault->throttle_ms,
                            .end = ends[fault->end]};
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(
        mock, km_mock_fault_add(mock, &added, fault->rewrite, fault->user, NULL, number_out, err));
}

kc_err kc_mock_fault_remove(kc_mock *mock, uint32_t number, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, km_mock_fault_remove(mock, number, err));
}

kc_err kc_mock_fault_clear(kc_mock *mock, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    km_mock_fault_clear(mock);
    return km_mock_leave(mock, KC_OK);
}

kc_err kc_mock_fault_hits(kc_mock *mock, uint32_t number, uint32_t *hits_out, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    const km_mock_rule *rule = find_rule(mock, number);
    if (rule)
        *hits_out = km_fault_hits(mock->cluster, number);
    return km_mock_leave(mock, rule ? KC_OK : no_rule(number, err));
}
