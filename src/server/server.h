/*
 * server.h - the HTTP server of `rwkv7 serve`.
 *
 *     HTTP thread (libmicrohttpd)                    worker thread
 *       http.c: heads, limits, guard.c                 worker.c: every step evaluates all running
 *       the connection is suspended                      texts (generate/scheduler.h)
 *         |                                            text -> the job's output
 *         v                                              the connection is resumed
 *     handler threads: JSON -> struct job
 *       routes.c -> completions.c, chat.c, ...
 *         |
 *         v
 *     HTTP thread: submits the job ---- queue ------>
 *       sends the job's output  <------------------
 *
 * A job (job.h) is one request for generated text. HTTP thread and worker hold a reference; its lock
 * protects what they share. The caller's thread waits until it should stop; meanwhile it closes
 * connections that are too slow to send their request.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "generate/chat_template.h"
#include "generate/prompt_cache.h"
#include "rwkv7.h"

struct server_options {
    const char *host; /* an address or name; the path of a UNIX socket if it ends in ".sock" */
    int port;         /* 0: any */

    const char *const *keys; /* [key_count] accepted API keys; none: no authentication */
    size_t key_count;
    const char *cors; /* more allowed origins: "ORIGIN,..." or "*"; NULL: none */

    size_t parallel;        /* maximum texts per step */
    size_t queue;           /* maximum waiting requests */
    int max_connections;    /* open at once */
    uint64_t max_body;      /* bytes of a request */
    uint64_t max_prompt;    /* tokens in all prompts of a request */
    uint64_t max_tokens;    /* limit of generated tokens per text; also the default for chats */
    uint64_t cache;         /* bytes of cached prompt states; 0: no cache */
    uint64_t state_ram;     /* bytes of sessions and named states in memory; 0: none are allowed */
    const char *state_dir;  /* folder for those beyond that, and after the end; NULL: none */
    int grace;              /* seconds to finish running requests at the end */
    bool metrics;           /* serve /metrics */
    bool page;              /* serve the web page at / */
    bool strict_model;      /* refuse requests whose "model" is not this model's name */
    enum rwkv7_bos bos;     /* for text prompts */
    enum thinking thinking; /* default of chats */
    const char *name;       /* model name in answers; NULL: from the file name */

    const struct chat_template *template;
    struct rwkv7_runtime *runtime;
    enum rwkv7_math math; /* of the runtime */
    struct rwkv7_model *model;
    const struct rwkv7_tokenizer *tokenizer;
    const struct rwkv7_session *start; /* every text starts from a copy */
    bool start_is_tuned;               /* it is not the start of a document */
    struct prompt_cache *prompt_cache; /* folder of states of prompts, not opened yet; NULL: none */

    bool (*should_stop)(void *arg);                /* polled about ten times a second */
    void (*ready)(void *arg, const char *address); /* called once: "http://127.0.0.1:8080" */
    void (*log)(void *arg, const char *line);      /* for each request, from any thread; or NULL */
    void (*warn)(void *arg, const char *line);     /* a problem that no request is told of; any thread */
    void *arg;
};

const char *server_library_version(void); /* of libmicrohttpd: "0.9.75" */

/*
 * Returns whether only programs on this computer can connect: the host is a loopback address or a
 * UNIX socket.
 */
bool server_is_local(const char *host);

/*
 * Serves until should_stop returns true, then waits at most `grace` seconds for running requests.
 * RWKV7_ERR_IO: cannot listen on the address. RWKV7_ERR_USAGE: an invalid option.
 */
enum rwkv7_status server_run(const struct server_options *options, struct rwkv7_error *err);

#endif
