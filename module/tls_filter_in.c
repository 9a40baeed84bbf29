/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_filters.h"

#include "tls_handshake.h"
#include "tls_transfer.h"

/* Reads until there is plaintext. */
static apr_status_t fill(tls_connection *tc, apr_read_type_e block)
{
    while (!tls_transfer_has_plaintext(tc)) {
        apr_status_t rv;

        if (tc->input_end != APR_SUCCESS) {
            return tc->input_end;
        }
        rv = tls_transfer_receive(tc, block);
        if (rv != APR_SUCCESS && !tls_transfer_has_plaintext(tc)) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

/* Reads until there is plaintext in its brigade. */
static apr_status_t fill_brigade(tls_connection *tc, apr_read_type_e block)
{
    apr_status_t rv = fill(tc, block);

    tls_transfer_keep(tc);
    return rv;
}

/* Moves the buckets before `end` to `bb`. */
static void give(apr_bucket_brigade *from, apr_bucket *end, apr_bucket_brigade *bb)
{
    while (APR_BRIGADE_FIRST(from) != end) {
        apr_bucket *b = APR_BRIGADE_FIRST(from);

        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(bb, b);
    }
}

static apr_status_t read_bytes(tls_connection *tc, apr_bucket_brigade *bb, apr_off_t readbytes)
{
    apr_bucket *end;
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(tc->plaintext)) {
        tls_transfer_lend(tc, bb, readbytes);
        return APR_SUCCESS;
    }
    rv = apr_brigade_partition(tc->plaintext, readbytes, &end);
    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        return rv;
    }
    give(tc->plaintext, end, bb);
    return APR_SUCCESS;
}

static apr_status_t peek_bytes(tls_connection *tc, apr_bucket_brigade *bb, apr_off_t readbytes)
{
    apr_bucket *end, *b, *copy;
    apr_status_t rv = apr_brigade_partition(tc->plaintext, readbytes, &end);

    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        return rv;
    }
    for (b = APR_BRIGADE_FIRST(tc->plaintext); b != end; b = APR_BUCKET_NEXT(b)) {
        rv = apr_bucket_copy(b, &copy);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        APR_BRIGADE_INSERT_TAIL(bb, copy);
    }
    return APR_SUCCESS;
}

/* Drops the empty lines that some clients send before a request. EOF means that no data is left. */
static apr_status_t eat_line_ends(tls_connection *tc)
{
    while (!APR_BRIGADE_EMPTY(tc->plaintext)) {
        apr_bucket *b = APR_BRIGADE_FIRST(tc->plaintext);
        const char *data;
        apr_size_t len, eaten = 0;
        apr_status_t rv = apr_bucket_read(b, &data, &len, APR_NONBLOCK_READ);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        while (eaten < len && (data[eaten] == APR_ASCII_CR || data[eaten] == APR_ASCII_LF)) {
            eaten++;
        }
        if (eaten < len) {
            if (eaten) {
                apr_bucket_split(b, eaten);
                apr_bucket_delete(b);
            }
            return APR_SUCCESS;
        }
        apr_bucket_delete(b);
    }
    return APR_EOF;
}

/* Reads until the client closes. Data before an error is returned; the next read returns the error. */
static apr_status_t read_all(tls_connection *tc, apr_bucket_brigade *bb, apr_read_type_e block)
{
    apr_status_t rv;

    while ((rv = fill_brigade(tc, block)) == APR_SUCCESS) {
        APR_BRIGADE_CONCAT(bb, tc->plaintext);
    }
    if (APR_STATUS_IS_EOF(rv)) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(tc->c->bucket_alloc));
        return APR_SUCCESS;
    }
    return APR_BRIGADE_EMPTY(bb) ? rv : APR_SUCCESS;
}

/* The length of the first line with its end; 0 if it is not complete. A line that is too long ends at the limit. */
static apr_off_t line_length(const tls_connection *tc)
{
    apr_off_t before = 0;

    for (apr_bucket *b = APR_BRIGADE_FIRST(tc->plaintext); b != APR_BRIGADE_SENTINEL(tc->plaintext);
         b = APR_BUCKET_NEXT(b)) {
        const char *data, *end;
        apr_size_t len;

        /* All of them are in memory. */
        apr_bucket_read(b, &data, &len, APR_NONBLOCK_READ);
        if (before + (apr_off_t)len > HUGE_STRING_LEN) {
            len = (apr_size_t)(HUGE_STRING_LEN - before);
        }
        end = memchr(data, APR_ASCII_LF, len);
        if (end) {
            return before + (end - data) + 1;
        }
        before += (apr_off_t)len;
        if (before == HUGE_STRING_LEN) {
            return before;
        }
    }
    return 0;
}

/* Reads a complete line; an incomplete one stays for the next read. Only the last line can lack its end. */
static apr_status_t read_line(tls_connection *tc, apr_bucket_brigade *bb, apr_read_type_e block)
{
    apr_bucket *end;
    apr_off_t len = 0;
    apr_status_t rv = fill_brigade(tc, block);

    while (rv == APR_SUCCESS && !(len = line_length(tc))) {
        rv = tc->input_end != APR_SUCCESS ? tc->input_end : tls_transfer_receive(tc, block);
        tls_transfer_keep(tc);
    }
    if (APR_STATUS_IS_EOF(rv) && tls_transfer_has_plaintext(tc)) {
        APR_BRIGADE_CONCAT(bb, tc->plaintext);
        return APR_SUCCESS;
    }
    if (rv == APR_SUCCESS) {
        rv = apr_brigade_partition(tc->plaintext, len, &end);
    }
    return rv == APR_SUCCESS ? apr_brigade_split_line(bb, tc->plaintext, block, len) : rv;
}

apr_status_t tls_input_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode, apr_read_type_e block,
                              apr_off_t readbytes)
{
    tls_connection *tc = f->ctx;
    apr_status_t rv;

    if (f->c->aborted) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(f->c->bucket_alloc));
        return APR_ECONNABORTED;
    }
    if (tc->phase == TLS_HANDSHAKE) {
        rv = tls_handshake_run(tc, block);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    switch (mode) {
    case AP_MODE_INIT:
        return tls_conn_is_awaited(tc->backend) ? tls_transfer_flush(tc) : APR_SUCCESS;
    case AP_MODE_EXHAUSTIVE:
        return read_all(tc, bb, block);
    case AP_MODE_EATCRLF:
        rv = fill_brigade(tc, APR_NONBLOCK_READ);
        return rv == APR_SUCCESS ? eat_line_ends(tc) : rv;
    case AP_MODE_GETLINE:
        return read_line(tc, bb, block);
    case AP_MODE_READBYTES:
        rv = fill(tc, block);
        return rv == APR_SUCCESS ? read_bytes(tc, bb, readbytes) : rv;
    case AP_MODE_SPECULATIVE:
        rv = fill_brigade(tc, block);
        return rv == APR_SUCCESS ? peek_bytes(tc, bb, readbytes) : rv;
    default:
        return APR_ENOTIMPL;
    }
}
