/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_proxy.h
 * Connections to backends, which mod_proxy makes.
 */
#pragma once

#include "tls_base.h"

void tls_proxy_register_hooks(apr_pool_t *p);
