/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The intrusive list. */
#include "protocol/base/list.h"

#include <check.h>

typedef struct item {
    int number;
    kb_list node;
} item;

static void check_list(kb_list *list, const char *expected)
{
    char forward[32] = "";
    size_t len = 0;
    KB_LIST_FOR (it, list)
        forward[len++] = (char)('0' + KB_CONTAINER(it, item, node)->number);
    ck_assert_str_eq(forward, expected);
    for (kb_list *it = list->prev; it != list; it = it->prev)
        ck_assert_int_eq('0' + KB_CONTAINER(it, item, node)->number, forward[--len]);
    ck_assert_uint_eq(len, 0);
}

static void make_items(kb_list *list, item *items, int count)
{
    kb_list_init(list);
    for (int i = 0; i < count; i++) {
        items[i].number = i;
        kb_list_push_back(list, &items[i].node);
    }
}

START_TEST(pushing_at_both_ends_keeps_the_order)
{
    kb_list list;
    item items[4];
    make_items(&list, items, 3);
    items[3].number = 3;
    kb_list_push_front(&list, &items[3].node);
    check_list(&list, "3012");
}
END_TEST

START_TEST(inserting_before_a_node_puts_it_there)
{
    kb_list list;
    item items[4];
    make_items(&list, items, 3);
    items[3].number = 3;
    kb_list_insert_before(&items[1].node, &items[3].node);
    check_list(&list, "0312");
}
END_TEST

START_TEST(removing_twice_does_no_harm)
{
    kb_list list;
    item items[3];
    make_items(&list, items, 3);
    kb_list_remove(&items[1].node);
    ck_assert(kb_list_is_empty(&items[1].node));
    kb_list_remove(&items[1].node);
    check_list(&list, "02");
}
END_TEST

START_TEST(popping_ends_with_null)
{
    kb_list list;
    item items[2];
    make_items(&list, items, 2);
    ck_assert_ptr_eq(kb_list_pop_front(&list), &items[0].node);
    ck_assert_ptr_eq(kb_list_pop_front(&list), &items[1].node);
    ck_assert_ptr_null(kb_list_pop_front(&list));
    ck_assert(kb_list_is_empty(&list));
}
END_TEST

START_TEST(splicing_moves_everything_behind)
{
    kb_list list;
    kb_list other;
    item items[2];
    item others[3];
    make_items(&list, items, 2);
    make_items(&other, others, 3);
    kb_list_splice_back(&list, &other);
    check_list(&list, "01012");
    check_list(&other, "");
    kb_list_splice_back(&list, &other);
    check_list(&list, "01012");
    kb_list_splice_back(&other, &list);
    check_list(&other, "01012");
}
END_TEST

START_TEST(the_loop_allows_removal_of_its_node)
{
    kb_list list;
    item items[6];
    make_items(&list, items, 6);
    KB_LIST_FOR (it, &list) {
        if (KB_CONTAINER(it, item, node)->number % 2 == 0)
            kb_list_remove(it);
    }
    check_list(&list, "135");
}
END_TEST
