/*
 * job.h - one request for generated text, from its JSON to the last byte of its answer.
 *
 * A handler creates a job, the worker generates its texts, and its protocol (completions.c, chat.c,
 * ...) writes the answer. HTTP thread and worker hold a reference. `lock` protects the members under
 * "shared". All others belong to the handler and the HTTP thread until the job is submitted, and to
 * the worker afterwards.
 */
#ifndef SERVER_JOB_H
#define SERVER_JOB_H

#include <pthread.h>

#include "generate/scheduler.h"
#include "generate/tool_calls.h"
#include "generate/tools.h"
#include "server/generation.h"
#include "server/scores.h"
#include "server/splitter.h"

struct job;
struct choice;
struct session_use;

/*
 * How an endpoint writes its answer. The worker calls all functions. For a stream, the functions
 * write events with job_event or job_line; otherwise, `body` returns the whole answer. A protocol
 * without streams has only `body`, and perhaps `keep`.
 */
struct protocol {
    const char *id_prefix;
    const char *stream_type;                                  /* content type of a stream */
    const char *ping;                                         /* sent while a stream is silent; NULL: nothing */
    void (*begin)(struct job *job, struct choice *c);         /* before the first piece of a choice */
    void (*piece)(struct job *job, struct choice *c);         /* sends and clears new text and scores */
    void (*end)(struct job *job, struct choice *c);           /* reason: c->end */
    bool (*keep)(struct job *job, struct choice *c);          /* takes what it needs from its session; or NULL */
    void (*finish)(struct job *job);                          /* after all choices; NULL: nothing */
    void (*fail)(struct job *job, const struct api_error *e); /* ends a stream instead of `finish` */
    char *(*body)(struct job *job);                           /* for cJSON_free; NULL: out of memory */
};

/* A prompt. It is evaluated once for all its choices. */
struct job_prompt {
    uint32_t *ids; /* [count] to evaluate */
    size_t count;
    size_t hidden;                 /* how many of the first ids the server added; not shown */
    struct text echo;              /* the prompt's text, if requested before the answer */
    bool begun;                    /* a choice is evaluating it */
    bool ready;                    /* `session` has evaluated all but the last token */
    bool scored;                   /* the client wants log probabilities of its tokens */
    size_t shared;                 /* tokens with which all prompts of the job begin; they are not scored */
    struct rwkv7_session *session; /* for its other choices, and while it is scored */
    size_t evaluated;              /* number of its tokens that were scored */
    struct scores scores;
    size_t cached;  /* tokens that were in the cache */
    uint64_t known; /* tokens of the session before this prompt; counted, but not evaluated */
    bool follows;   /* the prompt continues a state, so the cache does not know it */
    size_t *marks;  /* [mark_count] numbers of tokens after which other prompts may differ */
    size_t mark_count;
};

enum { CHOICE_PLACES = 24 };
enum choice_phase { CHOICE_WAITING, CHOICE_SCORING, CHOICE_RUNNING, CHOICE_ENDED };

/*
 * The state of a stream whose text is divided into numbered blocks (messages.c, responses.c). Other
 * protocols use at most the texts.
 */
enum block { BLOCK_NONE, BLOCK_THOUGHT, BLOCK_TEXT, BLOCK_CALL };
struct blocks {
    enum block open;
    int index;                 /* of the open block, or of the next one */
    int events;                /* number of events sent */
    size_t call;               /* index of the call in the open block */
    struct text text, thought; /* all that was sent */
};

struct choice {
    struct job *job;
    struct job_prompt *prompt;
    size_t index, number; /* index in the answer; number among the choices of its prompt */
    enum choice_phase phase;
    struct scheduled run;
    size_t places[CHOICE_PLACES]; /* [place_count] copy the state after so many tokens */
    size_t place_count;
    struct splitter splitter;
    struct text text, thought; /* not passed to the protocol yet */
    struct text answer;        /* with tools: text without thoughts, before `calls` takes it */
    struct tool_calls calls;   /* the protocol reads them with tool_calls_next, or as a whole */
    struct scores scores;      /* of that text */
    size_t offset;             /* characters before the next token, for text_offset */
    enum rwkv7_end end;
    int stop;                /* index of the stop string that ended it, or -1 */
    uint64_t tokens;         /* drawn */
    uint64_t thought_tokens; /* of these, in thoughts */
    uint32_t *drawn;         /* [drawn_count] their ids, without the end of the text */
    size_t drawn_count, drawn_room;
    bool begun; /* protocol->begin was called */
    struct blocks blocks;
};

#define JOB_OUTPUT 65536 /* buffer for unsent bytes; texts of a stream pause at 3/4 */

struct job {
    struct server *server;
    const struct protocol *protocol;
    char id[64];
    int64_t created; /* seconds since 1970 */
    double arrived;  /* sys_seconds() */
    struct generation generation;
    bool chat; /* separate thoughts from texts, see job_splits */
    enum thinking thinking;
    bool prefilled;     /* the answer continues a text given by the client */
    struct text given;  /* the start of the answer, which is in the prompt */
    struct tools tools; /* that the answer may call */
    /*
     * For protocols in which the client keeps the conversation as tokens (ollama.c): the text of the
     * conversation before the prompt; after chat_read, up to the answer.
     */
    bool keeps_context;
    struct text context;
    bool echo;
    bool base64;                /* the form of embeddings */
    bool stores;                /* responses.c: later requests may continue from the answer */
    char previous[64];          /* id of the answer that this one continues from; empty: none */
    const char *session_header; /* while the request is read: X-Rwkv7-Session; NULL: none */
    struct session_use *use;    /* NULL: neither a session nor a state */
    struct job_prompt *prompts; /* [prompt_count] */
    size_t prompt_count;
    struct rwkv7_session *shared; /* has evaluated all shared tokens but the last; NULL: not yet */
    struct choice *choices;       /* [choice_count], by prompt */
    size_t choice_count, next_choice, ended;
    uint64_t prompt_tokens; /* of all prompts */
    double started;         /* sys_seconds() when its first choice was started; 0: it was not */
    double first_token;     /* when its first token was drawn */
    double last_write;      /* sys_seconds() */
    double stalled_since;   /* sys_seconds(); its client does not read since then; 0: it reads */
    struct job *next;       /* in a list of the worker */

    /* shared */
    pthread_mutex_t lock;
    int references;
    struct text out; /* from out_begin on: events of a stream, not yet sent */
    size_t out_begin;
    bool done;              /* no more output will follow */
    struct api_error error; /* the answer, if its status is set; valid if `done` */
    char *body;             /* else the answer, unless it is a stream; for cJSON_free; the taker owns it */
    bool gone;              /* the client has disconnected */
    bool stalled;           /* the worker waits for the client to read */
    bool sleeping;          /* the connection is suspended */
    void (*wake)(void *connection);
    void *connection;
    int fd; /* of the connection; -1: closed */
};

/* Creates a job with one reference. NULL: out of memory. */
struct job *job_create(struct server *s, const struct protocol *protocol);
void job_release(struct job *job);
/* Creates the choices; `prompts` and `generation` must be complete. False: out of memory. */
bool job_add_choices(struct job *job);
/*
 * Returns whether the splitter separates thoughts from texts. Constrained texts are sent unchanged.
 */
bool job_splits(const struct job *job);

/* ------------------------------------------------------------------------- called by the worker */

/*
 * Appends the event "data: TEXT\n\n", after a line "event: TYPE\n" if there is a type. Takes
 * ownership of the text (from json_tree_text); NULL: out of memory, the stream fails.
 */
void job_event(struct job *job, const char *type, char *text);
/* Appends an event whose type is also the member "type" of its object. Ends the tree. */
void job_typed_event(struct job *job, struct json_tree *event);
void job_line(struct job *job, char *text); /* as job_event, but "TEXT\n" */
void job_write(struct job *job, const char *bytes, size_t size);
/*
 * Returns whether too much output is unsent. If so, the worker is nudged once the client has read
 * most of it.
 */
bool job_is_full(struct job *job);
bool job_is_empty(struct job *job); /* all output was sent */
/* Returns whether a stream lost an event because memory ran out. */
bool job_lacks_memory(struct job *job);
/* Returns whether the client has disconnected; polls the socket. */
bool job_is_gone(struct job *job);
/* Ends the job. body: the answer, unless it is a stream; takes ownership. */
void job_end(struct job *job, char *body);
/* Ends the job with an error: in the stream, else as the answer. */
void job_fail(struct job *job, const struct api_error *e);

/* ------------------------------------------------------------------------------- for protocols */

/*
 * Creates the object of an answer with "id", "object", "created", "model" and "system_fingerprint".
 */
cJSON *job_head(struct json_tree *t, const struct job *job, const char *object);
void job_add_usage(struct json_tree *t, cJSON *to, const struct job *job);
void job_add_seed(struct json_tree *t, cJSON *to, const struct job *job);
const char *job_finish_reason(const struct choice *c);
/* Writes the id of call `index` of a choice: the prefix and a number of its own. */
enum { JOB_CALL_ID = 48 };
void job_call_id(const struct choice *c, const char *prefix, size_t index, char id[JOB_CALL_ID]);
/*
 * Adds the arguments of a call as a JSON value, without white space; an empty object if the answer
 * was truncated within them.
 */
void job_add_arguments(struct json_tree *t, cJSON *to, const char *name, const struct tool_call *call);
/* Adds a value that is given as JSON text [size]. */
void job_add_json(struct json_tree *t, cJSON *to, const char *name, const char *json, size_t size);
/* Tokens of its prompts, those that a session has read before included; how many were not evaluated. */
uint64_t job_read_tokens(const struct job *job);
uint64_t job_cached_tokens(const struct job *job);
/*
 * End the events of a stream in the way of OpenAI's older endpoints: usage in an event of its own,
 * if requested, with this "object", then [DONE]; or an error.
 */
void job_finish_stream(struct job *job, const char *object);
void job_fail_stream(struct job *job, const struct api_error *e);
#define JOB_EVENTS "text/event-stream"
#define JOB_PING ": ping\n\n" /* a comment, which clients ignore */

#endif
