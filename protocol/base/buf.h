/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Growable byte buffer for everything that is written. Errors stick: write all, look once. */
#ifndef KB_BUF_H
#define KB_BUF_H

#include "protocol/base/mem.h"

typedef struct kb_buf {
    kb_mem *mem;
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t limit;   /**< most bytes `len` may reach               */
    kc_err err;     /**< first failure; later writes do nothing   */
    bool is_secret; /**< set after init: whatever is given back or left behind is wiped first */
} kb_buf;

/** `limit` 0: 1 GiB. Allocates nothing yet. */
void kb_buf_init(kb_buf *buf, kb_mem *mem, size_t limit);
void kb_buf_cleanup(kb_buf *buf);
/** Length 0, no error, memory kept (and wiped, where secret). */
void kb_buf_reset(kb_buf *buf);

/** Room for `len` more bytes; returns where to write them, NULL on failure (err is set). Does not
 * move `len`. */
uint8_t *kb_buf_reserve(kb_buf *buf, size_t len);
/** Reserve and count them as written. */
uint8_t *kb_buf_extend(kb_buf *buf, size_t len);
void kb_buf_put(kb_buf *buf, const void *ptr, size_t len);
void kb_buf_put_byte(kb_buf *buf, uint8_t byte);
void kb_buf_put_bytes(kb_buf *buf, kc_bytes bytes);
void kb_buf_printf(kb_buf *buf, const char *fmt, ...) KC_PRINTF(2, 3);

static inline kc_bytes kb_buf_bytes(const kb_buf *buf)
{
    return kc_span(buf->data ? buf->data : (const uint8_t *)"", buf->len);
}

#endif
