/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_settings.h"

void *tls_create_server_settings(apr_pool_t *p, server_rec *)
{
    return apr_pcalloc(p, sizeof(tls_server_settings));
}

void *tls_merge_server_settings(apr_pool_t *, void *, void *own)
{
    return own;
}

/* The elements of the outer section, then those of the inner one. */
static apr_array_header_t *append(apr_pool_t *p, apr_array_header_t *outer, apr_array_header_t *inner)
{
    return !inner ? outer : !outer ? inner : apr_array_append(p, outer, inner);
}

void *tls_merge_dir_settings(apr_pool_t *p, void *outer, void *inner)
{
    const tls_dir_settings *base = outer, *own = inner;
    tls_dir_settings *merged = apr_palloc(p, sizeof(*merged));

    tls_rules_merge(&base->rules, &own->rules, &merged->rules);
    for (int i = 0; i < TLS_RULE_TEXT_NONE; i++) {
        merged->texts[i] = own->texts[i] ? own->texts[i] : base->texts[i];
    }
    merged->requirements = append(p, base->requirements, own->requirements);
    merged->proxy_blocks = append(p, base->proxy_blocks, own->proxy_blocks);
    return merged;
}

tls_server_settings *tls_settings_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, tls_record);
}

/* For directories without directives of this module: most of them. */
static const tls_dir_settings nothing;

const tls_dir_settings *tls_dir_settings_of(const request_rec *r)
{
    const tls_dir_settings *settings = ap_get_module_config(r->per_dir_config, tls_record);

    return settings ? settings : &nothing;
}

tls_server_settings *tls_own_settings(cmd_parms *cmd)
{
    tls_server_settings *settings = tls_settings_of(cmd->server);

    if (!settings) {
        settings = tls_create_server_settings(cmd->pool, cmd->server);
        ap_set_module_config(cmd->server->module_config, tls_record, settings);
    }
    return settings;
}

tls_dir_settings *tls_own_dir_settings(cmd_parms *cmd)
{
    tls_dir_settings *settings = ap_get_module_config(cmd->context, tls_record);

    if (!settings) {
        settings = apr_pcalloc(cmd->pool, sizeof(*settings));
        ap_set_module_config(cmd->context, tls_record, settings);
    }
    return settings;
}

static void push_blocks(apr_array_header_t *chain, const apr_array_header_t *blocks)
{
    for (int i = 0; blocks && i < blocks->nelts; i++) {
        APR_ARRAY_PUSH(chain, size_t) = APR_ARRAY_IDX(blocks, i, tls_proxy_block *)->index;
    }
}

static const apr_array_header_t *blocks_of(const struct ap_conf_vector_t *dir_conf)
{
    const tls_dir_settings *settings = dir_conf ? ap_get_module_config(dir_conf, tls_record) : NULL;

    return settings ? settings->proxy_blocks : NULL;
}

/* Whether `blocks` start with the elements of `outer`. */
static int begins_with(const apr_array_header_t *blocks, const apr_array_header_t *outer)
{
    return !outer
           || (blocks && blocks->nelts >= outer->nelts
               && !memcmp(blocks->elts, outer->elts, sizeof(tls_proxy_block *) * (size_t)outer->nelts));
}

apr_array_header_t *tls_proxy_chain(apr_pool_t *p, const struct ap_conf_vector_t *dir_conf, const server_rec *server)
{
    apr_array_header_t *chain = apr_array_make(p, 4, sizeof(size_t));
    const apr_array_header_t *blocks = blocks_of(dir_conf);
    const apr_array_header_t *outer = server ? blocks_of(server->lookup_defaults) : NULL;

    /* Without a request, the settings of a <Proxy> section are not merged with those of the server. */
    if (!begins_with(blocks, outer)) {
        push_blocks(chain, outer);
    }
    push_blocks(chain, blocks);
    return chain;
}

size_t tls_chain_of(const conn_rec *c)
{
    return (size_t)(uintptr_t)(c->vhost_lookup_data ? c->vhost_lookup_data : (void *)c->base_server);
}
