/* SPDX-License-Identifier: Apache-2.0 */
/* A balancer tries the next member after 503, which mod_proxy returns if it cannot connect, but not after 502: the member
 * may have received the request. A handshake starts when mod_proxy sends the request, so a failed one gives 502 although the
 * member has received no request. This file calls mod_proxy's handlers and corrects the status.
 *
 * mod_proxy may be absent, and its hooks are not optional functions: they are looked up by name. */
#include "tls_failover.h"

#include <dlfcn.h>

#include "mod_proxy.h"

#include "tls_hooks.h"

typedef int scheme_handler(request_rec *r, proxy_worker *worker, proxy_server_conf *conf, char *url, const char *host,
                           apr_port_t port);
typedef void hook_scheme_handler(scheme_handler *handler, const char *const *before, const char *const *after, int order);

static scheme_handler *run_handlers;

/* Whether a handshake of the current request has failed. mod_proxy's handlers stay in one thread until they have sent the
 * request. */
static __thread bool handshake_failed;

/* Whether the handlers are being called from here. */
static __thread bool inside;

void tls_failover_note(void)
{
    handshake_failed = true;
}

/* A body cannot be sent to a second member: it was read for the first one. */
static int has_body(const request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    return (length && strcmp(length, "0")) || apr_table_get(r->headers_in, "Transfer-Encoding");
}

static int handle(request_rec *r, proxy_worker *worker, proxy_server_conf *conf, char *url, const char *host,
                  apr_port_t port)
{
    if (inside) {
        return DECLINED;
    }
    inside = true;
    handshake_failed = false;
    int status = run_handlers(r, worker, conf, url, host, port);
    inside = false;
    if (status == HTTP_BAD_GATEWAY && handshake_failed && !has_body(r)
        && apr_table_get(r->subprocess_env, "BALANCER_NAME")) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "tls: balancer member %s failed in the handshake, the next one is tried",
                      apr_table_get(r->subprocess_env, "BALANCER_WORKER_NAME"));
        return HTTP_SERVICE_UNAVAILABLE;
    }
    return status;
}

static int find_proxy(apr_pool_t *, apr_pool_t *, apr_pool_t *)
{
    hook_scheme_handler *hook;

    *(void **)&hook = dlsym(RTLD_DEFAULT, "proxy_hook_scheme_handler");
    *(void **)&run_handlers = dlsym(RTLD_DEFAULT, "proxy_run_scheme_handler");
    if (hook && run_handlers) {
        hook(handle, NULL, NULL, APR_HOOK_REALLY_FIRST);
    }
    return OK;
}

void tls_failover_register_hooks(apr_pool_t *)
{
    ap_hook_pre_config(find_proxy, NULL, NULL, APR_HOOK_MIDDLE);
}
