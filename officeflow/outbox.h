/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Writing records the platform itself makes: retries, dead letters, quarantine, state. A topic is
 * made sure of before its first record: created as the catalogue says where it is missing, and
 * asked for its partition count. */
#ifndef OF_OUTBOX_H
#define OF_OUTBOX_H

#include "officeflow/wire.h"
#include "protocol/base/list.h"
#include "protocol/base/map.h"

#include <kafkac/admin.h>
#include <kafkac/producer.h>
#include <officeflow/platform.h>

typedef struct of_outbox of_outbox;

/** What became of a write; from dispatch. */
typedef void (*of_written_fn)(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                              void *user);

KC_NODISCARD kc_err of_outbox_new(of_platform *platform, of_outbox **outbox_out, kc_error *err);
/** Writes under way end with KC_ERR_CLOSED (inside). NULL is allowed. */
void of_outbox_free(of_outbox *outbox);

/**
 * Write one record. All bytes are copied.
 *
 * @param partition  KC_PARTITION_ANY: by key; else taken modulo the topic's partition count.
 * @param fn         Called exactly once, from dispatch, if KC_OK was returned.
 * @retval KC_OK, KC_ERR_NOMEM, KC_ERR_ARGUMENT (the name is too long), KC_ERR_CLOSED, and what
 * kc_producer_send() gives when the topic is known already.
 */
KC_NODISCARD kc_err of_outbox_write(of_outbox *outbox, kc_bytes topic, int32_t partition,
                                    const of_message *message, of_written_fn fn, void *user,
                                    kc_error *err);

/** Learned with the first topic; empty before. */
const char *of_outbox_cluster_id(const of_outbox *outbox);
/** Learn the cluster id without writing; fn is called as for a write. */
KC_NODISCARD kc_err of_outbox_prepare(of_outbox *outbox, of_written_fn fn, void *user,
                                      kc_error *err);

#endif
