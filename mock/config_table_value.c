/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which values a config may have, and what Kafka says of the others. */
#include "mock/config_table.h"
#include "mock/text.h"
#include "protocol/base/text.h"

#include <stdio.h>

static bool refuse(const km_config_row *row, kc_bytes value, kb_arena *arena, kc_bytes *why_out,
                   const char *reason)
{
    *why_out = KM_TEXT(arena, "Invalid value " KC_FMT " for configuration %s: %s", KC_ARG(value),
                       row->name, reason);
    return false;
}

static const char *type_name(km_config_type type)
{
    switch (type) {
    case KM_CONFIG_INT:
        return "INT";
    case KM_CONFIG_SHORT:
        return "SHORT";
    case KM_CONFIG_DOUBLE:
        return "DOUBLE";
    default:
        return "LONG";
    }
}

static bool fits(km_config_type type, int64_t number)
{
    if (type == KM_CONFIG_INT)
        return number >= INT32_MIN && number <= INT32_MAX;
    return type != KM_CONFIG_SHORT || (number >= INT16_MIN && number <= INT16_MAX);
}

static bool check_number(const km_config_row *row, kc_bytes value, kb_arena *arena,
                         kc_bytes *why_out)
{
    int64_t whole = 0;
    double number = 0;
    char reason[80];
    bool is_number = row->type == KM_CONFIG_DOUBLE
                         ? kb_parse_f64(value, &number)
                         : kb_parse_i64(value, &whole) && fits(row->type, whole);
    if (!is_number) {
        snprintf(reason, sizeof reason, "Not a number of type %s", type_name(row->type));
        return refuse(row, value, arena, why_out, reason);
    }
    bool is_low = row->type == KM_CONFIG_DOUBLE ? number < (double)row->min : whole < row->min;
    bool is_high = row->type == KM_CONFIG_DOUBLE ? number > (double)row->max : whole > row->max;
    /* The one whose range has a hole: 1 to 9, or -1 for the default. */
    if (kb_text_is(kc_str(row->name), "compression.gzip.level")) {
        if (!is_low && !is_high && whole != 0)
            return true;
        return refuse(row, value, arena, why_out, "Value must be between 1 and 9 or equal to -1");
    }
    if (!is_low && !is_high)
        return true;
    if (is_low)
        snprintf(reason, sizeof reason, "Value must be at least %lld", (long long)row->min);
    else
        snprintf(reason, sizeof reason, "Value must be no more than %lld", (long long)row->max);
    return refuse(row, value, arena, why_out, reason);
}

static bool is_one_of(const char *words, kc_bytes value)
{
    kc_bytes rest = kc_str(words), word;
    while (kb_text_split(&rest, ',', &word))
        if (kc_bytes_equal(kb_text_trim(word), value))
            return true;
    return false;
}

static bool check_word(const km_config_row *row, kc_bytes word, kb_arena *arena, kc_bytes *why_out)
{
    char reason[160];
    if (!row->one_of || is_one_of(row->one_of, word))
        return true;
    snprintf(reason, sizeof reason, "String must be one of: %s", row->one_of);
    return refuse(row, word, arena, why_out, reason);
}

/** "0:1": a partition and a broker. */
static bool is_replica(kc_bytes text)
{
    kc_bytes rest = text, number;
    uint64_t value;
    int count = 0;
    while (kb_text_split(&rest, ':', &number))
        if (!kb_parse_u64(number, &value) || ++count > 2)
            return false;
    return count == 2;
}

static bool check_throttled(const km_config_row *row, kc_bytes value, kb_arena *arena,
                            kc_bytes *why_out)
{
    kc_bytes rest = value, piece;
    bool is_good = true;
    if (value.len == 0 || kc_bytes_equal(value, KC_STR("*")))
        return true;
    while (is_good && kb_text_split(&rest, ',', &piece))
        is_good = is_replica(kb_text_trim(piece));
    if (!is_good)
        *why_out = KM_TEXT(arena,
                           "Invalid value [" KC_FMT
                           "] for configuration %s: %s must be the literal '*' or a list "
                           "of replicas in the following format: "
                           "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
                           KC_ARG(value), row->name, row->name);
    return is_good;
}

static bool check_list(const km_config_row *row, kc_bytes value, kb_arena *arena, kc_bytes *why_out)
{
    kc_bytes rest = value, word;
    if (kb_text_contains(kc_str(row->name), KC_STR(".throttled.replicas")))
        return check_throttled(row, value, arena, why_out);
    if (value.len == 0)
        return true;
    while (kb_text_split(&rest, ',', &word))
        if (!check_word(row, kb_text_trim(word), arena, why_out))
            return false;
    return true;
}

static bool check_offset_reset(const km_config_row *row, kc_bytes value, kb_arena *arena,
                               kc_bytes *why_out)
{
    kc_bytes prefix = KC_STR("by_duration:P");
    if (is_one_of("earliest, latest", value) ||
        (kb_text_starts(value, prefix) && value.len > prefix.len))
        return true;
    *why_out = KM_TEXT(arena,
                       "Invalid value " KC_FMT " for configuration %s: Invalid value `" KC_FMT
                       "` for configuration %s. The value must be either 'earliest', "
                       "'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
                       KC_ARG(value), row->name, KC_ARG(value), row->name);
    return false;
}

bool km_config_is_valid(const km_config_row *row, kc_bytes value, kb_arena *arena,
                        kc_bytes *why_out)
{
    kc_bytes trimmed = kb_text_trim(value);
    switch (row->type) {
    case KM_CONFIG_BOOLEAN:
        if (kb_text_is(trimmed, "true") || kb_text_is(trimmed, "false"))
            return true;
        return refuse(row, value, arena, why_out, "Expected value to be either true or false");
    case KM_CONFIG_INT:
    case KM_CONFIG_SHORT:
    case KM_CONFIG_LONG:
    case KM_CONFIG_DOUBLE:
        return check_number(row, trimmed, arena, why_out);
    case KM_CONFIG_LIST:
        return check_list(row, trimmed, arena, why_out);
    case KM_CONFIG_STRING:
        if (kb_text_is(kc_str(row->name), "share.auto.offset.reset"))
            return check_offset_reset(row, trimmed, arena, why_out);
        return check_word(row, trimmed, arena, why_out);
    default:
        return true;
    }
}
