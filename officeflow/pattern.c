/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The pattern language of topics and types, one segment at a time; no regular expression is
 * involved, so the dots of a pattern are dots and matching is linear. */
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <officeflow/topics.h>

static bool is_reserved(kc_bytes segment)
{
    static const char *const reserved[] = {"dlq", "quarantine", "retry", "officeflow"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (kc_bytes_equal(segment, kc_str(reserved[i])))
            return true;
    return kb_text_starts(segment, KC_STR("__"));
}

static bool has_empty_segment(kc_bytes rest)
{
    kc_bytes segment;
    while (kb_text_split(&rest, '.', &segment))
        if (segment.len == 0)
            return true;
    return false;
}

bool of_pattern_match(kc_bytes pattern, kc_bytes name)
{
    kc_bytes pattern_rest = pattern, name_rest = name, want, have;
    for (bool is_first = true;; is_first = false) {
        if (!kb_text_split(&pattern_rest, '.', &want))
            return name_rest.ptr == NULL;
        if (!kb_text_split(&name_rest, '.', &have) || have.len == 0)
            return false;
        // "**" and "*" in front would otherwise reach the platform's own topics: a consumer must
        // never eat its DLQ
        if (is_first && is_reserved(have) && !kc_bytes_equal(want, have))
            return false;
        if (kc_bytes_equal(want, KC_STR("**")) && pattern_rest.ptr == NULL)
            return !has_empty_segment(name_rest);
        if (!kc_bytes_equal(want, KC_STR("*")) && !kc_bytes_equal(want, have))
            return false;
    }
}

kc_err of_pattern_check(kc_bytes pattern, kc_error *err)
{
    kc_bytes rest = pattern, segment;
    if (pattern.len == 0 || pattern.len > KC_TOPIC_NAME_MAX)
        return kb_error_set(err, KC_ERR_ARGUMENT, "A pattern has 1 to %d characters.",
                            KC_TOPIC_NAME_MAX);
    while (kb_text_split(&rest, '.', &segment)) {
        bool is_wild = kc_bytes_equal(segment, KC_STR("*"));
        bool is_deep = kc_bytes_equal(segment, KC_STR("**"));
        if (is_deep && rest.ptr != NULL)
            return kb_error_set(err, KC_ERR_ARGUMENT,
                                "Pattern \"" KC_FMT "\": \"**\" may only be the last segment.",
                                KC_ARG(pattern));
        if (segment.len == 0)
            return kb_error_set(err, KC_ERR_ARGUMENT,
                                "Pattern \"" KC_FMT "\" has an empty segment.", KC_ARG(pattern));
        for (size_t i = 0; i < segment.len && !is_wild && !is_deep; i++) {
            uint8_t c = segment.ptr[i];
            bool is_name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_';
            if (!is_name)
                return kb_error_set(err, KC_ERR_ARGUMENT,
                                    "Pattern \"" KC_FMT
                                    "\": a segment is \"*\", \"**\" or letters, "
                                    "digits, '-' and '_'.",
                                    KC_ARG(pattern));
        }
    }
    return KC_OK;
}
