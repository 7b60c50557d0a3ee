/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A request's way in and out of the layer. */
#include "net/conn.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <string.h>

void kn_request_init(kn_request *request, kb_mem *mem)
{
    *request = (kn_request){.version_min = -1, .version_max = -1};
    kb_list_init(&request->node);
    kb_buf_init(&request->frame, mem, 0);
}

void kn_request_cleanup(kn_request *request)
{
    assert(!kn_request_is_active(request));
    kb_buf_cleanup(&request->frame);
}

bool kn_request_is_active(const kn_request *request)
{
    return request->state != KN_REQUEST_IDLE;
}

void kn_request_cancel(kn_request *request)
{
    switch (request->state) {
    case KN_REQUEST_LISTED:
        kb_list_remove(&request->node);
        request->state = KN_REQUEST_IDLE;
        break;
    case KN_REQUEST_QUEUED:
    case KN_REQUEST_SENT:
        kn_conn_cancel(request->conn, request);
        break;
    default:
        break;
    }
}

void kn_request_complete(kn_request *request, kn_reply *reply)
{
    assert(kn_request_is_active(request));
    kb_list_remove(&request->node);
    request->state = KN_REQUEST_IDLE;
    request->conn = NULL;
    request->done(request, reply);
}

void kn_request_fail(kn_request *request, const kc_error *error, bool was_sent, int32_t broker_id)
{
    assert(error->code != KC_OK);
    kc_error detail = *error;
    detail.broker_id = broker_id;
    detail.api_key = request->api->key;
    kn_reply reply = {.err = detail.code,
                      .error = &detail,
                      .was_sent = was_sent,
                      .broker_id = broker_id,
                      .version = request->version,
                      .body = KC_NULL};
    kn_request_complete(request, &reply);
}

kc_err kn_reply_decode(const kn_request *request, const kn_reply *reply, kb_arena *arena,
                       void *msg_out, kc_error *err)
{
    assert(reply->err == KC_OK && !request->has_no_response);
    kp_fault fault = {0};
    const kp_api *api = request->api;
    kc_err code = kp_decode(api->response, reply->version, reply->body, arena, msg_out, &fault);
    if (code == KC_OK || !err)
        return code;
    if (code == KC_ERR_NOMEM)
        kb_error_set(err, code, "out of memory for the %s v%d response of broker %d (%zu bytes)",
                     api->name, reply->version, (int)reply->broker_id, reply->body.len);
    else
        kb_error_set(err, code, "broker %d sent a bad %s v%d response: %s at byte %zu, field %s",
                     (int)reply->broker_id, api->name, reply->version,
                     fault.reason ? fault.reason : kc_err_name(code), fault.at,
                     fault.path[0] ? fault.path : "(none)");
    err->phase = KC_PHASE_API;
    err->broker_id = reply->broker_id;
    err->api_key = api->key;
    return code;
}
