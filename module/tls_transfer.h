/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_transfer.h
 * Moves data between the network and the TLS state of a connection. Called by the handshake and by the filters.
 */
#pragma once

#include "tls_connection.h"

/** Whether a connection can continue after a read returned `rv`: there is no data, or none within the time limit of this
 * read, which may be microseconds (mod_proxy_http2). */
static inline int tls_transfer_may_continue(apr_status_t rv)
{
    return APR_STATUS_IS_EAGAIN(rv) || APR_STATUS_IS_TIMEUP(rv) || APR_STATUS_IS_EINTR(rv);
}

/**
 * Reads from the network once and processes the data: decrypts it, continues the handshake, answers.
 * @return APR_SUCCESS if data was received; an error if the connection has ended, after the last alert was sent
 */
apr_status_t tls_transfer_receive(tls_connection *tc, apr_read_type_e block);

/**
 * Continues the handshake if there is an answer about the client's certificate, which is waited for if `block` says so.
 * @return APR_EAGAIN if there is none yet; an error if the client is refused, after the alert was sent
 */
apr_status_t tls_transfer_answered(tls_connection *tc, apr_read_type_e block);

/** Moves decrypted data to the end of `plaintext`. Returns the number of bytes. */
apr_size_t tls_transfer_keep(tls_connection *tc);

/** Whether there is decrypted data, in `plaintext` or behind it. */
int tls_transfer_has_plaintext(tls_connection *tc);

/**
 * Adds decrypted data, at most `most` bytes, to `bb` where it lies, in a bucket that has to be set aside by whoever keeps it: it is
 * there until one of these functions is called again. `plaintext` is empty.
 */
void tls_transfer_lend(tls_connection *tc, apr_bucket_brigade *bb, apr_off_t most);

/** Adds pending output of the TLS state to the end of `outgoing`. If that is much, a part of it is passed on before. */
apr_status_t tls_transfer_collect(tls_connection *tc);

/** Passes `outgoing` to the next filter. It may be sent later. */
apr_status_t tls_transfer_pass(tls_connection *tc);

/** Sends pending output, and waits until it is sent. */
apr_status_t tls_transfer_flush(tls_connection *tc);

/** Ends the connection after a call of the Rust library has returned `status`. Logs the reason and sends the alert. */
void tls_transfer_fail(tls_connection *tc, tls_status status);
