/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_accept.h
 * Between ClientHello and ServerHello: which virtual host, which protocol, which certificate. Used by tls_transfer.c.
 */
#pragma once

#include "tls_connection.h"

/** Answers a ClientHello that is complete. `event` is set to what has come of it. */
tls_status tls_accept_client(tls_connection *tc, tls_event *event);
