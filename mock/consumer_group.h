/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The consumer groups of KIP-848: the coordinator assigns, members follow by heartbeats. */
#ifndef KM_CONSUMER_GROUP_H
#define KM_CONSUMER_GROUP_H

#include "mock/group.h"
#include "mock/request.h"

/**
 * One valid ConsumerGroupHeartbeat.
 *
 * @return 0, Kafka's code with the text in `out`, or KC_ERR_NOMEM; with an error nothing has changed.
 */
KC_NODISCARD kc_err km_consumer_group_heartbeat(km_request *request,
                                                const kp_consumer_group_heartbeat_req *asked,
                                                kp_consumer_group_heartbeat_resp *out);

/** The answer of ConsumerGroupDescribe for a group: GROUP_ID_NOT_FOUND with its text, or KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_consumer_group_describe(km_request *request, kc_bytes group_id,
                                               kp_consumer_group_describe_resp_group *out);

#endif
