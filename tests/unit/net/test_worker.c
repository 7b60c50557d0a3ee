/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A blocking call beside a loop that turns: ended, abandoned, refused. */
#define _POSIX_C_SOURCE 200809L // pthread_sigmask
#include "net/worker.h"

#include <check.h>
#include <signal.h>
#include <unistd.h>

typedef struct world {
    kb_mem mem;
    kn_loop *loop;
    kn_work work;
    int gate[2],
        released[2]; /**< pipes: the call blocks on the one, its end is told by the other */
    int result;
    int done;
    kc_error error;
} world;

/* On the worker, where Check can't fail a test. */
static void run(void *data)
{
    world *w = data;
    char byte;
    sigset_t blocked;
    bool is_open = read(w->gate[0], &byte, 1) == 1;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    w->result = is_open && sigismember(&blocked, SIGTERM) ? 42 : -1;
}

static void release(void *data)
{
    world *w = data;
    (void)!write(w->released[1], "", 1);
}

static const kn_job_kind kind = {.run = run, .release = release};

static void on_done(kn_work *work)
{
    world *w = work->user;
    ck_assert_ptr_eq(kn_work_data(work), w);
    w->done++;
}

static void init(world *w, bool is_virtual)
{
    memset(w, 0, sizeof *w);
    kb_mem_init(&w->mem, NULL, 0);
    ck_assert_int_eq(is_virtual ? kn_loop_new_virtual(&w->mem, 0, 0, &w->loop)
                                : kn_loop_new(&w->mem, &w->loop, NULL),
                     KC_OK);
    ck_assert_int_eq(pipe(w->gate), 0);
    ck_assert_int_eq(pipe(w->released), 0);
    w->work = (kn_work){.loop = w->loop, .done = on_done, .user = w};
}

static void await_release(world *w)
{
    char byte;
    ck_assert_int_eq(read(w->released[0], &byte, 1), 1);
}

static void cleanup(world *w)
{
    kn_loop_free(w->loop);
    ck_assert_uint_eq(w->mem.used, 0);
    for (int i = 0; i < 2; i++) {
        close(w->gate[i]);
        close(w->released[i]);
    }
}

static void open_gate(world *w)
{
    ck_assert_int_eq(write(w->gate[1], "", 1), 1);
}

static void on_timer(kn_timer *timer)
{
    open_gate(timer->user);
}

START_TEST(the_loop_turns_while_a_call_blocks)
{
    world w;
    init(&w, false);
    ck_assert_int_eq(kn_work_start(&w.work, &kind, &w, &w.error), KC_OK);
    kn_timer timer = {.fn = on_timer, .user = &w};
    ck_assert_int_eq(kn_timer_set(w.loop, &timer, kn_loop_refresh_now(w.loop) + 1000), KC_OK);
    while (w.done == 0)
        ck_assert_int_eq(kn_loop_turn(w.loop, -1, NULL), KC_OK);
    ck_assert_int_eq(w.result, 42);
    kn_work_end(&w.work);
    await_release(&w);
    ck_assert_int_eq(w.done, 1);
    cleanup(&w);
}
END_TEST

START_TEST(a_call_that_was_given_up_frees_its_data_when_it_returns)
{
    world w;
    init(&w, false);
    ck_assert_int_eq(kn_work_start(&w.work, &kind, &w, &w.error), KC_OK);
    kn_work_end(&w.work);
    kn_work_end(&w.work);
    kn_loop_free(w.loop);
    w.loop = NULL;
    open_gate(&w);
    await_release(&w);
    ck_assert_int_eq(w.done, 0);
    cleanup(&w);
}
END_TEST

START_TEST(a_call_can_be_started_again)
{
    world w;
    init(&w, false);
    for (int i = 1; i <= 20; i++) {
        open_gate(&w);
        ck_assert_int_eq(kn_work_start(&w.work, &kind, &w, &w.error), KC_OK);
        while (w.done < i)
            ck_assert_int_eq(kn_loop_turn(w.loop, -1, NULL), KC_OK);
        kn_work_end(&w.work);
        await_release(&w);
    }
    cleanup(&w);
}
END_TEST

START_TEST(a_virtual_loop_has_no_worker_and_the_data_is_freed)
{
    world w;
    init(&w, true);
    ck_assert_int_eq(kn_work_start(&w.work, &kind, &w, &w.error), KC_ERR_STATE);
    ck_assert_str_ne(w.error.text, "");
    await_release(&w);
    kn_work_end(&w.work);
    cleanup(&w);
}
END_TEST
