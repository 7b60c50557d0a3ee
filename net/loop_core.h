/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of a loop, shared by the real and the virtual kind. */
#ifndef KN_LOOP_CORE_H
#define KN_LOOP_CORE_H

#include "net/loop.h"

#include <stdatomic.h>
#include <sys/types.h>

/** Descriptors served in one turn; what is left stays ready in the kernel. */
#define KN_LOOP_EVENTS_MAX 64

/** No timerfd deadline set. */
#define KN_LOOP_UNARMED INT64_MAX

struct kn_loop {
    kb_mem *mem;
    kn_timer_heap timers;
    kb_list tasks;
    kb_list last_tasks;
    kb_list ready; /**< watches with events of this turn */
    kn_task *wake_task;
    int64_t now_us;
    int64_t wall_ms;
    bool is_virtual;
    bool in_turn;
    bool has_more;
    atomic_bool is_woken;   /**< the eventfd was written since the last turn saw it */
    atomic_bool is_waiting; /**< for events: nothing is in hand */

    /* real */
    pid_t pid;
    int epoll_fd, timer_fd, wake_fd;
    int64_t armed_us;  /**< deadline in the timerfd        */
    bool fd_is_public; /**< somebody else polls epoll_fd   */

    /* virtual */
    int64_t start_us, start_wall_ms;
};

/** Common part of both constructors. */
void kn_loop_init(kn_loop *loop, kb_mem *mem, int64_t now_us, int64_t wall_ms);
bool kn_loop_has_work(const kn_loop *loop);

#endif
