/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_handshake.h"

#include "tls_failover.h"
#include "tls_failures.h"
#include "tls_proxy_worker.h"
#include "tls_transfer.h"

/* The note of a connection with the protocol that mod_proxy selects. */
#define ALPN_NOTE "proxy-request-alpn-protos"

/* Starts the handshake with a backend. */
static apr_status_t begin_with_backend(tls_connection *tc)
{
    const apr_array_header_t *chain = tc->outgoing_to->chain;
    const char *protocol = apr_table_get(tc->c->notes, ALPN_NOTE);
    tls_status status;

    tc->outgoing_to->name = tls_proxy_name_of(tc->c);
    status = tls_conn_to_backend(tc->config, (const size_t *)chain->elts, (size_t)chain->nelts,
                                 tls_slice_of(tc->outgoing_to->name), tls_slice_of(protocol ? protocol : "http/1.1"),
                                 &tc->backend);
    if (status == TLS_STATUS_OK) {
        return tls_transfer_flush(tc);
    }
    tls_transfer_fail(tc, status);
    return APR_ECONNABORTED;
}

static tls_interruption interruption(apr_status_t rv)
{
    if (APR_STATUS_IS_TIMEUP(rv)) {
        return TLS_INTERRUPTION_TOO_SLOW;
    }
    return APR_STATUS_IS_EOF(rv) || APR_STATUS_IS_ECONNABORTED(rv) ? TLS_INTERRUPTION_CLOSED : TLS_INTERRUPTION_LOST;
}

void tls_handshake_interrupted(tls_connection *tc, apr_status_t rv)
{
    if (tc->phase != TLS_HANDSHAKE) {
        return;
    }
    tls_status status = tls_conn_interrupted(tc->backend, interruption(rv));
    if (status == TLS_STATUS_OK) {
        ap_log_cerror(APLOG_MARK, APLOG_DEBUG, rv, tc->c, "tls: the client has ended the connection without sending a byte");
    }
    else {
        tls_failures_log(tc, status);
    }
    tc->phase = TLS_FAILED;
}

/* Ends a connection to a backend whose handshake has failed with `rv`. */
static void give_up(tls_connection *tc, apr_status_t rv)
{
    tls_handshake_interrupted(tc, rv);
    tc->phase = TLS_FAILED;
    tls_failover_note();
    /* mod_proxy handles this as an error of the backend. */
    tc->c->aborted = 1;
}

apr_status_t tls_handshake_run(tls_connection *tc, apr_read_type_e block)
{
    apr_status_t rv = APR_SUCCESS;

    if (tc->outgoing_to && !tc->backend) {
        rv = begin_with_backend(tc);
    }
    while (rv == APR_SUCCESS && tc->phase == TLS_HANDSHAKE) {
        rv = tc->awaiting ? tls_transfer_answered(tc, block) : tls_transfer_receive(tc, block);
    }
    if (tls_connection_is_open(tc)) {
        return APR_SUCCESS;
    }
    if (tc->outgoing_to && !tls_transfer_may_continue(rv)) {
        give_up(tc, rv);
    }
    return rv == APR_SUCCESS ? APR_ECONNABORTED : rv;
}

void tls_handshake_before_write(tls_connection *tc, const apr_bucket_brigade *bb)
{
    if (tc->phase == TLS_HANDSHAKE) {
        apr_status_t rv = tls_handshake_run(tc, APR_BLOCK_READ);

        if (tls_transfer_may_continue(rv)) {
            /* The caller writes only once. */
            give_up(tc, rv);
        }
    }
    if (tc->phase == TLS_ESTABLISHED && tc->outgoing_to->misbound && !APR_BUCKET_IS_METADATA(APR_BRIGADE_FIRST(bb))) {
        ap_log_cerror(APLOG_MARK, APLOG_WARNING, 0, tc->c,
                      "tls: a connection to backend %s was made under other settings and is not used here: give "
                      "the backends of each place a worker of its own, or say enablereuse=off",
                      tc->outgoing_to->name);
        tc->phase = TLS_FAILED;
        tc->c->aborted = 1;
    }
}
