/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Administration with whatever a client may send, in every version, and with no memory left at any point. */
#include "mock/text.h"
#include "protocol/base/text.h"
#include "protocol/codec.h"
#include "protocol/frame.h"
#include "protocol/random_fill.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>

static const int16_t apis[] = {
    KP_API_CREATE_TOPICS,
    KP_API_CREATE_PARTITIONS,
    KP_API_DELETE_TOPICS,
    KP_API_DESCRIBE_CONFIGS,
    KP_API_LIST_CONFIG_RESOURCES,
    KP_API_ALTER_CONFIGS,
    KP_API_INCREMENTAL_ALTER_CONFIGS,
    KP_API_CREATE_ACLS,
    KP_API_DESCRIBE_ACLS,
    KP_API_DELETE_ACLS,
    KP_API_DESCRIBE_CLIENT_QUOTAS,
    KP_API_ALTER_CLIENT_QUOTAS,
    KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS,
    KP_API_ALTER_USER_SCRAM_CREDENTIALS,
    KP_API_ELECT_LEADERS,
    KP_API_DESCRIBE_LOG_DIRS,
    KP_API_LIST_PARTITION_REASSIGNMENTS,
    KP_API_WRITE_TXN_MARKERS,
    KP_API_SASL_HANDSHAKE,
    KP_API_SASL_AUTHENTICATE,
};

#define API_COUNT (sizeof apis / sizeof apis[0])

/** A connection that is open. */
static mock_link *open_link(mock_world *world, mock_link *link)
{
    if (link && !mock_is_closed(link))
        return link;
    if (link)
        mock_link_free(link);
    return mock_link_new(world, 1);
}

START_TEST(random_requests_of_all_versions_are_answered_or_end_the_connection)
{
    mock_world *world = mock_new(3);
    kb_rand rand;
    kb_rand_init(&rand, 1);
    mock_link *link = NULL;
    for (int round = 0; round < 100 * (int)API_COUNT; round++) {
        const kp_api *api = kp_api_by_key(apis[kb_rand_below(&rand, API_COUNT)]);
        const kp_message *message = api->request;
        int16_t version =
            (int16_t)(message->min +
                      (int16_t)kb_rand_below(&rand, (uint64_t)(message->max - message->min + 1)));
        kb_arena arena;
        kb_arena_init(&arena, &world->mem, 0);
        void *request = kb_arena_zalloc(&arena, message->root->size);
        ck_assert_int_eq(kp_random_fill(message, version, &rand, &arena, request), KC_OK);
        link = open_link(world, link);
        mock_send(link, api->key, version, request);
        ck_assert(mock_answer(link) || mock_is_closed(link));
        kb_arena_cleanup(&arena);
    }
    mock_free(world);
}
END_TEST

/** Each does something when there is memory. */
static const struct {
    int16_t api, version;
    const char *json;
} requests[] = {
    {KP_API_CREATE_TOPICS, 7,
     "{\"topics\":[{\"name\":\"t\",\"numPartitions\":2,\"replicationFactor\":1,\"assignments\":[],"
     "\"configs\":[{\"name\":\"retention.ms\",\"value\":\"5\"}]},"
     "{\"name\":\"m\",\"numPartitions\":-1,\"replicationFactor\":-1,\"configs\":[],"
     "\"assignments\":[{\"partitionIndex\":0,\"brokerIds\":[2,1]}]}],"
     "\"timeoutMs\":1,\"validateOnly\":false}"},
    {KP_API_CREATE_PARTITIONS, 3,
     "{\"topics\":[{\"name\":\"t\",\"count\":4,\"assignments\":null}],\"timeoutMs\":1,"
     "\"validateOnly\":false}"},
    {KP_API_INCREMENTAL_ALTER_CONFIGS, 1,
     "{\"resources\":[{\"resourceType\":2,\"resourceName\":\"t\",\"configs\":["
     "{\"name\":\"cleanup.policy\",\"configOperation\":2,\"value\":\"compact\"}]},"
     "{\"resourceType\":32,\"resourceName\":\"g\",\"configs\":["
     "{\"name\":\"share.auto.offset.reset\",\"configOperation\":0,\"value\":\"earliest\"}]}],"
     "\"validateOnly\":false}"},
    {KP_API_ALTER_CONFIGS, 2,
     "{\"resources\":[{\"resourceType\":4,\"resourceName\":\"1\",\"configs\":["
     "{\"name\":\"message.max.bytes\",\"value\":\"2000\"}]}],\"validateOnly\":false}"},
    {KP_API_DESCRIBE_CONFIGS, 4,
     "{\"resources\":[{\"resourceType\":2,\"resourceName\":\"t\",\"configurationKeys\":null},"
     "{\"resourceType\":4,\"resourceName\":\"1\",\"configurationKeys\":null}],"
     "\"includeSynonyms\":true,\"includeDocumentation\":false}"},
    {KP_API_LIST_CONFIG_RESOURCES, 1, "{\"resourceTypes\":[]}"},
    {KP_API_CREATE_ACLS, 3,
     "{\"creations\":[{\"resourceType\":2,\"resourceName\":\"t\",\"resourcePatternType\":3,"
     "\"principal\":\"User:a\",\"host\":\"*\",\"operation\":3,\"permissionType\":3}]}"},
    {KP_API_DESCRIBE_ACLS, 3,
     "{\"resourceTypeFilter\":1,\"resourceNameFilter\":null,\"patternTypeFilter\":1,"
     "\"principalFilter\":null,\"hostFilter\":null,\"operation\":1,\"permissionType\":1}"},
    {KP_API_DELETE_ACLS, 3,
     "{\"filters\":[{\"resourceTypeFilter\":1,\"resourceNameFilter\":null,\"patternTypeFilter\":1,"
     "\"principalFilter\":null,\"hostFilter\":null,\"operation\":1,\"permissionType\":1}]}"},
    {KP_API_ALTER_CLIENT_QUOTAS, 1,
     "{\"entries\":[{\"entity\":[{\"entityType\":\"user\",\"entityName\":\"u\"}],"
     "\"ops\":[{\"key\":\"producer_byte_rate\",\"value\":1.0,\"remove\":false}]}],"
     "\"validateOnly\":false}"},
    {KP_API_DESCRIBE_CLIENT_QUOTAS, 1, "{\"components\":[],\"strict\":false}"},
    {KP_API_ALTER_USER_SCRAM_CREDENTIALS, 0,
     "{\"deletions\":[],\"upsertions\":[{\"name\":\"u\",\"mechanism\":1,\"iterations\":4096,"
     "\"salt\":\"MTIz\",\"saltedPassword\":\"MTIz\"}]}"},
    {KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, "{\"users\":[]}"},
    {KP_API_ELECT_LEADERS, 2, "{\"electionType\":0,\"topicPartitions\":null,\"timeoutMs\":1}"},
    {KP_API_ELECT_LEADERS, 2,
     "{\"electionType\":1,\"topicPartitions\":[{\"topic\":\"t\",\"partitions\":[0]}],"
     "\"timeoutMs\":1}"},
    {KP_API_DESCRIBE_LOG_DIRS, 4, "{\"topics\":null}"},
    {KP_API_WRITE_TXN_MARKERS, 1,
     "{\"markers\":[{\"producerId\":5,\"producerEpoch\":0,\"transactionResult\":false,"
     "\"topics\":[{\"name\":\"t\",\"partitionIndexes\":[0,1]}],\"coordinatorEpoch\":0}]}"},
    {KP_API_DELETE_TOPICS, 6,
     "{\"topics\":[{\"name\":\"t\",\"topicId\":\"AAAAAAAAAAAAAAAAAAAAAA\"}],\"timeoutMs\":1}"},
};

/** With ever more memory, until it is answered. The connection and the request itself are made with all there is. */
static void ask_until_answered(mock_world *world, const kp_api *api, int16_t version,
                               const void *request)
{
    bool is_answered = false;
    for (size_t room = 0; !is_answered; room += 64) {
        ck_assert_uint_lt(room, (size_t)1 << 22);
        mock_link *link = mock_link_new(world, 1);
        kp_fault fault = {0};
        kb_buf frame;
        kb_mem other;
        kb_mem_init(&other, NULL, 0);
        kb_buf_init(&frame, &other, 0);
        ck_assert_int_eq(
            kp_frame_request(api, version, 7, KC_STR("test"), request, &frame, NULL, &fault),
            KC_OK);
        world->mem.limit = world->mem.used + room;
        mock_send_bytes(link, kb_buf_bytes(&frame));
        world->mem.limit = SIZE_MAX;
        is_answered = km_conn_output(mock_conn(link)).len > 0;
        ck_assert(is_answered || mock_is_closed(link));
        kb_buf_cleanup(&frame);
        mock_link_free(link);
    }
}

START_TEST(without_memory_a_connection_ends_and_nothing_is_half_done)
{
    mock_world *world = mock_new(3);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const kp_api *api = kp_api_by_key(requests[i].api);
        kb_arena arena;
        kb_mem other;
        kp_fault fault = {0};
        kb_mem_init(&other, NULL, 0);
        kb_arena_init(&arena, &other, 0);
        void *request = kb_arena_zalloc(&arena, api->request->root->size);
        kc_err err = kp_json_read(api->request, requests[i].version, kc_str(requests[i].json),
                                  &arena, request, &fault);
        ck_assert_msg(err == KC_OK, "%s: %s at %s", api->name, fault.reason, fault.path);
        ask_until_answered(world, api, requests[i].version, request);
        kb_arena_cleanup(&arena);
    }
    ck_assert_ptr_null(km_topic_by_name(world->cluster, KC_STR("t")));
    const km_topic *kept = km_topic_by_name(world->cluster, KC_STR("m"));
    ck_assert_ptr_nonnull(kept);
    ck_assert_int_eq(kept->partitions[0]->replica_count, 2);
    mock_free(world);
}
END_TEST

/** Each names %s, which nothing is called, in what it is told. */
static const struct {
    int16_t api, version;
    const char *json;
} naming[] = {
    {KP_API_DESCRIBE_PRODUCERS, 0, "{\"topics\":[{\"name\":\"%s\",\"partitionIndexes\":[0]}]}"},
    {KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, "{\"users\":[{\"name\":\"%s\"}]}"},
    {KP_API_DESCRIBE_CLIENT_QUOTAS, 1,
     "{\"components\":[{\"entityType\":\"%s\",\"matchType\":2,\"match\":null}],\"strict\":false}"},
    {KP_API_ALTER_CLIENT_QUOTAS, 1,
     "{\"entries\":[{\"entity\":[{\"entityType\":\"%s\",\"entityName\":\"u\"}],\"ops\":[]}],"
     "\"validateOnly\":false}"},
    {KP_API_ALTER_CLIENT_QUOTAS, 1,
     "{\"entries\":[{\"entity\":[{\"entityType\":\"user\",\"entityName\":\"%s\"}],"
     "\"ops\":[{\"key\":\"a\",\"value\":1,\"remove\":false},"
     "{\"key\":\"a\",\"value\":1,\"remove\":false}]}],\"validateOnly\":false}"},
    {KP_API_CREATE_TOPICS, 7,
     "{\"topics\":[{\"name\":\"%s\",\"numPartitions\":1,\"replicationFactor\":1,\"assignments\":[],"
     "\"configs\":[]}],\"timeoutMs\":1,\"validateOnly\":false}"},
    {KP_API_CREATE_TOPICS, 7,
     "{\"topics\":[{\"name\":\"t\",\"numPartitions\":1,\"replicationFactor\":1,\"assignments\":[],"
     "\"configs\":[{\"name\":\"%s\",\"value\":\"1\"}]}],\"timeoutMs\":1,\"validateOnly\":false}"},
    {KP_API_ALTER_CONFIGS, 2,
     "{\"resources\":[{\"resourceType\":2,\"resourceName\":\"%s\",\"configs\":[]}],"
     "\"validateOnly\":false}"},
    {KP_API_INCREMENTAL_ALTER_CONFIGS, 1,
     "{\"resources\":[{\"resourceType\":4,\"resourceName\":\"1\",\"configs\":[{\"name\":\"%s\","
     "\"configOperation\":0,\"value\":null}]}],\"validateOnly\":false}"},
    {KP_API_SHARE_GROUP_DESCRIBE, 1,
     "{\"groupIds\":[\"%s\"],\"includeAuthorizedOperations\":false}"},
    {KP_API_CONSUMER_GROUP_DESCRIBE, 1,
     "{\"groupIds\":[\"%s\"],\"includeAuthorizedOperations\":false}"},
    {KP_API_DESCRIBE_GROUPS, 6, "{\"groups\":[\"%s\"],\"includeAuthorizedOperations\":false}"},
};

START_TEST(a_name_as_long_as_can_be_is_answered_with_a_sentence_that_is_cut)
{
    enum {
        NAME_BYTES = 32766
    };
    static char name[NAME_BYTES + 1], json[NAME_BYTES + 1000];
    mock_world *world = mock_new(1);
    for (size_t i = 0; i < NAME_BYTES; i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    for (size_t i = 0; i < sizeof naming / sizeof naming[0]; i++) {
        const kp_api *api = kp_api_by_key(naming[i].api);
        kp_fault fault = {0};
        kb_arena arena;
        kb_arena_init(&arena, &world->mem, 0);
        const char *hole = strstr(naming[i].json, "%s");
        snprintf(json, sizeof json, "%.*s%s%s", (int)(hole - naming[i].json), naming[i].json, name,
                 hole + 2);
        void *request = kb_arena_zalloc(&arena, api->request->root->size);
        kc_err err =
            kp_json_read(api->request, naming[i].version, kc_str(json), &arena, request, &fault);
        ck_assert_msg(err == KC_OK, "%s: %s at %s", api->name, fault.reason, fault.path);
        mock_link *link = mock_link_new(world, 1);
        mock_send(link, api->key, naming[i].version, request);
        ck_assert_msg(mock_answer(link) != NULL, "%s, row %zu", api->name, i);
        mock_link_free(link);
        kb_arena_cleanup(&arena);
    }
    mock_free(world);
}
END_TEST

START_TEST(a_sentence_is_cut_between_characters)
{
    char name[2 * KM_TEXT_BYTES_MAX + 1];
    kb_mem mem;
    kb_arena arena;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    for (size_t i = 0; i + 1 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 3);
    kc_bytes even = KM_TEXT(&arena, "%s", name), odd = KM_TEXT(&arena, "x%s", name);
    ck_assert_uint_eq(even.len, KM_TEXT_BYTES_MAX);
    ck_assert_uint_eq(odd.len, KM_TEXT_BYTES_MAX - 1);
    ck_assert(kb_utf8_is_valid(even) && kb_utf8_is_valid(odd));
    ck_assert_uint_eq(km_text_cut(kc_str(name)).len, KM_TEXT_BYTES_MAX);
    ck_assert_str_eq(km_text(&arena, "%d", 7), "7");
    kb_arena_cleanup(&arena);
}
END_TEST
