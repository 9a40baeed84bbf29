/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_status.h
 * Counters in mod_status.
 */
#ifndef TLS_STATUS_H
#define TLS_STATUS_H

#include "tls_base.h"

void tls_status_register_hooks(apr_pool_t *p);

#endif /* TLS_STATUS_H */
