/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Is what a producer sent a batch that may be stored? In the order in which a broker looks. */
#ifndef KM_PRODUCE_BATCH_H
#define KM_PRODUCE_BATCH_H

#include "mock/request.h"

/** The first look, before it is known who leads: exactly one batch, of magic 2. 0 or Kafka's code, which goes with a
 * text where a broker gives one. */
int16_t km_produce_batch_read(km_request *request, kc_bytes records, kp_batch *batch_out,
                              kc_bytes *text_out);

/**
 * The rest: offsets, size, checksum, each record; timestamps become what the topic wants.
 *
 * @param batch  Changed when it has to be rewritten: a copy, in the request's arena.
 * @param out    Gets errors of single records and a message.
 * @return 0 or Kafka's code.
 */
int16_t km_produce_batch_check(km_request *request, const km_partition *partition, kp_batch *batch,
                               kp_produce_resp_partition_response *out);

#endif
