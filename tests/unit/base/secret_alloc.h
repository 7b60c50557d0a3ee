/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * An allocator that looks for secrets in what is given back. Include it in one file of a test, after
 * _GNU_SOURCE (memmem). */
#ifndef SECRET_ALLOC_H
#define SECRET_ALLOC_H

#include "protocol/base/mem.h"

#include <stdlib.h>
#include <string.h>

/** What is looked for; ends with NULL. Set by the test. */
static const char *const *secret_texts;
/** Blocks given back with one of them inside. */
static size_t secret_leaks;

static void secret_look(const void *ptr)
{
    size_t size = *(const size_t *)ptr; /* kb_mem's prefix */
    for (const char *const *text = secret_texts; *text; text++)
        secret_leaks += memmem(ptr, size, *text, strlen(*text)) != NULL;
}

static void *secret_malloc(size_t size, void *user)
{
    (void)user;
    return malloc(size);
}

static void *secret_realloc(void *ptr, size_t size, void *user)
{
    (void)user;
    secret_look(ptr);
    return realloc(ptr, size);
}

static void secret_free(void *ptr, void *user)
{
    (void)user;
    secret_look(ptr);
    free(ptr);
}

static const kc_alloc secret_alloc = {secret_malloc, secret_realloc, secret_free, NULL};

#endif
