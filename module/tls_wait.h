/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_wait.h
 * Has the MPM wait for an answer about the client's certificate, so that no thread does. Called by tls_process.c.
 */
#pragma once

#include "tls_connection.h"

/** Has the MPM wait when process_connection returns. False if that is not possible. */
bool tls_wait_begin(tls_connection *tc);

/** The MPM waits no longer, for whatever reason: the socket is again that of the client. */
void tls_wait_end(tls_connection *tc);
