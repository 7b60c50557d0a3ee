/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One form posted to a web server, by libcurl on a worker of net/worker.h.
 *
 * libcurl is loaded when it is first needed, and not linked: with what it stands on (Kerberos, LDAP,
 * SSH, ...) it would cost each program 4 ms at its start. A connection serves one call; redirects are
 * not followed, nothing is sent but by http and https, TLS is 1.2 or newer and checks the server's
 * name. libcurl's own habit for proxies: https_proxy, http_proxy, all_proxy and no_proxy of the
 * environment. */
#ifndef KN_HTTP_H
#define KN_HTTP_H

#include "net/worker.h"

/** Longest answer: a token with what is said about it takes a tenth. */
#define KN_HTTP_ANSWER_MAX 65536
/** Room for what libcurl says of a failure. */
#define KN_HTTP_WHY_MAX 256

/** What is to be done; copied. */
typedef struct kn_http_post {
    const char *url;
    const char *authorization;   /**< that header, with its name; secret, and wiped             */
    const char *form;            /**< application/x-www-form-urlencoded                         */
    const char *ca_location;     /**< PEM file, or a folder of `openssl rehash`; NULL: none     */
    const char *ca_certificates; /**< PEM text; NULL: none. Without both: the CAs of the system */
    int32_t connect_timeout_ms;  /**< name, connection, TLS; from 1                             */
    int32_t read_timeout_ms;     /**< and for the whole answer so much more; from 1             */
} kn_http_post;

typedef struct kn_http_answer {
    int status; /**< 0: none came, see why */
    kc_bytes body;
    bool may_pass;    /**< without an answer: another try may bring one         */
    const char *why;  /**< ... what happened                                    */
    const char *hint; /**< ... and what to look at; empty: nothing              */
} kn_http_answer;

/** False: no call will ever work, since the build lacks it (KC_WITH_OIDC). */
bool kn_http_is_built(void);
/** Load libcurl; once is enough for a process. KC_ERR_CONFIG: it is not there, or not built. */
KC_NODISCARD kc_err kn_http_load(kc_error *err);
/** Start; `work` as in kn_work_start(), with its errors. kn_http_load() came first. */
KC_NODISCARD kc_err kn_http_start(kn_work *work, const kn_http_post *post, kc_error *err);
/** From work->done until kn_http_end(), which wipes it. */
void kn_http_answer_get(const kn_work *work, kn_http_answer *answer_out);
/** As kn_work_end(); a call under way ends within a second or so. */
void kn_http_end(kn_work *work);

#endif
