/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The building blocks of the generated message structs (messages.h) besides the C types. */
#ifndef KAFKAC_UNSTABLE_MESSAGE_TYPES_H
#define KAFKAC_UNSTABLE_MESSAGE_TYPES_H

#include <kafkac/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Layout of every array in a generated struct: count -1 is null. */
typedef struct kp_array {
    void *items;
    int32_t count;
} kp_array;

/** A tagged field this schema does not know, as it stood on the wire. */
typedef struct kp_tag {
    uint32_t tag;
    kc_bytes data;
} kp_tag;

/** Tagged fields this schema does not know, by ascending tag. */
typedef struct kp_tags {
    kp_tag *items;
    int32_t count;
} kp_tags;

#ifdef __cplusplus
}
#endif
#endif
