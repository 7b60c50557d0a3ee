/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The small value types every layer shares: byte slices, uuids, headers, the allocator and the log
 * hook. */
#ifndef KAFKAC_TYPES_H
#define KAFKAC_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define KC_API               __attribute__((visibility("default")))
#define KC_NODISCARD         __attribute__((warn_unused_result))
#define KC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define KC_API
#define KC_NODISCARD
#define KC_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A slice of bytes somebody else owns. Passed by value.
 *
 * `ptr == NULL` is null (a null key, a null value, an absent string); an empty slice has a non-NULL
 * `ptr` and `len == 0`. Text is UTF-8 and is not zero-terminated.
 */
typedef struct kc_bytes {
    const uint8_t *ptr;
    size_t len;
} kc_bytes;

/** The null slice. */
#define KC_NULL ((kc_bytes){NULL, 0})
/** A slice of a string literal, without its terminating zero. */
#define KC_STR(literal) ((kc_bytes){(const uint8_t *)("" literal), sizeof(literal) - 1})
/** For printf: `printf(KC_FMT, KC_ARG(slice))`. */
#define KC_FMT        "%.*s"
#define KC_ARG(slice) (int)(slice).len, (slice).ptr ? (const char *)(slice).ptr : ""

/** A slice of a zero-terminated string; NULL gives the null slice. The caller keeps the string. */
static inline kc_bytes kc_str(const char *text)
{
    return (kc_bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

/** A slice of `len` bytes at `ptr`. */
static inline kc_bytes kc_span(const void *ptr, size_t len)
{
    return (kc_bytes){(const uint8_t *)ptr, len};
}

/** True when both are null, or both are not and hold the same bytes. */
static inline bool kc_bytes_equal(kc_bytes a, kc_bytes b)
{
    if (!a.ptr || !b.ptr)
        return a.ptr == b.ptr;
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/** A 128-bit identifier in network byte order; all zero is "none" (Kafka's ZERO_UUID). */
typedef struct kc_uuid {
    uint8_t bytes[16];
} kc_uuid;

/** True when `id` is all zero. */
static inline bool kc_uuid_is_zero(kc_uuid id)
{
    uint8_t any = 0;
    for (size_t i = 0; i < sizeof id.bytes; i++)
        any |= id.bytes[i];
    return any == 0;
}

/** One record header. The name may be empty, never null; the value may be null. (KIP-82) */
typedef struct kc_header {
    kc_bytes name;
    kc_bytes value;
} kc_header;

/** Names one partition of one topic. */
typedef struct kc_topic_partition {
    kc_bytes topic;
    int32_t partition;
} kc_topic_partition;

/**
 * The caller's allocator. All three work like their namesakes of the C library, with `user` added.
 * Sizes are never 0. Called only on the thread that owns the client.
 */
typedef struct kc_alloc {
    void *(*malloc_fn)(size_t size, void *user);
    void *(*realloc_fn)(void *ptr, size_t size, void *user);
    void (*free_fn)(void *ptr, void *user);
    void *user;
} kc_alloc;

/** How much a log line matters; the numbers are syslog's. */
typedef enum kc_log_level {
    KC_LOG_ERROR = 3,
    KC_LOG_WARNING = 4,
    KC_LOG_INFO = 6,
    KC_LOG_DEBUG = 7,
} kc_log_level;

/** Receives one line without its end; `line` is valid during the call only. Never carries a secret.
 */
typedef void (*kc_log_fn)(kc_log_level level, const char *line, void *user);

#ifdef __cplusplus
}
#endif
#endif
