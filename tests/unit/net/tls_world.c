/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Certificates, a TLS broker in memory, and a client that looks on. */
#define _GNU_SOURCE
#include "tests/unit/net/tls_world.h"

#include "protocol/base/error.h"

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATTERN_BYTES ((size_t)8 * 1024 * 1024)

const uint8_t *tls_pattern(void)
{
    static uint8_t bytes[PATTERN_BYTES];
    if (bytes[1] == 0)
        for (size_t i = 0; i < PATTERN_BYTES; i++)
            bytes[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + 1);
    return bytes;
}

/* ---- certificates */

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void set_time(ASN1_TIME *time, int64_t day)
{
    ck_assert_ptr_nonnull(ASN1_TIME_set(time, (time_t)(TLS_WALL_S + day * TLS_DAY_S)));
}

/** Ed25519: fast, and two handshakes have the same length. */
tls_pair tls_make(const tls_wish *wish)
{
    static long serial = 1000000;
    tls_pair pair = {X509_new(), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    const tls_pair *issuer = wish->issuer ? wish->issuer : &pair;
    bool is_good = wish->from_day == 0 && wish->to_day == 0;
    ck_assert(pair.certificate && pair.key);
    X509_set_version(pair.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(pair.certificate), serial++);
    set_time(X509_getm_notBefore(pair.certificate), is_good ? -1 : wish->from_day);
    set_time(X509_getm_notAfter(pair.certificate), is_good ? 30 : wish->to_day);
    X509_set_pubkey(pair.certificate, pair.key);
    X509_NAME *name = X509_get_subject_name(pair.certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)wish->name, -1, -1, 0);
    X509_set_issuer_name(pair.certificate, X509_get_subject_name(issuer->certificate));
    add_extension(pair.certificate, NID_basic_constraints,
                  wish->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (wish->holders)
        add_extension(pair.certificate, NID_subject_alt_name, wish->holders);
    ck_assert_int_gt(X509_sign(pair.certificate, issuer->key, NULL), 0);
    return pair;
}

void tls_pair_free(tls_pair *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
    *pair = (tls_pair){NULL, NULL};
}

char *tls_pem(tls_world *world, const tls_pair *pair, bool with_certificate, bool with_key,
              const char *password)
{
    BIO *out = BIO_new(BIO_s_mem());
    if (with_key)
        ck_assert(PEM_write_bio_PKCS8PrivateKey(out, pair->key, password ? EVP_aes_128_cbc() : NULL,
                                                NULL, 0, NULL, (void *)password));
    if (with_certificate)
        ck_assert(PEM_write_bio_X509(out, pair->certificate));
    char *data;
    long len = BIO_get_mem_data(out, &data);
    char *text = kb_mem_strndup(&world->own, data, (size_t)len);
    BIO_free(out);
    return text;
}

const char *tls_path(tls_world *world, const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    ck_assert_int_lt(snprintf(path, sizeof paths[0], "%s/%s", world->folder, name), 256);
    return path;
}

const char *tls_file(tls_world *world, const char *name, const char *text)
{
    const char *path = tls_path(world, name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static void remove_files(tls_world *world)
{
    DIR *folder = opendir(world->folder);
    struct dirent *entry;
    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.' && unlink(tls_path(world, entry->d_name)) != 0)
            ck_assert_int_eq(rmdir(tls_path(world, entry->d_name)), 0);
    closedir(folder);
    ck_assert_int_eq(rmdir(world->folder), 0);
}

/* ---- the broker */

static void peer_close(tls_peer *peer, bool is_reset)
{
    kn_mem_peer *mem_peer = peer->peer;
    peer->peer = NULL;
    if (!mem_peer)
        return;
    if (is_reset)
        kn_mem_peer_reset(mem_peer);
    else
        kn_mem_peer_close(mem_peer);
}

static void write_now(tls_peer *peer, uint8_t *bytes, size_t len)
{
    tls_world *world = peer->world;
    if (!peer->peer || len == 0)
        return;
    bool is_cut = world->cut_at - peer->sent <= len;
    if (is_cut)
        len = world->cut_at - peer->sent;
    if (world->flip_at - peer->sent < len)
        bytes[world->flip_at - peer->sent] ^= 0x55;
    peer->sent += len;
    ck_assert_int_eq(kn_mem_peer_write(peer->peer, kc_span(bytes, len)), KC_OK);
    if (is_cut)
        peer_close(peer, false);
}

static void on_later(kn_timer *timer)
{
    tls_peer *peer = timer->user;
    write_now(peer, peer->later.data, peer->later.len);
    kb_buf_reset(&peer->later);
}

static void send_wire(tls_peer *peer, uint8_t *bytes, size_t len)
{
    size_t split_at = peer->world->split_at;
    size_t now = len;
    if (peer->later.len > 0)
        now = 0;
    else if (split_at > peer->sent && split_at - peer->sent < len)
        now = split_at - peer->sent;
    write_now(peer, bytes, now);
    if (now == len)
        return;
    if (peer->later.len == 0)
        ck_assert_int_eq(
            kn_timer_set(peer->world->loop, &peer->timer, kn_loop_now_us(peer->world->loop) + 1000),
            KC_OK);
    kb_buf_put(&peer->later, bytes + now, len - now);
}

void tls_peer_drain(tls_peer *peer)
{
    uint8_t bytes[4096];
    int len;
    while (peer->ssl && (len = BIO_read(SSL_get_wbio(peer->ssl), bytes, sizeof bytes)) > 0)
        send_wire(peer, bytes, (size_t)len);
}

static void on_ready(tls_peer *peer)
{
    tls_world *world = peer->world;
    const char *sni = SSL_get_servername(peer->ssl, TLSEXT_NAMETYPE_host_name);
    peer->is_ready = true;
    peer->is_resumed = SSL_session_reused(peer->ssl) == 1;
    world->resumed += peer->is_resumed;
    snprintf(world->sni, sizeof world->sni, "%s", sni ? sni : "");
    if (world->greeting.len > 0)
        ck_assert_int_gt(SSL_write(peer->ssl, world->greeting.ptr, (int)world->greeting.len), 0);
    if (world->says_goodbye)
        (void)SSL_shutdown(peer->ssl);
    tls_peer_drain(peer);
    if (world->hangs_up)
        peer_close(peer, false);
}

static void read_client(tls_peer *peer)
{
    tls_world *world = peer->world;
    uint8_t bytes[16384];
    int len;
    while (peer->peer && (len = SSL_read(peer->ssl, bytes, sizeof bytes)) > 0) {
        kb_buf_put(&world->got, bytes, (size_t)len);
        world->got_records++;
        if (world->echoes)
            ck_assert_int_eq(SSL_write(peer->ssl, bytes, len), len);
        tls_peer_drain(peer);
    }
    if (peer->peer && SSL_get_shutdown(peer->ssl) & SSL_RECEIVED_SHUTDOWN)
        peer->saw_close_notify = true;
}

static void on_data(void *user, kn_mem_peer *mem_peer)
{
    tls_world *world = user;
    tls_peer *peer = kn_mem_peer_user(mem_peer);
    kc_bytes in = kn_mem_peer_in(mem_peer);
    if (world->is_silent)
        return;
    if (world->plain.len > 0) {
        kn_mem_peer_take(mem_peer, in.len);
        ck_assert_int_eq(kn_mem_peer_write(mem_peer, world->plain), KC_OK);
        return;
    }
    ck_assert_int_eq(BIO_write(SSL_get_rbio(peer->ssl), in.ptr, (int)in.len), (int)in.len);
    kn_mem_peer_take(mem_peer, in.len);
    ERR_clear_error();
    if (!peer->is_ready && SSL_do_handshake(peer->ssl) == 1)
        on_ready(peer);
    bool is_failed = !peer->is_ready && SSL_get_error(peer->ssl, -1) != SSL_ERROR_WANT_READ;
    tls_peer_drain(peer);
    if (is_failed) {
        peer_close(peer, world->is_reset_after_alert);
        return;
    }
    if (peer->peer && peer->is_ready)
        read_client(peer);
    tls_peer_drain(peer);
}

static void peer_free(tls_peer *peer)
{
    kn_timer_stop(peer->world->loop, &peer->timer);
    kb_buf_cleanup(&peer->later);
    SSL_free(peer->ssl);
    kb_list_remove(&peer->node);
    kb_mem_free(&peer->world->own, peer);
}

static void on_accept(void *user, kn_mem_peer *mem_peer)
{
    tls_world *world = user;
    tls_peer *peer = kb_mem_zalloc(&world->own, sizeof *peer);
    world->accepts++;
    peer->world = world;
    peer->peer = mem_peer;
    peer->timer = (kn_timer){.fn = on_later, .user = peer};
    kb_buf_init(&peer->later, &world->own, 0);
    peer->ssl = SSL_new(world->server);
    SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(peer->ssl);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(peer->ssl), (time_t)TLS_WALL_S);
    kb_list_push_back(&world->peers, &peer->node);
    kn_mem_peer_set_user(mem_peer, peer);
}

static void on_close(void *user, kn_mem_peer *mem_peer)
{
    tls_peer *peer = kn_mem_peer_user(mem_peer);
    ((tls_world *)user)->closes++;
    peer->peer = NULL;
}

void tls_world_serve(tls_world *world, const tls_pair *pair)
{
    SSL_CTX_free(world->server);
    world->server = SSL_CTX_new(TLS_server_method());
    ck_assert(SSL_CTX_use_cert_and_key(world->server, pair->certificate, pair->key, NULL, 1));
    SSL_CTX_set_session_id_context(world->server, (const uint8_t *)"world", 5);
}

/* ---- the world */

void tls_world_init(tls_world *world)
{
    static const kn_mem_server server = {on_accept, on_data, on_close};
    memset(world, 0, sizeof *world);
    kb_mem_init(&world->own, NULL, 0);
    kb_mem_init(&world->mem, NULL, 0);
    kb_list_init(&world->peers);
    kb_buf_init(&world->got, &world->own, 0);
    world->cut_at = world->flip_at = SIZE_MAX;
    world->port = TLS_PORT;
    const char *parent = getenv("TMPDIR");
    snprintf(world->folder, sizeof world->folder, "%s/XXXXXX", parent ? parent : P_tmpdir);
    ck_assert_ptr_nonnull(mkdtemp(world->folder));
    ck_assert_int_eq(kn_loop_new_virtual(&world->own, 1000000, TLS_WALL_S * 1000, &world->loop),
                     KC_OK);
    ck_assert_int_eq(kn_mem_network_new(&world->own, world->loop, NULL, &world->wire), KC_OK);
    ck_assert_int_eq(kn_mem_listen(world->wire, TLS_IP, TLS_PORT, &server, world), KC_OK);
    world->ca = tls_make(&(tls_wish){.name = "World CA", .is_ca = true});
    world->broker = tls_make(&(tls_wish){.name = "broker",
                                         .holders = "DNS:" TLS_NAME ",DNS:localhost,IP:" TLS_IP,
                                         .issuer = &world->ca});
    world->ca_pem = tls_pem(world, &world->ca, true, false, NULL);
    tls_world_serve(world, &world->broker);
    world->settings = (kn_tls_settings){.truststore_certificates = world->ca_pem,
                                        .enabled_protocols = "TLSv1.2,TLSv1.3",
                                        .protocol = "TLSv1.3",
                                        .verifies_host = true};
}

static void on_reload_failed(void *user, const kc_error *error)
{
    tls_world *world = user;
    world->reload_failures++;
    world->reload_error = *error;
}

kc_err tls_world_try(tls_world *world, kc_error *err)
{
    const kn_tls_options options = {.mem = &world->mem,
                                    .loop = world->loop,
                                    .inner = kn_mem_network_base(world->wire),
                                    .settings = world->settings,
                                    .keylog_path = getenv("SSLKEYLOGFILE"),
                                    .on_reload_failed = on_reload_failed,
                                    .user = world};
    kn_network *network = NULL;
    kc_err code = kn_tls_network_new(&options, &network, err);
    if (code != KC_OK)
        return code;
    kn_network_free(world->network);
    world->network = network;
    return KC_OK;
}

void tls_world_start(tls_world *world)
{
    kc_error error;
    ck_assert_msg(tls_world_try(world, &error) == KC_OK, "%s", error.text);
}

void tls_world_cleanup(tls_world *world)
{
    tls_world_run(world, 10);
    kn_network_free(world->network);
    ck_assert_uint_eq(world->mem.used, 0);
    KB_LIST_FOR (node, &world->peers) {
        tls_peer *peer = KB_CONTAINER(node, tls_peer, node);
        peer_close(peer, false);
        peer_free(peer);
    }
    kn_network_free(kn_mem_network_base(world->wire));
    kn_loop_free(world->loop);
    SSL_CTX_free(world->server);
    tls_pair_free(&world->ca);
    tls_pair_free(&world->broker);
    kb_mem_free(&world->own, world->ca_pem);
    kb_buf_cleanup(&world->got);
    remove_files(world);
    ck_assert_uint_eq(world->own.used, 0);
}

int64_t tls_world_ms(const tls_world *world)
{
    return (kn_loop_now_us(world->loop) - 1000000) / 1000;
}

void tls_world_run(tls_world *world, int64_t ms)
{
    int64_t until_us = kn_loop_now_us(world->loop) + ms * 1000;
    while (kn_loop_advance(world->loop, until_us))
        continue;
}

/* ---- the client */

static void read_all(tls_client *client)
{
    uint8_t bytes[50000];
    size_t left = client->read_max ? client->read_max : SIZE_MAX;
    client->reads++;
    while (left > 0) {
        size_t len = left < sizeof bytes ? left : sizeof bytes;
        size_t got = 0;
        kc_err err = kn_transport_read(client->transport, bytes, len, &got, &client->error);
        if (err == KC_ERR_AGAIN)
            return;
        client->ended += err == KC_ERR_END;
        client->broken += err != KC_OK && err != KC_ERR_END;
        if (err != KC_OK) {
            kn_transport_close(client->transport);
            client->transport = NULL;
            return;
        }
        ck_assert_uint_gt(got, 0);
        kb_buf_put(&client->got, bytes, got);
        if (got < len) /* as the transport promises: nothing more is there now */
            return;
        left -= got;
    }
}

static void send_more(tls_client *client)
{
    while (client->transport && client->to_send.len > 0) {
        size_t taken = 0;
        const struct iovec piece = {(void *)client->to_send.ptr, client->to_send.len};
        kc_err err = kn_transport_write(client->transport, &piece, 1, &taken, &client->error);
        if (err != KC_OK && err != KC_ERR_AGAIN) {
            client->broken++;
            client->to_send.len = 0;
            return;
        }
        client->to_send = kc_span(client->to_send.ptr + taken, client->to_send.len - taken);
        if (client->to_send.len > 0) {
            kn_transport_want(client->transport, KN_EVENT_WRITE);
            return;
        }
    }
    if (client->transport)
        kn_transport_want(client->transport, 0);
}

static void on_event(void *user, unsigned events, const kc_error *error)
{
    tls_client *client = user;
    ck_assert_int_eq(client->failed, 0);
    if (events & KN_EVENT_FAILED) {
        client->failed++;
        client->error = *error;
        kn_transport_close(client->transport);
        client->transport = NULL;
        return;
    }
    client->opened += (events & KN_EVENT_OPEN) != 0;
    ck_assert_int_eq(client->opened, 1);
    if (events & KN_EVENT_READ)
        read_all(client);
    if (client->transport && (events & (KN_EVENT_WRITE | KN_EVENT_OPEN)))
        send_more(client);
}

void tls_client_open(tls_client *client, tls_world *world, const char *host)
{
    kn_open_options options = {.host = kc_str(host),
                               .port = world->port,
                               .deadline_us = kn_loop_now_us(world->loop) + 10000000,
                               .send_buffer_bytes = -1,
                               .receive_buffer_bytes = -1,
                               .on_event = on_event,
                               .user = client};
    memset(client, 0, sizeof *client);
    client->world = world;
    kb_buf_init(&client->got, &world->own, 0);
    ck_assert(kn_address_parse(KC_STR(TLS_IP), TLS_PORT, &options.address));
    kc_err err = kn_network_open(world->network, &options, &client->transport, &client->error);
    if (err != KC_OK) {
        ck_assert_int_eq(err, client->error.code);
        client->transport = NULL;
        client->failed = 1;
    }
}

void tls_client_ready(tls_client *client, tls_world *world)
{
    tls_client_open(client, world, TLS_NAME);
    tls_world_run(world, 100);
    ck_assert_msg(client->opened == 1, "%s", client->error.text);
}

void tls_client_refused(tls_world *world, const char *host, const char *needle)
{
    tls_client client;
    tls_client_open(&client, world, host);
    tls_world_run(world, 100);
    ck_assert_int_eq(client.opened, 0);
    ck_assert_int_eq(client.failed, 1);
    ck_assert_int_eq(client.error.code, KC_ERR_TLS);
    ck_assert_int_eq(client.error.phase, KC_PHASE_TLS);
    ck_assert_msg(strstr(client.error.text, needle) != NULL, "\"%s\" lacks \"%s\"",
                  client.error.text, needle);
    tls_client_close(&client);
}

void tls_client_send(tls_client *client, kc_bytes bytes)
{
    ck_assert_uint_eq(client->to_send.len, 0);
    client->to_send = bytes;
    send_more(client);
}

void tls_client_close(tls_client *client)
{
    if (client->transport)
        kn_transport_close(client->transport);
    client->transport = NULL;
    kb_buf_cleanup(&client->got);
}
