/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Configuration in the seed's names: from a file, from the environment, copied. */
#define _GNU_SOURCE
#include <officeflow/config.h>
#include <officeflow/platform.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static of_config config;

static void begin(void)
{
    ck_assert_int_eq(of_config_init(&config), KC_OK);
}

/** A file of that text in the test's folder; removed by drop_file(). */
static const char *make_file(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "test_config_XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static kc_err load(const char *text, kc_error *err)
{
    const char *path = make_file(text);
    kc_err result = of_config_load_file(&config, path, err);
    unlink(path);
    return result;
}

static void refuse(const char *text, const char *part)
{
    kc_error err;
    begin();
    ck_assert_msg(load(text, &err) == KC_ERR_CONFIG, "%s", text);
    ck_assert_msg(strstr(err.text, part) != NULL, "%s: %s", text, err.text);
    of_config_cleanup(&config);
}

START_TEST(defaults_are_the_documented_ones)
{
    begin();
    ck_assert_str_eq(config.client_id, "officeflow");
    ck_assert_str_eq(config.brokers, "localhost:9092");
    ck_assert_int_eq(config.retry_retries, -1);
    ck_assert_ptr_null(config.demo_org_id);
    ck_assert_ptr_nonnull(config.policies);
    ck_assert_ptr_nonnull(config.kafka);
    of_config_cleanup(&config);
}
END_TEST

START_TEST(seeds_example_is_read)
{
    kc_error err;
    begin();
    kc_err result = load("{\"clientId\": \"my-service\", \"brokers\": [\"localhost:9092\"],"
                         "\"connectionTimeout\": 3000, \"requestTimeout\": 30000,"
                         "\"retry\": {\"initialRetryTime\": 100, \"retries\": 8},"
                         "\"ssl\": false,"
                         "\"sasl\": {\"mechanism\": \"plain\", \"username\": \"user\","
                         "           \"password\": \"pass\"}}",
                         &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    ck_assert_str_eq(config.client_id, "my-service");
    ck_assert_str_eq(config.brokers, "localhost:9092");
    ck_assert_int_eq(config.connection_timeout_ms, 3000);
    ck_assert_int_eq(config.request_timeout_ms, 30000);
    ck_assert_int_eq(config.retry_initial_ms, 100);
    ck_assert_int_eq(config.retry_retries, 8);
    ck_assert(!config.ssl);
    ck_assert_str_eq(config.sasl_mechanism, "plain");
    ck_assert_str_eq(config.sasl_username, "user");
    ck_assert_str_eq(config.sasl_password, "pass");
    of_config_cleanup(&config);
}
END_TEST

START_TEST(brokers_may_be_a_list_or_text)
{
    kc_error err;
    begin();
    ck_assert_int_eq(load("{\"brokers\": [\"a:1\", \"b:2\", \"c:3\"]}", &err), KC_OK);
    ck_assert_str_eq(config.brokers, "a:1,b:2,c:3");
    ck_assert_int_eq(load("{\"brokers\": \"d:4,e:5\"}", &err), KC_OK);
    ck_assert_str_eq(config.brokers, "d:4,e:5");
    of_config_cleanup(&config);
}
END_TEST

START_TEST(policies_and_properties_are_read)
{
    kc_error err;
    begin();
    kc_err result =
        load("{\"policy\": {\"email.send.request\": {\"tiers\": [\"2s\"], \"max_redrives\": 1}},"
             "\"kafka\": {\"linger.ms\": 7, \"acks\": \"all\", \"check.crcs\": true}}",
             &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    of_policy policy = of_policies_get(config.policies, KC_STR("email.send.request"));
    ck_assert_int_eq(policy.max_redrives, 1);
    ck_assert_str_eq(policy.tiers[0].name, "2s");
    ck_assert_str_eq(kc_config_get(config.kafka, "linger.ms"), "7");
    ck_assert_str_eq(kc_config_get(config.kafka, "check.crcs"), "true");
    of_config_cleanup(&config);
}
END_TEST

START_TEST(password_may_stand_in_a_file_of_its_own)
{
    kc_error err;
    char json[160], secret[64];
    begin();
    snprintf(secret, sizeof secret, "%s", make_file("s3cret\n"));
    snprintf(json, sizeof json, "{\"sasl\": {\"passwordFile\": \"%s\"}}", secret);
    kc_err result = load(json, &err);
    unlink(secret);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    ck_assert_str_eq(config.sasl_password, "s3cret");
    of_config_cleanup(&config);
}
END_TEST

START_TEST(wrong_files_are_refused_with_the_reason)
{
    refuse("", "no JSON");
    refuse("{", "no JSON");
    refuse("[]", "JSON object");
    refuse("{\"clientID\": \"x\"}", "unknown member \"clientID\"");
    refuse("{\"clientId\": 5}", "clientId");
    refuse("{\"clientId\": \"a\", \"clientId\": \"b\"}", "no JSON");
    refuse("{\"brokers\": []}", "brokers");
    refuse("{\"brokers\": [5]}", "brokers");
    refuse("{\"brokers\": 5}", "brokers");
    refuse("{\"connectionTimeout\": -1}", "connectionTimeout");
    refuse("{\"connectionTimeout\": 1.5}", "connectionTimeout");
    refuse("{\"ssl\": \"yes\"}", "ssl");
    refuse("{\"retry\": 5}", "retry");
    refuse("{\"retry\": {\"times\": 1}}", "unknown member \"times\"");
    refuse("{\"sasl\": {\"user\": \"x\"}}", "unknown member \"user\"");
    refuse("{\"kafka\": {\"no.such\": 1}}", "no.such");
    refuse("{\"kafka\": {\"linger.ms\": {}}}", "linger.ms");
    refuse("{\"policy\": {\"a\": {\"x\": 1}}}", "unknown member \"x\"");
}
END_TEST

START_TEST(missing_file_is_an_io_error_that_names_it)
{
    kc_error err;
    begin();
    ck_assert_int_eq(of_config_load_file(&config, "no-such-file.json", &err), KC_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "no-such-file.json"));
    ck_assert_int_ne(err.os_errno, 0);
    of_config_cleanup(&config);
}
END_TEST

START_TEST(environment_is_read_where_it_is_set)
{
    kc_error err;
    begin();
    setenv("KAFKA_BROKERS", "x:1,y:2", 1);
    setenv("DEMO_ORG_ID", "demo-org-123", 1);
    setenv("KAFKA_CLIENT_ID", "", 1);
    ck_assert_int_eq(of_config_load_env(&config, &err), KC_OK);
    ck_assert_str_eq(config.brokers, "x:1,y:2");
    ck_assert_str_eq(config.demo_org_id, "demo-org-123");
    ck_assert_str_eq(config.client_id, "officeflow");
    unsetenv("KAFKA_BROKERS");
    unsetenv("DEMO_ORG_ID");
    unsetenv("KAFKA_CLIENT_ID");
    of_config_cleanup(&config);
}
END_TEST

START_TEST(copy_shares_nothing)
{
    kc_error err;
    of_config copy;
    begin();
    ck_assert_int_eq(load("{\"clientId\": \"one\", \"kafka\": {\"linger.ms\": 3},"
                          "\"policy\": {\"a.b\": {\"max_redrives\": 9}}}",
                          &err),
                     KC_OK);
    ck_assert_int_eq(of_config_copy(&copy, &config), KC_OK);
    of_config_cleanup(&config);
    ck_assert_str_eq(copy.client_id, "one");
    ck_assert_str_eq(kc_config_get(copy.kafka, "linger.ms"), "3");
    ck_assert_int_eq(of_policies_get(copy.policies, KC_STR("a.b")).max_redrives, 9);
    of_config_cleanup(&copy);
}
END_TEST

/* ---- as properties of the client ---- */

static void expect_open(kc_err expected)
{
    of_platform *platform = NULL;
    kc_error err = {0};
    kc_err result = of_platform_open(&config, NULL, &platform, &err);
    ck_assert_msg(result == expected, "%s", err.text);
    of_platform_close(result == KC_OK ? platform : NULL);
}

START_TEST(platform_opens_with_the_seeds_values)
{
    begin();
    config.brokers = "127.0.0.1:1";
    config.connection_timeout_ms = 3000;
    config.request_timeout_ms = 30000;
    config.retry_initial_ms = 100;
    config.retry_retries = 8;
    expect_open(KC_OK);
    config.retry_initial_ms = 5000; // above the client's own maximum
    config.retry_retries = 0;
    expect_open(KC_OK);
    config.brokers = "not a broker";
    expect_open(KC_ERR_CONFIG);
    of_config_cleanup(&config);
}
END_TEST

START_TEST(ssl_is_security_protocol_ssl)
{
    of_platform *platform;
    kc_error err;
    begin();
    config.brokers = "127.0.0.1:1";
    config.ssl = true;
    expect_open(KC_OK);
    ck_assert_int_eq(
        kc_config_set(config.kafka, "ssl.truststore.location", "/nowhere/ca.pem", &err), KC_OK);
    ck_assert_int_eq(of_platform_open(&config, NULL, &platform, &err), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/ca.pem"));
    config.ssl = false;
    expect_open(KC_OK); /* nobody reads it */
    of_config_cleanup(&config);
}
END_TEST

START_TEST(sasl_is_handed_to_the_client)
{
    of_platform *platform;
    kc_error err;
    begin();
    config.sasl_mechanism = "plain";
    ck_assert_int_eq(of_platform_open(&config, NULL, &platform, &err), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "sasl.password"));
    config.sasl_username = "alice";
    config.sasl_password = "alice-secret";
    ck_assert_int_eq(of_platform_open(&config, NULL, &platform, &err), KC_OK);
    of_platform_close(platform);
    of_config_cleanup(&config);
}
END_TEST
