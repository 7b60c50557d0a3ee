/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of <kafkac/mock.h>: a cluster on TCP, and who may touch it. */
#ifndef KM_MOCK_CORE_H
#define KM_MOCK_CORE_H

#include "mock/fault.h"
#include "mock/tcp_server.h"
#include "mock/thread.h"

#include <kafkac/mock.h>

struct kc_mock {
    kb_mem mem;
    kb_log log;
    kn_loop *loop;
    km_cluster *cluster;
    km_tcp_server *server;
    char *bootstrap;
    km_gate gate;
    km_thread thread;
    enum {
        KM_NO_THREAD,
        KM_THREAD_RUNS,
        KM_THREAD_ENDS,
    } thread_state;
    kb_list rules; /**< km_mock_rule: mock_fault.c       */
    kb_list later; /**< commands of "at": mock_command.c */
};

/** Begin a control call: nobody else is inside until km_mock_leave(), and it is now. KC_ERR_STATE (in a callback),
 * KC_ERR_FORKED: not begun. */
KC_NODISCARD kc_err km_mock_enter(kc_mock *mock, kc_error *err);
/** What the call changed gets about; `result` is returned. */
kc_err km_mock_leave(kc_mock *mock, kc_err result);

/* Inside of a control call. What kc_mock_... of that name does. */
kc_err km_mock_find_broker(kc_mock *mock, int32_t id, km_broker **broker_out, kc_error *err);
kc_err km_mock_find_partition(kc_mock *mock, const char *topic, int32_t index,
                              km_partition **partition_out, kc_error *err);
kc_err km_mock_topic_create(kc_mock *mock, const char *name, int32_t partitions,
                            int16_t replication, kc_error *err);
kc_err km_mock_topic_delete(kc_mock *mock, const char *name, bool is_made_again, kc_error *err);
/** `broker_id` -1: the leader it has. */
kc_err km_mock_move(kc_mock *mock, km_partition *partition, int32_t broker_id, kc_error *err);
kc_err km_mock_coordinator(kc_mock *mock, kc_mock_coordinator kind, const char *key,
                           km_partition **partition_out, kc_error *err);
kc_err km_mock_broker_up(kc_mock *mock, int32_t id, kc_error *err);
kc_err km_mock_broker_down(kc_mock *mock, int32_t id, kc_mock_loss loss, kc_error *err);
kc_err km_mock_cut(kc_mock *mock, int32_t id, kc_error *err);
kc_err km_mock_link_set(kc_mock *mock, int32_t id, const km_tcp_weather *weather, kc_error *err);

/** A rule that was added through the public interface. */
typedef struct km_mock_rule {
    kb_list node;
    uint32_t number;
    bool is_removed;
    kc_mock_rewrite_fn rewrite;
    void *user;
    char text[]; /**< as it was given; empty: by the program */
} km_mock_rule;
/** `rewrite` and `text` may be NULL. */
kc_err km_mock_fault_add(kc_mock *mock, const km_fault *fault, kc_mock_rewrite_fn rewrite,
                         void *user, const char *text, uint32_t *number_out, kc_error *err);
kc_err km_mock_fault_remove(kc_mock *mock, uint32_t number, kc_error *err);
void km_mock_fault_clear(kc_mock *mock);
void km_mock_rules_free(kc_mock *mock);

/* mock_command.c */
void km_mock_later_free(kc_mock *mock);

#endif
