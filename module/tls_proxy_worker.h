/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_proxy_worker.h
 * Properties of mod_proxy's workers. Called by tls_proxy.c when mod_proxy binds a connection, and by tls_handshake.c.
 */
#pragma once

#include "tls_base.h"

/** The name of the backend of an outgoing connection: a host name, or the IP address if there is no name. */
const char *tls_proxy_name_of(conn_rec *c);

/**
 * Whether `dir_conf`, with which mod_proxy binds a connection, is that of a worker and not of a request. mod_proxy uses that
 * of the worker's <Proxy> section, or NULL, when it returns a connection to the worker's pool.
 */
int tls_proxy_is_of_worker(conn_rec *c, const struct ap_conf_vector_t *dir_conf);
