/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_proxy.h"

#include "http_connection.h"
#include "http_ssl.h"
#include "mod_ssl.h"

#include "tls_failover.h"
#include "tls_proxy_worker.h"
#include "tls_settings.h"
#include "tls_state.h"

/* The protocol that mod_proxy wants to speak, in the notes of a connection. */
#define ALPN_NOTE "proxy-request-alpn-protos"

/* A backend, as far as we know it. */
struct tls_backend {
    /* The blocks that hold for the connection (size_t). */
    apr_array_header_t *chain;
    /* Whom mod_proxy has called: a host name or an IP address. */
    const char *name;
    /* Whether who uses the connection now would have made it otherwise. */
    bool misbound;
};

/* What mod_ssl, if it is there, has for callers of before httpd 2.4.48. */
static APR_OPTIONAL_FN_TYPE(ssl_engine_disable) *other_engine_disable;
static APR_OPTIONAL_FN_TYPE(ssl_engine_set) *other_engine_set;
static APR_OPTIONAL_FN_TYPE(ssl_proxy_enable) *other_proxy_enable;

static void push_blocks(apr_array_header_t *chain, const apr_array_header_t *blocks)
{
    int i;

    for (i = 0; blocks && i < blocks->nelts; i++) {
        APR_ARRAY_PUSH(chain, size_t) = APR_ARRAY_IDX(blocks, i, tls_proxy_block *)->index;
    }
}

static const apr_array_header_t *blocks_of(const struct ap_conf_vector_t *dir_conf)
{
    const tls_dir_settings *settings = dir_conf ? ap_get_module_config(dir_conf, tls_record) : NULL;

    return settings ? settings->proxy_blocks : NULL;
}

/* Whether `blocks` begin as `outer` do. */
static int begins_with(const apr_array_header_t *blocks, const apr_array_header_t *outer)
{
    return !outer
           || (blocks && blocks->nelts >= outer->nelts
               && !memcmp(blocks->elts, outer->elts, sizeof(tls_proxy_block *) * (size_t)outer->nelts));
}

apr_array_header_t *tls_proxy_chain(apr_pool_t *p, const struct ap_conf_vector_t *dir_conf, const server_rec *server)
{
    apr_array_header_t *chain = apr_array_make(p, 4, sizeof(size_t));
    const apr_array_header_t *blocks = blocks_of(dir_conf);
    const apr_array_header_t *outer = server ? blocks_of(server->lookup_defaults) : NULL;

    /* The settings of a <Proxy> section come alone where no request has merged them with its server's. */
    if (!begins_with(blocks, outer)) {
        push_blocks(chain, outer);
    }
    push_blocks(chain, blocks);
    return chain;
}

static int is_enabled(const tls_config *config, const apr_array_header_t *chain)
{
    return config && tls_config_proxy_enabled(config, (const size_t *)chain->elts, (size_t)chain->nelts);
}

/*
 * mod_proxy uses a connection that it has kept for a request whose settings may differ from those of the request that it was
 * made for. If they do, the request must not be sent. A connection that is put away belongs to its worker alone: what is
 * written then, such as the GOAWAY of HTTP/2, is about the connection itself.
 */
static int bind_again(tls_connection *tc, struct ap_conf_vector_t *dir_conf, const apr_array_header_t *chain)
{
    const apr_array_header_t *made = tc->outgoing_to->chain;

    tc->outgoing_to->misbound = !tls_config_proxy_same(tc->config, (const size_t *)made->elts, (size_t)made->nelts,
                                                       (const size_t *)chain->elts, (size_t)chain->nelts)
                                && !tls_proxy_is_of_worker(tc->c, dir_conf);
    return OK;
}

void tls_proxy_prepare(tls_connection *tc, const apr_bucket_brigade *bb)
{
    if (tc->phase == TLS_HANDSHAKE) {
        apr_status_t rv = tls_connection_shake_hands(tc, APR_BLOCK_READ);

        if (tls_connection_may_continue(rv)) {
            /* There is no other time to write than now. */
            tls_proxy_give_up(tc, rv);
        }
    }
    if (tc->phase == TLS_ESTABLISHED && tc->outgoing_to->misbound && !APR_BUCKET_IS_METADATA(APR_BRIGADE_FIRST(bb))) {
        ap_log_cerror(APLOG_MARK, APLOG_WARNING, 0, tc->c,
                      "tls: a connection to backend %s was made under other settings and is not used here: give "
                      "the backends of each place a worker of its own, or say enablereuse=off", tc->outgoing_to->name);
        tc->phase = TLS_FAILED;
        tc->c->aborted = 1;
    }
}

static int bind_to(conn_rec *c, struct ap_conf_vector_t *dir_conf, const apr_array_header_t *chain)
{
    const tls_config *config = tls_state_config();
    tls_connection *tc = ap_get_module_config(c->conn_config, tls_record);

    if (tc && tc->outgoing_to) {
        return bind_again(tc, dir_conf, chain);
    }
    if (!is_enabled(config, chain)) {
        return DECLINED;
    }
    tc = tls_connection_make(c, config);
    tc->outgoing_to = apr_pcalloc(c->pool, sizeof(*tc->outgoing_to));
    tc->outgoing_to->chain = apr_array_copy(c->pool, chain);
    if (other_engine_disable) {
        /* Or mod_ssl would take the connection for one of a client. */
        other_engine_disable(c);
    }
    return OK;
}

/* A connection that is kept is bound for each request, ours or not: nothing may stay behind in its pool. */
static int bind_outgoing(conn_rec *c, struct ap_conf_vector_t *dir_conf, int enable)
{
    apr_pool_t *scratch;
    int rv;

    if (!enable || apr_pool_create(&scratch, c->pool) != APR_SUCCESS) {
        return DECLINED;
    }
    rv = bind_to(c, dir_conf, tls_proxy_chain(scratch, dir_conf, c->base_server));
    apr_pool_destroy(scratch);
    return rv;
}

static int pre_connection(conn_rec *c, void *csd)
{
    tls_connection *tc = c->outgoing ? ap_get_module_config(c->conn_config, tls_record) : NULL;

    (void)csd;
    if (!tc || !tc->outgoing_to || tc->output) {
        return DECLINED;
    }
    tls_connection_attach(tc);
    return OK;
}

apr_status_t tls_proxy_begin(tls_connection *tc)
{
    const apr_array_header_t *chain = tc->outgoing_to->chain;
    const char *protocol = apr_table_get(tc->c->notes, ALPN_NOTE);
    tls_text error = { NULL, 0 };

    tc->outgoing_to->name = tls_proxy_name_of(tc->c);
    if (tls_conn_to_backend(tc->config, (const size_t *)chain->elts, (size_t)chain->nelts,
                            tls_slice_of(tc->outgoing_to->name), tls_slice_of(protocol ? protocol : "http/1.1"),
                            &tc->backend, &error) == TLS_STATUS_OK) {
        return tls_connection_flush(tc);
    }
    tls_proxy_log_failure(tc, "handshake", tls_text_take(tc->c->pool, error));
    tc->phase = TLS_FAILED;
    return APR_ECONNABORTED;
}

void tls_proxy_give_up(tls_connection *tc, apr_status_t rv)
{
    if (tc->phase == TLS_HANDSHAKE) {
        tls_proxy_log_failure(tc, "handshake",
                              APR_STATUS_IS_TIMEUP(rv) ? "the backend does not answer: see ProxyTimeout"
                                                       : "the backend closed the connection: does it speak TLS?");
    }
    tc->phase = TLS_FAILED;
    tls_failover_note();
    /* So mod_proxy knows that it is the backend's doing. */
    tc->c->aborted = 1;
}

void tls_proxy_log_failure(const tls_connection *tc, const char *phase, const char *why)
{
    const char *name = tc->outgoing_to->name ? tc->outgoing_to->name : "";

    ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, tc->c, "tls: %s with backend %s (%s) failed: %s", phase, name,
                  tc->c->client_ip, why);
}

/* --- For callers of before httpd 2.4.48 --- */

static int engine_set(conn_rec *c, ap_conf_vector_t *dir_conf, int proxy, int enable)
{
    if (proxy && bind_outgoing(c, dir_conf, enable) == OK) {
        return 1;
    }
    return other_engine_set ? other_engine_set(c, dir_conf, proxy, enable) : 0;
}

static int proxy_enable(conn_rec *c)
{
    return bind_outgoing(c, NULL, 1) == OK || (other_proxy_enable && other_proxy_enable(c));
}

static int engine_disable(conn_rec *c)
{
    /* Nothing of ours begins before somebody asks for it. */
    return other_engine_disable ? other_engine_disable(c) : 1;
}

static int register_for_others(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    APR_OPTIONAL_FN_TYPE(ssl_engine_disable) *disable = APR_RETRIEVE_OPTIONAL_FN(ssl_engine_disable);
    APR_OPTIONAL_FN_TYPE(ssl_engine_set) *set = APR_RETRIEVE_OPTIONAL_FN(ssl_engine_set);
    APR_OPTIONAL_FN_TYPE(ssl_proxy_enable) *enable = APR_RETRIEVE_OPTIONAL_FN(ssl_proxy_enable);

    (void)pconf;
    (void)plog;
    (void)ptemp;
    if (disable != engine_disable) {
        other_engine_disable = disable;
        apr_dynamic_fn_register("ssl_engine_disable", (apr_opt_fn_t *)engine_disable);
    }
    if (set != engine_set) {
        other_engine_set = set;
        apr_dynamic_fn_register("ssl_engine_set", (apr_opt_fn_t *)engine_set);
    }
    if (enable != proxy_enable) {
        other_proxy_enable = enable;
        apr_dynamic_fn_register("ssl_proxy_enable", (apr_opt_fn_t *)proxy_enable);
    }
    return OK;
}

void tls_proxy_register_hooks(apr_pool_t *p)
{
    (void)p;
    /* Before mod_ssl: each backend goes to the module that its section has enabled. */
    ap_hook_ssl_bind_outgoing(bind_outgoing, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_config(register_for_others, NULL, NULL, APR_HOOK_LAST);
}
