/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_timeout.h"

#include "ap_mpm.h"
#include "apr_thread_mutex.h"

/*
 * mod_reqtimeout enforces `RequestReadTimeout handshake=` whenever somebody reads. A stalled client is waited for by the
 * MPM, and nobody reads. So a timer shuts the socket for reading when the time is up: the MPM wakes the connection,
 * mod_reqtimeout sees that it is late, and the connection ends the usual way.
 *
 * A timer cannot be called back, and the connection may be gone when it fires. What it is given is therefore a watch,
 * which belongs to both and goes when both are done with it.
 */

#define LIMIT_SLACK apr_time_from_msec(50)

typedef struct tls_watch {
    /** NULL once nobody is interested any more. */
    tls_connection *tc;
    int timer_pending;
} tls_watch;

/* Guards all watches of this child: who shuts the socket must know that it is still there. */
static apr_thread_mutex_t *watches;

static void fire(void *baton);

/* The time when the handshake has to be complete; 0 if there is no limit. */
static apr_time_t deadline(const tls_connection *tc)
{
    uint64_t limit = tls_config_handshake_timeout(tc->config, tc->server_index, tc->bytes_received);

    return limit ? tc->started + apr_time_from_msec((apr_time_t)limit) + LIMIT_SLACK : 0;
}

static int start_timer(tls_watch *watch, apr_time_t wait)
{
    watch->timer_pending = ap_mpm_register_timed_callback(wait > 0 ? wait : 1, fire, watch) == APR_SUCCESS;
    return watch->timer_pending;
}

static void fire(void *baton)
{
    tls_watch *watch = baton;
    apr_time_t wait;

    apr_thread_mutex_lock(watches);
    watch->timer_pending = 0;
    if (watch->tc) {
        wait = deadline(watch->tc) - apr_time_now();
        if (wait > 0) {
            start_timer(watch, wait);
        }
        else {
            apr_socket_shutdown(ap_get_conn_socket(watch->tc->c), APR_SHUTDOWN_READ);
        }
    }
    else {
        free(watch);
    }
    apr_thread_mutex_unlock(watches);
}

void tls_timeout_watch(tls_connection *tc)
{
    apr_time_t until = deadline(tc);
    tls_watch *watch;

    if (tc->watch || !until || !watches) {
        return;
    }
    watch = calloc(1, sizeof(*watch));
    if (!watch) {
        return;
    }
    apr_thread_mutex_lock(watches);
    watch->tc = tc;
    if (start_timer(watch, until - apr_time_now())) {
        tc->watch = watch;
    }
    else {
        free(watch);
    }
    apr_thread_mutex_unlock(watches);
}

void tls_timeout_unwatch(tls_connection *tc)
{
    tls_watch *watch = tc->watch;

    if (!watch) {
        return;
    }
    apr_thread_mutex_lock(watches);
    tc->watch = NULL;
    watch->tc = NULL;
    if (!watch->timer_pending) {
        free(watch);
    }
    apr_thread_mutex_unlock(watches);
}

static void init_child(apr_pool_t *p, server_rec *s)
{
    apr_status_t rv = apr_thread_mutex_create(&watches, APR_THREAD_MUTEX_DEFAULT, p);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, "tls: no lock: RequestReadTimeout handshake= will not be kept");
        watches = NULL;
    }
}

void tls_timeout_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_child_init(init_child, NULL, NULL, APR_HOOK_MIDDLE);
}
