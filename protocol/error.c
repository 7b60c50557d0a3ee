/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Names, sentences and flags of all error codes: ours here, the broker's from the generated table.
 */
#include "protocol/api.h"

/** One of our codes. */
typedef struct own_error {
    const char *name;
    const char *text;
    uint32_t flags;
} own_error;

#define OWN_FIRST KC_ERR_NOMEM
#define OWN(code) [OWN_FIRST - (code)]

static const own_error own_errors[] = {
    OWN(KC_ERR_NOMEM) = {"KC_ERR_NOMEM", "out of memory, or memory.bytes.max is used up", 0},
    OWN(KC_ERR_TIMEOUT) = {"KC_ERR_TIMEOUT", "the deadline passed before an answer came",
                           KC_ERRF_RETRIABLE},
    OWN(KC_ERR_STATE) = {"KC_ERR_STATE", "not allowed in the present state", 0},
    OWN(KC_ERR_ARGUMENT) = {"KC_ERR_ARGUMENT", "an argument is outside its documented range", 0},
    OWN(KC_ERR_CONFIG) = {"KC_ERR_CONFIG", "unknown property, or a value out of range",
                          KC_ERRF_CONFIG},
    OWN(KC_ERR_CLOSED) = {"KC_ERR_CLOSED", "the client or handle was closed first", 0},
    OWN(KC_ERR_AGAIN) = {"KC_ERR_AGAIN", "nothing is there now: dispatch, then ask again",
                         KC_ERRF_RETRIABLE},
    OWN(KC_ERR_END) = {"KC_ERR_END", "there are no more items", 0},
    OWN(KC_ERR_BUFFER_FULL) = {"KC_ERR_BUFFER_FULL",
                               "buffer.memory is used up: dispatch, then send again",
                               KC_ERRF_RETRIABLE},
    OWN(KC_ERR_TOO_LARGE) = {"KC_ERR_TOO_LARGE", "larger than the limit for it allows", 0},
    OWN(KC_ERR_MALFORMED) = {"KC_ERR_MALFORMED", "the bytes are no valid encoding", 0},
    OWN(KC_ERR_TRUNCATED) = {"KC_ERR_TRUNCATED", "the bytes end in the middle of a value", 0},
    OWN(KC_ERR_CRC) = {"KC_ERR_CRC", "the checksum of a record batch does not match its bytes", 0},
    OWN(KC_ERR_VERSION) = {"KC_ERR_VERSION",
                           "broker and client have no version of this API in common", 0},
    OWN(KC_ERR_RESOLVE) = {"KC_ERR_RESOLVE", "the host name could not be resolved",
                           KC_ERRF_RETRIABLE},
    OWN(KC_ERR_CONNECT) = {"KC_ERR_CONNECT", "the connection could not be made", KC_ERRF_RETRIABLE},
    OWN(KC_ERR_DISCONNECTED) = {"KC_ERR_DISCONNECTED",
                                "the connection ended before the answer: the outcome is unknown",
                                KC_ERRF_RETRIABLE | KC_ERRF_REFRESH_METADATA},
    OWN(KC_ERR_NO_BROKER) = {"KC_ERR_NO_BROKER", "no broker that can do this is known or reachable",
                             KC_ERRF_RETRIABLE | KC_ERRF_REFRESH_METADATA},
    OWN(KC_ERR_UNSUPPORTED) = {"KC_ERR_UNSUPPORTED", "not built into this library", 0},
    OWN(KC_ERR_COMPRESSION) = {"KC_ERR_COMPRESSION",
                               "the data could not be compressed or decompressed", 0},
    OWN(KC_ERR_FORKED) = {"KC_ERR_FORKED",
                          "used in a forked child: only the process that made a client may use it",
                          KC_ERRF_FATAL},
    OWN(KC_ERR_IO) = {"KC_ERR_IO", "a system call failed", 0},
    OWN(KC_ERR_NOT_FOUND) = {"KC_ERR_NOT_FOUND", "there is no such item", 0},
    OWN(KC_ERR_TLS) = {"KC_ERR_TLS", "the TLS handshake or record layer failed", KC_ERRF_RETRIABLE},
    OWN(KC_ERR_AUTH) = {"KC_ERR_AUTH", "authentication failed: check the mechanism and credentials",
                        KC_ERRF_AUTH | KC_ERRF_CONFIG},
};

/** NULL: the code is not one of ours. */
static const own_error *own_error_of(kc_err code)
{
    if (code > OWN_FIRST || code <= OWN_FIRST - (int)(sizeof own_errors / sizeof own_errors[0]))
        return NULL;
    return &own_errors[OWN_FIRST - code];
}

/** NULL: no code of the broker's, or newer than the table. */
static const kp_error_info *broker_error_of(kc_err code)
{
    return code < INT16_MIN || code > INT16_MAX ? NULL : kp_error_info_of((int16_t)code);
}

#define BROKER_FIRST (-1)
#define BROKER(code) [(code)-BROKER_FIRST]

/** By code. A code that is newer than these sentences has its name in the generated table all the
 * same. */
static const char *const broker_texts[] = {
    BROKER(-1) = "the broker met an error it has no code for: see the broker's log",
    BROKER(0) = "success",
    BROKER(1) = "the offset is outside the range of offsets the partition holds",
    BROKER(2) = "the broker found a record batch damaged, or without a key in a compacted topic",
    BROKER(3) = "the broker does not host this topic or partition",
    BROKER(4) = "the size asked for in the fetch is invalid",
    BROKER(5) = "the partition has no leader now: an election is under way",
    BROKER(6) = "the broker is neither leader nor follower of the partition",
    BROKER(7) = "the request timed out on the broker",
    BROKER(8) = "the broker is not available",
    BROKER(9) = "the replica is not available",
    BROKER(10) = "the record batch is larger than the broker accepts: see max.message.bytes",
    BROKER(11) = "the controller moved to another broker",
    BROKER(12) = "the metadata of the committed offset is too large",
    BROKER(13) = "the broker lost its connection before it had the answer",
    BROKER(14) = "the coordinator is still loading its state",
    BROKER(15) = "the coordinator is not available",
    BROKER(16) = "the broker is not the coordinator of this group or transactional id",
    BROKER(17) = "the topic name is invalid, or clients may not write to this topic",
    BROKER(18) = "the record batch is larger than a log segment of the broker",
    BROKER(19) =
        "fewer replicas are in sync than min.insync.replicas asks for: nothing was written",
    BROKER(20) =
        "the records were written, but to fewer replicas than min.insync.replicas asks for",
    BROKER(21) = "acks must be 0, 1 or all",
    BROKER(22) = "the member's generation is not the group's present one",
    BROKER(23) = "the member shares no assignment protocol with the rest of the group",
    BROKER(24) = "the group id is invalid",
    BROKER(25) = "the coordinator does not know this member",
    BROKER(26) = "the session timeout is outside the range the broker allows",
    BROKER(27) = "the group is rebalancing: join again",
    BROKER(28) = "the commit is too large for the broker to store",
    BROKER(29) = "not authorized for the topic",
    BROKER(30) = "not authorized for the group",
    BROKER(31) = "not authorized for the cluster",
    BROKER(32) = "the record's timestamp is outside the range the broker accepts",
    BROKER(33) = "the broker does not support this SASL mechanism",
    BROKER(34) = "the request does not fit the state of the SASL exchange",
    BROKER(35) = "the broker does not support this version of the API",
    BROKER(36) = "a topic of this name exists already",
    BROKER(37) = "the number of partitions is invalid",
    BROKER(38) = "the replication factor is below 1 or above the number of available brokers",
    BROKER(39) = "the replica assignment is invalid",
    BROKER(40) = "the configuration is invalid",
    BROKER(41) = "the broker is not the active controller of the cluster",
    BROKER(42) = "the broker could not make sense of the request: see the broker's log",
    BROKER(43) = "the record format of the broker does not support the request",
    BROKER(44) = "a policy of the broker does not allow the request",
    BROKER(45) = "the batch does not follow the last one of this producer: some are missing",
    BROKER(46) = "the batch was written before",
    BROKER(47) = "the producer's epoch is older than the one the broker knows",
    BROKER(48) = "the transaction is in a state that does not allow this",
    BROKER(49) = "the producer id does not belong to this transactional id now",
    BROKER(50) = "the transaction timeout is above the broker's transaction.max.timeout.ms",
    BROKER(51) = "another change of the same transaction is still under way",
    BROKER(52) = "the transaction coordinator was replaced by a newer one",
    BROKER(53) = "not authorized for the transactional id",
    BROKER(54) = "security features are not enabled on the broker",
    BROKER(55) = "the broker did not try the operation, as another in the request failed",
    BROKER(56) = "the broker can't reach a log directory: see the broker's log",
    BROKER(57) = "the broker has no such log directory",
    BROKER(58) = "SASL authentication failed: check the credentials",
    BROKER(59) = "the broker holds no state of this producer: its records were deleted",
    BROKER(60) = "a reassignment of the partition is under way",
    BROKER(61) = "delegation tokens are not enabled on the broker",
    BROKER(62) = "the broker knows no such delegation token",
    BROKER(63) = "the delegation token belongs to another principal",
    BROKER(64) = "delegation tokens can't be requested over this kind of connection",
    BROKER(65) = "not authorized for the delegation token",
    BROKER(66) = "the delegation token expired",
    BROKER(67) = "the kind of principal is not supported",
    BROKER(68) = "the group still has members",
    BROKER(69) = "there is no such group",
    BROKER(70) = "the broker dropped the fetch session: a full fetch starts a new one",
    BROKER(71) = "the epoch of the fetch session is not the expected one",
    BROKER(72) = "the partition's leader has no listener of the name this connection uses",
    BROKER(73) = "deleting topics is disabled on the broker",
    BROKER(74) = "the leader epoch in the request is older than the broker's",
    BROKER(75) = "the leader epoch in the request is newer than the broker's",
    BROKER(76) = "this version of the API can't carry the compression codec",
    BROKER(77) = "the broker's own epoch is out of date",
    BROKER(78) = "the new leader does not know its high watermark yet",
    BROKER(79) = "join again with the member id the coordinator gave",
    BROKER(80) = "the preferred leader is not available",
    BROKER(81) = "the group is full: see group.max.size on the broker",
    BROKER(82) = "another member took over this group instance id",
    BROKER(83) = "no replica that may become leader is available",
    BROKER(84) = "no election is needed: the leader is the right one",
    BROKER(85) = "no reassignment of the partition is under way",
    BROKER(86) = "a member of the group is subscribed to the topic",
    BROKER(87) = "the broker refused a record: see the record errors in the answer",
    BROKER(88) = "offsets of an open transaction are still pending",
    BROKER(89) = "a quota was exceeded: wait as long as the answer says",
    BROKER(90) = "a newer producer with the same transactional id took over",
    BROKER(91) = "there is no such resource",
    BROKER(92) = "the request names the same resource twice",
    BROKER(93) = "the credential is not acceptable",
    BROKER(94) = "the voters in the request are not the ones the broker knows",
    BROKER(95) = "the version of the feature update is invalid",
    BROKER(96) = "the features could not be updated: see the broker's log",
    BROKER(97) = "the controller could not read the forwarded principal",
    BROKER(98) = "there is no such snapshot",
    BROKER(99) = "the position is outside the snapshot",
    BROKER(100) = "the broker does not know this topic id",
    BROKER(101) = "a broker with this id is registered already",
    BROKER(102) = "no broker with this id is registered",
    BROKER(103) = "the topic id in the broker's log is not the one in the request",
    BROKER(104) = "the cluster id in the request is not this cluster's",
    BROKER(105) = "there is no such transactional id",
    BROKER(106) = "topics changed between name and id within the fetch session",
    BROKER(107) = "the replica may not join the in-sync replicas",
    BROKER(108) = "the change led to the election of a new leader",
    BROKER(109) = "the offset is in tiered storage now",
    BROKER(110) = "the coordinator fenced the member: leave and join again with epoch 0",
    BROKER(111) = "the group instance id is still held by another member",
    BROKER(112) = "the coordinator does not support this assignor",
    BROKER(113) = "the member's epoch is old: ask again after the next heartbeat",
    BROKER(114) = "the request went to the wrong kind of endpoint, broker or controller",
    BROKER(115) = "this kind of endpoint is not supported here",
    BROKER(116) = "there is no controller with this id",
    BROKER(117) = "the telemetry subscription is unknown or out of date",
    BROKER(118) = "the telemetry is larger than the broker accepts",
    BROKER(119) = "the controller refused the broker's registration",
    BROKER(120) = "the transaction met an error: abort it, then go on",
    BROKER(121) = "the record's state does not allow this acknowledgement",
    BROKER(122) = "the broker dropped the share session: a new one starts with epoch 0",
    BROKER(123) = "the epoch of the share session is not the expected one",
    BROKER(124) = "the share coordinator has a newer state epoch",
    BROKER(125) = "the key of the voter does not match its id",
    BROKER(126) = "the voter is in the set already",
    BROKER(127) = "the voter is not in the set",
    BROKER(128) = "the regular expression is invalid",
    BROKER(129) = "the client must start again from its bootstrap servers",
    BROKER(130) = "the streams topology is invalid",
    BROKER(131) = "the epoch of the streams topology is invalid",
    BROKER(132) = "the epoch of the streams topology is out of date",
    BROKER(133) = "the broker has no room for another share session",
};

const char *kc_err_name(kc_err code)
{
    const own_error *own = own_error_of(code);
    if (own)
        return own->name;
    const kp_error_info *info = broker_error_of(code);
    return info ? info->name : "UNKNOWN_CODE";
}

const char *kc_err_text(kc_err code)
{
    const own_error *own = own_error_of(code);
    if (own)
        return own->text;
    const char *text = NULL;
    size_t index =
        (size_t)((int64_t)code - BROKER_FIRST); // wraps to a large number below the first
    if (index < sizeof broker_texts / sizeof broker_texts[0])
        text = broker_texts[index];
    return text ? text : "the broker answered with an error code this library has no sentence for";
}

uint32_t kc_err_flags(kc_err code)
{
    const own_error *own = own_error_of(code);
    if (own)
        return own->flags;
    const kp_error_info *info = broker_error_of(code);
    return info ? info->flags : 0;
}
