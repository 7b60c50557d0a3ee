/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The catalogue: every topic of the platform with its partitions and retention, the eight consumer
 * groups, and what each family of events promises (order, key). One list is the source; DLQ and
 * retry topics follow from it. */
#include "officeflow/catalogue.h"

#include "protocol/base/error.h"
#include "protocol/base/text.h"

#define HOUR_MS 3600000LL
#define DAY_MS  (24 * HOUR_MS)
/* Kafka's own default of max.message.bytes; a dead letter may be larger by its headers */
#define MESSAGE_BYTES_MAX  1048588LL
#define DLQ_HEADROOM_BYTES (128 * 1024)

/* name, family, partitions, order, retention, further members */
#define SHARED_TOPICS(X)                                                                           \
    X("workflow.run.request", "workflow", 12, OF_ORDER_STRICT, 7 * DAY_MS, )                       \
    X("workflow.run.pause", "workflow", 12, OF_ORDER_STRICT, 7 * DAY_MS, )                         \
    X("workflow.run.resume", "workflow", 12, OF_ORDER_STRICT, 7 * DAY_MS, )                        \
    X("workflow.run.cancel", "workflow", 12, OF_ORDER_STRICT, 7 * DAY_MS, )                        \
    X("node.execute.request", "node", 12, OF_ORDER_RELAXED, 3 * DAY_MS, )                          \
    X("node.execute.result", "node", 12, OF_ORDER_STRICT, 3 * DAY_MS, )                            \
    X("node.execute.retry", "node", 12, OF_ORDER_RELAXED, 3 * DAY_MS, )                            \
    X("identity.provision.request", "integration", 6, OF_ORDER_RELAXED, 7 * DAY_MS, )              \
    X("identity.provision.result", "integration", 6, OF_ORDER_STRICT, 7 * DAY_MS, )                \
    X("email.send.request", "integration", 6, OF_ORDER_RELAXED, 7 * DAY_MS, )                      \
    X("email.send.result", "integration", 6, OF_ORDER_STRICT, 7 * DAY_MS, )                        \
    X("calendar.schedule.request", "integration", 6, OF_ORDER_RELAXED, 7 * DAY_MS, )               \
    X("calendar.schedule.result", "integration", 6, OF_ORDER_STRICT, 7 * DAY_MS, )                 \
    X("slack.message.request", "integration", 6, OF_ORDER_RELAXED, 7 * DAY_MS,                     \
      .is_seed_gap = true)                                                                         \
    X("slack.message.result", "integration", 6, OF_ORDER_STRICT, 7 * DAY_MS, .is_seed_gap = true)  \
    X("document.generate.request", "integration", 6, OF_ORDER_RELAXED, 7 * DAY_MS,                 \
      .is_seed_gap = true)                                                                         \
    X("document.generate.result", "integration", 6, OF_ORDER_STRICT, 7 * DAY_MS,                   \
      .is_seed_gap = true)                                                                         \
    X("ai.content.request", "integration", 6, OF_ORDER_RELAXED, 7 * DAY_MS, .is_seed_gap = true)   \
    X("ai.content.result", "integration", 6, OF_ORDER_STRICT, 7 * DAY_MS, .is_seed_gap = true)     \
    X(OF_AUDIT_TOPIC, "audit", 6, OF_ORDER_STRICT, 400 * DAY_MS, .segment_ms = DAY_MS,             \
      .compression = "zstd")                                                                       \
    X("metrics.events", "metrics", 3, OF_ORDER_NONE, DAY_MS, .segment_ms = HOUR_MS, .min_insync = 1)

#define LIFECYCLE_TOPICS(X)                                                                        \
    X("employee.onboard.{org}", "lifecycle", 3, OF_ORDER_STRICT, 30 * DAY_MS, .is_template = true, \
      .max_message_bytes = MESSAGE_BYTES_MAX)                                                      \
    X("employee.exit.{org}", "lifecycle", 3, OF_ORDER_STRICT, 30 * DAY_MS, .is_template = true,    \
      .max_message_bytes = MESSAGE_BYTES_MAX)                                                      \
    X("employee.transfer.{org}", "lifecycle", 3, OF_ORDER_STRICT, 30 * DAY_MS,                     \
      .is_template = true, .max_message_bytes = MESSAGE_BYTES_MAX)                                 \
    X("employee.update.{org}", "lifecycle", 3, OF_ORDER_STRICT, 30 * DAY_MS, .is_template = true,  \
      .max_message_bytes = MESSAGE_BYTES_MAX)

#define GROUPS(X)                                                                                  \
    X("workflow-engine")                                                                           \
    X("identity-service")                                                                          \
    X("email-service")                                                                             \
    X("calendar-service")                                                                          \
    X("slack-service") X("document-service") X("ai-service") X("audit-service")

/* an operator needs a dead letter at least twice as long as its source is kept */
#define DLQ_RETENTION_MS(source) ((source)*2 > 30 * DAY_MS ? (source)*2 : 30 * DAY_MS)

#define TOPIC(topic, fam, parts, ord, keep, ...)                                                   \
    {.name = topic,                                                                                \
     .family = fam,                                                                                \
     .partitions = parts,                                                                          \
     .order = ord,                                                                                 \
     .retention_ms = keep,                                                                         \
     __VA_ARGS__},
#define DLQ_FIELDS(topic, parts, keep, org)                                                        \
    .name = OF_DLQ_PREFIX topic, .family = "dlq", .partitions = parts, .order = OF_ORDER_NONE,     \
    .retention_ms = DLQ_RETENTION_MS(keep),                                                        \
    .max_message_bytes = MESSAGE_BYTES_MAX + DLQ_HEADROOM_BYTES, .is_template = org
#define SHARED_DLQ(topic, fam, parts, ord, keep, ...)    {DLQ_FIELDS(topic, 3, keep, false)},
#define LIFECYCLE_DLQ(topic, fam, parts, ord, keep, ...) {DLQ_FIELDS(topic, 1, keep, true)},
/* due = the broker's append time + the tier's delay: no client's clock is in it */
#define RETRY_FIELDS(topic)                                                                        \
    .name = topic, .family = "retry", .partitions = 6, .order = OF_ORDER_NONE,                     \
    .retention_ms = 14 * DAY_MS, .max_message_bytes = MESSAGE_BYTES_MAX + DLQ_HEADROOM_BYTES,      \
    .is_log_append_time = true
#define RETRY_OF(group)                                                                            \
    {RETRY_FIELDS(OF_RETRY_PREFIX group ".1m")}, {RETRY_FIELDS(OF_RETRY_PREFIX group ".15m")},     \
        {RETRY_FIELDS(OF_RETRY_PREFIX group ".now")},

/* clang-format off */
static const of_topic_spec topics[] = {
    SHARED_TOPICS(TOPIC)
    LIFECYCLE_TOPICS(TOPIC)
    SHARED_TOPICS(SHARED_DLQ)
    LIFECYCLE_TOPICS(LIFECYCLE_DLQ)
    GROUPS(RETRY_OF)
    {.name = OF_STATE_TOPIC, .family = "state", .partitions = 6, .order = OF_ORDER_NONE,
     .retention_ms = -1, .is_compacted = true},
    {.name = OF_CONTROL_TOPIC, .family = "control", .partitions = 1, .order = OF_ORDER_NONE,
     .retention_ms = -1, .is_compacted = true},
};
/* clang-format on */
#define TOPIC_COUNT (sizeof topics / sizeof topics[0])

static const of_topic_spec quarantine_spec = {
    .name = OF_QUARANTINE_PREFIX "{topic}",
    .family = "quarantine",
    .partitions = 1,
    .order = OF_ORDER_NONE,
    .retention_ms = 90 * DAY_MS,
    .max_message_bytes = MESSAGE_BYTES_MAX + DLQ_HEADROOM_BYTES,
};

static const of_group_spec groups[OF_GROUP_COUNT] = {
    /* the README names lifecycle and control only; without the results no workflow could go on */
    {"workflow-engine",
     {"employee.**", "workflow.run.*", "*.*.result", "node.execute.retry"},
     "Processes lifecycle events and workflow control messages"},
    {"identity-service", {"identity.provision.request"}, "Handles identity provisioning requests"},
    {"email-service", {"email.send.request"}, "Processes email sending requests"},
    {"calendar-service", {"calendar.schedule.request"}, "Handles calendar scheduling requests"},
    {"slack-service", {"slack.message.request"}, "Processes Slack integration requests"},
    {"document-service", {"document.generate.request"}, "Handles document operations"},
    {"ai-service", {"ai.content.request"}, "Processes AI content generation requests"},
    {"audit-service", {OF_AUDIT_TOPIC}, "Records audit events and compliance data"},
};

/* first match wins */
static const of_family families[] = {
    {.pattern = "employee.*",
     .name = "lifecycle",
     .order = OF_ORDER_STRICT,
     .is_per_org = true,
     .key_pointers = {"/metadata/employeeId", "/payload/employeeId"}},
    {.pattern = "workflow.run.*",
     .name = "workflow",
     .order = OF_ORDER_STRICT,
     .key_pointers = {"/metadata/workflowRunId", "/payload/workflowRunId"}},
    {.pattern = "node.execute.request",
     .name = "node",
     .order = OF_ORDER_RELAXED,
     .key_pointers = {"/metadata/nodeRunId", "/payload/nodeRunId"}},
    /* results of one run meet its state machine in order */
    {.pattern = "node.execute.result",
     .name = "node",
     .order = OF_ORDER_STRICT,
     .key_pointers = {"/metadata/workflowRunId", "/payload/workflowRunId"}},
    {.pattern = "node.execute.retry",
     .name = "node",
     .order = OF_ORDER_RELAXED,
     .key_pointers = {"/metadata/workflowRunId", "/payload/workflowRunId"}},
    {.pattern = OF_AUDIT_TOPIC,
     .name = "audit",
     .order = OF_ORDER_STRICT,
     .key_is_organization = true},
    {.pattern = "metrics.events", .name = "metrics", .order = OF_ORDER_NONE},
    {.pattern = "*.*.request",
     .name = "integration",
     .order = OF_ORDER_RELAXED,
     .key_pointers = {"/metadata/employeeId", "/payload/employeeId"},
     .key_is_correlation = true},
    {.pattern = "*.*.result",
     .name = "integration",
     .order = OF_ORDER_STRICT,
     .key_pointers = {"/metadata/workflowRunId", "/payload/workflowRunId"},
     .key_is_correlation = true},
};

const of_topic_spec *of_catalogue_topic(size_t index)
{
    return index < TOPIC_COUNT ? &topics[index] : NULL;
}

const of_group_spec *of_catalogue_group(size_t index)
{
    return index < OF_GROUP_COUNT ? &groups[index] : NULL;
}

const of_group_spec *of_catalogue_find_group(kc_bytes name)
{
    for (size_t i = 0; i < OF_GROUP_COUNT; i++)
        if (kc_bytes_equal(name, kc_str(groups[i].name)))
            return &groups[i];
    return NULL;
}

const of_family *of_family_of(kc_bytes type)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (of_pattern_match(kc_str(families[i].pattern), type))
            return &families[i];
    return NULL;
}

bool of_type_is_strict(kc_bytes type)
{
    const of_family *family = of_family_of(type);
    return family && family->order == OF_ORDER_STRICT;
}

const char *of_lifecycle_type(size_t index)
{
    static const char *const types[OF_LIFECYCLE_COUNT] = {"employee.onboard", "employee.exit",
                                                          "employee.transfer", "employee.update"};
    return types[index];
}

void of_dlq_spec(const of_topic_spec *source, of_topic_spec *dlq_out)
{
    *dlq_out = (of_topic_spec){DLQ_FIELDS("{topic}", 3, source->retention_ms, false)};
    dlq_out->partitions = source->is_template ? 1 : 3;
}

void of_retry_spec(of_topic_spec *retry_out)
{
    *retry_out = (of_topic_spec){RETRY_FIELDS(OF_RETRY_PREFIX "{group}.{tier}")};
}

kc_err of_org_id_check(kc_bytes org, kc_error *err)
{
    bool is_ok = org.len >= 1 && org.len <= 64 && org.ptr[0] != '-';
    for (size_t i = 0; i < org.len && is_ok; i++) {
        uint8_t c = org.ptr[i];
        is_ok =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    }
    if (is_ok)
        return KC_OK;
    // '.' separates the segments of a topic name, and brokers refuse names that differ in '.' and
    // '_' only
    return kb_error_set(err, KC_ERR_ARGUMENT,
                        "Organisation id \"" KC_FMT
                        "\" must be 1 to 64 letters, digits and '-', not "
                        "beginning with '-' ('.' separates topic segments, '_' collides with it).",
                        KC_ARG(org));
}

/** Does the name follow a template: its part before "{org}", then an organisation id? */
static bool is_of_template(kc_bytes topic, const char *template)
{
    size_t stem = (size_t)(strchr(template, '{') - template);
    if (!kb_text_starts(topic, kc_span(template, stem)))
        return false;
    return of_org_id_check(kc_span(topic.ptr + stem, topic.len - stem), NULL) == KC_OK;
}

bool of_catalogue_find(kc_bytes topic, of_topic_spec *spec_out)
{
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        if (topics[i].is_template ? is_of_template(topic, topics[i].name)
                                  : kc_bytes_equal(topic, kc_str(topics[i].name))) {
            *spec_out = topics[i];
            return true;
        }
    kc_bytes retry = KC_STR(OF_RETRY_PREFIX), quarantine = KC_STR(OF_QUARANTINE_PREFIX),
             dlq = KC_STR(OF_DLQ_PREFIX);
    if (kb_text_starts(topic, retry) && topic.len > retry.len)
        of_retry_spec(spec_out);
    else if (kb_text_starts(topic, quarantine) && topic.len > quarantine.len)
        *spec_out = quarantine_spec;
    else if (kb_text_starts(topic, dlq) && topic.len > dlq.len)
        *spec_out = (of_topic_spec){DLQ_FIELDS("{topic}", 3, 0, false)};
    else
        return false;
    return true;
}
