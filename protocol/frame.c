/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Frames: size, header, body. */
#include "protocol/frame.h"

#include "protocol/base/error.h"
#include "protocol/generated/messages.h"
#include "protocol/wire.h"

#include <assert.h>

int16_t kp_request_header_version(const kp_api *api, int16_t version)
{
    return version >= api->request->flexible_from ? 2 : 1;
}

int16_t kp_response_header_version(const kp_api *api, int16_t version)
{
    /* A client does not know whether its ApiVersions request was understood, so the header of the
     * answer must be readable whatever the version (KIP-511). */
    if (api->key == KP_API_API_VERSIONS)
        return 0;
    return version >= api->response->flexible_from ? 1 : 0;
}

kc_err kp_frame_put(const kp_frame_part parts[2], kb_buf *out, kp_splices *splices, kp_fault *fault)
{
    size_t len = out->len;
    uint32_t splice_count = splices ? splices->count : 0;
    size_t splice_bytes = splices ? splices->bytes : 0;
    kc_err err = out->err;
    if (err == KC_OK && !kb_buf_extend(out, KP_FRAME_SIZE_BYTES)) {
        err = out->err;
        out->err = KC_OK;
        if (fault)
            *fault = (kp_fault){.reason = "frame does not fit the buffer"};
    }
    for (int i = 0; i < 2 && err == KC_OK; i++)
        err = kp_encode(parts[i].message, parts[i].version, parts[i].msg, out, splices, fault);
    size_t size = out->len - len - KP_FRAME_SIZE_BYTES;
    if (err == KC_OK && splices)
        size += splices->bytes - splice_bytes;
    if (err == KC_OK && size > INT32_MAX) {
        err = KC_ERR_TOO_LARGE;
        if (fault)
            *fault = (kp_fault){.reason = "frame is longer than 2^31 - 1 bytes"};
    }
    if (err == KC_OK) {
        kp_store32(out->data + len, (uint32_t)size);
        return KC_OK;
    }
    out->len = len;
    if (splices) {
        splices->count = splice_count;
        splices->bytes = splice_bytes;
    }
    return err;
}

kc_err kp_frame_request(const kp_api *api, int16_t version, int32_t correlation_id,
                        kc_bytes client_id, const void *msg, kb_buf *out, kp_splices *splices,
                        kp_fault *fault)
{
    assert(api && msg && out);
    kp_request_header header = {.request_api_key = api->key,
                                .request_api_version = version,
                                .correlation_id = correlation_id,
                                .client_id = client_id};
    const kp_frame_part parts[2] = {
        {&kp_request_header_message, kp_request_header_version(api, version), &header},
        {api->request, version, msg}};
    return kp_frame_put(parts, out, splices, fault);
}

kc_err kp_frame_response(const kp_api *api, int16_t version, int32_t correlation_id,
                         const void *msg, kb_buf *out, kp_fault *fault)
{
    assert(api && msg && out);
    kp_response_header header = {.correlation_id = correlation_id};
    const kp_frame_part parts[2] = {
        {&kp_response_header_message, kp_response_header_version(api, version), &header},
        {api->response, version, msg}};
    return kp_frame_put(parts, out, NULL, fault);
}

bool kp_frame_correlation_id(kc_bytes frame, int32_t *id_out)
{
    if (frame.len < 4)
        return false;
    *id_out = (int32_t)kp_load32(frame.ptr);
    return true;
}

static kc_bytes rest_of(kc_bytes frame, size_t used)
{
    return frame.ptr ? kc_span(frame.ptr + used, frame.len - used) : KC_STR("");
}

kc_err kp_frame_response_body(const kp_api *api, int16_t version, kc_bytes frame,
                              kc_bytes *body_out, kp_fault *fault)
{
    kp_response_header header;
    size_t used = 0;
    *body_out = KC_NULL;
    KB_TRY(kp_decode_prefix(&kp_response_header_message, kp_response_header_version(api, version),
                            frame, NULL, &header, &used, fault));
    *body_out = rest_of(frame, used);
    return KC_OK;
}

kc_err kp_frame_request_parse(kc_bytes frame, kp_request_info *out, kp_fault *fault)
{
    *out = (kp_request_info){.api_key = -1};
    if (frame.len < 8) {
        if (fault)
            *fault =
                (kp_fault){.at = frame.len, .reason = "frame is shorter than a request header"};
        return KC_ERR_TRUNCATED;
    }
    out->api_key = (int16_t)kp_load16(frame.ptr);
    out->version = (int16_t)kp_load16(frame.ptr + 2);
    out->correlation_id = (int32_t)kp_load32(frame.ptr + 4);
    const kp_api *api = kp_api_by_key(out->api_key);
    if (!api) {
        if (fault)
            *fault = (kp_fault){.reason = "the schema does not have this API key"};
        return KC_ERR_VERSION;
    }
    kp_request_header header;
    size_t used = 0;
    KB_TRY(kp_decode_prefix(&kp_request_header_message,
                            kp_request_header_version(api, out->version), frame, NULL, &header,
                            &used, fault));
    out->client_id = header.client_id;
    out->body = rest_of(frame, used);
    return KC_OK;
}
