/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_compile.h
 * Compiles httpd's servers and their directives. Called by tls_state.c, at `httpd -t`, at each pass of a start and at reloads.
 */
#pragma once

#include "tls_base.h"

/**
 * Compiles the configuration of all servers and logs the messages about it.
 * @return the configuration, to be freed by tls_config_free(), or NULL if there was an error
 */
tls_config *tls_compile(server_rec *base, const tls_process *process, tls_compile_mode mode);
