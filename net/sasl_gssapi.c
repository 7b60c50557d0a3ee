/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * GSSAPI (RFC 4752) by cyrus-sasl and the Kerberos library. The first message needs a ticket, for
 * which the Kerberos library asks a KDC and blocks: so it is made on a worker. The later ones are
 * made in place: they only compute.
 *
 * With a keytab the library fetches the tickets by itself and gets fresh ones in time; they lie in
 * a cache in memory of the client's own. Without one, tickets are those of a cache that somebody
 * fills (kinit, sssd). So there is no kinit to run, and no thread that renews. */
#define _POSIX_C_SOURCE 200809L // strdup
#include "net/sasl.h"
#include "net/worker.h"
#include "protocol/base/error.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5/krb5.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>

#define WHY_MAX  256
#define KDC_HINT "; is it up, and krb5.conf (KRB5_CONFIG) right?"

/** Of malloc(): it lives as long as the worker, which the client may not. */
typedef struct login {
    char *host, *service;
    char *principal, *keytab, *ccache; /**< NULL: not given */
    gss_cred_id_t cred;
    sasl_conn_t *conn;
    sasl_callback_t callbacks[3];
    int status;    /**< what sasl_client_start() or _step() returned; SASL_FAIL: see why */
    bool may_pass; /**< no KDC could be reached: a later try may find one              */
    const char *out;
    unsigned out_len;
    char why[WHY_MAX];
} login;

typedef struct gssapi {
    kn_sasl *sasl;
    kn_work work;
    bool has_begun;
} gssapi;

/* ---- why it failed ---- */

/** What the Kerberos library says of it, which is more to the point than what GSSAPI does. */
static void fail_gss(login *l, const char *what, OM_uint32 major, OM_uint32 minor)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 ignored, more = 0;
    bool is_told = minor != 0 && !GSS_ERROR(gss_display_status(&ignored, minor, GSS_C_MECH_CODE,
                                                               GSS_C_NO_OID, &more, &text));
    if (!is_told)
        (void)gss_display_status(&ignored, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &text);
    l->may_pass = minor == (OM_uint32)KRB5_KDC_UNREACH;
    snprintf(l->why, sizeof l->why, "%s: %.*s%s", what, (int)text.length,
             text.value ? (const char *)text.value : "", l->may_pass ? KDC_HINT : "");
    (void)gss_release_buffer(&ignored, &text);
    l->status = SASL_FAIL;
}

/** Out of "SASL(-1): generic failure: GSSAPI Error: ... (what the Kerberos library says)". */
static void explain(login *l)
{
    if (l->status == SASL_NOMECH) {
        snprintf(l->why, sizeof l->why,
                 "cyrus-sasl has no plugin for it (Debian: libsasl2-modules-gssapi-mit)");
        return;
    }
    const char *text = l->conn ? sasl_errdetail(l->conn) : sasl_errstring(l->status, NULL, NULL);
    const char *open = text ? strchr(text + (strncmp(text, "SASL(", 5) == 0 ? 5 : 0), '(') : NULL;
    size_t len = text ? strlen(text) : 0;
    if (open && len > 0 && text[len - 1] == ')') {
        text = open + 1;
        len = strlen(text) - 1;
    }
    snprintf(l->why, sizeof l->why, "%.*s", (int)(len < WHY_MAX ? len : WHY_MAX), text ? text : "");
    /* cyrus-sasl has no codes for them */
    const char *hint = "";
    if (strstr(l->why, "not found in Kerberos database"))
        hint = "; see sasl.kerberos.service.name, and the host in bootstrap.servers or "
               "advertised.listeners";
    else if ((l->may_pass = strstr(l->why, "Cannot contact any KDC") != NULL))
        hint = KDC_HINT;
    len = strlen(l->why);
    snprintf(l->why + len, sizeof l->why - len, "%s", hint);
}

/* ---- on the worker ---- */

static int drop_log(void *context, int level, const char *message)
{
    (void)context;
    (void)level;
    (void)message;
    return SASL_OK;
}

/** Nobody is acted for: the broker takes the ticket's own name. */
static int no_user(void *context, int id, const char **result, unsigned *len)
{
    (void)context;
    (void)id;
    *result = "";
    if (len)
        *len = 0;
    return SASL_OK;
}

typedef int (*callback_fn)(void);

static int library_status;

/* Else cyrus-sasl writes to syslog. */
static void begin_library(void)
{
    static const sasl_callback_t callbacks[] = {
        {SASL_CB_LOG, (callback_fn)(void (*)(void))drop_log, NULL},
        {SASL_CB_LIST_END, NULL, NULL},
    };
    library_status = sasl_client_init(callbacks);
}

static bool has_library(login *l)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin_library);
    l->status = library_status;
    return l->status == SASL_OK;
}

/** Of a keytab that can't be used GSSAPI only says that there are no tickets. */
static bool keytab_is_good(login *l)
{
    krb5_context context;
    krb5_keytab keytab = NULL;
    krb5_principal name = NULL;
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_init_context(&context);
    if (code != 0)
        return true; // GSSAPI will say it
    code = krb5_kt_resolve(context, l->keytab, &keytab);
    if (code == 0)
        code = krb5_kt_have_content(context, keytab);
    if (code == 0 && l->principal)
        code = krb5_parse_name(context, l->principal, &name);
    if (code == 0 && name && (code = krb5_kt_get_entry(context, keytab, name, 0, 0, &entry)) == 0)
        krb5_free_keytab_entry_contents(context, &entry);
    if (code != 0) {
        const char *text = krb5_get_error_message(context, code);
        snprintf(l->why, sizeof l->why, "sasl.kerberos.keytab: %s; is it a keytab, and readable?",
                 text);
        krb5_free_error_message(context, text);
        l->status = SASL_FAIL;
    }
    krb5_free_principal(context, name);
    if (keytab)
        krb5_kt_close(context, keytab);
    krb5_free_context(context);
    return code == 0;
}

static bool acquire(login *l)
{
    OM_uint32 major = GSS_S_COMPLETE, minor = 0, ignored;
    gss_name_t name = GSS_C_NO_NAME;
    gss_OID_set_desc mechanisms = {.count = 1, .elements = (gss_OID)gss_mech_krb5};
    gss_key_value_element_desc elements[2];
    gss_key_value_set_desc store = {.count = 0, .elements = elements};
    if (l->keytab)
        elements[store.count++] = (gss_key_value_element_desc){"client_keytab", l->keytab};
    if (l->ccache)
        elements[store.count++] = (gss_key_value_element_desc){"ccache", l->ccache};
    if (l->principal) {
        gss_buffer_desc text = {.length = strlen(l->principal), .value = l->principal};
        major = gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
        if (GSS_ERROR(major)) {
            fail_gss(l, "the principal can't be read", major, minor);
            return false;
        }
    }
    major = gss_acquire_cred_from(&minor, name, GSS_C_INDEFINITE, &mechanisms, GSS_C_INITIATE,
                                  &store, &l->cred, NULL, NULL);
    (void)gss_release_name(&ignored, &name);
    if (GSS_ERROR(major) && (!l->keytab || keytab_is_good(l)))
        fail_gss(l,
                 l->keytab ? "no ticket by the keytab"
                           : "no ticket; run kinit, or set sasl.kerberos.keytab",
                 major, minor);
    return !GSS_ERROR(major);
}

static bool begin(login *l)
{
    static const sasl_security_properties_t authenticate_only = {.max_ssf = 0};
    l->callbacks[0] = (sasl_callback_t){SASL_CB_LOG, (callback_fn)(void (*)(void))drop_log, NULL};
    l->callbacks[1] = (sasl_callback_t){SASL_CB_USER, (callback_fn)(void (*)(void))no_user, NULL};
    l->callbacks[2] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    l->status = sasl_client_new(l->service, l->host, NULL, NULL, l->callbacks, 0, &l->conn);
    if (l->status == SASL_OK)
        l->status = sasl_setprop(l->conn, SASL_SEC_PROPS, &authenticate_only);
    if (l->status == SASL_OK)
        l->status = sasl_setprop(l->conn, SASL_GSS_CREDS, l->cred);
    return l->status == SASL_OK;
}

static void run_login(void *data)
{
    login *l = data;
    if (!has_library(l)) {
        explain(l);
    } else if (acquire(l)) {
        if (begin(l))
            l->status = sasl_client_start(l->conn, "GSSAPI", NULL, &l->out, &l->out_len, NULL);
        if (l->status != SASL_CONTINUE && l->status != SASL_OK)
            explain(l);
    }
}

static void release_login(void *data)
{
    login *l = data;
    OM_uint32 ignored;
    if (l->conn)
        sasl_dispose(&l->conn);
    if (l->cred != GSS_C_NO_CREDENTIAL)
        (void)gss_release_cred(&ignored, &l->cred);
    char *texts[] = {l->host, l->service, l->principal, l->keytab, l->ccache};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free(l);
}

static const kn_job_kind login_kind = {.run = run_login, .release = release_login};

/* ---- the mechanism ---- */

static bool copy_text(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return !text || *out;
}

static login *login_new(const kn_kerberos *kerberos, const char *host)
{
    login *l = calloc(1, sizeof *l);
    if (l && copy_text(&l->host, host) && copy_text(&l->service, kerberos->service) &&
        copy_text(&l->principal, kerberos->principal) && copy_text(&l->keytab, kerberos->keytab) &&
        copy_text(&l->ccache, kerberos->ccache))
        return l;
    if (l)
        release_login(l);
    return NULL;
}

static kn_sasl_status answer(kn_sasl *sasl, const login *l)
{
    if (l->status != SASL_CONTINUE && l->status != SASL_OK)
        return kn_sasl_fail(sasl, l->may_pass ? KC_ERR_CONNECT : KC_ERR_AUTH, "%s", l->why);
    kb_buf_reset(&sasl->out);
    kb_buf_put(&sasl->out, l->out, l->out_len);
    return kn_sasl_send(sasl);
}

static void on_login(kn_work *work)
{
    gssapi *state = work->user;
    kn_sasl_wake(state->sasl);
}

static kn_sasl_status start(kn_sasl *sasl)
{
    gssapi *state = sasl->state;
    kc_error error;
    state->sasl = sasl;
    state->work = (kn_work){.loop = sasl->conf->loop, .done = on_login, .user = state};
    login *l = login_new(&sasl->conf->kerberos, sasl->host);
    if (!l)
        return kn_sasl_fail(sasl, KC_ERR_NOMEM, "out of memory");
    kc_err err = kn_work_start(&state->work, &login_kind, l, &error);
    return err == KC_OK ? KN_SASL_LATER : kn_sasl_fail(sasl, err, "%s", error.text);
}

static kn_sasl_status step(kn_sasl *sasl, kc_bytes in)
{
    gssapi *state = sasl->state;
    login *l = kn_work_data(&state->work);
    if (!state->has_begun) {
        state->has_begun = true;
        return answer(sasl, l);
    }
    if (l->status == SASL_OK) // we had the last word
        return in.len == 0 ? KN_SASL_DONE
                           : kn_sasl_fail(sasl, KC_ERR_AUTH, "the broker goes on after the end");
    l->status = sasl_client_step(l->conn, in.len > 0 ? (const char *)in.ptr : "", (unsigned)in.len,
                                 NULL, &l->out, &l->out_len);
    if (l->status != SASL_CONTINUE && l->status != SASL_OK)
        explain(l);
    return answer(sasl, l);
}

static void finish(kn_sasl *sasl)
{
    gssapi *state = sasl->state;
    kn_work_end(&state->work);
}

/** Tickets in memory are no longer than the client. Reads krb5.conf, but asks nobody. Not in a child of
 * fork(): a worker may have held the library's locks, which nobody gives back there. */
static void forget(const kn_sasl_conf *conf)
{
    krb5_context context;
    krb5_ccache cache;
    if (!conf->kerberos.owns_ccache || kn_loop_is_forked(conf->loop) ||
        krb5_init_context(&context) != 0)
        return;
    if (krb5_cc_resolve(context, conf->kerberos.ccache, &cache) == 0)
        (void)krb5_cc_destroy(context, cache);
    krb5_free_context(context);
}

const kn_sasl_mechanism kn_sasl_gssapi = {.name = "GSSAPI",
                                          .needs = KN_SASL_TICKET,
                                          .state_bytes = sizeof(gssapi),
                                          .start = start,
                                          .step = step,
                                          .finish = finish,
                                          .forget = forget};
