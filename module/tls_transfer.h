/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_transfer.h
 * Moves data between the network and the TLS state of a connection. Called by the handshake and by the filters.
 */
#pragma once

#include "tls_connection.h"

/** Whether a connection can continue after a read returned `rv`: no data came, or none within the time limit of this read, which
 * may be microseconds (mod_proxy_http2). */
static inline int tls_transfer_may_continue(apr_status_t rv)
{
    return APR_STATUS_IS_EAGAIN(rv) || APR_STATUS_IS_TIMEUP(rv) || APR_STATUS_IS_EINTR(rv);
}

/**
 * Reads from the network once and works on what comes: decrypts, shakes hands, answers.
 * @return APR_SUCCESS if something came; an error if the connection is over, after the last alert was sent
 */
apr_status_t tls_transfer_receive(tls_connection *tc, apr_read_type_e block);

/** Moves what is to be sent to the end of `outgoing`. */
void tls_transfer_collect(tls_connection *tc);

/** Sends what is to be sent, and waits until it is sent. */
apr_status_t tls_transfer_flush(tls_connection *tc);

/** Ends the connection after its backend has said so. Logs why, and sends the alert. */
void tls_transfer_fail(tls_connection *tc, tls_status status);

/** Logs why there is no connection to a backend. `phase` is what has failed: the handshake or the connection. */
void tls_transfer_log_backend(const tls_connection *tc, const char *phase, const char *why);
