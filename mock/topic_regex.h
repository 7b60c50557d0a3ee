/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Regular expressions for names of topics, in the syntax of RE2, which Kafka uses: a pattern has no back references,
 * and to match one takes time in proportion to pattern and name, whoever wrote it.
 *
 * What is left out, as names of topics have only letters, digits, '.', '_' and '-': Unicode classes (\p{..}), octal
 * escapes, and flags other than i. \p{..} and octal escapes are refused; flags that make no difference are taken. */
#ifndef KM_TOPIC_REGEX_H
#define KM_TOPIC_REGEX_H

#include "protocol/base/mem.h"

/** Longest pattern, deepest nesting of groups, and most steps it may be compiled to. */
#define KM_REGEX_BYTES_MAX 4096
#define KM_REGEX_DEPTH_MAX 100
#define KM_REGEX_STEPS_MAX 8192
/** As RE2: {1001} is invalid. */
#define KM_REGEX_REPEAT_MAX 1000

typedef struct km_regex km_regex;

/**
 * @param reason_out  What is wrong with the pattern, as RE2 puts it.
 * @return KC_ERR_ARGUMENT: not a valid pattern; KC_ERR_NOMEM.
 */
KC_NODISCARD kc_err km_regex_new(kb_mem *mem, kc_bytes pattern, km_regex **regex_out,
                                 const char **reason_out);
/** NULL is allowed. */
void km_regex_free(km_regex *regex);
/** Does it match the whole name? */
bool km_regex_matches(km_regex *regex, kc_bytes name);

#endif
