/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * murmur2 as the Java client seeds it, so that every client puts a key into the same partition. */
#ifndef KP_MURMUR2_H
#define KP_MURMUR2_H

#include <stddef.h>
#include <stdint.h>

uint32_t kp_murmur2(const void *data, size_t len);

/** Partition of a key among `count` > 0: (murmur2 & 0x7fffffff) % count. */
static inline int32_t kp_partition_of_key(const void *key, size_t len, int32_t count)
{
    return (int32_t)((kp_murmur2(key, len) & 0x7fffffffu) % (uint32_t)count);
}

#endif
