/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acts as mod_md, with files of the test: supplies certificates, stopgap certificates, answers to ACME challenges and
 * OCSP responses. It also lists the directives of the two records.
 */
#include <stdio.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_ssl.h"
#include "apr_general.h"
#include "apr_strings.h"

module AP_MODULE_DECLARE_DATA tls_test_module;

typedef struct {
    const char *cert, *key, *stopgap_cert, *stopgap_key, *challenge_cert, *challenge_key, *ocsp;
} settings;

static void *create_settings(apr_pool_t *p, server_rec *s)
{
    (void)s;
    return apr_pcalloc(p, sizeof(settings));
}

static settings *settings_of(server_rec *s)
{
    return ap_get_module_config(s->module_config, &tls_test_module);
}

static const char *set_files(cmd_parms *cmd, void *dir, const char *cert, const char *key)
{
    const char **place = (const char **)((char *)settings_of(cmd->server) + (size_t)cmd->info);

    (void)dir;
    place[0] = cert;
    if (key) {
        place[1] = key;
    }
    return NULL;
}

static char *read_file(apr_pool_t *p, const char *path, apr_size_t *len)
{
    apr_file_t *file;
    apr_finfo_t info;
    char *data;

    if (apr_file_open(&file, path, APR_FOPEN_READ, 0, p) != APR_SUCCESS
        || apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS) {
        return NULL;
    }
    data = apr_pcalloc(p, (apr_size_t)info.size + 1);
    *len = (apr_size_t)info.size;
    apr_file_read_full(file, data, *len, len);
    apr_file_close(file);
    return data;
}

static int add_files(apr_array_header_t *certs, apr_array_header_t *keys, const char *cert, const char *key)
{
    if (!cert) {
        return DECLINED;
    }
    APR_ARRAY_PUSH(certs, const char *) = cert;
    APR_ARRAY_PUSH(keys, const char *) = key;
    return OK;
}

static int add_certs(server_rec *s, apr_pool_t *p, apr_array_header_t *certs, apr_array_header_t *keys)
{
    (void)p;
    return add_files(certs, keys, settings_of(s)->cert, settings_of(s)->key);
}

static int add_stopgaps(server_rec *s, apr_pool_t *p, apr_array_header_t *certs, apr_array_header_t *keys)
{
    (void)p;
    return add_files(certs, keys, settings_of(s)->stopgap_cert, settings_of(s)->stopgap_key);
}

static int answer_challenge(conn_rec *c, const char *name, const char **cert, const char **key)
{
    settings *mine = settings_of(ap_server_conf);
    apr_size_t len;

    if (!mine->challenge_cert || strcmp(name, "challenged.test")) {
        return DECLINED;
    }
    *cert = read_file(c->pool, mine->challenge_cert, &len);
    *key = read_file(c->pool, mine->challenge_key, &len);
    return OK;
}

static int propose(conn_rec *c, request_rec *r, server_rec *s, const apr_array_header_t *offers,
                   apr_array_header_t *proposals)
{
    (void)c;
    (void)r;
    (void)s;
    if (ap_array_str_contains(offers, "acme-tls/1") && settings_of(ap_server_conf)->challenge_cert) {
        APR_ARRAY_PUSH(proposals, const char *) = "acme-tls/1";
        return OK;
    }
    return DECLINED;
}

static int switch_to(conn_rec *c, request_rec *r, server_rec *s, const char *protocol)
{
    (void)c;
    (void)r;
    (void)s;
    return strcmp(protocol, "acme-tls/1") ? DECLINED : OK;
}

static const char *protocol_of(const conn_rec *c)
{
    (void)c;
    return NULL;
}

static int prime(server_rec *s, apr_pool_t *p, const char *id, apr_size_t id_len, const char *pem)
{
    const char *second = strstr(pem + 1, "-----BEGIN CERTIFICATE-----");

    (void)p;
    (void)id;
    if (!settings_of(s)->ocsp) {
        return DECLINED;
    }
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "primed id of %d bytes, issuer %s", (int)id_len,
                 second ? "included" : "missing");
    return OK;
}

static int response(server_rec *s, conn_rec *c, const char *id, apr_size_t id_len, ap_ssl_ocsp_copy_resp *cb, void *userdata)
{
    apr_size_t len;
    const char *der;

    (void)id;
    (void)id_len;
    if (!settings_of(s)->ocsp) {
        return DECLINED;
    }
    der = read_file(c->pool, settings_of(s)->ocsp, &len);
    cb((const unsigned char *)der, len, userdata);
    return OK;
}

/* The directives of a module, if it is loaded, with their contexts. */
static void dump_directives_of(const char *name)
{
    const module *found = ap_find_linked_module(name);
    const command_rec *command;

    for (command = found ? found->cmds : NULL; command && command->name; command++) {
        printf("%s %d\n", command->name, command->req_override);
    }
}

/* -D DUMP_TEST_DIRECTIVES: the directives of mod_ssl or of the module in its place, and of mod_tls. */
static int dump_directives(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)pconf;
    (void)plog;
    (void)ptemp;
    (void)s;
    if (ap_exists_config_define("DUMP_TEST_DIRECTIVES")) {
        dump_directives_of("mod_ssl.c");
        dump_directives_of("mod_tls.c");
        fflush(stdout);
    }
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_check_config(dump_directives, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_ssl_add_cert_files(add_certs, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_ssl_add_fallback_cert_files(add_stopgaps, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_ssl_answer_challenge(answer_challenge, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_protocol_propose(propose, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_protocol_switch(switch_to, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_protocol_get(protocol_of, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_ssl_ocsp_prime_hook(prime, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_ssl_ocsp_get_resp_hook(response, NULL, NULL, APR_HOOK_MIDDLE);
}

#define FILES(name, member) \
    AP_INIT_TAKE12(name, set_files, (void *)APR_OFFSETOF(settings, member), RSRC_CONF, "certificate and key")

static const command_rec commands[] = { FILES("TestCertificate", cert),
                                        FILES("TestStopgap", stopgap_cert),
                                        FILES("TestChallenge", challenge_cert),
                                        FILES("TestOcspResponse", ocsp),
                                        { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL } };

module AP_MODULE_DECLARE_DATA tls_test_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, create_settings, NULL, commands, register_hooks, AP_MODULE_FLAG_NONE
};
