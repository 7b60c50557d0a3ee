/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow demo. */
#include "officeflow/cli/verbs.h"

const cli_verb cli_demo_verbs[] = {
    {.name = NULL},
};
