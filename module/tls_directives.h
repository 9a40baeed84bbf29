/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_directives.h
 * The directives, and what those of both records do with what they are given.
 */
#pragma once

#include "tls_base.h"

/** Our directives, and mod_ssl's. */
extern const command_rec tls_commands[];
extern const command_rec tls_ssl_commands[];

/** A directive of servers, and one about backends: Rust reads them. */
#define TLS_SERVER_LINE(name, help) AP_INIT_TAKE_ARGV(name, tls_keep_line, NULL, RSRC_CONF, help)
#define TLS_PROXY_LINE(name, help) AP_INIT_TAKE_ARGV(name, tls_keep_proxy_line, NULL, RSRC_CONF | PROXY_CONF, help)

/** The arguments of a directive, borrowed, in memory of `p`. */
tls_slice *tls_slices_of(apr_pool_t *p, int argc, char *const argv[]);

/** Keeps a directive for later: all mistakes of a configuration are to be reported, not just the first. */
const char *tls_keep_line(cmd_parms *cmd, void *dir, int argc, char *const argv[]);

/** The same for a directive about backends, which holds where it stands. */
const char *tls_keep_proxy_line(cmd_parms *cmd, void *dir, int argc, char *const argv[]);

/** The same for a directive in a section, if the handshake can know of it: not in a file that is read while a request waits. */
const char *tls_keep_for_handshake(cmd_parms *cmd, void *dir, int argc, char *const argv[]);

/* What the cmd_data of a directive is where it is mod_ssl's, and ours says something else. */
#define TLS_MOD_SSLS ((void *)1)

/** Reads options at once: they also come from .htaccess files, while a request waits. */
const char *tls_set_options(cmd_parms *cmd, void *dir, int argc, char *const argv[]);

/**
 * What clients have to present. For a server it is about the handshake; for some requests it is about them, and the server's
 * handshake has to ask.
 */
const char *tls_set_demand(cmd_parms *cmd, void *dir, int argc, char *const argv[]);

/** The variable that users are named by. */
const char *tls_set_user_name(cmd_parms *cmd, void *dir, const char *variable);
