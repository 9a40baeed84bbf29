/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_filters.h
 * The two filters between httpd and the network. Attached by tls_process.c and tls_proxy.c, called by httpd for all data.
 */
#pragma once

#include "tls_connection.h"

/** Decrypts what is read (tls_filter_in.c). */
apr_status_t tls_input_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode, apr_read_type_e block,
                              apr_off_t readbytes);

/** Encrypts what is written (tls_filter_out.c). */
apr_status_t tls_output_filter(ap_filter_t *f, apr_bucket_brigade *bb);

/** Adds both filters to a connection. Called before any data is read or written. */
void tls_filters_attach(tls_connection *tc);
