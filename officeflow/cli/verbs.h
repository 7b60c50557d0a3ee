/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A verb of the program: one row per verb, one file per family. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "officeflow/cli/session.h"

typedef struct cli_verb {
    const char *name;          /**< "kafka produce"                                  */
    const char *arguments;     /**< of the usage line: "TOPIC..."                    */
    const char *summary;       /**< one line                                         */
    const char *help;          /**< what else there is to know; NULL: nothing        */
    const cli_option *options; /**< NULL: none of its own                        */
    size_t words_min, words_max;
    bool takes_command; /**< what follows `--` is a command line                 */
    bool is_offline;    /**< needs no cluster: no connection options             */
    /** Exit code. `session` is initialised and not open yet; NULL when offline. */
    int (*run)(cli_session *session, cli_words words, cli_words command);
} cli_verb;

/* Tables of the families; each ends with a row without name. */
extern const cli_verb cli_produce_verbs[], cli_consume_verbs[], cli_call_verbs[], cli_fuzz_verbs[];
extern const cli_verb cli_setup_verbs[], cli_topics_verbs[], cli_org_verbs[], cli_send_verbs[],
    cli_tail_verbs[];
extern const cli_verb cli_run_verbs[], cli_dlq_verbs[], cli_trace_verbs[], cli_groups_verbs[];
extern const cli_verb cli_policy_verbs[], cli_demo_verbs[], cli_broker_verbs[];
extern const cli_verb cli_codec_verbs[], cli_codec_records_verbs[], cli_codec_show_verbs[],
    cli_codec_explain_verbs[];

#endif
