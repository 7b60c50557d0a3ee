/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Everything of the client, for programs that want one include. */
#ifndef KAFKAC_KAFKAC_H
#define KAFKAC_KAFKAC_H

#include <kafkac/admin.h>
#include <kafkac/client.h>
#include <kafkac/config.h>
#include <kafkac/consumer.h>
#include <kafkac/error.h>
#include <kafkac/producer.h>
#include <kafkac/record.h>
#include <kafkac/types.h>

#endif
