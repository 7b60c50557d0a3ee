/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The turn, and the real loop: epoll + timerfd + eventfd.
 *
 * Sockets are level-triggered. The timerfd and the eventfd are edge-triggered and never read: an
 * expiry or a write makes the epoll fd readable, the next epoll_wait() takes that up, and the two
 * reads a turn are saved. The timerfd is armed anew only when the nearest deadline moved earlier or
 * the old one has passed, so a timer that is moved back with every request costs no system call; it
 * may wake the loop once for nothing.
 *
 * Outside of a turn the loop owns no stack, so what is queued there must make the fd readable for a
 * foreign poll(). Programs that never asked for the fd are spared these system calls: their next
 * turn looks anyway. */
#define _GNU_SOURCE // epoll, timerfd, eventfd flags
#include "net/clock.h"
#include "net/loop_core.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

void kn_loop_init(kn_loop *loop, kb_mem *mem, int64_t now_us, int64_t wall_ms)
{
    *loop = (kn_loop){.mem = mem,
                      .now_us = now_us,
                      .wall_ms = wall_ms,
                      .epoll_fd = -1,
                      .timer_fd = -1,
                      .wake_fd = -1,
                      .armed_us = KN_LOOP_UNARMED,
                      .start_us = now_us,
                      .start_wall_ms = wall_ms};
    atomic_init(&loop->is_woken, false);
    atomic_init(&loop->is_waiting, false);
    kb_list_init(&loop->tasks);
    kb_list_init(&loop->last_tasks);
    kb_list_init(&loop->ready);
}

static kc_err open_fds(kn_loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return KC_ERR_IO;
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer_fd < 0)
        return KC_ERR_IO;
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        return KC_ERR_IO;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &loop->timer_fd};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) < 0)
        return KC_ERR_IO;
    event.data.ptr = &loop->wake_fd;
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0 ? KC_ERR_IO : KC_OK;
}

void kn_loop_abandon(kn_loop *loop)
{
    const int fds[] = {loop->epoll_fd, loop->timer_fd, loop->wake_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

kc_err kn_loop_new(kb_mem *mem, kn_loop **loop_out, kc_error *err)
{
    assert(mem && loop_out);
    kn_loop *loop = kb_mem_alloc(mem, sizeof *loop);
    if (!loop)
        return kb_error_code(err, KC_ERR_NOMEM);
    kn_loop_init(loop, mem, kn_clock_now_us(), kn_clock_wall_ms());
    loop->pid = getpid();
    if (open_fds(loop) != KC_OK) {
        int os_errno = errno;
        kn_loop_abandon(loop);
        kb_mem_free(mem, loop);
        return kb_error_errno(err, KC_ERR_IO, os_errno,
                              "could not open the descriptors of the event loop");
    }
    *loop_out = loop;
    return KC_OK;
}

void kn_loop_free(kn_loop *loop)
{
    if (!loop)
        return;
    assert(!loop->in_turn ||
           kn_loop_is_forked(loop)); // a child has the turn of a thread it has not
    kn_loop_abandon(loop);
    kb_mem_free(loop->mem, loop);
}

bool kn_loop_is_forked(const kn_loop *loop)
{
    return !loop->is_virtual && getpid() != loop->pid;
}

bool kn_loop_was_waiting(const kn_loop *loop)
{
    return atomic_load(&loop->is_waiting);
}

int kn_loop_fd(kn_loop *loop)
{
    if (loop->is_virtual)
        return -1;
    if (!loop->fd_is_public) {
        loop->fd_is_public = true;
        if (kn_loop_has_work(loop))
            kn_loop_wake(loop);
    }
    return loop->epoll_fd;
}

int64_t kn_loop_now_us(const kn_loop *loop)
{
    return loop->now_us;
}

int64_t kn_loop_wall_ms(const kn_loop *loop)
{
    return loop->wall_ms;
}

int64_t kn_loop_refresh_wall(kn_loop *loop)
{
    if (!loop->is_virtual)
        loop->wall_ms = kn_clock_wall_ms();
    return loop->wall_ms;
}

int64_t kn_loop_refresh_now(kn_loop *loop)
{
    if (!loop->is_virtual)
        loop->now_us = kn_clock_now_us();
    return loop->now_us;
}

kc_err kn_loop_wait(const kn_loop *loop, int timeout_ms)
{
    assert(!loop->is_virtual && loop->fd_is_public);
    struct pollfd fd = {.fd = loop->epoll_fd, .events = POLLIN};
    return poll(&fd, 1, timeout_ms) >= 0 || errno == EINTR ? KC_OK : KC_ERR_IO;
}

void kn_loop_wake(kn_loop *loop)
{
    if (atomic_exchange(&loop->is_woken, true) || loop->is_virtual)
        return;
    int os_errno = errno; // may run in a signal handler
    uint64_t one = 1;
    /* EAGAIN would mean a full counter, which is readable as well. */
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written;
    errno = os_errno;
}

void kn_loop_on_wake(kn_loop *loop, kn_task *task)
{
    loop->wake_task = task;
}

void kn_loop_more(kn_loop *loop)
{
    loop->has_more = true;
}

bool kn_loop_has_work(const kn_loop *loop)
{
    const kn_timer *timer = kn_timer_heap_min(&loop->timers);
    return !kb_list_is_empty(&loop->tasks) || !kb_list_is_empty(&loop->last_tasks) ||
           (timer && timer->due_us <= loop->now_us);
}

/** Put the nearest deadline into the timerfd, when it is nearer than what is there. */
static void arm(kn_loop *loop)
{
    const kn_timer *timer = kn_timer_heap_min(&loop->timers);
    if (!timer || timer->due_us >= loop->armed_us || kn_loop_is_forked(loop))
        return;
    /* Zero would disarm; the past fires at once. */
    int64_t due_us = timer->due_us > 0 ? timer->due_us : 1;
    struct itimerspec spec = {.it_value = {.tv_sec = (time_t)(due_us / 1000000),
                                           .tv_nsec = (long)(due_us % 1000000) * 1000}};
    if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
        loop->armed_us = timer->due_us;
}

kc_err kn_timer_set(kn_loop *loop, kn_timer *timer, int64_t due_us)
{
    /* The past is now: so timers which set themselves anew for the past can't starve those due
     * since. */
    if (due_us < loop->now_us)
        due_us = loop->now_us;
    if (timer->is_set && timer->due_us == due_us)
        return KC_OK;
    kn_timer_heap_remove(&loop->timers, timer);
    timer->due_us = due_us;
    kn_timer_heap_insert(&loop->timers, timer);
    if (!loop->in_turn && loop->fd_is_public)
        arm(loop);
    return KC_OK;
}

void kn_timer_stop(kn_loop *loop, kn_timer *timer)
{
    kn_timer_heap_remove(&loop->timers, timer);
}

static void queue(kn_loop *loop, kb_list *list, kn_task *task)
{
    assert(task->fn);
    if (!task->node.next)
        kb_list_init(&task->node);
    if (!kb_list_is_empty(&task->node))
        return;
    kb_list_push_back(list, &task->node);
    if (!loop->in_turn && loop->fd_is_public && !kn_loop_is_forked(loop))
        kn_loop_wake(loop);
}

void kn_task_queue(kn_loop *loop, kn_task *task)
{
    queue(loop, &loop->tasks, task);
}

void kn_task_queue_last(kn_loop *loop, kn_task *task)
{
    queue(loop, &loop->last_tasks, task);
}

void kn_task_cancel(kn_task *task)
{
    if (task->node.next)
        kb_list_remove(&task->node);
}

kc_err kn_loop_watch(kn_loop *loop, kn_watch *watch, uint32_t events)
{
    assert(watch->fn && !watch->is_on);
    if (loop->is_virtual || kn_loop_is_forked(loop))
        return KC_ERR_STATE;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) < 0)
        return KC_ERR_IO;
    kb_list_init(&watch->pending);
    watch->events = events;
    watch->ready = 0;
    watch->is_on = true;
    return KC_OK;
}

void kn_loop_watch_modify(kn_loop *loop, kn_watch *watch, uint32_t events)
{
    assert(watch->is_on);
    if (watch->events == events || kn_loop_is_forked(loop))
        return;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    /* Can't fail for a registered descriptor. */
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) == 0)
        watch->events = events;
}

void kn_loop_unwatch(kn_loop *loop, kn_watch *watch)
{
    if (!watch->is_on)
        return;
    watch->is_on = false;
    kb_list_remove(&watch->pending);
    /* In a child of fork() the epoll set is the parent's too: hands off. */
    if (!kn_loop_is_forked(loop))
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

static void take_wake(kn_loop *loop)
{
    if (atomic_exchange(&loop->is_woken, false) && loop->wake_task)
        kn_task_queue(loop, loop->wake_task);
}

/** Wait, read the clock, sort the events. */
static kc_err wait_for_events(kn_loop *loop, int timeout_ms)
{
    if (getpid() != loop->pid)
        return KC_ERR_FORKED;
    struct epoll_event events[KN_LOOP_EVENTS_MAX];
    if (!kb_list_is_empty(&loop->tasks) || !kb_list_is_empty(&loop->last_tasks))
        timeout_ms = 0;
    if (timeout_ms != 0)
        arm(loop); // timers set outside of a turn, when nobody else polls
    atomic_store(&loop->is_waiting, true);
    int count = epoll_wait(loop->epoll_fd, events, KN_LOOP_EVENTS_MAX, timeout_ms);
    atomic_store(&loop->is_waiting, false);
    if (count < 0 && errno != EINTR)
        return KC_ERR_IO;
    loop->now_us = kn_clock_now_us();
    loop->wall_ms = kn_clock_wall_ms();
    loop->has_more = count == KN_LOOP_EVENTS_MAX;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == &loop->timer_fd) {
            loop->armed_us = KN_LOOP_UNARMED;
        } else if (events[i].data.ptr == &loop->wake_fd) {
            take_wake(loop);
        } else {
            kn_watch *watch = events[i].data.ptr;
            watch->ready = events[i].events;
            kb_list_push_back(&loop->ready, &watch->pending);
        }
    }
    return KC_OK;
}

static void serve_ready(kn_loop *loop)
{
    kb_list *node;
    while ((node = kb_list_pop_front(&loop->ready))) {
        kn_watch *watch = KB_CONTAINER(node, kn_watch, pending);
        watch->fn(watch, watch->ready);
    }
}

/** Timers set by timers wait for the next turn, even if due, so that a turn ends. */
static void run_timers(kn_loop *loop)
{
    uint64_t order_end = loop->timers.next_order;
    kn_timer *timer;
    while ((timer = kn_timer_heap_min(&loop->timers)) && timer->due_us <= loop->now_us &&
           timer->order < order_end) {
        kn_timer_heap_remove(&loop->timers, timer);
        timer->fn(timer);
    }
}

/** Tasks queued by tasks wait for the next turn. */
static void run_tasks(kb_list *list)
{
    kb_list now;
    kb_list_init(&now);
    kb_list_splice_back(&now, list);
    kb_list *node;
    while ((node = kb_list_pop_front(&now))) {
        kn_task *task = KB_CONTAINER(node, kn_task, node);
        task->fn(task);
    }
}

kc_err kn_loop_turn(kn_loop *loop, int timeout_ms, bool *busy_out)
{
    if (busy_out)
        *busy_out = false;
    if (loop->in_turn)
        return KC_ERR_STATE;
    loop->in_turn = true;
    loop->has_more = false;
    kc_err err = KC_OK;
    if (loop->is_virtual)
        take_wake(loop);
    else
        err = wait_for_events(loop, timeout_ms);
    if (err == KC_OK) {
        serve_ready(loop);
        run_timers(loop);
        run_tasks(&loop->tasks);
        run_tasks(&loop->last_tasks);
    }
    loop->in_turn = false;
    if (err != KC_OK)
        return err;
    bool has_work = kn_loop_has_work(loop);
    if (!loop->is_virtual) {
        arm(loop);
        if (has_work && loop->fd_is_public)
            kn_loop_wake(loop); // a level-triggered parent need not look at busy_out
    }
    if (busy_out)
        *busy_out = has_work || loop->has_more;
    return KC_OK;
}
