/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mod_tls.h
 * The function that the module records in mod_tls.c and mod_ssl.c share. Called when httpd loads a record.
 */
#pragma once

#include "tls_base.h"

/** Registers the hooks of all files, unless the other record has done so. Called by httpd when it loads a record. */
void tls_register_hooks(apr_pool_t *p, module *record);
