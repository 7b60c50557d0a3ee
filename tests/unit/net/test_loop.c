/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Turns, timers, tasks and wake-ups: on the virtual loop, and on the real one with real
 * descriptors. */
#define _GNU_SOURCE
#include "net/clock.h"
#include "net/loop.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

/** A timer or task that counts, and notes the order of things. */
typedef struct counter {
    kn_loop *loop;
    kn_timer timer;
    kn_task task;
    kn_watch watch;
    int count;
    int place; /**< when it ran last, of all */
    int64_t ran_us;
    int again; /**< queue or set itself so often */
    int64_t again_us;
    struct counter *kill; /**< stop this one's timer, task and watch when run */
} counter;

static int places;

static void note(counter *c)
{
    c->count++;
    c->place = ++places;
    c->ran_us = kn_loop_now_us(c->loop);
    if (c->kill) {
        kn_timer_stop(c->loop, &c->kill->timer);
        kn_task_cancel(&c->kill->task);
        kn_loop_unwatch(c->loop, &c->kill->watch);
    }
}

static void set(counter *c, int64_t due_us)
{
    ck_assert_int_eq(kn_timer_set(c->loop, &c->timer, due_us), KC_OK);
}

static void on_timer(kn_timer *timer)
{
    counter *c = timer->user;
    note(c);
    if (c->again-- > 0)
        set(c, c->again_us);
}

static void on_task(kn_task *task)
{
    counter *c = task->user;
    note(c);
    if (c->again-- > 0)
        kn_task_queue(c->loop, &c->task);
}

static void on_watch(kn_watch *watch, uint32_t events)
{
    counter *c = watch->user;
    char byte;
    note(c);
    ck_assert(events & (EPOLLIN | EPOLLHUP));
    ck_assert_int_ge(read(watch->fd, &byte, 1), 0);
}

static void counter_init(counter *c, kn_loop *loop)
{
    *c = (counter){.loop = loop};
    c->timer = (kn_timer){.fn = on_timer, .user = c};
    c->task = (kn_task){.fn = on_task, .user = c};
    c->watch = (kn_watch){.fd = -1, .fn = on_watch, .user = c};
}

typedef struct fixture {
    kb_mem mem;
    kn_loop *loop;
    counter a, b, c;
} fixture;

static void init_counters(fixture *f)
{
    places = 0;
    counter_init(&f->a, f->loop);
    counter_init(&f->b, f->loop);
    counter_init(&f->c, f->loop);
}

static void init_virtual(fixture *f)
{
    kb_mem_init(&f->mem, NULL, 0);
    ck_assert_int_eq(kn_loop_new_virtual(&f->mem, 1000, 5000, &f->loop), KC_OK);
    init_counters(f);
}

static void init_real(fixture *f)
{
    kc_error error;
    kb_mem_init(&f->mem, NULL, 0);
    ck_assert_int_eq(kn_loop_new(&f->mem, &f->loop, &error), KC_OK);
    init_counters(f);
}

static void cleanup(fixture *f)
{
    kn_loop_free(f->loop);
    ck_assert_uint_eq(f->mem.used, 0);
}

static bool turn(fixture *f, int timeout_ms)
{
    bool busy = false;
    ck_assert_int_eq(kn_loop_turn(f->loop, timeout_ms, &busy), KC_OK);
    return busy;
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&poll_fd, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready == 1 && (poll_fd.revents & POLLIN);
}

/* ---- virtual */

START_TEST(virtual_time_stands_until_it_is_advanced)
{
    fixture f;
    init_virtual(&f);
    ck_assert_int_eq(kn_loop_fd(f.loop), -1);
    turn(&f, -1); // does not wait
    ck_assert_int_eq(kn_loop_now_us(f.loop), 1000);
    ck_assert_int_eq(kn_loop_refresh_now(f.loop), 1000);
    ck_assert(!kn_loop_advance(f.loop, 2501000));
    ck_assert_int_eq(kn_loop_now_us(f.loop), 2501000);
    ck_assert_int_eq(kn_loop_wall_ms(f.loop), 7500);
    ck_assert_int_eq(kn_loop_refresh_wall(f.loop), 7500);
    cleanup(&f);
}
END_TEST

START_TEST(advance_stops_at_each_timer_and_never_passes_the_limit)
{
    fixture f;
    init_virtual(&f);
    set(&f.a, 3000);
    set(&f.b, 2000);
    set(&f.c, 9000);
    ck_assert(kn_loop_advance(f.loop, 5000));
    ck_assert_int_eq(f.b.ran_us, 2000);
    ck_assert_int_eq(f.a.count, 0);
    ck_assert(kn_loop_advance(f.loop, 5000));
    ck_assert_int_eq(f.a.ran_us, 3000);
    ck_assert(!kn_loop_advance(f.loop, 5000));
    ck_assert_int_eq(kn_loop_now_us(f.loop), 5000);
    ck_assert_int_eq(f.c.count, 0);
    kn_timer_stop(f.loop, &f.c.timer);
    ck_assert(!kn_loop_advance(f.loop, 50000));
    ck_assert_int_eq(f.c.count, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_timer_in_the_past_runs_in_the_next_turn)
{
    fixture f;
    init_virtual(&f);
    set(&f.a, -5);
    set(&f.b, 0);
    ck_assert_int_eq(f.a.count, 0);
    ck_assert(!turn(&f, 0));
    ck_assert_int_eq(f.a.count, 1);
    ck_assert_int_eq(f.b.count, 1);
    ck_assert_int_lt(f.a.place, f.b.place);
    cleanup(&f);
}
END_TEST

START_TEST(a_timer_that_sets_itself_for_now_does_not_hold_up_the_turn)
{
    fixture f;
    init_virtual(&f);
    f.a.again = 3;
    set(&f.a, 0);
    set(&f.b, 1000);
    ck_assert(turn(&f, 0));
    ck_assert_int_eq(f.a.count, 1);
    ck_assert_int_eq(f.b.count, 1); // not starved either
    ck_assert(turn(&f, 0));
    ck_assert_int_eq(f.a.count, 2);
    ck_assert(turn(&f, 0));
    ck_assert(!turn(&f, 0));
    ck_assert_int_eq(f.a.count, 4);
    cleanup(&f);
}
END_TEST

START_TEST(moving_a_timer_forgets_its_old_time)
{
    fixture f;
    init_virtual(&f);
    set(&f.a, 2000);
    set(&f.a, 8000);
    set(&f.b, 8000);
    set(&f.b, 3000);
    ck_assert(kn_loop_advance(f.loop, 100000));
    ck_assert_int_eq(f.b.ran_us, 3000);
    ck_assert_int_eq(f.a.count, 0);
    ck_assert(kn_loop_advance(f.loop, 100000));
    ck_assert_int_eq(f.a.ran_us, 8000);
    ck_assert(!kn_timer_is_set(&f.a.timer));
    cleanup(&f);
}
END_TEST

START_TEST(tasks_of_tasks_wait_for_the_next_turn)
{
    fixture f;
    init_virtual(&f);
    f.a.again = 1;
    kn_task_queue(f.loop, &f.a.task);
    kn_task_queue(f.loop, &f.a.task); // twice is once
    ck_assert(turn(&f, 0));
    ck_assert_int_eq(f.a.count, 1);
    ck_assert(!turn(&f, 0));
    ck_assert_int_eq(f.a.count, 2);
    ck_assert(!turn(&f, 0));
    ck_assert_int_eq(f.a.count, 2);
    cleanup(&f);
}
END_TEST

START_TEST(timers_come_before_tasks_and_last_tasks_at_the_end)
{
    fixture f;
    init_virtual(&f);
    kn_task_queue_last(f.loop, &f.c.task);
    kn_task_queue(f.loop, &f.b.task);
    set(&f.a, 0);
    turn(&f, 0);
    ck_assert_int_eq(f.a.place, 1);
    ck_assert_int_eq(f.b.place, 2);
    ck_assert_int_eq(f.c.place, 3);
    cleanup(&f);
}
END_TEST

START_TEST(what_a_callback_stops_does_not_run_any_more)
{
    fixture f;
    init_virtual(&f);
    f.a.kill = &f.b;
    set(&f.a, 0);
    set(&f.b, 0);
    kn_task_queue(f.loop, &f.b.task);
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 1);
    ck_assert_int_eq(f.b.count, 0);
    f.a.kill = &f.c;
    kn_task_queue(f.loop, &f.a.task);
    kn_task_queue(f.loop, &f.c.task);
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 2);
    ck_assert_int_eq(f.c.count, 0);
    cleanup(&f);
}
END_TEST

static kc_err nested_err;

static void turn_inside(kn_task *task)
{
    counter *c = task->user;
    nested_err = kn_loop_turn(c->loop, 0, NULL);
}

START_TEST(a_turn_inside_a_turn_is_refused)
{
    fixture f;
    init_virtual(&f);
    f.a.task.fn = turn_inside;
    kn_task_queue(f.loop, &f.a.task);
    turn(&f, 0);
    ck_assert_int_eq(nested_err, KC_ERR_STATE);
    cleanup(&f);
}
END_TEST

START_TEST(a_virtual_loop_watches_no_descriptor)
{
    fixture f;
    init_virtual(&f);
    f.a.watch.fd = 0;
    ck_assert_int_eq(kn_loop_watch(f.loop, &f.a.watch, EPOLLIN), KC_ERR_STATE);
    kn_loop_unwatch(f.loop, &f.a.watch);
    cleanup(&f);
}
END_TEST

START_TEST(waking_a_virtual_loop_runs_the_wake_task)
{
    fixture f;
    init_virtual(&f);
    kn_loop_on_wake(f.loop, &f.a.task);
    kn_loop_wake(f.loop);
    kn_loop_wake(f.loop);
    ck_assert(kn_loop_advance(f.loop, 1000));
    ck_assert_int_eq(f.a.count, 1);
    ck_assert(!kn_loop_advance(f.loop, 1000));
    cleanup(&f);
}
END_TEST

/* ---- real */

START_TEST(a_real_turn_reads_the_clocks_once)
{
    fixture f;
    init_real(&f);
    int64_t before_us = kn_clock_now_us();
    turn(&f, 0);
    int64_t now_us = kn_loop_now_us(f.loop);
    ck_assert_int_ge(now_us, before_us);
    ck_assert_int_le(now_us, kn_clock_now_us());
    ck_assert_int_eq(kn_loop_now_us(f.loop), now_us);
    ck_assert_int_ge(kn_loop_refresh_now(f.loop), now_us);
    ck_assert_int_gt(kn_loop_wall_ms(f.loop), INT64_C(1600000000000));
    ck_assert_int_ge(kn_loop_refresh_wall(f.loop), kn_clock_wall_ms() - 10000);
    cleanup(&f);
}
END_TEST

START_TEST(a_foreign_poll_sees_a_timer_through_the_one_fd_and_quiet_after_it)
{
    fixture f;
    init_real(&f);
    int fd = kn_loop_fd(f.loop);
    ck_assert(!is_readable(fd, 0));
    set(&f.a, kn_loop_refresh_now(f.loop) + 3000); // outside of a turn
    ck_assert(is_readable(fd, 60000));
    ck_assert_int_eq(f.a.count, 0);
    ck_assert(!turn(&f, 0));
    ck_assert_int_eq(f.a.count, 1);
    ck_assert_int_ge(f.a.ran_us, f.a.timer.due_us);
    ck_assert(!is_readable(fd, 0));
    cleanup(&f);
}
END_TEST

START_TEST(a_timer_set_to_now_makes_the_fd_readable_at_once)
{
    fixture f;
    init_real(&f);
    int fd = kn_loop_fd(f.loop);
    set(&f.a, 0); // trap 59: zero must arm, not disarm
    ck_assert(is_readable(fd, 60000));
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 1);
    ck_assert(!is_readable(fd, 0));
    cleanup(&f);
}
END_TEST

START_TEST(an_earlier_timer_is_armed_and_a_stopped_one_wakes_nobody_up)
{
    fixture f;
    init_real(&f);
    int fd = kn_loop_fd(f.loop);
    set(&f.a, kn_loop_now_us(f.loop) + INT64_C(3600000000));
    set(&f.b, kn_loop_refresh_now(f.loop) + 2000);
    ck_assert(is_readable(fd, 60000));
    turn(&f, 0);
    ck_assert_int_eq(f.b.count, 1);
    ck_assert_int_eq(f.a.count, 0);
    ck_assert(!is_readable(fd, 0));
    kn_timer_stop(f.loop, &f.a.timer);
    ck_assert(!is_readable(fd, 0));
    cleanup(&f);
}
END_TEST

START_TEST(a_blocking_turn_ends_when_a_timer_is_due)
{
    fixture f;
    init_real(&f);
    set(&f.a, kn_loop_refresh_now(f.loop) + 2000);
    for (int turns = 0; f.a.count == 0; turns++) {
        ck_assert_int_lt(turns, 3);
        turn(&f, -1);
    }
    ck_assert_int_ge(f.a.ran_us, f.a.timer.due_us);
    cleanup(&f);
}
END_TEST

START_TEST(a_task_queued_outside_makes_the_public_fd_readable)
{
    fixture f;
    init_real(&f);
    int fd = kn_loop_fd(f.loop);
    f.a.again = 1;
    kn_task_queue(f.loop, &f.a.task);
    ck_assert(is_readable(fd, 0));
    ck_assert(turn(&f, 0)); // it queued itself again
    ck_assert(is_readable(fd, 0));
    ck_assert(!turn(&f, 0));
    ck_assert_int_eq(f.a.count, 2);
    turn(&f, 0);
    ck_assert(!is_readable(fd, 0));
    kn_task_queue_last(f.loop, &f.b.task);
    ck_assert(is_readable(fd, 0));
    turn(&f, -1); // does not wait with a task there
    ck_assert_int_eq(f.b.count, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_task_queued_before_the_fd_was_asked_for_is_seen_too)
{
    fixture f;
    init_real(&f);
    kn_task_queue(f.loop, &f.a.task);
    ck_assert(is_readable(kn_loop_fd(f.loop), 0));
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_watched_pipe_is_served_while_readable_and_not_after_unwatch)
{
    fixture f;
    init_real(&f);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    f.a.watch.fd = fds[0];
    ck_assert_int_eq(kn_loop_watch(f.loop, &f.a.watch, EPOLLIN), KC_OK);
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 0);
    ck_assert_int_eq(write(fds[1], "ab", 2), 2);
    ck_assert(is_readable(kn_loop_fd(f.loop), 0));
    turn(&f, 0);
    turn(&f, -1); // level-triggered: the second byte is still there
    ck_assert_int_eq(f.a.count, 2);
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 2);
    ck_assert_int_eq(write(fds[1], "c", 1), 1);
    kn_loop_watch_modify(f.loop, &f.a.watch, 0);
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 2);
    kn_loop_watch_modify(f.loop, &f.a.watch, EPOLLIN);
    kn_loop_unwatch(f.loop, &f.a.watch);
    kn_loop_unwatch(f.loop, &f.a.watch); // twice does no harm
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 2);
    close(fds[0]);
    close(fds[1]);
    cleanup(&f);
}
END_TEST

START_TEST(an_event_already_read_is_dropped_when_its_watch_is_removed)
{
    fixture f;
    init_real(&f);
    int fds[4];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(pipe(fds + 2), 0);
    f.a.watch.fd = fds[0];
    f.b.watch.fd = fds[2];
    ck_assert_int_eq(kn_loop_watch(f.loop, &f.a.watch, EPOLLIN), KC_OK);
    ck_assert_int_eq(kn_loop_watch(f.loop, &f.b.watch, EPOLLIN), KC_OK);
    ck_assert_int_eq(write(fds[1], "a", 1) + write(fds[3], "b", 1), 2);
    f.a.kill = &f.b;
    f.b.kill = &f.a; // whichever comes first removes the other
    turn(&f, 0);
    ck_assert_int_eq(f.a.count + f.b.count, 1);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    kn_loop_unwatch(f.loop, &f.a.watch);
    kn_loop_unwatch(f.loop, &f.b.watch);
    cleanup(&f);
}
END_TEST

START_TEST(who_stopped_early_makes_the_turn_busy)
{
    fixture f;
    init_real(&f);
    ck_assert(!turn(&f, 0));
    kn_loop_more(f.loop);
    ck_assert(!turn(&f, 0)); // said in an earlier turn: over
    cleanup(&f);
}
END_TEST

static void *wake_from_thread(void *loop)
{
    kn_loop_wake(loop);
    return NULL;
}

START_TEST(another_thread_ends_a_blocking_turn)
{
    fixture f;
    init_real(&f);
    kn_loop_on_wake(f.loop, &f.a.task);
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, wake_from_thread, f.loop), 0);
        turn(&f, -1);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(f.a.count, round + 1);
    }
    ck_assert(!is_readable(kn_loop_fd(f.loop), 0));
    cleanup(&f);
}
END_TEST

static kn_loop *signal_loop;

static void wake_from_signal(int number)
{
    (void)number;
    kn_loop_wake(signal_loop);
}

START_TEST(a_signal_handler_wakes_the_loop_and_leaves_errno_alone)
{
    fixture f;
    init_real(&f);
    kn_loop_on_wake(f.loop, &f.a.task);
    signal_loop = f.loop;
    struct sigaction action = {.sa_handler = wake_from_signal};
    struct sigaction old;
    ck_assert_int_eq(sigaction(SIGUSR1, &action, &old), 0);
    errno = 1234;
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_int_eq(errno, 1234);
    turn(&f, -1);
    ck_assert_int_eq(f.a.count, 1);
    ck_assert_int_eq(sigaction(SIGUSR1, &old, NULL), 0);
    cleanup(&f);
}
END_TEST

static void *signal_thread(void *target)
{
    pthread_kill(*(pthread_t *)target, SIGUSR1);
    return NULL;
}

static void ignore_signal(int number)
{
    (void)number;
}

START_TEST(a_signal_ends_a_turn_without_error)
{
    fixture f;
    init_real(&f);
    struct sigaction action = {.sa_handler = ignore_signal};
    struct sigaction old;
    ck_assert_int_eq(sigaction(SIGUSR1, &action, &old), 0);
    pthread_t self = pthread_self();
    pthread_t thread;
    /* The signal may come before the wait: the timeout ends it then. */
    ck_assert_int_eq(pthread_create(&thread, NULL, signal_thread, &self), 0);
    turn(&f, 200);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(sigaction(SIGUSR1, &old, NULL), 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_forked_child_is_told_and_leaves_the_parents_descriptors_alone)
{
    fixture f;
    init_real(&f);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    f.a.watch.fd = fds[0];
    ck_assert_int_eq(kn_loop_watch(f.loop, &f.a.watch, EPOLLIN), KC_OK);
    int fd = kn_loop_fd(f.loop);
    ck_assert(!kn_loop_is_forked(f.loop));
    pid_t pid = fork();
    if (pid == 0) {
        bool is_good = kn_loop_turn(f.loop, 0, NULL) == KC_ERR_FORKED && kn_loop_is_forked(f.loop);
        set(&f.b, 0); // would arm the shared timerfd
        kn_task_queue(f.loop, &f.b.task);
        f.b.watch.fd = fds[0];
        is_good = is_good && kn_loop_watch(f.loop, &f.b.watch, EPOLLIN) == KC_ERR_STATE;
        kn_loop_watch_modify(f.loop, &f.a.watch, 0);
        kn_loop_unwatch(f.loop, &f.a.watch);
        kn_timer_stop(f.loop, &f.b.timer);
        kn_task_cancel(&f.b.task);
        kn_loop_free(f.loop);
        _exit(is_good && f.mem.used == 0 ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert(!is_readable(fd, 0));
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert(is_readable(fd, 0)); // still watched
    turn(&f, 0);
    ck_assert_int_eq(f.a.count, 1);
    kn_loop_unwatch(f.loop, &f.a.watch);
    close(fds[0]);
    close(fds[1]);
    cleanup(&f);
}
END_TEST

START_TEST(a_loop_without_memory_is_an_error)
{
    kb_mem mem;
    kn_loop *loop = NULL;
    kc_error error;
    kb_mem_init(&mem, NULL, 8);
    ck_assert_int_eq(kn_loop_new(&mem, &loop, &error), KC_ERR_NOMEM);
    ck_assert_int_eq(kn_loop_new_virtual(&mem, 0, 0, &loop), KC_ERR_NOMEM);
    ck_assert_ptr_null(loop);
    kn_loop_free(NULL);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST
