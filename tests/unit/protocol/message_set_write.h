/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Writes message sets of magic 0 and 1, which only brokers from before 0.11 wrote: for tests alone,
 * the library reads them. */
#ifndef MESSAGE_SET_WRITE_H
#define MESSAGE_SET_WRITE_H

#include "protocol/compress.h"
#include "protocol/wire.h"

#include <check.h>
#include <limits.h>
#include <zlib.h>

typedef struct old_message {
    int64_t offset; /**< of a wrapper that of its last message; inside one of magic 1 relative */
    int8_t magic;
    int8_t attributes;
    int64_t timestamp; /**< not in magic 0 */
    kc_bytes key;
    kc_bytes value;
} old_message;

static inline uint8_t *old_message_field(uint8_t *p, kc_bytes field)
{
    p = kp_store32(p, field.ptr ? (uint32_t)field.len : UINT32_MAX);
    if (field.len > 0)
        memcpy(p, field.ptr, field.len);
    return p + field.len;
}

/** Append a message with its checksum. */
static inline void old_message_put(kb_buf *set, const old_message *message)
{
    size_t head = message->magic == 0 ? 18 : 26;
    size_t len = head + 4 + message->key.len + 4 + message->value.len;
    uint8_t *p = kb_buf_extend(set, len);
    ck_assert_ptr_nonnull(p);
    kp_store64(p, (uint64_t)message->offset);
    kp_store32(p + 8, (uint32_t)len - 12);
    p[16] = (uint8_t)message->magic;
    p[17] = (uint8_t)message->attributes;
    if (message->magic == 1)
        kp_store64(p + 18, (uint64_t)message->timestamp);
    (void)old_message_field(old_message_field(p + head, message->key), message->value);
    kp_store32(p + 12, (uint32_t)crc32(0, p + 16, (uInt)len - 16));
}

/** Replace the messages in `set` by a wrapper that holds them compressed, by the codec in its
 * attributes. `wrapper->value` is not looked at. */
static inline void old_message_wrap(kb_buf *set, const old_message *wrapper)
{
    kb_buf packed;
    old_message outer = *wrapper;
    kp_codec codec = (kp_codec)(wrapper->attributes & 7);
    kb_buf_init(&packed, set->mem, 0);
    ck_assert_int_eq(kp_compress(codec, INT_MIN, kb_buf_bytes(set), &packed), KC_OK);
    if (wrapper->magic == 0 && codec == KP_CODEC_LZ4)
        packed.data[6] = 0x1a; /* the checksum of magic and descriptor, as Java's (KAFKA-3160) */
    outer.value = kb_buf_bytes(&packed);
    kb_buf_reset(set);
    old_message_put(set, &outer);
    kb_buf_cleanup(&packed);
}

#endif
