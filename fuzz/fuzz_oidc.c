/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Answers of a token endpoint: a token or a reason, never both, and no reason has a secret or an unprintable byte. */
#include "fuzz/fuzz.h"
#include "net/oidc_form.h"
#include "protocol/base/text.h"

#define NOW_MS INT64_C(1700000000000)
#define SECRET "client-secret"

static void check_why(const char why[KN_OIDC_WHY_MAX])
{
    size_t len = strlen(why);
    FUZZ_CHECK(len > 0 && len < KN_OIDC_WHY_MAX && !strstr(why, SECRET));
    for (size_t i = 0; i < len; i++)
        FUZZ_CHECK(why[i] >= 0x20 && why[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kb_mem mem;
    kb_arena scratch;
    kn_oidc_token token = {.expires_ms = -1};
    char why[KN_OIDC_WHY_MAX];
    const kc_bytes hidden[] = {KC_STR(SECRET), KC_NULL};
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    kb_arena_init(&scratch, &mem, 0);
    if (kn_oidc_read_token(kc_span(data, size), NOW_MS, &scratch, &token, why))
        FUZZ_CHECK(token.value.ptr && token.expires_ms >= 0 && !why[0]);
    else
        check_why(why);
    kn_oidc_explain(400, kc_span(data, size), hidden, &scratch, why);
    check_why(why);
    kb_arena_cleanup(&scratch);
    FUZZ_CHECK(mem.used == 0);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    static const char *const members[] = {
        "\"access_token\":\"abc.def\"",
        "\"access_token\":\"a.eyJleHAiOjE3MDAwMDAwNjB9.c\"",
        "\"expires_in\":60",
        "\"expires_in\":\"1e9\"",
        "\"token_type\":\"Bearer\"",
        "\"error\":\"invalid_client\"",
        "\"error_description\":\"no " SECRET "\"",
        "\"error_description\":\"\\u0063lient-secret\"",
    };
    kb_buf_put_byte(out, '{');
    for (uint64_t n = kb_rand_below(rand, 4); n > 0; n--)
        kb_buf_printf(out, "%s%s", members[kb_rand_below(rand, 8)], n > 1 ? "," : "");
    kb_buf_put_byte(out, '}');
}
