/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Whole frames, size, header and body: what decodes encodes to a frame that decodes to the same. The
 * first three bytes say whether it is a request, and of a response API and version. */
#include "fuzz/any_message.h"

#define HEAD_BYTES 3

static kc_message_kind kind_of(const uint8_t *head)
{
    return head[0] & 1 ? KC_MESSAGE_RESPONSE : KC_MESSAGE_REQUEST;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES)
        return 0;
    kc_bytes in = kc_span(data + HEAD_BYTES, size - HEAD_BYTES);
    kc_message_kind kind = kind_of(data);
    kc_arena *arena = fuzz_arena();
    kc_frame frame;
    kc_frame again;
    kc_fault fault = {0};
    kc_bytes first;
    kc_bytes second;
    if (kc_frame_decode(kind, data[1], data[2], in, arena, &frame, &fault) == KC_OK) {
        FUZZ_CHECK(frame.header_at <= frame.body_at && frame.body_at <= frame.end);
        FUZZ_CHECK(frame.end == in.len);
        FUZZ_CHECK(kc_frame_encode(&frame, arena, &first, NULL) == KC_OK);
        FUZZ_CHECK(kc_frame_decode(kind, data[1], data[2], first, arena, &again, NULL) == KC_OK);
        FUZZ_CHECK(kc_frame_encode(&again, arena, &second, NULL) == KC_OK);
        FUZZ_CHECK(kc_bytes_equal(first, second));
    } else {
        FUZZ_CHECK(fault.reason && fault.at <= in.len);
    }
    kc_arena_free(arena);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    kc_arena *arena = fuzz_arena();
    kc_schema_info info;
    do
        kc_schema_get_info(kc_schema_at(kb_rand_below(rand, kc_schema_count())), &info);
    while (info.api_key < 0);
    uint8_t head[HEAD_BYTES] = {info.kind == KC_MESSAGE_RESPONSE, (uint8_t)info.api_key,
                                (uint8_t)info.version_max};
    const kc_schema *schema = kc_schema_of_api(info.api_key, info.kind);
    bool is_request = info.kind == KC_MESSAGE_REQUEST;
    kc_frame frame = {.kind = info.kind, .api_key = info.api_key, .version = info.version_max};
    kc_bytes bytes;
    const kc_schema *header = kc_schema_find(KC_NULL, is_request ? KC_MESSAGE_REQUEST_HEADER
                                                                 : KC_MESSAGE_RESPONSE_HEADER);
    FUZZ_CHECK(kc_message_new(header, arena, &frame.header) == KC_OK);
    FUZZ_CHECK(kc_message_random(schema, info.version_max, kb_rand_u64(rand), arena, &frame.body) ==
               KC_OK);
    FUZZ_CHECK(kc_frame_encode(&frame, arena, &bytes, NULL) == KC_OK);
    kb_buf_put(out, head, sizeof head);
    kb_buf_put_bytes(out, bytes);
    kc_arena_free(arena);
}
