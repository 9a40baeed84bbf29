/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_state.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <unistd.h>

#include "ap_mpm.h"
#include "apr_shm.h"
#include "http_ssl.h"
#include "mpm_common.h"

#include "tls_cache.h"
#include "tls_compile.h"
#include "tls_hooks.h"
#include "tls_settings.h"
#include "tls_terminal.h"

/* The state that survives restarts, in memory of httpd: a restart may unload the module and load it again. */
static tls_process **retained;
static tls_config *config;

/* The servers of the configuration, by number (server_rec *): they live as long as it does. */
static apr_array_header_t *servers;

/* The process that has made the configuration and frees it. Child processes do not free it: when they end, some of their
 * threads may still use it. */
static pid_t config_owner;

const tls_config *tls_state_config(void)
{
    return config;
}

server_rec *tls_state_server(size_t index)
{
    return servers && index < (size_t)servers->nelts ? APR_ARRAY_IDX(servers, index, server_rec *) : NULL;
}

const tls_process *tls_state_process(void)
{
    return retained ? *retained : NULL;
}

static apr_status_t forget_config(void *)
{
    if (config_owner == getpid()) {
        tls_config_free(config);
        config = NULL;
        servers = NULL;
    }
    return APR_SUCCESS;
}

static void compile(apr_pool_t *pconf, server_rec *s, tls_compile_mode mode)
{
    config = tls_compile(s, tls_state_process(), mode);
    config_owner = getpid();
    servers = apr_array_make(pconf, 8, sizeof(s));
    for (; s; s = s->next) {
        APR_ARRAY_PUSH(servers, server_rec *) = s;
    }
    apr_pool_cleanup_register(pconf, NULL, forget_config, apr_pool_cleanup_null);
}

/* The counters are in shared memory that the parent maps once and all child processes inherit. */
static void attach_counters(server_rec *s)
{
    apr_size_t cells = tls_counter_cells();
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, cells * sizeof(uint64_t), NULL, s->process->pool);

    if (rv == APR_SUCCESS) {
        /* Shared memory without a name is zeroed, and pages that nobody uses cost nothing. */
        tls_process_attach_counters(*retained, apr_shm_baseaddr_get(shm), cells);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, "tls: no shared memory, nothing will be counted");
    }
}

static apr_status_t end(void *)
{
    tls_process_end(tls_state_process());
    return APR_SUCCESS;
}

static int retain(server_rec *s)
{
    static const char key[] = "mod_tls";

    retained = ap_retained_data_get(key);
    if (retained) {
        return OK;
    }
    retained = ap_retained_data_create(key, sizeof(*retained));
    if (tls_process_new(retained) != TLS_STATUS_OK) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "tls: the state of the process cannot be made");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    attach_counters(s);
    apr_pool_cleanup_register(s->process->pool, NULL, end, apr_pool_cleanup_null);
    return OK;
}

/* Whether -D asks for output of this module. */
static int wants_dump(void)
{
    return ap_exists_config_define("DUMP_TLS") || ap_exists_config_define("DUMP_CERTS")
           || ap_exists_config_define("DUMP_SSL_COMPAT");
}

/* At startup httpd reads its configuration twice. */
static int is_first_pass(void)
{
    return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

/* httpd -t ends after this hook. At startup the check is in post_config, when other modules are ready. */
static int check_config(apr_pool_t *pconf, apr_pool_t *, apr_pool_t *ptemp, server_rec *s)
{
    int mode = ap_state_query(AP_SQ_RUN_MODE);

    if (mode == AP_SQ_RM_NORMAL && is_first_pass()) {
        tls_terminal_keep(s);
    }
    if (mode != AP_SQ_RM_CONFIG_TEST && !(mode == AP_SQ_RM_CONFIG_DUMP && wants_dump())) {
        return OK;
    }
    if (retain(s) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    compile(pconf, s, TLS_COMPILE_MODE_TEST);
    if (!config) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return tls_config_is_active(config) ? tls_cache_check(ptemp, s, config) : OK;
}

static void dump_config(apr_pool_t *pconf, server_rec *)
{
    tls_text text = { NULL, 0 };

    if (tls_config_dump(config, ap_exists_config_define("DUMP_CERTS"), ap_exists_config_define("DUMP_TLS"),
                        apr_time_sec(apr_time_now()), &text)
        == TLS_STATUS_OK) {
        tls_print(pconf, text);
    }
}

/* Registers the certificates with the provider of OCSP responses. */
static void prime_stapling(apr_pool_t *ptemp, server_rec *base)
{
    apr_array_header_t *providers = ap_hook_get_ssl_ocsp_prime_hook();

    if (!providers || !providers->nelts) {
        return;
    }
    for (server_rec *s = base; s; s = s->next) {
        tls_text pem = { NULL, 0 };
        uint8_t id[32];

        for (size_t i = 0; tls_config_certificate(config, tls_settings_of(s)->index, i, id, &pem) == TLS_STATUS_OK; i++) {
            ap_ssl_ocsp_prime(s, ptemp, (const char *)id, sizeof(id), tls_text_take(ptemp, pem));
        }
    }
}

/* Adds the module to the Server header, and logs the versions and where the private keys are. */
static void introduce(apr_pool_t *pconf, server_rec *s)
{
    tls_text text = { NULL, 0 };

    ap_add_version_component(pconf, tls_slice_dup(pconf, tls_version()));
    tls_config_introduction(config, &text);
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "tls: %s", tls_text_take(pconf, text));
}

/* Compiles the configuration and prepares what depends on it. */
static int prepare(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s)
{
    int first = is_first_pass();
    int rv = retain(s);

    if (rv != OK) {
        return rv;
    }
    compile(pconf, s, first ? TLS_COMPILE_MODE_FIRST : TLS_COMPILE_MODE_RUN);
    if (!config) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "tls: the configuration has errors, see above");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!tls_config_is_active(config)) {
        return OK;
    }
    if (first) {
        return tls_cache_check(ptemp, s, config);
    }
    rv = tls_cache_open(pconf, ptemp, s, config);
    if (rv != OK) {
        return rv;
    }
    prime_stapling(ptemp, s);
    introduce(pconf, s);
    tls_config_check_expiry(config);
    /* Child processes would inherit what is queued, and log it too. */
    tls_state_log(ptemp, config, s);
    return OK;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *, apr_pool_t *ptemp, server_rec *s)
{
    int rv = prepare(pconf, ptemp, s);

    if (!is_first_pass()) {
        tls_terminal_forget();
    }
    return rv;
}

void tls_state_log(apr_pool_t *p, const tls_config *from, server_rec *s)
{
    tls_severity severity;
    tls_text text = { NULL, 0 };

    while (tls_config_next_message(from, &severity, &text) == TLS_STATUS_OK) {
        ap_log_error(APLOG_MARK, tls_log_level(severity), 0, s, "tls: %s", tls_text_take(p, text));
    }
}

void tls_state_renew(apr_pool_t *p, server_rec *s)
{
    tls_status more;

    do {
        more = tls_config_renew(config);
        tls_state_log(p, config, s);
    } while (more == TLS_STATUS_OK);
}

static int monitor(apr_pool_t *p, server_rec *s)
{
    tls_config_tick(config);
    tls_state_renew(p, s);
    return OK;
}

static apr_status_t end_child(void *)
{
    tls_process_end_child(tls_state_process());
    return APR_SUCCESS;
}

static void init_child(apr_pool_t *p, server_rec *)
{
    int threads = 1;

#ifdef __GLIBC__
    /* Otherwise glibc returns memory to the system after each 64 KiB of output, and requests it again for the next. */
    mallopt(M_TRIM_THRESHOLD, 512 * 1024);
#endif
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    tls_process_in_child(tls_state_process(), (size_t)threads);
    apr_pool_pre_cleanup_register(p, NULL, end_child);
}

void tls_state_register_hooks(apr_pool_t *)
{
    ap_hook_child_init(init_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_test_config(dump_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_MIDDLE);
}
