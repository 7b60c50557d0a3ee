/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the pool: brokers, their links, and the queue for any broker. */
#ifndef KN_POOL_CORE_H
#define KN_POOL_CORE_H

#include "net/conn.h"
#include "net/pool.h"
#include "protocol/base/map.h"

/** For any broker: after this long without a connection the next one is tried beside it. */
#define KN_HEDGE_MS 1000
/** How long a broker that only understood an older ApiVersions is asked in that version. */
#define KN_OLD_VERSIONS_MS 600000

typedef struct kn_broker {
    kb_list node;
    kn_pool *pool;
    int32_t id; /**< -1: a bootstrap address */
    char *host;
    uint16_t port;
    kb_list links;
    kp_versions versions;
    bool has_versions;
    bool is_gone;
    char trouble[sizeof((kc_error *)0)->text]; /**< why it is not connected; empty: it was, last  */
    int16_t ask_version; /**< of the first ApiVersions request; -1: the highest */
    int64_t ask_until_us;
} kn_broker;

/** Least time from one look-up of canonical names to the next. */
#define KN_BOOTSTRAP_SPACING_MS 1000

/** One of the configured servers, on the way to its canonical names; see pool_bootstrap.c. */
typedef struct kn_seed {
    struct kn_pool *pool;
    char host[KN_HOST_MAX + 1];
    uint16_t port;
    bool is_busy;
    size_t next;       /**< of lookup.addresses, to be named     */
    kn_lookup lookup;  /**< of the configured name               */
    kn_naming naming;  /**< of one of its addresses              */
    kn_lookup confirm; /**< of that name: does it lead back?     */
} kn_seed;

/** Empty unless the names are to be canonical. */
typedef struct kn_bootstrap {
    kn_seed *seeds;
    size_t count, busy;
    bool is_fresh;      /**< the servers were found since they were last needed      */
    int64_t started_us; /**< of the last look-up                                     */
    kb_list before;     /**< servers of the last one, while a look-up is under way   */
    kc_error error;     /**< of a configured name that could not be resolved         */
} kn_bootstrap;

/** One lane to one broker: a queue, and a connection when there is need of one. */
typedef struct kn_link {
    kb_list node;
    kn_broker *broker;
    kn_lane lane;
    uint32_t owner;
    kb_list waiting;
    int64_t waiting_deadline_us; /**< no later than the nearest of `waiting`; INT64_MAX: none */
    kn_conn *conn;               /**< NULL: none */
    uint32_t failures;           /**< in a row */
    int64_t retry_at_us;
    int64_t mute_until_us;
    bool is_wanted; /**< by the queue for any broker */
    kc_err doom;    /**< it is to go, and this is what its requests hear; KC_OK: stay */
    kn_timer timer;
    kn_task task;
} kn_link;

struct kn_pool {
    kn_pool_options options;
    kn_conn_env env;
    kn_conn_stats stats;
    kn_recycler recycler;
    kb_map by_id;
    kb_list brokers;   /**< known              */
    kb_list bootstrap; /**< servers to begin with: as configured, or by their canonical names */
    kn_bootstrap canonical; /**< pool_bootstrap.c */
    kb_list gone;           /**< forgotten, with links still ending */
    kb_list detached;       /**< connections that drain, without a link */
    kb_list refused;        /**< requests to complete with request->refused */
    kn_task refused_task;
    kb_list any; /**< requests for any broker */
    kn_task any_task;
    kn_timer any_timer;
    uint32_t any_next;
    int64_t hedge_at_us;
    kc_error last_error;
    uint32_t open;
    uint64_t connects, disconnects;
    bool is_closing;
};

/* pool_link.c */

/** Find or make; NULL out of memory. */
kn_link *kn_link_get(kn_broker *broker, kn_lane lane, uint32_t owner);
/** The same without making it. */
kn_link *kn_link_find(const kn_broker *broker, kn_lane lane, uint32_t owner);
void kn_link_submit(kn_link *link, kn_request *request);
/** Note and tell that a connection came up (error NULL), ended, or could not be made. */
void kn_pool_tell_change(kn_pool *pool, int32_t broker_id, const kc_error *error, bool was_idle);
/** Look at the link at the end of this turn. */
void kn_link_kick(kn_link *link);
bool kn_link_is_muted(const kn_link *link);
/** End it: what is there is told `code`. */
void kn_link_doom(kn_link *link, kc_err code);
/** The broker moved: new requests go to the new address, what is in flight ends on the old
 * connection. */
void kn_link_detach(kn_link *link);
/** Complete everything now and free. */
void kn_link_close(kn_link *link, kc_err code);
void kn_detached_close(kn_conn *conn, kc_err code);
void kn_broker_free(kn_broker *broker);
/** Complete all of a list; what is submitted meanwhile stays out. */
void kn_fail_all(kb_list *list, const kc_error *error, int32_t broker_id);

/* pool_bootstrap.c */

/** Lists made ready. */
void kn_bootstrap_init(kn_pool *pool);
/** The servers from the options. KC_ERR_CONFIG: not a list of host:port. */
KC_NODISCARD kc_err kn_bootstrap_read(kn_pool *pool, kc_error *err);
/** They are needed: begin to look them up, where that is to be done. Returns when to ask again; INT64_MAX: what
 * is found kicks the queue for any broker. */
int64_t kn_bootstrap_prepare(kn_pool *pool, int64_t now_us);
/** Beginning anew: what was found is of the past. */
void kn_bootstrap_forget(kn_pool *pool);
void kn_bootstrap_cleanup(kn_pool *pool);

/* pool_any.c */

void kn_any_init(kn_pool *pool);
void kn_any_submit(kn_pool *pool, kn_request *request);
/** Something changed that may let requests go. */
void kn_any_kick(kn_pool *pool);
/** None of them is connected or on the way to it: every one failed, and waits for its next try. True of none. */
bool kn_all_back_off(const kb_list *brokers, int64_t now_us);

/* pool.c */

/** Bootstrap connections are temporary: they go once a broker is known, or is connected again. */
void kn_pool_leave_bootstrap(kn_pool *pool);
/** In no list yet. NULL: out of memory. */
kn_broker *kn_broker_new(kn_pool *pool, int32_t id, kc_bytes host, uint16_t port);
/** Taken off its list: it goes when its links have ended, with KC_ERR_NO_BROKER. */
void kn_broker_retire(kn_broker *broker);

/** The sentence for the codes the pool itself gives. */
void kn_pool_error(kc_error *error, kc_err code, int32_t broker_id);
/** Of a request that waited in vain: where a connection could not be made, that says it all, and only the code stays;
 * where none has failed yet, what one waits for. */
void kn_pool_name_cause(const kn_pool *pool, kc_error *error);

/* pool_explain.c */

/** What the first connection waits for, in words; false: none waits. */
bool kn_pool_first_trouble(const kn_pool *pool, char *text, size_t cap);

#endif
