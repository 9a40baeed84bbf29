/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_base.h"

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

static apr_status_t forget_records(void *)
{
    is_tls_loaded = is_ssl_loaded = false;
    ssl_module.module_index = -1;
    return APR_SUCCESS;
}

/* All modules share one scope for symbols: references to ssl_module in a mod_ssl.so that is loaded later are bound to the
 * record of this file. mod_ssl uses it only for the index of its settings, which is set here before directives are read. */
static int lend_record(apr_pool_t *, apr_pool_t *, apr_pool_t *)
{
    const module *others = is_ssl_loaded ? NULL : ap_find_linked_module("mod_ssl.c");

    if (others) {
        ssl_module.module_index = others->module_index;
    }
    return OK;
}

bool tls_record_loaded(apr_pool_t *pconf, module *record)
{
    bool is_first = !is_tls_loaded && !is_ssl_loaded;

    *(record == &ssl_module ? &is_ssl_loaded : &is_tls_loaded) = true;
    if (is_first) {
        tls_record = record;
        apr_pool_cleanup_register(pconf, NULL, forget_records, apr_pool_cleanup_null);
    }
    return is_first;
}

void tls_record_register_hooks(apr_pool_t *)
{
    ap_hook_pre_config(lend_record, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

void tls_print(apr_pool_t *p, tls_text text)
{
    apr_file_t *out;

    if (apr_file_open_stdout(&out, p) == APR_SUCCESS) {
        apr_file_write_full(out, text.data, text.len, NULL);
    }
    tls_text_free(text);
}
