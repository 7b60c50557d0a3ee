/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Filling a kc_error, and the one control-flow macro of the project. */
#ifndef KB_ERROR_H
#define KB_ERROR_H

#include <kafkac/error.h>

/** Return the error of `expr`, if it is one. The only macro here that may return. */
#define KB_TRY(expr)                                                                               \
    do {                                                                                           \
        kc_err kb_try_err = (expr);                                                                \
        if (kb_try_err != KC_OK)                                                                   \
            return kb_try_err;                                                                     \
    } while (0)

/** Fill `err` (may be NULL): code with its flags, no place, and one sentence. Returns `code`. */
kc_err kb_error_set(kc_error *err, kc_err code, const char *fmt, ...) KC_PRINTF(3, 4);

/** The same with the standard sentence of the code. */
kc_err kb_error_code(kc_error *err, kc_err code);

/** The same for a failed system call: keeps `os_errno` and appends its text. */
kc_err kb_error_errno(kc_error *err, kc_err code, int os_errno, const char *fmt, ...)
    KC_PRINTF(4, 5);

#endif
