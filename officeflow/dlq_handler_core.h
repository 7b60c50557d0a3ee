/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the DLQ handler.
 *
 *   dlq_handler        open, start, stop, close; the one timer
 *   dlq_handler_view   the state topic: what was done to which letter, also by others
 *   dlq_handler_take   reading letters, deciding, what may be committed
 *   dlq_handler_due    waiting; who goes when, canaries
 *   dlq_handler_write  the steps: release, quarantine, the states that say so
 *
 * The handler:
 *   IDLE -> PREPARING (state topic there?) -> DESCRIBING -> ASKING_ENDS -> LOADING (the view)
 *        -> RUNNING -> DRAINING (writes under way) -> COMMITTING -> STOPPED
 *
 * A letter:
 *   read --+-- seen, or settled by somebody -------------------------------------------> done
 *          +-- an operator's ----------> LEAVE ------------------------------------------> done
 *          +-- never to be redriven ---> QUARANTINE -> SAY_QUARANTINED ------------------> done
 *          +-- in the heap until due -> held, canary -> RELEASE -> SAY_REDRIVEN ---------> done
 * Each step is one acknowledged write; one that fails is tried again later, by itself.
 *
 * Letters are done out of order, so a partition's letters not done stand in a list by offset, and
 * what is committed is the first of them. After a restart everything from there on is read again:
 * the view says what of it was done. */
#ifndef OF_DLQ_HANDLER_CORE_H
#define OF_DLQ_HANDLER_CORE_H

#include "officeflow/dead_redrive.h"
#include "officeflow/dead_state.h"
#include "officeflow/outbox.h"
#include "officeflow/platform_core.h"

#include <officeflow/dlq.h>

/** Letters held at a time, and their bytes; beyond that no more are read. */
#define OF_DLQ_LETTERS_MAX       1000
#define OF_DLQ_LETTERS_BYTES_MAX ((size_t)8 << 20)
/** Ids the view holds; settled ones go first, oldest first. */
#define OF_DLQ_VIEW_MAX 100000
/** Longest wait for what becomes of a canary; and how long one that was handled speaks for its cause.
 */
#define OF_DLQ_CANARY_MS 300000

typedef enum of_dlq_phase {
    OF_DLQ_IDLE,
    OF_DLQ_PREPARING,
    OF_DLQ_DESCRIBING,
    OF_DLQ_ASKING_ENDS,
    OF_DLQ_LOADING,
    OF_DLQ_RUNNING,
    OF_DLQ_DRAINING,
    OF_DLQ_COMMITTING,
    OF_DLQ_STOPPED,
} of_dlq_phase;

/** What a letter needs next. */
typedef enum of_dlq_step {
    OF_DLQ_STEP_RELEASE,
    OF_DLQ_STEP_SAY_REDRIVEN,
    OF_DLQ_STEP_QUARANTINE,
    OF_DLQ_STEP_SAY_QUARANTINED,
    OF_DLQ_STEP_LEAVE,
} of_dlq_step;

/** One partition of a DLQ topic. */
typedef struct of_dlq_part {
    of_dlq_handler *handler;
    kb_list letters;   /* of_parked.window: not done, by offset */
    int64_t next;      /* behind the last one read; -1: none was */
    int64_t committed; /* acknowledged; -1: none was */
    int32_t partition;
    kc_bytes topic; /* in key */
    size_t key_len;
    uint8_t key[]; /* topic, then the partition's 4 bytes */
} of_dlq_part;

/** Letters of one group that died of the same: they are released together, after a canary. */
typedef struct of_cause {
    kb_list held;   /* of_parked.held: due */
    size_t letters; /* that point here */
    size_t waiting; /* of them, in the heap or held: a release is not under way */
    enum {
        OF_CAUSE_FREE,
        OF_CAUSE_CANARY, /* one is out: the others wait for what becomes of it */
        OF_CAUSE_RAMP,   /* it was handled: faster each second */
    } state;
    char canary[17];
    int32_t canary_redrive; /* n it died with before */
    int64_t canary_until_us;
    int64_t ramp_begin_us, ramp_next_us;
    int32_t doublings;
    size_t key_len;
    uint8_t key[]; /* group, zero, fingerprint */
} of_cause;

typedef struct of_parked {
    kb_list window, held;
    of_dlq_handler *handler;
    of_dlq_part *part; /* NULL: the partition was taken away */
    of_cause *cause;   /* NULL: not to be redriven */
    kb_arena arena;    /* of the letter's bytes */
    of_dead_letter letter;
    int64_t offset;
    size_t bytes;
    of_dlq_step step;
    bool is_writing, is_redriven_told;
    int32_t failures;   /* of its writes, in a row */
    int64_t due_us;     /* by the monotonic clock: the other one may be set meanwhile */
    int64_t due_ms;     /* wall clock, as told then */
    int64_t acted_ms;   /* wall clock; when its release or quarantine was written */
    size_t heap_at;     /* place in the heap, from 1; 0: not in it */
    const char *reason; /* static */
} of_parked;

/** What the state topic says of one id. */
typedef struct of_dlq_seen {
    kb_list node;
    char id[17];
    bool is_settled;
    of_dead_state state;
    int32_t redrive;
    int64_t due_ms;
} of_dlq_seen;

struct of_dlq_handler {
    of_part part; /* of the platform */
    kb_mem mem;   /* own: an answer may come after the platform is gone */
    of_platform *platform;
    of_dlq_options options;
    of_dlq_phase phase;
    of_outbox *outbox;
    kc_consumer *letters, *states;
    kc_timer *timer;
    of_dlq_stats stats;
    uint32_t calls;  /* admin answers to come */
    uint32_t writes; /* outbox answers to come */
    bool is_closed, is_stopping;
    int64_t stop_deadline_us;
    int64_t start_again_us; /* a step of the start failed */
    int64_t start_wait_ms;

    /* the view */
    kb_map seen;
    kb_list open, settled; /* of_dlq_seen, oldest first */
    kc_topic_offset *ends; /* of the state topic, while it is loaded */
    size_t end_count;
    kb_arena scratch;

    /* letters */
    kb_map parts;
    kb_map parked; /* by id */
    kc_batch *batch;
    bool is_paused, is_committing;
    int64_t commit_us, look_us, take_again_us;
    size_t count, bytes;
    of_parked *heap[OF_DLQ_LETTERS_MAX + 1]; /* by due_us, from 1 */
    size_t heap_count;
    kb_map causes;
    int64_t release_us; /* when the next one may go, by redrive_rate */
};

/* dlq_handler.c */
/** Look at everything in a turn soon. */
void of_dlq_wake(of_dlq_handler *handler);
void of_dlq_notice_error(of_dlq_handler *handler, const kc_error *error, const char *reason);
void of_dlq_notice_letter(of_dlq_handler *handler, enum of_dlq_notice_kind kind,
                          const of_dead_letter *letter, const char *reason, int64_t due_ms);

/* dlq_handler_view.c */
/** Does the view say that the letter that died after `redrive` releases was redriven, or put to rest? */
static inline bool of_dlq_is_overtaken(const of_dlq_seen *seen, int32_t redrive)
{
    return seen && of_state_is_above(seen->state, seen->redrive, OF_DEAD_SCHEDULED, redrive);
}
const of_dlq_seen *of_dlq_view_find(const of_dlq_handler *handler, const char *id);
/** Take what stands above what is known; out of memory is no error: the view forgets anyway. */
void of_dlq_view_put(of_dlq_handler *handler, const char *id, of_dead_state state, int32_t redrive,
                     int64_t due_ms);
void of_dlq_view_free(of_dlq_handler *handler);
/** Read what there is of the state topic. */
void of_dlq_view_read(of_dlq_handler *handler);
/** Is the topic read to where it ended at the start? */
bool of_dlq_view_is_loaded(of_dlq_handler *handler);

/* dlq_handler_take.c */
/** What is to be done with a letter. */
typedef enum of_dlq_fate {
    OF_DLQ_FATE_DUPLICATE,
    OF_DLQ_FATE_LEAVE,
    OF_DLQ_FATE_QUARANTINE,
    OF_DLQ_FATE_REDRIVE,
} of_dlq_fate;
/** Pure. `seen` NULL: nothing known. The reason is static text, "" for a redrive. */
of_dlq_fate of_dlq_decide(const of_policy *policy, const of_dead_letter *letter,
                          const of_dlq_seen *seen, int64_t wall_ms, const char **reason_out);
void of_dlq_set_events(of_dlq_handler *handler);
/** Read some letters, as long as there is room. True: there may be more. */
bool of_dlq_take(of_dlq_handler *handler);
/** The letter is dealt with: its offset may be committed. Frees it. */
void of_dlq_done(of_parked *p);
/** Commit what may be; asynchronous. True: something is under way. */
bool of_dlq_commit(of_dlq_handler *handler);
bool of_dlq_has_to_commit(const of_dlq_handler *handler);
/** Let go of all partitions and letters. */
void of_dlq_drop_all(of_dlq_handler *handler);

/* dlq_handler_due.c */
/** A letter to be redriven: when, and the state that says so. */
void of_dlq_park(of_parked *p, const of_dlq_seen *seen);
/** Wait in the heap for so long. */
void of_dlq_wait(of_parked *p, int64_t wait_ms);
/** Serve what is due; returns when to come again, INT64_MAX: nothing waits. */
int64_t of_dlq_serve(of_dlq_handler *handler);
/** Take the letter out of heap and cause. */
void of_dlq_unpark(of_parked *p);
/** Somebody's letter was handled (or died again) after `redrive` releases. */
void of_dlq_heard(of_dlq_handler *handler, const char *id, int32_t redrive, bool is_resolved);
/** A letter of this cause died again: slower. */
void of_dlq_died_again(of_dlq_handler *handler, const of_dead_letter *letter);
void of_dlq_free_causes(of_dlq_handler *handler);

/* dlq_handler_write.c */
/** Do the letter's next step. */
void of_dlq_run_step(of_parked *p);
/** It waits until its due_ms: the state, and the notice. */
void of_dlq_tell_scheduled(of_parked *p, const char *reason);
/** Its release took place: the notice, once, and before anything that came of it. */
void of_dlq_tell_redriven(of_parked *p);

static inline int64_t of_dlq_wall_ms(const of_dlq_handler *handler)
{
    return kc_client_wall_ms(handler->platform->client);
}

static inline int64_t of_dlq_now_us(const of_dlq_handler *handler)
{
    return kc_client_now_us(handler->platform->client);
}

#endif
