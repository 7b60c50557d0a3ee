/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * CRC-32C (Castagnoli), RFC 3720 section 12.1: by the CPU's instruction where it has one (SSE4.2,
 * ARMv8), else by table. */
#ifndef KP_CRC32C_H
#define KP_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/** Of `len` bytes at `data`, continuing from `crc` (0 to begin). */
uint32_t kp_crc32c(uint32_t crc, const void *data, size_t len);
/** The version by table and the one by the CPU's crc32 instruction alone, for tests to compare.
 * Where there is no such instruction the second is the first. */
uint32_t kp_crc32c_table(uint32_t crc, const void *data, size_t len);
uint32_t kp_crc32c_instruction(uint32_t crc, const void *data, size_t len);
/** "avx512", "sse4.2", "armv8" or "table". */
const char *kp_crc32c_name(void);

#endif
