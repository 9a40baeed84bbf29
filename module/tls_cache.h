/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_cache.h
 * The session cache of all child processes, in httpd's socache. Called by tls_state.c when it has compiled a configuration.
 */
#pragma once

#include "tls_base.h"

/**
 * Checks the cache that the configuration names as far as possible without opening it.
 * @return OK, or an HTTP status if the server must not start; the reason is logged
 */
int tls_cache_check(apr_pool_t *ptemp, server_rec *s, const tls_config *config);

/**
 * Opens the cache that the configuration names.
 * @return OK, also if there is no cache and none is required; an HTTP status if the server must not start
 */
int tls_cache_open(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s, const tls_config *config);
