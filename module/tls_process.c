/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "apr_portable.h"

#include "ap_mpm.h"
#include "http_connection.h"
#include "http_protocol.h"

#include "tls_filters.h"
#include "tls_handshake.h"
#include "tls_settings.h"
#include "tls_state.h"
#include "tls_transfer.h"
#include "tls_wait.h"

/* The maximum round-trip time of a near client in microseconds, and how long the worker waits for its answer in ms. */
#define NEAR_RTT 5000
#define NEAR_WAIT 10

/* Whether the MPM can wait for data of a connection whose handshake is not complete. */
static int can_wait;

static int is_enabled(const tls_config *config, const conn_rec *c)
{
    const apr_sockaddr_t *local = c->local_addr;

    return config
           && tls_config_is_enabled(config, local->ipaddr_ptr, (size_t)local->ipaddr_len, local->port,
                                    tls_settings_of(c->base_server)->index);
}

/* The MPM may close a connection whose data it waits for (Timeout). If httpd stops, that is no failure of the client. */
static apr_status_t abandoned(void *data)
{
    tls_connection *tc = data;
    int state;

    tls_wait_end(tc);
    if (ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state != AP_MPMQ_STOPPING) {
        tls_handshake_interrupted(tc, APR_TIMEUP);
    }
    return APR_SUCCESS;
}

static int pre_connection(conn_rec *c, void *)
{
    const tls_config *config = tls_state_config();
    tls_conn *backend;

    if (c->master || c->outgoing || !is_enabled(config, c)) {
        return DECLINED;
    }
    if (tls_conn_new(config, &backend) != TLS_STATUS_OK) {
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, c, "tls: a connection cannot be made TLS and is closed");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    tls_connection *tc = tls_connection_make(c, config);
    tc->backend = backend;
    tls_filters_attach(tc);
    apr_pool_pre_cleanup_register(c->pool, tc, abandoned);
    return OK;
}

/* Whether the MPM can wait for data of this connection. When it is stopping, its listener may end too early, because it does
 * not count connections that no worker has processed yet. */
static int mpm_waits(const conn_rec *c)
{
    int state;

    return can_wait && c->cs && ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state != AP_MPMQ_STOPPING;
}

/* Completes a handshake after early data was answered. The client's Finished wakes up a connection that waits for its next
 * request; a worker that reads that request would block. HTTP/2 does not block workers. */
static int finish_early_handshake(tls_connection *tc)
{
    conn_rec *c = tc->c;
    apr_status_t rv = APR_SUCCESS;

    if (!mpm_waits(c) || c->keepalive != AP_CONN_KEEPALIVE || strcmp(ap_get_protocol(c), AP_PROTOCOL_HTTP1)) {
        return DECLINED;
    }
    while (rv == APR_SUCCESS && !tls_transfer_has_plaintext(tc)) {
        rv = tls_transfer_receive(tc, APR_NONBLOCK_READ);
    }
    /* The MPM may wait only after a read has returned EAGAIN. */
    if (!APR_STATUS_IS_EAGAIN(rv)) {
        return DECLINED;
    }
    c->cs->state = CONN_STATE_WRITE_COMPLETION;
    return OK;
}

/* The brigade stays empty, so an existing one is used: slow clients cause no allocations. */
static apr_status_t begin_reading(tls_connection *tc, apr_read_type_e block)
{
    return ap_get_brigade(tc->c->input_filters, tc->encrypting, AP_MODE_INIT, block, 0);
}

/* Waits briefly for the client's answer in the handshake if the client is near: that costs less than to return the connection
 * to the MPM and to continue in another worker. Only once, so that clients cannot occupy workers. */
static int answers_soon(tls_connection *tc)
{
#ifdef TCP_INFO
    struct tcp_info info;
    socklen_t len = sizeof(info);
    struct pollfd poll_fd = { 0, POLLIN, 0 };
    apr_socket_t *sock = ap_get_conn_socket(tc->c);

    if (!tc->accepted || tc->waited || tc->awaiting || !sock || apr_os_sock_get(&poll_fd.fd, sock) != APR_SUCCESS
        || getsockopt(poll_fd.fd, IPPROTO_TCP, TCP_INFO, &info, &len) || info.tcpi_rtt > NEAR_RTT) {
        return 0;
    }
    tc->waited = 1;
    return poll(&poll_fd, 1, NEAR_WAIT) > 0;
#else
    (void)tc;
    return 0;
#endif
}

#ifdef AP_MPMQ_CAN_WAITIO
static void shut_for_reading(void *socket)
{
    apr_socket_shutdown(socket, APR_SHUTDOWN_READ);
}
#endif

/* The MPM closes a connection that has waited for too long. */
static int pre_close_connection(conn_rec *c)
{
    tls_connection *tc = c->master ? NULL : tls_connection_of(c);

    if (tc) {
        tls_wait_end(tc);
    }
    return OK;
}

/* Runs the handshake before the protocol is processed. Workers do not block if the MPM can wait. */
static int process_connection(conn_rec *c)
{
    tls_connection *tc = c->master ? NULL : tls_connection_of(c);

    if (tc && tc->phase == TLS_EARLY) {
        return finish_early_handshake(tc);
    }
    if (!tc || tc->phase != TLS_HANDSHAKE) {
        return DECLINED;
    }
    tls_wait_end(tc);
    int waits = mpm_waits(c);
    apr_status_t rv = begin_reading(tc, waits ? APR_NONBLOCK_READ : APR_BLOCK_READ);
    if (APR_STATUS_IS_EAGAIN(rv) && answers_soon(tc)) {
        rv = begin_reading(tc, APR_NONBLOCK_READ);
    }
    if (APR_STATUS_IS_EAGAIN(rv) && tc->awaiting) {
        tls_conn_unwatch(tc->backend);
        if (tls_wait_begin(tc)) {
            return OK;
        }
        rv = begin_reading(tc, APR_BLOCK_READ);
    }
    if (rv == APR_SUCCESS) {
        tls_conn_unwatch(tc->backend);
        return DECLINED;
    }
#ifdef AP_MPMQ_CAN_WAITIO
    if (waits && APR_STATUS_IS_EAGAIN(rv)) {
        if (tls_conn_watch(tc->backend, tc->hosts.connected, shut_for_reading, ap_get_conn_socket(c)) != TLS_STATUS_OK) {
            ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, c, "tls: RequestReadTimeout handshake= cannot be kept");
        }
        c->cs->state = CONN_STATE_ASYNC_WAITIO;
        c->cs->sense = CONN_SENSE_WANT_READ;
        return OK;
    }
#endif
    tls_conn_unwatch(tc->backend);
    tls_handshake_interrupted(tc, rv);
    if (c->cs) {
        c->cs->state = CONN_STATE_LINGER;
    }
    return DONE;
}

static void init_child(apr_pool_t *, server_rec *)
{
#ifdef AP_MPMQ_CAN_WAITIO
    if (ap_mpm_query(AP_MPMQ_CAN_WAITIO, &can_wait) != APR_SUCCESS) {
        can_wait = 0;
    }
#endif
}

void tls_process_register_hooks(apr_pool_t *)
{
    ap_hook_child_init(init_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_process_connection(process_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_close_connection(pre_close_connection, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
