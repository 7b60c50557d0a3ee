/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Client quotas as stored facts: nobody is slowed down by them. */
#ifndef KM_QUOTA_H
#define KM_QUOTA_H

#include "mock/cluster.h"

/** In the order Kafka tells them. */
typedef enum km_quota_type {
    KM_QUOTA_CLIENT_ID,
    KM_QUOTA_USER,
    KM_QUOTA_IP,
    KM_QUOTA_TYPES,
} km_quota_type;

typedef enum km_quota_key {
    KM_QUOTA_PRODUCER_BYTE_RATE,
    KM_QUOTA_CONSUMER_BYTE_RATE,
    KM_QUOTA_REQUEST_PERCENTAGE,
    KM_QUOTA_CONTROLLER_MUTATION_RATE,
    KM_QUOTA_CONNECTION_CREATION_RATE, /**< of an ip, and its only one */
    KM_QUOTA_KEYS,
} km_quota_key;

/** Whom a quota is for. */
typedef struct km_quota_entity {
    struct {
        bool is_there;
        kc_bytes name; /**< null: the default of those without a quota of their own */
    } parts[KM_QUOTA_TYPES];
} km_quota_entity;

typedef struct km_quota {
    km_quota_entity entity; /**< names stand behind the struct */
    kc_bytes key;           /**< for the map                   */
    bool is_set[KM_QUOTA_KEYS];
    double values[KM_QUOTA_KEYS];
} km_quota;

const char *km_quota_type_name(km_quota_type type);
bool km_quota_type_find(kc_bytes name, km_quota_type *type_out);
const char *km_quota_key_name(km_quota_key key);
bool km_quota_key_find(kc_bytes name, km_quota_key *key_out);
bool km_quota_entity_is_same(const km_quota_entity *a, const km_quota_entity *b);

/** Find or make; NULL: no memory. Without a value it is to be given back by km_quota_tidy(). */
km_quota *km_quota_open(km_cluster *cluster, const km_quota_entity *entity);
/** Forget it when no value is set. */
void km_quota_tidy(km_cluster *cluster, km_quota *quota);
/** Walk: start with *pos = 0. */
const km_quota *km_quota_next(const km_cluster *cluster, size_t *pos);

#endif
