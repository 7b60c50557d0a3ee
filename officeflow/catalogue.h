/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the catalogue knows about an event type: its family, its key, the topic it goes to. */
#ifndef OF_CATALOGUE_H
#define OF_CATALOGUE_H

#include <officeflow/topics.h>

/** A business family, by event type. Static storage. */
typedef struct of_family {
    const char *pattern; /**< of event types, as "employee.*"                           */
    const char *name;
    of_order order;
    bool is_per_org;             /**< its topics are <type>.<org>                               */
    const char *key_pointers[3]; /**< first that exists in the event wins; NULL-terminated      */
    bool key_is_organization;    /**< the key is organizationId                                 */
    bool key_is_correlation;     /**< correlationId where no pointer matched                    */
} of_family;

/** NULL: the catalogue does not know the type. */
const of_family *of_family_of(kc_bytes type);

/** Names with these in front are derived from a topic's. */
#define OF_DLQ_PREFIX        "dlq."
#define OF_QUARANTINE_PREFIX "quarantine."
#define OF_RETRY_PREFIX      "retry."
#define OF_STATE_TOPIC       "officeflow.dlq-state"
#define OF_CONTROL_TOPIC     "officeflow.control"
#define OF_AUDIT_TOPIC       "audit.events"
#define OF_DLQ_GROUP         "officeflow-dlq-handler"
#define OF_GROUP_COUNT       8
#define OF_LIFECYCLE_COUNT   4

/** "employee.onboard" ... by index below OF_LIFECYCLE_COUNT. */
const char *of_lifecycle_type(size_t index);
/** A dead letter topic's spec for a source; the name is the caller's to fill. */
void of_dlq_spec(const of_topic_spec *source, of_topic_spec *dlq_out);
/** The same for a delayed retry topic. */
void of_retry_spec(of_topic_spec *retry_out);

#endif
