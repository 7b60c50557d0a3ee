/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Received records as events, for those who read by kc_consumer. */
#include <officeflow/event.h>

#include <check.h>
#include <stdio.h>

/* headers in wire form: zigzag lengths, as in a record */
#define HEADER_TYPE "\x0eof-type\x06xyz"
#define HEADER_ID   "\x0aof-id\x0ahello"

static kc_view view_of(kc_bytes value, int32_t header_count, kc_bytes headers)
{
    return (kc_view){.offset = 7,
                     .key = KC_STR("emp-456"),
                     .value = value,
                     .header_count = header_count,
                     .headers_raw = headers};
}

static kc_err decode(of_decoder *decoder, const kc_view *view, of_event *event)
{
    kc_error err = {.code = KC_OK};
    kc_err result = of_event_decode(decoder, KC_STR("a.topic"), 3, view, event, &err);
    ck_assert_int_eq(err.code, result);
    return result;
}

static void assert_is(kc_bytes text, const char *wanted)
{
    ck_assert_msg(kc_bytes_equal(text, kc_str(wanted)), KC_FMT " is not %s", KC_ARG(text), wanted);
}

START_TEST(an_envelope_is_decoded_and_its_bytes_are_kept)
{
    of_event event;
    of_decoder *decoder = of_decoder_new();
    kc_bytes value = KC_STR("{\"type\":\"employee.onboard\",\"payload\":{ \"a\" : 1.10 },\"x\":1}");
    kc_view view = view_of(value, 0, KC_STR(""));
    ck_assert_int_eq(decode(decoder, &view, &event), KC_OK);
    assert_is(event.type, "employee.onboard");
    assert_is(event.payload, "{ \"a\" : 1.10 }");
    assert_is(event.key, "emp-456");
    assert_is(event.id, "a.topic/3/7");
    ck_assert(kc_bytes_equal(event.value, value));
    ck_assert(event.value.ptr == value.ptr);
    of_decoder_free(decoder);
}
END_TEST

START_TEST(headers_fill_in_what_the_value_does_not_say)
{
    of_event event;
    of_decoder *decoder = of_decoder_new();
    kc_view view =
        view_of(KC_STR("{\"type\":\"employee.exit\",\"payload\":{}}"), 1, KC_STR(HEADER_ID));
    ck_assert_int_eq(decode(decoder, &view, &event), KC_OK);
    assert_is(event.id, "hello");
    ck_assert_uint_eq(event.header_count, 1);
    assert_is(event.headers[0].name, "of-id");
    of_decoder_free(decoder);
}
END_TEST

START_TEST(what_is_no_event_is_raw_and_says_why)
{
    of_event event;
    of_decoder *decoder = of_decoder_new();
    kc_view view = view_of(KC_STR("no json"), 1, KC_STR(HEADER_TYPE));
    ck_assert_int_eq(decode(decoder, &view, &event), KC_ERR_MALFORMED);
    ck_assert_int_eq(event.mode, OF_WIRE_RAW);
    assert_is(event.payload, "no json");
    assert_is(event.value, "no json");
    assert_is(event.type, "xyz");
    of_decoder_free(decoder);
}
END_TEST

START_TEST(a_tombstone_has_no_value)
{
    of_event event;
    of_decoder *decoder = of_decoder_new();
    kc_view view = view_of(KC_NULL, 0, KC_STR(""));
    (void)decode(decoder, &view, &event);
    ck_assert(event.is_tombstone);
    ck_assert_ptr_null(event.value.ptr);
    of_decoder_free(decoder);
}
END_TEST

START_TEST(headers_that_end_too_early_are_as_many_as_there_are)
{
    of_event event;
    of_decoder *decoder = of_decoder_new();
    kc_view view = view_of(KC_STR("{\"type\":\"a.b\",\"payload\":1}"), 5, KC_STR(HEADER_ID));
    ck_assert_int_eq(decode(decoder, &view, &event), KC_OK);
    ck_assert_uint_eq(event.header_count, 1);
    of_decoder_free(decoder);
}
END_TEST

START_TEST(a_decoder_is_used_again_and_again)
{
    of_event event;
    char text[96];
    of_decoder *decoder = of_decoder_new();
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "{\"type\":\"t\\u002e%d\",\"payload\":%d}", i, i);
        kc_view view = view_of(kc_str(text), 1, KC_STR(HEADER_ID));
        ck_assert_int_eq(decode(decoder, &view, &event), KC_OK);
        snprintf(text, sizeof text, "t.%d", i);
        assert_is(event.type, text);
    }
    of_decoder_free(decoder);
    of_decoder_free(NULL);
}
END_TEST
