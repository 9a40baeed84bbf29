/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file contract_buckets.h
 * Buckets of every kind, made from words, for mod_tls_contract.c.
 */
#ifndef CONTRACT_BUCKETS_H
#define CONTRACT_BUCKETS_H

#include "httpd.h"
#include "apr_buckets.h"

/** What the buckets of one connection are made of. */
typedef struct {
    conn_rec *c;
    /** The request that an EOR ends and that owns the memory of pool buckets; NULL between requests. */
    request_rec *r;
    /** How many bytes of data were made: each byte's value follows from its place. */
    apr_size_t offset;
    /** Files and pipes get names and writers of their own. */
    unsigned serial;
    /** How many EORs and metadata buckets of our own were made, and how many of them are destroyed. */
    unsigned made, destroyed;
    /** Memory that is overwritten as soon as a brigade was passed. */
    apr_array_header_t *scratch;
} bucket_maker;

/** The request that is going on; begins one if there is none. */
request_rec *bucket_request(bucket_maker *maker);

/**
 * Makes the bucket that `word` asks for, KIND or KIND:SIZE or KIND:SIZE:OTHER, and appends it to `bb`.
 * @return an error if there is no such kind
 */
apr_status_t bucket_append(bucket_maker *maker, apr_bucket_brigade *bb, const char *word);

/** To be called after a brigade was passed: what transient buckets have pointed to is gone. */
void bucket_forget_scratch(bucket_maker *maker);

/** A status by its symbol, or by its number where it has none here. */
const char *status_name(apr_status_t rv, apr_pool_t *p);

/** The status with this symbol. */
apr_status_t status_of_name(const char *name);

#endif /* CONTRACT_BUCKETS_H */
