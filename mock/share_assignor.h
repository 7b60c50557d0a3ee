/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The simple assignor of share groups: each partition is read by as many members as it takes to give all of them
 * something, and what a member has it keeps where that is possible. */
#ifndef KM_SHARE_ASSIGNOR_H
#define KM_SHARE_ASSIGNOR_H

#include "mock/share_group.h"

/** New targets for all members, of the topics they are subscribed to and the group has state for. KC_ERR_NOMEM: the old
 * ones stay. */
KC_NODISCARD kc_err km_share_assign(km_share_group *group);

#endif
