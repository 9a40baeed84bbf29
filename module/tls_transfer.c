/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_transfer.h"

#include "tls_accept.h"
#include "tls_failures.h"
#include "tls_lent.h"
#include "tls_state.h"

/* Smaller reads are likely to be requests. */
#define SMALL_READ 4096

/* Smaller records are copied into one bucket: fewer pieces need fewer system calls. */
#define SMALL_RECORD 4096

/* How many records are collected before they are passed on. */
#define OUTPUT_RECORDS 32

/* Adds a copy of these pieces to `bb`, as one bucket with exactly the memory they need. */
static void add_copy(apr_bucket_brigade *bb, const tls_slice *pieces, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        len += pieces[i].len;
    }
    char *buffer = tls_buffer_alloc(len), *end = buffer;
    for (size_t i = 0; i < count; i++) {
        memcpy(end, pieces[i].data, pieces[i].len);
        end += pieces[i].len;
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(buffer, len, free, bb->bucket_alloc));
}

/* The number of small records at the beginning. */
static size_t count_small(const tls_slice *records, size_t count)
{
    size_t small = 0;

    while (small < count && records[small].len < SMALL_RECORD) {
        small++;
    }
    return small;
}

/* Adds records to `outgoing`, the large ones without copying them: they stay until tls_conn_sent(). Returns their number. */
static size_t collect_records(tls_connection *tc)
{
    tls_slice records[OUTPUT_RECORDS];
    size_t count = tls_conn_output(tc->backend, records, OUTPUT_RECORDS), done = 0;

    while (done < count) {
        size_t small = count_small(records + done, count - done);

        if (small) {
            add_copy(tc->outgoing, records + done, small);
            done += small;
        }
        else {
            APR_BRIGADE_INSERT_TAIL(tc->outgoing, tls_lent_create(records[done], tc->c->bucket_alloc));
            done++;
        }
    }
    return count;
}

apr_status_t tls_transfer_collect(tls_connection *tc)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && collect_records(tc) == OUTPUT_RECORDS) {
        rv = tls_transfer_pass(tc);
    }
    return rv;
}

apr_status_t tls_transfer_pass(tls_connection *tc)
{
    if (APR_BRIGADE_EMPTY(tc->outgoing)) {
        return APR_SUCCESS;
    }
    apr_status_t rv = ap_pass_brigade(tc->output->next, tc->outgoing);
    apr_brigade_cleanup(tc->outgoing);
    tls_conn_sent(tc->backend);
    return rv;
}

apr_status_t tls_transfer_flush(tls_connection *tc)
{
    apr_status_t rv = tls_transfer_collect(tc);

    if (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(tc->outgoing)) {
        APR_BRIGADE_INSERT_TAIL(tc->outgoing, apr_bucket_flush_create(tc->c->bucket_alloc));
        rv = tls_transfer_pass(tc);
    }
    return rv;
}

void tls_transfer_fail(tls_connection *tc, tls_status status)
{
    if (tc->phase == TLS_FAILED) {
        return;
    }
    tls_failures_log(tc, status);
    tc->phase = TLS_FAILED;
    tls_state_log(tc->c->pool, tc->config, tc->server);
    /* The alert has to be sent before the connection is closed. */
    tls_transfer_flush(tc);
}

/* Responds to plain HTTP on a TLS port. */
static void answer_plain_http(tls_connection *tc)
{
    tls_slice response = tls_plain_http_response();

    tls_failures_log(tc, TLS_STATUS_FAILED);
    tc->phase = TLS_FAILED;
    apr_brigade_write(tc->outgoing, NULL, NULL, (const char *)response.data, response.len);
    tls_transfer_flush(tc);
}

/* Small reads are likely to be requests, after which many connections are idle: they get exactly the memory they need. For
 * uploads, the buckets that APR reuses are faster. */
static void keep_plaintext(tls_connection *tc, tls_slice data)
{
    if (data.len >= SMALL_READ) {
        apr_brigade_write(tc->plaintext, NULL, NULL, (const char *)data.data, data.len);
    }
    else {
        add_copy(tc->plaintext, &data, 1);
    }
}

/* Takes back what tls_transfer_lend() has given. */
static void reclaim(tls_connection *tc)
{
    if (tc->lent) {
        tls_conn_consume(tc->backend, tc->lent);
        tc->lent = 0;
    }
}

/* The decrypted data behind `plaintext` that is in one piece; empty if there is none. */
static tls_slice unread(tls_connection *tc)
{
    tls_slice data = { NULL, 0 };

    reclaim(tc);
    if (tc->phase != TLS_FAILED) {
        tls_status status = tls_conn_read(tc->backend, &data);

        if (status != TLS_STATUS_OK) {
            tls_transfer_fail(tc, status);
            tc->input_end = APR_ECONNABORTED;
        }
    }
    return data;
}

apr_size_t tls_transfer_keep(tls_connection *tc)
{
    apr_size_t kept = 0;

    for (tls_slice data = unread(tc); data.len; data = unread(tc)) {
        keep_plaintext(tc, data);
        tls_conn_consume(tc->backend, data.len);
        kept += data.len;
    }
    return kept;
}

int tls_transfer_has_plaintext(tls_connection *tc)
{
    while (!APR_BRIGADE_EMPTY(tc->plaintext) && APR_BRIGADE_FIRST(tc->plaintext)->length == 0) {
        /* In older versions of apr-util (1.6.1) apr_bucket_delete() evaluates its argument more than once. */
        apr_bucket *empty = APR_BRIGADE_FIRST(tc->plaintext);

        apr_bucket_delete(empty);
    }
    return !APR_BRIGADE_EMPTY(tc->plaintext) || unread(tc).len;
}

void tls_transfer_lend(tls_connection *tc, apr_bucket_brigade *bb, apr_off_t most)
{
    tls_slice data = unread(tc);

    if ((apr_off_t)data.len > most) {
        data.len = (size_t)most;
    }
    if (data.len) {
        APR_BRIGADE_INSERT_TAIL(bb, tls_lent_create(data, tc->c->bucket_alloc));
        tc->lent = data.len;
    }
}

/* Goes on with the handshake. */
static tls_status take_event(tls_connection *tc, tls_event event)
{
    tls_status status = TLS_STATUS_OK;

    tc->awaiting = event == TLS_EVENT_AWAITING;
    if (event == TLS_EVENT_EARLY || event == TLS_EVENT_ESTABLISHED) {
        status = tc->info ? TLS_STATUS_OK : tls_conn_info(tc->backend, &tc->info);
        tc->phase = event == TLS_EVENT_EARLY ? TLS_EARLY : TLS_ESTABLISHED;
        tls_state_log(tc->c->pool, tc->config, tc->server);
    }
    return status;
}

static tls_status receive_bytes(tls_connection *tc, const char *bytes, apr_size_t len)
{
    while (len) {
        tls_slice data = { (const uint8_t *)bytes, len };
        tls_event event = TLS_EVENT_NONE;
        size_t taken = 0;
        tls_status status = tls_conn_receive(tc->backend, data, &taken, &event);

        if (status == TLS_STATUS_OK && event == TLS_EVENT_HELLO) {
            event = TLS_EVENT_NONE;
            status = tls_accept_client(tc, &event);
        }
        if (status == TLS_STATUS_OK && event == TLS_EVENT_PLAIN_HTTP) {
            answer_plain_http(tc);
            return TLS_STATUS_FAILED;
        }
        if (status == TLS_STATUS_OK && event != TLS_EVENT_NONE) {
            status = take_event(tc, event);
        }
        /* What is decrypted last stays where it is. */
        if (status == TLS_STATUS_OK && taken < len && !tls_transfer_keep(tc) && !taken) {
            status = TLS_STATUS_INVALID;
        }
        if (status != TLS_STATUS_OK) {
            return status;
        }
        bytes += taken;
        len -= taken;
    }
    return TLS_STATUS_OK;
}

apr_status_t tls_transfer_answered(tls_connection *tc, apr_read_type_e block)
{
    tls_event event = TLS_EVENT_NONE;
    tls_status status = tls_conn_answered(tc->backend, block == APR_BLOCK_READ, &event);

    if (status == TLS_STATUS_OK) {
        status = take_event(tc, event);
    }
    if (status != TLS_STATUS_OK) {
        tls_transfer_fail(tc, status);
        return APR_ECONNABORTED;
    }
    return tc->awaiting ? APR_EAGAIN : APR_SUCCESS;
}

/* The end of the TCP connection. Without close_notify before it, an attacker may have truncated the data. */
static apr_status_t end_of_input(tls_connection *tc)
{
    if (tls_connection_is_open(tc) && tls_conn_peer_closed(tc->backend)) {
        return APR_EOF;
    }
    if (tc->phase != TLS_HANDSHAKE) {
        ap_log_cerror(APLOG_MARK, APLOG_DEBUG, 0, tc->c, "tls: the %s closed the connection without close_notify",
                      tc->outgoing_to ? "backend" : "client");
    }
    return APR_ECONNABORTED;
}

/* Reads the rest of a record, or the header of the next one. The core filter buffers more data; a request for more than is
 * needed would cost another system call. */
static apr_status_t read_network(tls_connection *tc, apr_read_type_e block)
{
    apr_off_t wanted = (apr_off_t)tls_conn_wanted(tc->backend);
    apr_status_t rv = ap_get_brigade(tc->input->next, tc->received, AP_MODE_READBYTES, block, wanted);

    if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(tc->received)) {
        /* The core filter returns this if there is no data in a non-blocking read. */
        return block == APR_NONBLOCK_READ ? APR_EAGAIN : APR_EOF;
    }
    return rv;
}

/* Pending data is sent before the read blocks. Tickets share a packet with the response if possible. */
static apr_status_t read_or_wait(tls_connection *tc, apr_read_type_e block)
{
    apr_status_t rv = tls_transfer_collect(tc);

    if (rv != APR_SUCCESS || APR_BRIGADE_EMPTY(tc->outgoing)) {
        return rv == APR_SUCCESS ? read_network(tc, block) : rv;
    }
    rv = read_network(tc, APR_NONBLOCK_READ);
    if (APR_STATUS_IS_EAGAIN(rv)) {
        rv = tls_transfer_flush(tc);
        if (rv == APR_SUCCESS) {
            rv = block == APR_BLOCK_READ ? read_network(tc, block) : APR_EAGAIN;
        }
    }
    return rv;
}

apr_status_t tls_transfer_receive(tls_connection *tc, apr_read_type_e block)
{
    apr_status_t rv = read_or_wait(tc, block);
    tls_status status = TLS_STATUS_OK;

    while (rv == APR_SUCCESS && status == TLS_STATUS_OK && !APR_BRIGADE_EMPTY(tc->received)) {
        apr_bucket *b = APR_BRIGADE_FIRST(tc->received);

        if (APR_BUCKET_IS_EOS(b)) {
            rv = APR_EOF;
        }
        else if (!APR_BUCKET_IS_METADATA(b)) {
            const char *bytes;
            apr_size_t len;

            rv = apr_bucket_read(b, &bytes, &len, block);
            if (rv == APR_SUCCESS) {
                status = receive_bytes(tc, bytes, len);
            }
        }
        apr_bucket_delete(b);
    }
    if (tls_transfer_may_continue(rv)) {
        return rv;
    }
    if (status != TLS_STATUS_OK) {
        /* What was received before the failure can still be read. */
        tls_transfer_keep(tc);
        tls_transfer_fail(tc, status);
        rv = APR_ECONNABORTED;
    }
    else if (APR_STATUS_IS_EOF(rv)) {
        rv = end_of_input(tc);
    }
    else if (rv == APR_SUCCESS) {
        if (tls_conn_peer_closed(tc->backend)) {
            tc->input_end = APR_EOF;
        }
        return rv;
    }
    tc->input_end = rv;
    apr_brigade_cleanup(tc->received);
    return rv;
}
