/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Policies by scope: the built-in default of the family, overlaid by "default", then by the longest
 * matching prefix, then by the type itself. Kept as JSON members, so that an overlay changes only
 * what it names. */
#include "protocol/base/error.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

#include <officeflow/event.h>
#include <officeflow/policy.h>
#include <officeflow/topics.h>

#include <stdio.h>

#define SCOPE_MAX 512

typedef struct scope {
    char *name; /* "default", "email.*", "email.send.request"       */
    char *json; /* members to overlay; NULL: `whole` replaces all   */
    of_policy whole;
} scope;

struct of_policies {
    kb_mem mem;
    scope *scopes;
    size_t count;
};

typedef enum member_type {
    MEMBER_TIME,
    MEMBER_COUNT,
    MEMBER_FACTOR, /* 1 to 100 */
    MEMBER_SHARE,  /* 0 to 1   */
    MEMBER_BOOL,
    MEMBER_TIERS,
    MEMBER_EXHAUSTED,
} member_type;

/** The members a policy has in JSON; names are those of the struct without their unit. */
static const struct member {
    const char *name;
    member_type type;
    size_t offset;
} members[] = {
    {"initial_interval", MEMBER_TIME, offsetof(of_policy, initial_interval_ms)},
    {"backoff_coefficient", MEMBER_FACTOR, offsetof(of_policy, backoff_coefficient)},
    {"maximum_interval", MEMBER_TIME, offsetof(of_policy, maximum_interval_ms)},
    {"jitter", MEMBER_SHARE, offsetof(of_policy, jitter)},
    {"immediate_attempts", MEMBER_COUNT, offsetof(of_policy, immediate_attempts)},
    {"parked_attempts", MEMBER_COUNT, offsetof(of_policy, parked_attempts)},
    {"parked_max", MEMBER_TIME, offsetof(of_policy, parked_max_ms)},
    {"tiers", MEMBER_TIERS, 0},
    {"maximum_attempts", MEMBER_COUNT, offsetof(of_policy, maximum_attempts)},
    {"maximum_age", MEMBER_TIME, offsetof(of_policy, maximum_age_ms)},
    {"on_exhausted", MEMBER_EXHAUSTED, offsetof(of_policy, on_exhausted)},
    {"max_redrives", MEMBER_COUNT, offsetof(of_policy, max_redrives)},
    {"redrive_by_operator_only", MEMBER_BOOL, offsetof(of_policy, redrive_by_operator_only)},
    {"redrive_initial", MEMBER_TIME, offsetof(of_policy, redrive_initial_ms)},
    {"redrive_coefficient", MEMBER_FACTOR, offsetof(of_policy, redrive_coefficient)},
    {"redrive_maximum", MEMBER_TIME, offsetof(of_policy, redrive_maximum_ms)},
    {"redrive_jitter", MEMBER_SHARE, offsetof(of_policy, redrive_jitter)},
    {"redrive_max_age", MEMBER_TIME, offsetof(of_policy, redrive_max_age_ms)},
};
#define MEMBER_COUNT_ALL (sizeof members / sizeof members[0])

of_policies *of_policies_new(void)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    of_policies *policies = kb_mem_zalloc(&mem, sizeof *policies);
    if (policies)
        policies->mem = mem;
    return policies;
}

void of_policies_free(of_policies *policies)
{
    if (!policies)
        return;
    for (size_t i = 0; i < policies->count; i++) {
        kb_mem_free(&policies->mem, policies->scopes[i].name);
        kb_mem_free(&policies->mem, policies->scopes[i].json);
    }
    kb_mem_free(&policies->mem, policies->scopes);
    kb_mem mem = policies->mem;
    kb_mem_free(&mem, policies);
}

/** Strings of a policy are plain words: quotes off, escapes refused. */
static bool plain_string(kc_bytes raw, kc_bytes *out)
{
    if (raw.len < 2 || raw.ptr[0] != '"' || memchr(raw.ptr, '\\', raw.len))
        return false;
    *out = kc_span(raw.ptr + 1, raw.len - 2);
    return true;
}

static bool read_time(kc_bytes raw, int64_t *ms_out)
{
    kc_bytes text;
    if (plain_string(raw, &text))
        return of_duration_parse(text, ms_out);
    return kb_json_i64(raw, ms_out) && *ms_out >= 0;
}

static bool read_tiers(kc_bytes raw, of_policy *policy)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, raw);
    if (kb_json_next(&reader) != KB_JSON_ARRAY)
        return false;
    policy->tier_count = 0;
    kb_json_type type;
    while ((type = kb_json_next(&reader)) == KB_JSON_STRING) {
        of_tier tier = {0};
        kc_bytes name;
        if (policy->tier_count == OF_TIERS_MAX || !plain_string(reader.raw, &name) ||
            name.len >= sizeof tier.name || !of_duration_parse(name, &tier.delay_ms))
            return false;
        // a tier shorter than the one before would be overtaken by it
        if (policy->tier_count > 0 &&
            tier.delay_ms <= policy->tiers[policy->tier_count - 1].delay_ms)
            return false;
        memcpy(tier.name, name.ptr, name.len);
        policy->tiers[policy->tier_count++] = tier;
    }
    return type == KB_JSON_ARRAY_END;
}

static bool read_exhausted(kc_bytes raw, of_exhausted *out)
{
    static const char *const names[] = {"dlq", "block", "discard"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (kb_json_string_is(raw, kc_str(names[i]))) {
            *out = (of_exhausted)i;
            return true;
        }
    return false;
}

static bool read_member(const struct member *member, kc_bytes raw, of_policy *policy)
{
    void *field = (char *)policy + member->offset;
    int64_t number;
    switch (member->type) {
    case MEMBER_TIME:
        return read_time(raw, field);
    case MEMBER_COUNT:
        if (!kb_json_i64(raw, &number) || number < 0 || number > INT32_MAX)
            return false;
        *(int32_t *)field = (int32_t)number;
        return true;
    case MEMBER_FACTOR:
        return kb_json_f64(raw, field) && *(double *)field >= 1.0 && *(double *)field <= 100.0;
    case MEMBER_SHARE:
        return kb_json_f64(raw, field) && *(double *)field >= 0.0 && *(double *)field <= 1.0;
    case MEMBER_BOOL:
        *(bool *)field = kc_bytes_equal(raw, KC_STR("true"));
        return *(bool *)field || kc_bytes_equal(raw, KC_STR("false"));
    case MEMBER_TIERS:
        return read_tiers(raw, policy);
    default:
        return read_exhausted(raw, field);
    }
}

static const struct member *find_member(kc_bytes raw_key)
{
    for (size_t i = 0; i < MEMBER_COUNT_ALL; i++)
        if (kb_json_string_is(raw_key, kc_str(members[i].name)))
            return &members[i];
    return NULL;
}

/** Overlay the members of a JSON object. */
static kc_err overlay(kc_bytes json, const char *scope_name, of_policy *policy, kc_error *err)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, json);
    if (kb_json_next(&reader) != KB_JSON_OBJECT)
        return kb_error_set(err, KC_ERR_CONFIG, "Policy of \"%s\" must be a JSON object.",
                            scope_name);
    while (kb_json_next(&reader) == KB_JSON_KEY) {
        kc_bytes key = reader.raw, value;
        const struct member *member = find_member(key);
        if (!member)
            return kb_error_set(err, KC_ERR_CONFIG, "Policy of \"%s\": unknown member " KC_FMT ".",
                                scope_name, KC_ARG(key));
        if (kb_json_value(&reader, &value) == KB_JSON_ERROR || !read_member(member, value, policy))
            return kb_error_set(
                err, KC_ERR_CONFIG,
                "Policy of \"%s\": %s can't be " KC_FMT
                " (times are ms or \"2s\"; tiers a growing list of up to %d times; jitters 0 to 1, "
                "coefficients 1 to 100).",
                scope_name, member->name, KC_ARG(value), OF_TIERS_MAX);
    }
    return KC_OK;
}

static scope *find_scope(const of_policies *policies, kc_bytes name)
{
    for (size_t i = 0; i < policies->count; i++)
        if (kc_bytes_equal(name, kc_str(policies->scopes[i].name)))
            return &policies->scopes[i];
    return NULL;
}

/** Takes the slot of that name, or a new one. NULL out of memory or at the limit. */
static scope *claim_scope(of_policies *policies, kc_bytes name)
{
    scope *found = find_scope(policies, name);
    if (found) {
        kb_mem_free(&policies->mem, found->json);
        found->json = NULL;
        return found;
    }
    if (policies->count == SCOPE_MAX)
        return NULL;
    scope *grown =
        kb_mem_realloc(&policies->mem, policies->scopes, (policies->count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    policies->scopes = grown;
    scope *added = &grown[policies->count];
    *added = (scope){.name = kb_mem_strndup(&policies->mem, name.ptr, name.len)};
    if (!added->name)
        return NULL;
    policies->count++;
    return added;
}

kc_err of_policies_set(of_policies *policies, const char *type, const of_policy *policy)
{
    scope *s = claim_scope(policies, kc_str(type));
    if (!s)
        return KC_ERR_NOMEM;
    s->whole = *policy;
    return KC_OK;
}

of_policies *of_policies_copy(const of_policies *policies)
{
    of_policies *copy = of_policies_new();
    for (size_t i = 0; copy && i < policies->count; i++) {
        const scope *from = &policies->scopes[i];
        scope *to = claim_scope(copy, kc_str(from->name));
        if (to) {
            to->whole = from->whole;
            to->json =
                from->json ? kb_mem_strndup(&copy->mem, from->json, strlen(from->json)) : NULL;
        }
        if (!to || (from->json && !to->json)) {
            of_policies_free(copy);
            copy = NULL;
        }
    }
    return copy;
}

/** Walk the scopes of a document: only check them, or also keep them. */
static kc_err read_scopes(of_policies *policies, kc_bytes json, bool keeps, kc_error *err)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, json);
    kb_json_type type = kb_json_next(&reader);
    if (type != KB_JSON_OBJECT)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "Policies must be a JSON object of type -> policy%s%s.",
                            reader.reason ? ": " : "", reader.reason ? reader.reason : "");
    while ((type = kb_json_next(&reader)) == KB_JSON_KEY) {
        kc_bytes name, value;
        if (!plain_string(reader.raw, &name) || kb_json_value(&reader, &value) == KB_JSON_ERROR)
            break;
        of_policy probe;
        of_policy_init(&probe, false);
        char shown[OF_TYPE_MAX + 1];
        snprintf(shown, sizeof shown, KC_FMT, KC_ARG(name));
        KB_TRY(overlay(value, shown, &probe, err));
        if (!keeps)
            continue;
        char *copy = kb_mem_strndup(&policies->mem, value.ptr, value.len);
        scope *s = copy ? claim_scope(policies, name) : NULL;
        if (!s) {
            kb_mem_free(&policies->mem, copy);
            return kb_error_code(err, KC_ERR_NOMEM);
        }
        s->json = copy;
    }
    if (type == KB_JSON_OBJECT_END)
        type = kb_json_next(&reader); // nothing behind it
    if (type != KB_JSON_END)
        return kb_error_set(err, KC_ERR_CONFIG, "Policies: %s at byte %zu.",
                            reader.reason ? reader.reason : "a plain name was expected", reader.at);
    return KC_OK;
}

kc_err of_policies_load(of_policies *policies, kc_bytes json, kc_error *err)
{
    KB_TRY(read_scopes(policies, json, false, err)); // all of it holds, or none of it
    return read_scopes(policies, json, true, err);
}

static void apply(const scope *s, of_policy *policy)
{
    if (!s)
        return;
    if (!s->json)
        *policy = s->whole;
    else if (overlay(kc_str(s->json), s->name, policy, NULL) != KC_OK)
        return; // was checked when it was loaded
}

of_policy of_policies_get(const of_policies *policies, kc_bytes type)
{
    of_policy policy;
    of_policy_init(&policy, of_type_is_strict(type));
    apply(find_scope(policies, KC_STR("default")), &policy);
    const scope *prefix = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < policies->count; i++) {
        kc_bytes name = kc_str(policies->scopes[i].name);
        if (name.len < 2 || memcmp(name.ptr + name.len - 2, ".*", 2) != 0)
            continue;
        kc_bytes stem = kc_span(name.ptr, name.len - 1);
        if (stem.len > longest && kb_text_starts(type, stem)) {
            longest = stem.len;
            prefix = &policies->scopes[i];
        }
    }
    apply(prefix, &policy);
    apply(find_scope(policies, type), &policy);
    return policy;
}
