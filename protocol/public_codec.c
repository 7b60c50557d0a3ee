/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * <kafkac/codec.h>: what there is, and the interpreter on the caller's arena. */
#include "protocol/api.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"
#include "protocol/codec.h"
#include "protocol/generated/messages.h"
#include "protocol/public_arena.h"
#include "protocol/random_fill.h"

/* ---- what there is ---- */

/* The order of kc_schema_at(): two of each API, the headers, the data messages. */
static size_t data_count(void)
{
    size_t count = 0;
    while (kp_data_messages[count])
        count++;
    return count;
}

size_t kc_schema_count(void)
{
    return 2 * kp_api_count() + 2 + data_count();
}

const kc_schema *kc_schema_at(size_t index)
{
    const kp_api *api = kp_api_at(index / 2);
    if (api)
        return index % 2 == 0 ? api->request : api->response;
    index -= 2 * kp_api_count();
    if (index < 2)
        return index == 0 ? &kp_request_header_message : &kp_response_header_message;
    return index - 2 < data_count() ? kp_data_messages[index - 2] : NULL;
}

static const char *const kind_names[] = {
    [KC_MESSAGE_REQUEST] = "request",
    [KC_MESSAGE_RESPONSE] = "response",
    [KC_MESSAGE_REQUEST_HEADER] = "request-header",
    [KC_MESSAGE_RESPONSE_HEADER] = "response-header",
    [KC_MESSAGE_DATA] = "data",
};

const char *kc_message_kind_name(kc_message_kind kind)
{
    return kind_names[kind];
}

bool kc_message_kind_by_name(kc_bytes name, kc_message_kind *kind_out)
{
    for (size_t i = 0; i < sizeof kind_names / sizeof kind_names[0]; i++)
        if (kb_text_is(name, kind_names[i])) {
            *kind_out = (kc_message_kind)i;
            return true;
        }
    return false;
}

const kc_schema *kc_schema_find(kc_bytes name, kc_message_kind kind)
{
    return kp_message_by_name(name, kc_str(kind_names[kind]));
}

const kc_schema *kc_schema_of_api(int16_t api_key, kc_message_kind kind)
{
    const kp_api *api = kp_api_by_key(api_key);
    if (!api || (kind != KC_MESSAGE_REQUEST && kind != KC_MESSAGE_RESPONSE))
        return NULL;
    return kind == KC_MESSAGE_REQUEST ? api->request : api->response;
}

static const kp_api *api_of(const kc_schema *schema)
{
    for (size_t i = 0; i < kp_api_count(); i++)
        if (kp_api_at(i)->request == schema || kp_api_at(i)->response == schema)
            return kp_api_at(i);
    return NULL;
}

static kc_message_kind kind_of(const kc_schema *schema, const kp_api *api)
{
    if (api)
        return api->request == schema ? KC_MESSAGE_REQUEST : KC_MESSAGE_RESPONSE;
    if (schema == &kp_request_header_message)
        return KC_MESSAGE_REQUEST_HEADER;
    return schema == &kp_response_header_message ? KC_MESSAGE_RESPONSE_HEADER : KC_MESSAGE_DATA;
}

void kc_schema_get_info(const kc_schema *schema, kc_schema_info *info_out)
{
    const kp_api *api = api_of(schema);
    *info_out = (kc_schema_info){
        .name = schema->name,
        .kind = kind_of(schema, api),
        .api_key = api ? api->key : -1,
        .version_min = schema->min,
        .version_max = schema->max,
        .version_stable_max = api ? api->stable_max : schema->max,
        .flexible_from = schema->flexible_from,
        .struct_bytes = schema->root->size,
    };
}

/* ---- messages ---- */

static void *new_struct(const kc_schema *schema, kc_arena *arena, kc_fault *fault)
{
    void *msg = kb_arena_alloc(&arena->arena, schema->root->size);
    if (!msg && fault)
        *fault = (kc_fault){.reason = "message is above the memory allowed for it"};
    return msg;
}

kc_err kc_message_new(const kc_schema *schema, kc_arena *arena, void **msg_out)
{
    void *msg = new_struct(schema, arena, NULL);
    if (!msg)
        return KC_ERR_NOMEM;
    kp_defaults(schema, msg);
    *msg_out = msg;
    return KC_OK;
}

kc_err kc_message_decode(const kc_schema *schema, int16_t version, kc_bytes in, kc_arena *arena,
                         void **msg_out, kc_fault *fault)
{
    void *msg = new_struct(schema, arena, fault);
    if (!msg)
        return KC_ERR_NOMEM;
    KB_TRY(kp_decode(schema, version, in, &arena->arena, msg, fault));
    *msg_out = msg;
    return KC_OK;
}

kc_err kc_message_encode(const kc_schema *schema, int16_t version, const void *msg, kc_arena *arena,
                         kc_bytes *bytes_out, kc_fault *fault)
{
    return kp_encode_in(schema, version, msg, &arena->arena, bytes_out, fault);
}

kc_err kc_message_size(const kc_schema *schema, int16_t version, const void *msg, size_t *bytes_out,
                       kc_fault *fault)
{
    return kp_size(schema, version, msg, bytes_out, fault);
}

kc_err kc_message_to_json(const kc_schema *schema, int16_t version, const void *msg,
                          kc_arena *arena, kc_bytes *json_out)
{
    kb_json_writer writer;
    kb_buf *text = &arena->scratch;
    if (version < schema->min || version > schema->max)
        return KC_ERR_VERSION;
    kb_buf_reset(text);
    kb_json_writer_init(&writer, text);
    kp_json_print(schema, version, msg, &writer);
    *json_out = text->err == KC_OK ? kb_arena_copy(&arena->arena, kb_buf_bytes(text)) : KC_NULL;
    return json_out->ptr ? KC_OK : KC_ERR_NOMEM;
}

kc_err kc_message_from_json(const kc_schema *schema, int16_t version, kc_bytes json,
                            kc_arena *arena, void **msg_out, kc_fault *fault)
{
    void *msg = new_struct(schema, arena, fault);
    if (!msg)
        return KC_ERR_NOMEM;
    KB_TRY(kp_json_read(schema, version, json, &arena->arena, msg, fault));
    *msg_out = msg;
    return KC_OK;
}

kc_err kc_message_copy(const kc_schema *schema, const void *msg, kc_arena *arena, void **copy_out)
{
    *copy_out = kp_copy(schema, msg, &arena->arena);
    return *copy_out ? KC_OK : KC_ERR_NOMEM;
}

bool kc_message_equal(const kc_schema *schema, int16_t version, const void *a, const void *b,
                      kc_fault *fault)
{
    return kp_equal(schema, version, a, b, fault);
}

kc_err kc_message_random(const kc_schema *schema, int16_t version, uint64_t seed, kc_arena *arena,
                         void **msg_out)
{
    kb_rand rand;
    void *msg = new_struct(schema, arena, NULL);
    if (!msg)
        return KC_ERR_NOMEM;
    kb_rand_init(&rand, seed);
    KB_TRY(kp_random_fill(schema, version, &rand, &arena->arena, msg));
    *msg_out = msg;
    return KC_OK;
}

kc_err kc_message_walk(const kc_schema *schema, int16_t version, const void *msg, kc_walk_fn fn,
                       void *user)
{
    return kp_walk(schema, version, msg, fn, user);
}

kc_err kc_message_trace(const kc_schema *schema, int16_t version, kc_bytes in, kc_arena *arena,
                        kc_wire_fn fn, void *user, kc_fault *fault)
{
    return kp_trace(schema, version, in, &arena->arena, fn, user, fault);
}
