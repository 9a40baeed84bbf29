/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_proxy_worker.h"

#include "mod_proxy.h"

/* The note of a connection with the host name of the request, set by mod_proxy. */
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

/* Examines a worker. A result other than NULL ends the search. */
typedef const void *ask_worker(const proxy_worker *worker, const conn_rec *c, const void *baton);

/* Calls `ask` for each worker of the connection's server, including those of balancers. */
static const void *search_workers(const conn_rec *c, ask_worker *ask, const void *baton)
{
    module *proxy = ap_find_linked_module("mod_proxy.c");
    const proxy_server_conf *conf = proxy ? ap_get_module_config(c->base_server->module_config, proxy) : NULL;
    const void *found = NULL;

    for (int i = 0; conf && !found && i < conf->workers->nelts; i++) {
        found = ask(&APR_ARRAY_IDX(conf->workers, i, proxy_worker), c, baton);
    }
    for (int i = 0; conf && !found && i < conf->balancers->nelts; i++) {
        const proxy_balancer *balancer = &APR_ARRAY_IDX(conf->balancers, i, proxy_balancer);

        for (int j = 0; !found && j < balancer->workers->nelts; j++) {
            found = ask(APR_ARRAY_IDX(balancer->workers, j, proxy_worker *), c, baton);
        }
    }
    return found;
}

static const void *name_if_at(const proxy_worker *worker, const conn_rec *c, const void *)
{
    const char *host = worker->s->hostname_ex;

    return worker->s->port == c->client_addr->port && *host && resolves_to(host, c->client_addr, c->pool) ? host : NULL;
}

const char *tls_proxy_name_of(conn_rec *c)
{
    const char *name = apr_table_get(c->notes, HOSTNAME_NOTE);

    if (!name) {
        /* A health check has no request and no note. Its worker is found by the address. */
        name = search_workers(c, name_if_at, NULL);
    }
    return name ? name : c->client_ip;
}

static const void *worker_if_of(const proxy_worker *worker, const conn_rec *, const void *dir_conf)
{
    return worker->section_config == dir_conf ? worker : NULL;
}

int tls_proxy_is_of_worker(conn_rec *c, const struct ap_conf_vector_t *dir_conf)
{
    return !dir_conf || search_workers(c, worker_if_of, dir_conf) != NULL;
}
