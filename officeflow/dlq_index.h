/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * All dead letters of a cluster, each once: where its newest record lies and what its state is. */
#ifndef OF_DLQ_INDEX_H
#define OF_DLQ_INDEX_H

#include "officeflow/dead_state.h"
#include "officeflow/scan.h"

#include <officeflow/dlq.h>

/** Most ids an index holds; beyond that the filter must be narrower. */
#define OF_DLQ_INDEX_MAX 500000

typedef struct of_dlq_index of_dlq_index;

/** Read state, DLQ and quarantine topics. Only letters that may pass the filter are kept. */
KC_NODISCARD kc_err of_dlq_index_build(of_platform *platform, const of_dead_filter *filter,
                                       int64_t deadline_us, of_dlq_index **index_out,
                                       kc_error *err);
void of_dlq_index_free(of_dlq_index *index);

/** What is known of a letter beside its record. */
typedef struct of_dlq_known {
    of_dead_state state;
    int32_t redrive; /* n of the state */
} of_dlq_known;
/** False: enough. */
typedef bool (*of_dlq_told_fn)(const of_dead_letter *letter, const of_dlq_known *known, void *user);
/** Read the topics once more and tell each letter that passes the filter, whole. `fn` may dispatch.
 */
KC_NODISCARD kc_err of_dlq_index_tell(of_dlq_index *index, of_dlq_told_fn fn, void *user,
                                      kc_error *err);

#endif
