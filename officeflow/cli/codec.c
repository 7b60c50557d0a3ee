/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow codec decode, encode, random: messages and frames of the protocol, without a broker. */
#include "officeflow/cli/codec_line.h"
#include "protocol/base/text.h"

/* ---- which message ---- */

/** The members that say so. */
enum {
    NAME,
    KIND,
    VERSION,
    FRAME,
    ASKED_COUNT
};
#define ASKED                                                                                      \
    [NAME] = {.name = "name", .type = KB_JSON_STRING},                                             \
    [KIND] = {.name = "kind", .type = KB_JSON_STRING},                                             \
    [VERSION] = {.name = "version", .type = KB_JSON_NUMBER},                                       \
    [FRAME] = {.name = "frame", .type = KB_JSON_TRUE}

typedef struct asked {
    const kc_schema *schema;
    kc_message_kind kind;
    int16_t version;
} asked;

static bool read_kind(cli_codec_line *line, const cli_member *member, kc_message_kind *out)
{
    kc_bytes kind;
    if (!cli_codec_text(line, member, &kind))
        return false;
    if (!kind.ptr || !kc_message_kind_by_name(kind, out))
        return cli_codec_wrong(line, "member \"kind\" must be request, response, request-header, "
                                     "response-header or data");
    return true;
}

static bool read_asked(cli_codec_line *line, const cli_member *members, asked *out)
{
    kc_bytes name;
    int64_t version = -1;
    if (!read_kind(line, &members[KIND], &out->kind) ||
        !cli_codec_text(line, &members[NAME], &name) ||
        !cli_codec_int(line, &members[VERSION], 0, INT16_MAX, &version))
        return false;
    out->schema = kc_schema_find(name.ptr ? name : KC_STR(""), out->kind);
    out->version = (int16_t)version;
    if (!out->schema)
        return cli_codec_wrong(line, "there is no %s \"%.*s\"", kc_message_kind_name(out->kind),
                               (int)(name.len < 60 ? name.len : 60),
                               name.ptr ? (const char *)name.ptr : "");
    if (version < 0)
        return cli_codec_wrong(line, "member \"version\" is missing");
    return true;
}

/** A request frame says itself what it is. */
static bool read_frame_asked(cli_codec_line *line, const cli_member *members, asked *out,
                             int16_t *api_key_out)
{
    *api_key_out = -1;
    if (!read_kind(line, &members[KIND], &out->kind))
        return false;
    if (out->kind == KC_MESSAGE_REQUEST)
        return true;
    if (!read_asked(line, members, out))
        return false;
    kc_schema_info info;
    kc_schema_get_info(out->schema, &info);
    *api_key_out = info.api_key;
    return true;
}

/* ---- answers ---- */

/** "name": the message as JSON. */
static bool put_message(cli_codec_line *line, kb_json_writer *json, const char *name,
                        const kc_schema *schema, int16_t version, const void *msg)
{
    kc_bytes text;
    kc_err err = kc_message_to_json(schema, version, msg, line->arena, &text);
    if (err != KC_OK)
        return cli_codec_wrong(line, "%s", kc_err_text(err));
    kb_json_key_str(json, name);
    kb_json_raw(json, text);
    return true;
}

static bool decode_frame(cli_codec_line *line, const cli_member *members, kc_bytes bytes)
{
    asked what;
    int16_t api_key;
    kc_frame frame;
    if (!read_frame_asked(line, members, &what, &api_key) ||
        kc_frame_decode(what.kind, api_key, what.version, bytes, line->arena, &frame,
                        &line->fault) != KC_OK)
        return false;
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    if (!put_message(line, &json, "header", frame.header_schema, frame.header_version,
                     frame.header) ||
        !put_message(line, &json, "json", frame.schema, frame.version, frame.body))
        return false;
    kb_json_object_end(&json);
    return true;
}

static bool decode_message(cli_codec_line *line, const cli_member *members, kc_bytes bytes)
{
    asked what;
    void *msg;
    if (!read_asked(line, members, &what) ||
        kc_message_decode(what.schema, what.version, bytes, line->arena, &msg, &line->fault) !=
            KC_OK)
        return false;
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    if (!put_message(line, &json, "json", what.schema, what.version, msg))
        return false;
    kb_json_object_end(&json);
    return true;
}

static bool answer_decode(cli_codec_line *line, kc_bytes text)
{
    enum {
        HEX = ASKED_COUNT
    };
    cli_member members[] = {ASKED, [HEX] = {.name = "hex", .type = KB_JSON_STRING}, {NULL}};
    kc_bytes bytes;
    if (!cli_codec_members(line, text, members) || !cli_codec_hex(line, &members[HEX], &bytes))
        return false;
    return members[FRAME].is_true ? decode_frame(line, members, bytes)
                                  : decode_message(line, members, bytes);
}

/** A member that is a message; its default when absent. */
static bool read_message(cli_codec_line *line, const kc_schema *schema, int16_t version,
                         const cli_member *member, void **msg_out)
{
    kc_bytes json = member->raw.ptr ? member->raw : KC_STR("{}");
    return kc_message_from_json(schema, version, json, line->arena, msg_out, &line->fault) == KC_OK;
}

static bool encode_frame(cli_codec_line *line, const asked *what, const cli_member *header,
                         void *body, kc_bytes *bytes_out)
{
    kc_schema_info info;
    kc_schema_get_info(what->schema, &info);
    bool is_request = what->kind == KC_MESSAGE_REQUEST;
    const kc_schema *schema = kc_schema_find(KC_NULL, is_request ? KC_MESSAGE_REQUEST_HEADER
                                                                 : KC_MESSAGE_RESPONSE_HEADER);
    kc_frame frame = {
        .kind = what->kind, .api_key = info.api_key, .version = what->version, .body = body};
    kc_schema_get_info(schema, &info);
    /* The newest header knows all members; which version is written, the frame knows. */
    return read_message(line, schema, info.version_max, header, &frame.header) &&
           kc_frame_encode(&frame, line->arena, bytes_out, &line->fault) == KC_OK;
}

static bool answer_encode(cli_codec_line *line, kc_bytes text)
{
    enum {
        JSON = ASKED_COUNT,
        HEADER
    };
    cli_member members[] = {ASKED,
                            [JSON] = {.name = "json", .type = KB_JSON_OBJECT},
                            [HEADER] = {.name = "header", .type = KB_JSON_OBJECT},
                            {NULL}};
    asked what;
    void *msg;
    kc_bytes bytes;
    if (!cli_codec_members(line, text, members) || !read_asked(line, members, &what) ||
        !read_message(line, what.schema, what.version, &members[JSON], &msg))
        return false;
    if (members[FRAME].is_true ? !encode_frame(line, &what, &members[HEADER], msg, &bytes)
                               : kc_message_encode(what.schema, what.version, msg, line->arena,
                                                   &bytes, &line->fault) != KC_OK)
        return false;
    cli_codec_print_hex(bytes);
    return true;
}

static bool answer_random(cli_codec_line *line, kc_bytes text)
{
    enum {
        SEED = ASKED_COUNT
    };
    cli_member members[] = {ASKED, [SEED] = {.name = "seed", .type = KB_JSON_NUMBER}, {NULL}};
    asked what;
    int64_t seed = 0;
    void *msg;
    kc_bytes bytes;
    if (!cli_codec_members(line, text, members) || !read_asked(line, members, &what) ||
        !cli_codec_int(line, &members[SEED], 0, INT64_MAX, &seed))
        return false;
    kc_err err = kc_message_random(what.schema, what.version, (uint64_t)seed, line->arena, &msg);
    if (err != KC_OK)
        return cli_codec_wrong(line, "%s", kc_err_text(err));
    if (kc_message_encode(what.schema, what.version, msg, line->arena, &bytes, &line->fault) !=
        KC_OK)
        return false;
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    cli_codec_put_hex(&json, bytes);
    if (!put_message(line, &json, "json", what.schema, what.version, msg))
        return false;
    kb_json_object_end(&json);
    return true;
}

/* ---- the verbs ---- */

static int run_decode(cli_session *session, cli_words words, cli_words command)
{
    (void)session, (void)words, (void)command;
    return cli_codec_lines(answer_decode);
}

static int run_encode(cli_session *session, cli_words words, cli_words command)
{
    (void)session, (void)words, (void)command;
    return cli_codec_lines(answer_encode);
}

static int run_random(cli_session *session, cli_words words, cli_words command)
{
    (void)session, (void)words, (void)command;
    return cli_codec_lines(answer_random);
}

#define LINES_HELP                                                                                 \
    "Each line of standard input is answered by one line, in order, also when it is wrong:\n"      \
    "  {\"error\":\"...\",\"at\":BYTE,\"path\":\"topics[0].partitions[1].index\"}\n"               \
    "kind is request, response, request-header, response-header or data; name is as in\n"          \
    "`officeflow codec schema`. Exit 0 when every line was answered."

const cli_verb cli_codec_verbs[] = {
    {
        .name = "codec decode",
        .arguments = "",
        .summary = "Decode messages: JSON lines with hex in, JSON lines out",
        .help = "  {\"name\":\"Fetch\",\"kind\":\"request\",\"version\":12,\"hex\":\"...\"}"
                "  ->  {\"json\":{...}}\n"
                "with \"frame\":true size, header and body together  ->  "
                "{\"header\":{...},\"json\":{...}};\na request frame needs neither name nor "
                "version. hex of data is without the version in front.\n\n" LINES_HELP,
        .is_offline = true,
        .run = run_decode,
    },
    {
        .name = "codec encode",
        .arguments = "",
        .summary = "Encode messages: JSON lines in, JSON lines with hex out",
        .help = "  {\"name\":\"Fetch\",\"kind\":\"request\",\"version\":12,\"json\":{...}}"
                "  ->  {\"hex\":\"...\"}\n"
                "An absent member takes its default. With \"frame\":true also \"header\":{...}, "
                "and a whole frame comes out.\n\n" LINES_HELP,
        .is_offline = true,
        .run = run_encode,
    },
    {
        .name = "codec random",
        .arguments = "",
        .summary = "Make random messages: JSON lines in, hex and JSON out",
        .help = "  {\"name\":\"Fetch\",\"kind\":\"request\",\"version\":12,\"seed\":7}"
                "  ->  {\"hex\":\"...\",\"json\":{...}}\n"
                "The same seed gives the same message.\n\n" LINES_HELP,
        .is_offline = true,
        .run = run_random,
    },
    {.name = NULL},
};
