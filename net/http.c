/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * libcurl's easy interface on a worker. The job is one block that has everything: what is posted, as
 * text behind the struct, and room for the answer. libcurl reads the secret header from there too,
 * so that the copies which can't be wiped are only those of what it sends. */
#include "net/http.h"

#include "net/tls_conf.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#ifdef KC_WITH_OIDC
#include <curl/curl.h>
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LIBRARY "libcurl.so.4"

_Static_assert(KN_HTTP_WHY_MAX >= CURL_ERROR_SIZE, "libcurl writes so much");

/* ---- the library ---- */

static struct {
    CURLcode (*global_init)(long flags);
    CURL *(*init)(void);
    CURLcode (*setopt)(CURL *curl, CURLoption option, ...);
    CURLcode (*perform)(CURL *curl);
    CURLcode (*getinfo)(CURL *curl, CURLINFO info, ...);
    void (*cleanup)(CURL *curl);
    const char *(*strerror)(CURLcode code);
    bool is_loaded;
} api;
static char load_failure[KN_HTTP_WHY_MAX];
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

static void load(void)
{
    static const struct {
        const char *name;
        void *to;
    } functions[] = {
        {"curl_global_init", &api.global_init}, {"curl_easy_init", &api.init},
        {"curl_easy_setopt", &api.setopt},      {"curl_easy_perform", &api.perform},
        {"curl_easy_getinfo", &api.getinfo},    {"curl_easy_cleanup", &api.cleanup},
        {"curl_easy_strerror", &api.strerror},
    };
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool is_whole = library != NULL;
    for (size_t i = 0; is_whole && i < sizeof functions / sizeof functions[0]; i++) {
        void *function = dlsym(library, functions[i].name);
        is_whole = function != NULL;
        memcpy(functions[i].to, &function, sizeof function);
    }
    if (!is_whole) {
        const char *reason = dlerror();
        kb_text_printable(load_failure, sizeof load_failure, kc_str(reason ? reason : LIBRARY));
        return;
    }
    api.is_loaded = api.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

bool kn_http_is_built(void)
{
    return true;
}

kc_err kn_http_load(kc_error *err)
{
    pthread_once(&load_once, load);
    if (api.is_loaded)
        return KC_OK;
    return kb_error_set(err, KC_ERR_CONFIG, "libcurl can't be loaded (Debian: libcurl4): %s",
                        load_failure[0] ? load_failure : "its start failed");
}

/* ---- the job ---- */

typedef struct job {
    size_t bytes;            /**< of all this                              */
    atomic_bool is_given_up; /**< set by the client; the worker only looks */
    const char *url, *form, *ca_file, *ca_folder;
    char *authorization;
    struct curl_blob ca_text; /**< len 0: none */
    int32_t connect_timeout_ms, read_timeout_ms;

    int status;
    CURLcode code;
    bool is_too_large;
    char why[KN_HTTP_WHY_MAX];
    size_t answer_len;
    uint8_t answer[KN_HTTP_ANSWER_MAX];
    char text[];
} job;

static void release(void *data)
{
    job *j = data;
    kb_mem_wipe(j, j->bytes);
    free(j);
}

/** Append a text with its zero byte; NULL stays NULL. */
static char *put_text(char **at, const char *text)
{
    if (!text)
        return NULL;
    char *copy = *at;
    size_t size = strlen(text) + 1;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static job *job_new(const kn_http_post *post)
{
    const char *const texts[] = {post->url, post->authorization, post->form, post->ca_location,
                                 post->ca_certificates};
    size_t bytes = sizeof(job);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bytes += texts[i] ? strlen(texts[i]) + 1 : 0;
    job *j = calloc(1, bytes);
    if (!j)
        return NULL;
    char *at = j->text;
    j->bytes = bytes;
    j->url = put_text(&at, post->url);
    j->authorization = put_text(&at, post->authorization);
    j->form = put_text(&at, post->form);
    const char *location = put_text(&at, post->ca_location);
    if (location)
        *(kn_tls_path_is_folder(location) ? &j->ca_folder : &j->ca_file) = location;
    j->ca_text.data = put_text(&at, post->ca_certificates);
    j->ca_text.len = post->ca_certificates ? strlen(post->ca_certificates) : 0;
    j->ca_text.flags = CURL_BLOB_NOCOPY;
    j->connect_timeout_ms = post->connect_timeout_ms;
    j->read_timeout_ms = post->read_timeout_ms;
    return j;
}

/* ---- on the worker ---- */

/** More than there is room for ends the call. */
static size_t take(char *bytes, size_t size, size_t count, void *user)
{
    job *j = user;
    size_t len = size * count;
    if (len > sizeof j->answer - j->answer_len) {
        j->is_too_large = true;
        return 0;
    }
    memcpy(j->answer + j->answer_len, bytes, len);
    j->answer_len += len;
    return len;
}

static int look(void *user, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    (void)down_all, (void)down, (void)up_all, (void)up;
    return atomic_load(&((job *)user)->is_given_up);
}

/** False: an option of this is not known to the libcurl that was found. */
static bool set_trust(job *j, CURL *curl)
{
    int failed = (int)api.setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!j->ca_file && !j->ca_folder && j->ca_text.len == 0)
        return !failed;
    failed |= (int)api.setopt(curl, CURLOPT_CAINFO, j->ca_file);
    failed |= (int)api.setopt(curl, CURLOPT_CAPATH, j->ca_folder);
    if (j->ca_text.len > 0)
        failed |= (int)api.setopt(curl, CURLOPT_CAINFO_BLOB, &j->ca_text);
    return !failed;
}

static bool set_options(job *j, CURL *curl, struct curl_slist *headers)
{
    int failed = 0;
    failed |= (int)api.setopt(curl, CURLOPT_NOSIGNAL, 1L);
    failed |= (int)api.setopt(curl, CURLOPT_ERRORBUFFER, j->why);
    failed |= (int)api.setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    failed |= (int)api.setopt(curl, CURLOPT_URL, j->url);
    failed |= (int)api.setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    failed |= (int)api.setopt(curl, CURLOPT_USERAGENT, "kafkac/" KC_VERSION);
    failed |= (int)api.setopt(curl, CURLOPT_HTTPHEADER, headers);
    failed |= (int)api.setopt(curl, CURLOPT_POSTFIELDS, j->form);
    failed |= (int)api.setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)j->connect_timeout_ms);
    failed |= (int)api.setopt(curl, CURLOPT_TIMEOUT_MS,
                              (long)j->connect_timeout_ms + (long)j->read_timeout_ms);
    failed |= (int)api.setopt(curl, CURLOPT_WRITEFUNCTION, take);
    failed |= (int)api.setopt(curl, CURLOPT_WRITEDATA, j);
    failed |= (int)api.setopt(curl, CURLOPT_NOPROGRESS, 0L);
    failed |= (int)api.setopt(curl, CURLOPT_XFERINFOFUNCTION, look);
    failed |= (int)api.setopt(curl, CURLOPT_XFERINFODATA, j);
    return set_trust(j, curl) && !failed;
}

static void run(void *data)
{
    job *j = data;
    char accept[] = "Accept: application/json";
    struct curl_slist more = {.data = accept};
    struct curl_slist headers = {.data = j->authorization, .next = &more};
    CURL *curl = api.init();
    long status = 0;
    j->code = CURLE_OUT_OF_MEMORY;
    if (curl && !set_options(j, curl, &headers))
        j->code = CURLE_UNKNOWN_OPTION;
    else if (curl)
        j->code = api.perform(curl);
    if (j->code == CURLE_OK && api.getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
        j->status = (int)status;
    if (curl)
        api.cleanup(curl);
    OPENSSL_thread_stop(); // what it keeps for this thread, whose own end nobody awaits
}

/* ---- on the client's thread ---- */

static bool may_pass(CURLcode code)
{
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_OUT_OF_MEMORY:
        return true;
    default:
        return false;
    }
}

static const char *why(const job *j)
{
    if (j->is_too_large)
        return "its answer is above 64 KiB";
    if (j->code == CURLE_UNKNOWN_OPTION)
        return "libcurl 7.85 or newer is needed";
    return j->why[0] ? j->why : api.strerror(j->code);
}

static const char *hint_of(CURLcode code)
{
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
        return "; see ssl.truststore.location";
    /* Plaintext, but also a CA of the same name that did not sign, has a text of OpenSSL's depths. */
    if (code == CURLE_SSL_CONNECT_ERROR)
        return "; does it speak TLS, and is its CA in ssl.truststore.location?";
    return "";
}

kc_err kn_http_start(kn_work *work, const kn_http_post *post, kc_error *err)
{
    static const kn_job_kind kind = {.run = run, .release = release};
    job *j = job_new(post);
    if (!j)
        return kb_error_code(err, KC_ERR_NOMEM);
    return kn_work_start(work, &kind, j, err);
}

void kn_http_answer_get(const kn_work *work, kn_http_answer *answer_out)
{
    const job *j = kn_work_data(work);
    *answer_out = (kn_http_answer){
        .status = j->status,
        .body = kc_span(j->answer, j->answer_len),
        .may_pass = may_pass(j->code),
        .why = why(j),
        .hint = hint_of(j->code),
    };
}

void kn_http_end(kn_work *work)
{
    job *j = kn_work_data(work);
    if (j)
        atomic_store(&j->is_given_up, true);
    kn_work_end(work);
}

#else

bool kn_http_is_built(void)
{
    return false;
}

kc_err kn_http_load(kc_error *err)
{
    return kb_error_set(err, KC_ERR_CONFIG, "libcurl is left out of this build (KC_WITH_OIDC)");
}

kc_err kn_http_start(kn_work *work, const kn_http_post *post, kc_error *err)
{
    (void)work, (void)post;
    return kn_http_load(err);
}

void kn_http_answer_get(const kn_work *work, kn_http_answer *answer_out)
{
    (void)work;
    *answer_out = (kn_http_answer){.why = "libcurl is left out of this build", .hint = ""};
}

void kn_http_end(kn_work *work)
{
    kn_work_end(work);
}
#endif
