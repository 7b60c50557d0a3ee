/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A dead letter on its way back: the record a redrive writes, by the handler or an operator. */
#ifndef OF_DEAD_REDRIVE_H
#define OF_DEAD_REDRIVE_H

#include "officeflow/dead_letter.h"

#include <kafkac/consumer.h>

/** A received record as a message; headers in the arena, all bytes where the view has them. False:
 * out of memory. */
bool of_message_of_view(const kc_view *view, kb_arena *arena, of_message *message_out);

/** Only a pointer to the source record is left of it (it was too large for its DLQ). */
bool of_dead_letter_is_pointer(const of_dead_letter *letter);
/** Written by this platform; else by a broker (KIP-1191), whose group reads no retry topic. */
bool of_dead_letter_is_ours(const of_dead_letter *letter);
/** Can its quarantine and retry topics be named? Group and topic are text out of headers. */
bool of_dead_letter_has_topics(const of_dead_letter *letter);
/** Is it redriven by an operator only: because of its family's order, or as its policy says? */
bool of_dead_letter_is_strict(const of_dead_letter *letter, const of_policies *policies);
/** The policy in force for it. */
of_policy of_dead_letter_policy(const of_dead_letter *letter, const of_policies *policies);

/** "retry.<group>.now", where its group takes it again. NULL out of memory. */
const char *of_redrive_topic(kb_arena *arena, const of_dead_letter *letter);
/** The letter as its producer sent it, with the headers of redrive number `redrive` (from 1) made
 * by `by`. Bytes of key, value and foreign headers are the letter's. False: out of memory. */
bool of_redrive_message(const of_dead_letter *letter, int32_t redrive, kc_bytes by, kb_arena *arena,
                        of_message *message_out);
/** The same for a topic where everyone reads it: no place in a retry is told. */
bool of_replay_message(const of_dead_letter *letter, int32_t redrive, kc_bytes by, kb_arena *arena,
                       of_message *message_out);
/** The letter as it lies, with the reason for its quarantine; without its history when that is
 * null.
 */
bool of_quarantine_message(const of_dead_letter *letter, kc_bytes reason, kb_arena *arena,
                           of_message *message_out);

#endif
