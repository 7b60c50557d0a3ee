/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * For tests that go over every message of the schema in every version. */
#ifndef TESTS_MESSAGES_ALL_H
#define TESTS_MESSAGES_ALL_H

#include "protocol/generated/messages.h"

#include <stdalign.h>

/** Large enough for the root struct of any message. */
typedef struct message_room {
    alignas(16) uint8_t bytes[1024];
} message_room;

/** Requests and responses by key, the headers, the data messages; NULL from the last on. */
static inline const kp_message *message_at(size_t index)
{
    if (index < 2 * kp_api_count()) {
        const kp_api *api = kp_api_at(index / 2);
        return index % 2 == 0 ? api->request : api->response;
    }
    index -= 2 * kp_api_count();
    if (index < 2)
        return index == 0 ? &kp_request_header_message : &kp_response_header_message;
    const kp_message *const *data = kp_data_messages;
    for (index -= 2; *data && index > 0; index--)
        data++;
    return *data;
}

#endif
