/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One job, two who hold it: the worker's thread and the loop's. The one who lets go last frees it.
 * The end is told by an eventfd of the job, so that the worker never touches a loop that may be
 * gone. */
#define _POSIX_C_SOURCE 200809L // pthread_sigmask
#include "net/worker.h"

#include "protocol/base/error.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct kn_job {
    const kn_job_kind *kind;
    void *data;
    int fd;
    atomic_int holders;
};

static void let_go(kn_job *job)
{
    if (atomic_fetch_sub(&job->holders, 1) > 1)
        return;
    job->kind->release(job->data);
    if (job->fd >= 0)
        close(job->fd);
    free(job);
}

/* ---- the worker ---- */

int kn_thread_create(pthread_t *id_out, void *(*run)(void *user), void *user)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(id_out, NULL, run, user);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void *work_through(void *user)
{
    kn_job *job = user;
    const uint64_t one = 1;
    job->kind->run(job->data);
    while (write(job->fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
    let_go(job);
    return NULL;
}

/* ---- the loop ---- */

static void on_ended(kn_watch *watch, uint32_t events)
{
    kn_work *work = watch->user;
    uint64_t count;
    (void)events;
    if (read(watch->fd, &count, sizeof count) < 0)
        return;
    // on its last instructions; one that is not joined may look like a leak to who checks at exit
    pthread_join(work->thread, NULL);
    work->is_running = false;
    kn_loop_unwatch(work->loop, watch);
    work->done(work);
}

static kc_err start(kn_work *work, kn_job *job, kc_error *err)
{
    job->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->fd < 0)
        return kb_error_errno(err, KC_ERR_IO, errno, "no eventfd for a worker");
    work->watch = (kn_watch){.fd = job->fd, .fn = on_ended, .user = work};
    kc_err watched = kn_loop_watch(work->loop, &work->watch, EPOLLIN);
    if (watched != KC_OK)
        return kb_error_set(err, watched, "a worker can't be watched");
    atomic_fetch_add(&job->holders, 1);
    int failed = kn_thread_create(&work->thread, work_through, job);
    if (failed != 0) {
        kn_loop_unwatch(work->loop, &work->watch);
        atomic_fetch_sub(&job->holders, 1);
        return kb_error_errno(err, KC_ERR_IO, failed, "a worker could not be started");
    }
    work->is_running = true;
    return KC_OK;
}

kc_err kn_work_start(kn_work *work, const kn_job_kind *kind, void *data, kc_error *err)
{
    assert(!work->job);
    kn_job *job = malloc(sizeof *job);
    if (!job) {
        kind->release(data);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    *job = (kn_job){.kind = kind, .data = data, .fd = -1};
    atomic_init(&job->holders, 1);
    kc_err result = start(work, job, err);
    if (result == KC_OK)
        work->job = job;
    else
        let_go(job);
    return result;
}

void *kn_work_data(const kn_work *work)
{
    return work->job ? work->job->data : NULL;
}

void kn_work_end(kn_work *work)
{
    kn_job *job = work->job;
    if (!job)
        return;
    work->job = NULL;
    if (work->is_running)
        pthread_detach(work->thread);
    work->is_running = false;
    kn_loop_unwatch(work->loop, &work->watch);
    let_go(job);
}
