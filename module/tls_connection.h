/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_connection.h
 * The state of a TLS connection, of a client or to a backend. Made in pre_connection, used by all files that serve it.
 */
#pragma once

#include "tls_base.h"

#include "apr_buckets.h"
#include "util_filter.h"

typedef enum {
    TLS_HANDSHAKE,   /* no data may pass yet */
    TLS_EARLY,       /* early data passes, and answers to it; the handshake goes on */
    TLS_ESTABLISHED, /* data passes */
    TLS_FAILED       /* nothing passes any more */
} tls_phase;

/** What is known of the backend of a connection. */
typedef struct {
    /** The blocks of directives that hold for the connection (size_t). */
    apr_array_header_t *chain;
    /** The name by which mod_proxy has called it: a host name or an IP address; NULL before the handshake. */
    const char *name;
    /** Whether the request that uses the connection now would have made it with other settings. */
    bool misbound;
} tls_backend;

/** What belongs to a connection that is TLS. */
typedef struct {
    conn_rec *c;
    /** The configuration that it began with. */
    const tls_config *config;
    tls_conn *backend;
    /** Requests of HTTP/2 read it while the connection goes on. */
    _Atomic tls_phase phase;
    /** What the handshake has agreed on; NULL before it is complete. */
    tls_info *info;
    /** Whether the ClientHello was answered, and the next answer of a near client was waited for. */
    unsigned accepted : 1;
    unsigned waited : 1;
    /** The backend; NULL for a connection of a client. */
    tls_backend *outgoing_to;
    /** The server that the handshake was with. */
    server_rec *server;
    /** Its number, and those of the others that matter for requests. */
    tls_hosts hosts;
    /** Our filters. */
    ap_filter_t *input;
    ap_filter_t *output;
    /** From the network, on its way to be decrypted. */
    apr_bucket_brigade *received;
    /** Decrypted, not read yet. */
    apr_bucket_brigade *plaintext;
    /** The header of a response, to be encrypted together with its body. */
    apr_bucket_brigade *held;
    /** Whether what is written next begins a response. */
    int header_due;
    /** What is being encrypted, until it is; kept, because it is needed for every write. */
    apr_bucket_brigade *encrypting;
    /** On its way to the network. */
    apr_bucket_brigade *outgoing;
    /** How reading ended; APR_SUCCESS while it has not. */
    apr_status_t input_end;
} tls_connection;

/** The TLS state of a connection, or of the one that carries it; NULL if it has none. */
tls_connection *tls_connection_of(conn_rec *c);

/** Whether data may pass in both directions. */
static inline int tls_connection_is_open(const tls_connection *tc)
{
    tls_phase phase = tc->phase;

    return phase == TLS_ESTABLISHED || phase == TLS_EARLY;
}

/** Makes a connection TLS, on which nothing was said yet. `config` is the configuration that it begins with. */
tls_connection *tls_connection_make(conn_rec *c, const tls_config *config);

/** A buffer for free(), from memory that idle connections do not keep, unlike APR's. httpd aborts if there is none. */
void *tls_buffer_alloc(apr_size_t size);
