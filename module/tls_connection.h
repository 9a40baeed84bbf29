/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_connection.h
 * The state of a TLS connection with a client or a backend. Made in pre_connection.
 */
#pragma once

#include "tls_base.h"

#include "apr_buckets.h"
#include "util_filter.h"

typedef enum {
    TLS_HANDSHAKE,   /* no data may be transferred yet */
    TLS_EARLY,       /* early data and responses to it are transferred before the handshake is complete */
    TLS_ESTABLISHED, /* data is transferred */
    TLS_FAILED       /* no data may be transferred any more */
} tls_phase;

/** The backend of a connection. */
typedef struct {
    /** The blocks of directives that apply to the connection (size_t). */
    apr_array_header_t *chain;
    /** Its name in mod_proxy: a host name or an IP address; NULL before the handshake. */
    const char *name;
    /** Whether the current request requires other settings than those of the connection. */
    bool misbound;
} tls_backend;

/** The state of a TLS connection. */
typedef struct {
    conn_rec *c;
    /** The configuration at the start of the connection. */
    const tls_config *config;
    tls_conn *backend;
    /** Atomic, because the threads of HTTP/2 requests read it. */
    _Atomic tls_phase phase;
    /** The negotiated parameters; NULL before the handshake is complete. */
    tls_info *info;
    /** Whether the ClientHello was answered, and whether the connection has waited for a near client. */
    unsigned accepted : 1;
    unsigned waited : 1;
    /** Whether other machines are asked about the client's certificate. */
    unsigned awaiting : 1;
    /** Whether the socket of the connection is that of the answer; `client_socket` is the client's descriptor meanwhile. */
    unsigned waits_for_answer : 1;
    int client_socket;
    /** The backend; NULL for a connection of a client. */
    tls_backend *outgoing_to;
    /** The server of the handshake. */
    server_rec *server;
    /** The numbers of this server and of others that requests need. */
    tls_hosts hosts;
    /** The filters of this module. */
    ap_filter_t *input;
    ap_filter_t *output;
    /** Data from the network that is not decrypted yet. */
    apr_bucket_brigade *received;
    /** Decrypted data that is not read yet. More may be in the TLS state. */
    apr_bucket_brigade *plaintext;
    /** How many bytes in the TLS state were read and are still in use. */
    size_t lent;
    /** The header of a response, which is encrypted together with the body. */
    apr_bucket_brigade *held;
    /** Whether the next data that is written begins a response. */
    int header_due;
    /** The data that is being encrypted. Empty between writes, and reused. */
    apr_bucket_brigade *encrypting;
    /** Encrypted data that is not sent yet. */
    apr_bucket_brigade *outgoing;
    /** The status at the end of the input; APR_SUCCESS before. */
    apr_status_t input_end;
} tls_connection;

/** The TLS state of a connection, or of its master connection (HTTP/2); NULL if it is not TLS. */
tls_connection *tls_connection_of(conn_rec *c);

/** Whether data may be transferred in both directions. */
static inline int tls_connection_is_open(const tls_connection *tc)
{
    tls_phase phase = tc->phase;

    return phase == TLS_ESTABLISHED || phase == TLS_EARLY;
}

/** Makes a new connection TLS, before any data is transferred. `config` is the current configuration. */
tls_connection *tls_connection_make(conn_rec *c, const tls_config *config);

/** Allocates a buffer for free(). Idle connections keep memory of APR, but not this. Aborts if there is no memory. */
void *tls_buffer_alloc(apr_size_t size);
