/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_process.h
 * Connections of clients, from the moment that httpd has accepted them to the end of the handshake.
 */
#pragma once

#include "tls_base.h"

void tls_process_register_hooks(apr_pool_t *p);
