/*
 * messages.c - POST /v1/messages and /v1/messages/count_tokens: Anthropic's Messages API.
 *
 * An answer is a list of blocks: thoughts, text, calls of tools. A stream announces each block,
 * sends its pieces and closes it.
 */
#include "server/handlers.h"
#include "server/messages_request.h"
#include "server/session_use.h"

static const char *stop_reason(const struct choice *c)
{
    const struct generation *const g = &c->job->generation;
    if (c->end == RWKV7_END_LENGTH)
        return "max_tokens";
    if (tool_calls_complete(&c->calls))
        return "tool_use";
    return c->stop >= 0 && (size_t)c->stop < g->client_stops ? "stop_sequence" : "end_turn";
}

static void add_stop(struct json_tree *t, cJSON *to, const struct choice *c)
{
    const struct generation *const g = &c->job->generation;
    const bool found = c->end != RWKV7_END_LENGTH && c->stop >= 0 && (size_t)c->stop < g->client_stops;
    json_add_string(t, to, "stop_reason", stop_reason(c));
    json_add_item(t, to, "stop_sequence", found ? cJSON_CreateString(g->stops[c->stop]) : cJSON_CreateNull());
}

/* In this protocol, cached tokens are not among the input tokens. */
static void add_usage(struct json_tree *t, cJSON *to, const struct job *job)
{
    const uint64_t cached = job_cached_tokens(job);
    cJSON *const usage = json_add_object(t, to, "usage");
    json_add_number(t, usage, "input_tokens", (double)(job_read_tokens(job) - cached));
    json_add_number(t, usage, "cache_creation_input_tokens", 0);
    json_add_number(t, usage, "cache_read_input_tokens", (double)cached);
    json_add_number(t, usage, "output_tokens", (double)job->choices[0].tokens);
}

/* Adds the members of a message that precede its content, and returns the list of its content. */
static cJSON *add_head(struct json_tree *t, cJSON *to, const struct job *job)
{
    json_add_string(t, to, "id", job->id);
    json_add_string(t, to, "type", "message");
    json_add_string(t, to, "role", "assistant");
    json_add_string(t, to, "model", job->server->name);
    return json_add_array(t, to, "content");
}

static void add_block(struct json_tree *t, cJSON *content, const char *name, enum block kind, const struct text *text)
{
    const bool thought = kind == BLOCK_THOUGHT;
    cJSON *const block = json_add_object(t, content, name);
    json_add_string(t, block, "type", thought ? "thinking" : "text");
    json_add_text(t, block, thought ? "thinking" : "text", text->bytes, text->size);
    if (thought)
        json_add_string(t, block, "signature", "");
}

/* call: NULL in a stream, which sends the input in pieces. */
static void add_call(struct json_tree *t, cJSON *content, const char *name, const struct choice *c, size_t index,
                     const struct tool_call *call)
{
    cJSON *const block = json_add_object(t, content, name);
    char id[JOB_CALL_ID];
    job_call_id(c, "toolu_", index, id);
    json_add_string(t, block, "type", "tool_use");
    json_add_string(t, block, "id", id);
    json_add_string(t, block, "name", c->calls.calls[index].name.bytes);
    if (call)
        job_add_arguments(t, block, "input", call);
    else
        json_add_object(t, block, "input");
}

static char *body(struct job *job)
{
    struct json_tree t;
    const struct choice *const c = &job->choices[0];
    cJSON *const root = json_tree_object(&t), *const content = add_head(&t, root, job);
    if (c->thought.size > 0)
        add_block(&t, content, NULL, BLOCK_THOUGHT, &c->thought);
    if (c->text.size > 0 || (c->thought.size == 0 && c->calls.count == 0))
        add_block(&t, content, NULL, BLOCK_TEXT, &c->text);
    for (size_t i = 0; i < c->calls.count; i++)
        add_call(&t, content, NULL, c, i, &c->calls.calls[i]);
    add_stop(&t, root, c);
    add_usage(&t, root, job);
    session_use_report(&t, root, job);
    return json_tree_text(&t, false);
}

/* -------------------------------------------------------------------------------------- streams */

static cJSON *begin_event(struct json_tree *t, const char *type)
{
    cJSON *const root = json_tree_object(t);
    json_add_string(t, root, "type", type);
    return root;
}

static void close_block(struct choice *c)
{
    struct json_tree t;
    if (c->blocks.open == BLOCK_NONE)
        return;
    json_add_number(&t, begin_event(&t, "content_block_stop"), "index", c->blocks.index++);
    job_typed_event(c->job, &t);
    c->blocks.open = BLOCK_NONE;
}

/* call: its index, if the block is one. */
static void open_block(struct choice *c, enum block kind, size_t call)
{
    static const struct text nothing = {0};
    struct json_tree t;
    if (c->blocks.open == kind)
        return;
    close_block(c);
    c->blocks.open = kind;
    cJSON *const root = begin_event(&t, "content_block_start");
    json_add_number(&t, root, "index", c->blocks.index);
    if (kind == BLOCK_CALL)
        add_call(&t, root, "content_block", c, call, NULL);
    else
        add_block(&t, root, "content_block", kind, &nothing);
    job_typed_event(c->job, &t);
    if (c->blocks.index == 0) {
        begin_event(&t, "ping");
        job_typed_event(c->job, &t);
    }
}

/* Sends a piece of the open block. */
static void send_delta(struct choice *c, const char *type, const char *name, const char *text, size_t size)
{
    struct json_tree t;
    cJSON *const root = begin_event(&t, "content_block_delta");
    json_add_number(&t, root, "index", c->blocks.index);
    cJSON *const delta = json_add_object(&t, root, "delta");
    json_add_string(&t, delta, "type", type);
    json_add_text(&t, delta, name, text, size);
    job_typed_event(c->job, &t);
}

static void send_call(struct choice *c, const struct tool_event *e)
{
    if (e->kind == TOOL_CALL_BEGINS)
        open_block(c, BLOCK_CALL, e->index);
    else if (e->kind == TOOL_CALL_ARGUMENTS)
        send_delta(c, "input_json_delta", "partial_json", e->text, e->size);
    else
        close_block(c);
}

static void begin(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *const message = json_add_object(&t, begin_event(&t, "message_start"), "message");
    (void)c;
    add_head(&t, message, job);
    json_add_item(&t, message, "stop_reason", cJSON_CreateNull());
    json_add_item(&t, message, "stop_sequence", cJSON_CreateNull());
    add_usage(&t, message, job);
    job_typed_event(job, &t);
}

static void piece(struct job *job, struct choice *c)
{
    struct tool_event e;
    (void)job;
    if (c->thought.size > 0) {
        open_block(c, BLOCK_THOUGHT, 0);
        send_delta(c, "thinking_delta", "thinking", c->thought.bytes, c->thought.size);
    }
    if (c->text.size > 0) {
        open_block(c, BLOCK_TEXT, 0);
        send_delta(c, "text_delta", "text", c->text.bytes, c->text.size);
    }
    while (tool_calls_next(&c->calls, &e))
        send_call(c, &e);
    c->thought.size = c->text.size = 0;
}

static void end(struct job *job, struct choice *c)
{
    struct json_tree t;
    if (c->blocks.index == 0 && c->blocks.open == BLOCK_NONE)
        open_block(c, BLOCK_TEXT, 0); /* an empty text, as in `body` */
    close_block(c);
    cJSON *const root = begin_event(&t, "message_delta");
    add_stop(&t, json_add_object(&t, root, "delta"), c);
    add_usage(&t, root, job);
    session_use_report(&t, root, job);
    job_typed_event(job, &t);
}

static void finish(struct job *job)
{
    struct json_tree t;
    begin_event(&t, "message_stop");
    job_typed_event(job, &t);
}

static void fail_stream(struct job *job, const struct api_error *e)
{
    job_event(job, "error", error_body(e, ERRORS_ANTHROPIC, NULL));
}

static const struct protocol messages = {.id_prefix = "msg_",
                                         .stream_type = JOB_EVENTS,
                                         .ping = JOB_PING,
                                         .begin = begin,
                                         .piece = piece,
                                         .end = end,
                                         .finish = finish,
                                         .fail = fail_stream,
                                         .body = body};

void messages_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &messages, messages_read, reply);
}

void count_tokens_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    handle_job(call, &messages, messages_read, reply);
    if (!reply->job)
        return;
    json_add_number(&t, json_tree_object(&t), "input_tokens", (double)reply->job->prompt_tokens);
    reply->body = json_tree_text(&t, false);
    job_release(reply->job);
    reply->job = NULL;
}
