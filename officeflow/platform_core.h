/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the platform handle, and the blocking calls its parts share. */
#ifndef OF_PLATFORM_CORE_H
#define OF_PLATFORM_CORE_H

#include "protocol/base/list.h"
#include "protocol/base/map.h"

#include <kafkac/admin.h>
#include <officeflow/platform.h>

struct of_platform {
    kb_mem mem;
    kc_client *client;
    bool owns_client;
    of_config config; /* own copies of what was given */
    of_tracker *tracker;
    kb_map breakers;
    kb_list parts; /* of_part: what is open on the platform */
};

/** Something open on the platform, closed with it at the latest. */
typedef struct of_part {
    kb_list node;
    void (*abandon)(struct of_part *part);
} of_part;

/** Both of_platform_open() and of_platform_open_on(): `client` NULL, make one. With a client, only the
 * memory of `options` counts. */
KC_NODISCARD kc_err of_platform_make(kc_client *client, const of_config *config,
                                     const kc_client_options *options, of_platform **platform_out,
                                     kc_error *err);
const of_policies *of_platform_policies(const of_platform *platform);

/** Wait for an admin call that was started with kc_admin_waiter_fn: `started` is its result. The
 * answer is the caller's; NULL on failure. */
kc_admin_result *of_admin_wait(of_platform *platform, kc_err started, kc_admin_waiter *waiter,
                               kc_error *err);

/** What of_admin_wait() failed with: there may be no reason but that no answer came. */
static inline kc_err of_admin_failed(const kc_error *err)
{
    return err->code != KC_OK ? err->code : KC_ERR_TIMEOUT;
}

/** Options with only a timeout. */
static inline kc_admin_options of_admin_timeout(int32_t timeout_ms)
{
    return (kc_admin_options){.size = sizeof(kc_admin_options), .timeout_ms = timeout_ms};
}

#endif
