/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_accept.h"

#include "http_protocol.h"
#include "http_ssl.h"

#include "tls_state.h"

/* Selects the server by SNI. From now on it is the server of the connection for other modules. */
static tls_status choose_server(tls_connection *tc)
{
    tls_status status = tls_conn_find_server(tc->backend, &tc->hosts);

    if (status != TLS_STATUS_OK || tc->hosts.connected == tc->hosts.first) {
        return status;
    }
    server_rec *s = tls_state_server(tc->hosts.connected);
    if (!s) {
        return TLS_STATUS_INVALID;
    }
    tc->server = tc->c->base_server = s;
    return TLS_STATUS_OK;
}

/* The protocol that httpd selects by ALPN; NULL if the client does not send the extension. */
static const char *choose_protocol(tls_connection *tc, const tls_hello *hello)
{
    apr_array_header_t *offers = apr_array_make(tc->c->pool, 3, sizeof(const char *));

    for (size_t i = 0; i < hello->alpn_count; i++) {
        APR_ARRAY_PUSH(offers, const char *) = tls_slice_dup(tc->c->pool, hello->alpn[i]);
    }
    if (!offers->nelts) {
        return NULL;
    }
    const char *chosen = ap_select_protocol(tc->c, NULL, tc->server, offers);
    if (!chosen) {
        chosen = ap_get_protocol(tc->c);
    }
    if (strcmp(chosen, ap_get_protocol(tc->c)) && ap_array_str_contains(offers, chosen)) {
        ap_switch_protocol(tc->c, NULL, tc->server, chosen);
    }
    return chosen;
}

static void staple(const unsigned char *der, apr_size_t len, void *userdata)
{
    tls_connection *tc = userdata;
    tls_slice response = { der, len };

    tls_conn_staple(tc->backend, tc->hosts.connected, response);
}

/* Gets an OCSP response from its provider. The handshake continues without one. */
static void staple_response(tls_connection *tc)
{
    apr_array_header_t *providers = ap_hook_get_ssl_ocsp_get_resp_hook();
    uint8_t id[32];

    if (providers && providers->nelts && tls_conn_certificate_id(tc->backend, tc->hosts.connected, id) == TLS_STATUS_OK) {
        ap_ssl_ocsp_get_resp(tc->server, tc->c, (const char *)id, sizeof(id), staple, tc);
    }
}

tls_status tls_accept_client(tls_connection *tc, tls_event *event)
{
    const char *protocol, *certificate = NULL, *key = NULL;
    tls_status status = choose_server(tc);
    tls_hello hello;

    if (status == TLS_STATUS_OK) {
        status = tls_conn_hello(tc->backend, &hello);
    }
    if (status != TLS_STATUS_OK) {
        return status;
    }
    protocol = choose_protocol(tc, &hello);
    if (protocol && !strcmp(protocol, "acme-tls/1")) {
        const char *name = tls_slice_dup(tc->c->pool, hello.server_name);

        if (!ap_ssl_answer_challenge(tc->c, name, &certificate, &key)) {
            certificate = key = NULL;
        }
    }
    if (!certificate) {
        staple_response(tc);
    }
    tc->accepted = 1;
    return tls_conn_accept(tc->backend, tc->hosts.connected, tls_slice_of(protocol), tls_slice_of(certificate),
                           tls_slice_of(key), event);
}
