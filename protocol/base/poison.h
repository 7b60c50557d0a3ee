/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tells AddressSanitizer which bytes nobody may touch now, so that it sees errors inside our own
 * allocators. */
#ifndef KB_POISON_H
#define KB_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define KB_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KB_HAS_ASAN 1
#endif
#endif

#ifdef KB_HAS_ASAN
#include <sanitizer/asan_interface.h>
#define KB_POISON(ptr, len)   ASAN_POISON_MEMORY_REGION((ptr), (len))
#define KB_UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION((ptr), (len))
#else
#define KB_POISON(ptr, len)   ((void)(ptr), (void)(len))
#define KB_UNPOISON(ptr, len) ((void)(ptr), (void)(len))
#endif

#endif
