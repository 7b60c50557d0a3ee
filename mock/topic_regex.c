/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Matching: all steps of the pattern that are possible after a byte of the name are followed at once (Thompson), so
 * nothing is ever tried twice. The patterns are compiled by topic_regex_parse.c. */
#include "mock/topic_regex_core.h"

void km_regex_free(km_regex *regex)
{
    if (!regex)
        return;
    kb_mem *mem = regex->mem;
    kb_mem_free(mem, regex->steps);
    kb_mem_free(mem, regex->places);
    kb_mem_free(mem, regex);
}

static bool is_word(kc_bytes name, size_t pos)
{
    if (pos >= name.len)
        return false;
    uint8_t c = name.ptr[pos];
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_boundary(kc_bytes name, size_t pos)
{
    return (pos > 0 && is_word(name, pos - 1)) != is_word(name, pos);
}

static bool holds(const km_regex_step *step, kc_bytes name, size_t pos)
{
    switch (step->op) {
    case KM_STEP_BEGIN:
        return pos == 0;
    case KM_STEP_END:
        return pos == name.len;
    case KM_STEP_BOUNDARY:
        return is_boundary(name, pos);
    case KM_STEP_NO_BOUNDARY:
        return !is_boundary(name, pos);
    default:
        return true;
    }
}

/** The steps that wait for a byte, or are the end, from `from` on. A step is followed once for each place in the name. */
static void follow(km_regex *regex, km_regex_places *into, uint32_t from, kc_bytes name, size_t pos)
{
    uint32_t *stack = regex->places + 4 * regex->step_count;
    size_t depth = 0;
    stack[depth++] = from;
    while (depth > 0) {
        uint32_t at = stack[--depth];
        if (into->seen[at] == pos + 1)
            continue;
        into->seen[at] = (uint32_t)pos + 1;
        const km_regex_step *step = &regex->steps[at];
        switch (step->op) {
        case KM_STEP_BYTES:
        case KM_STEP_MATCH:
            into->items[into->count++] = at;
            break;
        case KM_STEP_SPLIT:
            stack[depth++] = at + (uint32_t)step->other;
            stack[depth++] = at + 1;
            break;
        case KM_STEP_JUMP:
            stack[depth++] = at + (uint32_t)step->other;
            break;
        default:
            if (holds(step, name, pos))
                stack[depth++] = at + 1;
        }
    }
}

bool km_regex_matches(km_regex *regex, kc_bytes name)
{
    size_t count = regex->step_count;
    if (name.len >= UINT32_MAX)
        return false;
    memset(regex->places, 0, 4 * count * sizeof *regex->places);
    km_regex_places now = {regex->places, regex->places + count, 0};
    km_regex_places next = {regex->places + 2 * count, regex->places + 3 * count, 0};
    follow(regex, &now, 0, name, 0);
    for (size_t pos = 0; pos < name.len && now.count > 0; pos++) {
        next.count = 0;
        uint8_t c = name.ptr[pos];
        for (size_t i = 0; i < now.count; i++) {
            const km_regex_step *step = &regex->steps[now.items[i]];
            if (step->op == KM_STEP_BYTES && (step->bytes[c / 8] & (1u << c % 8)))
                follow(regex, &next, now.items[i] + 1, name, pos + 1);
        }
        km_regex_places swapped = now;
        now = next;
        next = swapped;
    }
    for (size_t i = 0; i < now.count; i++)
        if (regex->steps[now.items[i]].op == KM_STEP_MATCH)
            return true;
    return false;
}
