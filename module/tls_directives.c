/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_directives.h"

#include "tls_directive_rows.h"
#include "tls_settings.h"

/* Stores a directive until all are read: Rust reports all mistakes of a configuration, not only the first. */
static const char *keep_line(cmd_parms *cmd, tls_lines *lines, int argc, char *const argv[])
{
    size_t size = sizeof(const char *) * (size_t)argc;
    tls_line *line;

    if (argc < 1) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " takes at least one argument", NULL);
    }
    line = apr_pcalloc(cmd->pool, sizeof(*line) + size);
    line->name = cmd->cmd->name;
    line->file = cmd->directive->filename;
    line->line = (unsigned)cmd->directive->line_num;
    line->in_section = cmd->path != NULL;
    line->argc = (size_t)argc;
    line->argv = memcpy(line + 1, argv, size);
    *(lines->last ? &lines->last->next : &lines->first) = line;
    lines->last = line;
    return NULL;
}

static const char *keep_for_server(cmd_parms *cmd, void *, int argc, char *const argv[])
{
    return keep_line(cmd, &tls_own_settings(cmd)->lines, argc, argv);
}

static void add_block(apr_pool_t *p, apr_array_header_t **blocks, tls_proxy_block *block)
{
    if (!*blocks) {
        *blocks = apr_array_make(p, 1, sizeof(block));
    }
    APR_ARRAY_PUSH(*blocks, tls_proxy_block *) = block;
}

/* A directive about backends, which applies to its server or section. */
static const char *keep_for_backends(cmd_parms *cmd, void *, int argc, char *const argv[])
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    tls_proxy_block *block;

    if (!settings->proxy_blocks) {
        block = apr_pcalloc(cmd->pool, sizeof(*block));
        block->in_section = cmd->path != NULL;
        add_block(cmd->pool, &settings->proxy_blocks, block);
        add_block(cmd->pool, &tls_own_settings(cmd)->proxy_blocks, block);
    }
    block = APR_ARRAY_IDX(settings->proxy_blocks, 0, tls_proxy_block *);
    return keep_line(cmd, &block->lines, argc, argv);
}

static tls_place place_of(cmd_parms *cmd)
{
    return ap_check_cmd_context(cmd, NOT_IN_HTACCESS) ? TLS_PLACE_HTACCESS
           : cmd->path                                ? TLS_PLACE_SECTION
                                                      : TLS_PLACE_SERVER;
}

/* A directive about requests, about the handshake, or about both: Rust decides which. */
static const char *read_rule(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const tls_dir_settings *before = ap_get_module_config(cmd->context, tls_record);
    tls_slice *args = apr_palloc(cmd->temp_pool, sizeof(*args) * (size_t)(argc + 1));
    tls_rules rules = before ? before->rules : (tls_rules){ 0 };
    tls_text error = { NULL, 0 };
    tls_reading reading;

    for (int i = 0; i < argc; i++) {
        args[i] = tls_slice_of(argv[i]);
    }
    if (tls_rules_read(&rules, tls_slice_of(cmd->cmd->name), args, (size_t)argc, place_of(cmd), &reading, &error)
        != TLS_STATUS_OK) {
        return tls_text_take(cmd->pool, error);
    }
    if (reading.is_rule) {
        tls_dir_settings *settings = tls_own_dir_settings(cmd);

        settings->rules = rules;
        if (reading.text != TLS_RULE_TEXT_NONE) {
            settings->texts[reading.text] = apr_pstrdup(cmd->pool, argv[argc - 1]);
        }
    }
    return reading.is_for_handshake ? keep_for_server(cmd, dir, argc, argv) : NULL;
}

/* SSLRequire: httpd evaluates the expression. */
static const char *add_requirement(cmd_parms *cmd, void *, const char *text)
{
    tls_dir_settings *settings = tls_own_dir_settings(cmd);
    const char *error = NULL;
    tls_requirement requirement = { ap_expr_parse_cmd(cmd, text, AP_EXPR_FLAG_SSL_EXPR_COMPAT, &error, NULL), text };

    if (error) {
        return apr_pstrcat(cmd->pool, "SSLRequire: ", error, NULL);
    }
    if (!settings->requirements) {
        settings->requirements = apr_array_make(cmd->pool, 1, sizeof(requirement));
    }
    APR_ARRAY_PUSH(settings->requirements, tls_requirement) = requirement;
    return NULL;
}

/* The types of rows, by the contexts of a directive. */
#define TLS_SERVER(name, text) AP_INIT_TAKE_ARGV(name, keep_for_server, NULL, RSRC_CONF, text),
#define TLS_PROXY(name, text) AP_INIT_TAKE_ARGV(name, keep_for_backends, NULL, RSRC_CONF | PROXY_CONF, text),
#define TLS_AUTH_ROW(name, text) AP_INIT_TAKE_ARGV(name, read_rule, NULL, RSRC_CONF | OR_AUTHCFG, text),
#define TLS_OPTIONS_ROW(name, text) AP_INIT_TAKE_ARGV(name, read_rule, NULL, OR_OPTIONS, text),
#define TLS_SECTION(name, text) AP_INIT_TAKE_ARGV(name, read_rule, NULL, OR_AUTHCFG, text),
#define TLS_ANYWHERE(name, text) AP_INIT_TAKE_ARGV(name, read_rule, NULL, OR_ALL, text),
#define TLS_EXPRESSION(name, text) AP_INIT_RAW_ARGS(name, add_requirement, NULL, OR_AUTHCFG, text),
#define TLS_END                                 \
    {                                           \
        NULL, { NULL }, NULL, 0, RAW_ARGS, NULL \
    }

const command_rec tls_commands[] = { TLS_OWN_DIRECTIVES TLS_END };
const command_rec tls_ssl_commands[] = { TLS_MOD_SSL_DIRECTIVES TLS_END };
