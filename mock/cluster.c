/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Brokers, time, and who leads what. */
#include "mock/cluster.h"

#include "protocol/base/text.h"

#include <assert.h>
#include <stdio.h>

void km_options_init(km_options *options)
{
    *options = (km_options){
        .broker_count = 1,
        .auto_create_topics = true,
        .num_partitions = 1,
        .group_min_session_timeout_ms = 500,
        .consumer_session_timeout_ms = 45000,
        .consumer_heartbeat_interval_ms = 5000,
        .consumer_assignment_interval_ms = 1000,
        .seed = 1,
    };
}

static void make_id(km_cluster *cluster)
{
    kb_buf text;
    kc_uuid id = kb_uuid_v4(&cluster->rand);
    kb_buf_init(&text, cluster->mem, 0);
    kb_base64url_put(&text, kc_span(id.bytes, sizeof id.bytes));
    snprintf(cluster->id, sizeof cluster->id, "%.*s", (int)text.len,
             text.data ? (char *)text.data : "");
    kb_buf_cleanup(&text);
}

kc_err km_cluster_new(kb_mem *mem, const km_options *options, int64_t now_us, int64_t wall_ms,
                      km_cluster **cluster_out)
{
    if (options->broker_count < 1 || options->broker_count > KM_BROKERS_MAX)
        return KC_ERR_ARGUMENT;
    km_cluster *cluster = kb_mem_zalloc(mem, sizeof *cluster);
    if (!cluster)
        return KC_ERR_NOMEM;
    cluster->mem = mem;
    cluster->options = *options;
    cluster->now_us = now_us;
    cluster->wall_ms = wall_ms;
    cluster->broker_count = options->broker_count;
    cluster->controller = 1;
    cluster->next_producer_id = 1000;
    kb_rand_init(&cluster->rand, options->seed);
    kb_map_init(&cluster->topics, mem);
    kb_map_init(&cluster->topic_ids, mem);
    kb_list_init(&cluster->watchers);
    kb_list_init(&cluster->modules);
    make_id(cluster);
    for (int i = 0; i < cluster->broker_count; i++) {
        km_broker *broker = &cluster->brokers[i];
        broker->cluster = cluster;
        broker->id = i + 1;
        kb_list_init(&broker->connections);
    }
    *cluster_out = cluster;
    return KC_OK;
}

void km_cluster_free(km_cluster *cluster)
{
    if (!cluster)
        return;
    while (!kb_list_is_empty(&cluster->modules)) {
        km_module *module = KB_CONTAINER(cluster->modules.prev, km_module, node);
        kb_list_remove(&module->node);
        module->free(module);
    }
    size_t pos = 0;
    km_topic *topic;
    while ((topic = kb_map_next(&cluster->topics, &pos)))
        km_topic_delete(cluster, topic);
    kb_map_cleanup(&cluster->topics);
    kb_map_cleanup(&cluster->topic_ids);
    kb_mem_free(cluster->mem, cluster);
}

/* ---- time ---- */

void km_timer_set(km_cluster *cluster, kn_timer *timer, int64_t due_us)
{
    kn_timer_heap_remove(&cluster->timers, timer);
    timer->due_us = due_us;
    kn_timer_heap_insert(&cluster->timers, timer);
}

void km_timer_stop(km_cluster *cluster, kn_timer *timer)
{
    kn_timer_heap_remove(&cluster->timers, timer);
}

int64_t km_cluster_next_due(const km_cluster *cluster)
{
    const kn_timer *next = kn_timer_heap_min(&cluster->timers);
    return next ? next->due_us : INT64_MAX;
}

void km_cluster_advance(km_cluster *cluster, int64_t now_us, int64_t wall_ms)
{
    assert(now_us >= cluster->now_us);
    cluster->now_us = now_us;
    cluster->wall_ms = wall_ms;
    /* What a timer sets for now runs in the next call, so that no chain of timers holds this one. */
    uint64_t last = cluster->timers.next_order;
    kn_timer *timer;
    while ((timer = kn_timer_heap_min(&cluster->timers)) && timer->due_us <= now_us &&
           timer->order < last) {
        kn_timer_heap_remove(&cluster->timers, timer);
        timer->fn(timer);
    }
}

/* ---- modules, watchers ---- */

void km_watch(km_cluster *cluster, km_watcher *watcher)
{
    kb_list_push_back(&cluster->watchers, &watcher->node);
}

void km_unwatch(km_watcher *watcher)
{
    kb_list_remove(&watcher->node);
}

void km_memory_check(km_cluster *cluster)
{
    if (cluster->is_memory_told || !cluster->mem->is_full)
        return;
    cluster->is_memory_told = true;
    kb_log_line(&cluster->log, KC_LOG_WARNING,
                "the memory of %zu bytes is used up: records are refused (KAFKA_STORAGE_ERROR), "
                "other requests cost their connection",
                cluster->mem->limit);
}

void km_changed(km_cluster *cluster)
{
    /* A watcher may answer requests, and by that have any other taken off or put on. */
    kb_list told;
    kb_list_init(&told);
    kb_list_splice_back(&told, &cluster->watchers);
    while (!kb_list_is_empty(&told)) {
        km_watcher *watcher = KB_CONTAINER(told.next, km_watcher, node);
        kb_list_remove(&watcher->node);
        kb_list_push_back(&cluster->watchers, &watcher->node);
        watcher->fn(watcher);
    }
}

void km_module_add(km_cluster *cluster, km_module *module)
{
    kb_list_push_back(&cluster->modules, &module->node);
}

km_broker *km_broker_by_id(km_cluster *cluster, int32_t id)
{
    return id >= 1 && id <= cluster->broker_count ? &cluster->brokers[id - 1] : NULL;
}
