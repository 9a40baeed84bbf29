/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_connection.h"

#include "http_main.h"

#include "tls_settings.h"

tls_connection *tls_connection_of(conn_rec *c)
{
    return ap_get_module_config((c->master ? c->master : c)->conn_config, tls_record);
}

static apr_status_t free_connection(void *data)
{
    tls_connection *tc = data;

    tls_info_free(tc->info);
    tls_conn_free(tc->backend);
    tc->info = NULL;
    tc->backend = NULL;
    return APR_SUCCESS;
}

tls_connection *tls_connection_make(conn_rec *c, const tls_config *config)
{
    tls_connection *tc = apr_pcalloc(c->pool, sizeof(*tc));

    tc->c = c;
    tc->config = config;
    tc->server = c->base_server;
    tc->hosts.chain = tls_chain_of(c);
    tc->hosts.first = tc->hosts.connected = tc->hosts.named = tls_settings_of(c->base_server)->index;
    apr_pool_cleanup_register(c->pool, tc, free_connection, apr_pool_cleanup_null);
    ap_set_module_config(c->conn_config, tls_record, tc);
    return tc;
}

void *tls_buffer_alloc(apr_size_t size)
{
    void *buffer = malloc(size);

    if (!buffer) {
        ap_abort_on_oom();
    }
    return buffer;
}
