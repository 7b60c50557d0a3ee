/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * "Set up consumer groups": give each of the eight groups that has no member a committed offset,
 * the beginning of the log, where it has none. So events sent between set-up and a service's first
 * start are not skipped, whoever's client the service uses. Groups with members are left alone: they
 * see new topics themselves. */
#include "officeflow/catalogue.h"
#include "officeflow/topics_plan.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

typedef struct seed_topic {
    kc_bytes name;
    int32_t partitions;
} seed_topic;

/** What seeding one group needs at hand. */
typedef struct seeding {
    of_platform *platform;
    kb_arena arena;
    seed_topic *topics;
    size_t topic_count;
    kc_admin_options options;
    kc_error *err;
} seeding;

/** Does the group read this topic: by its patterns, or as its own delayed retries? */
static bool is_read_by(const of_group_spec *group, kc_bytes topic)
{
    for (size_t i = 0; i < sizeof group->patterns / sizeof group->patterns[0]; i++)
        if (group->patterns[i] && of_pattern_match(kc_str(group->patterns[i]), topic))
            return true;
    size_t prefix = sizeof OF_RETRY_PREFIX - 1, name = strlen(group->name);
    return topic.len > prefix + name && memcmp(topic.ptr, OF_RETRY_PREFIX, prefix) == 0 &&
           memcmp(topic.ptr + prefix, group->name, name) == 0 && topic.ptr[prefix + name] == '.';
}

static kc_topic_offset *partitions_of(seeding *s, const of_group_spec *group, size_t *count_out)
{
    size_t total = 0;
    for (size_t t = 0; t < s->topic_count; t++)
        if (is_read_by(group, s->topics[t].name))
            total += (size_t)s->topics[t].partitions;
    kc_topic_offset *list = kb_arena_array(&s->arena, total + 1, sizeof *list);
    *count_out = 0;
    for (size_t t = 0; list && t < s->topic_count; t++) {
        if (!is_read_by(group, s->topics[t].name))
            continue;
        for (int32_t p = 0; p < s->topics[t].partitions; p++)
            list[(*count_out)++] = (kc_topic_offset){
                .topic = s->topics[t].name,
                .partition = p,
                .offset = KC_OFFSET_BEGINNING,
                .leader_epoch = -1,
            };
    }
    return list;
}

static const kc_topic_offset *find_offset(const kc_topic_offset *list, size_t count,
                                          const kc_topic_offset *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].partition == wanted->partition && kc_bytes_equal(list[i].topic, wanted->topic))
            return &list[i];
    return NULL;
}

/** Drop from `list` what has a committed offset already. */
static kc_err keep_uncommitted(const seeding *s, const char *group, kc_topic_offset *list,
                               size_t *count, int32_t *kept_out)
{
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_list_group_offsets(s->platform->client, kc_str(group), NULL, 0,
                                                 &s->options, kc_admin_waiter_fn, &waiter, s->err);
    kc_admin_result *result = of_admin_wait(s->platform, started, &waiter, s->err);
    if (!result)
        return of_admin_failed(s->err);
    size_t committed_count, missing = 0;
    const kc_topic_offset *committed = kc_admin_offsets(result, &committed_count);
    for (size_t i = 0; i < *count; i++) {
        const kc_topic_offset *have = find_offset(committed, committed_count, &list[i]);
        if (have && have->err == KC_OK && have->offset >= 0)
            (*kept_out)++;
        else
            list[missing++] = list[i];
    }
    *count = missing;
    kc_admin_free(result);
    return KC_OK;
}

/** Replace the "beginning" in `list` by numbers. */
static kc_err resolve_beginnings(const seeding *s, kc_topic_offset *list, size_t *count)
{
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_list_offsets(s->platform->client, list, *count, false, &s->options,
                                           kc_admin_waiter_fn, &waiter, s->err);
    kc_admin_result *result = of_admin_wait(s->platform, started, &waiter, s->err);
    if (!result)
        return of_admin_failed(s->err);
    size_t found_count, known = 0;
    const kc_topic_offset *found = kc_admin_offsets(result, &found_count);
    for (size_t i = 0; i < *count; i++) {
        const kc_topic_offset *begin = find_offset(found, found_count, &list[i]);
        if (begin && begin->err == KC_OK && begin->offset >= 0) {
            list[known] = list[i];
            list[known++].offset = begin->offset;
        }
    }
    *count = known;
    kc_admin_free(result);
    return KC_OK;
}

static kc_err commit(const seeding *s, const kc_topic_offset *list, size_t count,
                     of_group_seed *seed)
{
    kc_admin_waiter waiter = {0};
    kc_err started =
        kc_admin_alter_group_offsets(s->platform->client, kc_str(seed->group), list, count,
                                     &s->options, kc_admin_waiter_fn, &waiter, s->err);
    kc_admin_result *result = of_admin_wait(s->platform, started, &waiter, s->err);
    if (!result)
        return of_admin_failed(s->err);
    size_t answer_count;
    const kc_topic_offset *answers = kc_admin_offsets(result, &answer_count);
    kc_err err = KC_OK;
    for (size_t i = 0; i < answer_count; i++) {
        if (answers[i].err == KC_OK)
            seed->seeded++;
        else if (answers[i].err == KC_E_UNKNOWN_MEMBER_ID) // the group got a member meanwhile
            seed->is_active = true;
        else if (err == KC_OK)
            err = kb_error_set(s->err, answers[i].err,
                               "Group %s, " KC_FMT "/%d: the offset was not committed: %s.",
                               seed->group, KC_ARG(answers[i].topic), answers[i].partition,
                               kc_err_name(answers[i].err));
    }
    kc_admin_free(result);
    return err;
}

static kc_err seed_one(seeding *s, const of_group_spec *group, of_group_seed *seed)
{
    if (seed->is_active)
        return KC_OK;
    size_t count;
    kc_topic_offset *list = partitions_of(s, group, &count);
    if (!list)
        return kb_error_code(s->err, KC_ERR_NOMEM);
    if (count > 0)
        KB_TRY(keep_uncommitted(s, group->name, list, &count, &seed->kept));
    if (count > 0)
        KB_TRY(resolve_beginnings(s, list, &count));
    return count > 0 ? commit(s, list, count, seed) : KC_OK;
}

static kc_err find_active(const seeding *s, of_group_seed *seeds)
{
    kc_bytes names[OF_GROUP_COUNT];
    for (size_t i = 0; i < OF_GROUP_COUNT; i++) {
        seeds[i] = (of_group_seed){.group = of_catalogue_group(i)->name};
        names[i] = kc_str(seeds[i].group);
    }
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_groups(s->platform->client, names, OF_GROUP_COUNT,
                                              &s->options, kc_admin_waiter_fn, &waiter, s->err);
    kc_admin_result *result = of_admin_wait(s->platform, started, &waiter, s->err);
    if (!result)
        return of_admin_failed(s->err);
    size_t count;
    const kc_group_description *groups = kc_admin_group_descriptions(result, &count);
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < OF_GROUP_COUNT; i++)
            if (kc_bytes_equal(groups[g].group_id, names[i]))
                seeds[i].is_active = groups[g].member_count > 0;
    kc_admin_free(result);
    return KC_OK;
}

static kc_err seed_all(seeding *s, of_group_seed *seeds)
{
    KB_TRY(find_active(s, seeds));
    for (size_t i = 0; i < OF_GROUP_COUNT; i++)
        KB_TRY(seed_one(s, of_catalogue_group(i), &seeds[i]));
    return KC_OK;
}

static void begin(seeding *s, of_platform *platform, int32_t timeout_ms, kc_error *err)
{
    *s = (seeding){.platform = platform, .options = of_admin_timeout(timeout_ms), .err = err};
    kb_arena_init(&s->arena, &platform->mem, 0);
    *err = (kc_error){0};
}

static kc_err add_topic(seeding *s, kc_bytes name, size_t partitions)
{
    seed_topic *topic = &s->topics[s->topic_count++];
    *topic = (seed_topic){kb_arena_copy(&s->arena, name), (int32_t)partitions};
    return topic->name.ptr ? KC_OK : kb_error_code(s->err, KC_ERR_NOMEM);
}

static kc_err make_room(seeding *s, size_t count)
{
    s->topics = kb_arena_array(&s->arena, count + 1, sizeof *s->topics);
    return s->topics ? KC_OK : kb_error_code(s->err, KC_ERR_NOMEM);
}

/** All topics of the cluster. */
static kc_err find_topics(seeding *s)
{
    kc_admin_waiter waiter = {0};
    kc_err started = kc_admin_describe_topics(s->platform->client, NULL, 0, &s->options,
                                              kc_admin_waiter_fn, &waiter, s->err);
    kc_admin_result *described = of_admin_wait(s->platform, started, &waiter, s->err);
    if (!described)
        return of_admin_failed(s->err);
    const kc_cluster_info *cluster = kc_admin_cluster(described);
    kc_err result = make_room(s, cluster->topic_count);
    for (size_t i = 0; i < cluster->topic_count && result == KC_OK; i++)
        result = add_topic(s, cluster->topics[i].name, cluster->topics[i].partition_count);
    kc_admin_free(described);
    return result;
}

kc_err of_topics_seed_groups(of_platform *platform, int32_t timeout_ms, of_group_seed *seeds_out,
                             size_t *count_out, kc_error *err)
{
    kc_error local;
    seeding s;
    begin(&s, platform, timeout_ms, err ? err : &local);
    kc_err result = find_topics(&s);
    if (result == KC_OK)
        result = seed_all(&s, seeds_out);
    *count_out = OF_GROUP_COUNT;
    kb_arena_cleanup(&s.arena);
    return result;
}

kc_err of_topics_seed_plan(of_platform *platform, const of_plan *plan, int32_t timeout_ms,
                           kc_error *err)
{
    of_group_seed seeds[OF_GROUP_COUNT];
    seeding s;
    begin(&s, platform, timeout_ms, err);
    kc_err result = make_room(&s, plan->count);
    for (size_t i = 0; i < plan->count && result == KC_OK; i++)
        result = add_topic(&s, kc_str(plan->items[i].change.topic),
                           (size_t)plan->items[i].change.partitions);
    if (result == KC_OK)
        result = seed_all(&s, seeds);
    kb_arena_cleanup(&s.arena);
    return result;
}
