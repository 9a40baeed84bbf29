/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_terminal.h"

/* Stays over the two passes of a start, between which the module may be unloaded. */
typedef struct {
    apr_file_t *file;
} terminal;

static terminal *kept(void)
{
    static const char key[] = "mod_tls-terminal";
    terminal *t = ap_retained_data_get(key);

    return t ? t : ap_retained_data_create(key, sizeof(*t));
}

void tls_terminal_keep(server_rec *s)
{
    apr_pool_t *p = s->process->pool;
    terminal *t = kept();
    apr_file_t *now;

    /* Not for the programs that logs are piped to: APR closes what it has duplicated when it starts one. */
    if (!t->file && (apr_file_open_stderr(&now, p) != APR_SUCCESS || apr_file_dup(&t->file, now, p) != APR_SUCCESS)) {
        t->file = NULL;
    }
}

void tls_terminal_forget(void)
{
    terminal *t = kept();

    if (t->file) {
        apr_file_close(t->file);
        t->file = NULL;
    }
}

/* Whether what is logged appears on the terminal by itself: `ErrorLog /dev/stderr`. */
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
    terminal *t = kept();
    char *escaped;

    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "tls: %s", text);
    if (t->file && !is_log(t->file, s)) {
        escaped = apr_palloc(p, size);
        ap_escape_errorlog_item(escaped, text, size);
        apr_file_printf(t->file, "tls: %s\n", escaped);
    }
}
