/*
 * ollama.c - POST /api/generate and /api/chat: Ollama's API.
 *
 * An answer is a stream of lines of JSON by default; the last one has the counts and the times. The
 * two endpoints differ in the member that holds the text.
 */
#include "base/mem.h"
#include "base/sys.h"
#include "server/handlers.h"
#include "server/json_body.h"
#include "server/ollama_info.h"
#include "server/ollama_request.h"
#include "server/session_use.h"

static const struct protocol ollama_generate, ollama_chat;

static cJSON *begin_line(struct json_tree *t, const struct server *s)
{
    char now[OLLAMA_TIME];
    cJSON *const root = json_tree_object(t);
    ollama_now(now);
    json_add_string(t, root, "model", s->name);
    json_add_string(t, root, "created_at", now);
    return root;
}

/* Adds the text and returns the object that has it. */
static cJSON *add_text(struct json_tree *t, cJSON *root, bool chat, const struct text *thought, const struct text *text)
{
    cJSON *const to = chat ? json_add_object(t, root, "message") : root;
    if (chat)
        json_add_string(t, to, "role", "assistant");
    json_add_text(t, to, chat ? "content" : "response", text->bytes, text->size);
    if (thought->size > 0)
        json_add_text(t, to, "thinking", thought->bytes, thought->size);
    return to;
}

/* Adds the calls from `begin` to before `end`. Calls that were truncated are not shown. */
static void add_calls(struct json_tree *t, cJSON *message, const struct choice *c, size_t begin, size_t end)
{
    cJSON *list = NULL;
    for (size_t i = begin; i < end; i++) {
        const struct tool_call *const from = &c->calls.calls[i];
        char id[JOB_CALL_ID];
        if (!from->complete)
            continue;
        if (!list)
            list = json_add_array(t, message, "tool_calls");
        cJSON *const call = json_add_object(t, list, NULL);
        job_call_id(c, "call_", i, id);
        json_add_string(t, call, "id", id);
        cJSON *const function = json_add_object(t, call, "function");
        json_add_number(t, function, "index", (double)i);
        json_add_string(t, function, "name", from->name.bytes);
        job_add_arguments(t, function, "arguments", from);
    }
}

static void add_nanoseconds(struct json_tree *t, cJSON *to, const char *name, double seconds)
{
    json_add_whole(t, to, name, seconds > 0 ? (uint64_t)(1e9 * seconds) : 0);
}

static void add_end(struct json_tree *t, cJSON *root, const struct choice *c)
{
    const struct job *const job = c->job;
    const double now = sys_seconds(), first = job->first_token > 0 ? job->first_token : now;
    json_add_bool(t, root, "done", true);
    json_add_string(t, root, "done_reason", c->end == RWKV7_END_LENGTH ? "length" : "stop");
    add_nanoseconds(t, root, "total_duration", now - job->arrived);
    add_nanoseconds(t, root, "load_duration", job->started - job->arrived); /* the time in the queue */
    json_add_number(t, root, "prompt_eval_count", (double)job_read_tokens(job));
    add_nanoseconds(t, root, "prompt_eval_duration", first - job->started);
    json_add_number(t, root, "eval_count", (double)c->tokens);
    add_nanoseconds(t, root, "eval_duration", now - first);
    session_use_report(t, root, job);
}

static bool is_chat(const struct job *job)
{
    return job->protocol == &ollama_chat;
}

static void begin(struct job *job, struct choice *c)
{
    (void)job;
    (void)c;
}

/*
 * Adds the tokens of the conversation with the answer, which the client may send back. The answer
 * has the form that it has in the prompts of later messages: without thoughts.
 */
static void add_context(struct json_tree *t, cJSON *root, const struct job *job, const struct text *text)
{
    const bool begins = job->prompts[0].count > 0 && job->prompts[0].ids[0] == RWKV7_END_OF_TEXT;
    struct text all = {0};
    uint32_t *ids = NULL;
    size_t count = 0;
    struct rwkv7_error err;
    if (!job->keeps_context)
        return;
    text_add(&all, job->context.bytes, job->context.size);
    const char *answer = text->bytes;
    size_t size = text->size;
    text_trim(&answer, &size);
    text_add(&all, " ", size > 0);
    text_add(&all, answer, size);
    if (all.failed || text->failed ||
        server_encode(job->server, all.bytes, all.size, begins ? ENCODE_AFTER_END : ENCODE_TEXT, &ids, &count, &err) !=
            RWKV7_OK)
        t->failed = true;
    cJSON *const list = json_add_array(t, root, "context");
    for (size_t i = 0; i < count && !t->failed; i++)
        json_add_number(t, list, NULL, ids[i]);
    mem_free(ids);
    text_free(&all);
}

/* Sends new text, and the calls from `begin` to before `end`. */
static void send_line(struct choice *c, size_t begin, size_t end)
{
    struct json_tree t;
    cJSON *const root = begin_line(&t, c->job->server);
    cJSON *const to = add_text(&t, root, is_chat(c->job), &c->thought, &c->text);
    add_calls(&t, to, c, begin, end);
    json_add_bool(&t, root, "done", false);
    job_line(c->job, json_tree_text(&t, false));
    if (c->job->keeps_context)
        text_add(&c->blocks.text, c->text.bytes, c->text.size);
    c->text.size = c->thought.size = 0;
}

static void piece(struct job *job, struct choice *c)
{
    struct tool_event e;
    (void)job;
    if (c->text.size > 0 || c->thought.size > 0)
        send_line(c, 0, 0);
    while (tool_calls_next(&c->calls, &e)) /* a call is sent as a whole */
        if (e.kind == TOOL_CALL_ENDS)
            send_line(c, e.index, e.index + 1);
}

static void end(struct job *job, struct choice *c)
{
    static const struct text nothing = {0};
    struct json_tree t;
    cJSON *const root = begin_line(&t, job->server);
    add_text(&t, root, is_chat(job), &nothing, &nothing);
    add_end(&t, root, c);
    add_context(&t, root, job, &c->blocks.text);
    job_line(job, json_tree_text(&t, false));
}

static void fail_stream(struct job *job, const struct api_error *e)
{
    job_line(job, error_body(e, ERRORS_OLLAMA, NULL));
}

static char *body(struct job *job)
{
    struct json_tree t;
    const struct choice *const c = &job->choices[0];
    cJSON *const root = begin_line(&t, job->server);
    add_calls(&t, add_text(&t, root, is_chat(job), &c->thought, &c->text), c, 0, c->calls.count);
    add_end(&t, root, c);
    add_context(&t, root, job, &c->text);
    return json_tree_text(&t, false);
}

static const struct protocol ollama_generate = {.id_prefix = "generate-",
                                                .stream_type = OLLAMA_LINES,
                                                .begin = begin,
                                                .piece = piece,
                                                .end = end,
                                                .fail = fail_stream,
                                                .body = body};

static const struct protocol ollama_chat = {.id_prefix = "chat-",
                                            .stream_type = OLLAMA_LINES,
                                            .begin = begin,
                                            .piece = piece,
                                            .end = end,
                                            .fail = fail_stream,
                                            .body = body};

/* Answers a request without a text: the model is always loaded. */
static void answer_empty(const struct server *s, bool chat, bool unload, struct reply *reply)
{
    static const struct text nothing = {0};
    struct json_tree t;
    cJSON *const root = begin_line(&t, s);
    add_text(&t, root, chat, &nothing, &nothing);
    json_add_bool(&t, root, "done", true);
    json_add_string(&t, root, "done_reason", unload ? "unload" : "load");
    reply->body = json_tree_text(&t, false);
}

static void answer(const struct call *call, bool chat, struct reply *reply)
{
    cJSON *const json = json_body_parse(call->body, call->size, &reply->error);
    bool unload;
    if (!json)
        return;
    if (!ollama_is_empty(json, &unload)) {
        handle_request(call, json, chat ? &ollama_chat : &ollama_generate,
                       chat ? ollama_read_chat : ollama_read_generate, reply);
        return;
    }
    answer_empty(call->server, chat, unload, reply);
    cJSON_Delete(json);
}

void ollama_generate_handler(const struct call *call, struct reply *reply)
{
    answer(call, false, reply);
}

void ollama_chat_handler(const struct call *call, struct reply *reply)
{
    answer(call, true, reply);
}
