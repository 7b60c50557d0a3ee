/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Share sessions: which partitions a member of a share group fetches from one broker. A session ends with its connection,
 * and what the member had acquired through it is available again. */
#ifndef KM_SHARE_SESSION_H
#define KM_SHARE_SESSION_H

#include "mock/request.h"
#include "mock/share_group.h"

/** group.share.max.share.sessions of a broker's defaults. */
#define KM_SHARE_SESSIONS_MAX 2000

/** A partition of a session. */
typedef struct km_share_item {
    kc_uuid topic_id; /**< with the next, the key of the map */
    int32_t index;
    bool is_known; /**< the topic was there when it was added                  */
    bool is_due;   /**< the next answer tells of it, even if it has no records */
} km_share_item;

typedef struct km_share_session {
    kb_list node;
    km_broker *broker;
    kc_bytes group_id; /**< stands behind the struct, as does the next */
    kc_bytes member_id;
    int32_t epoch; /**< what the next request has to tell                */
    kb_map items;  /**< km_share_item, in the order they are fetched     */
} km_share_session;

/** NULL: none. */
km_share_session *km_share_session_find(const km_broker *broker, kc_bytes group_id,
                                        kc_bytes member_id);
/** A new one, in place of an old one of the same member. 0, SHARE_SESSION_LIMIT_REACHED, UNKNOWN_SERVER_ERROR (no memory). */
int16_t km_share_session_open(km_request *request, kc_bytes group_id, kc_bytes member_id,
                              km_share_session **session_out);
/** The epoch a request tells is the one expected: it takes one more. */
int16_t km_share_session_check(km_share_session *session, int32_t epoch);
/** Add a partition, or know it already. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_share_session_add(km_share_session *session, kc_uuid topic_id, int32_t index,
                                         bool is_due);
void km_share_session_forget(km_share_session *session, kc_uuid topic_id, int32_t index);
/** NULL: not in it. */
km_share_item *km_share_session_item(const km_share_session *session, kc_uuid topic_id,
                                     int32_t index);
/** The member is done here: give back what it holds, then the session is gone. */
void km_share_session_close(km_share_session *session);

#endif
