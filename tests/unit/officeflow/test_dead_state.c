/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * States of dead letters: their order, and the records they are written as. */
#include "officeflow/dead_state.h"

#include <check.h>
#include <stdio.h>

static bool is_above(of_dead_state next, int32_t n, of_dead_state now, int32_t m)
{
    return of_state_is_above(next, n, now, m);
}

START_TEST(life_of_a_letter_only_rises)
{
    static const struct {
        of_dead_state state;
        int32_t n;
    } life[] = {{OF_DEAD, 0},          {OF_DEAD_SCHEDULED, 0}, {OF_DEAD_REDRIVEN, 0},
                {OF_DEAD, 1},          {OF_DEAD_SCHEDULED, 1}, {OF_DEAD_REDRIVEN, 1},
                {OF_DEAD_RESOLVED, 2}, {OF_DEAD_PURGED, 0}};
    for (size_t i = 0; i < sizeof life / sizeof life[0]; i++)
        for (size_t j = 0; j < sizeof life / sizeof life[0]; j++)
            ck_assert_msg(is_above(life[i].state, life[i].n, life[j].state, life[j].n) == (i > j),
                          "%zu %zu", i, j);
}
END_TEST

START_TEST(death_read_again_after_its_release_is_not_news)
{
    ck_assert(!is_above(OF_DEAD, 0, OF_DEAD_REDRIVEN, 0));
    ck_assert(!is_above(OF_DEAD_SCHEDULED, 0, OF_DEAD_REDRIVEN, 0));
    ck_assert(is_above(OF_DEAD, 1, OF_DEAD_REDRIVEN, 0));
    ck_assert(is_above(OF_DEAD_RESOLVED, 1, OF_DEAD_REDRIVEN, 0));
}
END_TEST

START_TEST(release_delivered_twice_and_handled_once_is_resolved)
{
    ck_assert(is_above(OF_DEAD_RESOLVED, 1, OF_DEAD, 1));
    ck_assert(!is_above(OF_DEAD, 1, OF_DEAD_RESOLVED, 1));
}
END_TEST

START_TEST(quarantine_is_left_by_a_release_only)
{
    ck_assert(is_above(OF_DEAD_QUARANTINED, 3, OF_DEAD, 3));
    ck_assert(is_above(OF_DEAD_QUARANTINED, 3, OF_DEAD_SCHEDULED, 3));
    ck_assert(!is_above(OF_DEAD, 3, OF_DEAD_QUARANTINED, 3));
    ck_assert(!is_above(OF_DEAD_SCHEDULED, 3, OF_DEAD_QUARANTINED, 3));
    ck_assert(is_above(OF_DEAD_DISCARDED, 3, OF_DEAD_QUARANTINED, 3));
    ck_assert(is_above(OF_DEAD_REDRIVEN, 3, OF_DEAD_QUARANTINED, 3));
    ck_assert(is_above(OF_DEAD_RESOLVED, 4, OF_DEAD_QUARANTINED, 3));
    ck_assert(is_above(OF_DEAD, 4, OF_DEAD_QUARANTINED, 3));
}
END_TEST

START_TEST(purged_is_the_end)
{
    for (int s = OF_DEAD; s < OF_DEAD_PURGED; s++) {
        ck_assert(is_above(OF_DEAD_PURGED, 0, (of_dead_state)s, 9));
        ck_assert(!is_above((of_dead_state)s, 9, OF_DEAD_PURGED, 0));
    }
    ck_assert(!is_above(OF_DEAD_PURGED, 1, OF_DEAD_PURGED, 0));
}
END_TEST

START_TEST(order_is_total_and_has_no_circle)
{
    for (int a = 0; a < 21; a++)
        for (int b = 0; b < 21; b++)
            for (int c = 0; c < 21; c++) {
                bool ab = is_above((of_dead_state)(a % 7), a / 7, (of_dead_state)(b % 7), b / 7);
                bool bc = is_above((of_dead_state)(b % 7), b / 7, (of_dead_state)(c % 7), c / 7);
                bool ac = is_above((of_dead_state)(a % 7), a / 7, (of_dead_state)(c % 7), c / 7);
                bool ba = is_above((of_dead_state)(b % 7), b / 7, (of_dead_state)(a % 7), a / 7);
                ck_assert(!(ab && ba));
                ck_assert(!(ab && bc) || ac);
            }
}
END_TEST

START_TEST(records_are_read)
{
    kb_mem mem;
    kb_arena arena;
    of_state_record record;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    ck_assert(of_state_read(
        KC_STR("0123456789abcdef"),
        KC_STR("{\"state\":\"scheduled\",\"redrive\":2,\"due\":77,\"at\":5,\"by\":\"auto\","
               "\"correlationId\":\"c\\u0041\",\"later\":{}}"),
        &arena, &record));
    ck_assert_str_eq(record.id, "0123456789abcdef");
    ck_assert_int_eq(record.state, OF_DEAD_SCHEDULED);
    ck_assert_int_eq(record.redrive, 2);
    ck_assert_int_eq(record.due_ms, 77);
    ck_assert_int_eq(record.wall_ms, 5);
    ck_assert(kc_bytes_equal(record.by, KC_STR("auto")));
    ck_assert(kc_bytes_equal(record.correlation_id, KC_STR("cA")));
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(strangers_records_are_left_out)
{
    static const struct {
        const char *key, *value;
    } bad[] = {
        {"0123456789abcdef", NULL},
        {"0123456789abcde", "{\"state\":\"dead\",\"redrive\":0}"},
        {"0123456789abcdef", "{\"state\":\"dead\"}"},
        {"0123456789abcdef", "{\"state\":\"odd\",\"redrive\":0}"},
        {"0123456789abcdef", "{\"state\":\"dead\",\"redrive\":-1}"},
        {"0123456789abcdef", "{\"state\":\"dead\",\"redrive\":2147483648}"},
        {"0123456789abcdef", "{\"state\":\"redriven\",\"redrive\":2147483647}"},
        {"0123456789abcdef", "{\"state\":\"dead\",\"redrive\":0"},
        {"0123456789abcdef", "[]"},
        {"0123456789abcdef", "5"},
        {"0123456789abcdef", ""},
    };
    kb_mem mem;
    kb_arena arena;
    of_state_record record;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!of_state_read(kc_str(bad[i].key), kc_str(bad[i].value), &arena, &record),
                      "%zu", i);
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(names_of_dead_states)
{
    ck_assert_str_eq(of_dead_state_name(OF_DEAD), "dead");
    ck_assert_str_eq(of_dead_state_name(OF_DEAD_PURGED), "purged");
    ck_assert_str_eq(of_dead_state_name((of_dead_state)50), "unknown");
}
END_TEST
