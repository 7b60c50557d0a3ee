/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A record with all its bytes in one piece of memory, for queues. */
#ifndef KC_CLIENT_RECORD_COPY_H
#define KC_CLIENT_RECORD_COPY_H

#include <kafkac/producer.h>

/** Bytes behind a copy: headers, key, value and, unless it is KC_NULL, `topic`. False: more than `max`. */
bool kc_record_copy_bytes(const kc_record *record, kc_bytes topic, size_t max, size_t *bytes_out);

/** `copy` becomes the record, with `topic`; what it points to lies from `behind` on, which is aligned as
 * headers are. */
void kc_record_copy(kc_record *copy, const kc_record *record, kc_bytes topic, void *behind);

#endif
