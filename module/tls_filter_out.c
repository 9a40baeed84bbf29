/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_filters.h"

#include "http_protocol.h"

#include <unistd.h>

#include "apr_portable.h"

#include "http_connection.h"
#include "http_request.h"

#include "tls_handshake.h"
#include "tls_hooks.h"
#include "tls_transfer.h"

/* The largest plaintext of a record (RFC 8446 section 5.1). */
#define RECORD_SIZE 16384

/* The maximum size of a batch: four full records. Larger ones do not fit the CPU's cache. */
#define BATCH_SIZE (4 * RECORD_SIZE)

/* The maximum number of pieces in a batch. */
#define BATCH_PIECES 64

/* Data that is encrypted in one call, and its buckets. */
typedef struct {
    struct iovec pieces[BATCH_PIECES];
    size_t count;
    apr_size_t len;
    apr_bucket_brigade *buckets;
} batch;

static apr_status_t encrypt(tls_connection *tc, batch *work)
{
    tls_status status = TLS_STATUS_OK;
    apr_status_t rv = APR_SUCCESS;

    if (work->count) {
        tc->header_due = 0;
        status = tls_conn_write(tc->backend, work->pieces, work->count);
        rv = tls_transfer_collect(tc);
    }
    work->count = 0;
    work->len = 0;
    apr_brigade_cleanup(work->buckets);
    if (status == TLS_STATUS_INTERNAL) {
        tls_transfer_fail(tc, status);
    }
    return status == TLS_STATUS_OK ? rv : APR_ECONNABORTED;
}

/* Replaces the beginning of a file bucket by one in memory. APR would map large files, which is expensive for threaded
 * processes when they are unmapped; and pread() does not move the offset that other readers of the file share. */
static apr_status_t read_file(apr_bucket *b)
{
    apr_bucket_file *file = b->data;
    apr_size_t len = b->length > BATCH_SIZE ? BATCH_SIZE : b->length;
    char *buffer = tls_buffer_alloc(len);
    apr_size_t done = 0;
    apr_os_file_t fd;
    apr_status_t rv = apr_os_file_get(&fd, file->fd);

    while (rv == APR_SUCCESS && done < len) {
        ssize_t n = pread(fd, buffer + done, len - done, b->start + (off_t)done);

        if (n > 0) {
            done += (apr_size_t)n;
        }
        else if (n == 0) {
            rv = APR_EOF; /* The file was truncated. */
        }
        else if (errno != EINTR) {
            rv = errno;
        }
    }
    if (rv == APR_SUCCESS) {
        if (len < b->length) {
            apr_bucket_split(b, len);
        }
        APR_BUCKET_INSERT_AFTER(b, apr_bucket_heap_create(buffer, len, free, b->list));
        apr_bucket_delete(b);
        return APR_SUCCESS;
    }
    free(buffer);
    return rv;
}

/* The data of a bucket. If that blocks, data that is ready is sent first. */
static apr_status_t read_bucket(tls_connection *tc, batch *work, apr_bucket *b, const char **data, apr_size_t *len)
{
    apr_status_t rv = apr_bucket_read(b, data, len, APR_NONBLOCK_READ);

    if (!APR_STATUS_IS_EAGAIN(rv)) {
        return rv;
    }
    rv = encrypt(tc, work);
    if (rv == APR_SUCCESS) {
        APR_BRIGADE_INSERT_TAIL(tc->outgoing, apr_bucket_flush_create(tc->c->bucket_alloc));
        rv = tls_transfer_pass(tc);
    }
    return rv == APR_SUCCESS ? apr_bucket_read(b, data, len, APR_BLOCK_READ) : rv;
}

static void move(apr_bucket *b, apr_bucket_brigade *to)
{
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(to, b);
}

static apr_status_t add_data(tls_connection *tc, batch *work, apr_bucket *b)
{
    const char *data;
    apr_size_t len;
    apr_status_t rv = read_bucket(tc, work, b, &data, &len);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    move(b, work->buckets);
    if (len) {
        work->pieces[work->count].iov_base = (void *)data;
        work->pieces[work->count].iov_len = len;
        work->count++;
        work->len += len;
    }
    if (work->len < BATCH_SIZE && work->count < BATCH_PIECES) {
        return APR_SUCCESS;
    }
    rv = encrypt(tc, work);
    return rv == APR_SUCCESS ? tls_transfer_pass(tc) : rv;
}

/* Whether close_notify follows the response: both share a packet then. */
static int is_last_response(const tls_connection *tc, const apr_bucket *b)
{
    return AP_BUCKET_IS_EOR(b) && !tc->outgoing_to && tc->c->keepalive == AP_CONN_CLOSE
           && !strcmp(ap_get_protocol(tc->c), AP_PROTOCOL_HTTP1);
}

static apr_status_t add_metadata(tls_connection *tc, batch *work, apr_bucket *b)
{
    int flush = APR_BUCKET_IS_FLUSH(b);
    apr_status_t rv = encrypt(tc, work);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (tls_connection_is_open(tc) && (AP_BUCKET_IS_EOC(b) || is_last_response(tc, b))) {
        tls_status status = tls_conn_close(tc->backend);

        if (status != TLS_STATUS_OK) {
            tls_transfer_fail(tc, status);
        }
        rv = tls_transfer_collect(tc);
        if (AP_BUCKET_IS_EOC(b)) {
            /* No flush follows the end of the connection. */
            APR_BRIGADE_INSERT_TAIL(tc->outgoing, apr_bucket_flush_create(tc->c->bucket_alloc));
        }
    }
    move(b, tc->outgoing);
    return flush && rv == APR_SUCCESS ? tls_transfer_pass(tc) : rv;
}

/* The header and the body of a response come in two calls. The header is held back so that both share a record, until the end
 * of the request or a flush. Other data is not held: writers that do not flush, such as tunnels, depend on that. */
static apr_status_t hold(tls_connection *tc, batch *work)
{
    if (work->len >= RECORD_SIZE || !tc->header_due) {
        return encrypt(tc, work);
    }
    for (apr_bucket *b = APR_BRIGADE_FIRST(work->buckets); b != APR_BRIGADE_SENTINEL(work->buckets);
         b = APR_BUCKET_NEXT(b)) {
        if (apr_bucket_setaside(b, tc->c->pool) != APR_SUCCESS) {
            /* Data that cannot be set aside is sent. */
            return encrypt(tc, work);
        }
    }
    APR_BRIGADE_CONCAT(tc->held, work->buckets);
    work->count = 0;
    return APR_SUCCESS;
}

static apr_status_t write_data(tls_connection *tc, apr_bucket_brigade *bb, batch *work)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);

        if (APR_BUCKET_IS_METADATA(b)) {
            rv = add_metadata(tc, work, b);
            continue;
        }
        if (APR_BUCKET_IS_FILE(b) && b->length > 0) {
            rv = read_file(b);
            if (rv != APR_SUCCESS) {
                ap_log_cerror(APLOG_MARK, APLOG_ERR, rv, tc->c,
                              "tls: a file changed or became unreadable while it was sent; the connection is aborted");
                break;
            }
            b = APR_BRIGADE_FIRST(bb);
        }
        rv = add_data(tc, work, b);
    }
    return rv == APR_SUCCESS ? hold(tc, work) : rv;
}

/* After the end only metadata buckets pass, such as EOR and EOC. */
static apr_status_t drop_data(tls_connection *tc, apr_bucket_brigade *bb)
{
    int lost = 0;

    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);

        if (APR_BUCKET_IS_METADATA(b)) {
            move(b, tc->outgoing);
        }
        else {
            lost = 1;
            apr_bucket_delete(b);
        }
    }
    apr_status_t rv = tls_transfer_pass(tc);
    return lost && rv == APR_SUCCESS ? APR_ECONNABORTED : rv;
}

/* Whether there is something to encrypt. */
static int has_data(const apr_bucket_brigade *bb)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        if (!APR_BUCKET_IS_METADATA(b)) {
            return 1;
        }
    }
    return 0;
}

apr_status_t tls_output_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    tls_connection *tc = f->ctx;
    batch work;

    if (f->c->aborted && !APR_BRIGADE_EMPTY(bb)) {
        apr_brigade_cleanup(bb);
        return APR_ECONNABORTED;
    }
    if (tc->outgoing_to && !APR_BRIGADE_EMPTY(bb)) {
        tls_handshake_before_write(tc, bb);
    }
    else if (tc->phase == TLS_HANDSHAKE && has_data(bb)) {
        /* In this protocol the server sends first. If the handshake fails, the phase is TLS_FAILED. */
        tls_handshake_run(tc, APR_BLOCK_READ);
    }
    if (!tls_connection_is_open(tc)) {
        return drop_data(tc, bb);
    }
    work.count = 0;
    work.len = 0;
    work.buckets = tc->encrypting;
    APR_BRIGADE_PREPEND(bb, tc->held);
    apr_status_t rv = write_data(tc, bb, &work);
    apr_brigade_cleanup(work.buckets);
    if (rv == APR_SUCCESS) {
        return tls_transfer_pass(tc);
    }
    /* Data is missing: the peer must not take what it has received for complete. */
    tc->phase = TLS_FAILED;
    tc->c->aborted = 1;
    drop_data(tc, bb);
    return rv;
}

/* The handler of a request starts: the first data that it writes is the header of its response. */
static void expect_header(request_rec *r)
{
    tls_connection *tc = r->connection->master ? NULL : tls_connection_of(r->connection);

    if (tc) {
        tc->header_due = 1;
    }
}

void tls_filters_attach(tls_connection *tc)
{
    conn_rec *c = tc->c;

    tc->received = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->plaintext = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->held = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->encrypting = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->outgoing = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->input = ap_add_input_filter(TLS_FILTER_NAME, tc, NULL, c);
    tc->output = ap_add_output_filter(TLS_FILTER_NAME, tc, NULL, c);
}

void tls_filters_register_hooks(apr_pool_t *)
{
    /* The position of mod_ssl's filters: mod_reqtimeout has to be between this module and the network. */
    ap_register_input_filter(TLS_FILTER_NAME, tls_input_filter, NULL, AP_FTYPE_CONNECTION + 5);
    ap_register_output_filter(TLS_FILTER_NAME, tls_output_filter, NULL, AP_FTYPE_CONNECTION + 5);
    ap_hook_insert_filter(expect_header, NULL, NULL, APR_HOOK_MIDDLE);
}
