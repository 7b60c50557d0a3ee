/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Fault rules as text: "api=Fetch,nth=3,error=NOT_LEADER_OR_FOLLOWER". */
#ifndef KM_FAULT_TEXT_H
#define KM_FAULT_TEXT_H

#include "mock/fault.h"

/** What the keys are, a line each, ended by NULL. */
extern const char *const km_fault_help[];

/** KC_ERR_ARGUMENT: the error says which part is wrong, and what it may be. */
KC_NODISCARD kc_err km_fault_parse(kc_bytes text, km_fault *fault_out, kc_error *err);

/** "250ms", "5s", "2m", "1h", up to 24 h; plain numbers are ms where `is_ms` allows it. */
bool km_text_duration(kc_bytes text, bool is_ms, int64_t *us_out);

#endif
