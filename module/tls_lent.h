/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_lent.h
 * Buckets of memory that belongs to the TLS state of a connection and is there for a short time. They are APR's transient
 * buckets, except that what is set aside is in memory for free(): APR would keep it as long as the connection.
 */
#pragma once

#include "apr_buckets.h"

#include "tls_base.h"

/** A bucket of `data`. It has to be set aside by whoever keeps it. */
apr_bucket *tls_lent_create(tls_slice data, apr_bucket_alloc_t *alloc);
