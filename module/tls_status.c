/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include "ap_mpm.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_status.h"
#include "scoreboard.h"

#include "tls_state.h"

static int show_counters(request_rec *r, int flags)
{
    tls_text text = { NULL, 0 };

    if (tls_process_status(tls_state_process(), flags & AP_STATUS_SHORT, &text) != TLS_STATUS_OK) {
        return DECLINED;
    }
    ap_rputs(tls_text_take(r->pool, text), r);
    return OK;
}

/* The process numbers of the child processes, as uint32_t. */
static apr_array_header_t *children(apr_pool_t *p)
{
    apr_array_header_t *pids = apr_array_make(p, 16, sizeof(uint32_t));
    int limit;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &limit) != APR_SUCCESS) {
        limit = 0;
    }
    for (int i = 0; i < limit && ap_exists_scoreboard_image(); i++) {
        const process_score *process = ap_get_scoreboard_process(i);

        if (process && process->pid > 0) {
            APR_ARRAY_PUSH(pids, uint32_t) = (uint32_t)process->pid;
        }
    }
    return pids;
}

/* The handlers tls-status and tls-metrics. */
static int show_status(request_rec *r)
{
    int is_metrics = r->handler && !strcmp(r->handler, "tls-metrics");
    const apr_array_header_t *pids;
    const char *accept = apr_table_get(r->headers_in, "Accept");
    const global_score *global = ap_get_scoreboard_global();
    tls_status_response response;

    if (!r->handler || (!is_metrics && strcmp(r->handler, "tls-status"))) {
        return DECLINED;
    }
    if (r->method_number != M_GET) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    pids = children(r->pool);
    tls_status_request request = {
        .kind = is_metrics ? TLS_STATUS_KIND_METRICS : TLS_STATUS_KIND_STATUS,
        .query = tls_slice_of(r->args),
        .accept = tls_slice_of(accept),
        .now = apr_time_sec(r->request_time),
        .configured = global ? apr_time_sec(global->restart_time) : 0,
        .generation = global ? (uint64_t)global->running_generation : 0,
        .children = (const uint32_t *)pids->elts,
        .children_count = (size_t)pids->nelts,
    };
    if (tls_config_status(tls_state_config(), &request, &response) != TLS_STATUS_OK) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "tls: the status cannot be shown");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    ap_set_content_type(r, tls_text_take(r->pool, response.content_type));
    apr_table_setn(r->headers_out, "Content-Security-Policy", tls_text_take(r->pool, response.policy));
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    ap_rwrite(response.body.data, (int)response.body.len, r);
    tls_text_free(response.body);
    return OK;
}

void tls_status_register_hooks(apr_pool_t *)
{
    APR_OPTIONAL_HOOK(ap, status_hook, show_counters, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(show_status, NULL, NULL, APR_HOOK_MIDDLE);
}
