/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A request or response as it stands on the connection: size, header, body. */
#ifndef KP_FRAME_H
#define KP_FRAME_H

#include "protocol/api.h"
#include "protocol/codec.h"

/** Bytes of the size in front of each frame. */
#define KP_FRAME_SIZE_BYTES 4

/** Header versions of an API version: request 1 or 2; response 0 or 1, and 0 for every ApiVersions.
 */
int16_t kp_request_header_version(const kp_api *api, int16_t version);
int16_t kp_response_header_version(const kp_api *api, int16_t version);

/** Header or body of a frame. */
typedef struct kp_frame_part {
    const kp_message *message;
    int16_t version;
    const void *msg;
} kp_frame_part;

/** Append size, header and body. On failure `out` and `splices` are as they were. Errors as kp_encode(). */
KC_NODISCARD kc_err kp_frame_put(const kp_frame_part parts[2], kb_buf *out, kp_splices *splices,
                                 kp_fault *fault);

/**
 * Append a whole request frame (size, header, body). The size counts the spliced bytes too.
 *
 * @param client_id  Null: none.
 * Errors as kp_encode().
 */
KC_NODISCARD kc_err kp_frame_request(const kp_api *api, int16_t version, int32_t correlation_id,
                                     kc_bytes client_id, const void *msg, kb_buf *out,
                                     kp_splices *splices, kp_fault *fault);

/** Append a whole response frame. */
KC_NODISCARD kc_err kp_frame_response(const kp_api *api, int16_t version, int32_t correlation_id,
                                      const void *msg, kb_buf *out, kp_fault *fault);

/** Correlation id of a response frame without its size; false: shorter than 4 bytes. */
bool kp_frame_correlation_id(kc_bytes frame, int32_t *id_out);

/** Body of a response frame (without its size): skips the header. Errors as kp_decode(). */
KC_NODISCARD kc_err kp_frame_response_body(const kp_api *api, int16_t version, kc_bytes frame,
                                           kc_bytes *body_out, kp_fault *fault);

/** Header of a request frame (without its size), for servers and tools. */
typedef struct kp_request_info {
    int16_t api_key;
    int16_t version;
    int32_t correlation_id;
    kc_bytes client_id;
    kc_bytes body;
} kp_request_info;
/** An API key this schema does not have is KC_ERR_VERSION, with key, version and correlation id
 * filled in; a version it does not have is no error here, so that a server can answer ApiVersions
 * with error 35. */
KC_NODISCARD kc_err kp_frame_request_parse(kc_bytes frame, kp_request_info *out, kp_fault *fault);

#endif
