/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Deliberate faults, compiled in only to test that the simulation (tests/sim) finds them. In the libraries every
 * KC_VARIANT() is the constant false. */
#ifndef KC_VARIANT_H
#define KC_VARIANT_H

/* name, the workload it shows in, what is wrong */
#define KC_VARIANTS(X)                                                                             \
    X(CALLBACK_TWICE, "produce", "a delivery is told twice")                                       \
    X(CALLBACK_NEVER, "produce", "a delivery that failed after a retry is not told")               \
    X(RETRY_OUT_OF_ORDER, "produce", "a batch that is tried again goes behind the next one")       \
    X(LOST_IS_ACKED, "produce", "a batch counts as acknowledged when its connection is lost")      \
    X(RETRY_WRONG_OFFSET, "produce", "the offset told after a retry is that of the batch before")  \
    X(NO_DELIVERY_TIMEOUT, "produce", "delivery.timeout.ms does not end a record")                 \
    X(UNSENT_OUTLIVES, "produce", "what waits for a connection lives as long as the youngest")     \
    X(MEMORY_UNBOUNDED, "produce", "neither buffer.memory nor memory.bytes.max is held")           \
    X(LEAK, "group", "the answer of a commit is not freed")                                        \
    X(SKIPS_A_RECORD, "assign", "a fetch goes on one record too far")                              \
    X(STALE_FETCH, "assign", "an answer of before a seek is taken")                                \
    X(PAUSE_IGNORED, "assign", "batches of paused partitions are handed out")                      \
    X(POSITION_GOES_BACK, "assign", "after an error the last record is read again")                \
    X(ERROR_RESETS, "assign", "any error of a fetch resets the position by policy")                \
    X(COMMIT_BEYOND, "group", "commits are one record ahead of what was handed out")               \
    X(COMMIT_UNORDERED, "group", "commits on their way overtake each other")                       \
    X(COMMIT_TOLD_TWICE, "group", "a commit is told twice")                                        \
    X(COMMITTED_SKIPS, "group", "the record at the committed offset is left out")                  \
    X(ABORTED_DELIVERED, "committed", "records of aborted transactions are handed out")            \
    X(ABORTED_UNSORTED, "committed", "the list of aborted transactions is read as it came")        \
    X(ABORT_GOES_ON, "committed", "an abort marker does not end the transaction")                  \
    X(OPEN_DELIVERED, "committed", "open transactions are read, as with read_uncommitted")         \
    X(CONTROL_DELIVERED, "committed", "control records are handed out")

typedef enum kc_variant {
    KC_VARIANT_NONE,
#define KC_VARIANT_ITEM(name, workload, about) KC_VARIANT_##name,
    KC_VARIANTS(KC_VARIANT_ITEM)
#undef KC_VARIANT_ITEM
} kc_variant;

#ifdef KC_SIM_VARIANTS
/** The one that is on; set before the first client is made. */
extern kc_variant kc_variant_now;
#define KC_VARIANT(name) (kc_variant_now == KC_VARIANT_##name)
#else
#define KC_VARIANT(name) false
#endif

#endif
