/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_terminal.h
 * Errors on the terminal from which httpd is started. Called by tls_state.c, tls_compile.c and tls_cache.c at startup.
 */
#pragma once

#include "tls_base.h"

/** Keeps stderr as it is before httpd puts the error log in its place. For the check_config hook of a start's first pass. */
void tls_terminal_keep(server_rec *s);

/** Closes it at the end of the start. Reloads do not write to the terminal. */
void tls_terminal_forget(void);

/** Logs an error, and writes it to the terminal during startup. */
void tls_complain(apr_pool_t *p, server_rec *s, const char *text);
