/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_directives.h
 * The directives. Called by httpd while it reads its configuration, and an .htaccess file while it processes a request.
 */
#pragma once

#include "tls_base.h"

/** The directives of mod_tls and of mod_ssl. Their rows are generated from rust-backend/directives. */
extern const command_rec tls_commands[];
extern const command_rec tls_ssl_commands[];
