/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A pool that knows one broker, and calls on it. */
#ifndef POOL_FIXTURE_H
#define POOL_FIXTURE_H

#include "net/pool_core.h"
#include "tests/unit/net/rig.h"

typedef struct fixture {
    rig r;
    rig_broker *broker;
    rig_call calls[8];
    size_t count;
} fixture;

/** Broker 1 at one:9092 is known. */
static inline void init(fixture *f, size_t count)
{
    rig_init(&f->r);
    f->broker = rig_broker_add(&f->r, "one", 9092);
    rig_pool(&f->r, "one:9092");
    ck_assert_int_eq(kn_pool_set_broker(f->r.pool, 1, KC_STR("one"), 9092), KC_OK);
    f->count = count;
    for (size_t i = 0; i < count; i++)
        rig_call_init(&f->r, &f->calls[i]);
}

static inline void free_pool(fixture *f)
{
    kn_pool_free(f->r.pool);
    f->r.pool = NULL;
}

static inline void cleanup(fixture *f)
{
    free_pool(f);
    for (size_t i = 0; i < f->count; i++)
        rig_call_cleanup(&f->calls[i]);
    rig_cleanup(&f->r);
}

static inline void check_failed(const rig_call *call, kc_err err, bool was_sent)
{
    ck_assert_int_eq(call->done, 1);
    ck_assert_msg(call->err == err, "%d: %s", call->err, call->error.text);
    ck_assert_int_eq(call->was_sent, was_sent);
    ck_assert_int_eq(call->error.api_key, KP_API_METADATA);
}

static inline kn_pool_stats stats_of(const fixture *f)
{
    kn_pool_stats stats;
    kn_pool_stats_get(f->r.pool, &stats);
    return stats;
}

/** The main lane to broker 1. */
static inline const kn_link *link_of(const fixture *f)
{
    const kn_broker *broker = kb_map_get(&f->r.pool->by_id, kc_span(&(int32_t){1}, 4));
    return kn_link_find(broker, KN_LANE_MAIN, 0);
}

#endif
