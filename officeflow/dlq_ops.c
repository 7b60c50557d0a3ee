/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The operator's list of dead letters, and the names and defaults of the DLQ's public parts. */
#include "officeflow/dlq_index.h"

typedef struct listing {
    of_dead_fn fn;
    void *user;
} listing;

static bool tell(const of_dead_letter *letter, const of_dlq_known *known, void *user)
{
    (void)known;
    const listing *list = user;
    return list->fn(letter, list->user);
}

kc_err of_dlq_list(of_platform *platform, const of_dead_filter *filter, int32_t timeout_ms,
                   of_dead_fn fn, void *user, kc_error *err)
{
    of_dlq_index *index;
    listing list = {fn, user};
    kc_error local;
    err = err ? err : &local;
    kc_err result = of_dlq_index_build(platform, filter, of_scan_deadline(timeout_ms), &index, err);
    if (result != KC_OK)
        return result;
    result = of_dlq_index_tell(index, tell, &list, err);
    of_dlq_index_free(index);
    return result;
}
