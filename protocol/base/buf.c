/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Growable byte buffer with a sticky error. */
#include "protocol/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define LIMIT_DEFAULT ((size_t)1 << 30)
#define CAP_MIN       ((size_t)64)

void kb_buf_init(kb_buf *buf, kb_mem *mem, size_t limit)
{
    *buf = (kb_buf){.mem = mem, .limit = limit ? limit : LIMIT_DEFAULT};
}

static void release(kb_buf *buf)
{
    if (buf->is_secret)
        kb_mem_wipe(buf->data, buf->cap);
    kb_mem_free(buf->mem, buf->data);
}

void kb_buf_cleanup(kb_buf *buf)
{
    bool is_secret = buf->is_secret;
    release(buf);
    kb_buf_init(buf, buf->mem, buf->limit);
    buf->is_secret = is_secret;
}

void kb_buf_reset(kb_buf *buf)
{
    if (buf->is_secret)
        kb_mem_wipe(buf->data, buf->cap);
    buf->len = 0;
    buf->err = KC_OK;
}

/** As realloc; that may leave a copy behind, which a secret must not. */
static uint8_t *move(kb_buf *buf, size_t cap)
{
    if (!buf->is_secret)
        return kb_mem_realloc(buf->mem, buf->data, cap);
    uint8_t *data = kb_mem_alloc(buf->mem, cap);
    if (!data)
        return NULL;
    if (buf->len > 0)
        memcpy(data, buf->data, buf->len);
    release(buf);
    return data;
}

/** Grow to hold at least `need` bytes, doubling where memory allows. */
static bool grow(kb_buf *buf, size_t need)
{
    size_t cap = buf->cap > buf->limit / 2 ? buf->limit : buf->cap * 2;
    if (cap < CAP_MIN)
        cap = CAP_MIN;
    if (cap < need)
        cap = need;
    uint8_t *data = move(buf, cap);
    while (!data && cap > need) { // close to the memory limit: half of what was too much to ask for
        cap = need + (cap - need) / 2;
        data = move(buf, cap);
    }
    if (!data) {
        buf->err = KC_ERR_NOMEM;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

uint8_t *kb_buf_reserve(kb_buf *buf, size_t len)
{
    assert(buf->len <= buf->cap);
    if (buf->err != KC_OK)
        return NULL;
    if (len > buf->limit || buf->len > buf->limit - len) {
        buf->err = KC_ERR_TOO_LARGE;
        return NULL;
    }
    bool fits = buf->data && len <= buf->cap - buf->len;
    if (!fits && !grow(buf, buf->len + len))
        return NULL;
    return buf->data + buf->len;
}

uint8_t *kb_buf_extend(kb_buf *buf, size_t len)
{
    uint8_t *ptr = kb_buf_reserve(buf, len);
    if (ptr)
        buf->len += len;
    return ptr;
}

void kb_buf_put(kb_buf *buf, const void *ptr, size_t len)
{
    uint8_t *to = kb_buf_extend(buf, len);
    if (to && len > 0)
        memcpy(to, ptr, len);
}

void kb_buf_put_byte(kb_buf *buf, uint8_t byte)
{
    uint8_t *to = kb_buf_extend(buf, 1);
    if (to)
        *to = byte;
}

void kb_buf_put_bytes(kb_buf *buf, kc_bytes bytes)
{
    kb_buf_put(buf, bytes.ptr, bytes.len);
}

/** Format into what room there is; true: it fitted. Otherwise *need_out says how much it takes. */
static bool try_format(kb_buf *buf, size_t *need_out, const char *fmt, va_list args)
    KC_PRINTF(3, 0);

static bool try_format(kb_buf *buf, size_t *need_out, const char *fmt, va_list args)
{
    size_t room = buf->cap - buf->len;
    int len = vsnprintf(buf->data ? (char *)buf->data + buf->len : NULL, room, fmt, args);
    if (len < 0) {
        buf->err = KC_ERR_ARGUMENT;
        return true;
    }
    *need_out = (size_t)len + 1; // vsnprintf wants room for its zero byte
    if (*need_out > room)
        return false;
    if ((size_t)len > buf->limit - buf->len)
        buf->err = KC_ERR_TOO_LARGE;
    else
        buf->len += (size_t)len;
    return true;
}

void kb_buf_printf(kb_buf *buf, const char *fmt, ...)
{
    if (buf->err != KC_OK)
        return;
    va_list args;
    va_list again;
    size_t need = 0;
    va_start(args, fmt);
    va_copy(again, args);
    if (!try_format(buf, &need, fmt, args)) {
        // the zero byte is not content: it does not count against the limit
        if (need - 1 > buf->limit - buf->len)
            buf->err = KC_ERR_TOO_LARGE;
        else if (grow(buf, buf->len + need))
            try_format(buf, &need, fmt, again);
    }
    va_end(again);
    va_end(args);
}
