/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The loop without descriptors: time is a number that kn_loop_advance() moves. A day of faults
 * takes seconds, and the same calls give the same run. */
#include "net/loop_core.h"

#include <assert.h>

/** More turns than this at one instant are a loop in our own code. */
#define TURNS_PER_INSTANT_MAX 10000000u

kc_err kn_loop_new_virtual(kb_mem *mem, int64_t now_us, int64_t wall_ms, kn_loop **loop_out)
{
    assert(mem && loop_out);
    kn_loop *loop = kb_mem_alloc(mem, sizeof *loop);
    if (!loop)
        return KC_ERR_NOMEM;
    kn_loop_init(loop, mem, now_us, wall_ms);
    loop->is_virtual = true;
    *loop_out = loop;
    return KC_OK;
}

static void turn_until_quiet(kn_loop *loop)
{
    bool busy = true;
    for (uint32_t turns = 0; busy; turns++) {
        assert(turns < TURNS_PER_INSTANT_MAX);
        kc_err err = kn_loop_turn(loop, 0, &busy);
        assert(err == KC_OK);
        (void)err;
    }
}

static void move_to(kn_loop *loop, int64_t now_us)
{
    if (now_us <= loop->now_us)
        return;
    loop->now_us = now_us;
    loop->wall_ms = loop->start_wall_ms + (now_us - loop->start_us) / 1000;
}

bool kn_loop_advance(kn_loop *loop, int64_t until_us)
{
    assert(loop->is_virtual && !loop->in_turn);
    bool was_woken = atomic_load(&loop->is_woken);
    if (was_woken || kn_loop_has_work(loop)) {
        turn_until_quiet(loop);
        return true;
    }
    const kn_timer *timer = kn_timer_heap_min(&loop->timers);
    if (!timer || timer->due_us > until_us) {
        move_to(loop, until_us);
        return false;
    }
    move_to(loop, timer->due_us);
    turn_until_quiet(loop);
    return true;
}

int64_t kn_loop_next_due_us(const kn_loop *loop)
{
    assert(loop->is_virtual);
    if (atomic_load(&loop->is_woken) || kn_loop_has_work(loop))
        return loop->now_us;
    const kn_timer *timer = kn_timer_heap_min(&loop->timers);
    return timer ? timer->due_us : INT64_MAX;
}

void kn_loop_jump(kn_loop *loop, int64_t now_us)
{
    assert(loop->is_virtual && !loop->in_turn);
    move_to(loop, now_us);
}

void kn_loop_shift_wall(kn_loop *loop, int64_t delta_ms)
{
    assert(loop->is_virtual);
    loop->start_wall_ms += delta_ms;
    loop->wall_ms += delta_ms;
}
