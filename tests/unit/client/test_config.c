/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The property table: what it takes, what it refuses and how it says so. */
#define _GNU_SOURCE // memmem
#include "client/config_table.h"

#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static kc_error error;

/** Set and expect success. */
static void set(kc_config *config, const char *name, const char *value)
{
    kc_err result = kc_config_set(config, name, value, &error);
    ck_assert_msg(result == KC_OK, "%s=%s: %s", name, value, error.text);
}

/** Set and expect a refusal that says `part`. */
static void refuse(kc_config *config, const char *name, const char *value, const char *part)
{
    error = (kc_error){.code = KC_OK};
    ck_assert_int_eq(kc_config_set(config, name, value, &error), KC_ERR_CONFIG);
    ck_assert_int_eq(error.code, KC_ERR_CONFIG);
    ck_assert_msg(strstr(error.text, part) != NULL, "\"%s\" lacks \"%s\"", error.text, part);
}

START_TEST(every_default_is_a_value_its_own_row_takes)
{
    kc_config *config = kc_config_new();
    const kc_property *property;
    size_t count = 0;
    for (; (property = kc_config_property(count)) != NULL; count++) {
        if (!property->default_value)
            continue;
        ck_assert_str_eq(kc_config_get(config, property->name), property->default_value);
        ck_assert(!kc_config_is_set(config, property->name));
    }
    kc_settings before = *kc_config_settings(config);
    for (size_t i = 0; i < count; i++) {
        property = kc_config_property(i);
        if (property->default_value)
            set(config, property->name, property->default_value);
    }
    const kc_settings *after = kc_config_settings(config);
    ck_assert_int_eq(before.acks, after->acks);
    ck_assert_int_eq(before.linger_ms, after->linger_ms);
    ck_assert_int_eq(before.memory_bytes_max, after->memory_bytes_max);
    ck_assert_int_eq(before.auto_offset_reset, after->auto_offset_reset);
    ck_assert_str_eq(before.partitioner, after->partitioner);
    ck_assert_int_gt((int)count, 45);
    kc_config_free(config);
}
END_TEST

START_TEST(names_are_unique_and_scopes_known)
{
    for (size_t i = 0; i < kc_config_row_count; i++) {
        const kc_property *property = &kc_config_rows[i].property;
        ck_assert(strcmp(property->scope, "client") == 0 ||
                  strcmp(property->scope, "producer") == 0 ||
                  strcmp(property->scope, "consumer") == 0);
        ck_assert_ptr_nonnull(property->allowed);
        ck_assert_uint_gt(strlen(property->doc), 5);
        for (size_t j = 0; j < i; j++) {
            ck_assert_str_ne(property->name, kc_config_rows[j].property.name);
            ck_assert_int_ne(kc_config_rows[i].offset, kc_config_rows[j].offset);
        }
    }
    ck_assert_ptr_null(kc_config_property(kc_config_row_count));
}
END_TEST

START_TEST(defaults_are_those_of_the_java_client)
{
    kc_config *config = kc_config_new();
    const kc_settings *settings = kc_config_settings(config);
    ck_assert_str_eq(settings->bootstrap_servers, "localhost:9092");
    ck_assert_int_eq(settings->acks, -1);
    ck_assert_int_eq(settings->linger_ms, 5);
    ck_assert_int_eq(settings->batch_size, 16384);
    ck_assert_int_eq(settings->buffer_memory, 33554432);
    ck_assert_int_eq(settings->delivery_timeout_ms, 120000);
    ck_assert_int_eq(settings->request_timeout_ms, 30000);
    ck_assert_int_eq(settings->default_api_timeout_ms, 60000);
    ck_assert_int_eq(settings->connections_max_idle_ms, 540000);
    ck_assert_int_eq(settings->session_timeout_ms, 45000);
    ck_assert_int_eq(settings->max_poll_interval_ms, 300000);
    ck_assert_int_eq(settings->fetch_max_bytes, 52428800);
    ck_assert_int_eq(settings->retries, INT32_MAX);
    ck_assert_int_eq(settings->auto_offset_reset, KC_RESET_LATEST);
    ck_assert(settings->enable_auto_commit);
    ck_assert(settings->check_crcs);
    ck_assert(settings->allow_auto_create_topics);
    ck_assert(!settings->isolation_read_committed);
    ck_assert(!settings->enable_idempotence);
    ck_assert_ptr_null(settings->group_id);
    ck_assert_str_eq(settings->partition_assignment_strategy, "range");
    ck_assert_int_eq(settings->memory_bytes_max, 134217728);
    ck_assert_int_eq(kc_config_check(config, &error), KC_OK);
    kc_config_free(config);
}
END_TEST

START_TEST(numbers_are_taken_within_their_range_only)
{
    kc_config *config = kc_config_new();
    set(config, "linger.ms", " 20\t");
    ck_assert_int_eq(kc_config_settings(config)->linger_ms, 20);
    ck_assert_str_eq(kc_config_get(config, "linger.ms"), "20");
    ck_assert(kc_config_is_set(config, "linger.ms"));
    refuse(config, "linger.ms", "-1", "[0, 2147483647]");
    refuse(config, "linger.ms", "2147483648", "[0, 2147483647]");
    refuse(config, "linger.ms", "99999999999999999999999", "allowed");
    refuse(config, "linger.ms", "5ms", "\"5ms\"");
    refuse(config, "linger.ms", "", "allowed");
    refuse(config, "linger.ms", "1.5", "allowed");
    ck_assert_int_eq(kc_config_settings(config)->linger_ms, 20); /* refused: unchanged */
    set(config, "buffer.memory", "5000000000");
    ck_assert_int_eq(kc_config_settings(config)->buffer_memory, INT64_C(5000000000));
    refuse(config, "compression.gzip.level", "0", "compression.gzip.level");
    kc_config_free(config);
}
END_TEST

START_TEST(fractions_are_taken_within_their_range_only)
{
    kc_config *config = kc_config_new();
    const char *name = "sasl.login.refresh.window.factor";
    ck_assert_double_eq(kc_config_settings(config)->sasl_login_refresh_window_factor, 0.8);
    set(config, name, " 0.5");
    set(config, name, "1.0");
    set(config, name, "0.8125");
    ck_assert_double_eq(kc_config_settings(config)->sasl_login_refresh_window_factor, 0.8125);
    ck_assert_str_eq(kc_config_get(config, name), "0.8125");
    refuse(config, name, "0.499", "[0.5, 1.0]");
    refuse(config, name, "1.01", "[0.5, 1.0]");
    refuse(config, name, "half", "\"half\"");
    refuse(config, name, "", "allowed");
    kc_config *copy = kc_config_copy(config);
    ck_assert_double_eq(kc_config_settings(copy)->sasl_login_refresh_window_factor, 0.8125);
    kc_config_free(copy);
    kc_config_free(config);
}
END_TEST

START_TEST(a_secret_is_kept_to_the_byte_and_never_shown)
{
    static const char *const names[] = {"sasl.password", "sasl.jaas.config",
                                        "sasl.oauthbearer.token"};
    static const char url[] = "http://alice:hush@proxy:3128";
    kc_config *config = kc_config_new();
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(kc_config_get(config, names[i]), "");
        set(config, names[i], " hush\t");
        ck_assert(kc_config_is_set(config, names[i]));
        ck_assert_str_eq(kc_config_get(config, names[i]), "[hidden]");
        refuse(config, names[i], "", "can't be empty");
        set(config, names[i], "another");
    }
    set(config, "proxy.url", url);
    ck_assert_str_eq(kc_config_get(config, "proxy.url"), "[hidden]");
    ck_assert_str_eq(kc_config_settings(config)->proxy_url, url);
    set(config, "sasl.password", " hush\t");
    kc_config *copy = kc_config_copy(config);
    ck_assert_str_eq(kc_config_settings(copy)->sasl_password, " hush\t");
    ck_assert_str_eq(kc_config_get(copy, "sasl.password"), "[hidden]");
    kc_config_free(copy);
    kc_config_free(config);
}
END_TEST

START_TEST(a_url_of_a_proxy_that_can_not_be_read_is_refused_and_not_shown)
{
    static const char *const urls[] = {"hush", "ftp://alice:hush@proxy", "socks5://hush@proxy",
                                       "http://alice:hush@proxy:0", "http://alice:hush%@proxy"};
    kc_config *config = kc_config_new();
    set(config, "proxy.url", "socks5://alice:first@proxy");
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        refuse(config, "proxy.url", urls[i], "proxy.url has to be socks5://[user:password@]host");
        ck_assert_ptr_null(strstr(error.text, "hush"));
    }
    refuse(config, "proxy.url", "", "proxy.url can't be empty");
    ck_assert_str_eq(kc_config_settings(config)->proxy_url, "socks5://alice:first@proxy");
    kc_config_free(config);
}
END_TEST

START_TEST(words_and_booleans_are_checked_and_stored)
{
    kc_config *config = kc_config_new();
    set(config, "acks", "1");
    ck_assert_int_eq(kc_config_settings(config)->acks, 1);
    set(config, "acks", "all");
    ck_assert_int_eq(kc_config_settings(config)->acks, -1);
    refuse(config, "acks", "2", "all, -1, 0, 1");
    set(config, "isolation.level", "read_committed");
    ck_assert(kc_config_settings(config)->isolation_read_committed);
    set(config, "auto.offset.reset", "Earliest");
    ck_assert_int_eq(kc_config_settings(config)->auto_offset_reset, KC_RESET_EARLIEST);
    ck_assert_str_eq(kc_config_get(config, "auto.offset.reset"), "earliest");
    set(config, "enable.auto.commit", "FALSE");
    ck_assert(!kc_config_settings(config)->enable_auto_commit);
    refuse(config, "enable.auto.commit", "yes", "true, false");
    set(config, "compression.type", "gzip");
    ck_assert_int_eq(kc_config_settings(config)->compression_type, KP_CODEC_GZIP);
    refuse(config, "compression.type", "brotli", "none, gzip, snappy, lz4, zstd");
    kc_config_free(config);
}
END_TEST

START_TEST(a_codec_left_out_of_the_build_is_refused)
{
    kc_config *config = kc_config_new();
    for (int codec = KP_CODEC_NONE; codec < KP_CODEC_COUNT; codec++) {
        const char *name = kp_codec_name((kp_codec)codec);
        if (kp_codec_is_built((kp_codec)codec))
            set(config, "compression.type", name);
        else
            refuse(config, "compression.type", name, "left out");
    }
    kc_config_free(config);
}
END_TEST

START_TEST(levels_are_what_the_codecs_say)
{
    const struct {
        const char *name;
        kp_codec codec;
    } levels[] = {{"compression.gzip.level", KP_CODEC_GZIP},
                  {"compression.lz4.level", KP_CODEC_LZ4},
                  {"compression.zstd.level", KP_CODEC_ZSTD}};
    for (size_t i = 0; i < 3; i++) {
        int min, max, fallback;
        if (!kp_codec_levels(levels[i].codec, &min, &max, &fallback))
            continue;
        for (size_t row = 0; row < kc_config_row_count; row++) {
            const kc_config_row *level = &kc_config_rows[row];
            if (strcmp(level->property.name, levels[i].name) != 0)
                continue;
            ck_assert_int_eq(level->max, max);
            ck_assert_int_eq(atoi(level->property.default_value), fallback);
        }
    }
}
END_TEST

START_TEST(java_class_names_are_understood_where_plain)
{
    kc_config *config = kc_config_new();
    set(config, "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
    ck_assert_str_eq(kc_config_settings(config)->partition_assignment_strategy, "range");
    set(config, "partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner");
    ck_assert_str_eq(kc_config_settings(config)->partitioner, "roundrobin");
    set(config, "partitioner", "murmur2");
    ck_assert_str_eq(kc_config_settings(config)->partitioner, "murmur2");
    refuse(config, "partition.assignment.strategy",
           "org.apache.kafka.clients.consumer.CooperativeStickyAssignor", "cooperative-sticky");
    refuse(config, "partitioner.class", "com.example.Mine", "murmur2, roundrobin");
    kc_config_free(config);
}
END_TEST

START_TEST(lists_are_brought_into_one_form)
{
    kc_config *config = kc_config_new();
    set(config, "bootstrap.servers", " a:1 , ,b:2,[::1]:3,");
    ck_assert_str_eq(kc_config_settings(config)->bootstrap_servers, "a:1,b:2,[::1]:3");
    refuse(config, "bootstrap.servers", " , ", "bootstrap.servers");
    set(config, "debug", "net, metadata");
    ck_assert_str_eq(kc_config_settings(config)->debug, "net,metadata");
    set(config, "debug", "");
    ck_assert_str_eq(kc_config_settings(config)->debug, "");
    refuse(config, "debug", "net,everything", "\"everything\"");
    kc_config_free(config);
}
END_TEST

START_TEST(an_unknown_name_is_told_with_the_nearest_known_one)
{
    kc_config *config = kc_config_new();
    refuse(config, "linger", "5", "nearest is linger.ms");
    refuse(config, "bootstrap.server", "a:1", "nearest is bootstrap.servers");
    refuse(config, "auto.ofset.reset", "latest", "nearest is auto.offset.reset");
    refuse(config, "", "x", "no property");
    refuse(config, "foo", "1", "there is no property \"foo\"");
    ck_assert_ptr_null(strstr(error.text, "nearest"));
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    refuse(config, name, "x", "no property");
    ck_assert_int_eq(kc_config_set(config, NULL, "x", &error), KC_ERR_CONFIG);
    ck_assert_int_eq(kc_config_set(config, "acks", NULL, &error), KC_ERR_CONFIG);
    ck_assert_int_eq(kc_config_set(config, "nonsense", "1", NULL), KC_ERR_CONFIG);
    ck_assert_ptr_null(kc_config_get(config, "nonsense"));
    kc_config_free(config);
}
END_TEST

START_TEST(what_a_later_release_brings_is_told_so)
{
    kc_config *config = kc_config_new();
    refuse(config, "enable.idempotence", "true", "later release");
    set(config, "enable.idempotence", "false");
    refuse(config, "sasl.kerberos.kinit.cmd", "kinit", "by itself, with sasl.kerberos.keytab");
    refuse(config, "sasl.oauthbearer.assertion.file", "x", "later release");
    refuse(config, "sasl.oauthbearer.expected.audience", "x", "checked by brokers");
    refuse(config, "sasl.login.callback.handler.class", "x", "token_fn");
    refuse(config, "ssl.truststore.type", "JKS", "Java's own: keytool -exportcert");
    refuse(config, "ssl.keystore.type", "JKS", "Java's own: convert");
    refuse(config, "ssl.enabled.protocols", "TLSv1.1", "TLSv1.2, TLSv1.3");
    refuse(config, "ssl.truststore.password", "x", "not encrypted");
    refuse(config, "ssl.provider", "SunJSSE", "OpenSSL");
    refuse(config, "transactional.id", "t", "later release");
    refuse(config, "key.serializer", "x", "keys are bytes");
    refuse(config, "max.poll.records", "10", "batches");
    kc_config_free(config);
}
END_TEST

START_TEST(text_is_trimmed_and_may_be_set_again)
{
    kc_config *config = kc_config_new();
    set(config, "group.id", "  one two  ");
    ck_assert_str_eq(kc_config_settings(config)->group_id, "one two");
    set(config, "group.id", "three");
    ck_assert_str_eq(kc_config_settings(config)->group_id, "three");
    refuse(config, "group.id", "  ", "group.id");
    set(config, "client.rack", "");
    ck_assert_str_eq(kc_config_get(config, "group.instance.id"), "");
    kc_config_free(config);
}
END_TEST

START_TEST(a_copy_stands_on_its_own)
{
    kc_config *config = kc_config_new();
    set(config, "group.id", "g");
    set(config, "linger.ms", "7");
    set(config, "partitioner.class", "roundrobin");
    kc_config *copy = kc_config_copy(config);
    kc_config_free(config);
    ck_assert_str_eq(kc_config_settings(copy)->group_id, "g");
    ck_assert_str_eq(kc_config_settings(copy)->partitioner, "roundrobin");
    ck_assert_int_eq(kc_config_settings(copy)->linger_ms, 7);
    ck_assert(kc_config_is_set(copy, "linger.ms"));
    ck_assert(!kc_config_is_set(copy, "acks"));
    kc_config_free(copy);
    kc_config_free(NULL);
}
END_TEST

/** Write `text` to a new file whose name goes to `path`. */
static void write_file(char *path, const char *text, size_t len)
{
    strcpy(path, "kc_config_XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static kc_err load(kc_config *config, const char *text, size_t len)
{
    char path[32];
    write_file(path, text, len);
    kc_err result = kc_config_load(config, path, &error);
    unlink(path);
    return result;
}

START_TEST(a_file_of_lines_is_loaded)
{
    static const char text[] =
        "# comment\r\n! too\r\n\r\n  acks = 1 \nclient.id=a=b\ngroup.id=last";
    kc_config *config = kc_config_new();
    ck_assert_int_eq(load(config, text, sizeof text - 1), KC_OK);
    ck_assert_int_eq(kc_config_settings(config)->acks, 1);
    ck_assert_str_eq(kc_config_settings(config)->client_id, "a=b");
    ck_assert_str_eq(kc_config_settings(config)->group_id, "last");
    kc_config_free(config);
}
END_TEST

START_TEST(errors_in_a_file_name_file_and_line)
{
    kc_config *config = kc_config_new();
    ck_assert_int_eq(load(config, "acks=1\n\nlingr.ms=4\n", 18), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, ":3: there is no property"));
    ck_assert_int_eq(load(config, "acks\n", 5), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, ":1: not of the form"));
    ck_assert_int_eq(load(config, "acks=1\\\n", 8), KC_ERR_CONFIG);
    ck_assert_int_eq(load(config, "client.id=a\0b\n", 14), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "zero byte"));
    ck_assert_int_eq(kc_config_load(config, "no/such/file", &error), KC_ERR_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "no/such/file"));
    ck_assert_int_ne(error.os_errno, 0);
    kc_config_free(config);
}
END_TEST

START_TEST(a_file_without_end_is_refused)
{
    size_t len = 1100000;
    char *text = malloc(len);
    memset(text, '\n', len);
    kc_config *config = kc_config_new();
    ck_assert_int_eq(load(config, text, len), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "above"));
    free(text);
    kc_config_free(config);
}
END_TEST

START_TEST(properties_that_contradict_each_other_are_told)
{
    kc_config *config = kc_config_new();
    set(config, "delivery.timeout.ms", "30000");
    ck_assert_int_eq(kc_config_check(config, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "linger.ms"));
    set(config, "delivery.timeout.ms", "30005");
    ck_assert_int_eq(kc_config_check(config, &error), KC_OK);
    set(config, "heartbeat.interval.ms", "45000");
    ck_assert_int_eq(kc_config_check(config, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "session.timeout.ms"));
    kc_config_free(config);
}
END_TEST

START_TEST(memory_must_hold_a_fetch_and_the_buffer)
{
    kc_config *config = kc_config_new();
    set(config, "memory.bytes.max", "67108864");
    ck_assert_int_eq(kc_config_check(config, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "fetch.max.bytes"));
    set(config, "fetch.max.bytes", "16777216");
    ck_assert_int_eq(kc_config_check(config, &error), KC_OK);
    set(config, "buffer.memory", "67108864");
    ck_assert_int_eq(kc_config_check(config, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "buffer.memory"));
    kc_config_free(config);
}
END_TEST

START_TEST(no_allocation_may_fail_unnoticed)
{
    for (int fail_at = 1;; fail_at++) {
        kb_mem mem;
        kb_mem_init(&mem, NULL, (size_t)fail_at * 64);
        kc_config *config = kc_config_new_in(&mem);
        kc_err result =
            config ? kc_config_set(config, "client.id", "some name", &error) : KC_ERR_NOMEM;
        if (result == KC_OK)
            result = kc_config_set(config, "bootstrap.servers", "a:1,b:2", &error);
        kc_config *copy = result == KC_OK ? kc_config_copy_in(&mem, config) : NULL;
        if (result == KC_OK && !copy)
            result = KC_ERR_NOMEM;
        kc_config_free(copy);
        kc_config_free(config);
        ck_assert_uint_eq(mem.used, 0);
        if (result == KC_OK)
            break;
        ck_assert_int_eq(result, KC_ERR_NOMEM);
    }
}
END_TEST

START_TEST(the_document_is_printed_from_the_table)
{
    kb_mem mem;
    kb_buf text;
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&text, &mem, 0);
    kc_config_print_docs(&text);
    ck_assert_int_eq(text.err, KC_OK);
    FILE *file = fopen(KC_SOURCE_DIR "/docs/configuration.md", "rb");
    ck_assert_ptr_nonnull(file);
    char *stored = malloc(text.len + 2);
    size_t len = fread(stored, 1, text.len + 2, file);
    fclose(file);
    ck_assert_msg(len == text.len && memcmp(stored, text.data, len) == 0,
                  "docs/configuration.md is not what the table says: config_doc prints it");
    free(stored);
    kb_buf_cleanup(&text);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(secrets_are_kept_and_not_shown)
{
    static const char *const names[] = {"ssl.key.password", "ssl.keystore.password",
                                        "ssl.keystore.key"};
    kc_config *config = kc_config_new();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_str_eq(kc_config_get(config, names[i]), "");
        set(config, names[i], "open sesame");
        ck_assert_str_eq(kc_config_get(config, names[i]), "[hidden]");
        ck_assert(kc_config_is_set(config, names[i]));
    }
    kc_config *copy = kc_config_copy(config);
    kc_config_free(config);
    ck_assert_str_eq(kc_config_settings(copy)->ssl_key_password, "open sesame");
    set(copy, "ssl.key.password", "other");
    ck_assert_str_eq(kc_config_settings(copy)->ssl_key_password, "other");
    ck_assert_str_eq(kc_config_get(copy, "ssl.key.password"), "[hidden]");
    const kc_property *property;
    for (size_t i = 0; (property = kc_config_property(i)); i++)
        if (strstr(property->name, "password"))
            ck_assert_str_eq(property->type, "password");
    kc_config_free(copy);
}
END_TEST

/** Blocks freed with this word in them. */
static size_t seen;

static void *look_malloc(size_t size, void *user)
{
    (void)user;
    return malloc(size);
}

static void *look_realloc(void *ptr, size_t size, void *user)
{
    (void)user;
    return realloc(ptr, size);
}

static void look_free(void *ptr, void *user)
{
    (void)user;
    seen += memmem(ptr, malloc_usable_size(ptr), "sesame", 6) != NULL;
    free(ptr);
}

START_TEST(secrets_leave_nothing_behind)
{
    static const kc_alloc alloc = {look_malloc, look_realloc, look_free, NULL};
    kb_mem mem;
    kb_mem_init(&mem, &alloc, 0);
    kc_config *config = kc_config_new_in(&mem);
    set(config, "client.id", "sesame");
    set(config, "client.id", "x");
    ck_assert_uint_ge(seen, 1); /* so it would be seen */
    seen = 0;
    set(config, "ssl.key.password", "open sesame");
    set(config, "ssl.key.password", "close sesame");
    kc_config_free(config);
    ck_assert_uint_eq(seen, 0);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST
