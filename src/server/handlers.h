/*
 * handlers.h - what the endpoints get and give. They run on the HTTP thread and do not wait: an
 * answer that takes time is a job.
 */
#ifndef SERVER_HANDLERS_H
#define SERVER_HANDLERS_H

#include "server/job.h"

struct call {
    struct server *server;
    const char *name; /* the rest of the path, such as the model of /v1/models/NAME; NULL: none */
    const char *body; /* [size] */
    size_t size;
};

/* Zeroed: status 200, JSON, empty. */
struct reply {
    struct api_error error; /* if its status is set, this is the answer */
    const char *type;       /* NULL: application/json */
    char *body;             /* for cJSON_free; NULL: none, or out of memory unless there is a job */
    struct job *job;        /* the answer comes from it; the reference belongs to the caller */
};

typedef void handler(const struct call *call, struct reply *reply);

handler completions_handler, chat_handler;
handler tokenize_handler, detokenize_handler, tokenizer_info_handler;
handler health_handler, models_handler, model_handler, metrics_handler;

#endif
