/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a Fetch gets of one partition. */
#ifndef KM_FETCH_READ_H
#define KM_FETCH_READ_H

#include "mock/fetch_session.h"

/** What is left of an answer's size. */
typedef struct km_fetch_room {
    size_t bytes;
    bool is_first_whole; /**< nothing was read yet: the first batch goes in whatever its size */
} km_fetch_room;

/** An error in place of everything. */
void km_fetch_refuse(kp_fetch_resp_partition *out, int16_t error);
/**
 * Read, without the list of aborted transactions, and take it off the room. The records point into the log.
 *
 * @param partition  Is there; whether it may be read here is found out.
 */
void km_fetch_read(const km_request *request, const km_fetch_want *want,
                   const km_partition *partition, km_fetch_room *room,
                   kp_fetch_resp_partition *out);
/** With read_committed: which transactions in what was read were aborted. False: no memory. */
bool km_fetch_put_aborted(km_request *request, const km_fetch_want *want,
                          const km_partition *partition, kp_fetch_resp_partition *out);

/** Has the answer a diverging epoch (KIP-595)? */
bool km_fetch_is_diverging(const kp_fetch_resp_partition *out);

#endif
