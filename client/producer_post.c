/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sends and flushes from other threads than the client's own: records are copied into the thread's
 * queue and sent from there. */
#include "client/producer_flow.h"
#include "client/record_copy.h"
#include "client/thread.h"
#include "protocol/base/error.h"

#include <assert.h>

/** A record in the queue. */
typedef struct posted_record {
    kc_producer *producer;
    kc_topic *topic;  /**< NULL: by name */
    kc_record record; /**< its headers and slices lie behind */
    kc_delivery_fn fn;
    void *user;
} posted_record;

#define PAYLOAD_MAX (KC_THREAD_ITEM_BYTES_MAX - sizeof(posted_record))

/* ---- on the client's thread ---- */

static void tell_failed(const void *data, const kc_error *error)
{
    const posted_record *item = data;
    if (!item->fn)
        return;
    const kc_delivery delivery = {
        .err = error->code,
        .error = error,
        .topic = item->topic ? item->topic->meta->name : item->record.topic,
        .partition = -1,
        .offset = -1,
        .timestamp_ms = item->record.timestamp_ms,
    };
    item->fn(&delivery, item->user);
}

static bool take_record(kc_client *client, const void *data)
{
    const posted_record *item = data;
    kc_error error;
    (void)client;
    kc_err sent =
        item->topic ? kc_producer_send_to(item->topic, &item->record, item->fn, item->user, &error)
                    : kc_producer_send(item->producer, &item->record, item->fn, item->user, &error);
    if (sent == KC_ERR_BUFFER_FULL)
        return false;
    if (sent != KC_OK)
        tell_failed(item, &error); /* only now could it be seen */
    return true;
}

/* ---- on the others ---- */

kc_err kc_producer_post(kc_producer *producer, kc_topic *topic, const kc_record *record,
                        kc_delivery_fn fn, void *user, kc_error *err)
{
    static const kc_post_kind kind = {take_record, tell_failed};
    kc_bytes name = topic ? KC_NULL : record->topic;
    size_t payload;
    void *data;
    if (!kc_record_copy_bytes(record, name, PAYLOAD_MAX, &payload))
        return kb_error_set(err, KC_ERR_TOO_LARGE,
                            "a record from another thread has at most %zu bytes", PAYLOAD_MAX);
    kc_err reserved =
        kc_thread_reserve(producer->client, sizeof(posted_record) + payload, &kind, &data);
    if (reserved != KC_OK)
        return kb_error_code(err, reserved);
    posted_record *item = data;
    *item = (posted_record){.producer = producer, .topic = topic, .fn = fn, .user = user};
    kc_record_copy(&item->record, record, name, item + 1);
    kc_thread_commit(producer->client);
    return KC_OK;
}

typedef struct flushing {
    kc_producer *producer;
    uint64_t mark; /**< of what was handed over before */
    int timeout_ms;
    kc_err err;
} flushing;

/** Out of dispatch: first take what was handed over before, then flush. */
static void flush(kc_client *client, void *user)
{
    flushing *f = user;
    int64_t begun_us = kc_client_fresh_us(client);
    int left_ms = f->timeout_ms;
    f->err = KC_OK;
    while (f->err == KC_OK && !kc_thread_has_taken(client, f->mark)) {
        kc_err turned = kc_client_dispatch(client, left_ms);
        int64_t spent_ms = (kc_client_fresh_us(client) - begun_us) / 1000;
        if (f->timeout_ms >= 0)
            left_ms = spent_ms < f->timeout_ms ? f->timeout_ms - (int)spent_ms : 0;
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            f->err = turned;
        else if (f->timeout_ms >= 0 && left_ms == 0)
            f->err = KC_ERR_TIMEOUT;
    }
    if (f->err == KC_OK)
        f->err = kc_producer_flush(f->producer, left_ms);
}

kc_err kc_producer_flush_elsewhere(kc_producer *producer, int timeout_ms)
{
    flushing f = {.producer = producer, .timeout_ms = timeout_ms};
    KB_TRY(kc_thread_mark(producer->client, &f.mark));
    KB_TRY(kc_client_run(producer->client, flush, &f));
    return f.err;
}
