/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A call that blocks, of a library that knows no other way (Kerberos, libcurl), on a thread of its
 * own which ends with it: the one exception to a client without threads.
 *
 * The thread shares nothing with the client but the job's data, which it must not leave: no kb_mem,
 * no loop, no log. A call can't be stopped, so the client does not wait for one that it has given up:
 * the thread then ends by itself, later, and frees the data. That is why a job is of malloc(), not
 * of the client's memory, which may be gone by then. */
#ifndef KN_WORKER_H
#define KN_WORKER_H

#include "net/loop.h"

#include <pthread.h>

typedef struct kn_job kn_job;

typedef struct kn_job_kind {
    void (*run)(void *data);     /**< on the worker; may block                        */
    void (*release)(void *data); /**< frees it, once, on whichever thread is the last */
} kn_job_kind;

/** One call; stands inside its owner. Zero-filled is idle. */
typedef struct kn_work {
    kn_loop *loop;
    void (*done)(struct kn_work *work); /**< from a loop turn, once: the call returned */
    void *user;
    kn_job *job;      /**< private; NULL: idle */
    pthread_t thread; /**< private; joined when it has ended, or left to itself */
    bool is_running;  /**< private                                             */
    kn_watch watch;
} kn_work;

/** Start; loop, done and user are set. `data` is the job's from here on, also when this fails:
 * KC_ERR_NOMEM, KC_ERR_IO (no thread or descriptor), KC_ERR_STATE (a virtual loop has no threads). */
KC_NODISCARD kc_err kn_work_start(kn_work *work, const kn_job_kind *kind, void *data,
                                  kc_error *err);
/** What the call left; from `done` until kn_work_end(). Before that the worker's, but for what both
 * may touch. NULL: idle. */
void *kn_work_data(const kn_work *work);
/** Done with it, or not interested any more: `done` is not called after this. Never waits; idle is
 * allowed. */
void kn_work_end(kn_work *work);

/** A thread that gets no signals: those are for the application's threads. 0, or errno. */
int kn_thread_create(pthread_t *id_out, void *(*run)(void *user), void *user);

#endif
