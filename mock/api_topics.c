/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * CreateTopics: topics as an administrator wants them. */
#include "mock/api.h"

#include <stdio.h>

static void create(km_request *request, const kp_create_topics_req_topic *asked, bool validate_only,
                   kp_create_topics_resp_topic *out)
{
    out->name = asked->name;
    out->num_partitions = -1;
    out->replication_factor = -1;
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return;
    km_topic *topic = NULL;
    out->error_code = validate_only
                          ? km_topic_check(request->cluster, asked->name, asked->num_partitions,
                                           asked->replication_factor)
                          : km_topic_create(request->cluster, asked->name, asked->num_partitions,
                                            asked->replication_factor, &topic);
    if (!topic)
        return;
    for (int32_t i = 0; i < asked->configs.count; i++)
        if (km_configs_set(&topic->configs, request->cluster->mem, asked->configs.items[i].name,
                           asked->configs.items[i].value))
            out->error_code = KC_E_UNKNOWN_SERVER_ERROR;
    out->topic_id = topic->id;
    out->num_partitions = topic->partition_count;
    out->replication_factor = topic->replication;
}

km_action km_api_create_topics(km_request *request, const void *message, void *response)
{
    const kp_create_topics_req *asked = message;
    kp_create_topics_resp *out = response;
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return KM_CLOSE;
    out->topics.count = asked->topics.count;
    for (int32_t i = 0; i < asked->topics.count; i++)
        create(request, &asked->topics.items[i], asked->validate_only, &out->topics.items[i]);
    return KM_ANSWER;
}
