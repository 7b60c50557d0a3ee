/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One connection of a broker, as bytes in and bytes out.
 *
 * The carrier (tcp_server.c, mem_server.c) gives it what arrives and takes what is to leave. Both sides may end it:
 * the carrier by km_conn_free(), the broker by km_conn_is_done(), after which the carrier sends the rest and frees. */
#ifndef KM_CONN_H
#define KM_CONN_H

#include "mock/request.h"

/** Largest request, socket.request.max.bytes of a broker. */
#define KM_REQUEST_BYTES_MAX 104857600

typedef struct km_conn_ops {
    /** There is output, or the connection is done. Called from anywhere: only make a note. */
    void (*on_output)(km_conn *conn, void *user);
    /** Address of the other end, for the log. May be NULL. */
    const char *(*peer)(void *user);
} km_conn_ops;

/** NULL: no memory, or the broker is down. */
km_conn *km_conn_new(km_broker *broker, const km_conn_ops *ops, void *user);
/** The carrier's connection is gone; a request that is held is abandoned. */
void km_conn_free(km_conn *conn);

/** Bytes arrived; copied. Time was told by km_cluster_advance() before. May end the connection. */
void km_conn_receive(km_conn *conn, kc_bytes bytes);
/** False: enough is waiting here, leave the rest in the socket. */
bool km_conn_wants_input(const km_conn *conn);
/** What is to be sent; valid until the next call. */
kc_bytes km_conn_output(const km_conn *conn);
void km_conn_sent(km_conn *conn, size_t len);
/** The broker has ended it: send km_conn_output(), then close. */
bool km_conn_is_done(const km_conn *conn);
/** Ended as by a crash: what is not sent is not to be sent. */
bool km_conn_is_cut(const km_conn *conn);

/** The broker ends it: after what is being sent, or at once. Held requests are abandoned. */
void km_conn_close(km_conn *conn, bool is_cut);

/** All connections of a broker, as by a crash. */
void km_conn_cut_all(km_broker *broker);

#endif
