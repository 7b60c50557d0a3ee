/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Records of officeflow.dlq-state: key = dead letter id, value = a small JSON object.
 *
 * States are ordered by (redrive n, rank), so that of two writers the one that knows more wins
 * whatever the order they write in. n counts releases: a letter dies with n = 0; scheduled(n),
 * quarantined(n), discarded(n) and redriven(n) are about the letter that died after n releases;
 * redriven(n) says that release n + 1 was made, and its outcome is resolved(n + 1) or dead(n + 1).
 *
 *   dead(n) < scheduled(n) < quarantined(n) < discarded(n) < redriven(n) < resolved(n) < dead(n +
 * 1)
 *
 * and purged above all of them. Only a release leads out of quarantine, and only an operator makes
 * one there. resolved(n) beside dead(n): a release that was delivered twice, and handled once. */
#ifndef OF_DEAD_STATE_H
#define OF_DEAD_STATE_H

#include "officeflow/outbox.h"

#include <officeflow/dlq.h>

typedef struct of_state_record {
    char id[17];
    of_dead_state state;
    int32_t redrive;         /* n */
    int64_t due_ms;          /* of SCHEDULED; 0: none */
    int64_t wall_ms;         /* of the act it tells of; the record may be written later */
    kc_bytes by;             /* "auto", a group, an operator; null: not told */
    kc_bytes correlation_id; /* null: not known */
} of_state_record;

/** True when `next` stands above `now`. */
bool of_state_is_above(of_dead_state next, int32_t next_redrive, of_dead_state now,
                       int32_t now_redrive);
/** Write one. As of_outbox_write(). */
KC_NODISCARD kc_err of_state_write(of_outbox *outbox, const of_state_record *record,
                                   of_written_fn fn, void *user, kc_error *err);
/** Read a record of the topic; slices point into value or arena. False: not one (a tombstone, or
 * foreign). */
bool of_state_read(kc_bytes key, kc_bytes value, kb_arena *arena, of_state_record *record_out);

#endif
