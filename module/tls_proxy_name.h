/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_proxy_name.h
 * The names of backends.
 */
#ifndef TLS_PROXY_NAME_H
#define TLS_PROXY_NAME_H

#include "mod_tls.h"

/** How the backend of an outgoing connection is called: by its name, or by its IP address if nobody has called it by name. */
const char *tls_proxy_name_of(conn_rec *c);

#endif /* TLS_PROXY_NAME_H */
