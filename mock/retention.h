/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Old records go: retention.bytes and retention.ms. */
#ifndef KM_RETENTION_H
#define KM_RETENTION_H

#include "mock/cluster.h"

/** Delete the oldest segments that are too many or too old; called when something was written. */
void km_partition_retain(km_partition *partition);

#endif
