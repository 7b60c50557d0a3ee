/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the admin operations are made of: an operation with its parts (calls under way), and the
 * result it fills.
 *
 *   begin -> send parts -> each answered: its `done` fills the result, may send more parts
 *                       -> none left: the result goes to the application
 *
 * An operation is a handle of its client, so a client freed in between ends it: the parts are
 * cancelled, the callback gets NULL. Running out of memory anywhere ends in a result with
 * KC_ERR_NOMEM. */
#ifndef KC_ADMIN_CALL_H
#define KC_ADMIN_CALL_H

#include "client/call.h"

#include <kafkac/admin.h>
#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

/** Entries of one resource of kc_admin_describe_configs(). */
typedef struct kc_admin_entries {
    kc_config_entry *items;
    size_t count;
} kc_admin_entries;

/** Pins its client. All it leads to is in its arena. */
struct kc_admin_result {
    kc_client *client;
    kb_arena arena;
    kc_error error;
    kc_admin_item *items;
    size_t item_count;
    kc_admin_entries *entries; /**< by item */
    kc_cluster_info cluster;
    kc_group_listing *groups;
    size_t group_count;
    kc_group_description *descriptions;
    size_t description_count;
    kc_topic_offset *offsets;
    size_t offset_count;
    size_t offset_next; /**< where to look first: answers come in the order of the request */
};

typedef struct kc_admin_op kc_admin_op;
typedef struct kc_admin_part kc_admin_part;

/** Answer to a part; `response` as in kc_response_fn. Failures of the whole part (response->err)
 * are its too. */
typedef void (*kc_admin_done_fn)(kc_admin_part *part, const kc_response *response);

/** A call under way. */
struct kc_admin_part {
    kb_list node;
    kc_admin_op *op;
    kc_call_op *call;
    size_t index; /**< of what it is about, as its sender says */
    kc_admin_done_fn done;
    kc_call_retry_fn retry;
};

struct kc_admin_op {
    kc_handle handle;
    kc_client *client;
    kc_admin_result *result;
    kb_arena arena; /**< requests and state; until the operation ends */
    kc_admin_fn fn;
    void *user;
    int64_t deadline_us;
    bool validate_only;
    bool is_starting; /**< the application's call has not returned yet               */
    bool is_held;     /**< something besides parts is waited for: it is not over yet */
    kb_list parts;
    kn_task end_task;
    void *state;                       /**< of the kind of operation                       */
    void (*complete)(kc_admin_op *op); /**< before the result is handed over; NULL: nothing */
    void (*cleanup)(kc_admin_op *op);  /**< of `state`; NULL: nothing                       */
};

/** What an application hands to each call. */
typedef struct kc_admin_ask {
    kc_client *client;
    const kc_admin_options *options;
    kc_admin_fn fn;
    void *user;
} kc_admin_ask;

/** A new operation without parts. */
KC_NODISCARD kc_err kc_admin_begin(const kc_admin_ask *ask, kc_admin_op **op_out, kc_error *err);
/** The end of the application's call: `started` is what it returns. On failure the operation is
 * gone. */
KC_NODISCARD kc_err kc_admin_started(kc_admin_op *op, kc_err started);

/** Where a part goes, and what to do with its answer. */
typedef struct kc_admin_target {
    int32_t to;          /**< KC_TO_..., or a broker's id */
    int16_t version_max; /**< -1: any                     */
    bool no_retry;
    size_t index;
    kc_admin_done_fn done;
    kc_call_retry_fn retry; /**< `user` is the part        */
} kc_admin_target;
/** Send; the request is copied. */
KC_NODISCARD kc_err kc_admin_send(kc_admin_op *op, int16_t api_key, const void *request,
                                  const kc_admin_target *target, kc_error *err);
/** From inside a part's `done`: a failure to send fails the operation. */
void kc_admin_send_on(kc_admin_op *op, int16_t api_key, const void *request,
                      const kc_admin_target *target);
/** Call when something other than a part ended: finishes the operation if nothing is under way. */
void kc_admin_finish_if_idle(kc_admin_op *op);

/** The first failure is the one that is told. */
void kc_admin_fail(kc_admin_op *op, const kc_error *error);
void kc_admin_fail_code(kc_admin_op *op, kc_err code);

/** Room in the result; NULL: the operation has failed with KC_ERR_NOMEM. */
void *kc_admin_array(kc_admin_op *op, size_t count, size_t item_size);
/** Copy into the result. A failure fails the operation and gives an empty slice. Null stays null.
 */
kc_bytes kc_admin_copy(kc_admin_op *op, kc_bytes bytes);

/** Items for these names, none answered. KC_ERR_ARGUMENT: a null name. */
KC_NODISCARD kc_err kc_admin_add_items(kc_admin_op *op, const kc_bytes *names, size_t count,
                                       kc_error *err);
/** Set the first unanswered item of that name; what was not asked for is left out. Its place, or
 * SIZE_MAX. */
size_t kc_admin_answer(kc_admin_op *op, kc_bytes name, kc_err code, kc_bytes message);
/** Items (from `index`, `count` of them) not answered get this error. */
void kc_admin_answer_rest(kc_admin_op *op, const kc_error *error);

/** Milliseconds left, for timeoutMs in requests; at least 1. */
int32_t kc_admin_ms_left(const kc_admin_op *op);

/** Retriable codes of a coordinator. */
static inline bool kc_is_coordinator_error(kc_err code)
{
    return code == KC_E_COORDINATOR_LOAD_IN_PROGRESS || code == KC_E_COORDINATOR_NOT_AVAILABLE ||
           code == KC_E_NOT_COORDINATOR;
}

#endif
