/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of a plan: changes with the configuration entries they set. */
#ifndef OF_TOPICS_PLAN_H
#define OF_TOPICS_PLAN_H

#include "officeflow/platform_core.h"
#include "protocol/base/arena.h"

#include <officeflow/topics.h>

#define OF_TOPIC_CONFIGS_MAX 8

typedef struct of_planned {
    of_change change;
    of_topic_spec spec;
    kc_config_entry
        configs[OF_TOPIC_CONFIGS_MAX]; /* CREATE: all wanted; ALTER: those that differ */
    size_t config_count;
    bool is_present;
} of_planned;

struct of_plan {
    kb_mem mem;
    kb_arena arena;
    of_planned *items;
    size_t count;
    int32_t brokers;
    const char *cluster_id;
    bool allow_shrink;
};

/** The plan's line of a topic; NULL: none. */
of_planned *of_plan_find(of_plan *plan, kc_bytes topic);
/** Topics of a plan, in its memory. */
typedef struct of_chosen {
    kc_bytes *names;
    size_t count;
} of_chosen;
KC_NODISCARD kc_err of_plan_choose(of_plan *plan, bool (*is_chosen)(const of_planned *item),
                                   of_chosen *out, kc_error *err);
/** Ask for the configurations of topics (blocking). *result_out, the caller's, is NULL where there are none. */
KC_NODISCARD kc_err of_plan_describe(of_platform *platform, const of_chosen *topics,
                                     int32_t timeout_ms, kc_admin_result **result_out,
                                     kc_error *err);
/** The entry a topic has in place of the wanted one; NULL: it has that, or its brokers do not know such an entry. */
const kc_config_entry *of_config_drift(const kc_config_entry *wanted, const kc_config_entry *have,
                                       size_t count);

/** of_topics_seed_groups(), for the plan's topics alone. */
KC_NODISCARD kc_err of_topics_seed_plan(of_platform *platform, const of_plan *plan,
                                        int32_t timeout_ms, kc_error *err);

#endif
