/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Copies of records. */
#include "client/record_copy.h"

#include <string.h>

static bool add(size_t *sum, size_t bytes, size_t max)
{
    if (bytes > max - *sum)
        return false;
    *sum += bytes;
    return true;
}

bool kc_record_copy_bytes(const kc_record *record, kc_bytes topic, size_t max, size_t *bytes_out)
{
    size_t sum = 0;
    bool fits = record->header_count <= max / sizeof(kc_header) &&
                add(&sum, record->header_count * sizeof(kc_header), max) &&
                add(&sum, topic.len, max) && add(&sum, record->key.len, max) &&
                add(&sum, record->value.len, max);
    for (size_t i = 0; fits && i < record->header_count; i++)
        fits = add(&sum, record->headers[i].name.len, max) &&
               add(&sum, record->headers[i].value.len, max);
    *bytes_out = sum;
    return fits;
}

static kc_bytes copy_slice(uint8_t **at, kc_bytes from)
{
    if (!from.ptr)
        return KC_NULL;
    kc_bytes copy = kc_span(*at, from.len);
    if (from.len > 0)
        memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return copy;
}

void kc_record_copy(kc_record *copy, const kc_record *record, kc_bytes topic, void *behind)
{
    kc_header *headers = behind;
    uint8_t *at = (uint8_t *)(headers + record->header_count);
    *copy = *record;
    copy->topic = copy_slice(&at, topic);
    copy->key = copy_slice(&at, record->key);
    copy->value = copy_slice(&at, record->value);
    copy->headers = record->header_count > 0 ? headers : NULL;
    for (size_t i = 0; i < record->header_count; i++) {
        headers[i].name = copy_slice(&at, record->headers[i].name);
        headers[i].value = copy_slice(&at, record->headers[i].value);
    }
}
