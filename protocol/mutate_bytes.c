/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Mutation of an encoded message: one stretch of it is made to lie.
 *
 * The message is traced; of each kind of stretch (length, count, tag, value, ...) one is kept, each
 * as likely as the next, and then one of the kinds is chosen: values would crowd out the rest. */
#include "protocol/codec.h"
#include "protocol/mutate.h"
#include "protocol/public_arena.h"
#include "protocol/wire.h"

#include <stdio.h>

#define PARTS     (KC_WIRE_TAG_DATA + 1)
#define DEPTH_MAX 16
/** Of an over-long varint. */
#define VARINT_BYTES_MAX 12

/** A stretch that was kept. */
typedef struct pick {
    kc_wire_item item; /* without its path */
    char path[sizeof((kc_mutation *)0)->path];
    uint32_t seen;          /* of this kind so far                                 */
    kc_wire_item tag_count; /* of a tag's size: the count of the section it is in */
    size_t tag_at;          /* of a tag's size: where its tag begins              */
} pick;

typedef struct picker {
    kb_rand rand;
    pick picks[PARTS];
    kc_wire_item tag_counts[DEPTH_MAX]; /* the last by depth */
    size_t tag_at;
} picker;

typedef struct mutator {
    kb_rand rand;
    kb_arena *arena;
    kc_bytes in;
    kc_bytes out;
    const char *what;
} mutator;

static void keep(const kc_wire_item *item, void *user)
{
    picker *p = user;
    pick *kept = &p->picks[item->part];
    if (item->part == KC_WIRE_TAG_COUNT)
        p->tag_counts[item->depth % DEPTH_MAX] = *item;
    if (item->part == KC_WIRE_TAG)
        p->tag_at = item->at;
    if (!kb_rand_one_in(&p->rand, ++kept->seen))
        return;
    kept->item = *item;
    kept->tag_count = p->tag_counts[item->depth % DEPTH_MAX];
    kept->tag_at = p->tag_at;
    (void)snprintf(kept->path, sizeof kept->path, "%s", item->path);
}

/* `bytes` in the place of `len` bytes at `at`. */
static kc_bytes splice(mutator *m, kc_bytes in, size_t at, size_t len, kc_bytes bytes)
{
    size_t behind = in.len - at - len;
    uint8_t *out = in.ptr ? kb_arena_alloc(m->arena, at + bytes.len + behind) : NULL;
    if (!out)
        return KC_NULL;
    if (at > 0)
        memcpy(out, in.ptr, at);
    if (bytes.len > 0)
        memcpy(out + at, bytes.ptr, bytes.len);
    if (behind > 0)
        memcpy(out + at + bytes.len, in.ptr + at + len, behind);
    return kc_span(out, at + bytes.len + behind);
}

static bool is_length(const kc_wire_item *item)
{
    return item->part == KC_WIRE_LENGTH || item->part == KC_WIRE_COUNT;
}

/* As the item has it: a varint, of a length n + 1, or as many bytes as it is long. */
static size_t write_number(const kc_wire_item *item, int64_t number, uint8_t out[static 8])
{
    if (item->is_varint)
        return (size_t)(kp_store_uvarint(out, (uint32_t)(number + is_length(item))) - out);
    for (size_t i = 0; i < item->len; i++)
        out[i] = (uint8_t)((uint64_t)number >> (8 * (item->len - 1 - i)));
    return item->len;
}

static void lie(mutator *m, const kc_wire_item *item)
{
    uint8_t bytes[8];
    size_t left = m->in.len - item->at - item->len;
    size_t wide = item->is_varint ? 4 : item->len;
    int64_t number = kp_mutate_number(&m->rand, item->number, wide);
    if (kb_rand_one_in(&m->rand, 4)) /* just what is there, or just above */
        number = (int64_t)(left + kb_rand_below(&m->rand, 2));
    if (number == item->number)
        number++;
    m->what = "number";
    m->out =
        splice(m, m->in, item->at, item->len, kc_span(bytes, write_number(item, number, bytes)));
}

/* The same number in more bytes than it needs, or one that never ends. */
static void stretch_varint(mutator *m, const kc_wire_item *item)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t len = item->len + 1 + kb_rand_below(&m->rand, VARINT_BYTES_MAX - 1 - item->len);
    bool is_endless = kb_rand_one_in(&m->rand, 3);
    memset(bytes, is_endless ? 0xff : 0x80, sizeof bytes);
    for (size_t i = 0; i < item->len && !is_endless; i++)
        bytes[i] = m->in.ptr[item->at + i] | 0x80;
    if (!is_endless)
        bytes[len - 1] = 0;
    m->what = "varint";
    m->out = splice(m, m->in, item->at, item->len, kc_span(bytes, len));
}

/* The tagged field once more, and counted. */
static void repeat_tag(mutator *m, const pick *chosen)
{
    uint8_t count[8];
    const kc_wire_item *counted = &chosen->tag_count;
    size_t end = chosen->item.at + chosen->item.len + (size_t)chosen->item.number;
    if (end > m->in.len)
        end = m->in.len;
    kc_bytes field = kc_span(m->in.ptr + chosen->tag_at, end - chosen->tag_at);
    m->what = "tag repeated";
    m->out = splice(m, m->in, end, 0, field);
    m->out = splice(m, m->out, counted->at, counted->len,
                    kc_span(count, write_number(counted, counted->number + 1, count)));
}

static void change_byte(mutator *m, size_t at, size_t len)
{
    uint8_t *out = kb_arena_alloc(m->arena, m->in.len);
    m->what = "byte";
    m->out = kc_span(out, m->in.len);
    if (!out)
        return;
    memcpy(out, m->in.ptr, m->in.len);
    out[at + kb_rand_below(&m->rand, len)] ^= kp_some_bits(&m->rand);
}

static void cut(mutator *m, const kc_wire_item *item)
{
    m->what = "cut";
    m->out = kc_span(m->in.ptr, item->at + kb_rand_below(&m->rand, item->len));
}

/* The stretch twice, or not at all: what follows is read at the wrong place. */
static void shift(mutator *m, const kc_wire_item *item)
{
    bool is_twice = kb_rand_one_in(&m->rand, 2);
    kc_bytes bytes = is_twice ? kc_span(m->in.ptr + item->at, item->len) : KC_STR("");
    m->what = is_twice ? "repeated" : "left out";
    m->out = splice(m, m->in, item->at, is_twice ? 0 : item->len, bytes);
}

static void change(mutator *m, const pick *chosen)
{
    const kc_wire_item *item = &chosen->item;
    uint64_t way = kb_rand_below(&m->rand, 10);
    if (way == 0)
        cut(m, item);
    else if (way == 1)
        shift(m, item);
    else if (item->part == KC_WIRE_VALUE || item->part == KC_WIRE_TAG_DATA)
        change_byte(m, item->at, item->len);
    else if (item->part == KC_WIRE_TAG_SIZE && way < 5)
        repeat_tag(m, chosen);
    else if (item->is_varint && way < 5)
        stretch_varint(m, item);
    else
        lie(m, item);
}

static const pick *choose(picker *p)
{
    const pick *chosen = NULL;
    uint32_t kinds = 0;
    for (size_t i = 0; i < PARTS; i++)
        if (p->picks[i].seen > 0 && kb_rand_one_in(&p->rand, ++kinds))
            chosen = &p->picks[i];
    return chosen;
}

static size_t first_difference(kc_bytes a, kc_bytes b)
{
    size_t at = 0;
    while (at < a.len && at < b.len && a.ptr[at] == b.ptr[at])
        at++;
    return at;
}

kc_err kc_mutate_bytes(const kc_schema *schema, int16_t version, kc_bytes in, uint64_t seed,
                       kc_arena *arena, kc_bytes *bytes_out, kc_mutation *mutation_out)
{
    if (version < schema->min || version > schema->max)
        return KC_ERR_VERSION;
    if (!in.ptr || in.len == 0)
        return KC_ERR_END;
    picker p = {0};
    mutator m = {.arena = &arena->arena, .in = in};
    kb_rand_init(&p.rand, ~seed);
    kb_rand_init(&m.rand, seed);
    kc_err err = kp_trace(schema, version, in, m.arena, keep, &p, NULL);
    const pick *chosen = choose(&p);
    if (err == KC_ERR_NOMEM)
        return err;
    if (chosen)
        change(&m, chosen);
    else
        change_byte(&m, 0, in.len);
    if (chosen && kc_bytes_equal(m.out, in)) /* cut to the width of its field a lie may be true */
        change_byte(&m, chosen->item.at, chosen->item.len);
    if (!m.out.ptr)
        return KC_ERR_NOMEM;
    *bytes_out = m.out;
    if (!mutation_out)
        return KC_OK;
    *mutation_out = (kc_mutation){.what = m.what, .at = first_difference(in, m.out)};
    if (chosen)
        memcpy(mutation_out->path, chosen->path, sizeof mutation_out->path);
    return KC_OK;
}
