/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which broker a request goes to, found in the request itself by its table. */
#ifndef KC_CALL_ROUTE_H
#define KC_CALL_ROUTE_H

#include "client/coordinator.h"
#include "client/metadata.h"

/** A topic in use is waited for so long when it is not there (a new one needs time to be known
 * everywhere); then the answer is UNKNOWN_TOPIC_OR_PARTITION. */
#define KC_UNKNOWN_TOPIC_WAIT_US 5000000

typedef enum kc_route_state {
    KC_ROUTE_READY,       /**< broker_id is known                             */
    KC_ROUTE_METADATA,    /**< ask again after the next answer to Metadata    */
    KC_ROUTE_COORDINATOR, /**< look up `type` and `key`                       */
    KC_ROUTE_FAILED,
} kc_route_state;

/** Zero-filled plus api, request and to is ready for kc_route_init(). */
typedef struct kc_route {
    const kp_api *api;
    const void *request;
    int32_t to;

    int32_t broker_id;
    kc_coordinator_type type;
    kc_bytes key;
    kc_meta_topic **topics; /**< in use, for the leaders of their partitions */
    size_t topic_count;
    uint64_t asked_version; /**< of the metadata when an unknown broker was first asked for */
    bool is_asked;
} kc_route;

/** Begin to use the topics whose leaders are needed. KC_ERR_ARGUMENT: the request can't be routed.
 */
KC_NODISCARD kc_err kc_route_init(kc_route *route, kc_client *client, kb_arena *arena,
                                  kc_error *err);
void kc_route_cleanup(kc_route *route, kc_client *client);
/** Where does it go now? Asks for metadata where that is what is missing. */
kc_route_state kc_route_find(kc_route *route, kc_client *client, kc_error *err);
/** The answer, or the lack of one, says the route was wrong: don't take it again unseen. */
void kc_route_failed(kc_route *route, kc_client *client, kc_err code);

/** Leader of one partition. KC_ROUTE_READY: *leader_out; KC_ROUTE_METADATA: not known now, metadata
 * is on it; KC_ROUTE_FAILED: no such partition, or not authorized. */
kc_route_state kc_route_leader(const kc_client *client, const kc_meta_topic *topic,
                               int32_t partition, int32_t *leader_out, kc_error *err);

/** Narrow a range of versions to those that name topics the way the request does: by name, or by id
 * (trap 33). */
void kc_route_versions(const kp_message *message, const void *request, int16_t *min, int16_t *max);

/** Field of a struct by its schema name; NULL: none. */
const kp_field_desc *kc_field_of(const kp_struct_desc *desc, const char *name);

#endif
