/*
 * http.c - see http.h.
 *
 * libmicrohttpd calls `handle` several times per request: with the head, with each piece of the
 * body, at its end, and again when a suspended connection is resumed. `read_stream` sends the
 * output of a streaming job. Only these two functions suspend connections; for a job, under its
 * lock. The worker resumes them through job.wake.
 *
 * Requests with a body are answered by handler_threads.c: the connection is suspended meanwhile.
 */
#include "server/http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/sys.h"
#include "server/guard.h"
#include "server/handler_threads.h"
#include "server/head.h"
#include "server/peers.h"
#include "server/routes.h"
#include "server/worker.h"

enum {
    HEAD_BYTES = 32 << 10,  /* memory per connection, for the head of a request */
    WRITE_SECONDS = 60,     /* timeout of writing without progress */
    STREAM_BLOCK = 8 << 10, /* bytes read from a job at a time */
    BODIES = 4,             /* all bodies being received may take this times max_body */
};

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    struct peers peers;
    struct handler_threads *handlers;
    int fd; /* the listener's, after http_quiesce */
    atomic_size_t answers;
    size_t body_bytes; /* of all requests being received; used by the HTTP thread only */
};

/* A request, from its first line to the last byte of its answer. */
struct exchange {
    struct http *http;
    struct peer *peer;
    const struct route *route;
    unsigned endpoint;
    const char *name; /* of the route */
    enum error_form errors;
    char path[16 + SERVER_NAME_ROOM]; /* has room for /v1/models/NAME */
    char method[8], id[65];
    char *origin; /* CORS origin that may read the answer; NULL: none */
    bool headed, has_body;
    bool has_nul;    /* in the path, after decoding */
    size_t uri_size; /* before decoding */
    struct text body;
    struct api_error error; /* an error found before the body was complete */
    struct handler_task task;
    bool handled; /* task.reply is the answer, or has the job */
    struct MHD_Connection *connection;
    struct job *job;
    int status; /* HTTP status of the answer; 0: none yet */
    double began;
};

/* -------------------------------------------------------------------------------------- answers */

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    MHD_add_response_header(r, name, value); /* optional: ignore a lack of memory */
}

static void add_common_headers(struct exchange *x, struct MHD_Response *r)
{
    add_header(r, "X-Request-Id", x->id);
    add_header(r, "X-Content-Type-Options", "nosniff");
    if (x->errors == ERRORS_ANTHROPIC)
        add_header(r, "Request-Id", x->id);
    if (x->origin) {
        add_header(r, "Access-Control-Allow-Origin", x->origin);
        add_header(r, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
        add_header(r, "Vary", "Origin");
    }
    if (atomic_load(&x->http->server->draining))
        add_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result queue(struct exchange *x, struct MHD_Connection *c, int status, struct MHD_Response *r)
{
    if (!r)
        return MHD_NO;
    add_common_headers(x, r);
    x->status = status;
    const enum MHD_Result result = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return result;
}

/* Answers with `body` [size] and frees it. NULL: out of memory, the connection is closed. */
static enum MHD_Result answer_bytes(struct exchange *x, struct MHD_Connection *c, int status, const char *type,
                                    char *body, size_t size)
{
    if (!body)
        return MHD_NO;
    struct MHD_Response *const r = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        cJSON_free(body);
        return MHD_NO;
    }
    char allowed[64] = "";
    if (status == 405)
        snprintf(allowed, sizeof allowed, "%s%s, OPTIONS", route_methods(x->route, x->name),
                 route_allows(x->route, x->name, MHD_HTTP_METHOD_GET) ? ", HEAD" : "");
    add_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type ? type : "application/json");
    if (status == 429 || status == 503)
        add_header(r, "Retry-After", "1");
    if (status == 401)
        add_header(r, "WWW-Authenticate", "Bearer");
    if (status == 405)
        add_header(r, "Allow", allowed);
    if (x->error.status && x->has_body)
        add_header(r, MHD_HTTP_HEADER_CONNECTION, "close"); /* the body was not read */
    return queue(x, c, status, r);
}

/* The same for a body that is text. */
static enum MHD_Result answer(struct exchange *x, struct MHD_Connection *c, int status, const char *type, char *body)
{
    return answer_bytes(x, c, status, type, body, body ? strlen(body) : 0);
}

static enum MHD_Result answer_error(struct exchange *x, struct MHD_Connection *c, const struct api_error *e)
{
    return answer(x, c, e->status, NULL, error_body(e, x->errors, x->id));
}

static enum MHD_Result answer_asset(struct exchange *x, struct MHD_Connection *c, const struct asset *a)
{
    int status;
    struct MHD_Response *const r = asset_response(a, header(c, MHD_HTTP_HEADER_IF_NONE_MATCH), &status);
    return queue(x, c, status, r);
}

/* Answers a CORS preflight request (OPTIONS). */
static enum MHD_Result answer_preflight(struct exchange *x, struct MHD_Connection *c)
{
    static char nothing[] = "";
    struct MHD_Response *const r = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    const char *const headers = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Access-Control-Request-Headers");
    if (r) {
        add_header(r, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS");
        if (headers)
            add_header(r, "Access-Control-Allow-Headers", headers);
        add_header(r, "Access-Control-Max-Age", "600");
    }
    return queue(x, c, MHD_HTTP_NO_CONTENT, r);
}

/* ----------------------------------------------------------------------------------------- jobs */

static void resume(void *connection)
{
    MHD_resume_connection(connection);
}

/*
 * Callback of libmicrohttpd: returns the next bytes of a stream, or suspends the connection until
 * there are some.
 */
static ssize_t read_stream(void *arg, uint64_t position, char *to, size_t room)
{
    struct exchange *const x = arg;
    struct job *const job = x->job;
    ssize_t result = 0;
    bool nudge = false;
    (void)position;
    pthread_mutex_lock(&job->lock);
    const size_t waiting = job->out.size - job->out_begin;
    if (job->gone || (waiting == 0 && job->done && job->out.failed)) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (waiting > 0) {
        const size_t n = waiting < room ? waiting : room;
        memcpy(to, job->out.bytes + job->out_begin, n);
        job->out_begin += n;
        result = (ssize_t)n;
        nudge = job->stalled && waiting - n < JOB_OUTPUT / 4;
        job->stalled = job->stalled && !nudge;
    } else if (job->done) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        job->sleeping = true;
        MHD_suspend_connection(job->connection);
    }
    pthread_mutex_unlock(&job->lock);
    if (nudge)
        worker_nudge(x->http->server->worker);
    return result;
}

static enum MHD_Result answer_stream(struct exchange *x, struct MHD_Connection *c)
{
    struct MHD_Response *const r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, x, NULL);
    if (!r)
        return MHD_NO;
    add_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, x->job->protocol->stream_type);
    add_header(r, "Cache-Control", "no-cache");
    add_header(r, "X-Accel-Buffering", "no");
    return queue(x, c, MHD_HTTP_OK, r);
}

/* Answers a job that does not stream, or suspends the connection until it has ended. */
static enum MHD_Result answer_job(struct exchange *x, struct MHD_Connection *c)
{
    struct job *const job = x->job;
    pthread_mutex_lock(&job->lock);
    const bool done = job->done, gone = job->gone;
    const struct api_error error = job->error;
    char *const body = job->body;
    if (done) {
        job->body = NULL;
    } else {
        job->sleeping = true;
        MHD_suspend_connection(c);
    }
    pthread_mutex_unlock(&job->lock);
    if (!done)
        return MHD_YES;
    if (gone) {
        cJSON_free(body);
        return MHD_NO;
    }
    return error.status ? answer_error(x, c, &error) : answer(x, c, MHD_HTTP_OK, NULL, body);
}

static enum MHD_Result start_job(struct exchange *x, struct MHD_Connection *c, struct job *job)
{
    const union MHD_ConnectionInfo *const info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct api_error e = {0};
    job->connection = c;
    job->wake = resume;
    job->fd = info ? info->connect_fd : -1;
    if (!worker_submit(x->http->server->worker, job, &e)) {
        job_release(job);
        return answer_error(x, c, &e);
    }
    x->job = job;
    return job->generation.stream ? answer_stream(x, c) : answer_job(x, c);
}

/* ---------------------------------------------------------------------------------------- heads */

/* Returns the maximum size of the body. A state may be uploaded whatever the limit is. */
static uint64_t body_limit(const struct exchange *x)
{
    const struct server_options *const o = x->http->server->options;
    const bool upload = strcmp(x->method, MHD_HTTP_METHOD_PUT) == 0;
    return o->max_body + (upload ? rwkv7_model_info(o->model)->session_bytes : 0);
}

static bool too_large(const struct exchange *x, struct api_error *e)
{
    return error_other(e, 413, NULL, "expected a body of at most %llu bytes", (unsigned long long)body_limit(x));
}

static bool check_length(const struct exchange *x, struct MHD_Connection *c, struct api_error *e)
{
    const char *const text = header(c, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t length = 0;
    for (const char *at = text; at && *at >= '0' && *at <= '9'; at++) {
        length = 10 * length + (uint64_t)(*at - '0');
        if (length > body_limit(x))
            return too_large(x, e);
    }
    return true;
}

/* Checks the Origin header. False: pages of this origin may not use the server. */
static bool check_origin(struct exchange *x, struct MHD_Connection *c, struct api_error *e)
{
    const char *const origin = header(c, MHD_HTTP_HEADER_ORIGIN);
    if (!origin)
        return true;
    if (!guard_origin(x->http->server->options, origin, header(c, MHD_HTTP_HEADER_HOST)))
        return error_other(e, 403, "origin_not_allowed", "pages of this origin may not use the server (--cors)");
    x->origin = mem_string(origin, strlen(origin));
    return x->origin || error_other(e, 500, NULL, "out of memory for the request");
}

static bool check_head(struct exchange *x, struct MHD_Connection *c, bool options, struct api_error *e)
{
    struct server *const s = x->http->server;
    if (!check_length(x, c, e))
        return false;
    if (!guard_host(s->options, header(c, MHD_HTTP_HEADER_HOST)))
        return error_other(e, 403, "host_not_allowed",
                           "the header Host names another computer; use localhost or 127.0.0.1");
    if (!check_origin(x, c, e) || options)
        return e->status == 0;
    if (!(x->route && x->route->public) &&
        !guard_key(s->options, header(c, MHD_HTTP_HEADER_AUTHORIZATION), header(c, "X-Api-Key")))
        return error_other(e, 401, "invalid_api_key",
                           "Incorrect API key: expected 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'");
    if (x->route && route_reads_states(x->route, x->method) && !header(c, MHD_HTTP_HEADER_ORIGIN) &&
        !guard_reading(s->options, header(c, MHD_HTTP_HEADER_HOST)))
        return error_other(e, 403, "host_not_allowed", "without keys, states are read by IP address, not by name");
    if (!x->route)
        return error_other(e, 404, NULL, "no such endpoint; /openapi.json lists all");
    if (!route_allows(x->route, x->name, x->method))
        return error_other(e, 405, NULL, "expected %s", route_methods(x->route, x->name));
    if (atomic_load(&s->draining) && !x->route->public)
        return error_other(e, 503, "shutting_down", "the server is shutting down");
    return true;
}

static enum MHD_Result take_head(struct exchange *x, struct MHD_Connection *c, const struct first_line *line)
{
    const char *const path = line->uri, *const method = line->method;
    const bool options = strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0;
    const char *const id = header(c, "X-Request-Id");
    x->headed = true;
    snprintf(x->path, sizeof x->path, "%s", path);
    snprintf(x->method, sizeof x->method, "%s", method);
    x->errors = route_errors(path);
    x->route = route_find(x->has_nul ? "" : path, &x->endpoint, &x->name);
    if (x->name)
        x->name = x->path + (x->name - path); /* a longer name is truncated, and unknown */
    if (x->name && strlen(path) >= sizeof x->path)
        x->name = "";
    if (id && guard_request_id(id))
        snprintf(x->id, sizeof x->id, "%s", id);
    else
        server_new_id(x->http->server, x->id);
    if (!head_check(c, line, &x->has_body, &x->error))
        return x->has_body ? answer_error(x, c, &x->error) : MHD_YES;
    if (!check_head(x, c, options, &x->error) && x->has_body)
        return answer_error(x, c, &x->error); /* answer now: do not receive the body */
    return MHD_YES;
}

/* --------------------------------------------------------------------------------------- bodies */

static void take_body(struct exchange *x, const char *data, size_t size)
{
    struct http *const h = x->http;
    const uint64_t most = body_limit(x);
    if (x->error.status)
        return;
    if (size > most - x->body.size)
        too_large(x, &x->error);
    else if (h->body_bytes + size > BODIES * most)
        error_other(&x->error, 429, "queue_full", "too many requests are being received; try again later");
    else
        text_add(&x->body, data, size);
    if (x->body.failed)
        error_other(&x->error, 500, NULL, "out of memory for the request");
    if (x->error.status) {
        h->body_bytes -= x->body.size;
        text_free(&x->body);
    } else {
        h->body_bytes += size;
    }
}

/* Sends what the handler replied. */
static enum MHD_Result answer_reply(struct exchange *x, struct MHD_Connection *c)
{
    struct reply *const reply = &x->task.reply;
    struct job *const job = reply->job;
    char *const body = reply->body;
    reply->job = NULL;
    reply->body = NULL;
    x->handled = false;
    x->http->body_bytes -= x->body.size;
    text_free(&x->body);
    if (reply->error.status)
        return answer_error(x, c, &reply->error);
    if (job)
        return start_job(x, c, job);
    if (reply->asset.data)
        return answer_asset(x, c, &reply->asset);
    if (reply->size > 0)
        return answer_bytes(x, c, MHD_HTTP_OK, reply->type, body, reply->size);
    return answer(x, c, MHD_HTTP_OK, reply->type, body);
}

/* Called by a handler thread after the handler. */
static void resume_exchange(void *arg)
{
    struct exchange *const x = arg;
    x->handled = true;
    MHD_resume_connection(x->connection);
}

/* Calls the handler, on another thread if it may take long. */
static enum MHD_Result dispatch(struct exchange *x, struct MHD_Connection *c)
{
    struct handler_task *const task = &x->task;
    task->call = (struct call){.server = x->http->server,
                               .method = x->method,
                               .name = x->name,
                               .accept = header(c, MHD_HTTP_HEADER_ACCEPT),
                               .session = header(c, "X-Rwkv7-Session"),
                               .order = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "order"),
                               .body = x->body.bytes ? x->body.bytes : "",
                               .size = x->body.size};
    task->handle = x->route->handle;
    task->done = resume_exchange;
    task->arg = x;
    x->connection = c;
    if (route_is_quick(x->route)) {
        task->handle(&task->call, &task->reply);
        return answer_reply(x, c);
    }
    MHD_suspend_connection(c);
    handler_threads_add(x->http->handlers, task);
    return MHD_YES;
}

/* ------------------------------------------------------------------------------------ callbacks */

static struct peer *peer_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *const info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* The first line of a request has arrived. */
static void *begin_exchange(void *arg, const char *uri, struct MHD_Connection *c)
{
    struct http *const h = arg;
    struct exchange *const x = mem_alloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->has_nul = strstr(uri, "%00") != NULL;
    x->uri_size = strlen(uri);
    x->http = h;
    x->peer = peer_of(c);
    x->began = sys_seconds();
    atomic_fetch_add(&h->answers, 1);
    peers_expect(&h->peers, x->peer, PEER_SECONDS);
    return x;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *c, const char *path, const char *method,
                              const char *version, const char *data, size_t *size, void **context)
{
    struct exchange *const x = *context;
    (void)arg;
    if (!x)
        return MHD_NO; /* out of memory */
    if (!x->headed)
        return take_head(x, c, &(struct first_line){method, path, version, x->uri_size});
    if (*size > 0) {
        take_body(x, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (x->job)
        return answer_job(x, c);
    if (x->handled)
        return answer_reply(x, c);
    peers_expect(&x->http->peers, x->peer, 0);
    if (x->error.status)
        return answer_error(x, c, &x->error);
    if (strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0)
        return answer_preflight(x, c);
    return dispatch(x, c);
}

/* The answer was sent, or the connection was closed. */
static void end_exchange(void *arg, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode code)
{
    struct exchange *const x = *context;
    struct http *const h = arg;
    (void)c;
    if (!x)
        return;
    const int status = code == MHD_REQUEST_TERMINATED_COMPLETED_OK ? x->status : 499;
    if (x->job) {
        pthread_mutex_lock(&x->job->lock);
        x->job->gone = true;
        x->job->fd = -1;
        const bool unfinished = !x->job->done;
        pthread_mutex_unlock(&x->job->lock);
        if (unfinished)
            worker_nudge(h->server->worker);
        job_release(x->job);
    }
    metrics_request(&h->server->metrics, x->endpoint, status);
    if (h->server->options->log && x->headed) {
        char line[256];
        snprintf(line, sizeof line, "%s %s %d %.1f ms %s", x->method, x->path, status, 1e3 * (sys_seconds() - x->began),
                 x->id);
        h->server->options->log(h->server->options->arg, line);
    }
    h->body_bytes -= x->body.size;
    if (x->task.reply.job) /* the client left while the handler ran */
        job_release(x->task.reply.job);
    cJSON_free(x->task.reply.body);
    peers_expect(&h->peers, x->peer, PEER_IDLE_SECONDS + PEER_SECONDS);
    text_free(&x->body);
    mem_free(x->origin);
    mem_free(x);
    *context = NULL;
    atomic_fetch_sub(&h->answers, 1);
}

static void note_connection(void *arg, struct MHD_Connection *c, void **context,
                            enum MHD_ConnectionNotificationCode code)
{
    struct http *const h = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *const info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info ? peers_add(&h->peers, info->connect_fd) : NULL;
        metrics_add(&h->server->metrics, METRIC_CONNECTIONS, 1);
    } else {
        if (*context)
            peers_remove(&h->peers, *context);
        *context = NULL;
        metrics_add(&h->server->metrics, METRIC_CONNECTIONS, -1);
    }
}

/* ------------------------------------------------------------------------------------ interface */

enum rwkv7_status http_start(struct server *s, const struct listener *l, struct http **out, struct rwkv7_error *err)
{
    struct http *const h = mem_alloc(1, sizeof *h);
    if (!h)
        return fail_memory(err, "the server");
    h->server = s;
    h->fd = -1;
    const enum rwkv7_status status = handler_threads_start(&h->handlers, err);
    if (status != RWKV7_OK) {
        mem_free(h);
        return status;
    }
    peers_init(&h->peers);
    /*
     * poll: with epoll, libmicrohttpd 0.9.75 misses a close that arrives together with the last
     * bytes
     */
    h->daemon = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL, handle, h,
        MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)s->options->max_connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)WRITE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES, MHD_OPTION_URI_LOG_CALLBACK, begin_exchange, h,
        MHD_OPTION_NOTIFY_COMPLETED, end_exchange, h, MHD_OPTION_NOTIFY_CONNECTION, note_connection, h, MHD_OPTION_END);
    if (!h->daemon) {
        handler_threads_stop(h->handlers);
        handler_threads_free(h->handlers);
        peers_free(&h->peers);
        mem_free(h);
        return fail(err, RWKV7_ERR_IO, "cannot serve %s: libmicrohttpd did not start", l->address);
    }
    *out = h;
    return RWKV7_OK;
}

const char *http_library_version(void)
{
    return MHD_get_version();
}

void http_quiesce(struct http *h)
{
    h->fd = MHD_quiesce_daemon(h->daemon);
}

void http_sweep(struct http *h)
{
    peers_sweep(&h->peers);
}

size_t http_answers(struct http *h)
{
    return atomic_load(&h->answers);
}

void http_stop(struct http *h)
{
    handler_threads_stop(h->handlers); /* libmicrohttpd must not stop with suspended connections */
    MHD_stop_daemon(h->daemon);
    handler_threads_free(h->handlers);
    listen_close(h->fd);
    peers_free(&h->peers);
    mem_free(h);
}
