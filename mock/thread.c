/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The thread waits for the loop outside of the gate, and turns it inside. */
#include "mock/thread.h"

#include "net/worker.h"
#include "protocol/base/error.h"

#include <assert.h>

void km_gate_init(km_gate *gate)
{
    *gate = (km_gate){.is_taken = false};
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

void km_gate_cleanup(km_gate *gate)
{
    pthread_mutex_destroy(&gate->mutex);
    pthread_cond_destroy(&gate->changed);
}

bool km_gate_enter(km_gate *gate, bool is_turn)
{
    pthread_mutex_lock(&gate->mutex);
    bool is_inside = gate->is_taken && pthread_equal(gate->owner, pthread_self());
    if (!is_inside) {
        gate->waiting += is_turn ? 0 : 1;
        while (gate->is_taken || (is_turn && gate->waiting > 0))
            pthread_cond_wait(&gate->changed, &gate->mutex);
        gate->waiting -= is_turn ? 0 : 1;
        gate->is_taken = true;
        gate->owner = pthread_self();
    }
    pthread_mutex_unlock(&gate->mutex);
    return !is_inside;
}

void km_gate_leave(km_gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    assert(gate->is_taken && pthread_equal(gate->owner, pthread_self()));
    gate->is_taken = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}

static void *work(void *user)
{
    km_thread *thread = user;
    while (!atomic_load(&thread->is_stopping) && kn_loop_wait(thread->loop, -1) == KC_OK &&
           !atomic_load(&thread->is_stopping) && thread->turn(thread->user) == KC_OK)
        continue;
    return NULL;
}

kc_err km_thread_start(km_thread *thread, kc_error *err)
{
    atomic_init(&thread->is_stopping, false);
    int failed = kn_thread_create(&thread->id, work, thread);
    return failed == 0 ? KC_OK
                       : kb_error_errno(err, KC_ERR_IO, failed, "a thread could not be started");
}

void km_thread_stop(km_thread *thread)
{
    atomic_store(&thread->is_stopping, true);
    kn_loop_wake(thread->loop);
    pthread_join(thread->id, NULL);
}
