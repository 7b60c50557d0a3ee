/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Lines of standard input beside a client: the client is served while the input is waited for. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "officeflow/cli/session.h"

/** Longest line; a longer one is an error of that line. */
#define CLI_LINE_BYTES_MAX ((size_t)64 << 20)

typedef struct cli_lines {
    kc_client *client; /**< NULL: none */
    int fd;
    kb_buf buf;
    size_t pos;      /**< of the next line in buf              */
    size_t scanned;  /**< no line end between pos and here     */
    uint64_t number; /**< of the line handed out last, from 1  */
    bool is_eof, is_skipping;
    int read_errno;   /**< 0: none */
    const bool *stop; /**< when it turns true, the input is over; NULL: never */
} cli_lines;

typedef enum cli_line {
    CLI_LINE_OK,
    CLI_LINE_TOO_LONG,
    CLI_LINE_END,   /**< of the input, or interrupted          */
    CLI_LINE_ERROR, /**< standard input can't be read: said    */
} cli_line;

/** Reads `fd`. `client` NULL: there is none to be served meanwhile. */
void cli_lines_init(cli_lines *lines, kb_mem *mem, kc_client *client, int fd);
void cli_lines_cleanup(cli_lines *lines);
/** The next line without its end, valid until the next call. Dispatches the client while it waits, and once in a while
 *  when it does not. */
cli_line cli_lines_next(cli_lines *lines, kc_bytes *line_out);

/** All of a file ("-": standard input) into `buf`. False: said. */
bool cli_read_file(const char *path, kb_buf *buf);

#endif
