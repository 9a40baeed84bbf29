/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_request.h
 * Requests that their connection does not allow.
 */
#ifndef TLS_REQUEST_H
#define TLS_REQUEST_H

#include "mod_tls.h"

void tls_request_register_hooks(apr_pool_t *p);

#endif /* TLS_REQUEST_H */
