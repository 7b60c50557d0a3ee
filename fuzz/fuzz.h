/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What every fuzz target offers: libFuzzer's entry, and seeds for the replay. */
#ifndef KC_FUZZ_H
#define KC_FUZZ_H

#include "protocol/base/buf.h"
#include "protocol/base/rand.h"

#include <stdlib.h>

/** Ends the program: a property does not hold. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/** Memory one input may cost: more is a finding. */
#define FUZZ_BYTES_MAX (64u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/** A valid input, for the replay to change. */
void fuzz_make_seed(kb_rand *rand, kb_buf *out);

#endif
