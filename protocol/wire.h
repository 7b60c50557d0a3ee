/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Big-endian integers and unsigned varints, as the Kafka protocol writes them. Unchecked: callers
 * know the room. */
#ifndef KP_WIRE_H
#define KP_WIRE_H

#include <kafkac/types.h>

/** Most bytes of an unsigned 32-bit varint. */
#define KP_UVARINT_MAX 5

static inline uint16_t kp_load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t kp_load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t kp_load64(const uint8_t *p)
{
    return (uint64_t)kp_load32(p) << 32 | kp_load32(p + 4);
}

static inline uint8_t *kp_store16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

static inline uint8_t *kp_store32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
    return p + 4;
}

static inline uint8_t *kp_store64(uint8_t *p, uint64_t value)
{
    return kp_store32(kp_store32(p, (uint32_t)(value >> 32)), (uint32_t)value);
}

static inline uint8_t *kp_store_uvarint(uint8_t *p, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        *p++ = (uint8_t)(value | 0x80);
    *p++ = (uint8_t)value;
    return p;
}

static inline size_t kp_uvarint_size(uint32_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

#endif
