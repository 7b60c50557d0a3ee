/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of a kc_client: what producers, consumers and calls share. */
#ifndef KC_CORE_H
#define KC_CORE_H

#include "client/settings.h"
#include "net/loop.h"
#include "net/pool.h"
#include "protocol/base/arena.h"
#include "protocol/base/explain.h"
#include "protocol/base/log.h"
#include "protocol/base/rand.h"

#include <kafkac/client.h>

typedef struct kc_metadata kc_metadata;         /* client/metadata.h    */
typedef struct kc_coordinators kc_coordinators; /* client/coordinator.h */
typedef struct kc_sasl kc_sasl;                 /* client/sasl.h        */
typedef struct kc_thread kc_thread;             /* client/thread.c      */

/** Who makes a debug line; the words of the property `debug`. */
typedef enum kc_debug {
    KC_DEBUG_METADATA,
    KC_DEBUG_NET,
    KC_DEBUG_PRODUCER,
    KC_DEBUG_CONSUMER,
    KC_DEBUG_GROUP,
    KC_DEBUG_ADMIN,
    KC_DEBUG_WIRE,
    KC_DEBUG_COUNT,
} kc_debug;

struct kc_client {
    kb_mem mem; /**< every byte of the client, limit memory.bytes.max */
    kb_log log; /**< without a context of its own; see kc_client_log() */
    kb_log logs[KC_DEBUG_COUNT];
    kc_traffic_fn traffic_fn; /**< the application's; NULL: none */
    void *traffic_user;
    kb_rand rand;
    kc_config *config; /**< own copy */
    const kc_settings *settings;
    kn_loop *loop;
    kn_network *network;
    kn_network *proxy; /**< over `network`, where proxy.url is set; else NULL              */
    kn_network *tls;   /**< over these, where security.protocol asks for it; else NULL     */
    bool owns_network; /**< false when a test or simulation gave loop and network */
    bool is_virtual;   /**< the loop has no descriptor, and its time stands still */
    kc_sasl *sasl;     /**< NULL: no authentication */
    kn_pool *pool;
    kc_metadata *metadata;
    kc_coordinators *coordinators;
    kb_list handles;     /**< kc_handle of open producers, consumers and admin operations */
    kb_list calls;       /**< kc_call_op under way                                        */
    kb_list timers;      /**< kc_timer of the application                                 */
    uint32_t next_owner; /**< for lanes of consumers: see kc_client_next_owner()          */
    uint32_t pins;       /**< see kc_client_pin()                                         */
    bool in_dispatch;
    bool is_closing; /**< kc_client_free() is at work: nothing may be started     */
    bool is_forked;  /**< it is at work in a child: no callback of the application */
    kc_error last_error;
    kc_thread *thread; /**< NULL: the application dispatches */
};

/** A producer or consumer as the client knows it, to close it when the client goes. */
typedef struct kc_handle {
    kb_list node;
    /** Complete everything with KC_ERR_CLOSED (but call no callback of the application when
     * client->is_forked), take the node off the list, free. */
    void (*abandon)(struct kc_handle *handle);
    /** Say what it waits for; reads only. */
    void (*explain)(const struct kc_handle *handle, kb_explain *out);
} kc_handle;

/** As kc_client_new() on a loop and network of the caller's, which outlive the client: tests and
 * simulation. */
KC_NODISCARD kc_err kc_client_new_on(const kc_config *config, const kc_client_options *options,
                                     kn_loop *loop, kn_network *network, kc_client **client_out,
                                     kc_error *err);

/** Dispatch until `*done` is true or `timeout_ms` (-1: none) passed: what every blocking helper is
 * made of. On a virtual loop it moves the time. KC_OK, KC_ERR_TIMEOUT, KC_ERR_STATE (inside a
 * callback), KC_ERR_FORKED, KC_ERR_IO. */
KC_NODISCARD kc_err kc_client_run_until(kc_client *client, const bool *done, int timeout_ms);

/** KC_OK: operations may be started. KC_ERR_STATE: closing. KC_ERR_FORKED: in a child. For calls
 * that start something; not for every record. */
KC_NODISCARD kc_err kc_client_check(const kc_client *client, kc_error *err);

/** Counted memory that the application holds beyond kc_client_free() (an answer, a batch): the
 * client's struct, which counts it, is freed with the last pin. Nothing but memory may be used
 * through it by then. */
void kc_client_pin(kc_client *client);
void kc_client_unpin(kc_client *client);

/** Exponential back-off with jitter of 20 %, from retry.backoff.ms to retry.backoff.max.ms; attempt
 * from 0. Spec: KIP-580. */
int64_t kc_retry_backoff_us(kc_client *client, uint32_t attempt);

/** Never 0, never one in use. */
static inline uint32_t kc_client_next_owner(kc_client *client)
{
    if (++client->next_owner == 0)
        client->next_owner = 1;
    return client->next_owner;
}

/** Time from which a deadline counts: outside of dispatch the time of the last turn may be long
 * past. */
static inline int64_t kc_client_fresh_us(const kc_client *client)
{
    return client->in_dispatch ? kn_loop_now_us(client->loop) : kn_loop_refresh_now(client->loop);
}

/** Most bytes one decoded answer may take: three bytes on the wire can become 64 in memory. */
static inline size_t kc_client_answer_max(const kc_client *client)
{
    size_t part = client->mem.limit / 4;
    return part > 4194304 ? part : 4194304;
}

static inline const kb_log *kc_client_log(const kc_client *client, kc_debug context)
{
    return &client->logs[context];
}

/** clock.c: unpredictable bytes, for nonces. */
void kc_clock_random_bytes(void *out, size_t len);
/** client_tls.c: client->tls as the settings want it. */
KC_NODISCARD kc_err kc_client_open_tls(kc_client *client, kc_error *err);

/** Remember a failure for kc_client_last_error(), or with NULL a success. */
void kc_client_note(kc_client *client, const kc_error *error);

#endif
