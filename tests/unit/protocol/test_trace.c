/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Traced decoding: it decodes as plain decoding does, and what it tells of tiles the input. */
#include "message_vectors.h"
#include "protocol/base/rand.h"

/* Where the telling has got to; asserts that each stretch begins where the last one ended. */
static void follow(const kc_wire_item *item, void *user)
{
    size_t *end = user;
    ck_assert_uint_eq(item->at, *end);
    ck_assert_uint_gt(item->len, 0);
    ck_assert_ptr_nonnull(item->path);
    *end = item->at + item->len;
}

/* Traced and plain decoding say the same of `in`; every byte up to the end or the fault is told. */
static kc_err assert_agrees(fixture *f, const kp_message *message, int16_t version, kc_bytes in)
{
    message_room msg;
    kp_fault fault = {0};
    size_t end = 0;
    kc_err plain = kp_decode(message, version, in, &f->arena, &msg, &f->fault);
    ck_assert_int_eq(kp_trace(message, version, in, &f->arena, follow, &end, &fault), plain);
    if (plain == KC_OK) {
        ck_assert_uint_eq(end, in.len);
        return plain;
    }
    ck_assert_uint_eq(end, fault.at);
    ck_assert_uint_eq(fault.at, f->fault.at);
    ck_assert_str_eq(fault.reason, f->fault.reason);
    ck_assert_str_eq(fault.path, f->fault.path);
    return plain;
}

static void assert_tiled(fixture *f, const vector *v)
{
    ck_assert_int_eq(assert_agrees(f, v->message, v->version, v->bytes), KC_OK);
}

static void assert_tiled_up_to_the_cut(fixture *f, const vector *v)
{
    size_t step = 1 + v->bytes.len / 32; /* all cuts of the short ones */
    for (size_t len = 0; len < v->bytes.len; len += step) {
        ck_assert_int_ne(assert_agrees(f, v->message, v->version, kc_span(v->bytes.ptr, len)),
                         KC_OK);
        kb_arena_reset(&f->arena);
    }
}

/* f->first holds the changed bytes. */
static void assert_agrees_on_changed_bytes(fixture *f, const vector *v)
{
    kb_rand rand;
    kb_rand_init(&rand, v->bytes.len);
    for (int i = 0; i < 8 && v->bytes.len > 0; i++) {
        kb_buf_reset(&f->first);
        kb_buf_put_bytes(&f->first, v->bytes);
        f->first.data[kb_rand_below(&rand, f->first.len)] = (uint8_t)kb_rand_u64(&rand);
        (void)assert_agrees(f, v->message, v->version, kb_buf_bytes(&f->first));
        kb_arena_reset(&f->arena);
    }
}

static void print(const kc_wire_item *item, void *user)
{
    static const char *const parts[] = {"value", "length", "count", "mark",
                                        "tags",  "tag",    "size",  "data"};
    kb_buf_printf(user, "%zu+%zu %u %s%s %s = %lld\n", item->at, item->len, item->depth,
                  parts[item->part], item->is_varint ? "~" : "", item->path,
                  (long long)item->number);
}

START_TEST(every_byte_of_the_java_messages_is_told_once_and_in_order)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_eq(for_each_vector(&f, assert_tiled, false), 815);
    tear_down(&f);
}
END_TEST

START_TEST(a_cut_message_is_told_up_to_the_fault)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_eq(for_each_vector(&f, assert_tiled_up_to_the_cut, false), 815);
    tear_down(&f);
}
END_TEST

START_TEST(changed_bytes_are_refused_where_plain_decoding_refuses_them)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_eq(for_each_vector(&f, assert_agrees_on_changed_bytes, false), 815);
    tear_down(&f);
}
END_TEST

START_TEST(paths_depths_and_numbers_of_a_flexible_message)
{
    fixture f;
    set_up(&f);
    int32_t replicas[] = {1, 258};
    kp_tag unknown = {70, KC_STR("xyz")};
    kp_metadata_resp_partition partition;
    kp_metadata_resp_topic topic;
    kp_metadata_resp msg;
    kp_struct_defaults(&kp_metadata_resp_partition_desc, &partition);
    kp_struct_defaults(&kp_metadata_resp_topic_desc, &topic);
    kp_defaults(&kp_metadata_resp_message, &msg);
    partition.replica_nodes.items = replicas, partition.replica_nodes.count = 2;
    partition.unknown_tags = (kp_tags){&unknown, 1};
    topic.name = KC_STR("t");
    topic.partitions.items = &partition, topic.partitions.count = 1;
    msg.topics.items = &topic, msg.topics.count = 1;
    ck_assert_int_eq(kp_encode(&kp_metadata_resp_message, 9, &msg, &f.first, NULL, NULL), KC_OK);
    ck_assert_int_eq(kp_trace(&kp_metadata_resp_message, 9, kb_buf_bytes(&f.first), &f.arena, print,
                              &f.second, NULL),
                     KC_OK);
    kb_buf_put_byte(&f.second, '\0');
    ck_assert_str_eq((const char *)f.second.data,
                     "0+4 0 value throttleTimeMs = 0\n"
                     "4+1 0 count~ brokers = 0\n"
                     "5+1 0 length~ clusterId = -1\n"
                     "6+4 0 value controllerId = -1\n"
                     "10+1 0 count~ topics = 1\n"
                     "11+2 1 value topics[0].errorCode = 0\n"
                     "13+1 1 length~ topics[0].name = 1\n"
                     "14+1 1 value topics[0].name = 0\n"
                     "15+1 1 value topics[0].isInternal = 0\n"
                     "16+1 1 count~ topics[0].partitions = 1\n"
                     "17+2 2 value topics[0].partitions[0].errorCode = 0\n"
                     "19+4 2 value topics[0].partitions[0].partitionIndex = 0\n"
                     "23+4 2 value topics[0].partitions[0].leaderId = 0\n"
                     "27+4 2 value topics[0].partitions[0].leaderEpoch = -1\n"
                     "31+1 2 count~ topics[0].partitions[0].replicaNodes = 2\n"
                     "32+4 2 value topics[0].partitions[0].replicaNodes[0] = 1\n"
                     "36+4 2 value topics[0].partitions[0].replicaNodes[1] = 258\n"
                     "40+1 2 count~ topics[0].partitions[0].isrNodes = 0\n"
                     "41+1 2 count~ topics[0].partitions[0].offlineReplicas = 0\n"
                     "42+1 2 tags~ topics[0].partitions[0] = 1\n"
                     "43+1 2 tag~ topics[0].partitions[0] = 70\n"
                     "44+1 2 size~ topics[0].partitions[0] = 3\n"
                     "45+3 2 data topics[0].partitions[0] = 70\n"
                     "48+4 1 value topics[0].topicAuthorizedOperations = -2147483648\n"
                     "52+1 1 tags~ topics[0] = 0\n"
                     "53+4 0 value clusterAuthorizedOperations = -2147483648\n"
                     "57+1 0 tags~  = 0\n");
    tear_down(&f);
}
END_TEST

START_TEST(the_client_id_of_a_request_header_has_no_varint)
{
    fixture f;
    set_up(&f);
    ck_assert_int_eq(kp_trace(&kp_request_header_message, 2,
                              BYTES(0, 3, 0, 9, 0, 0, 0, 7, 0, 1, 'c', 0), &f.arena, print,
                              &f.second, NULL),
                     KC_OK);
    kb_buf_put_byte(&f.second, '\0');
    ck_assert_str_eq((const char *)f.second.data, "0+2 0 value requestApiKey = 3\n"
                                                  "2+2 0 value requestApiVersion = 9\n"
                                                  "4+4 0 value correlationId = 7\n"
                                                  "8+2 0 length clientId = 1\n"
                                                  "10+1 0 value clientId = 0\n"
                                                  "11+1 0 tags~  = 0\n");
    tear_down(&f);
}
END_TEST

START_TEST(no_version_and_no_memory_are_refused_before_anything_is_told)
{
    fixture f;
    size_t end = 0;
    set_up(&f);
    ck_assert_int_eq(
        kp_trace(&kp_request_header_message, 9, BYTES(0, 3), &f.arena, follow, &end, &f.fault),
        KC_ERR_VERSION);
    ck_assert_ptr_nonnull(f.fault.reason);
    f.arena.limit = 1;
    ck_assert_int_eq(
        kp_trace(&kp_request_header_message, 2, BYTES(0, 3), &f.arena, follow, &end, &f.fault),
        KC_ERR_NOMEM);
    ck_assert_ptr_nonnull(f.fault.reason);
    ck_assert_uint_eq(end, 0);
    tear_down(&f);
}
END_TEST
