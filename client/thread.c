/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * kc_client_start(): one thread that does nothing but dispatch, for programs without a loop.
 *
 * Other threads append records and calls to a queue of bytes under a mutex, and wake the loop when
 * it is not woken yet. The client's thread swaps the queue for an empty one, also under the mutex, and
 * takes what stands in it without: so a lock is held for the copy of one record, never for I/O, and
 * nobody waits for the network but who asks to (kc_client_run).
 *
 * Back-pressure: when the producer's own buffer is full, taking stops at that record and goes on
 * when there is room; the queue fills up, and then senders are told KC_ERR_BUFFER_FULL. So nothing
 * that was accepted is dropped, and what two threads hand over stays in each one's order. */
#include "client/thread.h"

#include "net/worker.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#define ALIGN 16

/** An item in the queue. */
typedef struct posted {
    size_t bytes; /**< of all of it, a multiple of ALIGN */
    const kc_post_kind *kind;
    _Alignas(ALIGN) uint8_t data[];
} posted;

typedef struct post_queue {
    uint8_t *data;
    size_t len;
} post_queue;

/** A call that another thread waits for, on whose stack it stands. */
typedef struct waiting_run {
    kc_post_fn fn;
    void *user;
    bool is_done;
    kc_err err; /**< KC_ERR_STATE: the thread ended before it ran */
    kb_list node;
} waiting_run;

/** How often this process was forked off: a child has neither the thread nor a usable mutex, and must
 * find that out without a system call for each record. */
static atomic_uint forks;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, count_fork);
}

struct kc_thread {
    pthread_t id;
    unsigned forks; /**< when it was started */
    pthread_mutex_t mutex;
    pthread_cond_t ended;  /**< a run did                             */
    post_queue filling;    /**< under the mutex                       */
    uint64_t posted_bytes; /**< ever; under the mutex                 */
    bool is_woken;         /**< since it looked last; under the mutex */
    kb_list runs;          /**< oldest first; under the mutex         */
    size_t callers;        /**< of kc_client_run(); under the mutex   */
    bool is_stopping;      /**< under the mutex                       */
    /* the client's thread alone */
    post_queue taking;
    size_t taken;         /**< bytes of `taking` */
    uint64_t taken_bytes; /**< ever */
};

bool kc_thread_is_elsewhere(const kc_client *client)
{
    return !pthread_equal(client->thread->id, pthread_self());
}

static bool is_forked(const kc_thread *thread)
{
    return atomic_load_explicit(&forks, memory_order_relaxed) != thread->forks;
}

/* ---- handing over ---- */

static size_t round_up(size_t size)
{
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

kc_err kc_thread_reserve(kc_client *client, size_t bytes, const kc_post_kind *kind, void **item_out)
{
    kc_thread *thread = client->thread;
    if (is_forked(thread))
        return KC_ERR_FORKED;
    assert(bytes <= KC_THREAD_ITEM_BYTES_MAX);
    bytes = round_up(sizeof(posted) + bytes);
    pthread_mutex_lock(&thread->mutex);
    post_queue *queue = &thread->filling;
    if (thread->is_stopping || bytes > KC_THREAD_QUEUE_BYTES - queue->len) {
        kc_err refused = thread->is_stopping ? KC_ERR_STATE : KC_ERR_BUFFER_FULL;
        pthread_mutex_unlock(&thread->mutex);
        return refused;
    }
    posted *item = (posted *)(void *)(queue->data + queue->len);
    *item = (posted){.bytes = bytes, .kind = kind};
    queue->len += bytes;
    thread->posted_bytes += bytes;
    *item_out = item->data;
    return KC_OK;
}

/** The loop is woken when nothing stood in the queue: else it is awake, or about to be. */
void kc_thread_commit(kc_client *client)
{
    kc_thread *thread = client->thread;
    bool is_first = !thread->is_woken;
    thread->is_woken = true;
    pthread_mutex_unlock(&thread->mutex);
    if (is_first)
        kn_loop_wake(client->loop);
}

kc_err kc_thread_mark(kc_client *client, uint64_t *mark_out)
{
    kc_thread *thread = client->thread;
    if (is_forked(thread))
        return KC_ERR_FORKED;
    pthread_mutex_lock(&thread->mutex);
    *mark_out = thread->posted_bytes;
    pthread_mutex_unlock(&thread->mutex);
    return KC_OK;
}

bool kc_thread_has_taken(const kc_client *client, uint64_t mark)
{
    return client->thread->taken_bytes >= mark;
}

typedef struct posted_call {
    kc_post_fn fn;
    void *user;
} posted_call;

static bool take_call(kc_client *client, const void *item)
{
    const posted_call *call = item;
    call->fn(client, call->user);
    return true;
}

/** Never: a call is always taken. */
static void fail_call(const void *item, const kc_error *error)
{
    (void)item;
    (void)error;
}

kc_err kc_client_post(kc_client *client, kc_post_fn fn, void *user)
{
    static const kc_post_kind kind = {take_call, fail_call};
    void *item;
    if (!client->thread)
        return KC_ERR_STATE;
    KB_TRY(kc_thread_reserve(client, sizeof(posted_call), &kind, &item));
    *(posted_call *)item = (posted_call){fn, user};
    kc_thread_commit(client);
    return KC_OK;
}

/* ---- taking, on the client's thread ---- */

/** What was filled for what was taken. False: nothing was. */
static bool swap(kc_thread *thread)
{
    pthread_mutex_lock(&thread->mutex);
    post_queue full = thread->filling;
    thread->filling = (post_queue){thread->taking.data, 0};
    thread->taking = full;
    thread->taken = 0;
    thread->is_woken = full.len > 0;
    pthread_mutex_unlock(&thread->mutex);
    return full.len > 0;
}

static const posted *next_item(const kc_thread *thread)
{
    return (const posted *)(const void *)(thread->taking.data + thread->taken);
}

static void step_over(kc_thread *thread, const posted *item)
{
    thread->taken += item->bytes;
    thread->taken_bytes += item->bytes;
}

/** False: there is no room. The next turn tries again: acknowledgements make some. */
static bool take_all(kc_client *client)
{
    kc_thread *thread = client->thread;
    while (thread->taken < thread->taking.len) {
        const posted *item = next_item(thread);
        if (!item->kind->take(client, item->data))
            return false;
        step_over(thread, item);
    }
    return true;
}

/** What came meanwhile is for the next turn: else calls that post themselves anew, or threads that
 * are quicker than this one, would keep it from its sockets. */
static void wake_for_more(kc_client *client)
{
    kc_thread *thread = client->thread;
    pthread_mutex_lock(&thread->mutex);
    bool has_more = thread->filling.len > 0;
    thread->is_woken = has_more;
    pthread_mutex_unlock(&thread->mutex);
    if (has_more)
        kn_loop_wake(client->loop);
}

void kc_thread_take(kc_client *client)
{
    if (take_all(client) && swap(client->thread) && take_all(client))
        wake_for_more(client);
}

/* ---- waiting for it ---- */

kc_err kc_client_run(kc_client *client, kc_post_fn fn, void *user)
{
    kc_thread *thread = client->thread;
    if (kn_loop_is_forked(client->loop))
        return KC_ERR_FORKED;
    if (!kc_client_is_elsewhere(client)) {
        if (client->in_dispatch)
            return KC_ERR_STATE;
        fn(client, user);
        return KC_OK;
    }
    waiting_run run = {.fn = fn, .user = user};
    pthread_mutex_lock(&thread->mutex);
    thread->callers++;
    if (thread->is_stopping) {
        run.err = KC_ERR_STATE;
        run.is_done = true;
    } else {
        kb_list_push_back(&thread->runs, &run.node);
        kn_loop_wake(client->loop);
    }
    while (!run.is_done)
        pthread_cond_wait(&thread->ended, &thread->mutex);
    if (--thread->callers == 0 && thread->is_stopping)
        pthread_cond_broadcast(&thread->ended);
    pthread_mutex_unlock(&thread->mutex);
    return run.err;
}

/* ---- the thread ---- */

/** The next one that somebody waits for; NULL: none. */
static waiting_run *next_run(kc_thread *thread, bool *is_stopping_out)
{
    pthread_mutex_lock(&thread->mutex);
    kb_list *node = kb_list_pop_front(&thread->runs);
    *is_stopping_out = thread->is_stopping;
    pthread_mutex_unlock(&thread->mutex);
    return node ? KB_CONTAINER(node, waiting_run, node) : NULL;
}

static void finish_run(kc_thread *thread, waiting_run *run)
{
    pthread_mutex_lock(&thread->mutex);
    run->is_done = true;
    pthread_cond_broadcast(&thread->ended);
    pthread_mutex_unlock(&thread->mutex);
}

/** The thread ends: nobody waits for it, nothing is handed over to it. */
static void fail_runs(kc_thread *thread)
{
    pthread_mutex_lock(&thread->mutex);
    thread->is_stopping = true;
    for (kb_list *node; (node = kb_list_pop_front(&thread->runs));) {
        waiting_run *run = KB_CONTAINER(node, waiting_run, node);
        run->err = KC_ERR_STATE;
        run->is_done = true;
    }
    pthread_cond_broadcast(&thread->ended);
    pthread_mutex_unlock(&thread->mutex);
}

/** What was handed over and can't be sent now, for there is no room: told as failed. Nothing is handed
 * over any more. */
static void fail_rest(kc_client *client)
{
    kc_thread *thread = client->thread;
    kc_error error;
    kb_error_set(&error, KC_ERR_CLOSED,
                 "the client's thread was stopped while buffer.memory was "
                 "full: flush before kc_client_stop()");
    client->in_dispatch = true;
    for (kc_thread_take(client); thread->taken < thread->taking.len; kc_thread_take(client)) {
        const posted *item = next_item(thread);
        item->kind->fail(item->data, &error);
        step_over(thread, item);
    }
    client->in_dispatch = false;
}

static void *work(void *user)
{
    kc_client *client = user;
    kc_thread *thread = client->thread;
    bool is_stopping = false;
    while (!is_stopping) {
        waiting_run *run;
        while ((run = next_run(thread, &is_stopping))) {
            run->fn(client, run->user);
            finish_run(thread, run);
        }
        if (is_stopping)
            break;
        kc_err turned = kc_client_dispatch(client, -1);
        if (turned != KC_OK && turned != KC_ERR_AGAIN) {
            kb_log_line(&client->log, KC_LOG_ERROR, "the client's thread ends: %s",
                        kc_err_text(turned));
            break;
        }
    }
    if (!is_forked(thread)) { /* a child may hold what another thread has locked */
        fail_runs(thread);
        fail_rest(client);
    }
    return NULL;
}

void kc_thread_explain(const kc_client *client, kb_explain *out)
{
    const kc_thread *thread = client->thread;
    if (thread && thread->taken < thread->taking.len)
        kb_explain_line(out, "records of other threads wait for room in buffer.memory: %s",
                        kb_size(thread->taking.len - thread->taken).text);
}

static void free_thread(kc_client *client)
{
    kc_thread *thread = client->thread;
    kb_mem_free(&client->mem, thread->filling.data);
    kb_mem_free(&client->mem, thread->taking.data);
    kb_mem_free(&client->mem, thread);
    client->thread = NULL;
}

kc_err kc_client_start(kc_client *client, kc_error *err)
{
    KB_TRY(kc_client_check(client, err));
    if (client->thread || client->in_dispatch || client->is_virtual)
        return kb_error_set(err, KC_ERR_STATE,
                            client->thread ? "the client has a thread already"
                                           : "start a client outside of its callbacks");
    kc_thread *thread = kb_mem_zalloc(&client->mem, sizeof *thread);
    if (!thread)
        return kb_error_code(err, KC_ERR_NOMEM);
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    client->thread = thread;
    thread->forks = atomic_load(&forks);
    kb_list_init(&thread->runs);
    thread->filling.data = kb_mem_alloc(&client->mem, KC_THREAD_QUEUE_BYTES);
    thread->taking.data = kb_mem_alloc(&client->mem, KC_THREAD_QUEUE_BYTES);
    if (!thread->filling.data || !thread->taking.data) {
        free_thread(client);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    pthread_mutex_init(&thread->mutex, NULL);
    pthread_cond_init(&thread->ended, NULL);
    pthread_mutex_lock(&thread->mutex); /* until its id is written */
    int failed = kn_thread_create(&thread->id, work, client);
    pthread_mutex_unlock(&thread->mutex);
    if (failed == 0)
        return KC_OK;
    kc_thread_end(client);
    kb_error_set(err, KC_ERR_IO, "a thread could not be started: %s", strerror(failed));
    if (err)
        err->os_errno = failed;
    return KC_ERR_IO;
}

kc_err kc_client_stop(kc_client *client)
{
    kc_thread *thread = client->thread;
    if (!thread || !kc_thread_is_elsewhere(client))
        return KC_ERR_STATE;
    if (is_forked(thread))
        return KC_ERR_FORKED;
    pthread_mutex_lock(&thread->mutex);
    thread->is_stopping = true;
    pthread_mutex_unlock(&thread->mutex);
    kn_loop_wake(client->loop);
    pthread_join(thread->id, NULL);
    pthread_mutex_lock(&thread->mutex);
    while (thread->callers > 0) /* they were told, and are about to leave */
        pthread_cond_wait(&thread->ended, &thread->mutex);
    pthread_mutex_unlock(&thread->mutex);
    kc_thread_end(client);
    return KC_OK;
}

void kc_thread_end(kc_client *client)
{
    kc_thread *thread = client->thread;
    if (!thread)
        return;
    /* In a child there is no such thread, and the mutex may be held by it for ever. */
    if (!client->is_forked) {
        pthread_mutex_destroy(&thread->mutex);
        pthread_cond_destroy(&thread->ended);
    }
    free_thread(client);
}
