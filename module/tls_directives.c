/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_directives.h"

#include "tls_settings.h"

static const char *push_line(cmd_parms *cmd, tls_lines *lines, int argc, char *const argv[])
{
    tls_line *line;

    if (argc < 1) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " takes at least one argument", NULL);
    }
    line = tls_line_make(cmd->pool, cmd->cmd->name, argc, (const char *const *)argv);
    line->in_section = cmd->path != NULL;
    line->file = cmd->directive->filename;
    line->line = (unsigned)cmd->directive->line_num;
    tls_lines_add(lines, line);
    return NULL;
}

const char *tls_keep_line(cmd_parms *cmd, void *, int argc, char *const argv[])
{
    return push_line(cmd, &tls_own_settings(cmd)->lines, argc, argv);
}

static void add_block(apr_pool_t *p, apr_array_header_t **blocks, tls_proxy_block *block)
{
    if (!*blocks) {
        *blocks = apr_array_make(p, 1, sizeof(block));
    }
    APR_ARRAY_PUSH(*blocks, tls_proxy_block *) = block;
}

const char *tls_keep_proxy_line(cmd_parms *cmd, void *, int argc, char *const argv[])
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    tls_proxy_block *block;

    if (!settings->proxy_blocks) {
        block = apr_pcalloc(cmd->pool, sizeof(*block));
        block->in_section = cmd->path != NULL;
        add_block(cmd->pool, &settings->proxy_blocks, block);
        add_block(cmd->pool, &tls_own_settings(cmd)->proxy_blocks, block);
    }
    block = APR_ARRAY_IDX(settings->proxy_blocks, 0, tls_proxy_block *);
    return push_line(cmd, &block->lines, argc, argv);
}

tls_slice *tls_slices_of(apr_pool_t *p, int argc, char *const argv[])
{
    tls_slice *args = apr_palloc(p, sizeof(*args) * (size_t)(argc + 1));
    int i;

    for (i = 0; i < argc; i++) {
        args[i] = tls_slice_of(argv[i]);
    }
    return args;
}

const char *tls_set_options(cmd_parms *cmd, void *, int argc, char *const argv[])
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    tls_slice *args = tls_slices_of(cmd->temp_pool, argc, argv);
    tls_text error = { NULL, 0 };

    if (argc < 1) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " takes at least one argument", NULL);
    }
    if (tls_options_parse(&settings->options, args, (size_t)argc, cmd->info != NULL, &error) != TLS_STATUS_OK) {
        return tls_text_take(cmd->pool, error);
    }
    return NULL;
}

const char *tls_keep_for_handshake(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    return ap_check_cmd_context(cmd, NOT_IN_HTACCESS) ? NULL : tls_keep_line(cmd, dir, argc, argv);
}

const char *tls_set_demand(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    tls_text error = { NULL, 0 };
    tls_dir_settings *settings;
    tls_status status;

    if (!cmd->path) {
        return tls_keep_line(cmd, dir, argc, argv);
    }
    if (argc != 1) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " takes one argument", NULL);
    }
    settings = tls_own_dir_settings(cmd);
    settings->strict_rules = settings->strict_rules || cmd->info;
    status = cmd->info ? tls_ssl_demand_parse(tls_slice_of(argv[0]), &settings->client, &error)
                       : tls_demand_parse(tls_slice_of(argv[0]), &settings->client, &error);
    return status == TLS_STATUS_OK ? tls_keep_for_handshake(cmd, dir, argc, argv) : tls_text_take(cmd->pool, error);
}

const char *tls_set_user_name(cmd_parms *cmd, void *dir, const char *variable)
{
    char *argv[] = { apr_pstrdup(cmd->pool, variable) };

    tls_own_dir_settings(cmd)->user_name = argv[0];
    return tls_keep_for_handshake(cmd, dir, 1, argv);
}

static const char *set_early_methods(cmd_parms *cmd, void *, const char *word)
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    tls_text error = { NULL, 0 };

    if (tls_early_methods_parse(tls_slice_of(word), &settings->early_methods, &error) != TLS_STATUS_OK) {
        return tls_text_take(cmd->pool, error);
    }
    return NULL;
}

const command_rec tls_commands[] = {
    TLS_SERVER_LINE("TLSEngine", "[address:]port on which connections are TLS"),
    TLS_SERVER_LINE("TLSCertificate", "PEM file of a certificate with its chain, and the file of its key if it has its own"),
    TLS_SERVER_LINE("TLSProtocol", "protocol versions, such as TLSv1.2+ or TLSv1.3"),
    TLS_SERVER_LINE("TLSCiphersPrefer", "cipher suites to prefer, in this order"),
    TLS_SERVER_LINE("TLSCiphersSuppress", "cipher suites not to use"),
    TLS_SERVER_LINE("TLSHonorClientOrder", "whether the client's order of cipher suites counts (on|off)"),
    TLS_SERVER_LINE("TLSStrictSNI", "whether clients that ask for an unknown server name are refused (on|off)"),
    TLS_SERVER_LINE("TLSSessionCache", "where sessions are kept (none|default|provider:arguments)"),
    TLS_SERVER_LINE("TLSSessionTickets", "whether sessions are resumed by tickets (on|off)"),
    TLS_SERVER_LINE("TLSSessionTicketCount", "how many tickets a client gets after a handshake of TLS 1.3"),
    TLS_SERVER_LINE("TLSSessionLifetime", "for how long sessions can be resumed, in seconds"),
    TLS_SERVER_LINE("TLSSessionTicketKeyFile", "file of at least 32 random bytes that ticket keys come from"),
    TLS_SERVER_LINE("TLSEarlyData", "whether requests may arrive as early data (on|off)"),
    TLS_SERVER_LINE("TLSMaxEarlyDataSize", "how much early data is taken at most, in bytes"),
    AP_INIT_TAKE1("TLSEarlyDataMethods", set_early_methods, NULL, RSRC_CONF | OR_OPTIONS,
                  "requests of which methods may come as early data (none|safe|any)"),
    TLS_SERVER_LINE("TLSFIPS", "whether everything has to be approved by FIPS 140-3 (on|off)"),
    TLS_SERVER_LINE("TLSPolicy", "one word for protocols, suites and groups (modern|intermediate)"),
    TLS_SERVER_LINE("TLSGroupsPrefer", "key exchange groups to prefer, in this order"),
    TLS_SERVER_LINE("TLSGroupsSuppress", "key exchange groups not to use"),
    TLS_SERVER_LINE("TLSCertificateCompression", "whether certificates are compressed for clients that know how (on|off)"),
    TLS_SERVER_LINE("TLSMaxFragmentSize", "the largest records that are sent, in bytes"),
    TLS_SERVER_LINE("TLSKeyLogFile", "file that the secrets of all connections are written to"),
    TLS_SERVER_LINE("TLSClientCA", "PEM files of the CAs whose client certificates are believed, or directories of them"),
    TLS_SERVER_LINE("TLSClientCANames", "PEM files of the CAs that clients are told to have certificates of, or none"),
    TLS_SERVER_LINE("TLSClientVerifyDepth", "how many CAs may be above a client's certificate"),
    TLS_SERVER_LINE("TLSClientCRL", "files of revocation lists, PEM or DER, or directories of them"),
    TLS_SERVER_LINE("TLSClientCRLCheck", "which certificates have to be on no list (leaf|chain|none) [no_crl_for_cert_ok]"),
    AP_INIT_TAKE_ARGV("TLSClientCertificate", tls_set_demand, NULL, RSRC_CONF | OR_AUTHCFG,
                      "certificate that clients have to present (none|optional|optional_no_ca|required)"),
    AP_INIT_TAKE1("TLSUserName", tls_set_user_name, NULL, RSRC_CONF | OR_AUTHCFG,
                  "variable that users with a client certificate are named by"),
    AP_INIT_TAKE_ARGV("TLSOptions", tls_set_options, NULL, OR_OPTIONS,
                      "[+|-]StdEnvVars, ExportCertData, FakeBasicAuth, StrictRequire, LegacyDNStringFormat, Defaults"),
    TLS_PROXY_LINE("TLSProxyEngine", "whether backends are spoken to in TLS (on|off)"),
    TLS_PROXY_LINE("TLSProxyCA", "PEM files of the CAs whose backends are believed, directories of them, or system"),
    TLS_PROXY_LINE("TLSProxyCRL", "files of revocation lists about backends, PEM or DER, or directories of them"),
    TLS_PROXY_LINE("TLSProxyVerify", "whether backends are verified (required|none)"),
    TLS_PROXY_LINE("TLSProxyCheckPeerName", "whether certificates of backends have to be for their names (on|off)"),
    TLS_PROXY_LINE("TLSProxyProtocol", "protocol versions towards backends, such as TLSv1.2+ or TLSv1.3"),
    TLS_PROXY_LINE("TLSProxyCiphersPrefer", "cipher suites to prefer towards backends, in this order"),
    TLS_PROXY_LINE("TLSProxyCiphersSuppress", "cipher suites not to use towards backends"),
    TLS_PROXY_LINE("TLSProxyMachineCertificate", "PEM file of a certificate for backends that ask, and the file of its key"),
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};
