/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The partitions a verb reads, with where each begins, ends, and has come to. */
#ifndef CLI_PARTITIONS_H
#define CLI_PARTITIONS_H

#include "officeflow/cli/session.h"

typedef struct cli_partition {
    kc_bytes topic; /**< the session's arena */
    int32_t partition;
    int64_t begin, end; /**< of the log; -1: not asked                  */
    int64_t next;       /**< behind the last record taken; -1: none yet */
    bool is_dirty;      /**< next is not committed                      */
    bool is_done;
} cli_partition;

typedef struct cli_partitions {
    cli_session *session;
    cli_partition *items;
    size_t count, cap;
    size_t last; /**< found last */
} cli_partitions;

/** All partitions (or one: `only` >= 0) of these topics, sorted. False: said; a topic that is not there is. */
bool cli_partitions_of(cli_session *session, const kc_bytes *topics, size_t count, int64_t only,
                       cli_partitions *partitions_out);
/** Ask for `end` (KC_OFFSET_END), or `begin`: KC_OFFSET_BEGINNING, or a time: the first offset since then, -1: none. */
bool cli_partitions_ask(cli_partitions *partitions, int64_t what, bool read_committed);
/** Added when it is not there yet; NULL out of memory. */
cli_partition *cli_partitions_find(cli_partitions *partitions, kc_bytes topic, int32_t partition);
void cli_partitions_cleanup(cli_partitions *partitions);

#endif
