/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The least a consumer can cost: one blocking socket, Fetch version 4, the next request on its way
 * before the last answer is walked, two buffers that are used in turn. Checksum of every batch,
 * every record walked. No metadata, no errors but the end of the program. The yardstick of
 * bench_consume. */
#define _GNU_SOURCE // getaddrinfo
#include "bench/consume_common.h"
#include "protocol/crc32c.h"
#include "protocol/wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FETCH_BYTES_MAX     (50 << 20)
#define PARTITION_BYTES_MAX (1 << 20)
#define BATCH_HEADER_BYTES  61
#define CLIENT_ID           "rawfetch"

typedef struct slice {
    const uint8_t *records;
    size_t len;
} slice;

static int64_t offsets[CONSUME_PARTITIONS_MAX];
static slice slices[CONSUME_PARTITIONS_MAX];

static int connect_to(const char *address)
{
    char host[128];
    const char *colon = strrchr(address, ':');
    if (!colon || (size_t)(colon - address) >= sizeof host)
        consume_die("-b", "host:port is needed");
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        consume_die("getaddrinfo", address);
    int fd = socket(found->ai_family, found->ai_socktype, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        consume_die("connect", strerror(errno));
    freeaddrinfo(found);
    return fd;
}

static void read_all(int fd, uint8_t *to, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, to, len, MSG_WAITALL);
        if (n <= 0)
            consume_die("recv", n == 0 ? "closed" : strerror(errno));
        to += n;
        len -= (size_t)n;
    }
}

static uint8_t *put_text(uint8_t *p, const char *text)
{
    size_t len = strlen(text);
    p = kp_store16(p, (uint16_t)len);
    memcpy(p, text, len);
    return p + len;
}

static void ask(int fd, const consume_args *args)
{
    static uint8_t frame[512 + CONSUME_PARTITIONS_MAX * 16];
    uint8_t *p = frame + 4;
    p = kp_store16(p, 1); /* Fetch */
    p = kp_store16(p, 4);
    p = kp_store32(p, 0);
    p = put_text(p, CLIENT_ID);
    p = kp_store32(p, UINT32_MAX); /* no replica */
    p = kp_store32(p, 500);        /* ms */
    p = kp_store32(p, 1);          /* byte */
    p = kp_store32(p, FETCH_BYTES_MAX);
    *p++ = 0; /* read_uncommitted */
    p = kp_store32(p, 1);
    p = put_text(p, args->topic);
    p = kp_store32(p, (uint32_t)args->partitions);
    for (int i = 0; i < args->partitions; i++) {
        p = kp_store32(p, (uint32_t)i);
        p = kp_store64(p, (uint64_t)offsets[i]);
        p = kp_store32(p, PARTITION_BYTES_MAX);
    }
    kp_store32(frame, (uint32_t)(p - frame - 4));
    if (send(fd, frame, (size_t)(p - frame), 0) != p - frame)
        consume_die("send", strerror(errno));
}

/** Whole batches at the front; *next_offset behind them. */
static size_t measure_batches(const uint8_t *p, size_t len, int64_t *next_offset)
{
    size_t at = 0;
    while (len - at >= BATCH_HEADER_BYTES) {
        size_t size = kp_load32(p + at + 8) + 12;
        if (size > len - at)
            break;
        *next_offset = (int64_t)kp_load64(p + at) + (int32_t)kp_load32(p + at + 23) + 1;
        at += size;
    }
    return at;
}

/** Find the slices, and where each partition goes on. */
static void scan(const uint8_t *p, const consume_args *args)
{
    p += 4 + 4; /* correlation id, throttle time */
    if (kp_load32(p) != 1)
        consume_die("answer", "one topic was asked for");
    p += 4;
    p += 2 + kp_load16(p);
    uint32_t count = kp_load32(p);
    p += 4;
    memset(slices, 0, sizeof slices);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t partition = kp_load32(p);
        if (partition >= (uint32_t)args->partitions || kp_load16(p + 4) != 0)
            consume_die("answer", "error of a partition");
        p += 4 + 2 + 8 + 8; /* and high watermark, last stable offset */
        int32_t aborted = (int32_t)kp_load32(p);
        p += 4 + (aborted > 0 ? (size_t)aborted * 16 : 0);
        size_t len = kp_load32(p);
        p += 4;
        slices[partition].records = p;
        slices[partition].len = measure_batches(p, len, &offsets[partition]);
        p += len;
    }
}

static inline int64_t get_varint(const uint8_t **pp)
{
    const uint8_t *p = *pp;
    uint64_t v = 0;
    unsigned shift = 0;
    do {
        v |= (uint64_t)(*p & 0x7f) << shift;
        shift += 7;
    } while (*p++ & 0x80);
    *pp = p;
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void walk_records(const uint8_t *p, int count, consume_measure *measure)
{
    uint64_t bytes = 0;
    for (int i = 0; i < count; i++) {
        int64_t len = get_varint(&p);
        const uint8_t *next = p + len;
        p++; /* attributes */
        get_varint(&p);
        get_varint(&p);
        int64_t key_len = get_varint(&p);
        if (key_len > 0) {
            p += key_len;
            bytes += (uint64_t)key_len;
        }
        int64_t value_len = get_varint(&p);
        if (value_len > 0)
            bytes += (uint64_t)value_len;
        p = next;
    }
    measure->records += count;
    measure->bytes += bytes;
}

static void walk(slice whole, consume_measure *measure)
{
    for (size_t at = 0; at < whole.len;) {
        const uint8_t *batch = whole.records + at;
        size_t size = kp_load32(batch + 8) + 12;
        if (kp_crc32c(0, batch + 21, size - 21) != kp_load32(batch + 17))
            consume_die("batch", "the checksum differs");
        walk_records(batch + BATCH_HEADER_BYTES, (int32_t)kp_load32(batch + 57), measure);
        at += size;
    }
}

int main(int argc, char **argv)
{
    consume_args args = consume_args_read(argc, argv);
    int fd = connect_to(args.brokers);
    size_t cap = FETCH_BYTES_MAX + (size_t)args.partitions * 4096 + (2 << 20);
    uint8_t *buffers[2] = {malloc(cap), malloc(cap)};
    if (!buffers[0] || !buffers[1])
        consume_die("malloc", "out of memory");

    consume_measure measure;
    consume_begin(&measure);
    ask(fd, &args);
    for (int turn = 0; measure.records < args.count; turn ^= 1) {
        uint8_t size[4];
        read_all(fd, size, sizeof size);
        if (kp_load32(size) > cap)
            consume_die("answer", "too large");
        read_all(fd, buffers[turn], kp_load32(size));
        scan(buffers[turn], &args);
        ask(fd, &args);
        for (int i = 0; i < args.partitions; i++)
            walk(slices[i], &measure);
    }
    consume_end(&measure);
    consume_print("raw", &args, &measure, "");
    close(fd);
    free(buffers[0]);
    free(buffers[1]);
    return 0;
}
