/*
 * responses.c - POST /v1/responses: OpenAI's Responses API.
 *
 * An answer is a list of items: thoughts, a message with the text, calls of tools. A stream
 * announces each item and its only part, sends its text, and repeats the text at the end of the
 * part, of the item and of the answer.
 *
 * The state after an answer is stored under its id, unless the request says otherwise. A later
 * request with this id as "previous_response_id" continues from a copy. DELETE /v1/responses/ID
 * removes it.
 */
#include <stdio.h>
#include <string.h>

#include "server/handlers.h"
#include "server/responses_request.h"
#include "server/session_use.h"

#define ID_PREFIX "resp_"

static bool is_truncated(const struct choice *c)
{
    return c->end == RWKV7_END_LENGTH;
}

/* --------------------------------------------------------------------------------------- values */

static void add_part(struct json_tree *t, cJSON *to, const char *name, enum block kind, const struct text *text)
{
    cJSON *const part = json_add_object(t, to, name);
    json_add_string(t, part, "type", kind == BLOCK_THOUGHT ? "reasoning_text" : "output_text");
    json_add_text(t, part, "text", text->bytes, text->size);
    if (kind == BLOCK_THOUGHT)
        return;
    json_add_array(t, part, "annotations");
    json_add_array(t, part, "logprobs");
}

static void add_item_id(struct json_tree *t, cJSON *to, const char *name, const struct job *job, enum block kind)
{
    char id[sizeof job->id];
    snprintf(id, sizeof id, "%s%s", kind == BLOCK_THOUGHT ? "rs_" : "msg_", job->id + strlen(ID_PREFIX));
    json_add_string(t, to, name, id);
}

/* text: NULL while the item has no part. truncated: it is the last item of a truncated answer. */
static void add_item(struct json_tree *t, cJSON *to, const char *name, const struct choice *c, enum block kind,
                     const struct text *text, bool truncated)
{
    cJSON *const item = json_add_object(t, to, name);
    add_item_id(t, item, "id", c->job, kind);
    json_add_string(t, item, "type", kind == BLOCK_THOUGHT ? "reasoning" : "message");
    json_add_string(t, item, "status", !text ? "in_progress" : truncated ? "incomplete" : "completed");
    if (kind == BLOCK_THOUGHT)
        json_add_array(t, item, "summary");
    else
        json_add_string(t, item, "role", "assistant");
    cJSON *const content = json_add_array(t, item, "content");
    if (text)
        add_part(t, content, NULL, kind, text);
}

static void add_call_id(struct json_tree *t, cJSON *to, const char *name, const struct choice *c, const char *prefix,
                        size_t index)
{
    char id[JOB_CALL_ID];
    job_call_id(c, prefix, index, id);
    json_add_string(t, to, name, id);
}

/* begun: only its name is known. */
static void add_call(struct json_tree *t, cJSON *to, const char *name, const struct choice *c, size_t index, bool begun)
{
    const struct tool_call *const call = &c->calls.calls[index];
    cJSON *const item = json_add_object(t, to, name);
    add_call_id(t, item, "id", c, "fc_", index);
    json_add_string(t, item, "type", "function_call");
    json_add_string(t, item, "status", begun ? "in_progress" : call->complete ? "completed" : "incomplete");
    add_call_id(t, item, "call_id", c, "call_", index);
    json_add_string(t, item, "name", call->name.bytes);
    json_add_text(t, item, "arguments", call->arguments.bytes, begun ? 0 : call->arguments.size);
}

static void add_usage(struct json_tree *t, cJSON *to, const struct job *job)
{
    const struct choice *const c = &job->choices[0];
    cJSON *const usage = json_add_object(t, to, "usage");
    json_add_number(t, usage, "input_tokens", (double)job_read_tokens(job));
    json_add_number(t, json_add_object(t, usage, "input_tokens_details"), "cached_tokens",
                    (double)job_cached_tokens(job));
    json_add_number(t, usage, "output_tokens", (double)c->tokens);
    json_add_number(t, json_add_object(t, usage, "output_tokens_details"), "reasoning_tokens",
                    (double)c->thought_tokens);
    json_add_number(t, usage, "total_tokens", (double)(job_read_tokens(job) + c->tokens));
}

/* The value that the sampler uses; RWKV7_ZERO stands for 0. */
static double sampling_number(float x)
{
    return x == RWKV7_ZERO ? 0 : (double)x;
}

/* Adds the members that repeat the tools of the request. */
static void add_tools(struct json_tree *t, cJSON *to, const struct tools *tools)
{
    static const char *const modes[] = {[TOOLS_AUTO] = "auto", [TOOLS_NONE] = "none", [TOOLS_REQUIRED] = "required"};
    json_add_bool(t, to, "parallel_tool_calls", !tools->single);
    if (tools->only) {
        cJSON *const choice = json_add_object(t, to, "tool_choice");
        json_add_string(t, choice, "type", "function");
        json_add_string(t, choice, "name", tools->only->name);
    } else {
        json_add_string(t, to, "tool_choice", modes[tools->mode]);
    }
    cJSON *const list = json_add_array(t, to, "tools");
    for (size_t i = 0; i < tools->count; i++) {
        const struct tool *const from = &tools->list[i];
        cJSON *const tool = json_add_object(t, list, NULL);
        json_add_string(t, tool, "type", "function");
        json_add_string(t, tool, "name", from->name);
        job_add_json(t, tool, "parameters", from->schema, strlen(from->schema));
        json_add_bool(t, tool, "strict", from->strict);
    }
}

/* Adds the members of an answer. ended: with its items and usage; else it is in progress. */
static void add_response(struct json_tree *t, cJSON *to, const struct choice *c, bool ended, const struct text *thought,
                         const struct text *text)
{
    const struct job *const job = c->job;
    const struct generation *const g = &job->generation;
    const bool truncated = ended && is_truncated(c);
    json_add_string(t, to, "id", job->id);
    json_add_string(t, to, "object", "response");
    json_add_number(t, to, "created_at", (double)job->created);
    json_add_string(t, to, "status", !ended ? "in_progress" : truncated ? "incomplete" : "completed");
    json_add_item(t, to, "error", cJSON_CreateNull());
    if (truncated)
        json_add_string(t, json_add_object(t, to, "incomplete_details"), "reason", "max_output_tokens");
    else
        json_add_item(t, to, "incomplete_details", cJSON_CreateNull());
    json_add_string(t, to, "model", job->server->name);
    cJSON *const output = json_add_array(t, to, "output");
    if (ended && thought->size > 0)
        add_item(t, output, NULL, c, BLOCK_THOUGHT, thought, truncated && text->size == 0 && c->calls.count == 0);
    if (ended && (text->size > 0 || (thought->size == 0 && c->calls.count == 0)))
        add_item(t, output, NULL, c, BLOCK_TEXT, text, truncated && c->calls.count == 0);
    for (size_t i = 0; ended && i < c->calls.count; i++)
        add_call(t, output, NULL, c, i, false);
    json_add_number(t, to, "max_output_tokens", (double)g->max_tokens);
    json_add_number(t, to, "temperature", sampling_number(g->sampling.temperature));
    json_add_number(t, to, "top_p", sampling_number(g->sampling.top_p));
    json_add_whole(t, to, "seed", g->seed);
    json_add_item(t, to, "previous_response_id",
                  *job->previous ? cJSON_CreateString(job->previous) : cJSON_CreateNull());
    json_add_bool(t, to, "store", job->use && job->use->stores);
    json_add_string(t, to, "truncation", "disabled");
    add_tools(t, to, &job->tools);
    json_add_object(t, to, "metadata");
    if (!ended) {
        json_add_item(t, to, "usage", cJSON_CreateNull());
        return;
    }
    add_usage(t, to, job);
    session_use_report(t, to, job);
}

static char *body(struct job *job)
{
    struct json_tree t;
    const struct choice *const c = &job->choices[0];
    add_response(&t, json_tree_object(&t), c, true, &c->thought, &c->text);
    return json_tree_text(&t, false);
}

/* -------------------------------------------------------------------------------------- streams */

static cJSON *begin_event(struct json_tree *t, struct choice *c, const char *type)
{
    cJSON *const root = json_tree_object(t);
    json_add_string(t, root, "type", type);
    json_add_number(t, root, "sequence_number", c->blocks.events++);
    return root;
}

/* Starts an event about the open item. */
static cJSON *begin_item_event(struct json_tree *t, struct choice *c, const char *type)
{
    cJSON *const root = begin_event(t, c, type);
    json_add_number(t, root, "output_index", c->blocks.index);
    return root;
}

/* Starts an event about the part of the open item. */
static cJSON *begin_part_event(struct json_tree *t, struct choice *c, const char *type)
{
    cJSON *const root = begin_item_event(t, c, type);
    add_item_id(t, root, "item_id", c->job, c->blocks.open);
    json_add_number(t, root, "content_index", 0);
    return root;
}

static void send_response(struct choice *c, const char *type, bool ended)
{
    struct json_tree t;
    cJSON *const root = begin_event(&t, c, type);
    add_response(&t, json_add_object(&t, root, "response"), c, ended, &c->blocks.thought, &c->blocks.text);
    job_typed_event(c->job, &t);
}

static void send_text_ends(struct choice *c)
{
    const enum block kind = c->blocks.open;
    const bool thought = kind == BLOCK_THOUGHT;
    const struct text *const text = thought ? &c->blocks.thought : &c->blocks.text;
    struct json_tree t;
    cJSON *root = begin_part_event(&t, c, thought ? "response.reasoning_text.done" : "response.output_text.done");
    json_add_text(&t, root, "text", text->bytes, text->size);
    if (!thought)
        json_add_array(&t, root, "logprobs");
    job_typed_event(c->job, &t);
    root = begin_part_event(&t, c, "response.content_part.done");
    add_part(&t, root, "part", kind, text);
    job_typed_event(c->job, &t);
    root = begin_item_event(&t, c, "response.output_item.done");
    add_item(&t, root, "item", c, kind, text, is_truncated(c)); /* a thought before text: c has not ended */
    job_typed_event(c->job, &t);
}

static void send_call_ends(struct choice *c)
{
    const size_t index = c->blocks.call;
    const struct tool_call *const call = &c->calls.calls[index];
    struct json_tree t;
    cJSON *root = begin_item_event(&t, c, "response.function_call_arguments.done");
    add_call_id(&t, root, "item_id", c, "fc_", index);
    json_add_string(&t, root, "name", call->name.bytes);
    json_add_text(&t, root, "arguments", call->arguments.bytes, call->arguments.size);
    job_typed_event(c->job, &t);
    root = begin_item_event(&t, c, "response.output_item.done");
    add_call(&t, root, "item", c, index, false);
    job_typed_event(c->job, &t);
}

static void close_item(struct choice *c)
{
    if (c->blocks.open == BLOCK_NONE)
        return;
    if (c->blocks.open == BLOCK_CALL)
        send_call_ends(c);
    else
        send_text_ends(c);
    c->blocks.open = BLOCK_NONE;
    c->blocks.index++;
}

static void open_call(struct choice *c, size_t index)
{
    struct json_tree t;
    close_item(c);
    c->blocks.open = BLOCK_CALL;
    c->blocks.call = index;
    cJSON *const root = begin_item_event(&t, c, "response.output_item.added");
    add_call(&t, root, "item", c, index, true);
    job_typed_event(c->job, &t);
}

static void send_call(struct choice *c, const struct tool_event *e)
{
    struct json_tree t;
    if (e->kind == TOOL_CALL_BEGINS) {
        open_call(c, e->index);
    } else if (e->kind == TOOL_CALL_ENDS) {
        close_item(c);
    } else {
        cJSON *const root = begin_item_event(&t, c, "response.function_call_arguments.delta");
        add_call_id(&t, root, "item_id", c, "fc_", e->index);
        json_add_text(&t, root, "delta", e->text, e->size);
        job_typed_event(c->job, &t);
    }
}

static void open_item(struct choice *c, enum block kind)
{
    static const struct text nothing = {0};
    struct json_tree t;
    if (c->blocks.open == kind)
        return;
    close_item(c);
    c->blocks.open = kind;
    cJSON *root = begin_item_event(&t, c, "response.output_item.added");
    add_item(&t, root, "item", c, kind, NULL, false);
    job_typed_event(c->job, &t);
    root = begin_part_event(&t, c, "response.content_part.added");
    add_part(&t, root, "part", kind, &nothing);
    job_typed_event(c->job, &t);
}

static void send_text(struct choice *c, enum block kind, struct text *text, struct text *all)
{
    const bool thought = kind == BLOCK_THOUGHT;
    struct json_tree t;
    if (text->size == 0)
        return;
    open_item(c, kind);
    cJSON *const root =
        begin_part_event(&t, c, thought ? "response.reasoning_text.delta" : "response.output_text.delta");
    json_add_text(&t, root, "delta", text->bytes, text->size);
    if (!thought)
        json_add_array(&t, root, "logprobs");
    text_add(all, text->bytes, text->size);
    t.failed = t.failed || all->failed;
    job_typed_event(c->job, &t);
    text->size = 0;
}

static void begin(struct job *job, struct choice *c)
{
    (void)job;
    send_response(c, "response.created", false);
    send_response(c, "response.in_progress", false);
}

static void piece(struct job *job, struct choice *c)
{
    struct tool_event e;
    (void)job;
    send_text(c, BLOCK_THOUGHT, &c->thought, &c->blocks.thought);
    send_text(c, BLOCK_TEXT, &c->text, &c->blocks.text);
    while (tool_calls_next(&c->calls, &e))
        send_call(c, &e);
}

static void end(struct job *job, struct choice *c)
{
    (void)job;
    if (c->blocks.index == 0 && c->blocks.open == BLOCK_NONE)
        open_item(c, BLOCK_TEXT); /* an empty text, as in `body` */
    close_item(c);
    send_response(c, is_truncated(c) ? "response.incomplete" : "response.completed", true);
}

/* Clients look for the message in the event itself, or in the object "error". */
static void fail_stream(struct job *job, const struct api_error *e)
{
    struct json_tree t;
    cJSON *const root = begin_event(&t, &job->choices[0], "error");
    json_add_item(&t, root, "code", e->code ? cJSON_CreateString(e->code) : cJSON_CreateNull());
    json_add_string(&t, root, "message", e->message);
    json_add_item(&t, root, "param", cJSON_CreateNull());
    json_add_number(&t, error_add(&t, root, e), "code", e->status);
    job_typed_event(job, &t);
}

static const struct protocol responses = {.id_prefix = ID_PREFIX,
                                          .stream_type = JOB_EVENTS,
                                          .ping = JOB_PING,
                                          .begin = begin,
                                          .piece = piece,
                                          .end = end,
                                          .fail = fail_stream,
                                          .body = body};

void responses_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &responses, responses_read, reply);
}

void response_handler(const struct call *call, struct reply *reply)
{
    struct session_store *const store = call->server->store;
    struct json_tree t;
    if (!store)
        error_other(&reply->error, 404, "response_not_found", "answers are not stored (--state-ram)");
    else if (session_store_delete_answer(store, call->name, &reply->error)) {
        cJSON *const root = json_tree_object(&t);
        json_add_string(&t, root, "id", call->name);
        json_add_string(&t, root, "object", "response");
        json_add_bool(&t, root, "deleted", true);
        reply->body = json_tree_text(&t, false);
    }
}
