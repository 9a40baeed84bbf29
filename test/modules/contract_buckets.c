/* SPDX-License-Identifier: Apache-2.0 */
#include "contract_buckets.h"

#include "http_connection.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_filter.h"
#include "apr_mmap.h"
#include "apr_strings.h"

/* The period of the data, a prime number: a lost or repeated record or buffer is always noticed. */
#define PERIOD 65521

/* Memory is filled with this byte as soon as its owner may free it. */
#define POISON 0xDD

static const struct {
    const char *name;
    apr_status_t status;
} statuses[] = {
    { "SUCCESS", APR_SUCCESS },
    { "EOF", APR_EOF },
    { "EAGAIN", APR_EAGAIN },
    { "TIMEUP", APR_TIMEUP },
    { "EINTR", APR_EINTR },
    { "ECONNABORTED", APR_ECONNABORTED },
    { "ECONNRESET", APR_ECONNRESET },
    { "EPIPE", APR_FROM_OS_ERROR(EPIPE) },
    { "EGENERAL", APR_EGENERAL },
    { "ENOTIMPL", APR_ENOTIMPL },
    { "INCOMPLETE", APR_INCOMPLETE },
    { "ENOMEM", APR_ENOMEM },
    { "EINVAL", APR_EINVAL },
    { "ENOTCONN", APR_FROM_OS_ERROR(ENOTCONN) },
    { "EIO", APR_FROM_OS_ERROR(EIO) },
    { "FILTER_ERROR", AP_FILTER_ERROR },
};

const char *status_name(apr_status_t rv, apr_pool_t *p)
{
    size_t i;

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].status == rv) {
            return statuses[i].name;
        }
    }
    return apr_psprintf(p, "%d", rv);
}

apr_status_t status_of_name(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (!strcmp(statuses[i].name, name)) {
            return statuses[i].status;
        }
    }
    return APR_EGENERAL;
}

/* --- Data --- */

static void fill(char *buffer, apr_size_t offset, apr_size_t len)
{
    apr_size_t i, k;

    for (i = 0; i < len; i++) {
        k = (offset + i) % PERIOD;
        buffer[i] = (char)(k * k * 31 + k * 7 + (k >> 8));
    }
}

/* The next `len` bytes, in memory with the lifetime of the connection. */
static char *next_data(bucket_maker *maker, apr_pool_t *p, apr_size_t len)
{
    char *data = apr_palloc(p, len + 1);

    fill(data, maker->offset, len);
    maker->offset += len;
    return data;
}

typedef struct {
    char *data;
    apr_size_t len;
} memory;

static apr_status_t poison(void *data)
{
    memory *mem = data;

    memset(mem->data, POISON, mem->len);
    return APR_SUCCESS;
}

static memory *remember(apr_pool_t *p, char *data, apr_size_t len)
{
    memory *mem = apr_palloc(p, sizeof(*mem));

    mem->data = data;
    mem->len = len;
    return mem;
}

void bucket_forget_scratch(bucket_maker *maker)
{
    memory **mem;

    while ((mem = apr_array_pop(maker->scratch))) {
        poison(*mem);
    }
}

/* --- Requests --- */

request_rec *bucket_request(bucket_maker *maker)
{
    if (!maker->r) {
        request_rec *r = ap_create_request(maker->c);

        r->the_request = "GET /contract HTTP/1.1";
        r->method = "GET";
        r->uri = r->unparsed_uri = "/contract";
        r->protocol = "HTTP/1.1";
        r->hostname = r->server->server_hostname;
        r->status = HTTP_OK;
        maker->r = r;
    }
    return maker->r;
}

/* --- Bucket types of the test --- */

static apr_status_t read_nothing(apr_bucket *b, const char **str, apr_size_t *len, apr_read_type_e block)
{
    (void)b;
    (void)block;
    *str = NULL;
    *len = 0;
    return APR_SUCCESS;
}

static void count_destroyed(void *data)
{
    (*(unsigned *)data)++;
}

/* Metadata that is unknown to all filters. */
static const apr_bucket_type_t type_mark = { "MARK",
                                             5,
                                             APR_BUCKET_METADATA,
                                             count_destroyed,
                                             read_nothing,
                                             apr_bucket_setaside_noop,
                                             apr_bucket_split_notimpl,
                                             apr_bucket_simple_copy };

static apr_status_t read_fails(apr_bucket *b, const char **str, apr_size_t *len, apr_read_type_e block)
{
    (void)block;
    *str = NULL;
    *len = 0;
    return *(apr_status_t *)b->data;
}

/* Data that cannot be read, as that of a failed CGI script. */
static const apr_bucket_type_t type_broken = { "BROKEN",
                                               5,
                                               APR_BUCKET_DATA,
                                               apr_bucket_destroy_noop,
                                               read_fails,
                                               apr_bucket_setaside_noop,
                                               apr_bucket_split_notimpl,
                                               apr_bucket_copy_notimpl };

static apr_status_t read_slowly(apr_bucket *b, const char **str, apr_size_t *len, apr_read_type_e block)
{
    memory *mem = b->data;

    if (block == APR_NONBLOCK_READ) {
        return APR_EAGAIN;
    }
    b = apr_bucket_heap_make(b, mem->data, mem->len, NULL);
    return apr_bucket_read(b, str, len, block);
}

/* Data that is not available without blocking. */
static const apr_bucket_type_t type_slow = { "SLOW",
                                             5,
                                             APR_BUCKET_DATA,
                                             apr_bucket_destroy_noop,
                                             read_slowly,
                                             apr_bucket_setaside_noop,
                                             apr_bucket_split_notimpl,
                                             apr_bucket_copy_notimpl };

static apr_status_t read_memory(apr_bucket *b, const char **str, apr_size_t *len, apr_read_type_e block)
{
    memory *mem = b->data;

    (void)block;
    *str = mem->data;
    *len = mem->len;
    return APR_SUCCESS;
}

static void destroy_memory(void *data)
{
    poison(data);
}

/* Data that is freed with its bucket. It cannot be set aside, split or copied. */
static const apr_bucket_type_t type_stubborn = { "STUBBORN",
                                                 5,
                                                 APR_BUCKET_DATA,
                                                 destroy_memory,
                                                 read_memory,
                                                 apr_bucket_setaside_notimpl,
                                                 apr_bucket_split_notimpl,
                                                 apr_bucket_copy_notimpl };

static apr_bucket *make_own(bucket_maker *maker, const apr_bucket_type_t *type, apr_size_t len, void *data)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), maker->c->bucket_alloc);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = maker->c->bucket_alloc;
    b->type = type;
    b->length = len;
    b->start = 0;
    b->data = data;
    return b;
}

/* --- Files and pipes --- */

static apr_file_t *temporary(bucket_maker *maker)
{
    char *name = apr_pstrdup(maker->c->pool, "/tmp/tls-contract-XXXXXX");
    apr_file_t *file = NULL;

    /* The file is deleted when it is closed. */
    if (apr_file_mktemp(&file, name, 0, maker->c->pool) == APR_SUCCESS) {
        apr_file_remove(name, maker->c->pool);
    }
    return file;
}

/* A file for the next `len` bytes with only the first `real` of them. */
static apr_file_t *file_of(bucket_maker *maker, apr_size_t len, apr_size_t real)
{
    apr_file_t *file = temporary(maker);

    if (file) {
        apr_file_write_full(file, next_data(maker, maker->c->pool, len), real, NULL);
    }
    return file;
}

static void append_file(bucket_maker *maker, apr_bucket_brigade *bb, apr_file_t *file, apr_off_t len)
{
    if (file) {
        apr_brigade_insert_file(bb, file, 0, len, maker->c->pool);
    }
}

static apr_bucket *make_mmap(bucket_maker *maker, apr_size_t len)
{
    apr_file_t *file = file_of(maker, len, len);
    apr_mmap_t *map;

    if (!file || apr_mmap_create(&map, file, 0, len, APR_MMAP_READ, maker->c->pool) != APR_SUCCESS) {
        return NULL;
    }
    return apr_bucket_mmap_create(map, 0, len, maker->c->bucket_alloc);
}

static apr_bucket *make_pipe(bucket_maker *maker, apr_size_t len)
{
    apr_file_t *in, *out;
    apr_pool_t *p = maker->c->pool;

    if (apr_file_pipe_create_ex(&in, &out, APR_FULL_NONBLOCK, p) != APR_SUCCESS) {
        return NULL;
    }
    apr_file_write_full(out, next_data(maker, p, len), len, NULL);
    apr_file_close(out);
    return apr_bucket_pipe_create(in, maker->c->bucket_alloc);
}

/* --- Buckets by name --- */

static apr_bucket *make_data(bucket_maker *maker, const char *kind, apr_size_t len)
{
    conn_rec *c = maker->c;
    apr_bucket_alloc_t *alloc = c->bucket_alloc;
    char *data;
    apr_pool_t *p;

    if (!strcmp(kind, "mmap")) {
        return make_mmap(maker, len);
    }
    if (!strcmp(kind, "pipe")) {
        return make_pipe(maker, len);
    }
    p = !strcmp(kind, "pool") ? bucket_request(maker)->pool : c->pool;
    data = next_data(maker, p, len);
    if (!strcmp(kind, "heap")) {
        return apr_bucket_heap_create(data, len, NULL, alloc);
    }
    if (!strcmp(kind, "immortal")) {
        return apr_bucket_immortal_create(data, len, alloc);
    }
    if (!strcmp(kind, "transient")) {
        APR_ARRAY_PUSH(maker->scratch, memory *) = remember(p, data, len);
        return apr_bucket_transient_create(data, len, alloc);
    }
    if (!strcmp(kind, "pool")) {
        apr_pool_cleanup_register(p, remember(p, data, len), poison, apr_pool_cleanup_null);
        return apr_bucket_pool_create(data, len, p, alloc);
    }
    if (!strcmp(kind, "stubborn")) {
        return make_own(maker, &type_stubborn, len, remember(p, data, len));
    }
    return strcmp(kind, "slow") ? NULL : make_own(maker, &type_slow, (apr_size_t)-1, remember(p, data, len));
}

static apr_status_t count_ended(void *data)
{
    count_destroyed(data);
    return APR_SUCCESS;
}

static apr_bucket *make_eor(bucket_maker *maker)
{
    request_rec *r = bucket_request(maker);

    maker->made++;
    maker->r = NULL;
    apr_pool_cleanup_register(r->pool, &maker->destroyed, count_ended, apr_pool_cleanup_null);
    return ap_bucket_eor_create(maker->c->bucket_alloc, r);
}

static apr_bucket *make_metadata(bucket_maker *maker, const char *kind, const char *argument)
{
    apr_bucket_alloc_t *alloc = maker->c->bucket_alloc;

    if (!strcmp(kind, "flush")) {
        return apr_bucket_flush_create(alloc);
    }
    if (!strcmp(kind, "eos")) {
        return apr_bucket_eos_create(alloc);
    }
    if (!strcmp(kind, "eoc")) {
        return ap_bucket_eoc_create(alloc);
    }
    if (!strcmp(kind, "eor")) {
        return make_eor(maker);
    }
    if (!strcmp(kind, "error")) {
        return ap_bucket_error_create(atoi(argument), NULL, maker->c->pool, alloc);
    }
    if (!strcmp(kind, "mark")) {
        maker->made++;
        return make_own(maker, &type_mark, 0, &maker->destroyed);
    }
    return NULL;
}

apr_status_t bucket_append(bucket_maker *maker, apr_bucket_brigade *bb, const char *word)
{
    char *rest, *copy = apr_pstrdup(maker->c->pool, word);
    const char *kind = apr_strtok(copy, ":", &rest);
    const char *argument = apr_strtok(NULL, ":", &rest);
    const char *other = apr_strtok(NULL, ":", &rest);
    apr_size_t len = argument ? (apr_size_t)apr_atoi64(argument) : 0;
    apr_bucket *b = make_metadata(maker, kind, argument ? argument : "500");

    if (!strcmp(kind, "file")) {
        append_file(maker, bb, file_of(maker, len, len), (apr_off_t)len);
        return APR_SUCCESS;
    }
    if (!strcmp(kind, "cut")) {
        append_file(maker, bb, file_of(maker, len, (apr_size_t)apr_atoi64(other)), (apr_off_t)len);
        return APR_SUCCESS;
    }
    if (!strcmp(kind, "sparse")) {
        apr_file_t *file = temporary(maker);

        apr_file_trunc(file, (apr_off_t)len);
        append_file(maker, bb, file, (apr_off_t)len);
        return APR_SUCCESS;
    }
    if (!strcmp(kind, "broken")) {
        apr_status_t *status = apr_palloc(maker->c->pool, sizeof(*status));

        *status = status_of_name(argument);
        b = make_own(maker, &type_broken, (apr_size_t)-1, status);
    }
    if (!b) {
        b = make_data(maker, kind, len);
    }
    if (!b) {
        return APR_EINVAL;
    }
    APR_BRIGADE_INSERT_TAIL(bb, b);
    return APR_SUCCESS;
}
