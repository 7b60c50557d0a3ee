/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The platform handle: one Kafka client, the catalogue, policies, breakers and the correlation
 * tracker, shared by the producers, consumers and handlers opened on it. */
#ifndef OFFICEFLOW_PLATFORM_H
#define OFFICEFLOW_PLATFORM_H

#include <kafkac/client.h>
#include <officeflow/breaker.h>
#include <officeflow/config.h>
#include <officeflow/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Thread: one, the one that dispatches. */
typedef struct of_platform of_platform;

/** @param config   Copied. NULL: file none, environment read.
 *  @param options  Handed to kc_client_new(); may be NULL.
 *  @retval KC_OK, KC_ERR_CONFIG, KC_ERR_NOMEM, KC_ERR_IO. Connects to nothing yet. */
KC_API KC_NODISCARD kc_err of_platform_open(const of_config *config,
                                            const kc_client_options *options,
                                            of_platform **platform_out, kc_error *err);
/** As of_platform_open() on a client of the caller's, which must outlive the platform (tests, other
 * event loops). */
KC_API KC_NODISCARD kc_err of_platform_open_on(kc_client *client, const of_config *config,
                                               of_platform **platform_out, kc_error *err);
/** Closes what is open on it; undelivered sends end with KC_ERR_CLOSED. NULL is allowed. */
KC_API void of_platform_close(of_platform *platform);

/** Its client: fd, dispatch, admin. */
KC_API kc_client *of_platform_client(of_platform *platform);
/** The tracker events are recorded in: of_tracker_instance() unless set. */
KC_API of_tracker *of_platform_tracker(of_platform *platform);
/** Breaker of that name, made at first use with `options` (NULL: defaults); see breaker.h. NULL out
 * of memory. */
KC_API of_breaker *of_platform_breaker(of_platform *platform, const char *name,
                                       const of_breaker_options *options);
/** Walk the breakers: *pos from 0; NULL at the end. */
KC_API of_breaker *of_platform_next_breaker(of_platform *platform, size_t *pos);

#ifdef __cplusplus
}
#endif
#endif
