/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A dead letter on the screen. */
#ifndef CLI_DLQ_PRINT_H
#define CLI_DLQ_PRINT_H

#include "officeflow/cli/output.h"

#include <officeflow/dlq.h>

/** Columns of a list of dead letters. */
void cli_dead_table(cli_table *table, kb_arena *arena);
void cli_dead_row(cli_table *table, const of_dead_letter *letter);
void cli_dead_json(const of_dead_letter *letter, bool with_value);
/** Everything about one. */
void cli_dead_show(const of_dead_letter *letter, kb_arena *arena);
cli_style cli_dead_style(of_dead_state state);

#endif
