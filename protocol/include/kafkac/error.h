/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Error codes and the error object: what failed, where, and what to do about it. */
#ifndef KAFKAC_ERROR_H
#define KAFKAC_ERROR_H

#include <kafkac/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Result of every fallible call. 0 is success; -1 and everything above 0 are Kafka's own codes as
 * they came over the wire (<kafkac/unstable/errors.h> names those of the newest release; an unknown
 * one stays a number); ours are -1000 and below.
 */
typedef int kc_err;

enum {
    KC_OK = 0,
    KC_ERR_NOMEM = -1000,        /**< allocation failed, or memory.bytes.max would be crossed     */
    KC_ERR_TIMEOUT = -1001,      /**< a deadline passed                                           */
    KC_ERR_STATE = -1002,        /**< not allowed now: closed, inside a callback, not assigned    */
    KC_ERR_ARGUMENT = -1003,     /**< an argument is out of its documented range                  */
    KC_ERR_CONFIG = -1004,       /**< unknown property, or a value out of range                   */
    KC_ERR_CLOSED = -1005,       /**< the client or handle was closed before this finished        */
    KC_ERR_AGAIN = -1006,        /**< nothing now: dispatch, then ask again                       */
    KC_ERR_END = -1007,          /**< no more items                                               */
    KC_ERR_BUFFER_FULL = -1008,  /**< buffer.memory is used up: dispatch, then send again         */
    KC_ERR_TOO_LARGE = -1009,    /**< above a named limit: never try again unchanged              */
    KC_ERR_MALFORMED = -1010,    /**< bytes that are no valid encoding                            */
    KC_ERR_TRUNCATED = -1011,    /**< bytes end in the middle of a value                          */
    KC_ERR_CRC = -1012,          /**< checksum of a record batch does not match                   */
    KC_ERR_VERSION = -1013,      /**< broker and client share no version of this API              */
    KC_ERR_RESOLVE = -1014,      /**< host name could not be resolved                             */
    KC_ERR_CONNECT = -1015,      /**< connection could not be made                                */
    KC_ERR_DISCONNECTED = -1016, /**< connection ended while this was under way: outcome unsure   */
    KC_ERR_NO_BROKER = -1017,    /**< no broker is known or reachable for this                    */
    KC_ERR_UNSUPPORTED = -1018,  /**< not built in, or not in this release                        */
    KC_ERR_COMPRESSION = -1019,  /**< data could not be compressed or decompressed                */
    KC_ERR_FORKED = -1020,       /**< used in a child of the process that made it                 */
    KC_ERR_IO = -1021,           /**< a system call failed: see os_errno                          */
    KC_ERR_NOT_FOUND = -1022,    /**< no such item                                                */
    KC_ERR_TLS = -1023,          /**< TLS handshake or record layer failed                        */
    KC_ERR_AUTH = -1024,         /**< authentication failed                                       */
};

/** Bits of kc_error.flags. */
enum {
    KC_ERRF_RETRIABLE = 1u << 0,        /**< trying again may succeed                            */
    KC_ERRF_FATAL = 1u << 1,            /**< the handle can't go on: close it                    */
    KC_ERRF_ABORTABLE = 1u << 2,        /**< abort the transaction, then go on                   */
    KC_ERRF_AUTH = 1u << 3,             /**< authentication or authorization                     */
    KC_ERRF_CONFIG = 1u << 4,           /**< mend the configuration                              */
    KC_ERRF_REFRESH_METADATA = 1u << 5, /**< the client's view of the cluster was stale          */
};

/** Where it happened. */
typedef enum kc_phase {
    KC_PHASE_LOCAL,
    KC_PHASE_DNS,
    KC_PHASE_CONNECT,
    KC_PHASE_TLS,
    KC_PHASE_SASL,
    KC_PHASE_API,
    KC_PHASE_PROXY, /**< the handshake with the proxy of proxy.url */
} kc_phase;

/** Longest topic name Kafka allows. */
#define KC_TOPIC_NAME_MAX 249

/**
 * An error in full. Lives on the caller's stack; every `kc_error *` parameter is optional (NULL)
 * and is written only when the call fails.
 */
typedef struct kc_error {
    kc_err code;
    int os_errno;   /**< errno of the failed system call, or 0                            */
    uint32_t flags; /**< KC_ERRF_...                                                      */
    kc_phase phase;
    int32_t broker_id; /**< -1: none                                                         */
    int16_t api_key;   /**< -1: none                                                         */
    int32_t partition; /**< -1: none                                                         */
    char topic[KC_TOPIC_NAME_MAX + 1]; /**< empty: none                                      */
    char text[256]; /**< one sentence: what failed, where, what to do                     */
} kc_error;

/** Name of a code, as "NOT_LEADER_OR_FOLLOWER" or "KC_ERR_TIMEOUT"; "UNKNOWN(n)" is never made: an
 * unknown code gives "UNKNOWN_CODE". Static storage. Any thread. */
KC_API const char *kc_err_name(kc_err code);

/** One sentence about a code, without context. Static storage. Any thread. */
KC_API const char *kc_err_text(kc_err code);

/** KC_ERRF_... bits of a code. Any thread. */
KC_API uint32_t kc_err_flags(kc_err code);

#ifdef __cplusplus
}
#endif
#endif
