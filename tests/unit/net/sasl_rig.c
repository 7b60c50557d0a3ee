/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The two requests of SASL at a broker of the rig. */
#include "tests/unit/net/sasl_rig.h"

#include "protocol/codec.h"

static void handshake(sasl_server *server, rig_peer *peer, const kp_request_info *info,
                      const kp_sasl_handshake_req *req)
{
    kp_sasl_handshake_resp resp = {0};
    kc_bytes mechanisms[8];
    ck_assert_int_eq(info->version, 1);
    sasl_server_handshake(server, (uintptr_t)peer, req, &resp, mechanisms);
    rig_answer_message(peer, info, info->version, &resp);
}

static void authenticate(sasl_server *server, rig_peer *peer, const kp_request_info *info,
                         const kp_sasl_authenticate_req *req)
{
    kp_sasl_authenticate_resp resp;
    kp_defaults(kp_api_by_key(info->api_key)->response, &resp);
    sasl_server_authenticate(server, (uintptr_t)peer, req, &resp);
    rig_answer_message(peer, info, info->version, &resp);
}

bool sasl_rig_serve(sasl_server *server, rig_peer *peer, const kp_request_info *info)
{
    union {
        kp_sasl_handshake_req handshake;
        kp_sasl_authenticate_req authenticate;
    } req;
    kb_arena arena;
    kp_fault fault;
    if (info->api_key == KP_API_API_VERSIONS) {
        sasl_server_begin(server, (uintptr_t)peer);
        return false;
    }
    if (info->api_key != KP_API_SASL_HANDSHAKE && info->api_key != KP_API_SASL_AUTHENTICATE) {
        sasl_server_other(server, (uintptr_t)peer);
        return false;
    }
    kb_arena_init(&arena, &peer->broker->rig->rig_mem, 0);
    ck_assert_int_eq(kp_decode(kp_api_by_key(info->api_key)->request, info->version, info->body,
                               &arena, &req, &fault),
                     KC_OK);
    if (info->api_key == KP_API_SASL_HANDSHAKE)
        handshake(server, peer, info, &req.handshake);
    else
        authenticate(server, peer, info, &req.authenticate);
    kb_arena_cleanup(&arena);
    return true;
}
