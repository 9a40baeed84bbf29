/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_wait.h"

#include <fcntl.h>
#include <unistd.h>

#include "apr_portable.h"

#include "ap_mpm.h"
#include "http_connection.h"

/* The MPMs of httpd 2.4 wait for nothing but the socket of a connection. As long as an answer is awaited, the descriptor in that
 * socket is one that becomes readable with the answer, and nothing reads or writes the connection. */

bool tls_wait_begin(tls_connection *tc)
{
#ifdef AP_MPMQ_CAN_WAITIO
    apr_socket_t *sock = ap_get_conn_socket(tc->c);
    int awaited, answer;
    uint32_t milliseconds;

    if (!sock || tls_conn_awaited(tc->backend, &awaited, &milliseconds) != TLS_STATUS_OK
        || apr_os_sock_get(&tc->client_socket, sock) != APR_SUCCESS) {
        return false;
    }
    /* The MPM may close it. */
    answer = fcntl(awaited, F_DUPFD_CLOEXEC, 0);
    if (answer < 0 || apr_os_sock_put(&sock, &answer, tc->c->pool) != APR_SUCCESS) {
        return false;
    }
    tc->waits_for_answer = 1;
    tc->c->cs->state = CONN_STATE_ASYNC_WAITIO;
    tc->c->cs->sense = CONN_SENSE_WANT_READ;
    return true;
#else
    (void)tc;
    return false;
#endif
}

void tls_wait_end(tls_connection *tc)
{
    apr_socket_t *sock = ap_get_conn_socket(tc->c);
    int answer = -1;

    if (!tc->waits_for_answer) {
        return;
    }
    tc->waits_for_answer = 0;
    if (apr_os_sock_get(&answer, sock) != APR_SUCCESS || answer < 0) {
        /* The MPM has closed the socket. */
        close(tc->client_socket);
        return;
    }
    apr_os_sock_put(&sock, &tc->client_socket, tc->c->pool);
    close(answer);
}
