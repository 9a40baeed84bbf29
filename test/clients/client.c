/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS client in C on rustls-ffi. It requests / twice, over two connections that share a configuration, and prints the
 * negotiated parameters and the responses. With NUMBER it makes as many requests, each over a connection with its own
 * configuration, and prints nothing.
 * Usage: PORT SERVER_NAME CA_FILE [NUMBER]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rustls.h"

static void check(rustls_result result, const char *what)
{
    if (result != RUSTLS_RESULT_OK) {
        char text[256];
        size_t len;

        rustls_error(result, text, sizeof(text), &len);
        printf("error: %s: %.*s\n", what, (int)len, text);
        exit(1);
    }
}

static rustls_io_result read_socket(void *userdata, uint8_t *buffer, size_t size, size_t *done)
{
    ssize_t n = recv(*(int *)userdata, buffer, size, 0);

    *done = n < 0 ? 0 : (size_t)n;
    return n < 0 ? errno : 0;
}

static rustls_io_result write_socket(void *userdata, const uint8_t *buffer, size_t size, size_t *done)
{
    ssize_t n = send(*(int *)userdata, buffer, size, MSG_NOSIGNAL);

    *done = n < 0 ? 0 : (size_t)n;
    return n < 0 ? errno : 0;
}

static const struct rustls_client_config *make_config(const char *ca_file)
{
    struct rustls_root_cert_store_builder *roots = rustls_root_cert_store_builder_new();
    const struct rustls_root_cert_store *store = NULL;
    struct rustls_web_pki_server_cert_verifier_builder *builder;
    struct rustls_server_cert_verifier *verifier = NULL;
    struct rustls_client_config_builder *config = rustls_client_config_builder_new();
    const struct rustls_client_config *built = NULL;

    check(rustls_root_cert_store_builder_load_roots_from_file(roots, ca_file, true), ca_file);
    check(rustls_root_cert_store_builder_build(roots, &store), "roots");
    builder = rustls_web_pki_server_cert_verifier_builder_new(store);
    check(rustls_web_pki_server_cert_verifier_builder_build(builder, &verifier), "verifier");
    rustls_client_config_builder_set_server_verifier(config, verifier);
    check(rustls_client_config_builder_build(config, &built), "configuration");
    rustls_web_pki_server_cert_verifier_builder_free(builder);
    rustls_root_cert_store_builder_free(roots);
    rustls_root_cert_store_free(store);
    rustls_server_cert_verifier_free(verifier);
    return built;
}

static int open_socket(const char *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    int s = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(s, (struct sockaddr *)&address, sizeof(address))) {
        perror("connect");
        exit(1);
    }
    return s;
}

static void send_all(struct rustls_connection *conn, int s)
{
    size_t n;

    while (rustls_connection_wants_write(conn)) {
        if (rustls_connection_write_tls(conn, write_socket, &s, &n)) {
            perror("send");
            exit(1);
        }
    }
}

static void print_plaintext(struct rustls_connection *conn, int quiet)
{
    uint8_t data[4096];
    size_t n;

    while (rustls_connection_read(conn, data, sizeof(data), &n) == RUSTLS_RESULT_OK && n) {
        fwrite(data, 1, quiet ? 0 : n, stdout);
    }
}

static void fetch(const struct rustls_client_config *config, const char *port, const char *name, int quiet)
{
    struct rustls_connection *conn = NULL;
    int s = open_socket(port), told = 0;
    char request[512];
    size_t n = 1;

    check(rustls_client_connection_new(config, name, &conn), "connection");
    snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name);
    check(rustls_connection_write(conn, (const uint8_t *)request, strlen(request), &n), "request");
    do {
        send_all(conn, s);
        if (rustls_connection_read_tls(conn, read_socket, &s, &n)) {
            perror("receive");
            exit(1);
        }
        check(rustls_connection_process_new_packets(conn), "received data");
        if (!quiet && !told && !rustls_connection_is_handshaking(conn)) {
            printf("version: %04x\nhandshake: %d\n", rustls_connection_get_protocol_version(conn),
                   (int)rustls_connection_handshake_kind(conn));
            told = 1;
        }
        print_plaintext(conn, quiet);
    } while (n);
    rustls_connection_free(conn);
    close(s);
}

int run_client(int argc, char **argv)
{
    const struct rustls_client_config *config;

    if (argc < 4) {
        printf("usage: PORT SERVER_NAME CA_FILE [NUMBER]\n");
        return 2;
    }
    if (argc > 4) {
        int left;

        for (left = atoi(argv[4]); left > 0; left--) {
            config = make_config(argv[3]);
            fetch(config, argv[1], argv[2], 1);
            rustls_client_config_free(config);
        }
        return 0;
    }
    config = make_config(argv[3]);
    fetch(config, argv[1], argv[2], 0);
    fetch(config, argv[1], argv[2], 0);
    rustls_client_config_free(config);
    return 0;
}
