/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_accept.h
 * Selects the virtual host, the protocol and the certificate. Called by tls_transfer.c once the ClientHello is complete.
 */
#pragma once

#include "tls_connection.h"

/** Answers the ClientHello. `event` is set to the next event of the connection. */
tls_status tls_accept_client(tls_connection *tc, tls_event *event);
