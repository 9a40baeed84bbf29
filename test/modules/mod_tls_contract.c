/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls the filters of a TLS module as other modules may: reads in every mode and writes every kind of bucket, in the
 * order that a test specifies. It does not depend on the TLS module, so the same test runs over any.
 *
 * In a server with `TestContract PATH`, this module handles connections before their handshake. It connects to the
 * socket PATH. The test sends one command per line, and receives one line with the result of each. The bytes that were
 * read follow that line.
 *
 *     timeout USEC               sets the time-out of the connection's socket
 *     read MODE block|nonblock SIZE
 *     write KIND[:SIZE] ...      passes one brigade to the filters (contract_buckets.c)
 *     respond                    begins a response
 *     abort                      marks the connection as aborted
 *     arrived BYTES              waits until all of the peer's bytes have arrived
 *     hangup                     waits until the peer has closed or reset the connection
 *     connect PORT NAME          opens a connection to a backend; further commands are for it
 *     close                      closes a connection to a backend as mod_proxy does
 *     end                        returns the connection to httpd, which closes it
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_ssl.h"
#include "apr_portable.h"
#include "apr_strings.h"

#include "contract_buckets.h"

/* The time limit for the peer, in milliseconds. */
#define TIMEOUT_MS 10000

module AP_MODULE_DECLARE_DATA tls_contract_module;

typedef struct {
    const char *path;
} settings;

/* The commands of one test. */
typedef struct {
    FILE *in, *out;
    /* The connection that the commands are for, with its socket and its filters. */
    conn_rec *c;
    apr_socket_t *socket;
    apr_bucket_brigade *written;
    bucket_maker maker;
    /* The pool of a connection to a backend, as with mod_proxy; NULL for a client's connection. */
    apr_pool_t *outgoing;
    /* The memory of one command. */
    apr_pool_t *scratch;
} test_session;

static void *create_settings(apr_pool_t *p, server_rec *s)
{
    (void)s;
    return apr_pcalloc(p, sizeof(settings));
}

static settings *settings_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &tls_contract_module);
}

static const char *set_path(cmd_parms *cmd, void *dir, const char *path)
{
    (void)dir;
    settings_of(cmd->server)->path = path;
    return NULL;
}

/* --- Commands --- */

static void answer(test_session *session, apr_status_t rv, const char *more)
{
    fprintf(session->out, "status=%s aborted=%d keepalive=%d made=%u destroyed=%u %s\n", status_name(rv, session->scratch),
            session->c->aborted, session->c->keepalive, session->maker.made, session->maker.destroyed, more ? more : "");
}

static void set_timeout(test_session *session, char *words)
{
    answer(session, apr_socket_timeout_set(session->socket, apr_atoi64(words)), NULL);
}

static ap_input_mode_t mode_of(const char *name)
{
    static const char *const names[] = { "READBYTES", "GETLINE", "EATCRLF", "SPECULATIVE", "EXHAUSTIVE", "INIT" };
    static const ap_input_mode_t modes[] = { AP_MODE_READBYTES,   AP_MODE_GETLINE,    AP_MODE_EATCRLF,
                                             AP_MODE_SPECULATIVE, AP_MODE_EXHAUSTIVE, AP_MODE_INIT };
    size_t i;

    for (i = 0; i < sizeof(modes) / sizeof(modes[0]) - 1 && strcmp(names[i], name); i++) {
    }
    return modes[i];
}

/* Returns the bytes of a brigade, and the names of its buckets. */
static apr_status_t flatten(test_session *session, apr_bucket_brigade *bb, char **data, apr_size_t *len, const char **kinds)
{
    apr_bucket *b;
    const char *bytes;
    apr_size_t size;
    apr_status_t rv = APR_SUCCESS;
    apr_array_header_t *found = apr_array_make(session->scratch, 4, sizeof(const char *));

    for (b = APR_BRIGADE_FIRST(bb); rv == APR_SUCCESS && b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        APR_ARRAY_PUSH(found, const char *) = APR_BUCKET_IS_METADATA(b) ? b->type->name : "data";
        rv = apr_bucket_read(b, &bytes, &size, APR_NONBLOCK_READ);
    }
    *kinds = apr_array_pstrcat(session->scratch, found, ',');
    return rv == APR_SUCCESS ? apr_brigade_pflatten(bb, data, len, session->scratch) : rv;
}

static void do_read(test_session *session, char *words)
{
    char *rest, *data = NULL;
    const char *mode = apr_strtok(words, " ", &rest), *block = apr_strtok(NULL, " ", &rest), *kinds;
    apr_off_t size = apr_atoi64(apr_strtok(NULL, " ", &rest));
    apr_bucket_brigade *bb = apr_brigade_create(session->scratch, session->c->bucket_alloc);
    apr_time_t began = apr_time_now(), took;
    apr_size_t len = 0;
    apr_status_t found, rv = ap_get_brigade(session->c->input_filters, bb, mode_of(mode),
                                            strcmp(block, "block") ? APR_NONBLOCK_READ : APR_BLOCK_READ, size);

    took = apr_time_now() - began;
    found = flatten(session, bb, &data, &len, &kinds);
    answer(session, rv, apr_psprintf(session->scratch, "took=%" APR_TIME_T_FMT " read=%s len=%" APR_SIZE_T_FMT " kinds=%s",
                                  took, status_name(found, session->scratch), len, kinds));
    fwrite(data, 1, len, session->out);
    apr_brigade_destroy(bb);
}

static void do_write(test_session *session, char *words)
{
    char *rest, *word;
    apr_status_t rv = APR_SUCCESS;
    int left = 0;
    apr_bucket *b;

    for (word = apr_strtok(words, " ", &rest); word && rv == APR_SUCCESS; word = apr_strtok(NULL, " ", &rest)) {
        rv = bucket_append(&session->maker, session->written, word);
    }
    if (rv == APR_SUCCESS) {
        rv = ap_pass_brigade(session->c->output_filters, session->written);
    }
    bucket_forget_scratch(&session->maker);
    for (b = APR_BRIGADE_FIRST(session->written); b != APR_BRIGADE_SENTINEL(session->written); b = APR_BUCKET_NEXT(b)) {
        left++;
    }
    apr_brigade_cleanup(session->written);
    answer(session, rv, apr_psprintf(session->scratch, "left=%d", left));
}

static void do_respond(test_session *session, char *words)
{
    (void)words;
    ap_run_insert_filter(bucket_request(&session->maker));
    answer(session, APR_SUCCESS, NULL);
}

static void do_abort(test_session *session, char *words)
{
    (void)words;
    session->c->aborted = 1;
    answer(session, APR_SUCCESS, NULL);
}

static void do_arrived(test_session *session, char *words)
{
    struct tcp_info info = { 0 };
    socklen_t len;
    int fd, tries = 0;
    apr_uint64_t wanted = (apr_uint64_t)apr_atoi64(words);

    apr_os_sock_get(&fd, session->socket);
    do {
        apr_sleep(tries ? 1000 : 0);
        len = sizeof(info);
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    } while (info.tcpi_bytes_received < wanted && tries++ < TIMEOUT_MS);
    answer(session, info.tcpi_bytes_received < wanted ? APR_TIMEUP : APR_SUCCESS, NULL);
}

static void do_hangup(test_session *session, char *words)
{
    struct pollfd poll_fd = { 0, POLLRDHUP, 0 };

    (void)words;
    apr_os_sock_get(&poll_fd.fd, session->socket);
    answer(session, poll(&poll_fd, 1, TIMEOUT_MS) > 0 ? APR_SUCCESS : APR_TIMEUP, NULL);
}

static void begin_with(test_session *session, conn_rec *c, apr_socket_t *socket)
{
    memset(&session->maker, 0, sizeof(session->maker));
    session->c = session->maker.c = c;
    session->socket = socket;
    session->maker.scratch = apr_array_make(c->pool, 4, sizeof(void *));
    session->written = apr_brigade_create(c->pool, c->bucket_alloc);
}

static void do_connect(test_session *session, char *words)
{
    char *name = NULL;
    const char *port = apr_strtok(words, " ", &name);
    server_rec *s = session->c->base_server;
    apr_pool_t *p;
    apr_sockaddr_t *to;
    apr_socket_t *sock;
    conn_rec *c;
    apr_status_t rv = apr_pool_create(&p, session->c->pool);

    if (rv == APR_SUCCESS && (rv = apr_sockaddr_info_get(&to, "127.0.0.1", APR_INET, (apr_port_t)atoi(port), 0, p)) == 0
        && (rv = apr_socket_create(&sock, APR_INET, SOCK_STREAM, APR_PROTO_TCP, p)) == 0) {
        apr_socket_timeout_set(sock, s->timeout);
        rv = apr_socket_connect(sock, to);
    }
    if (rv == APR_SUCCESS) {
        c = ap_run_create_connection(p, s, sock, 0, NULL, apr_bucket_alloc_create(p));
        ap_ssl_bind_outgoing(c, s->lookup_defaults, 1);
        apr_table_setn(c->notes, "proxy-request-hostname", apr_pstrdup(p, name));
        rv = ap_run_pre_connection(c, sock);
        session->outgoing = p;
        begin_with(session, c, sock);
        if (rv == OK || rv == DONE) {
            rv = APR_SUCCESS;
        }
    }
    answer(session, rv, NULL);
}

static void do_close(test_session *session, char *words)
{
    (void)words;
    answer(session, APR_SUCCESS, NULL);
    apr_pool_destroy(session->outgoing);
    session->outgoing = NULL;
}

static const struct {
    const char *name;
    void (*run)(test_session *session, char *words);
} commands_of_tests[] = {
    { "timeout", set_timeout }, { "read", do_read },       { "write", do_write },
    { "respond", do_respond },  { "arrived", do_arrived }, { "hangup", do_hangup },
    { "abort", do_abort },      { "connect", do_connect }, { "close", do_close },
};

static void run_command(test_session *session, char *line)
{
    char *words = NULL;
    const char *name = apr_strtok(line, " \n", &words);
    size_t i;

    if (words && words[0]) {
        words[strcspn(words, "\n")] = '\0';
    }
    for (i = 0; name && i < sizeof(commands_of_tests) / sizeof(commands_of_tests[0]); i++) {
        if (!strcmp(commands_of_tests[i].name, name)) {
            commands_of_tests[i].run(session, words);
        }
    }
    fflush(session->out);
}

static void run_commands(test_session *session)
{
    char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, session->in) > 0 && strcmp(line, "end\n")) {
        run_command(session, line);
        apr_pool_clear(session->scratch);
    }
    free(line);
    if (session->outgoing) {
        apr_pool_destroy(session->outgoing);
    }
}

/* --- Hooks --- */

static int connect_to_test(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int process_connection(conn_rec *c)
{
    const char *path = c->master ? NULL : settings_of(c->base_server)->path;
    test_session session = { .c = c };
    int fd = path ? connect_to_test(path) : -1;

    if (fd < 0) {
        return DECLINED;
    }
    session.in = fdopen(fd, "r");
    session.out = fdopen(dup(fd), "w");
    apr_pool_create(&session.scratch, c->pool);
    begin_with(&session, c, ap_get_conn_socket(c));
    run_commands(&session);
    fclose(session.in);
    fclose(session.out);
    c->keepalive = AP_CONN_CLOSE;
    if (c->cs) {
        c->cs->state = CONN_STATE_LINGER;
    }
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_process_connection(process_connection, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("TestContract", set_path, NULL, RSRC_CONF, "the socket of the test"),
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};

module AP_MODULE_DECLARE_DATA tls_contract_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, create_settings, NULL, commands, register_hooks, AP_MODULE_FLAG_NONE
};
