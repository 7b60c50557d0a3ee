/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The decoder of events for those who read records themselves: of_wire_decode() with memory of its
 * own. */
#include "officeflow/wire.h"
#include "protocol/base/error.h"

/** Most bytes the headers and unescaped texts of one record may take. */
#define DECODER_BYTES_MAX ((size_t)64 << 20)

struct of_decoder {
    kb_mem mem;
    kb_arena arena;
};

of_decoder *of_decoder_new(void)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    of_decoder *decoder = kb_mem_zalloc(&mem, sizeof *decoder);
    if (!decoder)
        return NULL;
    decoder->mem = mem;
    kb_arena_init(&decoder->arena, &decoder->mem, DECODER_BYTES_MAX);
    return decoder;
}

void of_decoder_free(of_decoder *decoder)
{
    if (!decoder)
        return;
    kb_arena_cleanup(&decoder->arena);
    kb_mem mem = decoder->mem;
    kb_mem_free(&mem, decoder);
}

kc_err of_event_decode(of_decoder *decoder, kc_bytes topic, int32_t partition, const kc_view *view,
                       of_event *event_out, kc_error *err)
{
    kb_arena *arena = &decoder->arena;
    kb_arena_reset(arena);
    size_t room = view->header_count > 0 ? (size_t)view->header_count : 0;
    kc_header *headers = kb_arena_array(arena, room + 1, sizeof *headers);
    char *place = kb_arena_printf(arena, KC_FMT "/%d/%lld", KC_ARG(topic), partition,
                                  (long long)view->offset);
    if (!headers || !place)
        return kb_error_code(err, KC_ERR_NOMEM);
    of_message message = {.key = view->key, .value = view->value, .headers = headers};
    kc_bytes pos = view->headers_raw;
    while (message.header_count < room && kc_view_header(&pos, &headers[message.header_count]))
        message.header_count++;
    return of_wire_decode(&message, kc_str(place), arena, event_out, err);
}
