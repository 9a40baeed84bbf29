/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "apr_portable.h"

#include "ap_mpm.h"
#include "http_connection.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_ssl.h"
#include "http_vhost.h"

#include "tls_compile.h"
#include "tls_filters.h"
#include "tls_proxy.h"
#include "tls_settings.h"
#include "tls_state.h"
#include "tls_timeout.h"

/* A client is near if packets need no longer to it and back, in microseconds; its answer is waited for so long, in ms. */
#define NEAR_RTT 5000
#define NEAR_WAIT 10

/* What is less is likely to be a request. */
#define SMALL_READ 4096

/* Whether the MPM can wait for a connection while its handshake needs more from the client. */
static int can_wait;

tls_connection *tls_connection_of(conn_rec *c)
{
    return ap_get_module_config((c->master ? c->master : c)->conn_config, tls_record);
}

static apr_status_t free_connection(void *data)
{
    tls_connection *tc = data;

    tls_timeout_unwatch(tc);
    tls_facts_free(tc->facts);
    tls_conn_free(tc->backend);
    tc->facts = NULL;
    tc->backend = NULL;
    return APR_SUCCESS;
}

static int is_enabled(const tls_config *config, const conn_rec *c)
{
    const apr_sockaddr_t *local = c->local_addr;

    return config
           && tls_config_is_enabled(config, local->ipaddr_ptr, (size_t)local->ipaddr_len, local->port,
                                    tls_settings_of(c->base_server)->index);
}

tls_connection *tls_connection_make(conn_rec *c, const tls_config *config)
{
    tls_connection *tc = apr_pcalloc(c->pool, sizeof(*tc));

    tc->c = c;
    tc->config = config;
    tc->server = c->base_server;
    tc->hosts.chain = tls_chain_of(c);
    tc->hosts.first = tc->hosts.connected = tc->hosts.named = tls_settings_of(c->base_server)->index;
    tc->started = apr_time_now();
    apr_pool_cleanup_register(c->pool, tc, free_connection, apr_pool_cleanup_null);
    ap_set_module_config(c->conn_config, tls_record, tc);
    return tc;
}

void tls_connection_attach(tls_connection *tc)
{
    conn_rec *c = tc->c;

    tc->received = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->plaintext = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->held = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->encrypting = apr_brigade_create(c->pool, c->bucket_alloc);
    tc->outgoing = apr_brigade_create(c->pool, c->bucket_alloc);
    tls_filters_add(tc);
}

static int pre_connection(conn_rec *c, void *csd)
{
    const tls_config *config = tls_state_config();
    tls_conn *backend;
    tls_connection *tc;

    (void)csd;
    if (c->master || c->outgoing || !is_enabled(config, c)) {
        return DECLINED;
    }
    if (tls_conn_new(config, &backend) != TLS_STATUS_OK) {
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, c, "tls: a connection cannot be made TLS and is closed");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    tc = tls_connection_make(c, config);
    tc->backend = backend;
    tls_connection_attach(tc);
    return OK;
}

void *tls_buffer_alloc(apr_size_t size)
{
    void *buffer = malloc(size);

    if (!buffer) {
        ap_abort_on_oom();
    }
    return buffer;
}

void tls_connection_collect(tls_connection *tc)
{
    apr_bucket_alloc_t *alloc = tc->c->bucket_alloc;
    size_t size;

    while ((size = tls_conn_sendable(tc->backend)) > 0) {
        char *buffer = tls_buffer_alloc(size);
        size_t used = tls_conn_take(tc->backend, (uint8_t *)buffer, size);

        if (!used) {
            free(buffer);
            break;
        }
        APR_BRIGADE_INSERT_TAIL(tc->outgoing, apr_bucket_heap_create(buffer, used, free, alloc));
    }
}

apr_status_t tls_connection_flush(tls_connection *tc)
{
    apr_status_t rv;

    tls_connection_collect(tc);
    if (APR_BRIGADE_EMPTY(tc->outgoing)) {
        return APR_SUCCESS;
    }
    APR_BRIGADE_INSERT_TAIL(tc->outgoing, apr_bucket_flush_create(tc->c->bucket_alloc));
    rv = ap_pass_brigade(tc->output->next, tc->outgoing);
    apr_brigade_cleanup(tc->outgoing);
    return rv;
}

void tls_connection_fail(tls_connection *tc, tls_status status)
{
    tls_slice name = tls_conn_server_name(tc->backend);
    const char *phase = tc->phase == TLS_ESTABLISHED ? "connection" : "handshake";

    if (tc->phase == TLS_FAILED) {
        return;
    }
    tc->phase = TLS_FAILED;
    if (status == TLS_STATUS_FAILED && tc->outgoing_to) {
        tls_slice why = tls_conn_error(tc->backend, NULL);

        tls_proxy_log_failure(tc, phase, apr_pstrmemdup(tc->c->pool, (const char *)why.data, why.len));
    }
    else if (status == TLS_STATUS_FAILED) {
        bool ours = false;
        tls_slice why = tls_conn_error(tc->backend, &ours);

        ap_log_cerror(APLOG_MARK, ours ? APLOG_WARNING : APLOG_INFO, 0, tc->c,
                      "tls: %s failed: %.*s (server name \"%.*s\", virtual host %s)", phase, (int)why.len, why.data,
                      (int)name.len, name.data ? (const char *)name.data : "", tc->server->server_hostname);
    }
    else {
        char panic[512];
        size_t len = tls_last_panic((uint8_t *)panic, sizeof(panic));

        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, tc->c,
                      "tls: %s ended by an internal error, please report it: %.*s", phase, (int)len, panic);
    }
    tls_state_log(tc->c->pool, tc->config, tc->server);
    /* Whoever is refused is to know why, so the alert goes out before the connection is closed. */
    tls_connection_flush(tc);
}

/* Answers a browser that was sent to https://-port with http://. */
static void answer_plain_http(tls_connection *tc)
{
    static const char body[] =
        "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>400 Bad Request</title>\n"
        "</head><body>\n<h1>Bad Request</h1>\n"
        "<p>This port speaks HTTPS, and your client sent plain HTTP. Use https:// instead.</p>\n</body></html>\n";
    apr_bucket_brigade *bb = tc->outgoing;

    ap_log_cerror(APLOG_MARK, APLOG_INFO, 0, tc->c, "tls: plain HTTP on a TLS port, answered with 400");
    tc->phase = TLS_FAILED;
    apr_brigade_printf(bb, NULL, NULL,
                       "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=iso-8859-1\r\n"
                       "Content-Length: %d\r\nConnection: close\r\n\r\n%s", (int)(sizeof(body) - 1), body);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(tc->c->bucket_alloc));
    ap_pass_brigade(tc->output->next, bb);
    apr_brigade_cleanup(bb);
}

/* The server that the client means. httpd's modules see it as the connection's from now on. */
static tls_status choose_server(tls_connection *tc)
{
    server_rec *s;
    tls_status status = tls_conn_find_server(tc->backend, &tc->hosts);

    if (status != TLS_STATUS_OK || tc->hosts.connected == tc->hosts.first) {
        return status;
    }
    s = tls_state_server(tc->hosts.connected);
    if (!s) {
        return TLS_STATUS_INVALID;
    }
    tc->server = tc->c->base_server = s;
    return TLS_STATUS_OK;
}

/* The protocol to agree on by ALPN, in httpd's opinion; NULL if the client does not care. */
static const char *choose_protocol(tls_connection *tc)
{
    apr_array_header_t *offers = apr_array_make(tc->c->pool, 3, sizeof(const char *));
    const char *chosen;
    tls_slice offer;
    size_t i;

    for (i = 0; tls_conn_alpn(tc->backend, i, &offer) == TLS_STATUS_OK; i++) {
        APR_ARRAY_PUSH(offers, const char *) = tls_slice_dup(tc->c->pool, offer);
    }
    if (!offers->nelts) {
        return NULL;
    }
    chosen = ap_select_protocol(tc->c, NULL, tc->server, offers);
    if (!chosen) {
        chosen = ap_get_protocol(tc->c);
    }
    if (strcmp(chosen, ap_get_protocol(tc->c)) && ap_array_str_contains(offers, chosen)) {
        ap_switch_protocol(tc->c, NULL, tc->server, chosen);
    }
    return chosen;
}

static void staple(const unsigned char *der, apr_size_t len, void *userdata)
{
    tls_connection *tc = userdata;
    tls_slice response = { der, len };

    tls_conn_staple(tc->backend, tc->hosts.connected, response);
}

/* Asks whoever provides OCSP responses for one; without, the handshake goes on all the same. */
static void staple_response(tls_connection *tc)
{
    apr_array_header_t *providers = ap_hook_get_ssl_ocsp_get_resp_hook();
    uint8_t id[32];

    if (providers && providers->nelts
        && tls_conn_certificate_id(tc->backend, tc->hosts.connected, id) == TLS_STATUS_OK) {
        ap_ssl_ocsp_get_resp(tc->server, tc->c, (const char *)id, sizeof(id), staple, tc);
    }
}

/* Between ClientHello and ServerHello: who is asked for, which protocol, which certificate. */
static tls_status accept_client(tls_connection *tc, tls_event *event)
{
    const char *protocol, *certificate = NULL, *key = NULL;
    tls_status status = choose_server(tc);

    if (status != TLS_STATUS_OK) {
        return status;
    }
    protocol = choose_protocol(tc);
    if (protocol && !strcmp(protocol, "acme-tls/1")) {
        const char *name = tls_slice_dup(tc->c->pool, tls_conn_server_name(tc->backend));

        if (!ap_ssl_answer_challenge(tc->c, name, &certificate, &key)) {
            certificate = key = NULL;
        }
    }
    if (!certificate) {
        staple_response(tc);
    }
    tc->accepted = 1;
    return tls_conn_accept(tc->backend, tc->hosts.connected, tls_slice_of(protocol), tls_slice_of(certificate),
                           tls_slice_of(key), event);
}

/* Requests are small, and many connections wait after one: they get no more memory than they need. Uploads do better in
 * the buckets that APR reuses. */
static void keep_plaintext(tls_connection *tc, tls_slice data)
{
    char *copy;

    if (data.len >= SMALL_READ) {
        apr_brigade_write(tc->plaintext, NULL, NULL, (const char *)data.data, data.len);
        return;
    }
    copy = memcpy(tls_buffer_alloc(data.len), data.data, data.len);
    APR_BRIGADE_INSERT_TAIL(tc->plaintext, apr_bucket_heap_create(copy, data.len, free, tc->c->bucket_alloc));
}

static tls_status drain(tls_connection *tc, size_t *drained)
{
    tls_slice data = { NULL, 0 };
    tls_status status;

    *drained = 0;
    while ((status = tls_conn_read(tc->backend, &data)) == TLS_STATUS_OK && data.len) {
        keep_plaintext(tc, data);
        status = tls_conn_consume(tc->backend, data.len);
        *drained += data.len;
    }
    return status;
}

static tls_status receive_bytes(tls_connection *tc, const char *bytes, apr_size_t len)
{
    while (len) {
        tls_slice data = { (const uint8_t *)bytes, len };
        tls_event event = TLS_EVENT_NONE;
        size_t taken = 0, drained;
        tls_status status = tls_conn_receive(tc->backend, data, &taken, &event);

        if (status == TLS_STATUS_OK && event == TLS_EVENT_HELLO) {
            event = TLS_EVENT_NONE;
            status = accept_client(tc, &event);
        }
        if (status == TLS_STATUS_OK && event == TLS_EVENT_PLAIN_HTTP) {
            answer_plain_http(tc);
            return TLS_STATUS_FAILED;
        }
        if (status == TLS_STATUS_OK && (event == TLS_EVENT_EARLY || event == TLS_EVENT_ESTABLISHED)) {
            status = tc->facts ? TLS_STATUS_OK : tls_conn_facts(tc->backend, &tc->facts);
            tc->phase = event == TLS_EVENT_EARLY ? TLS_EARLY : TLS_ESTABLISHED;
            tls_state_log(tc->c->pool, tc->config, tc->server);
        }
        if (status == TLS_STATUS_OK) {
            status = drain(tc, &drained);
            if (!taken && !drained) {
                status = TLS_STATUS_INVALID;
            }
        }
        if (status != TLS_STATUS_OK) {
            return status;
        }
        bytes += taken;
        len -= taken;
    }
    return TLS_STATUS_OK;
}

/* The network has no more. Without a close_notify before it, somebody may have cut the connection. */
static apr_status_t end_of_input(tls_connection *tc)
{
    if (tls_connection_is_open(tc) && tls_conn_peer_closed(tc->backend)) {
        return APR_EOF;
    }
    ap_log_cerror(APLOG_MARK, APLOG_DEBUG, 0, tc->c, "tls: the %s closed the connection without close_notify",
                  tc->outgoing_to ? "backend" : "client");
    return APR_ECONNABORTED;
}

/*
 * Asks the network for the rest of a record, or for the header of the next one. The core has read what was there, and keeps
 * what is not asked for; asked for more, it would look once more whether there is any.
 */
static apr_status_t read_network(tls_connection *tc, apr_read_type_e block)
{
    apr_off_t wanted = (apr_off_t)tls_conn_wanted(tc->backend);
    apr_status_t rv = ap_get_brigade(tc->input->next, tc->received, AP_MODE_READBYTES, block, wanted);

    if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(tc->received)) {
        /* The core's way to say that there is nothing without blocking. */
        return block == APR_NONBLOCK_READ ? APR_EAGAIN : APR_EOF;
    }
    return rv;
}

/* What there is to say is said before anybody waits: tickets and the like share a packet with the response if they can. */
static apr_status_t read_or_wait(tls_connection *tc, apr_read_type_e block)
{
    apr_status_t rv;

    tls_connection_collect(tc);
    if (APR_BRIGADE_EMPTY(tc->outgoing)) {
        return read_network(tc, block);
    }
    rv = read_network(tc, APR_NONBLOCK_READ);
    if (APR_STATUS_IS_EAGAIN(rv)) {
        rv = tls_connection_flush(tc);
        if (rv == APR_SUCCESS) {
            rv = block == APR_BLOCK_READ ? read_network(tc, block) : APR_EAGAIN;
        }
    }
    return rv;
}

apr_status_t tls_connection_receive(tls_connection *tc, apr_read_type_e block)
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
                tc->bytes_received += len;
                status = receive_bytes(tc, bytes, len);
            }
        }
        apr_bucket_delete(b);
    }
    if (tls_connection_may_continue(rv)) {
        return rv;
    }
    if (status != TLS_STATUS_OK) {
        tls_connection_fail(tc, status);
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

apr_status_t tls_connection_shake_hands(tls_connection *tc, apr_read_type_e block)
{
    apr_status_t rv = APR_SUCCESS;

    if (tc->outgoing_to && !tc->backend) {
        rv = tls_proxy_begin(tc);
    }
    while (rv == APR_SUCCESS && tc->phase == TLS_HANDSHAKE) {
        rv = tls_connection_receive(tc, block);
    }
    if (tls_connection_is_open(tc)) {
        return APR_SUCCESS;
    }
    if (tc->outgoing_to && !tls_connection_may_continue(rv)) {
        tls_proxy_give_up(tc, rv);
    }
    return rv == APR_SUCCESS ? APR_ECONNABORTED : rv;
}

/* Whether the MPM can be left to wait for this connection. One that is stopping may have nobody left who waits: it counts
 * connections only once a worker has them. */
static int mpm_waits(const conn_rec *c)
{
    int state;

    return can_wait && c->cs && ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state != AP_MPMQ_STOPPING;
}

/*
 * The rest of a handshake that began with early data, which was answered meanwhile. It wakes up a connection that waits for
 * its next request, and a worker that reads that would wait on. HTTP/2 does not let workers wait.
 */
static int finish_early_handshake(tls_connection *tc)
{
    conn_rec *c = tc->c;
    apr_status_t rv = APR_SUCCESS;

    if (!mpm_waits(c) || c->keepalive != AP_CONN_KEEPALIVE || strcmp(ap_get_protocol(c), AP_PROTOCOL_HTTP1)) {
        return DECLINED;
    }
    while (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(tc->plaintext)) {
        rv = tls_connection_receive(tc, APR_NONBLOCK_READ);
    }
    /* Only who was told that there is no more may wait for more. */
    if (!APR_STATUS_IS_EAGAIN(rv)) {
        return DECLINED;
    }
    c->cs->state = CONN_STATE_WRITE_COMPLETION;
    return OK;
}

/* Nothing is put into the brigade: any that is empty will do, and a client that dribbles costs no new one each time. */
static apr_status_t begin_reading(tls_connection *tc, apr_read_type_e block)
{
    return ap_get_brigade(tc->c->input_filters, tc->encrypting, AP_MODE_INIT, block, 0);
}

/*
 * Waits a moment for the answer to our part of the handshake, if the client is near enough: that costs less than to give
 * the connection to the MPM, and to have another worker begin with it. Once only, so that nobody keeps workers waiting.
 */
static int answers_soon(tls_connection *tc)
{
#ifdef TCP_INFO
    struct tcp_info info;
    socklen_t len = sizeof(info);
    struct pollfd poll_fd = { 0, POLLIN, 0 };
    apr_socket_t *sock = ap_get_conn_socket(tc->c);

    if (!tc->accepted || tc->waited || !sock || apr_os_sock_get(&poll_fd.fd, sock) != APR_SUCCESS
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

/* Shakes hands before anybody reads or writes. Where the MPM can wait, no worker does. */
static int process_connection(conn_rec *c)
{
    tls_connection *tc = c->master ? NULL : tls_connection_of(c);
    apr_status_t rv;
    int waits;

    if (tc && tc->phase == TLS_EARLY) {
        return finish_early_handshake(tc);
    }
    if (!tc || tc->phase != TLS_HANDSHAKE) {
        return DECLINED;
    }
    waits = mpm_waits(c);
    rv = begin_reading(tc, waits ? APR_NONBLOCK_READ : APR_BLOCK_READ);
    if (APR_STATUS_IS_EAGAIN(rv) && answers_soon(tc)) {
        rv = begin_reading(tc, APR_NONBLOCK_READ);
    }
    if (rv == APR_SUCCESS) {
        tls_timeout_unwatch(tc);
        return DECLINED;
    }
#ifdef AP_MPMQ_CAN_WAITIO
    if (waits && APR_STATUS_IS_EAGAIN(rv)) {
        tls_timeout_watch(tc);
        c->cs->state = CONN_STATE_ASYNC_WAITIO;
        c->cs->sense = CONN_SENSE_WANT_READ;
        return OK;
    }
#endif
    tls_timeout_unwatch(tc);
    if (c->cs) {
        c->cs->state = CONN_STATE_LINGER;
    }
    return DONE;
}

static void init_child(apr_pool_t *p, server_rec *s)
{
    (void)p;
    (void)s;
#ifdef AP_MPMQ_CAN_WAITIO
    if (ap_mpm_query(AP_MPMQ_CAN_WAITIO, &can_wait) != APR_SUCCESS) {
        can_wait = 0;
    }
#endif
}

void tls_connection_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_child_init(init_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_process_connection(process_connection, NULL, NULL, APR_HOOK_MIDDLE);
}
