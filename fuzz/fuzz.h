/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What every fuzz target offers: libFuzzer's entry, and seeds for the corpus and the replay. */
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
#define FUZZ_BYTES_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/** A valid input, for the replay to change. */
void fuzz_make_seed(kb_rand *rand, kb_buf *out);

/** May be there: changes `data` in place, returns its new size. libFuzzer and the replay use it. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
    __attribute__((weak));
/** Is there for it: a change without knowledge, of libFuzzer or of the replay. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#endif
