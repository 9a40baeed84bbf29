/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_request.h"

#include "http_protocol.h"

#include "tls_connection.h"
#include "tls_settings.h"

/* Whether a request may use its connection. A request may name another host than the handshake did. That is right only if the handshake would have been the same
 * with that host (RFC 9110 section 15.5.20). */
static int check_host(request_rec *r)
{
    tls_connection *tc = tls_connection_of(r->connection);
    tls_text why = { NULL, 0 };
    size_t index;

    if (!tc) {
        return DECLINED;
    }
    index = tls_settings_of(r->server)->index;
    if (index != tc->server_index && !tls_config_agree(tc->config, tc->server_index, index)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "tls: request for %s on a connection to %s, whose TLS settings differ: 421",
                      r->server->server_hostname, tc->server->server_hostname);
        return HTTP_MISDIRECTED_REQUEST;
    }
    if (tls_facts_stand(tc->facts, &why) != TLS_STATUS_OK) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "tls: request on a resumed session refused: %s",
                      tls_text_take(r->pool, why));
        r->connection->keepalive = AP_CONN_CLOSE;
        return HTTP_FORBIDDEN;
    }
    if (tls_config_site(tc->config, index) == TLS_SITE_STATE_UNAVAILABLE) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "tls: %s has no certificate yet: 503",
                      r->server->server_hostname);
        return HTTP_SERVICE_UNAVAILABLE;
    }
    return DECLINED;
}

void tls_request_register_hooks(apr_pool_t *p)
{
    /* mod_setenvif may let a client in by what we set. */
    static const char *const before[] = { "mod_setenvif.c", NULL };

    (void)p;
    ap_hook_post_read_request(check_host, before, NULL, APR_HOOK_MIDDLE);
}
