/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the client knows of the cluster: brokers, controller, and the topics in use with their
 * leaders.
 *
 * One request in flight with merged waiters; only topics in use are asked for; a topic's error
 * never erases good partitions; leader epochs never go back while the topic id stays; a new topic
 * id is a new topic (traps 34, 47-50). */
#ifndef KC_METADATA_H
#define KC_METADATA_H

#include "client/core.h"

typedef struct kc_meta_partition {
    int32_t leader;       /**< -1: none now  */
    int32_t leader_epoch; /**< -1: not known */
} kc_meta_partition;

/** A topic in use. Stays at one address while it is used. */
typedef struct kc_meta_topic {
    kb_list node;
    kc_bytes name;
    kc_uuid id; /**< zero: the broker gives none (below Metadata 10) */
    kc_err err; /**< of the last answer about it; KC_OK: good; KC_ERR_AGAIN: never answered yet.
                   Unless it is retriable (kc_err_flags()) the broker means it; it is asked again at
                   metadata.max.age only */
    int32_t partition_count; /**< 0: not known */
    kc_meta_partition *partitions;
    uint32_t uses;
    uint32_t incarnation;   /**< grows when the topic was made anew under the same name */
    int64_t first_asked_us; /**< since when it is unknown; 0: known */
} kc_meta_topic;

/** Told from a turn after each change that may matter: an answer (once each), a failed request, a
 * hint of a new leader. Whatever is called inside, no listener is lost; one added inside waits for
 * the next time. */
typedef struct kc_meta_listener {
    kb_list node;
    void (*fn)(struct kc_meta_listener *listener);
    void *user;
} kc_meta_listener;

KC_NODISCARD kc_err kc_metadata_new(kc_client *client, kc_metadata **metadata_out);
void kc_metadata_free(kc_metadata *metadata);

/** Begin to use a topic (counted): it is asked for at the next request, which is started soon. */
KC_NODISCARD kc_err kc_metadata_use(kc_metadata *metadata, kc_bytes name,
                                    kc_meta_topic **topic_out);
void kc_metadata_unuse(kc_metadata *metadata, kc_meta_topic *topic);
/** The broker may make this topic when it is not there: producers, and consumers with
 * allow.auto.create.topics. Holds as long as the topic is used; without it asking for a topic never
 * makes it. */
void kc_metadata_allow_create(kc_metadata *metadata, kc_meta_topic *topic);
/** NULL: not in use. */
kc_meta_topic *kc_metadata_find(const kc_metadata *metadata, kc_bytes name);
kc_meta_topic *kc_metadata_find_id(const kc_metadata *metadata, kc_uuid id);

/** While anyone asks for all topics, requests do so, and the names are kept (for patterns).
 * Counted. */
void kc_metadata_use_all(kc_metadata *metadata);
void kc_metadata_unuse_all(kc_metadata *metadata);
/** Names of the last full answer: *pos from 0; null slice at the end. Internal topics are marked.
 */
kc_bytes kc_metadata_next_name(const kc_metadata *metadata, size_t *pos, bool *is_internal_out,
                               int32_t *partition_count_out);

/** Ask anew soon: merged with a request under way that began later, spaced by retry.backoff. `why`
 * for the log. Not needed for topics in use that are unknown or lack a leader: those are asked for
 * until they are settled. */
void kc_metadata_refresh(kc_metadata *metadata, const char *why);
/** Count of answers so far: a waiter that saw n waits for more than n. */
uint64_t kc_metadata_version(const kc_metadata *metadata);

/** A broker's error told who leads now (KIP-951); ignored when the epoch is older. */
void kc_metadata_hint(kc_metadata *metadata, kc_meta_topic *topic, int32_t partition,
                      int32_t leader, int32_t leader_epoch);

void kc_metadata_listen(kc_metadata *metadata, kc_meta_listener *listener);
void kc_metadata_unlisten(kc_meta_listener *listener);

int32_t kc_metadata_controller(const kc_metadata *metadata); /**< -1: not known */
kc_bytes kc_metadata_cluster_id(const kc_metadata *metadata);
/** Last failure of a metadata request since the last success, or while one is under way the last of
 * a connection: the cause to name when a wait ends; code KC_OK: none. */
const kc_error *kc_metadata_error(const kc_metadata *metadata);
/** When a metadata request failed last, loop time. */
int64_t kc_metadata_failed_us(const kc_metadata *metadata);

/** metadata_explain.c: a request under way or failing, and the topics that are not what they should be. */
void kc_metadata_explain(const kc_metadata *metadata, kb_explain *out);

/** True for 1-249 of [A-Za-z0-9._-], not "." or "..". */
bool kc_topic_name_is_valid(kc_bytes name);

#endif
