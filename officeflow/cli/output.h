/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the program prints: one buffered standard output, JSON lines, tables, colours where a person
 * looks on, and progress on standard error. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "protocol/base/json.h"

/** Exit codes of every verb. */
enum {
    CLI_OK = 0,
    CLI_ERROR = 1,
    CLI_SOMETHING = 2, /**< drift, dead letters */
    CLI_PARTIAL = 3,   /**< some lines or records failed */
};

typedef enum cli_style {
    CLI_PLAIN,
    CLI_BOLD,
    CLI_DIM,
    CLI_RED,
    CLI_GREEN,
    CLI_YELLOW,
    CLI_BLUE,
    CLI_MAGENTA,
    CLI_CYAN,
} cli_style;

/* ---- standard output ---- */

/** What is printed goes here and leaves with cli_flush(), or when there is much. */
kb_buf *cli_out(void);
void cli_printf(const char *fmt, ...) KC_PRINTF(1, 2);
/** `text` in a style; plain where standard output is no terminal or NO_COLOR is set. */
void cli_styled(cli_style style, const char *fmt, ...) KC_PRINTF(2, 3);
bool cli_out_is_tty(void);
/** Begin a line of JSON: write one value, then cli_json_end(). */
kb_json_writer cli_json_begin(void);
void cli_json_end(void);
/** A byte field as text, or under `name64` as base64 when it is not valid UTF-8. */
void cli_json_bytes(kb_json_writer *json, const char *name, const char *name64, kc_bytes bytes);
/** Hand a full buffer on. Call it now and then in loops that print much. */
void cli_flush_if_full(void);
/** False: standard output does not take it (said once on standard error). */
bool cli_flush(void);
/** True after a failed write: there is nobody to print for. */
bool cli_is_output_broken(void);
void cli_output_cleanup(void);

/* ---- standard error ---- */

/** "officeflow: ..." Returns false, so that it can end a condition. */
bool cli_complain(const char *fmt, ...) KC_PRINTF(1, 2);
/** The same of an error, behind what was being done ("" for nothing); returns CLI_ERROR. */
int cli_fail(const char *doing, const kc_error *err);
/** A line on standard error that stands in the way of no progress line. */
void cli_note(const char *fmt, ...) KC_PRINTF(1, 2);
/** Show what is being done, once it takes over a second and standard error is a terminal; overwrites the last one. */
void cli_progress(const char *fmt, ...) KC_PRINTF(1, 2);
void cli_progress_end(void);

/* ---- tables ---- */

#define CLI_COLUMNS_MAX 12

/** Rows collected, then printed with aligned columns. */
typedef struct cli_table {
    size_t columns;
    const char *const *titles;
    const bool *is_right; /**< NULL: all to the left */
    kb_arena *arena;
    struct cli_row *first, *last;
    size_t rows;
} cli_table;
void cli_table_init(cli_table *table, kb_arena *arena, const char *const *titles,
                    const bool *is_right, size_t columns);
/** Cells from left to right. A row is begun by its first cell. */
void cli_table_row(cli_table *table);
void cli_table_cell(cli_table *table, cli_style style, const char *fmt, ...) KC_PRINTF(3, 4);
void cli_table_print(const cli_table *table);

/* ---- text ---- */

/** "7d", "24h", "90s", "1500ms": the largest unit that divides it; "forever" below 0. */
const char *cli_duration(int64_t ms, char out[24]);
/** 1234567 -> "1,234,567". */
const char *cli_number(int64_t number, char out[32]);
/** "14:02:10.902" of a time of day, UTC. */
const char *cli_clock(int64_t ms, char out[16]);
/** "3h", "12m", "40s" since then. */
const char *cli_age(int64_t ms, char out[24]);
/** Control characters, which a terminal would obey, become blanks. Returns `text`. */
char *cli_clean(char *text);
/** Columns of a terminal the UTF-8 text takes. */
size_t cli_width(const char *text);

#endif
