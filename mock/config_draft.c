/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Changes of configs, checked as a whole: names first, then values, then what does not go together. */
#include "mock/config_draft.h"

#include "mock/text.h"
#include "protocol/base/text.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>
#include <stdio.h>

kc_err km_config_draft_init(km_config_draft *draft, kb_arena *arena, const kb_map *configs,
                            size_t more)
{
    *draft = (km_config_draft){.arena = arena, .cap = (configs ? configs->count : 0) + more};
    size_t slots = 4;
    while (slots < 2 * draft->cap)
        slots *= 2;
    draft->mask = slots - 1;
    draft->slots = kb_arena_array(arena, slots, sizeof *draft->slots);
    draft->items = kb_arena_array(arena, draft->cap, sizeof *draft->items);
    if (!draft->slots || !draft->items)
        return KC_ERR_NOMEM;
    memset(draft->slots, 0, slots * sizeof *draft->slots);
    size_t pos = 0;
    const km_config *config;
    while (configs && (config = kb_map_next(configs, &pos)))
        km_config_draft_set(draft, config->name, config->value);
    return KC_OK;
}

/** Of that name, or where it goes. */
static uint32_t *slot_of(const km_config_draft *draft, kc_bytes name)
{
    size_t at = kb_hash(name) & draft->mask;
    while (draft->slots[at] && !kc_bytes_equal(draft->items[draft->slots[at] - 1].name, name))
        at = (at + 1) & draft->mask;
    return &draft->slots[at];
}

kc_bytes km_config_draft_get(const km_config_draft *draft, kc_bytes name)
{
    uint32_t number = *slot_of(draft, name);
    return number ? draft->items[number - 1].value : KC_NULL;
}

void km_config_draft_set(km_config_draft *draft, kc_bytes name, kc_bytes value)
{
    uint32_t *slot = slot_of(draft, name);
    if (!*slot) {
        if (!value.ptr)
            return;
        assert(draft->count < draft->cap);
        *slot = (uint32_t)++draft->count;
    }
    draft->items[*slot - 1] = (km_config){name, value};
}

/** Walk what is set: start with *pos = 0; NULL at the end. */
static const km_config *next_set(const km_config_draft *draft, size_t *pos)
{
    while (*pos < draft->count) {
        const km_config *config = &draft->items[(*pos)++];
        if (config->value.ptr)
            return config;
    }
    return NULL;
}

/* ---- checks ---- */

/** As it would be in force; `name` is in the table. */
static int64_t number_of(const km_config_draft *draft, int8_t resource_type, const char *name)
{
    int64_t number = 0;
    kc_bytes set = km_config_draft_get(draft, kc_str(name));
    const km_config_row *row = km_config_row_find(resource_type, kc_str(name));
    if (set.ptr && kb_parse_i64(kb_text_trim(set), &number))
        return number;
    if (row && row->fallback && kb_parse_i64(kc_str(row->fallback), &number))
        return number;
    return 0;
}

static int16_t check_topic(const km_config_draft *draft, kc_bytes *why_out)
{
    int64_t lowest = number_of(draft, KM_RESOURCE_TOPIC, "min.compaction.lag.ms");
    int64_t highest = number_of(draft, KM_RESOURCE_TOPIC, "max.compaction.lag.ms");
    if (lowest > highest) {
        *why_out = KM_TEXT(draft->arena,
                           "conflict topic config setting min.compaction.lag.ms (%lld) > "
                           "max.compaction.lag.ms (%lld)",
                           (long long)lowest, (long long)highest);
        return KC_E_INVALID_CONFIG;
    }
    kc_bytes tiered = km_config_draft_get(draft, KC_STR("remote.storage.enable"));
    if (tiered.ptr && kb_text_is(kb_text_trim(tiered), "true")) {
        *why_out = KC_STR("Tiered Storage functionality is disabled in the broker. Topic cannot be "
                          "configured with remote log storage.");
        return KC_E_INVALID_CONFIG;
    }
    return 0;
}

/** The broker's limit of a group's config: "a.b.ms" has "group.a.min.b.ms", "a.num.b" has "group.a.max.b". False: it has
 * none. */
static bool broker_limit(const km_config_row *row, const char *which, char name_out[96],
                         int64_t *limit_out)
{
    const char *dot = strchr(row->name, '.');
    if (!dot)
        return false;
    if (strncmp(dot, ".num.", 5) == 0)
        dot += 4;
    snprintf(name_out, 96, "group.%.*s.%s%s", (int)strcspn(row->name, "."), row->name, which, dot);
    const km_config_row *limit = km_config_row_find(KM_RESOURCE_BROKER, kc_str(name_out));
    const char *value = limit ? (limit->given ? limit->given : limit->fallback) : NULL;
    return value && kb_parse_i64(kc_str(value), limit_out);
}

static int16_t check_group(const km_config_draft *draft, kc_bytes *why_out)
{
    size_t pos = 0;
    const km_config *config;
    while ((config = next_set(draft, &pos))) {
        const km_config_row *row = km_config_row_find(KM_RESOURCE_GROUP, config->name);
        char name[96];
        int64_t value, limit;
        if (row->type != KM_CONFIG_INT || !kb_parse_i64(kb_text_trim(config->value), &value))
            continue;
        if (broker_limit(row, "min", name, &limit) && value < limit) {
            *why_out =
                KM_TEXT(draft->arena, "%s must be greater than or equal to %s", row->name, name);
            return KC_E_INVALID_CONFIG;
        }
        if (broker_limit(row, "max", name, &limit) && value > limit) {
            *why_out =
                KM_TEXT(draft->arena, "%s must be less than or equal to %s", row->name, name);
            return KC_E_INVALID_CONFIG;
        }
    }
    static const char *const kinds[] = {"consumer", "share", "streams"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char session[64], heartbeat[64];
        snprintf(session, sizeof session, "%s.session.timeout.ms", kinds[i]);
        snprintf(heartbeat, sizeof heartbeat, "%s.heartbeat.interval.ms", kinds[i]);
        if (number_of(draft, KM_RESOURCE_GROUP, session) >
            number_of(draft, KM_RESOURCE_GROUP, heartbeat))
            continue;
        *why_out = KM_TEXT(draft->arena, "%s must be greater than %s", session, heartbeat);
        return KC_E_INVALID_CONFIG;
    }
    return 0;
}

/** What a client can be known by. */
static bool is_client_label(kc_bytes name)
{
    static const char *const names[] = {"client_instance_id",    "client_id",
                                        "client_software_name",  "client_software_version",
                                        "client_source_address", "client_source_port"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (kb_text_is(name, names[i]))
            return true;
    return false;
}

/** "client_software_name=kcat.*": a name and a pattern, in which there is no further "=". */
static bool is_match(kc_bytes text)
{
    kc_bytes rest = text, name;
    if (!kb_text_split(&rest, '=', &name) || !is_client_label(kb_text_trim(name)) || !rest.ptr)
        return false;
    kc_bytes pattern = kb_text_trim(rest);
    return pattern.len > 0 && !kb_text_contains(pattern, KC_STR("="));
}

static int16_t check_metrics(const km_config_draft *draft, kc_bytes *why_out)
{
    kc_bytes interval = km_config_draft_get(draft, KC_STR("interval.ms"));
    int64_t ms;
    if (interval.ptr && kb_parse_i64(kb_text_trim(interval), &ms) && (ms < 100 || ms > 3600000)) {
        *why_out = KM_TEXT(draft->arena,
                           "Invalid value %lld for interval.ms, interval must be between 100 "
                           "and 3600000 (1 hour)",
                           (long long)ms);
        return KC_E_INVALID_REQUEST;
    }
    kc_bytes rest = km_config_draft_get(draft, KC_STR("match")), piece;
    if (rest.len == 0)
        return 0;
    while (kb_text_split(&rest, ',', &piece))
        if (!is_match(piece)) {
            *why_out =
                KM_TEXT(draft->arena, "Illegal client matching pattern: " KC_FMT, KC_ARG(piece));
            return KC_E_INVALID_CONFIG;
        }
    return 0;
}

static int16_t unknown_name(const km_config_draft *draft, int8_t resource_type, kc_bytes name,
                            kc_bytes *why_out)
{
    if (resource_type == KM_RESOURCE_CLIENT_METRICS) {
        *why_out =
            KM_TEXT(draft->arena, "Unknown client metrics configuration: " KC_FMT, KC_ARG(name));
        return KC_E_INVALID_REQUEST;
    }
    *why_out = KM_TEXT(draft->arena, "Unknown %s config name: " KC_FMT,
                       resource_type == KM_RESOURCE_TOPIC ? "topic" : "group", KC_ARG(name));
    return KC_E_INVALID_CONFIG;
}

int16_t km_config_draft_check(const km_config_draft *draft, int8_t resource_type, kc_bytes *why_out)
{
    *why_out = KC_NULL;
    if (resource_type == KM_RESOURCE_BROKER)
        return 0;
    size_t pos = 0;
    const km_config *config;
    while ((config = next_set(draft, &pos)))
        if (!km_config_row_find(resource_type, config->name))
            return unknown_name(draft, resource_type, config->name, why_out);
    pos = 0;
    while ((config = next_set(draft, &pos))) {
        const km_config_row *row = km_config_row_find(resource_type, config->name);
        if (!km_config_is_valid(row, config->value, draft->arena, why_out))
            return KC_E_INVALID_CONFIG;
    }
    if (resource_type == KM_RESOURCE_TOPIC)
        return check_topic(draft, why_out);
    if (resource_type == KM_RESOURCE_GROUP)
        return check_group(draft, why_out);
    return check_metrics(draft, why_out);
}

kc_err km_config_draft_apply(const km_config_draft *draft, kb_map *configs, kb_mem *mem)
{
    kb_map made;
    kb_map_init(&made, mem);
    size_t pos = 0;
    const km_config *config;
    while ((config = next_set(draft, &pos)))
        if (km_configs_set(&made, mem, config->name, config->value)) {
            km_configs_cleanup(&made, mem);
            return KC_ERR_NOMEM;
        }
    km_configs_cleanup(configs, mem);
    *configs = made;
    return KC_OK;
}
