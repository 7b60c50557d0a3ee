/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Lists of record headers: foreign ones stay in front and in order, ours have one value a name. */
#include "officeflow/wire.h"
#include "protocol/base/text.h"

#include <stdarg.h>
#include <stdio.h>

void of_headers_init(of_headers *headers, kb_arena *arena)
{
    *headers = (of_headers){.arena = arena};
}

static bool grow(of_headers *headers, size_t more)
{
    if (headers->is_failed || headers->count + more <= headers->cap)
        return !headers->is_failed;
    size_t cap = 2 * (headers->count + more) + 8;
    kc_header *items = kb_arena_array(headers->arena, cap, sizeof *items);
    if (!items) {
        headers->is_failed = true;
        return false;
    }
    if (headers->count > 0)
        memcpy(items, headers->items, headers->count * sizeof *items);
    headers->items = items;
    headers->cap = cap;
    return true;
}

void of_headers_add_all(of_headers *headers, const kc_header *items, size_t count)
{
    if (count == 0 || !grow(headers, count))
        return;
    memcpy(headers->items + headers->count, items, count * sizeof *items);
    headers->count += count;
}

static void remove_if(of_headers *headers, kc_bytes name, bool is_prefix)
{
    size_t kept = 0;
    for (size_t i = 0; i < headers->count; i++) {
        kc_header h = headers->items[i];
        bool is_hit = is_prefix ? kb_text_starts(h.name, name) : kc_bytes_equal(h.name, name);
        if (!is_hit)
            headers->items[kept++] = h;
    }
    headers->count = kept;
}

void of_headers_remove(of_headers *headers, const char *name)
{
    remove_if(headers, kc_str(name), false);
}

void of_headers_remove_prefix(of_headers *headers, const char *prefix)
{
    remove_if(headers, kc_str(prefix), true);
}

void of_headers_set(of_headers *headers, const char *name, kc_bytes value)
{
    of_headers_remove(headers, name);
    if (value.ptr == NULL || !grow(headers, 1))
        return;
    headers->items[headers->count++] = (kc_header){kc_str(name), value};
}

void of_headers_printf(of_headers *headers, const char *name, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t used = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    kc_bytes copy = kb_arena_copy(headers->arena, kc_span(text, used));
    if (!copy.ptr)
        headers->is_failed = true;
    else
        of_headers_set(headers, name, copy);
}

void of_headers_set_i64(of_headers *headers, const char *name, int64_t value)
{
    of_headers_printf(headers, name, "%lld", (long long)value);
}

bool of_header_find(const kc_header *items, size_t count, const char *name, kc_bytes *value_out)
{
    kc_bytes wanted = kc_str(name);
    for (size_t i = count; i > 0; i--)
        if (kc_bytes_equal(items[i - 1].name, wanted)) {
            *value_out = items[i - 1].value;
            return true;
        }
    return false;
}

bool of_header_i64(const kc_header *items, size_t count, const char *name, int64_t *value_out)
{
    kc_bytes text;
    return of_header_find(items, count, name, &text) && kb_parse_i64(text, value_out);
}

kc_bytes of_header_text(const kc_header *items, size_t count, const char *name)
{
    kc_bytes text;
    // what is no text is as good as absent: these values end in logs, JSON and other headers
    return of_header_find(items, count, name, &text) && text.ptr && kb_utf8_is_valid(text)
               ? text
               : KC_NULL;
}
