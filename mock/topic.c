/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Properties of topics, and who waits on partitions. */
#include "mock/topic.h"

#include "protocol/base/text.h"

const km_config *km_topic_config(const km_topic *topic, const char *name)
{
    return kb_map_get(&topic->configs, kc_str(name));
}

int64_t km_topic_config_i64(const km_topic *topic, const char *name, int64_t fallback)
{
    const km_config *config = km_topic_config(topic, name);
    int64_t value;
    return config && kb_parse_i64(config->value, &value) ? value : fallback;
}

bool km_topic_config_is(const km_topic *topic, const char *name, const char *value)
{
    const km_config *config = km_topic_config(topic, name);
    return config && kc_bytes_equal(config->value, kc_str(value));
}

bool km_topic_has_policy(const km_topic *topic, const char *policy)
{
    const km_config *config = km_topic_config(topic, "cleanup.policy");
    kc_bytes rest = config ? config->value : KC_STR("delete");
    kc_bytes piece;
    while (kb_text_split(&rest, ',', &piece))
        if (kb_text_is(kb_text_trim(piece), policy))
            return true;
    return false;
}

kc_err km_configs_set(kb_map *configs, kb_mem *mem, kc_bytes name, kc_bytes value)
{
    km_config *config = NULL;
    if (value.ptr) {
        config = kb_mem_alloc(mem, sizeof *config + name.len + value.len);
        if (!config)
            return KC_ERR_NOMEM;
        uint8_t *text = (uint8_t *)(config + 1);
        memcpy(text, name.ptr, name.len);
        if (value.len > 0)
            memcpy(text + name.len, value.ptr, value.len);
        *config = (km_config){kc_span(text, name.len), kc_span(text + name.len, value.len)};
    }
    km_config *old = kb_map_get(configs, name);
    if (config && kb_map_put(configs, config->name, config)) {
        kb_mem_free(mem, config);
        return KC_ERR_NOMEM;
    }
    if (!config)
        kb_map_remove(configs, name);
    kb_mem_free(mem, old);
    return KC_OK;
}

void km_configs_cleanup(kb_map *configs, kb_mem *mem)
{
    size_t pos = 0;
    km_config *config;
    while ((config = kb_map_next(configs, &pos))) {
        kb_map_remove(configs, config->name);
        kb_mem_free(mem, config);
    }
    kb_map_cleanup(configs);
}

void km_partition_wait(km_partition *partition, km_waiter *waiter)
{
    kb_list_push_back(&partition->waiters, &waiter->node);
}

bool km_partition_is_on(const km_partition *partition, int32_t broker_id)
{
    for (int32_t i = 0; i < partition->replica_count; i++)
        if (partition->replicas[i] == broker_id)
            return true;
    return false;
}

void km_partition_wake(km_partition *partition)
{
    /* A waiter may take itself and others off the list, and put itself on again. */
    kb_list woken;
    kb_list_init(&woken);
    kb_list_splice_back(&woken, &partition->waiters);
    kb_list *node;
    while (!kb_list_is_empty(&woken)) {
        node = woken.next;
        kb_list_remove(node);
        km_waiter *waiter = KB_CONTAINER(node, km_waiter, node);
        waiter->fn(waiter);
    }
}
