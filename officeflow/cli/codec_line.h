/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The verbs of `officeflow codec` that answer JSON lines: each line of standard input is one object
 * of known members, and gets one line of answer, also when it is wrong. */
#ifndef CLI_CODEC_LINE_H
#define CLI_CODEC_LINE_H

#include "officeflow/cli/verbs.h"

#include <kafkac/records.h>

/** Memory one line may cost. */
#define CLI_CODEC_BYTES_MAX ((size_t)1 << 30)
/** An answer above it is an error: what is compressed may become any length. */
#define CLI_CODEC_ANSWER_BYTES_MAX ((size_t)512 << 20)

/** A member a line may have. */
typedef struct cli_member {
    const char *name;
    kb_json_type
        type; /**< what it must be: KB_JSON_STRING, _NUMBER, _TRUE (any boolean), _OBJECT, _ARRAY */
    kc_bytes raw; /**< its source text; null: absent */
    bool is_true;
} cli_member;

/** One line being answered. */
typedef struct cli_codec_line {
    kc_arena *arena; /**< reset for each line */
    kb_arena text;   /**< the same, for strings with escapes */
    kb_buf hex;      /**< used again          */
    kc_fault fault;  /**< what is wrong with the line */
    char why[160];   /**< text of fault.reason where that is made */
} cli_codec_line;

/** Answer one line: prints the answer through cli_json_begin(), without cli_json_end(), or returns false with
 *  line->fault set, and an error is printed. */
typedef bool (*cli_codec_answer_fn)(cli_codec_line *line, kc_bytes text);

/** All lines of standard input. The exit code. */
int cli_codec_lines(cli_codec_answer_fn answer);

/** Is the answer so far within its limit? To be asked where it may become long; if not, line->fault says so. */
bool cli_codec_fits(cli_codec_line *line);
/** Say why: false, for the end of a condition. */
bool cli_codec_wrong(cli_codec_line *line, const char *fmt, ...) KC_PRINTF(2, 3);
/** Read an object with these members (the last has no name). */
bool cli_codec_members(cli_codec_line *line, kc_bytes text, cli_member *members);
/** Of a string member; null when absent. */
bool cli_codec_text(cli_codec_line *line, const cli_member *member, kc_bytes *out);
/** Of a number member; `*out` stays when absent. */
bool cli_codec_int(cli_codec_line *line, const cli_member *member, int64_t min, int64_t max,
                   int64_t *out);
/** Of a string member in hex, which must be there. */
bool cli_codec_hex(cli_codec_line *line, const cli_member *member, kc_bytes *out);
/** Write "hex": "...". */
void cli_codec_put_hex(kb_json_writer *json, kc_bytes bytes);
/** An answer that is nothing but these. */
void cli_codec_print_hex(kc_bytes bytes);

#endif
