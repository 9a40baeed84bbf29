/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_compile.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "ap_listen.h"
#include "apr_signal.h"
#include "http_main.h"
#include "http_ssl.h"
#include "http_vhost.h"

#include "tls_settings.h"
#include "tls_terminal.h"

typedef struct {
    apr_pool_t *p;
    server_rec *base;
    tls_builder *builder;
    tls_compile_mode mode;
} compilation;

static tls_address address_of(const apr_sockaddr_t *address, apr_port_t port)
{
    bool is_ip = address && (address->family == APR_INET || address->family == APR_INET6);

    return (tls_address){ is_ip ? address->ipaddr_ptr : NULL, is_ip ? (size_t)address->ipaddr_len : 0, port };
}

/* The chains of blocks that apply to requests of a server: its own, and each of its sections within them. */
static void add_proxy_chains(compilation *x, server_rec *s)
{
    const tls_server_settings *settings = tls_settings_of(s);
    apr_array_header_t *own = tls_proxy_chain(x->p, s->lookup_defaults, NULL);

    if (own->nelts) {
        tls_builder_add_proxy_chain(x->builder, settings->index, (const size_t *)own->elts, (size_t)own->nelts);
    }
    for (int i = 0; settings->proxy_blocks && i < settings->proxy_blocks->nelts; i++) {
        const tls_proxy_block *block = APR_ARRAY_IDX(settings->proxy_blocks, i, tls_proxy_block *);
        apr_array_header_t *chain = apr_array_copy(x->p, own);

        if (block->in_section) {
            APR_ARRAY_PUSH(chain, size_t) = block->index;
            tls_builder_add_proxy_chain(x->builder, settings->index, (const size_t *)chain->elts, (size_t)chain->nelts);
        }
    }
}

/* Certificates that other modules supply for the server: mod_md. */
static void add_supplied(compilation *x, server_rec *s, size_t index)
{
    apr_array_header_t *certs = apr_array_make(x->p, 1, sizeof(const char *));
    apr_array_header_t *keys = apr_array_make(x->p, 1, sizeof(const char *));
    bool stopgap = false;

    ap_ssl_add_cert_files(s, x->p, certs, keys);
    if (!certs->nelts) {
        apr_array_clear(keys);
        ap_ssl_add_fallback_cert_files(s, x->p, certs, keys);
        stopgap = true;
    }
    for (int i = 0; i < certs->nelts; i++) {
        const char *key = i < keys->nelts ? APR_ARRAY_IDX(keys, i, const char *) : NULL;

        tls_builder_add_certificate(x->builder, index, APR_ARRAY_IDX(certs, i, const char *), key, stopgap);
    }
}

/* A virtual host without directives of this module has the settings of the base server. It needs its own index. */
static tls_server_settings *own_settings(compilation *x, server_rec *s)
{
    tls_server_settings *settings = tls_settings_of(s);

    if (s != x->base && settings == tls_settings_of(x->base)) {
        settings = tls_create_server_settings(s->process->pconf, s);
        ap_set_module_config(s->module_config, tls_record, settings);
    }
    return settings;
}

static const char *alpn_of(apr_pool_t *p, const server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);

    return core->protocols && core->protocols->nelts ? apr_array_pstrcat(p, core->protocols, ' ') : "http/1.1";
}

static void append(apr_array_header_t *names, const apr_array_header_t *more)
{
    if (more) {
        apr_array_cat(names, more);
    }
}

static void add_server(compilation *x, server_rec *s)
{
    tls_server_settings *settings = own_settings(x, s);
    apr_array_header_t *addresses = apr_array_make(x->p, 1, sizeof(tls_address));
    apr_array_header_t *aliases = apr_array_make(x->p, 1, sizeof(const char *));
    tls_server_info info;

    for (const server_addr_rec *sar = s->addrs; sar; sar = sar->next) {
        APR_ARRAY_PUSH(addresses, tls_address) = address_of(sar->host_addr, sar->host_port);
    }
    append(aliases, s->names);
    append(aliases, s->wild_names);
    info = (tls_server_info){ s->server_hostname,
                              s->port,
                              ap_get_server_protocol(s),
                              alpn_of(x->p, s),
                              s->defn_name,
                              s->defn_line_number,
                              (tls_address *)addresses->elts,
                              (size_t)addresses->nelts,
                              (const char *const *)aliases->elts,
                              (size_t)aliases->nelts,
                              settings->lines.first };
    if (tls_builder_add_server(x->builder, &info, &settings->index) != TLS_STATUS_OK) {
        return;
    }
    for (int i = 0; settings->proxy_blocks && i < settings->proxy_blocks->nelts; i++) {
        tls_proxy_block *block = APR_ARRAY_IDX(settings->proxy_blocks, i, tls_proxy_block *);

        tls_builder_add_proxy_block(x->builder, settings->index, block->lines.first, &block->index);
    }
    if (x->mode != TLS_COMPILE_MODE_TEST) {
        add_supplied(x, s, settings->index);
    }
}

/* Directives of other modules that have no API for their settings. A virtual host is identified by its place in the file. */
static void add_foreign(compilation *x, const ap_directive_t *node, const ap_directive_t *host)
{
    for (; node; node = node->next) {
        if (!host && !ap_cstr_casecmp(node->directive, "<VirtualHost")) {
            add_foreign(x, node->first_child, node);
        }
        else {
            tls_builder_add_foreign(x->builder, host ? host->filename : NULL, host ? (unsigned)host->line_num : 0,
                                    node->directive, node->args, node->filename, (unsigned)node->line_num);
        }
    }
}

static int add_to_chain(void *baton, conn_rec *c, server_rec *s)
{
    compilation *x = baton;

    tls_builder_add_to_chain(x->builder, tls_chain_of(c), tls_settings_of(s)->index);
    return 0;
}

/* httpd looks up the virtual hosts of an address by connection only, so this makes a temporary connection. */
static void add_chain(compilation *x, const apr_sockaddr_t *address, apr_port_t port)
{
    apr_sockaddr_t local = *address;
    conn_rec connection = { 0 }, *c = &connection;
    tls_address added;

    c->pool = x->p;
    c->local_addr = &local;
    c->local_addr->port = port;
    if (c->local_addr->family == APR_INET) {
        c->local_addr->sa.sin.sin_port = htons(port);
        c->local_addr->ipaddr_ptr = &c->local_addr->sa.sin.sin_addr;
    }
#if APR_HAVE_IPV6
    else if (c->local_addr->family == APR_INET6) {
        c->local_addr->sa.sin6.sin6_port = htons(port);
        c->local_addr->ipaddr_ptr = &c->local_addr->sa.sin6.sin6_addr;
    }
#endif
    c->base_server = x->base;
    ap_update_vhost_given_ip(c);
    added = address_of(c->local_addr, port);
    tls_builder_add_address(x->builder, &added, tls_chain_of(c));
    if (tls_builder_has_chain(x->builder, tls_chain_of(c))) {
        return;
    }
    if (c->vhost_lookup_data) {
        ap_vhost_iterate_given_conn(c, add_to_chain, x);
    }
    else {
        add_to_chain(x, c, c->base_server);
    }
}

static void add_chains(compilation *x)
{
    /* The base server handles addresses without virtual hosts. */
    tls_builder_add_to_chain(x->builder, (size_t)(uintptr_t)x->base, tls_settings_of(x->base)->index);
    for (const server_rec *s = x->base->next; s; s = s->next) {
        for (const server_addr_rec *sar = s->addrs; sar; sar = sar->next) {
            if (!sar->host_addr) {
                continue;
            }
            if (sar->host_port) {
                add_chain(x, sar->host_addr, sar->host_port);
                continue;
            }
            for (const ap_listen_rec *listener = ap_listeners; listener; listener = listener->next) {
                add_chain(x, sar->host_addr, listener->bind_addr->port);
            }
        }
    }
}

static bool has_any(const apr_array_header_t *hooks)
{
    return hooks && hooks->nelts;
}

static tls_status begin(compilation *x, const tls_process *process)
{
    ap_version_t version;
    tls_environment environment = {
        .mode = x->mode,
        .server_root = ap_server_root,
        .control_socket = ap_runtime_dir_relative(x->p, "tls-certs.sock"),
        .revocation_cache = ap_runtime_dir_relative(x->p, "tls-revocation"),
        .has_stapler = has_any(ap_hook_get_ssl_ocsp_prime_hook()),
        .has_supplier = has_any(ap_hook_get_ssl_add_cert_files()),
        .has_other_tls = !tls_has_ssl_directives() && ap_find_linked_module("mod_ssl.c"),
        .has_mod_ssl = tls_has_ssl_directives(),
        .has_only_mod_ssl = tls_has_only_ssl_directives(),
    };

    ap_get_server_revision(&version);
    environment.version = apr_psprintf(x->p, "%d.%d.%d", version.major, version.minor, version.patch);
    return tls_builder_new(process, &environment, &x->builder);
}

static void add_listeners(compilation *x)
{
    for (const ap_listen_rec *listener = ap_listeners; listener; listener = listener->next) {
        tls_address address = address_of(listener->bind_addr, listener->bind_addr->port);

        tls_builder_add_listener(x->builder, &address, listener->protocol);
    }
}

static void log_diagnostics(compilation *x, const tls_diagnostics *diagnostics)
{
    tls_diagnostic message;

    for (size_t i = 0; tls_diagnostics_get(diagnostics, i, &message) == TLS_STATUS_OK; i++) {
        const char *text = tls_slice_dup(x->p, message.text);

        if (message.severity == TLS_SEVERITY_ERROR) {
            tls_complain(x->p, x->base, text);
        }
        else if (x->mode != TLS_COMPILE_MODE_FIRST) {
            ap_log_error(APLOG_MARK, tls_log_level(message.severity), 0, x->base, "tls: %s", text);
        }
    }
}

/* -D DUMP_SSL_COMPAT: the directives that differ from mod_ssl. */
static void dump_deviations(compilation *x, const tls_diagnostics *diagnostics)
{
    tls_text text = { NULL, 0 };

    if (x->mode == TLS_COMPILE_MODE_TEST && ap_exists_config_define("DUMP_SSL_COMPAT")
        && tls_diagnostics_dump(diagnostics, &text) == TLS_STATUS_OK) {
        tls_print(x->p, text);
    }
}

/* Returns memory to the system that the compilation of thousands of hosts has freed. Free chunks between used ones stay. glibc
 * sorts them, up to ten thousand each time, at a request that none of them can satisfy. If that happened first in the child
 * processes, each would get its own copy of nearly all pages. */
static void give_back_memory(void)
{
#ifdef __GLIBC__
    void *volatile large;

    for (int i = 0; i < 16; i++) {
        large = malloc(100 * 1024);
        free(large);
    }
    malloc_trim(0);
#endif
}

tls_config *tls_compile(server_rec *base, const tls_process *process, tls_compile_mode mode)
{
    compilation x = { NULL, base, NULL, mode };
    tls_diagnostics *diagnostics = NULL;
    tls_config *config = NULL;
    apr_sigfunc_t *handler; /* A program for pass phrases may exit before it has read its input. */

    /* A pool with its own allocator, whose memory is returned: other pools never need as much as thousands of hosts. */
    if (apr_pool_create_unmanaged(&x.p) != APR_SUCCESS) {
        return NULL;
    }
    if (begin(&x, process) != TLS_STATUS_OK) {
        apr_pool_destroy(x.p);
        return NULL;
    }
    add_listeners(&x);
    for (server_rec *s = base; s; s = s->next) {
        add_server(&x, s);
    }
    for (server_rec *s = base; s; s = s->next) {
        add_proxy_chains(&x, s);
    }
    add_foreign(&x, ap_conftree, NULL);
    add_chains(&x);
    handler = apr_signal(SIGPIPE, SIG_IGN);
    if (tls_builder_compile(x.builder, &config, &diagnostics) == TLS_STATUS_INTERNAL) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, base, "tls: internal error: %s", tls_text_take(x.p, tls_last_panic()));
    }
    apr_signal(SIGPIPE, handler);
    log_diagnostics(&x, diagnostics);
    dump_deviations(&x, diagnostics);
    tls_diagnostics_free(diagnostics);
    apr_pool_destroy(x.p);
    tls_process_give_back_memory();
    give_back_memory();
    return config;
}
