/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which names stand in a request more than once. */
#ifndef KM_TWICE_H
#define KM_TWICE_H

#include "mock/request.h"

typedef enum km_twice {
    KM_ONCE,
    KM_TWICE_FIRST, /**< the first of several */
    KM_TWICE_AGAIN,
} km_twice;

/** For each of the names; null stands for nothing, and is KM_ONCE. NULL: no memory. */
const km_twice *km_twice_find(km_request *request, const kc_bytes *names, int32_t count);

#endif
