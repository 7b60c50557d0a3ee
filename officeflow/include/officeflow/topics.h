/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The topic manager: the catalogue of the platform's topics, what the cluster has of it, and making
 * the two agree. */
#ifndef OFFICEFLOW_TOPICS_H
#define OFFICEFLOW_TOPICS_H

#include <officeflow/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum of_order {
    OF_ORDER_STRICT, /**< per key; a send without key is refused */
    OF_ORDER_RELAXED,
    OF_ORDER_NONE,
} of_order;

/** A topic as the catalogue wants it. Organisation topics have "{org}" in their name. */
typedef struct of_topic_spec {
    const char *name;
    const char *family; /**< "lifecycle", "workflow", "node", "integration", "audit", "metrics",
                           "dlq", "quarantine", "retry", "state", "control" */
    int32_t partitions;
    of_order order;
    int64_t retention_ms; /**< -1: not by time (compacted) */
    bool is_compacted;
    bool is_log_append_time;
    int64_t max_message_bytes; /**< 0: the broker's default */
    int64_t segment_ms;        /**< 0: the broker's default */
    int16_t min_insync;        /**< 0: 2 with three replicas, else 1 */
    const char *compression;   /**< NULL: the producer's */
    bool is_seed_gap;          /**< the seed names its group, but no topic for it */
    bool is_template;          /**< per organisation */
} of_topic_spec;
/** Walk the catalogue: index from 0; NULL behind the last. DLQ and retry topics are in it. Static
 * storage. */
KC_API const of_topic_spec *of_catalogue_topic(size_t index);
/** What the catalogue says about a topic by its real name (org topics, dlq., quarantine., retry. of
 * any group too); false: not one of the platform's. `spec_out->name` is then the template's. */
KC_API bool of_catalogue_find(kc_bytes topic, of_topic_spec *spec_out);

/** True for types whose family keeps strict order (employee.*, workflow.run.*, ...); false also
 * when unknown. */
KC_API bool of_type_is_strict(kc_bytes type);

/** One of the eight services. */
typedef struct of_group_spec {
    const char *name;        /**< "workflow-engine" */
    const char *patterns[8]; /**< what it subscribes, NULL-terminated */
    const char *doc;
} of_group_spec;
KC_API const of_group_spec *of_catalogue_group(size_t index);
KC_API const of_group_spec *of_catalogue_find_group(kc_bytes name);

/** KC_OK, or KC_ERR_ARGUMENT with the reason: ^[A-Za-z0-9][A-Za-z0-9-]{0,63}$. */
KC_API KC_NODISCARD kc_err of_org_id_check(kc_bytes org, kc_error *err);

typedef enum of_change_kind {
    OF_CHANGE_OK,
    OF_CHANGE_CREATE,
    OF_CHANGE_ALTER,
    OF_CHANGE_REFUSE, /**< fewer partitions, other replication factor, shorter retention */
} of_change_kind;

/** One line of a plan. */
typedef struct of_change {
    of_change_kind kind;
    const char *topic;
    int32_t partitions;
    int16_t replication_factor;
    const char *detail; /**< "retention.ms 604800000 -> 34560000000", or why it is refused; "" */
    kc_err err;         /**< after apply */
    const char *error;  /**< after apply; NULL: none */
} of_change;

/** The difference between catalogue and cluster. Belongs to the caller. */
typedef struct of_plan of_plan;
/** What a plan covers. */
typedef struct of_plan_options {
    const char *const *orgs; /**< organisations whose topics are wanted */
    size_t org_count;
    bool orgs_only;             /**< leave the catalogue's own topics out  */
    bool allow_shrink;          /**< shorter retention is an alter, not a refusal */
    const of_topic_spec *extra; /**< further topics (tiers of a policy)    */
    size_t extra_count;
} of_plan_options;

/** Compare (blocking: dispatches). `timeout_ms` for all of it. @retval KC_OK, KC_ERR_TIMEOUT,
 * KC_ERR_NOMEM, ... */
KC_API KC_NODISCARD kc_err of_topics_plan(of_platform *platform, const of_plan_options *options,
                                          int32_t timeout_ms, of_plan **plan_out, kc_error *err);
/** Carry out creates and alters, wait until every new partition has a leader and the brokers show
 * the configurations: a plan made right after it is empty. Per-topic failures stand in the changes;
 * the result is the first of them. Running it again completes what is missing. */
KC_API KC_NODISCARD kc_err of_topics_apply(of_platform *platform, of_plan *plan, int32_t timeout_ms,
                                           kc_error *err);
KC_API const of_change *of_plan_change(const of_plan *plan, size_t index);
/** Number of changes of a kind. */
KC_API size_t of_plan_count(const of_plan *plan, of_change_kind kind);
KC_API int32_t of_plan_brokers(const of_plan *plan);
KC_API const char *of_plan_cluster_id(const of_plan *plan);
KC_API void of_plan_free(of_plan *plan);

/** Plan and apply the whole catalogue (the seed's createAllTopics()). */
KC_API KC_NODISCARD kc_err of_topics_create_all(of_platform *platform, int32_t timeout_ms,
                                                kc_error *err);
/** The four lifecycle topics of an organisation and their DLQs; groups of the catalogue without
 * members get the log start of those committed, as of_topics_seed_groups() does; then a note on
 * officeflow.control, so that running consumers look at once. Existing ones are left alone. */
KC_API KC_NODISCARD kc_err of_topics_create_org(of_platform *platform, const char *org,
                                                int32_t timeout_ms, of_plan **plan_out,
                                                kc_error *err);

/** What seeding did for one group. */
typedef struct of_group_seed {
    const char *group;
    int32_t seeded; /**< partitions given a committed offset: the beginning of the log */
    int32_t kept;   /**< partitions that had one                                     */
    bool is_active; /**< has members: left alone                                     */
} of_group_seed;
/** "Set up consumer groups": for each of the eight that is empty, commit the log start where
 * nothing is committed.
 *  @param seeds_out  Room for 8. */
KC_API KC_NODISCARD kc_err of_topics_seed_groups(of_platform *platform, int32_t timeout_ms,
                                                 of_group_seed *seeds_out, size_t *count_out,
                                                 kc_error *err);

/** Pattern language of topics and types: segments by '.', '*' exactly one, '**' as last one or
 * more; a pattern without a reserved first segment never matches dlq. quarantine. retry.
 * officeflow. __ names. */
KC_API bool of_pattern_match(kc_bytes pattern, kc_bytes name);
KC_API KC_NODISCARD kc_err of_pattern_check(kc_bytes pattern, kc_error *err);

#ifdef __cplusplus
}
#endif
#endif
