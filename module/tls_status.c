/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include "http_protocol.h"
#include "mod_status.h"

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

void tls_status_register_hooks(apr_pool_t *)
{
    APR_OPTIONAL_HOOK(ap, status_hook, show_counters, NULL, NULL, APR_HOOK_MIDDLE);
}
