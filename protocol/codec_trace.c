/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Traced decoding: codec_read.h once more, with a tracer. The path is built on the way down, unlike
 * that of a fault: here every value needs one. */
#define KP_TRACED 1
#include "protocol/codec_read.h"

#include <assert.h>
#include <stdio.h>

void kp_tracer_init(kp_tracer *tracer, const uint8_t *begin, kc_wire_fn fn, void *user)
{
    assert(fn);
    *tracer = (kp_tracer){.fn = fn, .user = user, .begin = begin, .told = begin};
}

static bool is_varint(const kp_tracer *tracer, kc_wire_part part, const kp_field_desc *field)
{
    if (!field)
        return part != KC_WIRE_TAG_DATA;
    bool is_length = part == KC_WIRE_LENGTH || part == KC_WIRE_COUNT;
    return is_length && tracer->flexible && !(field->flags & KP_F_STR16);
}

void kp_tracer_tell(kp_tracer *tracer, const uint8_t *end, kc_wire_part part,
                    const kp_field_desc *field, int64_t number)
{
    assert(end >= tracer->told && tracer->depth > 0);
    kc_wire_item item = {.part = part,
                         .type = field ? (kc_type)field->type : KC_TYPE_STRUCT,
                         .at = (size_t)(tracer->told - tracer->begin),
                         .len = (size_t)(end - tracer->told),
                         .number = number,
                         .depth = (uint8_t)(tracer->depth - 1),
                         .is_varint = is_varint(tracer, part, field),
                         .path = tracer->path};
    tracer->told = end;
    if (item.len > 0)
        tracer->fn(&item, tracer->user);
}

static void append(kp_tracer *tracer, const char *text)
{
    size_t room = sizeof tracer->path - 1 - tracer->path_len;
    size_t len = strlen(text) < room ? strlen(text) : room;
    memcpy(tracer->path + tracer->path_len, text, len);
    tracer->path_len += len;
    tracer->path[tracer->path_len] = '\0';
}

size_t kp_tracer_enter_field(kp_tracer *tracer, const kp_field_desc *field)
{
    size_t outer = tracer->path_len;
    append(tracer, outer > 0 ? "." : "");
    append(tracer, field->name);
    return outer;
}

size_t kp_tracer_enter_item(kp_tracer *tracer, int32_t index)
{
    size_t outer = tracer->path_len;
    char segment[16];
    (void)snprintf(segment, sizeof segment, "[%d]", (int)index);
    append(tracer, segment);
    return outer;
}

void kp_tracer_leave(kp_tracer *tracer, size_t path_len)
{
    tracer->path_len = path_len;
    tracer->path[path_len] = '\0';
}

kc_err kp_trace(const kp_message *message, int16_t version, kc_bytes in, kb_arena *arena,
                kc_wire_fn fn, void *user, kp_fault *fault)
{
    assert(message && arena && fn);
    kp_tracer tracer;
    reader r = reader_of(version, in, arena);
    kp_tracer_init(&tracer, r.pos, fn, user);
    r.tracer = &tracer;
    void *msg = kb_arena_alloc(arena, message->root->size);
    if (msg)
        return read_whole(&r, message, msg, fault);
    return kp_fault_tell(fault, &(kp_fault){.reason = "message is above the memory allowed for it"},
                         KC_ERR_NOMEM);
}
