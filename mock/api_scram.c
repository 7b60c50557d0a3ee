/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * DescribeUserScramCredentials and AlterUserScramCredentials: what SASL SCRAM (sasl_scram.c) lets in by. */
#include "mock/api.h"
#include "mock/auth.h"
#include "mock/text.h"
#include "mock/twice.h"

/** By Kafka's number of a mechanism; false: none. */
static bool find_mechanism(int8_t number, km_mechanism *mechanism_out)
{
    *mechanism_out = number == 1 ? KM_SCRAM_SHA_256 : KM_SCRAM_SHA_512;
    return number == 1 || number == 2;
}

/* ---- DescribeUserScramCredentials ---- */

/** Count of what was told; -1: no memory. */
static int32_t tell_credentials(km_request *request, km_user *user,
                                kp_describe_user_scram_credentials_resp_result *out)
{
    out->credential_infos.items =
        km_request_alloc(request, KM_SCRAM_COUNT, sizeof *out->credential_infos.items);
    if (!out->credential_infos.items)
        return -1;
    for (int8_t number = 1; number <= KM_SCRAM_COUNT; number++) {
        km_mechanism mechanism;
        find_mechanism(number, &mechanism);
        const km_scram *scram = user ? km_user_scram(user, mechanism) : NULL;
        if (scram)
            out->credential_infos.items[out->credential_infos.count++] =
                (kp_describe_user_scram_credentials_resp_credential_info){
                    .mechanism = number, .iterations = scram->iterations};
    }
    return out->credential_infos.count;
}

static kp_describe_user_scram_credentials_resp_result *
add_described(kp_describe_user_scram_credentials_resp *out, kc_bytes name)
{
    kp_describe_user_scram_credentials_resp_result *result =
        &out->results.items[out->results.count++];
    result->user = name;
    result->error_message = KC_STR("");
    return result;
}

static km_action describe_all(km_request *request, kp_describe_user_scram_credentials_resp *out)
{
    const km_auth *auth = request->cluster->auth;
    size_t count = auth ? auth->users.count : 0, pos = 0;
    out->results.items = km_request_alloc(request, count, sizeof *out->results.items);
    km_user *user;
    while (out->results.items && auth && (user = km_auth_next(auth, &pos)))
        if (tell_credentials(request, user, add_described(out, user->name)) < 0)
            return KM_CLOSE;
    return out->results.items ? KM_ANSWER : KM_CLOSE;
}

static bool describe_one(km_request *request, kc_bytes name, km_twice twice,
                         kp_describe_user_scram_credentials_resp *out)
{
    const km_auth *auth = request->cluster->auth;
    kp_describe_user_scram_credentials_resp_result *result = add_described(out, name);
    if (twice == KM_TWICE_FIRST) {
        result->error_code = KC_E_DUPLICATE_RESOURCE;
        result->error_message = KM_TEXT(&request->arena,
                                        "Cannot describe SCRAM credentials for the same user twice "
                                        "in a single request: " KC_FMT,
                                        KC_ARG(name));
        return true;
    }
    int32_t count = tell_credentials(request, auth ? km_auth_user(auth, name) : NULL, result);
    if (count == 0) {
        result->error_code = KC_E_RESOURCE_NOT_FOUND;
        result->error_message = KM_TEXT(
            &request->arena, "Attempt to describe a user credential that does not exist: " KC_FMT,
            KC_ARG(name));
    }
    return count >= 0;
}

km_action km_api_describe_user_scram_credentials(km_request *request, const void *message,
                                                 void *response)
{
    const kp_describe_user_scram_credentials_req *asked = message;
    kp_describe_user_scram_credentials_resp *out = response;
    out->error_message = KC_STR("");
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return KM_ANSWER;
    if (asked->users.count <= 0)
        return describe_all(request, out);
    int32_t count = asked->users.count;
    out->results.items = km_request_alloc(request, (size_t)count, sizeof *out->results.items);
    kc_bytes *names = km_request_alloc(request, (size_t)count, sizeof *names);
    for (int32_t i = 0; names && i < count; i++)
        names[i] = asked->users.items[i].name;
    const km_twice *twice = names ? km_twice_find(request, names, count) : NULL;
    if (!out->results.items || !twice)
        return KM_CLOSE;
    for (int32_t i = 0; i < count; i++)
        if (twice[i] != KM_TWICE_AGAIN && !describe_one(request, names[i], twice[i], out))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- AlterUserScramCredentials ---- */

/** What is to happen to one user. */
typedef struct scram_change {
    kc_bytes name;
    int16_t code;
    const char *why; /**< of a refusal; NULL: none is told */
    bool is_refused;
    km_mechanism mechanism;
    const kp_alter_user_scram_credentials_req_upsertion *made; /**< NULL: it is deleted */
} scram_change;

typedef struct scram_changes {
    km_request *request;
    kb_map by_name;
    scram_change *items;
    int32_t count;
} scram_changes;

static void refuse(scram_change *change, int16_t code, const char *why)
{
    change->is_refused = true;
    change->code = code;
    change->why = why;
}

/** The change of this user, to be checked; NULL: he stands here the second time, or there is no memory. */
static scram_change *add_change(scram_changes *all, kc_bytes name, bool *has_memory)
{
    scram_change *change = kb_map_get(&all->by_name, name);
    *has_memory = true;
    if (change) {
        if (!change->is_refused)
            refuse(change, KC_E_DUPLICATE_RESOURCE,
                   "A user credential cannot be altered twice in the same request");
        return NULL;
    }
    change = &all->items[all->count++];
    change->name = name;
    *has_memory = kb_map_put(&all->by_name, name, change) == KC_OK;
    return *has_memory ? change : NULL;
}

static void check_change(const scram_changes *all, scram_change *change, int8_t mechanism)
{
    const km_auth *auth = all->request->cluster->auth;
    if (change->name.len == 0) {
        refuse(change, KC_E_UNACCEPTABLE_CREDENTIAL, "Username must not be empty");
    } else if (!find_mechanism(mechanism, &change->mechanism)) {
        refuse(change, KC_E_UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism");
    } else if (!change->made) {
        km_user *user = auth ? km_auth_user(auth, change->name) : NULL;
        if (!user || !km_user_scram(user, change->mechanism))
            refuse(change, KC_E_RESOURCE_NOT_FOUND,
                   "Attempt to delete a user credential that does not exist");
    } else if (change->made->iterations < KM_SCRAM_ITERATIONS_MIN) {
        refuse(change, KC_E_UNACCEPTABLE_CREDENTIAL, "Too few iterations");
    } else if (change->made->iterations > KM_SCRAM_ITERATIONS_MAX) {
        refuse(change, KC_E_UNACCEPTABLE_CREDENTIAL, "Too many iterations");
    } else if (change->made->salt.len == 0 || change->made->salted_password.len == 0) {
        refuse(change, KC_E_UNKNOWN_SERVER_ERROR, NULL);
    }
}

/** False: no memory. */
static bool read_changes(scram_changes *all, const kp_alter_user_scram_credentials_req *asked)
{
    bool has_memory;
    for (int32_t i = 0; i < asked->deletions.count; i++) {
        scram_change *change = add_change(all, asked->deletions.items[i].name, &has_memory);
        if (!has_memory)
            return false;
        if (change)
            check_change(all, change, asked->deletions.items[i].mechanism);
    }
    for (int32_t i = 0; i < asked->upsertions.count; i++) {
        scram_change *change = add_change(all, asked->upsertions.items[i].name, &has_memory);
        if (!has_memory)
            return false;
        if (!change)
            continue;
        change->made = &asked->upsertions.items[i];
        check_change(all, change, asked->upsertions.items[i].mechanism);
    }
    return true;
}

static bool apply(const scram_changes *all, const scram_change *change)
{
    km_auth *auth = km_auth_open(all->request->cluster);
    if (!auth)
        return false;
    if (change->made)
        return km_auth_set_scram(auth, change->name, change->mechanism, change->made->iterations,
                                 change->made->salt, change->made->salted_password) == KC_OK;
    km_auth_remove_scram(auth, km_auth_user(auth, change->name), change->mechanism);
    return true;
}

/** False: no memory. */
static bool alter(scram_changes *all, const kp_alter_user_scram_credentials_req *asked,
                  kp_alter_user_scram_credentials_resp *out)
{
    int16_t forced = km_check_broker(all->request);
    if (!read_changes(all, asked))
        return false;
    for (int32_t i = 0; i < all->count; i++) {
        scram_change *change = &all->items[i];
        if (forced)
            refuse(change, forced, NULL);
        if (!change->is_refused && !apply(all, change))
            return false;
        out->results.items[out->results.count++] = (kp_alter_user_scram_credentials_resp_result){
            .user = change->name, .error_code = change->code, .error_message = kc_str(change->why)};
    }
    return true;
}

km_action km_api_alter_user_scram_credentials(km_request *request, const void *message,
                                              void *response)
{
    const kp_alter_user_scram_credentials_req *asked = message;
    kp_alter_user_scram_credentials_resp *out = response;
    size_t count = (size_t)asked->deletions.count + (size_t)asked->upsertions.count;
    scram_changes all = {.request = request,
                         .items = km_request_alloc(request, count, sizeof *all.items)};
    out->results.items = km_request_alloc(request, count, sizeof *out->results.items);
    kb_map_init(&all.by_name, request->cluster->mem);
    bool has_memory = all.items && out->results.items && alter(&all, asked, out);
    kb_map_cleanup(&all.by_name);
    return has_memory ? KM_ANSWER : KM_CLOSE;
}
