/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Decoding: see codec_read.h, where it is written. */
#define KP_TRACED 0
#include "protocol/codec_read.h"

#include <assert.h>

kc_err kp_decode_prefix(const kp_message *message, int16_t version, kc_bytes in, kb_arena *arena,
                        void *msg_out, size_t *used_out, kp_fault *fault)
{
    assert(message && msg_out && used_out);
    reader r = reader_of(version, in, arena);
    return read_message(&r, message, msg_out, used_out, fault);
}

kc_err kp_decode_as_kafka(const kp_message *message, int16_t version, kc_bytes in, kb_arena *arena,
                          void *msg_out, kp_fault *fault)
{
    assert(message && msg_out);
    reader r = reader_of(version, in, arena);
    size_t used = 0;
    r.is_lenient = true;
    return read_message(&r, message, msg_out, &used, fault);
}

kc_err kp_decode(const kp_message *message, int16_t version, kc_bytes in, kb_arena *arena,
                 void *msg_out, kp_fault *fault)
{
    assert(message && msg_out);
    reader r = reader_of(version, in, arena);
    return read_whole(&r, message, msg_out, fault);
}
