/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Incremental fetch sessions (KIP-227): what a consumer reads is remembered between its requests, by the broker it
 * asks. A broker that stops forgets them. */
#ifndef KM_FETCH_SESSION_H
#define KM_FETCH_SESSION_H

#include "mock/request.h"

/** max.incremental.fetch.session.cache.slots; a session that was not used for so long makes room. */
#define KM_FETCH_SESSIONS_MAX 1000
#define KM_FETCH_SESSION_MS   120000

/** What a consumer wants of one partition. */
typedef struct km_fetch_want {
    kc_bytes key;  /**< km_fetch_key()                                            */
    kc_bytes name; /**< null: named by an id that was not known when it was asked */
    kc_uuid topic_id;
    int32_t partition;
    int32_t bytes_max;
    int64_t offset;
    int32_t leader_epoch;       /**< -1: not told */
    int32_t last_fetched_epoch; /**< -1: not told */
} km_fetch_want;

/** One partition of a session. */
typedef struct km_fetch_part {
    kb_list node;           /**< in the session's order                   */
    km_fetch_want want;     /**< key and name stand behind the struct      */
    int64_t high_watermark; /**< as told last; -1: to be told again */
    int64_t log_start_offset;
} km_fetch_part;

typedef struct km_fetch_session {
    kb_list node; /**< in its broker's sessions, used last at the end */
    kb_mem *mem;
    int *count; /**< of its broker's sessions */
    int32_t id;
    int32_t epoch; /**< expected in the next request */
    bool uses_ids;
    int64_t created_us;
    int64_t used_us;
    kb_map parts;  /**< km_fetch_part by key */
    kb_list order; /**< those that had records go to the end, so that each has its turn */
} km_fetch_session;

/** Topic and partition as bytes, in the arena; null: no memory. */
kc_bytes km_fetch_key(kb_arena *arena, kc_bytes name, const kc_uuid *topic_id, int32_t partition);

/** NULL: none. */
km_fetch_session *km_fetch_session_find(km_broker *broker, int32_t id);
/** With the id of a new one, for `size` partitions; NULL: no room, or no memory. */
km_fetch_session *km_fetch_session_new(km_broker *broker, size_t size, bool uses_ids);
/** NULL is allowed. */
void km_fetch_session_free(km_fetch_session *session);
/** It was used now. */
void km_fetch_session_touch(km_broker *broker, km_fetch_session *session);
/** The epoch behind this one: never 0 or below. */
int32_t km_fetch_session_next_epoch(int32_t epoch);

km_fetch_part *km_fetch_session_get(const km_fetch_session *session, kc_bytes key);
/** Add or change. NULL: no memory. */
km_fetch_part *km_fetch_session_put(km_fetch_session *session, const km_fetch_want *want);
void km_fetch_session_forget(km_fetch_session *session, kc_bytes key);

#endif
