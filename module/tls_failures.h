/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_failures.h
 * Logs why connections have failed: in the error log, and where TLSLogFailures says.
 */
#pragma once

#include "tls_connection.h"

/** Logs why the connection has failed, after a call of the Rust library has returned `status`. */
void tls_failures_log(tls_connection *tc, tls_status status);
