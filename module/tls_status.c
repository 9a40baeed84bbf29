/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_status.h"

#include "http_protocol.h"
#include "mod_status.h"

#include "tls_state.h"

static int show_counters(request_rec *r, int flags)
{
    const tls_process *process = tls_state_process();
    int brief = flags & AP_STATUS_SHORT;
    tls_slice name;
    uint64_t value;
    size_t i;

    if (!process) {
        return DECLINED;
    }
    if (!brief) {
        ap_rputs("<hr />\n<h1>TLS</h1>\n<dl>\n", r);
    }
    for (i = 0; tls_process_counter(process, i, &name, &value) == TLS_STATUS_OK; i++) {
        ap_rprintf(r, brief ? "TLS%.*s: %" APR_UINT64_T_FMT "\n" : "<dt>%.*s: %" APR_UINT64_T_FMT "</dt>\n",
                   (int)name.len, (const char *)name.data, (apr_uint64_t)value);
    }
    if (!brief) {
        ap_rputs("</dl>\n", r);
    }
    return OK;
}

void tls_status_register_hooks(apr_pool_t *)
{
    APR_OPTIONAL_HOOK(ap, status_hook, show_counters, NULL, NULL, APR_HOOK_MIDDLE);
}
