/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The tables of APIs, messages and errors, and the choice of a version. */
#include "messages_all.h"
#include "protocol/generated/errors.h"

#include <kafkac/unstable/errors.h>

#include <check.h>

START_TEST(the_schema_has_the_counts_of_kafka_4_3)
{
    size_t pairs = 0;
    size_t flexible = 0;
    size_t on_broker = 0;
    size_t on_controller = 0;
    for (size_t i = 0; i < kp_api_count(); i++) {
        const kp_api *api = kp_api_at(i);
        on_broker += (api->listeners & KP_LISTENER_BROKER) != 0;
        on_controller += (api->listeners & KP_LISTENER_CONTROLLER) != 0;
        for (int16_t v = api->request->min; v <= api->request->max; v++) {
            pairs++;
            flexible += v >= api->request->flexible_from;
        }
    }
    ck_assert_uint_eq(kp_api_count(), 89);
    ck_assert_uint_eq(pairs, 302);
    ck_assert_uint_eq(flexible, 177);
    ck_assert_uint_eq(on_broker, 77);
    ck_assert_uint_eq(on_controller, 41);
    size_t data = 0;
    while (kp_data_messages[data])
        data++;
    ck_assert_uint_eq(data, 10);
    ck_assert_int_eq(KP_ERROR_COUNT, 135);
}
END_TEST

START_TEST(each_api_is_found_by_its_key_and_name)
{
    size_t found = 0;
    for (int key = INT16_MIN; key <= INT16_MAX; key++) {
        const kp_api *api = kp_api_by_key((int16_t)key);
        if (!api)
            continue;
        found++;
        ck_assert_int_eq(api->key, key);
        ck_assert_ptr_eq(kp_api_by_name(kc_str(api->name)), api);
        ck_assert_str_eq(api->request->name, api->name);
        ck_assert_str_eq(api->response->name, api->name);
        ck_assert_int_eq(api->request->min, api->response->min);
        ck_assert_int_eq(api->request->max, api->response->max);
    }
    ck_assert_uint_eq(found, kp_api_count());
    ck_assert_ptr_null(kp_api_at(kp_api_count()));
    ck_assert_ptr_null(kp_api_by_key(4)); /* LeaderAndIsr has no valid version left */
    ck_assert_ptr_null(kp_api_by_name(KC_STR("LeaderAndIsr")));
    ck_assert_ptr_null(kp_api_by_name(KC_NULL));
    ck_assert_int_eq(kp_api_by_name(KC_STR("fetch"))->key, KP_API_FETCH);
}
END_TEST

START_TEST(messages_are_found_by_name_and_kind)
{
    ck_assert_ptr_eq(kp_message_by_name(KC_STR("produce"), KC_STR("request")),
                     &kp_produce_req_message);
    ck_assert_ptr_eq(kp_message_by_name(KC_STR("Produce"), KC_STR("response")),
                     &kp_produce_resp_message);
    ck_assert_ptr_eq(kp_message_by_name(KC_STR("Produce"), KC_STR("request-header")),
                     &kp_request_header_message);
    ck_assert_ptr_eq(kp_message_by_name(KC_NULL, KC_STR("response-header")),
                     &kp_response_header_message);
    ck_assert_ptr_eq(kp_message_by_name(KC_STR("ConsumerProtocolAssignment"), KC_STR("data")),
                     &kp_consumer_protocol_assignment_message);
    ck_assert_ptr_null(kp_message_by_name(KC_STR("Produce"), KC_STR("data")));
    ck_assert_ptr_null(kp_message_by_name(KC_STR("Produce"), KC_STR("reply")));
    ck_assert_ptr_null(kp_message_by_name(KC_STR("Nothing"), KC_STR("request")));
}
END_TEST

START_TEST(every_struct_fits_its_table)
{
    for (size_t i = 0; message_at(i); i++) {
        const kp_message *message = message_at(i);
        ck_assert_uint_le(message->root->size, sizeof(message_room));
        ck_assert_int_le(message->min, message->max);
        const kp_struct_desc *root = message->root;
        for (size_t f = 0; f < root->field_count; f++) {
            const kp_field_desc *field = &root->fields[f];
            ck_assert_int_le(field->min, field->max);
            ck_assert_int_ge(field->min, message->min);
            ck_assert_int_le(field->max, message->max);
            ck_assert_uint_lt(field->offset, root->tags_offset);
            ck_assert((field->type == KP_STRUCT) == (field->sub != NULL));
        }
    }
}
END_TEST

static kp_versions serve(int16_t key, int16_t min, int16_t max)
{
    kp_versions versions;
    kp_versions_clear(&versions);
    versions.range[key].min = min;
    versions.range[key].max = max;
    return versions;
}

START_TEST(the_highest_common_version_is_chosen)
{
    const kp_api *fetch = kp_api_by_key(KP_API_FETCH); /* ours: 4-18 */
    kp_versions versions = serve(KP_API_FETCH, 0, 11);
    ck_assert_int_eq(kp_version_choose(fetch, &versions, -1, -1), 11);
    versions = serve(KP_API_FETCH, 4, 30);
    ck_assert_int_eq(kp_version_choose(fetch, &versions, -1, -1), 18);
    ck_assert_int_eq(kp_version_choose(fetch, &versions, -1, 12), 12);
    ck_assert_int_eq(kp_version_choose(fetch, &versions, 0, INT16_MAX), 18);
    ck_assert_int_eq(kp_version_choose(fetch, &versions, 18, 18), 18);
}
END_TEST

START_TEST(no_common_version_is_minus_one)
{
    const kp_api *produce = kp_api_by_key(KP_API_PRODUCE); /* ours: 3-13 */
    kp_versions versions = serve(KP_API_PRODUCE, 0, 2);
    ck_assert_int_eq(kp_version_choose(produce, &versions, -1, -1), -1);
    versions = serve(KP_API_PRODUCE, 14, 20);
    ck_assert_int_eq(kp_version_choose(produce, &versions, -1, -1), -1);
    versions = serve(KP_API_PRODUCE, 0, 13);
    ck_assert_int_eq(kp_version_choose(produce, &versions, -1, 2), -1);
    ck_assert_int_eq(kp_version_choose(produce, &versions, 9, 8), -1);
    ck_assert_int_eq(kp_version_choose(produce, &versions, 14, -1), -1);
    kp_versions_clear(&versions);
    ck_assert_int_eq(kp_version_choose(produce, &versions, -1, -1), -1);
}
END_TEST

START_TEST(an_unstable_version_is_only_taken_when_asked_for)
{
    const kp_api *api = kp_api_by_key(KP_API_INIT_PRODUCER_ID);
    kp_versions versions = serve(KP_API_INIT_PRODUCER_ID, 0, 6);
    ck_assert_int_eq(kp_version_choose(api, &versions, -1, -1), 5);
    ck_assert_int_eq(kp_version_choose(api, &versions, -1, 6), 6);
}
END_TEST

START_TEST(each_api_has_the_route_a_client_needs)
{
    static const struct {
        int16_t key;
        kp_route route;
    } expected[] = {
        {KP_API_PRODUCE, KP_ROUTE_LEADER},
        {KP_API_LIST_OFFSETS, KP_ROUTE_LEADER},
        {KP_API_METADATA, KP_ROUTE_ANY},
        {KP_API_OFFSET_COMMIT, KP_ROUTE_GROUP},
        {KP_API_CREATE_TOPICS, KP_ROUTE_CONTROLLER},
        {KP_API_END_TXN, KP_ROUTE_TRANSACTION},
        {KP_API_TXN_OFFSET_COMMIT, KP_ROUTE_GROUP},
        {KP_API_DESCRIBE_LOG_DIRS, KP_ROUTE_BROKER},
        {KP_API_READ_SHARE_GROUP_STATE, KP_ROUTE_SHARE},
        {KP_API_SHARE_FETCH, KP_ROUTE_LEADER},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        ck_assert_int_eq(kp_api_by_key(expected[i].key)->route, expected[i].route);
}
END_TEST

START_TEST(error_codes_have_names_and_flags)
{
    for (int code = -1; code <= 133; code++)
        ck_assert_int_eq(kp_error_info_of((int16_t)code)->code, code);
    ck_assert_ptr_null(kp_error_info_of(-2));
    ck_assert_ptr_null(kp_error_info_of(134));
    ck_assert_ptr_null(kp_error_info_of(INT16_MAX));
    const kp_error_info *info = kp_error_info_of(KC_E_NOT_LEADER_OR_FOLLOWER);
    ck_assert_str_eq(info->name, "NOT_LEADER_OR_FOLLOWER");
    ck_assert_uint_eq(info->flags, KC_ERRF_RETRIABLE | KC_ERRF_REFRESH_METADATA);
    ck_assert_uint_eq(kp_error_info_of(KC_E_NONE)->flags, 0);
    ck_assert_uint_eq(kp_error_info_of(KC_E_PRODUCER_FENCED)->flags, KC_ERRF_FATAL);
    ck_assert_uint_eq(kp_error_info_of(KC_E_TRANSACTION_ABORTABLE)->flags, KC_ERRF_ABORTABLE);
    ck_assert_uint_eq(kp_error_info_of(KC_E_TOPIC_AUTHORIZATION_FAILED)->flags & KC_ERRF_AUTH,
                      KC_ERRF_AUTH);
    size_t retriable = 0;
    for (int code = -1; code <= 133; code++)
        retriable += (kp_error_info_of((int16_t)code)->flags & KC_ERRF_RETRIABLE) != 0;
    ck_assert_uint_eq(retriable, 32);
}
END_TEST
