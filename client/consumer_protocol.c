/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The blobs of a classic group. They are other clients' bytes: nothing in them is taken for granted. */
#include "client/consumer_protocol.h"

#include "protocol/base/error.h"
#include "protocol/wire.h"

#define VERSION_BYTES 2

kc_err kc_consumer_protocol_read(const kp_message *message, kc_bytes in, kb_arena *arena,
                                 void *msg_out)
{
    if (in.len < VERSION_BYTES)
        return KC_ERR_TRUNCATED;
    int16_t version = (int16_t)kp_load16(in.ptr);
    if (version < message->min)
        return KC_ERR_MALFORMED;
    if (version > message->max)
        version = message->max;
    size_t used;
    return kp_decode_prefix(message, version,
                            kc_span(in.ptr + VERSION_BYTES, in.len - VERSION_BYTES), arena, msg_out,
                            &used, NULL);
}

kc_err kc_consumer_protocol_write(const kp_message *message, int16_t version, const void *msg,
                                  kb_buf *out)
{
    uint8_t prefix[VERSION_BYTES];
    kp_store16(prefix, (uint16_t)version);
    kb_buf_put(out, prefix, sizeof prefix);
    KB_TRY(kp_encode(message, version, msg, out, NULL, NULL));
    return out->err;
}
