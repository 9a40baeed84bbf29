/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_timeout.h"

#include "apr_ring.h"
#include "apr_thread_cond.h"
#include "apr_thread_mutex.h"
#include "apr_thread_proc.h"

/*
 * mod_reqtimeout enforces `RequestReadTimeout handshake=` whenever somebody reads. A stalled client is waited for by the
 * MPM, and nobody reads. So a watchman shuts the socket for reading when the time is up: the MPM wakes the connection,
 * mod_reqtimeout sees that it is late, and the connection ends the usual way.
 *
 * The watchman is a thread of the child, started when there is first something to watch. The MPM's timers would not do:
 * event polls past them while it has connections whose own timeout is further away.
 */

/* mod_reqtimeout shall find the time to be up, not nearly up. */
#define SLACK apr_time_from_msec(50)

struct tls_watch {
    APR_RING_ENTRY(tls_watch) link;
    tls_connection *tc;
};

APR_RING_HEAD(tls_watch_ring, tls_watch);

/* The watchman of this child. The lock guards the rest, and the sockets: who shuts one must know that it is there. */
static struct {
    apr_pool_t *pool;
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *changed;
    apr_thread_t *thread;
    struct tls_watch_ring watches;
    int stopping;
} watchman;

/* When the handshake has to be complete; 0 if there is no limit. */
static apr_time_t deadline(const tls_connection *tc)
{
    uint64_t limit = tls_config_handshake_timeout(tc->config, tc->hosts.connected, tc->bytes_received);

    return limit ? tc->started + apr_time_from_msec((apr_time_t)limit) + SLACK : 0;
}

static void unlink_watch(tls_connection *tc)
{
    APR_RING_REMOVE(tc->watch, link);
    tc->watch = NULL;
}

/* Shuts the sockets of those that are late; returns how long the next one still has, or -1 if there is none. */
static apr_interval_time_t shut_late(apr_time_t now)
{
    apr_interval_time_t next = -1;
    struct tls_watch *watch = APR_RING_FIRST(&watchman.watches), *following;

    for (; watch != APR_RING_SENTINEL(&watchman.watches, tls_watch, link); watch = following) {
        apr_interval_time_t left = deadline(watch->tc) - now;

        following = APR_RING_NEXT(watch, link);
        if (left <= 0) {
            apr_socket_shutdown(ap_get_conn_socket(watch->tc->c), APR_SHUTDOWN_READ);
            unlink_watch(watch->tc);
        }
        else if (next < 0 || left < next) {
            next = left;
        }
    }
    return next;
}

static void *APR_THREAD_FUNC keep_watch(apr_thread_t *, void *)
{
    apr_thread_mutex_lock(watchman.lock);
    while (!watchman.stopping) {
        apr_interval_time_t next = shut_late(apr_time_now());

        if (next < 0) {
            apr_thread_cond_wait(watchman.changed, watchman.lock);
        }
        else {
            apr_thread_cond_timedwait(watchman.changed, watchman.lock, next);
        }
    }
    apr_thread_mutex_unlock(watchman.lock);
    return NULL;
}

static int is_running(void)
{
    return watchman.thread
        || apr_thread_create(&watchman.thread, NULL, keep_watch, NULL, watchman.pool) == APR_SUCCESS;
}

void tls_timeout_unwatch(tls_connection *tc)
{
    /* Only those that are watched ever pay for the lock; the watchman takes nobody in. */
    if (!tc->watch) {
        return;
    }
    apr_thread_mutex_lock(watchman.lock);
    if (tc->watch) {
        unlink_watch(tc);
    }
    apr_thread_mutex_unlock(watchman.lock);
}

/* A connection that is freed while it is watched. */
static apr_status_t unwatch_closed(void *tc)
{
    tls_timeout_unwatch(tc);
    return APR_SUCCESS;
}

void tls_timeout_watch(tls_connection *tc)
{
    struct tls_watch *watch;

    if (tc->watch || !watchman.lock || !deadline(tc)) {
        return;
    }
    watch = apr_palloc(tc->c->pool, sizeof(*watch));
    watch->tc = tc;
    apr_pool_cleanup_register(tc->c->pool, tc, unwatch_closed, apr_pool_cleanup_null);
    apr_thread_mutex_lock(watchman.lock);
    if (!watchman.stopping && is_running()) {
        APR_RING_INSERT_TAIL(&watchman.watches, watch, tls_watch, link);
        tc->watch = watch;
        apr_thread_cond_signal(watchman.changed);
    }
    apr_thread_mutex_unlock(watchman.lock);
}

static apr_status_t dismiss(void *)
{
    apr_status_t rv;

    apr_thread_mutex_lock(watchman.lock);
    watchman.stopping = 1;
    apr_thread_cond_signal(watchman.changed);
    apr_thread_mutex_unlock(watchman.lock);
    if (watchman.thread) {
        apr_thread_join(&rv, watchman.thread);
    }
    return APR_SUCCESS;
}

static void init_child(apr_pool_t *p, server_rec *s)
{
    apr_status_t rv = apr_pool_create(&watchman.pool, p);

    APR_RING_INIT(&watchman.watches, tls_watch, link);
    if (rv == APR_SUCCESS) {
        rv = apr_thread_cond_create(&watchman.changed, watchman.pool);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_thread_mutex_create(&watchman.lock, APR_THREAD_MUTEX_DEFAULT, watchman.pool);
    }
    if (rv == APR_SUCCESS) {
        apr_pool_pre_cleanup_register(p, NULL, dismiss);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, "tls: RequestReadTimeout handshake= will not be kept");
    }
}

void tls_timeout_register_hooks(apr_pool_t *)
{
    ap_hook_child_init(init_child, NULL, NULL, APR_HOOK_MIDDLE);
}
