/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mod_ssl.c
 * The record that stands for mod_ssl: `LoadModule ssl_module …/mod_tls.so`. httpd knows modules by the names of their files,
 * so that <IfModule mod_ssl.c> finds this one.
 */
#include "mod_tls.h"

#include "tls_directives.h"
#include "tls_settings.h"

static void register_hooks(apr_pool_t *p)
{
    tls_register_hooks(p, &ssl_module);
}

module AP_MODULE_DECLARE_DATA ssl_module = { STANDARD20_MODULE_STUFF,
                                             NULL, /* Settings of directories are made by the first directive. */
                                             tls_merge_dir_settings,
                                             tls_create_server_settings,
                                             tls_merge_server_settings,
                                             tls_ssl_commands,
                                             register_hooks,
                                             AP_MODULE_FLAG_NONE };
