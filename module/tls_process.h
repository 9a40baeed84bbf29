/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_process.h
 * Connections of clients, from the moment that httpd has accepted them to the end of the handshake.
 */
#ifndef TLS_PROCESS_H
#define TLS_PROCESS_H

#include "tls_base.h"

void tls_process_register_hooks(apr_pool_t *p);

#endif /* TLS_PROCESS_H */
