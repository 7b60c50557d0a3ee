/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * <kafkac/codec.h>: whole frames, with their headers as messages. What a connection does with frames
 * is in frame.h. */
#include "protocol/base/error.h"
#include "protocol/frame.h"
#include "protocol/generated/messages.h"
#include "protocol/public_arena.h"
#include "protocol/wire.h"

#include <kafkac/unstable/errors.h>

static kc_err refuse(kc_fault *fault, kc_err err, size_t at, const char *reason)
{
    if (fault)
        *fault = (kc_fault){.at = at, .reason = reason};
    return err;
}

/** The size in front must be that of the rest. */
static kc_err check_size(kc_bytes in, kc_fault *fault)
{
    if (in.len < KP_FRAME_SIZE_BYTES)
        return refuse(fault, KC_ERR_TRUNCATED, in.len, "frame is shorter than its size");
    int32_t size = (int32_t)kp_load32(in.ptr);
    if (size < 0)
        return refuse(fault, KC_ERR_MALFORMED, 0, "size of the frame is negative");
    size_t end = KP_FRAME_SIZE_BYTES + (size_t)size;
    if (end > in.len)
        return refuse(fault, KC_ERR_TRUNCATED, in.len, "frame is shorter than its size says");
    if (end < in.len)
        return refuse(fault, KC_ERR_MALFORMED, end, "bytes are left behind the frame");
    return KC_OK;
}

/** Which API and version: a request says so itself. */
static kc_err learn_api(kc_frame *frame, kc_bytes in, kc_fault *fault)
{
    if (frame->kind == KC_MESSAGE_REQUEST) {
        if (in.len < KP_FRAME_SIZE_BYTES + 4)
            return refuse(fault, KC_ERR_TRUNCATED, in.len,
                          "frame is shorter than a request header");
        frame->api_key = (int16_t)kp_load16(in.ptr + KP_FRAME_SIZE_BYTES);
        frame->version = (int16_t)kp_load16(in.ptr + KP_FRAME_SIZE_BYTES + 2);
    }
    const kp_api *api = kp_api_by_key(frame->api_key);
    if (!api)
        return refuse(fault, KC_ERR_VERSION, KP_FRAME_SIZE_BYTES,
                      "the schema does not have this API key");
    bool is_request = frame->kind == KC_MESSAGE_REQUEST;
    frame->schema = is_request ? api->request : api->response;
    frame->header_schema = is_request ? &kp_request_header_message : &kp_response_header_message;
    if (frame->version < frame->schema->min || frame->version > frame->schema->max)
        return refuse(fault, KC_ERR_VERSION, KP_FRAME_SIZE_BYTES + (is_request ? 2 : 0),
                      "the schema does not have this version");
    frame->header_version = is_request ? kp_request_header_version(api, frame->version)
                                       : kp_response_header_version(api, frame->version);
    return KC_OK;
}

/** A broker that does not know the version asked for says so in version 0 (KIP-511). */
static void follow_fallback(kc_frame *frame, kc_bytes body)
{
    if (frame->kind == KC_MESSAGE_RESPONSE && frame->api_key == KP_API_API_VERSIONS &&
        body.len >= 2 && (int16_t)kp_load16(body.ptr) == KC_E_UNSUPPORTED_VERSION)
        frame->version = 0;
}

static kc_err read_part(const kc_schema *schema, int16_t version, kc_bytes in, kc_arena *arena,
                        void **msg_out, size_t *used_out, kc_fault *fault)
{
    *msg_out = kb_arena_alloc(&arena->arena, schema->root->size);
    if (!*msg_out)
        return refuse(fault, KC_ERR_NOMEM, 0, "message is above the memory allowed for it");
    return kp_decode_prefix(schema, version, in, &arena->arena, *msg_out, used_out, fault);
}

kc_err kc_frame_decode(kc_message_kind kind, int16_t api_key, int16_t version, kc_bytes in,
                       kc_arena *arena, kc_frame *frame_out, kc_fault *fault)
{
    kc_frame *frame = frame_out;
    *frame = (kc_frame){.kind = kind, .api_key = api_key, .version = version, .end = in.len};
    if (kind != KC_MESSAGE_REQUEST && kind != KC_MESSAGE_RESPONSE)
        return refuse(fault, KC_ERR_ARGUMENT, 0, "only requests and responses come in frames");
    KB_TRY(check_size(in, fault));
    KB_TRY(learn_api(frame, in, fault));
    frame->header_at = KP_FRAME_SIZE_BYTES;
    size_t used = 0;
    kc_bytes rest = kc_span(in.ptr + frame->header_at, in.len - frame->header_at);
    kc_err err = read_part(frame->header_schema, frame->header_version, rest, arena, &frame->header,
                           &used, fault);
    size_t at = frame->header_at;
    if (err == KC_OK) {
        at = frame->body_at = frame->header_at + used;
        rest = kc_span(rest.ptr + used, rest.len - used);
        follow_fallback(frame, rest);
        err = read_part(frame->schema, frame->version, rest, arena, &frame->body, &used, fault);
    }
    if (err != KC_OK) {
        if (fault)
            fault->at += at;
        return err;
    }
    if (frame->body_at + used < in.len)
        return refuse(fault, KC_ERR_MALFORMED, frame->body_at + used,
                      "bytes are left behind the message");
    return KC_OK;
}

kc_err kc_frame_encode(const kc_frame *frame, kc_arena *arena, kc_bytes *bytes_out, kc_fault *fault)
{
    const kp_api *api = kp_api_by_key(frame->api_key);
    if (!api || !frame->header || !frame->body)
        return refuse(fault, KC_ERR_ARGUMENT, 0, "a frame needs an API, a header and a body");
    kb_buf *out = &arena->scratch;
    kb_buf_reset(out);
    kc_err err;
    if (frame->kind == KC_MESSAGE_REQUEST) {
        kp_request_header header = *(const kp_request_header *)frame->header;
        header.request_api_key = frame->api_key;
        header.request_api_version = frame->version;
        const kp_frame_part parts[2] = {
            {&kp_request_header_message, kp_request_header_version(api, frame->version), &header},
            {api->request, frame->version, frame->body}};
        err = kp_frame_put(parts, out, NULL, fault);
    } else {
        const kp_frame_part parts[2] = {{&kp_response_header_message,
                                         kp_response_header_version(api, frame->version),
                                         frame->header},
                                        {api->response, frame->version, frame->body}};
        err = kp_frame_put(parts, out, NULL, fault);
    }
    KB_TRY(err);
    *bytes_out = kb_arena_copy(&arena->arena, kb_buf_bytes(out));
    return bytes_out->ptr ? KC_OK : KC_ERR_NOMEM;
}
