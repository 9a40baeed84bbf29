/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_failures.h"

#include <unistd.h>

#include "apr_shm.h"
#include "mpm_common.h"

#include "tls_hooks.h"
#include "tls_state.h"

/* The file or pipe of TLSLogFailures; NULL if there is none. It belongs to the configuration. */
static apr_file_t *journal;

/* The process that reports failures which were not logged one by one: httpd's parent process. */
static pid_t reporter;

/* `origin` is the place of the directive. */
static apr_file_t *open_journal(apr_pool_t *pconf, server_rec *s, const char *name, bool is_program, const char *origin)
{
    apr_file_t *file = NULL;

    if (is_program) {
        piped_log *pl = ap_open_piped_log(pconf, name);

        if (!pl) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "tls: %s: TLSLogFailures: \"%s\" cannot be started", origin, name);
        }
        return pl ? ap_piped_log_write_fd(pl) : NULL;
    }
    apr_status_t rv = apr_file_open(&file, name, APR_FOPEN_WRITE | APR_FOPEN_APPEND | APR_FOPEN_CREATE | APR_FOPEN_LARGEFILE,
                                    APR_FPROT_OS_DEFAULT, pconf);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, rv, s,
                     "tls: %s: TLSLogFailures: %s cannot be opened for writing: name another file", origin, name);
        return NULL;
    }
    return file;
}

/* Each line is one write, so that lines of different processes are not mixed. A full disk must not end connections. */
static void write_journal(tls_slice line)
{
    if (journal) {
        apr_file_write_full(journal, line.data, line.len, NULL);
    }
}

void tls_failures_log(tls_connection *tc, tls_status status)
{
    conn_rec *c = tc->c;
    tls_text line = { NULL, 0 }, json = { NULL, 0 };
    const tls_circumstances when = {
        .status = status,
        .is_established = tc->phase == TLS_ESTABLISHED,
        .is_backend = tc->outgoing_to != NULL,
        .host = tc->outgoing_to ? tc->outgoing_to->name : tc->server->server_hostname,
        .address = c->client_ip,
        .port = c->client_addr ? c->client_addr->port : 0,
        .now = apr_time_now(),
    };
    int level = tls_log_level(tls_conn_severity(tc->backend, &when));
    bool is_shown = APLOG_C_IS_LEVEL(c, level);

    tls_conn_count_failure(tc->backend, &when);
    if (!is_shown && !journal) {
        return;
    }
    tls_status reported = tls_conn_report(tc->backend, &when, is_shown ? &line : NULL, journal ? &json : NULL);
    if (reported == TLS_STATUS_INVALID || reported == TLS_STATUS_INTERNAL) {
        line = tls_last_panic();
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, c, "tls: internal error, please report it: %s",
                      tls_text_take(c->pool, line));
        return;
    }
    if (line.data) {
        ap_log_cerror(APLOG_MARK, level, 0, c, "tls: %s", tls_text_take(c->pool, line));
    }
    if (json.data) {
        write_journal((tls_slice){ json.data, json.len });
        tls_text_free(json);
    }
}

static void report_left_out(const server_rec *s)
{
    tls_text line, json;
    tls_severity severity;
    size_t place = 0;

    while (tls_process_left_out(tls_state_process(), apr_time_now(), &place, &severity, &line, &json) == TLS_STATUS_OK) {
        ap_log_error(APLOG_MARK, tls_log_level(severity), 0, s, "tls: %.*s", (int)line.len, (const char *)line.data);
        write_journal((tls_slice){ json.data, json.len });
        tls_text_free(line);
        tls_text_free(json);
    }
}

/* What the parent process has not reported yet is reported before the logs are closed. */
static apr_status_t end(void *s)
{
    if (reporter == getpid()) {
        report_left_out(s);
        journal = NULL;
    }
    return APR_SUCCESS;
}

/* The memory is mapped once, and inherited by all child processes. */
static void attach_limits(server_rec *s)
{
    static bool is_attached;
    apr_size_t size = tls_limit_cells() * sizeof(uint64_t);
    apr_shm_t *shm;

    if (is_attached) {
        return;
    }
    apr_status_t rv = apr_shm_create(&shm, size, NULL, s->process->pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, "tls: no shared memory, TLSLogFailuresLimit has no effect");
        return;
    }
    tls_process_attach_limits(tls_state_process(), memset(apr_shm_baseaddr_get(shm), 0, size));
    is_attached = true;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *, apr_pool_t *, server_rec *s)
{
    const tls_config *config = tls_state_config();
    tls_text text = { NULL, 0 }, origin = { NULL, 0 };
    bool is_program = false;

    /* At startup httpd reads its configuration twice. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG || !config) {
        return OK;
    }
    attach_limits(s);
    reporter = getpid();
    if (tls_config_failure_log(config, &is_program, &text, &origin) == TLS_STATUS_OK) {
        journal = open_journal(pconf, s, tls_text_take(pconf, text), is_program, tls_text_take(pconf, origin));
        if (!journal) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    apr_pool_cleanup_register(pconf, s, end, apr_pool_cleanup_null);
    return OK;
}

static int monitor(apr_pool_t *, server_rec *s)
{
    report_left_out(s);
    return OK;
}

void tls_failures_register_hooks(apr_pool_t *)
{
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_LAST);
}
