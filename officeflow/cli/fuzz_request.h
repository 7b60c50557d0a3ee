/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Mutated requests by number: each follows from seed and number alone, so that one is made again without
 * those before it. */
#ifndef CLI_FUZZ_REQUEST_H
#define CLI_FUZZ_REQUEST_H

#include <kafkac/mutate.h>

/** An API the broker serves, in versions both sides know. */
typedef struct cli_fuzz_api {
    const char *name;
    int16_t key, min, max;
} cli_fuzz_api;

#define CLI_FUZZ_APIS_MAX 128

typedef struct cli_fuzz_plan {
    cli_fuzz_api apis[CLI_FUZZ_APIS_MAX];
    size_t api_count;
    uint64_t seed;
    bool with_bytes; /**< bytes that lie, too */
} cli_fuzz_plan;

typedef struct cli_fuzz_request {
    const cli_fuzz_api *api;
    int16_t version;
    kc_mutation mutation; /**< the last one made */
    int mutations;
    kc_bytes frame;
} cli_fuzz_request;

/** APIs that read: what is mutated of them destroys nothing. Ends with NULL. */
extern const char *const cli_fuzz_safe_apis[];

/** False: out of memory. `number` is the correlation id, too. */
bool cli_fuzz_make(const cli_fuzz_plan *plan, uint32_t number, kc_arena *arena,
                   cli_fuzz_request *request_out);
/** A valid request of this API in this version; KC_NULL: out of memory. */
kc_bytes cli_fuzz_frame(int16_t api_key, int16_t version, void *body, uint32_t number,
                        kc_arena *arena);

#endif
