/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Mutated requests. Half of them begin with every field at its default, which brokers get furthest with,
 * the others with random values in every field. */
#include "officeflow/cli/fuzz_request.h"

#include "protocol/base/rand.h"

#include <kafkac/unstable/messages.h>

#define MUTATIONS_MAX 4
#define SIZE_BYTES    4

const char *const cli_fuzz_safe_apis[] = {"ApiVersions",
                                          "ConsumerGroupDescribe",
                                          "DescribeAcls",
                                          "DescribeClientQuotas",
                                          "DescribeCluster",
                                          "DescribeConfigs",
                                          "DescribeDelegationToken",
                                          "DescribeGroups",
                                          "DescribeLogDirs",
                                          "DescribeProducers",
                                          "DescribeQuorum",
                                          "DescribeTopicPartitions",
                                          "DescribeTransactions",
                                          "DescribeUserScramCredentials",
                                          "Fetch",
                                          "FindCoordinator",
                                          "GetTelemetrySubscriptions",
                                          "ListConfigResources",
                                          "ListGroups",
                                          "ListOffsets",
                                          "ListPartitionReassignments",
                                          "ListTransactions",
                                          "Metadata",
                                          "OffsetFetch",
                                          "OffsetForLeaderEpoch",
                                          "ShareGroupDescribe",
                                          NULL};

kc_bytes cli_fuzz_frame(int16_t api_key, int16_t version, void *body, uint32_t number,
                        kc_arena *arena)
{
    kp_request_header *header;
    kc_frame frame = {
        .kind = KC_MESSAGE_REQUEST, .api_key = api_key, .version = version, .body = body};
    kc_bytes bytes = KC_NULL;
    const kc_schema *schema = kc_schema_find(KC_NULL, KC_MESSAGE_REQUEST_HEADER);
    if (kc_message_new(schema, arena, &frame.header) != KC_OK)
        return KC_NULL;
    header = frame.header;
    header->correlation_id = (int32_t)number;
    header->client_id = KC_STR("officeflow-fuzz");
    return kc_frame_encode(&frame, arena, &bytes, NULL) == KC_OK ? bytes : KC_NULL;
}

/* The frame with its body made to lie, and a size that is right again. */
static kc_bytes lie(const kc_schema *schema, cli_fuzz_request *request, uint64_t seed,
                    kc_arena *arena)
{
    kc_frame frame;
    kc_bytes body;
    kc_bytes whole = request->frame;
    if (kc_frame_decode(KC_MESSAGE_REQUEST, -1, -1, whole, arena, &frame, NULL) != KC_OK)
        return KC_NULL;
    kc_bytes old = kc_span(whole.ptr + frame.body_at, whole.len - frame.body_at);
    kc_err err =
        kc_mutate_bytes(schema, request->version, old, seed, arena, &body, &request->mutation);
    if (err == KC_ERR_END)
        return whole;
    uint8_t *bytes = err == KC_OK ? kc_arena_alloc(arena, frame.body_at + body.len) : NULL;
    if (!bytes)
        return KC_NULL;
    size_t size = frame.body_at + body.len - SIZE_BYTES;
    memcpy(bytes, whole.ptr, frame.body_at);
    if (body.len > 0)
        memcpy(bytes + frame.body_at, body.ptr, body.len);
    for (size_t i = 0; i < SIZE_BYTES; i++)
        bytes[i] = (uint8_t)(size >> (8 * (SIZE_BYTES - 1 - i)));
    request->mutations++;
    return kc_span(bytes, SIZE_BYTES + size);
}

static void *make_body(const kc_schema *schema, kb_rand *rand, cli_fuzz_request *request,
                       kc_arena *arena)
{
    void *body;
    bool is_random = kb_rand_below(rand, 2) == 0;
    kc_err err = is_random
                     ? kc_message_random(schema, request->version, kb_rand_u64(rand), arena, &body)
                     : kc_message_new(schema, arena, &body);
    if (err != KC_OK)
        return NULL;
    for (uint64_t n = 1 + kb_rand_below(rand, MUTATIONS_MAX); n > 0; n--) {
        err = kc_mutate_message(schema, request->version, body, kb_rand_u64(rand), arena,
                                &request->mutation);
        if (err == KC_ERR_NOMEM)
            return NULL;
        request->mutations += err == KC_OK;
    }
    return body;
}

bool cli_fuzz_make(const cli_fuzz_plan *plan, uint32_t number, kc_arena *arena,
                   cli_fuzz_request *request_out)
{
    kb_rand rand;
    kb_rand_init(&rand, plan->seed);
    kb_rand_init(&rand, kb_rand_u64(&rand) + number);
    const cli_fuzz_api *api = &plan->apis[kb_rand_below(&rand, plan->api_count)];
    const kc_schema *schema = kc_schema_of_api(api->key, KC_MESSAGE_REQUEST);
    uint64_t versions = (uint64_t)api->max - (uint64_t)api->min + 1;
    *request_out = (cli_fuzz_request){
        .api = api, .version = (int16_t)(api->min + (int16_t)kb_rand_below(&rand, versions))};
    void *body = make_body(schema, &rand, request_out, arena);
    if (!body)
        return false;
    request_out->frame = cli_fuzz_frame(api->key, request_out->version, body, number, arena);
    if (request_out->frame.ptr && plan->with_bytes && kb_rand_below(&rand, 2) == 0)
        request_out->frame = lie(schema, request_out, kb_rand_u64(&rand), arena);
    return request_out->frame.ptr != NULL;
}
