/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mod_ssl.c
 * The module record that replaces mod_ssl: `LoadModule ssl_module …/mod_tls.so`. httpd identifies modules by the names of
 * their source files, so <IfModule mod_ssl.c> matches this one.
 */
#include "mod_tls.h"

#include "tls_directives.h"
#include "tls_settings.h"

static void register_hooks(apr_pool_t *p)
{
    tls_register_hooks(p, &ssl_module);
}

module AP_MODULE_DECLARE_DATA ssl_module = { STANDARD20_MODULE_STUFF,
                                             NULL, /* The first directive makes the settings of a directory. */
                                             tls_merge_dir_settings,
                                             tls_create_server_settings,
                                             tls_merge_server_settings,
                                             tls_ssl_commands,
                                             register_hooks,
                                             AP_MODULE_FLAG_NONE };
