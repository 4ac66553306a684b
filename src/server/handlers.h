/*
 * handlers.h - the interface of the endpoint handlers. Those of requests with a body run on the
 * threads of handler_threads.h, several at once; the others on the HTTP thread. They must not block:
 * an answer that needs the model is a job.
 */
#ifndef SERVER_HANDLERS_H
#define SERVER_HANDLERS_H

#include "server/assets.h"
#include "server/job.h"

struct call {
    struct server *server;
    const char *method;
    const char *name;    /* the last part of the path, as in /v1/models/NAME; NULL: none */
    const char *accept;  /* the Accept header; NULL: none */
    const char *session; /* the header X-Rwkv7-Session; NULL: none */
    const char *order;   /* the argument ?order=; NULL: none */
    const char *body;    /* [size] */
    size_t size;
};

/* Zeroed: status 200, JSON, empty. */
struct reply {
    struct api_error error; /* the answer, if its status is set */
    const char *type;       /* NULL: application/json */
    char *body;             /* for cJSON_free. NULL: out of memory, unless there is an asset or a job */
    size_t size;            /* of a body that is not text; 0: it ends with a NUL */
    struct asset asset;     /* the answer, if it has data */
    struct job *job;        /* will produce the answer; the caller owns the reference */
};

typedef void handler(const struct call *call, struct reply *reply);

/* Reads a request into a new job. It may change the request. False: see *e. */
typedef bool job_reader(struct job *job, cJSON *request, struct api_error *e);
/* The handler of every request for generated text: parses the body and creates the job. */
void handle_job(const struct call *call, const struct protocol *protocol, job_reader *read, struct reply *reply);
/* The same for a body that was parsed. Takes ownership of the request. */
void handle_request(const struct call *call, cJSON *request, const struct protocol *protocol, job_reader *read,
                    struct reply *reply);
/* The context length that answers report where clients expect one. The model has no limit. */
enum { HANDLERS_CONTEXT = 1048576 };

/* Reads a request in the form of /v1/completions. */
job_reader completions_read;

handler completions_handler, chat_handler;
handler messages_handler, count_tokens_handler, responses_handler, response_handler;
handler ollama_generate_handler, ollama_chat_handler, ollama_show_handler;
handler ollama_embed_handler, ollama_embeddings_handler;
handler ollama_tags_handler, ollama_ps_handler, ollama_version_handler;
handler apply_template_handler, props_handler, slots_handler;
handler choose_handler;
handler tokenize_handler, detokenize_handler, tokenizer_info_handler;
handler embeddings_handler, states_handler, state_handler;
handler health_handler, models_handler, model_handler, metrics_handler;
handler page_handler, openapi_handler;

#endif
