/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_cache.h
 * The session cache of all child processes, in httpd's socache. Called by tls_state.c when it has compiled a configuration.
 */
#pragma once

#include "tls_base.h"

/**
 * Checks what can be checked of the cache that the configuration names without opening it.
 * @return OK, or an HTTP status if the server must not start, after saying why
 */
int tls_cache_check(apr_pool_t *ptemp, server_rec *s, const tls_config *config);

/**
 * Opens the cache that the configuration names.
 * @return OK, also where there is no cache and there need not be one; an HTTP status if the server must not start
 */
int tls_cache_open(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s, const tls_config *config);
