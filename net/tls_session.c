/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sessions to resume, by the broker's name and port: the handshake of a reconnect then costs neither
 * signatures nor certificates. The last one that came is kept. In TLS 1.3 a ticket is used once
 * (RFC 8446 C.4): who takes it takes it out, so of connections opened together only the first resumes. A session stands for the
 * identity it was made with: all go when certificates are loaded anew. */
#include "net/tls_core.h"

typedef struct kn_tls_session {
    kb_list node;
    SSL_SESSION *session;
    uint16_t port;
    char host[];
} kn_tls_session;

static kn_tls_session *find(kn_tls_network *network, const kn_tls_transport *tls)
{
    KB_LIST_FOR (node, &network->sessions) {
        kn_tls_session *entry = KB_CONTAINER(node, kn_tls_session, node);
        if (entry->port == tls->port && strcmp(entry->host, tls->host) == 0)
            return entry;
    }
    return NULL;
}

static void drop(kn_tls_network *network, kn_tls_session *entry)
{
    SSL_SESSION_free(entry->session);
    kb_list_remove(&entry->node);
    kb_mem_free(network->options.mem, entry);
    kb_mem_uncharge(network->options.mem, KN_TLS_SESSION_BYTES);
    network->session_count--;
}

/** An empty entry in front, NULL: no memory. */
static kn_tls_session *add(kn_tls_network *network, const kn_tls_transport *tls)
{
    kb_mem *mem = network->options.mem;
    size_t len = strlen(tls->host);
    if (network->session_count == KN_TLS_SESSIONS_MAX)
        drop(network, KB_CONTAINER(network->sessions.prev, kn_tls_session, node));
    if (!kb_mem_charge(mem, KN_TLS_SESSION_BYTES))
        return NULL;
    kn_tls_session *entry = kb_mem_zalloc(mem, sizeof *entry + len + 1);
    if (!entry) {
        kb_mem_uncharge(mem, KN_TLS_SESSION_BYTES);
        return NULL;
    }
    memcpy(entry->host, tls->host, len);
    entry->port = tls->port;
    kb_list_push_front(&network->sessions, &entry->node);
    network->session_count++;
    return entry;
}

void kn_tls_session_use(kn_tls_transport *tls)
{
    kn_tls_network *network = tls->network;
    kn_tls_session *entry = find(network, tls);
    if (!entry)
        return;
    kb_list_remove(&entry->node);
    kb_list_push_front(&network->sessions, &entry->node);
    bool is_taken = SSL_SESSION_get_protocol_version(entry->session) >= TLS1_3_VERSION;
    if (!SSL_SESSION_is_resumable(entry->session) || !SSL_set_session(tls->ssl, entry->session) ||
        is_taken)
        drop(network, entry);
}

int kn_tls_session_keep(SSL *ssl, SSL_SESSION *session)
{
    kn_tls_transport *tls = SSL_get_app_data(ssl);
    kn_tls_network *network = tls->network;
    if (SSL_get_SSL_CTX(ssl) != network->ctx) /* of certificates replaced meanwhile */
        return 0;
    kn_tls_session *entry = find(network, tls);
    if (!entry)
        entry = add(network, tls);
    if (!entry)
        return 0; /* works without */
    SSL_SESSION_free(entry->session);
    entry->session = session;
    return 1; /* the reference is ours now */
}

void kn_tls_session_forget(kn_tls_transport *tls)
{
    kn_tls_session *entry = find(tls->network, tls);
    if (entry)
        drop(tls->network, entry);
}

void kn_tls_session_clear(kn_tls_network *network)
{
    while (!kb_list_is_empty(&network->sessions))
        drop(network, KB_CONTAINER(network->sessions.next, kn_tls_session, node));
}
