/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What members of a consumer group are subscribed to, by names and by patterns.
 *
 * A new subscription, other topics or other partitions of those subscribed to make a new epoch of the group; what the
 * topics are is held as one number, compared when the cluster's topics have changed. A pattern is not looked up in the
 * heartbeat that brings it but right after it, as a broker does in the background; the epoch goes up then. Patterns are
 * looked up again when there are other topics, at most each ten seconds. */
#include "mock/consumer_group_core.h"
#include "protocol/base/error.h"

#define REFRESH_LEAST_US ((int64_t)10 * 1000000)
/** group.consumer.regex.refresh.interval.ms */
#define REFRESH_MOST_US ((int64_t)600 * 1000000)

/* ---- patterns ---- */

void km_subscribed_regex_free(kb_mem *mem, km_subscribed_regex *regex)
{
    if (!regex)
        return;
    km_regex_free(regex->compiled);
    kb_mem_free(mem, regex->topics);
    kb_mem_free(mem, regex);
}

static kc_err new_regex(kb_mem *mem, kc_bytes pattern, km_subscribed_regex **out,
                        const char **reason_out)
{
    km_subscribed_regex *regex = kb_mem_zalloc(mem, sizeof *regex + pattern.len);
    if (!regex)
        return KC_ERR_NOMEM;
    memcpy(regex + 1, pattern.ptr, pattern.len);
    regex->pattern = kc_span(regex + 1, pattern.len);
    kc_err err = km_regex_new(mem, pattern, &regex->compiled, reason_out);
    if (err) {
        kb_mem_free(mem, regex);
        return err;
    }
    *out = regex;
    return KC_OK;
}

static const km_subscribed_regex *find_regex(const km_consumer_group *cg, kc_bytes pattern)
{
    return cg && pattern.len > 0 ? kb_map_get(&cg->regexes, pattern) : NULL;
}

size_t km_consumer_group_regex_users(const km_consumer_group *cg, kc_bytes pattern)
{
    size_t users = 0;
    size_t pos = 0;
    const km_consumer_member *member;
    while (cg && (member = kb_map_next(&cg->members, &pos)))
        users += member->now.regex.len > 0 && kc_bytes_equal(member->now.regex, pattern);
    return users;
}

bool km_consumer_view_subscribes(const km_consumer_group *cg, const km_consumer_view *view,
                                 kc_bytes topic)
{
    if (kb_names_has(view->names, topic))
        return true;
    const km_subscribed_regex *regex = find_regex(cg, view->regex);
    return regex && kb_names_has(regex->topics, topic);
}

/* ---- in a heartbeat ---- */

static kc_err subscribe_names(km_consumer_change *change,
                              const kp_consumer_group_heartbeat_req *asked)
{
    if (asked->subscribed_topic_names.count < 0)
        return KC_OK;
    kb_mem *mem = change->request->cluster->mem;
    kb_names *names;
    KB_TRY(kb_names_new(mem, asked->subscribed_topic_names.items,
                        (size_t)asked->subscribed_topic_names.count, &names));
    if (kb_names_equal(names, change->view.names)) {
        kb_mem_free(mem, names);
        return KC_OK;
    }
    change->view.names = names; // the old ones are the base's
    change->has_new_names = true;
    return KC_OK;
}

static kc_err subscribe_regex(km_consumer_change *change, kc_bytes pattern, const char **reason_out)
{
    if (!pattern.ptr)
        return KC_OK;
    kc_bytes old = change->view.regex;
    if (old.ptr && kc_bytes_equal(old, pattern))
        return KC_OK;
    kb_mem *mem = change->request->cluster->mem;
    change->has_new_regex = pattern.len > 0 || old.len > 0;
    change->is_regex_resolved = pattern.len == 0 && old.len > 0;
    if (pattern.len > 0 && km_consumer_group_regex_users(change->cg, pattern) > 0) {
        const km_subscribed_regex *regex = find_regex(change->cg, pattern);
        change->is_regex_resolved = regex && regex->topics;
    } else if (pattern.len > 0) {
        KB_TRY(new_regex(mem, pattern, &change->regex, reason_out));
    }
    return km_text_dup(mem, pattern, &change->view.regex);
}

kc_err km_consumer_change_subscribe(km_consumer_change *change,
                                    const kp_consumer_group_heartbeat_req *asked,
                                    kc_bytes *reason_out)
{
    KB_TRY(subscribe_names(change, asked));
    const char *reason = NULL;
    kc_err err = subscribe_regex(change, asked->subscribed_topic_regex, &reason);
    if (err == KC_ERR_ARGUMENT) {
        *reason_out = kc_str(reason);
        return (kc_err)KC_E_INVALID_REGULAR_EXPRESSION;
    }
    return err;
}

static bool is_subscribed_by_any(const km_consumer_group *cg, const km_consumer_change *change,
                                 kc_bytes topic)
{
    size_t pos = 0;
    const km_consumer_member *member;
    while ((member = kb_map_next(&cg->members, &pos))) {
        const km_consumer_view *view = km_consumer_view_of(change, member);
        if (view && km_consumer_view_subscribes(cg, view, topic))
            return true;
    }
    return false;
}

uint64_t km_consumer_group_hash(const km_consumer_group *cg, const km_consumer_change *change)
{
    const km_cluster *cluster = cg->group->cluster;
    uint64_t sum = 0; // nothing subscribed to is 0, as of a group that is new
    size_t pos = 0;
    const km_topic *topic;
    while ((topic = kb_map_next(&cluster->topics, &pos))) {
        if (!is_subscribed_by_any(cg, change, kc_str(topic->name)))
            continue;
        uint64_t id;
        memcpy(&id, topic->id.bytes, sizeof id);
        id += (uint64_t)topic->partition_count;
        id *= 0x9e3779b97f4a7c15u;
        sum += (id ^ id >> 29) * 0xbf58476d1ce4e5b9u;
    }
    return sum;
}

void km_consumer_change_epoch(km_consumer_change *change)
{
    km_consumer_group *cg = change->cg;
    bool is_other = change->has_new_names || change->is_regex_resolved;
    change->epoch = cg->epoch;
    change->metadata_hash = cg->metadata_hash;
    if (!is_other && cg->metadata_version == cg->group->cluster->topics_version)
        return;
    change->has_metadata = true;
    change->metadata_hash = km_consumer_group_hash(cg, change);
    if (is_other || change->metadata_hash != cg->metadata_hash)
        change->epoch++;
}

/* ---- looking up patterns ---- */

/** The topics that match; NULL: no memory. */
static kb_names *resolve(const km_cluster *cluster, km_regex *compiled)
{
    size_t count = 0;
    size_t pos = 0;
    const km_topic *topic;
    kc_bytes *found = kb_mem_alloc(cluster->mem, cluster->topics.count * sizeof *found);
    if (!found)
        return NULL;
    while ((topic = kb_map_next(&cluster->topics, &pos)))
        if (km_regex_matches(compiled, kc_str(topic->name)))
            found[count++] = kc_str(topic->name);
    kb_names *names = NULL;
    if (kb_names_new(cluster->mem, found, count, &names))
        names = NULL;
    kb_mem_free(cluster->mem, found);
    return names;
}

/** What could not be looked up for want of memory stays as it was, and is tried again later. */
static void on_refresh(kn_timer *timer)
{
    km_consumer_group *cg = timer->user;
    km_cluster *cluster = cg->group->cluster;
    bool has_changed = false;
    size_t pos = 0;
    km_subscribed_regex *regex;
    while ((regex = kb_map_next(&cg->regexes, &pos))) {
        kb_names *topics = resolve(cluster, regex->compiled);
        if (!topics)
            continue;
        has_changed |= !kb_names_equal(topics, regex->topics);
        kb_mem_free(cluster->mem, regex->topics);
        regex->topics = topics;
        regex->resolved_us = cluster->now_us;
        regex->resolved_version = cluster->topics_version;
    }
    uint64_t hash = km_consumer_group_hash(cg, NULL);
    if (!has_changed && hash == cg->metadata_hash)
        return;
    cg->epoch++;
    cg->metadata_hash = hash;
    cg->metadata_version = cluster->topics_version;
}

void km_consumer_group_prune(km_consumer_group *cg)
{
    size_t pos = 0;
    km_subscribed_regex *regex;
    while ((regex = kb_map_next(&cg->regexes, &pos))) {
        if (km_consumer_group_regex_users(cg, regex->pattern) > 0)
            continue;
        kb_map_remove(&cg->regexes, regex->pattern);
        km_subscribed_regex_free(cg->group->cluster->mem, regex);
    }
}

void km_consumer_group_refresh(km_consumer_group *cg, bool is_new_regex)
{
    km_cluster *cluster = cg->group->cluster;
    int64_t last_us = INT64_MIN;
    bool is_needed = is_new_regex;
    size_t pos = 0;
    const km_subscribed_regex *regex;
    while ((regex = kb_map_next(&cg->regexes, &pos))) {
        is_needed |= !regex->topics || regex->resolved_version != cluster->topics_version;
        if (regex->topics && regex->resolved_us > last_us)
            last_us = regex->resolved_us;
    }
    km_consumer_group_prune(cg);
    if (cg->regexes.count == 0 || kn_timer_is_set(&cg->regex_refresh))
        return;
    if (last_us != INT64_MIN && cluster->now_us <= last_us + REFRESH_LEAST_US)
        return;
    is_needed |= last_us == INT64_MIN || cluster->now_us > last_us + REFRESH_MOST_US;
    if (!is_needed)
        return;
    cg->regex_refresh.fn = on_refresh;
    cg->regex_refresh.user = cg;
    km_timer_set(cluster, &cg->regex_refresh, cluster->now_us);
}
