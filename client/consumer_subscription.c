/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a member of a group wants to read: names, or all topics that match, looked for anew with
 * each metadata. */
#include "client/consumer_subscription.h"

#include "client/consumer_core.h"
#include "client/consumer_part.h"
#include "protocol/base/error.h"

static void unuse_topics(kc_consumer *consumer, kc_meta_topic **uses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kc_metadata_unuse(consumer->client->metadata, uses[i]);
    kb_mem_free(kc_consumer_mem(consumer), uses);
}

void kc_subscription_clear(kc_consumer *consumer)
{
    kc_subscription *subscription = &consumer->subscription;
    kb_mem *mem = kc_consumer_mem(consumer);
    if (subscription->uses)
        unuse_topics(consumer, subscription->uses, subscription->names->count);
    if (subscription->is_by_match)
        kc_metadata_unuse_all(consumer->client->metadata);
    if (subscription->regex) {
        regfree(subscription->regex);
        kb_mem_free(mem, subscription->regex);
    }
    kb_mem_free(mem, subscription->names);
    *subscription = (kc_subscription){0};
}

bool kc_subscription_has(const kc_consumer *consumer, kc_bytes topic)
{
    return kb_names_has(consumer->subscription.names, topic);
}

bool kc_subscription_is_ready(const kc_consumer *consumer)
{
    const kc_subscription *subscription = &consumer->subscription;
    if (!subscription->is_by_match || !kb_names_equal(subscription->names, NULL))
        return true;
    /* The first answer may have been under way before all topics were asked for. */
    uint64_t answers =
        kc_metadata_version(consumer->client->metadata) - subscription->metadata_version;
    if (answers == 1)
        kc_metadata_refresh(consumer->client->metadata, "no topic matches the subscription");
    return answers >= 2;
}

/* ---- by match ---- */

/** Names that match, not sorted, in the arena. */
static kc_bytes *match_names(kc_consumer *consumer, kb_arena *arena, size_t *count_out)
{
    const kc_metadata *metadata = consumer->client->metadata;
    const kc_subscription *subscription = &consumer->subscription;
    bool is_internal;
    int32_t partition_count;
    size_t pos = 0, total = 0;
    while (kc_metadata_next_name(metadata, &pos, &is_internal, &partition_count).ptr)
        total++;
    kc_bytes *names = kb_arena_array(arena, total, sizeof *names);
    if (!names)
        return NULL;
    kc_bytes name;
    pos = *count_out = 0;
    while ((name = kc_metadata_next_name(metadata, &pos, &is_internal, &partition_count)).ptr)
        if (!is_internal && subscription->match(name, subscription->match_user))
            names[(*count_out)++] = name;
    return names;
}

bool kc_subscription_refresh(kc_consumer *consumer)
{
    kc_subscription *subscription = &consumer->subscription;
    if (!subscription->is_by_match)
        return false;
    kb_mem *mem = kc_consumer_mem(consumer);
    kb_arena arena;
    kb_arena_init(&arena, mem, 0);
    size_t count;
    kc_bytes *found = match_names(consumer, &arena, &count);
    kb_names *names = NULL;
    kc_err err = found ? kb_names_new(mem, found, count, &names) : KC_ERR_NOMEM;
    kb_arena_cleanup(&arena);
    if (err != KC_OK)
        return false; /* out of memory: at the next refresh */
    if (kb_names_equal(subscription->names, names)) {
        kb_mem_free(mem, names);
        return false;
    }
    kb_mem_free(mem, subscription->names);
    subscription->names = names;
    return true;
}

static bool match_regex(kc_bytes topic, void *user)
{
    char text[KC_TOPIC_NAME_MAX + 1];
    if (topic.len > KC_TOPIC_NAME_MAX)
        return false;
    memcpy(text, topic.ptr, topic.len);
    text[topic.len] = '\0';
    regmatch_t match;
    return regexec(user, text, 1, &match, 0) == 0;
}

/* ---- subscribing ---- */

static kc_err check_group(const kc_consumer *consumer, kc_error *err)
{
    if (consumer->is_closing)
        return kb_error_set(err, KC_ERR_STATE, "the consumer is closing");
    if (!consumer->group_id.ptr)
        return kb_error_set(err, KC_ERR_STATE, "subscribing needs a group: set group.id");
    return KC_OK;
}

/** What was there goes; the new subscription takes its place. */
static void replace(kc_consumer *consumer, const kc_subscription *subscription)
{
    if (consumer->is_by_hand) {
        kc_part_drop_all(consumer);
        consumer->is_by_hand = false;
    }
    kc_subscription_clear(consumer);
    consumer->subscription = *subscription;
    consumer->subscription.is_set = true;
    consumer->subscription.metadata_version = kc_metadata_version(consumer->client->metadata);
    kc_member_rejoin(consumer, "the subscription changed");
}

static kc_err use_names(kc_consumer *consumer, kc_subscription *subscription)
{
    kb_mem *mem = kc_consumer_mem(consumer);
    const kb_names *names = subscription->names;
    subscription->uses = kb_mem_alloc(mem, names->count * sizeof(kc_meta_topic *));
    if (!subscription->uses)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < names->count; i++) {
        kc_err err =
            kc_metadata_use(consumer->client->metadata, names->items[i], &subscription->uses[i]);
        if (err != KC_OK) {
            unuse_topics(consumer, subscription->uses, i);
            return err;
        }
        if (consumer->settings->allow_auto_create_topics)
            kc_metadata_allow_create(consumer->client->metadata, subscription->uses[i]);
    }
    return KC_OK;
}

kc_err kc_consumer_subscribe(kc_consumer *consumer, const kc_bytes *topics, size_t count,
                             kc_error *err)
{
    KB_TRY(check_group(consumer, err));
    if (count == 0)
        return kb_error_set(err, KC_ERR_ARGUMENT, "name at least one topic to subscribe to");
    for (size_t i = 0; i < count; i++)
        if (!kc_topic_name_is_valid(topics[i]))
            return kb_error_set(err, KC_ERR_ARGUMENT, "\"" KC_FMT "\" is not a topic name",
                                KC_ARG(topics[i]));
    kc_subscription subscription = {0};
    kb_mem *mem = kc_consumer_mem(consumer);
    if (kb_names_new(mem, topics, count, &subscription.names) != KC_OK ||
        use_names(consumer, &subscription) != KC_OK) {
        kb_mem_free(mem, subscription.names);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    replace(consumer, &subscription);
    return KC_OK;
}

static void subscribe_match(kc_consumer *consumer, kc_subscription *subscription)
{
    subscription->is_by_match = true;
    kc_metadata_use_all(consumer->client->metadata);
    replace(consumer, subscription);
}

kc_err kc_consumer_subscribe_match(kc_consumer *consumer, kc_topic_match_fn match, void *user,
                                   kc_error *err)
{
    KB_TRY(check_group(consumer, err));
    if (!match)
        return kb_error_set(err, KC_ERR_ARGUMENT, "a function is needed");
    kc_subscription subscription = {.match = match, .match_user = user};
    subscribe_match(consumer, &subscription);
    return KC_OK;
}

/** Compiled so that it matches whole names only. */
static kc_err compile(kb_mem *mem, const char *pattern, regex_t **regex_out, kc_error *err)
{
    kb_arena arena;
    kb_arena_init(&arena, mem, 0);
    regex_t *regex = kb_mem_zalloc(mem, sizeof *regex);
    const char *anchored = kb_arena_printf(&arena, "^(%s)$", pattern);
    kc_err result = KC_OK;
    if (!regex || !anchored) {
        result = kb_error_code(err, KC_ERR_NOMEM);
    } else {
        /* The pattern by itself first: "a)(b" is no pattern, though it would be one in brackets. */
        int code = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
        if (code == 0) {
            regfree(regex);
            code = regcomp(regex, anchored, REG_EXTENDED | REG_NOSUB);
        }
        if (code != 0) {
            char reason[128];
            regerror(code, regex, reason, sizeof reason);
            result = kb_error_set(err, KC_ERR_ARGUMENT, "\"%s\" is not a regular expression: %s",
                                  pattern, reason);
        }
    }
    kb_arena_cleanup(&arena);
    if (result != KC_OK)
        kb_mem_free(mem, regex);
    else
        *regex_out = regex;
    return result;
}

kc_err kc_consumer_subscribe_pattern(kc_consumer *consumer, const char *pattern, kc_error *err)
{
    KB_TRY(check_group(consumer, err));
    if (!pattern)
        return kb_error_set(err, KC_ERR_ARGUMENT, "a pattern is needed");
    kc_subscription subscription = {.match = match_regex};
    KB_TRY(compile(kc_consumer_mem(consumer), pattern, &subscription.regex, err));
    subscription.match_user = subscription.regex;
    subscribe_match(consumer, &subscription);
    return KC_OK;
}

void kc_consumer_refresh_topics(kc_consumer *consumer)
{
    kc_metadata_refresh(consumer->client->metadata, "the application asks for new topics");
}

void kc_consumer_unsubscribe(kc_consumer *consumer)
{
    if (consumer->is_closing)
        return;
    if (consumer->is_by_hand) {
        kc_part_drop_all(consumer);
        consumer->is_by_hand = false;
        return;
    }
    if (!consumer->subscription.is_set)
        return;
    kc_subscription_clear(consumer);
    kc_member_leave(consumer);
}
