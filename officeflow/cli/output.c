/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Standard output is one buffer, written by write(2): a failed write is seen at once, and a stream
 * of records costs no stdio call each. */
#include "officeflow/cli/output.h"

#include "protocol/base/text.h"

#include <kafkac/client.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** Written when more than this waits. */
#define FLUSH_BYTES ((size_t)192 << 10)
/** A buffer grown beyond this by one large record is given back. */
#define KEEP_BYTES        ((size_t)4 << 20)
#define PROGRESS_AFTER_US 1000000
#define PROGRESS_EVERY_US 200000

static struct {
    kb_mem mem;
    kb_buf buf;
    kb_json_writer json;
    bool is_ready, is_broken;
    int tty; /* 0: not looked yet, 1: yes, -1: no */
    int64_t progress_since_us, progress_us;
    bool has_progress;
} out;

kb_buf *cli_out(void)
{
    if (!out.is_ready) {
        kb_mem_init(&out.mem, NULL, 0);
        kb_buf_init(&out.buf, &out.mem, 0);
        out.is_ready = true;
    }
    return &out.buf;
}

bool cli_out_is_tty(void)
{
    if (out.tty == 0) {
        const char *plain = getenv("NO_COLOR");
        out.tty = isatty(STDOUT_FILENO) && !(plain && *plain) ? 1 : -1;
    }
    return out.tty > 0;
}

static void put_format(kb_buf *buf, const char *fmt, va_list args) KC_PRINTF(2, 0);

static void put_format(kb_buf *buf, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    uint8_t *to = len < 0 ? NULL : kb_buf_reserve(buf, (size_t)len + 1);
    if (to) {
        vsnprintf((char *)to, (size_t)len + 1, fmt, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void cli_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_format(cli_out(), fmt, args);
    va_end(args);
}

static const char *style_code(cli_style style)
{
    static const char *const codes[] = {
        [CLI_PLAIN] = "",        [CLI_BOLD] = "\x1b[1m",     [CLI_DIM] = "\x1b[2m",
        [CLI_RED] = "\x1b[31m",  [CLI_GREEN] = "\x1b[32m",   [CLI_YELLOW] = "\x1b[33m",
        [CLI_BLUE] = "\x1b[34m", [CLI_MAGENTA] = "\x1b[35m", [CLI_CYAN] = "\x1b[36m",
    };
    return codes[style];
}

void cli_styled(cli_style style, const char *fmt, ...)
{
    bool has_colour = style != CLI_PLAIN && cli_out_is_tty();
    if (has_colour)
        cli_printf("%s", style_code(style));
    va_list args;
    va_start(args, fmt);
    put_format(cli_out(), fmt, args);
    va_end(args);
    if (has_colour)
        cli_printf("\x1b[0m");
}

kb_json_writer cli_json_begin(void)
{
    kb_json_writer json;
    kb_json_writer_init(&json, cli_out());
    return json;
}

void cli_json_end(void)
{
    kb_buf_put_byte(cli_out(), '\n');
    cli_flush_if_full();
}

void cli_json_bytes(kb_json_writer *json, const char *name, const char *name64, kc_bytes bytes)
{
    if (!bytes.ptr || kb_utf8_is_valid(bytes)) {
        kb_json_member_string(json, name, bytes);
        return;
    }
    kb_json_key_str(json, name64);
    kb_json_base64(json, bytes);
}

void cli_flush_if_full(void)
{
    if (out.buf.len > FLUSH_BYTES || out.buf.err != KC_OK)
        (void)cli_flush();
}

static bool write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, data, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        data += done;
        len -= (size_t)done;
    }
    return true;
}

bool cli_flush(void)
{
    kb_buf *buf = cli_out();
    if (!out.is_broken && buf->err != KC_OK) {
        out.is_broken = true;
        cli_complain("standard output: %s", kc_err_text(buf->err));
    }
    if (!out.is_broken && buf->len > 0 && !write_all(STDOUT_FILENO, buf->data, buf->len)) {
        out.is_broken = true;
        cli_complain("standard output: %s", strerror(errno));
    }
    if (buf->cap > KEEP_BYTES)
        kb_buf_cleanup(buf);
    kb_buf_reset(buf);
    return !out.is_broken;
}

bool cli_is_output_broken(void)
{
    return out.is_broken;
}

void cli_output_cleanup(void)
{
    kb_buf_cleanup(cli_out());
}

/* ---- standard error ---- */

static void say(const char *prefix, const char *fmt, va_list args) KC_PRINTF(2, 0);

static void say(const char *prefix, const char *fmt, va_list args)
{
    char text[2048];
    int len = snprintf(text, sizeof text, "%s%s", out.has_progress ? "\r\x1b[K" : "", prefix);
    out.has_progress = false;
    len += vsnprintf(text + len, sizeof text - (size_t)len - 1, fmt, args);
    size_t end = len < (int)sizeof text - 2 ? (size_t)len : sizeof text - 2;
    text[end++] = '\n';
    (void)write_all(STDERR_FILENO, (const uint8_t *)text, end);
}

bool cli_complain(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("officeflow: ", fmt, args);
    va_end(args);
    return false;
}

int cli_fail(const char *doing, const kc_error *err)
{
    const char *text = err->text[0] ? err->text : kc_err_text(err->code);
    cli_complain("%s%s%s", doing, *doing ? ": " : "", text);
    return CLI_ERROR;
}

void cli_note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("", fmt, args);
    va_end(args);
}

void cli_progress(const char *fmt, ...)
{
    int64_t now_us = kc_clock_monotonic_us();
    if (out.progress_since_us == 0)
        out.progress_since_us = now_us;
    if (now_us - out.progress_since_us < PROGRESS_AFTER_US ||
        now_us - out.progress_us < PROGRESS_EVERY_US || !isatty(STDERR_FILENO))
        return;
    out.progress_us = now_us;
    char text[256];
    int len = snprintf(text, sizeof text, "\r\x1b[K");
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + len, sizeof text - (size_t)len, fmt, args);
    va_end(args);
    (void)write_all(STDERR_FILENO, (const uint8_t *)text, strlen(text));
    out.has_progress = true;
}

void cli_progress_end(void)
{
    if (out.has_progress)
        (void)write_all(STDERR_FILENO, (const uint8_t *)"\r\x1b[K", 4);
    out.has_progress = false;
    out.progress_since_us = 0;
}

/* ---- tables ---- */

typedef struct cli_row {
    struct cli_row *next;
    size_t count;
    cli_style styles[CLI_COLUMNS_MAX];
    const char *cells[CLI_COLUMNS_MAX];
} cli_row;

void cli_table_init(cli_table *table, kb_arena *arena, const char *const *titles,
                    const bool *is_right, size_t columns)
{
    *table =
        (cli_table){.columns = columns, .titles = titles, .is_right = is_right, .arena = arena};
}

void cli_table_row(cli_table *table)
{
    cli_row *row = kb_arena_zalloc(table->arena, sizeof *row);
    if (!row) {
        out.buf.err = KC_ERR_NOMEM;
        return;
    }
    if (table->last)
        table->last->next = row;
    else
        table->first = row;
    table->last = row;
    table->rows++;
}

void cli_table_cell(cli_table *table, cli_style style, const char *fmt, ...)
{
    cli_row *row = table->last;
    if (!row || row->count == table->columns)
        return;
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cli_clean(text);
    const char *copy = kb_arena_printf(table->arena, "%s", text);
    row->styles[row->count] = style;
    row->cells[row->count++] = copy ? copy : "";
}

static void print_cell(const char *text, size_t width, bool is_right, cli_style style, bool is_last)
{
    int pad = (int)(width - cli_width(text));
    if (is_right)
        cli_printf("%*s", pad, "");
    cli_styled(style, "%s", text);
    if (!is_right && !is_last)
        cli_printf("%*s", pad, "");
    cli_printf("%s", is_last ? "\n" : "  ");
}

void cli_table_print(const cli_table *table)
{
    size_t widths[CLI_COLUMNS_MAX] = {0};
    for (size_t c = 0; c < table->columns; c++) {
        widths[c] = cli_width(table->titles[c]);
        for (const cli_row *row = table->first; row; row = row->next)
            if (c < row->count && cli_width(row->cells[c]) > widths[c])
                widths[c] = cli_width(row->cells[c]);
    }
    for (size_t c = 0; c < table->columns; c++)
        print_cell(table->titles[c], widths[c], table->is_right && table->is_right[c], CLI_BOLD,
                   c + 1 == table->columns);
    for (const cli_row *row = table->first; row; row = row->next) {
        size_t last = row->count;
        while (last > 1 && !*row->cells[last - 1])
            last--;
        for (size_t c = 0; c < last; c++)
            print_cell(row->cells[c], widths[c], table->is_right && table->is_right[c],
                       row->styles[c], c + 1 == last);
    }
}

/* ---- text ---- */

const char *cli_duration(int64_t ms, char text[24])
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t at = 0;
    while (at < sizeof units / sizeof units[0] - 1 && (ms < units[at].ms || ms % units[at].ms != 0))
        at++;
    if (ms < 0)
        snprintf(text, 24, "forever");
    else
        snprintf(text, 24, "%lld%s", (long long)(ms / units[at].ms), units[at].name);
    return text;
}

const char *cli_number(int64_t number, char text[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)number);
    size_t to = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
            text[to++] = ',';
        text[to++] = digits[i];
    }
    text[to] = 0;
    return text;
}

const char *cli_clock(int64_t ms, char text[16])
{
    char whole[25];
    kb_time_format(ms, whole);
    memcpy(text, whole + 11, 12);
    text[12] = 0;
    return text;
}

const char *cli_age(int64_t ms, char text[24])
{
    int64_t seconds = (kc_clock_wall_ms() - ms) / 1000;
    if (seconds < 0)
        seconds = 0;
    if (seconds < 120)
        snprintf(text, 24, "%llds", (long long)seconds);
    else if (seconds < 7200)
        snprintf(text, 24, "%lldm", (long long)(seconds / 60));
    else if (seconds < 172800)
        snprintf(text, 24, "%lldh", (long long)(seconds / 3600));
    else
        snprintf(text, 24, "%lldd", (long long)(seconds / 86400));
    return text;
}

char *cli_clean(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return text;
}

size_t cli_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    return width;
}
