/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_proxy.h
 * Connections to backends, which mod_proxy makes.
 */
#ifndef TLS_PROXY_H
#define TLS_PROXY_H

#include "tls_base.h"

void tls_proxy_register_hooks(apr_pool_t *p);

#endif /* TLS_PROXY_H */
