/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Mutation of a decoded message: one site of it is changed, the rest stays.
 *
 * A site is a value, an array as a whole, a nullable struct as a whole, or the unknown tags of a
 * struct. Of each array one random item is looked into, so that the many items of deep arrays do not
 * crowd out the rest; among the sites so seen each is as likely as the next. The message is walked
 * twice by the same choices: to count the sites, and up to the chosen one. */
#include "protocol/base/error.h"
#include "protocol/codec_internal.h"
#include "protocol/mutate.h"
#include "protocol/public_arena.h"

#include <math.h>

/** An array grows to this many items, or by one where it has more. */
#define GROWN_ITEMS 64
/** Most bytes put behind a string or bytes. */
#define APPENDED_BYTES_MAX 64
/** Data of an unknown tagged field. */
#define TAG_BYTES_MAX 16

typedef struct mutator {
    kb_rand walk; /* says which items are looked into: the same on both walks */
    kb_rand rand; /* says what the site becomes                               */
    kb_arena *arena;
    int16_t version;
    bool flexible;
    uint32_t sites;  /* passed so far                         */
    uint32_t chosen; /* UINT32_MAX: this walk is for counting */
    const char *what;
    kc_err err;
    kp_fault path; /* built on the way back, as that of a fault */
} mutator;

static bool visit_struct(mutator *m, const kp_struct_desc *desc, void *msg);

/* ---- values ---- */

int64_t kp_mutate_number(kb_rand *rand, int64_t old, size_t bytes)
{
    static const int64_t odd[] = {0,         1,         -1,        -2,       127,   128,
                                  255,       256,       32767,     32768,    65535, 65536,
                                  INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    uint64_t mask = UINT64_MAX >> (64 - 8 * bytes);
    uint64_t value = (uint64_t)old;
    switch (kb_rand_below(rand, 6)) {
    case 0:
    case 1:
        value = (uint64_t)odd[kb_rand_below(rand, sizeof odd / sizeof odd[0])];
        break;
    case 2:
        value++;
        break;
    case 3:
        value--;
        break;
    case 4:
        value = kb_rand_u64(rand);
        break;
    default:
        break;
    }
    if (((value ^ (uint64_t)old) & mask) == 0)
        value ^= UINT64_C(1) << kb_rand_below(rand, 8 * bytes);
    return (int64_t)value;
}

static void change_f64(mutator *m, void *value)
{
    const double odd[] = {0, -0.0, -1, 1e308, (double)NAN, -(double)INFINITY};
    uint64_t old;
    uint64_t bits;
    memcpy(&old, value, sizeof old);
    memcpy(&bits, &odd[kb_rand_below(&m->rand, sizeof odd / sizeof odd[0])], sizeof bits);
    if (bits == old)
        bits ^= UINT64_C(1) << kb_rand_below(&m->rand, 64);
    memcpy(value, &bits, sizeof bits);
}

static void change_uuid(mutator *m, kc_uuid *value)
{
    kc_uuid old = *value;
    if (kb_rand_one_in(&m->rand, 3))
        *value = (kc_uuid){{0}};
    else if (kb_rand_one_in(&m->rand, 2))
        *value = kb_uuid_v4(&m->rand);
    if (memcmp(value, &old, sizeof old) == 0) /* also what this seed made of it before */
        value->bytes[kb_rand_below(&m->rand, sizeof value->bytes)] ^= kp_some_bits(&m->rand);
}

/* Text that somebody may trip over, or text as long as a name or a string may be. */
static kc_bytes odd_text(mutator *m)
{
    static const char *const odd[] = {
        "",     ".",  "..", " ",  "__consumer_offsets", "a/b",  "*",      "^.*$",     "%s%n",
        "null", "-1", "\n", "\t", "\xf0\x9f\x98\x80",   "\xff", "a\xfez", "\xc0\x80", "\xed\xa0"};
    static const size_t lengths[] = {249, 250, KP_STRING_MAX};
    if (!kb_rand_one_in(&m->rand, 4))
        return kc_str(odd[kb_rand_below(&m->rand, sizeof odd / sizeof odd[0])]);
    size_t len = lengths[kb_rand_below(&m->rand, sizeof lengths / sizeof lengths[0])];
    uint8_t *text = kb_arena_alloc(m->arena, len);
    if (text)
        memset(text, 'a', len);
    return kc_span(text, len);
}

/* Cut, one byte changed, or bytes put behind. */
static kc_bytes changed_contents(mutator *m, kc_bytes old, size_t len_max)
{
    size_t more = 1 + kb_rand_below(&m->rand, APPENDED_BYTES_MAX);
    bool is_longer = old.len == 0 || (kb_rand_one_in(&m->rand, 3) && more <= len_max - old.len);
    if (!is_longer && kb_rand_one_in(&m->rand, 2))
        return kc_span(old.ptr, kb_rand_below(&m->rand, old.len));
    size_t len = is_longer ? old.len + more : old.len;
    uint8_t *bytes = kb_arena_alloc(m->arena, len);
    if (!bytes)
        return KC_NULL;
    if (old.len > 0)
        memcpy(bytes, old.ptr, old.len);
    for (size_t i = old.len; i < len; i++)
        bytes[i] = (uint8_t)kb_rand_u64(&m->rand);
    if (!is_longer)
        bytes[kb_rand_below(&m->rand, len)] ^= kp_some_bits(&m->rand);
    return kc_span(bytes, len);
}

static void change_bytes(mutator *m, const kp_field_desc *field, bool can_be_null, kc_bytes *value)
{
    bool is_string = field->type == KP_STRING;
    kc_bytes old = *value;
    kc_bytes changed = old;
    if (!old.ptr) {
        *value = KC_STR("");
        return;
    }
    if (can_be_null && kb_rand_one_in(&m->rand, 4)) {
        m->what = "null";
        *value = KC_NULL;
        return;
    }
    if (is_string && kb_rand_one_in(&m->rand, 2))
        changed = odd_text(m);
    if (kc_bytes_equal(old, changed))
        changed = changed_contents(m, old, is_string ? KP_STRING_MAX : SIZE_MAX);
    if (changed.ptr)
        *value = changed;
    else
        m->err = KC_ERR_NOMEM;
}

static void change_value(mutator *m, const kp_field_desc *field, bool can_be_null, void *value)
{
    m->what = "value";
    if (field->type >= KP_STRING)
        change_bytes(m, field, can_be_null, value);
    else if (field->type == KP_UUID)
        change_uuid(m, value);
    else if (field->type == KP_F64)
        change_f64(m, value);
    else if (field->type == KP_BOOL)
        *(bool *)value = !*(bool *)value;
    else
        kp_int_set(field->type, value,
                   kp_mutate_number(&m->rand, kp_int_get(field->type, value), field->value_size));
}

/* ---- arrays ---- */

/* `count` items in the arena, the first of them copied; NULL: out of memory, which is kept. */
static uint8_t *copy_items(mutator *m, const kp_field_desc *field, const kp_array *array,
                           int32_t count)
{
    int32_t copied = array->count < count ? array->count : count;
    uint8_t *items = kb_arena_alloc(m->arena, (size_t)count * field->value_size);
    if (!items)
        m->err = KC_ERR_NOMEM;
    else if (copied > 0)
        memcpy(items, array->items, (size_t)copied * field->value_size);
    return items;
}

static void make_first_item(mutator *m, const kp_field_desc *field, kp_array *array)
{
    uint8_t *item = copy_items(m, field, array, 1);
    m->what = "item added";
    if (!item)
        return;
    memset(item, 0, field->value_size);
    if (field->type == KP_STRUCT)
        kp_struct_defaults(field->sub, item);
    else if (field->type >= KP_STRING)
        *(kc_bytes *)(void *)item = KC_STR("");
    *array = (kp_array){item, 1};
}

static void drop_item(mutator *m, const kp_field_desc *field, kp_array *array)
{
    size_t size = field->value_size;
    size_t index = kb_rand_below(&m->rand, (uint64_t)array->count);
    uint8_t *items = copy_items(m, field, array, array->count);
    m->what = "item dropped";
    if (!items)
        return;
    *array = (kp_array){items, array->count - 1};
    memmove(items + index * size, items + (index + 1) * size,
            ((size_t)array->count - index) * size);
}

/* Copies of one item behind the others. */
static void repeat_item(mutator *m, const kp_field_desc *field, int32_t count, kp_array *array)
{
    size_t size = field->value_size;
    size_t index = kb_rand_below(&m->rand, (uint64_t)array->count);
    uint8_t *items = copy_items(m, field, array, count);
    m->what = "item repeated";
    if (!items)
        return;
    for (size_t i = (size_t)array->count; i < (size_t)count; i++)
        memcpy(items + i * size, items + index * size, size);
    *array = (kp_array){items, count};
}

static void change_array(mutator *m, const kp_field_desc *field, kp_array *array)
{
    bool can_be_null = kp_field_is_nullable(field, m->version);
    uint64_t way = kb_rand_below(&m->rand, can_be_null ? 5 : 4);
    if (array->count >= 0 && way == 4) {
        m->what = "null";
        *array = (kp_array){NULL, -1};
    } else if (array->count <= 0) {
        make_first_item(m, field, array);
    } else if (way == 0) {
        m->what = "emptied";
        *array = (kp_array){0};
    } else if (way == 1) {
        drop_item(m, field, array);
    } else {
        bool has_room = way == 2 && array->count < GROWN_ITEMS;
        repeat_item(m, field, has_room ? GROWN_ITEMS : array->count + 1, array);
    }
}

/* ---- unknown tagged fields ---- */

/* The place of an item with this tag, or where it belongs. */
static int32_t place_of_tag(const kp_tags *tags, uint32_t tag)
{
    int32_t i = 0;
    while (i < tags->count && tags->items[i].tag < tag)
        i++;
    return i;
}

/* A tag this version does not know; half of them need more than one byte. */
static uint32_t some_unknown_tag(mutator *m, const kp_struct_desc *desc)
{
    static const uint32_t odd[] = {0, 1, 127, 128, 16383, 16384, INT32_MAX, UINT32_MAX};
    for (;;) {
        uint32_t tag = kb_rand_one_in(&m->rand, 2)
                           ? (uint32_t)kb_rand_below(&m->rand, 64)
                           : odd[kb_rand_below(&m->rand, sizeof odd / sizeof odd[0])];
        if (!kp_field_of_tag(desc, m->version, tag))
            return tag;
    }
}

static void change_tags(mutator *m, const kp_struct_desc *desc, kp_tags *tags)
{
    kp_tag tag = {some_unknown_tag(m, desc), KC_STR("")};
    int32_t at = place_of_tag(tags, tag.tag);
    int32_t old = tags->count;
    if (old > 0 && kb_rand_one_in(&m->rand, 2)) {
        at = (int32_t)kb_rand_below(&m->rand, (uint64_t)old);
        tag = tags->items[at];
    }
    bool is_there = at < old && tags->items[at].tag == tag.tag;
    bool is_dropped = is_there && kb_rand_one_in(&m->rand, 2);
    kp_tag *items = kb_arena_alloc(m->arena, ((size_t)old + 1) * sizeof *items);
    if (!is_dropped && (is_there || kb_rand_one_in(&m->rand, 2)))
        tag.data = changed_contents(m, is_there ? tags->items[at].data : tag.data, SIZE_MAX);
    if (!items || !tag.data.ptr) {
        m->err = KC_ERR_NOMEM;
        return;
    }
    m->what = is_dropped ? "tag dropped" : is_there ? "tag data" : "tag added";
    int32_t count = 0;
    for (int32_t i = 0; i < at; i++)
        items[count++] = tags->items[i];
    if (!is_dropped)
        items[count++] = tag;
    for (int32_t i = at + is_there; i < old; i++)
        items[count++] = tags->items[i];
    *tags = (kp_tags){items, count};
}

/* ---- the walk: each visit is true once the change was made ---- */

static bool is_here(mutator *m)
{
    return m->sites++ == m->chosen;
}

static bool is_counting(const mutator *m)
{
    return m->chosen == UINT32_MAX;
}

/* What `msg` points to is not changed: the second walk goes into copies, and keeps the one in which
 * the change was made. */
static bool visit_items(mutator *m, const kp_field_desc *field, kp_array *array)
{
    if (array->count <= 0)
        return false;
    int32_t index = (int32_t)kb_rand_below(&m->walk, (uint64_t)array->count);
    uint8_t *items = array->items;
    if (!is_counting(m))
        items = copy_items(m, field, array, array->count);
    if (!items)
        return true;
    void *item = items + (size_t)index * field->value_size;
    bool is_done = field->type == KP_STRUCT ? visit_struct(m, field->sub, item) : is_here(m);
    if (!is_done)
        return false;
    if (field->type != KP_STRUCT)
        change_value(m, field, false, item);
    kp_fault_index(&m->path, index);
    array->items = items;
    return true;
}

static bool visit_nullable_struct(mutator *m, const kp_field_desc *field, void **value)
{
    bool is_toggled = kp_field_is_nullable(field, m->version) && is_here(m);
    if (is_toggled && *value) {
        m->what = "null";
        *value = NULL;
        return true;
    }
    if (!is_toggled && (!*value || is_counting(m)))
        return *value && visit_struct(m, field->sub, *value);
    void *copy = kb_arena_alloc(m->arena, field->sub->size);
    if (!copy) {
        m->err = KC_ERR_NOMEM;
        return true;
    }
    if (is_toggled) {
        m->what = "struct added";
        kp_struct_defaults(field->sub, copy);
    } else {
        memcpy(copy, *value, field->sub->size);
        if (!visit_struct(m, field->sub, copy))
            return false;
    }
    *value = copy;
    return true;
}

static bool visit_field(mutator *m, const kp_field_desc *field, void *value)
{
    if (field->flags & KP_F_ARRAY) {
        if (!is_here(m))
            return visit_items(m, field, value);
        change_array(m, field, value);
        return true;
    }
    if (field->type == KP_STRUCT)
        return field->nullable_from >= 0 ? visit_nullable_struct(m, field, value)
                                         : visit_struct(m, field->sub, value);
    if (!is_here(m))
        return false;
    change_value(m, field, kp_field_is_nullable(field, m->version), value);
    return true;
}

static bool visit_struct(mutator *m, const kp_struct_desc *desc, void *msg)
{
    for (size_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        if (!kp_field_is_in(field, m->version) ||
            !visit_field(m, field, (uint8_t *)msg + field->offset))
            continue;
        kp_fault_field(&m->path, field);
        return true;
    }
    if (!m->flexible || !is_here(m))
        return false;
    change_tags(m, desc, (kp_tags *)(void *)((uint8_t *)msg + desc->tags_offset));
    return true;
}

kc_err kc_mutate_message(const kc_schema *schema, int16_t version, void *msg, uint64_t seed,
                         kc_arena *arena, kc_mutation *mutation_out)
{
    if (version < schema->min || version > schema->max)
        return KC_ERR_VERSION;
    mutator m = {.arena = &arena->arena,
                 .version = version,
                 .flexible = version >= schema->flexible_from,
                 .chosen = UINT32_MAX};
    kb_rand_init(&m.rand, seed);
    kb_rand_init(&m.walk, ~seed);
    kb_rand walk = m.walk;
    (void)visit_struct(&m, schema->root, msg);
    if (m.sites == 0)
        return KC_ERR_END;
    m.walk = walk;
    m.chosen = (uint32_t)kb_rand_below(&m.rand, m.sites);
    m.sites = 0;
    (void)visit_struct(&m, schema->root, msg);
    if (mutation_out && m.err == KC_OK) {
        *mutation_out = (kc_mutation){.what = m.what};
        memcpy(mutation_out->path, m.path.path, sizeof mutation_out->path);
    }
    return m.err;
}
