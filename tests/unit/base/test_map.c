/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The map against a plain model, its walk, and its hash. */
#include "protocol/base/map.h"
#include "protocol/base/rand.h"
#include "protocol/base/text.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>
#include <stdio.h>

static kb_mem mem;
static kb_map map;

static void open_map(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_map_init(&map, &mem);
}

static void close_map(void)
{
    kb_map_cleanup(&map);
    ck_assert_uint_eq(mem.used, 0);
}

START_TEST(an_empty_map_holds_no_memory_and_finds_nothing)
{
    open_map();
    size_t pos = 0;
    ck_assert_ptr_null(kb_map_get(&map, KC_STR("a")));
    ck_assert_ptr_null(kb_map_remove(&map, KC_STR("a")));
    ck_assert_ptr_null(kb_map_next(&map, &pos));
    ck_assert_uint_eq(mem.used, 0);
    close_map();
}
END_TEST

START_TEST(putting_again_replaces_key_and_value)
{
    open_map();
    int one = 1;
    int two = 2;
    char first[] = "topic";
    char second[] = "topic";
    ck_assert_int_eq(kb_map_put(&map, kc_str(first), &one), KC_OK);
    ck_assert_int_eq(kb_map_put(&map, kc_str(second), &two), KC_OK);
    first[0] = 'x'; // the old key may die with the old value
    ck_assert_uint_eq(map.count, 1);
    ck_assert_ptr_eq(kb_map_get(&map, KC_STR("topic")), &two);
    close_map();
}
END_TEST

START_TEST(keys_differ_by_every_byte_and_by_null)
{
    open_map();
    int values[4];
    ck_assert_int_eq(kb_map_put(&map, kc_span("a\0b", 3), &values[0]), KC_OK);
    ck_assert_int_eq(kb_map_put(&map, kc_span("a\0c", 3), &values[1]), KC_OK);
    ck_assert_int_eq(kb_map_put(&map, KC_STR(""), &values[2]), KC_OK);
    ck_assert_int_eq(kb_map_put(&map, KC_NULL, &values[3]), KC_OK);
    ck_assert_ptr_eq(kb_map_get(&map, kc_span("a\0b", 3)), &values[0]);
    ck_assert_ptr_eq(kb_map_get(&map, kc_span("a\0c", 3)), &values[1]);
    ck_assert_ptr_eq(kb_map_get(&map, KC_STR("")), &values[2]);
    ck_assert_ptr_eq(kb_map_get(&map, KC_NULL), &values[3]);
    ck_assert_ptr_null(kb_map_get(&map, KC_STR("a")));
    close_map();
}
END_TEST

START_TEST(integer_keys_work_by_their_bytes)
{
    open_map();
    static int32_t ids[1000];
    for (int32_t i = 0; i < 1000; i++) {
        ids[i] = i - 500;
        ck_assert_int_eq(kb_map_put(&map, KB_KEY(ids[i]), &ids[i]), KC_OK);
    }
    for (int32_t id = -500; id < 500; id++)
        ck_assert_ptr_eq(kb_map_get(&map, KB_KEY(id)), &ids[id + 500]);
    int32_t absent = 500;
    ck_assert_ptr_null(kb_map_get(&map, KB_KEY(absent)));
    close_map();
}
END_TEST

#define KEYS 300

START_TEST(a_hundred_thousand_random_steps_agree_with_a_plain_array)
{
    open_map();
    static uint16_t keys[KEYS];
    static int values[KEYS][2];
    int *model[KEYS] = {0};
    size_t live = 0;
    kb_rand rand;
    kb_rand_init(&rand, 99);
    for (size_t i = 0; i < KEYS; i++)
        keys[i] = (uint16_t)i;
    for (int step = 0; step < 100000; step++) {
        size_t i = kb_rand_below(&rand, KEYS);
        // phases of growing and of shrinking, so that tombstones pile up
        bool put = kb_rand_below(&rand, 100) < (step / 5000 % 2 ? 20u : 80u);
        if (put) {
            int *value = &values[i][kb_rand_below(&rand, 2)];
            live += model[i] == NULL;
            ck_assert_int_eq(kb_map_put(&map, KB_KEY(keys[i]), value), KC_OK);
            model[i] = value;
        } else {
            ck_assert_ptr_eq(kb_map_remove(&map, KB_KEY(keys[i])), model[i]);
            live -= model[i] != NULL;
            model[i] = NULL;
        }
        ck_assert_uint_eq(map.count, live);
        size_t other = kb_rand_below(&rand, KEYS);
        ck_assert_ptr_eq(kb_map_get(&map, KB_KEY(keys[other])), model[other]);
    }
    for (size_t i = 0; i < KEYS; i++)
        ck_assert_ptr_eq(kb_map_get(&map, KB_KEY(keys[i])), model[i]);
    ck_assert_uint_le(map.cap, 1024); // tombstones were cleared, not grown around
    close_map();
}
END_TEST

START_TEST(a_walk_follows_the_order_of_insertion)
{
    open_map();
    static int keys[500];
    for (int i = 0; i < 500; i++) {
        keys[i] = i * 7919 % 500;
        ck_assert_int_eq(kb_map_put(&map, KB_KEY(keys[i]), &keys[i]), KC_OK);
    }
    for (int i = 0; i < 500; i += 3)
        kb_map_remove(&map, KB_KEY(keys[i]));
    ck_assert_int_eq(kb_map_put(&map, KB_KEY(keys[1]), &keys[1]), KC_OK); // keeps its place
    size_t pos = 0;
    for (int i = 0; i < 500; i++) {
        if (i % 3 != 0)
            ck_assert_ptr_eq(kb_map_next(&map, &pos), &keys[i]);
    }
    ck_assert_ptr_null(kb_map_next(&map, &pos));
    ck_assert_ptr_null(kb_map_next(&map, &pos));
    close_map();
}
END_TEST

START_TEST(a_walk_may_remove_what_it_returns)
{
    open_map();
    static int keys[1000];
    for (int i = 0; i < 1000; i++) {
        keys[i] = i;
        ck_assert_int_eq(kb_map_put(&map, KB_KEY(keys[i]), &keys[i]), KC_OK);
    }
    size_t pos = 0;
    int seen = 0;
    for (int *key; (key = kb_map_next(&map, &pos)); seen++) {
        ck_assert_int_eq(*key, seen);
        ck_assert_ptr_eq(kb_map_remove(&map, KB_KEY(*key)), key);
    }
    ck_assert_int_eq(seen, 1000);
    ck_assert_uint_eq(map.count, 0);
    close_map();
}
END_TEST

START_TEST(taking_the_first_entry_200000_times_is_not_quadratic)
{
    open_map();
    int count = 200000;
    int *keys = kb_mem_alloc(&mem, (size_t)count * sizeof *keys);
    for (int i = 0; i < count; i++) {
        keys[i] = i;
        ck_assert_int_eq(kb_map_put(&map, KB_KEY(keys[i]), &keys[i]), KC_OK);
    }
    for (int i = 0; i < count; i++) {
        size_t pos = 0;
        int *key = kb_map_next(&map, &pos);
        ck_assert_ptr_eq(key, &keys[i]);
        kb_map_remove(&map, KB_KEY(*key));
        ck_assert_uint_eq(map.first, (size_t)i + 1); // so the next walk begins behind the gap
    }
    kb_mem_free(&mem, keys);
    close_map();
}
END_TEST

START_TEST(a_map_used_as_a_queue_does_not_grow)
{
    open_map();
    static uint64_t keys[64];
    for (uint64_t i = 0; i < 100000; i++) {
        keys[i % 64] = i;
        ck_assert_int_eq(kb_map_put(&map, KB_KEY(keys[i % 64]), &keys[i % 64]), KC_OK);
        if (i >= 10) {
            uint64_t old = i - 10;
            ck_assert_ptr_nonnull(kb_map_remove(&map, KB_KEY(old)));
        }
    }
    ck_assert_uint_le(map.cap, 64);
    close_map();
}
END_TEST

static bool use_map(const kc_alloc *alloc)
{
    static int keys[200];
    kb_mem own;
    kb_map table;
    kb_mem_init(&own, alloc, 0);
    kb_map_init(&table, &own);
    int put = 0;
    for (; put < 200; put++) {
        keys[put] = put;
        kc_err err = kb_map_put(&table, KB_KEY(keys[put]), &keys[put]);
        ck_assert(err == KC_OK || err == KC_ERR_NOMEM);
        if (err != KC_OK)
            break;
    }
    // a failed put changed nothing
    ck_assert_int_eq((int)table.count, put);
    for (int i = 0; i < 200; i++)
        ck_assert_ptr_eq(kb_map_get(&table, KB_KEY(i)), i < put ? &keys[i] : NULL);
    kb_map_cleanup(&table);
    ck_assert_uint_eq(own.used, 0);
    return put == 200;
}

START_TEST(a_put_without_memory_changes_nothing)
{
    ck_assert_uint_ge(fail_each_alloc(use_map), 5);
}
END_TEST

START_TEST(the_hash_depends_on_every_bit_and_on_the_length)
{
    uint8_t text[64];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 37);
    for (size_t len = 1; len <= sizeof text; len++) {
        uint64_t hash = kb_hash(kc_span(text, len));
        ck_assert_uint_eq(hash, kb_hash(kc_span(text, len)));
        ck_assert_uint_ne(hash, kb_hash(kc_span(text, len - 1)));
        for (size_t bit = 0; bit < len * 8; bit++) {
            text[bit / 8] ^= (uint8_t)(1 << bit % 8);
            ck_assert_uint_ne(hash, kb_hash(kc_span(text, len)));
            text[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    ck_assert_uint_ne(kb_hash(kc_span("\0\0", 1)), kb_hash(kc_span("\0\0", 2)));
}
END_TEST

START_TEST(the_hash_spreads_similar_names_evenly)
{
    static int low[256];
    static int high[256];
    for (int i = 0; i < 65536; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "employee.onboard.org-%d", i);
        uint64_t hash = kb_hash(kc_span(name, (size_t)len));
        low[hash & 255]++;
        high[hash >> 56]++;
    }
    for (int i = 0; i < 256; i++) { // 256 expected, deviation 16: six times that on either side
        ck_assert(low[i] > 156 && low[i] < 356);
        ck_assert(high[i] > 156 && high[i] < 356);
    }
}
END_TEST
