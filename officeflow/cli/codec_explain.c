/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow codec explain: a message or frame as a hex dump beside field names and values, up to
 * where it can't be read any further. */
#include "officeflow/cli/codec_line.h"
#include "officeflow/cli/lines.h"
#include "protocol/base/text.h"

#include <kafkac/unstable/messages.h>

#include <stdio.h>

#define ROW_BYTES   8
#define ROWS_MAX    4
#define FIELD_WIDTH 44
#define TEXT_MAX    60
#define INPUT_MAX   ((size_t)64 << 20)
#define RECORDS_MAX 16 /* batches told of */

static struct {
    bool is_frame, is_full;
} opt;

typedef struct explainer {
    kc_bytes in;        /**< all of it */
    size_t base;        /**< where the message being traced begins in it */
    const char *prefix; /**< of its paths: "header", or "" */
    size_t told;        /**< bytes explained so far, all told */
    kc_arena *arena;    /**< for record batches */
} explainer;

/* ---- rows ---- */

/** Without blanks at the end of a row of which nothing else follows. */
static void print_bytes(const uint8_t *bytes, size_t count, bool is_alone)
{
    for (size_t i = 0; i < (is_alone ? count : ROW_BYTES); i++)
        if (i < count)
            cli_printf("%s%02x", i > 0 ? " " : "", bytes[i]);
        else
            cli_printf("   ");
}

/** Offset, bytes, field and value; more rows where the bytes are more. */
static void print_rows(const explainer *e, size_t at, size_t len, cli_style style,
                       const char *field, const char *value)
{
    size_t shown = opt.is_full || len <= ROW_BYTES * ROWS_MAX ? len : ROW_BYTES * ROWS_MAX;
    for (size_t row = 0; row == 0 || row < shown; row += ROW_BYTES) {
        size_t count = shown - row < ROW_BYTES ? shown - row : ROW_BYTES;
        cli_styled(CLI_DIM, "%8zu  ", at + row);
        print_bytes(e->in.ptr + at + row, count, row > 0);
        if (row == 0)
            cli_styled(style, "  %-*s", *value ? FIELD_WIDTH : 0, field);
        cli_printf("%s%s\n", row == 0 && *value ? " " : "", row == 0 ? value : "");
    }
    if (shown < len)
        cli_styled(CLI_DIM, "%8s  %zu more bytes: --full\n", "", len - shown);
}

/* ---- values ---- */

static void text_value(kc_bytes text, char *out, size_t size)
{
    kc_bytes shown = kc_span(text.ptr, text.len < TEXT_MAX ? text.len : TEXT_MAX);
    shown.len = kb_utf8_cut(shown);
    if (kb_utf8_is_valid(shown))
        snprintf(out, size, "\"" KC_FMT "\"%s", KC_ARG(shown), shown.len < text.len ? "..." : "");
    else
        snprintf(out, size, "(%zu bytes, not UTF-8)", text.len);
    (void)cli_clean(out);
}

static double load_f64(const uint8_t *p)
{
    uint64_t bits = 0;
    double value;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void uuid_value(kc_bytes bytes, char *out, size_t size)
{
    kb_mem mem;
    kb_buf text;
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&text, &mem, 0);
    kb_base64url_put(&text, bytes);
    if (text.err == KC_OK)
        snprintf(out, size, KC_FMT, KC_ARG(kb_buf_bytes(&text)));
    kb_buf_cleanup(&text);
}

static void value_of(const kc_wire_item *item, kc_bytes bytes, char *out, size_t size)
{
    *out = 0;
    if (item->part == KC_WIRE_TAG_DATA) {
        snprintf(out, size, "(%zu bytes)", bytes.len);
        return;
    }
    if (item->part != KC_WIRE_VALUE) {
        bool is_null = item->part != KC_WIRE_TAG && item->number < 0;
        snprintf(out, size, is_null ? "null" : "%lld", (long long)item->number);
        return;
    }
    switch (item->type) {
    case KC_TYPE_BOOL:
        snprintf(out, size, "%s", item->number ? "true" : "false");
        break;
    case KC_TYPE_FLOAT64:
        snprintf(out, size, "%.17g", load_f64(bytes.ptr));
        break;
    case KC_TYPE_UUID:
        uuid_value(bytes, out, size);
        break;
    case KC_TYPE_STRING:
        text_value(bytes, out, size);
        break;
    case KC_TYPE_BYTES:
    case KC_TYPE_RECORDS:
    case KC_TYPE_STRUCT:
        snprintf(out, size, "(%zu bytes)", bytes.len);
        break;
    default:
        snprintf(out, size, "%lld", (long long)item->number);
    }
}

/** What lies in a field of records, a line for each batch. */
static void print_batches(const explainer *e, kc_bytes records)
{
    kc_record_batch batch;
    kc_err err = KC_OK;
    for (int i = 0; i < RECORDS_MAX; i++) {
        err = kc_record_batch_next(&records, true, e->arena, &batch, NULL);
        if (err != KC_OK)
            break;
        cli_styled(CLI_DIM, "%8s  %*s ", "", ROW_BYTES * 3 - 1, "");
        cli_printf(" batch: magic %d, %s, offsets %lld to %lld, %d records\n", batch.magic,
                   kc_compression_name(batch.compression), (long long)batch.base_offset,
                   (long long)batch.next_offset - 1, (int)batch.record_count);
    }
    if (err != KC_OK && err != KC_ERR_END) {
        cli_styled(CLI_DIM, "%8s  %*s ", "", ROW_BYTES * 3 - 1, "");
        cli_styled(CLI_RED, " batch: %s\n", kc_err_text(err));
    }
}

static const char *const notes[] = {
    [KC_WIRE_VALUE] = "",
    [KC_WIRE_LENGTH] = " (length)",
    [KC_WIRE_COUNT] = " (count)",
    [KC_WIRE_MARK] = " (is there)",
    [KC_WIRE_TAG_COUNT] = " (tags)",
    [KC_WIRE_TAG] = " (tag)",
    [KC_WIRE_TAG_SIZE] = " (size)",
    [KC_WIRE_TAG_DATA] = " (not known)",
};

static void print_item(const kc_wire_item *item, void *user)
{
    explainer *e = user;
    size_t at = e->base + item->at;
    kc_bytes bytes = kc_span(e->in.ptr + at, item->len);
    char field[FIELD_WIDTH * 8], value[TEXT_MAX * 4];
    snprintf(field, sizeof field, "%s%s%s%s", e->prefix, *e->prefix && *item->path ? "." : "",
             item->path, notes[item->part]);
    value_of(item, bytes, value, sizeof value);
    print_rows(e, at, item->len, item->part == KC_WIRE_VALUE ? CLI_BOLD : CLI_DIM,
               field[0] == ' ' ? field + 1 : field, value);
    e->told = at + item->len;
    if (item->part == KC_WIRE_VALUE && item->type == KC_TYPE_RECORDS)
        print_batches(e, bytes);
    cli_flush_if_full();
}

/* ---- messages ---- */

/** What could not be read, and why. */
static bool print_fault(const explainer *e, const kc_fault *fault, size_t at)
{
    if (e->told < e->in.len)
        print_rows(e, e->told, e->in.len - e->told, CLI_RED, "not read", "");
    (void)cli_flush();
    return cli_complain("codec explain: byte %zu%s%s%s%s: %s", at,
                        *e->prefix || *fault->path ? ", " : "", e->prefix,
                        *e->prefix && *fault->path ? "." : "", fault->path,
                        fault->reason ? fault->reason : "it can't be read");
}

static bool explain_part(explainer *e, const char *prefix, const kc_schema *schema, int16_t version,
                         size_t from, size_t end)
{
    kc_fault fault = {0};
    e->base = from;
    e->prefix = prefix;
    kc_arena *arena = kc_arena_new(NULL, 0); /* the other one is for batches met on the way */
    kc_err err = arena ? kc_message_trace(schema, version, kc_span(e->in.ptr + from, end - from),
                                          arena, print_item, e, &fault)
                       : KC_ERR_NOMEM;
    kc_arena_free(arena);
    return err == KC_OK || print_fault(e, &fault, from + fault.at);
}

static void print_title(const kc_schema *schema, int16_t version, size_t bytes)
{
    kc_schema_info info;
    kc_schema_get_info(schema, &info);
    cli_styled(CLI_BOLD, "%s %s", info.name, kc_message_kind_name(info.kind));
    cli_printf(", version %d%s, %zu bytes\n\n", version,
               version >= info.flexible_from ? " (flexible)" : "", bytes);
    cli_styled(CLI_DIM, "%8s  %-*s  %-*s %s\n", "offset", ROW_BYTES * 3 - 1, "bytes", FIELD_WIDTH,
               "field", "value");
}

static bool explain_frame(explainer *e, kc_message_kind kind, int16_t api_key, int16_t version)
{
    kc_frame frame;
    kc_fault fault = {0};
    char value[24];
    kc_arena *arena = kc_arena_new(NULL, 0);
    if (!arena)
        return cli_complain("out of memory");
    kc_err err = kc_frame_decode(kind, api_key, version, e->in, arena, &frame, &fault);
    kc_arena_free(arena);
    e->prefix = "";
    if (frame.header_at == 0) /* not even that */
        return print_fault(e, &fault, fault.at);
    print_title(frame.schema, frame.version, e->in.len);
    snprintf(value, sizeof value, "%zu", e->in.len - frame.header_at);
    print_rows(e, 0, frame.header_at, CLI_DIM, "(size)", value);
    e->told = frame.header_at;
    size_t header_end = frame.body_at ? frame.body_at : e->in.len;
    return explain_part(e, "header", frame.header_schema, frame.header_version, frame.header_at,
                        header_end) &&
           explain_part(e, "", frame.schema, frame.version, header_end, e->in.len) &&
           (err == KC_OK || print_fault(e, &fault, fault.at));
}

/* ---- the command line ---- */

/** Hex with blanks, colons, line ends and a leading 0x. */
static bool read_hex(kc_bytes text, kb_buf *digits, kb_buf *out)
{
    text = kb_text_trim(text);
    if (kb_text_starts(text, KC_STR("0x")))
        text = kc_span(text.ptr + 2, text.len - 2);
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n:", text.ptr[i]))
            kb_buf_put_byte(digits, text.ptr[i]);
    return digits->err == KC_OK && kb_hex_get(out, kb_buf_bytes(digits));
}

static bool explain(const char *const *names, kc_bytes bytes)
{
    explainer e = {.in = bytes.ptr ? bytes : KC_STR(""), .arena = kc_arena_new(NULL, 0)};
    kc_message_kind kind = KC_MESSAGE_REQUEST;
    int64_t version = -1;
    const kc_schema *schema = NULL;
    bool is_good = e.arena || cli_complain("out of memory");
    if (is_good && names) {
        is_good = kc_message_kind_by_name(kc_str(names[1]), &kind) ||
                  cli_complain("codec explain: \"%s\" is none of request, response, "
                               "request-header, response-header, data",
                               names[1]);
        schema = is_good ? kc_schema_find(kc_str(names[0]), kind) : NULL;
        is_good = is_good && (schema || cli_complain("codec explain: there is no %s \"%s\"; see "
                                                     "officeflow codec schema",
                                                     names[1], names[0]));
        is_good =
            is_good &&
            ((kb_parse_i64(kc_str(names[2]), &version) && version >= 0 && version <= INT16_MAX) ||
             cli_complain("codec explain: \"%s\" is no version", names[2]));
    }
    if (is_good && (opt.is_frame || !names)) {
        kc_schema_info info = {.api_key = -1};
        if (schema)
            kc_schema_get_info(schema, &info);
        is_good = explain_frame(&e, kind, info.api_key, (int16_t)version);
    } else if (is_good) {
        print_title(schema, (int16_t)version, bytes.len);
        is_good = explain_part(&e, "", schema, (int16_t)version, 0, bytes.len);
    }
    kc_arena_free(e.arena);
    return is_good;
}

static int run_explain(cli_session *session, cli_words words, cli_words command)
{
    (void)session, (void)command;
    bool has_names = words.count >= 3;
    size_t at = has_names ? 3 : 0;
    if (words.count == 2) {
        cli_complain("usage: officeflow codec explain [NAME KIND VERSION] [HEX]");
        return CLI_ERROR;
    }
    const char *hex = words.count > at ? words.items[at] : "-";
    kb_mem mem;
    kb_buf text, digits, bytes;
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&text, &mem, INPUT_MAX);
    kb_buf_init(&digits, &mem, INPUT_MAX);
    kb_buf_init(&bytes, &mem, INPUT_MAX);
    bool is_good = strcmp(hex, "-") != 0 || cli_read_file("-", &text);
    kc_bytes source = strcmp(hex, "-") == 0 ? kb_buf_bytes(&text) : kc_str(hex);
    is_good = is_good && (read_hex(source, &digits, &bytes) ||
                          cli_complain("codec explain: this is not hex, or more than 64 MiB"));
    is_good = is_good && explain(has_names ? words.items : NULL, kb_buf_bytes(&bytes));
    kb_buf_cleanup(&text);
    kb_buf_cleanup(&digits);
    kb_buf_cleanup(&bytes);
    return is_good ? CLI_OK : CLI_ERROR;
}

static const cli_option options[] = {
    {0, "frame", CLI_FLAG, &opt.is_frame, NULL,
     "size and header stand in front, as on a connection", 0, 0},
    {0, "full", CLI_FLAG, &opt.is_full, NULL, "all bytes of long values", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_codec_explain_verbs[] = {
    {
        .name = "codec explain",
        .arguments = "[NAME KIND VERSION] [HEX]",
        .summary = "Print a message as a hex dump beside field names, offsets and values",
        .help =
            "HEX may have blanks and colons; - or none: standard input. Without NAME KIND VERSION "
            "it is a whole request frame,\nwhich says itself what it is; with --frame a frame of "
            "the message named.\n\n"
            "  officeflow codec explain Metadata request 12 01010000\n"
            "  officeflow codec explain --frame Metadata response 12 < dump.hex",
        .options = options,
        .words_max = 4,
        .is_offline = true,
        .run = run_explain,
    },
    {.name = NULL},
};
