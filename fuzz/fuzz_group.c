/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the members of a group tell each other: subscriptions of several members, as the leader reads
 * and assigns them, and assignments as a member reads them. An input is a row of blobs, each behind its
 * length in a byte; topics are named for what the members want. */
#include "client/assignor.h"
#include "client/consumer_protocol.h"
#include "fuzz/fuzz.h"
#include "protocol/generated/messages.h"
#include "protocol/random_fill.h"

#define MEMBERS_MAX    16
#define TOPICS_MAX     32
#define PARTITIONS_MAX 7

static bool next_blob(kc_bytes *rest, kc_bytes *blob)
{
    if (rest->len == 0)
        return false;
    size_t len = rest->ptr[0] < rest->len - 1 ? rest->ptr[0] : rest->len - 1;
    *blob = kc_span(rest->ptr + 1, len);
    *rest = kc_span(rest->ptr + 1 + len, rest->len - 1 - len);
    return true;
}

/* No partition goes to two members; none outside of its topic. */
static void check_result(const kc_assign_result *result, int32_t members,
                         const kc_assign_topic *topics, int32_t topic_count)
{
    uint8_t taken[TOPICS_MAX][PARTITIONS_MAX + 1] = {{0}};
    for (size_t i = 0; i < result->count; i++) {
        const kc_assign_range *range = &result->ranges[i];
        FUZZ_CHECK(range->member >= 0 && range->member < members);
        FUZZ_CHECK(range->topic >= 0 && range->topic < topic_count && range->count > 0);
        FUZZ_CHECK(range->first >= 0 &&
                   range->first + range->count <= topics[range->topic].partition_count);
        for (int32_t p = range->first; p < range->first + range->count; p++)
            FUZZ_CHECK(taken[range->topic][p]++ == 0);
    }
}

static void assign(const kc_assign_member *members, int32_t member_count, kb_arena *arena)
{
    kc_assign_topic topics[TOPICS_MAX];
    kc_assign_result result;
    int32_t topic_count = 0;
    for (int32_t i = 0; i < member_count; i++)
        for (int32_t t = 0; t < members[i].topic_count && topic_count < TOPICS_MAX;
             t++, topic_count++)
            topics[topic_count] =
                (kc_assign_topic){members[i].topics[t], 1 + (i + t) % PARTITIONS_MAX};
    if (kc_assign_range_all(members, member_count, topics, topic_count, arena, &result) == KC_OK)
        check_result(&result, member_count, topics, topic_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kb_mem mem;
    kb_arena arena;
    kc_assign_member members[MEMBERS_MAX];
    int32_t count = 0;
    kc_bytes rest = kc_span(data, size);
    kc_bytes blob;
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    kb_arena_init(&arena, &mem, 0);
    while (count < MEMBERS_MAX && next_blob(&rest, &blob)) {
        kp_consumer_protocol_assignment assignment;
        kp_consumer_protocol_subscription wanted;
        (void)!kc_consumer_protocol_read(&kp_consumer_protocol_assignment_message, blob, &arena,
                                         &assignment);
        if (kc_consumer_protocol_read(&kp_consumer_protocol_subscription_message, blob, &arena,
                                      &wanted) == KC_OK)
            members[count++] = (kc_assign_member){.id = kc_span(blob.ptr, blob.len % 5),
                                                  .instance_id = wanted.rack_id,
                                                  .topics = wanted.topics.items,
                                                  .topic_count = wanted.topics.count};
    }
    assign(members, count, &arena);
    kb_arena_cleanup(&arena);
    FUZZ_CHECK(mem.used == 0);
    return 0;
}

static void put_blob(kb_rand *rand, kb_buf *out)
{
    bool is_assignment = kb_rand_below(rand, 4) == 0;
    const kp_message *message = is_assignment ? &kp_consumer_protocol_assignment_message
                                              : &kp_consumer_protocol_subscription_message;
    int16_t version = (int16_t)kb_rand_below(rand, (uint64_t)message->max + 1);
    size_t at = out->len;
    kb_arena arena;
    kb_arena_init(&arena, out->mem, 0);
    void *msg = kb_arena_zalloc(&arena, message->root->size);
    FUZZ_CHECK(msg && kp_random_fill(message, version, rand, &arena, msg) == KC_OK);
    kb_buf_put_byte(out, 0);
    FUZZ_CHECK(kc_consumer_protocol_write(message, version, msg, out) == KC_OK);
    if (out->len - at - 1 <= UINT8_MAX)
        out->data[at] = (uint8_t)(out->len - at - 1);
    else
        out->len = at;
    kb_arena_cleanup(&arena);
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    for (uint64_t n = 1 + kb_rand_below(rand, 4); n > 0; n--)
        put_blob(rand, out);
}
