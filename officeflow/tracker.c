/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The correlation tracker: contexts by correlation id in a bounded store, least recently used first
 * to go.
 *
 * One correlation id per business transaction: children share it and have context ids of their own.
 * Where no traceparent came in, the correlation UUIDv7 is the W3C trace id: a trace can be found
 * from the id and the id from a trace. */
#define _POSIX_C_SOURCE 200809L // strnlen
#include "officeflow/tracker.h"

#include "protocol/base/list.h"
#include "protocol/base/map.h"
#include "protocol/base/rand.h"
#include "protocol/base/text.h"

#include <kafkac/client.h>

#include <stdio.h>

#define TEXT_MAX          128
#define TRACE_FLAG_RANDOM 0x02

typedef struct trace_record {
    int64_t wall_ms;
    of_trace_status status;
    char *service; /* with the operation behind its zero */
    char *operation;
} trace_record;

typedef struct context {
    kb_list lru; /* in of_tracker.contexts, most recently used last */
    of_trace root;
    of_trace_attrs attrs; /* slices into `texts` */
    char *texts;
    trace_record *records;
    size_t record_count, record_cap;
    int64_t used_ms;
} context;

struct of_tracker {
    kb_mem mem;
    of_tracker_clock clock;
    kb_map by_id;
    kb_list contexts;
    uint64_t contexts_dropped, events_dropped;
};

static int64_t system_wall_ms(void *user)
{
    (void)user;
    return kc_clock_wall_ms();
}

static uint64_t system_random(void *user)
{
    (void)user;
    return kc_clock_random();
}

of_tracker *of_tracker_new(const of_tracker_clock *clock)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    of_tracker *tracker = kb_mem_zalloc(&mem, sizeof *tracker);
    if (!tracker)
        return NULL;
    tracker->mem = mem;
    if (clock)
        tracker->clock = *clock;
    if (!tracker->clock.wall_ms)
        tracker->clock.wall_ms = system_wall_ms;
    if (!tracker->clock.random)
        tracker->clock.random = system_random;
    kb_map_init(&tracker->by_id, &tracker->mem);
    kb_list_init(&tracker->contexts);
    return tracker;
}

static void context_free(of_tracker *tracker, context *ctx)
{
    kb_list_remove(&ctx->lru);
    kb_map_remove(&tracker->by_id, kc_str(ctx->root.correlation_id));
    for (size_t i = 0; i < ctx->record_count; i++)
        kb_mem_free(&tracker->mem, ctx->records[i].service);
    kb_mem_free(&tracker->mem, ctx->records);
    kb_mem_free(&tracker->mem, ctx->texts);
    kb_mem_free(&tracker->mem, ctx);
}

void of_tracker_free(of_tracker *tracker)
{
    if (!tracker)
        return;
    KB_LIST_FOR (node, &tracker->contexts)
        context_free(tracker, KB_CONTAINER(node, context, lru));
    kb_map_cleanup(&tracker->by_id);
    kb_mem mem = tracker->mem;
    kb_mem_free(&mem, tracker);
}

of_tracker *of_tracker_instance(void)
{
    static of_tracker *instance; // for the life of the process
    if (!instance)
        instance = of_tracker_new(NULL);
    return instance;
}

static context *find(const of_tracker *tracker, kc_bytes id)
{
    return kb_map_get(&tracker->by_id, id);
}

static void touch(of_tracker *tracker, context *ctx)
{
    ctx->used_ms = tracker->clock.wall_ms(tracker->clock.user);
    kb_list_remove(&ctx->lru);
    kb_list_push_back(&tracker->contexts, &ctx->lru);
}

/** Make room: what is past its time goes, and the oldest one at the limit. */
static void evict(of_tracker *tracker)
{
    int64_t now = tracker->clock.wall_ms(tracker->clock.user);
    while (!kb_list_is_empty(&tracker->contexts)) {
        context *oldest = KB_CONTAINER(tracker->contexts.next, context, lru);
        bool is_old = now - oldest->used_ms > OF_CONTEXT_TTL_MS;
        if (!is_old && tracker->by_id.count < OF_CONTEXTS_MAX)
            return;
        tracker->contexts_dropped += is_old ? 0 : 1;
        context_free(tracker, oldest);
    }
}

static void hex(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void new_context_id(of_tracker *tracker, char out[17])
{
    uint64_t id;
    do
        id = tracker->clock.random(tracker->clock.user);
    while (id == 0); // W3C: all zero is invalid
    snprintf(out, 17, "%016llx", (unsigned long long)id);
}

static bool is_hex(kc_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

static bool is_zero(kc_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '0')
            return false;
    return true;
}

bool of_traceparent_parse(kc_bytes text, of_trace *trace)
{
    if (text.len < 55 || text.ptr[2] != '-' || text.ptr[35] != '-' || text.ptr[52] != '-')
        return false;
    kc_bytes version = kc_span(text.ptr, 2), id = kc_span(text.ptr + 3, 32),
             parent = kc_span(text.ptr + 36, 16), flags = kc_span(text.ptr + 53, 2);
    // version 00 has exactly 55 characters; a later one may have more behind a dash
    bool is_v0 = kc_bytes_equal(version, KC_STR("00"));
    if ((is_v0 && text.len != 55) || (!is_v0 && text.len > 55 && text.ptr[55] != '-') ||
        kc_bytes_equal(version, KC_STR("ff")))
        return false;
    if (!is_hex(version) || !is_hex(id) || !is_hex(parent) || !is_hex(flags) || is_zero(id) ||
        is_zero(parent))
        return false;
    memcpy(trace->trace_id, id.ptr, id.len);
    trace->trace_id[id.len] = 0;
    memcpy(trace->parent_id, parent.ptr, parent.len);
    trace->parent_id[parent.len] = 0;
    unsigned value = 0;
    char digits[3] = {(char)flags.ptr[0], (char)flags.ptr[1], 0};
    sscanf(digits, "%2x", &value);
    trace->trace_flags = (uint8_t)value;
    return true;
}

void of_trace_parent(const of_trace *trace, char text_out[56])
{
    snprintf(text_out, 56, "00-%s-%s-%02x", trace->trace_id, trace->context_id, trace->trace_flags);
}

/** The trace id of a correlation id: its own 16 bytes when it is a UUID, else a hash-free random
 * one. */
static void derive_trace_id(of_tracker *tracker, of_trace *trace)
{
    kc_uuid id;
    if (!kb_uuid_parse(kc_str(trace->correlation_id), &id) || kc_uuid_is_zero(id)) {
        for (size_t i = 0; i < sizeof id.bytes; i += 8) {
            uint64_t word = tracker->clock.random(tracker->clock.user) | 1;
            memcpy(id.bytes + i, &word, 8);
        }
    }
    hex(id.bytes, sizeof id.bytes, trace->trace_id);
    trace->trace_flags = TRACE_FLAG_RANDOM; // its last 7 bytes are random (W3C level 2)
}

static kc_bytes overlay(kc_bytes mine, kc_bytes inherited)
{
    return mine.ptr ? mine : inherited;
}

static of_trace_attrs overlay_attrs(const of_trace_attrs *mine, const of_trace_attrs *inherited)
{
    static const of_trace_attrs none;
    if (!mine)
        mine = &none;
    return (of_trace_attrs){
        overlay(mine->organization_id, inherited->organization_id),
        overlay(mine->employee_id, inherited->employee_id),
        overlay(mine->workflow_run_id, inherited->workflow_run_id),
        overlay(mine->node_run_id, inherited->node_run_id),
        overlay(mine->user_id, inherited->user_id),
    };
}

/** Replace the context's attributes by a copy of `attrs`, which may point into the old ones. */
static kc_err keep_attrs(of_tracker *tracker, context *ctx, of_trace_attrs attrs)
{
    kc_bytes *fields[] = {&attrs.organization_id, &attrs.employee_id, &attrs.workflow_run_id,
                          &attrs.node_run_id, &attrs.user_id};
    size_t total = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i]->len > TEXT_MAX)
            fields[i]->len = TEXT_MAX;
        total += fields[i]->len + 1;
    }
    char *texts = kb_mem_alloc(&tracker->mem, total);
    if (!texts)
        return KC_ERR_NOMEM;
    char *pos = texts;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (!fields[i]->ptr)
            continue;
        memcpy(pos, fields[i]->ptr, fields[i]->len);
        fields[i]->ptr = (const uint8_t *)pos;
        pos += fields[i]->len;
    }
    kb_mem_free(&tracker->mem, ctx->texts);
    ctx->texts = texts;
    ctx->attrs = attrs;
    return KC_OK;
}

static kc_err add_context(of_tracker *tracker, const of_trace *root, const of_trace_attrs *attrs,
                          context **ctx_out)
{
    static const of_trace_attrs none;
    evict(tracker);
    context *ctx = kb_mem_zalloc(&tracker->mem, sizeof *ctx);
    if (!ctx)
        return KC_ERR_NOMEM;
    ctx->root = *root;
    kb_list_init(&ctx->lru);
    kc_err err = keep_attrs(tracker, ctx, overlay_attrs(attrs, &none));
    if (err == KC_OK)
        err = kb_map_put(&tracker->by_id, kc_str(ctx->root.correlation_id), ctx);
    if (err != KC_OK) {
        kb_mem_free(&tracker->mem, ctx->texts);
        kb_mem_free(&tracker->mem, ctx);
        return err;
    }
    touch(tracker, ctx);
    *ctx_out = ctx;
    return KC_OK;
}

void of_tracker_new_id(of_tracker *tracker, char text_out[37])
{
    kb_rand rand;
    kb_rand_init(&rand, tracker->clock.random(tracker->clock.user));
    kb_uuid_format(kb_uuid_v7(&rand, tracker->clock.wall_ms(tracker->clock.user)), text_out);
}

kc_err of_tracker_create(of_tracker *tracker, const of_trace_attrs *attrs, of_trace *trace_out)
{
    of_trace trace = {0};
    context *ctx;
    of_tracker_new_id(tracker, trace.correlation_id);
    new_context_id(tracker, trace.context_id);
    derive_trace_id(tracker, &trace);
    kc_err err = add_context(tracker, &trace, attrs, &ctx);
    if (err == KC_OK)
        *trace_out = trace;
    return err;
}

kc_err of_tracker_adopt(of_tracker *tracker, kc_bytes correlation_id, kc_bytes traceparent,
                        const of_trace_attrs *attrs, of_trace *trace_out)
{
    if (correlation_id.len == 0 || correlation_id.len > TEXT_MAX ||
        memchr(correlation_id.ptr, 0, correlation_id.len))
        return KC_ERR_ARGUMENT;
    of_trace trace = {0};
    context *ctx = find(tracker, correlation_id);
    memcpy(trace.correlation_id, correlation_id.ptr, correlation_id.len);
    new_context_id(tracker, trace.context_id);
    bool has_parent = of_traceparent_parse(traceparent, &trace);
    if (!has_parent && ctx) {
        memcpy(trace.trace_id, ctx->root.trace_id, sizeof trace.trace_id);
        memcpy(trace.parent_id, ctx->root.context_id, sizeof trace.parent_id);
        trace.trace_flags = ctx->root.trace_flags;
    } else if (!has_parent) {
        derive_trace_id(tracker, &trace);
    }
    kc_err err = KC_OK;
    if (ctx) {
        touch(tracker, ctx);
        if (attrs)
            err = keep_attrs(tracker, ctx, overlay_attrs(attrs, &ctx->attrs));
    } else {
        err = add_context(tracker, &trace, attrs, &ctx);
    }
    if (err == KC_OK)
        *trace_out = trace;
    return err;
}

kc_err of_tracker_child(of_tracker *tracker, kc_bytes correlation_id, const of_trace_attrs *attrs,
                        of_trace *trace_out)
{
    context *ctx = find(tracker, correlation_id);
    if (!ctx)
        return KC_ERR_NOT_FOUND;
    kc_err err = attrs ? keep_attrs(tracker, ctx, overlay_attrs(attrs, &ctx->attrs)) : KC_OK;
    if (err != KC_OK)
        return err;
    touch(tracker, ctx);
    of_trace child = ctx->root;
    memcpy(child.parent_id, ctx->root.context_id, sizeof child.parent_id);
    new_context_id(tracker, child.context_id);
    *trace_out = child;
    return KC_OK;
}

const char *of_trace_status_name(of_trace_status status)
{
    static const char *const names[] = {"started", "progress", "completed",
                                        "failed",  "retrying", "dead_lettered"};
    return (size_t)status < sizeof names / sizeof names[0] ? names[status] : "unknown";
}

static kc_err add_record(of_tracker *tracker, context *ctx, const char *service,
                         const char *operation, of_trace_status status)
{
    size_t service_len = strnlen(service, TEXT_MAX), operation_len = strnlen(operation, TEXT_MAX);
    if (ctx->record_count == OF_CONTEXT_EVENTS_MAX) {
        tracker->events_dropped++;
        return KC_OK;
    }
    if (ctx->record_count == ctx->record_cap) {
        size_t cap = ctx->record_cap ? 2 * ctx->record_cap : 8;
        trace_record *grown = kb_mem_realloc(&tracker->mem, ctx->records, cap * sizeof *grown);
        if (!grown)
            return KC_ERR_NOMEM;
        ctx->records = grown;
        ctx->record_cap = cap;
    }
    char *texts = kb_mem_zalloc(&tracker->mem, service_len + operation_len + 2);
    if (!texts)
        return KC_ERR_NOMEM;
    memcpy(texts, service, service_len);
    memcpy(texts + service_len + 1, operation, operation_len);
    ctx->records[ctx->record_count++] = (trace_record){
        .wall_ms = tracker->clock.wall_ms(tracker->clock.user),
        .status = status,
        .service = texts,
        .operation = texts + service_len + 1,
    };
    return KC_OK;
}

kc_err of_tracker_record(of_tracker *tracker, kc_bytes correlation_id, const char *service,
                         const char *operation, of_trace_status status)
{
    context *ctx = find(tracker, correlation_id);
    if (!ctx) {
        of_trace trace;
        kc_err err = of_tracker_adopt(tracker, correlation_id, KC_NULL, NULL, &trace);
        if (err != KC_OK)
            return err;
        ctx = find(tracker, correlation_id);
    }
    touch(tracker, ctx);
    return add_record(tracker, ctx, service, operation, status);
}

bool of_tracker_event(const of_tracker *tracker, kc_bytes correlation_id, size_t index,
                      of_trace_event *event_out)
{
    const context *ctx = find(tracker, correlation_id);
    if (!ctx || index >= ctx->record_count)
        return false;
    const trace_record *r = &ctx->records[index];
    *event_out = (of_trace_event){r->wall_ms, r->service, r->operation, r->status};
    return true;
}

bool of_tracker_attrs(const of_tracker *tracker, kc_bytes correlation_id, of_trace_attrs *attrs_out)
{
    const context *ctx = find(tracker, correlation_id);
    if (ctx)
        *attrs_out = ctx->attrs;
    return ctx != NULL;
}

void of_tracker_counts(const of_tracker *tracker, size_t *contexts_out,
                       uint64_t *contexts_dropped_out, uint64_t *events_dropped_out)
{
    *contexts_out = tracker->by_id.count;
    *contexts_dropped_out = tracker->contexts_dropped;
    *events_dropped_out = tracker->events_dropped;
}
