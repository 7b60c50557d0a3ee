/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What idle clients cost: memory, threads and wake-ups of many in one process, each connected, with a
 * producer that sent one record. usage: bench_idle BROKERS TOPIC [CLIENTS [SECONDS]] */
#include <kafkac/kafkac.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_DEFAULT 1000
#define SECONDS_DEFAULT 10

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/** Resident bytes of this process. */
static long long resident(void)
{
    long long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lld %lld", &all, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static int threads(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

static kc_client *connect_one(const char *brokers, const char *topic)
{
    kc_error err = {.text = "out of memory"};
    kc_config *config = kc_config_new();
    kc_client *client = NULL;
    kc_producer *producer;
    kc_producer_stats stats = {0};
    kc_record record = KC_RECORD_INIT;
    record.topic = kc_str(topic);
    record.value = KC_STR("one record");
    if (!config || kc_config_set(config, "bootstrap.servers", brokers, &err) != KC_OK ||
        kc_client_new(config, NULL, &client, &err) != KC_OK ||
        kc_producer_open(client, NULL, &producer, &err) != KC_OK ||
        kc_producer_send(producer, &record, NULL, NULL, &err) != KC_OK ||
        (err.code = kc_producer_flush(producer, 60000)) != KC_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    kc_producer_stats_get(producer, &stats);
    if (stats.records_acked != 1)
        fprintf(stderr, "a record was not acknowledged\n");
    kc_config_free(config);
    return client;
}

/** Turns that something asked for, in so many seconds. */
static long watch(kc_client *const *clients, int count, int seconds)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[64];
    long turns = 0;
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, kc_client_fd(clients[i]), &event);
    }
    long long end_ms = now_ms() + seconds * 1000LL;
    for (long long left_ms; (left_ms = end_ms - now_ms()) > 0;) {
        int got = epoll_wait(epoll, events, 64, (int)left_ms);
        for (int i = 0; i < got; i++, turns++)
            (void)kc_client_dispatch(clients[events[i].data.u32], 0);
    }
    close(epoll);
    return turns;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 5)
        return fprintf(stderr, "usage: %s BROKERS TOPIC [CLIENTS [SECONDS]]\n", argv[0]), 2;
    int count = argc > 3 ? atoi(argv[3]) : CLIENTS_DEFAULT;
    int seconds = argc > 4 ? atoi(argv[4]) : SECONDS_DEFAULT;
    if (count < 2 || seconds < 1)
        return fprintf(stderr, "two clients and a second at least\n"), 2;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    kc_client **clients = calloc((size_t)count, sizeof(kc_client *));
    if (!clients)
        return 1;
    clients[0] = connect_one(argv[1], argv[2]);
    long long first = resident();
    for (int i = 1; i < count; i++)
        clients[i] = connect_one(argv[1], argv[2]);
    (void)watch(clients, count, 2); /* what is kept warm is given back by then */
    long long all = resident();
    kc_client_stats stats;
    kc_client_stats_get(clients[count - 1], &stats);
    long turns = watch(clients, count, seconds);
    printf("{\"clients\":%d,\"resident_bytes_each\":%lld,\"counted_bytes_each\":%zu,"
           "\"connections_each\":%u,\"threads\":%d,\"turns_per_client_and_second\":%.4f}\n",
           count, (all - first) / (count - 1), stats.memory_bytes, stats.connections, threads(),
           (double)turns / count / seconds);
    for (int i = 0; i < count; i++)
        kc_client_free(clients[i]);
    free(clients);
    return 0;
}
