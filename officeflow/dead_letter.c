/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Headers of retry and dead letter records, and the hashes that identify and group dead letters. */
#define _POSIX_C_SOURCE 200809L // gethostname
#include "officeflow/dead_letter.h"

#include "officeflow/catalogue.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

/* ---- origin ---- */

static bool is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

static bool is_topic_name(kc_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_word(name.ptr[i]) && name.ptr[i] != '.' && name.ptr[i] != '_')
            return false;
    return name.len > 0 && name.len <= KC_TOPIC_NAME_MAX;
}

bool of_origin_parse(kc_bytes text, of_origin *origin_out)
{
    kc_bytes rest = text, topic, part;
    int64_t numbers[5];
    // it becomes part of the name of a topic, which must be one that can be
    if (!kb_text_split(&rest, '/', &topic) || !is_topic_name(topic))
        return false;
    for (size_t i = 0; i < 5; i++)
        if (!kb_text_split(&rest, '/', &part) || !kb_parse_i64(part, &numbers[i]))
            return false;
    if (rest.ptr || numbers[0] < 0 || numbers[0] > INT32_MAX || numbers[1] < 0 || numbers[3] < -1 ||
        numbers[3] > 1 || numbers[4] < -1 || numbers[4] > INT32_MAX)
        return false;
    *origin_out = (of_origin){
        .topic = topic,
        .partition = (int32_t)numbers[0],
        .offset = numbers[1],
        .timestamp_ms = numbers[2],
        .timestamp_type = (kc_timestamp_type)numbers[3],
        .leader_epoch = (int32_t)numbers[4],
    };
    return true;
}

void of_origin_put(of_headers *headers, const of_origin *origin)
{
    of_headers_printf(headers, OF_H_ORIGIN, KC_FMT "/%d/%lld/%lld/%d/%d", KC_ARG(origin->topic),
                      origin->partition, (long long)origin->offset, (long long)origin->timestamp_ms,
                      (int)origin->timestamp_type, origin->leader_epoch);
}

/* ---- hashes ---- */

/** First `digits` hex digits of the SHA-256 of the parts, each ended by a zero byte so that they
 * can't run together. */
static void hash_hex(const kc_bytes *parts, size_t count, size_t digits, char *out)
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; is_ok && i < count; i++)
        is_ok = EVP_DigestUpdate(ctx, parts[i].ptr ? parts[i].ptr : (const uint8_t *)"",
                                 parts[i].len) == 1 &&
                EVP_DigestUpdate(ctx, "", 1) == 1;
    if (is_ok)
        EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    for (size_t i = 0; i < digits / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void of_dead_letter_id(const char *cluster_id, kc_bytes group, const of_origin *origin,
                       char id_out[17])
{
    char place[48];
    snprintf(place, sizeof place, "%d/%lld", origin->partition, (long long)origin->offset);
    kc_bytes parts[] = {kc_str(cluster_id), group, origin->topic, kc_str(place)};
    hash_hex(parts, 4, 16, id_out);
}

/** Replace what differs from case to case: words with a digit in them (numbers, hex, uuids) and
 * quoted text. */
static size_t mask(kc_bytes message, char out[OF_MESSAGE_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < message.len && len < OF_MESSAGE_MAX;) {
        uint8_t c = message.ptr[i];
        size_t begin = i;
        if (c == '"' || c == '\'') {
            const uint8_t *end = memchr(message.ptr + i + 1, c, message.len - i - 1);
            if (end) {
                out[len++] = '*';
                i = (size_t)(end - message.ptr) + 1;
                continue;
            }
        }
        bool has_digit = false;
        for (; i < message.len && is_word(message.ptr[i]); i++)
            has_digit |= message.ptr[i] >= '0' && message.ptr[i] <= '9';
        if (i == begin) {
            out[len++] = (char)c;
            i++;
        } else if (has_digit) {
            out[len++] = '#';
        } else {
            for (; begin < i && len < OF_MESSAGE_MAX; begin++)
                out[len++] = (char)message.ptr[begin];
        }
    }
    return len;
}

void of_fingerprint(kc_bytes handler, of_class failure_class, kc_bytes code, kc_bytes message,
                    char text_out[13])
{
    char masked[OF_MESSAGE_MAX];
    size_t len = mask(message, masked);
    kc_bytes parts[] = {handler, kc_str(of_class_name(failure_class)), code, kc_span(masked, len)};
    hash_hex(parts, 4, 12, text_out);
}

/* ---- headers ---- */

const char *of_host_name(void)
{
    static char name[65];
    if (!name[0] && gethostname(name, sizeof name - 1) != 0)
        snprintf(name, sizeof name, "unknown");
    return name;
}

void of_headers_strip(of_headers *headers)
{
    static const char *const names[] = {OF_H_ATTEMPT, OF_H_FIRST_FAILED, OF_H_DUE,
                                        OF_H_ORIGIN,  OF_H_STAGE,        OF_H_GROUP};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        of_headers_remove(headers, names[i]);
    of_headers_remove_prefix(headers, OF_H_DLQ_PREFIX);
    of_headers_remove_prefix(headers, "__dlq.errors.");
    of_headers_remove_prefix(headers, OF_H_REDRIVE);
}

void of_death_put(of_headers *headers, const of_death *death, const char id[17])
{
    char fingerprint[13];
    of_fingerprint(death->handler, death->failure_class, death->code, death->message, fingerprint);
    of_headers_strip(headers);
    of_headers_set(headers, OF_H_DLQ_TOPIC, death->origin.topic);
    of_headers_set_i64(headers, OF_H_DLQ_PARTITION, death->origin.partition);
    of_headers_set_i64(headers, OF_H_DLQ_OFFSET, death->origin.offset);
    of_headers_set(headers, OF_H_DLQ_GROUP, death->group);
    of_headers_set_i64(headers, OF_H_DLQ_COUNT, death->attempts);
    of_headers_set(headers, OF_H_DLQ_MESSAGE, death->message);
    of_headers_set(headers, OF_H_GROUP, death->group);
    of_origin_put(headers, &death->origin);
    of_headers_printf(headers, OF_H_DLQ_ID, "%s", id);
    of_headers_set(headers, OF_H_DLQ_CLASS, kc_str(of_class_name(death->failure_class)));
    of_headers_set(headers, OF_H_DLQ_CODE, death->code);
    of_headers_printf(headers, OF_H_DLQ_FINGERPRINT, "%s", fingerprint);
    of_headers_set(headers, OF_H_DLQ_HANDLER, death->handler);
    of_headers_set(headers, OF_H_DLQ_HOST, kc_str(of_host_name()));
    of_headers_set(headers, OF_H_DLQ_CLIENT, death->client_id);
    of_headers_set_i64(headers, OF_H_DLQ_FIRST, death->first_ms);
    of_headers_set_i64(headers, OF_H_DLQ_LAST, death->last_ms);
    of_headers_set_i64(headers, OF_H_DLQ_ORIGIN_TS, death->origin.timestamp_ms);
    of_headers_set_i64(headers, OF_H_DLQ_ORIGIN_TSTYPE, death->origin.timestamp_type);
    of_headers_set_i64(headers, OF_H_DLQ_ORIGIN_EPOCH, death->origin.leader_epoch);
    of_headers_set_i64(headers, OF_H_DLQ_REDRIVES, death->redrives);
    of_headers_set(headers, OF_H_DLQ_HISTORY, death->history);
}

static int64_t number_or(const of_message *message, const char *name, int64_t fallback)
{
    int64_t value;
    return of_header_i64(message->headers, message->header_count, name, &value) ? value : fallback;
}

/** A count from a header, which a stranger may have written; -1: none that can be. */
static int32_t count_of(const of_message *message, const char *name)
{
    int64_t value = number_or(message, name, 0);
    return value >= 0 && value <= OF_COUNT_MAX ? (int32_t)value : -1;
}

/** Our ids: 16 hex digits. They become keys and parts of other headers. */
static bool is_id(kc_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] >= '0' && text.ptr[i] <= '9') ||
              (text.ptr[i] >= 'a' && text.ptr[i] <= 'f')))
            return false;
    return text.len == 16;
}

bool of_dead_letter_read(const of_message *message, of_dead_letter *letter_out)
{
    const kc_header *headers = message->headers;
    size_t count = message->header_count;
    int64_t partition = number_or(message, OF_H_DLQ_PARTITION, -1);
    of_dead_letter letter = {
        .topic = of_header_text(headers, count, OF_H_DLQ_TOPIC),
        .group = of_header_text(headers, count, OF_H_DLQ_GROUP),
        .partition = (int32_t)partition,
        .offset = number_or(message, OF_H_DLQ_OFFSET, -1),
        .failure_class = of_class_by_name(of_header_text(headers, count, OF_H_DLQ_CLASS)),
        .code = of_header_text(headers, count, OF_H_DLQ_CODE),
        .message = of_header_text(headers, count, OF_H_DLQ_MESSAGE),
        .fingerprint = of_header_text(headers, count, OF_H_DLQ_FINGERPRINT),
        .handler = of_header_text(headers, count, OF_H_DLQ_HANDLER),
        .history = of_header_text(headers, count, OF_H_DLQ_HISTORY),
        .attempts = count_of(message, OF_H_DLQ_COUNT),
        .redrives = count_of(message, OF_H_DLQ_REDRIVES),
        .first_ms = number_or(message, OF_H_DLQ_FIRST, 0),
        .last_ms = number_or(message, OF_H_DLQ_LAST, 0),
        .type = of_header_text(headers, count, OF_H_TYPE),
        .organization_id = of_header_text(headers, count, OF_H_ORG),
        .correlation_id = of_header_text(headers, count, OF_H_CORRELATION),
        .key = message->key,
        .value = message->value,
        .headers = headers,
        .header_count = count,
    };
    if (letter.topic.len == 0 || letter.group.len == 0 || partition < 0 || partition > INT32_MAX ||
        letter.offset < 0 || letter.redrives < 0)
        return false;
    kc_bytes id = of_header_text(headers, count, OF_H_DLQ_ID);
    if (letter.attempts < 0)
        letter.attempts = 0;
    if (is_id(id)) {
        memcpy(letter.id, id.ptr, 16);
    } else { // a broker's own (KIP-1191): its place identifies it
        of_origin origin = {
            .topic = letter.topic, .partition = letter.partition, .offset = letter.offset};
        of_dead_letter_id("", letter.group, &origin, letter.id);
    }
    if (letter.failure_class == OF_CLASS_NONE)
        letter.failure_class = OF_CLASS_RETRIES_EXHAUSTED;
    letter.is_strict = of_type_is_strict(letter.type);
    *letter_out = letter;
    return true;
}

kc_bytes of_history_add(kb_arena *arena, kc_bytes history, int32_t attempt, int64_t wall_ms,
                        of_stage stage, of_class failure_class, kc_bytes code)
{
    kc_bytes entries[OF_HISTORY_ENTRIES_MAX], raw;
    size_t count = 0, bytes = 256; // the new entry's share
    kb_json_reader reader;
    kb_json_reader_init(&reader, history);
    if (history.ptr && kb_json_next(&reader) == KB_JSON_ARRAY) {
        while (kb_json_value(&reader, &raw) == KB_JSON_OBJECT) {
            if (count ==
                OF_HISTORY_ENTRIES_MAX - 1) // the oldest goes, but the first one tells how it began
                memmove(entries + 1, entries + 2, (--count - 1) * sizeof *entries);
            entries[count++] = raw;
        }
    }
    for (size_t i = 0; i < count; i++)
        bytes += entries[i].len + 1;
    for (size_t i = 0; bytes > OF_HISTORY_BYTES_MAX && i < count; i++) {
        bytes -= entries[i].len + 1;
        entries[i].len = 0;
    }
    kb_buf buf;
    kb_buf_init(&buf, arena->mem, 0);
    kb_json_writer writer;
    kb_json_writer_init(&writer, &buf);
    kb_json_array(&writer);
    for (size_t i = 0; i < count; i++)
        if (entries[i].len > 0)
            kb_json_raw(&writer, entries[i]);
    kb_json_object(&writer);
    kb_json_member_int(&writer, "n", attempt);
    kb_json_member_int(&writer, "t", wall_ms);
    kb_json_member_str(&writer, "stage", of_stage_name(stage));
    kb_json_member_str(&writer, "class", of_class_name(failure_class));
    kb_json_member_string(&writer, "code", code);
    kb_json_member_str(&writer, "host", of_host_name());
    kb_json_object_end(&writer);
    kb_json_array_end(&writer);
    kc_bytes copy = buf.err == KC_OK ? kb_arena_copy(arena, kb_buf_bytes(&buf)) : KC_NULL;
    kb_buf_cleanup(&buf);
    return copy;
}

const char *of_retry_topic(kb_arena *arena, kc_bytes group, const char *tier)
{
    return kb_arena_printf(arena, OF_RETRY_PREFIX KC_FMT ".%s", KC_ARG(group), tier);
}
