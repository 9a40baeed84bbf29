/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mod_tls.c
 * The module's record, what httpd finds when it loads us; and what both records have in common.
 */
#include "mod_tls.h"

#include "tls_access.h"
#include "tls_cache.h"
#include "tls_connection.h"
#include "tls_directives.h"
#include "tls_failover.h"
#include "tls_filters.h"
#include "tls_proxy.h"
#include "tls_request.h"
#include "tls_settings.h"
#include "tls_state.h"
#include "tls_status.h"
#include "tls_timeout.h"
#include "tls_vars.h"

module *tls_record = &tls_module;

/* The records that were loaded for this configuration. */
static bool is_tls_loaded, is_ssl_loaded;

bool tls_has_ssl_directives(void)
{
    return is_ssl_loaded;
}

bool tls_has_only_ssl_directives(void)
{
    return is_ssl_loaded && !is_tls_loaded;
}

static apr_status_t forget_records(void *unused)
{
    (void)unused;
    is_tls_loaded = is_ssl_loaded = false;
    ssl_module.module_index = -1;
    return APR_SUCCESS;
}

/*
 * The linker takes our ssl_module for that of a mod_ssl.so that is loaded after us, or once more at a restart: modules are
 * loaded into one scope, and this file stays in it. All that mod_ssl does with its record is to find its settings by the
 * index that httpd has given to it; so ours, which httpd does not know then, gets the same one before directives are read.
 */
static int lend_record(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    const module *others = is_ssl_loaded ? NULL : ap_find_linked_module("mod_ssl.c");

    (void)pconf;
    (void)plog;
    (void)ptemp;
    if (others) {
        ssl_module.module_index = others->module_index;
    }
    return OK;
}

void tls_register_hooks(apr_pool_t *p, module *record)
{
    bool is_first = !is_tls_loaded && !is_ssl_loaded;

    *(record == &ssl_module ? &is_ssl_loaded : &is_tls_loaded) = true;
    if (!is_first) {
        return;
    }
    tls_record = record;
    apr_pool_cleanup_register(p, NULL, forget_records, apr_pool_cleanup_null);
    ap_hook_pre_config(lend_record, NULL, NULL, APR_HOOK_REALLY_FIRST);
    tls_filters_register();
    tls_state_register_hooks(p);
    tls_cache_register_hooks(p);
    tls_timeout_register_hooks(p);
    tls_connection_register_hooks(p);
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

module AP_MODULE_DECLARE_DATA tls_module = {
    STANDARD20_MODULE_STUFF,
    NULL, /* Settings of directories are made by the first directive. */
    tls_merge_dir_settings,
    tls_create_server_settings,
    tls_merge_server_settings,
    tls_commands,
    register_hooks,
    AP_MODULE_FLAG_NONE
};
