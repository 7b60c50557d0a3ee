/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The event loop: watched descriptors, timers and tasks of one client, behind one pollable fd.
 *
 * Two kinds with the same interface (design: bytes and time come in as arguments):
 *   real     epoll holding the sockets, one timerfd for the nearest timer, one eventfd for
 * wake-ups; virtual  no descriptor at all; time stands still until kn_loop_advance(). The in-memory
 * network and the simulation run on it. A turn: wait, read the clock once, serve ready descriptors,
 * run due timers, run tasks, run last tasks. Everything below the client sees the time of the turn
 * (kn_loop_now_us), never the clock. */
#ifndef KN_LOOP_H
#define KN_LOOP_H

#include "net/timer.h"
#include "protocol/base/list.h"
#include "protocol/base/mem.h"

typedef struct kn_loop kn_loop;

/** A descriptor of interest; stands inside its owner. Zero-filled plus fd, fn and user is ready for
 * use. */
typedef struct kn_watch {
    int fd;
    uint32_t events; /**< EPOLLIN | EPOLLOUT as registered; private */
    void (*fn)(struct kn_watch *watch, uint32_t events);
    void *user;
    kb_list pending; /**< private */
    uint32_t ready;  /**< private */
    bool is_on;      /**< private */
} kn_watch;

/** Work for later in this turn, or for the next one when made by a task. Stands inside its owner.
 */
typedef struct kn_task {
    kb_list node; /**< kb_list_init() it before first use, or leave it zero-filled */
    void (*fn)(struct kn_task *task);
    void *user;
} kn_task;

KC_NODISCARD kc_err kn_loop_new(kb_mem *mem, kn_loop **loop_out, kc_error *err);
/** Starts at `now_us`, wall clock `wall_ms`; both move together. */
KC_NODISCARD kc_err kn_loop_new_virtual(kb_mem *mem, int64_t now_us, int64_t wall_ms,
                                        kn_loop **loop_out);
/** In a forked child only the child's copies of the descriptors are closed. */
void kn_loop_free(kn_loop *loop);

/** The one pollable fd; -1 for a virtual loop. From this call on, what is queued or set outside of
 * a turn makes the fd readable at once, so that a foreign poll() sees it. */
int kn_loop_fd(kn_loop *loop);

/**
 * One turn.
 *
 * @param timeout_ms  Longest wait; 0 polls, -1 waits for an event. A virtual loop never waits. A
 * signal ends the wait too.
 * @param busy_out    May be NULL: true when work is left, so a caller with an edge-triggered parent
 * turns again.
 * @retval KC_OK, KC_ERR_IO, KC_ERR_FORKED (in a child of the process that made the loop),
 * KC_ERR_STATE (inside a turn).
 */
KC_NODISCARD kc_err kn_loop_turn(kn_loop *loop, int timeout_ms, bool *busy_out);
/** Virtual only: move time to the nearest timer, at most to `until_us`, then turn until nothing is
 * left. False: nothing was due up to `until_us` (time is there now). */
bool kn_loop_advance(kn_loop *loop, int64_t until_us);

/** Virtual only: when something is to be done next; now, while work is left; INT64_MAX: nothing. */
int64_t kn_loop_next_due_us(const kn_loop *loop);
/** Virtual only: a process that was frozen goes on: it is `now_us` at once, with all that came due meanwhile still to
 * run in the next turn. */
void kn_loop_jump(kn_loop *loop, int64_t now_us);
/** Virtual only: somebody set the wall clock, by so much; monotonic time goes on as before. */
void kn_loop_shift_wall(kn_loop *loop, int64_t delta_ms);

/** Wait until a turn has something to do, at most `timeout_ms` (-1: for ever), and run nothing. So one thread can wait
 * while others change what stands on the loop, one at a time; kn_loop_fd() was called before. A signal ends it too.
 * KC_OK, KC_ERR_IO. */
KC_NODISCARD kc_err kn_loop_wait(const kn_loop *loop, int timeout_ms);
/** End a wait under way or the next one. From any thread and from a signal handler. */
void kn_loop_wake(kn_loop *loop);
/** Queue this task in each turn that was woken: where posts of other threads are taken up. NULL:
 * none. */
void kn_loop_on_wake(kn_loop *loop, kn_task *task);

/** True in a child of the process that made the loop: what is shared with the parent must be left
 * alone. */
bool kn_loop_is_forked(const kn_loop *loop);
/** In a child of a process where another thread turned the loop: it waited, so that nothing it works on
 * is half done. Else what stands on the loop is not to be touched any more. */
bool kn_loop_was_waiting(const kn_loop *loop);
/** Close its descriptors; its memory stays. */
void kn_loop_abandon(kn_loop *loop);

/** Monotonic time of this turn, microseconds. */
int64_t kn_loop_now_us(const kn_loop *loop);
/** Wall clock in ms since 1970, as of this turn or the last kn_loop_refresh_wall(). */
int64_t kn_loop_wall_ms(const kn_loop *loop);
/** Read the coarse wall clock anew, for a program that sends for long without dispatching. */
int64_t kn_loop_refresh_wall(kn_loop *loop);
/** Read the monotonic clock anew: before a turn begins the time may be old. */
int64_t kn_loop_refresh_now(kn_loop *loop);

/** `events`: EPOLLIN, EPOLLOUT; EPOLLERR and EPOLLHUP come by themselves. KC_ERR_IO, with errno
 * kept; KC_ERR_STATE: a virtual loop, or a forked child. */
KC_NODISCARD kc_err kn_loop_watch(kn_loop *loop, kn_watch *watch, uint32_t events);
void kn_loop_watch_modify(kn_loop *loop, kn_watch *watch, uint32_t events);
/** Call before closing the fd. No callback after this, not even for events already read. */
void kn_loop_unwatch(kn_loop *loop, kn_watch *watch);
/** Said by who stopped early, for fairness, with something left to read: the turn counts as busy.
 */
void kn_loop_more(kn_loop *loop);

/** Set or move; due in the past runs in the next turn (or in this one, when timers have not run
 * yet). Always KC_OK: the links stand in the timer. Equal deadlines run in the order they were set.
 */
KC_NODISCARD kc_err kn_timer_set(kn_loop *loop, kn_timer *timer, int64_t due_us);
void kn_timer_stop(kn_loop *loop, kn_timer *timer);

/** Queue a task; queuing twice is once. Can't fail. */
void kn_task_queue(kn_loop *loop, kn_task *task);
/** The same behind all tasks, at the end of the turn: where connections write, so that all that a
 * turn made leaves in one system call each. */
void kn_task_queue_last(kn_loop *loop, kn_task *task);
void kn_task_cancel(kn_task *task);

#endif
