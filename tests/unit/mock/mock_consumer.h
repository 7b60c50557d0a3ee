/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client of a consumer group of KIP-848, for the unit tests of the embedded broker: says what it owns, takes over
 * what it is told. */
#ifndef MOCK_CONSUMER_H
#define MOCK_CONSUMER_H

#include "tests/unit/mock/mock_world.h"

#include <kafkac/unstable/messages.h>

#define MOCK_OWNED_MAX 64

/** A member of the group "g". */
typedef struct member {
    mock_world *world;
    const char *id;
    const char *instance_id;
    kc_bytes topics[4]; /**< subscription; unused ones are null   */
    const char *regex;
    int32_t epoch;
    int16_t error;
    char error_text[256];
    bool has_assignment; /**< the last answer had one             */
    kc_uuid topic_id;    /**< all tests but one have one topic    */
    int32_t owned[MOCK_OWNED_MAX];
    int32_t owned_count;
    int32_t assigned_topics;
} member;

/** `topic` NULL: none. */
member member_of(mock_world *world, const char *id, const char *topic);
/** The answer of the coordinator of "g". */
const kp_consumer_group_heartbeat_resp *member_ask(mock_world *world, int16_t version,
                                                   const kp_consumer_group_heartbeat_req *request);
/** A full request, as a client joins, and as it says after an error. */
void member_join(member *m);
/** The rest; `says_owned`: it tells what it owns. */
void member_beat(member *m, bool says_owned);
void member_leave(member *m, int32_t epoch);
/** Of the group; empty: there is none. */
const char *member_group_state(mock_world *world);
/** Time for a new target. */
void member_pause(mock_world *world);

#endif
