/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the consumer.
 *
 * One stream per owned partition, one record of it at a time, in order:
 *
 *        batch taken                    handler answered OK, or it was put away
 *   IDLE ----------> begin -> run ------------------------------------------------> acked -> IDLE
 *                      |       | OF_ASYNC, emits not acknowledged     ^
 *                      |       +--> RUNNING --------------------------+
 *                      |       | failed: of_policy_decide()           |
 *                      |       +--> WAITING (timer) -> run again      |
 *                      +-----> WAITING until due (delayed topics)     |
 *                              +--> WRITING retry or dead letter -----+
 *
 * Offsets move only in acked, so that at every moment a record is in the log unacknowledged, or
 * handled, or acknowledged on a retry or dead letter topic: never nowhere. When a partition is
 * taken away, its record under way is detached: its answer comes too late and is dropped; whoever
 * owns the partition then gets the record again. */
#ifndef OF_CONSUMER_CORE_H
#define OF_CONSUMER_CORE_H

#include "officeflow/dead_letter.h"
#include "officeflow/dead_state.h"
#include "officeflow/outbox.h"
#include "officeflow/platform_core.h"

#include <officeflow/consumer.h>

#define OF_HANDLER_BREAKERS_MAX 8

typedef struct of_handler {
    kb_list node;
    of_handler_fn fn;
    void *user;
    bool accepts_tombstones, accepts_raw;
    int32_t major;
    of_breaker *breakers[OF_HANDLER_BREAKERS_MAX]; /* named by the user */
    size_t breaker_count;
    char type[]; /* or pattern */
} of_handler;

typedef enum of_stream_state {
    OF_STREAM_IDLE,
    OF_STREAM_RUNNING,
    OF_STREAM_WAITING,
    OF_STREAM_WRITING,
} of_stream_state;

/** Batches held before the partition's fetching is paused. */
#define OF_HELD_BATCHES_MAX 4

typedef struct of_stream {
    kb_list ready; /* in consumer.ready while there is work */
    of_consumer *consumer;
    of_stream_state state;
    int64_t ack_next;      /* next offset to commit; -1: nothing known */
    int64_t committed;     /* last committed */
    int64_t expected;      /* next offset to come; -1: not known */
    bool is_retry;         /* retry.<group>.<tier> */
    int64_t tier_delay_ms; /* of a retry topic */
    bool is_paused;
    bool must_commit_start; /* began at the end of the log: the place is committed at once */
    kc_batch *batches[OF_HELD_BATCHES_MAX]; /* the first is being read */
    size_t batch_count;
    kc_timer *timer;
    of_ctx *ctx;
    int32_t partition;
    kc_bytes topic; /* in key */
    size_t key_len;
    uint8_t key[]; /* topic, then the partition's 4 bytes */
} of_stream;

/** What a WAITING stream does next. */
typedef enum of_resume {
    OF_RESUME_RUN,
    OF_RESUME_WRITE,
} of_resume;

struct of_ctx {
    kb_list node; /* in consumer.detached */
    of_consumer *consumer;
    of_stream *stream; /* NULL: detached (revoked), or a test delivery */
    kc_batch *batch;   /* detached: the memory of the record            */
    kb_arena arena;    /* of the record                                  */
    kb_arena scratch;  /* of the write under way: a record may wait long */
    of_message message;
    of_event event;
    bool is_decoded;
    kc_error decode_error;
    of_origin origin;
    int64_t offset;    /* of the record in its stream */
    int64_t record_ms; /* its timestamp there: the append time in delayed topics */
    of_stage stage;
    int32_t attempt, stage_attempt, tier, redrive;
    int64_t first_failed_ms, last_failed_ms;
    char redrive_of[17];
    kc_bytes history;
    const of_handler *handler;
    of_trace trace;
    int64_t started_us, retry_after_ms;
    uint32_t pending; /* answers still to come: async handler, emits, writes */
    bool is_async, is_cancelled, has_emit_failed;
    bool holds_breakers; /* acquired, and neither reported nor released yet */
    of_result result;    /* kept while emits are acknowledged */
    of_resume resume;
    of_verdict verdict;
    int32_t trim; /* how much was left out of a dead letter that was too large */
    int32_t write_failures;
    int32_t emit_count;
    void (*on_emit)(const of_event *event, void *user); /* of a test delivery */
    void *emit_user;
    char code[OF_CODE_MAX + 1];
    char text[OF_MESSAGE_MAX + 1];
    char key[OF_ID_MAX + 1];
};

/** Tokens that dead letters of one topic spend, so that an outage raises lag instead of emptying
 * the topic. */
typedef struct of_flood {
    double tokens;
    double poison_tokens;
    int64_t refilled_ms;
    char topic[KC_TOPIC_NAME_MAX + 1];
} of_flood;

typedef struct of_known_topic {
    char name[KC_TOPIC_NAME_MAX + 1];
} of_known_topic;

/** The question whether the group has committed anything ever; it may outlive its consumer. */
typedef struct of_past_question {
    kb_mem mem;
    of_consumer *consumer; /* NULL: closed meanwhile */
} of_past_question;

struct of_consumer {
    of_part part;
    of_platform *platform;
    of_consumer_options options;
    of_breaker_options handler_breaker; /* what options.handler_breaker points to */
    kc_consumer *kafka;
    kc_consumer *control; /* officeflow.control, from its end; NULL: no wildcards */
    of_outbox *outbox;
    of_producer *producer; /* for emits */
    kb_list handlers;
    kb_map streams;
    kb_map floods;
    kb_map first_topics; /* of_known_topic: seen before the first assignment */
    kb_list ready;
    kc_timer *work_timer, *commit_timer;
    bool work_is_set;
    char **patterns;
    size_t pattern_count;
    bool from_beginning, was_assigned, has_long_name;
    of_past_question *question; /* on its way; NULL: none */
    bool is_past_known;
    bool is_first_start; /* nothing was committed when the group's past was asked for */
    bool is_committing;
    volatile int stop_asked; /* set from any thread or signal handler */
    bool is_stopping, is_stopped, is_failed;
    int64_t stop_deadline_us;
    volatile int stop_drain_ms;
    kb_list detached; /* of of_ctx: revoked, their answers still to come */
    kc_error fatal;
    of_consumer_stats stats;
    char group[256];
};

/* consumer_group.c */
kc_err of_consumer_join(of_consumer *consumer, kc_error *err);
of_stream *of_stream_find(of_consumer *consumer, kc_bytes topic, int32_t partition);
void of_consumer_tell(of_consumer *consumer, const kc_error *error);
void of_consumer_fail(of_consumer *consumer, const kc_error *error);
void of_stream_free(of_stream *stream);
/** Commit what was acknowledged since; asynchronous. */
void of_consumer_commit(of_consumer *consumer);
void of_consumer_set_events(of_consumer *consumer);

/* consumer_start.c */
/** A topic that is subscribed, before the first assignment. */
void of_start_remember(of_consumer *consumer, kc_bytes topic);
/** Find out where these partitions begin, then let them flow; they are paused until then. */
void of_start_find(of_consumer *consumer, const kc_topic_partition *partitions, size_t count);
/** A stream that began at the end of the log: its place is to be committed, once it is known. */
void of_start_note(of_consumer *consumer, of_stream *stream);
/** No answer is wanted any more. */
void of_start_cancel(of_consumer *consumer);

/* consumer_stream.c */
/** There is room, or the partition would be paused. */
void of_stream_push(of_stream *stream, kc_batch *batch);
/** The first batch held, which is the caller's then; NULL: none. */
kc_batch *of_stream_take_batch(of_stream *stream);
/** There may be something to do: look at it in a turn soon. */
void of_stream_wake(of_stream *stream);
void of_stream_wait(of_stream *stream, int64_t delay_ms, of_resume resume);
/** The record is dealt with: its offset may be committed. */
void of_stream_ack(of_stream *stream);
void of_consumer_on_work(void *user);
void of_stream_on_timer(void *user);

/* consumer_run.c */
void of_ctx_begin(of_ctx *ctx, const kc_view *view, kc_bytes topic, int32_t partition);
void of_ctx_run(of_ctx *ctx);
void of_ctx_free(of_ctx *ctx);
/** Its answer won't count: a probe that nobody answers would block all others. */
void of_ctx_release_breakers(of_ctx *ctx);
/** One of the answers the context waited for came; true: it was the last one of a detached context,
 * which is gone. */
bool of_ctx_answered(of_ctx *ctx);
const of_handler *of_consumer_find_handler(const of_consumer *consumer, kc_bytes type);
void of_ctx_notice(of_ctx *ctx, of_notice *notice);
/** Tell the tracker how the processing of this event stands. */
void of_ctx_record(of_ctx *ctx, of_trace_status status);
kc_bytes of_ctx_handler_name(const of_ctx *ctx);

/* consumer_fail.c */
void of_ctx_fail(of_ctx *ctx, of_class failure_class);
/** Write what ctx->verdict says: a retry or a dead letter. */
void of_ctx_write(of_ctx *ctx);
/** A success refills the flood guard of its topic. */
void of_flood_refill(of_consumer *consumer, kc_bytes topic);

static inline int64_t of_consumer_wall_ms(const of_consumer *consumer)
{
    return kc_client_wall_ms(consumer->platform->client);
}

static inline int64_t of_consumer_now_ms(const of_consumer *consumer)
{
    return kc_client_now_us(consumer->platform->client) / 1000;
}

#endif
