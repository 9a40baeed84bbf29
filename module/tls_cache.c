/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_cache.h"

#include <unistd.h>

#include "ap_provider.h"
#include "ap_socache.h"
#include "util_mutex.h"

#include "tls_hooks.h"
#include "tls_terminal.h"

/* The name of the lock for `Mutex`, and those of mod_ssl's locks. */
#define LOCK_TYPE "tls-cache"
#define SSL_LOCK_TYPE "ssl-cache"
#define SSL_STAPLING_LOCK_TYPE "ssl-stapling"

/* Sessions of rustls without client certificates take about 150 bytes. */
static struct ap_socache_hints hints = { 32, 256, 0 };

typedef struct {
    const ap_socache_provider_t *provider;
    ap_socache_instance_t *instance;
    /* NULL if several processes can use the provider at the same time. */
    apr_global_mutex_t *lock;
    server_rec *server;
    /* The process that has opened it and closes it. */
    pid_t owner;
} session_cache;

/* The cache of the configuration in force. */
static session_cache *cache;

static apr_status_t close_cache(void *data)
{
    session_cache *closing = data;

    if (closing->owner != getpid()) {
        return APR_SUCCESS; /* A child process does not close the cache. */
    }
    closing->provider->destroy(closing->instance, closing->server);
    cache = NULL;
    return APR_SUCCESS;
}

static int lock(session_cache *c)
{
    return !c->lock || apr_global_mutex_lock(c->lock) == APR_SUCCESS;
}

static void unlock(session_cache *c)
{
    if (c->lock) {
        apr_global_mutex_unlock(c->lock);
    }
}

/* A temporary pool for the provider: the callers of the operations have none. */
static apr_pool_t *make_pool(void)
{
    apr_pool_t *p = NULL;

    return apr_pool_create(&p, NULL) == APR_SUCCESS ? p : NULL;
}

static bool store(void *context, tls_slice id, tls_slice value, uint32_t lifetime)
{
    session_cache *c = context;
    apr_time_t expiry = apr_time_now() + apr_time_from_sec((apr_time_t)lifetime);
    apr_pool_t *p = make_pool();
    apr_status_t rv = APR_EGENERAL;

    if (!p) {
        return false;
    }
    if (lock(c)) {
        rv = c->provider->store(c->instance, c->server, id.data, (unsigned)id.len, expiry, (unsigned char *)value.data,
                                (unsigned)value.len, p);
        unlock(c);
    }
    apr_pool_destroy(p);
    return rv == APR_SUCCESS;
}

static bool read_entry(session_cache *c, tls_slice id, uint8_t *buffer, size_t *len, bool remove)
{
    apr_pool_t *p = make_pool();
    apr_status_t rv = APR_EGENERAL;
    unsigned size = (unsigned)*len;

    if (!p) {
        return false;
    }
    if (lock(c)) {
        rv = c->provider->retrieve(c->instance, c->server, id.data, (unsigned)id.len, buffer, &size, p);
        if (rv == APR_SUCCESS && remove) {
            rv = c->provider->remove(c->instance, c->server, id.data, (unsigned)id.len, p);
        }
        unlock(c);
    }
    apr_pool_destroy(p);
    *len = size;
    return rv == APR_SUCCESS;
}

static bool retrieve(void *context, tls_slice id, uint8_t *buffer, size_t *len)
{
    return read_entry(context, id, buffer, len, false);
}

/* The lock excludes other processes. Providers that need no lock report success for one removal only. */
static bool take(void *context, tls_slice id, uint8_t *buffer, size_t *len)
{
    return read_entry(context, id, buffer, len, true);
}

/* Finds the provider and has it parse its arguments, without side effects. Returns the error text, or NULL. */
static const char *create_cache(session_cache *c, const char *name, const char *args, apr_pool_t *p, apr_pool_t *ptemp)
{
    c->provider = ap_lookup_provider(AP_SOCACHE_PROVIDER_GROUP, name, AP_SOCACHE_PROVIDER_VERSION);
    if (!c->provider) {
        return apr_psprintf(ptemp, "there is no provider \"%s\": load mod_socache_%s", name, name);
    }
    return c->provider->create(&c->instance, args && *args ? args : NULL, ptemp, p);
}

/* Opens the cache. Returns the error text, or NULL. */
static const char *open_cache(session_cache *c, const char *name, const char *args, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    const char *error = create_cache(c, name, args, pconf, ptemp);
    apr_status_t rv;
    char why[256];

    if (error) {
        return error;
    }
    if (c->provider->flags & AP_SOCACHE_FLAG_NOTMPSAFE) {
        rv = ap_global_mutex_create(&c->lock, NULL, tls_has_only_ssl_directives() ? SSL_LOCK_TYPE : LOCK_TYPE, NULL,
                                    c->server, pconf, 0);
        if (rv != APR_SUCCESS) {
            return apr_psprintf(ptemp, "its lock cannot be made: %s", apr_strerror(rv, why, sizeof(why)));
        }
    }
    rv = c->provider->init(c->instance, "mod_tls-session", &hints, c->server, pconf);
    if (rv != APR_SUCCESS) {
        return apr_psprintf(ptemp, "it cannot be opened: %s", apr_strerror(rv, why, sizeof(why)));
    }
    return NULL;
}

static int refuse(apr_pool_t *ptemp, server_rec *s, const char *name, const char *error)
{
    tls_complain(ptemp, s,
                 apr_psprintf(ptemp, "%sSessionCache %s: %s", tls_has_only_ssl_directives() ? "SSL" : "TLS", name, error));
    return HTTP_INTERNAL_SERVER_ERROR;
}

int tls_cache_check(apr_pool_t *ptemp, server_rec *s, const tls_config *config)
{
    session_cache checked = { 0 };
    tls_cache_choice choice;
    const char *name, *error;

    if (tls_config_session_cache(config, &choice) != TLS_STATUS_OK || !choice.is_named) {
        return OK;
    }
    name = tls_slice_dup(ptemp, choice.provider);
    error = create_cache(&checked, name, tls_slice_dup(ptemp, choice.args), ptemp, ptemp);
    return error ? refuse(ptemp, s, name, error) : OK;
}

int tls_cache_open(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s, const tls_config *config)
{
    tls_cache_operations operations = { NULL, store, retrieve, take };
    tls_cache_choice choice;
    const char *name, *args, *error;

    if (tls_config_session_cache(config, &choice) != TLS_STATUS_OK || !choice.provider.data) {
        return OK;
    }
    name = tls_slice_dup(pconf, choice.provider);
    args = tls_slice_dup(pconf, choice.args);
    cache = apr_pcalloc(pconf, sizeof(*cache));
    cache->server = s;
    cache->owner = getpid();
    error = open_cache(cache, name, args, pconf, ptemp);
    if (!error) {
        apr_pool_cleanup_register(pconf, cache, close_cache, apr_pool_cleanup_null);
        operations.context = cache;
        tls_config_attach_cache(config, &operations);
        return OK;
    }
    cache = NULL;
    if (choice.required) {
        return refuse(ptemp, s, name, error);
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "tls: no session cache: %s; clients of TLS 1.2 without tickets will not resume sessions "
                 "(%sSessionCache none silences this)",
                 error, tls_has_only_ssl_directives() ? "SSL" : "TLS");
    return OK;
}

static int register_lock(apr_pool_t *pconf, apr_pool_t *, apr_pool_t *)
{
    ap_mutex_register(pconf, LOCK_TYPE, NULL, APR_LOCK_DEFAULT, 0);
    if (tls_has_ssl_directives()) {
        ap_mutex_register(pconf, SSL_LOCK_TYPE, NULL, APR_LOCK_DEFAULT, 0);
        ap_mutex_register(pconf, SSL_STAPLING_LOCK_TYPE, NULL, APR_LOCK_DEFAULT, 0);
    }
    return OK;
}

static void init_child(apr_pool_t *p, server_rec *s)
{
    if (!cache || !cache->lock) {
        return;
    }
    apr_status_t rv = apr_global_mutex_child_init(&cache->lock, apr_global_mutex_lockfile(cache->lock), p);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, "tls: the lock of the session cache cannot be used by this child");
    }
}

void tls_cache_register_hooks(apr_pool_t *)
{
    ap_hook_pre_config(register_lock, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(init_child, NULL, NULL, APR_HOOK_MIDDLE);
}
