/*
 * server.h - the HTTP server of `rwkv7 serve`.
 *
 *     HTTP thread (libmicrohttpd)                    worker thread
 *       http.c: heads, limits, guard.c                 worker.c: every step evaluates all running
 *       routes.c -> completions.c, chat.c, ...           texts (generate/scheduler.h)
 *         JSON -> struct job  ------ queue ------->      text -> the job's output
 *       the connection is suspended                      the connection is resumed
 *       sends the job's output  <------------------
 *
 * A job (job.h) is one request for generated text. Both threads hold it; its lock protects what they
 * share. The caller's thread waits for a signal to stop, and closes connections that are too slow
 * to send their request.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "generate/chat_template.h"
#include "rwkv7.h"

struct server_options {
    const char *host; /* an address or name; the path of a UNIX socket if it ends in ".sock" */
    int port;         /* 0: any */

    const char *const *keys; /* [key_count] accepted API keys; none: no authentication */
    size_t key_count;
    const char *cors; /* allowed origins, "ORIGIN,..." or "*", besides those of this machine; NULL: none */

    size_t parallel;        /* texts in one step */
    size_t queue;           /* requests that wait */
    int max_connections;    /* open at once */
    uint64_t max_body;      /* bytes of a request */
    uint64_t max_prompt;    /* tokens of all prompts of a request */
    uint64_t max_tokens;    /* generated per text: the limit, and the default of chats */
    uint64_t cache;         /* bytes of states after prompts; 0: none */
    int grace;              /* seconds that running requests may take after a signal */
    bool metrics;           /* serve /metrics */
    bool strict_model;      /* refuse other values of "model" than the name of the model */
    enum rwkv7_bos bos;     /* for prompts that are text */
    enum thinking thinking; /* of chats that do not say */
    const char *name;       /* of the model, in answers; NULL: the name of its file */

    const struct chat_template *template;
    struct rwkv7_runtime *runtime;
    enum rwkv7_math math; /* of the runtime */
    struct rwkv7_model *model;
    const struct rwkv7_tokenizer *tokenizer;
    const struct rwkv7_session *start; /* every text begins with a copy of it */

    bool (*should_stop)(void *arg);                /* polled about ten times a second */
    void (*ready)(void *arg, const char *address); /* called once: "http://127.0.0.1:8080" */
    void (*log)(void *arg, const char *line);      /* called for each request, from any thread; may be NULL */
    void *arg;
};

/*
 * Serves until should_stop returns true, then lets running requests end, for at most `grace`
 * seconds. RWKV7_ERR_IO: the address cannot be used. RWKV7_ERR_USAGE: an option.
 */
enum rwkv7_status server_run(const struct server_options *options, struct rwkv7_error *err);

#endif
