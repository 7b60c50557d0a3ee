/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Redrive, replay and quarantine records. Key, value and foreign headers pass byte for byte. */
#include "officeflow/dead_redrive.h"

#include "officeflow/catalogue.h"
#include "officeflow/variant.h"

bool of_message_of_view(const kc_view *view, kb_arena *arena, of_message *message_out)
{
    size_t cap = (size_t)view->header_count, count = 0;
    kc_header *headers = kb_arena_array(arena, cap + 1, sizeof *headers);
    if (!headers)
        return false;
    kc_bytes pos = view->headers_raw;
    while (count < cap && kc_view_header(&pos, &headers[count]))
        count++;
    *message_out = (of_message){
        .key = view->key, .value = view->value, .headers = headers, .header_count = count};
    return true;
}

bool of_dead_letter_is_pointer(const of_dead_letter *letter)
{
    kc_bytes truncated;
    return of_header_find(letter->headers, letter->header_count, OF_H_DLQ_TRUNCATED, &truncated);
}

bool of_dead_letter_is_ours(const of_dead_letter *letter)
{
    kc_bytes id = of_header_text(letter->headers, letter->header_count, OF_H_DLQ_ID);
    return kc_bytes_equal(id, kc_str(letter->id));
}

static bool is_topic_text(kc_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_'))
            return false;
    }
    return text.len > 0;
}

bool of_dead_letter_has_topics(const of_dead_letter *letter)
{
    size_t quarantine = sizeof OF_QUARANTINE_PREFIX - 1 + letter->topic.len;
    size_t retry = sizeof OF_RETRY_PREFIX ".now" - 1 + letter->group.len;
    return is_topic_text(letter->topic) && is_topic_text(letter->group) &&
           quarantine <= KC_TOPIC_NAME_MAX && retry <= KC_TOPIC_NAME_MAX;
}

of_policy of_dead_letter_policy(const of_dead_letter *letter, const of_policies *policies)
{
    of_policy policy = of_policies_get(policies, letter->type);
    // bytes that were no event have no type: their topic tells the family
    of_topic_spec spec;
    if (letter->type.len == 0 && of_catalogue_find(letter->topic, &spec) &&
        spec.order == OF_ORDER_STRICT)
        policy.redrive_by_operator_only = true;
    return policy;
}

bool of_dead_letter_is_strict(const of_dead_letter *letter, const of_policies *policies)
{
    return of_dead_letter_policy(letter, policies).redrive_by_operator_only;
}

const char *of_redrive_topic(kb_arena *arena, const of_dead_letter *letter)
{
    return of_retry_topic(arena, letter->group, "now");
}

static bool finish(const of_dead_letter *letter, const of_headers *headers, of_message *message_out)
{
    *message_out = (of_message){.key = letter->key,
                                .value = OF_VARIANT(REDRIVE_VALUE_LOST) ? KC_NULL : letter->value,
                                .headers = headers->items,
                                .header_count = headers->count};
    return !headers->is_failed;
}

static void begin(const of_dead_letter *letter, int32_t redrive, kc_bytes by, kb_arena *arena,
                  of_headers *headers)
{
    of_headers_init(headers, arena);
    of_headers_add_all(headers, letter->headers, letter->header_count);
    of_headers_strip(headers);
    of_headers_set_i64(headers, OF_H_REDRIVE, redrive - OF_VARIANT(REDRIVE_MISCOUNTED));
    of_headers_printf(headers, OF_H_REDRIVE_OF, "%s", letter->id);
    of_headers_set(headers, OF_H_REDRIVE_BY, by);
}

bool of_replay_message(const of_dead_letter *letter, int32_t redrive, kc_bytes by, kb_arena *arena,
                       of_message *message_out)
{
    of_headers headers;
    begin(letter, redrive, by, arena, &headers);
    return finish(letter, &headers, message_out);
}

bool of_redrive_message(const of_dead_letter *letter, int32_t redrive, kc_bytes by, kb_arena *arena,
                        of_message *message_out)
{
    of_headers headers;
    begin(letter, redrive, by, arena, &headers);
    of_origin origin;
    kc_bytes told = of_header_text(letter->headers, letter->header_count, OF_H_ORIGIN);
    if (of_origin_parse(told, &origin))
        of_headers_set(&headers, OF_H_ORIGIN, told);
    else
        of_origin_put(&headers, &(of_origin){.topic = letter->topic,
                                             .partition = letter->partition,
                                             .offset = letter->offset,
                                             .timestamp_type = KC_TIMESTAMP_NONE,
                                             .leader_epoch = -1});
    of_headers_set(&headers, OF_H_STAGE, KC_STR("redrive"));
    of_headers_set(&headers, OF_H_GROUP, letter->group);
    of_headers_set_i64(&headers, OF_H_ATTEMPT, letter->attempts);
    of_headers_set_i64(&headers, OF_H_FIRST_FAILED, letter->first_ms);
    of_headers_set(&headers, OF_H_DLQ_HISTORY, letter->history);
    return finish(letter, &headers, message_out);
}

bool of_quarantine_message(const of_dead_letter *letter, kc_bytes reason, kb_arena *arena,
                           of_message *message_out)
{
    of_headers headers;
    of_headers_init(&headers, arena);
    of_headers_add_all(&headers, letter->headers, letter->header_count);
    if (!letter->history.ptr)
        of_headers_remove(&headers, OF_H_DLQ_HISTORY);
    of_headers_set(&headers, OF_H_DLQ_REASON, reason);
    return finish(letter, &headers, message_out);
}
