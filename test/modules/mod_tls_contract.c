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

/* The connection to a test, which sends commands, and the state of the commands. */
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
} control_channel;

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

static void answer(control_channel *control, apr_status_t rv, const char *more)
{
    fprintf(control->out, "status=%s aborted=%d keepalive=%d made=%u destroyed=%u %s\n", status_name(rv, control->scratch),
            control->c->aborted, control->c->keepalive, control->maker.made, control->maker.destroyed, more ? more : "");
}

static void set_timeout(control_channel *control, char *words)
{
    answer(control, apr_socket_timeout_set(control->socket, apr_atoi64(words)), NULL);
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
static apr_status_t flatten(control_channel *control, apr_bucket_brigade *bb, char **data, apr_size_t *len,
                            const char **kinds)
{
    apr_bucket *b;
    const char *bytes;
    apr_size_t size;
    apr_status_t rv = APR_SUCCESS;
    apr_array_header_t *found = apr_array_make(control->scratch, 4, sizeof(const char *));

    for (b = APR_BRIGADE_FIRST(bb); rv == APR_SUCCESS && b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        APR_ARRAY_PUSH(found, const char *) = APR_BUCKET_IS_METADATA(b) ? b->type->name : "data";
        rv = apr_bucket_read(b, &bytes, &size, APR_NONBLOCK_READ);
    }
    *kinds = apr_array_pstrcat(control->scratch, found, ',');
    return rv == APR_SUCCESS ? apr_brigade_pflatten(bb, data, len, control->scratch) : rv;
}

static void do_read(control_channel *control, char *words)
{
    char *rest, *data = NULL;
    const char *mode = apr_strtok(words, " ", &rest), *block = apr_strtok(NULL, " ", &rest), *kinds;
    apr_off_t size = apr_atoi64(apr_strtok(NULL, " ", &rest));
    apr_bucket_brigade *bb = apr_brigade_create(control->scratch, control->c->bucket_alloc);
    apr_time_t began = apr_time_now(), took;
    apr_size_t len = 0;
    apr_status_t found, rv = ap_get_brigade(control->c->input_filters, bb, mode_of(mode),
                                            strcmp(block, "block") ? APR_NONBLOCK_READ : APR_BLOCK_READ, size);

    took = apr_time_now() - began;
    found = flatten(control, bb, &data, &len, &kinds);
    answer(control, rv,
           apr_psprintf(control->scratch, "took=%" APR_TIME_T_FMT " read=%s len=%" APR_SIZE_T_FMT " kinds=%s", took,
                        status_name(found, control->scratch), len, kinds));
    fwrite(data, 1, len, control->out);
    apr_brigade_destroy(bb);
}

static void do_write(control_channel *control, char *words)
{
    char *rest, *word;
    apr_status_t rv = APR_SUCCESS;
    int left = 0;
    apr_bucket *b;

    for (word = apr_strtok(words, " ", &rest); word && rv == APR_SUCCESS; word = apr_strtok(NULL, " ", &rest)) {
        rv = bucket_append(&control->maker, control->written, word);
    }
    if (rv == APR_SUCCESS) {
        rv = ap_pass_brigade(control->c->output_filters, control->written);
    }
    bucket_forget_scratch(&control->maker);
    for (b = APR_BRIGADE_FIRST(control->written); b != APR_BRIGADE_SENTINEL(control->written); b = APR_BUCKET_NEXT(b)) {
        left++;
    }
    apr_brigade_cleanup(control->written);
    answer(control, rv, apr_psprintf(control->scratch, "left=%d", left));
}

static void do_respond(control_channel *control, char *words)
{
    (void)words;
    ap_run_insert_filter(bucket_request(&control->maker));
    answer(control, APR_SUCCESS, NULL);
}

static void do_abort(control_channel *control, char *words)
{
    (void)words;
    control->c->aborted = 1;
    answer(control, APR_SUCCESS, NULL);
}

static void do_arrived(control_channel *control, char *words)
{
    struct tcp_info info = { 0 };
    socklen_t len;
    int fd, tries = 0;
    apr_uint64_t wanted = (apr_uint64_t)apr_atoi64(words);

    apr_os_sock_get(&fd, control->socket);
    do {
        apr_sleep(tries ? 1000 : 0);
        len = sizeof(info);
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    } while (info.tcpi_bytes_received < wanted && tries++ < TIMEOUT_MS);
    answer(control, info.tcpi_bytes_received < wanted ? APR_TIMEUP : APR_SUCCESS, NULL);
}

static void do_hangup(control_channel *control, char *words)
{
    struct pollfd poll_fd = { 0, POLLRDHUP, 0 };

    (void)words;
    apr_os_sock_get(&poll_fd.fd, control->socket);
    answer(control, poll(&poll_fd, 1, TIMEOUT_MS) > 0 ? APR_SUCCESS : APR_TIMEUP, NULL);
}

static void begin_with(control_channel *control, conn_rec *c, apr_socket_t *socket)
{
    memset(&control->maker, 0, sizeof(control->maker));
    control->c = control->maker.c = c;
    control->socket = socket;
    control->maker.scratch = apr_array_make(c->pool, 4, sizeof(void *));
    control->written = apr_brigade_create(c->pool, c->bucket_alloc);
}

static void do_connect(control_channel *control, char *words)
{
    char *name = NULL;
    const char *port = apr_strtok(words, " ", &name);
    server_rec *s = control->c->base_server;
    apr_pool_t *p;
    apr_sockaddr_t *to;
    apr_socket_t *sock;
    conn_rec *c;
    apr_status_t rv = apr_pool_create(&p, control->c->pool);

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
        control->outgoing = p;
        begin_with(control, c, sock);
        if (rv == OK || rv == DONE) {
            rv = APR_SUCCESS;
        }
    }
    answer(control, rv, NULL);
}

static void do_close(control_channel *control, char *words)
{
    (void)words;
    answer(control, APR_SUCCESS, NULL);
    apr_pool_destroy(control->outgoing);
    control->outgoing = NULL;
}

static const struct {
    const char *name;
    void (*run)(control_channel *control, char *words);
} commands_of_tests[] = {
    { "timeout", set_timeout }, { "read", do_read },       { "write", do_write },
    { "respond", do_respond },  { "arrived", do_arrived }, { "hangup", do_hangup },
    { "abort", do_abort },      { "connect", do_connect }, { "close", do_close },
};

static void run_command(control_channel *control, char *line)
{
    char *words = NULL;
    const char *name = apr_strtok(line, " \n", &words);
    size_t i;

    if (words && words[0]) {
        words[strcspn(words, "\n")] = '\0';
    }
    for (i = 0; name && i < sizeof(commands_of_tests) / sizeof(commands_of_tests[0]); i++) {
        if (!strcmp(commands_of_tests[i].name, name)) {
            commands_of_tests[i].run(control, words);
        }
    }
    fflush(control->out);
}

static void run_commands(control_channel *control)
{
    char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, control->in) > 0 && strcmp(line, "end\n")) {
        run_command(control, line);
        apr_pool_clear(control->scratch);
    }
    free(line);
    if (control->outgoing) {
        apr_pool_destroy(control->outgoing);
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
    control_channel control = { .c = c };
    int fd = path ? connect_to_test(path) : -1;

    if (fd < 0) {
        return DECLINED;
    }
    control.in = fdopen(fd, "r");
    control.out = fdopen(dup(fd), "w");
    apr_pool_create(&control.scratch, c->pool);
    begin_with(&control, c, ap_get_conn_socket(c));
    run_commands(&control);
    fclose(control.in);
    fclose(control.out);
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

static const command_rec commands[] = { AP_INIT_TAKE1("TestContract", set_path, NULL, RSRC_CONF, "the socket of the test"),
                                        { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL } };

module AP_MODULE_DECLARE_DATA tls_contract_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, create_settings, NULL, commands, register_hooks, AP_MODULE_FLAG_NONE
};
