/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Everything of the OfficeFlow layer, for programs that want one include. */
#ifndef OFFICEFLOW_OFFICEFLOW_H
#define OFFICEFLOW_OFFICEFLOW_H

#include <officeflow/breaker.h>
#include <officeflow/config.h>
#include <officeflow/consumer.h>
#include <officeflow/dlq.h>
#include <officeflow/event.h>
#include <officeflow/platform.h>
#include <officeflow/policy.h>
#include <officeflow/producer.h>
#include <officeflow/topics.h>
#include <officeflow/trace.h>

#endif
