/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A topic plan, printed and carried out; the organisations a cluster has. */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "officeflow/cli/session.h"

/** What was done, of several plans together. */
typedef struct cli_plan_sums {
    size_t created, altered, refused, failed;
} cli_plan_sums;

/** A line for every change but OK ones (those too with `all`), as text or JSON lines. */
void cli_plan_print(const of_plan *plan, bool as_json, bool all);
/** Carry the plan out, count into `sums`, say what failed. False: something failed. */
bool cli_plan_apply(cli_session *session, of_plan *plan, cli_plan_sums *sums);
/** Count a plan that was carried out elsewhere. */
void cli_plan_count(const of_plan *plan, cli_plan_sums *sums);
/** "12 x 3   retention 7d   isr 2" of a topic by its name. */
const char *cli_topic_shape(const char *topic, int32_t partitions, int16_t replicas, char *out,
                            size_t cap);

/** Organisations that have a lifecycle topic, in the session's arena; NULL: failed, said. */
const char *const *cli_find_orgs(cli_session *session, size_t *count_out);
/** The organisation a topic belongs to; null slice: none. */
kc_bytes cli_org_of(kc_bytes topic);
/** Metadata of all topics; the caller frees it. NULL: failed, said. */
kc_admin_result *cli_describe_cluster(cli_session *session);

#endif
