/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A set of properties: text as given, and typed fields. Both are changed together or not at all. */
#include "client/config_table.h"
#include "net/http.h"
#include "net/proxy.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

/** Longest name or value a message quotes. */
#define QUOTED_MAX 80
/** Most bytes of a properties file, and of one value. */
/** So many letters may differ in a name that is meant, or a third of it. */
#define NEAR_STEPS      2
#define FILE_BYTES_MAX  1048576
#define VALUE_BYTES_MAX 65536

struct kc_config {
    kb_mem own;
    kb_mem *mem; /**< &own, or the client's */
    kc_settings settings;
    char *values[]; /**< by row, in one form; NULL: the default */
};

static const kc_config_row *row_by_name(kc_bytes name)
{
    const char *alias = kc_config_alias(name);
    if (alias)
        name = kc_str(alias);
    for (size_t i = 0; i < kc_config_row_count; i++)
        if (kc_bytes_equal(name, kc_str(kc_config_rows[i].property.name)))
            return &kc_config_rows[i];
    return NULL;
}

static size_t index_of(const kc_config_row *row)
{
    return (size_t)(row - kc_config_rows);
}

/* ---- parsing one value ---- */

/** Quoted in messages: cut when long. */
static int quoted_len(kc_bytes text)
{
    return (int)(text.len < QUOTED_MAX ? text.len : QUOTED_MAX);
}

static kc_err bad_value(const kc_config_row *row, kc_bytes value, kc_error *err)
{
    if (row->is_secret)
        return kb_error_set(err, KC_ERR_CONFIG, "%s can't be empty", row->property.name);
    return kb_error_set(err, KC_ERR_CONFIG, "%s can't be \"%.*s\"; allowed: %s", row->property.name,
                        quoted_len(value), (const char *)value.ptr,
                        row->property.allowed[0] ? row->property.allowed : "any text but none");
}

static kc_err find_word(const kc_config_row *row, kc_bytes text, const kc_word **word_out,
                        kc_error *err)
{
    for (const kc_word *word = row->words; word->name; word++) {
        if (!kb_text_is(text, word->name) &&
            !(word->alias && kc_bytes_equal(text, kc_str(word->alias))))
            continue;
        if (word->refusal)
            return kb_error_set(err, KC_ERR_CONFIG, "%s can't be %s: %s", row->property.name,
                                word->name, word->refusal);
        *word_out = word;
        return KC_OK;
    }
    return bad_value(row, text, err);
}

/** Bring a list into one form: pieces without blanks, words for class names, a comma between. */
static kc_err read_list(const kc_config_row *row, kc_bytes value, kb_buf *out, kc_error *err)
{
    kc_bytes rest = value, piece;
    while (kb_text_split(&rest, ',', &piece)) {
        piece = kb_text_trim(piece);
        if (piece.len == 0)
            continue; /* as Java: "a,,b" and "a," are fine */
        if (row->words) {
            const kc_word *word;
            KB_TRY(find_word(row, piece, &word, err));
            piece = kc_str(word->name);
        }
        if (out->len > 0)
            kb_buf_put_byte(out, ',');
        kb_buf_put_bytes(out, piece);
    }
    if (out->len == 0 && !row->may_be_empty)
        return bad_value(row, value, err);
    return KC_OK;
}

/** What a value means, before it is put into the settings. */
typedef struct parsed {
    kb_buf text; /**< in one form */
    int64_t number;
} parsed;

static kc_err parse_number(const kc_config_row *row, kc_bytes value, parsed *out, kc_error *err)
{
    if (!kb_parse_i64(value, &out->number) || out->number < row->min || out->number > row->max)
        return bad_value(row, value, err);
    kb_buf_printf(&out->text, "%lld", (long long)out->number);
    return KC_OK;
}

static kc_err parse_double(const kc_config_row *row, kc_bytes value, parsed *out, kc_error *err)
{
    double number;
    if (!kb_parse_f64(value, &number) || number * 1000 < (double)row->min ||
        number * 1000 > (double)row->max)
        return bad_value(row, value, err);
    kb_buf_put_bytes(&out->text, value);
    return KC_OK;
}

static kc_err parse_word(const kc_config_row *row, kc_bytes value, parsed *out, kc_error *err)
{
    const kc_word *word;
    KB_TRY(find_word(row, value, &word, err));
    out->number = word->value;
    kb_buf_put_bytes(&out->text, kc_str(word->name));
    return KC_OK;
}

static kc_err parse(const kc_config_row *row, kc_bytes value, parsed *out, kc_error *err)
{
    switch (row->kind) {
    case KC_KIND_INT:
    case KC_KIND_LONG:
        return parse_number(row, value, out, err);
    case KC_KIND_DOUBLE:
        return parse_double(row, value, out, err);
    case KC_KIND_BOOLEAN:
        out->number = kb_text_is(value, "true");
        if (!out->number && !kb_text_is(value, "false"))
            return bad_value(row, value, err);
        kb_buf_put_bytes(&out->text, kc_str(out->number ? "true" : "false"));
        return KC_OK;
    case KC_KIND_LIST:
        return read_list(row, value, &out->text, err);
    case KC_KIND_WORD_INT:
    case KC_KIND_WORD_BOOL:
    case KC_KIND_WORD_TEXT:
        return parse_word(row, value, out, err);
    case KC_KIND_STRING:
        break;
    }
    if (value.len == 0 && !row->may_be_empty)
        return bad_value(row, value, err);
    kb_buf_put_bytes(&out->text, value);
    return KC_OK;
}

static kc_err check_proxy(kb_mem *mem, kc_bytes text, kc_error *err)
{
    kn_proxy_url url;
    KB_TRY(kn_proxy_url_parse(mem, text, &url, err));
    kn_proxy_url_cleanup(&url);
    return KC_OK;
}

/** Checks of single properties that the table can't say. */
static kc_err check_one(kb_mem *mem, const kc_config_row *row, const parsed *value, kc_error *err)
{
    if (row->offset == offsetof(kc_settings, compression_type) &&
        !kp_codec_is_built((kp_codec)value->number))
        return kb_error_set(err, KC_ERR_CONFIG, "compression.type %s is left out of this build",
                            kp_codec_name((kp_codec)value->number));
    if (row->offset == offsetof(kc_settings, sasl_oauthbearer_token_endpoint_url) &&
        !kn_http_is_built())
        return kb_error_set(err, KC_ERR_CONFIG,
                            "%s: libcurl is left out of this build (KC_WITH_OIDC)",
                            row->property.name);
    if (row->offset == offsetof(kc_settings, compression_gzip_level) && value->number == 0)
        return bad_value(row, kb_buf_bytes(&value->text), err); /* 0 would store, not compress */
    if (row->offset == offsetof(kc_settings, proxy_url) && value->text.err == KC_OK)
        return check_proxy(mem, kb_buf_bytes(&value->text), err);
    return KC_OK;
}

/** Put it where the settings have it. `text` outlives the settings. */
static void store(kc_settings *settings, const kc_config_row *row, const char *text, int64_t number)
{
    void *field = (char *)settings + row->offset;
    switch (row->kind) {
    case KC_KIND_INT:
    case KC_KIND_WORD_INT:
        *(int32_t *)field = (int32_t)number;
        break;
    case KC_KIND_LONG:
        *(int64_t *)field = number;
        break;
    case KC_KIND_DOUBLE: {
        bool is_number = kb_parse_f64(kc_str(text), field);
        assert(is_number);
        (void)is_number;
        break;
    }
    case KC_KIND_BOOLEAN:
    case KC_KIND_WORD_BOOL:
        *(bool *)field = number != 0;
        break;
    case KC_KIND_STRING:
    case KC_KIND_LIST:
    case KC_KIND_WORD_TEXT:
        *(const char **)field = text;
        break;
    }
}

/** A default is known to be good: the tests parse each. */
static void store_default(kc_settings *settings, const kc_config_row *row)
{
    const char *text = row->property.default_value;
    int64_t number = 0;
    if (text) {
        if (row->kind == KC_KIND_INT || row->kind == KC_KIND_LONG) {
            bool is_number = kb_parse_i64(kc_str(text), &number);
            assert(is_number);
            (void)is_number;
        } else if (row->kind == KC_KIND_BOOLEAN) {
            number = kb_text_is(kc_str(text), "true");
        } else if (row->kind == KC_KIND_WORD_INT || row->kind == KC_KIND_WORD_BOOL) {
            const kc_word *word = NULL;
            kc_err found = find_word(row, kc_str(text), &word, NULL);
            assert(found == KC_OK && word);
            number = found == KC_OK && word ? word->value : 0;
        }
    }
    store(settings, row, text, number);
}

/* ---- the set ---- */

static kc_config *config_new(kb_mem *mem)
{
    kc_config *config =
        kb_mem_zalloc(mem, sizeof *config + kc_config_row_count * sizeof config->values[0]);
    if (!config)
        return NULL;
    for (size_t i = 0; i < kc_config_row_count; i++)
        store_default(&config->settings, &kc_config_rows[i]);
    return config;
}

kc_config *kc_config_new_in(kb_mem *mem)
{
    kc_config *config = config_new(mem);
    if (config)
        config->mem = mem;
    return config;
}

kc_config *kc_config_new(void)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    kc_config *config = config_new(&mem);
    if (!config)
        return NULL;
    config->own = mem; /* counts itself */
    config->mem = &config->own;
    return config;
}

/** Text and fields of `from` into the fresh `config`. */
static bool copy_values(kc_config *config, const kc_config *from)
{
    config->settings = from->settings;
    for (size_t i = 0; i < kc_config_row_count; i++) {
        const kc_config_row *row = &kc_config_rows[i];
        if (!from->values[i])
            continue;
        config->values[i] = kb_mem_strndup(config->mem, from->values[i], strlen(from->values[i]));
        if (!config->values[i])
            return false;
        if (row->kind == KC_KIND_STRING || row->kind == KC_KIND_LIST ||
            row->kind == KC_KIND_WORD_TEXT)
            store(&config->settings, row, config->values[i], 0);
    }
    return true;
}

static kc_config *copy_into(kc_config *config, const kc_config *from)
{
    if (config && !copy_values(config, from)) {
        kc_config_free(config);
        return NULL;
    }
    return config;
}

kc_config *kc_config_copy(const kc_config *config)
{
    return copy_into(kc_config_new(), config);
}

kc_config *kc_config_copy_in(kb_mem *mem, const kc_config *config)
{
    return copy_into(kc_config_new_in(mem), config);
}

static void free_value(kc_config *config, const kc_config_row *row)
{
    char *value = config->values[index_of(row)];
    if (row->is_secret)
        kb_mem_free_secret(config->mem, value);
    else
        kb_mem_free(config->mem, value);
}

void kc_config_free(kc_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < kc_config_row_count; i++)
        free_value(config, &kc_config_rows[i]);
    kb_mem own = config->own;
    bool is_own = config->mem == &config->own;
    kb_mem_free(is_own ? &own : config->mem, config);
    assert(!is_own || own.used == 0);
}

/** Fewest letters to change, add or drop to make one name of the other (Levenshtein). */
static size_t distance(kc_bytes a, kc_bytes b)
{
    size_t row[64];
    if (a.len >= sizeof row / sizeof row[0] || b.len >= sizeof row / sizeof row[0])
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            size_t drop = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < drop ? change : drop;
        }
    }
    return row[b.len];
}

static kc_err unknown_name(kc_bytes name, kc_error *err)
{
    const char *refusal = kc_config_refusal(name);
    if (refusal)
        return kb_error_set(err, KC_ERR_CONFIG, "%.*s can't be set: %s", quoted_len(name),
                            (const char *)name.ptr, refusal);
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < kc_config_row_count; i++) {
        kc_bytes known = kc_str(kc_config_rows[i].property.name);
        size_t steps = distance(name, known);
        // farther away it is another word
        if (steps < least && (steps <= NEAR_STEPS || steps <= known.len / 3)) {
            least = steps;
            nearest = kc_config_rows[i].property.name;
        }
    }
    if (!nearest)
        return kb_error_set(err, KC_ERR_CONFIG, "there is no property \"%.*s\"", quoted_len(name),
                            (const char *)name.ptr);
    return kb_error_set(err, KC_ERR_CONFIG, "there is no property \"%.*s\"; the nearest is %s",
                        quoted_len(name), (const char *)name.ptr, nearest);
}

/** Keep a value that passed all checks. */
static kc_err keep(kc_config *config, const kc_config_row *row, const parsed *value, kc_error *err)
{
    kc_bytes text = kb_buf_bytes(&value->text);
    char *copy = value->text.err == KC_OK ? kb_mem_strndup(config->mem, text.ptr, text.len) : NULL;
    if (!copy)
        return kb_error_code(err, KC_ERR_NOMEM);
    free_value(config, row);
    config->values[index_of(row)] = copy;
    store(&config->settings, row, copy, value->number);
    return KC_OK;
}

static kc_err set_row(kc_config *config, const kc_config_row *row, kc_bytes text, kc_error *err)
{
    parsed value = {.number = 0};
    kb_buf_init(&value.text, config->mem, VALUE_BYTES_MAX);
    value.text.is_secret = row->is_secret;
    kc_err result = parse(row, text, &value, err);
    if (result == KC_OK)
        result = check_one(config->mem, row, &value, err);
    if (result == KC_OK)
        result = keep(config, row, &value, err);
    kb_buf_cleanup(&value.text);
    return result;
}

static kc_err set(kc_config *config, kc_bytes name, kc_bytes value, kc_error *err)
{
    const kc_config_row *row = row_by_name(name);
    if (!row)
        return unknown_name(name, err);
    if (value.len > VALUE_BYTES_MAX || (value.len > 0 && memchr(value.ptr, 0, value.len)))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "%s: the value is above %d bytes or has a zero byte",
                            row->property.name, VALUE_BYTES_MAX);
    /* Blanks may be part of a password. */
    return set_row(config, row, row->is_secret ? value : kb_text_trim(value), err);
}

kc_err kc_config_set(kc_config *config, const char *name, const char *value, kc_error *err)
{
    if (!name || !value)
        return kb_error_set(err, KC_ERR_CONFIG, "a property needs a name and a value");
    return set(config, kc_str(name), kc_str(value), err);
}

const char *kc_config_get(kc_config *config, const char *name)
{
    const kc_config_row *row = name ? row_by_name(kc_str(name)) : NULL;
    if (!row)
        return NULL;
    const char *value = config->values[index_of(row)];
    if (!value)
        value = row->property.default_value;
    else if (row->is_secret)
        value = "[hidden]";
    return value ? value : "";
}

bool kc_config_is_set(const kc_config *config, const char *name)
{
    const kc_config_row *row = name ? row_by_name(kc_str(name)) : NULL;
    return row && config->values[index_of(row)];
}

const kc_property *kc_config_property(size_t index)
{
    return index < kc_config_row_count ? &kc_config_rows[index].property : NULL;
}

const kc_settings *kc_config_settings(const kc_config *config)
{
    return &config->settings;
}

/* ---- files ---- */

static kc_err load_line(kc_config *config, kc_bytes line, const char *path, size_t number,
                        kc_error *err)
{
    line = kb_text_trim(line);
    if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == '!')
        return KC_OK;
    const uint8_t *equals = memchr(line.ptr, '=', line.len);
    if (!equals)
        return kb_error_set(err, KC_ERR_CONFIG, "%s:%zu: not of the form name=value", path, number);
    if (line.ptr[line.len - 1] == '\\')
        return kb_error_set(err, KC_ERR_CONFIG,
                            "%s:%zu: a value can't go on in the next line: write it in one", path,
                            number);
    kc_bytes name = kb_text_trim(kc_span(line.ptr, (size_t)(equals - line.ptr)));
    kc_bytes value = kb_text_trim(kc_span(equals + 1, (size_t)(line.ptr + line.len - equals - 1)));
    kc_error inner = {.code = KC_OK};
    kc_err result = set(config, name, value, &inner);
    if (result == KC_OK)
        return KC_OK;
    return kb_error_set(err, result, "%s:%zu: %s", path, number, inner.text);
}

static kc_err read_file(const char *path, kb_buf *out, kc_error *err)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return kb_error_errno(err, KC_ERR_IO, errno, "%s can't be opened", path);
    kc_err result = KC_OK;
    (void)setvbuf(file, NULL, _IONBF, 0); // a buffer of stdio's would keep passwords
    for (;;) {
        uint8_t *room = kb_buf_reserve(out, 4096);
        if (!room)
            break;
        size_t len = fread(room, 1, 4096, file);
        out->len += len;
        if (len == 0)
            break;
    }
    if (ferror(file))
        result = kb_error_errno(err, KC_ERR_IO, errno, "%s can't be read", path);
    else if (out->err != KC_OK)
        result = out->err == KC_ERR_NOMEM ? kb_error_code(err, KC_ERR_NOMEM)
                                          : kb_error_set(err, KC_ERR_CONFIG, "%s is above %d bytes",
                                                         path, FILE_BYTES_MAX);
    (void)fclose(file);
    return result;
}

kc_err kc_config_load(kc_config *config, const char *path, kc_error *err)
{
    kb_buf text;
    kb_buf_init(&text, config->mem, FILE_BYTES_MAX + 4096);
    text.is_secret = true; // it may hold passwords
    kc_err result = read_file(path, &text, err);
    kc_bytes rest = kb_buf_bytes(&text), line;
    for (size_t number = 1; result == KC_OK && kb_text_split(&rest, '\n', &line); number++)
        result = load_line(config, line, path, number, err);
    kb_buf_cleanup(&text);
    return result;
}

/* ---- checks across properties ---- */

static kc_err check_times(const kc_settings *settings, kc_error *err)
{
    int64_t needed = (int64_t)settings->linger_ms + settings->request_timeout_ms;
    if (needed > settings->delivery_timeout_ms)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "delivery.timeout.ms is %d, but must be at least linger.ms + "
                            "request.timeout.ms = %lld",
                            settings->delivery_timeout_ms, (long long)needed);
    if (settings->heartbeat_interval_ms >= settings->session_timeout_ms)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "heartbeat.interval.ms is %d, but must be below session.timeout.ms = "
                            "%d",
                            settings->heartbeat_interval_ms, settings->session_timeout_ms);
    return KC_OK;
}

/** What may be held at once has to fit, or the first big fetch would fail for lack of memory. */
static kc_err check_memory(const kc_settings *settings, kc_error *err)
{
    int64_t records_max = settings->memory_bytes_max - KC_MEMORY_RESERVE_BYTES;
    if (settings->memory_bytes_max < 2 * (int64_t)KC_MEMORY_RESERVE_BYTES)
        records_max = settings->memory_bytes_max / 2;
    if (settings->buffer_memory > records_max)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "buffer.memory is %lld, but memory.bytes.max leaves only %lld for "
                            "records: lower the one or raise the other",
                            (long long)settings->buffer_memory, (long long)records_max);
    int64_t fetched = settings->fetch_max_bytes + settings->decompressed_bytes_max;
    if (fetched > records_max)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "fetch.max.bytes + decompressed.bytes.max are %lld, but "
                            "memory.bytes.max leaves only %lld for records: lower those or raise "
                            "this",
                            (long long)fetched, (long long)records_max);
    return KC_OK;
}

kc_err kc_config_check(const kc_config *config, kc_error *err)
{
    KB_TRY(check_times(&config->settings, err));
    return check_memory(&config->settings, err);
}
