/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_settings.h
 * The configuration as text. Filled by tls_directives.c while httpd reads it, read by tls_compile.c and for each request.
 */
#pragma once

#include "tls_base.h"

#include "ap_expr.h"

/** Directives in the order of the configuration. */
typedef struct {
    tls_line *first;
    tls_line *last;
} tls_lines;

/** The TLSProxy... directives of a server, or of a section. */
typedef struct {
    tls_lines lines;
    bool in_section;
    /** The block's number in the current configuration. */
    size_t index;
} tls_proxy_block;

/** The settings of a server. */
typedef struct {
    /** Its own directives, not those of the base server. */
    tls_lines lines;
    /** Its blocks (tls_proxy_block *); NULL if there is none. */
    apr_array_header_t *proxy_blocks;
    /** The server's number in the current configuration. */
    size_t index;
} tls_server_settings;

/** An expression that has to be true, with its text. */
typedef struct {
    ap_expr_info_t *expr;
    const char *text;
} tls_requirement;

/** The settings of a directory. */
typedef struct {
    /** The rules for requests, and their texts; a text that was not set is NULL. */
    tls_rules rules;
    const char *texts[TLS_RULE_TEXT_NONE];
    /** The expressions of SSLRequire (tls_requirement); NULL if there is none. */
    apr_array_header_t *requirements;
    /** The blocks about backends that apply here (tls_proxy_block *), the outermost first; NULL if there is none. */
    apr_array_header_t *proxy_blocks;
} tls_dir_settings;

void *tls_create_server_settings(apr_pool_t *p, server_rec *s);
void *tls_merge_server_settings(apr_pool_t *p, void *base, void *own);
void *tls_merge_dir_settings(apr_pool_t *p, void *outer, void *inner);

tls_server_settings *tls_settings_of(const server_rec *s);
/** The settings that apply to the request; never NULL. */
const tls_dir_settings *tls_dir_settings_of(const request_rec *r);

/** The settings of the server, or of the section, of a directive. They are made if there are none. */
tls_server_settings *tls_own_settings(cmd_parms *cmd);
tls_dir_settings *tls_own_dir_settings(cmd_parms *cmd);

/**
 * The numbers of the blocks of TLSProxy... directives that apply in `dir_conf`, the outermost first (size_t). Those of
 * `server` are put before them if `dir_conf` does not contain them; `server` may be NULL.
 */
apr_array_header_t *tls_proxy_chain(apr_pool_t *p, const struct ap_conf_vector_t *dir_conf, const server_rec *server);

/**
 * The number that identifies the virtual hosts of a connection's address, from which the server name selects one: the
 * address of httpd's list of them, or of the only server if there is no list.
 */
size_t tls_chain_of(const conn_rec *c);
