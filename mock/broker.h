/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A broker's process ends and begins. */
#ifndef KM_BROKER_H
#define KM_BROKER_H

#include "mock/cluster.h"

/**
 * The process is gone: its connections are cut, its partitions get other leaders.
 * @param loses_unflushed  What was not on the in-sync replicas is gone, as with a power cut.
 */
void km_broker_stop(km_broker *broker, bool loses_unflushed);
/** It is back; what had no leader has one again. */
void km_broker_start(km_broker *broker);
/** Cut its connections only. */
void km_broker_cut(km_broker *broker);

#endif
