/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The least a producer can cost: one blocking socket, record batches encoded one after another into
 * one buffer, five requests in flight. No metadata, no errors but the end of the program. The
 * yardstick of bench_produce. */
#define _GNU_SOURCE // getaddrinfo
#include "bench/produce_common.h"
#include "protocol/crc32c.h"
#include "protocol/wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH_BYTES_MAX  1000000
#define IN_FLIGHT_MAX    5
#define HEADER_BYTES     61
#define RESPONSE_MAX     4096
#define RECORD_EXTRA_MAX 30

static int connect_to(const char *address)
{
    char host[128];
    const char *colon = strrchr(address, ':');
    if (!colon || (size_t)(colon - address) >= sizeof host)
        produce_die("-b", "host:port is needed");
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        produce_die("getaddrinfo", address);
    int fd = socket(found->ai_family, found->ai_socktype, 0);
    int one = 1;
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        produce_die("connect", strerror(errno));
    freeaddrinfo(found);
    return fd;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

/** Encode records from `first` on into a batch; how many fitted. */
static int encode_batch(uint8_t *batch, const produce_args *args, long first, size_t *len_out)
{
    uint8_t *p = batch + HEADER_BYTES;
    uint8_t *end = batch + BATCH_BYTES_MAX - RECORD_EXTRA_MAX - args->size;
    int count = 0;
    while (p < end && first + count < args->count) {
        uint8_t head[16];
        uint8_t *h = head;
        *h++ = 0; // attributes
        *h++ = 0; // timestamp delta
        h = put_varint(h, (uint64_t)count << 1);
        *h++ = 1; // key: null
        h = put_varint(h, (uint64_t)args->size << 1);
        size_t head_len = (size_t)(h - head);
        p = put_varint(p, (uint64_t)(head_len + (size_t)args->size + 1) << 1);
        memcpy(p, head, head_len);
        p += head_len;
        memcpy(p, produce_value(args, first + count), (size_t)args->size);
        p += args->size;
        *p++ = 0; // headers: none
        count++;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    size_t len = (size_t)(p - batch);
    kp_store64(batch, 0);
    kp_store32(batch + 8, (uint32_t)len - 12);
    kp_store32(batch + 12, 0);
    batch[16] = 2;
    kp_store16(batch + 21, 0);
    kp_store32(batch + 23, (uint32_t)count - 1);
    kp_store64(batch + 27, now_ms);
    kp_store64(batch + 35, now_ms);
    memset(batch + 43, 0xff, 14); // no producer
    kp_store32(batch + 57, (uint32_t)count);
    kp_store32(batch + 17, kp_crc32c(0, batch + 21, len - 21));
    *len_out = len;
    return count;
}

/** Produce v9 up to the records. */
static size_t encode_request(uint8_t *out, const produce_args *args, uint32_t id, int partition,
                             size_t batch_len)
{
    static const char client[] = "raw";
    size_t name_len = strlen(args->topic);
    uint8_t *p = out + 4;
    kp_store16(p, 0); // Produce
    kp_store16(p + 2, 9);
    kp_store32(p + 4, id);
    kp_store16(p + 8, sizeof client - 1);
    memcpy(p + 10, client, sizeof client - 1);
    p += 10 + sizeof client - 1;
    *p++ = 0; // tags
    *p++ = 0; // transactional id: null
    kp_store16(p, (uint16_t)args->acks);
    kp_store32(p + 2, 30000);
    p += 6;
    *p++ = 2; // one topic
    p = put_varint(p, name_len + 1);
    memcpy(p, args->topic, name_len);
    p += name_len;
    *p++ = 2; // one partition
    kp_store32(p, (uint32_t)partition);
    p = put_varint(p + 4, batch_len + 1);
    size_t len = (size_t)(p - out);
    kp_store32(out, (uint32_t)(len - 4 + batch_len + 3));
    return len;
}

static void send_all(int fd, struct iovec *pieces, size_t count)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    while (message.msg_iovlen > 0) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0)
            produce_die("sendmsg", strerror(errno));
        size_t left = (size_t)sent;
        while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
            left -= message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (uint8_t *)message.msg_iov->iov_base + left;
            message.msg_iov->iov_len -= left;
        }
    }
}

static void receive(int fd, uint8_t *into, size_t len)
{
    while (len > 0) {
        ssize_t got = recv(fd, into, len, 0);
        if (got <= 0)
            produce_die("recv", got < 0 ? strerror(errno) : "closed by the broker");
        into += got;
        len -= (size_t)got;
    }
}

static void receive_response(int fd, const produce_args *args)
{
    uint8_t frame[RESPONSE_MAX];
    receive(fd, frame, 4);
    uint32_t len = kp_load32(frame);
    if (len > sizeof frame)
        produce_die("response", "too long");
    receive(fd, frame, len);
    // correlation id, tags, one topic, its name, one partition, its index, then the error
    size_t at = 4 + 1 + 1 + 1 + strlen(args->topic) + 1 + 4;
    if (len < at + 2 || kp_load16(frame + at) != 0)
        produce_die("response", "an error: does the topic exist, with so many partitions?");
}

int main(int argc, char **argv)
{
    produce_args args = produce_args_read(argc, argv);
    int fd = connect_to(args.brokers);
    uint8_t *batch = malloc(BATCH_BYTES_MAX + 64);
    uint8_t head[1024];
    uint8_t tail[3] = {0};
    if (!batch || strlen(args.topic) > 249 || args.size > BATCH_BYTES_MAX / 2)
        produce_die("arguments", "too large");
    uint32_t requests = 0;
    int in_flight = 0;
    produce_measure measure;
    produce_begin(&measure, &args);
    for (long sent = 0; sent < args.count;) {
        size_t batch_len = 0;
        sent += encode_batch(batch, &args, sent, &batch_len);
        size_t head_len = encode_request(head, &args, requests,
                                         (int)(requests % (uint32_t)args.partitions), batch_len);
        struct iovec pieces[] = {{head, head_len}, {batch, batch_len}, {tail, sizeof tail}};
        send_all(fd, pieces, 3);
        requests++;
        if (args.acks != 0 && ++in_flight == IN_FLIGHT_MAX) {
            receive_response(fd, &args);
            in_flight--;
        }
    }
    while (in_flight-- > 0)
        receive_response(fd, &args);
    produce_end(&measure);
    char extra[48];
    snprintf(extra, sizeof extra, "\"requests\": %u", requests);
    produce_print("raw", &args, &measure, 0, extra);
    close(fd);
    free(batch);
    return 0;
}
