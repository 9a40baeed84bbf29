/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mod_tls.c
 * The module record `tls_module`. Each line of tls_register_hooks() registers the hooks of a file.
 */
#include "mod_tls.h"

#include "tls_directives.h"
#include "tls_hooks.h"
#include "tls_settings.h"

void tls_register_hooks(apr_pool_t *p, module *record)
{
    if (!tls_record_loaded(p, record)) {
        return;
    }
    tls_record_register_hooks(p);
    tls_filters_register_hooks(p);
    tls_state_register_hooks(p);
    tls_cache_register_hooks(p);
    tls_keyd_register_hooks(p);
    tls_failures_register_hooks(p);
    tls_expiry_register_hooks(p);
    tls_process_register_hooks(p);
    tls_proxy_register_hooks(p);
    tls_failover_register_hooks(p);
    tls_request_register_hooks(p);
    tls_access_register_hooks(p);
    tls_vars_register_hooks(p);
    tls_status_register_hooks(p);
}

static void register_hooks(apr_pool_t *p)
{
    tls_register_hooks(p, &tls_module);
}

module AP_MODULE_DECLARE_DATA tls_module = { STANDARD20_MODULE_STUFF,
                                             NULL, /* The first directive makes the settings of a directory. */
                                             tls_merge_dir_settings,
                                             tls_create_server_settings,
                                             tls_merge_server_settings,
                                             tls_commands,
                                             register_hooks,
                                             AP_MODULE_FLAG_NONE };
