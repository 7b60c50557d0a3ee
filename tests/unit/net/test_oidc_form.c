/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What is said to a token endpoint, and what it answers. */
#include "net/oidc_form.h"
#include "protocol/base/text.h"

#include <check.h>
#include <stdio.h>

#define NOW_MS INT64_C(1700000000000)

static kb_mem mem;
static kb_buf out;
static kb_arena scratch;
static kn_oidc_token token;
static char why[KN_OIDC_WHY_MAX];

static void begin(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&out, &mem, 0);
    kb_arena_init(&scratch, &mem, 0);
}

static void end(void)
{
    kb_buf_cleanup(&out);
    kb_arena_cleanup(&scratch);
    ck_assert_uint_eq(mem.used, 0);
}

static void expect_encoded(const char *text, const char *wanted)
{
    kb_buf_reset(&out);
    kn_oidc_put_encoded(&out, kc_str(text));
    ck_assert(kc_bytes_equal(kb_buf_bytes(&out), kc_str(wanted)));
}

START_TEST(texts_are_encoded_as_in_a_form)
{
    begin();
    expect_encoded("", "");
    expect_encoded("azAZ09.-*_", "azAZ09.-*_");
    expect_encoded("a b+c&d=e", "a+b%2Bc%26d%3De");
    expect_encoded("~/:%\x01\x7f", "%7E%2F%3A%25%01%7F");
    expect_encoded("\xc3\xa4", "%C3%A4");
    end();
}
END_TEST

START_TEST(the_form_has_a_scope_where_there_is_one)
{
    begin();
    kn_oidc_put_form(&out, NULL);
    ck_assert_str_eq((const char *)out.data, "grant_type=client_credentials");
    kb_buf_reset(&out);
    kn_oidc_put_form(&out, "");
    ck_assert_str_eq((const char *)out.data, "grant_type=client_credentials");
    kb_buf_reset(&out);
    kn_oidc_put_form(&out, "read write");
    ck_assert_str_eq((const char *)out.data, "grant_type=client_credentials&scope=read+write");
    end();
}
END_TEST

START_TEST(the_header_has_id_and_secret_plain_or_encoded)
{
    begin();
    kn_oidc_put_authorization(&out, "alice", "a+b/c", false); // alice:a+b/c
    ck_assert_str_eq((const char *)out.data, "Authorization: Basic YWxpY2U6YStiL2M=");
    kb_buf_reset(&out);
    kn_oidc_put_authorization(&out, "a:b", "c+d", true); // a%3Ab:c%2Bd
    ck_assert_str_eq((const char *)out.data, "Authorization: Basic YSUzQWI6YyUyQmQ=");
    end();
}
END_TEST

static bool read_token(const char *body)
{
    token = (kn_oidc_token){.expires_ms = -7};
    kb_arena_reset(&scratch);
    return kn_oidc_read_token(kc_str(body), NOW_MS, &scratch, &token, why);
}

static void expect(const char *body, const char *value, int64_t expires_ms)
{
    ck_assert_msg(read_token(body), "%s: %s", body, why);
    ck_assert(kc_bytes_equal(token.value, kc_str(value)));
    ck_assert_int_eq(token.expires_ms, expires_ms);
}

START_TEST(a_token_is_read_with_its_life)
{
    begin();
    expect("{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":60,\"x\":[{}]}", "t",
           NOW_MS + 60000);
    expect("{\"expires_in\":\"3600\",\"access_token\":\"a\\/b\",\"token_type\":\"bearer\"}", "a/b",
           NOW_MS + 3600000);
    expect(" {\"access_token\":\"t\",\"expires_in\":1.5} ", "t", NOW_MS + 1500);
    expect("{\"access_token\":\"t\"}", "t", 0);
    expect("{\"access_token\":\"t\",\"expires_in\":null}", "t", 0);
    expect("{\"access_token\":\"t\",\"expires_in\":\"soon\"}", "t", 0);
    expect("{\"access_token\":\"t\",\"expires_in\":1e300}", "t", NOW_MS + INT64_C(10000000000000));
    end();
}
END_TEST

/** An answer with a JWT of these claims and no expires_in. */
static const char *jwt_answer(const char *claims, char value[static 512])
{
    static char body[600];
    kb_buf_reset(&out);
    kb_base64url_put(&out, KC_STR("{\"alg\":\"RS256\"}"));
    kb_buf_put_byte(&out, '.');
    kb_base64url_put(&out, kc_str(claims));
    kb_buf_put_bytes(&out, KC_STR(".c2ln"));
    kb_buf_put_byte(&out, 0);
    snprintf(value, 512, "%s", (const char *)out.data);
    snprintf(body, sizeof body, "{\"access_token\":\"%s\"}", value);
    return body;
}

START_TEST(without_expires_in_the_claim_of_a_jwt_counts)
{
    char value[512];
    begin();
    expect(jwt_answer("{\"sub\":\"a\",\"exp\":1700000060}", value), value, NOW_MS + 60000);
    expect(jwt_answer("{\"exp\":1700000060.5}", value), value, NOW_MS + 60500);
    expect(jwt_answer("{\"exp\":1e99}", value), value, INT64_C(100000000000000));
    expect(jwt_answer("{\"sub\":\"a\"}", value), value, 0);
    expect(jwt_answer("[1700000060]", value), value, 0);
    expect(jwt_answer("{\"exp\":17000", value), value, 0);
    expect("{\"access_token\":\"a.!!!.c\"}", "a.!!!.c", 0);
    expect("{\"access_token\":\"a.b.c.d\"}", "a.b.c.d", 0);
    expect("{\"access_token\":\"..\"}", "..", 0);
    expect("{\"access_token\":\"a.\"}", "a.", 0);
    end();
}
END_TEST

static void refuse(const char *body, const char *part)
{
    ck_assert(!read_token(body));
    ck_assert_msg(strstr(why, part) != NULL, "%s", why);
    ck_assert_ptr_null(strstr(why, "hush"));
}

START_TEST(what_is_no_answer_is_said)
{
    char value[512];
    begin();
    refuse("", "no JSON object");
    refuse("<html>hush</html>", "no JSON object");
    refuse("\"hush\"", "no JSON object");
    refuse("[\"hush\"]", "no JSON object");
    refuse("{\"access_token\":\"hush\"} x", "no JSON object");
    refuse("{\"access_token\":\"hush\",\"access_token\":\"t\"}", "no JSON object");
    refuse("{}", "no access_token");
    refuse("{\"access_token\":5}", "no access_token");
    refuse("{\"access_token\":{\"a\":\"hush\"}}", "no access_token");
    refuse("{\"access_token\":\"hush\",\"token_type\":\"mac\\n\"}", "of the type mac?, not Bearer");
    refuse("{\"access_token\":\"hush\",\"expires_in\":0}", "expired");
    refuse("{\"access_token\":\"hush\",\"expires_in\":-1}", "expired");
    refuse(jwt_answer("{\"exp\":-1}", value), "expired");
    end();
}
END_TEST

START_TEST(an_answer_cut_at_any_byte_is_refused)
{
    char value[512], text[600];
    begin();
    const char *whole = jwt_answer("{\"exp\":1700000060}", value);
    for (size_t len = 0; len < strlen(whole); len++) {
        memcpy(text, whole, len);
        text[len] = 0;
        refuse(text, "no JSON object");
    }
    end();
}
END_TEST

static void explain(int status, const char *body, const char *wanted)
{
    const kc_bytes hidden[] = {KC_STR("hush"), KC_STR("aHVzaA=="), KC_NULL};
    kb_arena_reset(&scratch);
    kn_oidc_explain(status, kc_str(body), hidden, &scratch, why);
    ck_assert_str_eq(why, wanted);
}

START_TEST(a_refusal_is_told_in_the_providers_words_cut_and_printable)
{
    begin();
    explain(401, "{\"error\":\"invalid_client\",\"error_description\":\"Bad \\\"client\\\"\\n\"}",
            "it answers 401 invalid_client (Bad \"client\"?); are id and secret of "
            "sasl.oauthbearer.client.credentials right?");
    explain(400, "{\"error\":\"invalid_scope\"}",
            "it answers 400 invalid_scope; see sasl.oauthbearer.scope");
    explain(503, "<html>busy</html>", "it answers 503");
    explain(500, "{\"error\":{\"message\":\"nested\"}}", "it answers 500");
    explain(302, "",
            "it answers 302: redirects are not followed; see "
            "sasl.oauthbearer.token.endpoint.url");
    explain(404, "", "it answers 404; is sasl.oauthbearer.token.endpoint.url right?");
    char body[1024];
    snprintf(body, sizeof body, "{\"error\":\"%0200d\",\"error_description\":\"%0400d\"}", 1, 2);
    kn_oidc_explain(400, kc_str(body), &KC_NULL, &scratch, why);
    ck_assert_uint_lt(strlen(why), 140);
    end();
}
END_TEST

START_TEST(a_provider_that_quotes_the_secret_is_not_quoted)
{
    begin();
    explain(400, "{\"error\":\"hush\",\"error_description\":\"no client a with hush\"}",
            "it answers 400");
    explain(400, "{\"error\":\"e\",\"error_description\":\"Basic aHVzaA== is \\u0068ush\"}",
            "it answers 400 e");
    end();
}
END_TEST

START_TEST(without_memory_nothing_leaks)
{
    char value[512], body[600];
    begin();
    snprintf(body, sizeof body, "%s", jwt_answer("{\"exp\":1700000060}", value));
    end();
    for (size_t limit = 1; limit < 8192; limit += 64) {
        kb_mem_init(&mem, NULL, limit);
        kb_buf_init(&out, &mem, 0);
        kb_arena_init(&scratch, &mem, 0);
        kn_oidc_put_authorization(&out, "alice", "hush", true);
        if (read_token(body))
            ck_assert_int_ge(token.expires_ms, 0);
        end();
    }
}
END_TEST
