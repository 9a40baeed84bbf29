/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include <signal.h>

#include "apr_thread_proc.h"
#include "http_main.h"
#include "mpm_common.h"

#include "tls_state.h"

/* How long the program may run. */
#define PATIENCE apr_time_from_sec(300)

/* The run of a program. It does not belong to the configuration: httpd may restart meanwhile. */
typedef struct {
    apr_pool_t *pool;
    apr_proc_t proc;
    /* APR forgets the number in proc when the process has ended. */
    pid_t pid;
    const char *program;
    apr_time_t deadline;
} expiry_run;

/* Only one runs at a time. */
static expiry_run *current;

static void start_next(server_rec *s);

static void log_failure(apr_status_t rv, const char *program, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, rv, ap_server_conf, "tls: TLSExpiryCommand: %s %s [TLS4003]", program, why);
}

/* httpd calls this when it has noticed the end of the process, and when it restarts or stops. */
static void ended(int reason, void *data, int status)
{
    expiry_run *run = data;

    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) {
        return;
    }
    if (reason == APR_OC_REASON_DEATH && status) {
        log_failure(0, run->program, apr_psprintf(run->pool, "has failed, with status %d", status));
    }
    apr_proc_other_child_unregister(run);
    current = NULL;
    apr_pool_destroy(run->pool);
    start_next(ap_server_conf);
}

/* The program's output goes to the error log, where httpd's own standard error goes. */
static apr_status_t create(expiry_run *run, const char *const *args)
{
    apr_procattr_t *attr;
    apr_status_t rv = apr_procattr_create(&attr, run->pool);

    if (rv == APR_SUCCESS) {
        rv = apr_procattr_io_set(attr, APR_NO_FILE, APR_NO_PIPE, APR_NO_PIPE);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_procattr_cmdtype_set(attr, APR_PROGRAM_ENV);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_procattr_error_check_set(attr, 1);
    }
    return rv == APR_SUCCESS ? apr_proc_create(&run->proc, run->program, args, NULL, attr, run->pool) : rv;
}

static void start(server_rec *s, tls_list *words)
{
    tls_slice name, value;
    apr_pool_t *pool;

    if (apr_pool_create(&pool, s->process->pool) != APR_SUCCESS) {
        return;
    }
    apr_array_header_t *args = apr_array_make(pool, 8, sizeof(const char *));
    while (tls_list_next(words, &name, &value) == TLS_STATUS_OK) {
        APR_ARRAY_PUSH(args, const char *) = tls_slice_dup(pool, value);
    }
    APR_ARRAY_PUSH(args, const char *) = NULL;
    expiry_run *run = apr_pcalloc(pool, sizeof(*run));
    run->pool = pool;
    run->program = APR_ARRAY_IDX(args, 0, const char *);
    run->deadline = apr_time_now() + PATIENCE;
    apr_status_t rv = create(run, (const char *const *)args->elts);
    if (rv != APR_SUCCESS) {
        log_failure(rv, run->program, "cannot be started");
        apr_pool_destroy(pool);
        return;
    }
    run->pid = run->proc.pid;
    current = run;
    apr_proc_other_child_register(&run->proc, ended, run, NULL, pool);
}

/* Runs the program for the next certificate, if it does not run. */
static void start_next(server_rec *s)
{
    tls_list *words = NULL;

    while (!current && tls_config_next_expiry_command(tls_state_config(), &words) == TLS_STATUS_OK) {
        start(s, words);
        tls_list_free(words);
    }
}

static int post_config(apr_pool_t *, apr_pool_t *, apr_pool_t *, server_rec *s)
{
    /* At startup httpd reads its configuration twice. */
    if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) {
        start_next(s);
    }
    return OK;
}

static int monitor(apr_pool_t *, server_rec *s)
{
    if (current && apr_time_now() > current->deadline) {
        log_failure(0, current->program, "has not ended within 300 seconds, and is killed");
        kill(current->pid, SIGKILL);
        current->deadline += PATIENCE;
    }
    start_next(s);
    return OK;
}

void tls_expiry_register_hooks(apr_pool_t *)
{
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_LAST);
}
