/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sending events: fill in what the caller left out, find topic and key by the catalogue, encode,
 * hand to the client's producer. All checks come before anything is queued. */
#include "officeflow/catalogue.h"
#include "officeflow/platform_core.h"
#include "officeflow/tracker.h"
#include "officeflow/wire.h"
#include "protocol/base/error.h"
#include "protocol/base/json.h"

#include <officeflow/producer.h>

struct of_producer {
    of_part part;
    of_platform *platform;
    kc_producer *kafka;
    of_producer_options options;
    kb_arena arena; /* of the send under way */
};

/** What a delivery callback needs to know; lives from send to delivery. */
typedef struct pending {
    of_producer *producer;
    of_sent_fn fn;
    void *user;
    size_t id_len, correlation_len;
    uint8_t texts[]; /* id, then correlation id */
} pending;

static void abandon(of_part *part)
{
    of_producer *producer = KB_CONTAINER(part, of_producer, part);
    kc_producer_close(producer->kafka);
    kb_arena_cleanup(&producer->arena);
    kb_mem_free(&producer->platform->mem, producer);
}

kc_err of_producer_open(of_platform *platform, const of_producer_options *options,
                        of_producer **producer_out, kc_error *err)
{
    of_producer *producer = kb_mem_zalloc(&platform->mem, sizeof *producer);
    if (!producer)
        return kb_error_code(err, KC_ERR_NOMEM);
    producer->platform = platform;
    if (options)
        producer->options = *options;
    kb_arena_init(&producer->arena, &platform->mem, 0);
    kc_err result = kc_producer_open(platform->client, NULL, &producer->kafka, err);
    if (result != KC_OK) {
        kb_mem_free(&platform->mem, producer);
        return result;
    }
    producer->part.abandon = abandon;
    kb_list_push_back(&platform->parts, &producer->part.node);
    *producer_out = producer;
    return KC_OK;
}

void of_producer_close(of_producer *producer)
{
    if (!producer)
        return;
    kb_list_remove(&producer->part.node);
    abandon(&producer->part);
}

static void on_delivery(const kc_delivery *delivery, void *user)
{
    pending *p = user;
    kb_mem *mem = &p->producer->platform->mem; // the callback may close the producer
    of_sent sent = {
        .err = delivery->err,
        .error = delivery->error,
        .topic = delivery->topic,
        .partition = delivery->partition,
        .offset = delivery->offset,
        .id = kc_span(p->texts, p->id_len),
        .correlation_id = kc_span(p->texts + p->id_len, p->correlation_len),
    };
    p->fn(&sent, p->user);
    kb_mem_free(mem, p);
}

static pending *new_pending(of_producer *producer, const of_event *event, of_sent_fn fn, void *user)
{
    pending *p = kb_mem_alloc(&producer->platform->mem,
                              sizeof *p + event->id.len + event->correlation_id.len);
    if (!p)
        return NULL;
    *p = (pending){.producer = producer,
                   .fn = fn,
                   .user = user,
                   .id_len = event->id.len,
                   .correlation_len = event->correlation_id.len};
    memcpy(p->texts, event->id.ptr, event->id.len);
    memcpy(p->texts + event->id.len, event->correlation_id.ptr, event->correlation_id.len);
    return p;
}

/** Text kept in the send's arena; sticks nothing: a null result is found by the checks of what was
 * required. */
static kc_bytes keep(of_producer *producer, const char *text)
{
    return kb_arena_copy(&producer->arena, kc_str(text));
}

static kc_err fill_ids(of_producer *producer, of_event *event, kc_error *err)
{
    of_tracker *tracker = producer->platform->tracker;
    char id[37];
    if (!event->id.ptr) {
        of_tracker_new_id(tracker, id);
        event->id = keep(producer, id);
    }
    of_trace_attrs attrs = {.organization_id = event->organization_id};
    if (event->metadata.ptr) {
        attrs.employee_id = kb_json_pointer_text(event->metadata, "/employeeId", &producer->arena);
        attrs.workflow_run_id =
            kb_json_pointer_text(event->metadata, "/workflowRunId", &producer->arena);
        attrs.node_run_id = kb_json_pointer_text(event->metadata, "/nodeRunId", &producer->arena);
        attrs.user_id = kb_json_pointer_text(event->metadata, "/userId", &producer->arena);
    }
    of_trace trace;
    kc_err result = event->correlation_id.ptr ? of_tracker_adopt(tracker, event->correlation_id,
                                                                 event->traceparent, &attrs, &trace)
                                              : of_tracker_create(tracker, &attrs, &trace);
    if (result == KC_ERR_ARGUMENT)
        return kb_error_set(err, result,
                            "Event \"" KC_FMT "\": correlationId must be 1 to %d bytes.",
                            KC_ARG(event->type), OF_ID_MAX);
    if (result != KC_OK)
        return kb_error_code(err, result);
    if (!event->correlation_id.ptr)
        event->correlation_id = keep(producer, trace.correlation_id);
    if (!event->traceparent.ptr) {
        char parent[56];
        of_trace_parent(&trace, parent);
        event->traceparent = keep(producer, parent);
    }
    if (!event->id.ptr || !event->correlation_id.ptr || !event->traceparent.ptr)
        return kb_error_code(err, KC_ERR_NOMEM);
    return KC_OK;
}

static void fill_defaults(of_producer *producer, of_event *event)
{
    if (!event->version.ptr)
        event->version = KC_STR("1.0");
    if (event->timestamp_ms == 0)
        event->timestamp_ms = kc_client_wall_ms(producer->platform->client);
    if (!event->source.ptr && event->metadata.ptr)
        event->source = kb_json_pointer_text(event->metadata, "/source", &producer->arena);
    if (!event->source.ptr)
        event->source = kc_str(producer->platform->config.client_id);
}

/** The record key by the family's rule. */
static kc_bytes find_key(of_producer *producer, const of_family *family, const of_event *event)
{
    if (event->key.ptr)
        return event->key;
    for (size_t i = 0; i < 3 && family->key_pointers[i]; i++) {
        const char *pointer = family->key_pointers[i];
        bool is_metadata = strncmp(pointer, "/metadata", 9) == 0;
        kc_bytes doc = is_metadata ? event->metadata : event->payload;
        // "/metadata" has one letter more than "/payload"
        kc_bytes key =
            doc.ptr ? kb_json_pointer_text(doc, pointer + (is_metadata ? 9 : 8), &producer->arena)
                    : KC_NULL;
        if (key.len > 0)
            return key;
    }
    if (family->key_is_organization)
        return event->organization_id;
    return family->key_is_correlation ? event->correlation_id : KC_NULL;
}

static kc_err check_key(const of_family *family, const of_event *event, kc_bytes key, kc_error *err)
{
    if (key.len > 0 || family->order != OF_ORDER_STRICT)
        return KC_OK;
    if (family->key_is_organization)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "Event \"" KC_FMT "\" is kept in order by organisation: set "
                            "organizationId.",
                            KC_ARG(event->type));
    return kb_error_set(err, KC_ERR_ARGUMENT,
                        "Event \"" KC_FMT
                        "\" is kept in order by its key, and has none: set %s or %s, "
                        "or give a key.",
                        KC_ARG(event->type), family->key_pointers[0], family->key_pointers[1]);
}

static kc_err find_topic(of_producer *producer, const of_family *family, const of_event *event,
                         kc_bytes *topic_out, kc_error *err)
{
    *topic_out = event->type;
    if (!family->is_per_org)
        return KC_OK;
    if (!event->organization_id.ptr)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "Event \"" KC_FMT "\" goes to its organisation's topic: set "
                            "organizationId.",
                            KC_ARG(event->type));
    KB_TRY(of_org_id_check(event->organization_id, err));
    *topic_out = kc_str(kb_arena_printf(&producer->arena, KC_FMT "." KC_FMT, KC_ARG(event->type),
                                        KC_ARG(event->organization_id)));
    return topic_out->ptr ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
}

/** The caller's JSON is looked into by pointer and copied as it stands, so it must be JSON before
 * that. */
static kc_err check_json(of_producer *producer, const of_event *event, bool is_json, kc_error *err)
{
    kc_error why;
    kb_arena *arena = &producer->arena;
    kc_bytes metadata = event->metadata;
    if (metadata.ptr && (metadata.len == 0 || metadata.ptr[0] != '{'))
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "Event \"" KC_FMT "\": metadata must be a JSON object.",
                            KC_ARG(event->type));
    if (metadata.ptr && kb_json_check(metadata, true, arena, &why) != KC_OK)
        return kb_error_set(err, KC_ERR_ARGUMENT, "Event \"" KC_FMT "\": metadata is no JSON: %s",
                            KC_ARG(event->type), why.text);
    if (is_json && event->payload.ptr && kb_json_check(event->payload, true, arena, &why) != KC_OK)
        return kb_error_set(err, KC_ERR_ARGUMENT, "Event \"" KC_FMT "\": payload is no JSON: %s",
                            KC_ARG(event->type), why.text);
    return KC_OK;
}

static kc_err send(of_producer *producer, of_event *event, of_sent_fn fn, void *user, kc_error *err)
{
    if (event->type.len == 0)
        return kb_error_set(err, KC_ERR_ARGUMENT, "An event needs a type.");
    const of_family *family = of_family_of(event->type);
    if (!family)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "Event type \"" KC_FMT "\" is not in the catalogue (officeflow topics "
                            "lists it).",
                            KC_ARG(event->type));
    kc_bytes topic;
    KB_TRY(find_topic(producer, family, event, &topic, err));
    bool is_json = producer->options.mode == OF_WIRE_ENVELOPE || !event->content_type.ptr;
    KB_TRY(check_json(producer, event, is_json, err));
    fill_defaults(producer, event);
    kc_bytes key = is_json ? find_key(producer, family, event) : event->key;
    if (!family->key_is_correlation) // that one is filled in, if need be, with the ids
        KB_TRY(check_key(family, event, key, err));
    KB_TRY(fill_ids(producer, event, err));
    event->key = key.ptr || !is_json ? key : find_key(producer, family, event);

    of_message message;
    KB_TRY(of_wire_encode(event, producer->options.mode, producer->options.ce_headers,
                          &producer->arena, &message, err));
    kc_record record = KC_RECORD_INIT;
    record.topic = topic;
    record.key = message.key;
    record.value = message.value;
    record.headers = message.headers;
    record.header_count = message.header_count;
    pending *p = fn ? new_pending(producer, event, fn, user) : NULL;
    if (fn && !p)
        return kb_error_code(err, KC_ERR_NOMEM);
    kc_err result = kc_producer_send(producer->kafka, &record, fn ? on_delivery : NULL, p, err);
    if (result != KC_OK)
        kb_mem_free(&producer->platform->mem, p);
    return result;
}

kc_err of_producer_send(of_producer *producer, const of_event *event, of_sent_fn fn, void *user,
                        kc_error *err)
{
    of_event copy = *event;
    kc_err result = send(producer, &copy, fn, user, err);
    kb_arena_reset(&producer->arena);
    return result;
}

kc_err of_producer_send_org(of_producer *producer, const char *type, const char *org,
                            const of_event *event, of_sent_fn fn, void *user, kc_error *err)
{
    of_event copy = *event;
    const of_family *family = of_family_of(kc_str(type));
    if (!family || !family->is_per_org)
        return kb_error_set(
            err, KC_ERR_ARGUMENT,
            "\"%s\" has no organisation topics: only employee.onboard, employee.exit, "
            "employee.transfer and employee.update have.",
            type);
    if (copy.type.ptr && !kc_bytes_equal(copy.type, kc_str(type)))
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "The event's type is \"" KC_FMT "\", its topic's is \"%s\".",
                            KC_ARG(copy.type), type);
    copy.type = kc_str(type);
    copy.organization_id = kc_str(org);
    return of_producer_send(producer, &copy, fn, user, err);
}

kc_err of_producer_send_batch(of_producer *producer, const of_event *events, size_t count,
                              size_t *accepted_out, of_sent_fn fn, void *user, kc_error *err)
{
    for (*accepted_out = 0; *accepted_out < count; (*accepted_out)++)
        KB_TRY(of_producer_send(producer, &events[*accepted_out], fn, user, err));
    return KC_OK;
}

kc_err of_producer_flush(of_producer *producer, int timeout_ms)
{
    return kc_producer_flush(producer->kafka, timeout_ms);
}
