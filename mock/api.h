/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The table of what a broker answers. A handler stands in the api_<family>.c of its family; see request.h for what it
 * may do. */
#ifndef KM_API_H
#define KM_API_H

#include "mock/request.h"

/** NULL: not served, so not advertised. */
km_handler km_api_handler(int16_t api_key);

#define KM_HANDLER(name)                                                                           \
    km_action km_api_##name(km_request *request, const void *message, void *response)

/* api_metadata.c */
KM_HANDLER(api_versions);
KM_HANDLER(metadata);
KM_HANDLER(describe_cluster);
KM_HANDLER(describe_topic_partitions);
/* api_quorum.c */
KM_HANDLER(describe_quorum);
/* api_topics.c */
KM_HANDLER(create_topics);
/* api_topics_change.c */
KM_HANDLER(create_partitions);
KM_HANDLER(delete_topics);
/* api_replicas.c */
KM_HANDLER(elect_leaders);
KM_HANDLER(describe_log_dirs);
KM_HANDLER(list_partition_reassignments);
/* api_sasl.c */
KM_HANDLER(sasl_handshake);
KM_HANDLER(sasl_authenticate);
/* api_acls.c */
KM_HANDLER(create_acls);
KM_HANDLER(describe_acls);
KM_HANDLER(delete_acls);
/* api_quotas.c */
KM_HANDLER(describe_client_quotas);
KM_HANDLER(alter_client_quotas);
/* api_scram.c */
KM_HANDLER(describe_user_scram_credentials);
KM_HANDLER(alter_user_scram_credentials);
/* api_configs.c */
KM_HANDLER(describe_configs);
KM_HANDLER(list_config_resources);
/* api_configs_alter.c */
KM_HANDLER(alter_configs);
KM_HANDLER(incremental_alter_configs);
/* api_coordinator.c */
KM_HANDLER(find_coordinator);
/* api_txn.c */
KM_HANDLER(init_producer_id);
KM_HANDLER(add_offsets_to_txn);
KM_HANDLER(end_txn);
/* api_txn_partitions.c */
KM_HANDLER(add_partitions_to_txn);
/* api_txn_offsets.c */
KM_HANDLER(txn_offset_commit);
/* api_txn_describe.c */
KM_HANDLER(list_transactions);
KM_HANDLER(describe_transactions);
/* api_txn_markers.c */
KM_HANDLER(write_txn_markers);
/* api_classic_group.c */
KM_HANDLER(join_group);
KM_HANDLER(sync_group);
KM_HANDLER(heartbeat);
KM_HANDLER(leave_group);
/* api_group_offsets.c */
KM_HANDLER(offset_commit);
KM_HANDLER(offset_fetch);
KM_HANDLER(offset_delete);
/* api_groups.c */
KM_HANDLER(list_groups);
KM_HANDLER(describe_groups);
KM_HANDLER(delete_groups);

/* the data path: api_produce.c, api_fetch.c, api_offsets.c */
KM_HANDLER(produce);
KM_HANDLER(fetch);
KM_HANDLER(list_offsets);
KM_HANDLER(offset_for_leader_epoch);
KM_HANDLER(delete_records);
KM_HANDLER(describe_producers);
/* api_consumer_group.c */
KM_HANDLER(consumer_group_heartbeat);
KM_HANDLER(consumer_group_describe);
/* api_share_group.c */
KM_HANDLER(share_group_heartbeat);
KM_HANDLER(share_group_describe);
/* api_share_offsets.c */
KM_HANDLER(describe_share_group_offsets);
KM_HANDLER(alter_share_group_offsets);
KM_HANDLER(delete_share_group_offsets);
/* api_share_fetch.c */
KM_HANDLER(share_fetch);
/* api_share_acknowledge.c */
KM_HANDLER(share_acknowledge);

#undef KM_HANDLER

#endif
