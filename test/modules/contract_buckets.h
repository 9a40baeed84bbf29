/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file contract_buckets.h
 * Makes buckets of every type by name, for mod_tls_contract.c.
 */
#ifndef CONTRACT_BUCKETS_H
#define CONTRACT_BUCKETS_H

#include "httpd.h"
#include "apr_buckets.h"

/** The state for the buckets of one connection. */
typedef struct {
    conn_rec *c;
    /** The request that an EOR ends and that owns the memory of pool buckets; NULL between requests. */
    request_rec *r;
    /** The number of bytes of data so far. The value of each byte depends on its position. */
    apr_size_t offset;
    /** The number of EORs and MARK buckets that were made, and that were destroyed. */
    unsigned made, destroyed;
    /** Memory that is overwritten after a brigade was passed. */
    apr_array_header_t *scratch;
} bucket_maker;

/** The current request; begins one if there is none. */
request_rec *bucket_request(bucket_maker *maker);

/**
 * Makes the bucket that `word` specifies, KIND or KIND:SIZE or KIND:SIZE:OTHER, and appends it to `bb`.
 * @return an error if there is no such kind
 */
apr_status_t bucket_append(bucket_maker *maker, apr_bucket_brigade *bb, const char *word);

/** Overwrites the memory of transient buckets. Called after a brigade was passed. */
void bucket_forget_scratch(bucket_maker *maker);

/** The symbol of a status, or its number if the table has no symbol. */
const char *status_name(apr_status_t rv, apr_pool_t *p);

/** The status with this symbol. */
apr_status_t status_of_name(const char *name);

#endif /* CONTRACT_BUCKETS_H */
