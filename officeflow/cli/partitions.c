/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Partitions of topics and the ends of their logs, asked for once. */
#include "officeflow/cli/partitions.h"

#include <kafkac/unstable/errors.h>

static bool add_topic(cli_partitions *partitions, const kc_topic_info *topic, int64_t only)
{
    bool is_found = false;
    for (size_t p = 0; p < topic->partition_count; p++) {
        if (only >= 0 && topic->partitions[p].partition != only)
            continue;
        is_found = true;
        if (!cli_partitions_find(partitions, topic->name, topic->partitions[p].partition))
            return cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
    }
    return is_found || cli_complain("topic " KC_FMT " has no partition %lld, it has %zu",
                                    KC_ARG(topic->name), (long long)only, topic->partition_count);
}

static bool add_all(cli_partitions *partitions, const kc_cluster_info *cluster, int64_t only)
{
    for (size_t t = 0; t < cluster->topic_count; t++) {
        const kc_topic_info *topic = &cluster->topics[t];
        if (topic->err == KC_E_UNKNOWN_TOPIC_OR_PARTITION)
            return cli_complain("topic " KC_FMT " does not exist", KC_ARG(topic->name));
        if (topic->err != KC_OK)
            return cli_complain("topic " KC_FMT ": %s", KC_ARG(topic->name),
                                kc_err_text(topic->err));
        if (!add_topic(partitions, topic, only))
            return false;
    }
    return true;
}

bool cli_partitions_of(cli_session *session, const kc_bytes *topics, size_t count, int64_t only,
                       cli_partitions *partitions_out)
{
    kc_error err;
    kc_admin_waiter waiter = {0};
    *partitions_out = (cli_partitions){.session = session};
    kc_err started = kc_admin_describe_topics(session->client, topics, count, NULL,
                                              kc_admin_waiter_fn, &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "looking for the topics", &err);
    if (!result)
        return false;
    bool is_ok = add_all(partitions_out, kc_admin_cluster(result), only);
    kc_admin_free(result);
    return is_ok;
}

static void take_answer(cli_partitions *partitions, const kc_topic_offset *answer, int64_t what)
{
    cli_partition *p = cli_partitions_find(partitions, answer->topic, answer->partition);
    if (!p)
        return;
    if (what == KC_OFFSET_END)
        p->end = answer->offset;
    else
        p->begin = answer->offset;
}

bool cli_partitions_ask(cli_partitions *partitions, int64_t what, bool read_committed)
{
    kc_error err;
    cli_session *session = partitions->session;
    if (partitions->count == 0)
        return true;
    kc_topic_offset *queries = kb_mem_zalloc(&session->mem, partitions->count * sizeof *queries);
    if (!queries)
        return cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
    for (size_t i = 0; i < partitions->count; i++)
        queries[i] = (kc_topic_offset){.topic = partitions->items[i].topic,
                                       .partition = partitions->items[i].partition,
                                       .offset = what,
                                       .leader_epoch = -1};
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_list_offsets(session->client, queries, partitions->count,
                                           read_committed, NULL, kc_admin_waiter_fn, &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "asking for offsets", &err);
    kb_mem_free(&session->mem, queries);
    if (!result)
        return false;
    size_t count;
    bool is_ok = true;
    const kc_topic_offset *answers = kc_admin_offsets(result, &count);
    for (size_t i = 0; i < count && is_ok; i++) {
        if (answers[i].err != KC_OK)
            is_ok = cli_complain("offsets of " KC_FMT "/%d: %s", KC_ARG(answers[i].topic),
                                 answers[i].partition, kc_err_text(answers[i].err));
        take_answer(partitions, &answers[i], what);
    }
    kc_admin_free(result);
    return is_ok;
}

cli_partition *cli_partitions_find(cli_partitions *partitions, kc_bytes topic, int32_t partition)
{
    for (size_t i = 0; i < partitions->count; i++) {
        size_t at = (partitions->last + i) % partitions->count;
        cli_partition *p = &partitions->items[at];
        if (p->partition == partition && kc_bytes_equal(p->topic, topic)) {
            partitions->last = at;
            return p;
        }
    }
    if (partitions->count == partitions->cap) {
        size_t cap = partitions->cap ? partitions->cap * 2 : 32;
        cli_partition *grown =
            kb_mem_realloc(&partitions->session->mem, partitions->items, cap * sizeof *grown);
        if (!grown)
            return NULL;
        partitions->items = grown;
        partitions->cap = cap;
    }
    kc_bytes name = kb_arena_copy(&partitions->session->arena, topic);
    if (!name.ptr)
        return NULL;
    cli_partition *p = &partitions->items[partitions->count++];
    *p = (cli_partition){.topic = name, .partition = partition, .begin = -1, .end = -1, .next = -1};
    return p;
}

void cli_partitions_cleanup(cli_partitions *partitions)
{
    if (partitions->session)
        kb_mem_free(&partitions->session->mem, partitions->items);
    *partitions = (cli_partitions){0};
}
