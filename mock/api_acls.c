/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * CreateAcls, DescribeAcls, DeleteAcls: as a broker with an authorizer that lets everything pass. */
#include "mock/acl.h"
#include "mock/api.h"
#include "mock/text.h"

#define CLUSTER_NAME "kafka-cluster"

/* ---- CreateAcls ---- */

static int16_t refuse(kp_create_acls_resp_result *out, kc_bytes why)
{
    out->error_message = why;
    return KC_E_INVALID_REQUEST;
}

static bool is_definite(const km_acl *acl)
{
    return acl->resource_type != KM_ACL_ANY && acl->pattern_type >= KM_ACL_PATTERN_LITERAL &&
           acl->operation != KM_ACL_ANY && acl->permission != KM_ACL_ANY;
}

static bool has_colon(kc_bytes principal)
{
    return principal.len > 0 && memchr(principal.ptr, ':', principal.len) != NULL;
}

static int16_t check(km_request *request, const km_acl *acl, kp_create_acls_resp_result *out)
{
    if (acl->resource_type == KM_ACL_RESOURCE_CLUSTER &&
        !kc_bytes_equal(acl->resource, KC_STR(CLUSTER_NAME)))
        return refuse(out, KC_STR("The only valid name for the CLUSTER resource is " CLUSTER_NAME));
    if (acl->resource.len == 0)
        return refuse(out, KC_STR("Invalid empty resource name"));
    if (!is_definite(acl)) {
        out->error_message = KC_NULL;
        return KC_E_UNKNOWN_SERVER_ERROR;
    }
    if (!has_colon(acl->principal))
        return refuse(out, KM_TEXT(&request->arena,
                                   "Could not parse principal from `" KC_FMT
                                   "` (no colon is present separating the principal type from the "
                                   "principal name)",
                                   KC_ARG(acl->principal)));
    return 0;
}

static km_acl creation_of(const kp_create_acls_req_creation *asked)
{
    return (km_acl){.resource_type = asked->resource_type,
                    .pattern_type = asked->resource_pattern_type,
                    .operation = asked->operation,
                    .permission = asked->permission_type,
                    .resource = asked->resource_name,
                    .principal = asked->principal,
                    .host = asked->host};
}

km_action km_api_create_acls(km_request *request, const void *message, void *response)
{
    const kp_create_acls_req *asked = message;
    kp_create_acls_resp *out = response;
    out->results.items =
        km_request_alloc(request, (size_t)asked->creations.count, sizeof *out->results.items);
    if (!out->results.items)
        return KM_CLOSE;
    for (int32_t i = 0; i < asked->creations.count; i++) {
        km_acl acl = creation_of(&asked->creations.items[i]);
        if (!km_acl_is_known(&acl))
            return KM_CLOSE;
    }
    for (int32_t i = 0; i < asked->creations.count; i++) {
        km_acl acl = creation_of(&asked->creations.items[i]);
        kp_create_acls_resp_result *result = &out->results.items[out->results.count++];
        result->error_message = KC_STR("");
        result->error_code = km_check_broker(request);
        if (!result->error_code)
            result->error_code = check(request, &acl, result);
        if (!result->error_code && km_acl_add(request->cluster, &acl))
            return KM_CLOSE;
    }
    return KM_ANSWER;
}

/* ---- DescribeAcls ---- */

static size_t count_matches(const km_cluster *cluster, const km_acl *filter)
{
    size_t count = 0, pos = 0;
    const km_acl *acl;
    while ((acl = km_acl_next(cluster, &pos)))
        count += km_acl_matches(filter, acl);
    return count;
}

static bool is_same_resource(const km_acl *a, const km_acl *b)
{
    return a->resource_type == b->resource_type && a->pattern_type == b->pattern_type &&
           kc_bytes_equal(a->resource, b->resource);
}

/** All that match and are of the resource of `first`. False: no memory. */
static bool put_resource(km_request *request, const km_acl *filter, const km_acl *first,
                         kp_describe_acls_resp_resource *out)
{
    size_t pos = 0, count = 0;
    const km_acl *acl;
    while ((acl = km_acl_next(request->cluster, &pos)))
        count += is_same_resource(acl, first) && km_acl_matches(filter, acl);
    out->resource_type = first->resource_type;
    out->resource_name = first->resource;
    out->pattern_type = first->pattern_type;
    out->acls.items = km_request_alloc(request, count, sizeof *out->acls.items);
    if (!out->acls.items)
        return false;
    pos = 0;
    while ((acl = km_acl_next(request->cluster, &pos)))
        if (is_same_resource(acl, first) && km_acl_matches(filter, acl))
            out->acls.items[out->acls.count++] =
                (kp_describe_acls_resp_acl){.principal = acl->principal,
                                            .host = acl->host,
                                            .operation = acl->operation,
                                            .permission_type = acl->permission};
    return true;
}

static bool is_told(const kp_describe_acls_resp *out, const km_acl *acl)
{
    for (int32_t i = 0; i < out->resources.count; i++) {
        const kp_describe_acls_resp_resource *told = &out->resources.items[i];
        if (told->resource_type == acl->resource_type && told->pattern_type == acl->pattern_type &&
            kc_bytes_equal(told->resource_name, acl->resource))
            return true;
    }
    return false;
}

km_action km_api_describe_acls(km_request *request, const void *message, void *response)
{
    const kp_describe_acls_req *asked = message;
    kp_describe_acls_resp *out = response;
    const km_acl filter = {.resource_type = asked->resource_type_filter,
                           .pattern_type = asked->pattern_type_filter,
                           .operation = asked->operation,
                           .permission = asked->permission_type,
                           .resource = asked->resource_name_filter,
                           .principal = asked->principal_filter,
                           .host = asked->host_filter};
    if (!km_acl_is_known(&filter))
        return KM_CLOSE;
    out->error_message = KC_STR("");
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return KM_ANSWER;
    out->resources.items = km_request_alloc(request, count_matches(request->cluster, &filter),
                                            sizeof *out->resources.items);
    if (!out->resources.items)
        return KM_CLOSE;
    size_t pos = 0;
    const km_acl *acl;
    while ((acl = km_acl_next(request->cluster, &pos)))
        if (km_acl_matches(&filter, acl) && !is_told(out, acl) &&
            !put_resource(request, &filter, acl, &out->resources.items[out->resources.count++]))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- DeleteAcls ---- */

static km_acl filter_of(const kp_delete_acls_req_filter *asked)
{
    return (km_acl){.resource_type = asked->resource_type_filter,
                    .pattern_type = asked->pattern_type_filter,
                    .operation = asked->operation,
                    .permission = asked->permission_type,
                    .resource = asked->resource_name_filter,
                    .principal = asked->principal_filter,
                    .host = asked->host_filter};
}

/** What the filter has now, copied: it goes before the answer does. False: no memory. */
static bool put_matches(km_request *request, const km_acl *filter,
                        kp_delete_acls_resp_filter_result *out)
{
    size_t pos = 0;
    const km_acl *acl;
    out->matching_acls.items = km_request_alloc(request, count_matches(request->cluster, filter),
                                                sizeof *out->matching_acls.items);
    if (!out->matching_acls.items)
        return false;
    while ((acl = km_acl_next(request->cluster, &pos))) {
        if (!km_acl_matches(filter, acl))
            continue;
        kp_delete_acls_resp_matching_acl *one =
            &out->matching_acls.items[out->matching_acls.count++];
        *one = (kp_delete_acls_resp_matching_acl){
            .resource_type = acl->resource_type,
            .resource_name = km_request_copy(request, acl->resource),
            .pattern_type = acl->pattern_type,
            .principal = km_request_copy(request, acl->principal),
            .host = km_request_copy(request, acl->host),
            .operation = acl->operation,
            .permission_type = acl->permission};
        if (!one->resource_name.ptr || !one->principal.ptr || !one->host.ptr)
            return false;
    }
    return true;
}

static void remove_matches(km_cluster *cluster, const km_acl *filter)
{
    size_t pos = 0;
    const km_acl *acl;
    while ((acl = km_acl_next(cluster, &pos)))
        if (km_acl_matches(filter, acl))
            km_acl_remove(cluster, acl);
}

km_action km_api_delete_acls(km_request *request, const void *message, void *response)
{
    const kp_delete_acls_req *asked = message;
    kp_delete_acls_resp *out = response;
    int32_t count = asked->filters.count;
    int16_t code = km_check_broker(request);
    out->filter_results.items =
        km_request_alloc(request, (size_t)count, sizeof *out->filter_results.items);
    if (!out->filter_results.items)
        return KM_CLOSE;
    for (int32_t i = 0; i < count; i++) {
        km_acl filter = filter_of(&asked->filters.items[i]);
        if (!km_acl_is_known(&filter))
            return KM_CLOSE;
    }
    for (int32_t i = 0; i < count; i++) {
        km_acl filter = filter_of(&asked->filters.items[i]);
        kp_delete_acls_resp_filter_result *result =
            &out->filter_results.items[out->filter_results.count++];
        result->error_code = code;
        if (!code && !put_matches(request, &filter, result))
            return KM_CLOSE;
    }
    /* All of them first: two filters may have the same ACL, and both tell it. */
    for (int32_t i = 0; !code && i < count; i++) {
        km_acl filter = filter_of(&asked->filters.items[i]);
        remove_matches(request->cluster, &filter);
    }
    return KM_ANSWER;
}
