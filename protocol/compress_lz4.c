/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * LZ4 frames (the format of liblz4's doc/lz4_Frame_format.md), read and written here around the
 * library's blocks: so that blocks are decoded straight into the output, which is also the history
 * of linked ones, and no memory is taken that is not counted.
 *
 * Written for the Java client's reader: one frame, independent blocks of 64 KiB, no checksums.
 * Read: all that LZ4 allows but dictionaries, and the header checksum of magic 0. */
#include "protocol/base/error.h"
#include "protocol/compress_codec.h"

#include <lz4.h>
#include <lz4hc.h>

#define FRAME_MAGIC    0x184D2204u
#define SKIPPABLE_MASK 0xFFFFFFF0u
#define SKIPPABLE      0x184D2A50u
#define WORD_BYTES     4

/* Descriptor: flags, block size, maybe the content's size, checksum. */
#define AT_FLAGS              4
#define AT_BLOCK_SIZE         5
#define AT_CONTENT_SIZE       6
#define CONTENT_SIZE_BYTES    8
#define HEADER_BYTES_MIN      7
#define FLAG_VERSION          0x40 /* the only one */
#define FLAG_VERSION_MASK     0xc0
#define FLAG_INDEPENDENT      0x20
#define FLAG_BLOCK_CHECKSUM   0x10
#define FLAG_CONTENT_SIZE     0x08
#define FLAG_CONTENT_CHECKSUM 0x04
#define FLAG_RESERVED         0x02
#define FLAG_DICTIONARY       0x01
#define BLOCK_SIZE_RESERVED   0x8f
#define BLOCK_SIZE_64_KIB     4

/* Of a block's size word: the block is stored as it is. A word of 0 ends the frame. */
#define STORED 0x80000000u

#define WRITE_BLOCK_BYTES ((size_t)64 << 10)
#define HISTORY_BYTES_MAX ((size_t)64 << 10)
#define RATIO_MAX         255 /* no byte of a block gives more */
/* Room given to a block at first, and what it is multiplied by when that was not enough. */
#define RATIO_GUESS 4
#define RATIO_STEP  8

/* Java's levels: 9 is its default and means the fast compressor; the others are high compression,
 * of which liblz4 knows 3 to 12. */
#define LEVEL_JAVA_DEFAULT 9
#define LEVEL_JAVA_MAX     17

/* ---- XXH32 with seed 0; liblz4 keeps its own private ---- */

#define PRIME_1 2654435761u
#define PRIME_2 2246822519u
#define PRIME_3 3266489917u
#define PRIME_4 668265263u
#define PRIME_5 374761393u

static uint32_t rotate_left(uint32_t v, unsigned bits)
{
    return v << bits | v >> (32 - bits);
}

static uint32_t xxh32(kc_bytes in)
{
    const uint8_t *p = in.ptr;
    size_t len = in.len;
    uint32_t h = PRIME_5;
    if (len >= 16) {
        uint32_t lanes[4] = {PRIME_1 + PRIME_2, PRIME_2, 0, 0 - PRIME_1};
        for (; len >= 16; len -= 16) {
            for (int i = 0; i < 4; i++, p += 4)
                lanes[i] = rotate_left(lanes[i] + kp_load_le32(p) * PRIME_2, 13) * PRIME_1;
        }
        h = rotate_left(lanes[0], 1) + rotate_left(lanes[1], 7) + rotate_left(lanes[2], 12) +
            rotate_left(lanes[3], 18);
    }
    h += (uint32_t)in.len;
    for (; len >= 4; len -= 4, p += 4)
        h = rotate_left(h + kp_load_le32(p) * PRIME_3, 17) * PRIME_4;
    for (; len > 0; len--, p++)
        h = rotate_left(h + *p * PRIME_5, 11) * PRIME_1;
    h = (h ^ h >> 15) * PRIME_2;
    h = (h ^ h >> 13) * PRIME_3;
    return h ^ h >> 16;
}

/* The descriptor's own checksum: the second byte of the hash. */
static uint8_t checksum_of_header(kc_bytes descriptor)
{
    return (uint8_t)(xxh32(descriptor) >> 8);
}

/* ---- writing ---- */

/* `high` NULL: the fast compressor. Returns where to go on. */
static uint8_t *put_block(uint8_t *pos, kc_bytes block, void *high, int level)
{
    const char *from = (const char *)block.ptr;
    char *to = (char *)pos + WORD_BYTES;
    int len = (int)block.len;
    int size = high ? LZ4_compress_HC_extStateHC(high, from, to, len, len - 1, level)
                    : LZ4_compress_default(from, to, len, len - 1);
    if (size > 0) {
        kp_store_le32(pos, (uint32_t)size);
        return pos + WORD_BYTES + size;
    }
    kp_store_le32(pos, (uint32_t)len | STORED); /* it did not become smaller */
    memcpy(to, from, block.len);
    return pos + WORD_BYTES + len;
}

static kc_err lz4_compress(kp_codec_cache *cache, int level, kc_bytes in, kb_buf *out)
{
    static const uint8_t header[HEADER_BYTES_MIN] = {
        0x04, 0x22, 0x4d, 0x18, FLAG_VERSION | FLAG_INDEPENDENT, BLOCK_SIZE_64_KIB << 4, 0x82};
    (void)cache;
    size_t blocks = in.len / WRITE_BLOCK_BYTES + 1;
    uint8_t *begin = kb_buf_reserve(out, sizeof header + in.len + (blocks + 1) * WORD_BYTES);
    bool is_high = level != INT_MIN && level != LEVEL_JAVA_DEFAULT;
    void *high = is_high ? kb_mem_alloc(out->mem, (size_t)LZ4_sizeofStateHC()) : NULL;
    if (!begin || (is_high && !high)) {
        kb_mem_free(out->mem, high);
        return KC_ERR_NOMEM;
    }
    memcpy(begin, header, sizeof header);
    uint8_t *pos = begin + sizeof header;
    while (in.len > 0) {
        size_t len = in.len < WRITE_BLOCK_BYTES ? in.len : WRITE_BLOCK_BYTES;
        pos = put_block(pos, kc_span(in.ptr, len), high, level);
        in = kc_span(in.ptr + len, in.len - len);
    }
    kp_store_le32(pos, 0);
    out->len += (size_t)(pos + WORD_BYTES - begin);
    kb_mem_free(out->mem, high);
    return KC_OK;
}

/* ---- reading ---- */

typedef struct frame {
    uint8_t flags;
    size_t block_bytes_max;
    uint64_t content_size; /* 0: not told, also where the flags say so (as liblz4 reads it) */
    size_t begun;          /* out->len at its start          */
} frame;

static kc_err skip(kc_bytes *in, size_t len)
{
    if (len > in->len)
        return KC_ERR_COMPRESSION;
    *in = kc_span(in->ptr + len, in->len - len);
    return KC_OK;
}

static kc_err take_word(kc_bytes *in, uint32_t *word_out)
{
    const uint8_t *p = in->ptr;
    KB_TRY(skip(in, WORD_BYTES));
    *word_out = kp_load_le32(p);
    return KC_OK;
}

/* Compare a checksum in the input with that of `bytes`. */
static kc_err take_checksum(kc_bytes *in, kc_bytes bytes)
{
    uint32_t word;
    KB_TRY(take_word(in, &word));
    return word == xxh32(bytes) ? KC_OK : KC_ERR_COMPRESSION;
}

/* The input begins with a frame's magic. `any_checksum`: Java wrote the header checksum of magic 0
 * over the frame's magic, too (KAFKA-3160). */
static kc_err take_header(kc_bytes *in, bool any_checksum, frame *f)
{
    const uint8_t *p = in->ptr;
    KB_TRY(skip(in, HEADER_BYTES_MIN));
    uint8_t flags = p[AT_FLAGS];
    uint8_t size = p[AT_BLOCK_SIZE];
    if ((flags & FLAG_VERSION_MASK) != FLAG_VERSION || flags & (FLAG_RESERVED | FLAG_DICTIONARY) ||
        size & BLOCK_SIZE_RESERVED || size >> 4 < BLOCK_SIZE_64_KIB)
        return KC_ERR_COMPRESSION;
    size_t len = AT_CONTENT_SIZE;
    f->flags = flags;
    f->block_bytes_max = (size_t)1 << (8 + 2 * (size >> 4));
    if (flags & FLAG_CONTENT_SIZE) {
        KB_TRY(skip(in, CONTENT_SIZE_BYTES));
        f->content_size = kp_load_le32(p + len) | (uint64_t)kp_load_le32(p + len + 4) << 32;
        len += CONTENT_SIZE_BYTES;
    }
    bool is_right = p[len] == checksum_of_header(kc_span(p + AT_FLAGS, len - AT_FLAGS));
    return is_right || any_checksum ? KC_OK : KC_ERR_COMPRESSION;
}

static int decode_block(const frame *f, kc_bytes block, kb_buf *out, size_t room)
{
    size_t history = f->flags & FLAG_INDEPENDENT ? 0 : out->len - f->begun;
    if (history > HISTORY_BYTES_MAX)
        history = HISTORY_BYTES_MAX;
    char *pos = (char *)out->data + out->len;
    return LZ4_decompress_safe_usingDict((const char *)block.ptr, pos, (int)block.len, (int)room,
                                         pos - history, (int)history);
}

/* A block does not tell how large it becomes: the room at hand is tried first, then more. */
static kc_err put_decoded(const frame *f, kc_bytes block, kb_buf *out)
{
    size_t left = out->limit - out->len;
    size_t most = f->block_bytes_max;
    for (size_t ratio = RATIO_GUESS;; ratio *= RATIO_STEP) {
        size_t room = block.len * (ratio < RATIO_MAX ? ratio : RATIO_MAX);
        if (room < out->cap - out->len)
            room = out->cap - out->len;
        bool is_all = room >= most || ratio >= RATIO_MAX;
        room = room < most ? room : most;
        bool is_at_limit = room > left;
        room = is_at_limit ? left : room;
        if (!kb_buf_reserve(out, room))
            return KC_ERR_NOMEM;
        int size = decode_block(f, block, out, room);
        if (size >= 0) {
            out->len += (size_t)size;
            return KC_OK;
        }
        if (is_at_limit)
            return KC_ERR_TOO_LARGE; /* or broken, which can't be told apart here */
        if (is_all)
            return KC_ERR_COMPRESSION;
    }
}

/* One block, or the end of the frame. */
static kc_err take_block(const frame *f, kc_bytes *in, kb_buf *out, bool *end_out)
{
    uint32_t word;
    KB_TRY(take_word(in, &word));
    kc_bytes block = kc_span(in->ptr, word & ~STORED);
    *end_out = word == 0;
    if (*end_out)
        return KC_OK;
    if (block.len > f->block_bytes_max)
        return KC_ERR_COMPRESSION;
    KB_TRY(skip(in, block.len));
    if (f->flags & FLAG_BLOCK_CHECKSUM)
        KB_TRY(take_checksum(in, block));
    return word & STORED ? kp_put_plain(block, out) : put_decoded(f, block, out);
}

static kc_err take_frame(kc_bytes *in, bool any_checksum, kb_buf *out)
{
    frame f = {.begun = out->len};
    bool is_end = false;
    KB_TRY(take_header(in, any_checksum, &f));
    while (!is_end)
        KB_TRY(take_block(&f, in, out, &is_end));
    size_t size = out->len - f.begun;
    if (f.content_size != 0 && f.content_size != size)
        return KC_ERR_COMPRESSION;
    if (f.flags & FLAG_CONTENT_CHECKSUM)
        return take_checksum(in, kc_span(out->data + f.begun, size));
    return KC_OK;
}

static kc_err take_skippable(kc_bytes *in)
{
    uint32_t word;
    KB_TRY(take_word(in, &word)); /* magic */
    KB_TRY(take_word(in, &word));
    return skip(in, word);
}

static kc_err lz4_decompress(kp_codec_cache *cache, kc_bytes in, bool lz4_broken_header,
                             kb_buf *out)
{
    (void)cache;
    for (bool is_first = true;; is_first = false) {
        uint32_t magic = in.len < WORD_BYTES ? 0 : kp_load_le32(in.ptr);
        if (magic == FRAME_MAGIC)
            KB_TRY(take_frame(&in, lz4_broken_header, out));
        else if ((magic & SKIPPABLE_MASK) == SKIPPABLE)
            KB_TRY(take_skippable(&in));
        else /* bytes behind a frame that begin no other are ignored, as Java does */
            return is_first ? KC_ERR_COMPRESSION : KC_OK;
    }
}

const kp_codec_ops kp_codec_lz4 = {
    .name = "lz4",
    .has_levels = true,
    .level_min = 1,
    .level_max = LEVEL_JAVA_MAX,
    .level_fallback = LEVEL_JAVA_DEFAULT,
    .compress = lz4_compress,
    .decompress = lz4_decompress,
};
