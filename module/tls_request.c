/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_request.h"

#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"

#include "tls_connection.h"
#include "tls_hooks.h"
#include "tls_settings.h"
#include "tls_state.h"

/* RFC 8470 section 5.2; httpd 2.4 has no name for it. */
#define TOO_EARLY 425

/* The mark of requests that came as early data. */
static const char early_mark[] = "early";

int tls_request_is_early(const request_rec *r)
{
    while (r->main || r->prev) {
        r = r->main ? r->main : r->prev;
    }
    return ap_get_module_config(r->request_config, tls_record) == early_mark;
}

/* Until the handshake is complete, the request may be a replay. The handler gets the header Early-Data (RFC 8470). */
static void mark_early(request_rec *r, const tls_connection *tc)
{
    if (tc->phase == TLS_EARLY) {
        ap_set_module_config(r->request_config, tls_record, (void *)early_mark);
        apr_table_setn(r->headers_in, "Early-Data", "1");
    }
}

/* Refuses early data with other methods than those of TLSEarlyDataMethods: the client repeats the request later. */
static int check_early(request_rec *r)
{
    if (r->main || !tls_request_is_early(r)
        || tls_rules_allow_early(&tls_dir_settings_of(r)->rules, tls_slice_of(r->method))) {
        return DECLINED;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "tls: %s %s came as early data, which could be a replay: 425 (TLSEarlyDataMethods)", r->method, r->uri);
    r->status_line = "425 Too Early";
    return TOO_EARLY;
}

/* Whether a request may use its connection: its host may differ from that of the handshake. A request for an unknown host
 * goes to the first host of the address. httpd would select the server of the connection, which is that of the handshake. */
static int check_host(request_rec *r)
{
    tls_connection *tc = tls_connection_of(r->connection);
    tls_routing routing = TLS_ROUTING_MISDIRECTED;
    tls_text why = { NULL, 0 };
    tls_severity severity;
    server_rec *wanted;
    size_t index;
    int status;

    if (!tc) {
        return DECLINED;
    }
    mark_early(r, tc);
    index = tls_settings_of(r->server)->index;
    if (tls_config_route(tc->config, tc->info, &tc->hosts, tls_slice_of(r->hostname), &index, &routing) != TLS_STATUS_OK
        || !(wanted = tls_state_server(index))) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    status =
        tls_routing_refusal(routing, r->hostname, wanted->server_hostname, tc->server->server_hostname, &severity, &why);
    if (status) {
        ap_log_rerror(APLOG_MARK, tls_log_level(severity), 0, r, "tls: %s", tls_text_take(r->pool, why));
        return status;
    }
    if (wanted != r->server) {
        r->server = wanted;
        r->per_dir_config = wanted->lookup_defaults;
    }
    if (tls_info_stand(tc->info, &why) != TLS_STATUS_OK) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "tls: request on a resumed session refused: %s",
                      tls_text_take(r->pool, why));
        r->connection->keepalive = AP_CONN_CLOSE;
        return HTTP_FORBIDDEN;
    }
    return DECLINED;
}

void tls_request_register_hooks(apr_pool_t *)
{
    /* mod_setenvif may use variables and headers that this sets. */
    static const char *const before[] = { "mod_setenvif.c", NULL };

    ap_hook_post_read_request(check_host, before, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_perdir_config(check_early, NULL, NULL, APR_HOOK_FIRST);
}
