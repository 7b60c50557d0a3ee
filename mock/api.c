/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which handler answers which API. */
#include "mock/api.h"

#define API_KEYS 128

static const km_handler handlers[API_KEYS] = {
    /* what the cluster is */
    [KP_API_API_VERSIONS] = km_api_api_versions,
    [KP_API_METADATA] = km_api_metadata,
    [KP_API_DESCRIBE_CLUSTER] = km_api_describe_cluster,
    [KP_API_DESCRIBE_TOPIC_PARTITIONS] = km_api_describe_topic_partitions,
    [KP_API_DESCRIBE_QUORUM] = km_api_describe_quorum,
    /* administration */
    [KP_API_CREATE_TOPICS] = km_api_create_topics,
    [KP_API_CREATE_PARTITIONS] = km_api_create_partitions,
    [KP_API_DELETE_TOPICS] = km_api_delete_topics,
    [KP_API_ELECT_LEADERS] = km_api_elect_leaders,
    [KP_API_DESCRIBE_LOG_DIRS] = km_api_describe_log_dirs,
    [KP_API_LIST_PARTITION_REASSIGNMENTS] = km_api_list_partition_reassignments,
    [KP_API_SASL_HANDSHAKE] = km_api_sasl_handshake,
    [KP_API_SASL_AUTHENTICATE] = km_api_sasl_authenticate,
    [KP_API_CREATE_ACLS] = km_api_create_acls,
    [KP_API_DESCRIBE_ACLS] = km_api_describe_acls,
    [KP_API_DELETE_ACLS] = km_api_delete_acls,
    [KP_API_DESCRIBE_CLIENT_QUOTAS] = km_api_describe_client_quotas,
    [KP_API_ALTER_CLIENT_QUOTAS] = km_api_alter_client_quotas,
    [KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS] = km_api_describe_user_scram_credentials,
    [KP_API_ALTER_USER_SCRAM_CREDENTIALS] = km_api_alter_user_scram_credentials,
    [KP_API_DESCRIBE_CONFIGS] = km_api_describe_configs,
    [KP_API_LIST_CONFIG_RESOURCES] = km_api_list_config_resources,
    [KP_API_ALTER_CONFIGS] = km_api_alter_configs,
    [KP_API_INCREMENTAL_ALTER_CONFIGS] = km_api_incremental_alter_configs,
    /* coordinators */
    [KP_API_FIND_COORDINATOR] = km_api_find_coordinator,
    /* the data path */
    [KP_API_PRODUCE] = km_api_produce,
    /* producer ids, transactions */
    [KP_API_INIT_PRODUCER_ID] = km_api_init_producer_id,
    [KP_API_ADD_PARTITIONS_TO_TXN] = km_api_add_partitions_to_txn,
    [KP_API_ADD_OFFSETS_TO_TXN] = km_api_add_offsets_to_txn,
    [KP_API_END_TXN] = km_api_end_txn,
    [KP_API_TXN_OFFSET_COMMIT] = km_api_txn_offset_commit,
    [KP_API_DESCRIBE_TRANSACTIONS] = km_api_describe_transactions,
    [KP_API_LIST_TRANSACTIONS] = km_api_list_transactions,
    [KP_API_WRITE_TXN_MARKERS] = km_api_write_txn_markers,
    /* classic groups, offsets of all groups */
    [KP_API_JOIN_GROUP] = km_api_join_group,
    [KP_API_SYNC_GROUP] = km_api_sync_group,
    [KP_API_HEARTBEAT] = km_api_heartbeat,
    [KP_API_LEAVE_GROUP] = km_api_leave_group,
    [KP_API_OFFSET_COMMIT] = km_api_offset_commit,
    [KP_API_OFFSET_FETCH] = km_api_offset_fetch,
    [KP_API_OFFSET_DELETE] = km_api_offset_delete,
    [KP_API_LIST_GROUPS] = km_api_list_groups,
    [KP_API_DESCRIBE_GROUPS] = km_api_describe_groups,
    [KP_API_DELETE_GROUPS] = km_api_delete_groups,
    [KP_API_FETCH] = km_api_fetch,
    [KP_API_LIST_OFFSETS] = km_api_list_offsets,
    [KP_API_OFFSET_FOR_LEADER_EPOCH] = km_api_offset_for_leader_epoch,
    [KP_API_DELETE_RECORDS] = km_api_delete_records,
    [KP_API_DESCRIBE_PRODUCERS] = km_api_describe_producers,
    /* consumer groups of KIP-848 */
    [KP_API_CONSUMER_GROUP_HEARTBEAT] = km_api_consumer_group_heartbeat,
    [KP_API_CONSUMER_GROUP_DESCRIBE] = km_api_consumer_group_describe,
    /* share groups */
    [KP_API_SHARE_GROUP_HEARTBEAT] = km_api_share_group_heartbeat,
    [KP_API_SHARE_GROUP_DESCRIBE] = km_api_share_group_describe,
    [KP_API_SHARE_FETCH] = km_api_share_fetch,
    [KP_API_SHARE_ACKNOWLEDGE] = km_api_share_acknowledge,
    [KP_API_DESCRIBE_SHARE_GROUP_OFFSETS] = km_api_describe_share_group_offsets,
    [KP_API_ALTER_SHARE_GROUP_OFFSETS] = km_api_alter_share_group_offsets,
    [KP_API_DELETE_SHARE_GROUP_OFFSETS] = km_api_delete_share_group_offsets,
};

km_handler km_api_handler(int16_t api_key)
{
    return api_key >= 0 && api_key < API_KEYS ? handlers[api_key] : NULL;
}
