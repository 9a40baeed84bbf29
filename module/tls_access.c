/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_hooks.h"

#include "ap_provider.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_ssl.h"
#include "mod_auth.h"

#include "tls_connection.h"
#include "tls_settings.h"

/* The password that FakeBasicAuth uses. It is public, see is_forged(). */
#define FAKE_PASSWORD "password"

static int forbid(request_rec *r, const char *why)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "tls: access to %s refused: %s", r->uri, why);
    return HTTP_FORBIDDEN;
}

/* SSLRequire: expressions that have to be true. */
static int check_requirements(request_rec *r, const apr_array_header_t *requirements)
{
    for (int i = 0; requirements && i < requirements->nelts; i++) {
        const tls_requirement *requirement = &APR_ARRAY_IDX(requirements, i, tls_requirement);
        const char *error = NULL;
        int holds = ap_expr_exec(r, requirement->expr, &error);

        if (holds < 0 || error) {
            return forbid(r, apr_psprintf(r->pool, "SSLRequire %s cannot be evaluated: %s", requirement->text,
                                          error ? error : "unknown error"));
        }
        if (!holds) {
            return forbid(r, apr_psprintf(r->pool, "SSLRequire %s is not true", requirement->text));
        }
    }
    return DECLINED;
}

/* Checks the rules of the location for the connection, and its expressions for the request. */
static int admit(request_rec *r, tls_stage stage)
{
    const tls_dir_settings *settings = tls_dir_settings_of(r);
    tls_connection *tc = tls_connection_of(r->connection);
    int is_tls = ap_ssl_conn_is_ssl(r->connection);
    tls_text why = { NULL, 0 };

    if (tls_rules_admit(&settings->rules, tc ? tc->info : NULL, is_tls,
                        tls_slice_of(settings->texts[TLS_RULE_TEXT_TLS12_SUITES]),
                        tls_slice_of(settings->texts[TLS_RULE_TEXT_TLS13_SUITES]), stage, &why)
        != TLS_STATUS_OK) {
        return forbid(r, tls_text_take(r->pool, why));
    }
    return is_tls && (stage == TLS_STAGE_ACCESS || tls_rules_strict_require(&settings->rules))
               ? check_requirements(r, settings->requirements)
               : DECLINED;
}

/* StrictRequire: no later check can admit the client. */
static int check_strictly(request_rec *r)
{
    return admit(r, TLS_STAGE_STRICT);
}

static int is_verified(request_rec *r)
{
    const char *verdict = ap_ssl_var_lookup(r->pool, r->server, r->connection, r, "SSL_CLIENT_VERIFY");

    return verdict && !strcmp(verdict, "SUCCESS");
}

/* TLSUserName. Only a verified certificate sets the user. */
static void set_user(request_rec *r)
{
    const char *name = tls_dir_settings_of(r)->texts[TLS_RULE_TEXT_USER_NAME];

    if (!name || !tls_connection_of(r->connection) || !is_verified(r)) {
        return;
    }
    const char *user = ap_ssl_var_lookup(r->pool, r->server, r->connection, r, name);
    if (user && *user) {
        r->user = (char *)user;
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "tls: no user: %s is not in the client's certificate", name);
}

static int check_access(request_rec *r)
{
    int rv = admit(r, TLS_STAGE_ACCESS);

    /* The access log names the user even if another module refuses the request. */
    set_user(r);
    return rv;
}

/* Overrides a user that other modules have set since then. */
static int fix_user(request_rec *r)
{
    set_user(r);
    return DECLINED;
}

/* Whether the client sends a subject with the password of FakeBasicAuth, which is public, instead of a certificate. */
static int is_forged(request_rec *r)
{
    const char *credentials = apr_table_get(r->headers_in, "Authorization");

    if (!credentials || ap_cstr_casecmp(ap_getword(r->pool, &credentials, ' '), "Basic")) {
        return 0;
    }
    while (*credentials == ' ' || *credentials == '\t') {
        credentials++;
    }
    char *decoded = ap_pbase64decode(r->pool, credentials);
    const char *user = ap_getword_nulls(r->pool, (const char **)&decoded, ':');
    return *user == '/' && !strcmp(decoded, FAKE_PASSWORD);
}

/* FakeBasicAuth: the subject of a verified certificate is the user name for Basic authentication. */
static int fake_basic_auth(request_rec *r)
{
    tls_connection *tc = tls_connection_of(r->connection);
    tls_text user = { NULL, 0 };

    if (!ap_is_initial_req(r)) {
        return DECLINED;
    }
    if (is_forged(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "tls: access to %s refused: the client tries to log in with the subject of a certificate", r->uri);
        return HTTP_FORBIDDEN;
    }
    if (r->user || !tc || !tls_rules_fake_basic_auth(&tls_dir_settings_of(r)->rules)
        || tls_info_fake_user(tc->info, &user) != TLS_STATUS_OK) {
        return DECLINED;
    }
    const char *credentials = apr_pstrcat(r->pool, tls_text_take(r->pool, user), ":" FAKE_PASSWORD, NULL);
    apr_table_setn(r->headers_in, "Authorization",
                   apr_pstrcat(r->pool, "Basic ", ap_pbase64encode(r->pool, (char *)credentials), NULL));
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "tls: FakeBasicAuth: \"%s\"", credentials);
    return DECLINED;
}

static const char *parse_require(cmd_parms *, const char *line, const void **)
{
    return *line ? "'Require ssl' and 'Require ssl-verify-client' do not take arguments" : NULL;
}

static authz_status require_ssl(request_rec *r, const char *, const void *)
{
    return ap_ssl_conn_is_ssl(r->connection) ? AUTHZ_GRANTED : AUTHZ_DENIED;
}

static authz_status require_verified(request_rec *r, const char *, const void *)
{
    return is_verified(r) ? AUTHZ_GRANTED : AUTHZ_DENIED;
}

static const authz_provider ssl_provider = { require_ssl, parse_require };
static const authz_provider verified_provider = { require_verified, parse_require };

/* httpd has one provider for each name. This one also handles connections of other modules. */
static int register_providers(apr_pool_t *pconf, apr_pool_t *, apr_pool_t *)
{
    ap_register_auth_provider(pconf, AUTHZ_PROVIDER_GROUP, "ssl", AUTHZ_PROVIDER_VERSION, &ssl_provider,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(pconf, AUTHZ_PROVIDER_GROUP, "ssl-verify-client", AUTHZ_PROVIDER_VERSION, &verified_provider,
                              AP_AUTH_INTERNAL_PER_CONF);
    return OK;
}

void tls_access_register_hooks(apr_pool_t *)
{
    ap_hook_pre_config(register_providers, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_perdir_config(check_strictly, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_check_access(check_access, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(fake_basic_auth, NULL, NULL, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_fixups(fix_user, NULL, NULL, APR_HOOK_FIRST);
}
