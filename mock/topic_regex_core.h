/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a compiled pattern is; for topic_regex.c and topic_regex_parse.c only. */
#ifndef KM_TOPIC_REGEX_CORE_H
#define KM_TOPIC_REGEX_CORE_H

#include "mock/topic_regex.h"

typedef enum km_step_op {
    KM_STEP_BYTES, /**< one byte out of `bytes`, then the next step                */
    KM_STEP_SPLIT, /**< both the next step and the one at `other`                  */
    KM_STEP_JUMP,  /**< the one at `other`                                         */
    KM_STEP_BEGIN, /**< the next step, but only at the begin of the name; and so on */
    KM_STEP_END,
    KM_STEP_BOUNDARY,
    KM_STEP_NO_BOUNDARY,
    KM_STEP_MATCH,
} km_step_op;

typedef struct km_regex_step {
    km_step_op op;
    int32_t other;     /**< counted from this step, so that a piece can be moved and copied */
    uint8_t bytes[32]; /**< a bit for each byte */
} km_regex_step;

/** The steps the matcher stands at. */
typedef struct km_regex_places {
    uint32_t *items;
    uint32_t *seen; /**< by step: at which place of the name it was followed last, from 1 */
    size_t count;
} km_regex_places;

struct km_regex {
    kb_mem *mem;
    km_regex_step *steps;
    size_t step_count;
    uint32_t *places; /**< two km_regex_places and a stack: six times step_count, and one */
};

#endif
