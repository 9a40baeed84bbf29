/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_compile.h
 * Hands httpd's servers and their directives over to be checked.
 */
#pragma once

#include "tls_base.h"

/**
 * Compiles the configuration of all servers and logs what there is to say about it.
 * @return the configuration, to be freed by tls_config_free(), or NULL if there was an error
 */
tls_config *tls_compile(server_rec *base, const tls_process *process, tls_compile_mode mode);
