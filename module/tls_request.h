/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_request.h
 * Requests that came as early data. Called by tls_vars.c while the request is processed.
 */
#pragma once

#include "tls_base.h"

/** Whether a request came as early data (RFC 8470). */
int tls_request_is_early(const request_rec *r);
