/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * kc_call() with JSON both ways, in the form of Kafka's JsonConverter. */
#include "client/call.h"
#include "protocol/base/error.h"

#include <assert.h>

/** What the callback needs once the call is answered. */
typedef struct json_call {
    kc_client *client;
    kc_json_response_fn fn;
    void *user;
} json_call;

static void print(const json_call *call, const kc_response *response)
{
    kc_client *client = call->client;
    const kp_api *api = kp_api_by_key(response->api_key);
    kb_buf text;
    kb_json_writer writer;
    kc_error error = {.code = KC_OK};
    kb_buf_init(&text, &client->mem, 0);
    kb_json_writer_init(&writer, &text);
    if (response->message)
        kp_json_print(api->response, response->version, response->message, &writer);
    else
        kb_json_null(&writer); /* Produce with acks=0 */
    if (text.err != KC_OK)
        call->fn(kb_error_code(&error, text.err), &error, response->version, KC_NULL, call->user);
    else
        call->fn(KC_OK, NULL, response->version, kb_buf_bytes(&text), call->user);
    kb_buf_cleanup(&text);
}

static void on_response(const kc_response *response, void *user)
{
    json_call *call = user;
    if (call->client->is_forked)
        ; /* no callback of the application in a child */
    else if (response->err == KC_OK)
        print(call, response);
    else
        call->fn(response->err, response->error, response->version, KC_NULL, call->user);
    kb_mem_free(&call->client->mem, call);
}

/** In the version asked for, else in the highest one that has all members of the text: *version. */
static kc_err read_request(const kp_api *api, kc_bytes json, int16_t *version, kb_arena *arena,
                           void *msg, kc_error *err)
{
    int16_t max = kc_version_or(*version, api->stable_max);
    int16_t min = kc_version_or(*version, api->request->min);
    kp_fault first = {0};
    for (int16_t v = max; v >= min; v--) {
        kp_fault fault = {0};
        kc_err result = kp_json_read(api->request, v, json, arena, msg, &fault);
        *version = v;
        if (result == KC_OK)
            return KC_OK;
        if (result == KC_ERR_NOMEM)
            return kb_error_code(err, result);
        if (v == max)
            first = fault;
    }
    return kb_error_set(err, KC_ERR_ARGUMENT, "%s version %d: byte %zu%s%s: %s", api->name, max,
                        first.at, first.path[0] ? ", " : "", first.path,
                        first.reason ? first.reason : "not valid");
}

/** Brokers answer at once that they had no time, where a request leaves them none: what the text does not say is the
 * request timeout. */
static void fill_timeout(const kc_client *client, const kp_api *api, kc_bytes json, void *msg)
{
    assert(msg);
    const kp_field_desc *field = kc_field_of(api->request->root, "timeoutMs");
    if (field && field->type == KP_I32 && !kb_json_pointer(json, "/timeoutMs").ptr)
        *(int32_t *)(void *)((uint8_t *)msg + field->offset) = client->settings->request_timeout_ms;
}

static kc_err start(kc_call_spec *spec, const json_call *what, kc_error *err)
{
    json_call *call = kb_mem_alloc(&what->client->mem, sizeof *call);
    if (!call)
        return kb_error_code(err, KC_ERR_NOMEM);
    *call = *what;
    spec->fn = on_response;
    spec->user = call;
    spec->runs_in_child = true;
    kc_err started = kc_call_start(what->client, spec, NULL, err);
    if (started != KC_OK)
        kb_mem_free(&what->client->mem, call);
    return started;
}

kc_err kc_call_json(kc_client *client, kc_bytes api_name, kc_bytes json,
                    const kc_call_options *options, kc_json_response_fn fn, void *user,
                    kc_error *err)
{
    const kp_api *api = kp_api_by_name(api_name);
    if (!api)
        return kb_error_set(err, KC_ERR_ARGUMENT, "there is no API called \"" KC_FMT "\"",
                            KC_ARG(api_name));
    if (!fn)
        return kb_error_set(err, KC_ERR_ARGUMENT, "kc_call_json() needs a callback");
    int16_t version = -1;
    if (options)
        version = options->version;
    kb_arena arena;
    kb_arena_init(&arena, &client->mem, SIZE_MAX);
    void *request = kb_arena_alloc(&arena, api->request->root->size);
    kc_err result = request ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
    if (result == KC_OK)
        result = read_request(api, json, &version, &arena, request, err);
    json_call call = {client, fn, user};
    kc_call_spec spec;
    if (result == KC_OK)
        result = kc_call_spec_init(&spec, client, api, request, options, err);
    if (result == KC_OK) {
        fill_timeout(client, api, json, request);
        spec.version_max = version; // a higher one would leave members out, where they may be
        result = start(&spec, &call, err);
    }
    kb_arena_cleanup(&arena);
    return result;
}
