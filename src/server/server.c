/* server.c - starts and stops the server; see server.h. */
#include "server/server.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/sys.h"
#include "server/guard.h"
#include "server/http.h"
#include "server/notify.h"
#include "server/session_store.h"
#include "server/worker.h"

enum { TICK_MS = 100, SEND_SECONDS = 2 };

/* Sets the model name for answers; by default the file name without folder and extension. */
static void name_model(struct server *s)
{
    const char *name = s->options->name;
    if (!name) {
        const char *const path = rwkv7_model_info(s->options->model)->path;
        const char *const slash = strrchr(path, '/');
        name = *path == '(' ? "rwkv7-demo" : slash && slash[1] ? slash + 1 : path;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    rwkv7_text_plain(s->name);
    char *const dot = strrchr(s->name, '.');
    if (!s->options->name && dot && dot != s->name)
        *dot = '\0';
}

/*
 * Sets the text that stands for token 0. GPT-NeoX has a token with this text. The World
 * vocabularies have none, so the text names token 0 there.
 */
static enum rwkv7_status find_end_text(struct server *s, struct rwkv7_error *err)
{
    static const char world[] = "<|rwkv_tokenizer_end_of_text|>", neox[] = "<|endoftext|>";
    uint32_t *ids;
    size_t count;
    if (!rwkv7_tokenizer_has_end_of_text(s->options->tokenizer))
        return RWKV7_OK;
    const enum rwkv7_status status = server_encode(s, neox, strlen(neox), ENCODE_TEXT, &ids, &count, err);
    if (status == RWKV7_ERR_MEMORY)
        return status;
    s->end_text = status == RWKV7_OK && count == 1 && ids[0] == RWKV7_END_OF_TEXT ? neox : world;
    if (status == RWKV7_OK)
        mem_free(ids);
    return RWKV7_OK;
}

/* Sets the fingerprint. Equal fingerprints and equal seeds give equal texts. */
static enum rwkv7_status find_fingerprint(struct server *s, struct rwkv7_error *err)
{
    static const char *const math[] = {
        [RWKV7_MATH_EXACT] = "exact", [RWKV7_MATH_FAST] = "fast", [RWKV7_MATH_BLAS] = "blas"};
    struct rwkv7_fingerprint f;
    const enum rwkv7_status status = rwkv7_model_fingerprint(s->options->model, &f, err);
    size_t used = (size_t)snprintf(s->fingerprint, sizeof s->fingerprint, "fp_%s_", math[s->options->math]);
    for (size_t i = 0; status == RWKV7_OK && i < 8; i++)
        used += (size_t)snprintf(s->fingerprint + used, sizeof s->fingerprint - used, "%02x", f.bytes[i]);
    return status;
}

static enum rwkv7_status prepare(struct server *s, struct rwkv7_error *err)
{
    struct timespec now;
    char digits[ID_DIGITS + 1];
    uint64_t seed = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    s->started = now.tv_sec;
    FILE *const random = fopen("/dev/urandom", "rb");
    if (!random || fread(&seed, sizeof seed, 1, random) != 1)
        seed = (uint64_t)now.tv_nsec * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)getpid();
    if (random)
        fclose(random);
    atomic_store(&s->ids, seed);
    server_new_id(s, digits); /* hides the seed of the ids */
    name_model(s);
    enum rwkv7_status status = find_end_text(s, err);
    if (status == RWKV7_OK)
        status = find_fingerprint(s, err);
    return status;
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Waits until the running requests have ended, for at most `seconds`. */
static void drain(struct server *s, struct http *h, double seconds)
{
    const double end = sys_seconds() + seconds;
    while ((worker_jobs(s->worker) > 0 || http_answers(h) > 0) && sys_seconds() < end) {
        http_sweep(h);
        pause_ms(TICK_MS / 10);
    }
}

static void serve(struct server *s, struct http *h)
{
    const struct server_options *const o = s->options;
    while (!o->should_stop(o->arg)) {
        http_sweep(h);
        pause_ms(TICK_MS);
    }
    notify_send("STOPPING=1");
    atomic_store(&s->draining, true);
    http_quiesce(h);
    drain(s, h, o->grace);
    worker_abort(s->worker);
    drain(s, h, SEND_SECONDS); /* time to send the last events */
    while (worker_jobs(s->worker) > 0)
        pause_ms(1); /* libmicrohttpd must not stop with suspended connections */
}

/* Blocks signals, so that only the caller's waiting thread gets them. */
static void block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

const char *server_library_version(void)
{
    return http_library_version();
}

bool server_is_local(const char *host)
{
    return guard_is_socket(host) || guard_is_loopback(host);
}

enum rwkv7_status server_run(const struct server_options *options, struct rwkv7_error *err)
{
    struct server s = {.options = options};
    struct listener listener;
    struct http *http = NULL;
    sigset_t signals;
    metrics_init(&s.metrics);
    enum rwkv7_status status = prepare(&s, err);
    if (status == RWKV7_OK)
        status = listen_open(options->host, options->port, &listener, err);
    if (status != RWKV7_OK) {
        metrics_free(&s.metrics);
        return status;
    }
    if (options->state_ram > 0)
        status = session_store_open(options, &s.store, err);
    block_signals(&signals);
    if (status == RWKV7_OK)
        status = worker_start(&s, &s.worker, err);
    if (status == RWKV7_OK)
        status = http_start(&s, &listener, &http, err);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    if (status == RWKV7_OK) {
        options->ready(options->arg, listener.address);
        notify_send("READY=1");
        serve(&s, http);
        http_stop(http);
    } else {
        listen_close(listener.fd);
    }
    if (s.worker)
        worker_stop(s.worker);
    session_store_close(s.store);
    listen_remove(&listener);
    metrics_free(&s.metrics);
    return status;
}
