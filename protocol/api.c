/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Look-ups in the tables of APIs, messages and errors, and the choice of a version. */
#include "protocol/api.h"

#include "protocol/base/text.h"
#include "protocol/generated/errors.h"
#include "protocol/generated/messages.h"

#include <assert.h>

const kp_api *kp_api_by_key(int16_t key)
{
    if (key < 0 || key > KP_API_KEY_MAX || kp_api_index[key] < 0)
        return NULL;
    return &kp_api_table[kp_api_index[key]];
}

const kp_api *kp_api_by_name(kc_bytes name)
{
    for (size_t i = 0; i < KP_API_COUNT; i++)
        if (kb_text_is(name, kp_api_table[i].name))
            return &kp_api_table[i];
    return NULL;
}

const kp_api *kp_api_at(size_t index)
{
    return index < KP_API_COUNT ? &kp_api_table[index] : NULL;
}

size_t kp_api_count(void)
{
    return KP_API_COUNT;
}

const kp_message *kp_message_by_name(kc_bytes name, kc_bytes kind)
{
    if (kb_text_is(kind, "request-header"))
        return &kp_request_header_message;
    if (kb_text_is(kind, "response-header"))
        return &kp_response_header_message;
    if (kb_text_is(kind, "data")) {
        for (size_t i = 0; kp_data_messages[i]; i++)
            if (kb_text_is(name, kp_data_messages[i]->name))
                return kp_data_messages[i];
        return NULL;
    }
    const kp_api *api = kp_api_by_name(name);
    if (api && kb_text_is(kind, "request"))
        return api->request;
    return api && kb_text_is(kind, "response") ? api->response : NULL;
}

void kp_versions_clear(kp_versions *versions)
{
    for (size_t i = 0; i < sizeof versions->range / sizeof versions->range[0]; i++) {
        versions->range[i].min = 0;
        versions->range[i].max = -1;
    }
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

int16_t kp_version_choose(const kp_api *api, const kp_versions *versions, int16_t min, int16_t max)
{
    assert(api && versions);
    size_t key = (size_t)api->key;
    if (key >= sizeof versions->range / sizeof versions->range[0] || versions->range[key].max < 0)
        return -1;
    int low = most(most(api->request->min, versions->range[key].min), min);
    /* An unstable version must be asked for by name: its wire format may still change. */
    int ours = max < 0 ? api->stable_max : least(max, api->request->max);
    int high = least(ours, versions->range[key].max);
    return (int16_t)(low <= high ? high : -1);
}

const kp_error_info *kp_error_info_of(int16_t code)
{
    if (code < KP_ERROR_FIRST || code >= KP_ERROR_FIRST + KP_ERROR_COUNT)
        return NULL;
    return &kp_error_table[code - KP_ERROR_FIRST];
}
