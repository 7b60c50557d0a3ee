/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The table of APIs, and the choice of a version both sides know. */
#ifndef KP_API_H
#define KP_API_H

#include "protocol/desc.h"

#include <kafkac/error.h>

/** Who answers this API; the client routes by it when the caller does not say. */
typedef enum kp_route {
    KP_ROUTE_ANY,
    KP_ROUTE_CONTROLLER,
    KP_ROUTE_GROUP,       /**< coordinator of the group named in the request            */
    KP_ROUTE_TRANSACTION, /**< coordinator of the transactional id                      */
    KP_ROUTE_SHARE,
    KP_ROUTE_LEADER, /**< leader of the partitions named in the request            */
    KP_ROUTE_BROKER, /**< the caller must name a broker                            */
} kp_route;

/** On which listeners Kafka serves it. */
enum {
    KP_LISTENER_BROKER = 1u << 0,
    KP_LISTENER_CONTROLLER = 1u << 1,
};

typedef struct kp_api {
    int16_t key;
    const char *name; /**< "Fetch" */
    const kp_message *request;
    const kp_message *response;
    kp_route route;
    int16_t stable_max; /**< below request->max when the newest version is unstable */
    uint8_t listeners;  /**< KP_LISTENER_... */
} kp_api;

/** The 89 live APIs by key; NULL: none. */
const kp_api *kp_api_by_key(int16_t key);
/** By name, ignoring case. */
const kp_api *kp_api_by_name(kc_bytes name);
/** Walk in the order of the keys: index 0 .. kp_api_count() - 1. */
const kp_api *kp_api_at(size_t index);
size_t kp_api_count(void);
/** Any message by name and kind: "request", "response", "request-header", "response-header",
 * "data". */
const kp_message *kp_message_by_name(kc_bytes name, kc_bytes kind);

/** What one broker said it serves. */
typedef struct kp_versions {
    struct {
        int16_t min, max; /**< max -1: not served */
    } range[128];         /**< by API key; keys above are not ours */
} kp_versions;

void kp_versions_clear(kp_versions *versions);
/** Highest common version within [min, max] (the caller's own bounds; -1: none). -1: there is none.
 */
int16_t kp_version_choose(const kp_api *api, const kp_versions *versions, int16_t min, int16_t max);

/** Facts about Kafka's error codes (generated). */
typedef struct kp_error_info {
    int16_t code;
    uint32_t flags; /**< KC_ERRF_... */
    const char *name;
} kp_error_info;
/** NULL: a code newer than this table. */
const kp_error_info *kp_error_info_of(int16_t code);

#endif
