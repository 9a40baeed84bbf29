/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_keyd.h
 * The processes that have the private keys, as children of httpd's parent process.
 */
#pragma once

#include "tls_base.h"

/**
 * Has httpd tell when tls-keyd, or the process that watches it, ends, so that it is started again. Called when one may have
 * been started.
 * @param pconf is cleared before the next configuration is read, which calls this again
 */
void tls_keyd_watch(apr_pool_t *pconf, server_rec *s);
