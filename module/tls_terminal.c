/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_terminal.h"

/* In memory that survives the two passes of a start, between which the module may be unloaded. */
static apr_file_t **terminal(void)
{
    static const char key[] = "mod_tls-terminal";
    void *kept = ap_retained_data_get(key);

    return kept ? kept : ap_retained_data_create(key, sizeof(apr_file_t *));
}

void tls_terminal_keep(server_rec *s)
{
    apr_pool_t *p = s->process->pool;
    apr_file_t **kept = terminal();
    apr_file_t *now;

    /* Programs for piped logs do not inherit it: APR closes duplicated files when it starts one. */
    if (!*kept && (apr_file_open_stderr(&now, p) != APR_SUCCESS || apr_file_dup(kept, now, p) != APR_SUCCESS)) {
        *kept = NULL;
    }
}

void tls_terminal_forget(void)
{
    apr_file_t **kept = terminal();

    if (*kept) {
        apr_file_close(*kept);
        *kept = NULL;
    }
}

/* Whether the error log is the terminal: `ErrorLog /dev/stderr`. */
static int is_log(apr_file_t *file, const server_rec *s)
{
    apr_finfo_t one, other;

    return s->error_log && apr_file_info_get(&one, APR_FINFO_IDENT, file) == APR_SUCCESS
           && apr_file_info_get(&other, APR_FINFO_IDENT, s->error_log) == APR_SUCCESS && one.inode == other.inode
           && one.device == other.device;
}

void tls_complain(apr_pool_t *p, server_rec *s, const char *text)
{
    apr_size_t size = 4 * strlen(text) + 1; /* Each character may become \xNN. */
    apr_file_t **kept = terminal();
    char *escaped;

    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "tls: %s", text);
    if (*kept && !is_log(*kept, s)) {
        escaped = apr_palloc(p, size);
        ap_escape_errorlog_item(escaped, text, size);
        apr_file_printf(*kept, "tls: %s\n", escaped);
    }
}
