/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What protocol/ costs: messages decoded, encoded and printed, records written and read, CRC-32C,
 * compression. One JSON object a line; times are CPU time, and each is the best of several rounds,
 * so that a neighbour on the machine does not show. */
#define _POSIX_C_SOURCE 199309L
#include "protocol/base/rand.h"
#include "protocol/batch.h"
#include "protocol/codec.h"
#include "protocol/crc32c.h"
#include "protocol/generated/messages.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS        15
#define ROUND_SECONDS 0.004
#define MIB           ((size_t)1 << 20)
#define POOL_BYTES    (4 * MIB)
#define BATCH_BYTES   (16 * MIB)
#define TIME_MS       INT64_C(1700000000000)

static const char usage[] =
    "usage: bench_codec [--help] [messages] [records] [crc32c] [compression]\n"
    "Measures what is named, or all; one JSON object a line. Build it with the preset release.\n";

typedef struct bench {
    kb_mem mem;
    kb_rand rand;
    uint8_t *pool;  /**< payloads are taken from here            */
    uint8_t *batch; /**< up to BATCH_BYTES of batch              */
    kb_arena build; /**< messages that are encoded                */
    kb_arena arena; /**< messages that are decoded                */
    kb_buf packed;
    kb_buf plain;
    kp_codec_cache cache;
    uint64_t sink; /**< keeps results from being optimised away */
} bench;

static void must(bool is_ok, const char *what)
{
    if (is_ok)
        return;
    fprintf(stderr, "bench_codec: %s failed\n", what);
    exit(1);
}

static void *make(bench *b, size_t count, size_t size)
{
    void *items = kb_arena_array(&b->build, count, size);
    must(items, "allocation");
    return items;
}

/* ---- measuring ---- */

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/** One run of what is measured. */
typedef void (*work_fn)(bench *b, const void *what);

static double seconds_of(bench *b, work_fn work, const void *what, size_t count)
{
    double begin = now_s();
    for (size_t i = 0; i < count; i++)
        work(b, what);
    return now_s() - begin;
}

/* Nanoseconds of one run. */
static double measure(bench *b, work_fn work, const void *what)
{
    size_t count = 1;
    double best = seconds_of(b, work, what, 1); /* warms up */
    while ((best = seconds_of(b, work, what, count)) < ROUND_SECONDS)
        count *= 2;
    for (int round = 1; round < ROUNDS; round++) {
        double s = seconds_of(b, work, what, count);
        best = s < best ? s : best;
    }
    return best * 1e9 / (double)count;
}

/* ---- messages ---- */

typedef struct message_work {
    const char *what;
    const kp_message *message;
    int16_t version;
    const void *msg;
    void *room; /**< decoded into */
    kc_bytes bytes;
    kp_splices *splices;
} message_work;

static void decode(bench *b, const void *what)
{
    const message_work *w = what;
    kb_arena_reset(&b->arena);
    must(kp_decode(w->message, w->version, w->bytes, &b->arena, w->room, NULL) == KC_OK, w->what);
}

static void encode(bench *b, const void *what)
{
    const message_work *w = what;
    kb_buf_reset(&b->plain);
    if (w->splices)
        w->splices->count = 0;
    must(kp_encode(w->message, w->version, w->msg, &b->plain, w->splices, NULL) == KC_OK, w->what);
}

static void print_json(bench *b, const void *what)
{
    const message_work *w = what;
    kb_json_writer writer;
    kb_buf_reset(&b->plain);
    kb_json_writer_init(&writer, &b->plain);
    kp_json_print(w->message, w->version, w->msg, &writer);
    must(b->plain.err == KC_OK, w->what);
}

static void read_json(bench *b, const void *what)
{
    const message_work *w = what;
    kb_arena_reset(&b->arena);
    must(kp_json_read(w->message, w->version, w->bytes, &b->arena, w->room, NULL) == KC_OK,
         w->what);
}

static void bench_message(bench *b, message_work *w)
{
    w->room = make(b, 1, w->message->root->size);
    kb_buf_reset(&b->packed);
    must(kp_encode(w->message, w->version, w->msg, &b->packed, NULL, NULL) == KC_OK, w->what);
    w->bytes = kb_buf_bytes(&b->packed);
    size_t bytes = w->bytes.len;
    double decode_us = measure(b, decode, w) / 1e3;
    double encode_us = measure(b, encode, w) / 1e3;
    double print_us = measure(b, print_json, w) / 1e3;
    print_json(b, w);
    kb_buf_reset(&b->packed);
    kb_buf_put_bytes(&b->packed, kb_buf_bytes(&b->plain));
    w->bytes = kb_buf_bytes(&b->packed);
    double read_us = measure(b, read_json, w) / 1e3;
    printf("{\"bench\":\"message\",\"message\":\"%s\",\"version\":%d,\"bytes\":%zu,"
           "\"decode_us\":%.2f,\"encode_us\":%.2f,\"json_bytes\":%zu,\"json_print_us\":%.1f,"
           "\"json_read_us\":%.1f}\n",
           w->what, w->version, bytes, decode_us, encode_us, w->bytes.len, print_us, read_us);
}

static void metadata_topic(bench *b, kp_metadata_resp_topic *topic, int32_t partitions)
{
    int32_t *nodes = make(b, 3, sizeof *nodes);
    nodes[1] = 1, nodes[2] = 2;
    kp_struct_defaults(&kp_metadata_resp_topic_desc, topic);
    topic->name = KC_STR("orders.created.by.region");
    topic->partitions.count = partitions;
    topic->partitions.items = make(b, (size_t)partitions, sizeof *topic->partitions.items);
    for (int32_t p = 0; p < partitions; p++) {
        kp_metadata_resp_partition *partition = &topic->partitions.items[p];
        kp_struct_defaults(&kp_metadata_resp_partition_desc, partition);
        partition->partition_index = p;
        partition->leader_epoch = 7;
        partition->replica_nodes.items = partition->isr_nodes.items = nodes;
        partition->replica_nodes.count = partition->isr_nodes.count = 3;
    }
}

static void bench_metadata(bench *b)
{
    kp_metadata_resp msg;
    kp_metadata_resp_broker *brokers = make(b, 3, sizeof *brokers);
    kp_defaults(&kp_metadata_resp_message, &msg);
    for (int32_t i = 0; i < 3; i++) {
        kp_struct_defaults(&kp_metadata_resp_broker_desc, &brokers[i]);
        brokers[i].node_id = i;
        brokers[i].host = KC_STR("broker.example.org");
    }
    msg.brokers.items = brokers;
    msg.brokers.count = 3;
    msg.topics.count = 100;
    msg.topics.items = make(b, 100, sizeof *msg.topics.items);
    for (int32_t t = 0; t < msg.topics.count; t++)
        metadata_topic(b, &msg.topics.items[t], 12);
    bench_message(b, &(message_work){.what = "Metadata response, 100 topics of 12 partitions",
                                     .message = &kp_metadata_resp_message,
                                     .version = 12,
                                     .msg = &msg});
}

static void bench_fetch(bench *b)
{
    kp_fetch_resp msg;
    kp_fetch_resp_response topic;
    kp_defaults(&kp_fetch_resp_message, &msg);
    kp_struct_defaults(&kp_fetch_resp_response_desc, &topic);
    msg.responses.items = &topic;
    msg.responses.count = 1;
    topic.partitions.count = 200;
    topic.partitions.items = make(b, 200, sizeof *topic.partitions.items);
    for (int32_t p = 0; p < 200; p++) {
        kp_fetch_resp_partition *partition = &topic.partitions.items[p];
        kp_struct_defaults(&kp_fetch_resp_partition_desc, partition);
        partition->partition_index = p;
        partition->high_watermark = 1000000;
        partition->records = kc_span(b->pool + p * 16384, 16384);
    }
    bench_message(b, &(message_work){.what = "Fetch response, 200 partitions of 16 KiB",
                                     .message = &kp_fetch_resp_message,
                                     .version = 16,
                                     .msg = &msg});
}

/* Records are sent from where they lie, as the producer does. */
static void bench_produce(bench *b)
{
    kp_produce_req msg;
    kp_produce_req_topic_data topic;
    kp_splice items[12];
    kp_splices splices = {.items = items, .cap = 12};
    kp_defaults(&kp_produce_req_message, &msg);
    kp_struct_defaults(&kp_produce_req_topic_data_desc, &topic);
    msg.topic_data.items = &topic;
    msg.topic_data.count = 1;
    topic.partition_data.count = 12;
    topic.partition_data.items = make(b, 12, sizeof *topic.partition_data.items);
    for (int32_t p = 0; p < 12; p++) {
        topic.partition_data.items[p].index = p;
        topic.partition_data.items[p].records = kc_span(b->pool + p * 16384, 16384);
    }
    bench_message(b, &(message_work){.what = "Produce request, 12 partitions of 16 KiB",
                                     .message = &kp_produce_req_message,
                                     .version = 13,
                                     .msg = &msg,
                                     .splices = &splices});
}

static void bench_messages(bench *b)
{
    bench_metadata(b);
    bench_fetch(b);
    bench_produce(b);
}

/* ---- records ---- */

/* JSON-like text with some noise in it: compresses about three to one. */
static void fill_pool(bench *b)
{
    size_t at = 0;
    while (at + 128 < POOL_BYTES) {
        int len =
            snprintf((char *)b->pool + at, 128,
                     "{\"id\":%u,\"type\":\"order.created\",\"customer\":\"%08x\",\"total\":%u}",
                     (unsigned)kb_rand_below(&b->rand, 1000000), (unsigned)kb_rand_u64(&b->rand),
                     (unsigned)kb_rand_below(&b->rand, 100000));
        at += (size_t)len;
    }
}

static kc_bytes payload(bench *b, size_t *at, size_t len)
{
    if (*at + len > POOL_BYTES - 128)
        *at = 0;
    kc_bytes bytes = kc_span(b->pool + *at, len);
    *at += len;
    return bytes;
}

typedef struct batch_work {
    int32_t count;
    size_t key_len;
    size_t value_len;
    bool has_header;
    kc_bytes bytes; /**< the batch, to be read */
} batch_work;

/* Returns the batch's size. */
static size_t fill_batch(bench *b, const batch_work *w)
{
    const kc_header header = {KC_STR("trace"), KC_STR("00-0af7651916cd43dd8448eb211c80319c-01")};
    kp_batch_writer writer;
    size_t at = 0;
    kp_batch_writer_init(&writer, b->batch, BATCH_BYTES);
    while (writer.count < w->count) {
        kc_bytes key = w->key_len > 0 ? payload(b, &at, w->key_len) : KC_NULL;
        kc_bytes value = payload(b, &at, w->value_len);
        must(kp_batch_append(&writer, TIME_MS + writer.count / 100, key, value,
                             w->has_header ? &header : NULL, w->has_header),
             "kp_batch_append");
    }
    return kp_batch_finish(&writer);
}

static void write_records(bench *b, const void *what)
{
    b->sink += fill_batch(b, what);
}

static void write_and_seal(bench *b, const void *what)
{
    kp_batch_seal(b->batch, fill_batch(b, what), NULL);
}

static void read_batch(bench *b, const batch_work *w, bool check_crc)
{
    kc_bytes rest = w->bytes;
    kp_batch batch;
    kp_record_iter iter;
    kp_record record;
    int32_t count = 0;
    must(kp_batch_next(&rest, check_crc, &batch) == KC_OK, "kp_batch_next");
    kp_record_iter_init(&iter, &batch, batch.records);
    while (kp_record_next(&iter, &record) == KC_OK) {
        b->sink += record.value.len + (uint64_t)record.timestamp;
        count++;
    }
    must(count == w->count, "kp_record_next");
}

static void read_records(bench *b, const void *what)
{
    read_batch(b, what, false);
}

static void check_and_read(bench *b, const void *what)
{
    read_batch(b, what, true);
}

static void bench_batch(bench *b, batch_work w)
{
    double write_ns = measure(b, write_records, &w) / w.count;
    double seal_ns = measure(b, write_and_seal, &w) / w.count;
    w.bytes = kc_span(b->batch, fill_batch(b, &w));
    kp_batch_seal(b->batch, w.bytes.len, NULL);
    double read_ns = measure(b, read_records, &w) / w.count;
    double check_ns = measure(b, check_and_read, &w) / w.count;
    printf("{\"bench\":\"records\",\"records\":%d,\"key_bytes\":%zu,\"value_bytes\":%zu,"
           "\"headers\":%d,\"batch_bytes\":%zu,\"write_ns\":%.2f,\"write_crc_ns\":%.2f,"
           "\"read_ns\":%.2f,\"read_crc_ns\":%.2f}\n",
           w.count, w.key_len, w.value_len, w.has_header, w.bytes.len, write_ns, seal_ns, read_ns,
           check_ns);
}

static void bench_records(bench *b)
{
    bench_batch(b, (batch_work){.count = 10000, .value_len = 100});
    bench_batch(b, (batch_work){.count = 10000, .key_len = 16, .value_len = 100});
    bench_batch(b,
                (batch_work){.count = 10000, .key_len = 16, .value_len = 100, .has_header = true});
    bench_batch(b, (batch_work){.count = 10000, .value_len = 1024});
    bench_batch(b, (batch_work){.count = 10000, .value_len = 10});
    bench_batch(b, (batch_work){.count = 150, .value_len = 100}); /* batch.size of 16 KiB */
    bench_batch(b, (batch_work){.count = 15, .value_len = 1024});
}

/* ---- checksum ---- */

typedef struct crc_work {
    const char *way;
    uint32_t (*crc)(uint32_t crc, const void *data, size_t len);
    size_t len;
} crc_work;

static void checksum(bench *b, const void *what)
{
    const crc_work *w = what;
    b->sink += w->crc(0, b->pool, w->len);
}

static void bench_crc(bench *b, crc_work w)
{
    double ns = measure(b, checksum, &w);
    printf("{\"bench\":\"crc32c\",\"way\":\"%s\",\"bytes\":%zu,\"ns\":%.1f,\"gb_per_s\":%.2f}\n",
           w.way, w.len, ns, (double)w.len / ns);
}

static void bench_crc32c(bench *b)
{
    static const size_t lengths[] = {100, 1024, 16384, 65536, MIB};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        bench_crc(b, (crc_work){kp_crc32c_name(), kp_crc32c, lengths[i]});
    bench_crc(b, (crc_work){"instruction", kp_crc32c_instruction, 16384});
    bench_crc(b, (crc_work){"table", kp_crc32c_table, 16384});
}

/* ---- compression ---- */

typedef struct codec_work {
    kp_codec codec;
    kp_codec_cache *cache; /**< NULL: contexts are made anew */
    kc_bytes in;
} codec_work;

static void compress(bench *b, const void *what)
{
    const codec_work *w = what;
    kb_buf_reset(&b->packed);
    must(kp_compress_with(w->cache, w->codec, INT_MIN, w->in, &b->packed) == KC_OK, "compression");
}

static void decompress(bench *b, const void *what)
{
    const codec_work *w = what;
    kb_buf_reset(&b->plain);
    must(kp_decompress_with(w->cache, w->codec, kb_buf_bytes(&b->packed), false, &b->plain) ==
             KC_OK,
         "decompression");
}

static void bench_codec(bench *b, kp_codec codec, int32_t records, bool has_cache)
{
    size_t len = fill_batch(b, &(batch_work){.count = records, .value_len = 100});
    codec_work w = {.codec = codec,
                    .cache = has_cache ? &b->cache : NULL,
                    .in = kc_span(b->batch + KP_BATCH_HEADER_BYTES, len - KP_BATCH_HEADER_BYTES)};
    double pack_ns = measure(b, compress, &w);
    double unpack_ns = measure(b, decompress, &w);
    must(kc_bytes_equal(kb_buf_bytes(&b->plain), w.in), "round trip");
    double bytes = (double)w.in.len;
    printf("{\"bench\":\"compression\",\"codec\":\"%s\",\"cache\":%d,\"bytes\":%zu,"
           "\"ratio\":%.2f,\"compress_mb_per_s\":%.0f,\"compress_us\":%.1f,"
           "\"decompress_mb_per_s\":%.0f,\"decompress_us\":%.1f}\n",
           kp_codec_name(codec), has_cache, w.in.len, bytes / (double)b->packed.len,
           bytes / pack_ns * 1e3, pack_ns / 1e3, bytes / unpack_ns * 1e3, unpack_ns / 1e3);
}

static void bench_compression(bench *b)
{
    static const int32_t records[] = {8, 150, 10000};
    for (int codec = KP_CODEC_GZIP; codec < KP_CODEC_COUNT; codec++) {
        for (size_t i = 0; i < 3 && kp_codec_is_built((kp_codec)codec); i++)
            bench_codec(b, (kp_codec)codec, records[i], true);
    }
    if (kp_codec_is_built(KP_CODEC_ZSTD))
        bench_codec(b, KP_CODEC_ZSTD, records[1], false);
}

static const struct {
    const char *name;
    void (*run)(bench *b);
} sections[] = {
    {"messages", bench_messages},
    {"records", bench_records},
    {"crc32c", bench_crc32c},
    {"compression", bench_compression},
};
#define SECTIONS (sizeof sections / sizeof *sections)

/* Bit i: section i was named; all when none was. */
static unsigned parse(int argc, char **argv)
{
    unsigned chosen = 0;
    for (int i = 1; i < argc; i++) {
        size_t s = 0;
        while (s < SECTIONS && strcmp(argv[i], sections[s].name) != 0)
            s++;
        if (s == SECTIONS) {
            bool is_help = strcmp(argv[i], "--help") == 0;
            fputs(usage, is_help ? stdout : stderr);
            exit(is_help ? 0 : 2);
        }
        chosen |= 1u << s;
    }
    return chosen ? chosen : (1u << SECTIONS) - 1;
}

int main(int argc, char **argv)
{
    static bench b;
    unsigned chosen = parse(argc, argv);
    kb_mem_init(&b.mem, NULL, 0);
    kb_rand_init(&b.rand, 1);
    kb_arena_init(&b.build, &b.mem, 0);
    kb_arena_init(&b.arena, &b.mem, 0);
    kb_buf_init(&b.packed, &b.mem, 0);
    kb_buf_init(&b.plain, &b.mem, 0);
    b.pool = kb_mem_alloc(&b.mem, POOL_BYTES);
    b.batch = kb_mem_alloc(&b.mem, BATCH_BYTES);
    must(b.pool && b.batch, "allocation");
    fill_pool(&b);
    for (size_t s = 0; s < SECTIONS; s++) {
        if (chosen & 1u << s)
            sections[s].run(&b);
    }
    fprintf(stderr, "check %llu\n", (unsigned long long)b.sink);
    kp_codec_cache_cleanup(&b.cache);
    kb_arena_cleanup(&b.build);
    kb_arena_cleanup(&b.arena);
    kb_buf_cleanup(&b.packed);
    kb_buf_cleanup(&b.plain);
    kb_mem_free(&b.mem, b.pool);
    kb_mem_free(&b.mem, b.batch);
    return b.mem.used == 0 ? 0 : 1;
}
