/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The rules, in the order they were made. */
#include "mock/fault.h"

typedef struct fault_rule {
    kb_list node;
    uint32_t number;
    uint32_t seen; /**< requests that fit, used or not */
    uint32_t hits;
    km_fault fault;
} fault_rule;

struct km_faults {
    km_module module;
    km_cluster *cluster;
    kb_list rules;
    uint32_t next_number;
};

void km_fault_init(km_fault *fault)
{
    *fault = (km_fault){.api_key = -1};
}

static fault_rule *rule_of(const km_cluster *cluster, uint32_t number)
{
    if (!cluster->faults)
        return NULL;
    KB_LIST_FOR (node, &cluster->faults->rules) {
        fault_rule *found = KB_CONTAINER(node, fault_rule, node);
        if (found->number == number)
            return found;
    }
    return NULL;
}

static void rule_free(km_cluster *cluster, fault_rule *gone)
{
    kb_list_remove(&gone->node);
    kb_mem_free(cluster->mem, gone);
}

static void faults_free(km_module *module)
{
    km_faults *faults = KB_CONTAINER(module, km_faults, module);
    km_cluster *cluster = faults->cluster;
    km_fault_clear(cluster);
    cluster->faults = NULL;
    kb_mem_free(cluster->mem, faults);
}

static bool open_faults(km_cluster *cluster)
{
    if (cluster->faults)
        return true;
    km_faults *faults = kb_mem_zalloc(cluster->mem, sizeof *faults);
    if (!faults)
        return false;
    faults->module.free = faults_free;
    faults->cluster = cluster;
    kb_list_init(&faults->rules);
    km_module_add(cluster, &faults->module);
    cluster->faults = faults;
    return true;
}

uint32_t km_fault_add(km_cluster *cluster, const km_fault *fault)
{
    if (!open_faults(cluster))
        return 0;
    fault_rule *added = kb_mem_zalloc(cluster->mem, sizeof *added);
    if (!added)
        return 0;
    added->number = ++cluster->faults->next_number;
    added->fault = *fault;
    kb_list_push_back(&cluster->faults->rules, &added->node);
    return added->number;
}

void km_fault_remove(km_cluster *cluster, uint32_t number)
{
    fault_rule *gone = rule_of(cluster, number);
    if (gone)
        rule_free(cluster, gone);
}

void km_fault_clear(km_cluster *cluster)
{
    if (!cluster->faults)
        return;
    KB_LIST_FOR (node, &cluster->faults->rules) {
        rule_free(cluster, KB_CONTAINER(node, fault_rule, node));
    }
}

uint32_t km_fault_hits(const km_cluster *cluster, uint32_t number)
{
    const fault_rule *found = rule_of(cluster, number);
    return found ? found->hits : 0;
}

static bool fits(const fault_rule *rule, const km_request *request)
{
    const km_fault *fault = &rule->fault;
    return (fault->api_key == -1 || fault->api_key == request->api->key) &&
           (fault->broker_id == 0 || fault->broker_id == request->broker->id) &&
           (fault->count == 0 || rule->hits < fault->count);
}

bool km_fault_match(const km_request *request, km_fault *fault_out)
{
    if (!request->cluster->faults)
        return false;
    KB_LIST_FOR (node, &request->cluster->faults->rules) {
        fault_rule *rule = KB_CONTAINER(node, fault_rule, node);
        if (!fits(rule, request))
            continue;
        uint32_t seen = rule->seen++;
        if (seen < rule->fault.skip ||
            (rule->fault.every > 1 && (seen - rule->fault.skip + 1) % rule->fault.every != 0))
            continue;
        rule->hits++;
        *fault_out = rule->fault;
        return true;
    }
    return false;
}
