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

static size_t address_bytes(const apr_sockaddr_t *address, const uint8_t **bytes)
{
    *bytes = address->ipaddr_ptr;
    return address->family == APR_INET || address->family == APR_INET6 ? (size_t)address->ipaddr_len : 0;
}

/* A vhost's address that httpd takes for "any": 0.0.0.0, ::, * or _default_. */
static int is_any_address(const uint8_t *bytes, size_t len)
{
    static const uint8_t zeros[16];

    return len == 0 || (len <= sizeof(zeros) && !memcmp(bytes, zeros, len)) ||
           (len == 4 && !memcmp(bytes, "\xff\xff\xff\xff", 4));
}

static void add_addresses(compilation *x, server_rec *s, size_t index)
{
    const server_addr_rec *sar;

    for (sar = s->addrs; sar; sar = sar->next) {
        const uint8_t *bytes = NULL;
        size_t len = sar->host_addr ? address_bytes(sar->host_addr, &bytes) : 0;

        if (is_any_address(bytes, len)) {
            len = 0;
        }
        tls_builder_add_address(x->builder, index, bytes, len, sar->host_port);
    }
}

static void add_listener(compilation *x, const apr_sockaddr_t *address)
{
    const uint8_t *bytes = NULL;
    size_t len = address_bytes(address, &bytes);

    tls_builder_add_listener(x->builder, bytes, is_any_address(bytes, len) ? 0 : len, address->port);
}

static void add_aliases(compilation *x, const apr_array_header_t *names, size_t index)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (name) {
            tls_builder_add_alias(x->builder, index, tls_slice_of(name));
        }
    }
}

/* A line as Rust wants it, in the pool of the compilation. */
static tls_directive directive_of(compilation *x, const tls_line *line)
{
    tls_slice *args = apr_palloc(x->p, sizeof(*args) * (size_t)line->argc);
    tls_directive directive = { tls_slice_of(line->name), args, (size_t)line->argc, tls_slice_of(line->file), line->line,
                                line->in_section };
    int i;

    for (i = 0; i < line->argc; i++) {
        args[i] = tls_slice_of(line->argv[i]);
    }
    return directive;
}

static void add_line(compilation *x, const tls_line *line, size_t index)
{
    tls_directive directive = directive_of(x, line);

    tls_builder_add_directive(x->builder, index, &directive);
}

static void add_proxy_block(compilation *x, tls_proxy_block *block, size_t server)
{
    const tls_line *line;

    tls_builder_add_proxy_block(x->builder, server, &block->index);
    for (line = block->lines.first; line; line = line->next) {
        tls_directive directive = directive_of(x, line);

        tls_builder_add_proxy_directive(x->builder, block->index, &directive);
    }
}

/* The chains of blocks that requests of a server will meet: its own, and each of its sections within that. */
static void add_proxy_chains(compilation *x, server_rec *s)
{
    const tls_server_settings *settings = tls_settings_of(s);
    apr_array_header_t *own = tls_proxy_chain(x->p, s->lookup_defaults, NULL);
    int i;

    if (own->nelts) {
        tls_builder_add_proxy_chain(x->builder, settings->index, (const size_t *)own->elts, (size_t)own->nelts);
    }
    for (i = 0; settings->proxy_blocks && i < settings->proxy_blocks->nelts; i++) {
        const tls_proxy_block *block = APR_ARRAY_IDX(settings->proxy_blocks, i, tls_proxy_block *);
        apr_array_header_t *chain = apr_array_copy(x->p, own);

        if (block->in_section) {
            APR_ARRAY_PUSH(chain, size_t) = block->index;
            tls_builder_add_proxy_chain(x->builder, settings->index, (const size_t *)chain->elts,
                                        (size_t)chain->nelts);
        }
    }
}

/* Other modules may have certificates for the server: mod_md. */
static void add_supplied(compilation *x, server_rec *s, size_t index)
{
    apr_array_header_t *certs = apr_array_make(x->p, 1, sizeof(const char *));
    apr_array_header_t *keys = apr_array_make(x->p, 1, sizeof(const char *));
    bool stopgap = false;
    int i;

    ap_ssl_add_cert_files(s, x->p, certs, keys);
    if (!certs->nelts) {
        apr_array_clear(keys);
        ap_ssl_add_fallback_cert_files(s, x->p, certs, keys);
        stopgap = true;
    }
    for (i = 0; i < certs->nelts; i++) {
        const char *key = i < keys->nelts ? APR_ARRAY_IDX(keys, i, const char *) : NULL;

        tls_builder_add_certificate(x->builder, index, tls_slice_of(APR_ARRAY_IDX(certs, i, const char *)),
                                    tls_slice_of(key), stopgap);
    }
}

/* A virtual host without a directive of ours shares the settings of the base server, but it has a number of its own. */
static tls_server_settings *own_settings(compilation *x, server_rec *s)
{
    tls_server_settings *settings = tls_settings_of(s);

    if (s != x->base && settings == tls_settings_of(x->base)) {
        settings = tls_create_server_settings(s->process->pconf, s);
        ap_set_module_config(s->module_config, tls_record, settings);
    }
    return settings;
}

/* Whether `Listen` says that the server's port is for https; it is the default of port 443. While httpd only tests its
 * configuration, it has not told the servers yet. */
static bool is_at_https_port(const server_rec *s)
{
    const char *protocol = ap_get_server_protocol((server_rec *)s);
    const ap_listen_rec *listener;
    const server_addr_rec *sar;

    for (sar = s->is_virtual && !protocol ? s->addrs : NULL; sar && !protocol; sar = sar->next) {
        for (listener = ap_listeners; listener && !protocol; listener = listener->next) {
            if (sar->host_port == listener->bind_addr->port) {
                protocol = listener->protocol;
            }
        }
    }
    return protocol && !strcmp(protocol, "https");
}

static void add_server(compilation *x, server_rec *s)
{
    tls_server_settings *settings = own_settings(x, s);
    tls_server_info info = { tls_slice_of(s->server_hostname), s->port, is_at_https_port(s), tls_slice_of(s->defn_name),
                             s->defn_line_number };
    const tls_line *line;
    int i;

    if (tls_builder_add_server(x->builder, &info, &settings->index) != TLS_STATUS_OK) {
        return;
    }
    add_aliases(x, s->names, settings->index);
    add_aliases(x, s->wild_names, settings->index);
    add_addresses(x, s, settings->index);
    for (line = settings->lines.first; line; line = line->next) {
        add_line(x, line, settings->index);
    }
    for (i = 0; settings->proxy_blocks && i < settings->proxy_blocks->nelts; i++) {
        add_proxy_block(x, APR_ARRAY_IDX(settings->proxy_blocks, i, tls_proxy_block *), settings->index);
    }
    if (x->mode != TLS_COMPILE_MODE_TEST) {
        add_supplied(x, s, settings->index);
    }
}

/* Two directives of other modules matter to us and cannot be asked for: where the ServerName was given, if it was, and
 * how long a handshake may take. */
static int is_of_interest(const char *directive)
{
    return !ap_cstr_casecmp(directive, "ServerName") || !ap_cstr_casecmp(directive, "RequestReadTimeout");
}

static void add_foreign_line(compilation *x, const ap_directive_t *node, size_t index)
{
    const char *rest = node->args;
    apr_array_header_t *words = apr_array_make(x->p, 4, sizeof(const char *));
    const char *name = ap_cstr_casecmp(node->directive, "ServerName") ? "RequestReadTimeout" : "ServerName";
    tls_line *line;

    while (*rest) {
        APR_ARRAY_PUSH(words, const char *) = ap_getword_conf(x->p, &rest);
    }
    line = tls_line_make(x->p, name, words->nelts, (const char *const *)words->elts);
    line->file = node->filename;
    line->line = (unsigned)node->line_num;
    add_line(x, line, index);
}

static void add_foreign_lines(compilation *x, const ap_directive_t *node, const server_rec *s)
{
    for (; node; node = node->next) {
        if (is_of_interest(node->directive)) {
            add_foreign_line(x, node, tls_settings_of(s)->index);
        }
    }
}

/* Virtual hosts stand in the tree in the order of the list of servers, or in the reverse: places tell which is which. */
static void add_foreign_lines_of_hosts(compilation *x)
{
    apr_hash_t *by_place = apr_hash_make(x->p);
    const ap_directive_t *node;
    server_rec *s;

    for (s = x->base->next; s; s = s->next) {
        apr_hash_set(by_place, apr_psprintf(x->p, "%s:%u", s->defn_name, s->defn_line_number), APR_HASH_KEY_STRING, s);
    }
    for (node = ap_conftree; node; node = node->next) {
        if (!ap_cstr_casecmp(node->directive, "<VirtualHost")) {
            const char *place = apr_psprintf(x->p, "%s:%d", node->filename, node->line_num);

            s = apr_hash_get(by_place, place, APR_HASH_KEY_STRING);
            if (s) {
                add_foreign_lines(x, node->first_child, s);
            }
        }
    }
}

static int add_to_chain(void *baton, conn_rec *c, server_rec *s)
{
    compilation *x = baton;

    tls_builder_add_to_chain(x->builder, tls_chain_of(c), tls_settings_of(s)->index);
    return 0;
}

/* httpd finds the hosts of an address for a connection, so a connection is what it gets. */
static void add_chain(compilation *x, const apr_sockaddr_t *address, apr_port_t port)
{
    apr_sockaddr_t local = *address;
    conn_rec connection = { 0 }, *c = &connection;

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
    const server_addr_rec *sar;
    const ap_listen_rec *listener;
    const server_rec *s;

    /* What no virtual host is for, the base server is. */
    tls_builder_add_to_chain(x->builder, (size_t)(uintptr_t)x->base, tls_settings_of(x->base)->index);
    for (s = x->base->next; s; s = s->next) {
        for (sar = s->addrs; sar; sar = sar->next) {
            if (!sar->host_addr) {
                continue;
            }
            if (sar->host_port) {
                add_chain(x, sar->host_addr, sar->host_port);
                continue;
            }
            for (listener = ap_listeners; listener; listener = listener->next) {
                add_chain(x, sar->host_addr, listener->bind_addr->port);
            }
        }
    }
}

/* What of the rest of httpd matters to the meaning of directives. */
static void tell_about_others(compilation *x)
{
    apr_array_header_t *providers = ap_hook_get_ssl_ocsp_prime_hook();
    apr_array_header_t *suppliers = ap_hook_get_ssl_add_cert_files();
    const ap_listen_rec *listener;
    ap_version_t version;
    const char *text;

    if (providers && providers->nelts) {
        tls_builder_set_stapler(x->builder);
    }
    if (suppliers && suppliers->nelts) {
        tls_builder_set_supplier(x->builder);
    }
    if (!tls_has_ssl_directives() && ap_find_linked_module("mod_ssl.c")) {
        tls_builder_set_other_tls(x->builder);
    }
    for (listener = ap_listeners; listener; listener = listener->next) {
        add_listener(x, listener->bind_addr);
    }
    ap_get_server_revision(&version);
    text = apr_psprintf(x->p, "%d.%d.%d", version.major, version.minor, version.patch);
    tls_builder_set_mod_ssl(x->builder, tls_has_ssl_directives(), tls_has_only_ssl_directives(), tls_slice_of(text));
}

static void log_diagnostics(compilation *x, const tls_diagnostics *diagnostics)
{
    tls_diagnostic message;
    size_t i;

    for (i = 0; tls_diagnostics_get(diagnostics, i, &message) == TLS_STATUS_OK; i++) {
        const char *text = tls_slice_dup(x->p, message.text);

        if (message.severity == TLS_SEVERITY_ERROR) {
            tls_complain(x->p, x->base, text);
        }
        else if (x->mode != TLS_COMPILE_MODE_FIRST) {
            ap_log_error(APLOG_MARK, tls_log_level(message.severity), 0, x->base, "tls: %s", text);
        }
    }
}

/* For people who move from mod_ssl: what does not do here what it does there. */
static void dump_deviations(compilation *x, const tls_diagnostics *diagnostics)
{
    tls_diagnostic message;
    tls_slice file, text;
    apr_file_t *out;
    uint32_t line;
    size_t i, refused = 0;

    if (x->mode != TLS_COMPILE_MODE_TEST || !ap_exists_config_define("DUMP_SSL_COMPAT")
        || apr_file_open_stdout(&out, x->p) != APR_SUCCESS) {
        return;
    }
    apr_file_printf(out, "Directives that do not do here what they do with mod_ssl:\n");
    for (i = 0; tls_diagnostics_get(diagnostics, i, &message) == TLS_STATUS_OK; i++) {
        if (message.severity == TLS_SEVERITY_ERROR) {
            apr_file_printf(out, "  refused: %s\n", tls_slice_dup(x->p, message.text));
            refused++;
        }
    }
    for (i = 0; tls_diagnostics_deviation(diagnostics, i, &file, &line, &text) == TLS_STATUS_OK; i++) {
        apr_file_printf(out, "  %s:%u: %s\n", tls_slice_dup(x->p, file), line, tls_slice_dup(x->p, text));
    }
    if (i + refused == 0) {
        apr_file_printf(out, "  none\n");
    }
}

/* A pool whose memory the system gets back. That of other pools APR keeps for those to come, and none will need as much as
 * the compilation of thousands of hosts. */
static apr_status_t create_pool(apr_pool_t **p, apr_pool_t *parent)
{
    apr_allocator_t *allocator;
    apr_status_t rv = apr_allocator_create(&allocator);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = apr_pool_create_ex(p, parent, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return rv;
    }
    apr_allocator_owner_set(allocator, *p);
    return APR_SUCCESS;
}

/* What the compilation of thousands of hosts has used and freed would otherwise stay ours. Pieces between what is still used
 * cannot be given back; glibc puts them in order, ten thousand of them each time, when it is asked for more than any of them
 * has. If that happened first in the children, each would get its own copy of nearly all pages. */
static void give_back_memory(void)
{
#ifdef __GLIBC__
    void *volatile large;
    int i;

    for (i = 0; i < 16; i++) {
        large = malloc(100 * 1024);
        free(large);
    }
    malloc_trim(0);
#endif
}

tls_config *tls_compile(apr_pool_t *ptemp, server_rec *base, const tls_process *process, tls_compile_mode mode)
{
    compilation x = { ptemp, base, NULL, mode };
    tls_diagnostics *diagnostics = NULL;
    tls_config *config = NULL;
    apr_sigfunc_t *handler; /* A program that is asked for pass phrases may end before it has read the question. */
    server_rec *s;

    if (create_pool(&x.p, ptemp) != APR_SUCCESS ||
        tls_builder_new(process, tls_slice_of(ap_server_root), &x.builder) != TLS_STATUS_OK) {
        return NULL;
    }
    tls_builder_set_mode(x.builder, mode);
    tell_about_others(&x);
    for (s = base; s; s = s->next) {
        add_server(&x, s);
    }
    for (s = base; s; s = s->next) {
        add_proxy_chains(&x, s);
    }
    add_foreign_lines(&x, ap_conftree, base);
    add_foreign_lines_of_hosts(&x);
    add_chains(&x);
    handler = apr_signal(SIGPIPE, SIG_IGN);
    if (tls_builder_compile(x.builder, &config, &diagnostics) == TLS_STATUS_INTERNAL) {
        char panic[512];
        size_t len = tls_last_panic((uint8_t *)panic, sizeof(panic));

        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, base, "tls: internal error: %.*s", (int)len, panic);
    }
    apr_signal(SIGPIPE, handler);
    log_diagnostics(&x, diagnostics);
    dump_deviations(&x, diagnostics);
    tls_diagnostics_free(diagnostics);
    apr_pool_destroy(x.p);
    give_back_memory();
    return config;
}
