/* SPDX-License-Identifier: LicenseRef-OfficeFlow */
#include "mock/config_draft.h"
#include "mock/configs.h"

#include <check.h>
#include <stdio.h>

#define MANY 5000

static kc_bytes name_of(kb_arena *arena, int number)
{
    return kc_str(kb_arena_printf(arena, "config.%d", number));
}

START_TEST(what_is_set_taken_out_and_set_again_among_many_is_what_was_said_last)
{
    kb_mem mem;
    kb_arena arena;
    kb_map configs;
    km_config_draft draft;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    kb_map_init(&configs, &mem);
    ck_assert_int_eq(km_configs_set(&configs, &mem, KC_STR("config.7"), KC_STR("before")), KC_OK);
    ck_assert_int_eq(km_configs_set(&configs, &mem, KC_STR("kept"), KC_STR("as it was")), KC_OK);
    ck_assert_int_eq(km_config_draft_init(&draft, &arena, &configs, MANY), KC_OK);
    for (int i = 0; i < MANY; i++)
        km_config_draft_set(&draft, name_of(&arena, i), KC_STR("first"));
    for (int i = 0; i < MANY; i += 2)
        km_config_draft_set(&draft, name_of(&arena, i), KC_NULL);
    for (int i = 0; i < MANY; i += 4)
        km_config_draft_set(&draft, name_of(&arena, i), KC_STR("again"));
    km_config_draft_set(&draft, KC_STR("never set"), KC_NULL);
    for (int i = 0; i < MANY; i++) {
        kc_bytes expected = i % 4 == 0 ? KC_STR("again") : i % 2 == 0 ? KC_NULL : KC_STR("first");
        ck_assert(kc_bytes_equal(km_config_draft_get(&draft, name_of(&arena, i)), expected));
    }
    ck_assert_int_eq(km_config_draft_apply(&draft, &configs, &mem), KC_OK);
    ck_assert_uint_eq(configs.count, MANY * 3 / 4 + 1);
    const km_config *kept = kb_map_get(&configs, KC_STR("kept"));
    ck_assert_ptr_nonnull(kept);
    ck_assert(kc_bytes_equal(kept->value, KC_STR("as it was")));
    km_configs_cleanup(&configs, &mem);
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(the_first_unknown_name_of_those_that_stay_is_told)
{
    kb_mem mem;
    kb_arena arena;
    km_config_draft draft;
    kc_bytes why;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    ck_assert_int_eq(km_config_draft_init(&draft, &arena, NULL, 3), KC_OK);
    km_config_draft_set(&draft, KC_STR("unknown.a"), KC_STR("1"));
    km_config_draft_set(&draft, KC_STR("unknown.b"), KC_STR("1"));
    km_config_draft_set(&draft, KC_STR("unknown.c"), KC_STR("1"));
    km_config_draft_set(&draft, KC_STR("unknown.a"), KC_NULL);
    ck_assert_int_ne(km_config_draft_check(&draft, KM_RESOURCE_TOPIC, &why), 0);
    ck_assert(kc_bytes_equal(why, KC_STR("Unknown topic config name: unknown.b")));
    kb_arena_cleanup(&arena);
}
END_TEST
