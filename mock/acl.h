/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * ACLs as stored facts: nothing is refused because of them. */
#ifndef KM_ACL_H
#define KM_ACL_H

#include "mock/cluster.h"

/** Kafka's numbers, as far as they mean something here. */
enum {
    KM_ACL_ANY = 1,              /**< in each of the four enumerations */
    KM_ACL_RESOURCE_CLUSTER = 4, /**< its one name is "kafka-cluster"  */
    KM_ACL_PATTERN_MATCH = 2,
    KM_ACL_PATTERN_LITERAL = 3,
    KM_ACL_PATTERN_PREFIXED = 4,
};

/** An ACL; or a filter, in which a null text and KM_ACL_ANY stand for all. */
typedef struct km_acl {
    int8_t resource_type;
    int8_t pattern_type;
    int8_t operation;
    int8_t permission;
    kc_bytes resource;
    kc_bytes principal;
    kc_bytes host;
} km_acl;

/** Kafka's client would not read others, and its broker closes the connection. */
bool km_acl_is_known(const km_acl *acl);
/** Does a filter have it? */
bool km_acl_matches(const km_acl *filter, const km_acl *acl);

/** Copied; the same again is one. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_acl_add(km_cluster *cluster, const km_acl *acl);
/** Walk: start with *pos = 0. It may be removed on the way. */
const km_acl *km_acl_next(const km_cluster *cluster, size_t *pos);
void km_acl_remove(km_cluster *cluster, const km_acl *acl);

#endif
