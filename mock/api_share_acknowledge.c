/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * ShareAcknowledge (KIP-932): acknowledgements without a fetch, and the end of a session. */
#include "mock/api.h"
#include "mock/share_acks.h"
#include "mock/share_session.h"

#define FINAL_EPOCH   (-1)
#define INITIAL_EPOCH 0

static int16_t check_head(const km_request *request, const kp_share_acknowledge_req *asked)
{
    int16_t forced = km_check_broker(request);
    if (forced && !km_share_error_is_of_partition(forced))
        return forced;
    return asked->group_id.ptr && km_share_member_id_is_valid(asked->member_id)
               ? 0
               : KC_E_INVALID_REQUEST;
}

static int16_t check_session(km_share_session *session, int32_t epoch)
{
    if (epoch == INITIAL_EPOCH)
        return KC_E_INVALID_SHARE_SESSION_EPOCH;
    if (epoch == FINAL_EPOCH)
        return session ? 0 : KC_E_SHARE_SESSION_NOT_FOUND;
    return km_share_session_check(session, epoch);
}

static bool is_next_topic(const km_share_acks *acks, size_t i)
{
    return i == 0 || memcmp(acks->items[i].topic_id.bytes, acks->items[i - 1].topic_id.bytes,
                            sizeof acks->items[i].topic_id.bytes) != 0;
}

static bool put_answer(km_request *request, const km_share_acks *acks,
                       kp_share_acknowledge_resp *out)
{
    size_t topics = 0;
    for (size_t i = 0; i < acks->count; i++)
        topics += is_next_topic(acks, i);
    kp_share_acknowledge_resp_partition *partitions =
        km_request_alloc(request, acks->count, sizeof *partitions);
    out->responses.items = km_request_alloc(request, topics, sizeof *out->responses.items);
    if (!partitions || !out->responses.items)
        return false;
    for (size_t i = 0; i < acks->count; i++) {
        const km_share_ack_item *item = &acks->items[i];
        if (is_next_topic(acks, i)) {
            kp_share_acknowledge_resp_response *topic =
                &out->responses.items[out->responses.count++];
            topic->topic_id = item->topic_id;
            topic->partitions.items = &partitions[i];
        }
        out->responses.items[out->responses.count - 1].partitions.count++;
        partitions[i].partition_index = item->index;
        partitions[i].error_code = item->error;
        partitions[i].error_message = item->message ? kc_str(item->message) : KC_NULL;
    }
    return true;
}

/** Those that are told of, at the front. */
static void leave_out_silent(km_share_acks *acks)
{
    size_t kept = 0;
    for (size_t i = 0; i < acks->count; i++)
        if (acks->items[i].is_told)
            acks->items[kept++] = acks->items[i];
    acks->count = kept;
}

km_action km_api_share_acknowledge(km_request *request, const void *message, void *response)
{
    const kp_share_acknowledge_req *asked = message;
    kp_share_acknowledge_resp *out = response;
    km_share_acks acks = {0};
    out->error_code = check_head(request, asked);
    if (out->error_code)
        return KM_ANSWER;
    km_share_session *session =
        km_share_session_find(request->broker, asked->group_id, asked->member_id);
    out->error_code = check_session(session, asked->share_session_epoch);
    if (out->error_code)
        return KM_ANSWER;
    if (!km_share_acks_of_acknowledge(request, asked, &acks))
        return KM_CLOSE;
    km_share_acks_apply(request, asked->group_id, asked->member_id, asked->is_renew_ack, &acks);
    if (asked->share_session_epoch == FINAL_EPOCH)
        km_share_session_close(session);
    out->acquisition_lock_timeout_ms = km_share_lock_ms(request->cluster, asked->group_id);
    leave_out_silent(&acks);
    return put_answer(request, &acks, out) ? KM_ANSWER : KM_CLOSE;
}
