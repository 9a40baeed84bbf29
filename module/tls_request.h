/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_request.h
 * What requests have of their connection, and those that it does not allow.
 */
#pragma once

#include "tls_base.h"

/** Whether a request came as early data (RFC 8470). */
int tls_request_is_early(const request_rec *r);
