/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_access.h
 * Who is let in: client certificates that locations want, users made of them, and `Require ssl…`.
 */
#pragma once

#include "tls_base.h"

void tls_access_register_hooks(apr_pool_t *p);
