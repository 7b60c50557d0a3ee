/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Addresses as text, and host:port lists. */
#include "net/address.h"

#include <check.h>

static void check_round_trip(const char *literal, const char *formatted)
{
    kn_address address;
    char text[KN_ADDRESS_TEXT_MAX];
    ck_assert_msg(kn_address_parse(kc_str(literal), 9092, &address), "%s", literal);
    kn_address_format(&address, text);
    ck_assert_str_eq(text, formatted);
}

START_TEST(literals_of_both_families_are_parsed_and_formatted)
{
    check_round_trip("127.0.0.1", "127.0.0.1:9092");
    check_round_trip("255.255.255.255", "255.255.255.255:9092");
    check_round_trip("::1", "[::1]:9092");
    check_round_trip("2001:db8::17", "[2001:db8::17]:9092");
    check_round_trip("::ffff:10.1.2.3", "[::ffff:10.1.2.3]:9092");
    check_round_trip("fe80::1%4294967295", "[fe80::1%4294967295]:9092");
    check_round_trip("fe80::1%lo", "[fe80::1%1]:9092");
}
END_TEST

START_TEST(names_and_near_literals_are_no_addresses)
{
    const char *names[] = {"",
                           "localhost",
                           "broker-1.example.com",
                           "127.0.0.1.",
                           "127.0.0",
                           "1.2.3.400",
                           "[::1]",
                           "::1::",
                           "fe80::1%",
                           "fe80::1%nosuchif",
                           "0x7f.1",
                           " 127.0.0.1"};
    kn_address address;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        ck_assert_msg(!kn_address_parse(kc_str(names[i]), 1, &address), "%s", names[i]);
    ck_assert(!kn_address_parse(kc_span("127.0.0.1\0x", 11), 1, &address));
    char long_name[300];
    memset(long_name, '1', sizeof long_name);
    ck_assert(!kn_address_parse(kc_span(long_name, sizeof long_name), 1, &address));
}
END_TEST

START_TEST(addresses_are_equal_when_ip_port_and_scope_are)
{
    kn_address a, b;
    ck_assert(kn_address_parse(KC_STR("10.0.0.1"), 1, &a));
    ck_assert(kn_address_parse(KC_STR("10.0.0.1"), 1, &b));
    b.ip[15] = 9; // behind the four bytes of IPv4
    ck_assert(kn_address_equal(&a, &b));
    b.port = 2;
    ck_assert(!kn_address_equal(&a, &b));
    ck_assert(kn_address_parse(KC_STR("::1"), 1, &a));
    ck_assert(kn_address_parse(KC_STR("::2"), 1, &b));
    ck_assert(!kn_address_equal(&a, &b));
    b = a;
    b.scope = 3;
    ck_assert(!kn_address_equal(&a, &b));
}
END_TEST

START_TEST(a_host_port_list_gives_its_items_and_skips_empty_ones)
{
    kc_bytes list = KC_STR(" a:1, ,b.example:65535 ,[::1]:9092,");
    kc_bytes host, item;
    uint16_t port;
    ck_assert_int_eq(kn_host_port_next(&list, &host, &port, &item), KC_OK);
    ck_assert(kc_bytes_equal(host, KC_STR("a")));
    ck_assert_uint_eq(port, 1);
    ck_assert_int_eq(kn_host_port_next(&list, &host, &port, &item), KC_OK);
    ck_assert(kc_bytes_equal(host, KC_STR("b.example")));
    ck_assert_uint_eq(port, 65535);
    ck_assert_int_eq(kn_host_port_next(&list, &host, &port, &item), KC_OK);
    ck_assert(kc_bytes_equal(host, KC_STR("::1")));
    ck_assert_uint_eq(port, 9092);
    ck_assert_int_eq(kn_host_port_next(&list, &host, &port, &item), KC_ERR_END);
    ck_assert_int_eq(kn_host_port_next(&list, &host, &port, &item), KC_ERR_END);
}
END_TEST

START_TEST(what_is_not_host_port_is_named)
{
    const char *bad[] = {"a",     "a:",       ":1",    "a:0",       "a:65536",  "a:-1",   "a:b",
                         "a:1:2", "::1:9092", "[::1]", "[::1]9092", "[a]:9092", "[::1:9", "a:1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kc_bytes list = kc_str(bad[i]);
        kc_bytes host, item;
        uint16_t port;
        ck_assert_msg(kn_host_port_next(&list, &host, &port, &item) == KC_ERR_CONFIG, "%s", bad[i]);
        ck_assert(kc_bytes_equal(item, kc_str(bad[i])));
    }
    char text[400];
    memset(text, 'h', sizeof text);
    memcpy(text + 256, ":1", 2);
    kc_bytes list = kc_span(text, 258);
    kc_bytes host, item;
    uint16_t port;
    ck_assert_int_eq(kn_host_port_next(&list, &host, &port, &item), KC_ERR_CONFIG);
}
END_TEST
