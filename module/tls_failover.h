/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_failover.h
 * Lets balancers try the next member after a failed handshake. Called by tls_handshake.c in the thread of the request.
 */
#pragma once

#include "tls_base.h"

/** Records that the handshake with a backend has failed in this thread, before any data was sent. */
void tls_failover_note(void);
