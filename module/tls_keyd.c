/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include "apr_thread_proc.h"
#include "mpm_common.h"

#include "tls_state.h"

typedef struct {
    apr_proc_t proc;
    apr_pool_t *pconf;
    server_rec *server;
} watched;

/* tls-keyd and the process that watches it: httpd tells when one of its children ends, and for nothing else does it wait. They
 * are listed by their roles: they are in pconf, and forgotten when that is cleared. */
static watched *current[TLS_KEY_PROCESSES];

static void watch(apr_pool_t *pconf, server_rec *s);

/* httpd calls this when it has noticed the end of the process, and when it restarts or stops. */
static void ended(int reason, void *data, int)
{
    watched *w = data;
    apr_pool_t *p;

    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) {
        return;
    }
    apr_proc_other_child_unregister(w);
    tls_process_child_ended(tls_state_process(), (uint32_t)w->proc.pid);
    if (apr_pool_create(&p, w->pconf) == APR_SUCCESS) {
        tls_state_log(p, tls_state_config(), w->server);
        apr_pool_destroy(p);
    }
    watch(w->pconf, w->server);
}

static apr_status_t forget(void *)
{
    memset(current, 0, sizeof(current));
    return APR_SUCCESS;
}

/* Has httpd tell of the end of those that were started. */
static void watch(apr_pool_t *pconf, server_rec *s)
{
    uint32_t numbers[TLS_KEY_PROCESSES] = { 0 };

    if (tls_process_keyd(tls_state_process(), numbers) != TLS_STATUS_OK) {
        return;
    }
    for (size_t i = 0; i < TLS_KEY_PROCESSES; i++) {
        if (!numbers[i] || (current[i] && current[i]->proc.pid == (pid_t)numbers[i])) {
            continue;
        }
        current[i] = apr_pcalloc(pconf, sizeof(*current[i]));
        *current[i] = (watched){ .proc = { .pid = (pid_t)numbers[i] }, .pconf = pconf, .server = s };
        apr_proc_other_child_register(&current[i]->proc, ended, current[i], NULL, pconf);
        apr_pool_cleanup_register(pconf, NULL, forget, apr_pool_cleanup_null);
    }
}

static int post_config(apr_pool_t *pconf, apr_pool_t *, apr_pool_t *, server_rec *s)
{
    watch(pconf, s);
    return OK;
}

static int monitor(apr_pool_t *, server_rec *s)
{
    watch(s->process->pconf, s);
    return OK;
}

void tls_keyd_register_hooks(apr_pool_t *)
{
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_LAST);
}
