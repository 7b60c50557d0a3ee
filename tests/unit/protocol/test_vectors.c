/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Bytes and JSON written by the official Java classes for every API and version: both are read, and
 * written again unchanged. */
#include "message_vectors.h"

/* Levels of arrays below a message, and one. */
#define NESTING_MAX 6

static void assert_bytes_agree(fixture *f, const vector *v)
{
    message_room msg;
    assert_ok(f, v->message, v->version,
              kp_decode(v->message, v->version, v->bytes, &f->arena, &msg, &f->fault));
    assert_round_trip(f, v->message, v->version, &msg);
    if (!kc_bytes_equal(kb_buf_bytes(&f->first), v->bytes))
        ck_abort_msg("%s v%d: bytes differ from Java's", v->message->name, v->version);
}

static void assert_json_agrees(fixture *f, const vector *v)
{
    message_room msg;
    kb_json_writer writer;
    assert_ok(f, v->message, v->version,
              kp_json_read(v->message, v->version, v->json, &f->arena, &msg, &f->fault));
    assert_round_trip(f, v->message, v->version, &msg);
    if (!kc_bytes_equal(kb_buf_bytes(&f->first), v->bytes))
        ck_abort_msg("%s v%d: bytes differ after Java's JSON", v->message->name, v->version);
    kb_buf_reset(&f->second);
    kb_json_writer_init(&writer, &f->second);
    kp_json_print(v->message, v->version, &msg, &writer);
    if (!kc_bytes_equal(kb_buf_bytes(&f->second), v->json))
        ck_abort_msg("%s v%d: JSON is " KC_FMT " instead of " KC_FMT, v->message->name, v->version,
                     KC_ARG(kb_buf_bytes(&f->second)), KC_ARG(v->json));
}

START_TEST(bytes_of_the_java_classes_decode_and_encode_unchanged)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_eq(for_each_vector(&f, assert_bytes_agree, false), 815);
    tear_down(&f);
}
END_TEST

START_TEST(json_of_the_java_classes_is_read_and_printed_unchanged)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_gt(for_each_vector(&f, assert_json_agrees, true), 550);
    tear_down(&f);
}
END_TEST

/* ---- the same bytes, cut or with a lie in them ---- */

/* The field that a fault's path begins with; checks that the schema has all the others, too. Null
 * for the empty path, which means the message itself. */
static const kp_field_desc *first_of_path(const vector *v, const char *path)
{
    const kp_struct_desc *desc = v->message->root;
    const kp_field_desc *first = NULL;
    while (*path) {
        size_t len = strcspn(path, ".[");
        const kp_field_desc *field = NULL;
        for (size_t i = 0; desc && !field && i < desc->field_count; i++)
            if (kc_bytes_equal(kc_str(desc->fields[i].name), kc_span(path, len)))
                field = &desc->fields[i];
        if (!field)
            ck_abort_msg("%s v%d: the schema has no %s", v->message->name, v->version, path);
        first = first ? first : field;
        desc = field->sub;
        path += len;
        path += *path == '[' ? strcspn(path, "]") + 1 : 0;
        path += *path == '.';
    }
    return first;
}

/* Most bytes an item of an array takes in memory, for each it has on the wire at least. */
static size_t expansion_of(const kp_struct_desc *desc)
{
    size_t most = sizeof(kp_tag) / 2; /* an unknown tag */
    for (size_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        size_t inner = field->sub ? expansion_of(field->sub) : 0;
        size_t wire = field->sub ? field->sub->wire_min : 1;
        size_t own = (field->value_size + wire - 1) / wire;
        most = inner > most ? inner : most;
        most = own > most ? own : most;
    }
    return most;
}

/* Decode a copy of exactly these bytes; what it costs is bounded by them, whatever they say. */
static kc_err decode_hostile(fixture *f, const vector *v, kc_bytes in)
{
    message_room msg;
    uint8_t *exact = kb_mem_alloc(&f->mem, in.len);
    ck_assert_ptr_nonnull(exact);
    if (in.len > 0)
        memcpy(exact, in.ptr, in.len);
    kb_arena_reset(&f->arena);
    kc_err err =
        kp_decode(v->message, v->version, kc_span(exact, in.len), &f->arena, &msg, &f->fault);
    ck_assert_uint_le(f->arena.used, NESTING_MAX * in.len * expansion_of(v->message->root));
    kb_mem_free(&f->mem, exact);
    if (err != KC_OK) {
        ck_assert_uint_le(f->fault.at, in.len);
        ck_assert_ptr_nonnull(f->fault.reason);
    }
    return err;
}

static void assert_cuts_are_refused(fixture *f, const vector *v)
{
    size_t at = 0;
    bool in_tags = false;
    for (size_t len = 0; len < v->bytes.len; len++) {
        ck_assert_int_eq(decode_hostile(f, v, kc_span(v->bytes.ptr, len)), KC_ERR_TRUNCATED);
        ck_assert_uint_ge(f->fault.at, at); /* the value that is cut, or one before it */
        at = f->fault.at;
        const kp_field_desc *first = first_of_path(v, f->fault.path);
        /* Nothing but the message's own tags, at its end, is without a name. */
        in_tags = in_tags || !first;
        if (in_tags && (v->version < v->message->flexible_from || (first && first->tag < 0)))
            ck_abort_msg("%s v%d cut at %zu: path is '%s'", v->message->name, v->version, len,
                         f->fault.path);
    }
}

START_TEST(bytes_of_the_java_classes_cut_anywhere_are_refused_with_place_and_path)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_eq(for_each_vector(&f, assert_cuts_are_refused, false), 815);
    tear_down(&f);
}
END_TEST

static void assert_lies_take_no_memory(fixture *f, const vector *v)
{
    /* as lengths and counts: the highest, one that just does not overflow, the lowest, over-long */
    static const char *const lies[] = {"\x7f\xff\xff\xff",        "\x07\xff\xff\xff",
                                       "\x80\x00\x00\x00",        "\xff\xff\xff\x7f",
                                       "\xff\xff\xff\xff\x0f",    "\xff\xff\xff\xff\x07",
                                       "\x81\x80\x80\x80\x80\x00"};
    static const size_t lens[] = {4, 4, 4, 4, 5, 5, 6};
    for (size_t at = 0; at < v->bytes.len; at++) {
        for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
            size_t len = lens[i] < v->bytes.len - at ? lens[i] : v->bytes.len - at;
            kb_buf_reset(&f->first);
            kb_buf_put_bytes(&f->first, v->bytes);
            memcpy(f->first.data + at, lies[i], len);
            if (decode_hostile(f, v, kb_buf_bytes(&f->first)) != KC_OK)
                (void)first_of_path(v, f->fault.path);
        }
    }
}

START_TEST(a_lie_anywhere_in_them_takes_no_more_memory_than_the_bytes_allow)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_eq(for_each_vector(&f, assert_lies_take_no_memory, false), 815);
    tear_down(&f);
}
END_TEST
