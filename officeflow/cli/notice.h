/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Words for what a consumer and the DLQ handler tell. */
#ifndef CLI_NOTICE_H
#define CLI_NOTICE_H

#include <officeflow/dlq.h>

/** What comes after a failed try: "again in 2s", "becomes a dead letter (permanent)". */
const char *cli_next_step(const of_verdict *verdict, char text[64]);

#endif
