/*
 * job.h - one request for generated text, from its JSON to the last byte of its answer.
 *
 * The HTTP thread creates a job, the worker generates its texts, and the protocol that it came
 * through (completions.c, chat.c) writes the answer. Both threads hold a reference. The members
 * under "shared" are protected by `lock`; all others belong to the HTTP thread until the job is
 * submitted and to the worker afterwards.
 */
#ifndef SERVER_JOB_H
#define SERVER_JOB_H

#include <pthread.h>

#include "generate/scheduler.h"
#include "server/generation.h"
#include "server/scores.h"
#include "server/splitter.h"

struct job;
struct choice;

/*
 * How a protocol writes its answer. All are called by the worker. The stream functions write events
 * with job_event; `body` returns the whole answer of a request that does not stream.
 */
struct protocol {
    const char *id_prefix;
    void (*begin)(struct job *job, struct choice *c); /* before the first piece of a choice */
    void (*piece)(struct job *job, struct choice *c); /* new text or scores: sends and clears them */
    void (*end)(struct job *job, struct choice *c);   /* c->end says why */
    void (*finish)(struct job *job);                  /* after all choices */
    char *(*body)(struct job *job);                   /* for cJSON_free; NULL: out of memory */
};

/* A prompt, which is read once for all its choices. */
struct job_prompt {
    uint32_t *ids; /* [count] to evaluate */
    size_t count;
    size_t hidden;                 /* of them, the first: added by the server and not shown */
    struct text echo;              /* the text before the answer, if asked for */
    bool begun;                    /* a choice reads it */
    bool ready;                    /* `session` has evaluated all but the last token */
    bool scored;                   /* log probabilities of its tokens are asked for */
    struct rwkv7_session *session; /* for its other choices, and while it is scored */
    size_t evaluated;              /* tokens of it that were scored */
    struct scores scores;
    size_t cached; /* tokens that were in the cache */
};

enum { CHOICE_PLACES = 8 };
enum choice_phase { CHOICE_WAITING, CHOICE_SCORING, CHOICE_RUNNING, CHOICE_ENDED };

struct choice {
    struct job *job;
    struct job_prompt *prompt;
    size_t index, number; /* in the answer; among the choices of its prompt */
    enum choice_phase phase;
    struct scheduled run;
    size_t places[CHOICE_PLACES]; /* [place_count] after so many tokens of the prompt its state is cached */
    size_t place_count;
    struct splitter splitter;
    struct text text, thought; /* not sent yet */
    struct scores scores;      /* of the text not sent yet */
    size_t offset;             /* characters before the next token, for text_offset */
    enum rwkv7_end end;
    uint64_t tokens; /* drawn */
    bool begun;      /* protocol->begin was called */
};

#define JOB_OUTPUT 65536 /* bytes of a stream that wait for the client, before its texts pause */

struct job {
    struct server *server;
    const struct protocol *protocol;
    char id[64];
    int64_t created; /* seconds since 1970 */
    double arrived;  /* sys_seconds() */
    struct generation generation;
    bool chat; /* texts go through the splitter, unless they are constrained */
    enum thinking thinking;
    bool prefilled; /* the answer continues a text of the client */
    bool echo;
    struct job_prompt *prompts; /* [prompt_count] */
    size_t prompt_count;
    struct choice *choices; /* [choice_count], by prompt */
    size_t choice_count, next_choice, ended;
    uint64_t prompt_tokens; /* of all prompts */
    bool started;           /* its first choice was */
    bool first_token;       /* was drawn */
    double last_write;      /* sys_seconds() */
    struct job *next;       /* in a list of the worker */

    /* shared */
    pthread_mutex_t lock;
    int references;
    struct text out; /* from out_begin on: events of a stream, not yet sent */
    size_t out_begin;
    bool done;     /* nothing will be added */
    bool failed;   /* a stream that ends without its last event */
    int status;    /* HTTP status, once done, of an answer that is no stream */
    char *body;    /* for cJSON_free; belongs to whoever takes it */
    bool gone;     /* the client left */
    bool stalled;  /* the worker waits for the client to read */
    bool sleeping; /* the connection is suspended */
    void (*wake)(void *connection);
    void *connection;
    int fd; /* of the connection; -1: closed */
};

/* NULL: out of memory. With one reference. */
struct job *job_create(struct server *s, const struct protocol *protocol);
void job_release(struct job *job);
/* Makes the choices, when prompts and generation are complete; false: out of memory. */
bool job_add_choices(struct job *job);
/* Whether thoughts are separated from the texts. A constrained text is sent as it is. */
bool job_splits(const struct job *job);

/* ------------------------------------------------------------------------- called by the worker */

/* Appends "data: TEXT\n\n". Takes the text, from json_tree_text; NULL ends the job. */
void job_event(struct job *job, char *text);
void job_write(struct job *job, const char *bytes, size_t size);
/* Whether the client has too many bytes to read. If so, the worker is nudged when it has read most. */
bool job_is_full(struct job *job);
bool job_is_empty(struct job *job); /* Whether it has read all. */
/* Whether a stream lost an event for lack of memory. */
bool job_lacks_memory(struct job *job);
/* Whether the client left; looks at the connection. */
bool job_is_gone(struct job *job);
/* Ends a stream, or sets the answer. Takes the body. */
void job_end(struct job *job, int status, char *body);
/* Ends the job with an error: an event in a stream, else an answer. */
void job_fail(struct job *job, const struct api_error *e);

/* ------------------------------------------------------------------------------- for protocols */

/* "id", "object", "created", "model" and "system_fingerprint" of an answer. */
cJSON *job_head(struct json_tree *t, const struct job *job, const char *object);
void job_add_usage(struct json_tree *t, cJSON *to, const struct job *job);
void job_add_seed(struct json_tree *t, cJSON *to, const struct job *job);
const char *job_finish_reason(const struct choice *c);

#endif
