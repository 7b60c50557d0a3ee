/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The program `officeflow`: finds the verb, reads its command line, prints help, runs it. */
#include "officeflow/cli/verbs.h"
#include "protocol/base/text.h"

#include <stdio.h>

static const cli_verb *const families[] = {
    cli_setup_verbs,      cli_topics_verbs,        cli_org_verbs,     cli_send_verbs,
    cli_tail_verbs,       cli_run_verbs,           cli_dlq_verbs,     cli_trace_verbs,
    cli_groups_verbs,     cli_policy_verbs,        cli_produce_verbs, cli_consume_verbs,
    cli_call_verbs,       cli_demo_verbs,          cli_codec_verbs,   cli_codec_records_verbs,
    cli_codec_show_verbs, cli_codec_explain_verbs, cli_fuzz_verbs,    cli_broker_verbs,
};
#define FAMILY_COUNT (sizeof families / sizeof families[0])

static const cli_option help_options[] = {
    {'h', "help", CLI_FLAG, NULL, NULL, "this text", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};
static const cli_option no_options[] = {{0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};

/** How many words of the command line name this verb; 0: another one. */
static int matches(const char *name, int argc, char **argv)
{
    int words = 0;
    kc_bytes rest = kc_str(name), word;
    while (kb_text_split(&rest, ' ', &word)) {
        if (words == argc || !kc_bytes_equal(word, kc_str(argv[words])))
            return 0;
        words++;
    }
    return words;
}

static const cli_verb *find_verb(int argc, char **argv, int *words_out)
{
    const cli_verb *found = NULL;
    *words_out = 0;
    for (size_t f = 0; f < FAMILY_COUNT; f++)
        for (const cli_verb *verb = families[f]; verb->name; verb++) {
            int words = matches(verb->name, argc, argv);
            if (words > *words_out) {
                found = verb;
                *words_out = words;
            }
        }
    return found;
}

/** Verbs whose first word is `group`; NULL: all. Returns how many. */
static int print_verbs(const char *group)
{
    int count = 0;
    for (size_t f = 0; f < FAMILY_COUNT; f++)
        for (const cli_verb *verb = families[f]; verb->name; verb++) {
            size_t len = group ? strlen(group) : 0;
            if (group && (strncmp(verb->name, group, len) != 0 ||
                          (verb->name[len] != ' ' && verb->name[len] != 0)))
                continue;
            cli_printf("  %-18s %s\n", verb->name, verb->summary);
            count++;
        }
    return count;
}

static void print_overview(void)
{
    cli_printf("usage: officeflow VERB ...\n\n"
               "Events of the OfficeFlow platform on Apache Kafka.\n\n");
    print_verbs(NULL);
    cli_printf(
        "\n"
        "officeflow VERB --help tells more; officeflow --version the release.\n"
        "Brokers: -b LIST, else -X bootstrap.servers=LIST, else $KAFKA_BROKERS, else "
        "localhost:9092.\n"
        "kill -USR1 asks a verb that waits what it waits for.\n"
        "Exit codes: 0 ok, 1 error, 2 there is something (drift, dead letters), 3 partial.\n");
}

static void print_verb(const cli_verb *verb)
{
    cli_printf("usage: officeflow %s [options]%s%s\n\n%s.\n", verb->name,
               *verb->arguments ? " " : "", verb->arguments, verb->summary);
    if (verb->help)
        cli_printf("\n%s\n", verb->help);
    cli_printf("\noptions:\n");
    if (verb->options)
        cli_options_print(verb->options);
    cli_options_print(help_options);
    if (!verb->is_offline) {
        cli_printf("\nconnection:\n");
        cli_options_print(cli_session_options);
        cli_printf("\nkill -USR1 makes it say on standard error what it waits for, and go on.\n");
    }
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static bool has_right_words(const cli_verb *verb, cli_words words, cli_words command)
{
    if (words.count > verb->words_max)
        return cli_complain("%s: \"%s\" is too much; usage: officeflow %s [options] %s", verb->name,
                            words.items[verb->words_max], verb->name, verb->arguments);
    if (words.count < verb->words_min || (verb->takes_command && command.count == 0))
        return cli_complain("usage: officeflow %s [options] %s", verb->name, verb->arguments);
    return true;
}

static int run_verb(const cli_verb *verb, int argc, char **argv)
{
    const cli_option *tables[] = {verb->options ? verb->options : no_options,
                                  verb->is_offline ? NULL : cli_session_options, NULL};
    cli_words words, command;
    if (!cli_parse(verb->name, tables, argc, argv, verb->takes_command, &words, &command) ||
        !has_right_words(verb, words, command))
        return CLI_ERROR;
    if (verb->is_offline)
        return verb->run(NULL, words, command);
    cli_session session;
    int code = cli_session_init(&session) ? verb->run(&session, words, command) : CLI_ERROR;
    cli_progress_end();
    cli_session_cleanup(&session);
    return code;
}

/** Write words behind each other, as many as have room. */
static void join(char *line, size_t cap, char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        size_t len = strlen(line);
        snprintf(line + len, cap - len, " %s", words[i]);
    }
}

/** Options stand first: show the line as it is meant, where a verb is behind them. */
static void complain_order(int argc, char **argv)
{
    char line[512] = "";
    for (int at = 1; at < argc; at++) {
        int words;
        if (!find_verb(argc - at, argv + at, &words))
            continue;
        join(line, sizeof line, argv + at, words);
        join(line, sizeof line, argv, at);
        join(line, sizeof line, argv + at + words, argc - at - words);
        cli_complain("options go behind the verb: officeflow%s", line);
        return;
    }
    cli_complain("options go behind the verb: officeflow VERB %s; see officeflow --help", argv[0]);
}

/** No verb of that name: help of a group of verbs, or a complaint. */
static int run_group(int argc, char **argv)
{
    if (argc == 0 || strcmp(argv[0], "help") == 0) {
        print_overview();
        return CLI_OK;
    }
    if (argv[0][0] == '-') {
        complain_order(argc, argv);
        return CLI_ERROR;
    }
    size_t before = cli_out()->len;
    cli_printf("usage: officeflow %s VERB ...\n\n", argv[0]);
    bool is_group = print_verbs(argv[0]) > 0;
    if (is_group && asks_for_help(argc, argv))
        return CLI_OK;
    cli_out()->len = before;
    if (!is_group)
        cli_complain("there is no verb \"%s\"; see officeflow --help", argv[0]);
    else if (argc == 1 || argv[1][0] == '-')
        cli_complain("%s: which verb? see officeflow %s --help", argv[0], argv[0]);
    else
        cli_complain("there is no verb \"%s %s\"; see officeflow %s --help", argv[0], argv[1],
                     argv[0]);
    return CLI_ERROR;
}

static int run(int argc, char **argv)
{
    if (argc == 0) {
        cli_complain("no verb; see officeflow --help");
        return CLI_ERROR;
    }
    if (strcmp(argv[0], "--version") == 0) {
        cli_printf("officeflow %s\n", KC_VERSION);
        return CLI_OK;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return run_group(0, argv);
    int words;
    const cli_verb *verb = find_verb(argc, argv, &words);
    if (!verb)
        return run_group(argc, argv);
    if (asks_for_help(argc - words, argv + words)) {
        print_verb(verb);
        return CLI_OK;
    }
    return run_verb(verb, argc - words, argv + words);
}

int main(int argc, char **argv)
{
    int code = run(argc > 0 ? argc - 1 : 0, argv + 1);
    cli_progress_end();
    if (!cli_flush() && code == CLI_OK)
        code = CLI_ERROR;
    cli_output_cleanup();
    return code;
}
