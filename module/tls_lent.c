/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_lent.h"

#include "tls_connection.h"

static apr_status_t lent_read(apr_bucket *b, const char **data, apr_size_t *len, apr_read_type_e)
{
    *data = (const char *)b->data + b->start;
    *len = b->length;
    return APR_SUCCESS;
}

static apr_status_t lent_setaside(apr_bucket *b, apr_pool_t *)
{
    char *copy = memcpy(tls_buffer_alloc(b->length), (const char *)b->data + b->start, b->length);

    apr_bucket_heap_make(b, copy, b->length, free);
    return APR_SUCCESS;
}

static const apr_bucket_type_t lent = { "TLS",
                                        5,
                                        APR_BUCKET_DATA,
                                        apr_bucket_destroy_noop,
                                        lent_read,
                                        lent_setaside,
                                        apr_bucket_simple_split,
                                        apr_bucket_simple_copy };

apr_bucket *tls_lent_create(tls_slice data, apr_bucket_alloc_t *alloc)
{
    apr_bucket *b = apr_bucket_transient_create((const char *)data.data, data.len, alloc);

    b->type = &lent;
    return b;
}
