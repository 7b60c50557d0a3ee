/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A broker that lies in SCRAM, and sasl.jaas.config: nothing such a broker says makes an exchange a success, since it
 * does not know the password. The input is its messages, a zero byte between them. */
#include "client/jaas.h"
#include "fuzz/fuzz.h"
#include "net/sasl.h"
#include "protocol/base/text.h"

/** What zeros give. */
#define NONCE "AAAAAAAAAAAAAAAAAAAA"

static void no_random(void *user, void *out, size_t len)
{
    (void)user;
    memset(out, 0, len);
}

static void on_wake(kn_sasl *sasl)
{
    (void)sasl;
}

static void fuzz_scram(kb_mem *mem, kc_bytes input)
{
    kn_sasl sasl;
    kn_sasl_conf conf = {.mem = mem, .mechanism = &kn_sasl_scram_sha256, .random = no_random};
    FUZZ_CHECK(kn_sasl_conf_set(&conf, "alice", "alice-secret") == KC_OK);
    kn_sasl_init(&sasl, &conf, "broker", on_wake, NULL);
    kc_bytes rest = input, message;
    kn_sasl_status status = kn_sasl_start(&sasl);
    while (status == KN_SASL_SEND && kb_text_split(&rest, 0, &message))
        status = kn_sasl_step(&sasl, message);
    FUZZ_CHECK(status == KN_SASL_SEND || status == KN_SASL_FAILED);
    FUZZ_CHECK(status == KN_SASL_SEND || (sasl.err == KC_ERR_AUTH && sasl.why[0]));
    kn_sasl_finish(&sasl);
    kn_sasl_conf_cleanup(&conf);
}

static void fuzz_jaas(kb_mem *mem, kc_bytes input)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"};
    for (size_t i = 0; i < 3; i++) {
        kc_jaas jaas;
        kc_error err = {.code = KC_OK};
        kc_err parsed = kc_jaas_parse(mem, input, mechanisms[i], &jaas, &err);
        FUZZ_CHECK(parsed == err.code);
        if (parsed == KC_OK && jaas.password.len > 0)
            FUZZ_CHECK(strlen((const char *)jaas.password.data) == jaas.password.len - 1);
        kc_jaas_cleanup(&jaas);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    fuzz_scram(&mem, kc_span(data, size));
    fuzz_jaas(&mem, kc_span(data, size));
    FUZZ_CHECK(mem.used == 0);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    static const char *const iterations[] = {"4096", "1", "4095", "100001", "99999999999"};
    static const char *const options[] = {"username=\"a\\\"b\"", "password='secret'",
                                          "extension_a=b"};
    if (kb_rand_below(rand, 2) == 0) {
        /* Few that are good: each costs four thousand rounds of SHA-256. */
        size_t good = kb_rand_below(rand, 8) == 0 ? 0 : 1 + kb_rand_below(rand, 4);
        kb_buf_printf(out, "r=" NONCE "xyz,s=QSXCR+Q6sek8bf92,i=%s", iterations[good]);
        kb_buf_put_byte(out, 0);
        kb_buf_put_bytes(out, KC_STR("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        return;
    }
    static const char *const modules[] = {"a.b.PlainLoginModule", "ScramLoginModule",
                                          "OAuthBearerLoginModule"};
    kb_buf_printf(out, "%s required", modules[kb_rand_below(rand, 3)]);
    for (uint64_t n = kb_rand_below(rand, 4); n > 0; n--)
        kb_buf_printf(out, " %s", options[kb_rand_below(rand, 3)]);
    kb_buf_put_byte(out, ';');
}
