/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_ssl's directives, in its contexts. What becomes of each is decided in Rust (mod_ssl/table.rs); those that may come from an
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
    return tls_keep_for_handshake(cmd, dir, argc, argv);
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
    return tls_keep_for_handshake(cmd, dir, argc, argv);
}

/* For directives that say nothing about requests: what Rust finds wrong with them in a section, is wrong in .htaccess. */
static const char *keep_outside(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS);

    return wrong ? wrong : tls_keep_line(cmd, dir, argc, argv);
}

static const char *set_require_ssl(cmd_parms *cmd, void *)
{
    tls_own_dir_settings(cmd)->require_ssl = true;
    return NULL;
}

static const char *add_requirement(cmd_parms *cmd, void *, const char *text)
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    tls_requirement *requirement;
    const char *error = NULL;
    ap_expr_info_t *expr = ap_expr_parse_cmd(cmd, text, AP_EXPR_FLAG_SSL_EXPR_COMPAT, &error, NULL);

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

    return error ? error : tls_keep_for_handshake(cmd, dir, argc, argv);
}

#define NO_EFFECT "(accepted, without effect)"

const command_rec tls_ssl_commands[] = {
    TLS_SERVER_LINE("SSLPassPhraseDialog", "who is asked for pass phrases of keys (builtin|exec:program|\"|program\")"),
    TLS_SERVER_LINE("SSLSessionCache", "where sessions are kept (none|type:arguments)"),
    TLS_SERVER_LINE("SSLCryptoDevice", NO_EFFECT),
    TLS_SERVER_LINE("SSLRandomSeed", NO_EFFECT),
    TLS_SERVER_LINE("SSLVHostSNIPolicy", "when a request may name another host than the handshake (strict|secure|authonly|insecure)"),
    TLS_SERVER_LINE("SSLEngine", "whether connections to this server are TLS (on|off)"),
    TLS_SERVER_LINE("SSLFIPS", "whether everything has to be approved by FIPS 140-3 (on|off)"),
    AP_INIT_TAKE_ARGV("SSLCipherSuite", set_suites, NULL, RSRC_CONF | OR_AUTHCFG,
                      "[SSL|TLSv1.3] the cipher suites, in OpenSSL's language"),
    TLS_SERVER_LINE("SSLCertificateFile", "PEM file of a certificate, with those of its issuers"),
    TLS_SERVER_LINE("SSLCertificateKeyFile", "PEM file of the certificate's key"),
    TLS_SERVER_LINE("SSLCertificateChainFile", "PEM file of the certificates of issuers"),
    TLS_SERVER_LINE("SSLSessionTicketKeyFile", "file of 48 random bytes that ticket keys come from"),
    AP_INIT_TAKE_ARGV("SSLCACertificatePath", keep_outside, NULL, RSRC_CONF | OR_AUTHCFG,
                      "directory of the CAs whose client certificates are believed"),
    AP_INIT_TAKE_ARGV("SSLCACertificateFile", keep_outside, NULL, RSRC_CONF | OR_AUTHCFG,
                      "PEM file of the CAs whose client certificates are believed"),
    TLS_SERVER_LINE("SSLCADNRequestPath", "directory of the CAs that clients are told to have certificates of"),
    TLS_SERVER_LINE("SSLCADNRequestFile", "PEM file of the CAs that clients are told to have certificates of"),
    TLS_SERVER_LINE("SSLCARevocationPath", "directory of revocation lists"),
    TLS_SERVER_LINE("SSLCARevocationFile", "file of revocation lists"),
    TLS_SERVER_LINE("SSLCARevocationCheck", "which certificates have to be on no list (leaf|chain|none) [no_crl_for_cert_ok]"),
    AP_INIT_TAKE_ARGV("SSLVerifyClient", tls_set_demand, TLS_MOD_SSLS, RSRC_CONF | OR_AUTHCFG,
                      "certificate that clients have to present (none|optional|require|optional_no_ca)"),
    AP_INIT_TAKE_ARGV("SSLVerifyDepth", set_depth, NULL, RSRC_CONF | OR_AUTHCFG,
                      "how many CAs may be above a client's certificate"),
    TLS_SERVER_LINE("SSLSessionCacheTimeout", "for how long sessions can be resumed, in seconds"),
    TLS_SERVER_LINE("SSLProtocol", "protocol versions ([+|-]all, TLSv1.2, TLSv1.3 ...)"),
    TLS_SERVER_LINE("SSLHonorCipherOrder", "whether the server's order of cipher suites counts (on|off)"),
    TLS_SERVER_LINE("SSLCompression", NO_EFFECT),
    TLS_SERVER_LINE("SSLSessionTickets", "whether sessions are resumed by tickets (on|off)"),
    TLS_SERVER_LINE("SSLInsecureRenegotiation", NO_EFFECT),
    AP_INIT_TAKE1("SSLUserName", tls_set_user_name, NULL, RSRC_CONF | OR_AUTHCFG,
                  "variable that users with a client certificate are named by"),
    TLS_SERVER_LINE("SSLStrictSNIVHostCheck", "whether clients have to say whom they want (on|off)"),
    TLS_SERVER_LINE("SSLSRPVerifierFile", "(refused)"),
    TLS_SERVER_LINE("SSLSRPUnknownUserSeed", "(refused)"),
    TLS_PROXY_LINE("SSLProxyEngine", "whether backends are spoken to in TLS (on|off)"),
    TLS_PROXY_LINE("SSLProxyProtocol", "protocol versions towards backends ([+|-]all, TLSv1.2, TLSv1.3 ...)"),
    TLS_PROXY_LINE("SSLProxyCipherSuite", "[SSL|TLSv1.3] the cipher suites towards backends, in OpenSSL's language"),
    TLS_PROXY_LINE("SSLProxyVerify", "whether backends are verified (none|optional|require|optional_no_ca)"),
    TLS_PROXY_LINE("SSLProxyVerifyDepth", "how many CAs may be above a backend's certificate"),
    TLS_PROXY_LINE("SSLProxyCACertificateFile", "PEM file of the CAs whose backends are believed"),
    TLS_PROXY_LINE("SSLProxyCACertificatePath", "directory of the CAs whose backends are believed"),
    TLS_PROXY_LINE("SSLProxyCARevocationPath", "directory of revocation lists about backends"),
    TLS_PROXY_LINE("SSLProxyCARevocationFile", "file of revocation lists about backends"),
    TLS_PROXY_LINE("SSLProxyCARevocationCheck", "which certificates of backends have to be on no list (leaf|chain|none)"),
    TLS_PROXY_LINE("SSLProxyMachineCertificateFile", "PEM file of certificates and keys for backends that ask"),
    TLS_PROXY_LINE("SSLProxyMachineCertificatePath", "directory of certificates and keys for backends that ask"),
    TLS_PROXY_LINE("SSLProxyMachineCertificateChainFile", "PEM file of the issuers of certificates for backends that ask"),
    TLS_PROXY_LINE("SSLProxyCheckPeerExpire", "whether certificates of backends must not have expired (on|off)"),
    TLS_PROXY_LINE("SSLProxyCheckPeerCN", "whether common names of backends have to be theirs (on|off)"),
    TLS_PROXY_LINE("SSLProxyCheckPeerName", "whether certificates of backends have to be for their names (on|off)"),
    AP_INIT_TAKE_ARGV("SSLOptions", set_options, TLS_MOD_SSLS, OR_OPTIONS,
                      "[+|-]StdEnvVars, ExportCertData, FakeBasicAuth, StrictRequire, OptRenegotiate, LegacyDNStringFormat"),
    AP_INIT_NO_ARGS("SSLRequireSSL", set_require_ssl, NULL, OR_AUTHCFG, "requests have to come by TLS"),
    AP_INIT_RAW_ARGS("SSLRequire", add_requirement, NULL, OR_AUTHCFG, "an expression that has to be true"),
    /* In .htaccess there is nobody to be told. */
    AP_INIT_TAKE_ARGV("SSLRenegBufferSize", tls_keep_for_handshake, NULL, OR_AUTHCFG, NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPEnable", "(refused, but for off)"),
    TLS_SERVER_LINE("SSLOCSPDefaultResponder", NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPOverrideResponder", NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPResponseTimeSkew", NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPResponseMaxAge", NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPResponderTimeout", NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPUseRequestNonce", NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPProxyURL", NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPNoVerify", NO_EFFECT),
    TLS_SERVER_LINE("SSLOCSPResponderCertificateFile", NO_EFFECT),
    TLS_SERVER_LINE("SSLStaplingCache", NO_EFFECT),
    TLS_SERVER_LINE("SSLUseStapling", "whether OCSP responses that others provide are expected to be stapled (on|off)"),
    TLS_SERVER_LINE("SSLStaplingResponseTimeSkew", NO_EFFECT),
    TLS_SERVER_LINE("SSLStaplingResponderTimeout", NO_EFFECT),
    TLS_SERVER_LINE("SSLStaplingResponseMaxAge", NO_EFFECT),
    TLS_SERVER_LINE("SSLStaplingStandardCacheTimeout", NO_EFFECT),
    TLS_SERVER_LINE("SSLStaplingReturnResponderErrors", NO_EFFECT),
    TLS_SERVER_LINE("SSLStaplingFakeTryLater", NO_EFFECT),
    TLS_SERVER_LINE("SSLStaplingErrorCacheTimeout", NO_EFFECT),
    TLS_SERVER_LINE("SSLStaplingForceURL", NO_EFFECT),
    TLS_SERVER_LINE("SSLOpenSSLConfCmd", "one of some commands for OpenSSL that are understood here, and its value"),
    AP_INIT_TAKE_ARGV("SSLLog", keep_outside, NULL, OR_ALL, "(refused)"),
    AP_INIT_TAKE_ARGV("SSLLogLevel", keep_outside, NULL, OR_ALL, "(refused)"),
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};
