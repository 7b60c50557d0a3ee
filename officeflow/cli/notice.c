/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Words for what a consumer and the DLQ handler tell. */
#include "officeflow/cli/notice.h"

#include "officeflow/cli/output.h"

#include <stdio.h>

const char *cli_next_step(const of_verdict *verdict, char text[64])
{
    char wait[24];
    switch (verdict->stage) {
    case OF_STAGE_IMMEDIATE:
    case OF_STAGE_PARKED:
        snprintf(text, 64, "again in %s", cli_duration(verdict->delay_ms, wait));
        break;
    case OF_STAGE_RETRY:
        snprintf(text, 64, "goes to a delayed topic");
        break;
    case OF_STAGE_DISCARDED:
        snprintf(text, 64, "discarded");
        break;
    default:
        snprintf(text, 64, "becomes a dead letter (%s)", of_class_name(verdict->failure_class));
    }
    return text;
}
