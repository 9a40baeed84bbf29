/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_failures.h"

void tls_failures_log(tls_connection *tc, tls_status status)
{
    tls_severity severity = TLS_SEVERITY_ERROR;
    tls_text text = { NULL, 0 };
    const tls_circumstances when = {
        .status = status,
        .is_established = tc->phase == TLS_ESTABLISHED,
        .is_backend = tc->outgoing_to != NULL,
        .host = tc->outgoing_to ? tc->outgoing_to->name : tc->server->server_hostname,
        .address = tc->c->client_ip,
    };

    if (tls_conn_report(tc->backend, &when, &severity, &text) != TLS_STATUS_OK) {
        text = tls_last_panic();
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, tc->c, "tls: internal error, please report it: %s",
                      tls_text_take(tc->c->pool, text));
        return;
    }
    ap_log_cerror(APLOG_MARK, tls_log_level(severity), 0, tc->c, "tls: %s", tls_text_take(tc->c->pool, text));
}
