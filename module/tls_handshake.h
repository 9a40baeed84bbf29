/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_handshake.h
 * Handshakes with clients and backends. Called by the filters when data is read or written, and by tls_process.c.
 */
#pragma once

#include "tls_connection.h"

/** Runs the handshake: until it is complete, or as far as possible without blocking (`block`). */
apr_status_t tls_handshake_run(tls_connection *tc, apr_read_type_e block);

/** Notes and logs that the peer has not completed the handshake: the last read has failed with `rv`. */
void tls_handshake_interrupted(tls_connection *tc, apr_status_t rv);

/**
 * Prepares a connection to a backend for writing `bb`, which is not empty: the first write starts the handshake. If `bb`
 * must not be written, the connection has failed when this returns.
 */
void tls_handshake_before_write(tls_connection *tc, const apr_bucket_brigade *bb);
