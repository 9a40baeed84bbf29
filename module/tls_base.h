/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_base.h
 * Small helpers that every file of the module uses. It uses no other file of the module.
 */
#pragma once

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "apr_strings.h"

#include "tls_backend.h"

/** The module records that httpd may load from mod_tls.so: that of mod_tls, and the one that replaces mod_ssl. */
extern module AP_MODULE_DECLARE_DATA tls_module __attribute__((visibility("default")));
extern module AP_MODULE_DECLARE_DATA ssl_module __attribute__((visibility("default")));

/** The record that was loaded first. It is the key of all settings, also of those by the other record's directives. */
extern module *tls_record;

/** Messages belong to the record that was loaded: `LogLevel ssl:debug` works if that is ssl_module. */
#undef APLOG_MODULE_INDEX
#define APLOG_MODULE_INDEX (tls_record->module_index)

/** Whether mod_ssl's directives are available, and whether only those are. */
bool tls_has_ssl_directives(void);
bool tls_has_only_ssl_directives(void);

/**
 * Records that httpd has loaded `record`. Called by each record when httpd asks it to register its hooks.
 * @return whether it is the first one of this configuration: that one registers the hooks
 */
bool tls_record_loaded(apr_pool_t *pconf, module *record);

/** Registers the hook that makes it possible to load the real mod_ssl beside `tls_module`. */
void tls_record_register_hooks(apr_pool_t *p);

/** The name that other modules order their hooks by, and that our filters have. */
#define TLS_FILTER_NAME "tls"

/** A slice of a C string; NULL gives an empty slice whose data is NULL. */
static inline tls_slice tls_slice_of(const char *text)
{
    tls_slice slice = { (const uint8_t *)text, text ? strlen(text) : 0 };
    return slice;
}

/** A copy of a slice as a C string. */
static inline char *tls_slice_dup(apr_pool_t *p, tls_slice slice)
{
    return apr_pstrmemdup(p, slice.data ? (const char *)slice.data : "", slice.len);
}

/** Copies a text to a C string and frees the text. */
static inline char *tls_text_take(apr_pool_t *p, tls_text text)
{
    char *copy = apr_pstrmemdup(p, text.data ? (const char *)text.data : "", text.len);
    tls_text_free(text);
    return copy;
}

/** Writes a text to the standard output, for `httpd -t -D ...`, and frees the text. */
void tls_print(apr_pool_t *p, tls_text text);

/** The level at which httpd logs a message of this severity. */
static inline int tls_log_level(tls_severity severity)
{
    static const int levels[] = { APLOG_DEBUG, APLOG_INFO, APLOG_NOTICE, APLOG_WARNING, APLOG_ERR };

    return levels[severity];
}
