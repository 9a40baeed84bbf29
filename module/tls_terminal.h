/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_terminal.h
 * Where httpd is started: mistakes in the configuration are said there, too, and not only in the error log.
 */
#pragma once

#include "tls_base.h"

/** Keeps stderr as it is before httpd puts the error log in its place. For the check_config hook of a start's first pass. */
void tls_terminal_keep(server_rec *s);

/** Forgets it: the start is over. Reloads say nothing there. */
void tls_terminal_forget(void);

/** Logs an error, and writes it to the terminal during startup. */
void tls_complain(apr_pool_t *p, server_rec *s, const char *text);
