/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include "apr_thread_proc.h"
#include "http_main.h"
#include "mpm_common.h"

#include "tls_state.h"

typedef struct {
    apr_proc_t proc;
    /* APR forgets the number in proc when the process has ended. */
    pid_t pid;
    apr_pool_t *pool;
} watched;

/* tls-keyd, the process that watches it and files, the bell, and those that look into stores, by their roles: httpd tells when
 * one of its children ends, and for nothing else does it wait. One that was replaced is not in this list, but httpd still tells
 * of its end, or it would be taken for a lost child. So they do not belong to the configuration; this module stays in memory
 * over restarts. */
static watched *current[TLS_COMPANIONS];

static void watch(const server_rec *s);

/* httpd calls this when it has noticed the end of the process, and when it restarts or stops. */
static void ended(int reason, void *data, int)
{
    watched *w = data;

    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) {
        return;
    }
    for (size_t i = 0; i < TLS_COMPANIONS; i++) {
        current[i] = current[i] == w ? NULL : current[i];
    }
    apr_proc_other_child_unregister(w);
    tls_process_child_ended(tls_state_process(), (uint32_t)w->pid);
    tls_state_renew(w->pool, ap_server_conf);
    apr_pool_destroy(w->pool);
    watch(ap_server_conf);
}

/* Has httpd tell of the end of those that were started. */
static void watch(const server_rec *s)
{
    uint32_t numbers[TLS_COMPANIONS] = { 0 };

    if (tls_process_keyd(tls_state_process(), numbers) != TLS_STATUS_OK) {
        return;
    }
    for (size_t i = 0; i < TLS_COMPANIONS; i++) {
        pid_t pid = (pid_t)numbers[i];
        apr_pool_t *p;

        if (!pid || (current[i] && current[i]->pid == pid) || apr_pool_create(&p, s->process->pool) != APR_SUCCESS) {
            continue;
        }
        current[i] = apr_pcalloc(p, sizeof(*current[i]));
        *current[i] = (watched){ .proc = { .pid = pid }, .pid = pid, .pool = p };
        apr_proc_other_child_register(&current[i]->proc, ended, current[i], NULL, p);
    }
}

static int post_config(apr_pool_t *, apr_pool_t *, apr_pool_t *, server_rec *s)
{
    watch(s);
    return OK;
}

static int monitor(apr_pool_t *, server_rec *s)
{
    watch(s);
    return OK;
}

void tls_keyd_register_hooks(apr_pool_t *)
{
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_LAST);
}
