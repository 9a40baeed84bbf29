/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_proxy.h
 * Connections to backends, which mod_proxy makes.
 */
#ifndef TLS_PROXY_H
#define TLS_PROXY_H

#include "mod_tls.h"

#include "tls_connection.h"

/**
 * The numbers of the blocks of TLSProxy... directives that hold in `dir_conf`, the outermost first (size_t). Those of
 * `server` come before them where `dir_conf` does not have them already; NULL leaves them out.
 */
apr_array_header_t *tls_proxy_chain(apr_pool_t *p, const struct ap_conf_vector_t *dir_conf, const server_rec *server);

/** Begins the handshake with a backend. */
apr_status_t tls_proxy_begin(tls_connection *tc);

/** Sees to it that `bb`, which is not empty, may be written to a backend; if not, the connection has failed. */
void tls_proxy_prepare(tls_connection *tc, const apr_bucket_brigade *bb);

/** Ends a connection to a backend whose handshake has failed with `rv`. */
void tls_proxy_give_up(tls_connection *tc, apr_status_t rv);

/** Logs why there is no connection to a backend. */
void tls_proxy_log_failure(const tls_connection *tc, const char *phase, const char *why);

void tls_proxy_register_hooks(apr_pool_t *p);

#endif /* TLS_PROXY_H */
