/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_state.h
 * The configuration in force, and the state that outlives it. Called for connections and requests.
 */
#pragma once

#include "tls_base.h"

/** The configuration in force, or NULL before there is one. */
const tls_config *tls_state_config(void);

/** The server with this number in the configuration in force; NULL if there is none. */
server_rec *tls_state_server(size_t index);

/** The state of the process. */
const tls_process *tls_state_process(void);

/** Writes the messages that `config` has queued in this process to the error log. Cheap if there are none. */
void tls_state_log(apr_pool_t *p, const tls_config *config, server_rec *s);

/** Makes use of renewed certificates, and writes the messages that there are. Only in the parent process. */
void tls_state_renew(apr_pool_t *p, server_rec *s);
