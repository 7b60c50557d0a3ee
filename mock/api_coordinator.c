/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * FindCoordinator (KIP-699): who coordinates a group, a transactional id. */
#include "mock/api.h"

static void find(km_request *request, int8_t key_type, kc_bytes key,
                 kp_find_coordinator_resp_coordinator *out)
{
    out->key = key;
    out->node_id = -1;
    out->port = -1;
    out->host = KC_STR("");
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return;
    if (key_type != KM_COORDINATOR_GROUP && key_type != KM_COORDINATOR_TRANSACTION) {
        out->error_code = KC_E_INVALID_REQUEST;
        out->error_message = KC_STR("The key type is neither a group nor a transaction.");
        return;
    }
    const km_partition *partition =
        km_coordinator_partition(request->cluster, (km_coordinator_type)key_type, key);
    const km_broker *broker =
        partition ? km_broker_by_id(request->cluster, partition->leader) : NULL;
    if (!broker) {
        out->error_code = KC_E_COORDINATOR_NOT_AVAILABLE;
        return;
    }
    out->node_id = broker->id;
    out->host = kc_str(broker->host);
    out->port = broker->port;
}

km_action km_api_find_coordinator(km_request *request, const void *message, void *response)
{
    const kp_find_coordinator_req *asked = message;
    kp_find_coordinator_resp *out = response;
    if (request->version < 4) {
        kp_find_coordinator_resp_coordinator found = {0};
        find(request, asked->key_type, asked->key, &found);
        out->error_code = found.error_code;
        out->error_message = found.error_message;
        out->node_id = found.node_id;
        out->host = found.host;
        out->port = found.port;
        return KM_ANSWER;
    }
    out->coordinators.items = km_request_alloc(request, (size_t)asked->coordinator_keys.count,
                                               sizeof *out->coordinators.items);
    if (!out->coordinators.items)
        return KM_CLOSE;
    out->coordinators.count = asked->coordinator_keys.count;
    for (int32_t i = 0; i < asked->coordinator_keys.count; i++)
        find(request, asked->key_type, asked->coordinator_keys.items[i],
             &out->coordinators.items[i]);
    return KM_ANSWER;
}
