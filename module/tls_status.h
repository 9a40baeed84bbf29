/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_status.h
 * Counters in mod_status.
 */
#pragma once

#include "tls_base.h"

void tls_status_register_hooks(apr_pool_t *p);
