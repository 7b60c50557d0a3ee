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

/** A broker that does not know the version asked for says so in version 0 (KIP-511): behind the size
 * and the correlation id, which are the same in all versions of ApiVersions. */
static bool is_fallback(const kc_frame *frame, kc_bytes in)
{
    size_t at = KP_FRAME_SIZE_BYTES + 4;
    return frame->kind == KC_MESSAGE_RESPONSE && frame->api_key == KP_API_API_VERSIONS &&
           in.len >= at + 2 && (int16_t)kp_load16(in.ptr + at) == KC_E_UNSUPPORTED_VERSION;
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
    if (is_fallback(frame, in))
        frame->version = 0;
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
    kp_request_header stamped;
    kp_frame_part parts[2] = {{&kp_response_header_message,
                               kp_response_header_version(api, frame->version), frame->header},
                              {api->response, frame->version, frame->body}};
    if (frame->kind == KC_MESSAGE_REQUEST) {
        stamped = *(const kp_request_header *)frame->header;
        stamped.request_api_key = frame->api_key;
        stamped.request_api_version = frame->version;
        parts[0] = (kp_frame_part){&kp_request_header_message,
                                   kp_request_header_version(api, frame->version), &stamped};
        parts[1].message = api->request;
    }
    size_t size = KP_FRAME_SIZE_BYTES;
    for (int i = 0; i < 2; i++) {
        size_t part;
        KB_TRY(kp_size(parts[i].message, parts[i].version, parts[i].msg, &part, fault));
        size += part;
    }
    uint8_t *start = kb_arena_alloc(&arena->arena, size);
    if (!start)
        return refuse(fault, KC_ERR_NOMEM, 0, "frame is above the memory allowed for it");
    kb_buf out = {.mem = &arena->mem, .data = start, .cap = size, .limit = size};
    KB_TRY(kp_frame_put(parts, &out, NULL, fault));
    *bytes_out = kb_buf_bytes(&out);
    return KC_OK;
}
