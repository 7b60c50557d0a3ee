/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The acknowledgements of one request, ShareFetch or ShareAcknowledge: read, checked, done. */
#ifndef KM_SHARE_ACKS_H
#define KM_SHARE_ACKS_H

#include "mock/request.h"
#include "mock/share_group.h"

/** Those of one partition, and what became of them. */
typedef struct km_share_ack_item {
    kc_uuid topic_id; /**< with the next, what they are sorted by */
    int32_t index;
    km_share_ack *acks;
    size_t count;
    bool is_told; /**< the answer says what became of them */
    int16_t error;
    const char *message;
} km_share_ack_item;

typedef struct km_share_acks {
    km_share_ack_item *items; /**< sorted */
    size_t count;
    bool has_any; /**< there is at least one range */
} km_share_acks;

/** Read a request; of the arena. False: no memory. */
bool km_share_acks_of_fetch(km_request *request, const kp_share_fetch_req *asked,
                            km_share_acks *out);
bool km_share_acks_of_acknowledge(km_request *request, const kp_share_acknowledge_req *asked,
                                  km_share_acks *out);

/** Do them; items say how that went. With a forced error each has it, and nothing is done. */
void km_share_acks_apply(km_request *request, kc_bytes group_id, kc_bytes member_id,
                         bool is_renew_ack, km_share_acks *acks);

/** NULL: none of this partition. */
km_share_ack_item *km_share_acks_find(const km_share_acks *acks, kc_uuid topic_id, int32_t index);

/** Is an error one of a partition, not of the whole request? For errors that are forced. */
bool km_share_error_is_of_partition(int16_t error);

#endif
