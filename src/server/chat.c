/* chat.c - POST /v1/chat/completions: answers the last message of a conversation. */
#include "server/chat_request.h"
#include "server/handlers.h"
#include "server/session_use.h"

static void add_scores(struct json_tree *t, cJSON *one, const struct choice *c)
{
    if (c->job->generation.top < 0)
        json_add_item(t, one, "logprobs", cJSON_CreateNull());
    else
        scores_chat(c->job->server, &c->scores, t, one);
}

/* Starts a stream event and returns its object "delta". */
static cJSON *begin_event(struct json_tree *t, cJSON **one, const struct choice *c)
{
    cJSON *const root = job_head(t, c->job, "chat.completion.chunk");
    *one = json_add_object(t, json_add_array(t, root, "choices"), NULL);
    json_add_number(t, *one, "index", (double)c->index);
    return json_add_object(t, *one, "delta");
}

static void end_event(struct json_tree *t, cJSON *one, const struct choice *c, bool with_scores, const char *reason)
{
    if (with_scores)
        add_scores(t, one, c);
    else
        json_add_item(t, one, "logprobs", cJSON_CreateNull());
    json_add_item(t, one, "finish_reason", reason ? cJSON_CreateString(reason) : cJSON_CreateNull());
    job_event(c->job, NULL, json_tree_text(t, false));
}

static void name_call(struct json_tree *t, cJSON *call, const struct choice *c, size_t index)
{
    char id[JOB_CALL_ID];
    job_call_id(c, "call_", index, id);
    json_add_string(t, call, "id", id);
    json_add_string(t, call, "type", "function");
}

static void begin(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    cJSON *const delta = begin_event(&t, &one, c);
    json_add_string(&t, delta, "role", "assistant");
    if (tools_are_used(&job->tools))
        json_add_item(&t, delta, "content", cJSON_CreateNull());
    else
        json_add_string(&t, delta, "content", "");
    end_event(&t, one, c, false, NULL);
}

/* Sends the beginning of a call, or a piece of its arguments. */
static void send_call(struct choice *c, const struct tool_event *e)
{
    struct json_tree t;
    cJSON *one;
    cJSON *const delta = begin_event(&t, &one, c);
    cJSON *const call = json_add_object(&t, json_add_array(&t, delta, "tool_calls"), NULL);
    json_add_number(&t, call, "index", (double)e->index);
    if (e->kind == TOOL_CALL_BEGINS)
        name_call(&t, call, c, e->index);
    cJSON *const function = json_add_object(&t, call, "function");
    if (e->kind == TOOL_CALL_BEGINS)
        json_add_string(&t, function, "name", e->call->name.bytes);
    json_add_text(&t, function, "arguments", e->text, e->size);
    end_event(&t, one, c, true, NULL);
    scores_clear(&c->scores);
}

static void send_text(struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    cJSON *const delta = begin_event(&t, &one, c);
    if (c->thought.size > 0)
        json_add_text(&t, delta, "reasoning_content", c->thought.bytes, c->thought.size);
    if (c->text.size > 0)
        json_add_text(&t, delta, "content", c->text.bytes, c->text.size);
    end_event(&t, one, c, true, NULL);
    c->text.size = c->thought.size = 0;
    scores_clear(&c->scores);
}

static void piece(struct job *job, struct choice *c)
{
    struct tool_event e;
    (void)job;
    if (c->text.size > 0 || c->thought.size > 0)
        send_text(c);
    while (tool_calls_next(&c->calls, &e))
        if (e.kind != TOOL_CALL_ENDS)
            send_call(c, &e);
}

static void end(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    begin_event(&t, &one, c);
    (void)job;
    end_event(&t, one, c, c->scores.count > 0, job_finish_reason(c));
}

static void finish(struct job *job)
{
    job_finish_stream(job, "chat.completion.chunk");
}

static void add_calls(struct json_tree *t, cJSON *message, const struct choice *c)
{
    cJSON *const list = json_add_array(t, message, "tool_calls");
    for (size_t i = 0; i < c->calls.count; i++) {
        const struct tool_call *const from = &c->calls.calls[i];
        cJSON *const call = json_add_object(t, list, NULL);
        name_call(t, call, c, i);
        cJSON *const function = json_add_object(t, call, "function");
        json_add_string(t, function, "name", from->name.bytes);
        json_add_text(t, function, "arguments", from->arguments.bytes, from->arguments.size);
    }
}

static char *body(struct job *job)
{
    struct json_tree t;
    cJSON *const root = job_head(&t, job, "chat.completion");
    cJSON *const choices = json_add_array(&t, root, "choices");
    for (size_t i = 0; i < job->choice_count; i++) {
        const struct choice *const c = &job->choices[i];
        cJSON *const one = json_add_object(&t, choices, NULL);
        json_add_number(&t, one, "index", (double)c->index);
        cJSON *const message = json_add_object(&t, one, "message");
        json_add_string(&t, message, "role", "assistant");
        if (c->thought.size > 0)
            json_add_text(&t, message, "reasoning_content", c->thought.bytes, c->thought.size);
        if (c->text.size > 0 || c->calls.count == 0)
            json_add_text(&t, message, "content", c->text.bytes, c->text.size);
        else
            json_add_item(&t, message, "content", cJSON_CreateNull());
        if (c->calls.count > 0)
            add_calls(&t, message, c);
        add_scores(&t, one, c);
        json_add_string(&t, one, "finish_reason", job_finish_reason(c));
    }
    job_add_usage(&t, root, job);
    job_add_seed(&t, root, job);
    session_use_report(&t, root, job);
    return json_tree_text(&t, false);
}

const struct protocol chat_protocol = {.id_prefix = "chatcmpl-",
                                       .stream_type = JOB_EVENTS,
                                       .ping = JOB_PING,
                                       .begin = begin,
                                       .piece = piece,
                                       .end = end,
                                       .finish = finish,
                                       .fail = job_fail_stream,
                                       .body = body};

void chat_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &chat_protocol, chat_read, reply);
}
