/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Command lines as tables: options with their targets, parsed and printed as help from the same
 * rows. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <kafkac/types.h>

/** Most values of an option that may be given several times. */
#define CLI_LIST_MAX 64

typedef enum cli_kind {
    CLI_FLAG,   /**< bool: no value                                         */
    CLI_TEXT,   /**< const char *                                           */
    CLI_CHOICE, /**< const char *: one of the words of `value`, "a|b|c"     */
    CLI_INT,    /**< int64_t within min and max                             */
    CLI_LIST,   /**< cli_list: may be given several times                   */
} cli_kind;

typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t count;
} cli_list;

/** One option. A table ends with a row without name. */
typedef struct cli_option { // NOLINT(clang-analyzer-optin.performance.Padding): in reading order
    char letter;            /**< 0: none                                    */
    const char *name;       /**< "group" of --group                         */
    cli_kind kind;
    void *to;          /**< where the value goes, by kind              */
    const char *value; /**< what the help calls it; NULL for a flag    */
    const char *help;
    int64_t min, max; /**< of CLI_INT                                 */
} cli_option;

/** What stands on a command line besides options. */
typedef struct cli_words {
    const char *const *items;
    size_t count;
} cli_words;

/**
 * Read `argv` by the tables (NULL-terminated list of them). Options and words may be mixed; `--` ends the options. What
 * is no option is moved to the front of argv, in order.
 *
 * @param stop_at_dashes  What follows `--` goes to `command` and not to `words`.
 * @return false: said on standard error.
 */
bool cli_parse(const char *verb, const cli_option *const *tables, int argc, char **argv,
               bool stop_at_dashes, cli_words *words, cli_words *command);

/** The rows of one table, as help. */
void cli_options_print(const cli_option *table);

#endif
