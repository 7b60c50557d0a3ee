/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the tests of admin operations share: a client on a scripted cluster, and the wait for an
 * answer. */
#ifndef ADMIN_WORLD_H
#define ADMIN_WORLD_H

#include "client/core.h"
#include "tests/unit/client/fake_broker.h"

#include <kafkac/admin.h>

#include <check.h>

typedef struct world {
    fake_cluster *cluster;
    kc_client *client;
    kc_error err;
    kc_admin_waiter waiter;
    int calls; /**< of the handler */
} world;

static inline void set_up(world *w)
{
    memset(w, 0, sizeof *w);
    w->cluster = fake_new(3);
    w->client = fake_client(w->cluster, NULL);
}

static inline void tear_down(world *w)
{
    kc_client_free(w->client);
    fake_free(w->cluster);
}

/** Wait for the operation just started. */
static inline kc_admin_result *finish(world *w, kc_err started)
{
    ck_assert_msg(started == KC_OK, "%s", w->err.text);
    ck_assert(!w->waiter.is_done);
    kc_err end = kc_admin_wait(w->client, &w->waiter, &w->err);
    ck_assert_msg(end == KC_OK, "%s", w->err.text);
    kc_admin_result *result = w->waiter.result;
    w->waiter = (kc_admin_waiter){NULL, false};
    return result;
}

/** The same, but the whole call fails. */
static inline kc_err fail_whole(world *w, kc_err started)
{
    ck_assert_int_eq(started, KC_OK);
    kc_err end = kc_admin_wait(w->client, &w->waiter, &w->err);
    ck_assert_int_ne(end, KC_OK);
    ck_assert_int_eq(end, w->err.code);
    kc_admin_free(w->waiter.result);
    w->waiter = (kc_admin_waiter){NULL, false};
    return end;
}

static inline void expect_item(const kc_admin_result *result, size_t index, const char *name,
                               kc_err err)
{
    const kc_admin_item *item = kc_admin_item_at(result, index);
    ck_assert_ptr_nonnull(item);
    ck_assert_msg(kc_bytes_equal(item->name, kc_str(name)), KC_FMT, KC_ARG(item->name));
    ck_assert_int_eq(item->err, err);
}

#define WAIT kc_admin_waiter_fn, &w.waiter, &w.err

#endif
