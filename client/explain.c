/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Why is nothing happening? Every part of the client is asked, from what the application began down to the
 * connections. A part that waits for something explains it beside its own state machine:
 *
 *   producers, consumers, admin operations   kc_handle.explain: producer_explain.c, consumer_explain.c, admin.c
 *   calls, coordinators, the thread          call.c, coordinator.c, thread.c
 *   metadata, tokens, connections            metadata_explain.c, net/oidc.c, net/pool_explain.c
 *
 * A new state gets its sentence there; a new kind of handle gets it by its `explain`. */
#include "client/call.h"
#include "client/coordinator.h"
#include "client/metadata.h"
#include "client/sasl.h"
#include "client/thread.h"
#include "protocol/base/error.h"

kc_err kc_client_explain(kc_client *client, kc_explain_fn fn, void *user)
{
    if (!fn)
        return KC_ERR_ARGUMENT;
    KB_TRY(kc_client_check(client, NULL));
    kb_explain out = {.fn = fn, .user = user, .now_us = kc_client_fresh_us(client)};
    KB_LIST_FOR (node, &client->handles) {
        const kc_handle *handle = KB_CONTAINER(node, kc_handle, node);
        handle->explain(handle, &out);
    }
    kc_thread_explain(client, &out);
    kc_calls_explain(client, &out);
    kc_metadata_explain(client->metadata, &out);
    kc_sasl_explain(client->sasl, &out);
    kc_coordinators_explain(client->coordinators, &out);
    kn_pool_explain(client->pool, &out);
    if (out.lines == 0)
        kb_explain_line(&out, "nothing is pending");
    kn_pool_explain_idle(client->pool, &out);
    return KC_OK;
}
