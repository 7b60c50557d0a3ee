/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The option parser. Every complaint names the verb and says what is allowed. */
#include "officeflow/cli/options.h"

#include "officeflow/cli/output.h"
#include "protocol/base/text.h"

#include <stdio.h>

#define HELP_COLUMN 30
#define HELP_INDENT "                              "

/** Where in the command line we are. */
typedef struct parser {
    const char *verb;
    const cli_option *const *tables;
    int argc, at;
    char **argv;
} parser;

static const cli_option *by_name(const parser *p, kc_bytes name)
{
    for (const cli_option *const *table = p->tables; *table; table++)
        for (const cli_option *option = *table; option->name; option++)
            if (kc_bytes_equal(kc_str(option->name), name))
                return option;
    return NULL;
}

static const cli_option *by_letter(const parser *p, char letter)
{
    for (const cli_option *const *table = p->tables; *table; table++)
        for (const cli_option *option = *table; option->name; option++)
            if (option->letter == letter)
                return option;
    return NULL;
}

static bool is_choice(const char *choices, const char *value)
{
    kc_bytes rest = kc_str(choices), word;
    while (kb_text_split(&rest, '|', &word))
        if (kc_bytes_equal(word, kc_str(value)))
            return true;
    return false;
}

static bool store(const parser *p, const cli_option *option, const char *value)
{
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->to = true;
        return true;
    case CLI_TEXT:
        *(const char **)option->to = value;
        return true;
    case CLI_CHOICE:
        *(const char **)option->to = value;
        return is_choice(option->value, value) ||
               cli_complain("%s: --%s must be one of %s, not \"%s\"", p->verb, option->name,
                            option->value, value);
    case CLI_INT:
        return (kb_parse_i64(kc_str(value), option->to) && *(int64_t *)option->to >= option->min &&
                *(int64_t *)option->to <= option->max) ||
               cli_complain("%s: --%s must be a number from %lld to %lld, not \"%s\"", p->verb,
                            option->name, (long long)option->min, (long long)option->max, value);
    case CLI_LIST: {
        cli_list *list = option->to;
        if (list->count == CLI_LIST_MAX)
            return cli_complain("%s: --%s may be given at most %d times", p->verb, option->name,
                                CLI_LIST_MAX);
        list->items[list->count++] = value;
        return true;
    }
    }
    return false;
}

/** `value`: what stood behind '=' or the letter; NULL: the next word. */
static bool take(parser *p, const cli_option *option, const char *value)
{
    if (option->kind == CLI_FLAG)
        return !value ? store(p, option, NULL)
                      : cli_complain("%s: --%s takes no value", p->verb, option->name);
    if (!value && p->at + 1 >= p->argc)
        return cli_complain("%s: --%s needs a value: %s", p->verb, option->name, option->value);
    return store(p, option, value ? value : p->argv[++p->at]);
}

static bool take_long(parser *p, const char *word)
{
    const char *equals = strchr(word, '=');
    kc_bytes name = kc_span(word, equals ? (size_t)(equals - word) : strlen(word));
    const cli_option *option = by_name(p, name);
    if (!option)
        return cli_complain("%s: there is no option --" KC_FMT "; see officeflow %s --help",
                            p->verb, KC_ARG(name), p->verb);
    return take(p, option, equals ? equals + 1 : NULL);
}

/** Letters of flags may stand together; the first one with a value takes the rest of the word. */
static bool take_short(parser *p, const char *word)
{
    for (; *word; word++) {
        const cli_option *option = by_letter(p, *word);
        if (!option)
            return cli_complain("%s: there is no option -%c; see officeflow %s --help", p->verb,
                                *word, p->verb);
        if (option->kind != CLI_FLAG)
            return take(p, option, word[1] ? word + 1 : NULL);
        if (!take(p, option, NULL))
            return false;
    }
    return true;
}

bool cli_parse(const char *verb, const cli_option *const *tables, int argc, char **argv,
               bool stop_at_dashes, cli_words *words, cli_words *command)
{
    parser p = {.verb = verb, .tables = tables, .argc = argc, .argv = argv};
    size_t count = 0;
    *command = (cli_words){NULL, 0};
    for (; p.at < argc; p.at++) {
        char *word = argv[p.at];
        bool is_option = word[0] == '-' && word[1];
        if (strcmp(word, "--") == 0) {
            *command = (cli_words){(const char *const *)&argv[p.at + 1], (size_t)(argc - p.at - 1)};
            break;
        }
        if (!is_option)
            argv[count++] = word;
        else if (!(word[1] == '-' ? take_long(&p, word + 2) : take_short(&p, word + 1)))
            return false;
    }
    for (size_t i = 0; !stop_at_dashes && i < command->count; i++)
        argv[count++] = (char *)(uintptr_t)command->items[i];
    *words = (cli_words){(const char *const *)argv, count};
    return true;
}

void cli_options_print(const cli_option *table)
{
    for (; table->name; table++) {
        char text[80];
        int len = table->letter
                      ? snprintf(text, sizeof text, "  -%c, --%s", table->letter, table->name)
                      : snprintf(text, sizeof text, "      --%s", table->name);
        if (table->value)
            len += snprintf(text + len, sizeof text - (size_t)len, " %s", table->value);
        if (len >= HELP_COLUMN)
            cli_printf("%s\n" HELP_INDENT, text);
        else
            cli_printf("%-*s", HELP_COLUMN, text);
        kc_bytes rest = kc_str(table->help), line;
        while (kb_text_split(&rest, '\n', &line))
            cli_printf(KC_FMT "%s", KC_ARG(line), rest.ptr ? "\n" HELP_INDENT : "");
        cli_printf("\n");
    }
}
