/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_proxy_name.h"

#include "mod_proxy.h"

/* What mod_proxy leaves in the notes of a connection for a request. */
#define HOSTNAME_NOTE "proxy-request-hostname"

static int resolves_to(const char *host, const apr_sockaddr_t *address, apr_pool_t *p)
{
    apr_sockaddr_t *found = NULL;

    if (apr_sockaddr_info_get(&found, host, APR_UNSPEC, address->port, 0, p) != APR_SUCCESS) {
        return 0;
    }
    for (; found; found = found->next) {
        if (apr_sockaddr_equal(found, address)) {
            return 1;
        }
    }
    return 0;
}

static const char *name_if_at(const proxy_worker *worker, const conn_rec *c)
{
    const char *host = worker->s->hostname_ex;

    return worker->s->port == c->client_addr->port && *host && resolves_to(host, c->client_addr, c->pool) ? host : NULL;
}

/* Health checks belong to no request, so nobody says whom they are for. Some worker has that address. */
static const char *name_of_worker(conn_rec *c)
{
    module *proxy = ap_find_linked_module("mod_proxy.c");
    proxy_server_conf *conf = proxy ? ap_get_module_config(c->base_server->module_config, proxy) : NULL;
    const char *name = NULL;
    int i, j;

    for (i = 0; conf && !name && i < conf->workers->nelts; i++) {
        name = name_if_at(&APR_ARRAY_IDX(conf->workers, i, proxy_worker), c);
    }
    for (i = 0; conf && !name && i < conf->balancers->nelts; i++) {
        const proxy_balancer *balancer = &APR_ARRAY_IDX(conf->balancers, i, proxy_balancer);

        for (j = 0; !name && j < balancer->workers->nelts; j++) {
            name = name_if_at(APR_ARRAY_IDX(balancer->workers, j, proxy_worker *), c);
        }
    }
    return name;
}

const char *tls_proxy_name_of(conn_rec *c)
{
    const char *name = apr_table_get(c->notes, HOSTNAME_NOTE);

    if (!name) {
        name = name_of_worker(c);
    }
    return name ? name : c->client_ip;
}
