/* SPDX-License-Identifier: LicenseRef-OfficeFlow */
#include "protocol/base/names.h"

#include <check.h>

START_TEST(order_is_that_of_unsigned_bytes_and_the_shorter_first)
{
    const kc_bytes in_order[] = {KC_STR(""),  KC_STR("a"),    KC_STR("a\0"), KC_STR("ab"),
                                 KC_STR("b"), KC_STR("\x7f"), KC_STR("\x80")};
    size_t count = sizeof in_order / sizeof in_order[0];
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            int order = kb_compare(in_order[i], in_order[k]);
            ck_assert_int_eq((order > 0) - (order < 0), (i > k) - (i < k));
        }
    ck_assert_int_eq(kb_compare(KC_NULL, KC_STR("")), 0);
    ck_assert_int_lt(kb_compare(KC_NULL, KC_STR("a")), 0);
}
END_TEST

START_TEST(names_are_copied_sorted_and_each_stands_once)
{
    kb_mem mem;
    kb_names *names;
    char text[] = "bab";
    kc_bytes items[] = {kc_span(text, 1), kc_span(text + 1, 1), kc_span(text + 2, 1),
                        kc_span(text + 1, 2), KC_STR("")};
    kb_mem_init(&mem, NULL, 0);
    ck_assert_int_eq(kb_names_new(&mem, items, 5, &names), KC_OK);
    memset(text, 'x', sizeof text);
    ck_assert_uint_eq(names->count, 4);
    ck_assert(kc_bytes_equal(names->items[0], KC_STR("")));
    ck_assert(kc_bytes_equal(names->items[1], KC_STR("a")));
    ck_assert(kc_bytes_equal(names->items[2], KC_STR("ab")));
    ck_assert(kc_bytes_equal(names->items[3], KC_STR("b")));
    ck_assert(kb_names_has(names, KC_STR("ab")) && kb_names_has(names, KC_STR("")));
    ck_assert(!kb_names_has(names, KC_STR("abc")) && !kb_names_has(names, KC_STR("aa")));
    kb_mem_free(&mem, names);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(none_is_as_an_empty_set)
{
    kb_mem mem;
    kb_names *empty, *one, *other;
    kb_mem_init(&mem, NULL, 0);
    ck_assert_int_eq(kb_names_new(&mem, NULL, 0, &empty), KC_OK);
    ck_assert_int_eq(kb_names_new(&mem, &KC_STR("a"), 1, &one), KC_OK);
    ck_assert_int_eq(kb_names_new(&mem, &KC_STR("b"), 1, &other), KC_OK);
    ck_assert(kb_names_equal(NULL, NULL) && kb_names_equal(empty, NULL));
    ck_assert(kb_names_equal(NULL, empty) && kb_names_equal(one, one));
    ck_assert(!kb_names_equal(one, NULL) && !kb_names_equal(empty, one));
    ck_assert(!kb_names_equal(one, other));
    ck_assert(!kb_names_has(NULL, KC_STR("a")) && !kb_names_has(empty, KC_STR("")));
    kb_mem_free(&mem, empty);
    kb_mem_free(&mem, one);
    kb_mem_free(&mem, other);
}
END_TEST
