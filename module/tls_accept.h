/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_accept.h
 * Between ClientHello and ServerHello: which virtual host, which protocol, which certificate. Used by tls_transfer.c.
 */
#ifndef TLS_ACCEPT_H
#define TLS_ACCEPT_H

#include "tls_connection.h"

/** Answers a ClientHello that is complete. `event` is set to what has come of it. */
tls_status tls_accept_client(tls_connection *tc, tls_event *event);

#endif /* TLS_ACCEPT_H */
