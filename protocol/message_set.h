/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Message sets, magic 0 and 1: what brokers hold in segments from before 0.11. Read only. */
#ifndef KP_MESSAGE_SET_H
#define KP_MESSAGE_SET_H

#include "protocol/batch.h"

/** One outer message; its inner messages are read by kp_message_next(). */
typedef struct kp_message_set {
    int64_t base_offset; /**< first inner offset                                 */
    int64_t last_offset;
    int8_t magic;
    int8_t attributes; /**< bits 0-2 codec, bit 3 log-append time (magic 1)    */
    uint32_t crc;
    int32_t count;
    int64_t timestamp;  /**< of the wrapper, -1 in magic 0                      */
    bool is_relative;   /**< inner offsets are relative (magic 1, compressed)   */
    kc_bytes rest;      /**< private: messages not read yet                     */
    int64_t offset_add; /**< private: from an inner offset to an absolute one   */
} kp_message_set;

/**
 * Take the first outer message off `*rest`, check its CRC-32 and those inside, decompress it into
 * `scratch` (reset by this call; its limit caps the size).
 *
 * @retval KC_OK              *set_out filled, *rest moved behind it.
 * @retval KC_ERR_END         Nothing or a part left; *rest unmoved.
 * @retval KC_ERR_UNSUPPORTED Magic 2 or above: *set_out->magic says so, *rest is unmoved. Or the
 * codec is not built: *rest is moved.
 * @retval KC_ERR_MALFORMED   Length, offset or magic out of range: *rest unmoved. Or what is inside
 * is malformed: *rest moved.
 * @retval KC_ERR_CRC, KC_ERR_COMPRESSION, KC_ERR_TOO_LARGE, KC_ERR_NOMEM: *rest is moved,
 * last_offset is what stands there (unchecked after KC_ERR_CRC), and there is no inner message to
 * read.
 */
KC_NODISCARD kc_err kp_message_set_next(kc_bytes *rest, bool check_crc, kb_buf *scratch,
                                        kp_message_set *set_out);
/** Next inner message as a record (absolute offset, effective timestamp, no headers). KC_OK,
 * KC_ERR_END, KC_ERR_MALFORMED. */
KC_NODISCARD kc_err kp_message_next(kp_message_set *set, kp_record *record_out);

#endif
