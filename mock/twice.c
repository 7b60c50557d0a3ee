/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * By a map, as a request may have many names. */
#include "mock/twice.h"

const km_twice *km_twice_find(km_request *request, const kc_bytes *names, int32_t count)
{
    km_twice *found = km_request_alloc(request, (size_t)count, sizeof *found);
    kb_map seen;
    kb_map_init(&seen, request->cluster->mem);
    for (int32_t i = 0; found && i < count; i++) {
        km_twice *first = names[i].ptr ? kb_map_get(&seen, names[i]) : NULL;
        if (first) {
            *first = KM_TWICE_FIRST;
            found[i] = KM_TWICE_AGAIN;
        } else if (names[i].ptr && kb_map_put(&seen, names[i], &found[i])) {
            found = NULL;
        }
    }
    kb_map_cleanup(&seen);
    return found;
}
