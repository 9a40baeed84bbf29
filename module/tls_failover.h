/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_failover.h
 * Balancers go on to the next member where the TLS handshake with one fails.
 */
#pragma once

#include "tls_base.h"

/** Notes that the handshake with a backend has failed, in this thread, before anything was sent to it. */
void tls_failover_note(void);
