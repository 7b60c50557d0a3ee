/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What record batches cost: ns per record written and read, CRC-32C, and the codecs. One JSON
 * object a line; each figure is the best of several rounds, so that a neighbour on the machine does
 * not show. */
#define _POSIX_C_SOURCE 199309L
#include "protocol/base/rand.h"
#include "protocol/batch.h"
#include "protocol/crc32c.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS     9
#define MIB        ((size_t)1 << 20)
#define POOL_BYTES (4 * MIB)
#define TIME_MS    INT64_C(1700000000000)

typedef struct bench {
    kb_mem mem;
    kb_rand rand;
    uint8_t *pool;  /**< payloads are taken from here            */
    uint8_t *batch; /**< up to 1 MiB of batch                    */
    kb_buf packed;
    kb_buf plain;
    kp_codec_cache cache;
    uint64_t sink; /**< keeps results from being optimised away */
} bench;

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(bool is_ok, const char *what)
{
    if (is_ok)
        return;
    fprintf(stderr, "bench_batch: %s failed\n", what);
    exit(1);
}

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

/* Fill a batch of `cap` bytes; returns the records. */
static int32_t write_batch(bench *b, size_t cap, size_t key_len, size_t value_len, bool has_header,
                           kp_batch_writer *w)
{
    const kc_header header = {KC_STR("trace"), KC_STR("00-0af7651916cd43dd8448eb211c80319c-01")};
    size_t at = 0;
    kp_batch_writer_init(w, b->batch, cap);
    for (;;) {
        kc_bytes key = key_len > 0 ? payload(b, &at, key_len) : KC_NULL;
        kc_bytes value = payload(b, &at, value_len);
        if (!kp_batch_append(w, TIME_MS + w->count / 100, key, value, has_header ? &header : NULL,
                             has_header))
            return w->count;
    }
}

static int32_t read_batch(bench *b, kc_bytes bytes)
{
    kp_batch batch;
    kp_record_iter iter;
    kp_record record;
    int32_t count = 0;
    must(kp_batch_next(&bytes, false, &batch) == KC_OK, "kp_batch_next");
    kp_record_iter_init(&iter, &batch, batch.records);
    while (kp_record_next(&iter, &record) == KC_OK) {
        b->sink += record.value.len + (uint64_t)record.timestamp;
        count++;
    }
    return count;
}

static void bench_records(bench *b, size_t cap, size_t key_len, size_t value_len, bool has_header)
{
    double write_ns = 1e9;
    double read_ns = 1e9;
    kp_batch_writer w;
    int32_t count = write_batch(b, cap, key_len, value_len, has_header, &w);
    int repeat = 1 + (int)(400000 / count);
    for (int round = 0; round < ROUNDS; round++) {
        double t0 = now_s();
        for (int i = 0; i < repeat; i++)
            (void)write_batch(b, cap, key_len, value_len, has_header, &w);
        double t1 = now_s();
        size_t len = kp_batch_finish(&w);
        double t2 = now_s();
        for (int i = 0; i < repeat; i++)
            must(read_batch(b, kc_span(b->batch, len)) == count, "read");
        double t3 = now_s();
        double records = (double)repeat * count;
        write_ns = (t1 - t0) * 1e9 / records < write_ns ? (t1 - t0) * 1e9 / records : write_ns;
        read_ns = (t3 - t2) * 1e9 / records < read_ns ? (t3 - t2) * 1e9 / records : read_ns;
    }
    printf("{\"bench\":\"records\",\"key_bytes\":%zu,\"value_bytes\":%zu,\"headers\":%d,"
           "\"batch_bytes\":%zu,\"records\":%d,\"write_ns\":%.2f,\"read_ns\":%.2f}\n",
           key_len, value_len, has_header, w.len, count, write_ns, read_ns);
}

typedef uint32_t (*crc_fn)(uint32_t crc, const void *data, size_t len);

static void bench_crc(bench *b, size_t len, const char *way, crc_fn crc)
{
    size_t repeat = 64 * MIB / len;
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double t0 = now_s();
        for (size_t i = 0; i < repeat; i++)
            b->sink += crc(0, b->pool, len);
        double s = now_s() - t0;
        best = s < best ? s : best;
    }
    printf("{\"bench\":\"crc32c\",\"way\":\"%s\",\"bytes\":%zu,\"ns\":%.1f,\"gb_per_s\":%.2f}\n",
           way, len, best * 1e9 / (double)repeat, (double)(repeat * len) / best / 1e9);
}

static void bench_codec(bench *b, kp_codec codec, size_t cap, bool has_cache)
{
    kp_codec_cache *cache = has_cache ? &b->cache : NULL;
    kp_batch_writer w;
    (void)write_batch(b, cap, 0, 100, false, &w);
    kc_bytes in = kc_span(b->batch + KP_BATCH_HEADER_BYTES, w.len - KP_BATCH_HEADER_BYTES);
    size_t repeat = 1 + 4 * MIB / cap;
    double pack_s = 1e9;
    double unpack_s = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double t0 = now_s();
        for (size_t i = 0; i < repeat; i++) {
            kb_buf_reset(&b->packed);
            must(kp_compress_with(cache, codec, INT_MIN, in, &b->packed) == KC_OK, "compression");
        }
        double t1 = now_s();
        for (size_t i = 0; i < repeat; i++) {
            kb_buf_reset(&b->plain);
            must(kp_decompress_with(cache, codec, kb_buf_bytes(&b->packed), false, &b->plain) ==
                     KC_OK,
                 "decompression");
        }
        double t2 = now_s();
        pack_s = t1 - t0 < pack_s ? t1 - t0 : pack_s;
        unpack_s = t2 - t1 < unpack_s ? t2 - t1 : unpack_s;
    }
    must(b->plain.len == in.len && memcmp(b->plain.data, in.ptr, in.len) == 0, "round trip");
    double bytes = (double)(repeat * in.len);
    printf("{\"bench\":\"codec\",\"codec\":\"%s\",\"cache\":%d,\"bytes\":%zu,\"ratio\":%.2f,"
           "\"compress_mb_per_s\":%.0f,\"compress_us\":%.1f,\"decompress_mb_per_s\":%.0f,"
           "\"decompress_us\":%.1f}\n",
           kp_codec_name(codec), has_cache, in.len, (double)in.len / (double)b->packed.len,
           bytes / pack_s / 1e6, pack_s * 1e6 / (double)repeat, bytes / unpack_s / 1e6,
           unpack_s * 1e6 / (double)repeat);
}

int main(void)
{
    static bench b;
    kb_mem_init(&b.mem, NULL, 0);
    kb_rand_init(&b.rand, 1);
    kb_buf_init(&b.packed, &b.mem, 0);
    kb_buf_init(&b.plain, &b.mem, 0);
    b.pool = kb_mem_alloc(&b.mem, POOL_BYTES);
    b.batch = kb_mem_alloc(&b.mem, MIB);
    must(b.pool && b.batch, "allocation");
    fill_pool(&b);

    static const size_t caps[] = {16384, MIB};
    for (size_t i = 0; i < 2; i++) {
        bench_records(&b, caps[i], 0, 100, false);
        bench_records(&b, caps[i], 16, 100, false);
        bench_records(&b, caps[i], 16, 100, true);
        bench_records(&b, caps[i], 0, 1024, false);
        bench_records(&b, caps[i], 0, 10, false);
    }
    static const size_t lengths[] = {100, 1024, 16384, 65536, MIB};
    for (size_t i = 0; i < 5; i++)
        bench_crc(&b, lengths[i], kp_crc32c_name(), kp_crc32c);
    bench_crc(&b, 16384, "instruction", kp_crc32c_instruction);
    bench_crc(&b, 16384, "table", kp_crc32c_table);
    static const size_t pieces[] = {1024, 16384, MIB};
    for (int codec = 1; codec < KP_CODEC_COUNT; codec++) {
        for (size_t i = 0; i < 3 && kp_codec_is_built((kp_codec)codec); i++)
            bench_codec(&b, (kp_codec)codec, pieces[i], true);
    }
    if (kp_codec_is_built(KP_CODEC_ZSTD))
        bench_codec(&b, KP_CODEC_ZSTD, pieces[1], false);
    fprintf(stderr, "check %llu\n", (unsigned long long)b.sink);
    kp_codec_cache_cleanup(&b.cache);
    kb_buf_cleanup(&b.packed);
    kb_buf_cleanup(&b.plain);
    kb_mem_free(&b.mem, b.pool);
    kb_mem_free(&b.mem, b.batch);
    return b.mem.used == 0 ? 0 : 1;
}
