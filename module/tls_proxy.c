/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include "http_connection.h"
#include "http_ssl.h"
#include "mod_ssl.h"

#include "tls_filters.h"
#include "tls_proxy_worker.h"
#include "tls_settings.h"
#include "tls_state.h"

/* The functions of mod_ssl, if it is loaded, for callers with the API before httpd 2.4.48. */
static APR_OPTIONAL_FN_TYPE(ssl_engine_disable) *other_engine_disable;
static APR_OPTIONAL_FN_TYPE(ssl_engine_set) *other_engine_set;
static APR_OPTIONAL_FN_TYPE(ssl_proxy_enable) *other_proxy_enable;

static int is_enabled(const tls_config *config, const apr_array_header_t *chain)
{
    return config && tls_config_proxy_enabled(config, (const size_t *)chain->elts, (size_t)chain->nelts);
}

/* mod_proxy may reuse a connection for a request that requires other settings than those of the connection. Such a request
 * must not be sent. Data for an idle connection, such as GOAWAY in HTTP/2, may be sent: it has the worker's settings. */
static int bind_again(tls_connection *tc, struct ap_conf_vector_t *dir_conf, const apr_array_header_t *chain)
{
    const apr_array_header_t *made = tc->outgoing_to->chain;

    tc->outgoing_to->misbound = !tls_config_proxy_same(tc->config, (const size_t *)made->elts, (size_t)made->nelts,
                                                       (const size_t *)chain->elts, (size_t)chain->nelts)
                                && !tls_proxy_is_of_worker(tc->c, dir_conf);
    return OK;
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
        /* Otherwise mod_ssl handles it as a connection of a client. */
        other_engine_disable(c);
    }
    return OK;
}

/* mod_proxy binds a reused connection for each request, so this must not allocate memory from its pool each time. */
static int bind_outgoing(conn_rec *c, struct ap_conf_vector_t *dir_conf, int enable)
{
    apr_pool_t *scratch;

    if (!enable || apr_pool_create(&scratch, c->pool) != APR_SUCCESS) {
        return DECLINED;
    }
    int rv = bind_to(c, dir_conf, tls_proxy_chain(scratch, dir_conf, c->base_server));
    apr_pool_destroy(scratch);
    return rv;
}

static int pre_connection(conn_rec *c, void *)
{
    tls_connection *tc = c->outgoing ? ap_get_module_config(c->conn_config, tls_record) : NULL;

    if (!tc || !tc->outgoing_to || tc->output) {
        return DECLINED;
    }
    tls_filters_attach(tc);
    return OK;
}

/* --- The API before httpd 2.4.48 --- */

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
    /* Nothing to disable here: TLS to a backend starts on request only. */
    return other_engine_disable ? other_engine_disable(c) : 1;
}

/* Replaces the optional function `name` by `ours`, and stores that of another module in `theirs`. */
#define TAKE_OVER(name, ours, theirs)                                       \
    do {                                                                    \
        APR_OPTIONAL_FN_TYPE(name) *found = APR_RETRIEVE_OPTIONAL_FN(name); \
        if (found != (ours)) {                                              \
            (theirs) = found;                                               \
            apr_dynamic_fn_register(#name, (apr_opt_fn_t *)(ours));         \
        }                                                                   \
    } while (0)

static int register_for_others(apr_pool_t *, apr_pool_t *, apr_pool_t *)
{
    TAKE_OVER(ssl_engine_disable, engine_disable, other_engine_disable);
    TAKE_OVER(ssl_engine_set, engine_set, other_engine_set);
    TAKE_OVER(ssl_proxy_enable, proxy_enable, other_proxy_enable);
    return OK;
}

void tls_proxy_register_hooks(apr_pool_t *)
{
    /* Before mod_ssl: this module declines connections that its directives do not enable. */
    ap_hook_ssl_bind_outgoing(bind_outgoing, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_config(register_for_others, NULL, NULL, APR_HOOK_LAST);
}
