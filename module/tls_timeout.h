/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_timeout.h
 * Wakes handshakes whose time is up while the MPM waits for the client.
 */
#pragma once

#include "tls_connection.h"

/** Watches a handshake, if its server limits its time. May be called for one that is watched already. */
void tls_timeout_watch(tls_connection *tc);

/** Stops watching. */
void tls_timeout_unwatch(tls_connection *tc);

/** Registers the hooks that prepare children. */
void tls_timeout_register_hooks(apr_pool_t *p);
