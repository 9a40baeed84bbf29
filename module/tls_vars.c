/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include "ap_expr.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_ssl.h"
#include "mod_log_config.h"
#include "mod_ssl.h"

#include "tls_connection.h"
#include "tls_request.h"
#include "tls_settings.h"

/* The variable for requests that came as early data. It depends on the request, not on the connection. */
#define EARLY_DATA "SSL_EARLY_DATA"

/* The function for connections of mod_ssl. */
static APR_OPTIONAL_FN_TYPE(ssl_ext_list) *other_ext_list;

static int conn_is_ssl(conn_rec *c)
{
    return tls_connection_of(c) ? OK : DECLINED;
}

static const char *var_lookup(apr_pool_t *p, server_rec *, conn_rec *c, request_rec *r, const char *name)
{
    tls_options options = { 0 };
    tls_text value = { NULL, 0 };

    if (r && !c) {
        c = r->connection;
    }
    tls_connection *tc = c ? tls_connection_of(c) : NULL;
    if (c && !tc) {
        return NULL;
    }
    if (r) {
        options = tls_dir_settings_of(r)->rules.options;
    }
    if (tc && !c->master && !strcmp(name, "SSL_TLS_EXPORTER")) {
        tls_conn_bind_channel(tc->backend);
    }
    if (!strcmp(name, EARLY_DATA)) {
        return r && tls_request_is_early(r) ? "1" : NULL;
    }
    if (tls_info_variable(tc ? tc->info : NULL, tls_slice_of(name), options, apr_time_sec(apr_time_now()), &value)
        != TLS_STATUS_OK) {
        return NULL;
    }
    return tls_text_take(p, value);
}

static apr_array_header_t *ext_list(apr_pool_t *p, conn_rec *c, int peer, const char *extension)
{
    tls_connection *tc = c ? tls_connection_of(c) : NULL;
    apr_array_header_t *values = NULL;
    tls_list *list = NULL;
    tls_slice name, value;

    if (!tc) {
        return other_ext_list ? other_ext_list(p, c, peer, extension) : NULL;
    }
    if (!tc->info || !extension
        || tls_info_extension(tc->info, peer != 0, tls_slice_of(extension), &list) != TLS_STATUS_OK) {
        return NULL;
    }
    while (tls_list_next(list, &name, &value) == TLS_STATUS_OK) {
        if (!values) {
            values = apr_array_make(p, 1, sizeof(char *));
        }
        APR_ARRAY_PUSH(values, char *) = tls_slice_dup(p, value);
    }
    tls_list_free(list);
    return values;
}

static int set_environment(request_rec *r)
{
    tls_connection *tc = tls_connection_of(r->connection);
    tls_list *list = NULL;
    tls_slice name, value;

    if (!tc || !tc->info
        || tls_info_environment(tc->info, tls_dir_settings_of(r)->rules.options, apr_time_sec(apr_time_now()), &list)
               != TLS_STATUS_OK) {
        return DECLINED;
    }
    while (tls_list_next(list, &name, &value) == TLS_STATUS_OK) {
        apr_table_setn(r->subprocess_env, tls_slice_dup(r->pool, name), tls_slice_dup(r->pool, value));
    }
    tls_list_free(list);
    if (tls_request_is_early(r)) {
        apr_table_setn(r->subprocess_env, EARLY_DATA, "1");
    }
    return DECLINED;
}

/* %{NAME}x */
static const char *log_variable(request_rec *r, char *name)
{
    const char *value = ap_ssl_var_lookup(r->pool, r->server, r->connection, r, name);

    return value && *value ? value : NULL;
}

/* %{NAME}c, the older form with its own names */
static const char *log_cipher(request_rec *r, char *name)
{
    static const struct {
        const char *name, *variable;
    } names[] = {
        { "version", "SSL_PROTOCOL" },
        { "cipher", "SSL_CIPHER" },
        { "subjectdn", "SSL_CLIENT_S_DN" },
        { "issuerdn", "SSL_CLIENT_I_DN" },
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(name, names[i].name)) {
            return log_variable(r, (char *)names[i].variable);
        }
    }
    return NULL;
}

static const char *expr_variable(ap_expr_eval_ctx_t *ctx, const void *data)
{
    const char *value = ap_ssl_var_lookup(ctx->p, ctx->s, ctx->c, ctx->r, data);

    return value ? value : "";
}

/* %{SSL:NAME} and SSL(NAME) */
static const char *expr_function(ap_expr_eval_ctx_t *ctx, const void *, const char *name)
{
    return expr_variable(ctx, name);
}

static apr_array_header_t *expr_extensions(ap_expr_eval_ctx_t *ctx, const void *, const char *arg)
{
    return ext_list(ctx->p, ctx->c, 1, arg);
}

static int expr_lookup(ap_expr_lookup_parms *parms)
{
    if (parms->type == AP_EXPR_FUNC_VAR && !ap_cstr_casecmpn(parms->name, "SSL_", 4)) {
        *parms->func = expr_variable;
        *parms->data = parms->name;
    }
    else if (parms->type == AP_EXPR_FUNC_STRING && !ap_cstr_casecmp(parms->name, "SSL")) {
        *parms->func = expr_function;
    }
    else if (parms->type == AP_EXPR_FUNC_LIST && !ap_cstr_casecmp(parms->name, "PeerExtList")) {
        *parms->func = expr_extensions;
    }
    else {
        return DECLINED;
    }
    return OK;
}

/* mod_log_config has one handler for each name. This one also handles connections of mod_ssl. */
static int register_with_others(apr_pool_t *pconf, apr_pool_t *, apr_pool_t *)
{
    APR_OPTIONAL_FN_TYPE(ap_register_log_handler) *register_log = APR_RETRIEVE_OPTIONAL_FN(ap_register_log_handler);
    APR_OPTIONAL_FN_TYPE(ssl_ext_list) *registered = APR_RETRIEVE_OPTIONAL_FN(ssl_ext_list);

    if (register_log) {
        register_log(pconf, "x", log_variable, 0);
        register_log(pconf, "c", log_cipher, 0);
    }
    if (registered != ext_list) {
        other_ext_list = registered;
        apr_dynamic_fn_register("ssl_ext_list", (apr_opt_fn_t *)ext_list);
    }
    return OK;
}

static const char *http_scheme(const request_rec *r)
{
    return tls_connection_of(r->connection) ? "https" : NULL;
}

static apr_port_t default_port(const request_rec *r)
{
    return tls_connection_of(r->connection) ? 443 : 0;
}

void tls_vars_register_hooks(apr_pool_t *)
{
    ap_hook_ssl_conn_is_ssl(conn_is_ssl, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_ssl_var_lookup(var_lookup, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_config(register_with_others, NULL, NULL, APR_HOOK_LAST);
    /* Before mod_ssl, which handles its own connections only. */
    ap_hook_expr_lookup(expr_lookup, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_fixups(set_environment, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_http_scheme(http_scheme, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_default_port(default_port, NULL, NULL, APR_HOOK_MIDDLE);
}
