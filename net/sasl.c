/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The table of mechanisms, and what their exchanges have in common: credentials taken at the start,
 * so that they may be replaced meanwhile, and everything wiped at the end. */
#include "net/sasl.h"

#include "protocol/base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const kn_sasl_mechanism *const mechanisms[] = {
    &kn_sasl_plain,  &kn_sasl_scram_sha256, &kn_sasl_scram_sha512, &kn_sasl_oauthbearer,
#ifdef KC_WITH_GSSAPI
    &kn_sasl_gssapi,
#endif
};

const kn_sasl_mechanism *kn_sasl_mechanism_find(kc_bytes name)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++)
        if (kc_bytes_equal(name, kc_str(mechanisms[i]->name)))
            return mechanisms[i];
    return NULL;
}

/* ---- credentials ---- */

/** Copy both or none; either may be NULL. */
static bool copy_pair(kb_mem *mem, const char *username, const char *password, char *out[2])
{
    out[0] = username ? kb_mem_strndup(mem, username, strlen(username)) : NULL;
    out[1] = password ? kb_mem_strndup(mem, password, strlen(password)) : NULL;
    if ((!username || out[0]) && (!password || out[1]))
        return true;
    kb_mem_free(mem, out[0]);
    kb_mem_free_secret(mem, out[1]);
    return false;
}

static void free_pair(kn_sasl_conf *conf)
{
    kb_mem_free(conf->mem, conf->username);
    kb_mem_free_secret(conf->mem, conf->password);
    conf->username = conf->password = NULL;
}

kc_err kn_sasl_conf_set(kn_sasl_conf *conf, const char *username, const char *password)
{
    char *pair[2];
    if (!copy_pair(conf->mem, username, password, pair))
        return KC_ERR_NOMEM;
    free_pair(conf);
    conf->username = pair[0];
    conf->password = pair[1];
    return KC_OK;
}

void kn_sasl_conf_cleanup(kn_sasl_conf *conf)
{
    if (conf->mechanism && conf->mechanism->forget)
        conf->mechanism->forget(conf);
    free_pair(conf);
}

/* ---- one exchange ---- */

void kn_sasl_init(kn_sasl *sasl, const kn_sasl_conf *conf, const char *host,
                  void (*on_wake)(kn_sasl *sasl), void *user)
{
    *sasl = (kn_sasl){.conf = conf, .host = host, .on_wake = on_wake, .user = user};
    kb_buf_init(&sasl->out, conf->mem, KN_SASL_MESSAGE_MAX);
    sasl->out.is_secret = true;
}

kn_sasl_status kn_sasl_start(kn_sasl *sasl)
{
    const kn_sasl_conf *conf = sasl->conf;
    char *pair[2];
    assert(!sasl->state);
    bool is_copied = copy_pair(conf->mem, conf->username, conf->password, pair);
    if (is_copied) {
        sasl->username = pair[0];
        sasl->password = pair[1];
    }
    sasl->state = kb_mem_zalloc(conf->mem, conf->mechanism->state_bytes);
    if (!is_copied || !sasl->state)
        return kn_sasl_fail(sasl, KC_ERR_NOMEM, "out of memory");
    return conf->mechanism->start(sasl);
}

kn_sasl_status kn_sasl_step(kn_sasl *sasl, kc_bytes in)
{
    assert(sasl->state);
    if (in.len > KN_SASL_MESSAGE_MAX)
        return kn_sasl_fail(sasl, KC_ERR_AUTH, "the broker's message is above %d bytes",
                            KN_SASL_MESSAGE_MAX);
    return sasl->conf->mechanism->step(sasl, in);
}

void kn_sasl_finish(kn_sasl *sasl)
{
    if (!sasl->conf)
        return;
    kb_mem *mem = sasl->conf->mem;
    if (sasl->state) {
        if (sasl->conf->mechanism->finish)
            sasl->conf->mechanism->finish(sasl);
        kb_mem_wipe(sasl->state, sasl->conf->mechanism->state_bytes);
    }
    kb_mem_free(mem, sasl->state);
    kb_mem_free(mem, sasl->username);
    kb_mem_free_secret(mem, sasl->password);
    sasl->state = NULL;
    sasl->username = sasl->password = NULL;
    kb_buf_cleanup(&sasl->out);
}

kn_sasl_status kn_sasl_fail(kn_sasl *sasl, kc_err err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(sasl->why, sizeof sasl->why, fmt, args);
    va_end(args);
    sasl->err = err;
    return KN_SASL_FAILED;
}

kn_sasl_status kn_sasl_send(kn_sasl *sasl)
{
    if (sasl->out.err == KC_OK)
        return KN_SASL_SEND;
    return sasl->out.err == KC_ERR_NOMEM
               ? kn_sasl_fail(sasl, KC_ERR_NOMEM, "out of memory")
               : kn_sasl_fail(sasl, KC_ERR_AUTH, "the message would be above %d bytes",
                              KN_SASL_MESSAGE_MAX);
}

const char *kn_sasl_quote(char out[KN_SASL_QUOTE_MAX + 1], kc_bytes text)
{
    kb_text_printable(out, KN_SASL_QUOTE_MAX + 1, text);
    return out;
}
