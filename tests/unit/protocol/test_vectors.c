/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Bytes and JSON written by the official Java classes for every API and version: both are read, and
 * written again unchanged. */
#include "message_vectors.h"

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
