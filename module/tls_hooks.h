/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_hooks.h
 * The hooks of each file. mod_tls.c calls all of these functions when httpd loads the module, before it reads directives.
 */
#pragma once

#include "tls_base.h"

/** Registers the filters, and detects the start of a response (insert_filter). */
void tls_filters_register_hooks(apr_pool_t *p);
/** Compiles the configuration (check_config, post_config), prepares child processes, logs messages (monitor). */
void tls_state_register_hooks(apr_pool_t *p);
/** Prepares the lock of the session cache (pre_config, child_init). */
void tls_cache_register_hooks(apr_pool_t *p);
/** Has httpd tell of the end of tls-keyd (post_config, monitor), so that it is started again. */
void tls_keyd_register_hooks(apr_pool_t *p);
/** Opens the file of TLSLogFailures (post_config), and reports failures that were not logged one by one (monitor). */
void tls_failures_register_hooks(apr_pool_t *p);
/** Runs TLSExpiryCommand in the parent process (post_config, monitor). */
void tls_expiry_register_hooks(apr_pool_t *p);
/** Starts connections of clients (pre_connection) and runs their handshakes (process_connection). */
void tls_process_register_hooks(apr_pool_t *p);
/** Starts connections to backends (ssl_bind_outgoing, pre_connection). */
void tls_proxy_register_hooks(apr_pool_t *p);
/** Makes balancers try another member if a handshake fails (mod_proxy's scheme_handler). */
void tls_failover_register_hooks(apr_pool_t *p);
/** Decides whether a request may use its connection (post_read_request), and early data (post_perdir_config). */
void tls_request_register_hooks(apr_pool_t *p);
/** Applies the rules of locations, FakeBasicAuth and TLSUserName, and provides `Require ssl...`. */
void tls_access_register_hooks(apr_pool_t *p);
/** Provides variables: ssl_var_lookup, expressions, logs, the environment of requests (fixups). */
void tls_vars_register_hooks(apr_pool_t *p);
/** Shows counters on the page of mod_status (status_hook), the status page and metrics (handler). */
void tls_status_register_hooks(apr_pool_t *p);
