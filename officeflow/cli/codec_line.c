/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * JSON lines in, JSON lines out, for the codec verbs. */
#include "officeflow/cli/codec_line.h"

#include "officeflow/cli/lines.h"
#include "protocol/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static void print_fault(const kc_fault *fault)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_str(&json, "error", fault->reason ? fault->reason : "it is wrong");
    kb_json_member_int(&json, "at", (int64_t)fault->at);
    kb_json_member_str(&json, "path", fault->path);
    kb_json_object_end(&json);
    cli_json_end();
}

static void answer_line(cli_codec_line *line, cli_codec_answer_fn answer, kc_bytes text)
{
    kb_buf *out = cli_out();
    size_t before = out->len, limit = out->limit;
    kc_arena_reset(line->arena);
    kb_arena_reset(&line->text);
    line->fault = (kc_fault){.reason = NULL};
    out->limit = before + CLI_CODEC_ANSWER_BYTES_MAX;
    bool is_good = answer(line, text) && cli_codec_fits(line);
    out->limit = limit;
    if (is_good) {
        cli_json_end();
        return;
    }
    out->len = before; /* nothing of an answer that was begun */
    out->err = KC_OK;
    print_fault(&line->fault);
}

bool cli_codec_fits(cli_codec_line *line)
{
    return cli_out()->err == KC_OK || cli_codec_wrong(line, "the answer is longer than 512 MiB");
}

int cli_codec_lines(cli_codec_answer_fn answer)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    cli_codec_line line = {.arena = kc_arena_new(NULL, CLI_CODEC_BYTES_MAX)};
    if (!line.arena) {
        cli_complain("out of memory");
        return CLI_ERROR;
    }
    cli_lines lines;
    cli_lines_init(&lines, &mem, NULL, STDIN_FILENO);
    kb_arena_init(&line.text, &mem, CLI_CODEC_BYTES_MAX);
    kb_buf_init(&line.hex, &mem, 0);
    kc_bytes text;
    cli_line got;
    while ((got = cli_lines_next(&lines, &text)) <= CLI_LINE_TOO_LONG && !cli_is_output_broken()) {
        if (got == CLI_LINE_OK)
            answer_line(&line, answer, text);
        else
            print_fault(&(kc_fault){.reason = "the line is longer than 64 MiB"});
    }
    kb_buf_cleanup(&line.hex);
    kb_arena_cleanup(&line.text);
    kc_arena_free(line.arena);
    cli_lines_cleanup(&lines);
    return got == CLI_LINE_END ? CLI_OK : CLI_ERROR;
}

bool cli_codec_wrong(cli_codec_line *line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(line->why, sizeof line->why, fmt, args);
    va_end(args);
    line->fault = (kc_fault){.reason = line->why};
    return false;
}

static bool wrong_syntax(cli_codec_line *line, const kb_json_reader *json)
{
    cli_codec_wrong(line, "the line is not valid JSON: %s",
                    json->reason ? json->reason : "an object is expected");
    line->fault.at = json->reason ? json->at : 0;
    return false;
}

static bool has_type(kb_json_type wanted, kb_json_type type)
{
    return type == wanted || (wanted == KB_JSON_TRUE && type == KB_JSON_FALSE);
}

static bool read_member(cli_codec_line *line, kb_json_reader *json, cli_member *members)
{
    cli_member *member = members;
    kc_bytes key = json->raw;
    while (member->name && !kb_json_string_is(key, kc_str(member->name)))
        member++;
    if (!member->name)
        return cli_codec_wrong(line, "there is no member %.*s", (int)(key.len < 60 ? key.len : 60),
                               (const char *)key.ptr);
    if (member->raw.ptr)
        return cli_codec_wrong(line, "member \"%s\" is there twice", member->name);
    kb_json_type type = kb_json_value(json, &member->raw);
    if (type == KB_JSON_ERROR)
        return wrong_syntax(line, json);
    if (!has_type(member->type, type))
        return cli_codec_wrong(line, "member \"%s\" has the wrong type", member->name);
    member->is_true = type == KB_JSON_TRUE;
    return true;
}

bool cli_codec_members(cli_codec_line *line, kc_bytes text, cli_member *members)
{
    kb_json_reader json;
    kb_json_reader_init(&json, text);
    kb_json_type type = kb_json_next(&json);
    if (type != KB_JSON_OBJECT)
        return wrong_syntax(line, &json);
    while ((type = kb_json_next(&json)) == KB_JSON_KEY)
        if (!read_member(line, &json, members))
            return false;
    return type == KB_JSON_OBJECT_END && kb_json_next(&json) == KB_JSON_END
               ? true
               : wrong_syntax(line, &json);
}

bool cli_codec_text(cli_codec_line *line, const cli_member *member, kc_bytes *out)
{
    *out = KC_NULL;
    if (!member->raw.ptr)
        return true;
    return kb_json_unescape(member->raw, &line->text, out) ||
           cli_codec_wrong(line, "out of memory");
}

bool cli_codec_int(cli_codec_line *line, const cli_member *member, int64_t min, int64_t max,
                   int64_t *out)
{
    if (!member->raw.ptr)
        return true;
    if (!kb_json_i64(member->raw, out) || *out < min || *out > max)
        return cli_codec_wrong(line, "member \"%s\" must be a whole number from %lld to %lld",
                               member->name, (long long)min, (long long)max);
    return true;
}

bool cli_codec_hex(cli_codec_line *line, const cli_member *member, kc_bytes *out)
{
    kc_bytes text;
    if (!cli_codec_text(line, member, &text))
        return false;
    if (!text.ptr)
        return cli_codec_wrong(line, "member \"%s\" is missing", member->name);
    kb_buf_reset(&line->hex);
    if (!kb_hex_get(&line->hex, text))
        return cli_codec_wrong(line,
                               line->hex.err == KC_OK ? "member \"%s\" is not valid hex"
                                                      : "member \"%s\" is too long",
                               member->name);
    *out = kb_buf_bytes(&line->hex);
    return true;
}

void cli_codec_put_hex(kb_json_writer *json, kc_bytes bytes)
{
    kb_json_key_str(json, "hex");
    kb_json_hex(json, bytes);
}

void cli_codec_print_hex(kc_bytes bytes)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    cli_codec_put_hex(&json, bytes);
    kb_json_object_end(&json);
}
