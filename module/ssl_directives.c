/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_ssl's directives, in its contexts. What becomes of each is decided in Rust (ssl/table.rs); those that may come from an
 * .htaccess file, while a request waits, are read here.
 */
#include "tls_directives.h"

#include "tls_settings.h"

static const char *set_suites(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    tls_text error = { NULL, 0 };
    bool is_tls13 = false;

    if (!cmd->path) {
        return tls_keep_line(cmd, dir, argc, argv);
    }
    if (tls_ssl_suites_check(tls_slices_of(cmd->temp_pool, argc, argv), (size_t)argc, &is_tls13, &error)
        != TLS_STATUS_OK) {
        return tls_text_take(cmd->pool, error);
    }
    settings->strict_rules = true;
    *(is_tls13 ? &settings->tls13 : &settings->tls12) = apr_pstrdup(cmd->pool, argv[argc - 1]);
    return tls_keep_for_handshake(cmd, argc, argv);
}

static const char *set_depth(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    apr_int64_t depth;
    char *end;

    if (!cmd->path) {
        return tls_keep_line(cmd, dir, argc, argv);
    }
    depth = argc == 1 ? apr_strtoi64(argv[0], &end, 10) : -1;
    if (depth < 0 || depth > APR_INT32_MAX || *end) {
        return "SSLVerifyDepth takes the number of CAs that may be above a certificate";
    }
    settings->depth = (int)depth;
    return tls_keep_for_handshake(cmd, argc, argv);
}

/* For directives that say nothing about requests: what Rust finds wrong with them in a section, is wrong in .htaccess. */
static const char *keep_outside(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS);

    return wrong ? wrong : tls_keep_line(cmd, dir, argc, argv);
}

/* For directives without effect that also stand in .htaccess files, where there is nobody to be told. */
static const char *keep_or_ignore(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    (void)dir;
    return tls_keep_for_handshake(cmd, argc, argv);
}

static const char *set_require_ssl(cmd_parms *cmd, void *dir)
{
    (void)dir;
    tls_own_dir_settings(cmd)->require_ssl = true;
    return NULL;
}

static const char *add_requirement(cmd_parms *cmd, void *dir, const char *text)
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    tls_requirement *requirement;
    const char *error = NULL;
    ap_expr_info_t *expr = ap_expr_parse_cmd(cmd, text, AP_EXPR_FLAG_SSL_EXPR_COMPAT, &error, NULL);

    (void)dir;
    if (error) {
        return apr_pstrcat(cmd->pool, "SSLRequire: ", error, NULL);
    }
    if (!settings->requirements) {
        settings->requirements = apr_array_make(cmd->pool, 1, sizeof(tls_requirement));
    }
    requirement = apr_array_push(settings->requirements);
    requirement->expr = expr;
    requirement->text = text;
    return NULL;
}

static const char *set_options(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const char *error = tls_set_options(cmd, dir, argc, argv);

    return error ? error : tls_keep_for_handshake(cmd, argc, argv);
}

#define SERVER(name, help) AP_INIT_TAKE_ARGV(name, tls_keep_line, NULL, RSRC_CONF, help)

#define PROXY(name, help) AP_INIT_TAKE_ARGV(name, tls_keep_proxy_line, NULL, RSRC_CONF | PROXY_CONF, help)

#define NO_EFFECT "(accepted, without effect)"

const command_rec tls_ssl_commands[] = {
    SERVER("SSLPassPhraseDialog", "who is asked for pass phrases of keys (builtin|exec:program|\"|program\")"),
    SERVER("SSLSessionCache", "where sessions are kept (none|type:arguments)"),
    SERVER("SSLCryptoDevice", NO_EFFECT),
    SERVER("SSLRandomSeed", NO_EFFECT),
    SERVER("SSLVHostSNIPolicy", "when a request may name another host than the handshake (strict|secure|authonly|insecure)"),
    SERVER("SSLEngine", "whether connections to this server are TLS (on|off)"),
    SERVER("SSLFIPS", "whether everything has to be approved by FIPS 140-3 (on|off)"),
    AP_INIT_TAKE_ARGV("SSLCipherSuite", set_suites, NULL, RSRC_CONF | OR_AUTHCFG,
                      "[SSL|TLSv1.3] the cipher suites, in OpenSSL's language"),
    SERVER("SSLCertificateFile", "PEM file of a certificate, with those of its issuers"),
    SERVER("SSLCertificateKeyFile", "PEM file of the certificate's key"),
    SERVER("SSLCertificateChainFile", "PEM file of the certificates of issuers"),
    SERVER("SSLSessionTicketKeyFile", "file of 48 random bytes that ticket keys come from"),
    AP_INIT_TAKE_ARGV("SSLCACertificatePath", keep_outside, NULL, RSRC_CONF | OR_AUTHCFG,
                      "directory of the CAs whose client certificates are believed"),
    AP_INIT_TAKE_ARGV("SSLCACertificateFile", keep_outside, NULL, RSRC_CONF | OR_AUTHCFG,
                      "PEM file of the CAs whose client certificates are believed"),
    SERVER("SSLCADNRequestPath", "directory of the CAs that clients are told to have certificates of"),
    SERVER("SSLCADNRequestFile", "PEM file of the CAs that clients are told to have certificates of"),
    SERVER("SSLCARevocationPath", "directory of revocation lists"),
    SERVER("SSLCARevocationFile", "file of revocation lists"),
    SERVER("SSLCARevocationCheck", "which certificates have to be on no list (leaf|chain|none) [no_crl_for_cert_ok]"),
    AP_INIT_TAKE_ARGV("SSLVerifyClient", tls_set_demand, TLS_MOD_SSLS, RSRC_CONF | OR_AUTHCFG,
                      "certificate that clients have to present (none|optional|require|optional_no_ca)"),
    AP_INIT_TAKE_ARGV("SSLVerifyDepth", set_depth, NULL, RSRC_CONF | OR_AUTHCFG,
                      "how many CAs may be above a client's certificate"),
    SERVER("SSLSessionCacheTimeout", "for how long sessions can be resumed, in seconds"),
    SERVER("SSLProtocol", "protocol versions ([+|-]all, TLSv1.2, TLSv1.3 ...)"),
    SERVER("SSLHonorCipherOrder", "whether the server's order of cipher suites counts (on|off)"),
    SERVER("SSLCompression", NO_EFFECT),
    SERVER("SSLSessionTickets", "whether sessions are resumed by tickets (on|off)"),
    SERVER("SSLInsecureRenegotiation", NO_EFFECT),
    AP_INIT_TAKE1("SSLUserName", tls_set_user_name, NULL, RSRC_CONF | OR_AUTHCFG,
                  "variable that users with a client certificate are named by"),
    SERVER("SSLStrictSNIVHostCheck", "whether clients have to say whom they want (on|off)"),
    SERVER("SSLSRPVerifierFile", "(refused)"),
    SERVER("SSLSRPUnknownUserSeed", "(refused)"),
    PROXY("SSLProxyEngine", "whether backends are spoken to in TLS (on|off)"),
    PROXY("SSLProxyProtocol", "protocol versions towards backends ([+|-]all, TLSv1.2, TLSv1.3 ...)"),
    PROXY("SSLProxyCipherSuite", "[SSL|TLSv1.3] the cipher suites towards backends, in OpenSSL's language"),
    PROXY("SSLProxyVerify", "whether backends are verified (none|optional|require|optional_no_ca)"),
    PROXY("SSLProxyVerifyDepth", "how many CAs may be above a backend's certificate"),
    PROXY("SSLProxyCACertificateFile", "PEM file of the CAs whose backends are believed"),
    PROXY("SSLProxyCACertificatePath", "directory of the CAs whose backends are believed"),
    PROXY("SSLProxyCARevocationPath", "directory of revocation lists about backends"),
    PROXY("SSLProxyCARevocationFile", "file of revocation lists about backends"),
    PROXY("SSLProxyCARevocationCheck", "which certificates of backends have to be on no list (leaf|chain|none)"),
    PROXY("SSLProxyMachineCertificateFile", "PEM file of certificates and keys for backends that ask"),
    PROXY("SSLProxyMachineCertificatePath", "directory of certificates and keys for backends that ask"),
    PROXY("SSLProxyMachineCertificateChainFile", "PEM file of the issuers of certificates for backends that ask"),
    PROXY("SSLProxyCheckPeerExpire", "whether certificates of backends must not have expired (on|off)"),
    PROXY("SSLProxyCheckPeerCN", "whether common names of backends have to be theirs (on|off)"),
    PROXY("SSLProxyCheckPeerName", "whether certificates of backends have to be for their names (on|off)"),
    AP_INIT_TAKE_ARGV("SSLOptions", set_options, TLS_MOD_SSLS, OR_OPTIONS,
                      "[+|-]StdEnvVars, ExportCertData, FakeBasicAuth, StrictRequire, OptRenegotiate, LegacyDNStringFormat"),
    AP_INIT_NO_ARGS("SSLRequireSSL", set_require_ssl, NULL, OR_AUTHCFG, "requests have to come by TLS"),
    AP_INIT_RAW_ARGS("SSLRequire", add_requirement, NULL, OR_AUTHCFG, "an expression that has to be true"),
    AP_INIT_TAKE_ARGV("SSLRenegBufferSize", keep_or_ignore, NULL, OR_AUTHCFG, NO_EFFECT),
    SERVER("SSLOCSPEnable", "(refused, but for off)"),
    SERVER("SSLOCSPDefaultResponder", NO_EFFECT),
    SERVER("SSLOCSPOverrideResponder", NO_EFFECT),
    SERVER("SSLOCSPResponseTimeSkew", NO_EFFECT),
    SERVER("SSLOCSPResponseMaxAge", NO_EFFECT),
    SERVER("SSLOCSPResponderTimeout", NO_EFFECT),
    SERVER("SSLOCSPUseRequestNonce", NO_EFFECT),
    SERVER("SSLOCSPProxyURL", NO_EFFECT),
    SERVER("SSLOCSPNoVerify", NO_EFFECT),
    SERVER("SSLOCSPResponderCertificateFile", NO_EFFECT),
    SERVER("SSLStaplingCache", NO_EFFECT),
    SERVER("SSLUseStapling", "whether OCSP responses that others provide are expected to be stapled (on|off)"),
    SERVER("SSLStaplingResponseTimeSkew", NO_EFFECT),
    SERVER("SSLStaplingResponderTimeout", NO_EFFECT),
    SERVER("SSLStaplingResponseMaxAge", NO_EFFECT),
    SERVER("SSLStaplingStandardCacheTimeout", NO_EFFECT),
    SERVER("SSLStaplingReturnResponderErrors", NO_EFFECT),
    SERVER("SSLStaplingFakeTryLater", NO_EFFECT),
    SERVER("SSLStaplingErrorCacheTimeout", NO_EFFECT),
    SERVER("SSLStaplingForceURL", NO_EFFECT),
    SERVER("SSLOpenSSLConfCmd", "one of some commands for OpenSSL that are understood here, and its value"),
    AP_INIT_TAKE_ARGV("SSLLog", keep_outside, NULL, OR_ALL, "(refused)"),
    AP_INIT_TAKE_ARGV("SSLLogLevel", keep_outside, NULL, OR_ALL, "(refused)"),
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};
