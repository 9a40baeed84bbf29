/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_vars.h
 * SSL_* variables: for environments, logs, expressions and other modules.
 */
#pragma once

#include "tls_base.h"

void tls_vars_register_hooks(apr_pool_t *p);
