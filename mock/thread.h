/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The one optional thread of a mock, and the gate through which one thread at a time gets at what it holds. Everything
 * else of the mock knows no thread. */
#ifndef KM_THREAD_H
#define KM_THREAD_H

#include "net/loop.h"

#include <kafkac/error.h>

#include <pthread.h>
#include <stdatomic.h>

typedef struct km_gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_taken;
    pthread_t owner; /**< while it is taken */
    size_t waiting;  /**< controls: the next turn comes behind them */
} km_gate;

void km_gate_init(km_gate *gate);
void km_gate_cleanup(km_gate *gate);
/** Wait and go in. False: this thread is inside already. A turn lets controls go first, else a busy loop would never let
 * them in. */
KC_NODISCARD bool km_gate_enter(km_gate *gate, bool is_turn);
void km_gate_leave(km_gate *gate);

/** Zero-filled is not started. */
typedef struct km_thread {
    pthread_t id;
    kn_loop *loop;
    kc_err (*turn)(void *user); /**< one turn without waiting; an error ends the thread */
    void *user;
    atomic_bool is_stopping;
} km_thread;

/** loop, turn and user are set. KC_ERR_IO. */
KC_NODISCARD kc_err km_thread_start(km_thread *thread, kc_error *err);
/** Waits for it to end. */
void km_thread_stop(km_thread *thread);

#endif
