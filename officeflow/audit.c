/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Audit events of the platform itself. They belong to no organisation, so they share one key and
 * stay in order among themselves. */
#include "officeflow/audit.h"

#include "officeflow/catalogue.h"
#include "officeflow/platform_core.h"
#include "officeflow/tracker.h"
#include "protocol/base/error.h"

#define PLATFORM_KEY "officeflow"

kc_err of_audit_write(of_platform *platform, of_outbox *outbox, kc_bytes payload, of_written_fn fn,
                      void *user, kc_error *err)
{
    of_trace trace;
    char id[37], parent[56];
    kc_err result = of_tracker_create(platform->tracker, NULL, &trace);
    if (result != KC_OK)
        return kb_error_code(err, result);
    of_tracker_new_id(platform->tracker, id);
    of_trace_parent(&trace, parent);
    of_event event = {
        .id = kc_str(id),
        .type = KC_STR(OF_AUDIT_TOPIC),
        .version = KC_STR("1.0"),
        .timestamp_ms = kc_client_wall_ms(platform->client),
        .correlation_id = kc_str(trace.correlation_id),
        .source = kc_str(platform->config.client_id),
        .traceparent = kc_str(parent),
        .payload = payload,
        .key = KC_STR(PLATFORM_KEY),
    };
    kb_arena arena;
    kb_arena_init(&arena, &platform->mem, 0);
    of_message message;
    result = of_wire_encode(&event, OF_WIRE_ENVELOPE, false, &arena, &message, err);
    if (result == KC_OK)
        result = of_outbox_write(outbox, KC_STR(OF_AUDIT_TOPIC), KC_PARTITION_ANY, &message, fn,
                                 user, err);
    kb_arena_cleanup(&arena);
    return result;
}
