/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The configs of one resource as they would be after a change, to be checked before it is made. */
#ifndef KM_CONFIG_DRAFT_H
#define KM_CONFIG_DRAFT_H

#include "mock/config_table.h"
#include "mock/topic.h"

/** Lives in an arena. */
typedef struct km_config_draft {
    kb_arena *arena;
    km_config *items; /**< in the order of their first mention; a null value: taken out */
    size_t count;
    size_t cap;
    uint32_t *slots; /**< by hash of the name: the item's number, from 1 */
    size_t mask;
} km_config_draft;

/** As `configs` says now (NULL: nothing is set), with room for `more`. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_config_draft_init(km_config_draft *draft, kb_arena *arena,
                                         const kb_map *configs, size_t more);
/** Null: not set. */
kc_bytes km_config_draft_get(const km_config_draft *draft, kc_bytes name);
/** Set, or take out with a null value. */
void km_config_draft_set(km_config_draft *draft, kc_bytes name, kc_bytes value);
/** What Kafka's controller says of it: 0, or a code and a sentence (null: no memory). A broker's were checked by the
 * broker already. */
int16_t km_config_draft_check(const km_config_draft *draft, int8_t resource_type,
                              kc_bytes *why_out);
/** `configs` becomes what the draft says. KC_ERR_NOMEM: it is as before. */
KC_NODISCARD kc_err km_config_draft_apply(const km_config_draft *draft, kb_map *configs,
                                          kb_mem *mem);

#endif
