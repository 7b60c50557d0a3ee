/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What metadata lacks, in words. */
#include "client/metadata_state.h"

#include <stdio.h>

/** The words behind a topic or the whole: when is it asked for again? */
typedef struct next_ask {
    char text[96];
} next_ask;

static next_ask ask_of(const kc_metadata *metadata, int64_t now_us)
{
    next_ask ask;
    if (kn_request_is_active(&metadata->request))
        snprintf(ask.text, sizeof ask.text, "being asked");
    else if (metadata->due_us != INT64_MAX)
        snprintf(ask.text, sizeof ask.text, "asked again in %s",
                 kb_duration(metadata->due_us - now_us).text);
    else
        snprintf(ask.text, sizeof ask.text, "not asked again");
    return ask;
}

static void explain_request(const kc_metadata *metadata, kb_explain *out)
{
    bool is_asking = kn_request_is_active(&metadata->request);
    if (metadata->failures > 0)
        kb_explain_line(out, "metadata: could not be read for %s (%s), %s: %s",
                        kb_duration(out->now_us - metadata->failing_us).text,
                        kb_count(metadata->failures, "failure").text,
                        ask_of(metadata, out->now_us).text, metadata->error.text);
    if (is_asking)
        kb_explain_line(out, "metadata: %s%s", metadata->version == 0 ? "not known yet; " : "",
                        kn_request_where(&metadata->request, out->now_us).text);
}

static void explain_leaderless(const kc_metadata *metadata, const kc_meta_topic *topic,
                               kb_explain *out)
{
    int32_t first = -1, count = 0;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        int32_t leader = topic->partitions[i].leader;
        if (leader >= 0 && kn_pool_has_broker(metadata->client->pool, leader))
            continue;
        first = first < 0 ? i : first;
        count++;
    }
    if (count == 0)
        return;
    char more[32] = "";
    if (count > 1)
        snprintf(more, sizeof more, " and %d more", (int)count - 1);
    kb_explain_line(out, "topic " KC_FMT ": partition %d%s %s no leader now, %s",
                    KC_ARG(topic->name), (int)first, more, count > 1 ? "have" : "has",
                    ask_of(metadata, out->now_us).text);
}

static void explain_topic(const kc_metadata *metadata, const kc_meta_topic *topic, kb_explain *out)
{
    if (topic->err == KC_OK) {
        explain_leaderless(metadata, topic, out);
        return;
    }
    char since[40] = "";
    if (topic->first_asked_us > 0)
        snprintf(since, sizeof since, " for %s",
                 kb_duration(out->now_us - topic->first_asked_us).text);
    if (topic->err == KC_ERR_AGAIN)
        kb_explain_line(out, "topic " KC_FMT ": not known yet%s, %s", KC_ARG(topic->name), since,
                        ask_of(metadata, out->now_us).text);
    else
        kb_explain_line(out, "topic " KC_FMT ": %s%s, %s: %s", KC_ARG(topic->name),
                        kc_err_name(topic->err), since, ask_of(metadata, out->now_us).text,
                        kc_err_text(topic->err));
}

void kc_metadata_explain(const kc_metadata *metadata, kb_explain *out)
{
    kb_explain_list list = {0};
    explain_request(metadata, out);
    KB_LIST_FOR (node, &metadata->topics) {
        const kc_meta_topic *topic = KB_CONTAINER(node, kc_meta_topic, node);
        bool is_fine = topic->err == KC_OK && kc_meta_topic_is_settled(metadata, topic);
        if (!is_fine && kb_explain_next(&list))
            explain_topic(metadata, topic, out);
    }
    kb_explain_rest(out, &list, "topics");
}
