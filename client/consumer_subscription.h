/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The topics a member of a group wants: a list, or whatever matches. */
#ifndef KC_CONSUMER_SUBSCRIPTION_H
#define KC_CONSUMER_SUBSCRIPTION_H

#include "client/metadata.h"
#include "protocol/base/names.h"

#include <kafkac/consumer.h>

#include <regex.h>

typedef struct kc_subscription {
    bool is_set;
    bool is_by_match;
    kc_topic_match_fn match;
    void *match_user;
    regex_t *regex;            /**< of kc_consumer_subscribe_pattern(); NULL: none */
    kb_names *names;           /**< NULL: none so far                          */
    kc_meta_topic **uses;      /**< of a list: kept in use; as many as `names` */
    uint64_t metadata_version; /**< when it was set */
} kc_subscription;

/** Nothing is wanted any more. */
void kc_subscription_clear(kc_consumer *consumer);
/** The topics are known as far as they can be: a JoinGroup may name them. */
bool kc_subscription_is_ready(const kc_consumer *consumer);
/** Match anew. True: the topics are others than before. */
bool kc_subscription_refresh(kc_consumer *consumer);
bool kc_subscription_has(const kc_consumer *consumer, kc_bytes topic);

#endif
