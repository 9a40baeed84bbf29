/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_terminal.h
 * Errors on the terminal from which httpd is started. Called by tls_state.c, tls_compile.c and tls_cache.c at startup.
 */
#pragma once

#include "tls_base.h"

/** Duplicates stderr before httpd redirects it to the error log. Called in check_config, in the first pass of a start. */
void tls_terminal_keep(server_rec *s);

/** Closes the duplicate at the end of the start. Reloads do not write to the terminal. */
void tls_terminal_forget(void);

/** Logs an error, and writes it to the terminal during startup. */
void tls_complain(apr_pool_t *p, server_rec *s, const char *text);
